"""What pip-audit passes over is no pass."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "quality"))
from audit import told

FINE: dict[str, Any] = {"name": "fine", "version": "1", "vulns": []}
PASSED_OVER = {"name": "unknown", "skip_reason": "not found"}
FAULTY = {
    "name": "faulty",
    "version": "2",
    "vulns": [
        {"id": "X-1", "fix_versions": ["2.1", "3"]},
        {"id": "X-2", "fix_versions": []},
    ],
}


@pytest.mark.parametrize(
    ("found", "status", "last"),
    [
        ([FINE, PASSED_OVER], 0, "1 of 2 packages could be looked up"),
        ([PASSED_OVER, PASSED_OVER], 1, "0 of 2 packages could be looked up"),
        ([], 1, "0 of 0 packages could be looked up"),
        ([FINE, FAULTY], 1, "2 of 2 packages could be looked up"),
    ],
)
def test_nothing_looked_up_is_no_pass(found: list[Any], status: int, last: str) -> None:
    text, code = told(found)
    assert code == status and text.splitlines()[-1] == last


def test_faults_are_named_with_what_mends_them() -> None:
    lines = told([FAULTY])[0].splitlines()
    assert lines[:2] == ["faulty 2: X-1, mended in 2.1, 3", "faulty 2: X-2, mended in no version"]
