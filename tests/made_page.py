"""A made-up results folder of a few cells, and its page, for tests of the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from made_results import _write_clips, make_results
from PIL import Image

from attnzoo.report.page.build import LIMIT, Content, write_page
from attnzoo.report.page.plots import picture
from attnzoo.report.plots.plot import Plot
from attnzoo.report.tables import findings, write_tables

SVG = """<?xml version="1.0" encoding="utf-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="240pt" height="90pt" viewBox="0 0 240 90">
 <rect width="200" height="40" style="fill: #0072b2"/><text y="60">100 % &amp; "more"</text>
</svg>
"""


def small_results(
    folder: Path,
    *tables: str,
    videos: bool = True,
    change: Callable[[dict[str, Any]], None] | None = None,
) -> Path:
    """Only the cells of `tables` (default: the first and the fifth), whose protocol is changed."""
    make_results(folder, seeds=2, clips=4, videos=False)
    file = folder / "protocol.json"
    protocol = json.loads(file.read_text())
    kept = {name: protocol["tables"][name] for name in tables or ("table1", "table5")}
    cells = {row["cell"] for table in kept.values() for row in table["rows"]}
    protocol["tables"] = kept
    protocol["cells"] = {k: v for k, v in protocol["cells"].items() if k in cells}
    if videos:
        _write_clips(folder / "clips", list(protocol["cells"]))
    if change:
        change(protocol)
    file.write_text(json.dumps(protocol))
    return folder


def made_plots(folder: Path) -> list[Plot]:
    """One plot with both files, one that there is only as a PNG."""
    (folder / "plots").mkdir(exist_ok=True)
    svg, png, alone = (folder / "plots" / name for name in ("a.svg", "a.png", "b.png"))
    svg.write_text(SVG)
    noise = np.random.default_rng(0).integers(0, 256, (120, 320), np.uint8)
    for file in (png, alone):
        Image.fromarray(noise).save(file)
    return [
        Plot("a", "First", "What is drawn.", "A bar of 200.", (svg, png)),
        Plot("b", "Second", "Noise.", "Grey noise.", (alone,)),
    ]


def page(folder: Path, out: Path, limit: int = LIMIT) -> tuple[str, tuple[str, ...]]:
    """The page of a folder with two plots, and what was left out of it.

    Tables' files are those that a copied folder brings: what is read of them is the same.
    """
    if not (folder / "tables").is_dir():
        write_tables(folder)
    pictures = tuple(map(picture, made_plots(folder)))
    found = findings(folder)
    remarks = write_page(Content(found, pictures, (("c", "nothing to draw"),)), out, limit=limit)
    return out.read_text(), remarks
