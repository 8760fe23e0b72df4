"""The device and the arithmetic of a run, and the accelerator that stands for both."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DataLoaderConfiguration, GradientAccumulationPlugin

from attnzoo.errors import UserError
from attnzoo.train.settings import Experiment, Precision, Tracker

DEVICES = ("auto", "cpu", "cuda")


SHARDING = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DeepSpeed"}
"""What `accelerate launch` sets where its configuration asks for a model in pieces."""


def choose_device(name: str) -> torch.device:
    """The device of that name; auto is CUDA where there is any.

    Raises:
        UserError: another name, or no CUDA device here.
    """
    if name not in DEVICES:
        raise UserError(f"device={name}: choose one of {', '.join(DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: no CUDA device is available here; device=cpu or auto")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda")


def check_machine(experiment: Experiment) -> torch.device:
    """The run's device, if this machine can do what the run asks for.

    Raises:
        UserError: a missing device, an arithmetic that it lacks, a tracker not installed, a
            launcher that wants a model in pieces.
    """
    device = choose_device(experiment.device)
    for variable, name in SHARDING.items():
        if os.environ.get(variable, "").lower() in ("1", "true", "yes"):
            raise UserError(
                f"{variable}: attnzoo does not train by {name}; every process holds the whole "
                "model, so take distributed_type: MULTI_GPU (train.gradient_checkpointing=true "
                "saves most of the memory)"
            )
    if experiment.precision is Precision.fp16 and device.type == "cpu":
        raise UserError("precision=fp16: needs a CUDA device; on the CPU take bf16 or fp32")
    if (
        experiment.precision is Precision.bf16
        and device.type == "cuda"
        and not torch.cuda.is_bf16_supported()
    ):
        raise UserError("precision=bf16: this GPU has none; take fp16 or fp32")
    extra = {Tracker.tensorboard: "logging", Tracker.wandb: "wandb"}.get(experiment.tracker)
    name = experiment.tracker.name
    if extra is not None and importlib.util.find_spec(name) is None:
        raise UserError(f"tracker={name}: not installed; pip install 'attnzoo[{extra}]'")
    return device


@contextmanager
def determinism(wanted: bool) -> Iterator[None]:
    """With `wanted`, operations that need not give the same twice are refused by torch meanwhile.

    On a CPU there is none in a run; CUDA's matrix products are given the memory that they need for
    it, if nothing on the GPU has run before.
    """
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)


def make_accelerator(experiment: Experiment, folder: Path, accumulate: int) -> Accelerator:
    """Accelerate's accelerator for one run; several may follow each other in one process.

    accumulate: passes to an optimiser step in this process.

    Raises:
        UserError: as `check_machine`.
    """
    device = check_machine(experiment)
    # Accelerate keeps device and precision in process-wide singletons and refuses others later; a
    # sweep runs one job after the other in one process.
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    # It tells the root logger of every file of every checkpoint.
    logging.getLogger("accelerate").setLevel(logging.WARNING)
    precision = experiment.precision
    accelerator = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="no" if precision is Precision.fp32 else precision.value,
        # As a number it would give way to a variable that `accelerate launch` may have set.
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=accumulate),
        log_with=None if experiment.tracker is Tracker.none else experiment.tracker.value,
        project_dir=str(folder),
        # Processes share the clips of a step, so the schedule goes on by one for all of them.
        dataloader_config=DataLoaderConfiguration(split_batches=True),
    )
    # A checkpoint has the weights that train, once; the whole model would be saved beside them.
    accelerator.register_save_state_pre_hook(lambda models, weights, folder: weights.clear())
    accelerator.register_load_state_pre_hook(lambda models, folder: models.clear())
    return accelerator
