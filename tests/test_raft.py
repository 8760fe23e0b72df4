"""RAFT from a file: torchvision's networks and nothing else, at any size of picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

import attnzoo  # noqa: F401  (torchvision loads only behind the package's import hook)
from attnzoo.data.flow_settings import Estimation, FlowSource
from attnzoo.data.flow_source import estimator
from attnzoo.data.look import Look
from attnzoo.data.raft import Raft
from attnzoo.errors import UserError

flow_networks = pytest.importorskip("torchvision.models.optical_flow")


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made: nn.Module = flow_networks.raft_small(weights=None)
    return made.eval()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random ones of raft_small's layout."""
    path = tmp_path_factory.mktemp("raft") / "small.pth"
    torch.save(network().state_dict(), path)
    return path


def pictures(height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    draw = np.random.default_rng(0)
    start = draw.integers(0, 255, (height, width, 3)).astype(np.uint8)
    return start, np.roll(start, 3, 1)


def test_pictures_that_fit_go_through_as_they_are(weights: Path) -> None:
    start, end = pictures(128, 136)
    images = [torch.from_numpy(p).permute(2, 0, 1)[None] / 255 * 2 - 1 for p in (start, end)]
    with torch.no_grad():
        expected = network()(*images)[-1][0].numpy()
    assert np.allclose(Raft(str(weights))(start, end), expected, atol=1e-4)


def test_others_are_continued_at_their_border_and_cut_out_again(weights: Path) -> None:
    start, end = pictures(90, 131)
    images = [torch.from_numpy(p).permute(2, 0, 1)[None] / 255 * 2 - 1 for p in (start, end)]
    padded = [F.pad(image, (2, 3, 19, 19), mode="replicate") for image in images]
    with torch.no_grad():
        expected = network()(*padded)[-1][0, :, 19:109, 2:133].numpy()
    found = Raft(str(weights))(start, end)
    assert found.shape == (2, 90, 131) and np.allclose(found, expected, atol=1e-4)


def test_safetensors_do_as_well_and_flow_is_put_on_the_clips_grid(
    weights: Path, tmp_path: Path
) -> None:
    path = tmp_path / "small.safetensors"
    save_file(torch.load(weights, weights_only=True), path)
    start, end = pictures(128, 128)
    still = np.zeros((128, 128), bool)
    still[:64] = True
    looks = [Look(picture, still, "", "") for picture in (start, end)]
    flow = estimator(FlowSource.raft, Estimation(weights=str(path)))(*looks, 64)
    assert flow.shape == (2, 64, 64) and not flow[:, :32].any() and flow[:, 32:].any()
    whole = Raft(str(path))(start, end)
    assert flow[0, 40, 40] == pytest.approx(whole[0, 80:82, 80:82].mean() / 2, abs=1e-4)


def damaged(change: Any) -> Any:
    state = dict(network().state_dict())
    change(state)
    return state


WRONG = [
    (lambda: damaged(lambda s: s.pop(next(iter(s)))), "1 layers are missing, left over or of anot"),
    (lambda: damaged(lambda s: s.update(extra=torch.zeros(1))), "than raft_small's: extra"),
    (lambda: {"a": torch.zeros(2)}, "neither raft_large nor raft_small"),
    (lambda: [1, 2], "holds a list; must be a state dict"),
]


@pytest.mark.parametrize(("made", "words"), WRONG)
def test_other_weights_are_refused(tmp_path: Path, made: Any, words: str) -> None:
    torch.save(made(), tmp_path / "w.pth")
    with pytest.raises(UserError, match=words):
        Raft(str(tmp_path / "w.pth"))


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_what_is_no_file_of_weights(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(UserError, match=rf"motion.weights=.*{name}: not a file of weights"):
        Raft(str(tmp_path / name))


def test_without_torchvision_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(UserError, match=r"flow=raft needs torchvision .*attnzoo\[flow\]"):
        Raft(None)
