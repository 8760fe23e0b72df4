"""The check of licences fails on what it does not know, and in either direction."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "quality"))
import licences

MIT = ("MIT", "https://example.org/one")


def status(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, tuple[str, str]], *arguments: str
) -> int:
    monkeypatch.setattr(licences, "licences", lambda: known)
    monkeypatch.setattr(
        licences, "needed", lambda name, extras=frozenset(): {"one", *(["two"] if extras else [])}
    )
    monkeypatch.setattr(sys, "argv", ["licences.py", *arguments])
    return licences.main()


@pytest.mark.parametrize("licence", ["UNKNOWN", "", "GNU Affero General Public License v3"])
def test_what_may_not_be_used_or_is_not_known_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], licence: str
) -> None:
    assert status(monkeypatch, {"one": MIT, "two": (licence, "UNKNOWN")}) == 1
    assert f"two: {licence or 'UNKNOWN'}" in capsys.readouterr().err


def test_the_page_is_what_is_installed_in_both_directions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    both = {"one": MIT, "two": ("BSD", "UNKNOWN")}
    assert status(monkeypatch, both) == 0
    page = tmp_path / "licences.md"
    page.write_text(capsys.readouterr().out)
    assert status(monkeypatch, both, "--check", str(page)) == 0
    assert status(monkeypatch, {"one": MIT}, "--check", str(page)) == 1
    assert "has two, BSD, which is not installed" in capsys.readouterr().err
    assert status(monkeypatch, both | {"two": ("MIT", "")}, "--check", str(page)) == 1
    assert "lacks two, MIT" in capsys.readouterr().err
