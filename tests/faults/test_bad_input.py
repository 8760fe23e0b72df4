"""Wrong and unusual input of every kind: the quick part of what `bad_input.py` runs whole."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from bad_input import KINDS, cases, prepare
from bad_input_case import Case, judged, run
from bad_input_files import record
from fuzz import ROWS, broken_bytes, broken_line, rounds

from attnzoo import results
from attnzoo.bench.journal import Journal
from attnzoo.errors import UserError
from attnzoo.train.record import read_record

EVERY = 6
"""Of so many cases one is tried here."""


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    prepare()


@pytest.mark.parametrize("kind", KINDS)
def test_every_input_is_one_line_or_a_right_result(kind, tmp_path):
    faults = [
        f"{case.name}: {fault}"
        for number, case in enumerate(KINDS[kind][::EVERY])
        if (fault := judged(case, run(case, tmp_path / str(number))))
    ]
    assert not faults, "\n".join(faults)


def test_there_are_at_least_as_many_as_were_promised():
    assert len(cases()) >= 200


def wrong(case: Case, tmp_path) -> str:
    return judged(case, run(case, tmp_path)) or ""


def test_a_case_that_is_not_as_it_should_be_is_seen(tmp_path, monkeypatch):
    """What judges can be wrong, too."""
    assert "instead of 2" in wrong(Case("right", "list", ("no",)), tmp_path / "a")
    assert "does not say ['words']" in wrong(Case("words", "list x*", ("words",)), tmp_path / "b")
    assert "refused" in wrong(Case("refused", "list x*", right=lambda ran: True), tmp_path / "c")
    assert "should be" in wrong(Case("result", "list", right=lambda ran: False), tmp_path / "d")
    monkeypatch.setattr("attnzoo.list.command", lambda arguments: 1 / 0)
    assert "ZeroDivisionError" in wrong(Case("fault", "list", ("no",)), tmp_path / "e")

    def ends(arguments):
        raise SystemExit(3)

    monkeypatch.setattr("attnzoo.list.command", ends)
    assert "status 3" in wrong(Case("status", "list", ("no",)), tmp_path / "f")
    monkeypatch.setattr("attnzoo.list.command", lambda arguments: bytearray(3 << 30))
    assert "status 74" in wrong(Case("memory", "list", ("no",)), tmp_path / "h")
    monkeypatch.setattr("attnzoo.list.command", lambda arguments: time.sleep(0.2))
    monkeypatch.setattr("bad_input_case.WAITS", 0.1)
    assert "of waiting" in wrong(Case("waits", "list", ("no",)), tmp_path / "i")
    monkeypatch.setattr("bad_input_case.HANGS", 0.2)
    monkeypatch.setattr("attnzoo.list.command", lambda arguments: [0 for _ in iter(int, 1)])
    assert "Hang" in wrong(Case("hang", "list", ("no",)), tmp_path / "g")


def test_the_fuzzer_breaks_the_same_from_the_same_seed():
    def both(seed: int) -> tuple[list[str], bytes]:
        draw = random.Random(seed)
        return broken_line(draw), broken_bytes(bytes(100), draw)

    assert both(1) == both(1)
    assert len({repr(both(seed)) for seed in range(50)}) > 40


def test_some_rounds_of_the_fuzzer_end_as_they_should():
    counts, wrong = rounds(0, 12, seed=1)
    assert not wrong and sum(count.total() for count in counts.values()) == 12


def test_a_record_cut_at_each_byte_says_which_file_it_is(tmp_path: Path) -> None:
    content = record()
    content["scores"] = {"ssim": content["scores"]["ssim"]}
    content["data"] |= {"split": {}, "settings": {}}
    content |= {"profile": None, "environment": {}}
    whole = json.dumps(content).encode()
    path = tmp_path / "record.json"
    path.write_bytes(whole)
    assert read_record(path) == content and len(results.load(tmp_path)) == 8
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        for read in (read_record, lambda _: results.load(tmp_path)):
            with pytest.raises(UserError) as refused:
                read(path)
            assert str(refused.value).startswith(f"{path}: ") and "\n" not in str(refused.value)


def test_a_journal_cut_at_each_byte_keeps_its_whole_lines(tmp_path: Path) -> None:
    rounds = (
        '{"round": {"a": 0.5}, "crc32": 2823358466}',
        '{"round": {"a": 0.25}, "crc32": 4048432873}',
    )
    whole = ROWS + "".join(f"{line}\n" for line in rounds)
    for end in range(len(whole) + 1):
        path = tmp_path / "j.part"
        path.write_text(whole[:end])
        found = Journal(path, "here")
        lines = whole[: end + 1].count("\n") if end < len(whole) else 4
        assert (len(found.facts), sum(map(len, found.seconds.values()))) == (
            int(lines > 1),
            max(0, lines - 2),
        )
        found.close()
