"""Flow of recorded frames against known motion, its composition, and what is seen in both."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from attnzoo.data.embedded import open_embedded
from attnzoo.data.flow import FINE, WindowFlow, dense_flow, visible
from attnzoo.motion import Motion

Grey = NDArray[np.uint8]


def texture(size: int = FINE, *, seed: int = 0) -> Grey:
    coarse = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
    fine = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=False).clamp(0, 1)
    return (fine[0, 0].numpy() * 255).astype(np.uint8)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (8, 0), (0, -12), (6, 10)])
def test_a_shift_is_found_in_pixels_of_the_asked_grid(dx: int, dy: int) -> None:
    start = texture()
    end = np.roll(start, (dy, dx), (0, 1))
    flow = dense_flow(start, end, 64)
    assert flow.shape == (2, 64, 64)
    assert flow.dtype == torch.float32
    inside = flow[:, 8:-8, 8:-8]
    expected = torch.tensor([dx / 4, dy / 4]).view(2, 1, 1)
    assert (inside - expected).abs().max() < 0.1


def test_flow_is_the_same_each_time() -> None:
    start, end = texture(), texture(seed=1)
    assert torch.equal(dense_flow(start, end, 64), dense_flow(start, end, 64))


def test_what_is_still_has_no_flow() -> None:
    start = texture()
    still = np.zeros(start.shape, bool)
    still[:, :128] = True
    flow = dense_flow(start, np.roll(start, 8, 1), 64, still)
    assert not flow[:, :, :32].any()
    assert (flow[0, 8:-8, 34:-8] - 2).abs().max() < 0.1


def seen_one_by_one(there: Tensor, back: Tensor) -> tuple[Tensor, Tensor]:
    """What `visible` says in float64 by its definition, and how near each pixel is to turning."""
    f, b = there.double().numpy(), back.double().numpy()
    height, width = f.shape[1:]
    seen = np.zeros((height, width), bool)
    margin = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            u, v = x + f[0, y, x], y + f[1, y, x]
            cu, cv = min(max(u, 0), width - 1), min(max(v, 0), height - 1)
            i, j = min(int(cv), height - 2), min(int(cu), width - 2)
            q, p = cv - i, cu - j
            row = [b[:, i + k, j] * (1 - p) + b[:, i + k, j + 1] * p for k in (0, 1)]
            home = row[0] * (1 - q) + row[1] * q
            apart = ((f[:, y, x] + home) ** 2).sum()
            allowed = 0.01 * ((f[:, y, x] ** 2).sum() + (home**2).sum()) + 0.5
            edges = min(u, width - 1 - u, v, height - 1 - v)
            seen[y, x] = edges >= 0 and apart <= allowed
            margin[y, x] = min(abs(edges), abs(apart - allowed))
    return torch.from_numpy(seen), torch.from_numpy(margin)


@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_visible_by_its_definition(height: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    there = torch.randn(2, height, width, generator=generator) * 1.5
    back = -there + torch.randn(2, height, width, generator=generator) * 0.5
    expected, margin = seen_one_by_one(there, back)
    clear = margin > 1e-4
    assert torch.equal(visible(there, back)[clear], expected[clear])


def test_a_thing_that_is_covered_later_is_not_seen_in_both() -> None:
    # A square of 16 pixels moves 8 to the right over a still ground.
    there, back = torch.zeros(2, 64, 64), torch.zeros(2, 64, 64)
    there[0, 20:36, 10:26] = 8
    back[0, 20:36, 18:34] = -8
    seen = visible(there, back)
    assert seen[20:36, 10:26].all()
    assert not seen[20:36, 26:34].any()
    assert seen[:20].all()
    assert seen[36:].all()


def test_a_window_composes_neighbours_and_asks_for_each_once() -> None:
    generator = torch.Generator().manual_seed(0)
    steps = {
        (a, b): torch.randn(2, 12, 12, generator=generator) for a in range(9) for b in range(9)
    }
    asked: Counter[tuple[int, int]] = Counter()

    def between(a: int, b: int) -> Tensor:
        asked[a, b] += 1
        return steps[a, b]

    places = (2, 4, 6, 8)
    flow = WindowFlow(between, places)
    assert not asked
    forward = torch.stack([steps[2, 4], steps[4, 6], steps[6, 8]])[None]
    backward = torch.stack([steps[4, 2], steps[6, 4], steps[8, 6]])[None]
    motion = Motion.consecutive(forward, backward)
    for k in range(4):
        for r in range(4):
            found, seen = flow(k, r)
            assert torch.equal(found, motion.pair(k, r)[0])
            assert seen.dtype == torch.bool
            assert k != r or (seen.all() and not found.any())
    assert set(asked.values()) == {1}
    assert len(asked) == 6


def test_flow_of_a_dancer_is_near_the_exact_one() -> None:
    clip = open_embedded(clips=1).test[0]
    assert clip.flow is not None
    wide = F.interpolate(clip.video[:2], (FINE, FINE), mode="bilinear", align_corners=False)
    grey = [(image.mean(0).clamp(0, 1).numpy() * 255).astype(np.uint8) for image in wide]
    found = dense_flow(grey[0], grey[1], 64)
    exact, seen = clip.flow(0, 1)
    moves = seen & (exact.norm(dim=0) > 0.5)
    assert moves.sum() > 50
    error = (found - exact).norm(dim=0)
    assert error[moves].median() < 0.6 * exact.norm(dim=0)[moves].median()
    ground = seen & (clip.body[0, 0] == 0)
    assert error[ground].median() < 0.05
    assert math.isfinite(float(error.max()))
