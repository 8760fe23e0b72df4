"""The paper's Figure 3: which tokens a token attends to, for each mechanism of the tables.

The masks need the mechanisms themselves, so whoever made the folder left them in a file; without
it nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from zipfile import BadZipFile

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from attnzoo.errors import DAMAGED, UserError
from attnzoo.report.plots.data import Data
from attnzoo.report.plots.plot import Drawn, LeftOut, Sketch
from attnzoo.report.plots.style import ACCENT, PAGE, SMALL, close, page
from attnzoo.report.plots.words import wrapped

NAME = "figure3"
FILE = "figures/figure3.npz"
MOST, SIDE = 500, 128
"""Panels, and tokens along a side of one, that can be told apart in print."""
UNREADABLE: tuple[type[Exception], ...] = (BadZipFile, *DAMAGED)
_QUERY = "#d55e00"


def draw(data: Data) -> Iterator[Drawn]:
    """A row a mechanism, a panel a frame."""
    path = data.folder.path / FILE
    if not path.is_file():
        yield LeftOut(NAME, f"the folder has no {FILE}, which holds what each mechanism sees")
        return
    try:
        with np.load(path, allow_pickle=False) as stored:
            masks = {name: stored[name].astype(bool) for name in stored.files if name != "query"}
            query = tuple(int(i) for i in stored["query"])
    except UNREADABLE as error:
        raise UserError(f"{path}: not masks with a query: {error}") from error
    shapes = {mask.shape for mask in masks.values()}
    shape: tuple[int, ...] = shapes.pop() if len(shapes) == 1 else ()
    if not len(shape) == len(query) == 3 or not all(
        0 <= at < size for at, size in zip(query, shape, strict=True)
    ):
        raise UserError(
            f"{path}: masks are [frames, rows, columns], all alike, and a query is a place in them"
        )
    if len(masks) * shape[0] > MOST or max(shape[1:]) > SIDE:
        raise UserError(
            f"{path}: {len(masks)} masks of {shape}; at most {MOST} frames of all masks can be "
            f"drawn, with {SIDE} tokens a side"
        )
    yield _sketch(masks, (query[0], query[1], query[2]))


def _sketch(masks: Mapping[str, NDArray[np.bool_]], query: tuple[int, int, int]) -> Sketch:
    frames = len(next(iter(masks.values())))
    figure = page(PAGE, 0.25 + 0.68 * len(masks))
    close(figure)
    panels = figure.subplots(len(masks), frames, squeeze=False)
    for (name, mask), line in zip(masks.items(), panels, strict=True):
        line[0].set_ylabel(wrapped(name, 16), rotation=0, ha="right", va="center", fontsize=SMALL)
        for frame, axes in enumerate(line):
            _panel(axes, mask[frame], query if frame == query[0] else None)
    for frame, axes in enumerate(panels[0]):
        axes.set_title(f"frame {frame}", fontsize=SMALL)
    seen = [f"{name} {mask.sum()} of {mask.size}" for name, mask in masks.items()]
    return Sketch(
        name=NAME,
        title="What a token attends to",
        caption=(
            "As the paper's Figure 3: tokens (blue) that the module's result at one token "
            f"(outlined; frame {query[0]}, row {query[1]}, column {query[2]}) depends on, computed "
            f"from the mechanisms. Tokens seen: {'; '.join(seen)}."
        ),
        alt=f"Grids of tokens per frame, seen ones coloured: {'; '.join(seen)}.",
        figure=figure,
    )


def _panel(axes: Axes, mask: NDArray[np.bool_], query: tuple[int, int, int] | None) -> None:
    axes.imshow(mask, cmap=ListedColormap(["0.93", ACCENT]), vmin=0, vmax=1, interpolation="none")
    height, width = mask.shape
    axes.set_xticks(np.arange(-0.5, width), [])
    axes.set_yticks(np.arange(-0.5, height), [])
    axes.grid(color="white", linewidth=0.4)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if query is not None:
        corner = (query[2] - 0.5, query[1] - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=_QUERY, linewidth=1.5))
