"""Protocols: the files that are shipped, and what a file may not say."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from attnzoo.config import PROTOCOLS, experiments
from attnzoo.data.embedded import open_embedded
from attnzoo.errors import UserError
from attnzoo.tables.clips import _box, first_of_each
from attnzoo.tables.protocol import Protocol
from attnzoo.tables.reading import read_protocol
from attnzoo.tables.search import clip_scores, search_jobs, searched
from attnzoo.yaml_files import parsed_yaml

SMALL = {
    "name": "small",
    "seeds": [0],
    "clips": 4,
    "settings": ["sample.steps=1"],
    "cells": {"none": {"label": "VD", "overrides": ["attn=none"]}},
    "tables": {"table1": {"title": "One", "rows": ["none"]}},
}
LIKE = {**SMALL["cells"], "b": {"label": "B", "overrides": [], "like": "none"}}
AXES = {"attn": {"none": {"label": "none", "overrides": ["attn=none"]}}}
LONG_AXES = {name: {name * 150: AXES["attn"]["none"]} for name in "ab"}


def read(folder: Path, chosen: object = None, **changes: object) -> Protocol:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}))
    if chosen is None:
        return read_protocol(path)
    (folder / "chosen.yaml").write_text(json.dumps(chosen))
    return read_protocol(path, folder / "chosen.yaml")


def none_with(override: str) -> dict[str, object]:
    return {"none": {"label": "VD", "overrides": ["attn=none", override]}}


@pytest.fixture(scope="module")
def full() -> Protocol:
    return read_protocol(experiments() / PROTOCOLS / "full.yaml")


def test_the_full_protocol_has_the_papers_tables(full):
    sizes = {name: len(table.rows) for name, table in full.tables.items()}
    assert sizes == {
        "table1": 5, "table2": 6, "table3": 3, "table4": 5, "table5": 10, "table6": 30
    }  # fmt: skip
    assert len(full.seeds) >= 3 and full.clips % 4 == 0
    assert [name for name, table in full.tables.items() if table.alone] == ["table6"]
    assert full.only(["table1", "table4"]) == full.only(["table1"])
    assert len(full.only(["table1", "table2", "table3", "table4", "table5"])) == 18


def test_cells_differ_in_nothing_but_what_is_compared(full):
    keys = {
        text.partition("=")[0]
        for name in full.only(["table1", "table2", "table3", "table5"])
        for text in full.cells[name].overrides
    }
    assert keys == {"attn", "size", "align", "stack", "flow", "method", "bias"}
    windows = [cell for cell in full.cells.values() if cell.attn.startswith("stsa")]
    assert all("bias=local" in cell.overrides for cell in windows)


def test_the_sixth_table_is_a_whole_grid(full):
    rows = full.only(["table6"])
    assert rows[0] == "table6-shared-still-none" and len(set(rows)) == 30
    cell = full.cells["table6-half-moving-mixed"]
    assert {"noise=half", "data.camera=moving", "aligned=shifted"} <= set(cell.overrides)
    group = full.tables["table6"].rows[0].group
    assert group == "noise shared, camera still"


def test_alignment_is_all_that_variants_of_the_sixth_table_differ_in(full):
    grid = ("noise=", "data.camera=", "attn=", "align")

    def but_for_the_grid(name: str) -> list[str]:
        cell = full.cells[name]
        assert cell.like is None and cell.fixed and not cell.chosen
        return [text for text in cell.overrides if not text.startswith(grid)]

    rates = ["train.stage1.learning_rate=3e-3", "train.positions_rate=10"]
    for name in full.only(["table6"]):
        own = but_for_the_grid(name)
        assert own[3:5] == rates
        windows = name.endswith(("stsa", "stsa_flow", "mixed"))
        assert own[5:] == (["size=[4,4,4]", "bias=local"] if windows else [])
    with pytest.raises(UserError, match="settings of their own"):
        search_jobs(full, full.only(["table6"]))


def test_quick_has_every_row_and_fewer_steps(full):
    quick = read_protocol(experiments() / PROTOCOLS / "quick.yaml")
    assert quick.tables == full.tables and len(quick.seeds) == 1
    for name in quick.only(["table1", "table2", "table3", "table5"]):
        assert quick.cells[name].overrides == full.cells[name].overrides
    assert quick.hash() != full.hash()


def test_every_cell_is_searched_once_with_the_same_budget(full):
    cells = searched(full, full.only([*full.tables]))
    assert len(cells) == len(set(cells)) == 8
    # What is an ablation of subspace attention has its settings, and nothing else differs.
    assert not [name for name in cells if name.startswith("stsa") and name != "stsa-4x4x4"]
    keys = {tuple(text.partition("=")[0] for text in one) for one in full.search.settings}
    assert len(full.search.settings) > 1 and len(keys) == 1
    tries = {name: full.search.of(name, full.cells[name].attn) for name in cells}
    assert {len(several) for several in tries.values()} == {len({*tries["none"]})}
    assert tries["stsa-4x4x4"] != tries["temporal"] and full.search.seeds > 1
    # None of these runs leaves out a stage: rates count in both.
    assert not [text for text in full.search.common if text.startswith("train.")]


def test_a_variant_without_tries_of_its_own_has_those_of_none(full):
    of = full.search.of
    assert of("x", "anybodys") == of("none", "none") != of("stsa-4x4x4", "stsa")
    assert of("dreampose", "none") != of("none", "none")  # it has no positions to try a rate of
    assert replace(full.search, own={}).of("x", "anybodys") == full.search.settings


def test_more_tries_for_one_cell_than_for_another_are_refused(full):
    more = replace(full.search, own={**full.search.own, "stsa": ()})
    with pytest.raises(UserError, match=r"stsa-4x4x4 3 times and none 4 times"):
        search_jobs(replace(full, search=more), ["none", "stsa-4x4x4"])


def test_the_hash_is_of_what_decides_numbers(tmp_path):
    plain = read(tmp_path).hash()
    cells = SMALL["cells"]["none"]
    assert read(tmp_path, name="another").hash() == plain
    assert read(tmp_path, cells={"none": {**cells, "label": "another"}}).hash() == plain
    assert read(tmp_path, seeds=[0, 1]).hash() == plain
    assert read(tmp_path, settings=["sample.steps=2"]).hash() != plain
    assert read(tmp_path, clips=8).hash() != plain
    assert read(tmp_path, cells={"none": {**cells, "overrides": ["attn=stsa"]}}).hash() != plain
    assert read(tmp_path, chosen={"none": {"train.ema": 0.9}}).hash() != plain


def test_later_overrides_are_the_cells_and_the_chosen_ones(tmp_path):
    cells = {
        "none": {"label": "VD", "overrides": ["attn=none", "sample.clips=2"]},
        "other": {"label": "O", "overrides": ["attn=stsa"], "like": "none"},
    }
    made = read(tmp_path, chosen={"none": {"train.ema": 0.9}}, cells=cells)
    shared = ["sample.steps=1", "seed=2", "sample.clips=4", "sample.first=8"]
    assert made.overrides("none", 2) == [*shared, *cells["none"]["overrides"], "train.ema=0.9"]
    assert made.overrides("other", 2) == [*shared, "attn=stsa", "train.ema=0.9"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sead": [0]}, "unknown key 'sead'; did you mean"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [0, 0]}, "seeds"),
        ({"seeds": ["a"]}, "seeds"),
        ({"clips": 0}, "clips"),
        ({"settings": ["steps"]}, "no key=value"),
        ({"settings": "sample.steps=1"}, "list of texts"),
        ({"cells": {"a/b": {"label": "", "overrides": []}}}, "letters"),
        ({"cells": {"none": {"label": "VD"}}}, "cells.none: lacks overrides"),
        ({"tables": {"t": {"title": "T", "rows": ["non"]}}}, "no cell 'non'"),
        ({"tables": {"t": {"title": "T", "rows": 3}}}, "rows"),
        ({"tables": {"t": {"title": "T", "rows": ["none"] * 2}}}, "t.rows: none stands twice in"),
        ({"tables": {"t": {"title": "T", "rows": []}}}, "tables.t.rows: must be a list of cells"),
        ({"tables": {"t": {"title": "T", "rows": [{"cel": "none"}]}}}, "unknown key 'cel'"),
        ({"curves": {"cells": ["nome"]}}, "no cell 'nome'"),
        ({"curves": {"training": [2.0]}}, "curves.training"),
        ({"curves": {"training": [True]}}, "curves.training: must be numbers above 0 up to 1"),
        ({"cells": {"none": {"label": True, "overrides": []}}}, "label: must be a text, not True"),
        ({"curves": {"denoising": [1, 5000]}}, "curves.denoising: 5000: must be at most 1000"),
        ({"curves": {"cells": ["none"], "clips": 5}}, "curves.clips: 5: a seed is scored on 4"),
        ({"grids": {"t": {"title": "T"}}}, "grids.t"),
        ({"tables": {"../t": {"title": "T", "rows": ["none"]}}}, "tables.../t: a table's name"),
        ({"tables": {"a/b": {"title": "T", "rows": ["none"]}}}, "tables.a/b: a table's name"),
        ({"tables": {"t" * 300: {"title": "T", "rows": ["none"]}}}, "at most 200 letters, not 300"),
        ({"tables": {"claims": {"title": "T", "rows": ["none"]}}}, "tables.claims: the report"),
        ({"cells": {"c" * 300: {"label": "", "overrides": []}}}, "at most 200 letters, not 300"),
        ({"grids": {"../g": {"title": "T", "axes": AXES}}}, "grids.../g: a table's name"),
        ({"grids": {"power": {"title": "T", "axes": AXES}}}, "grids.power: the report"),
        ({"grids": {"g": {"title": "T", "axes": LONG_AXES}}}, "grids.g: a cell's name has at most"),
        ({"base": "gone"}, "gone.yaml"),
    ],
)
def test_what_a_file_may_not_say(changes, said, tmp_path):
    with pytest.raises(UserError) as error:
        read(tmp_path, **changes)
    assert said in str(error.value)
    assert "small.yaml" in str(error.value) or said == "gone.yaml"


SEEDED = {"axis": {"1": {"label": "1", "overrides": ["seed=1"]}}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings": ["seed=5"]}, "settings: seed=5: the protocol itself"),
        ({"settings": ["sample.clips=2"]}, "settings: sample.clips=2: the protocol itself"),
        ({"settings": ["tracker=wandb"]}, "settings: tracker=wandb: is of the command run"),
        ({"settings": ["hydra.run.dir=x"]}, "settings: hydra.run.dir=x: is of the command run"),
        ({"settings": ["hydra/launcher=x"]}, "settings: hydra/launcher=x: is of the command run"),
        ({"cells": none_with("sample.first=0")}, "cell none: sample.first=0: the protocol itself"),
        ({"cells": none_with("sample={first: 0}")}, "cell none: sample={first: 0}: the protocol"),
        ({"cells": none_with("++seed=3")}, "cell none: ++seed=3: the protocol itself"),
        ({"cells": none_with("sample.clips=5")}, "sample.clips up to 4 alone"),
        ({"cells": none_with("resume=x")}, "cell none: resume=x: is of the command run alone"),
        ({"grids": {"g": {"title": "G", "axes": SEEDED}}}, "cell g-1: seed=1: the protocol itself"),
        ({"chosen": {"none": {"seed": 1}}}, "chosen settings of none: seed=1: the protocol itself"),
        ({"search": {"common": ["data.part=test"]}}, "search.common: data.part=test: searches are"),
        ({"search": {"settings": [["sample.clips=2"]]}}, "search: sample.clips=2: the protocol"),
        ({"search": {"own": {"none": [["seed=2"]]}}}, "search: seed=2: the protocol itself"),
    ],
)
def test_no_override_sets_what_the_protocol_gives_each_run(changes, said, tmp_path):
    with pytest.raises(UserError, match=re.escape(said)):
        read(tmp_path, **changes)


def test_fewer_clips_than_a_share_and_shorter_searches_are_fine(tmp_path):
    read(tmp_path, cells=none_with("sample.clips=2"), search={"common": ["sample.clips=9"]})


GRID = {"title": "G", "axes": {"ema": {"0": {"label": "0", "overrides": ["train.ema=0"]}}}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"grids": {"table1": GRID}}, "grids.table1: there is a table 'table1' already"),
        (
            {"grids": {"g": GRID}, "cells": {"g-0": SMALL["cells"]["none"], **SMALL["cells"]}},
            "grids.g: there is a cell 'g-0' already",
        ),
        (
            {
                "grids": {
                    "g": {
                        "title": "G",
                        "axes": {
                            axis: {value: {"label": "", "overrides": []} for value in values}
                            for axis, values in {"a": ("1", "1-2"), "b": ("3", "2-3")}.items()
                        },
                    }
                }
            },
            "grids.g: there is a cell 'g-1-2-3' already",
        ),
    ],
)
def test_no_name_takes_anothers_place(changes, said, tmp_path):
    with pytest.raises(UserError) as error:
        read(tmp_path, **changes)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cells: {}\ncells: {}\n", "key 'cells' stands twice, again in line 2"),
        ("cells:\n  a: 1\n  b: 2\n  a: 3\n", "key 'a' stands twice, again in line 4"),
        ("cells: {1: a, '1': b}\n", "key '1' stands twice"),
        ("cells: {1: a, true: b}\n", "key 'True' stands twice"),
        ("clips: !!bool maybe\n", "not YAML"),
        ("clips: !!int ''\n", "not YAML"),
        ("clips: !!timestamp x\n", "not YAML"),
        ("clips: 0x_\n", "not YAML"),
        (f"clips: {'9' * 5000}\n", "not YAML"),
        (f"clips: {'59:' * 400}1.5\n", "not YAML"),
        ("cells: &a [*a]\n", "aliases written out"),
    ],
)
def test_yaml_that_says_two_things_or_nothing_is_refused(text, said, tmp_path):
    protocol, chosen = tmp_path / "small.yaml", tmp_path / "chosen.yaml"
    protocol.write_text(text)
    with pytest.raises(UserError, match=rf"^{protocol}: .*{re.escape(said)}"):
        read_protocol(protocol)
    protocol.write_text(yaml.safe_dump(SMALL))
    chosen.write_text(text)
    with pytest.raises(UserError, match=rf"^{chosen}: .*{re.escape(said)}"):
        read_protocol(protocol, chosen)


def test_a_key_beside_a_merged_one_is_none_twice(tmp_path):
    merged = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [{<<: *a}, {<<: *a}]\n"
    found = parsed_yaml(merged, "f.yaml")
    assert found == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": [{"x": 1, "y": 2}] * 2}


def test_a_name_of_the_base_is_no_number_of_the_file_that_is_based_on_it(tmp_path):
    (tmp_path / "base.yaml").write_text(yaml.safe_dump({**SMALL, "cells": {"1": {}}}))
    (tmp_path / "over.yaml").write_text("base: base\ncells: {1: {}}\n")
    with pytest.raises(UserError, match="cells: '1' stands there twice"):
        read_protocol(tmp_path / "over.yaml")


def test_chosen_settings_of_no_cell_are_refused(tmp_path):
    with pytest.raises(UserError, match="nane"):
        read(tmp_path, chosen={"nane": {"train.ema": 0.9}})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cells": {**LIKE, "c": {**LIKE["b"], "like": "b"}}}, "cells.c.like: b is like none"),
        ({"cells": LIKE, "chosen": {"b": {"train.ema": 0.9}}}, "of b: it takes those of none;"),
        (
            {
                "cells": {**LIKE, "c": SMALL["cells"]["none"]},
                "grids": {
                    "g": {
                        "title": "G",
                        "axes": {
                            axis: {"1": {"label": "", "overrides": [], "like": like}}
                            for axis, like in (("x", "none"), ("y", "c"))
                        },
                    }
                },
            },
            "grids.g: g-1-1 would be like none and c; name one",
        ),
    ],
)
def test_a_cell_takes_the_chosen_settings_of_one_that_has_its_own(changes, said, tmp_path):
    with pytest.raises(UserError, match=re.escape(said)):
        read(tmp_path, **changes)


def test_the_searchs_score_is_pictures_and_videos_in_equal_parts():
    pictures = {"embedded_perceptual": [0.1, 0.1, 0.1], "ssim": [0.8, 1.0, 0.8], "l1": [0.05] * 3}
    videos = {"warp_error_1": [0.2, 0.2, None], "warp_error_4": [0.4, 0.4, 0.4]}
    found = clip_scores({key: {"clips": clips} for key, clips in (pictures | videos).items()})
    expected = math.log(0.1 * (1 - 0.8) * 0.05) / 3 + math.log(0.2 * 0.4) / 2
    assert found == [pytest.approx(expected), None, None]


def test_shown_is_the_first_clip_of_each_scenario():
    source = open_embedded(frames=2, size=32, clips=6)
    clips = [source.test[i] for i in range(6)]
    assert list(first_of_each(clips)) == [0, 1, 2, 3]


def test_a_box_holds_the_sign_and_its_end_is_exclusive():
    logo = torch.zeros(1, 8, 8)
    assert _box(logo) is None
    logo[0, 2:4, 5] = 1
    assert _box(logo) == [5, 2, 6, 4]
