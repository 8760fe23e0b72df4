"""Figures that the run itself made, since they need what only the run had; they are listed."""

from __future__ import annotations

from collections.abc import Iterator

from attnzoo.report.folder import Folder
from attnzoo.report.plots.plot import Plot

_ALIGNED = (
    "What alignment does",
    "As the paper's Figure 2(c), of the run's own clips: frames of a subspace's span before and "
    "after patches were moved along the motion flow by each rule, and at the right where they "
    "still vary.",
    "Frames of a dancer before alignment and after it by each rule; maps of what still varies.",
)
_KNOWN = {"figure2c": _ALIGNED, "align": _ALIGNED}
"""By the names that runs give them."""


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
