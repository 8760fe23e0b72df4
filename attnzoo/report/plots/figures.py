"""Figures that the run itself made, since they need what only the run had; they are listed."""

from __future__ import annotations

from collections.abc import Iterator

from attnzoo.report.folder import Folder
from attnzoo.report.plots.plot import Plot

_ALIGNED = (
    "What alignment does",
    "As the paper's Figure 2(c), of the run's own first clips: of each the frames of one subspace "
    "in which most patches move, before and after they were moved along the motion flow by each "
    "rule; at the right where these frames vary, brighter for more. The number above it is the "
    "variance along the frames after alignment over that before: below 1 they are more alike than "
    "before, above 1 less.",
    "Frames of dancers before alignment and after it by each rule; maps of what still varies, with "
    "the ratio of the variance after alignment to that before.",
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
