"""`suite=unet`: whole U-Nets side by side, and the ratios that the package wants to hold.

A U-Net with modules as `attach` places them against diffusers' `UNetMotionModel` of equal width,
and without any against the stock 2-D U-Net on the same frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attnzoo.bench.cell import What
from attnzoo.bench.measure import Spread, interval
from attnzoo.bench.row import Row, Status, write_rows
from attnzoo.bench.run import alone, report, settings_of
from attnzoo.bench.settings import Given, truth
from attnzoo.bench.sweep import sweep
from attnzoo.bench.table import aligned
from attnzoo.errors import UserError
from attnzoo.files import replacing

MOTION, STOCK = "UNetMotionModel", "UNet2DConditionModel"

KEYS = (
    "attn", "what", "peers", "frames", "resolution", "unet", "dtype", "device", "threads",
    "rounds", "limit", "out", "quick", "fresh", "memory", "longest",
)  # fmt: skip


@dataclass(frozen=True)
class Goal:
    """A ratio of two rows that is to stay at or below a bound."""

    name: str
    of: str
    to: str
    bound: float
    what: What = What.unet
    memory: bool = False


GOALS = (
    Goal("U-Net step with stsa / UNetMotionModel", "stsa", MOTION, 1.0),
    Goal("U-Net step with temporal / UNetMotionModel", "temporal", MOTION, 1 / 1.2),
    Goal("U-Net step with none / stock 2-D U-Net", "none", STOCK, 1.02),
    Goal("U-Net step with motion_module / UNetMotionModel", "motion_module", MOTION, 1.0),
    Goal(
        "training step's peak memory, stsa / UNetMotionModel",
        "stsa", MOTION, 1.0, What.training, memory=True,
    ),
)  # fmt: skip

_DEFAULTS: Given = {
    "attn": ["stsa", "stsa_flow", "temporal", "motion_module", "none"],
    "what": ["unet", "training"],
    "peers": [True],
    "rounds": [20],
    "limit": [7200.0],
    "longest": [600.0],
    "width": [None],
}


def run(given: Given) -> None:
    """Measures all U-Nets in interleaved rounds and prints rows, ratios and goals.

    Raises:
        UserError: a setting that the suite does not have, or a value that cannot be.
    """
    for key in given:
        if key not in KEYS:
            raise UserError(f"suite=unet has no setting {key!r}; there are: {', '.join(KEYS)}")
    quick = {"rounds": [10], "frames": [8], "resolution": [16]} if truth(given, "quick") else {}
    typed = {key: value for key, value in given.items() if key != "quick"}
    settings = settings_of({**_DEFAULTS, **quick, **typed})
    if len({(c.unet, c.shape, c.dtype) for c in settings.cells}) > 1:
        raise UserError("suite=unet: one unet, one dtype, one number of frames and one resolution")
    print(f"{len(settings.cells)} cells, rows to {settings.out}", flush=True)
    with alone(settings.out):
        journal = settings.out.with_name(settings.out.name + ".part")
        # Ratios are taken within rounds, so all rows are of one run.
        result = sweep(settings.cells, settings.plan, settings.device, journal)
        write_rows(settings.out, result.rows)
        text = f"{report(result.rows, result)}\n\n{goals_table(result.rows)}"
        with replacing(settings.out.with_suffix(".txt")) as beside:
            beside.write_text(f"{text}\n")
        journal.unlink()
    print(text)


def goals_table(rows: Sequence[Row]) -> str:
    """Each goal with what was reached: the median of the rounds' ratios and its 95 % interval."""
    lines: list[tuple[str, ...]] = [("goal", "bound", "reached", "interval", "rounds", "")]
    for goal in GOALS:
        of, to = (_row(rows, name, goal.what) for name in (goal.of, goal.to))
        if of is None or to is None:
            lines.append((goal.name, f"{goal.bound:.3f}", "", "", "", "not asked for"))
            continue
        lines.append((goal.name, f"{goal.bound:.3f}", *_reached(goal, of, to)))
    return aligned(lines, {0, 5})


def _reached(goal: Goal, of: Row, to: Row) -> tuple[str, str, str, str]:
    for row in (of, to):
        if row.status is not Status.ok:
            return "", "", "", f"not measured: {row.cell.name} {row.status.value}, {row.reason}"
    if goal.memory:
        mine, theirs = of.facts.peak_memory, to.facts.peak_memory
        assert mine is not None and theirs is not None
        ratio = mine / theirs
        return f"{ratio:.3f}", "counted", "", "held" if ratio <= goal.bound else "FALLS SHORT"
    ratios = [a / b for a, b in zip(of.seconds, to.seconds, strict=False)]
    low, high = interval(ratios)
    median = Spread.of(ratios).median
    said = "held" if median <= goal.bound else "FALLS SHORT"
    if low <= goal.bound <= high:
        said += ", within the interval"
    return f"{median:.3f}", f"{low:.3f} to {high:.3f}", str(len(ratios)), said


def _row(rows: Sequence[Row], name: str, what: What) -> Row | None:
    found = (row for row in rows if row.cell.name == name and row.cell.what is what)
    return next(found, None)
