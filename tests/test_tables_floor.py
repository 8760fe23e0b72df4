"""The floor of distances: real clips against other real clips, as many as a seed has."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_run import tiny_clip, tiny_source

from attnzoo.metrics.score import score
from attnzoo.tables.floor import FLOOR, floor, write_floor
from attnzoo.tables.protocol import Protocol

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


def test_the_file_is_of_each_seeds_own_clips(tmp_path: Path) -> None:
    clips = [tiny_clip(i) for i in range(4)]
    source = replace(tiny_source(), test=clips)
    protocol = Protocol("tiny", seeds=(0, 1), clips=2, settings=(), cells={}, tables={})
    write_floor(tmp_path, protocol, source)
    found = json.loads((tmp_path / FLOOR).read_text())
    videos = torch.stack([clip.video for clip in clips])
    assert found["seeds"] == floor({0: videos[:2], 1: videos[2:]}) and found["schema"] == 1
    for other in (replace(protocol, seeds=(0,)), replace(protocol, clips=1)):
        write_floor(tmp_path / "none", other, source)
    assert not (tmp_path / "none").exists()
