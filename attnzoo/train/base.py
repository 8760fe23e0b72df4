"""Trains the embedded model's image-level base, both ControlNets and the image encoder.

    python -m attnzoo.train.base --steps 6000 --out outputs/base.safetensors

Stops at any moment lose little: the same command goes on from `--work`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import EMAModel
from torch import Tensor
from tqdm import tqdm

from attnzoo import commands
from attnzoo.data.cast import Known, stills
from attnzoo.data.clip import Batch
from attnzoo.errors import UserError
from attnzoo.files import replacing
from attnzoo.metrics.networks.weights import sha256
from attnzoo.models.dance import DanceModel
from attnzoo.models.embedded import build_embedded, load_embedded
from attnzoo.models.image_encoder import covered_cells
from attnzoo.tensors import write_tensors
from attnzoo.train.device import DEVICES, choose_device
from attnzoo.train.finite import check_finite
from attnzoo.train.stopping import Stopping

SIZE = 64
PEOPLE, EACH = 8, 2
HINT = 0.02
"""The weight of the correspondence loss beside the denoising loss."""

POINT = 20
"""Steps whose mean loss is one point of the curve."""

STEADY = 0.7
"""The share of steps at full learning rate; over the rest it falls to zero in a straight line."""


CHECKPOINT_SECONDS = 120.0

STATE = "state.pt"

MOST_SEED = 10**12
"""Each step's generator has a seed of its own, which is a multiple of this one."""


@dataclass
class Progress:
    """What a resumed training goes on from, beside the tensors.

    losses: a mean for each `POINT` steps; recent: each step's since then.
    """

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)


class BaseTraining:
    """Model, optimiser and averages of one training of the base."""

    def __init__(
        self, steps: int, rate: float, seed: int, device: torch.device, bf16: bool = False
    ) -> None:
        torch.manual_seed(seed)
        self.model = build_embedded().to(device)
        self.steps, self.rate, self.seed, self.device = steps, rate, seed, device
        self.bf16 = bf16
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.01
        )
        self.ema = _averages(self.parameters)
        self.noise = DDPMScheduler.from_config(self.model.scheduler_config)
        self.hints = Correspondence(self.model)
        self.progress = Progress()
        self.start: str | None = None

    def learning_rate(self, step: int) -> float:
        """Warm-up, a level stretch, then down to zero at the last step."""
        warm = min(1.0, (step + 1) / 100)
        fall = min(1.0, (self.steps - step) / ((1 - STEADY) * self.steps))
        return self.rate * warm * max(fall, 0.0)

    def step(self) -> float:
        """One optimiser step on fresh stills; everything random follows from seed and step."""
        step = self.progress.step
        known = known_at(step)
        # A whole picture as foreground has several times the tokens.
        people = PEOPLE if known is Known.surface else max(PEOPLE // 2, 1)
        rows = stills(np.random.default_rng([self.seed, step, 1]), people, EACH, SIZE, known)
        data = {k: torch.from_numpy(v).to(self.device) for k, v in rows.items()}
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(step)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            loss = _loss(self.model, data, self.noise, generator)
        hint = self.hints.loss(data["surface"], data["reference_surface"], data["mask"])
        self.optimizer.zero_grad(set_to_none=True)
        (loss + HINT * hint).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        check_finite(step + 1, self.steps, loss + HINT * hint, norm)
        self.optimizer.step()
        self.ema.step(self.parameters)
        self.progress.step += 1
        return float(loss.detach())

    def begin(self, weights: Path) -> None:
        """Starts from exported weights, which a training of its own made.

        Raises:
            UserError: the file is missing or does not hold exactly this model's tensors.
        """
        self.model.load_state_dict(load_embedded(weights).state_dict())
        self.ema = _averages(self.parameters)
        self.start = sha256(weights)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the weights."""
        names = ("steps", "rate", "seed", "bf16", "start")
        return {name: getattr(self, name) for name in names}

    def save(self, folder: Path) -> None:
        """Writes all that `load` needs, beside and renamed."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.state_dict(),
            "progress": vars(self.progress),
            "settings": self.settings,
        }
        # Through an open file: torch refuses some names.
        with replacing(folder / STATE) as beside, beside.open("wb") as file:
            torch.save(state, file)

    def load(self, folder: Path) -> None:
        """Goes on where `save` left off, if it did.

        Raises:
            UserError: what is there cannot be read, or was made with other settings.
        """
        path = folder / STATE
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            made = state["settings"]
        except Exception as error:  # of many kinds, by what is damaged
            raise UserError(
                f"{path}: no state of a training ({type(error).__name__}); remove it to start "
                "over, or take another --work"
            ) from error
        if made != self.settings:
            other = ", ".join(f"{k}={v}" for k, v in made.items() if v != self.settings.get(k))
            raise UserError(
                f"{path} was made with other settings ({other}): give the same, remove it to start "
                "over, or take another --work"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema.load_state_dict(state["ema"])
        self.progress = Progress(**state["progress"])

    def export(self, path: Path) -> None:
        """Writes the averaged weights as float16 safetensors, beside and renamed."""
        self.ema.store(self.parameters)
        self.ema.copy_to(self.parameters)
        tensors = {k: v.half().contiguous() for k, v in self.model.state_dict().items()}
        self.ema.restore(self.parameters)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, tensors)


def known_at(step: int) -> Known:
    """Every eighth step has no pose at all, every eighth no surface coordinates."""
    return {3: Known.nothing, 7: Known.picture}.get(step % 8, Known.surface)


def _averages(parameters: list[torch.nn.Parameter]) -> EMAModel:
    return EMAModel(parameters, decay=0.998, use_ema_warmup=True, power=0.75)


class Correspondence:
    """Teaches the top level's cross-attention which token shows the same piece of the body.

    Surface coordinates tell it exactly, and without the hint the copying of clothes, which is what
    the image encoder is for, takes many times as long to begin.
    """

    def __init__(self, model: DanceModel) -> None:
        self.queries: list[Tensor] = []
        self.keys: list[Tensor] = []
        for transformer in model.unet.up_blocks[-1].attentions:
            attention = transformer.transformer_blocks[0].attn2
            attention.to_q.register_forward_hook(lambda m, a, out: self.queries.append(out))
            attention.to_k.register_forward_hook(lambda m, a, out: self.keys.append(out))

    def loss(self, surface: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
        """Cross-entropy of the scores of the last forward pass against nearness on the surface.

        Args: surfaces of picture and foreground, both `[n, 6, H, W]`, mask `[n, 1, H, W]`.
        """
        shown, on = _surface(surface)
        wanted, _ = _surface(reference)
        covered = covered_cells(mask)
        terms = []
        for i in range(len(surface)):
            distance = torch.cdist(shown[i][on[i]], wanted[i][covered[i]]) ** 2
            target = torch.softmax(-distance / 0.02, 1)
            seen = (distance.min(1).values < 0.05).float()
            for q, k in zip(self.queries, self.keys, strict=True):
                there = k[i, : distance.shape[1]].float()
                scores = q[i][on[i]].float() @ there.T / q.shape[-1] ** 0.5
                entropy = -(target * torch.log_softmax(scores, 1)).sum(1)
                terms.append((entropy * seen).sum() / seen.sum().clamp(min=1))
        self.queries.clear()
        self.keys.clear()
        return torch.stack(terms).mean()


def _surface(pose: Tensor) -> tuple[Tensor, Tensor]:
    """Each 2x2 cell's mean place on the body `[n, cells, 6]`, and whether it shows the body."""
    known = (pose[:, 4:].sum(1, keepdim=True) > 0).float()
    share = torch.nn.functional.avg_pool2d(known, 2)
    mean = torch.nn.functional.avg_pool2d(pose * known, 2) / share.clamp(min=0.25)
    scale = torch.tensor([4.0, 4, 4, 2, 2, 2], device=pose.device)[:, None, None]
    return (mean * scale).flatten(2).transpose(1, 2), share.flatten(1) > 0.5


def _timesteps(n: int, generator: torch.Generator) -> Tensor:
    """Half of them anywhere, half where the noise is strong and all must come from conditions."""
    anywhere = torch.randint(0, 1000, (n,), generator=generator)
    strong = torch.randint(700, 1000, (n,), generator=generator)
    return torch.where(torch.rand(n, generator=generator) < 0.5, anywhere, strong)


def _loss(
    model: DanceModel,
    data: dict[str, Tensor],
    scheduler: Any,
    generator: torch.Generator,
) -> Tensor:
    """v-prediction error, the person's pixels three times as heavy as the rest."""
    n = data["image"].shape[0]
    device = data["image"].device
    latents = model.codec.encode(data["image"][:, None])
    noise = torch.randn(latents.shape, generator=generator).to(device)
    t = _timesteps(n, generator).to(device)
    dropped = (torch.rand(n, generator=generator) < 0.1).to(device)
    noisy = scheduler.add_noise(latents, noise, t)
    target = scheduler.get_velocity(latents, noise, t)
    batch = Batch(
        names=("",) * n,
        video=data["image"][:, None],
        pose=data["pose"][:, None],
        foreground=data["foreground"],
        mask=data["mask"],
        reference_pose=data["reference_pose"],
        background=data["background"],
        motion=None,
    )
    tokens = model.tokens(batch)
    tokens = torch.where(dropped[:, None, None], model.null_tokens(tokens), tokens)
    out = model(noisy, t, tokens, batch.pose, batch.background)
    weight = 1 + 2 * torch.nn.functional.avg_pool2d(data["body"], 2)[:, None]
    error: Tensor = ((out.float() - target) ** 2 * weight).mean() / weight.mean()
    return error


def plot(losses: list[float], last: int, path: Path) -> None:
    """The loss curve up to step `last`, one point for `POINT` steps, on logarithmic axes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    steps = np.minimum(POINT * np.arange(1, len(losses) + 1), last)
    axes.plot(steps, losses, linewidth=0.8, marker="o" if len(losses) == 1 else None)
    axes.set(xlabel="step", ylabel="weighted v-prediction loss", yscale="log", xscale="log")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        figure.savefig(beside, dpi=120, format="png")
    plt.close(figure)


def train(training: BaseTraining, work: Path) -> None:
    """Makes the steps that are left, and keeps in `work` what a stopped training goes on from.

    Raises:
        KeyboardInterrupt, SystemExit: it was asked to stop, and all is kept.
    """
    progress, saved = training.progress, time.monotonic()
    started, stopping = saved - progress.seconds, Stopping()
    with (
        stopping.listening(),
        tqdm(total=training.steps, initial=progress.step, unit="step") as bar,
    ):
        while progress.step < training.steps:
            progress.recent.append(training.step())
            now = time.monotonic()
            progress.seconds = now - started
            if progress.step % POINT == 0:
                progress.losses.append(float(np.mean(progress.recent)))
                progress.recent.clear()
            last = progress.step == training.steps
            if last or stopping.wanted or now - saved > CHECKPOINT_SECONDS:
                training.save(work)
                saved = now
            if stopping.wanted:
                raise stopping.error()
            if progress.losses:
                bar.set_postfix(loss=f"{progress.losses[-1]:.4f}", refresh=False)
            bar.update()


def command(arguments: Sequence[str]) -> None:
    """Trains, and writes weights, curve and a note of how they were made."""
    options = _parser().parse_args(arguments)
    if options.steps < 1:
        raise UserError(f"--steps {options.steps}: must be at least 1")
    if options.seed > MOST_SEED:
        raise UserError(f"--seed {options.seed}: must be at most {MOST_SEED}")
    if not 0 < options.rate < math.inf:
        raise UserError(f"--rate {options.rate}: must be above 0")
    device = choose_device(options.device)
    training = BaseTraining(options.steps, options.rate, options.seed, device, options.bf16)
    if options.start is not None:
        training.begin(options.start)
    training.load(options.work)
    with commands.going_on(commands.SAME_COMMAND):
        train(training, options.work)
    progress = training.progress
    training.export(options.out)
    # A training of fewer steps than a point has what it ended with.
    losses = progress.losses or [float(np.mean(progress.recent))]
    plot(
        losses,
        progress.step,
        options.figure or options.out.with_name(f"{options.out.stem}_loss.png"),
    )
    note = {
        **training.settings,
        "minutes": round(progress.seconds / 60, 1),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "final_loss": round(losses[-1], 4),
    }
    with replacing(options.out.with_suffix(".json")) as beside:
        beside.write_text(json.dumps(note, indent=1) + "\n")
    print(f"{options.out}: {progress.step} steps, {progress.seconds / 60:.1f} minutes")


def _parser() -> argparse.ArgumentParser:
    parser = commands.Parser("python -m attnzoo.train.base", description=__doc__)
    parser.add_argument("--steps", type=int, default=6000, help="(%(default)s)")
    parser.add_argument("--rate", type=float, default=1e-3, help="(%(default)s)")
    parser.add_argument("--seed", type=commands.seed, default=0, help="(%(default)s)")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--bf16", action="store_true", help="faster where AMX or a GPU is")
    for name, default, what in (
        ("start", None, "exported weights to begin from"),
        (
            "work",
            Path("outputs/base"),
            "folder of what a stopped training goes on from (%(default)s)",
        ),
        ("out", Path("outputs/base.safetensors"), "the weights' file (%(default)s)"),
        ("figure", None, "picture of the loss (beside the weights)"),
    ):
        parser.add_argument(f"--{name}", type=commands.path, default=default, help=what)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
