"""A sequence of frames of which only the first are in memory; the others lie in a file."""

from __future__ import annotations

import os
import pickle
import tempfile
import weakref
import zlib
from collections.abc import Iterable

from attnzoo.data.windows import KEPT_BYTES, Frame


class Spool:
    """Frames that are put away once and read again in any order, from any thread.

    Args:
        frames: what comes is put away at once.
        limit: bytes in memory. What is beyond goes, compressed, to a file without a name in the
            folder for temporary files (`TMPDIR`), which goes with this object or process.
    """

    def __init__(self, frames: Iterable[Frame], limit: int = KEPT_BYTES) -> None:
        self._kept: list[Frame] = []
        self._bounds = [0]
        self._file = -1
        held = 0
        for frame in frames:
            content = pickle.dumps(frame, protocol=pickle.HIGHEST_PROTOCOL)
            if held + len(content) <= limit and self._file < 0:
                held += len(content)
                self._kept.append(frame)
            else:
                self._append(zlib.compress(content, 1))

    def __len__(self) -> int:
        return len(self._kept) + len(self._bounds) - 1

    def __getitem__(self, index: int) -> Frame:
        """Frame `index`, the first being 0."""
        place = index - len(self._kept)
        if place < 0:
            return self._kept[index]
        start, end = self._bounds[place : place + 2]
        frame: Frame = pickle.loads(zlib.decompress(os.pread(self._file, end - start, start)))
        return frame

    def _append(self, content: bytes) -> None:
        if self._file < 0:
            handle, path = tempfile.mkstemp(prefix="attnzoo-")
            os.unlink(path)
            self._file = handle
            weakref.finalize(self, os.close, handle)
        end = self._bounds[-1] + len(content)
        left = memoryview(content)
        while left:  # a disk that gets full takes a part, and complains of the next
            left = left[os.pwrite(self._file, left, end - len(left)) :]
        self._bounds.append(end)
