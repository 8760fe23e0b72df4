"""What README shows is true."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from attnzoo import registry

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_table_of_variants_is_the_registry() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| (insert|replace) \|$", README, re.MULTILINE)
    assert dict(rows) == {n: registry.get(n).kind.name for n in registry.list_variants()}


def test_the_example_of_a_variant_is_complete_and_short(tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    assert len(code.splitlines()) <= 40
    (tmp_path / "ahead.py").write_text(code)
    with registry.preserved():
        registry.load_plugin(tmp_path / "ahead.py")
        module = registry.create("ahead", 32, 4, reach=1)
        x = torch.randn(1, 5, 3, 2, 32, requires_grad=True)
        out = module(x)
        assert out.shape == x.shape
        out[0, 1, 2, 1].sum().backward()
        assert x.grad is not None
        depends = x.grad[0].abs().sum(-1) > 0
        assert torch.equal(depends, module.sees((1, 2, 1), (5, 3, 2)))


def test_both_commands_are_the_ones_that_ci_runs() -> None:
    ci = (Path(__file__).parent.parent / ".ci" / "run").read_text()
    assert 'pip install -e ".[test]" && python -m pytest' in README
    assert ".[test]" in ci and "python -m pytest" in ci


def test_table_2_is_the_one_of_the_results() -> None:
    rows = [line for line in README.splitlines() if "CrossFrame Attn - " in line]
    table = (Path(__file__).parent.parent / "results/tables/table2.md").read_text().splitlines()
    assert len(rows) == 8 and all(row in table for row in rows)
