"""A TikTok dance at the clip's size, of whichever layout."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from attnzoo.data.backdrop import Backdrop
from attnzoo.data.catalogue import Catalogue, Page, Stamp
from attnzoo.data.flow import FINE
from attnzoo.data.frames import square
from attnzoo.data.look import Look
from attnzoo.data.surface import Surface, coordinate_image, raw_surface
from attnzoo.data.tiktok_take import THRESHOLD, Shot, Take
from attnzoo.data.windows import Damaged, Frame, Memory, Recording, places
from attnzoo.errors import UserError

JOINTS = "the poses of data=tiktok are joints here, which have no surface"
PICTURES = "the poses of data=tiktok are pictures here, not joints"


class Dance(Recording):
    """A take at the clip's size; every picture of a frame is cut to the same central square."""

    def __init__(self, take: Take, size: int, memory: Memory | None = None) -> None:
        super().__init__(take.name, len(take.frames), size, memory)
        self.take = take
        self.damaged: dict[int, str] = {}
        self.decoded = False

    def read(self, index: int) -> Frame:
        """Frame `index`, decoded.

        Raises:
            UserError: as `Take.shot`.
        """
        shot = self.take.shot(index, self.size)
        mask = square(shot.mask.astype(np.uint8) * 255, self.size) > THRESHOLD
        picture = square(shot.picture, self.size)
        return Frame(picture=picture, mask=mask, **self._posed(shot))

    def _posed(self, shot: Shot) -> dict[str, Any]:
        """What the pose decides of a frame: its picture, its coordinates, what flow is from."""
        fine = max(self.size, FINE)
        seen = square(shot.picture, fine)
        pose = square(shot.pose, self.size)
        if shot.limbs is not None:
            return {"pose": pose, "look": Look(seen, None, JOINTS, shot.limbs)}
        surface = raw_surface(shot.pose, fine)
        if isinstance(surface, Surface) and surface.channel is not None:
            # Numbers of parts and places on them are no colours: none is mixed with another.
            pose, seen = (square(shot.pose, side, nearest=True) for side in (self.size, fine))
            still = seen[..., surface.channel] == 0
            return {
                "pose": pose,
                "coordinates": coordinate_image(pose, surface.channel),
                "look": Look(seen, still, surface, PICTURES),
            }
        if not self.take.dense:
            return {"pose": pose, "look": Look(seen, None, surface, PICTURES)}
        covered = Backdrop.of(shot.pose).covered(shot.pose)
        cleared = shot.pose if covered is None else shot.pose * (covered > 0)[..., None]
        look = Look(
            square(cleared, fine),
            None if covered is None else square(covered, fine) <= THRESHOLD,
            surface,
            PICTURES,
        )
        return {"pose": square(cleared, self.size), "look": look}

    def background_from(self, index: int) -> Sequence[int]:
        """That frame alone: every frame has a mask."""
        return (index,)

    def stamps(self) -> list[Stamp]:
        """Of the take's files."""
        return self.take.stamps()

    def digest(self, index: int) -> str:
        """SHA-256 of the frame's parts."""
        return self.take.digest(index)

    def page(self) -> Page:
        """What the catalogue is to hold of this dance; reads every frame's bytes."""
        digests = ("" if i in self.damaged else self.digest(i) for i in range(self.count))
        return Page(tuple(digests), self.damaged, self.decoded)

    @property
    def page_name(self) -> str:
        """Under which the catalogue holds this dance."""
        together = "\n".join(self.take.frames).encode(errors="surrogateescape")
        names = hashlib.sha256(together).hexdigest()
        return f"{self.take.place}\n{self.name}\n{names}"

    def whole(self, start: int, frames: int) -> bool:
        """Whether the window that starts there has no damaged frame."""
        return self.damaged.keys().isdisjoint(places(start, self.count, frames, 1))


def inspect(
    dances: Sequence[Dance], damaged: Damaged, catalogue: Catalogue | None, most: int
) -> None:
    """Finds the damage in dances, and refuses or notes it in `Dance.damaged`.

    Names alone tell which frames lack a mask or pose, of any number of dances. Every frame is
    decoded where there are `most` at most, or where damage is to be left out: what stays must be
    known before training. A dance of which the catalogue knows is not read again.

    Raises:
        UserError: a frame is damaged or lacks something, and `damaged` is refuse.
    """
    decodes = damaged is Damaged.skip or sum(dance.count for dance in dances) <= most
    for dance in dances:
        page = catalogue.page(dance.page_name, dance.stamps()) if catalogue else None
        found = dance.take.missing() if page is None else page.damaged
        if damaged is Damaged.refuse and found:
            raise UserError(found[min(found)])
        dance.damaged, dance.decoded = dict(found), page is not None and page.decoded
        if not dance.decoded and decodes and (page is None or damaged is Damaged.skip):
            _decode(dance, damaged)


def _decode(dance: Dance, damaged: Damaged) -> None:
    for index in range(dance.count):
        if index in dance.damaged:
            continue
        try:
            dance.frame(index)
        except UserError as error:
            if damaged is Damaged.refuse:
                raise
            dance.damaged[index] = str(error)
    dance.decoded = True
