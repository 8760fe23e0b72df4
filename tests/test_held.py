"""Nothing is left behind by rounds of attaching and by runs: few of them here, many in load/."""

from __future__ import annotations

from pathlib import Path

import pytest
from held import attach_rounds, runs


def test_attaching_and_detaching_leaves_nothing() -> None:
    grown, hooks = attach_rounds(warm=12, rounds=12)
    assert hooks == 0
    assert grown.files == grown.threads == grown.tensors == 0
    assert grown.objects < 12  # fewer than one a round


@pytest.mark.long
def test_runs_leave_no_file_open_and_no_tensor(tmp_path: Path, capfd: object) -> None:
    grown = runs(tmp_path, warm=2, rounds=2)
    assert grown.files <= 0 and grown.threads <= 0 and grown.tensors <= 0
    assert grown.objects < 20  # fewer than ten a run
