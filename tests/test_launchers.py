"""Sweeps by Hydra's launchers: each job in a process that a scheduler could have started."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from command import TINY, command

from attnzoo.train.record import read_record


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("hydra_plugins.hydra_submitit_launcher") is None,
    reason="attnzoo[cluster] is not installed",
)
def test_a_sweep_by_submitit_leaves_records(tmp_path: Path) -> None:
    """Its local executor runs what it would send to a cluster: a pickled job, read elsewhere."""
    done = command(
        "run", "-m", "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5",
        "seed=7", "attn=none", *TINY, "train.stage1.steps=1", "train.stage2.steps=0",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("outputs/*/*/record.json")
    record = read_record(path)
    assert (record["variant"], record["seed"]) == ("none", 7)
    assert (path.parent / "weights.safetensors").is_file() and (path.parent / "log").is_file()
    logs = list((tmp_path / "outputs/.submitit").rglob("*.out"))
    assert logs and any(str(path.parent.name) in log.read_text() for log in logs)
