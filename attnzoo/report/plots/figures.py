"""Figures that the run itself made, since they need what only the run had; they are listed."""

from __future__ import annotations

from collections.abc import Iterator

from attnzoo.report.folder import Folder
from attnzoo.report.plots.plot import Plot

_KNOWN = {
    "figure2c": (
        "Align and restore",
        "As the paper's Figure 2(c): feature maps before the alignment along the motion flow, "
        "aligned, and restored, as the run itself drew them.",
        "Frames of a clip before alignment, aligned to the middle frame of each subspace, and "
        "restored.",
    )
}


def listed(folder: Folder) -> Iterator[Plot]:
    """All pictures in `figures/`, by name; SVG before PNG where there are both."""
    stems: dict[str, list[str]] = {}
    for suffix in (".svg", ".png"):
        for file in sorted((folder.path / "figures").glob(f"*{suffix}")):
            stems.setdefault(file.stem, []).append(file.name)
    for stem in sorted(stems):
        title, caption, alt = _KNOWN.get(
            stem, (stem, "As the run itself drew it.", f"The picture {stem} of the run.")
        )
        files = tuple(folder.path / "figures" / name for name in stems[stem])
        yield Plot(stem, title, caption, alt, files)
