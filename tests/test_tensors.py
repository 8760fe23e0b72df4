"""Tensors in files: equal bytes for equal tensors, whole or not there, for whoever may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from attnzoo import tensors
from attnzoo.files import PARTIAL
from attnzoo.tensors import write_tensors

FOUND = {"b": torch.arange(6.0).reshape(2, 3).T, "a": torch.ones(2, dtype=torch.float16)}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_tensors(tmp_path / "w", FOUND)
    back = load_file(tmp_path / "w")
    assert back.keys() == FOUND.keys()
    assert all(torch.equal(back[k], FOUND[k]) and back[k].dtype == FOUND[k].dtype for k in FOUND)


def test_equal_tensors_and_texts_are_equal_bytes(tmp_path: Path) -> None:
    texts = {f"key {i}": str(i) for i in range(20)}
    for number in range(8):
        write_tensors(tmp_path / f"{number}", FOUND, dict(sorted(texts.items(), key=hash)))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_the_umask_says_who_may_read(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_tensors(tmp_path / "w", FOUND, {"format": "pt"})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "w").stat().st_mode) == 0o666 & ~mask


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tensors(tmp_path / "w", FOUND)
    before = (tmp_path / "w").read_bytes()

    def fails(held: object, path: Path, texts: object) -> None:
        path.with_name(".tmpx").write_bytes(b"half")  # as the library does
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensors, "save_file", fails)
    with pytest.raises(OSError, match="No space"):
        write_tensors(tmp_path / "w", {})
    assert [p.name for p in tmp_path.iterdir()] == ["w"]
    assert (tmp_path / "w").read_bytes() == before


def test_what_a_killed_process_leaves_goes_when_the_file_is_written_again(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        tensors.save_file = lambda held, path, texts: os._exit(9)  # type: ignore[assignment]
        write_tensors(tmp_path / "w", FOUND)
    os.waitpid(pid, 0)
    left = [path.name for path in tmp_path.iterdir()]
    assert left and all(name.startswith(PARTIAL) for name in left)
    write_tensors(tmp_path / "w", FOUND)
    assert [p.name for p in tmp_path.iterdir()] == ["w"]
