"""Files that were written by the package and came back changed: records, results, protocols,
stored configurations, journals and rows of the bench."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bad_input_case import Case, Ran
from bad_input_files import (
    drop,
    json_file,
    put,
    record,
    records,
    results,
    several,
    stored_as,
    written,
)

LOAD = "results.load R"
DEEP = "[" * 100_000
HUGE = int("9" * 400)


def loads(rows: int) -> Callable[[Ran], bool]:
    return lambda ran: f"{rows} rows" in ran.out


def truncated(share: float) -> Callable[[Path], object]:
    def made(folder: Path) -> None:
        whole = json.dumps(record())
        written("R/a/record.json", whole[: int(share * len(whole))])(folder)

    return made


def levels(depth: int) -> Any:
    """A value so deep inside lists."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def endless(content: dict[str, Any]) -> None:
    content["scores"]["ssim"]["clips"] = ["endless"] * 8


def of_score(**changes: Any) -> Callable[[Path], object]:
    return records(lambda content: content["scores"]["ssim"].update(changes))


RECORDS = [
    Case(
        "record: right",
        LOAD,
        right=lambda ran: "R" not in ran.err and " rows" in ran.out,
        files=records(),
    ),
    Case("record: empty", LOAD, ("R/a/record.json",), written("R/a/record.json", "")),
    Case("record: half", LOAD, ("R/a/record.json",), truncated(0.5)),
    Case("record: all but its end", LOAD, ("R/a/record.json",), truncated(0.999)),
    Case(
        "record: beside a right one",
        LOAD,
        ("R/b/record.json",),
        several(records(), written("R/b/record.json", "{}")),
    ),
    Case("record: bytes", LOAD, ("R/a/record.json",), written("R/a/record.json", b"\xff\xfe\x00")),
    Case("record: deep inside", LOAD, ("R/a/record.json",), written("R/a/record.json", DEEP)),
    Case("record: a list", LOAD, ("R/a/record.json", "schema"), written("R/a/record.json", "[]")),
    Case("record: a number", LOAD, ("R/a/record.json",), written("R/a/record.json", "3")),
    Case(
        "record: another schema",
        LOAD,
        ("R/a/record.json", "schema is 9"),
        records(put("schema", value=9)),
    ),
    Case(
        "record: the first schema",
        LOAD,
        ("R/a/record.json", "run it again"),
        records(put("schema", value=1)),
    ),
    Case(
        "record: a schema in words",
        LOAD,
        ("R/a/record.json", "schema"),
        records(put("schema", value="3")),
    ),
    Case("record: no scores", LOAD, ("R/a/record.json", "scores"), records(drop("scores"))),
    Case("record: scores in a list", LOAD, ("R/a/record.json",), records(put("scores", value=[]))),
    Case(
        "record: a score without value",
        LOAD,
        ("R/a/record.json", "value"),
        records(lambda content: content["scores"]["ssim"].pop("value")),
    ),
    Case("record: a score in words", LOAD, ("R/a/record.json", "ssim"), of_score(value="good")),
    Case("record: a score that is true", LOAD, ("R/a/record.json", "ssim"), of_score(value=True)),
    Case(
        "record: a score that is NaN",
        LOAD,
        ("R/a/record.json", "NaN"),
        of_score(value=float("nan")),
    ),
    Case(
        "record: an infinite score",
        LOAD,
        ("R/a/record.json", "Infinity"),
        of_score(value=float("inf")),
    ),
    Case("record: a score of 400 digits", LOAD, ("R/a/record.json", "ssim"), of_score(value=HUGE)),
    Case(
        "record: a clip's score of 400 digits",
        LOAD,
        ("R/a/record.json", "ssim"),
        of_score(clips=[HUGE] * 8),
    ),
    Case(
        "record: parameters of 400 digits",
        LOAD,
        ("R/a/record.json", "added_parameters"),
        records(put("parameters", "added", value=HUGE)),
    ),
    Case(
        "record: a clip's score without end",
        LOAD,
        ("R/a/record.json", "ssim"),
        written("R/a/record.json", json.dumps(record(endless)).replace('"endless"', "1e999")),
    ),
    Case(
        "record: fewer values than clips", LOAD, ("R/a/record.json", "ssim"), of_score(clips=[0.5])
    ),
    Case("record: values in words", LOAD, ("R/a/record.json", "ssim"), of_score(clips="abcdefgh")),
    Case("record: values in lists", LOAD, ("R/a/record.json", "ssim"), of_score(clips=[[1.0]] * 8)),
    Case(
        "record: number of samples in words", LOAD, ("R/a/record.json", "ssim"), of_score(n="many")
    ),
    Case(
        "record: a reason that is a list",
        LOAD,
        ("R/a/record.json", "ssim"),
        of_score(value=None, reason=["none"]),
    ),
    Case(
        "record: clips in words",
        LOAD,
        ("R/a/record.json", "clips"),
        records(put("sampling", "clips", value="abcdefgh")),
    ),
    Case(
        "record: clips of lists",
        LOAD,
        ("R/a/record.json", "clips"),
        records(put("sampling", "clips", value=[["a"]] * 8)),
    ),
    Case(
        "record: fewer scenarios",
        LOAD,
        ("R/a/record.json", "scenarios"),
        records(put("sampling", "scenarios", value=["a"])),
    ),
    Case(
        "record: a seed in words",
        LOAD,
        ("R/a/record.json", "seed"),
        records(put("seed", value="one")),
    ),
    Case(
        "record: a variant that is an object",
        LOAD,
        ("R/a/record.json", "variant"),
        records(put("variant", value={"a": 1})),
    ),
    Case("record: noise in words", LOAD, ("R/a/record.json",), records(put("noise", value="half"))),
    Case(
        "record: options in a list",
        LOAD,
        ("R/a/record.json",),
        records(put("options", value=["a"])),
    ),
    Case(
        "record: seconds in words",
        LOAD,
        ("R/a/record.json",),
        records(put("training", "stage1", "seconds", value="long")),
    ),
    Case(
        "record: an environment of nothing",
        LOAD,
        ("R/a/record.json",),
        records(put("environment", value=None)),
    ),
    Case(
        "record: a variant called <script>",
        LOAD,
        right=lambda ran: "<script>" in ran.out,
        files=records(put("variant", value="<script>")),
    ),
    Case(
        "record: a folder of its name",
        LOAD,
        ("no record",),
        lambda folder: (folder / "R/a/record.json").mkdir(parents=True),
    ),
    Case(
        "record: a link to nothing",
        LOAD,
        ("R/a/record.json",),
        several(
            records(name="R/b/record.json"),
            lambda folder: (folder / "R/a").mkdir(),
            lambda folder: (folder / "R/a/record.json").symlink_to("gone.json"),
        ),
    ),
    Case(
        "record: a link out of the folder",
        LOAD,
        ("R/a/record.json", "leaves"),
        several(
            records(name="away.json"),
            lambda folder: (folder / "R/a").mkdir(parents=True),
            lambda folder: (folder / "R/a/record.json").symlink_to("../../away.json"),
        ),
    ),
    Case(
        "record: Unicode in a path",
        "results.load 'Läufe, 2'",
        right=lambda ran: "Läufe" not in ran.err and " rows" in ran.out,
        files=records(name="Läufe, 2/é/record.json"),
    ),
    Case(
        "record: alone, empty",
        "read_record record.json",
        ("record.json",),
        written("record.json", ""),
    ),
    Case(
        "record: alone, deep inside",
        "read_record record.json",
        ("record.json",),
        written("record.json", DEEP),
    ),
    Case(
        "record: alone, of 400 digits",
        "read_record record.json",
        ("record.json", "seconds"),
        records(put("seconds", value=HUGE), name="record.json"),
    ),
    Case(
        "record: alone, parameters of 400 digits",
        "read_record record.json",
        ("record.json", "parameters.added"),
        records(put("parameters", "added", value=HUGE), name="record.json"),
    ),
    Case(
        "record: alone, losses without steps",
        "read_record record.json",
        ("record.json", "stage1.loss has 1 losses at 0 steps"),
        records(
            put("training", "stage1", "loss", value={"step": [], "loss": [1.0]}),
            name="record.json",
        ),
    ),
    Case(
        "record: alone, a model of 600 levels",
        "read_record record.json",
        ("record.json", "environment.model", "nested"),
        records(put("environment", "model", value=levels(600)), name="record.json"),
    ),
    Case(
        "record: alone, a key too many",
        "read_record record.json",
        ("record.json", "extra"),
        records(put("extra", value=1), name="record.json"),
    ),
    Case(
        "record: alone, data of nothing",
        "read_record record.json",
        ("record.json", "data"),
        records(put("data", value=None), name="record.json"),
    ),
    Case(
        "record: resumed and damaged",
        "run resume=r",
        ("record.json", "not a record", "resume=r"),
        files=several(
            written("r/record.json", "{}"),
            stored_as("attn: {name: none}\ndata: {name: embedded}\n"),
        ),
    ),
]

PROTOCOL = "protocol.json"


def cell(content: dict[str, Any]) -> str:
    return str(content["tables"]["table1"]["rows"][2]["cell"])


def renamed(name: str) -> Callable[[Any], None]:
    """The third cell of the first table under another name."""

    def change(content: Any) -> None:
        old = cell(content)
        content["cells"][name] = content["cells"].pop(old)
        for row in content["tables"]["table1"]["rows"]:
            if row["cell"] == old:
                row["cell"] = name

    return change


def called(name: str) -> Callable[[Any], None]:
    """The first table under another name."""

    def change(content: Any) -> None:
        content["tables"][name] = content["tables"].pop("table1")

    return change


def index(**changes: Any) -> Callable[[Path], object]:
    one = {"name": "a", "scenario": "s", "fps": 8, "frames": 4, "size": 64, "boxes": [None]}
    return written("clips/index.json", json.dumps([{**one, **changes}]))


ONE = "records/none/seed0.json"
COST = "costs/none.json"
CURVE = "curves/none.json"

COSTS: tuple[tuple[str, tuple[str, ...], Any, str], ...] = (
    ("400 digits", ("forward", "latency_s", "median"), HUGE, "latency_s.median must be a finite"),
    ("products alone", ("forward",), {"flops": 1}, "forward lacks latency_s"),
    ("a step of words", ("training",), "fast", "training lacks latency_s"),
    ("no times", ("forward", "latency_s"), None, "forward.latency_s is None"),
    ("low above median", ("forward", "latency_s", "low"), 1e9, "not rising"),
    ("negative", ("training", "latency_s", "low"), -1.0, "not rising from 0"),
    ("rounds in words", ("training", "latency_s", "n"), "many", "training.latency_s.n is 'many'"),
)
"""Name, place in the profile, value, words."""
SCORE = {"l1": {"value": 1.0, "clips": [1.0]}}
CURVES: tuple[tuple[str, Any, str], ...] = (
    ("no steps", {"steps": [], "scores": []}, "denoising.steps are []"),
    ("a step twice", {"steps": [1, 1], "scores": [SCORE, SCORE]}, "different numbers"),
    ("a step before 0", {"steps": [-1], "scores": [SCORE]}, "denoising.steps is -1"),
    ("a step in words", {"steps": ["a"], "scores": [SCORE]}, "denoising.steps is 'a'"),
    ("clips of a number", {"steps": [1], "scores": [{"l1": {"value": 1, "clips": 5}}]}, "l1 is"),
    ("clips of words", {"steps": [1], "scores": [{"l1": {"value": 1, "clips": ["a"]}}]}, "l1 is"),
    ("no value", {"steps": [1], "scores": [{"l1": {"clips": []}}]}, "l1 is"),
    ("scores in words", {"steps": [1], "scores": ["good"]}, "denoising"),
)
"""Name, scores by denoising steps, words."""

RESULTS = [
    Case("results: right", "findings R", right=lambda ran: "1 tables" in ran.out, files=results()),
    Case(
        "results: no protocol",
        "findings R",
        ("protocol.json",),
        results(lambda r: (r / PROTOCOL).unlink()),
    ),
    Case(
        "results: protocol of words",
        "findings R",
        (PROTOCOL, "JSON"),
        results(written(PROTOCOL, "hello")),
    ),
    Case(
        "results: protocol of bytes",
        "findings R",
        (PROTOCOL,),
        results(written(PROTOCOL, b"\xff\x00")),
    ),
    Case(
        "results: protocol deep inside", "findings R", (PROTOCOL,), results(written(PROTOCOL, DEEP))
    ),
    Case(
        "results: protocol in a list",
        "findings R",
        (PROTOCOL, "object"),
        results(written(PROTOCOL, "[]")),
    ),
    Case(
        "results: no cells",
        "findings R",
        (PROTOCOL, "cells"),
        results(json_file(PROTOCOL, drop("cells"))),
    ),
    Case(
        "results: cells in a list",
        "findings R",
        (PROTOCOL,),
        results(json_file(PROTOCOL, put("cells", value=[]))),
    ),
    Case(
        "results: a cell that nobody knows",
        "findings R",
        (PROTOCOL, "unknown cell"),
        results(json_file(PROTOCOL, lambda c: c["tables"]["table1"]["rows"][0].update(cell="x"))),
    ),
    Case(
        "results: a row without cell",
        "findings R",
        (PROTOCOL,),
        results(json_file(PROTOCOL, lambda c: c["tables"]["table1"]["rows"][0].pop("cell"))),
    ),
    Case(
        "results: a cell in a list",
        "findings R",
        (PROTOCOL,),
        results(json_file(PROTOCOL, lambda c: c["tables"]["table1"]["rows"][0].update(cell=[]))),
    ),
    Case(
        "results: a cell outside",
        "findings R",
        (PROTOCOL, "../../up"),
        results(json_file(PROTOCOL, renamed("../../up"))),
    ),
    Case(
        "results: a cell with a whole path",
        "findings R",
        (PROTOCOL, "/etc"),
        results(json_file(PROTOCOL, renamed("/etc"))),
    ),
    Case(
        "results: a table outside",
        "findings R",
        (PROTOCOL, "table '../../../up'"),
        results(json_file(PROTOCOL, called("../../../up"))),
    ),
    Case(
        "results: a table in a folder",
        "findings R",
        (PROTOCOL, "table 'a/b'"),
        results(json_file(PROTOCOL, called("a/b"))),
    ),
    Case(
        "results: a table with a zero in its name",
        "findings R",
        (PROTOCOL, "cannot be a file's name"),
        results(json_file(PROTOCOL, called("a\0b"))),
    ),
    Case(
        "results: a table of 300 letters",
        "findings R",
        (PROTOCOL, "300 bytes"),
        results(json_file(PROTOCOL, called("t" * 300))),
    ),
    Case(
        "results: a table called as a file of the report",
        "findings R",
        (PROTOCOL, "'claims'"),
        results(json_file(PROTOCOL, called("claims"))),
    ),
    Case(
        "results: a cell of 300 letters",
        "findings R",
        (PROTOCOL, "300 bytes"),
        results(json_file(PROTOCOL, renamed("c" * 300))),
    ),
    Case(
        "results: seeds in words",
        "findings R",
        (PROTOCOL, "seeds"),
        results(json_file(PROTOCOL, put("seeds", value="many"))),
    ),
    Case(
        "results: overrides in words",
        "findings R",
        (PROTOCOL, "overrides"),
        results(json_file(PROTOCOL, lambda c: c["cells"]["none"].update(overrides="attn=none"))),
    ),
    Case(
        "results: a label that is a number",
        "findings R",
        (PROTOCOL, "label"),
        results(json_file(PROTOCOL, lambda c: c["cells"]["none"].update(label=3))),
    ),
    Case(
        "results: settings in a list",
        "findings R",
        (PROTOCOL, "settings"),
        results(json_file(PROTOCOL, put("settings", value=[1]))),
    ),
    Case(
        "results: half a record",
        "findings R",
        (ONE,),
        results(written(ONE, json.dumps({"schema": 3})[:-3])),
    ),
    Case("results: an empty record", "findings R", (ONE,), results(written(ONE, "{}"))),
    Case(
        "results: a record without parameters",
        "findings R",
        (ONE, "parameters"),
        results(json_file(ONE, drop("parameters"))),
    ),
    Case(
        "results: a record without stages",
        "findings R",
        (ONE, "stage1"),
        results(json_file(ONE, drop("training", "stage1"))),
    ),
    Case(
        "results: a record's loss in words",
        "findings R",
        (ONE,),
        results(json_file(ONE, put("training", "stage1", "loss", "loss", value="low"))),
    ),
    Case(
        "results: a failure without reason",
        "findings R",
        ("seed0.error.json",),
        results(written("records/none/seed0.error.json", "{}")),
    ),
    Case(
        "results: a failure in a list",
        "findings R",
        ("seed0.error.json",),
        results(written("records/none/seed0.error.json", "[]")),
    ),
    Case(
        "results: a seed in words",  # none of the protocol's: the row says that it was not run
        "findings R",
        right=lambda ran: "1 tables" in ran.out,
        files=results(lambda r: (r / ONE).rename(r / "records/none/seedone.json")),
    ),
    Case(
        "results: records linked outside",
        "findings R",
        ("leaves",),
        several(
            results(),
            lambda f: (f / "R/records/none").rename(f / "away"),
            lambda f: (f / "R/records/none").symlink_to(f / "away"),
        ),
    ),
    Case("results: cost of words", "findings R", (COST,), results(written(COST, "hello"))),
    Case("results: cost in a list", "findings R", (COST,), results(written(COST, "[]"))),
    Case(
        "results: a profile in words",
        "findings R",
        (COST,),
        results(json_file(COST, put("profile", value="fast"))),
    ),
    Case(
        "results: a profile half empty",
        "findings R",
        (COST,),
        results(json_file(COST, put("profile", "forward", "latency_s", value={"median": 1}))),
    ),
    Case(
        "results: a latency in words",
        "findings R",
        (COST,),
        results(json_file(COST, put("profile", "forward", "latency_s", "median", value="x"))),
    ),
    Case(
        "results: memory in words",
        "findings R",
        (COST,),
        results(json_file(COST, put("profile", "forward", "peak_memory_bytes", value="x"))),
    ),
    Case(
        "results: an environment in words",
        "findings R",
        (COST,),
        results(json_file(COST, put("environment", value="here"))),
    ),
    *(
        Case(
            f"results: a cost, {name}",
            "findings R",
            (COST, says),
            results(json_file(COST, put("profile", *keys, value=value))),
        )
        for name, keys, value, says in COSTS
    ),
    Case(
        "results: floor of 400 digits",
        "findings R",
        ("floor.json", "seeds.0.l1"),
        results(written("floor.json", f'{{"schema": 1, "seeds": {{"0": {{"l1": {HUGE}}}}}}}')),
    ),
    *(
        Case(
            f"results: a curve, {name}",
            "findings R",
            (CURVE, says),
            results(written(CURVE, json.dumps({"denoising": part}))),
        )
        for name, part, says in CURVES
    ),
    Case(
        "results: settings of 600 levels",
        "findings R",
        (PROTOCOL, "nested"),
        results(json_file(PROTOCOL, put("settings", value={"a": levels(600)}))),
    ),
    Case(
        "results: a table without rows",
        "findings R",
        (PROTOCOL, "table 'table1' has no rows"),
        results(json_file(PROTOCOL, put("tables", "table1", "rows", value=[]))),
    ),
    Case(
        "results: half a letter in a label",
        "findings R",
        (PROTOCOL, "label"),
        results(json_file(PROTOCOL, lambda c: c["cells"]["none"].update(label="\ud800"))),
    ),
    Case(
        "results: tables in a file",
        "report --results R",
        ("R/tables: a file",),
        results(written("tables", "")),
    ),
    Case(
        "results: a search of 600 levels",
        "findings R",
        ("log.jsonl, line 1", "nested"),
        results(written("search/log.jsonl", json.dumps({"cell": "none", "a": levels(600)}) + "\n")),
    ),
    Case("results: curve of words", "findings R", (CURVE,), results(written(CURVE, "hello"))),
    Case(
        "results: clips of words",
        "findings R",
        ("index.json",),
        results(written("clips/index.json", "hello")),
    ),
    Case(
        "results: clips of numbers",
        "findings R",
        ("index.json",),
        results(written("clips/index.json", "[3]")),
    ),
    Case(
        "results: a clip outside",
        "findings R",
        ("index.json", "../../../secret"),
        results(index(name="../../../secret")),
    ),
    Case(
        "results: a clip with a whole path",
        "findings R",
        ("index.json", "/etc/passwd"),
        results(index(name="/etc/passwd")),
    ),
    Case("results: a clip that is a number", "findings R", ("index.json",), results(index(name=3))),
    Case(
        "results: a box of three", "findings R", ("index.json",), results(index(boxes=[[1, 2, 3]]))
    ),
    *(
        Case(f"results: a clip, {name}", "findings R", ("index.json", says), results(changed))
        for name, changed, says in (
            ("no size", index(size=0), "size is 0"),
            ("a huge size", index(size=10**6), "size is 1000000, not a whole number from 1 to"),
            ("no frames", index(frames=0), "frames is 0"),
            ("half a frame", index(frames=4.5), "frames is 4.5"),
            ("no speed", index(fps=0), "fps is 0"),
            ("a box inside out", index(boxes=[[3, 1, 2, 2]]), "box is [3, 1, 2, 2]"),
            ("a box far away", index(boxes=[[1, 1, 1e200, 2]]), "box is"),
            ("half a letter", index(scenario="\ud800"), "scenario"),
        )
    ),
    Case(
        "results: infinite speed",
        "findings R",
        ("index.json",),
        results(
            written(
                "clips/index.json",
                '[{"name": "a", "scenario": "s", "fps": 1e999, '
                '"frames": 4, "size": 64, "boxes": []}]',
            )
        ),
    ),
    Case(
        "results: a search of words",
        "findings R",
        ("log.jsonl, line 1",),
        results(written("search/log.jsonl", "hello\n")),
    ),
    Case(
        "results: a search of bytes",
        "findings R",
        ("log.jsonl",),
        results(written("search/log.jsonl", b"\xff\xfe\n")),
    ),
    Case(
        "results: reuse of another protocol",
        "tables quick=true only=table2 reuse=R",
        ("reuse=R",),
        results(),
    ),
    Case(
        "results: reuse of words",
        "tables quick=true only=table2 reuse=R",
        ("reuse=R",),
        results(written(PROTOCOL, "hello")),
    ),
    Case(
        "results: reuse of bytes",
        "tables quick=true only=table2 reuse=R",
        ("reuse=R",),
        results(written(PROTOCOL, b"\xff\x00")),
    ),
]

TINY = """
name: tiny
seeds: [0]
clips: 1
settings: [data.size=32, data.frames=4, data.clips=4, train.stage1.steps=1]
cells:
  none: {label: none, overrides: [attn=none]}
tables:
  table2: {title: Two, rows: [none]}
"""
TABLES = "tables protocol=p.yaml"


def protocol(old: str = "", new: str = "", more: str = "") -> Callable[[Path], object]:
    assert old in TINY
    return written("p.yaml", (TINY.replace(old, new) if old else TINY) + more)


def bomb(key: str) -> str:
    """YAML that is small and, written out, as large as a hall of libraries."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    return "\n".join([*levels, f"{key}: *a11", ""])


YAMLS = [
    Case("protocol: right", TABLES, right=lambda ran: len(ran.started) == 1, files=protocol()),
    Case("protocol: no YAML", TABLES, ("p.yaml", "YAML"), written("p.yaml", "name: [\n")),
    Case("protocol: bytes", TABLES, ("p.yaml", "YAML"), written("p.yaml", b"\xff\xfe\x00")),
    Case(
        "protocol: code",
        TABLES,
        ("p.yaml", "YAML"),
        written("p.yaml", "!!python/object/apply:os.system ['touch evil-ran']\n"),
    ),
    Case("protocol: deep inside", TABLES, ("p.yaml", "YAML"), written("p.yaml", DEEP[:20000])),
    Case("protocol: a list", TABLES, ("p.yaml", "keys with values"), written("p.yaml", "- a\n")),
    Case("protocol: nothing", TABLES, ("p.yaml", "keys with values"), written("p.yaml", "")),
    Case("protocol: a bomb", TABLES, ("p.yaml",), written("p.yaml", bomb("cells"))),
    Case(
        "protocol: a bomb inside",
        TABLES,
        ("p.yaml",),
        written("p.yaml", bomb("b") + TINY.replace("[none]}", "*a11}")),
    ),
    Case(
        "protocol: cells twice",
        TABLES,
        ("p.yaml", "'cells'", "twice"),
        protocol(more="cells: {}\n"),
    ),
    Case(
        "protocol: a cell twice",
        TABLES,
        ("p.yaml", "'none'", "twice"),
        protocol("  none: {", "  none: {label: a, overrides: [attn=stsa]}\n  none: {"),
    ),
    Case(
        "protocol: a key as number and as text",
        TABLES,
        ("p.yaml", "'1'", "twice"),
        protocol("  none: {", "  1: {}\n  '1': {}\n  none: {"),
    ),
    Case(
        "protocol: a truth value that may be",
        TABLES,
        ("p.yaml", "not YAML"),
        protocol("clips: 1", "clips: !!bool maybe"),
    ),
    Case(
        "protocol: clips of no digits",
        TABLES,
        ("p.yaml", "not YAML"),
        protocol("clips: 1", "clips: !!int ''"),
    ),
    Case(
        "protocol: clips of 5000 digits",
        TABLES,
        ("p.yaml", "not YAML"),
        protocol("clips: 1", f"clips: {'9' * 5000}"),
    ),
    Case(
        "protocol: a date that is none",
        TABLES,
        ("p.yaml", "not YAML"),
        protocol("clips: 1", "clips: !!timestamp x"),
    ),
    Case(
        "protocol: a grid in a table's place",
        TABLES,
        ("p.yaml", "grids.table2", "'table2'"),
        protocol(more="grids: {table2: {title: G, axes: {a: {b: {label: l, overrides: []}}}}}\n"),
    ),
    Case(
        "protocol: no cells",
        TABLES,
        ("p.yaml", "lacks cells"),
        protocol("cells:\n  none: {label: none, overrides: [attn=none]}\n", ""),
    ),
    Case("protocol: unknown key", TABLES, ("p.yaml", "'tabels'"), protocol(more="tabels: 3\n")),
    Case("protocol: clips in words", TABLES, ("p.yaml", "clips"), protocol("clips: 1", "clips: a")),
    Case("protocol: clips true", TABLES, ("p.yaml", "clips"), protocol("clips: 1", "clips: true")),
    Case("protocol: no clips", TABLES, ("p.yaml", "clips"), protocol("clips: 1", "clips: 0")),
    Case("protocol: seeds twice", TABLES, ("p.yaml", "seeds"), protocol("[0]", "[0, 0]")),
    Case("protocol: seeds of words", TABLES, ("p.yaml", "seeds"), protocol("[0]", "[a]")),
    Case(
        "protocol: a seed beyond 64 bits",
        TABLES,
        ("seed",),
        protocol("[0]", "[99999999999999999999999]"),
    ),
    Case(
        "protocol: settings without value",
        TABLES,
        ("p.yaml", "'seed'"),
        protocol("[data.size=32,", "[seed, data.size=32,"),
    ),
    Case(
        "protocol: an unknown setting",
        TABLES,
        ("'sed'",),
        protocol("[data.size=32,", "[sed=1, data.size=32,"),
    ),
    Case(
        "protocol: cells in a list",
        TABLES,
        ("p.yaml", "cells"),
        protocol("cells:\n  none: {label: none, overrides: [attn=none]}\n", "cells: [none]\n"),
    ),
    Case(
        "protocol: a cell in words",
        TABLES,
        ("p.yaml", "cells.none"),
        protocol("{label: none, overrides: [attn=none]}", "none"),
    ),
    Case(
        "protocol: a cell outside",
        TABLES,
        ("p.yaml", "../up"),
        protocol("  none: {", "  ../up: {label: u, overrides: []}\n  none: {"),
    ),
    Case(
        "protocol: a table outside",
        TABLES,
        ("p.yaml", "tables.../up"),
        protocol("  table2: {", "  ../up: {"),
    ),
    Case(
        "protocol: a table of 300 letters",
        TABLES,
        ("p.yaml", "not 300"),
        protocol("  table2: {", f"  {'t' * 300}: {{"),
    ),
    Case(
        "protocol: a grid outside",
        TABLES,
        ("p.yaml", "grids.../g"),
        protocol(more="grids: {../g: {title: G, axes: {a: {b: {label: l, overrides: []}}}}}\n"),
    ),
    Case(
        "protocol: overrides in words",
        TABLES,
        ("p.yaml", "overrides"),
        protocol("[attn=none]", "attn=none"),
    ),
    Case(
        "protocol: an unknown variant",
        TABLES,
        ("cell none", "'nune'"),
        protocol("[attn=none]", "[attn=nune]"),
    ),
    Case(
        "protocol: like nobody",
        TABLES,
        ("p.yaml", "like"),
        protocol("{label: none,", "{like: nobody, label: none,"),
    ),
    Case(
        "protocol: a row of nobody",
        TABLES,
        ("p.yaml", "'nune'"),
        protocol("rows: [none]", "rows: [nune]"),
    ),
    Case(
        "protocol: a row of a list",
        TABLES,
        ("p.yaml", "rows"),
        protocol("rows: [none]", "rows: [{cell: [none]}]"),
    ),
    Case(
        "protocol: a row of a number",
        TABLES,
        ("p.yaml", "rows"),
        protocol("rows: [none]", "rows: [3]"),
    ),
    Case(
        "protocol: rows in words",
        TABLES,
        ("p.yaml", "rows"),
        protocol("rows: [none]", "rows: none"),
    ),
    Case(
        "protocol: a label of a list",
        TABLES,
        ("p.yaml", "label"),
        protocol("label: none", "label: [a]"),
    ),
    Case(
        "protocol: a grid of a number",
        TABLES,
        ("p.yaml", "grids.g"),
        protocol(more="grids: {g: 3}\n"),
    ),
    Case("protocol: grids in a list", TABLES, ("p.yaml", "grids"), protocol(more="grids: [g]\n")),
    Case(
        "protocol: axes of a number",
        TABLES,
        ("p.yaml", "grids.g"),
        protocol(more="grids: {g: {title: G, axes: 3}}\n"),
    ),
    Case(
        "protocol: a grid without title",
        TABLES,
        ("p.yaml", "grids.g"),
        protocol(more="grids: {g: {axes: {a: {b: {label: l, overrides: []}}}}}\n"),
    ),
    Case(
        "protocol: curves of a number", TABLES, ("p.yaml", "curves"), protocol(more="curves: 3\n")
    ),
    Case(
        "protocol: curves of nobody",
        TABLES,
        ("p.yaml", "'nune'"),
        protocol(more="curves: {cells: [nune]}\n"),
    ),
    Case(
        "protocol: shares above one",
        TABLES,
        ("p.yaml", "curves.training"),
        protocol(more="curves: {training: [2]}\n"),
    ),
    Case(
        "protocol: a share that is NaN",
        TABLES,
        ("p.yaml", "curves.training"),
        protocol(more="curves: {training: [.nan]}\n"),
    ),
    Case(
        "protocol: search of a number",
        TABLES,
        ("p.yaml", "search.settings"),
        protocol(more="search: {settings: 3}\n"),
    ),
    Case(
        "protocol: rounds of a list",
        TABLES,
        ("p.yaml", "profile_rounds"),
        protocol(more="profile_rounds: [1]\n"),
    ),
    Case("protocol: base outside", TABLES, ("p.yaml", "base"), written("p.yaml", "base: ../up\n")),
    Case("protocol: base of a list", TABLES, ("p.yaml", "base"), written("p.yaml", "base: [a]\n")),
    Case("protocol: base of itself", TABLES, ("p.yaml", "base"), written("p.yaml", "base: p\n")),
    Case("protocol: base that is gone", TABLES, ("gone.yaml",), written("p.yaml", "base: gone\n")),
    Case(
        "protocol: chosen of nobody",
        TABLES,
        ("chosen", "'nune'"),
        several(protocol(), written("chosen.yaml", "nune: {seed: 1}\n")),
    ),
    Case(
        "protocol: chosen in words",
        TABLES,
        ("chosen", "none"),
        several(protocol(), written("chosen.yaml", "none: fast\n")),
    ),
    Case(
        "protocol: chosen in a list",
        TABLES,
        ("chosen.yaml",),
        several(protocol(), written("chosen.yaml", "- none\n")),
    ),
    Case(
        "protocol: chosen of an unknown setting",
        TABLES,
        ("'sed'",),
        several(protocol(), written("chosen.yaml", "none: {sed: 1}\n")),
    ),
    Case(
        "protocol: chosen for a cell twice",
        TABLES,
        ("chosen.yaml", "'none'", "twice"),
        several(protocol(), written("chosen.yaml", "none: {seed: 1}\nnone: {seed: 2}\n")),
    ),
    Case("protocol: nothing to search", TABLES + " search=true", ("search.settings",), protocol()),
    Case("protocol: a suffix", "tables protocol=p.txt", ("must end with .yaml",)),
    Case(
        "protocol: a folder",
        TABLES,
        ("p.yaml", "cannot be read"),
        lambda folder: (folder / "p.yaml").mkdir(),
    ),
    Case(
        "config: no YAML",
        "run resume=r",
        ("r", "variant and data"),
        stored_as("attn: [\n"),
    ),
    Case("config: bytes", "run resume=r", ("config.yaml",), written("r/config.yaml", b"\xff\xfe")),
    Case("config: deep inside", "run resume=r", ("r",), stored_as(DEEP[:20000])),
    Case(
        "config: a list",
        "run resume=r",
        ("r", "variant and data"),
        stored_as("- attn\n"),
    ),
    Case("config: nothing", "run resume=r", ("r", "variant and data"), stored_as("")),
    Case(
        "config: an unknown setting",
        "run resume=r",
        ("foo",),
        stored_as("attn: {name: none}\ndata: {name: embedded}\nfoo: 1\n"),
    ),
    Case(
        "config: an unknown variant",
        "run resume=r",
        ("'nune'",),
        stored_as("attn: {name: nune}\ndata: {name: embedded}\n"),
    ),
    Case(
        "config: a variant that is an override",
        "run resume=r",
        ("r",),
        stored_as("attn: {name: 'none hydra.run.dir=/tmp/x'}\ndata: {name: embedded}\n"),
    ),
    Case(
        "config: a seed in words",
        "run resume=r",
        ("seed",),
        stored_as("attn: {name: none}\ndata: {name: embedded}\nseed: one\n"),
    ),
    Case(
        "config: code",
        "run resume=r",
        ("r", "variant and data"),
        stored_as("!!python/object/apply:os.system ['touch evil-ran']\n"),
    ),
    Case("config: a bomb", "run resume=r", ("config.yaml",), stored_as(bomb("attn"))),
    Case(
        "config: the environment",
        "run resume=r",
        ("config.yaml", "${"),
        stored_as(
            "attn: {name: none}\ndata: {name: embedded}\ndevice: '${oc.env:HOME}'\n",
        ),
    ),
    Case(
        "config: plug-ins in words",
        "run resume=r",
        ("plugins",),
        stored_as("attn: {name: none}\ndata: {name: embedded}\nplugins: 3\n"),
    ),
    Case(
        "config: a folder",
        "run resume=r",
        ("config.yaml",),
        lambda folder: (folder / "r/config.yaml").mkdir(parents=True),
    ),
]


def journal(*lines: str | bytes) -> Callable[[Path], object]:
    """A journal under its right address, with these lines behind."""

    def made(folder: Path) -> None:
        data = b"".join((s.encode() if isinstance(s, str) else s) + b"\n" for s in lines)
        written("j.part", b'{"address": "here"}\n' + data)(folder)

    return made


JOURNALS = [
    Case(
        f"journal: {name}",
        "journal j.part",
        right=lambda ran: "0 facts" in ran.out,
        files=journal(*lines),
    )
    for name, lines in {
        "words": ("hello",),
        "cut off": ('{"round": {"a": 1.',),
        "bytes": (b"\xff\xfe\x00",),
        "a list": ("[1, 2]",),
        "a number": ("3",),
        "null": ("null",),
        "a fact without key": ('{"facts": {}}',),
        "a fact of nothing": ('{"key": "a", "facts": null, "first": 1}',),
        "a fact of other keys": ('{"key": "a", "facts": {"what": 1}, "first": 1}',),
        "a fact in words": ('{"key": "a", "facts": {"agreement": "", "flops": "x"}, "first": 1}',),
        "a time in words": ('{"key": "a", "facts": {"agreement": ""}, "first": "x"}',),
        "a round of words": ('{"round": "abc"}',),
        "a round of lists": ('{"round": {"a": [1]}}',),
        "a round of 400 digits": (f'{{"round": {{"a": {HUGE}}}}}',),
        "a round of NaN": ('{"round": {"a": NaN}}',),
        "deep inside": (DEEP,),
    }.items()
]

CASES = {
    "records": RECORDS,
    "results folders": RESULTS,
    "protocols and configurations": YAMLS,
    "journals": JOURNALS,
}
