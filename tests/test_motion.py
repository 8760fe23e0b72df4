"""Motion: three ways to make one, composition, and downsampling in place and in value."""

from __future__ import annotations

import gc
import math
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attnzoo.motion import SIDES_APART, Motion, downsample


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_pairs_gives_what_it_was_made_from():
    flows = noise(2, 3, 3, 2, 4, 5)
    motion = Motion.pairs(flows)
    assert (motion.batch, motion.frames) == (2, 3)
    assert torch.equal(motion.pair(0, 2), flows[:, 0, 2])
    assert motion.pair(1, 1).eq(0).all()
    expected = torch.stack([flows[:, 0, 1], torch.zeros(2, 2, 4, 5), flows[:, 2, 1]], dim=1)
    assert torch.equal(motion.to(torch.tensor([1, 1, 1]), 4, 5), expected)
    assert torch.equal(motion.to([1, 1, 1], 4, 5), expected)


def test_a_function_is_asked_once_per_pair_and_not_for_itself():
    asked = []

    def pair(k: int, r: int) -> Tensor:
        asked.append((k, r))
        return torch.full((1, 2, 8, 8), float(r - k))

    motion = Motion(pair)
    for h in (8, 4, 2, 4):
        flow = motion.to([0, 0, 3, 3], h, h)
        scale = h / 8
        assert flow[0, :, 0, 0, 0].tolist() == [0, -scale, scale, 0]
    assert asked == [(1, 0), (2, 3)]
    assert motion.batch == 1 and motion.frames is None
    assert Motion(pair).to([0], 4, 4).shape == (1, 1, 2, 4, 4)


def test_nan_counts_as_zero():
    forward, backward = noise(1, 2, 2, 4, 4), noise(1, 2, 2, 4, 4, seed=1)
    forward[0, 0, :, 1, 1] = torch.nan
    assert Motion.consecutive(forward, backward).pair(0, 1)[0, :, 1, 1].eq(0).all()
    assert Motion.consecutive(forward, backward).pair(0, 2).isfinite().all()
    flows = torch.full((1, 2, 2, 2, 4, 4), torch.nan)
    assert Motion.pairs(flows).to([1, 1], 2, 2).eq(0).all()
    assert Motion(lambda k, r: flows[:, 0, 0]).pair(0, 1).eq(0).all()


def composed(flows: list[Tensor]) -> Tensor:
    """Plain loop: follow each pixel through `[2, H, W]` flows, reading between pixels."""
    _, height, width = flows[0].shape
    total = torch.zeros_like(flows[0])
    for y in range(height):
        for x in range(width):
            at_x, at_y = float(x), float(y)
            for flow in flows:
                dx, dy = read(flow, at_x, at_y)
                at_x, at_y = at_x + dx, at_y + dy
            total[0, y, x], total[1, y, x] = at_x - x, at_y - y
    return total


def read(flow: Tensor, x: float, y: float) -> list[float]:
    _, height, width = flow.shape
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    x0, y0 = min(int(x), max(width - 2, 0)), min(int(y), max(height - 2, 0))
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    a, b = x - x0, y - y0
    return [
        float(
            (1 - a) * (1 - b) * c[y0, x0]
            + a * (1 - b) * c[y0, x1]
            + (1 - a) * b * c[y1, x0]
            + a * b * c[y1, x1]
        )
        for c in flow
    ]


@settings(max_examples=15, deadline=None, derandomize=True)
@given(h=st.integers(1, 6), w=st.integers(1, 6), k=st.integers(0, 4), r=st.integers(0, 4))
def test_longer_spans_follow_the_content(h, w, k, r):
    forward, backward = 2 * noise(1, 4, 2, h, w), 2 * noise(1, 4, 2, h, w, seed=1)
    actual = Motion.consecutive(forward, backward).pair(k, r)[0]
    if k <= r:
        steps = [forward[0, i] for i in range(k, r)]
    else:
        steps = [backward[0, i] for i in range(k - 1, r - 1, -1)]
    expected = composed(steps) if steps else torch.zeros(2, h, w)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_a_steady_drift_adds_up():
    drift = torch.tensor([1.5, -0.5]).view(1, 1, 2, 1, 1).expand(1, 7, 2, 6, 6)
    motion = Motion.consecutive(drift, -drift)
    flow = motion.to([3] * 8, 3, 3)
    for k in range(8):
        expected = torch.tensor([1.5, -0.5]) * (3 - k) / 2
        torch.testing.assert_close(flow[0, k], expected.view(2, 1, 1).expand(2, 3, 3))


def test_value_follows_each_axis():
    flow = torch.tensor([6.0, 6.0]).view(1, 2, 1, 1).expand(1, 2, 6, 12)
    assert downsample(flow, 2, 6)[0, :, 0, 0].tolist() == [3.0, 2.0]
    assert downsample(flow, 12, 12)[0, :, 0, 0].tolist() == [6.0, 12.0]
    assert downsample(flow, 6, 12) is flow


def plain_downsample(flow: Tensor, h: int, w: int) -> Tensor:
    """The documented rule for `[2, H, W]`, cell by cell."""
    _, height, width = flow.shape
    result = torch.zeros(2, h, w)
    for i in range(h):
        for j in range(w):
            pixels = [
                (float(flow[0, y, x]) * w / width, float(flow[1, y, x]) * h / height)
                for y in range(i * height // h, math.ceil((i + 1) * height / h))
                for x in range(j * width // w, math.ceil((j + 1) * width / w))
            ]
            slowest = min(pixels, key=lambda p: math.hypot(*p))
            fastest = max(pixels, key=lambda p: math.dist(p, slowest))
            if math.dist(slowest, fastest) > SIDES_APART:
                fast = [p for p in pixels if math.dist(p, fastest) < math.dist(p, slowest)]
                slow = [p for p in pixels if p not in fast]
                pixels = fast if len(fast) >= len(slow) else slow
            result[:, i, j] = torch.tensor(pixels).mean(0)
    return result


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    grid=st.tuples(*[st.integers(1, 9)] * 4),
    seed=st.integers(0, 999),
    speed=st.sampled_from([0.2, 1.0, 5.0]),
)
def test_cells_follow_the_documented_rule(grid, seed, speed):
    height, width, h, w = grid
    flow = speed * noise(2, 2, height, width, seed=seed)
    actual = downsample(flow, h, w)
    expected = (
        flow if grid[:2] == grid[2:] else torch.stack([plain_downsample(f, h, w) for f in flow])
    )
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("columns", "winner"), [(1, 0.0), (2, 2.0), (3, 2.0), (4, 2.0)])
@pytest.mark.parametrize("camera", [0.0, -0.75])
def test_body_and_background_are_not_blended(columns, winner, camera):
    flow = torch.full((1, 2, 4, 4), camera)
    flow[:, :, :, :columns] = camera * 1.0 + 8.0
    cell = downsample(flow, 1, 1)[0, 0, 0, 0].item()
    assert cell == pytest.approx(camera / 4 + winner)


def test_smooth_motion_is_averaged():
    flow = torch.linspace(0, 1, 8).view(1, 1, 1, 8).expand(1, 2, 8, 8)
    expected = flow.view(1, 2, 2, 4, 2, 4).mean((3, 5)) / 4
    torch.testing.assert_close(downsample(flow, 2, 2), expected)


def test_repeat_shares_what_was_computed():
    motion = Motion.pairs(noise(2, 3, 3, 2, 8, 8))
    guided = motion.repeat(2)
    assert guided is motion.repeat(2) and guided.batch == 4 and guided.frames == 3
    assert torch.equal(guided.to([1] * 3, 4, 4), motion.to([1] * 3, 4, 4).repeat(2, 1, 1, 1, 1))
    assert torch.equal(guided.pair(0, 2), motion.pair(0, 2).repeat(2, 1, 1, 1))
    built = []

    def build(source: Motion) -> tuple[Tensor]:
        built.append(source)
        return (torch.arange(source.batch),)

    assert guided.repeat(2).tiled("key", build)[0].tolist() == [0, 1] * 4
    assert motion.tiled("key", build)[0].tolist() == [0, 1]
    assert built == [motion]


def test_cached_builds_once_and_outside_inference():
    motion = Motion.pairs(noise(1, 2, 2, 2, 8, 8))
    with torch.inference_mode():
        first = motion.to([0, 0], 4, 4)
        kept = motion.cached("mine", lambda: torch.ones(2))
    assert not first.is_inference() and not kept.is_inference()
    assert motion.to([0, 0], 4, 4) is first and motion.cached("mine", list) is kept


def test_cat_puts_clips_behind_each_other():
    first, second = noise(1, 3, 3, 2, 4, 4), noise(2, 3, 3, 2, 4, 4, seed=1)
    motion = Motion.cat([Motion.pairs(first), Motion.pairs(second)])
    assert (motion.batch, motion.frames) == (3, 3)
    assert torch.equal(motion.pair(2, 0), torch.cat([first, second])[:, 2, 0])
    with pytest.raises(ValueError, match=r"unequal length: \['2', '3'\]"):
        Motion.cat([Motion.pairs(first), Motion.pairs(first[:, :2, :2])])
    with pytest.raises(ValueError, match="no motions"):
        Motion.cat([])


def test_device_to_keeps_the_repetition():
    motion = Motion.pairs(noise(1, 3, 3, 2, 4, 4))
    moved = motion.device_to("cpu")
    assert moved is motion.device_to(torch.device("cpu")) and moved.batch == 1
    assert torch.equal(moved.pair(0, 1), motion.pair(0, 1))
    assert motion.repeat(2).device_to("cpu") is moved.repeat(2)
    meta = motion.device_to("meta").pair(0, 1)
    assert meta.is_meta


def test_a_moved_motion_does_not_keep_the_first_alive():
    motion = Motion.pairs(noise(1, 3, 3, 2, 4, 4))
    moved, gone = motion.device_to("cpu"), weakref.ref(motion)
    moved.to([0, 0, 0], 2, 2)
    gc.disable()
    try:
        del motion
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("shape", [(1, 2, 2, 4, 4), (1, 2, 3, 2, 4, 4), (1, 2, 2, 3, 4, 4)])
def test_pairs_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r"all pairs are \[b, f, f, 2, H, W\], not"):
        Motion.pairs(torch.zeros(shape))


@pytest.mark.parametrize(
    ("forward", "backward", "who"),
    [((1, 2, 3, 4, 4),) * 2 + ("forward",), ((1, 2, 2, 4, 4), (1, 3, 2, 4, 4), "backward")],
)
def test_consecutive_refuses_other_shapes(forward, backward, who):
    with pytest.raises(ValueError, match=rf"both alike; {who} is \["):
        Motion.consecutive(torch.zeros(forward), torch.zeros(backward))


def test_wrong_frames_and_functions_are_refused():
    motion = Motion.pairs(torch.zeros(1, 3, 3, 2, 4, 4))
    with pytest.raises(ValueError, match="frame 3 is not among the 3 frames"):
        motion.pair(0, 3)
    with pytest.raises(ValueError, match="frame -1 is not among"):
        motion.to([0, 0, -1], 2, 2)
    with pytest.raises(ValueError, match="2 reference frames for a motion of 3 frames"):
        motion.to([0, 0], 2, 2)
    with pytest.raises(ValueError, match=r"flow of a pair is \[b, 2, H, W\], not \[2, 4, 4\]"):
        Motion(lambda k, r: torch.zeros(2, 4, 4)).pair(0, 1)
    with pytest.raises(ValueError, match=r"flow of a pair is \[3, 2, H, W\], not \[1, 2, 4, 4\]"):
        Motion(lambda k, r: torch.zeros(1, 2, 4, 4), batch=3).pair(0, 1)
