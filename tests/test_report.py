"""The report is one file that is whole, asks nobody for anything and lets no text become code."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from command import environment
from made_page import SVG, page, small_results

from attnzoo import commands
from attnzoo.errors import UserError
from attnzoo.report import make
from attnzoo.report.__main__ import command
from attnzoo.report.folder import read_folder
from attnzoo.report.page import facts
from attnzoo.report.page.packed import script_json, svg_address

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


class Elements(HTMLParser):
    """Tags with their attributes, scripts' contents by id, and the text outside of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.text = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside = (dict(attributes).get("id") or "") if tag == "script" else ""
        if tag == "script":
            self.scripts[self._inside] = ""

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script" and self._inside in self.scripts:
            self.scripts[self._inside] += data
        else:
            self.text += data

    def values(self, name: str) -> list[str]:
        return [found[name] or "" for _, found in self.tags if name in found]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return small_results(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def written(results, tmp_path_factory):
    text, remarks = page(results, tmp_path_factory.mktemp("page") / "report.html")
    assert remarks == ()
    return text


@pytest.fixture(scope="module")
def elements(written):
    return Elements(written)


def unpacked(elements: Elements) -> dict[str, dict[str, dict]]:
    packed = json.loads(elements.scripts["records"])
    return {
        cell: json.loads(gzip.decompress(base64.b64decode(text))) for cell, text in packed.items()
    }


def test_nothing_is_fetched_from_anywhere(written, elements):
    addresses = elements.values("src") + elements.values("href")
    assert len(addresses) > 50
    assert {a[:5] for a in addresses if not a.startswith("#")} == {"data:"}
    style = written[written.index("<style>") : written.index("</style>")]
    assert "url(" not in style and "@import" not in style
    policy = next(found["content"] for _, found in elements.tags if "http-equiv" in found)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http:" not in policy and "*" not in policy


def test_a_text_of_a_record_is_never_code(results, tmp_path, elements):
    folder = shutil.copytree(results, tmp_path / "results")
    protocol = json.loads((folder / "protocol.json").read_text())
    cell = protocol["tables"]["table1"]["rows"][2]["cell"]
    protocol["command"] = protocol["tables"]["table5"]["title"] = EVIL
    protocol["tables"]["table1"]["rows"][2]["label"] = EVIL
    protocol["tables"]["table5"]["rows"][0]["group"] = EVIL
    protocol["settings"] = {EVIL: EVIL}
    protocol["cells"][cell].update(label=EVIL, overrides=[EVIL])
    (folder / "protocol.json").write_text(json.dumps(protocol))
    for file in (folder / "records").glob("*/seed?.json"):
        record = json.loads(file.read_text())
        del record["environment"]["overrides"]  # of other settings it would be refused
        file.write_text(json.dumps(record))
    for file in (folder / "records").glob("*/*.error.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "error": EVIL, "kind": EVIL}))
    index = json.loads((folder / "clips" / "index.json").read_text())
    index[0]["scenario"] = EVIL
    (folder / "clips" / "index.json").write_text(json.dumps(index))
    found = Elements(page(folder, tmp_path / "report.html")[0])
    assert found.text.count(EVIL) > 8
    assert list(found.scripts) == list(elements.scripts)
    assert not [name for _, given in found.tags for name in given if name.startswith("on")]
    assert len([tag for tag, _ in found.tags if tag == "img"]) == 2
    assert json.loads(found.scripts["videos-data"])["clips"][0]["scenario"] == EVIL


def test_every_number_opens_the_records_that_it_comes_from(results, elements):
    records = unpacked(elements)
    for cell, files in records.items():
        for name, content in files.items():
            assert json.loads((results / name).read_text()) == content, cell
    links = [unquote(a).split("/") for a in elements.values("href") if a.startswith("#record/")]
    assert len(links) > 200
    for _, cell, score in links:
        names = list(records[cell])
        assert names[0].startswith(f"records/{cell}/seed0.")
        if score == "cost":
            assert f"costs/{cell}.json" in names
        elif score:
            assert score in records[cell][names[0]]["scores"]


def test_each_number_of_a_table_is_a_link_or_says_why_it_is_none(written):
    tables = re.findall(r"<table class=\"sortable\">.*?</table>", written, re.DOTALL)
    found = [re.findall(r"<td class=\"s\d.*?</td>", table, re.DOTALL) for table in tables]
    assert len(tables) > 5 and sum(map(len, found)) > 300
    for cells in found:
        for cell in cells:
            assert 'href="#record/' in cell or ">–</span>" in cell


def test_a_number_of_a_file_of_its_own_opens_no_record(results, tmp_path):
    """The distances between real clips stand in no cell's record."""
    shutil.copytree(results, tmp_path / "floor", ignore=shutil.ignore_patterns("clips", "plots"))
    scores = {"fd_embedded_frame": 12.346, "fd_embedded_video": 6.0}
    floor = {"schema": 1, "method": "made up", "seeds": {"0": scores}}
    (tmp_path / "floor" / "floor.json").write_text(json.dumps(floor))
    text, _ = page(tmp_path / "floor", tmp_path / "report.html")
    (real, *_) = re.findall(r"<tr class=\"floor\">.*?</tr>", text, re.DOTALL)
    numbers = dict(re.findall(r'data-sort="([^"]*)">(.*?)</td>', real, re.DOTALL))
    assert "href" not in numbers["12.346"] and "12.35" in numbers["12.346"]
    assert sum("#record/" in number for number in numbers.values()) > 2


def test_tables_can_be_taken_along(results, elements):
    files = {
        found["download"]: base64.b64decode(found["href"].split(",")[1])
        for _, found in elements.tags
        if "download" in found
    }
    for name in ("table1.md", "table1.csv", "table1.tex", "table5.tex", "claims.md", "power.csv"):
        assert files[name] == (results / "tables" / name).read_bytes()


def test_every_picture_has_a_text_for_who_cannot_see_it(elements):
    pictures = [found for tag, found in elements.tags if tag == "img"]
    assert [found["alt"] for found in pictures] == ["A bar of 200.", "Grey noise."]
    assert (pictures[0]["width"], pictures[0]["height"]) == ("320", "120")
    assert unquote(pictures[0]["src"]).split(",", 1)[1] == SVG
    assert pictures[1]["src"].startswith("data:image/png;base64,")


def test_the_same_folder_gives_the_same_bytes(results, written, tmp_path):
    assert page(results, tmp_path / "again.html")[0] == written


def test_what_does_not_fit_is_left_out_and_said(results, tmp_path, elements):
    limit = 600_000
    whole = json.loads(elements.scripts["videos-data"])
    text, remarks = page(results, tmp_path / "small.html", limit)
    assert len(text.encode()) <= limit
    data = json.loads(Elements(text).scripts["videos-data"])
    left = len(whole["sources"]) - len(data["sources"])
    assert left > 0 and remarks[0].startswith(f"{left} of {len(whole['sources'])} videos are not")
    assert remarks[0] in text
    # Everybody's first clip comes before anybody's second.
    order = [tuple(map(int, key.split("/"))) for key in whole["sources"]]
    assert order == sorted(order)
    assert list(data["sources"]) == list(whole["sources"])[: len(data["sources"])]
    missing = [said for variant in data["variants"] for said in variant["missing"] if said]
    assert len(missing) == left and all("left out" in said for said in missing)


def test_records_go_last_and_their_paths_stay(results, tmp_path):
    text, remarks = page(results, tmp_path / "tiny.html", 10_000)
    assert [
        word for remark in remarks for word in ("records", "videos", "more than") if word in remark
    ]
    assert len(remarks) == 4 and "records/" in remarks[0] and "tables/" in remarks[1]
    found = Elements(text)
    assert not found.values("download")
    assert json.loads(found.scripts["records"]) == {}
    assert not [a for a in found.values("href") if a.startswith("#record/")]


def test_failed_cells_and_a_run_too_short_are_marked(tmp_path):
    def change(protocol):
        protocol["name"] = "quick"

    folder = small_results(tmp_path / "r", "table5", videos=False, change=change)
    text = page(folder, tmp_path / "p.html")[0]
    found = Elements(text)
    assert "too short to judge" in found.text
    assert "There are no videos" in found.text and "videos-data" not in found.scripts
    assert text.count('<tr class="failed">') == 2  # in its table and among the cells
    assert "records/stsa_flow-cycles/seed1.error.json" in found.text
    assert "a made-up failure" in json.dumps(unpacked(found)["stsa_flow-cycles"])


def test_a_machine_is_told_by_hardware_versions_and_model_alone(results):
    folder = read_folder(results)
    (one,) = facts.machines(folder)
    assert one.title == "One machine for everything"
    records = sum(len(seeds) for seeds in folder.records.values())
    costs = {json.dumps(cost["profile"]) for cost in folder.costs.values()}
    assert 1 < len(costs) < len(folder.costs)  # some are copies of one measurement
    assert one.where == f"Here ran: {records} × run, {len(costs)} × cost"
    assert not {"key", "overrides", "reused"} & {name for name, _ in one.facts}
    environment = folder.records["none"][1]["environment"]
    environment["reused"], environment["hardware"] = True, {"gpu": "H100"}
    here, other = facts.machines(folder)
    assert f"{records - 1} × run" in here.where and other.where == "Here ran: 1 × reused run"
    assert ("gpu", "H100") in other.facts


def test_clips_a_seed_are_those_of_the_records(results):
    folder = read_folder(results)
    assert ", 2 seeds, 4 clips a seed: " in facts.summary({"clips": 8}, folder)
    for cell in {row.cell for row in folder.tables["table5"].rows}:
        for record in folder.records_of(cell).values():
            record["sampling"]["clips"] = ["a", "b"]
    told = "2 or 4 (table 1) or 2 (table 5)"
    assert f", {told} clips a seed: " in facts.summary({}, folder)
    assert ("clips a seed", told) in facts.protocol_facts({"name": "full"}, folder)


def test_half_a_letter_of_a_path_that_is_no_unicode_is_shown_by_its_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("attnzoo.report.tables.powers", lambda folder, scores: [])  # they take long
    folder = small_results(tmp_path / "r", "table3", videos=False)
    for file in (folder / "records" / "stsa-4x2x2").iterdir():
        file.unlink()
        error = {"error": "no such file: \udcff.mp4", "kind": "UserError"}
        file.with_suffix(".error.json").write_text(json.dumps(error))
    found = Elements(page(folder, tmp_path / "p.html")[0])
    said = "no such file: \\udcff.mp4"
    assert said in (folder / "tables" / "table3.md").read_text() and said in found.text
    files = unpacked(found)["stsa-4x2x2"]
    assert files["records/stsa-4x2x2/seed0.error.json"] == error


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record.update(seed=1), "its seed is 1, and cell none, seed 0 has 0"),
        (lambda record: record.update(variant="stsa"), "its variant is stsa, and cell none"),
        (
            lambda record: record["environment"]["overrides"].append("attn=stsa"),
            "made with attn=stsa, and protocol.json says attn=none of cell none",
        ),
        (
            lambda record: record["environment"]["overrides"].remove("train.stage1.steps=80"),
            "made with train.stage1.steps=its default, and protocol.json says .*=80 of cell none",
        ),
        (lambda record: record["environment"].update(overrides="attn=none"), "are 'attn=none'"),
    ],
)
def test_a_record_in_anothers_place_is_refused(results, tmp_path, change, said):
    folder = shutil.copytree(results, tmp_path / "r")
    file = folder / "records" / "none" / "seed0.json"
    record = json.loads(file.read_text())
    change(record)
    file.write_text(json.dumps(record))
    with pytest.raises(UserError, match=f"records/none/seed0.json: .*{said}"):
        read_folder(folder)


@pytest.mark.parametrize("kind", ["costs", "curves"])
def test_a_cost_or_curve_in_another_cells_place_is_refused(results, tmp_path, kind):
    copied = shutil.copytree(results, tmp_path / "results")
    place = copied / kind / "none.json"
    shutil.copy(copied / kind / "temporal.json", place)
    with pytest.raises(UserError, match=f"{kind}/none.json: it is of cell 'temporal', and none"):
        read_folder(copied)
    place.write_text(
        json.dumps({k: v for k, v in json.loads(place.read_text()).items() if k != "cell"})
    )
    read_folder(copied)  # one that does not say is taken where it lies


def test_a_seed_that_stands_twice_is_refused(results, tmp_path):
    folder = shutil.copytree(results, tmp_path / "r")
    protocol = json.loads((folder / "protocol.json").read_text())
    seeds = [*protocol["seeds"], protocol["seeds"][0]]
    (folder / "protocol.json").write_text(json.dumps({**protocol, "seeds": seeds}))
    with pytest.raises(UserError, match=r"protocol.json: .*seeds are .*, not different ones"):
        read_folder(folder)


def test_records_of_other_data_are_refused_and_of_a_setting_of_data_are_not(tmp_path):
    folder = small_results(tmp_path / "r", "table1", "table6", videos=False)
    for file in (folder / "records").glob("table6-*-moving-*/seed*.json"):
        record = json.loads(file.read_text())
        record["data"]["split_hash"] = "moving"
        file.write_text(json.dumps(record))
    assert read_folder(folder).records
    file = folder / "records" / "none" / "seed1.json"
    record = json.loads(file.read_text())
    record["data"]["split_hash"] = "f" * 64
    file.write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"seed[01].json: made from other data \(split .*one table"):
        read_folder(folder)


def test_costs_curves_and_the_search_may_be_missing(results, tmp_path):
    folder = shutil.copytree(results, tmp_path / "r")
    for name in ("costs", "curves", "search", "figures", "clips"):
        shutil.rmtree(folder / name)
    assert "the cost was not measured" in Elements(page(folder, tmp_path / "p.html")[0]).text


def test_a_folder_with_nothing_to_report_is_refused_by_name(tmp_path, capsys):
    with pytest.raises(UserError, match=r"protocol\.json"):
        make(tmp_path)
    folder = small_results(tmp_path / "r", videos=False)
    shutil.rmtree(folder / "records")
    with pytest.raises(UserError, match="records"):
        make(folder)
    with pytest.raises(SystemExit) as exit_:
        commands.execute(
            command, ["--results", str(folder), "--out", str(tmp_path / "no" / "p.html")]
        )
    assert exit_.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_makes_all_of_it_and_needs_no_torch(tmp_path):
    folder = small_results(tmp_path / "r", "table3")
    code = (
        "import sys\nfrom attnzoo.report.__main__ import command\n"
        f"command(['--results', {str(folder)!r}])\n"
        "assert not {'torch', 'diffusers', 'hydra'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    found = Elements((folder / "report.html").read_text())
    assert (folder / "tables" / "table3.md").is_file()
    assert len([tag for tag, _ in found.tags if tag == "img"]) >= 3


def test_a_script_element_cannot_be_ended_from_within():
    for text in ("</script>", "<!--<script>", "a&amp;b", "\u2028"):
        packed = script_json({text: [text]})
        assert "<" not in packed and "&" not in packed
        assert json.loads(packed) == {text: [text]}


def test_an_svg_address_ends_no_attribute():
    text = "<svg a=\"1\" b='2'># 50 % & é\n</svg>"
    address = svg_address(text)
    assert not set(address) & set("\"'<>&#\n")
    assert unquote(address.removeprefix("data:image/svg+xml,")) == text
