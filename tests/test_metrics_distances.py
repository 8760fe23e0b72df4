"""Distances of sets with their intervals, and which frames are a sample, by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torch import Tensor

from attnzoo.metrics.clips import FRAMES, bicubic, in_batches, separate, sliding
from attnzoo.metrics.distances import POLYNOMIAL_MMD
from attnzoo.metrics.polynomial_mmd import jedi


def some(n: int, seed: int) -> Tensor:
    return torch.randn((n, 5), generator=torch.Generator().manual_seed(seed)).double()


def left_out(
    real: Tensor, fake: Tensor, real_videos: list[int], fake_videos: list[int], videos: set[int]
) -> float:
    """(m - 1) / m times the squared deviations of distances without one of m videos."""
    found = []
    for one in sorted(videos):
        kept = [[i for i, v in enumerate(vs) if v != one] for vs in (real_videos, fake_videos)]
        found.append(jedi(real[kept[0]], fake[kept[1]]))
    m, mean = len(found), sum(found) / len(found)
    return (m - 1) / m * sum((one - mean) ** 2 for one in found)


@pytest.mark.parametrize(
    ("real_videos", "fake_videos", "groups"),
    [
        ([0, 0, 1, 2, 2, 3], [0, 1, 1, 2, 3, 3, 3], [{0, 1, 2, 3}]),
        ([0, 0, 1, 2, 2, 3], [7, 8, 8, 9, 9, 9, 9], [{0, 1, 2, 3}, {7, 8, 9}]),
        # Two pairs, two real videos alone, and one generated alone, which has no spread.
        ([0, 0, 1, 2, 2, 3], [0, 1, 1, 1, 1, 1, 9], [{0, 1}, {2, 3}]),
    ],
)
@pytest.mark.parametrize("level", [0.95, 0.5])
def test_the_interval_of_a_discrepancy_leaves_one_video_out_after_the_other(
    real_videos: list[int], fake_videos: list[int], groups: list[set[int]], level: float
) -> None:
    real, fake = some(6, 0), some(7, 1) + 0.5
    videos = real_videos, fake_videos
    found = POLYNOMIAL_MMD.interval(real, fake, *map(torch.tensor, videos), level=level)
    variance = sum(left_out(real, fake, *videos, group) for group in groups)
    n = min(len(set(real_videos)), len(set(fake_videos)))
    half = stats.t.ppf(0.5 + level / 2, n - 1) * math.sqrt(variance)
    assert (found.value, found.n) == (pytest.approx(jedi(real, fake), rel=1e-12), n)
    assert found.low is not None and found.high is not None
    assert found.low == pytest.approx(max(found.value - half, 0), rel=1e-9)
    assert found.high == pytest.approx(found.value + half, rel=1e-9)
    assert f"at {n} videos" in found.method


@pytest.mark.parametrize("videos", [([0, 0], [0, 0]), ([0, 1], [3, 3])])
def test_one_video_has_no_interval_and_says_so(videos: tuple[list[int], list[int]]) -> None:
    found = POLYNOMIAL_MMD.interval(some(2, 0), some(2, 1), *map(torch.tensor, videos))
    assert (found.low, found.high, found.n) == (None, None, 1)
    assert found.method == "no interval: one video"


@pytest.mark.parametrize(
    ("cut", "frames", "first"),
    [
        (separate, 15, []),
        (separate, 16, [0]),
        (separate, 31, [0]),
        (separate, 50, [0, 16, 32]),
        (sliding, 15, []),
        (sliding, 16, [0]),
        (sliding, 19, [0, 1, 2, 3]),
    ],
)
def test_samples_are_sixteen_frames_in_a_row(
    cut: Callable[[Tensor], Iterator[Tensor]], frames: int, first: list[int]
) -> None:
    video = torch.arange(frames)
    assert [one.tolist() for one in cut(video)] == [[*range(i, i + 16)] for i in first]
    assert FRAMES == 16


@pytest.mark.parametrize("count", [0, 1, 4, 5, 8])
@pytest.mark.parametrize("several", [False, True])
def test_batches_change_neither_order_nor_layout(count: int, several: bool) -> None:
    samples = torch.rand((count, 16, 3, 2, 4), generator=torch.Generator().manual_seed(0))
    sizes = []

    class Network(torch.nn.Module):
        def forward(self, batch: Tensor) -> Tensor | tuple[Tensor, ...]:
            sizes.append(batch.shape[0])
            assert batch.shape[1:] == (3, 16, 2, 4)
            found = batch.double().mean(dim=(3, 4)).flatten(1)
            return (found, batch) if several else found

    found = in_batches(Network(), iter(samples), size=4)
    assert sizes == [min(4, count - i) for i in range(0, count, 4)]
    assert found.dtype == torch.float32 and len(found) == count
    if count:
        expected = samples.transpose(1, 2).mean(dim=(3, 4)).flatten(1)
        torch.testing.assert_close(found, expected)
    else:
        assert found.shape == (0, 0)


def test_pictures_are_made_small_channel_by_channel_and_not_rounded() -> None:
    generator = torch.Generator().manual_seed(0)
    video = torch.randint(0, 256, (2, 3, 9, 7), generator=generator, dtype=torch.uint8)
    found = bicubic(video, 4)
    assert found.shape == (2, 3, 4, 4) and found.dtype == torch.float32
    for frame, small in zip(video, found, strict=True):
        for channel, one in zip(frame, small, strict=True):
            picture = Image.fromarray(channel.numpy().astype(np.float32))
            wanted = np.asarray(picture.resize((4, 4), Image.Resampling.BICUBIC))
            assert np.array_equal(one.numpy(), wanted)
    assert (found != found.round()).any()
    square = video[:, :, :7]
    assert torch.equal(bicubic(square, 7), square.float())
