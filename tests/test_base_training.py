"""Training of the embedded base: resumable to the bit, on stills of every kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from attnzoo.models.embedded import build_embedded
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


def test_the_command_writes_where_it_is_told_and_a_state_beats_a_start(
    tmp_path: Path, monkeypatch
) -> None:
    def stepped(self) -> float:
        self.progress.step += 1
        self.parameters[0].data.add_(1e-3)
        return 1.0 / self.progress.step

    monkeypatch.setattr(base.BaseTraining, "step", stepped)
    shipped = WEIGHTS.read_bytes()
    begun: list[str] = []
    for name in ("begin", "load"):
        own = getattr(base.BaseTraining, name)
        monkeypatch.setattr(
            base.BaseTraining, name,
            lambda self, path, name=name, own=own: (begun.append(name), own(self, path))[1],
        )  # fmt: skip
    ends = {}
    for name, more in (("one", ()), ("again", ("--start", str(WEIGHTS)))):
        arguments = [
            "base", "--steps", "20", "--work", str(tmp_path / "work"),
            "--out", str(tmp_path / f"{name}.safetensors"),
            "--figure", str(tmp_path / "loss.png"), *more,
        ]  # fmt: skip
        monkeypatch.setattr("sys.argv", arguments)
        base.main()
        ends[name] = (tmp_path / f"{name}.safetensors").read_bytes()
    # The second finds a finished training, whatever it was to begin from.
    assert begun == ["load", "begin", "load"] and ends["one"] == ends["again"] != shipped
    assert WEIGHTS.read_bytes() == shipped and (tmp_path / "loss.png").stat().st_size > 1000


@pytest.mark.parametrize(("steps", "losses"), [(2, [0.75]), (20, [0.1799]), (45, [0.1799, 0.0340])])
def test_each_training_has_a_loss_and_a_curve(
    steps: int, losses, tmp_path: Path, monkeypatch
) -> None:
    def stepped(self) -> float:
        self.progress.step += 1
        return 1.0 / self.progress.step

    monkeypatch.setattr(base.BaseTraining, "step", stepped)
    drawn: list[list[float]] = []
    monkeypatch.setattr(base, "plot", lambda losses, last, path: drawn.append(losses))
    out = tmp_path / "base.safetensors"
    monkeypatch.setattr(
        "sys.argv", ["base", "--steps", str(steps), "--work", str(tmp_path), "--out", str(out)]
    )
    base.main()
    assert drawn == [pytest.approx(losses, abs=1e-4)]
    assert json.loads(out.with_suffix(".json").read_text())["final_loss"] == round(losses[-1], 4)


def test_no_steps_are_refused(monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["base", "--steps", "0"])
    with pytest.raises(SystemExit):
        base.main()
    assert "0: must be at least 1" in capsys.readouterr().err
