"""Configurations of files and overrides: nothing in them silently becomes something else."""

from __future__ import annotations

import os
import re
from pathlib import Path

import hydra
import pytest

from attnzoo import config
from attnzoo.composing import VERSION_BASE, composed_in
from attnzoo.errors import UserError


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A folder for --config-dir."""
    monkeypatch.chdir(tmp_path)
    hydra.version.setbase(VERSION_BASE)
    config.register()
    return tmp_path / "settings"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(text)


@pytest.mark.parametrize(
    "name", ["attn/stsa", "data/video", "model/embedded", "experiment/quick", "preset/paper", "run"]
)
def test_files_of_ones_own_take_nobodys_place(name, settings):
    write(settings / f"{name}.yaml", "name: temporal\n")
    with pytest.raises(UserError, match=f"{name}.yaml: would take the place of what is built in"):
        composed_in([], str(settings))
    assert composed_in(["+experiment=quick"], str(config.experiments())).train.stage1.steps == 4


def test_a_group_may_have_a_file_of_ones_own(settings):
    write(settings / "data/mine.yaml", "# @package _global_\ndefaults: [video]\ndata: {path: x}\n")
    assert composed_in(["data=mine"], str(settings)).data.name == "video"
    (settings / "data/mine.yaml").write_text("# @package _global_\ndata: {name: foo}\n")
    with pytest.raises(UserError, match=re.escape("data.name=foo: no setting")):
        composed_in(["data=mine"], str(settings))


def test_a_number_is_no_truth_value_in_a_file_or_a_dictionary_either(settings):
    said = "deterministic.*2.*: must be true or false"
    with pytest.raises(UserError, match=said):
        composed_in(["train={deterministic:2}"], None)
    file = settings / "experiment/x.yaml"
    write(file, "# @package _global_\ntrain: {deterministic: 2, stage1: {steps: 2}}\n")
    with pytest.raises(UserError, match=f"{file}: train.{said}"):
        composed_in(["+experiment=x"], str(settings))
    file.write_text("# @package _global_\ntrain: {deterministic: true, stage1: {steps: 2}}\n")
    assert composed_in(["+experiment=x"], str(settings)).train.deterministic is True


def test_a_path_in_a_file_is_not_read_as_another(settings):
    file = settings / "experiment/x.yaml"
    write(file, "# @package _global_\ndefaults: [override /data: video]\ndata: {path: 1_0}\n")
    with pytest.raises(UserError, match=f"{file}: data.path would be read as 10; put it in quotes"):
        composed_in(["+experiment=x"], str(settings))
    file.write_text(file.read_text().replace("1_0", "'1_0'"))
    assert composed_in(["+experiment=x"], str(settings)).data.path == "1_0"


def test_a_pipe_is_no_file_of_settings(settings):
    write(settings / "experiment/x.yaml", "")
    (settings / "experiment/x.yaml").unlink()
    os.mkfifo(settings / "experiment/x.yaml")
    with pytest.raises(UserError, match=r"x.yaml: a pipe, a socket or a device"):
        composed_in(["+experiment=x"], str(settings))
