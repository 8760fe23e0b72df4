"""The sixth table as a grid of small panels: what attention gains, by noise and by camera."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from matplotlib.axes import Axes

from attnzoo.report.folder import Row
from attnzoo.report.measures import Measure
from attnzoo.report.plots.data import Data, measures, reach
from attnzoo.report.plots.intervals import beside
from attnzoo.report.plots.overview import OVERVIEW
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import PAGE, SMALL, Mark, marks, nothing, page
from attnzoo.report.plots.words import number, percent, wrapped
from attnzoo.report.references import kind

NOISES = ("shared", "half", "independent")
CAMERAS = ("still", "moving")
BASE = "none"

Condition = tuple[str, str]
"""Noise and camera."""


def draw(data: Data) -> Iterator[Drawn]:
    """One plot a score: rows are kinds of noise, columns are cameras."""
    tables = data.folder.tables
    rows = tables["table6"].rows if "table6" in tables else ()
    for measure in measures(OVERVIEW):
        name = f"noise-camera-{measure.key.replace('_', '-')}"
        if not any(data.folder.records_of(row.cell) for row in rows):
            yield LeftOut(name, "the sixth table has no finished row; it is a run of its own")
            continue
        yield _sketch(name, data, conditions(data, rows), measure)


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
            f"over seeds. In the line of {BASE}, its own value.",
            missing,
        ),
        alt=f"Grid of panels, gain in {measure.name} against {BASE}. {'; '.join(said)}.",
        figure=figure,
    )


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
