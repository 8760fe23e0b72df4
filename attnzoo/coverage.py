"""`python -m attnzoo coverage --out FOLDER`: how often the intervals hold the truth, simulated.

Writes `coverage.csv`, `coverage.md` and `coverage.png`: the intervals of means and of Fréchet
distances, and the false alarms of the paired test, for several numbers of videos and several
distributions, whatever comes out.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnzoo import commands
from attnzoo.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

MOST = 1_000_000
"""Simulations of a row."""

PANELS = (
    ("mean", "in use", "mean of a score: the interval in use"),
    ("mean", "Student's t", "the same by Student's t alone"),
    ("mean", "BCa", "the same by BCa alone"),
    ("distance", "in use", "Fréchet distance: the interval in use"),
    ("test", "sign flips", "paired sign-flip test: false alarms"),
)


def command(arguments: Sequence[str]) -> None:
    """Simulates, prints a line a row, and writes table and picture."""
    parser = commands.Parser("attnzoo coverage", description="Simulate what intervals are worth.")
    parser.add_argument(
        "--out", type=commands.path, required=True, metavar="FOLDER", help="where to write"
    )
    parser.add_argument("--simulations", type=int, default=1000, help="of each row (%(default)s)")
    parser.add_argument("--seed", type=commands.seed, default=0, help="(%(default)s)")
    given = parser.parse_args(arguments)
    if given.simulations < 10:
        raise UserError(f"--simulations {given.simulations}: at least 10 are needed")
    if given.simulations > MOST:
        raise UserError(f"--simulations {given.simulations}: at most {MOST}, which takes days")
    try:
        given.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {given.out}: {error.strerror or error}") from error
    table = _simulated(given.simulations, given.seed)
    how = f"python -m attnzoo coverage --simulations {given.simulations} --seed {given.seed}"
    _write(given.out, table, f"`{how}` on {_machine()}")
    print((given.out / "coverage.md").read_text())


def _simulated(simulations: int, seed: int) -> pd.DataFrame:
    import pandas as pd
    from tqdm import tqdm

    from attnzoo.metrics.statistics.coverage import rows_to_come, simulate

    rows = tqdm(simulate(simulations, seed=seed), total=rows_to_come(), unit="row", disable=None)
    return pd.DataFrame([asdict(row) for row in rows])


def _machine() -> str:
    import numpy
    import scipy

    from attnzoo.bench.hardware import hardware

    found = hardware()
    return (
        f"{found['cpu']} ({found['cores']} core{'s' * (found['cores'] > 1)} used), Python "
        f"{platform.python_version()}, numpy {numpy.__version__}, scipy {scipy.__version__}"
    )


def _write(folder: Path, table: pd.DataFrame, how: str) -> None:
    from attnzoo.files import replacing

    with replacing(folder / "coverage.csv") as beside:
        table.to_csv(beside, index=False)
    with replacing(folder / "coverage.md") as beside:
        beside.write_text(_markdown(table, how))
    with replacing(folder / "coverage.png") as beside:
        _draw(table).savefig(beside, dpi=110, format="png")


def _markdown(table: pd.DataFrame, how: str) -> str:
    """One table a panel: distributions down, numbers of videos across, in percent."""
    simulations = int(table["simulations"].iloc[0])
    lines = [
        "# What the intervals are worth",
        "",
        f"Share of {simulations} simulated data sets, in percent. An interval should hold the "
        "truth in 95 of 100, a test should give a false alarm in 5. The simulation's own "
        f"standard error is {100 * (0.95 * 0.05 / simulations) ** 0.5:.1f} at 95.",
        "",
        f"Made by {how}.",
    ]
    for what, method, title in PANELS:
        part = table[(table["what"] == what) & (table["method"] == method)]
        wide = part.pivot(index="world", columns="n", values="actual").reindex(
            part["world"].drop_duplicates()
        )
        lines += ["", f"## {title[0].upper()}{title[1:]}", ""]
        lines.append("| distribution | " + " | ".join(f"{n} videos" for n in wide.columns) + " |")
        lines.append("| --- |" + " ---: |" * len(wide.columns))
        for world, row in wide.iterrows():
            lines.append(f"| {world} | " + " | ".join(f"{100 * v:.1f}" for v in row) + " |")
    return "\n".join(lines) + "\n"


def _draw(table: pd.DataFrame) -> Any:
    import seaborn as sns
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7.2), layout="constrained")
    grid = figure.subplots(2, 3)
    for axes, (what, method, title) in zip(grid.flat, PANELS, strict=False):
        part = table[(table["what"] == what) & (table["method"] == method)]
        nominal, worlds = part["nominal"].iloc[0], part["world"].drop_duplicates()
        axes.axhline(nominal, color="0.3", linewidth=1, linestyle="--")
        styles = zip(sns.color_palette("colorblind"), "osD^vP", strict=False)
        for (colour, marker), world in zip(styles, worlds, strict=False):
            rows = part[part["world"] == world]
            axes.errorbar(
                rows["n"],
                rows["actual"],
                2 * rows["error"],
                color=colour,
                marker=marker,
                markersize=5,
                linewidth=1.2,
                capsize=2,
                label=world,
            )
        counts = sorted(part["n"].unique())
        axes.set_xscale("log")
        axes.set_xticks(counts, [str(n) for n in counts], minor=False)
        axes.set_xticks([], minor=True)
        axes.set_ylim((0, 0.2) if what == "test" else (0.6, 1.01))
        axes.set(title=title, xlabel="videos", ylabel=f"share (nominal {nominal:.2f})")
        axes.legend(fontsize=7, loc="upper right" if what == "test" else "lower right")
    grid.flat[-1].axis("off")
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
