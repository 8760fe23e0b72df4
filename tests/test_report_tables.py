"""Tables of a results folder: their numbers by hand, their marks, and what they say of gaps."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_results
import numpy as np
import pytest
from made_results import make_results
from scipy import stats

from attnzoo.errors import UserError
from attnzoo.report import pairs
from attnzoo.report.claims import roles
from attnzoo.report.costs import Timed
from attnzoo.report.folder import Cell as Setting
from attnzoo.report.folder import Folder, TableRows, read_folder
from attnzoo.report.folder import Row as Listed
from attnzoo.report.latex import escaped, latex
from attnzoo.report.markdown import markdown
from attnzoo.report.measures import MEASURES
from attnzoo.report.pairs import Gain
from attnzoo.report.power import Simulated, nominal, power_markdown, powers, smallest, too_small
from attnzoo.report.published import ranks, role, value
from attnzoo.report.references import families, kind, references
from attnzoo.report.table import Cell, Column, Row, Table, number
from attnzoo.report.tables import Findings, findings, tables_of, write_tables
from attnzoo.report.tidy import tidy


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_results(tmp_path_factory.mktemp("made"), videos=False)


@pytest.fixture(scope="module")
def found(made: Path) -> Findings:
    return findings(made)


@pytest.fixture(scope="module")
def tables(found: Findings) -> dict[str, Table]:
    return {table.name: table for table in found.tables}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """One seed of four videos, tables 1 and 5 alone."""
    return small_results(tmp_path / "small")


def small_results(folder: Path, *tables: str, **settings: Any) -> Path:
    """Four videos a seed, by default one seed; some tables alone, by default the first and fifth.

    Records of the others' cells lie there too.
    """
    make_results(folder, **({"seeds": 1, "clips": 4, "videos": False} | settings))
    protocol = json.loads((folder / "protocol.json").read_text())
    kept = {name: protocol["tables"][name] for name in tables or ("table1", "table5")}
    edit(folder / "protocol.json", tables=kept)
    return folder


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def scores(folder: Path, cell: str, name: str) -> list[dict[str, Any]]:
    """A score in the records of all seeds."""
    files = sorted((folder / "records" / cell).glob("seed?.json"))
    return [json.loads(path.read_text())["scores"][name] for path in files]


def row(table: Table, cell: str, group: str = "") -> Row:
    return next(r for r in table.rows if r.cell == cell and (not group or r.group == group))


def at(table: Table, cell: str, key: str, group: str = "") -> Cell:
    place = [column.key for column in table.columns].index(key)
    return row(table, cell, group).cells[place]


def test_a_mean_has_its_interval_over_seeds(made: Path, found: Findings) -> None:
    own = [float(np.mean(s["clips"])) for s in scores(made, "temporal", "warp_error_1")]
    half = stats.t.ppf(0.975, 2) * np.std(own, ddof=1) / np.sqrt(3)
    cell = at(found.tables[1], "temporal", "warp_error_1")
    assert cell.value == pytest.approx(np.mean(own)) and cell.n == 24
    assert [cell.low, cell.high] == pytest.approx([np.mean(own) - half, np.mean(own) + half])


def test_no_interval_goes_beyond_what_there_can_be() -> None:
    assert MEASURES["ssim"].bounds == (-np.inf, 1) and MEASURES["l1"].bounds == (0, np.inf)
    for key in ("psnr", "flicker"):
        assert MEASURES[key].bounds == (-np.inf, np.inf)


def test_clips_without_a_value_are_left_out(made: Path, tables: dict[str, Table]) -> None:
    listed = [v for score in scores(made, "none", "logo_shape") for v in score["clips"]]
    known = [v for v in listed if v is not None]
    cell = at(tables["table1"], "none", "logo_shape")
    assert len(known) == 21 == cell.n and cell.value == pytest.approx(np.mean(known))


def test_a_distance_has_its_interval_by_its_logarithm(made: Path, found: Findings) -> None:
    values = [part["value"] for part in scores(made, "disco", "fd_embedded_video")]
    half = stats.t.ppf(0.975, 2) * np.std(np.log(values), ddof=1) / np.sqrt(3)
    mean = np.mean(values)
    cell = at(found.tables[0], "disco", "fd_embedded_video")
    assert cell.value == pytest.approx(mean)
    assert [cell.low, cell.high] == pytest.approx([mean * np.exp(-half), mean * np.exp(half)])


def test_a_distance_of_one_seed_has_its_interval_from_influences(small: Path) -> None:
    (part,) = scores(small, "disco", "fd_embedded_video")
    pseudo = part["value"] + 4 * np.array(part["influence"])
    half = stats.t.ppf(0.975, 3) * pseudo.std(ddof=1) / np.sqrt(4) / part["value"]
    cell = at(tables_of(small)[0], "disco", "fd_embedded_video")
    ends = [part["value"] * np.exp(-half), part["value"] * np.exp(half)]
    assert [cell.low, cell.high] == pytest.approx(ends)


def test_a_gain_is_one_less_the_geometric_mean_of_seeds_ratios(
    made: Path, tables: dict[str, Table]
) -> None:
    def means(cell: str, name: str, badness: Any) -> Any:
        parts = scores(made, cell, name)
        return np.array([np.mean(badness(np.array(score["clips"]))) for score in parts])

    for name, badness in (
        ("warp_error_4", lambda x: x),
        ("ssim", lambda x: 1 - x),
        ("psnr", lambda x: 10 ** (-x / 20)),
        ("flicker", np.abs),
    ):
        ratios = means("stsa-4x4x4", name, badness) / means("none", name, badness)
        expected = 1 - ratios.prod() ** (1 / 3)
        assert at(tables["table1"], "stsa-4x4x4", name).gain == pytest.approx(expected), name


def test_the_interval_of_a_gain_is_over_seeds(found: Findings) -> None:
    gain = found.scores.gain("temporal", "none", "warp_error_1")
    assert gain is not None and gain.prior is not None
    for seed, log in gain.logs.items():
        means = [
            found.scores.sample(cell, "warp_error_1").values[8 * seed : 8 * seed + 8].mean()
            for cell in ("temporal", "none")
        ]
        assert log == pytest.approx(np.log(means[0] / means[1]))
    variance, freedom = gain.prior.moderated(np.var(list(gain.logs.values()), ddof=1), 2)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(variance / 3)
    shown = gain.interval()
    ends = 1 - (1 - gain.value) * np.exp([half, -half])
    assert [shown.low, shown.high] == pytest.approx(ends.tolist())


def test_what_a_seeds_videos_vary_by_is_found_where_nothing_else_varies() -> None:
    rng = np.random.default_rng(0)
    scenarios = rng.normal(0, 0.3, 8)  # the same in every seed: no spread between seeds
    keys = tuple((seed, str(i)) for seed in range(200) for i in range(8))
    ours, theirs = (
        np.exp(np.tile(scenarios * by, 200) + rng.normal(0, 0.05, 1600)) for by in (1, 0)
    )
    found = pairs.gain(*(pairs.Sample(MEASURES["l1"], keys, v) for v in (ours, theirs)))
    assert found is not None
    assert found.by_videos == pytest.approx(found.own()[0], rel=0.25)


def test_families_are_of_variants_of_settings_and_of_the_sixth(found: Findings) -> None:
    variants, settings, sixth = families(found.folder)
    assert variants.tables == ("table1", "table2", "table4")
    # Subspaces of several sizes are settings of one variant, though no group says so.
    assert (settings.tables, sixth.tables) == (("table3", "table5"), ("table6",))
    assert ("temporal", "stsa-4x4x4") in variants.pairs and ("disco", "none") in variants.pairs
    assert ("stsa-flat", "stsa-4x4x4") in settings.pairs
    assert ("stsa-8x4x4", "stsa-4x4x4") in settings.pairs
    assert not {*settings.pairs} & {*variants.pairs} and len({*sixth.pairs}) == 24
    compared = [("temporal", "none"), ("stsa_flow-iuv", "stsa_flow-skeleton"), sixth.pairs[0]]
    gains = [found.scores.gain(*pair, "l1") for pair in compared]
    counts = [one.prior.count for one in gains if one is not None and one.prior is not None]
    # One of the settings does not differ from its reference at all.
    assert counts == [len(variants.pairs), len(settings.pairs) - 1, 24]


def test_planted_effects_are_marked_and_planted_nulls_are_not(tables: dict[str, Table]) -> None:
    first, second, fifth = tables["table1"], tables["table2"], tables["table5"]
    keys = [column.key for column in first.columns if column.kind == "score"]
    for key in keys:
        assert at(first, "stsa-4x4x4", key).mark == "better", key
        assert at(first, "disco", key).mark == "worse", key
        assert at(second, "crossframe_all", key).mark == "worse", key
        reversed_here = key == made_results.REVERSED
        assert at(second, "temporal", key).mark == ("worse" if reversed_here else "better"), key
        assert at(fifth, "stsa_flow-iuv", key, "flow").mark == "", key
    assert at(fifth, "stsa_flow-skeleton", "warp_error_1", "flow").mark == "worse"
    assert at(first, "none", "l1").mark == "" and at(first, "none", "l1").gain is None


def test_the_sixth_table_is_ratios_to_none_of_the_same_noise_and_camera(
    made: Path, tables: dict[str, Table]
) -> None:
    def mean(cell: str) -> float:
        return float(stats.gmean([score["value"] for score in scores(made, cell, "l1_body")]))

    sixth = tables["table6"]
    for corner in ("shared-still", "independent-moving"):
        cell, none = f"table6-{corner}-temporal", f"table6-{corner}-none"
        shown = at(sixth, cell, "l1_body/none")
        assert shown.value == pytest.approx(100 * mean(cell) / mean(none))
        assert shown.low is not None and shown.high is not None
        assert shown.low < shown.value < shown.high
        assert at(sixth, none, "l1_body/none").text == "100"
    assert at(sixth, "table6-shared-still-temporal", "l1_body/none").mark == "better"
    assert at(sixth, "table6-independent-still-temporal", "l1_body/none").mark == ""
    assert any("The explanation holds" in note for note in sixth.notes)


def test_ranks_stand_beside_the_papers(tables: dict[str, Table]) -> None:
    first = tables["table1"]
    methods = ("dreampose", "disco", "none", "stsa-4x4x4", "stsa_flow-permute")
    values = [at(first, cell, "ssim").value for cell in methods]
    order = [1 + sum(o > v for o in values) for v in values]  # type: ignore[operator]
    assert [at(first, cell, "ssim").rank for cell in methods] == order
    lpips = [at(first, cell, "embedded_perceptual").published[0] for cell in methods]
    assert [p.metric for p in lpips] == ["LPIPS"] * 5 and [p.rank for p in lpips] == [5, 1, 4, 3, 1]
    assert [p.text for p in at(first, "dreampose", "l1").published] == ["6.88E-04"]
    videos = at(tables["table3"], "stsa-8x4x4", "fd_embedded_video").published
    assert [(p.metric, p.value, p.rank) for p in videos] == [
        ("FID-VID", 17.68, 1), ("FVD", 368.15, 2),
    ]  # fmt: skip
    assert any("FVD-embedded and FVD +0.80" in note for note in first.notes)


def test_published_values_are_the_papers() -> None:
    assert value("table1", "stsa_flow [4,4,4]", "FVD") == 334.81
    assert value("table2", "crossframe_previous", "FID") == 30.95
    assert ranks("PSNR", {"a": 29.1, "b": 29.0, "c": 29.1}) == {"a": 1, "b": 3, "c": 1}


def test_a_published_metric_with_a_fault_does_not_carry_its_plain_name(
    tables: dict[str, Table],
) -> None:
    text = markdown(tables["table1"], "Table 1")
    assert "PSNR with overflow in the paper" in text and "PSNR in the paper" not in text
    names = {column.key: column.name for column in tables["table1"].columns}
    assert names["fd_embedded_video"] == "FVD-embedded" and "lpips" not in names
    assert any("LPIPS could not be had (the package lpips" in n for n in tables["table1"].notes)


def test_real_clips_are_a_row(tables: dict[str, Table]) -> None:
    floor = next(r for r in tables["table1"].rows if r.status == "floor")
    place = [column.key for column in tables["table1"].columns].index("warp_error_1")
    assert floor.cells[place].value == pytest.approx(0.0357)


def test_costs_are_profiled_and_training_is_recorded(made: Path, tables: dict[str, Table]) -> None:
    profile = json.loads((made / "costs" / "stsa-4x4x4.json").read_text())["profile"]
    latency = at(tables["table1"], "stsa-4x4x4", "latency")
    assert latency.value == pytest.approx(1e3 * profile["forward"]["latency_s"]["median"])
    memory = profile["forward"]["peak_memory_bytes"] / 2**20
    assert at(tables["table1"], "stsa-4x4x4", "memory").value == pytest.approx(memory)
    # Each seed of the made folder has the example's stages, so their mean is the example's time.
    record = json.loads((made / "records" / "none" / "seed0.json").read_text())
    stages = [record["training"][stage]["seconds"] for stage in ("stage1", "stage2")]
    assert at(tables["table1"], "none", "training_time").value == pytest.approx(sum(stages))


@pytest.mark.parametrize("seconds", [(0.5,), (0.4, 0.7), (0.4, 0.5, 0.9), (0.4, 0.5, 0.6, 0.9)])
def test_few_rounds_have_their_range(seconds: tuple[float, ...]) -> None:
    low, median, high = np.quantile(seconds, (0.25, 0.5, 0.75)).tolist()
    found = Timed.of({"low": low, "median": median, "high": high, "n": len(seconds)})
    ends = (low, high) if len(seconds) >= 4 else (min(seconds), max(seconds))
    assert (found.low, found.high) == pytest.approx(tuple(1e3 * end for end in ends))
    said = {1: "one round", 2: "range of 2 rounds", 3: "range of 3 rounds"}
    assert found.said == said.get(len(seconds), "quartiles of 4 rounds")


def test_latencies_have_their_spread_and_stages_are_told_apart(tmp_path: Path) -> None:
    folder = small_results(tmp_path, "table1")
    path = folder / "costs" / "disco.json"
    profile = json.loads(path.read_text())["profile"]
    profile["training"]["stage"] = 2
    spread = {"median": 0.6, "low": 0.58, "high": 0.65, "n": 3}
    profile["training"]["latency_s"] = profile["forward"]["latency_s"] = spread
    edit(path, profile=profile)
    table = tables_of(folder)[0]
    step = at(table, "disco", "training_latency")
    assert (step.text, step.n, step.interval) == ("600.0 (stage 2)", 3, "[560.0, 700.0]")
    assert "range of 3 rounds; of stage 2" in step.note and "of stage 2" in tidy(table)
    assert "stage 2" in at(table, "disco", "training_memory").text
    assert "stage" not in at(table, "disco", "latency").text + at(table, "none", "latency").text
    for written in (markdown(table, "Table 1"), latex(table, "Table 1")):
        assert "600.0 (stage 2) " in written and "of stage 1, in which the added" in written
        assert "of DisCo-style, which has nothing to train there, they are of stage 2" in written
        assert "Rounds timed: 3 of DisCo-style; 4 of DreamPose-style, VD, VD + SA" in written
    assert "| 600.0 [560.0, 700.0] |" in markdown(table, "Table 1")
    assert "& 600.0 {[}560.0, 700.0] &" in latex(table, "Table 1")


def test_times_taken_beside_other_work_are_told(tmp_path: Path) -> None:
    folder = small_results(tmp_path, "table1")
    for cell, others in (("disco", 0.62), ("none", 0.02), ("dreampose", None)):
        edit(folder / "costs" / f"{cell}.json", load={"load": 1.0, "others": others})
    (table,) = tables_of(folder)
    (told,) = [note for note in table.notes if "busy" in note]
    assert told.endswith("compare with no other row's: DisCo-style (0.6 cores).")
    assert told in markdown(table, "Table 1")
    edit(folder / "costs" / "disco.json", load={"load": 1.0, "others": "much"})
    with pytest.raises(UserError, match=r"disco\.json.*load\.others"):
        tables_of(folder)


def test_a_failed_cell_is_marked_and_the_rest_is_complete(
    found: Findings, tables: dict[str, Table]
) -> None:
    failed = row(tables["table5"], made_results.FAILED)
    assert failed.status == "failed" and "UserError: align=cycles: a made-up" in failed.note
    scored = [i for i, c in enumerate(tables["table5"].columns) if c.kind == "score"]
    assert all(failed.cells[i].value is None for i in scored)
    others = [r for r in tables["table5"].rows if r.cell not in (made_results.FAILED, "")]
    assert all(r.cells[i].value is not None for r in others for i in scored)
    text = markdown(tables["table5"], "Table 5")
    assert "align=cycles **failed** | – |" in text and "failed: UserError: align=cycles" in text


def test_reused_rows_name_their_hardware_and_their_time_is_marked(tmp_path: Path) -> None:
    reused = [("disco", 0), ("disco", 1), ("none", 1)]
    table = tables_of(small_results(tmp_path, "table1", seeds=2, reused=reused))[0]
    for cell, seeds in (("disco", "2 of 2 seeds"), ("none", "1 of 2 seeds")):
        note = f"{seeds} reused, trained on H100, torch 2.13.0+cpu"
        assert (row(table, cell).status, row(table, cell).note) == ("reused", note)
        assert at(table, cell, "training_time").note == note
        assert at(table, cell, "latency").note == "quartiles of 4 rounds"
    assert (row(table, "dreampose").status, row(table, "dreampose").note) == ("", "")
    assert at(table, "dreampose", "training_time").note == ""
    assert sum(note.startswith("Reused rows have records of another run") for note in table.notes)


ADDED = "add-temporal-positions=sinusoidal"


def with_added(folder: Path) -> Path:
    """A folder with a row more in the first table, of the records of `temporal`."""
    protocol = json.loads((folder / "protocol.json").read_text())
    overrides = ["attn=temporal", "positions=sinusoidal"]
    about = {"label": "added", "overrides": overrides, "attn": "temporal", "added": True}
    protocol["cells"][ADDED] = about
    protocol["tables"]["table1"]["rows"] += [{"label": "added", "cell": ADDED, "group": "added"}]
    edit(folder / "protocol.json", **protocol)
    shutil.copytree(folder / "records" / "temporal", folder / "records" / ADDED)
    for file in (folder / "records" / ADDED).glob("seed*.json"):
        environment = json.loads(file.read_text())["environment"]
        environment["overrides"] += overrides
        edit(file, environment=environment)
    return folder


def test_an_added_row_is_ranked_among_all_and_moves_no_other(small: Path) -> None:
    before = tables_of(small)[0]
    after = tables_of(with_added(small))[0]
    cells = [r.cell for r in before.rows if r.cell]
    for key in ("l1", "ssim", "logo_jitter"):
        assert [at(after, c, key).rank for c in cells] == [at(before, c, key).rank for c in cells]
    assert at(after, ADDED, "l1").rank == 1 == at(after, ADDED, "ssim").rank
    jitter = [at(after, cell, "logo_jitter").value for cell in (*cells, ADDED)]
    assert at(after, ADDED, "logo_jitter").rank == 1 + sum(v < jitter[-1] for v in jitter) > 1  # type: ignore[operator]
    assert any("Added rows are no part of the protocol" in note for note in after.notes)
    assert not any("Added rows" in note for note in before.notes)


@pytest.mark.long
def test_an_added_row_changes_no_test_and_no_interval(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "with", ignore=shutil.ignore_patterns("clips", "plots"))
    before, after = findings(made), findings(with_added(tmp_path / "with"))
    assert families(after.folder) == families(before.folder)
    for old, new in zip(before.tables, after.tables, strict=True):
        of_before = [r.cell for r in old.rows if r.cell]
        assert [r for r in new.rows if r.cell in of_before] == [r for r in old.rows if r.cell]
    assert [one.verdict for one in after.claims] == [one.verdict for one in before.claims]
    assert after.powers == before.powers


def test_a_row_that_was_not_searched_says_so(small: Path) -> None:
    folder = with_added(small)
    protocol = json.loads((folder / "protocol.json").read_text())
    assert not any("not searched" in note for note in tables_of(folder)[0].notes)
    protocol["cells"][ADDED]["searched"] = False
    edit(folder / "protocol.json", cells=protocol["cells"])
    (said,) = (note for note in tables_of(folder)[0].notes if "not searched" in note)
    assert "Rates of added were not searched" in said


def test_a_row_whose_seeds_are_not_all_there_is_marked(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "some", ignore=shutil.ignore_patterns("clips", "plots"))
    for name in ("temporal/seed1", "stsa-4x2x2/seed0", "stsa-4x2x2/seed2"):
        (tmp_path / "some" / "records" / f"{name}.json").unlink()
    found = tables_of(tmp_path / "some")
    one, several = row(found[1], "temporal"), row(found[2], "stsa-4x2x2")
    assert (one.status, one.note) == ("unfinished", "seed 1 not run")
    assert (several.status, several.note) == ("unfinished", "seeds 0, 2 not run")
    assert row(found[1], "crossframe_all").status == "" == row(found[1], "crossframe_all").note
    assert "Temporal **unfinished**" in markdown(found[1], "Two")
    assert "Temporal (unfinished)" in latex(found[1], "Two")


def test_values_of_either_sign_do_not_cancel_in_a_rank(small: Path) -> None:
    """A flicker of +0.02 and -0.02 is no steady picture."""
    for path in small.glob("records/*/seed0.json"):
        record = json.loads(path.read_text())
        clips = [0.005, 0.005, 0.005, 0.005]
        if path.parent.name == "disco":
            clips = [0.02, -0.02, 0.02, -0.02]
        record["scores"]["flicker"] |= {"clips": clips, "value": sum(clips) / 4}
        path.write_text(json.dumps(record))
    table = tables_of(small)[0]
    assert at(table, "disco", "flicker").value == 0
    assert at(table, "disco", "flicker").rank == len([r for r in table.rows if r.cell])
    gain = at(table, "disco", "flicker").gain
    assert gain is not None and gain == pytest.approx(-3)


def test_an_added_row_takes_no_place_of_the_papers(small: Path) -> None:
    found = findings(with_added(small))
    assert role(found.folder.cells["temporal"]) == "temporal"
    assert role(found.folder.cells[ADDED]) == f"added: {ADDED}"
    assert "temporal" not in roles(found.folder)
    assert not any(cell.published for cell in row(found.tables[0], ADDED).cells)
    edit(small / "protocol.json", cells={ADDED: {"added": 1}})
    with pytest.raises(UserError, match=r"protocol\.json: not as it should be"):
        read_folder(small)


def test_an_added_row_is_nobodys_reference() -> None:
    settings = (
        Setting("temporal", "", "temporal", ("attn=temporal",)),
        Setting("none", "", "none", ("attn=none",)),
        Setting("add-none", "", "none", ("attn=none",), added=True),
        Setting("add-stsa", "", "stsa", ("attn=stsa",), added=True),
    )
    cells = {cell.id: cell for cell in settings}
    rows = TableRows(
        "table5", "", tuple(Listed("", c.id, "added" if c.added else "g") for c in settings)
    )
    folder = Folder(Path("x"), "full", (0,), cells, {"table5": rows}, {})
    assert references(folder, rows) == [0, 1, 1, 0]
    assert [kind(folder, cell) for cell in cells] == [
        "temporal", "none", "added: add-none", "added: add-stsa",
    ]  # fmt: skip


def test_seeds_that_the_protocol_does_not_have_count_nowhere(small: Path) -> None:
    before = at(tables_of(small)[0], "none", "l1")
    other = small / "records" / "none" / "seed7.json"
    shutil.copy(small / "records" / "none" / "seed0.json", other)
    edit(other, seed=7)
    (small / "records" / "disco" / "seed7.error.json").write_text('{"error": "x", "kind": "y"}')
    found = findings(small)
    assert set(found.folder.records_of("none")) == {0} and "none" in set(found.frame["cell"])
    assert [one.seed for one in found.folder.failures] == [0]  # that of the cell that has failed
    assert at(found.tables[0], "none", "l1") == before and before.n == 4


def test_videos_are_counted_table_by_table(tmp_path: Path) -> None:
    folder = small_results(tmp_path, "table1", "table6", sixth=2)
    write_tables(folder)
    texts = {name: (folder / "tables" / name).read_text() for name in ("table1.md", "table6.md")}
    assert "1 seed of 4 videos." in texts["table1.md"]
    assert "1 seed of 2 videos." in texts["table6.md"]
    power = (folder / "tables" / "power.md").read_text()
    assert "1 seed of 4 (table 1) or 2 (table 6) videos." in power


FLOOR = {
    "schema": 1,
    "seeds": {"0": {"fd_embedded_frame": 3.0, "fd_embedded_video": 7.0}, "9": {}},
    "method": "made up",
}


def test_the_real_clips_row_has_the_floor_of_distances(tmp_path: Path) -> None:
    folder = small_results(tmp_path, "table1", seeds=2)
    without = next(r for r in tables_of(folder)[0].rows if r.status == "floor")
    seeds = {**FLOOR["seeds"], "1": {"fd_embedded_frame": 5.0}}  # type: ignore[dict-item]
    (folder / "floor.json").write_text(json.dumps(FLOOR | {"seeds": seeds}))
    table = tables_of(folder)[0]
    floor = next(r for r in table.rows if r.status == "floor")
    found = {c.key: cell for c, cell in zip(table.columns, floor.cells, strict=True)}
    old = {c.key: cell for c, cell in zip(table.columns, without.cells, strict=True)}
    changed = {key for key in found if found[key] != old[key]}
    assert changed == {"fd_embedded_frame", "fd_embedded_video"}
    assert [found[key].value for key in sorted(changed)] == [4.0, 7.0]
    assert found["fd_embedded_video"].note == "made up"
    assert old["fd_embedded_video"].note == "not known of real clips"
    assert table.notes.count("Distances of sets of the real clips: made up.") == 1
    folder_floor = read_folder(folder).floor
    assert folder_floor is not None and set(folder_floor.seeds) == {0, 1}


@pytest.mark.parametrize(
    "content",
    [
        [], {}, FLOOR | {"schema": 2}, FLOOR | {"method": 1}, FLOOR | {"seeds": {"a": {}}},
        FLOOR | {"seeds": {"0": {"fd_embedded_frame": "3"}}}, FLOOR | {"seeds": {"0": None}},
    ],
)  # fmt: skip
def test_a_broken_floor_is_refused_by_name(tmp_path: Path, content: Any) -> None:
    about = {"schema": 1, "name": "full", "seeds": [0], "cells": {}, "tables": {}}
    (tmp_path / "protocol.json").write_text(json.dumps(about))
    assert read_folder(tmp_path).floor is None
    (tmp_path / "floor.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"floor\.json: "):
        read_folder(tmp_path)


def test_a_quick_run_is_too_short_to_judge(small: Path) -> None:
    edit(small / "protocol.json", name="quick")
    table = tables_of(small)[0]
    assert table.title.endswith("(too short to judge)") and table.notes[0].startswith("Too short")


def test_one_seed_is_said_to_show_nothing(small: Path) -> None:
    table = tables_of(small)[0]
    assert any("With one seed no difference can be tested" in note for note in table.notes)
    assert {cell.mark for row in table.rows for cell in row.cells} == {""}
    write_tables(small)
    assert "Nothing could be tested" in (small / "tables" / "power.md").read_text()


def test_scenarios_have_their_own_clips(made: Path, tables: dict[str, Table]) -> None:
    scenario = "unseen person, seen pose"
    values = [
        v
        for path in sorted((made / "records" / "none").glob("seed?.json"))
        for content in [json.loads(path.read_text())]
        for v, s in zip(
            content["scores"]["l1_body"]["clips"], content["sampling"]["scenarios"], strict=True
        )
        if s == scenario
    ]
    cell = at(tables["table4"], "none", f"l1_body/{scenario}")
    assert len(values) == 6 == cell.n and cell.value == pytest.approx(np.mean(values))


def test_distances_of_older_records_have_no_influence_and_are_still_shown(small: Path) -> None:
    for path in small.glob("records/*/seed0.json"):
        content = json.loads(path.read_text())
        for score in content["scores"].values():
            score.pop("influence", None)
        edit(path, scores=content["scores"])
    cell = at(tables_of(small)[0], "none", "fd_embedded_video")
    assert cell.value == scores(small, "none", "fd_embedded_video")[0]["value"]
    assert cell.low is None and "one video" in cell.note


def test_clips_of_one_name_are_not_taken_for_one(small: Path) -> None:
    expected = at(tables_of(small)[0], "disco", "l1")
    for path in small.glob("records/*/seed0.json"):
        sampling = json.loads(path.read_text())["sampling"]
        edit(path, sampling=sampling | {"clips": ["same"] * 4})
    found = at(tables_of(small)[0], "disco", "l1")
    assert (found.n, found.gain, found.p) == (4, expected.gain, expected.p)


def test_all_files_are_written_and_the_same_each_time(small: Path) -> None:
    paths = write_tables(small)
    assert {path.name for path in paths} == {
        *(f"table{n}.{suffix}" for n in (1, 5) for suffix in ("md", "csv", "tex")),
        "claims.md", "power.md", "power.csv",
    }  # fmt: skip
    before = {path.name: path.read_bytes() for path in paths}
    shutil.rmtree(small / "tables")
    assert {path.name: path.read_bytes() for path in write_tables(small)} == before
    with (small / "tables" / "table1.csv").open() as file:
        lines = list(csv.DictReader(file))
    line = next(x for x in lines if (x["cell"], x["column"]) == ("none", "psnr"))
    assert float(line["value"]) == pytest.approx(scores(small, "none", "psnr")[0]["value"])
    assert (line["published"], line["published_value"]) == ("PSNR", "29.11")


def test_latex_lines_have_as_many_cells_as_columns(tables: dict[str, Table]) -> None:
    for table in tables.values():
        text = latex(table, "Heading of 100 %")
        for part in text.split(r"\begin{tabular}{")[1:]:
            columns = len(part[: part.index("}")])
            body = part[: part.index(r"\end{tabular}")]
            lines = [x for x in body.splitlines() if " & " in x]
            assert {x.replace(r"\&", "").count("&") + 1 for x in lines} == {columns}
            assert not any(x.lstrip().startswith("[") for x in body.splitlines())
            assert r"\toprule" in body and r"\bottomrule" in body


def test_labels_cannot_break_out() -> None:
    column = Column("x", "a_b", "S")
    label = "a|b_<script>&%$\n{x}"
    table = Table("t", "T", (column,), (Row(label, "c", (Cell("1", 1.0),), note=label),))
    assert "a\\|b_&lt;script>&%$ {x} | 1 |" in markdown(table, "T")
    assert r"a|b\_\textless{}script\textgreater{}\&\%\$ \{x\} & 1 \\" in latex(table, "T")
    assert escaped("\\") == r"\textbackslash{}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123456, "0.01235"), (1.0, "1.000"), (12.345, "12.35"), (1234.5, "1,234"),
        (-0.5, "-0.5000"), (0, "0"), (None, "–"),
    ],
)  # fmt: skip
def test_numbers_have_four_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_a_folder_with_nothing_to_report_is_refused(tmp_path: Path, small: Path) -> None:
    with pytest.raises(UserError, match=r"protocol\.json: cannot be read"):
        tables_of(tmp_path)
    shutil.rmtree(small / "records")
    with pytest.raises(UserError, match="no cell has a finished record"):
        tables_of(small)


def test_the_smallest_effect_is_students_where_noise_is_normal() -> None:
    rng = np.random.default_rng(0)
    found = [Gain.of(dict(enumerate(rng.normal(0, 0.05, 12).tolist()))) for _ in range(50)]
    simulated = Simulated(found, rng)
    expected = (stats.t.ppf(0.975, 11) + stats.t.ppf(0.8, 11)) * 0.05 / np.sqrt(12)
    seen = smallest(lambda effect: simulated.power(effect, 0.05))
    assert seen == pytest.approx(1 - np.exp(-expected), rel=0.15)
    assert simulated.power(0.0, 0.05) == pytest.approx(0.05, abs=0.02)
    assert simulated.any_alarm(0.05) <= 0.1
    few = Simulated([Gain.of({0: 3.0, 1: -3.0}), Gain.of({0: 2.0, 1: -2.0})], rng)
    assert smallest(lambda effect: few.power(effect, 0.05)) is None


def test_power_is_told_of_every_table_and_measure(found: Findings) -> None:
    of = {one[0].table: one for one in found.powers}
    assert [*of] == ["1", "2", "3", "5", "6"]
    for table in ("1", "2", "3", "5"):
        assert {one.measure for one in of[table]} == set(MEASURES) - {"lpips"}
        assert {one.table for one in of[table]} == {table}
    one = next(one for one in of["1"] if one.measure == "warp_error_1")
    assert one.single is not None and one.corrected is not None and one.single < one.corrected
    assert one.largest > one.single and one.alarms == pytest.approx(0.05, abs=0.05)
    assert one.least < one.spread < one.most
    assert one.videos > 0.3  # nothing but the videos was made to differ between seeds
    assert powers(found.folder, found.scores) == found.powers


def test_tables_say_what_their_tests_can_see(found: Findings, tables: dict[str, Table]) -> None:
    told = {table.name: table.notes for table in found.told}
    own = {table.name: table.notes for table in found.tables}
    assert told["table4"] == own["table4"]
    for one in found.powers:
        name = f"table{one[0].table}"
        assert told[name] == (*own[name], *filter(None, (too_small(one), nominal(one))))
        assert "finds one in" in told[name][-1]


def test_a_table_without_a_large_difference_is_too_small_by_itself(found: Findings) -> None:
    first, second = found.powers[:2]
    small = [replace(one, largest=(one.single or 1) / 2) for one in second]
    page = power_markdown([first, small], "Made.")
    assert page.count("too small a run") == 1 and "too small" not in too_small(first)
    assert page.index("## Table 2") < page.index("too small a run")
    assert nominal([]) == "The 5 % are nominal."


def test_a_part_of_a_simulation_is_tested_as_among_all() -> None:
    rng = np.random.default_rng(0)
    sizes = (0.05, 0.05, 0.5, 0.5)
    found = [Gain.of(dict(enumerate(rng.normal(0, size, 12).tolist()))) for size in sizes]
    whole = Simulated(found, rng)
    low, high = whole.part([0, 1]), whole.part([2, 3])
    assert low.power(0.15, 0.05) > 0.8 > 0.3 > high.power(0.15, 0.05)
    both = (low.power(0.15, 0.05) + high.power(0.15, 0.05)) / 2
    assert whole.power(0.15, 0.05) == pytest.approx(both)


def test_power_is_told_of_the_sixth_table_by_itself(
    found: Findings, tables: dict[str, Table]
) -> None:
    tested = [cell for r in tables["table6"].rows for cell in r.cells if cell.p is not None]
    sixth = found.powers[-1]
    assert [one.measure for one in sixth] == [
        "warp_error_1", "warp_error_4", "l1_body", "embedded_perceptual",
    ]  # fmt: skip
    assert {one.tests for one in sixth} == {len(tested)} == {96}
    assert {one.seeds for one in sixth} == {3}
    rest = {name: rows for name, rows in found.folder.tables.items() if name != "table6"}
    assert len(powers(replace(found.folder, tables=rest), found.scores)) == 4
    alone = power_markdown([sixth], "Made.")
    assert "## Table 6" in alone and "| warp error, 1 frame | 3 |" in alone
    assert "among the table's 96 tests." in alone
    both = power_markdown(found.powers, "Made.")
    assert both.index("## Table 1") < both.index("## Table 5") < both.index("## Table 6")
