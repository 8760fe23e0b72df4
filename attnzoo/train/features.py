"""Trains the embedded feature network: `python -m attnzoo.train.features`.

Learns on training clips of the embedded data set only (see `attnzoo.train.feature_task`), writes
the weights as fp16 safetensors with notes on how they were made, and a picture of the loss. Kept
every few seconds: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from attnzoo import commands
from attnzoo.data.clip import Clip
from attnzoo.errors import UserError
from attnzoo.files import replacing
from attnzoo.tensors import write_tensors
from attnzoo.train.device import DEVICES, choose_device
from attnzoo.train.feature_task import FeatureTask, Pool, corrupt, make_pool
from attnzoo.train.finite import check_finite
from attnzoo.train.stopping import Stopping

CHECKPOINT_SECONDS = 15.0

MOST_SEED = 10**12
"""Each step's generator has a seed of its own, which is a multiple of this one."""


@dataclass(frozen=True)
class FeatureTraining:
    """What decides the weights. clips: how many are rendered, a tenth of them only to check."""

    steps: int = 1000
    clips: int = 800
    batch: int = 8
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        """UserError for what cannot be trained with."""
        for name in ("steps", "clips", "batch"):
            least = 10 if name == "clips" else 1
            if getattr(self, name) < least:
                raise UserError(f"--{name} {getattr(self, name)}: at least {least} is needed")
        if self.seed > MOST_SEED:
            raise UserError(f"--seed {self.seed}: must be at most {MOST_SEED}")


@dataclass
class Progress:
    """How far it is: seconds of training, loss of each step, and (step, loss) on held-out clips."""

    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    checks: list[tuple[int, float]] = field(default_factory=list)


def train_features(
    clips: Sequence[Clip],
    settings: FeatureTraining,
    *,
    device: torch.device,
    checkpoint: Path,
) -> tuple[FeatureTask, Progress]:
    """Trains on the first `settings.clips` of `clips`, going on from `checkpoint` if it is there.

    Raises:
        UserError: if the checkpoint was made with other settings, or there are too few clips.
    """
    if len(clips) < settings.clips:
        raise UserError(f"--clips {settings.clips}: the data set has {len(clips)} training clips")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        task = FeatureTask().to(device)
    optimizer = AdamW(task.parameters(), lr=settings.learning_rate, weight_decay=0.01)
    schedule = OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.steps + 1, pct_start=0.1
    )
    parts: dict[str, Any] = {"task": task, "optimizer": optimizer, "schedule": schedule}
    progress = _load(checkpoint, settings, parts)
    if len(progress.losses) >= settings.steps:
        return task, progress
    with tqdm(total=settings.clips, desc="rendering", unit="clip") as bar:
        pool = make_pool(_counted(clips, settings.clips, bar))
    _run(task, pool.to(device), settings, progress, parts, checkpoint)
    _save(checkpoint, settings, parts, progress)
    return task, progress


def _counted(clips: Sequence[Clip], number: int, bar: tqdm[NoReturn]) -> Iterator[Clip]:
    for index in range(number):
        yield clips[index]
        bar.update()


def _run(
    task: FeatureTask,
    pool: Pool,
    settings: FeatureTraining,
    progress: Progress,
    parts: dict[str, Any],
    checkpoint: Path,
) -> None:
    optimizer, schedule = parts["optimizer"], parts["schedule"]
    held = max(1, settings.clips // 10)
    kept = last = time.monotonic()
    stopping = Stopping()
    steps = range(len(progress.losses), settings.steps)
    with (
        stopping.listening(),
        tqdm(steps, total=settings.steps, initial=steps.start, desc="features") as bar,
    ):
        for step in bar:
            # A generator per step: what is drawn does not depend on where it was interrupted.
            generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
            rows = torch.randint(held, settings.clips, (settings.batch,), generator=generator)
            loss = _loss(task, pool, rows, generator)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
            check_finite(step + 1, settings.steps, loss, norm)
            optimizer.step()
            schedule.step()
            progress.losses.append(loss.item())
            if step % 50 == 49 or step == settings.steps - 1:
                progress.checks.append((step + 1, _check(task, pool, held)))
            now = time.monotonic()
            progress.seconds, last = progress.seconds + now - last, now
            if stopping.wanted or now - kept > CHECKPOINT_SECONDS:
                _save(checkpoint, settings, parts, progress)
                kept = now
            if stopping.wanted:
                raise stopping.error()
            bar.set_postfix(loss=f"{progress.losses[-1]:.3f}")


def _loss(
    task: FeatureTask, pool: Pool, rows: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    rows = rows.to(pool.videos.device)
    videos, classes = corrupt(pool.videos[rows].float() / 255, generator)
    loss: torch.Tensor = task(videos, pool, rows, classes)
    return loss


@torch.no_grad()
def _check(task: FeatureTask, pool: Pool, held: int) -> float:
    """Loss on the held-out clips, always with the same corruptions; the network has no modes."""
    rows = torch.arange(min(held, 32))
    return float(_loss(task, pool, rows, torch.Generator().manual_seed(0)))


def _save(path: Path, settings: FeatureTraining, parts: dict[str, Any], progress: Progress) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: part.state_dict() for name, part in parts.items()}
    state |= {"settings": asdict(settings), "progress": asdict(progress)}
    # Through an open file: torch refuses some names, such as hidden ones without a suffix.
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save(state, file)


def _load(path: Path, settings: FeatureTraining, parts: dict[str, Any]) -> Progress:
    if not path.exists():
        return Progress()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        made = state["settings"]
    except Exception as error:  # of many kinds, by what is damaged
        raise UserError(
            f"{path}: no state of a training ({type(error).__name__}); remove it to start over"
        ) from error
    if made != asdict(settings):
        raise UserError(
            f"{path} was made with other settings ({made}): "
            "give the same, or remove it to start over"
        )
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return Progress(**state["progress"])


def write_weights(
    path: Path, task: FeatureTask, settings: FeatureTraining, progress: Progress
) -> None:
    """Writes the network without its heads, fp16, with notes; beside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        key: value.detach().to("cpu", torch.float16).contiguous()
        for key, value in task.network.state_dict().items()
    }
    notes = {
        "command": "python -m attnzoo.train.features",
        **asdict(settings),
        "seconds": round(progress.seconds, 1),
        "loss": sum(progress.losses[-50:]) / len(progress.losses[-50:]),
        "held_out_loss": progress.checks[-1][1],
    }
    write_tensors(path, tensors, {"notes": json.dumps(notes)})


def draw_losses(path: Path, progress: Progress) -> None:
    """Draws the loss of each step (and its running mean) and of held-out clips as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    losses = torch.tensor(progress.losses)
    width = min(50, len(losses))
    means = losses.unfold(0, width, 1).mean(dim=1)
    axes.plot(range(1, len(losses) + 1), losses, color="0.8", linewidth=0.5, label="each step")
    axes.plot(range(width, len(losses) + 1), means, label=f"mean of {width} steps")
    axes.plot(*zip(*progress.checks, strict=True), "o-", markersize=3, label="held-out clips")
    axes.set(xlabel="step", ylabel="loss", title="embedded feature network")
    axes.set_ylim(bottom=0)
    axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def command(arguments: Sequence[str]) -> None:
    """Trains, and writes the weights and a picture of the loss."""
    given = _parser().parse_args(arguments)
    out: Path = given.out
    settings = FeatureTraining(given.steps, given.clips, given.batch, seed=given.seed)
    device = choose_device(given.device)
    from attnzoo.data.embedded import open_embedded

    clips = open_embedded().train
    checkpoint = given.checkpoint or out.with_suffix(".checkpoint")
    with commands.going_on(commands.SAME_COMMAND):
        task, progress = train_features(clips, settings, device=device, checkpoint=checkpoint)
    write_weights(out, task, settings, progress)
    curve = given.curve or out.with_name(f"{out.stem}_loss.png")
    draw_losses(curve, progress)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, {progress.seconds:.0f} s; {curve}")


def _parser() -> argparse.ArgumentParser:
    default = FeatureTraining()
    parser = commands.Parser("python -m attnzoo.train.features", description=__doc__)
    for name, path, what in (
        ("out", Path("outputs/features.safetensors"), "the weights' file (%(default)s)"),
        ("curve", None, "picture of the loss (beside the weights)"),
        ("checkpoint", None, "where to go on from (beside the weights)"),
    ):
        parser.add_argument(f"--{name}", type=commands.path, default=path, help=what)
    for name in ("steps", "clips", "batch"):
        value = getattr(default, name)
        parser.add_argument(f"--{name}", type=int, default=value, help="(%(default)s)")
    parser.add_argument("--seed", type=commands.seed, default=default.seed, help="(%(default)s)")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
