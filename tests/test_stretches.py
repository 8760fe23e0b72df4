"""A long clip as overlapping windows: they cover it evenly, and their shares add up."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from attnzoo.errors import UserError
from attnzoo.models.stretches import motion_of, stretches
from attnzoo.motion import Motion

PLANS = [(n, w, o) for n in (2, 5, 17, 40, 163) for w in (3, 16) for o in (0, 1, w // 2, w - 1)]


@pytest.mark.parametrize("fading", [True, False])
@pytest.mark.parametrize(("frames", "window", "overlap"), PLANS)
def test_windows_cover_the_clip_and_their_shares_add_up(frames, window, overlap, fading):
    parts = stretches(frames, window, overlap, fading=fading)
    torch.testing.assert_close(parts.weights.sum(0), torch.ones(frames))
    for share, one in zip(parts.weights, parts.windows, strict=True):
        inside = [frame in one for frame in range(frames)]
        assert not share[~torch.tensor(inside)].any()
    assert parts.windows[0].start == 0 and parts.windows[-1].stop == frames
    assert parts.longest == min(window, frames) == len(parts.windows[-1])
    if frames > window:
        starts = [one.start for one in parts.windows]
        steps = [b - a for a, b in pairwise(starts)]
        assert max(steps) - min(steps) <= 1 and max(steps) <= window - overlap
        fewer = len(parts.windows) - 1
        assert fewer == 1 or window + (fewer - 1) * (window - overlap) < frames
        assert parts.overlap >= overlap


def test_a_clip_no_longer_than_a_window_is_one():
    for frames in (1, 15, 16):
        parts = stretches(frames, 16, 4)
        assert parts.windows == (range(frames),) and parts.overlap == 0
        assert torch.equal(parts.weights, torch.ones(1, frames)) and not parts.passing().any()


def test_neighbours_fade_into_each_other():
    parts = stretches(28, 16, 4)
    rise = torch.tensor([0, 0.2, 0.4, 0.6, 0.8, 1])
    torch.testing.assert_close(parts.weights[1, 11:17], rise)
    torch.testing.assert_close(parts.weights[0, 11:17], 1 - rise)
    passing = torch.zeros(27)
    passing[11:16] = 0.2
    torch.testing.assert_close(parts.passing(), passing)


def test_without_overlap_the_weight_passes_at_once():
    passing = stretches(32, 16, 0).passing()
    assert passing.nonzero().tolist() == [[15]] and passing[15] == 1


def test_where_frames_are_apart_each_keeps_its_surroundings():
    parts = stretches(40, 16, 4, fading=False)
    assert set(parts.weights.unique().tolist()) == {0, 1}
    for share, one in zip(parts.weights, parts.windows, strict=True):
        kept = share.nonzero().flatten().tolist()
        assert one.start == 0 or kept[0] - one.start >= 2
        assert one.stop == 40 or one.stop - 1 - kept[-1] >= 2


@pytest.mark.parametrize(
    ("frames", "overlap", "said"),
    [(0, 4, "--frames 0"), (20, 16, "--overlap 16: .* 0 to 15"), (20, -1, "--overlap -1")],
)
def test_what_makes_no_windows(frames, overlap, said):
    with pytest.raises(UserError, match=said):
        stretches(frames, 16, overlap)


def test_motion_of_a_window_counts_its_frames_from_0():
    asked = []

    def pair(k: int, r: int) -> torch.Tensor:
        asked.append((k, r))
        return torch.full((1, 2, 4, 4), 10.0 * k + r)

    whole = Motion(pair, batch=1, frames=9)
    part = motion_of(whole, range(5, 8))
    assert part.frames == 3 and part.batch == 1
    assert part.pair(0, 2)[0, 0, 0, 0] == 57 and motion_of(whole, range(5, 9)).pair(0, 2).any()
    assert asked == [(5, 7)], "windows share what the whole has computed"
    with pytest.raises(ValueError, match="3 frames"):
        part.pair(0, 3)
