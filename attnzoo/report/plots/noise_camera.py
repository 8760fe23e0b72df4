"""The sixth table as a grid of small panels: what attention gains, by noise and by camera."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from matplotlib.axes import Axes

from attnzoo.report.explanation import JUDGED, beyond_real
from attnzoo.report.folder import Row
from attnzoo.report.measures import MEASURES, Measure
from attnzoo.report.pairs import Gain
from attnzoo.report.plots.data import Data, in_percent, measures, reach
from attnzoo.report.plots.intervals import beside
from attnzoo.report.plots.overview import OVERVIEW
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import COLUMN, PAGE, SMALL, Mark, legend, marks, nothing, page
from attnzoo.report.plots.words import number, percent, wrapped
from attnzoo.report.references import kind

NOISES = ("shared", "half", "independent")
CAMERAS = ("still", "moving")
BASE = "none"
LEAD, FIRST, SECOND = "noise-camera-lead", "stsa", "stsa_flow"
APART = 0.3
"""Between the marks of two cameras, in lines."""
_OWN = "Mean and 95 % interval over seeds, by each one's own variance and not corrected."
_JUDGED = f"The sixth table is judged by the lead of {FIRST} over {SECOND}, in a plot of its own."

Condition = tuple[str, str]
"""Noise and camera."""


def draw(data: Data) -> Iterator[Drawn]:
    """One plot a score: rows are kinds of noise, columns are cameras; then what is judged by."""
    tables = data.folder.tables
    rows = tables["table6"].rows if "table6" in tables else ()
    some = any(data.folder.records_of(row.cell) for row in rows)
    unfinished = "the sixth table has no finished row; it is a run of its own"
    for measure in measures(OVERVIEW):
        name = f"noise-camera-{measure.key.replace('_', '-')}"
        if some:
            yield _sketch(name, data, conditions(data, rows), measure)
        else:
            yield LeftOut(name, unfinished)
    yield _lead(data, conditions(data, rows)) if some else LeftOut(LEAD, unfinished)


def conditions(data: Data, rows: Sequence[Row]) -> dict[Condition, list[Row]]:
    """The rows by noise and camera, in the order of `NOISES` and `CAMERAS`, others last."""
    found: dict[Condition, list[Row]] = {}
    for row in rows:
        setting = data.folder.cells[row.cell].setting
        where = setting("noise", NOISES[0]), setting("camera", CAMERAS[0])
        found.setdefault(where, []).append(row)
    order = {where: i for i, where in enumerate((n, c) for n in NOISES for c in CAMERAS)}
    return {w: found[w] for w in sorted(found, key=lambda w: (order.get(w, len(order)), w))}


def _sketch(
    name: str, data: Data, grid: Mapping[Condition, Sequence[Row]], measure: Measure
) -> Sketch:
    noises = list(dict.fromkeys(noise for noise, _ in grid))
    cameras = list(dict.fromkeys(camera for _, camera in grid))
    labels = list(dict.fromkeys(row.label for rows in grid.values() for row in rows))
    looks = marks(labels)
    figure = page(PAGE, 0.55 + len(noises) * (0.36 + 0.13 * len(labels)))
    panels = figure.subplots(len(noises), len(cameras), sharex=True, sharey=True, squeeze=False)
    said: list[str] = []
    missing: list[str] = []
    for i, noise in enumerate(noises):
        for j, camera in enumerate(cameras):
            axes = panels[i, j]
            axes.set_title(f"noise {noise}, camera {camera}", fontsize=SMALL, loc="left")
            rows = grid.get((noise, camera), [])
            found, gone = _panel(axes, data, rows, looks, measure)
            said += [f"{noise} noise, {camera} camera: {', '.join(found)}"] if found else []
            missing += [f"{row} at {noise} noise, {camera} camera" for row in gone]
    panels[0, 0].set_yticks(range(len(labels)), [wrapped(label, 34) for label in labels])
    panels[0, 0].set_ylim(len(labels) - 0.4, -0.6)
    figure.supxlabel(
        f"gain in {measure.name} against {BASE} of the same noise and camera [%], more is better",
        fontsize=SMALL,
    )
    return Sketch(
        name=name,
        title=f"Noise and camera: {measure.name}",
        caption=data.and_gaps(
            f"Which share of {BASE}'s {measure.name} is gone with each kind of attention, at the "
            f"same noise and camera; left of the line attention does harm. Mean and 95 % interval "
            f"over seeds. In the line of {BASE}, its own value. {_JUDGED}",
            missing,
        ),
        alt=f"Grid of panels, gain in {measure.name} against {BASE}. {'; '.join(said)}.",
        figure=figure,
    )


def _lead(data: Data, grid: Mapping[Condition, Sequence[Row]]) -> Drawn:
    """What the sixth table's verdict rests on: how far unaligned windows lead over aligned ones."""
    leads = {where: _lead_at(data, rows) for where, rows in grid.items()}
    found = {where: lead.interval() for where, lead in leads.items() if lead is not None}
    if not found:
        return LeftOut(LEAD, f"no condition has a record of both {FIRST} and {SECOND}")
    noises = list(dict.fromkeys(noise for noise, _ in grid))
    cameras = list(dict.fromkeys(camera for _, camera in grid))
    looks = marks(cameras)
    figure = page(COLUMN, 0.55 + 0.36 * len(noises))
    axes = figure.subplots()
    axes.axvline(0, color="0.4", linewidth=0.8)
    for (noise, camera), shown in found.items():
        off = (cameras.index(camera) - (len(cameras) - 1) / 2) * APART
        one, look = in_percent(shown), looks[camera]
        axes.errorbar(
            one.value, noises.index(noise) + off, xerr=reach(one), color=look.colour,
            marker=look.marker, capsize=1.5,
        )  # fmt: skip
    axes.set_yticks(range(len(noises)), [f"{noise} noise" for noise in noises])
    axes.set_ylim(len(noises) - 0.5, -0.5)
    axes.set_xlabel(f"lead of {FIRST} over {SECOND} [%]")
    entries = [(f"{camera} camera", looks[camera]) for camera in cameras]
    legend(figure, entries, columns=2, lines=False)
    said = [f"{n} noise, {c} camera {percent(one.value)}" for (n, c), one in found.items()]
    return Sketch(
        name=LEAD,
        title=f"Noise and camera: lead of {FIRST} over {SECOND}",
        caption=data.and_gaps(
            f"Of {SECOND}'s {MEASURES[JUDGED].name} beyond that of real clips, the share that is "
            f"gone with {FIRST}, the same windows unaligned. The explanation that the sixth table "
            "tries says that it is largest with shared noise and a still camera. "
            + (_OWN if len(data.folder.seeds) > 1 else "One seed has no interval."),
            [f"{n} noise, {c} camera" for n, c in grid if (n, c) not in found],
        ),
        alt=f"Interval plot of the lead of {FIRST} over {SECOND}: {'; '.join(said)}.",
        figure=figure,
    )


def _lead_at(data: Data, rows: Sequence[Row]) -> Gain | None:
    by = {kind(data.folder, row.cell): row.cell for row in rows}
    if FIRST not in by or SECOND not in by:
        return None
    return beyond_real(*(data.scores.sample(by[one], JUDGED) for one in (FIRST, SECOND)))


def _panel(
    axes: Axes, data: Data, rows: Sequence[Row], looks: Mapping[str, Mark], measure: Measure
) -> tuple[list[str], list[str]]:
    """Draws one panel; returns what it says in words, and which rows are missing."""
    axes.axvline(0, color="0.4", linewidth=0.8)
    base = next((row for row in rows if kind(data.folder, row.cell) == BASE), None)
    before = None if base is None else data.estimate(base.cell, measure.key)
    if base is None or before is None:
        nothing(axes, f"{BASE} has no {measure.name} here, so there is nothing to gain on", 40)
        return [], [BASE]
    lines = list(looks)
    said, missing = [], []
    for row in rows:
        y = lines.index(row.label)
        if row == base:
            beside(axes, 0.98, y, number(before.value), "right")
            continue
        found = data.gain(row.cell, base.cell, measure.key)
        if found is None:
            beside(axes, 0.5, y, "–", "center")
            missing.append(f"{row.label} {data.failed(row.cell) or 'without this score'}")
            continue
        look = looks[row.label]
        axes.errorbar(
            100 * found.value, y, xerr=[[100 * end for end in side] for side in reach(found)],
            color=look.colour, marker=look.marker, capsize=1.5,
        )  # fmt: skip
        said.append(f"{row.label} {percent(found.value)}")
    return said, missing
