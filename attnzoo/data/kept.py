"""What several recordings keep in memory together, up to a limit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

_T = TypeVar("_T")


class Kept:
    """Values by key; those used longest ago make way when all together exceed `limit` bytes.

    May be asked from several threads at once. Two that ask for the same new key both build it.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.held = limit, 0
        self._values: OrderedDict[Hashable, tuple[int, Any]] = OrderedDict()
        self._lock = Lock()

    def __call__(self, key: Hashable, size: int, build: Callable[[], _T]) -> _T:
        """The value under `key`, of `size` bytes; `build()` if it is not there (any more)."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                found: _T = self._values[key][1]
                return found
        made = build()
        with self._lock:
            self.held += size - self._values.pop(key, (0, None))[0]
            self._values[key] = (size, made)
            while self.held > self.limit and len(self._values) > 1:
                self.held -= self._values.popitem(last=False)[1][0]
        return made
