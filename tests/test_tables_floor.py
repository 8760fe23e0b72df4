"""The floor of distances: real clips against other real clips, as many as a seed has."""

from __future__ import annotations

import pytest
import torch
from tiny_run import tiny_clip

from attnzoo.metrics.score import score
from attnzoo.tables.floor import floor

BOTH = ("fd_embedded_frame", "fd_embedded_video")


def test_of_two_seeds_it_is_the_distance_that_a_record_would_hold() -> None:
    own = [tiny_clip(i) for i in range(6)]
    videos = torch.stack([clip.video for clip in own])
    found = floor({4: videos[:3], 7: videos[3:]})
    scores = score(videos[:3], videos[3:], own[:3])
    for name in BOTH:
        assert found["4"][name] == pytest.approx(scores[name]["value"], rel=1e-9)
        assert found["7"][name] == pytest.approx(found["4"][name], rel=1e-9)


def test_of_three_it_is_the_mean_over_the_others() -> None:
    draw = torch.Generator().manual_seed(0)
    clips = {seed: torch.rand(3, 4, 3, 32, 32, generator=draw) for seed in range(3)}
    found = floor(clips)
    pairs = [floor({0: clips[0], other: clips[other]})["0"] for other in (1, 2)]
    for name in BOTH:
        assert found["0"][name] == pytest.approx((pairs[0][name] + pairs[1][name]) / 2)
