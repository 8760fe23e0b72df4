"""Training of the embedded base: resumable to the bit, on stills of every kind."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from attnzoo.errors import UserError
from attnzoo.models.embedded import build_embedded
from attnzoo.models.finite import NotFinite
from attnzoo.train import base

WEIGHTS = Path(base.__file__).parents[1] / "weights" / "base.safetensors"


def training() -> base.BaseTraining:
    return base.BaseTraining(steps=4, rate=1e-3, seed=0, device=torch.device("cpu"))


def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(base, "PEOPLE", 1)
    whole = training()
    for _ in range(3):
        whole.step()
    first = training()
    first.step()
    first.save(tmp_path)
    second = training()
    second.load(tmp_path)
    for _ in range(2):
        second.step()
    for a, b in zip(whole.parameters, second.parameters, strict=True):
        assert torch.equal(a, b)
    for a, b in zip(whole.ema.shadow_params, second.ema.shadow_params, strict=True):
        assert torch.equal(a, b)


def test_a_loss_that_is_no_number_changes_nothing(monkeypatch) -> None:
    monkeypatch.setattr(base, "PEOPLE", 1)
    trained = training()
    before = [p.clone() for p in trained.parameters]
    real = base._loss
    monkeypatch.setattr(base, "_loss", lambda *given: real(*given) * torch.nan)
    with pytest.raises(NotFinite, match="step 1 of 4: the loss is nan"):
        trained.step()
    assert all(map(torch.equal, before, trained.parameters)) and trained.progress.step == 0


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    schedule = base.BaseTraining(steps=1000, rate=1.0, seed=0, device=torch.device("cpu"))
    rates = [schedule.learning_rate(step) for step in (0, 99, 700, 850, 1000)]
    assert rates == pytest.approx([0.01, 1.0, 1.0, 0.5, 0.0])


@pytest.mark.parametrize("step", [2, 3, 7])
def test_every_kind_of_still_teaches_by_both_losses(step: int, monkeypatch) -> None:
    monkeypatch.setattr(base, "PEOPLE", 2)
    trained = training()
    trained.progress.step = step
    hints: list[torch.Tensor] = []
    loss_of = trained.hints.loss

    def seen(*args):
        hints.append(loss_of(*args))
        return hints[-1]

    monkeypatch.setattr(trained.hints, "loss", seen)
    assert trained.step() > 0
    assert 0 < float(hints[0].detach()) < 20
    query = trained.model.unet.up_blocks[-1].attentions[0].transformer_blocks[0].attn2.to_q
    assert query.weight.grad.abs().sum() > 0


def test_a_training_may_begin_from_exported_weights(tmp_path: Path) -> None:
    training().export(tmp_path / "base.safetensors")
    again = base.BaseTraining(steps=4, rate=1e-3, seed=1, device=torch.device("cpu"))
    again.begin(tmp_path / "base.safetensors")
    for a, b, c in zip(
        training().parameters, again.parameters, again.ema.shadow_params, strict=True
    ):
        assert torch.allclose(a, b, atol=1e-3)
        assert torch.equal(b, c)


def test_exported_weights_fit_the_model(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(base, "PEOPLE", 1)
    trained = training()
    trained.step()
    trained.export(tmp_path / "base.safetensors")
    state = load_file(tmp_path / "base.safetensors")
    assert {v.dtype for v in state.values()} == {torch.float16}
    build_embedded().load_state_dict(state)
    assert not list(tmp_path.glob("*.tmp"))


def counting(self: base.BaseTraining) -> float:
    """In the place of a step."""
    self.progress.step += 1
    self.parameters[0].data.add_(1e-3)
    return 1.0 / self.progress.step


def test_the_command_writes_where_it_is_told_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(base.BaseTraining, "step", counting)
    shipped = WEIGHTS.read_bytes()
    base.command(["--steps", "20"])
    files = ["base", "base.json", "base.safetensors", "base_loss.png"]
    assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == files
    assert (tmp_path / "outputs/base_loss.png").stat().st_size > 1000
    monkeypatch.setattr(base.BaseTraining, "step", lambda self: pytest.fail("trained again"))
    base.command(["--steps", "20", "--out", "again.safetensors", "--figure", "loss.png"])
    first = (tmp_path / "outputs/base.safetensors").read_bytes()
    assert (tmp_path / "again.safetensors").read_bytes() == first != shipped
    assert WEIGHTS.read_bytes() == shipped and (tmp_path / "loss.png").is_file()


def test_a_stopped_training_keeps_its_last_step_and_its_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base.BaseTraining, "step", counting)
    whole = base.BaseTraining(45, 1e-3, 0, torch.device("cpu"))
    base.train(whole, tmp_path / "whole")

    def stopped(self: base.BaseTraining) -> float:
        if self.progress.step == 24:
            signal.raise_signal(signal.SIGTERM)
        return counting(self)

    monkeypatch.setattr(base.BaseTraining, "step", stopped)
    with pytest.raises(SystemExit) as ended:
        base.train(base.BaseTraining(45, 1e-3, 0, torch.device("cpu")), tmp_path / "work")
    assert ended.value.code == 128 + signal.SIGTERM
    monkeypatch.setattr(base.BaseTraining, "step", counting)
    resumed = base.BaseTraining(45, 1e-3, 0, torch.device("cpu"))
    resumed.load(tmp_path / "work")
    assert resumed.progress.step == 25 and len(resumed.progress.recent) == 5
    base.train(resumed, tmp_path / "work")
    assert resumed.progress.losses == whole.progress.losses and len(whole.progress.losses) == 2
    assert torch.equal(resumed.parameters[0], whole.parameters[0])


@pytest.mark.parametrize(
    "other", [["--steps", "3"], ["--rate", "1"], ["--seed", "1"], ["--start", str(WEIGHTS)]]
)
def test_a_state_of_other_settings_is_refused(
    other: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(base.BaseTraining, "step", counting)
    base.command(["--steps", "2"])
    with pytest.raises(UserError, match=r"state\.pt was made with other settings \(") as error:
        base.command(["--steps", "2", *other])
    assert other[0].strip("-") in str(error.value)
    (tmp_path / "outputs/base/state.pt").write_bytes(b"no state")
    with pytest.raises(UserError, match=r"state\.pt: no state .* take another --work"):
        base.command(["--steps", "2"])


@pytest.mark.parametrize(("steps", "losses"), [(2, [0.75]), (20, [0.1799]), (45, [0.1799, 0.0340])])
def test_each_training_has_a_loss_and_a_curve(
    steps: int, losses: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base.BaseTraining, "step", counting)
    drawn: list[list[float]] = []
    monkeypatch.setattr(base, "plot", lambda losses, last, path: drawn.append(losses))
    out = tmp_path / "base.safetensors"
    base.command(["--steps", str(steps), "--work", str(tmp_path), "--out", str(out)])
    assert drawn == [pytest.approx(losses, abs=1e-4)]
    assert json.loads(out.with_suffix(".json").read_text())["final_loss"] == round(losses[-1], 4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--steps", "0"], "--steps 0: must be at least 1"),
        (["--rate", "nan"], "--rate nan: must be above 0"),
        (["--seed", "9999999999999"], "--seed 9999999999999: must be at most"),
        (["--device", "tpu"], "--device"),
        (["--start", "none.safetensors"], "none.safetensors"),
    ],
)
def test_what_cannot_be_trained_with_is_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        base.command(arguments)
