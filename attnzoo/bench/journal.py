"""What a run has found out so far, on disk as it comes, so that one that is killed can go on."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attnzoo.bench.row import Facts, check_types
from attnzoo.files import replacing

_LOG = logging.getLogger(__name__)

_SUM = "crc32"
_NO_ENTRY = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What a line raises that is none of ours."""


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} are no seconds")
    return float(value)


def _sum(entry: Mapping[str, object]) -> int:
    return zlib.crc32(json.dumps(entry).encode())


def _entry(line: str) -> dict[str, Any]:
    """What a line holds; ValueError unless it is as it was written."""
    entry: dict[str, Any] = json.loads(line)
    if entry.pop(_SUM) != _sum(entry):
        raise ValueError("its checksum is another")
    return entry


class Journal:
    """One line a fact or a round, appended; what is cut off counts as not there.

    A line that a disk has damaged costs what stands in it, with a notice, and none of the others.

    Cells stand there by their keys, which say what was measured, with which code, and where.
    """

    def __init__(self, path: Path, address: str) -> None:
        """Reads what an earlier run has left at `path`, if it ran under the same `address`."""
        self.facts: dict[str, Facts] = {}
        self.seconds: dict[str, list[float]] = {}
        self.first: dict[str, float] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whatever a disk has left there: a line that is no text is no line of ours.
        text = path.read_bytes().decode(errors="replace") if path.is_file() else ""
        head, *lines = text.split("\n")
        whole = [json.dumps({"address": address})]
        for number, line in enumerate(lines if head == whole[0] else [], start=2):
            try:
                self._take(_entry(line))
            except _NO_ENTRY as error:
                if number <= len(lines):  # what was cut off is the last one, and no damage
                    _LOG.warning(
                        "%s, line %d is damaged (%s): what stood there is measured again",
                        path, number, error,
                    )  # fmt: skip
                continue
            whole.append(line)
        with replacing(path) as beside:  # a kill here must not take what was known
            beside.write_text("".join(f"{line}\n" for line in whole))
        self._file = path.open("a")

    def _take(self, entry: Mapping[str, object]) -> None:
        if "round" in entry:
            found = dict(entry["round"])  # type: ignore[call-overload]
            times = {str(key): _seconds(value) for key, value in found.items()}
            for key, seconds in times.items():
                self.seconds.setdefault(key, []).append(seconds)
        else:
            key, first = str(entry["key"]), _seconds(entry["first"])
            facts = Facts(**entry["facts"])  # type: ignore[arg-type]
            check_types(facts)
            self.facts[key] = facts
            self.first[key] = first

    def add_facts(self, key: str, facts: Facts, first: float) -> None:
        """Of a cell that is ready; first: seconds of its last run before the rounds."""
        self.facts[key], self.first[key] = facts, first
        self._write({"key": key, "facts": dataclasses.asdict(facts), "first": first})

    def add_round(self, seconds: Mapping[str, float]) -> None:
        """Of a round that is done, the seconds of each cell."""
        self._write({"round": dict(seconds)})

    def _write(self, entry: Mapping[str, object]) -> None:
        self._file.write(json.dumps({**entry, _SUM: _sum(entry)}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Nothing more is written to it."""
        self._file.close()
