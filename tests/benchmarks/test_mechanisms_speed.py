"""What `suite=mechanisms` compares, one by one: `python -m pytest tests/benchmarks`.

Times of different tests do not come from the same rounds; ratios are the suite's matter. A smaller
shape than the suite's unless `ATTNZOO_BENCH_FULL=1`.
"""

from __future__ import annotations

import os

import pytest

from attnzoo.bench.mechanisms.candidates import Modules
from attnzoo.bench.mechanisms.setting import settings
from attnzoo.bench.mechanisms.tables import both, crossframe, forward
from attnzoo.bench.settings import SuiteOptions
from attnzoo.errors import UserError

FULL = os.environ.get("ATTNZOO_BENCH_FULL") == "1"
MODULES = Modules(settings(SuiteOptions(quick=not FULL))[0])
BLOCKS = [make(MODULES) for make in (forward, both, crossframe)]
CASES = [
    pytest.param(block, name, id=f"{block.title.split(' /')[0]}: {name}")
    for block in BLOCKS
    for name in block.makers
]


# flex_attention's compiler uses what PyTorch itself has deprecated.
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize(("block", "name"), CASES)
def test_speed(benchmark, block, name):
    try:
        run = block.makers[name]()
    except UserError as error:
        pytest.skip(str(error))
    benchmark.group = block.title
    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
