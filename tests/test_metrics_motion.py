"""Warp error and flicker: known motions, brute force, and what each must not see."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attnzoo.metrics.flicker import flicker, tremor
from attnzoo.metrics.warp_error import PairFlow, correspondence, warp_error


def sliding(f: int, h: int, w: int, dx: int, dy: int) -> tuple[Tensor, PairFlow]:
    """A random picture that moves by whole pixels, and its flow, all of it visible."""
    generator = torch.Generator().manual_seed(0)
    big = torch.rand((3, h + abs(dy) * f, w + abs(dx) * f), generator=generator)

    def frame(k: int) -> Tensor:
        y = (f - k) * dy if dy > 0 else -k * dy
        x = (f - k) * dx if dx > 0 else -k * dx
        return big[:, y : y + h, x : x + w]

    def flow(k: int, r: int) -> tuple[Tensor, Tensor]:
        field = torch.tensor([dx, dy]).float()[:, None, None].expand(2, h, w) * (r - k)
        return field, torch.ones(h, w, dtype=torch.bool)

    return torch.stack([frame(k) for k in range(f)]), flow


def by_hand(clip: Tensor, flow: PairFlow, span: int, where: Tensor | None) -> float:
    """Every pixel of every pair by a loop; bilinear by its four neighbours; float64."""
    f, _, h, w = clip.shape
    clip = clip.double()
    errors = []
    for k in range(f - span):
        field, visible = flow(k, k + span)
        for y in range(h):
            for x in range(w):
                u, v = float(field[0, y, x]), float(field[1, y, x])
                if not visible[y, x] or math.isnan(u) or math.isnan(v):
                    continue
                if where is not None and where[k, 0, y, x] <= 0.5:
                    continue
                px, py = x + u, y + v
                if not (0 <= px <= w - 1 and 0 <= py <= h - 1):
                    continue
                x0, y0 = min(int(px), max(w - 2, 0)), min(int(py), max(h - 2, 0))
                x1, y1 = min(x0 + 1, w - 1), min(y0 + 1, h - 1)
                a, b = px - x0, py - y0
                later = clip[k + span]
                colour = (1 - b) * ((1 - a) * later[:, y0, x0] + a * later[:, y0, x1]) + b * (
                    (1 - a) * later[:, y1, x0] + a * later[:, y1, x1]
                )
                errors.append((colour - clip[k, :, y, x]).abs().mean().item())
    return sum(errors) / len(errors) if errors else math.nan


@settings(max_examples=25, deadline=None)
@given(
    st.integers(2, 5), st.integers(1, 7), st.integers(1, 7), st.integers(1, 4), st.integers(0, 99)
)
def test_warp_error_is_its_definition(f: int, h: int, w: int, span: int, seed: int) -> None:
    span = min(span, f - 1)
    generator = torch.Generator().manual_seed(seed)
    clip = torch.rand((f, 3, h, w), generator=generator)
    fields = 2 * torch.randn((f, f, 2, h, w), generator=generator)
    fields[..., 0, 0] = math.nan
    seen = torch.rand((f, f, h, w), generator=generator) > 0.3
    body = (torch.rand((f, 1, h, w), generator=generator) > 0.4).float()

    def flow(k: int, r: int) -> tuple[Tensor, Tensor]:
        return fields[k, r], seen[k, r]

    along = correspondence(flow, f, span)
    for where in (None, body):
        expected = by_hand(clip, flow, span, where)
        assert warp_error(clip, along, where) == pytest.approx(expected, abs=1e-5, nan_ok=True)


@pytest.mark.parametrize(("dx", "dy"), [(2, 0), (0, 1), (-1, 2), (1, -2)])
@pytest.mark.parametrize("span", [1, 4])
def test_a_moving_picture_has_no_warp_error(dx: int, dy: int, span: int) -> None:
    clip, flow = sliding(6, 12, 14, dx, dy)
    assert warp_error(clip, correspondence(flow, 6, span)) == pytest.approx(0, abs=1e-5)
    assert warp_error(clip.flip(0), correspondence(flow, 6, span)) > 0.1


def test_warp_error_without_a_visible_pixel_is_nan() -> None:
    clip, flow = sliding(3, 5, 5, 1, 0)
    hidden = correspondence(lambda k, r: (flow(k, r)[0], torch.zeros(5, 5).bool()), 3, 1)
    assert math.isnan(warp_error(clip, hidden))


@pytest.mark.parametrize("span", [0, 3])
def test_a_span_without_pairs_is_refused(span: int) -> None:
    _, flow = sliding(3, 5, 5, 1, 0)
    with pytest.raises(ValueError, match=f"no two of 3 frames are {span} apart"):
        correspondence(flow, 3, span)


def test_tremor_by_hand() -> None:
    clip = torch.rand((2, 5, 3, 2, 3), generator=torch.Generator().manual_seed(0))
    for i in range(2):
        parts = [
            abs(float(clip[i, k + 1, c, y, x] - 2 * clip[i, k, c, y, x] + clip[i, k - 1, c, y, x]))
            for k in range(1, 4) for c in range(3) for y in range(2) for x in range(3)
        ]  # fmt: skip
        assert tremor(clip)[i].item() == pytest.approx(sum(parts) / len(parts), abs=1e-6)


def test_a_steady_fade_is_no_flicker_and_a_blinking_one_is() -> None:
    steady = torch.linspace(0, 1, 9)[None, :, None, None, None].expand(1, 9, 3, 4, 4)
    blinking = steady.clone()
    blinking[:, 1::2] *= 0.5
    assert flicker(steady, steady).item() == 0
    assert tremor(steady).item() == pytest.approx(0, abs=1e-6)
    assert flicker(steady, blinking).item() > 0.1
    assert flicker(blinking, steady).item() < -0.1


@pytest.mark.parametrize("frames", [1, 2])
def test_flicker_needs_three_frames(frames: int) -> None:
    with pytest.raises(ValueError, match=f"at least 3 frames, not {frames}"):
        tremor(torch.zeros(1, frames, 3, 4, 4))
