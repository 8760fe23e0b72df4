"""The bench as a command: a grid killed and gone on with, what cannot be, what is compared."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from command import command, start

SMALL = ("channels=16", "heads=2", "peers=null", "what=module", "width=null", "threads=1")


def bench(*arguments: str, cwd: Path) -> tuple[int, str]:
    done = command("bench", *arguments, cwd=cwd)
    return done.returncode, done.stderr


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.long
@pytest.mark.slow
def test_a_killed_grid_goes_on_where_it_was(tmp_path: Path) -> None:
    grid = (
        *SMALL, "attn=none,stsa,temporal,temporal_conv,crossframe_all", "frames=2,4",
        "resolution=4,6", "backward=false", "rounds=8", "out=a.jsonl",
    )  # fmt: skip
    journal = tmp_path / "a.jsonl.part"
    process = start("bench", *grid, cwd=tmp_path)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if journal.exists() and journal.read_text().count('"round"') >= 2:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was done before it could be killed"
    before = [json.loads(line)["round"] for line in journal.read_text().splitlines()[:-1]
              if '"round"' in line]  # fmt: skip
    status, err = bench(*grid, cwd=tmp_path)
    assert status == 0, err
    assert not journal.exists()
    found = rows(tmp_path / "a.jsonl")
    # `none` has no module; `stsa` has two, and the others one each.
    assert len(found) == 5 * 4 and {row["rounds"] for row in found} == {8}
    for row in found:
        assert row["status"] == "ok" and row["seconds"][: len(before)] == [
            one[row["key"]] for one in before
        ]
    header = (tmp_path / "a.csv").read_text().splitlines()[0].split(",")
    wanted = {"latency", "throughput", "peak_memory", "flops", "roofline_share", "status",
              "environment_cpu", "environment_commit", "environment_governor"}  # fmt: skip
    assert wanted <= set(header)
    # What is there is not measured again.
    again = bench(*grid, cwd=tmp_path)
    assert again[0] == 0 and rows(tmp_path / "a.jsonl") == found
    # Nor are rows of another machine, or another number of threads, written over.
    others = [text.replace("threads=1", "threads=2") for text in grid]
    status, err = bench(*others, cwd=tmp_path)
    assert status == 2 and "was measured with threads=" in err and "fresh=true" in err
    assert rows(tmp_path / "a.jsonl") == found
    # Another grid is not written over it.
    status, err = bench(*SMALL, "attn=temporal", "frames=3", "out=a.jsonl", cwd=tmp_path)
    assert status == 2 and "holds 20 rows of other cells" in err


@pytest.mark.slow
def test_what_would_take_too_much_is_a_row_that_says_so(tmp_path: Path) -> None:
    status, err = bench(
        *SMALL, "attn=crossframe_all,temporal", "frames=4,100000", "resolution=8", "backward=false",
        "memory=0.5", "longest=60", "rounds=5", "out=a.jsonl", cwd=tmp_path,
    )  # fmt: skip
    assert status == 0, err
    found = {(row["name"], row["frames"]): row for row in rows(tmp_path / "a.jsonl")}
    assert found["temporal", 4]["status"] == found["crossframe_all", 4]["status"] == "ok"
    for name in ("temporal", "crossframe_all"):
        row = found[name, 100000]
        assert row["status"] == "out_of_memory" and row["predicted"]
        assert "predicted from" in row["reason"] and row["rounds"] == 0
        assert row["peak_memory"] > 0.4 * 2**30 and row["latency"] > 0


@pytest.mark.slow
def test_a_run_too_long_is_predicted(tmp_path: Path) -> None:
    status, err = bench(
        *SMALL, "attn=crossframe_all", "frames=4,512", "resolution=16", "backward=false",
        "longest=0.5", "rounds=5", "out=a.jsonl", cwd=tmp_path,
    )  # fmt: skip
    assert status == 0, err
    short, long = rows(tmp_path / "a.jsonl")
    assert short["status"] == "ok"
    assert long["status"] == "too_long" and long["predicted"] and long["latency"] > 0.5
    assert "longest=0.5" in long["reason"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["attn=stsaa"], "unknown variant 'stsaa'; did you mean 'stsa'?"),
        (["atn=stsa"], "atn= is no setting of the bench and no option of"),
        (["attn=stsa", "size=[4,4]"], "size"),
        (["attn=temporal", "size=[4,4,4]"], "size= is no setting of the bench"),
        (["frames=0"], "frames=0: must be a positive integer"),
        (["resolution=x"], "resolution=x: must be a side such as 32, or 32x48"),
        (["resolution=30", "what=unet"], "resolution=30: unet=small needs sides that 4 divides"),
        (["resolution=18", "what=level"], "resolution=18: unet=small needs sides that 4 divides"),
        (["attn=stsa", "size=[4,4,4]", "attn.size=[8,4,4]"], "size=, attn.size=: give one of them"),
        (["what=modul"], "what=modul: did you mean module?"),
        (["dtype=fp8"], "there are fp32, bf16, fp16"),
        (["dtype=fp32", "dtype=bf16"], "each setting is given once"),
        (["out=a.txt"], "out=a.txt: must end with .jsonl"),
        (["plots=1.50"], "plots=1.50: would be read as 1.5; put"),
        (["base=12e3"], "base=12e3: would be read as 12000.0; put"),
        (["against=no.jsonl"], "against=no.jsonl: cannot be read"),
        (["peers=Unet"], "peers=Unet:"),
        (["peers=[null,x]"], "peers=null: there are"),
        (["peers=[null]", "frames=0"], "frames=0"),
        (["rounds=null"], "rounds=null: must be a positive integer"),
        (["channels=10"], "channels=10 must be a multiple of heads=8"),
        (["quick=maybe"], "quick=maybe: must be true or false"),
        (["base=HEAD", "out=a.jsonl"], "base=, out=: give one of them"),
        (["base=no-such-commit"], "base=no-such-commit: no such commit"),
        (["device=tpu"], "device=tpu: there are cpu, cuda"),
        (["suite=unet", "against=a.jsonl"], "suite=unet has no setting 'against'"),
        (["--rounds=3"], "--rounds=3: no such flag"),
        (["attn=[stsa"], "settings are key=value"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    from attnzoo.bench.__main__ import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(arguments)
    _, err = capsys.readouterr()
    assert end.value.code == 2 and said in err and err.count("\n") == 1
    assert not list(tmp_path.glob("*.jsonl*"))


def test_help_and_the_short_way(capsys: Any) -> None:
    from attnzoo.__main__ import main

    with pytest.raises(SystemExit) as end:
        main(["bench", "--help"])
    assert end.value.code == 0 and "against=REF.jsonl" in capsys.readouterr().out
