"""All tables of a results folder, and the files `tables/` that they become."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from attnzoo.errors import UserError
from attnzoo.files import replacing
from attnzoo.report.alike import alike_note
from attnzoo.report.caveats import caveats, few_samples, lost_logos
from attnzoo.report.claims import Judged, judged, tried_explanation
from attnzoo.report.claims_page import claims_page
from attnzoo.report.costs import hardware
from attnzoo.report.explanation import Explanation
from attnzoo.report.folder import PROTOCOL, Folder, TableRows, frame_of, make_inside, read_folder
from attnzoo.report.latex import latex
from attnzoo.report.markdown import markdown
from attnzoo.report.noise_camera import noise_camera_table
from attnzoo.report.pairs import Scores
from attnzoo.report.power import (
    Power,
    nominal,
    power_markdown,
    powers,
    powers_csv,
    too_small,
)
from attnzoo.report.quality import quality_table
from attnzoo.report.references import families
from attnzoo.report.scenarios import scenario_table
from attnzoo.report.table import Table
from attnzoo.report.tidy import tidy
from attnzoo.report.unlike import unlike

QUICK = "Too short to judge: a quick run, made to see that everything works."
NOT_COMPARABLE = (
    "The data are embedded dancers, not TikTok: absolute values are not comparable with the "
    "paper's, ranks (#, 1 the best) and signs are."
)
INTERVALS = (
    "Means with 95 % intervals over seeds, each a training that is scored on videos of its own; of "
    "one seed, over its videos. Distances of sets are at one seed's number of videos. Rows share "
    "seeds and videos: a difference may be told where intervals overlap."
)
KIN = (
    "What stands beside a published metric asks for the same thing and is not it: FD-embedded and "
    "FVD-embedded have a network of their own; SSIM is of colours with a Gaussian window, PSNR "
    "without the overflow of 8 bits that the published one very probably has, L1 per intensity in "
    "[0, 1]."
)
REAL = (
    "Real clips: the same measure of the real clips themselves, what a perfect generator gets; "
    "but of distances of sets it gets 0."
)
COSTS = (
    "Costs are of one clip of the protocol's size, measured alone on {hardware}; training is the "
    "mean over seeds."
)


@dataclass(frozen=True)
class Findings:
    """A results folder read once, and what is made of it when it is asked for."""

    folder: Folder
    frame: pd.DataFrame
    protocol: Mapping[str, Any]

    @cached_property
    def scores(self) -> Scores:
        """All scores by cell and measure."""
        return Scores(self.frame, families(self.folder))

    @cached_property
    def tables(self) -> list[Table]:
        """The tables of the protocol, in its order."""
        return [self._table(rows) for rows in self.folder.tables.values()]

    @cached_property
    def claims(self) -> list[Judged]:
        """The paper's claims with their verdicts."""
        return judged(self.folder, self.scores, self.protocol)

    @cached_property
    def explanation(self) -> Explanation | None:
        """The verdict on the sixth table's question, None without that table."""
        return tried_explanation(self.folder, self.scores)

    @cached_property
    def powers(self) -> list[list[Power]]:
        """The smallest effects that the protocol can see, by table."""
        return powers(self.folder, self.scores)

    @cached_property
    def told(self) -> list[Table]:
        """The tables with what they can see among their notes, which takes simulations."""
        of = {f"table{one[0].table}": one for one in self.powers}
        return [self._told(table, of.get(table.name, [])) for table in self.tables]

    @cached_property
    def caveats(self) -> list[str]:
        """What has to be known of the numbers that claims are judged by."""
        return caveats(self.folder, self.scores, self.protocol, self.claims)

    @property
    def nominal(self) -> str:
        """What the 5 % of tests are by simulation."""
        return nominal([one for of_table in self.powers for one in of_table])

    @property
    def made(self) -> str:
        """One sentence on where the numbers are from."""
        return self.made_of()

    def made_of(self, *tables: str) -> str:
        """The same of some tables, default all."""
        protocol, seeds = self.protocol, len(self.folder.seeds)
        hashed = str(protocol.get("hash", "unknown"))[:12]
        clips = self.folder.clips_told(*tables) or protocol.get("clips", "?")
        return (
            f"Made by `{protocol.get('command', '?')}`, protocol {self.folder.name} ({hashed}), "
            f"{seeds} seed{'s' * (seeds != 1)} of {clips} videos."
        )

    def _table(self, rows: TableRows) -> Table:
        if rows.name == "table4":
            table = scenario_table(self.folder, self.scores, rows, self.frame)
        elif rows.name == "table6":
            table = noise_camera_table(self.folder, self.scores, rows)
        else:
            table = quality_table(self.folder, self.scores, rows)
        first, notes = [NOT_COMPARABLE], [INTERVALS]
        cells = [row.cell for row in rows.rows]
        if self.folder.quick:
            table = replace(table, title=f"{table.title} (too short to judge)")
            first.insert(0, QUICK)
        if rows.name not in ("table4", "table6"):
            notes += [KIN, *self._lpips(rows), few_samples(self.folder, cells), REAL]
        if rows.name != "table6":
            notes.append(lost_logos(self.scores, rows))
            notes.append(alike_note(self.scores, rows))
        if any(column.kind == "cost" for column in table.columns):
            notes.append(COSTS.format(hardware=self._hardware(rows)))
        return replace(table, notes=tuple(filter(None, (*first, *table.notes, *notes))))

    @staticmethod
    def _told(table: Table, of: Sequence[Power]) -> Table:
        if not of:
            return table
        return table.with_notes(*filter(None, (too_small(of), nominal(of))))

    def _lpips(self, rows: TableRows) -> list[str]:
        reasons = {self.scores.sample(row.cell, "lpips").reason for row in rows.rows}
        reasons -= {"", "no record"}
        if not reasons:
            return []
        why = "; ".join(sorted(reasons))
        return [f"LPIPS could not be had ({why}): the embedded network's distance is no LPIPS."]

    def _hardware(self, rows: TableRows) -> str:
        costs = (self.folder.costs.get(row.cell) for row in rows.rows)
        found = {hardware(cost.get("environment") or {}) for cost in costs if cost is not None}
        return " and ".join(sorted(found)) or "an unknown machine"


def findings(folder: Path) -> Findings:
    """Reads a results folder.

    Raises:
        UserError: it is none, it has no finished record, or a file is not as it should be.
    """
    found = read_folder(folder)
    records = folder / "records"
    if not any(found.records.values()):
        raise UserError(f"{records}: no cell has a finished record, so there is nothing to report")
    return Findings(found, frame_of(found), json.loads((folder / PROTOCOL).read_text()))


def tables_of(folder: Path) -> list[Table]:
    """The tables of a results folder."""
    return findings(folder).tables


def write_tables(folder: Path, found: Findings | None = None) -> list[Path]:
    """Writes `tables/` of a results folder, from what was found in it already, if given.

    Returns the files.

    `table1..6.{md,csv,tex}`, `claims.md`, `power.{md,csv}`. Files of tables that the protocol does
    not have stay as they are.

    Raises:
        UserError: as `findings`, or `tables` is a file.
    """
    found = found or findings(folder)
    out = make_inside(folder, "tables")
    texts: dict[str, str] = {}
    for table in found.told:
        heading = f"Table {table.name.removeprefix('table')}: {table.title}"
        whole = table.with_notes(found.made_of(table.name))
        texts[f"{table.name}.md"] = markdown(whole, heading)
        texts[f"{table.name}.csv"] = tidy(table)
        texts[f"{table.name}.tex"] = latex(whole, heading)
    texts["claims.md"] = claims_page(
        found.claims,
        found.explanation,
        found.made,
        unlike(found.protocol),
        found.caveats,
        found.nominal,
    )
    texts["power.md"] = power_markdown(found.powers, found.made)
    texts["power.csv"] = powers_csv([one for of_table in found.powers for one in of_table])
    return [_write(out / name, text) for name, text in texts.items()]


def _write(path: Path, text: str) -> Path:
    with replacing(path) as beside:
        # A path that is no Unicode, as of a file in a message, is shown by its bytes.
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path
