"""Rows as a table for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attnzoo.bench.row import Row, Status

_HEAD = (
    "variant", "what", "sizes", "manner", "latency [ms]", "(quartiles)", "frames/s", "peak MiB",
    "GFLOP", "GB moved", "FLOP/B", "roofline", "status",
)  # fmt: skip
_LEFT = {0, 1, 2, 3, len(_HEAD) - 1}


def table(rows: Sequence[Row]) -> str:
    """One line a row, in their order; what was predicted stands behind a ~."""
    return aligned([_HEAD, *map(_line, rows)], _LEFT)


def aligned(lines: Sequence[Sequence[str]], left: set[int]) -> str:
    """Columns of equal width, those in `left` to the left."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            f"{text:<{width}}" if i in left else f"{text:>{width}}"
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _line(row: Row) -> tuple[str, ...]:
    cell, facts, mark = row.cell, row.facts, "~" if row.predicted else ""
    low, high = row.latency_low, row.latency_high
    return (
        cell.variant,
        cell.where,
        cell.sizes,
        cell.manner,
        _said(row.latency, lambda s: f"{mark}{milliseconds(s)}"),
        f"{milliseconds(low)} to {milliseconds(high)}" if low is not None and high else "",
        _said(row.throughput, lambda v: f"{v:.1f}"),
        _said(facts.peak_memory, lambda v: f"{mark}{v / 2**20:.1f}"),
        _flops(row),
        _said(facts.bytes_moved, lambda v: f"{v / 1e9:.3g}"),
        _said(row.intensity, lambda v: f"{v:.1f}"),
        _said(row.roofline_share, lambda v: f"{v:.0%}"),
        _status(row),
    )


def _status(row: Row) -> str:
    if row.status is not Status.ok:
        return f"{row.status.value}: {row.reason}"
    once = f", {milliseconds(row.amortised)} ms a step" if row.amortised is not None else ""
    return f"{row.facts.agreement}{once}"


def _flops(row: Row) -> str:
    counted, useful = row.facts.flops, row.facts.flops_useful
    if counted is None or useful is None:
        return ""
    wasted = "" if useful >= counted else f" of {counted / 1e9:.3g}"
    return f"{useful / 1e9:.3g}{wasted}"


def _said(value: float | int | None, how: Callable[[float], str]) -> str:
    return "" if value is None else how(value)


def milliseconds(seconds: float) -> str:
    """Three digits that count, as milliseconds."""
    value = 1e3 * seconds
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
