"""All records below a folder as one data frame: what is in it, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_results import SCENARIOS, made_protocol, made_record, make_results

from attnzoo import results
from attnzoo.errors import UserError
from attnzoo.train.record import read_record

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_results(tmp_path_factory.mktemp("made"), seeds=2, clips=4, videos=False)


def put(folder: Path, content: Any, name: str = "record.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    return folder


def test_a_row_for_each_clip_of_each_score_of_each_record(made: Path) -> None:
    frame = results.load(made)
    files = sorted(p for p in made.glob("records/*/seed*.json") if "error" not in p.name)
    assert sorted(frame["path"].unique()) == [str(p.relative_to(made)) for p in files]
    for path in files[::7]:
        content = json.loads(path.read_text())
        part = frame[frame["path"] == str(path.relative_to(made))]
        assert len(part) == 4 * len(content["scores"])
        assert set(part["cell"]) == {path.parent.name} and set(part["seed"]) == {content["seed"]}
        for name, score in content["scores"].items():
            rows = part[part["score"] == name].sort_values("index")
            assert list(rows["clip"]) == content["sampling"]["clips"]
            assert list(rows["scenario"]) == content["sampling"]["scenarios"] == list(SCENARIOS)
            for kind, column in (("clips", "value"), ("influence", "influence")):
                found = [None if v != v else v for v in rows[column]]
                assert found == (score.get(kind) or [None] * 4)
            totals = rows["total"].dropna().unique().tolist()
            assert totals == ([] if score["value"] is None else [score["value"]])
            assert (
                set(rows["reason"].dropna()) == {score["reason"]} - {None}
                if ("reason" in score)
                else rows["reason"].isna().all()
            )


def test_facts_of_a_record_are_columns(made: Path) -> None:
    frame = results.load(made)
    one = frame[frame["cell"] == "table6-half-moving-mixed"].iloc[0]
    assert (one["variant"], one["method"], one["flow"]) == ("stsa_flow", "video", "exact")
    assert (one["noise_training"], one["camera"]) == ("half", "moving")
    assert (one["option.size"], one["option.align"], one["option.aligned"]) == (
        "[4,4,4]", "permute", "shifted",
    )  # fmt: skip
    record = json.loads((made / "records" / str(one["cell"]) / "seed0.json").read_text())
    stages = [record["training"][stage]["seconds"] for stage in ("stage1", "stage2")]
    assert one["training_seconds"] == pytest.approx(sum(stages))
    assert frame[frame["cell"] == "temporal"]["option.size"].isna().all()
    assert set(frame[frame["cell"] == "disco"]["method"]) == {"disco"}


def test_cells_of_two_runs_of_tables_keep_apart(made: Path, tmp_path: Path) -> None:
    content = json.loads((made / "records/temporal/seed0.json").read_text())
    for place in ("records", "longer/records", "deep/er/records"):
        put(tmp_path / place / "temporal", content, "seed0.json")
    put(tmp_path / "alone", content)
    cells = set(results.load(tmp_path)["cell"])
    assert cells == {"temporal", "longer/temporal", "deep/er/temporal", "alone"}
    assert set(results.load(tmp_path / "longer")["cell"]) == {"temporal"}
    assert set(results.load(tmp_path / "alone")["cell"]) == {"alone"}


def test_a_folder_called_records_is_left_out_of_a_cell_where_that_is_clear(
    made: Path, tmp_path: Path
) -> None:
    content = json.loads((made / "records/temporal/seed0.json").read_text())
    put(tmp_path / "records" / "temporal", content, "seed0.json")
    put(tmp_path / "temporal", content)
    assert set(results.load(tmp_path)["cell"]) == {"records/temporal", "temporal"}
    put(tmp_path / "records" / "records" / "temporal", content, "seed0.json")
    assert len(set(results.load(tmp_path)["cell"])) == 3


def test_a_byte_order_mark_is_let_pass_and_a_key_twice_is_not(tmp_path: Path) -> None:
    text = json.dumps(broken(lambda c: None))
    for name, content in (("a", b"\xef\xbb\xbf" + text.encode()), ("b", text.encode())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "record.json").write_bytes(content)
    one, two = (frame for _, frame in results.load(tmp_path).groupby("cell", observed=True))
    assert (one["total"].to_numpy() == two["total"].to_numpy()).any() and len(one) == len(two)
    twice = text.replace('"seed": 0', '"seed": 0, "seed": 0', 1)
    (tmp_path / "b" / "record.json").write_text(twice)
    for read in (lambda: results.load(tmp_path), lambda: read_record(tmp_path / "b")):
        with pytest.raises(UserError, match=r"b.record.json: not a record.*: it has 'seed' twice"):
            read()


def test_cells_of_runs_that_began_in_one_second_keep_apart(made: Path, tmp_path: Path) -> None:
    content = json.loads((made / "records/temporal/seed0.json").read_text())
    for variant in ("none", "temporal"):
        put(tmp_path / variant / "2026-01-31_12-00-00", {**content, "variant": variant})
    frame = results.load(tmp_path)
    assert set(frame.groupby("cell", observed=True).variant.first().items()) == {
        (f"{variant}/2026-01-31_12-00-00", variant) for variant in ("none", "temporal")
    }


def test_a_record_under_another_seed_is_refused(made: Path, tmp_path: Path) -> None:
    content = json.loads((made / "records/temporal/seed0.json").read_text())
    put(tmp_path / "records" / "temporal", content, "seed1.json")
    with pytest.raises(UserError, match=r"seed1\.json: .* its seed is 0: it is another run's"):
        results.load(tmp_path)


def test_failed_cells_and_hidden_folders_are_no_records(made: Path) -> None:
    assert "stsa_flow-cycles" not in set(results.load(made)["cell"])
    put(made / "records" / ".cells" / "half", {"schema": 3})
    assert len(results.load(made)) > 0


def test_an_older_record_is_brought_to_the_present_schema() -> None:
    frame = results.load(REPOSITORY / "results" / "example")
    assert set(frame["schema"]) == {3} and set(frame["method"]) == {"video"}
    assert set(frame["flow"]) == {"exact"} and set(frame["cell"]) == {"example"}
    distance = frame[frame["score"] == "fd_embedded_video"]
    assert distance["total"].notna().all() and distance["value"].isna().all()


def broken(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    content = made_record(made_protocol(1, 4), "none", 0, 4)
    change(content)
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (broken(lambda c: c.update(schema=1)), "schema is 1, of runs from an earlier base"),
        (broken(lambda c: c.update(schema=9)), "its schema is 9, not 3"),
        ([], "its schema is None, not 3"),
        (broken(lambda c: c.pop("noise")), "lacks 'noise'"),
        (broken(lambda c: c["scores"]["l1"].update(value="0.5")), "l1 holds '0.5', not a number"),
        (broken(lambda c: c["scores"]["l1"].update(clips=[1, 2])), "l1 has 2 values for 4 clips"),
        (broken(lambda c: c["scores"]["l1"].update(clips=["1"] * 4)), "l1 holds what is no numb"),
        (
            broken(lambda c: c["scores"]["l1"].update(value=float("nan"))),
            "it holds NaN, which is no",
        ),
        (broken(lambda c: c["scores"].update(l1=None)), "not a record that can be read"),
        (broken(lambda c: c["sampling"].update(scenarios=[])), "0 scenarios for 4 clips"),
        (broken(lambda c: c["parameters"].update(added=10**400)), "added_parameters is 1000"),
        (broken(lambda c: c["scores"]["l1"].update(n=10**400)), "score l1 counts 1000"),
        (broken(lambda c: c["scores"]["l1"].update(value=1e301)), "a number that is too large"),
        (broken(lambda c: c["scores"]["l1"].update(clips=[1e301] * 4)), "number that is too large"),
    ],
)
def test_what_is_refused_with_its_file(tmp_path: Path, content: Any, message: str) -> None:
    put(tmp_path / "good", broken(lambda c: None))
    put(tmp_path / "bad", content)
    with pytest.raises(UserError, match=f"bad.*{message}"):
        results.load(tmp_path)


def test_links_to_folders_and_folders_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = broken(lambda c: None)
    put(tmp_path / "results/run", record)
    put(tmp_path / "elsewhere", record)
    (tmp_path / "results/latest").symlink_to("run")
    (tmp_path / "results/self").symlink_to(".")
    assert set(results.load(tmp_path / "results")["path"]) == {"run/record.json"}
    (tmp_path / "results/other").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"results/other: .*leaves the folder"):
        results.load(tmp_path / "results")
    (tmp_path / "results/other").unlink()
    real = os.scandir

    def refused(path: Any) -> Any:
        if str(path).endswith("run"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(UserError, match="results/run: cannot be read: Permission denied"):
        results.load(tmp_path / "results")


def test_a_file_cut_short_and_a_folder_without_records(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no record below it"):
        results.load(tmp_path)
    (tmp_path / "record.json").write_text('{"schema": 3, "sco')
    with pytest.raises(UserError, match=r"record\.json: not a record that can be read"):
        results.load(tmp_path)


def test_records_and_tables_need_no_torch(made: Path, tmp_path: Path) -> None:
    copy = make_results(tmp_path / "made", seeds=1, clips=4, videos=False)
    code = (
        "import sys; from pathlib import Path; from attnzoo import results\n"
        f"assert len(results.load({str(made)!r}))\n"
        "from attnzoo.report.tables import write_tables\n"
        f"assert write_tables(Path({str(copy)!r}))\n"
        "heavy = {'torch', 'diffusers', 'einops', 'hydra', 'cv2', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.mark.long
def test_rooms_need_no_import_of_their_own() -> None:
    code = (
        "import sys, attnzoo; attnzoo.results.load, attnzoo.report.make; "
        "assert 'torch' not in sys.modules; attnzoo.testing.check_attention"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
