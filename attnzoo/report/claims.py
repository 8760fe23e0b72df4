"""The paper's claims of sections 4.4.1, 5.3 and 5.4, each a sentence with its comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnzoo.report.alike import one_comparison
from attnzoo.report.explanation import Explanation, explanation
from attnzoo.report.folder import Folder
from attnzoo.report.measures import IMAGE, LOGO, MEASURES, VIDEO
from attnzoo.report.pairs import Scores, levels
from attnzoo.report.published import TABLES, role
from attnzoo.report.unlike import chosen
from attnzoo.report.verdict import (
    RELEVANT,
    Asked,
    Comparison,
    Verdict,
    compare,
    of_a_pair,
    together,
    too_short,
)

SA, MF = "stsa [4,4,4]", "stsa_flow [4,4,4]"
CONFOUND = "Here the row has frame positions and a first stage as well, and no module."
SMEAR = (
    "Where no row draws the logo, as may be seen in Figure 5, this tells where a smear correlates "
    "with it."
)
CROSSFRAME = ("crossframe_first", "crossframe_middle", "crossframe_previous", "crossframe_all")
PICTURES = ("ssim", "l1")
"""By which nobody may have lost who is better in videos."""
LEFT_OPEN = "whether pictures are kept cannot be told"
_IMAGE_METRICS = ("FID", "SSIM", "PSNR", "LPIPS", "L1")
_VIDEO_METRICS = ("FID-VID", "FVD")


@dataclass(frozen=True)
class Claim:
    """What the paper says.

    pairs: first and second cell by `role` (or by `flow=` of `stsa_flow`), each judged by `measures`
    as `asked`, and by `beside` as no worse. metrics: the paper's own numbers for it, taken from
    `table` where that has both cells and from any other where not. words: where its words and its
    numbers differ, and what is compared here that it did not compare.
    """

    section: str
    sentence: str
    pairs: tuple[tuple[str, str], ...]
    measures: tuple[str, ...]
    asked: Asked = Asked.better
    table: str = ""
    metrics: tuple[str, ...] = ()
    words: str = ""

    @property
    def beside(self) -> tuple[str, ...]:
        """What must not have got worse: pictures, where videos are to be better."""
        return PICTURES if {*self.measures} <= {*VIDEO} else ()


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict.

    own: the paper's own numbers, in words; settings: those that were chosen for the cells;
    not_run: rows that it is of and that this run does not have.
    """

    claim: Claim
    verdict: Verdict
    comparisons: tuple[Comparison, ...]
    own: str
    settings: str = ""
    note: str = ""
    not_run: tuple[str, ...] = ()

    @property
    def claimed(self) -> tuple[Comparison, ...]:
        """The comparisons without those that only stand beside."""
        return tuple(one for one in self.comparisons if one.asked is self.claim.asked)

    @property
    def left_open(self) -> str:
        """What a claim that holds could not tell of the pictures beside it; else nothing."""
        if self.verdict is not Verdict.holds:
            return ""
        beside = (one for one in self.comparisons if one.asked is not self.claim.asked)
        return LEFT_OPEN if any(one.verdict is Verdict.unknown for one in beside) else ""


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "4.4.1",
        "Flow from DensePose's surface coordinates (IUV) serves better than from the skeleton.",
        (("flow=iuv", "flow=skeleton"),),
        VIDEO,
        words="The paper estimates flow by RAFT between pictures of DensePose's output, chooses "
        "them over pictures of the skeleton for their richer information, and gives no number. "
        "Here surface coordinates and joints themselves are matched.",
    ),
    Claim(
        "5.3.1",
        "The whole method is better than DreamPose's and DisCo's in images.",
        ((MF, "dreampose"), (MF, "disco")),
        IMAGE,
        table="table1",
        metrics=_IMAGE_METRICS,
        words="Significantly better is the paper's word; LPIPS equals DisCo's, 0.292, and FID is "
        "5 % better. PSNR and L1 cannot both be right (29 dB beside an L1 of 3.7e-4): PSNR was "
        "very probably squared in 8 bits, and hundredths of it say little.",
    ),
    Claim(
        "5.3.1",
        "The whole method is better than DreamPose's and DisCo's in videos.",
        ((MF, "dreampose"), (MF, "disco")),
        VIDEO,
        table="table1",
        metrics=_VIDEO_METRICS,
    ),
    Claim(
        "5.3.1",
        "Starting all frames from the same noise (VD) makes videos more consistent than DisCo's "
        "frame by frame.",
        (("none", "disco"),),
        VIDEO,
        table="table1",
        metrics=_VIDEO_METRICS,
        words=CONFOUND,
    ),
    Claim(
        "5.3.1",
        "Starting all frames from the same noise (VD) keeps the quality of images.",
        (("none", "disco"),),
        IMAGE,
        Asked.kept,
        "table1",
        _IMAGE_METRICS,
        "Within acceptable limits, the paper says, without a limit. FID rises from 30.75 to 32.13, "
        "by more than subspace attention brings back; PSNR and L1 improve at the same time. "
        + CONFOUND,
    ),
    Claim(
        "5.3.1",
        "Subspace attention and motion flow together slightly improve images.",
        ((MF, "none"),),
        IMAGE,
        Asked.slightly,
        "table1",
        _IMAGE_METRICS,
        "PSNR gets worse, 29.11 to 29.10.",
    ),
    Claim(
        "5.3.1",
        "Subspace attention and motion flow together substantially improve the consistency of "
        "videos.",
        ((MF, "none"),),
        VIDEO,
        table="table1",
        metrics=_VIDEO_METRICS,
    ),
    Claim(
        "5.3.1",
        "Of these, subspace attention slightly improves images.",
        ((SA, "none"),),
        IMAGE,
        Asked.slightly,
        "table1",
        _IMAGE_METRICS,
        "FID, SSIM and LPIPS improve, PSNR and L1 get worse.",
    ),
    Claim(
        "5.3.1",
        "Of these, subspace attention improves the consistency of videos.",
        ((SA, "none"),),
        VIDEO,
        table="table1",
        metrics=_VIDEO_METRICS,
    ),
    Claim(
        "5.3.1",
        "Of these, motion flow slightly improves images.",
        ((MF, SA),),
        IMAGE,
        Asked.slightly,
        "table1",
        _IMAGE_METRICS,
    ),
    Claim(
        "5.3.1",
        "Of these, motion flow improves the consistency of videos.",
        ((MF, SA),),
        VIDEO,
        table="table1",
        metrics=_VIDEO_METRICS,
    ),
    Claim(
        "5.3.2",
        "Starting all frames from the same noise (VD) makes colours more consistent than DisCo's "
        "frame by frame.",
        (("none", "disco"),),
        ("flicker",),
        words="Shown by one picture; no number. Details of faces, which it names too, are not "
        "measured here. Judged is how far flicker is from real clips', of either sign: below 0 it "
        "is calmer than theirs, as what is smeared is.",
    ),
    Claim(
        "5.3.2",
        "With subspace attention the logo moves coherently, without jitter.",
        ((SA, "none"),),
        ("logo_jitter",),
        words="Shown by one picture; no number. The paper itself finds the logo's movement not "
        "reasonable in the real world. " + SMEAR,
    ),
    Claim(
        "5.3.2",
        "With motion flow the logo's place and shape are more stable than with subspace attention "
        "alone.",
        ((MF, SA),),
        LOGO,
        words="Shown by one picture; no number. The caption compares these two; the text compares "
        "with DisCo, and thanks motion flow for it. " + SMEAR,
    ),
    Claim(
        "5.3.2",
        "The logo's place and shape are more stable than DreamPose's and DisCo's.",
        ((MF, "dreampose"), (MF, "disco")),
        LOGO,
        words="Shown by one picture; no number. Faces and hands, which it names too, are not "
        "measured here. " + SMEAR,
    ),
    Claim(
        "5.4.1",
        "Modules that are inserted (temporal and subspace attention) keep the quality of images.",
        (("temporal", "none"), (SA, "none")),
        IMAGE,
        Asked.kept,
        "table1",
        _IMAGE_METRICS,
        "The paper says so of its own module; of temporal attention it is our inference, by the "
        "same reason. The table of mechanisms has no row without any.",
    ),
    Claim(
        "5.4.1",
        "Cross-frame attention, which replaces the self-attention, lowers the quality of images.",
        tuple(("none", name) for name in CROSSFRAME),
        IMAGE,
        metrics=("FID",),
        words='"Low FID" is said of all four, where low is better. First, Middle and All have the '
        "highest of their table; Previous, 30.95, has the second lowest, below VD's 32.13 and "
        "within 0.07 of subspace attention's 30.88.",
    ),
    Claim(
        "5.4.1",
        "Subspace attention is better than cross-frame attention in images.",
        tuple((SA, name) for name in CROSSFRAME),
        IMAGE,
        table="table2",
        metrics=("FID",),
        words="Previous is within 0.07 FID of subspace attention.",
    ),
    Claim(
        "5.4.1",
        "Subspace attention is better than cross-frame attention in videos.",
        tuple((SA, name) for name in CROSSFRAME),
        VIDEO,
        table="table2",
        metrics=_VIDEO_METRICS,
        words="FID-VID of Previous, 18.89, and All, 19.04, is below temporal attention's 19.13, as "
        "is FVD of Previous. The reason given, dispersion over long ranges, would speak most "
        "against All, which is second of the four.",
    ),
    Claim(
        "5.4.1",
        "Subspace attention is better than temporal attention in images.",
        ((SA, "temporal"),),
        IMAGE,
        Asked.slightly,
        "table2",
        ("FID",),
        "Notably in videos, the paper says; in images by 1.2 % of FID.",
    ),
    Claim(
        "5.4.1",
        "Subspace attention is better than temporal attention in videos.",
        ((SA, "temporal"),),
        VIDEO,
        table="table2",
        metrics=_VIDEO_METRICS,
        words="The reason given is alignment along the motion flow, which this row does not have.",
    ),
    Claim(
        "5.4.2",
        "Size [4,4,4] is better in videos than [4,2,2], which is too small for larger movements.",
        ((SA, "stsa [4,2,2]"),),
        VIDEO,
        table="table3",
        metrics=_VIDEO_METRICS,
    ),
    Claim(
        "5.4.2",
        "Size [4,4,4] is better in videos than [8,4,4], which spans too long a time.",
        ((SA, "stsa [8,4,4]"),),
        VIDEO,
        table="table3",
        metrics=_VIDEO_METRICS,
        words="[4,4,4] is called best; FID-VID prefers [8,4,4], 17.68 to 17.76, and FVD differs by "
        "0.4 %.",
    ),
    Claim(
        "5.4.2",
        "Size [4,4,4] is better in images than [4,2,2] and [8,4,4].",
        ((SA, "stsa [4,2,2]"), (SA, "stsa [8,4,4]")),
        IMAGE,
        table="table3",
        metrics=("FID",),
        words="FID differs from [4,2,2] by 0.02.",
    ),
)


def judged(
    folder: Folder,
    scores: Scores,
    protocol: Mapping[str, Any],
    claims: Sequence[Claim] = CLAIMS,
) -> list[Judged]:
    """All claims with their verdicts."""
    return [_judged(claim, folder, scores, protocol) for claim in claims]


def tried_explanation(folder: Folder, scores: Scores) -> Explanation | None:
    """The verdict on why attention at the same place gains; None without the sixth table."""
    rows = folder.tables.get("table6")
    return explanation(folder, scores, rows) if rows is not None else None


def _judged(claim: Claim, folder: Folder, scores: Scores, protocol: Mapping[str, Any]) -> Judged:
    known = roles(folder)
    missing = tuple(dict.fromkeys(name for p in claim.pairs for name in p if name not in known))
    found = {
        pair: _compared(claim, (known[pair[0]], known[pair[1]]), folder, scores)
        for pair in claim.pairs
        if pair[0] in known and pair[1] in known
    }
    of_cells = [(known[one], known[other]) for one, other in found]
    notes = [f"not part of this run: {name}" for name in missing]
    notes += one_comparison(folder, scores, of_cells)
    notes += _calmer(claim, folder, scores, [cell for cell, _ in of_cells])
    notes += [
        f"{folder.cells[one.cell].label}, seed {one.seed}: {one.error}"
        for one in folder.failures
        if one.cell in {known.get(name) for pair in claim.pairs for name in pair}
    ]
    verdicts = {of_a_pair(found.get(pair, ())) for pair in claim.pairs}
    comparisons = tuple(one for of_pair in found.values() for one in of_pair)
    settings = chosen(protocol, [known[name] for pair in found for name in pair])
    note = "; ".join(notes)
    verdict = together(verdicts)
    return Judged(claim, verdict, comparisons, own_numbers(claim), settings, note, missing)


def _calmer(claim: Claim, folder: Folder, scores: Scores, cells: Sequence[str]) -> list[str]:
    """Which cells flicker less than real clips, where flicker is what is judged."""
    if claim.measures != ("flicker",):
        return []
    told = []
    for cell in cells:
        sample = scores.sample(cell, "flicker")
        of_seeds = levels(sample).values() if len(sample.values) else ()
        below = sum(value < 0 for value in of_seeds)
        if below:
            seeds = "every seed" if below == len(of_seeds) else f"{below} of {len(of_seeds)} seeds"
            label = folder.cells[cell].label
            told.append(f"flicker of {label} is below 0 in {seeds}: calmer than real clips")
    return told


def _compared(
    claim: Claim, cells: tuple[str, str], folder: Folder, scores: Scores
) -> tuple[Comparison, ...]:
    labels = folder.cells[cells[0]].label, folder.cells[cells[1]].label
    count = len(claim.pairs) * len(claim.measures)
    asked = [(key, claim.asked) for key in claim.measures]
    asked += [(key, Asked.kept) for key in claim.beside]
    found = (compare(scores, cells, labels, key, how, count, folder.seeds) for key, how in asked)
    return tuple(too_short(one) if folder.quick else one for one in found)


def roles(folder: Folder) -> Mapping[str, str]:
    """Cells by what claims call them: of the first three tables, and of the fifth the flows."""
    found: dict[str, str] = {}
    for name in ("table1", "table2", "table3"):
        for row in folder.tables[name].rows if name in folder.tables else ():
            found.setdefault(role(folder.cells[row.cell]), row.cell)
    for row in folder.tables["table5"].rows if "table5" in folder.tables else ():
        flow = folder.cells[row.cell].setting("flow", "")
        if flow:
            found.setdefault(f"flow={flow}", row.cell)
    return found


def own_numbers(claim: Claim) -> str:
    """What the paper's tables say of each pair, with the gain that it would be here."""
    found = []
    for first, second in claim.pairs:
        numbers = _own(claim, first, second)
        if numbers:
            against = f"{first} against {second}: " if len(claim.pairs) > 1 else ""
            told = [
                f"{one.metric} {one.second} to {one.first} ({one.gain:+.1%})" for one in numbers
            ]
            across = ", across tables" if any(one.across for one in numbers) else ""
            found.append(against + ", ".join(told) + across)
    return "; ".join(found)


def own_verdict(claim: Claim) -> Verdict | None:
    """What the rule says of the paper's own numbers, taken as exact; None where it gives none.

    Of the pairs that it gives numbers for.
    """
    gains = [[one.gain for one in _own(claim, *pair)] for pair in claim.pairs]
    verdicts = {_exact(found, claim.asked) for found in gains if found}
    return together(verdicts) if verdicts else None


def _exact(gains: Sequence[float], asked: Asked) -> Verdict:
    """The rule for a pair whose gains are known without an interval."""
    if asked is Asked.kept:
        fine = min(gains) > asked.margin
    else:
        fine = max(gains) > asked.margin and min(gains) > -RELEVANT
    return Verdict.holds if fine else Verdict.does_not


@dataclass(frozen=True)
class _Own:
    """A metric of two rows as the paper prints it. across: they stand in two tables."""

    metric: str
    first: str
    second: str
    across: bool

    @property
    def gain(self) -> float:
        """On the scale of all gains here."""
        measure = next(m for m in MEASURES.values() if self.metric in m.published)
        bad = measure.badness(np.array([float(self.first), float(self.second)]))
        return float(1 - bad[0] / bad[1])


def _own(claim: Claim, first: str, second: str) -> list[_Own]:
    """The paper's numbers for two cells: of the claim's table, or of the first that has each."""
    own = TABLES.get(claim.table, {})
    if first in own and second in own:
        return [_Own(m, own[first][m], own[second][m], False) for m in claim.metrics]
    rows = [
        next((rows[name] for rows in TABLES.values() if name in rows), None)
        for name in (first, second)
    ]
    one, other = rows
    if one is None or other is None:
        return []
    shared = [metric for metric in claim.metrics if metric in one and metric in other]
    return [_Own(metric, one[metric], other[metric], True) for metric in shared]


def count(found: Sequence[Judged]) -> Mapping[Verdict, int]:
    """How many claims got which verdict."""
    return {verdict: sum(one.verdict is verdict for one in found) for verdict in Verdict}


def not_run(found: Sequence[Judged]) -> str:
    """Of how many claims that cannot be told rows are not part of the run; nothing without any."""
    n = sum(bool(one.not_run) for one in found if one.verdict is Verdict.unknown)
    return f"of {n} of these rows are not part of this run" if n else ""


def open_ones(found: Sequence[Judged]) -> str:
    """Of how many claims that hold the pictures are left open; nothing without any."""
    n = sum(bool(one.left_open) for one in found)
    return f"of {n} of these {LEFT_OPEN}" if n else ""
