"""The rule of verdicts, and the paper's claims on results whose effects are known."""

from __future__ import annotations

import json
from pathlib import Path

import made_results
import numpy as np
import pytest
from made_results import make_results

from attnzoo.report.claims import CLAIMS, Claim, Judged, own_favour, own_numbers
from attnzoo.report.claims_page import claims_page
from attnzoo.report.noise_camera import contrast
from attnzoo.report.pairs import Gain
from attnzoo.report.tables import Findings, findings
from attnzoo.report.verdict import RELEVANT, Asked, Verdict, judge, together

HOLDS, NOT, UNKNOWN = Verdict.holds, Verdict.does_not, Verdict.unknown


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return findings(make_results(tmp_path_factory.mktemp("made"), videos=False))


def gain(mean: float, spread: float, seeds: tuple[float, ...] = (0, 0, 0), n: int = 8) -> Gain:
    """Values of the very mean and spread, those of a seed shifted."""
    around = np.linspace(-1, 1, n)
    around *= spread / around.std(ddof=1)
    keys = tuple((seed, str(i)) for seed in range(len(seeds)) for i in range(n))
    return Gain(keys, mean + np.concatenate([around + shift for shift in seeds]))


def claim(found: Findings, start: str) -> Judged:
    return next(one for one in found.claims if one.claim.sentence.startswith(start))


@pytest.mark.parametrize(
    ("given", "asked", "verdict", "why"),
    [
        (gain(0.10, 0.03), Asked.better, HOLDS, ""),
        (gain(0.00, 0.01), Asked.better, NOT, "less than 2% better"),
        (gain(-0.10, 0.03), Asked.better, NOT, "worse"),
        (gain(0.02, 0.20), Asked.better, UNKNOWN, "0 in it"),
        (gain(0.017, 0.02), Asked.better, UNKNOWN, "perhaps by less than 2%"),
        (gain(0.04, 0.01, (0.05, 0.0, -0.05)), Asked.better, UNKNOWN, "not better in every seed"),
        (gain(0.00, 0.01), Asked.kept, HOLDS, ""),
        (gain(0.10, 0.03), Asked.kept, HOLDS, ""),
        (gain(-0.10, 0.03), Asked.kept, NOT, "worse by more than 2%"),
        (gain(-0.02, 0.03), Asked.kept, UNKNOWN, "a loss of 2%"),
        (gain(0.10, 0.0, (0, 0, 0)), Asked.better, UNKNOWN, "all values are equal"),
        (None, Asked.better, UNKNOWN, "no videos"),
    ],
)
def test_the_rule(given: Gain | None, asked: Asked, verdict: Verdict, why: str) -> None:
    told, reason, _, _ = judge(given, asked)
    assert told is verdict and why in reason


def test_more_comparisons_ask_for_more() -> None:
    one = gain(0.05, 0.1)
    _, _, low, high = judge(one, Asked.better)
    told, _, lower, higher = judge(one, Asked.better, comparisons=20)
    assert lower is not None and low is not None and lower < low
    assert higher is not None and high is not None and higher > high
    assert judge(one, Asked.better)[0] is HOLDS and told is UNKNOWN


def test_a_claim_is_as_good_as_its_comparisons() -> None:
    assert together([HOLDS, UNKNOWN]) is HOLDS
    assert together([HOLDS, NOT, UNKNOWN]) is NOT
    assert together([UNKNOWN, UNKNOWN]) is UNKNOWN is together([])


def test_what_is_nothing_is_hardly_ever_said_to_hold() -> None:
    rng = np.random.default_rng(0)
    keys = tuple((seed, str(i)) for seed in range(3) for i in range(8))
    told = [judge(Gain(keys, rng.normal(0, 0.06, 24)), Asked.better)[0] for _ in range(300)]
    assert told.count(HOLDS) <= 0.05 * 300  # nominally 2.5 %; BCa is a little narrow at 24
    better = [judge(Gain(keys, rng.normal(0.1, 0.06, 24)), Asked.better)[0] for _ in range(50)]
    assert better.count(HOLDS) >= 49


@pytest.mark.parametrize(
    ("start", "verdict"),
    [
        ("Flow from DensePose", HOLDS),
        ("The whole method is better than DreamPose's and DisCo's in videos", HOLDS),
        ("Denoising all frames together (VD) keeps", HOLDS),
        ("Subspace attention substantially", HOLDS),
        ("Motion flow improves images further", NOT),
        ("Motion flow improves the consistency", NOT),
        ("With subspace attention the logo", HOLDS),
        ("Cross-frame attention, which replaces", HOLDS),
        ("Subspace attention is better than temporal", NOT),
        ("Size [4,4,4] is better in videos than [4,2,2]", HOLDS),
        ("Size [4,4,4] is better in videos than [8,4,4]", NOT),
    ],
)
def test_planted_effects_decide(found: Findings, start: str, verdict: Verdict) -> None:
    assert claim(found, start).verdict is verdict


def test_every_claim_finds_its_cells(found: Findings) -> None:
    assert [one.claim for one in found.claims] == list(CLAIMS)
    for one in found.claims:
        count = len(one.claim.pairs) * len(one.claim.measures)
        assert len(one.comparisons) == count and not one.note, one.claim.sentence
        assert all(c.gain is not None for c in one.comparisons)


def test_the_gain_of_a_comparison_is_the_planted_one(found: Findings) -> None:
    for one in claim(found, "Subspace attention substantially").comparisons:
        planted = 1 - np.exp(made_results.EFFECTS["stsa-4x4x4"])
        assert one.gain == pytest.approx(planted, abs=0.015) and one.n == 24


def test_the_papers_own_numbers_are_beside(found: Findings) -> None:
    assert own_numbers(claim(found, "Subspace attention substantially").claim) == (
        "FID-VID 21.34 to 17.76 (+16.8 %), FVD 441.64 to 366.52 (+17.0 %)"
    )
    assert "SSIM 0.665 to 0.667 (+0.3 %)" in own_numbers(claim(found, "Subspace att").claim)
    assert "PSNR 29.11 to 29.08 (-0.1 %)" in own_numbers(claim(found, "Subspace att").claim)
    assert own_favour(claim(found, "Subspace attention slightly").claim) == "3 of 5"
    assert own_favour(claim(found, "Denoising all frames together (VD) keeps").claim) == "4 of 5"
    assert own_favour(claim(found, "Size [4,4,4] is better in videos than [8").claim) == "1 of 2"
    nothing = Claim("4.4.1", "x", (("flow=iuv", "flow=skeleton"),), ("l1",))
    assert own_numbers(nothing) == "" and own_favour(nothing) == "–"


def test_the_explanation_holds_where_it_was_planted(found: Findings) -> None:
    tried = found.explanation
    assert tried is not None and tried.verdict is HOLDS
    assert [p.verdict for p in tried.predictions] == [HOLDS] * 5
    planted = np.exp(made_results.SIXTH["stsa_flow"]) - np.exp(made_results.SIXTH["stsa"])
    assert tried.predictions[3].gain == pytest.approx(planted, abs=0.015)


def test_the_explanation_falls_where_noise_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made_results, "NOISE", dict.fromkeys(made_results.NOISE, 1.0))
    tried = findings(make_results(tmp_path, videos=False)).explanation
    assert tried is not None and tried.verdict is NOT
    assert [p.verdict for p in tried.predictions] == [HOLDS, HOLDS, NOT, HOLDS, HOLDS]


def test_the_explanation_falls_where_alignment_does_not_undo_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aligned = {**made_results.SIXTH, "stsa_flow": made_results.SIXTH["stsa"]}
    monkeypatch.setattr(made_results, "SIXTH", aligned)
    tried = findings(make_results(tmp_path, videos=False)).explanation
    assert tried is not None and tried.verdict is NOT
    assert tried.predictions[3].verdict is NOT


def test_gains_over_other_videos_are_told_apart_by_both_spreads() -> None:
    rng = np.random.default_rng(0)
    one = Gain(tuple((0, f"a{i}") for i in range(400)), rng.normal(0.3, 0.1, 400))
    other = Gain(tuple((0, f"b{i}") for i in range(400)), rng.normal(0.1, 0.1, 400))
    apart = contrast(one, other)
    assert apart is not None and apart.value == pytest.approx(one.value - other.value)
    assert apart.values.std() == pytest.approx(0.1 * 2**0.5, rel=0.1)
    assert contrast(one, Gain(other.keys[:9], other.values[:9])) is None
    assert contrast(None, one) is None


def test_a_quick_run_gives_no_verdict(tmp_path: Path) -> None:
    folder = make_results(tmp_path, seeds=1, clips=4, videos=False)
    protocol = json.loads((folder / "protocol.json").read_text())
    (folder / "protocol.json").write_text(json.dumps(protocol | {"name": "quick"}))
    quick = findings(folder)
    assert {one.verdict for one in quick.claims} == {UNKNOWN}
    assert quick.explanation is not None and quick.explanation.verdict is UNKNOWN
    assert "too short to judge" in claims_page(quick.claims, quick.explanation, quick.made)


def test_a_failed_or_absent_cell_leaves_its_claims_open(tmp_path: Path) -> None:
    folder = make_results(tmp_path, seeds=2, clips=4, broken=False, videos=False)
    protocol = json.loads((folder / "protocol.json").read_text())
    del protocol["tables"]["table5"], protocol["tables"]["table6"]
    (folder / "protocol.json").write_text(json.dumps(protocol))
    for seed in (0, 1):
        record = folder / "records" / "temporal" / f"seed{seed}.json"
        record.unlink()
        error = {"schema": 1, "cell": "temporal", "seed": seed, "error": "why", "kind": "OSError"}
        record.with_suffix(".error.json").write_text(json.dumps(error))
    open_ones = findings(folder)
    assert open_ones.explanation is None
    temporal = claim(open_ones, "Subspace attention is better than temporal")
    assert temporal.verdict is UNKNOWN and "Temporal, seed 0: why" in temporal.note
    assert all("Temporal: no record" in c.why for c in temporal.comparisons)
    flow = claim(open_ones, "Flow from DensePose")
    assert flow.verdict is UNKNOWN and "not part of this run: flow=iuv" in flow.note


def test_the_page_says_each_claim_its_numbers_and_the_rule(found: Findings) -> None:
    page = claims_page(found.claims, found.explanation, found.made)
    for i, one in enumerate(found.claims, 1):
        assert f"## {i}. {one.claim.sentence}" in page
        assert not one.claim.words or one.claim.words in page
    assert "15 of 21 hold, 6 do not, 0 cannot be told" in page
    assert "The explanation: **holds**" in page and "`RELEVANT`" in page
    assert f"{RELEVANT:.0%}" in page
