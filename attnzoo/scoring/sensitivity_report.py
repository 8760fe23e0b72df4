"""The table of metrics and damages: CSV, Markdown and a heat map."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from attnzoo.damage import Damage, Kind
from attnzoo.files import replacing
from attnzoo.scoring.sensitivity import Rank, Sensitivity, Sight, Value

MILD = 2
"""The grade of a spatial damage that counts as mild."""
SEVERE = ("elastic_trembling", "freeze", "jitter", "shuffle")
"""Temporal damages whose last grade nobody would prefer to a mild spatial one."""


@dataclass(frozen=True)
class Made:
    """The command, and what the clips were."""

    command: str
    clips: str


def write(
    folder: Path,
    found: Sensitivity,
    sights: Sequence[Sight],
    damages: Sequence[Damage],
    made: Made,
) -> None:
    """Writes the tables `values.csv`, `ranks.csv`, `distort.md` and two heat maps into a folder."""
    values = [{k: v for k, v in asdict(v).items() if k != "clips"} for v in found.values]
    for name, rows in (("values", values), ("ranks", [asdict(rank) for rank in found.ranks])):
        with replacing(folder / f"{name}.csv") as beside:
            pd.DataFrame(rows).to_csv(beside, index=False)
    shown = [sight for sight in sights if any(r.metric == sight.key for r in found.ranks)]
    with replacing(folder / "distort.md") as beside:
        beside.write_text(markdown(found, shown, damages, made))
    for name, draw in (("ranks", _draw_ranks), ("reactions", _draw_reactions)):
        with replacing(folder / f"{name}.png") as beside:
            draw(found, shown, damages, made).savefig(beside, dpi=100, format="png")


def markdown(
    found: Sensitivity, sights: Sequence[Sight], damages: Sequence[Damage], made: Made
) -> str:
    """The table, the damages, the case of temporal against spatial damage, and what is absent."""
    ranks = {(rank.metric, rank.damage): rank for rank in found.ranks}
    lines = [
        "# What each metric sees",
        "",
        f"{made.clips}. Made by `{made.command}`.",
        "",
        "Spearman's rank correlation of a metric's badness with the grade of the damage, 0 being "
        "none (Kendall's is in `ranks.csv`). 1: ordered rightly throughout. In brackets: even the "
        "strongest grade does not stand out (pairs: sign flips over these clips at 1 %; "
        "distances: a damaged half of the clips is no farther from the other half than an "
        "undamaged one). –: no change at all.",
        "",
        "| metric | " + " | ".join(d.name.replace("_", " ") for d in damages) + " |",
        "| --- |" + " ---: |" * len(damages),
    ]
    for sight in sights:
        cells = [cell(ranks[sight.key, damage.name]) for damage in damages]
        lines.append(f"| {sight.label} | " + " | ".join(cells) + " |")
    lines += _reactions(found, sights, damages)
    lines += ["", "## Damages", ""]
    for damage in damages:
        grades = ", ".join(f"{grade:g}" for grade in damage.grades)
        lines.append(
            f"- **{damage.name.replace('_', ' ')}** ({damage.kind.value}): {damage.title}; "
            f"{grades} {damage.unit}"
        )
    lines += _published_case(found, sights, damages)
    if found.absent:
        lines += ["", "## Not computed", ""]
        lines += [f"- {label}: {reason}" for label, reason in found.absent.items()]
    lines += ["", "## Definitions", ""]
    lines += [f"- {sight.metric.statement(sight.said)}" for sight in sights]
    return "\n".join(lines) + "\n"


def _reactions(found: Sensitivity, sights: Sequence[Sight], damages: Sequence[Damage]) -> list[str]:
    lines = [
        "",
        "## What weighs with each metric",
        "",
        "How much worse the strongest grade of each damage is than none, as a share of the "
        "metric's largest.",
        "",
        "| metric | " + " | ".join(d.name.replace("_", " ") for d in damages) + " |",
        "| --- |" + " ---: |" * len(damages),
    ]
    for sight in sights:
        row = map(_text, reaction(found, sight.key, damages))
        lines.append(f"| {sight.label} | " + " | ".join(row) + " |")
    return lines


def cell(rank: Rank) -> str:
    """A rank correlation as the table shows it."""
    if math.isnan(rank.spearman):
        return "–"
    text = f"{rank.spearman:.2f}".replace("-", "−")
    return text if rank.seen else f"({text})"


def _published_case(
    found: Sensitivity, sights: Sequence[Sight], damages: Sequence[Damage]
) -> list[str]:
    """Whether severe temporal damage scores better than mild spatial damage."""
    values = {(v.metric, v.damage, v.step): v for v in found.values}
    mild = [d for d in damages if d.kind is Kind.spatial]
    severe = [d for d in damages if d.name in SEVERE]
    lines = [
        "",
        "## Severe temporal damage against mild spatial damage",
        "",
        "Ge et al. (2024) found FVD to prefer a severe temporal corruption to a mild spatial one. "
        "Here: for which pairs of a temporal damage of the last grade and a spatial one of grade "
        f"{MILD} a metric calls the temporal one better. Last column: how many times worse than "
        "none a warp that changes from frame to frame is than the same warp standing still, at "
        "their last grade; 1 means blind to the difference.",
        "",
        "| metric | prefers the temporal one to | of | trembling / still |",
        "| --- | --- | ---: | ---: |",
    ]
    for sight in sights:
        pairs = [
            f"{a.name} to {b.name}".replace("_", " ")
            for a in severe
            for b in mild
            if _badness(values, sight.key, a.name, len(a.grades))
            < _badness(values, sight.key, b.name, MILD)
        ]
        said = "none" if not pairs else f"{len(pairs)}: " + ", ".join(pairs)
        ratio = _ratio(sight.key, values, damages)
        lines.append(f"| {sight.label} | {said} | {len(severe) * len(mild)} | {ratio} |")
    return lines


def _ratio(key: str, values: dict[tuple[str, str, int], Value], damages: Sequence[Damage]) -> str:
    grades = {d.name: len(d.grades) for d in damages}
    if not {"elastic", "elastic_trembling"} <= set(grades):
        return "–"

    def worse(name: str) -> float:
        first, last = (_badness(values, key, name, step) for step in (0, grades[name]))
        return last - first

    still = worse("elastic")
    ratio = worse("elastic_trembling") / still if abs(still) > 1e-9 else math.nan
    return "–" if math.isnan(ratio) else f"{ratio:.2f}"


def _badness(
    values: Mapping[tuple[str, str, int], Value], key: str, damage: str, step: int
) -> float:
    """nan where the metric has lost its value, as that of a sign that is nowhere."""
    found = values.get((key, damage, step))
    return math.nan if found is None else found.badness


def _text(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}".replace("-", "−")


def reaction(found: Sensitivity, key: str, damages: Sequence[Damage]) -> list[float]:
    """How much worse the strongest grade of each damage is, as a share of the largest of them."""
    values = {(v.damage, v.step): v.badness for v in found.values if v.metric == key}
    worse = [
        values.get((d.name, len(d.grades)), math.nan) - values.get((d.name, 0), math.nan)
        for d in damages
    ]
    largest = max((value for value in worse if not math.isnan(value)), default=0.0)
    return [value / largest if largest > 0 else math.nan for value in worse]


def _draw_ranks(
    found: Sensitivity, sights: Sequence[Sight], damages: Sequence[Damage], made: Made
) -> Any:
    ranks = {(rank.metric, rank.damage): rank for rank in found.ranks}
    table = [[ranks[s.key, d.name].spearman for d in damages] for s in sights]
    words = [[cell(ranks[s.key, d.name]) for d in damages] for s in sights]
    return _heat_map(
        (table, words),
        (sights, damages),
        (-1, 1, "Spearman's rank correlation with the grade"),
        f"Which damage a metric orders: {made.clips}\nspatial damage left, temporal right; in "
        "brackets: not beyond chance even at the strongest grade; –: no change",
    )


def _draw_reactions(
    found: Sensitivity, sights: Sequence[Sight], damages: Sequence[Damage], made: Made
) -> Any:
    table = [reaction(found, sight.key, damages) for sight in sights]
    words = [list(map(_text, row)) for row in table]
    return _heat_map(
        (table, words),
        (sights, damages),
        (0, 1, "reaction to the strongest grade, of the metric's largest"),
        f"What weighs with a metric: {made.clips}\nhow much worse the strongest grade of each "
        "damage is than none, as a share of the metric's largest",
    )


def _heat_map(
    cells: tuple[list[list[float]], list[list[str]]],
    axes_of: tuple[Sequence[Sight], Sequence[Damage]],
    scale: tuple[float, float, str],
    title: str,
) -> Any:
    import seaborn as sns
    from matplotlib.figure import Figure

    (table, words), (sights, damages), (low, high, meaning) = cells, axes_of, scale
    figure = Figure(
        figsize=(2.6 + 0.72 * len(damages), 2.2 + 0.34 * len(sights)), layout="constrained"
    )
    axes = figure.subplots()
    # One hue after the other from dark to light: the order survives grey printing.
    sns.heatmap(
        pd.DataFrame(table),
        annot=pd.DataFrame(words),
        fmt="",
        vmin=low,
        vmax=high,
        cmap="cividis",
        linewidths=0.6,
        annot_kws={"size": 8},
        cbar_kws={"label": meaning},
        ax=axes,
    )
    axes.set_facecolor("0.92")
    for row, values in enumerate(table):
        for column, value in enumerate(values):
            if math.isnan(value):
                axes.text(column + 0.5, row + 0.5, "–", ha="center", va="center")
    names = [damage.name.replace("_", " ") for damage in damages]
    axes.set_xticks([i + 0.5 for i in range(len(damages))], names, rotation=40, ha="right")
    axes.set_yticks([i + 0.5 for i in range(len(sights))], [s.label for s in sights], rotation=0)
    spatial = sum(damage.kind is Kind.spatial for damage in damages)
    axes.axvline(spatial, color="white", linewidth=4)
    axes.set_title(title, fontsize=9)
    return figure
