"""The paper's Tables 1 to 3, as printed.

"Dance Your Latents: Consistent Dance Generation through Spatial-temporal Subspace Attention Guided
by Motion Flow" (Fang et al., 2023, arXiv 2310.14780), section 5, on the TikTok data set. PSNR there
is about 29 dB beside L1 of 3.7e-4, which cannot both be right: very probably it was squared in 8
bits, as DisCo's tool did at that time, and 29 dB of it are about 15 to 19 dB. L1 is that tool's, of
255 and divided by the number of pixels.
"""

from __future__ import annotations

from collections.abc import Mapping

from attnzoo.report.folder import Cell

HIGHER = frozenset({"SSIM", "PSNR"})
OVERFLOWED = {"PSNR": "PSNR with overflow"}
"""What a published metric has to be called that is not what its name says."""
METRICS = ("FID", "SSIM", "PSNR", "LPIPS", "L1", "FID-VID", "FVD")

Rows = Mapping[str, Mapping[str, str]]


def _rows(metrics: tuple[str, ...], text: str) -> dict[str, dict[str, str]]:
    """Of lines `name: numbers`."""
    found = {}
    for line in text.strip().splitlines():
        name, _, numbers = line.partition(":")
        found[name.strip()] = dict(zip(metrics, numbers.split(), strict=True))
    return found


_VIDEO = ("FID", "FID-VID", "FVD")
TABLES: Mapping[str, Rows] = {
    "table1": _rows(
        METRICS,
        """
        dreampose:         72.62 0.511 28.11 0.442 6.88E-04 53.36 671.50
        disco:             30.75 0.667 29.02 0.292 3.79E-04 24.70 562.01
        none:              32.13 0.665 29.11 0.294 3.77E-04 21.34 441.64
        stsa [4,4,4]:      30.88 0.667 29.08 0.293 3.78E-04 17.76 366.52
        stsa_flow [4,4,4]: 29.30 0.671 29.10 0.292 3.74E-04 15.83 334.81
        """,
    ),
    "table2": _rows(
        _VIDEO,
        """
        crossframe_first:    34.82 21.68 451.25
        crossframe_middle:   32.46 21.25 434.70
        crossframe_previous: 30.95 18.89 396.27
        crossframe_all:      35.73 19.04 402.72
        temporal:            31.25 19.13 402.34
        stsa [4,4,4]:        30.88 17.76 366.52
        """,
    ),
    "table3": _rows(
        _VIDEO,
        """
        stsa [4,2,2]: 30.90 18.02 386.96
        stsa [4,4,4]: 30.88 17.76 366.52
        stsa [8,4,4]: 31.21 17.68 368.15
        """,
    ),
}
"""By table, then by the row's `role`, then by metric; the text as the paper prints it."""


def role(cell: Cell) -> str:
    """What a cell is in the paper's terms: a method, or a mechanism with its subspace size.

    What was added to the protocol is nothing of the paper's, whatever its settings are.
    """
    if cell.added:
        return f"added: {cell.id}"
    method = cell.setting("method", "video")
    if method != "video":
        return method
    if cell.attn in ("stsa", "stsa_flow"):
        return f"{cell.attn} {cell.setting('size', '[4,4,4]').replace(' ', '')}"
    return cell.attn


def published(table: str, cell: Cell) -> Mapping[str, str]:
    """The paper's numbers for a row of one of its tables, as printed; empty if it has none."""
    return TABLES.get(table, {}).get(role(cell), {})


def value(table: str, row: str, metric: str) -> float:
    """One of the numbers."""
    return float(TABLES[table][row][metric])


def ranks(metric: str, values: Mapping[str, float]) -> dict[str, int]:
    """The rank of each row by a published metric, 1 the best; equal values share the better one."""
    sign = -1 if metric in HIGHER else 1
    return {
        row: 1 + sum(sign * other < sign * one for other in values.values())
        for row, one in values.items()
    }
