"""Where person, place and dance of a clip come from: a name, a picture, a video, a dance of TikTok.

A source is written as one word:

embedded:PART:N        an embedded dancer, N-th of the part train, validation or test
embedded:personP-danceD
FILE                   a picture or a video
FOLDER                 pictures as frames, or a dance in DisCo's layout
FOLDER_OR_YAML:NAME    one dance of DisCo's folders or TSV files

Every picture is cut to its central square and brought to the model's size as the data sets do it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from attnzoo.data.cast import Casting, Part
from attnzoo.data.embedded import make_clip, open_embedded
from attnzoo.data.flow_settings import FlowSource
from attnzoo.data.frames import SUFFIXES, fingerprint
from attnzoo.data.source import Source
from attnzoo.data.tiktok import open_tiktok
from attnzoo.data.video import open_video
from attnzoo.data.windows import Short
from attnzoo.errors import UserError
from attnzoo.paths import typed

MOST = 4096
"""Embedded clips of a part that can be named."""

_NAMED = re.compile(r"person(\d{1,9})-dance(\d{1,9})")
_DISCO = ("groundsam", "openpose_json")


class Kind(Enum):
    """What a source turned out to be."""

    embedded = "embedded dancer"
    picture = "picture"
    video = "video"
    tiktok = "TikTok dance"


@dataclass(frozen=True)
class Origin:
    """A source as it was named for a flag.

    path: file or folder, None for embedded dancers; name: the dance's inside it, or the dancer's.
    """

    flag: str
    text: str
    kind: Kind
    path: Path | None = None
    name: str | None = None

    @property
    def short(self) -> str:
        """Without the folders around it."""
        if self.path is None:
            return f"{self.kind.name}:{self.name}"
        return self.path.name if self.name is None else f"{self.path.name}:{self.name}"

    def about(self) -> dict[str, Any]:
        """What a record says of it; sha256: of the file, or of a folder's pictures.

        Files of many dances are not hashed.
        """
        whole = self.path is not None and self.kind is not Kind.tiktok
        return {
            "given": self.text,
            "kind": self.kind.value,
            "name": self.name,
            "sha256": fingerprint(self.path) if self.path is not None and whole else None,
        }

    def wrong(self, error: UserError) -> UserError:
        """An error of a data set's reader in the words of the command."""
        said = str(error)
        for theirs, ours in (
            (f"data.sequence={self.name}: not in data.path={self.path}", "no such dance"),
            (f"data.path={self.path}", f"{self.flag} {self.text}"),
            (f"data.pose={self.path}", f"{self.flag} {self.text}"),
            ("data.short=loop", "--loop"),
            ("a smaller data.frames", "a smaller --frames"),
        ):
            said = said.replace(theirs, ours)
        return UserError(said if self.flag in said else f"{self.flag} {self.text}: {said}")


def origin(flag: str, text: str) -> Origin:
    """What `text` names.

    Raises:
        UserError: nothing that there is.
    """
    if text.startswith("embedded:"):
        name = text.removeprefix("embedded:")
        _casting(flag, text, name)
        return Origin(flag, text, Kind.embedded, None, name)
    path, inside = typed(text, f"{flag} {text}"), None
    try:
        if not path.exists() and ":" in text:
            head, _, inside = text.rpartition(":")
            path = typed(head, f"{flag} {text}")
        kind = _kind(path) if path.exists() else None
    except OSError as error:
        raise UserError(f"{flag} {text}: cannot be read ({error.strerror or error})") from error
    if kind is None:
        raise UserError(
            f"{flag} {text}: no such file or folder; give one, or embedded:test:0 (or another "
            "part and number) for an embedded dancer"
        )
    if inside is not None and kind is not Kind.tiktok:
        raise UserError(f"{flag} {text}: {path} is a {kind.value} and holds no named dances")
    return Origin(flag, text, kind, path, inside)


def _kind(path: Path) -> Kind:
    suffix = path.suffix.lower()
    if path.is_file():
        if suffix in (".yaml", ".yml"):
            return Kind.tiktok
        return Kind.picture if suffix in SUFFIXES else Kind.video
    inside = list(path.iterdir())
    described = any(p.suffix.lower() in (".yaml", ".yml") for p in inside)
    disco = [folder / name for folder in (path, *inside) for name in _DISCO]
    return Kind.tiktok if described or any(p.is_dir() for p in disco) else Kind.video


def clips(
    where: Origin, *, size: int, frames: int, loop: bool = False, stride: int = 1,
    pose: bool = False, mask: str | None = None,
) -> Source:  # fmt: skip
    """The one clip that a source shows from its first frame on, as training and test data.

    Args:
        where: any but a picture.
        size: pixels of a side.
        frames: of the clip.
        loop: whether what is shorter is played to and fro.
        stride: frames of a video from one frame of the clip to the next.
        pose: whether a video shows poses, and not persons.
        mask: a video's masks.

    Raises:
        UserError: it cannot be read, is too short, also for the stride, or names no one dance.
    """
    if where.kind is Kind.embedded:
        return _embedded(where, size, frames)
    if where.kind is Kind.picture:
        raise UserError(f"{where.flag} {where.text}: one picture; a clip is needed here")
    short = Short.loop if loop else Short.refuse
    path = str(where.path)
    try:
        if where.kind is Kind.tiktok:
            source = open_tiktok(path, size=size, frames=frames, short=short, sequence=where.name)
        else:
            source = open_video(
                path, size=size, frames=frames, stride=stride, short=short,
                pose=path if pose else None, mask=mask,
            )  # fmt: skip
            there = source.split["frames_used"]
            if stride > there:  # which to and fro would show any frames at all
                raise UserError(f"--stride {stride}: must be at most its {there} frames")
    except UserError as error:
        raise where.wrong(error) from error
    return _one(where, source)


def _one(where: Origin, source: Source) -> Source:
    """The source's first clip alone; UserError if it has several dances and none was named."""
    if where.kind is Kind.tiktok and len(source.test) > 1:
        names = list(source.split.get("sequences", ()))
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise UserError(
            f"{where.flag} {where.text}: holds several dances ({shown}); name one, as in "
            f"{where.text}:{names[0] if names else 'NAME'}"
        )
    clip = [source.test[0]]
    return Source(source.name, source.frames, source.size, clip, clip, {}, source.flow)


def _embedded(where: Origin, size: int, frames: int) -> Source:
    cast = _casting(where.flag, where.text, str(where.name))
    made = [make_clip(cast, frames=frames, size=size)]
    return Source("embedded", frames, size, made, made, {}, FlowSource.exact)


def _casting(flag: str, text: str, name: str) -> Casting:
    """Who dances what, by name (as strips show it) or by part and number."""
    named = _NAMED.fullmatch(name)
    if named is not None:
        return Casting(int(named[1]), int(named[2]))
    part, _, number = name.partition(":")
    parts = [p.name for p in Part]
    known = number.isascii() and number.isdigit() and len(number) <= len(str(MOST))
    if part not in parts or not known or int(number) >= MOST:
        raise UserError(
            f"{flag} {text}: must be embedded:PART:N, PART one of {', '.join(parts)} and N below "
            f"{MOST}, or embedded:personP-danceD"
        )
    n = int(number)
    if part == Part.train.name:
        casts: Any = open_embedded(train_clips=n + 1, clips=1).train
    else:
        casts = open_embedded(part=Part[part], clips=n + 1, train_clips=1).test
    cast: Casting = casts.casts[n][0]
    return cast
