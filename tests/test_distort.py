"""The table of metrics and damages: what it says of made-up metrics, and the command."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from command import command
from torch import Tensor

from attnzoo.damage import Damage, Kind, damages
from attnzoo.data.clip import Clip
from attnzoo.data.embedded import open_embedded
from attnzoo.metrics.distances import FRECHET
from attnzoo.metrics.registry import (
    Better,
    Context,
    Extractor,
    Metric,
    Network,
    NoValue,
    Profile,
)
from attnzoo.metrics.registry import Kind as Takes
from attnzoo.scoring import sensitivity, sensitivity_report
from attnzoo.scoring.sensitivity import Rank, Sight


def _pair(name: str, better: Better, compute) -> Sight:  # type: ignore[no-untyped-def]
    metric = Metric(
        name, name, name, (Profile.strict,), "1", better, Takes.clip, "", "", "", "", "",
        compute=compute,
    )  # fmt: skip
    return Sight(name, name, metric)


def _set(name: str, extract) -> Sight:  # type: ignore[no-untyped-def]
    network = Network("none", lambda files, device: None)
    metric = Metric(
        name, name, name, (Profile.strict,), "1", Better.lower, Takes.set, "", "", "", "", "",
        extractor=Extractor(name, network, 2, extract), distance=FRECHET,
    )  # fmt: skip
    return Sight(name, name, metric)


def _mean(real: Tensor, fake: Tensor, context: Context) -> Tensor:
    return fake.double().mean()


def _no_value(real: Tensor, fake: Tensor, context: Context) -> Tensor:
    raise NoValue("nothing is known")


@pytest.fixture(scope="module")
def found() -> sensitivity.Sensitivity:
    clips: list[Clip] = list(open_embedded(frames=4, size=32, clips=8).test)
    dark = Damage(
        "dark", "darker", Kind.spatial, "share", (0.2, 0.4, 0.6),
        lambda clip, grade, scene: (1 - grade) * clip,
    )  # fmt: skip
    back = Damage(
        "back", "order of frames", Kind.temporal, "frames", (1, 2),
        lambda clip, grade, scene: clip.roll(round(grade), 0),
    )  # fmt: skip
    sights = [
        _pair("bright", Better.higher, _mean),
        _pair("dim", Better.lower, _mean),
        _pair("off", Better.zero, lambda a, b, c: b.double().mean() - a.double().mean()),
        _pair("none", Better.lower, _no_value),
        _set("frames", lambda _, video: video.double().flatten(2).mean(-1)[:, :2] / 255),
    ]
    return sensitivity.measure(clips, [dark, back], sights)


def rank(found: sensitivity.Sensitivity, metric: str, damage: str) -> Rank:
    return next(r for r in found.ranks if (r.metric, r.damage) == (metric, damage))


def test_direction_decides_what_is_ordered_rightly(found: sensitivity.Sensitivity) -> None:
    assert rank(found, "bright", "dark").spearman == pytest.approx(1)
    assert rank(found, "dim", "dark").spearman == pytest.approx(-1)
    assert rank(found, "off", "dark").kendall == pytest.approx(1)
    assert rank(found, "bright", "dark").seen and not rank(found, "dim", "dark").seen


def test_a_metric_that_does_not_change_is_blind(found: sensitivity.Sensitivity) -> None:
    """The order of frames is nothing to a mean, nor to a set of frames."""
    for metric in ("bright", "off", "frames"):
        one = rank(found, metric, "back")
        assert math.isnan(one.spearman) and not one.seen
        assert sensitivity_report.cell(one) == "–"


def test_a_distance_of_sets_is_seen_beyond_its_floor(found: sensitivity.Sensitivity) -> None:
    one = rank(found, "frames", "dark")
    assert one.spearman == pytest.approx(1)
    assert sensitivity_report.cell(Rank("a", "b", -0.5, -0.5, False)) == "(−0.50)"
    zero = next(v for v in found.values if v.metric == "frames" and v.step == 0)
    assert zero.value == pytest.approx(0, abs=1e-9)


def test_a_metric_that_is_lost_on_the_way_is_told_of_all_the_same(
    found: sensitivity.Sensitivity,
) -> None:
    """As the colour of a sign that is nowhere, when it is damaged most."""
    values = [v for v in found.values if (v.metric, v.damage, v.step) != ("bright", "dark", 3)]
    lost = replace(found, values=values)
    damages = [
        Damage("dark", "", Kind.spatial, "", (0.2, 0.4, 0.6), None),  # type: ignore[arg-type]
        Damage("back", "", Kind.temporal, "", (1, 2), None),  # type: ignore[arg-type]
    ]
    first = sensitivity_report.reaction(lost, "bright", damages)[0]
    assert math.isnan(first) and sensitivity_report._text(first) == "–"
    assert sensitivity_report.reaction(found, "bright", damages)[0] == 1
    there = {(v.metric, v.damage, v.step): v for v in lost.values}
    assert math.isnan(sensitivity_report._badness(there, "bright", "dark", 3))
    assert (
        sensitivity_report._badness(there, "bright", "dark", 2)
        == there["bright", "dark", 2].badness
    )


def test_a_metric_without_a_value_is_absent_with_its_reason(
    found: sensitivity.Sensitivity,
) -> None:
    assert found.absent == {"none": "nothing is known"}
    assert not any(value.metric == "none" for value in found.values)


def test_every_value_is_there(found: sensitivity.Sensitivity) -> None:
    assert len(found.values) == 4 * (1 + 3 + 1 + 2) and len(found.ranks) == 4 * 2
    grades = [v.grade for v in found.values if (v.metric, v.damage) == ("bright", "dark")]
    assert grades == [0, 0.2, 0.4, 0.6]


def test_a_damage_does_not_depend_on_the_others() -> None:
    clips = list(open_embedded(frames=4, size=32, clips=4).test)
    noise = [damage for damage in damages() if damage.name in ("noise", "jitter")]
    sights = [_pair("off", Better.zero, lambda a, b, c: (b - a).abs().mean())]
    both = sensitivity.measure(clips, noise, sights)
    alone = sensitivity.measure(clips, noise[:1], sights)
    assert alone.values == [v for v in both.values if v.damage == noise[0].name]
    other = sensitivity.measure(clips, noise[:1], sights, seed=1)
    assert other.values != alone.values


@pytest.mark.slow
def test_the_command_writes_tables_and_pictures(tmp_path: Path) -> None:
    done = command(
        "distort", "--count", "4", "--frames", "4", "--size", "32", "--out", "here", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "here"
    assert {path.name for path in folder.iterdir()} == {
        "distort.md", "ranks.csv", "ranks.png", "reactions.png", "values.csv",
    }  # fmt: skip
    ranks = pd.read_csv(folder / "ranks.csv")
    assert set(ranks["damage"]) == {damage.name for damage in damages()}
    assert {"ssim", "psnr_disco", "fvd_embedded", "ghosting"} <= set(ranks["metric"])
    text = (folder / "distort.md").read_text()
    assert text.strip() == done.stdout.strip()
    assert "python -m attnzoo distort --count 4 --frames 4 --size 32 --seed 0" in text
    assert "- FVD: no weights of I3D" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--count", "3"), "--count 3: at least 4"),
        (("--clips", "nowhere"), "--clips nowhere: no such folder"),
        (("--weights", "nowhere"), "--weights nowhere: no such folder"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: tuple[str, str], words: str) -> None:
    done = command("distort", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
