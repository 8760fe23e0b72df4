"""The pages: their code runs as it stands, and they build without a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)

pytestmark = pytest.mark.skipif(
    not (ROOT / "docs").is_dir(), reason="the pages lie in a checkout, not in a package"
)


def run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.long
@pytest.mark.parametrize("name", ["tutorial", "pipeline"])
def test_the_code_of_a_page_runs_in_its_order(name: str, tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / "docs" / f"{name}.md").read_text())
    assert len(blocks) > 3
    program = ""
    for language, title, text in blocks:
        if title:
            (tmp_path / title).write_text(text)
        elif language == "bash":
            python = re.sub(r"^python ", f"{sys.executable} ", text)
            run(["bash", "-euc", python], tmp_path)
        elif language == "python":
            program += text + "\n"
    run([sys.executable, "-c", program], tmp_path)


@pytest.mark.long
def test_the_pages_build_without_a_warning(tmp_path: Path) -> None:
    run([sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")], ROOT)
    for name in (
        "index.html",
        "tutorial/index.html",
        "variants/stsa/index.html",
        "variants/fields/index.html",
    ):
        assert (tmp_path / "site" / name).is_file()
