"""The check of branches counts by room and fails below what is asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "quality" / "branches.py"


@pytest.fixture
def report(tmp_path: Path) -> Path:
    def file(taken: int, branches: int) -> dict[str, object]:
        lines = {"covered_lines": 10, "num_statements": 20}
        return {"summary": {"covered_branches": taken, "num_branches": branches, **lines}}

    files = {
        "attnzoo/metrics/l1.py": file(8, 8),
        "/x/attnzoo/metrics/entries/l1.py": file(0, 2),
        "attnzoo/files.py": file(9, 10),
    }
    path = tmp_path / "coverage.json"
    path.write_text(json.dumps({"files": files}))
    return path


@pytest.mark.parametrize(("least", "status"), [("85", 0), ("86", 1)])
def test_the_share_of_all_branches_decides(report: Path, least: str, status: int) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(report), "--least", least], capture_output=True, text=True
    )
    assert done.returncode == status
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines] == [
        ["(top)", "90.0%"],
        ["metrics", "80.0%"],
        ["all", "85.0%"],
    ]
    assert ("less than 86 %" in done.stderr) == (status == 1)


def test_a_report_of_nothing_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "coverage.json"
    path.write_text('{"files": {}}')
    assert subprocess.run([sys.executable, str(SCRIPT), str(path)], capture_output=True).returncode
