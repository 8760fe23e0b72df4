"""Which videos are put into the page, and how they are offered there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnzoo.report.folder import Folder, TableRows
from attnzoo.report.page.packed import base64_text, media_type

DATA = (("reference", "Reference", True), ("pose", "Pose", False), ("real", "Real", False))
"""What the data themselves have: folder, label, whether it is a picture that stands still."""

SIDE_BY_SIDE = 20
"""A table of more rows is offered group by group."""


@dataclass(frozen=True)
class Variant:
    """What may be looked at: a cell, or a part of the data."""

    id: str
    label: str
    still: bool = False


@dataclass(frozen=True)
class Preset:
    """Variants that are shown together, by their numbers."""

    title: str
    variants: tuple[int, ...]


@dataclass(frozen=True)
class Videos:
    """Everything that the page's player needs.

    sources: type and base64 by `clip/variant`; missing: for each variant and clip why there is
    none, or nothing; left_out: how many were left out for their size.
    """

    variants: tuple[Variant, ...]
    presets: tuple[Preset, ...]
    sources: dict[str, tuple[str, str]]
    missing: tuple[tuple[str, ...], ...]
    left_out: int

    def as_json(self, folder: Folder) -> dict[str, Any]:
        """What the player reads."""
        return {
            "clips": [
                {
                    "name": clip.name,
                    "scenario": clip.scenario,
                    "fps": clip.fps,
                    "frames": clip.frames,
                    "size": clip.size,
                    "boxes": clip.boxes,
                }
                for clip in folder.clips
            ],
            "variants": [
                {"id": v.id, "label": v.label, "still": v.still, "missing": missing}
                for v, missing in zip(self.variants, self.missing, strict=True)
            ],
            "presets": [{"title": p.title, "variants": p.variants} for p in self.presets],
            "sources": self.sources,
        }


def choose_videos(folder: Folder, room: int) -> Videos:
    """Videos that fit into `room` characters.

    All variants' first clip goes before anybody's second, so that where room is short there is
    still something of everybody, of the same person. What only a table of more than `SIDE_BY_SIDE`
    rows has comes after all clips of the others.
    """
    variants = tuple(_variants(folder))
    sources: dict[str, tuple[str, str]] = {}
    missing = [["" for _ in folder.clips] for _ in variants]
    left_out, full = 0, False
    for index, number in _in_turn(folder, variants):
        variant, clip = variants[index], folder.clips[number]
        path = _path(folder, variant, clip.name)
        shown = Path("clips", variant.id, f"{clip.name}.mp4")
        if path is None:
            missing[index][number] = f"there is no {shown}"
            continue
        # Base64 and what stands about it. The first that is too large ends it for all: which
        # clips a variant has would otherwise depend on how well it compresses.
        need = 4 * ((path.stat().st_size + 2) // 3) + 40
        full = full or need > room
        if full:
            left_out += 1
            missing[index][number] = f"left out to keep this page small: {shown}"
            continue
        room -= need
        sources[f"{number}/{index}"] = (
            media_type(path.suffix),
            base64_text(path.read_bytes()),
        )
    return Videos(
        variants,
        tuple(_presets(folder, variants)),
        sources,
        tuple(tuple(texts) for texts in missing),
        left_out,
    )


def _in_turn(folder: Folder, variants: Sequence[Variant]) -> list[tuple[int, int]]:
    """Numbers of variants and clips in the order in which they get room."""
    sizes: dict[str, int] = {}
    for table in folder.tables.values():
        for row in table.rows:
            sizes[row.cell] = min(len(table.rows), sizes.get(row.cell, len(table.rows)))
    late = [sizes.get(variant.id, 0) > SIDE_BY_SIDE for variant in variants]
    places = ((i, n) for i in range(len(variants)) for n in range(len(folder.clips)))
    return sorted(places, key=lambda place: (late[place[0]], place[1], place[0]))


def _variants(folder: Folder) -> Iterator[Variant]:
    for name, label, still in DATA:
        yield Variant(name, label, still)
    seen = [cell for cell in folder.cells.values() if (folder.path / "clips" / cell.id).is_dir()]
    labels = [cell.label for cell in seen]
    for cell in seen:
        unique = labels.count(cell.label) == 1
        yield Variant(cell.id, cell.label if unique else f"{cell.label} ({cell.id})")


def _path(folder: Folder, variant: Variant, clip: str) -> Path | None:
    return folder.reference(clip) if variant.still else folder.video(variant.id, clip)


def _presets(folder: Folder, variants: Sequence[Variant]) -> Iterator[Preset]:
    numbers = {variant.id: index for index, variant in enumerate(variants)}
    data = tuple(range(len(DATA)))
    offered: set[tuple[int, ...]] = set()
    small = [table for table in folder.tables.values() if len(table.rows) <= SIDE_BY_SIDE]
    for table in folder.tables.values():
        for title, cells in _parts(table):
            found = tuple(dict.fromkeys(numbers[cell] for cell in cells if cell in numbers))
            if found and found not in offered:
                offered.add(found)
                yield Preset(title, data + found)
    together = dict.fromkeys(row.cell for table in small for row in table.rows)
    shown = tuple(sorted(numbers[cell] for cell in together if cell in numbers))
    if len(small) > 1 and shown:
        names = ", ".join(table.name.removeprefix("table") for table in small)
        yield Preset(f"Tables {names} together", data + shown)
    if not offered:
        yield Preset("everything", tuple(range(min(len(variants), SIDE_BY_SIDE))))


def _parts(table: TableRows) -> Iterable[tuple[str, list[str]]]:
    number = table.name.removeprefix("table")
    title = f"Table {number}: {table.title}"
    if len(table.rows) <= SIDE_BY_SIDE:
        return [(title, [row.cell for row in table.rows])]
    groups = dict.fromkeys(row.group for row in table.rows)
    return [
        (f"{title}, {group or 'other'}", [r.cell for r in table.rows if r.group == group])
        for group in groups
    ]
