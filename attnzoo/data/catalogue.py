"""What is known of files that were read before: their content's hashes, as long as they stand.

A page of the catalogue belongs to one recording (or one set of weights). It holds when the files
have the sizes and times of change that it names; then nobody has to read them to know what they
hold. It is written whole or not at all, with a checksum.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from attnzoo.data import summed

Stamp = tuple[str, int, int, int]
"""A file's whole path, its bytes, and when it was written and put there, in nanoseconds.

The first time comes along with a file that is copied or unpacked; the second nobody can set.
"""


@dataclass(frozen=True)
class Page:
    """digests: SHA-256 of each frame's parts, "" for one that is damaged; damaged: what is said of
    those, by frame; decoded: whether every frame was tried.
    """

    digests: tuple[str, ...]
    damaged: dict[int, str] = field(default_factory=dict)
    decoded: bool = False


def stamp(file: Path) -> Stamp:
    """The stamp of a file."""
    state = file.stat()
    return (str(file.absolute()), state.st_size, state.st_mtime_ns, state.st_ctime_ns)


class Catalogue:
    """The pages in a folder, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def page(
        self,
        name: str,
        stamps: Sequence[Stamp],
        damaged: Callable[[Path], None] = summed.notice,
    ) -> Page | None:
        """The page under `name`, None if there is none or the files have changed since.

        A page that is damaged is none, which `damaged` is told.

        Raises:
            OSError: the machine lacks something, which says nothing of the page.
        """
        content = summed.read(self._file(name), damaged)
        if content is None or content.get("stamps") != _digest_of(stamps):
            return None
        broken = {int(i): str(text) for i, text in content["damaged"].items()}
        return Page(tuple(map(str, content["digests"])), broken, bool(content["decoded"]))

    def put(self, name: str, stamps: Sequence[Stamp], page: Page) -> None:
        """Writes a page; `stamps` are those from before the files were read."""
        content = {
            "name": name,
            "stamps": _digest_of(stamps),
            "digests": page.digests,
            "damaged": page.damaged,
            "decoded": page.decoded,
        }
        summed.write(self._file(name), content)

    def files(self, files: Sequence[Path], *, write: bool) -> str:
        """SHA-256 of the contents of files, in their order; read only where they have changed."""
        stamps = [stamp(file.resolve()) for file in files]
        name = "\n".join(place for place, *_ in stamps)
        page = self.page(name, stamps)
        if page is None:
            page = Page(tuple(_sha256(file) for file in files))
            if write:
                self.put(name, stamps, page)
        return hashlib.sha256("\n".join(page.digests).encode()).hexdigest()

    def _file(self, name: str) -> Path:
        # Names of files may be no text.
        key = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()
        return self.folder / f"{key}.json"


def _digest_of(stamps: Sequence[Stamp]) -> str:
    return hashlib.sha256(json.dumps([list(s) for s in stamps]).encode()).hexdigest()


def _sha256(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            found.update(block)
    return found.hexdigest()
