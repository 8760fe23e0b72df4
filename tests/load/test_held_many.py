"""A thousand rounds of attaching and five hundred runs in one process leave nothing behind.

    python -m pytest tests/load/test_held_many.py -s

`ATTNZOO_RUNS=50` makes the runs fewer.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from held import attach_rounds, runs

MIB = 2**20


def test_a_thousand_rounds_of_attaching() -> None:
    grown, hooks = attach_rounds(warm=100, rounds=1000)
    print(f"1000 rounds of attach and detach: {grown}, hooks {hooks}")
    assert hooks == 0 and grown.files == grown.threads == grown.tensors == 0
    assert grown.objects < 100 and grown.resident < 32 * MIB


def test_five_hundred_runs_in_one_process(tmp_path: Path) -> None:
    count = int(os.environ.get("ATTNZOO_RUNS", "500"))
    grown = runs(tmp_path, warm=30, rounds=count)
    print(f"{count} runs: {grown}")
    assert grown.files <= 0 and grown.threads <= 0 and grown.tensors <= 0
    assert grown.objects < count and grown.resident < 200 * MIB
