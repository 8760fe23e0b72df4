"""A row: what was found out about a cell, and the files that hold rows."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pandas as pd

from attnzoo.bench.cell import Cell
from attnzoo.errors import UserError
from attnzoo.files import replacing


class Status(Enum):
    """How the measurement of a cell ended; only `ok` has a speed that was measured.

    out_of_memory, too_long: it was not finished, or not tried (`predicted`); unavailable: cannot
    run here; wrong: its output is not what it should be; failed: an error.
    """

    ok = "ok"
    out_of_memory = "out_of_memory"
    too_long = "too_long"
    unavailable = "unavailable"
    wrong = "wrong"
    failed = "failed"


@dataclass(frozen=True)
class Facts:
    """What does not depend on the clock. agreement: with what an output was compared and how near.

    flops: counted products; flops_useful: without what a mask throws away; bytes_moved: between
    memory and operators, see `attnzoo.bench.traffic`; bytes_least: weights, input and output once;
    peak_memory: bytes beyond what was held before. None: not known.
    """

    agreement: str
    flops: int | None = None
    flops_useful: int | None = None
    bytes_moved: int | None = None
    bytes_least: int | None = None
    peak_memory: int | None = None


@dataclass(frozen=True)
class Row:
    """A cell with all that was found out about it.

    latency: median in seconds, with quartiles and the 95 % interval of the median; throughput:
    frames per second; intensity: useful FLOPs per byte moved; roofline_share: of what the
    machine's own peaks allow at this intensity; amortised: seconds per denoising step of what is
    done once a clip; predicted: latency and peak_memory come from a fit and were not measured.
    """

    cell: Cell
    key: str
    status: Status
    reason: str = ""
    predicted: bool = False
    facts: Facts = field(default_factory=lambda: Facts(""))
    latency: float | None = None
    latency_low: float | None = None
    latency_high: float | None = None
    interval: tuple[float, float] | None = None
    seconds: Sequence[float] = ()
    throughput: float | None = None
    intensity: float | None = None
    roofline_share: float | None = None
    amortised: float | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def plain(self) -> dict[str, Any]:
        """One flat mapping of plain JSON values; the environment is one of them."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del own["cell"], own["facts"]
        return {
            "cell": self.cell.digest,
            **self.cell.plain,
            **dataclasses.asdict(self.facts),
            **own,
            "status": self.status.value,
            "rounds": len(self.seconds),
            "seconds": list(self.seconds),
            "interval": None if self.interval is None else list(self.interval),
        }

    @staticmethod
    def of(values: Mapping[str, Any]) -> Row:
        """The row of what `plain` gave.

        Raises:
            ValueError, KeyError, TypeError: it is none; what takes long relies on its types.
        """

        def part(kind: Any) -> dict[str, Any]:
            return {f.name: values[f.name] for f in dataclasses.fields(kind) if f.name in values}

        interval = values["interval"]
        own = {
            **part(Row),
            "status": Status(values["status"]),
            "seconds": tuple(values["seconds"]),
            "interval": None if interval is None else tuple(interval),
        }
        cell, facts = Cell.of(part(Cell)), Facts(**part(Facts))
        row = Row(**{**own, "cell": cell, "facts": facts})
        for one in (cell, facts, row):
            check_types(one)
        if row.status is Status.ok and row.latency is not None and not row.seconds:
            raise ValueError("a latency without the rounds that it is the median of")
        return row


def check_types(made: Any) -> None:
    """ValueError that names the first field whose value is of another type than it says."""
    for name, hint in get_type_hints(type(made)).items():
        value = getattr(made, name)
        if not _fits(value, hint):
            of = getattr(hint, "__name__", hint)
            raise ValueError(f"{name} is {repr(value)[:60]}, not of type {of}")
    numbers = made.environment if isinstance(made, Row) else {}
    for name, value in numbers.items():
        if name.startswith(("peak_", "others")) and not _fits(value, float | None):
            raise ValueError(f"{name} is {repr(value)[:60]}, and is to be a number")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, of those that rows have."""
    kind, inside = get_origin(hint) or hint, get_args(hint)
    if kind is types.UnionType:
        return any(_fits(value, one) for one in inside)
    if kind in (int, float):
        number = isinstance(value, int | kind) and not isinstance(value, bool)
        return number and abs(value) < _LARGEST
    if kind is tuple:
        return isinstance(value, tuple) and len(value) == len(inside) and _all_fit(value, inside[0])
    if kind is Sequence:
        return isinstance(value, tuple) and _all_fit(value, inside[0])
    return isinstance(value, kind)


def _all_fit(values: tuple[Any, ...], hint: Any) -> bool:
    return all(_fits(value, hint) for value in values)


_LARGEST = 1 << 63
"""No number of a row is as large, and of much larger integers there is no float."""


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Rows as JSON lines, and without the single rounds as CSV beside them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        beside.write_text("".join(json.dumps(row.plain) + "\n" for row in rows))
    table = pd.json_normalize([_flat(row.plain) for row in rows], max_level=1, sep="_")
    with replacing(path.with_suffix(".csv")) as beside:
        table.to_csv(beside, index=False)


def _flat(plain: dict[str, Any]) -> dict[str, Any]:
    del plain["seconds"]
    low, high = plain.pop("interval") or (None, None)
    options = json.dumps(plain["options"])
    return {**plain, "options": options, "interval_low": low, "interval_high": high}


def read_rows(path: Path, key: str) -> list[Row]:
    """The rows of a file that `write_rows` wrote; `key` is how errors call it.

    Raises:
        UserError: no such file, or no rows.
    """
    try:
        lines = _regular(path).read_text().splitlines()
        return [Row.of(json.loads(line)) for line in lines if line]
    except OSError as error:
        raise UserError(f"{key}={path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{key}={path}: is no file of rows of this bench ({type(error).__name__}: {error})"
        ) from error


def _regular(path: Path) -> Path:
    # Here, since this room runs on the other parts of earlier commits, too, by `base=`.
    from attnzoo.paths import regular

    return regular(path)
