"""Plots as the page shows them: one file of each, inline."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from attnzoo.errors import DAMAGED, UserError
from attnzoo.report.page.packed import data_address, svg_address
from attnzoo.report.plots.plot import Plot
from attnzoo.report.plots.videos import opened

PREFERENCE = 1.5
"""An SVG is taken where it is at most so many times as large as the PNG: it stays sharp."""

WIDE = 560
"""CSS pixels above which a plot is moved sideways on a phone, not made too small to read."""

_CSS_PER_POINT = 4 / 3
_SVG_SIZE = {side: re.compile(rf'\s{side}="([\d.]+)pt"') for side in ("width", "height")}


@dataclass(frozen=True)
class Picture:
    """A plot in the page. address: all of it as a `data:` address; width, height: CSS pixels."""

    name: str
    title: str
    caption: str
    alt: str
    file: str
    kind: str
    address: str
    width: int
    height: int

    @property
    def wide(self) -> bool:
        """Whether it would be too small to read at the width of a phone."""
        return self.width > WIDE


def picture(plot: Plot) -> Picture:
    """The plot with its smaller file, SVG where that is not much larger.

    Raises:
        UserError: it has no file, or one that is no picture.
    """
    file = _chosen(plot.files, plot.name)
    try:
        if file.suffix == ".svg":
            text = file.read_text(encoding="utf-8")
            address: str = svg_address(text)
            width, height = _svg_size(text, file)
        else:
            address = data_address(file.read_bytes(), file.suffix)
            width, height = _png_size(file)
    except UserError:
        raise
    except DAMAGED as error:
        raise UserError(f"{file}: not a picture that can be read: {error}") from error
    return Picture(
        name=plot.name,
        title=plot.title,
        caption=plot.caption,
        alt=plot.alt or plot.title,
        file=file.name,
        kind=file.suffix.removeprefix(".").upper(),
        address=address,
        width=width,
        height=height,
    )


def _chosen(files: Sequence[Path], name: str) -> Path:
    sizes = {file.suffix: (file.stat().st_size, file) for file in files if file.is_file()}
    svg, png = sizes.get(".svg"), sizes.get(".png")
    if svg and (not png or svg[0] <= PREFERENCE * png[0]):
        return svg[1]
    if png:
        return png[1]
    raise UserError(f"plot {name}: there is neither an SVG nor a PNG of it")


def _svg_size(text: str, file: Path) -> tuple[int, int]:
    head = text[: text.find(">", text.find("<svg")) + 1]
    found = [pattern.search(head) for pattern in _SVG_SIZE.values()]
    if found[0] is None or found[1] is None:
        raise UserError(f"{file}: an SVG without width and height in points")
    return round(_CSS_PER_POINT * float(found[0][1])), round(_CSS_PER_POINT * float(found[1][1]))


def _png_size(file: Path) -> tuple[int, int]:
    """At the size that it was drawn for, where it says that, else a pixel a pixel."""
    with opened(file) as image:
        dpi = float(image.info.get("dpi", (96, 96))[0]) or 96.0
        return round(image.width * 96 / dpi), round(image.height * 96 / dpi)
