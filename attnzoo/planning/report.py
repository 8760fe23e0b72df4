"""A plan in words and columns."""

from __future__ import annotations

from collections.abc import Sequence

from attnzoo.models.methods import Method
from attnzoo.planning.gpus import GPU
from attnzoo.planning.plan import DAY_S, GIB, Plan, advice, fits, peak, seconds
from attnzoo.planning.trace import Step
from attnzoo.train.stages import STAGES

_ROWS = (
    ("weights, all parts", "weights"),
    ("gradients", "gradients"),
    ("Adam's two averages", "optimiser"),
    ("averaged weights (EMA)", "average"),
    ("activations, at the peak", "activations"),
    ("encoding, at the peak", "encoding"),
    ("the optimiser's own step", "update"),
    ("peak of all", "total"),
)


def report(made: Plan, gpus: Sequence[GPU], utilisation: float) -> str:
    """Everything that `python -m attnzoo.plan` prints."""
    parts = [_head(made), _parameters(made), _memory(made)]
    parts += [_gpu(made, gpu, utilisation) for gpu in gpus]
    return "\n\n".join(parts)


def _head(made: Plan) -> str:
    e, s = made.experiment, made.sizes
    checkpointing = "with" if e.training.gradient_checkpointing else "without"
    method = "" if e.method is Method.video else f"method={e.method.name} "
    return (
        f"{method}attn={e.variant} model={e.model.name} precision={e.precision.name}: clips of "
        f"{s.frames} frames of {s.size} x {s.size}, {e.training.batch} a pass, "
        f"{e.training.accumulate} passes a step, {checkpointing} gradient checkpointing"
    )


def _parameters(made: Plan) -> str:
    parts = made.step(1).parameters
    lines = [f"{'parameters':<26}{_count(sum(parts.values())):>12}"]
    lines += [f"  {name:<24}{_count(n):>12}" for name, n in parts.items() if n]
    lines += [
        f"  {f'trained in stage {stage}':<24}{_count(made.step(stage).trained):>12}"
        for stage in STAGES
    ]
    return "\n".join(lines)


def _memory(made: Plan) -> str:
    """A column for each stage, with and without checkpointing; sampling is the last."""
    columns = [made.steps[stage, flag] for stage in STAGES for flag in (False, True)]
    names = [f"stage {s}{', ckpt' if flag else ''}" for s in STAGES for flag in (False, True)]
    lines = [f"{'GiB':<26}" + "".join(f"{name:>15}" for name in names) + f"{'sampling':>15}"]
    sampled = made.sampled
    shown = {
        "weights": sampled.weights,
        "activations": sampled.denoising,
        "encoding": sampled.decoding,
        "total": sampled.total,
    }
    for title, name in _ROWS:
        cells = [_gib(getattr(step, name)) for step in columns]
        cells.append(_gib(shown[name]) if name in shown else "-")
        lines.append(f"{title:<26}" + "".join(f"{cell:>15}" for cell in cells))
    cells = [f"{step.flops / 1e12:.4g}" for step in columns] + [f"{sampled.clip / 1e12:.4g}"]
    lines.append(f"{'TFLOP a step, or a clip':<26}" + "".join(f"{cell:>15}" for cell in cells))
    return "\n".join(lines)


def _gpu(made: Plan, gpu: GPU, utilisation: float) -> str:
    precision = made.experiment.precision
    rate = peak(gpu, precision)
    if rate is None:
        return f"{gpu.name}: has no bf16; take precision=fp16"
    lines = [
        f"{gpu.name}, {gpu.memory:g} GiB, {precision.name} peak {rate / 1e12:g} TFLOP/s, "
        f"at {utilisation:.0%} of it ({gpu.source})"
    ]
    days = 0.0
    for stage in STAGES:
        step: Step = made.step(stage)
        if not step.trained:
            lines.append(f"  stage {stage}: nothing to train, so it has no step")
            continue
        steps = made.experiment.training.stage(stage).steps
        taken = seconds(step.flops, gpu, precision, utilisation) or 0.0
        days += steps * taken / DAY_S
        lines.append(
            f"  stage {stage}: {advice(made, stage, gpu)}; {taken:.3g} s a step, "
            f"{DAY_S / taken:,.0f} steps a day, {_duration(steps * taken)} for {steps:,} steps"
        )
    taken = seconds(made.sampled.clip, gpu, precision, utilisation) or 0.0
    fit = "fits" if fits(made.sampled.total, gpu) else "does not fit"
    lines.append(
        f"  sampling: {fit}; {taken:.3g} s a clip of {made.experiment.sampling.steps} steps"
    )
    lines.append(f"  both stages: {_duration(days * DAY_S)}")
    return "\n".join(lines)


def _duration(s: float) -> str:
    for unit, length in (("days", DAY_S), ("hours", 3600.0), ("minutes", 60.0)):
        if s >= length:
            return f"{s / length:.3g} {unit}"
    return f"{s:.3g} s"


def _gib(size: float) -> str:
    return f"{size / GIB:.3f}"


def _count(n: int) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= size:
            return f"{n / size:.4g} {unit}"
    return str(n)
