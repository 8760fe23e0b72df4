"""The paper's claims of sections 4.4.1, 5.3 and 5.4, each a sentence with its comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from attnzoo.report.folder import Folder
from attnzoo.report.measures import IMAGE, LOGO, VIDEO
from attnzoo.report.noise_camera import Explanation, explanation
from attnzoo.report.pairs import Scores
from attnzoo.report.published import HIGHER, TABLES, role
from attnzoo.report.verdict import Asked, Comparison, Verdict, compare, together

SA, MF = "stsa [4,4,4]", "stsa_flow [4,4,4]"
CROSSFRAME = ("crossframe_first", "crossframe_middle", "crossframe_previous", "crossframe_all")
_IMAGE_METRICS = ("FID", "SSIM", "PSNR", "LPIPS", "L1")
_VIDEO_METRICS = ("FID-VID", "FVD")


@dataclass(frozen=True)
class Claim:
    """What the paper says.

    pairs: first and second cell by `role` (or by `flow=` of `stsa_flow`), each judged by `measures`
    as `asked`. table, metrics: where the paper's own numbers for it stand. words: where its words
    and its numbers differ.
    """

    section: str
    sentence: str
    pairs: tuple[tuple[str, str], ...]
    measures: tuple[str, ...]
    asked: Asked = Asked.better
    table: str = ""
    metrics: tuple[str, ...] = ()
    words: str = ""


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict. own: the paper's own numbers, in words."""

    claim: Claim
    verdict: Verdict
    comparisons: tuple[Comparison, ...]
    own: str
    note: str = field(default="")


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "4.4.1",
        "Flow from DensePose's surface coordinates (IUV) serves better than from the skeleton.",
        (("flow=iuv", "flow=skeleton"),),
        VIDEO,
        words="The paper gives the choice and a reason (richer information), and no number.",
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
        "squared in 8 bits, and hundredths of it say little.",
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
        "Denoising all frames together (VD) makes videos more consistent than DisCo's frame by "
        "frame.",
        (("none", "disco"),),
        VIDEO,
        table="table1",
        metrics=_VIDEO_METRICS,
    ),
    Claim(
        "5.3.1",
        "Denoising all frames together (VD) keeps the quality of images.",
        (("none", "disco"),),
        IMAGE,
        Asked.kept,
        "table1",
        _IMAGE_METRICS,
        "FID rises from 30.75 to 32.13, by more than subspace attention brings back; PSNR and L1 "
        "improve at the same time.",
    ),
    Claim(
        "5.3.1",
        "Subspace attention slightly improves images.",
        ((SA, "none"),),
        IMAGE,
        table="table1",
        metrics=_IMAGE_METRICS,
        words="FID, SSIM and LPIPS improve, PSNR and L1 get worse.",
    ),
    Claim(
        "5.3.1",
        "Subspace attention substantially improves the consistency of videos.",
        ((SA, "none"),),
        VIDEO,
        table="table1",
        metrics=_VIDEO_METRICS,
    ),
    Claim(
        "5.3.1",
        "Motion flow improves images further.",
        ((MF, SA),),
        IMAGE,
        table="table1",
        metrics=_IMAGE_METRICS,
    ),
    Claim(
        "5.3.1",
        "Motion flow improves the consistency of videos further.",
        ((MF, SA),),
        VIDEO,
        table="table1",
        metrics=_VIDEO_METRICS,
    ),
    Claim(
        "5.3.2",
        "Denoising all frames together makes colours more consistent than DisCo's frame by frame.",
        (("none", "disco"),),
        ("flicker", "logo_colour"),
        words="Shown by one picture; no number.",
    ),
    Claim(
        "5.3.2",
        "With subspace attention the logo moves coherently, without jitter.",
        ((SA, "none"),),
        ("logo_jitter",),
        words="Shown by one picture; no number.",
    ),
    Claim(
        "5.3.2",
        "With motion flow the logo's place and shape are more stable than with subspace attention "
        "alone.",
        ((MF, SA),),
        LOGO,
        words="Shown by one picture; no number.",
    ),
    Claim(
        "5.4.1",
        "Modules that are inserted (temporal and subspace attention) keep the quality of images.",
        (("temporal", "none"), (SA, "none")),
        IMAGE,
        Asked.kept,
        "table1",
        _IMAGE_METRICS,
        "The table of mechanisms has no row without any, so that temporal attention's 31.25 stands "
        "against 32.13 of another table.",
    ),
    Claim(
        "5.4.1",
        "Cross-frame attention, which replaces the self-attention, lowers the quality of images.",
        tuple(("none", name) for name in CROSSFRAME),
        IMAGE,
        words='"Low FID" is said of the rows with the highest FID, where low is better. FID of '
        "Previous, 30.95, is below VD's 32.13 and within 0.07 of subspace attention's 30.88.",
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
        words="FID-VID of Previous, 18.89, and All, 19.04, is below temporal attention's 19.13.",
    ),
    Claim(
        "5.4.1",
        "Attention over long ranges hurts videos: Previous is better than First, Middle and All.",
        tuple(("crossframe_previous", name) for name in CROSSFRAME if "previous" not in name),
        VIDEO,
        table="table2",
        metrics=_VIDEO_METRICS,
        words="The reason given, dispersion over long ranges, would speak against All, which is "
        "second of the four.",
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


def judged(folder: Folder, scores: Scores) -> list[Judged]:
    """All claims with their verdicts."""
    return [_judged(claim, folder, scores) for claim in CLAIMS]


def tried_explanation(folder: Folder, scores: Scores) -> Explanation | None:
    """The verdict on why attention at the same place gains; None without the sixth table."""
    rows = folder.tables.get("table6")
    return explanation(folder, scores, rows) if rows is not None else None


def _judged(claim: Claim, folder: Folder, scores: Scores) -> Judged:
    known = roles(folder)
    missing = [name for pair in claim.pairs for name in pair if name not in known]
    found: list[Comparison] = []
    count = len(claim.pairs) * len(claim.measures)
    for first, second in claim.pairs:
        if first in known and second in known:
            cells = known[first], known[second]
            labels = folder.cells[cells[0]].label, folder.cells[cells[1]].label
            found += [
                compare(scores, cells, labels, key, claim.asked, count) for key in claim.measures
            ]
    if folder.quick:
        found = [replace(one, verdict=Verdict.unknown, why="too short to judge") for one in found]
    notes = [f"not part of this run: {name}" for name in dict.fromkeys(missing)]
    notes += [
        f"{folder.cells[one.cell].label}, seed {one.seed}: {one.error}"
        for one in folder.failures
        if one.cell in {known.get(name) for pair in claim.pairs for name in pair}
    ]
    verdict = together([one.verdict for one in found])
    return Judged(claim, verdict, tuple(found), own_numbers(claim), "; ".join(notes))


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
    """What the paper's table says of each pair, by how many percent the first is better."""
    rows: Mapping[str, Mapping[str, str]] = TABLES.get(claim.table, {})
    found = []
    for first, second in claim.pairs:
        if first not in rows or second not in rows:
            continue
        gains = [
            f"{metric} {rows[second][metric]} to {rows[first][metric]} "
            f"({_percent(metric, rows[first], rows[second]):+.1f} %)"
            for metric in claim.metrics
        ]
        against = f"against {second}: " if len(claim.pairs) > 1 else ""
        found.append(against + ", ".join(gains))
    return "; ".join(found)


def _percent(metric: str, first: Mapping[str, str], second: Mapping[str, str]) -> float:
    ratio = float(first[metric]) / float(second[metric])
    return 100 * (ratio - 1 if metric in HIGHER else 1 - ratio)


def count(found: Sequence[Judged]) -> Mapping[Verdict, int]:
    """How many claims got which verdict."""
    return {verdict: sum(one.verdict is verdict for one in found) for verdict in Verdict}
