"""What dances in folders have in common, whatever those are called: a file for each part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from attnzoo.data.catalogue import Stamp, stamp
from attnzoo.data.frames import opened
from attnzoo.data.tiktok_take import Take, read
from attnzoo.errors import UserError


class FileTake(Take):
    """Frames with a file each for picture, mask and pose; only names are known at first.

    Args:
        name: of the dance.
        pictures: its frames, in order.
        masks: of each frame the file, or what to say of its not being there.
        poses: the same.
    """

    def __init__(
        self,
        name: str,
        pictures: Sequence[Path],
        masks: Sequence[Path | str],
        poses: Sequence[Path | str],
    ) -> None:
        super().__init__(name, tuple(p.name for p in pictures))
        self._pictures, self._masks, self._poses = pictures, masks, poses

    def missing(self) -> dict[int, str]:
        """See `Take.missing`."""
        found: dict[int, str] = {}
        for index, pair in enumerate(zip(self._masks, self._poses, strict=True)):
            for part in pair:
                if isinstance(part, str):
                    found.setdefault(index, part)
        return found

    def stamps(self) -> list[Stamp]:
        """Of every file that is there."""
        files = (f for row in (self._pictures, self._masks, self._poses) for f in row)
        return [stamp(file) for file in files if isinstance(file, Path)]

    def parts(self, index: int) -> Iterator[bytes]:
        """The frame's picture, mask and pose."""
        for file in (self._pictures[index], self._masks[index], self._poses[index]):
            yield content(file)

    @cached_property
    def _first(self) -> tuple[int, int]:
        """Height and width of the first frame."""
        with opened(self._pictures[0], str(self._pictures[0])) as header:
            return header.height, header.width


def there(file: Path | str) -> Path:
    """The file; UserError where it is what to say of its not being there."""
    if isinstance(file, str):
        raise UserError(file)
    return file


def content(file: Path | str) -> bytes:
    """What is in the file; UserError where it is not there."""
    return read(there(file), f"{file}: is not there any more")
