"""The look of all plots: print sizes, fonts, colours that everybody can tell apart, files.

Widths are those of a two-column page, so that a picture is printed as it is and its smallest text
has 7 points there. A figure is drawn inside `look()` and written by `write`; the same figure gives
the same bytes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from attnzoo.files import replacing
from attnzoo.report.plots.words import wrapped

SAID_LINES = 5
COLUMN, PAGE = 3.3, 7.0
"""Inches of one column, and of both."""
SMALL, NORMAL = 7.0, 8.0
"""Points of the smallest text, and of titles."""
DPI = 300
NARROW, WIDE = 5.0, 3000.0
"""Ratios below which a logarithmic axis has even ticks, and from which on powers of ten alone."""
WIDEST = 32
"""Letters in a line of a legend."""
INK, FAINT = "0.15", "0.45"
"""Greys of text; the fainter one still has a contrast of 4.5 on white."""
ACCENT = "#0072b2"
"""For pictures of one hue: Okabe and Ito's blue."""

# Okabe and Ito's colours but yellow, which vanishes on paper, and black first.
COLOURS = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00", "#cc79a7")
_MARKERS = "osD^vP*X<>p"
_LINES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))


@dataclass(frozen=True)
class Mark:
    """How one series looks: colour, marker and line, of which no other series has the same."""

    colour: str
    marker: str
    line: Any


def marks(names: Sequence[str]) -> dict[str, Mark]:
    """A look for each name. Their numbers of colours and markers have no common divisor, so 77
    names differ; lines change with each round of colours."""
    return {
        name: Mark(
            COLOURS[i % len(COLOURS)],
            _MARKERS[i % len(_MARKERS)],
            _LINES[i // len(COLOURS) % len(_LINES)],
        )
        for i, name in enumerate(dict.fromkeys(names))
    }


@contextmanager
def look() -> Iterator[None]:
    """Draws what is drawn inside with the project's fonts and lines."""
    settings = {
        **sns.axes_style("whitegrid"),
        "font.family": "DejaVu Sans",
        "font.size": SMALL,
        "text.parse_math": False,  # labels are users' own, and a dollar in them is a dollar
        "axes.labelsize": SMALL,
        "axes.titlesize": NORMAL,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "legend.fontsize": SMALL,
        "figure.titlesize": NORMAL,
        "text.color": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.edgecolor": "0.7",
        "grid.color": "0.9",
        "grid.linewidth": 0.6,
        "axes.linewidth": 0.6,
        "lines.linewidth": 1.0,
        "lines.markersize": 4,
        "xtick.major.pad": 2,
        "ytick.major.pad": 2,
        "axes.labelpad": 2,
        "axes.titlepad": 4,
        "figure.dpi": DPI,
        "svg.fonttype": "path",
        "svg.hashsalt": "attnzoo",
        "path.simplify": True,
    }
    with matplotlib.rc_context(settings):
        yield


def page(width: float, height: float) -> Figure:
    """An empty figure of so many inches, laid out so that nothing is cut off or overlaps.

    It belongs to no window and to nobody's list of figures.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def close(figure: Figure) -> None:
    """Leaves next to nothing between panels, for rows of pictures."""
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)  # `page` made it
    engine.set(w_pad=0.012, h_pad=0.012, wspace=0, hspace=0)


def write(figure: Figure, stem: Path) -> tuple[Path, ...]:
    """Writes SVG and PNG, each whole or not at all; neither says when it was made."""
    # Laid out once for both files; a second time would give the same for as much time again.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    files = (stem.with_name(f"{stem.name}.svg"), stem.with_name(f"{stem.name}.png"))
    hushed: tuple[dict[str, Any], ...] = (
        {"Date": None, "Creator": "attnzoo"},
        {"Software": "attnzoo"},
    )
    for file, metadata in zip(files, hushed, strict=True):
        with replacing(file) as beside:
            figure.savefig(beside, dpi=DPI, metadata=metadata)
    return files


def log_ticks(axis: Axis) -> None:
    """Plain numbers at 1, 2 and 5 of each power of ten, for a logarithmic axis; at 1 of a wide one.

    Of a range so narrow that it might hold but one of them, evenly apart: it looks nearly linear.
    """
    low, high = sorted(axis.get_view_interval())
    if high < NARROW * low:
        axis.set_major_locator(MaxNLocator(4))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < WIDE * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def nothing(axes: Axes, words: str, width: int = 26) -> None:
    """Says in the middle of an empty panel why it is empty, in some lines; captions have it all."""
    some = wrapped(textwrap.shorten(words, SAID_LINES * width, placeholder=" ..."), width)
    said = axes.text(
        0.5, 0.5, some, transform=axes.transAxes, ha="center", va="center",
        color=FAINT, fontsize=SMALL,
    )  # fmt: skip
    # One long word must not push the panels together.
    said.set_in_layout(False)


def legend(
    figure: Figure, entries: Sequence[tuple[str, Mark]], *, columns: int = 4, lines: bool = True
) -> None:
    """A legend beneath all panels, with each series' colour and marker, and line if there are."""
    handles = [
        Line2D(
            [], [], color=mark.colour, marker=mark.marker, label=wrapped(label, WIDEST),
            linestyle=mark.line if lines else "none",
        )
        for label, mark in entries
    ]  # fmt: skip
    place(figure, handles, columns, 2.2 if lines else 1.0)


def place(figure: Figure, handles: Sequence[Artist], columns: int, length: float) -> None:
    """Puts a legend beneath all panels, for which the figure grows.

    columns: at most so many, fewer where labels are long; length: of a handle, in letters' heights.
    """
    texts = [str(handle.get_label()) for handle in handles]
    room = figure.get_figwidth() * 72 / SMALL
    while columns > 1 and _wide(texts, columns, length) > room:
        columns -= 1
    rows = [texts[start :: _rows(texts, columns)] for start in range(_rows(texts, columns))]
    high = sum(1.35 * max(1 + text.count("\n") for text in row) for row in rows)
    figure.set_figheight(figure.get_figheight() + (high + 0.6) * SMALL / 72)
    figure.legend(
        handles=list(handles), loc="outside lower center", ncols=min(columns, len(handles)),
        frameon=False, handlelength=length, columnspacing=1.2, borderpad=0.1, labelspacing=0.3,
    )  # fmt: skip


def _rows(texts: Sequence[str], columns: int) -> int:
    return -(-len(texts) // columns)


def _wide(texts: Sequence[str], columns: int, length: float) -> float:
    """About how wide a legend is, in letters' heights; columns are filled one after the other."""
    rows = _rows(texts, columns)
    parts = [texts[start : start + rows] for start in range(0, len(texts), rows)]
    letters = [max(len(line) for text in part for line in text.split("\n")) for part in parts]
    return sum(0.62 * count + length + 2.0 for count in letters)
