"""Folders of many records and cells: time, memory, and that the page can be opened.

    python -m pytest tests/load/test_many.py -s

Times are of the processor, so that a busy machine does not count.
"""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from many import many_cells, many_records

RECORDS, CELLS = 10_000, 1_000
LOAD = """
import json, resource, sys, time
from attnzoo import results
started = time.process_time()
frame = results.load(sys.argv[1])
seconds = time.process_time() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([seconds, peak, frame["path"].nunique()]))
"""
REPORT = """
import json, resource, sys, time
from attnzoo.report import make
started = time.process_time()
page = make(sys.argv[1])
seconds = time.process_time() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([seconds, peak, page.stat().st_size]))
"""


def measured(code: str, folder: Path) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[float] = json.loads(done.stdout)
    return found


def test_ten_thousand_records_are_loaded(tmp_path: Path) -> None:
    many_records(tmp_path, RECORDS)
    seconds, peak, paths = measured(LOAD, tmp_path)
    print(f"{RECORDS} records: {seconds:.2f} s, {peak / 2**20:.0f} MiB")
    assert paths == RECORDS
    assert seconds < 5 and peak < 2**30


class Rows(HTMLParser):
    """Counts rows of tables, as a browser would find them."""

    count = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.count += tag == "tr"


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = many_cells(tmp_path_factory.mktemp("cells"), CELLS)
    seconds, peak, size = measured(REPORT, folder)
    print(f"{CELLS} cells: {seconds:.0f} s, {peak / 2**20:.0f} MiB, {size / 1e6:.1f} MB")
    assert peak < 2 * 2**30
    return folder


def test_the_page_of_a_thousand_cells_keeps_to_its_size_and_has_all_rows(reported: Path) -> None:
    page = reported / "report.html"
    assert page.stat().st_size <= 15_000_000
    rows = Rows()
    rows.feed(page.read_text())
    assert rows.count > CELLS
