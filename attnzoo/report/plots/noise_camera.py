"""The sixth table as a grid of small panels: what attention gains, by noise and by camera."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from attnzoo.report.folder import Cell, Folder
from attnzoo.report.plots.estimates import change, estimate
from attnzoo.report.plots.gaps import and_gaps, failed
from attnzoo.report.plots.measures import Measure, measures
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import FAINT, PAGE, SMALL, Mark, marks, nothing, number, page

SCORES = ("warp_error_1", "fd_embedded_video", "embedded_perceptual")
NOISES = ("shared", "half", "independent")
CAMERAS = ("still", "moving")
BASE = "none"

Condition = tuple[str, str]
"""Noise and camera."""


def draw(folder: Folder) -> Iterator[Drawn]:
    """One plot a score: rows are kinds of noise, columns are cameras."""
    cells = folder.cells_of("table6")
    grid = conditions(cells)
    for measure in measures(SCORES):
        name = f"noise-camera-{measure.key.replace('_', '-')}"
        if not any(folder.records_of(cell.id) for cell in cells):
            yield LeftOut(name, "the sixth table has no finished row; it is a run of its own")
            continue
        yield _sketch(name, folder, grid, measure)


def conditions(cells: Sequence[Cell]) -> dict[Condition, list[Cell]]:
    """The cells by noise and camera, in the order of `NOISES` and `CAMERAS`, others last."""
    found: dict[Condition, list[Cell]] = {}
    for cell in cells:
        where = cell.setting("noise", NOISES[0]), cell.setting("camera", CAMERAS[0])
        found.setdefault(where, []).append(cell)
    order = {where: i for i, where in enumerate((n, c) for n in NOISES for c in CAMERAS)}
    return {w: found[w] for w in sorted(found, key=lambda w: (order.get(w, len(order)), w))}


def _sketch(
    name: str, folder: Folder, grid: Mapping[Condition, Sequence[Cell]], measure: Measure
) -> Sketch:
    noises = list(dict.fromkeys(noise for noise, _ in grid))
    cameras = list(dict.fromkeys(camera for _, camera in grid))
    labels = list(dict.fromkeys(cell.label for cells in grid.values() for cell in cells))
    looks = marks(labels)
    figure = page(PAGE, 0.55 + len(noises) * (0.42 + 0.13 * len(labels)))
    panels = figure.subplots(len(noises), len(cameras), sharex=True, sharey=True, squeeze=False)
    said: list[str] = []
    missing: list[str] = []
    for i, noise in enumerate(noises):
        for j, camera in enumerate(cameras):
            axes = panels[i, j]
            axes.set_title(f"noise {noise}, camera {camera}", fontsize=SMALL, loc="left")
            cells = grid.get((noise, camera), [])
            found, gone = _panel(axes, folder, cells, labels, measure, looks)
            said += [f"{noise} noise, {camera} camera: {', '.join(found)}"] if found else []
            missing += [f"{c} at {noise} noise, {camera} camera" for c in gone]
    panels[0, 0].set_yticks(range(len(labels)), labels)
    panels[0, 0].set_ylim(len(labels) - 0.5, -0.5)
    figure.supxlabel(
        f"{measure.title}: change against {BASE} of the same noise and camera [%]", fontsize=SMALL
    )
    return Sketch(
        name=name,
        title=f"Noise and camera: {measure.label}",
        caption=and_gaps(
            f"By how many per cent {measure.label} ({measure.better.value}) differs from that of "
            f"{BASE} with the same noise and camera, whose own value stands in its row; mean and "
            "95 % interval of the differences of pairs, over videos and seeds.",
            missing,
            folder,
        ),
        alt=f"Grid of panels, change of {measure.label} against {BASE}. {'; '.join(said)}.",
        figure=figure,
    )


def _panel(
    axes: Axes,
    folder: Folder,
    cells: Sequence[Cell],
    labels: Sequence[str],
    measure: Measure,
    looks: Mapping[str, Mark],
) -> tuple[list[str], list[str]]:
    """Draws one panel; returns what it says in words, and which rows are missing."""
    axes.axvline(0, color="0.4", linewidth=0.8)
    base: Mapping[int, Any] = next(
        (folder.records_of(cell.id) for cell in cells if cell.label == BASE), {}
    )
    before = estimate(base, measure.key)
    if before is None:
        nothing(axes, f"{BASE} has no {measure.label} here, so nothing can be set against it")
        return [], [BASE]
    said, missing = [], []
    for cell in cells:
        y = labels.index(cell.label)
        if cell.label == BASE:
            axes.text(
                0, y, f" {number(before.value)}", va="center", fontsize=SMALL, color=FAINT
            )
            continue
        found = change(folder.records_of(cell.id), base, measure.key)
        if found is None:
            axes.text(
                0.5, y, "–", transform=axes.get_yaxis_transform(), ha="center", va="center",
                color=FAINT,
            )  # fmt: skip
            missing.append(f"{cell.label} {failed(folder, cell.id) or 'without this score'}")
            continue
        reach = [[100 * end for end in side] for side in found.reach]
        look = looks[cell.label]
        axes.errorbar(
            100 * found.value, y, xerr=reach, color=look.colour, marker=look.marker, capsize=1.5
        )
        said.append(f"{cell.label} {100 * found.value:+.0f} %".replace("-", "−"))
    return said, missing
