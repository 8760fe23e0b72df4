"""Each import contract turns red where it should: none of them is kept because it sees nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = ROOT / "pyproject.toml"

PLANTED = {
    "rooms import downwards": ("attnzoo.results", "attnzoo.report"),
    "mechanisms do not import one another": (
        "attnzoo.attention.temporal",
        "attnzoo.attention.stsa",
    ),
    "hydra stays in config and commands": ("attnzoo.planning.gpus", "omegaconf"),
    "the registry is standard library only": ("attnzoo.errors", "numpy"),
    "results and reports need no torch": ("attnzoo.report.marks", "torch"),
}
"""By contract: an import that it forbids. Some of them lead to other contracts' chains too."""

pytestmark = pytest.mark.skipif(
    not PYPROJECT.is_file(), reason="the contracts lie in a checkout, not in a package"
)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says of a copy with all of these imports in it."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copy(PYPROJECT, copy)
    ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(ROOT / "attnzoo", copy / "attnzoo", ignore=ignored)
    for importer, imported in PLANTED.values():
        file = copy.joinpath(*importer.split(".")).with_suffix(".py")
        file.write_text(f"{file.read_text()}\nimport {imported}  # planted\n")
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=copy, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_every_contract_has_a_planted_import() -> None:
    text = PYPROJECT.read_text()
    contracts = text[text.index("[tool.importlinter]") :]
    assert set(re.findall(r'^name = "(.*)"$', contracts, re.MULTILINE)) == set(PLANTED)


@pytest.mark.parametrize("contract", PLANTED)
def test_a_forbidden_import_breaks_its_contract(said: str, contract: str) -> None:
    assert f"{contract} BROKEN" in said
    details = said[said.index("Broken contracts") :]
    (section,) = re.findall(rf"^{contract}\n-+\n(.*?)(?=^[^\n]+\n-+$|\Z)", details, re.M | re.S)
    importer, imported = PLANTED[contract]
    assert f"{importer} -> {imported} " in section
