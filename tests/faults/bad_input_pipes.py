"""Pipes and devices where files are read or written: whoever opens one may wait for ever."""

from __future__ import annotations

import os
from pathlib import Path

from bad_input_case import Case
from bad_input_data import MASK, POSE, TIKTOK, link
from bad_input_files import (
    Make,
    dances,
    frames,
    moving,
    records,
    results,
    several,
    stored_as,
    tsv,
    written,
)
from bad_input_options import pair
from bad_input_results import ONE, PROTOCOL, TABLES
from bad_input_sources import STORED, opened, prepared, sample, trained

PIPE = "a pipe, a socket or a device"


def pipe(name: str) -> Make:
    """A pipe to which nobody writes, in the place of what is there."""

    def made(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        os.mkfifo(path)

    return made


def endless(name: str) -> Make:
    """A link to a device that never comes to its end."""
    return link(name, "/dev/zero")


def all_of(part: str) -> Make:
    """A pipe for each file of a part of what was prepared."""

    def made(store: Path) -> None:
        for file in [path for path in (store / part).rglob("*") if path.is_file()]:
            pipe(file.name)(file.parent)

    return prepared(made)


CONFIG = "attn: {name: none}\ndata: {name: embedded}\n"

PIPES = [
    Case("pipe: a record", "read_record R/record.json", (PIPE,), pipe("R/record.json")),
    Case("pipe: a device for a record", "read_record r.json", (PIPE,), endless("r.json")),
    Case(
        "pipe: a record among others",
        "results.load R",
        ("R/b/record.json", PIPE),
        several(records(), pipe("R/b/record.json")),
    ),
    Case(
        "pipe: a finished run's record",
        "run resume=r",
        ("r/record.json", PIPE),
        several(stored_as(CONFIG), pipe("r/record.json")),
    ),
    Case("pipe: a configuration", "run resume=r", ("config.yaml", PIPE), pipe("r/config.yaml")),
    Case("pipe: of a sample", sample(), ("config.yaml", PIPE), trained(pipe("config.yaml"))),
    Case("pipe: results", "findings R", (PROTOCOL, PIPE), results(pipe(PROTOCOL))),
    Case("pipe: one of the results", "findings R", (ONE, PIPE), results(pipe(ONE))),
    Case("pipe: a protocol", TABLES, ("p.yaml", PIPE), pipe("p.yaml")),
    Case("pipe: a device for a protocol", TABLES, ("p.yaml", PIPE), endless("p.yaml")),
    Case("pipe: a mask", TIKTOK, (MASK, PIPE), dances(change=pipe(MASK))),
    Case("pipe: keypoints", TIKTOK, (POSE, PIPE), dances(change=pipe(POSE))),
    Case("pipe: a yaml", TIKTOK, ("train.yaml", PIPE), tsv(change=pipe("train.yaml"))),
    Case(
        "pipe: a list of dances",
        f"{TIKTOK} data.train=a.txt",
        ("data.train=a.txt", PIPE),
        several(dances(), pipe("a.txt")),
    ),
    Case(
        "pipe: rows to compare with",
        "bench attn=temporal what=module against=a.jsonl",
        ("against=a.jsonl", PIPE),
        pipe("a.jsonl"),
    ),
    Case("pipe: a journal", "journal j.part", ("j.part", PIPE), pipe("j.part")),
    Case("pipe: a list", f"{STORED}P", ("data.prepared=P", "prepare"), all_of("sheets")),
    Case("pipe: what was prepared", f"{STORED}P", ("P/items", PIPE), all_of("items")),
    Case("pipe: what is known", f"{STORED}P", right=opened, files=all_of("catalogue")),
    *(
        Case(
            f"pipe: scores as {kind}",
            f"score --real real --fake fake --only l1 --cache none --{kind} o",
            ("o: ", PIPE),
            several(pair, pipe("o")),
        )
        for kind in ("json", "csv")
    ),
    Case(
        "pipe: scores for nobody",
        "score --real real --fake fake --only l1 --cache none --json /dev/null",
        ("/dev/null", PIPE),
        pair,
    ),
    Case(
        "pipe: scores into a link",
        "score --real real --fake fake --only l1 --cache none --json o",
        ("o: a link", "that it leads to"),
        several(pair, written("there", ""), link("o", "there")),
    ),
    Case(
        "pipe: a page for nobody",
        "report --results R --out /dev/null",
        ("/dev/null", PIPE),
        results(),
    ),
    Case("pipe: a page", "report --results R", ("report.html", PIPE), results(pipe("report.html"))),
    Case(
        "pipe: a plan's notes",
        "plan --measure stage1 --out o.jsonl",
        ("o.jsonl", PIPE),
        pipe("o.jsonl"),
    ),
    Case(
        "pipe: a frame",
        "run data=video data.path=v data.frames=4 data.size=32",
        right=lambda ran: len(ran.started[0][1].train) == 1,
        files=several(frames("v", moving(4)), pipe("v/5.png")),
    ),
]

CASES = {"pipes and devices": PIPES}
