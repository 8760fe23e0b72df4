"""Plots and figures of a results folder, as a paper would print them. No torch is needed.

One plot a file. `write_plots` writes all that the folder has something for; what is left out
stands with its reason in `plots/index.json` beside the names of the others.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from attnzoo.errors import DAMAGED, UserError, lacking
from attnzoo.files import replacing, sweep
from attnzoo.paths import regular
from attnzoo.report.folder import make_inside
from attnzoo.report.plots import (
    attention,
    comparison,
    cost_bars,
    growth,
    intervals,
    learning,
    noise_camera,
    quality_cost,
    samples,
    scenarios,
    sizes,
    step_curves,
)
from attnzoo.report.plots.data import Data
from attnzoo.report.plots.figures import listed
from attnzoo.report.plots.plot import Drawn, LeftOut, Plot
from attnzoo.report.plots.style import look, write

_LOG = logging.getLogger(__name__)

__all__ = ["LeftOut", "Plot", "left_out", "write_plots"]

INDEX = "index.json"
UNDRAWN = "it could not be drawn"
_PLOT = r"plots/([\w-]+\.(?:svg|png))"

_ALL: tuple[Callable[[Data], Iterator[Drawn]], ...] = (
    intervals.draw,
    scenarios.draw,
    quality_cost.draw,
    sizes.draw,
    noise_camera.draw,
    step_curves.draw,
    learning.draw,
    cost_bars.draw,
    growth.draw,
    attention.draw,
    samples.draw,
    comparison.draw,
)


def write_plots(path: Path) -> list[Plot]:
    """Draws everything that the results folder `path` has something for, into its `plots/`.

    A plot that cannot be drawn takes no other with it: it is left out, which is logged.

    Raises:
        UserError: it is no results folder, or a file in it is not what it should be.
    """
    data = Data.read(path)
    target = make_inside(path, "plots")
    plots: list[Plot] = []
    missing: list[LeftOut] = []
    for draw in _ALL:
        with look():
            for one in _written(draw, data, target):
                if isinstance(one, LeftOut):
                    missing.append(one)
                else:
                    plots.append(one)
    plots += listed(data.folder)
    _forget(target, {file for plot in plots for file in plot.files})
    _write_index(target / INDEX, plots, missing)
    return plots


def _written(
    draw: Callable[[Data], Iterator[Drawn]], data: Data, target: Path
) -> Iterator[Plot | LeftOut]:
    """The plots of one kind, up to the first that cannot be drawn."""
    name = kind = draw.__module__.rpartition(".")[2].replace("_", "-")
    try:
        for drawn in draw(data):
            if isinstance(drawn, LeftOut):
                yield drawn
                continue
            name = drawn.name
            files = write(drawn.figure, target / name)
            yield Plot(name, drawn.title, drawn.caption, drawn.alt, files)
            name = kind
    except UserError:
        raise
    except DAMAGED as error:
        if lacking(error) is not None:
            raise
        reason = f"{UNDRAWN} ({type(error).__name__}: {' '.join(str(error).split())})"
        _LOG.warning("plot %s is left out: %s", name, reason)
        yield LeftOut(name, reason)


def left_out(path: Path) -> list[LeftOut]:
    """What `write_plots` left out of a results folder when it last ran, and why."""
    content = json.loads((path / "plots" / INDEX).read_text(encoding="utf-8"))
    return [LeftOut(one["name"], one["reason"]) for one in content["left_out"]]


def _forget(target: Path, written: set[Path]) -> None:
    """Deletes what an earlier call drew and this one has nothing for, and half-written files."""
    sweep(target)
    for name in _drawn_before(target / INDEX):
        if target / name not in written:
            (target / name).unlink(missing_ok=True)


def _drawn_before(index: Path) -> list[str]:
    """Names of pictures beside an index; none if it is not there or is not one of ours.

    A folder may come from anybody, so what it names is deleted only where it can be a plot.
    """
    try:
        plots = json.loads(regular(index).read_text(encoding="utf-8"))["plots"]
        found = [re.fullmatch(_PLOT, str(name)) for plot in plots for name in plot["files"]]
    except (FileNotFoundError, ValueError, LookupError, TypeError, RecursionError):
        return []
    return [match[1] for match in found if match is not None]


def _write_index(path: Path, plots: list[Plot], missing: list[LeftOut]) -> None:
    content = {
        "schema": 1,
        "plots": [
            {
                "name": plot.name,
                "title": plot.title,
                "caption": plot.caption,
                "alt": plot.alt,
                "files": [f"{file.parent.name}/{file.name}" for file in plot.files],
            }
            for plot in plots
        ],
        "left_out": [{"name": one.name, "reason": one.reason} for one in missing],
    }
    with replacing(path) as beside:
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        # Halves of letters, as of paths that are no Unicode, have the same escapes in JSON.
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
