"""What texts say of a run's own numbers: few samples, lost logos, training, search, equal rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_results import make_results

from attnzoo.report.alike import alike, alike_note, one_comparison
from attnzoo.report.caveats import few_samples, lost_logos, without
from attnzoo.report.claims import CLAIMS, LEFT_OPEN, Judged, open_ones
from attnzoo.report.claims_page import claims_page
from attnzoo.report.folder import Folder
from attnzoo.report.measures import MEASURES
from attnzoo.report.searched import searched
from attnzoo.report.tables import Findings, findings
from attnzoo.report.transient import transient
from attnzoo.report.verdict import Asked, Comparison, Verdict
from attnzoo.report.verdict import Judged as One


def made(tmp_path: Path) -> Path:
    return make_results(tmp_path, seeds=2, clips=4, broken=False, videos=False)


def edited(folder: Path, cell: str, seed: int, **scores: Any) -> None:
    path = folder / "records" / cell / f"seed{seed}.json"
    record = json.loads(path.read_text())
    for key, changes in scores.items():
        record["scores"][key] |= changes
    path.write_text(json.dumps(record))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    folder = made(tmp_path_factory.mktemp("caveats"))
    for seed in (0, 1):
        path = folder / "records" / "disco" / f"seed{seed}.json"
        record = json.loads((folder / "records" / "dreampose" / f"seed{seed}.json").read_text())
        own = json.loads(path.read_text())
        path.write_text(json.dumps(own | {"scores": record["scores"]}))
    return findings(folder)


def comparison(asked: Asked, verdict: Verdict) -> Comparison:
    return Comparison("a", "b", MEASURES["ssim"], asked, 0.1, 4, One(verdict, low=0.05, high=0.2))


@pytest.mark.parametrize(
    ("verdict", "beside", "left"),
    [
        (Verdict.holds, Verdict.unknown, LEFT_OPEN),
        (Verdict.holds, Verdict.holds, ""),
        (Verdict.unknown, Verdict.unknown, ""),
    ],
)
def test_a_claim_that_holds_says_what_it_leaves_open(
    verdict: Verdict, beside: Verdict, left: str
) -> None:
    of = (comparison(Asked.better, Verdict.holds), comparison(Asked.kept, beside))
    one = Judged(CLAIMS[2], verdict, of, "")
    assert one.left_open == left and bool(open_ones([one])) is bool(left)
    page = claims_page([one], None, "", [], ["A caveat."], "Nominal.")
    assert page.count(f"**holds**; {LEFT_OPEN}") == (2 if left else 0)
    assert page.count(LEFT_OPEN) == (3 if left else 0)
    assert "+10.0% [+5.0%, +20.0%]" in page
    assert page.index("A caveat.") < page.index("| section |") and page.endswith("Nominal.\n")


def test_what_pictures_are_kept_beside_stays_without_one_measure() -> None:
    claim = CLAIMS[2]
    assert replace(claim, measures=claim.measures[1:]).beside == claim.beside != ()
    assert replace(claim, measures=("flicker",)).beside == ()


def test_few_samples_are_noted_and_what_rests_on_them(found: Findings) -> None:
    told = few_samples(found.folder, ["none"])
    assert "FVD-embedded (4 samples of 64 dimensions: biased upwards" in told
    assert few_samples(found.folder, []) == "" == few_samples(found.folder, ["no record"])
    notes = {table.name: " ".join(table.notes) for table in found.tables}
    assert told in notes["table1"] and told in notes["table3"] and told not in notes["table4"]
    again = without(found.folder, found.scores, found.protocol, found.claims)
    assert again.startswith("Claims that have another verdict without FVD-embedded")
    assert any(told in text and again in text for text in found.caveats)


def test_rows_that_are_one_say_so(found: Findings) -> None:
    cells = ["none", "disco", "dreampose"]
    assert alike(found.scores, cells) == [["disco", "dreampose"]]
    assert '"DreamPose-style", "DisCo-style"' in alike_note(
        found.scores, found.folder.tables["table1"]
    )
    pairs = [("none", "dreampose"), ("none", "disco")]
    told = one_comparison(found.folder, found.scores, pairs)
    assert len(told) == 1 and told[0].startswith(
        "DreamPose-style and DisCo-style differ by less than 0.5 %"
    )
    assert one_comparison(found.folder, found.scores, pairs[:1]) == []
    one = next(
        one for one in found.claims if "DreamPose's and DisCo's in videos" in one.claim.sentence
    )
    assert told[0] in one.note


def test_lost_logos_are_counted(tmp_path: Path) -> None:
    folder = made(tmp_path)
    record = json.loads((folder / "records" / "none" / "seed0.json").read_text())
    places = [4.0, *record["scores"]["logo_position"]["clips"][1:]]
    colours = [None, *record["scores"]["logo_colour"]["clips"][1:]]
    edited(folder, "none", 0, logo_position={"clips": places}, logo_colour={"clips": colours})
    one = findings(folder)
    told = lost_logos(one.scores, one.folder.tables["table1"])
    assert "lost in all frames of 1 of 30 clips (3 %); each counts 4 pixels." in told
    assert "of 0 of " in lost_logos(one.scores, one.folder.tables["table3"])


def with_curves(folder: Folder, *values: tuple[float, ...]) -> Folder:
    def curve(of: tuple[float, ...]) -> dict[str, Any]:
        scores = [{"ssim": {"value": value, "clips": []}} for value in of]
        return {"training": {"steps": [9, 18, 27, 44][: len(of)], "scores": scores}}

    cells = ("none", "temporal", "stsa-4x4x4")
    return replace(folder, curves={c: curve(v) for c, v in zip(cells, values, strict=False)})


def test_how_scores_move_along_training_is_told(found: Findings) -> None:
    told = transient(with_curves(found.folder, (0.74, 0.64, 0.77, 0.70), (0.74, 0.59, 0.62, 0.72)))
    assert "SSIM moves by 0.13 to 0.15 along training and by 0.07 to 0.1 from its middle on" in told
    assert "the rows are 0.02 apart at the end" in told and "warp error" not in told
    assert transient(with_curves(found.folder, (0.74, 0.64))) == ""
    assert transient(replace(found.folder, curves={})) == ""


def test_what_the_search_could_find_is_told(tmp_path: Path) -> None:
    folder = made(tmp_path)
    rate = "train.stage1.learning_rate"
    (folder / "search").mkdir(exist_ok=True)
    lines = [
        {"cell": "none", "setting": [f"{rate}=1e-3"], "scores": [[1.0]]},
        {"cell": "none", "setting": [f"{rate}=3e-3"], "scores": [[1.0]]},
        {"cell": "temporal", "setting": [f"{rate}=1e-3"], "scores": [[1.0]]},
        {"cell": "temporal", "setting": [f"{rate}=3e-3"], "scores": [[2.0]]},
        {"cell": "gone", "setting": 3},
    ]
    (folder / "search" / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    one = findings(folder)
    cells = {name: {"chosen": {rate: "3e-3"}} for name in ("none", "temporal")}
    told = searched(one.folder, {"cells": cells})
    assert "has 1 different of 2" in told and told.count("different") == 1
    assert "lowest rate" not in told
    cells["temporal"]["chosen"][rate] = "1e-3"
    label = one.folder.cells["temporal"].label
    assert f"chosen for {label}:" in searched(one.folder, {"cells": cells})
