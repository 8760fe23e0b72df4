"""What is said of the seams between windows, on clips whose seams are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from attnzoo.data.cast import Casting
from attnzoo.data.clip import Clip
from attnzoo.data.embedded import make_clip
from attnzoo.mixing.seams import Compared, compared, table
from attnzoo.models.stretches import stretches

PARTS = stretches(28, 10, 1)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(Casting(5, 9), frames=28, size=32)


def rows(video: Tensor, clip: Clip) -> dict[str, Compared]:
    return {row.measure: row for row in compared(video, clip, PARTS)}


def test_a_clip_in_one_window_has_no_seams(clip: Clip) -> None:
    assert compared(clip.video, clip, stretches(28, 28, 4)) == []


def test_the_dance_itself_differs_from_itself_by_nothing(clip: Clip) -> None:
    found = rows(clip.video, clip)
    assert list(found) == [
        "warp error", "warp error on the body", "change", "change off the dancer", "tremor"
    ]  # fmt: skip
    assert found["change off the dancer"].seams.value < 0.01
    for row in found.values():
        assert row.difference == row.own
        assert row.seams.n == 4 and row.difference.n == row.seams.n + row.inside.n
        assert row.inside.low < row.inside.value < row.inside.high
        assert row.difference.low < row.difference.value < row.difference.high
    assert found["change"].inside.n == 23 and found["tremor"].inside.n == 22


def test_a_window_in_other_colours_is_seen(clip: Clip) -> None:
    video = clip.video.clone()
    for number, window in enumerate(PARTS.windows):
        share = PARTS.weights[number].view(-1, 1, 1, 1)
        video += share * (0.1 * number)
        assert len(window) == 10
    found = rows(video, clip)
    for name in ("warp error", "change", "change off the dancer", "tremor"):
        row, own = found[name].difference, found[name].own
        # A tenth more in two steps, over an overlap of one frame.
        assert row.value - own.value == pytest.approx(0.05, abs=0.035), name
    assert found["change off the dancer"].difference.low > 0.03
    assert found["warp error"].difference.low > 0.01
    assert found["warp error"].own.low < 0 < found["warp error"].own.high


def test_a_dance_without_body_or_flow_is_measured_by_the_rest(clip: Clip) -> None:
    from dataclasses import replace

    blind = replace(clip, body=torch.zeros_like(clip.body))
    assert list(rows(clip.video, blind)) == ["warp error", "change", "tremor"]
    assert list(rows(clip.video, replace(blind, flow=None))) == ["change", "tremor"]


def test_too_few_pairs_have_no_interval_and_the_table_says_so(clip: Clip) -> None:
    from dataclasses import replace

    short = replace(clip, video=clip.video[:3], body=clip.body[:3])
    found = compared(short.video, short, stretches(3, 2, 1))
    change = next(row for row in found if row.measure == "change")
    assert change.seams.n == 2 and change.inside.n == 0 and change.inside.value is None
    assert change.difference.value is None
    lines = table(found).splitlines()
    assert lines[0].split("  ")[-1] == "the dance's own" and len(lines) == 6
    assert lines[3].split()[0] == "change" and lines[3].split()[-1] == "-"
