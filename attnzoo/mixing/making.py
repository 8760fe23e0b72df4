"""From a run's settings and three sources to a clip: first what can be refused, then the model."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from attnzoo import registry
from attnzoo.data.clip import Clip, collate
from attnzoo.data.windows import MOST_FRAMES
from attnzoo.errors import UserError
from attnzoo.mixing.made import Made
from attnzoo.mixing.mix import danced, mixed
from attnzoo.mixing.people import person, place
from attnzoo.mixing.seams import Compared, compared
from attnzoo.mixing.sources import Kind, Origin, clips, origin
from attnzoo.mixing.trained import Weights
from attnzoo.models.dance import DanceModel
from attnzoo.models.dreampose import DreamPoseModel
from attnzoo.models.methods import Method
from attnzoo.models.sampling import sample
from attnzoo.models.stretches import Stretches, stretches
from attnzoo.train.batches import Purpose, generator
from attnzoo.train.device import choose_device
from attnzoo.train.plain import plain
from attnzoo.train.settings import Experiment, Precision

SCHEMA = 1
"""Of `sample.json`; raised when the meaning of a key changes."""

_AUTOCAST = {Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}


@dataclass(frozen=True)
class Wanted:
    """What is to be made, by the words of the command.

    foreground, background, pose: see `attnzoo.mixing.sources`; mask, foreground_pose: of a
    person's picture; frames: of the clip; overlap: least number of frames that two windows have in
    common, None: a quarter of a window; seed: of the noise; loop: whether a dance that is too short
    is played to and fro; stride: frames of a video of poses from one frame to the next, None: as
    the run's own video.
    """

    foreground: str
    background: str
    pose: str
    mask: str | None = None
    foreground_pose: str | None = None
    frames: int = 16
    overlap: int | None = None
    seed: int = 0
    loop: bool = False
    stride: int | None = None


@dataclass(frozen=True)
class Ready:
    """Everything that a clip is made from but the model.

    sources: what a record says of each; notices: what the clip's maker should know.
    """

    wanted: Wanted
    clip: Clip
    parts: Stretches
    flow: str | None
    sources: dict[str, dict[str, Any]]
    notices: tuple[str, ...]


def prepare(experiment: Experiment, wanted: Wanted, *, window: int, size: int) -> Ready:
    """Reads the sources and plans the windows.

    Args:
        experiment: of the run.
        wanted: what is to be made.
        window: frames that the model was trained on.
        size: pixels of a side.

    Raises:
        UserError: a source that cannot be what it is to be; too few frames for the variant; an
            overlap that does not fit the window.
    """
    entry = registry.get(experiment.variant)
    if wanted.frames < max(2, entry.min_frames):
        raise UserError(
            f"--frames {wanted.frames}: attn={entry.name} needs at least {max(2, entry.min_frames)}"
        )
    if wanted.frames > MOST_FRAMES:
        raise UserError(f"--frames {wanted.frames}: must be at most {MOST_FRAMES}")
    parts = _parts(experiment, wanted, window)
    who = origin("--foreground", wanted.foreground)
    where = origin("--background", wanted.background)
    dance = origin("--pose", wanted.pose)
    stride, follows = _stride(experiment, wanted, dance), entry.needs_flow
    source = clips(
        dance, size=size, frames=wanted.frames, loop=wanted.loop, stride=stride,
        pose=not _without_poses(experiment),
    )  # fmt: skip
    source = danced(dance, source, experiment.flow, experiment.motion, follows=follows)
    clip = mixed(
        f"{who.short} in {where.short}, dances as {dance.short}",
        person(who, size, mask=wanted.mask, pose=wanted.foreground_pose),
        place(where, size),
        source.test[0],
        elsewhere=wanted.background != wanted.pose,
    )
    flow = source.flow.name if follows and source.flow is not None else None
    notices = [*_strange(experiment, source.name), *_unseen(source.test[0], dance)]
    sources = {
        "foreground": _source(who, clip.foreground, clip.mask, clip.reference_pose),
        "background": _source(where, clip.background),
        "pose": {**_source(dance, clip.pose), "stride": stride},
    }
    return Ready(wanted, clip, parts, flow, sources, tuple(notices))


def _source(where: Origin, *given: Tensor) -> dict[str, Any]:
    """What was named, and SHA-256 of what the model is given of it: float32 in [0, 1]."""
    digest = hashlib.sha256()
    for tensor in given:
        digest.update(tensor.contiguous().numpy().tobytes())
    return {**where.about(), "tensors_sha256": digest.hexdigest()}


def _stride(experiment: Experiment, wanted: Wanted, dance: Origin) -> int:
    """Frames of the dance from one frame of the clip to the next; 1 but for videos."""
    if dance.kind is Kind.video:
        own: int = experiment.data.get("stride", 1)
        return own if wanted.stride is None else wanted.stride
    if wanted.stride is not None:
        raise UserError(f"--stride {wanted.stride}: {dance.flag} {dance.text} is no video of poses")
    return 1


def _parts(experiment: Experiment, wanted: Wanted, window: int) -> Stretches:
    """The windows of the clip, as its method needs them."""
    method = experiment.method
    if not method.frame_by_frame:
        overlap = window // 4 if wanted.overlap is None else wanted.overlap
        return stretches(wanted.frames, window, overlap)
    if wanted.overlap is not None:
        raise UserError(
            f"--overlap {wanted.overlap}: method={method.name} makes each frame by itself; "
            "leave it out"
        )
    # Frames are made apart, so windows only limit the memory; those in the overlap lend poses.
    reach = (DreamPoseModel if method is Method.dreampose else DanceModel).pose_reach
    return stretches(wanted.frames, max(window, 4 * reach), 2 * reach, fading=False)


def _without_poses(experiment: Experiment) -> bool:
    """Whether the model was trained on a video without pose pictures."""
    return experiment.data.get("name") == "video" and experiment.data.get("pose") is None


def _strange(experiment: Experiment, name: str) -> Sequence[str]:
    """That poses are of another kind than those the model was trained on."""
    trained = experiment.data.get("name")
    if _without_poses(experiment):
        return (
            "the run was trained without poses and moves as its own video did"
            + ("; pose pictures stay blank" if name == "video" else ", whatever they show"),
        )
    if trained == name or not isinstance(trained, str):
        return ()
    return (
        f"the run was trained on data={trained}, whose pose pictures look unlike those of "
        f"data={name}: the model may not understand them",
    )


def _unseen(clip: Clip, dance: Origin) -> Sequence[str]:
    if clip.body.any() or not clip.pose.any():
        return ()
    told = "its pictures have no border of one colour" if dance.kind is Kind.video else "no mask"
    return (
        f"--pose {dance.text}: nobody knows where the dancer is ({told}), so what its background "
        "does counts as motion",
    )


def make(
    model: DanceModel,
    experiment: Experiment,
    ready: Ready,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Made, list[Compared], dict[str, Any]]:
    """Samples; also what neighbouring frames say of the seams, and what a record says of all that.

    Args:
        model: the run's, as `attnzoo.mixing.trained.load` gives it; goes to the device.
        experiment: the run's, with the sampling that is wanted.
        ready: what is to be made.
        progress: called after each denoising step with the steps done and those there are.
    """
    device = choose_device(experiment.device)
    model.to(device)
    started = time.perf_counter()
    dtype = _AUTOCAST.get(experiment.precision)
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
        video = sample(
            model,
            collate([ready.clip]).to(device),
            steps=experiment.sampling.steps,
            guidance=experiment.sampling.guidance,
            noise=experiment.sampling_noise,
            # As a run's first test clip.
            generator=generator(ready.wanted.seed, Purpose.sample, 0),
            progress=progress,
            parts=ready.parts,
        )[0].cpu()
    seconds = time.perf_counter() - started
    rows = compared(video, ready.clip, ready.parts)
    about = {
        "schema": SCHEMA,
        "device": str(device),
        "sources": ready.sources,
        "settings": _settings(experiment, ready),
        "windows": [[window.start, window.stop] for window in ready.parts.windows],
        "notices": list(ready.notices),
        "seams": [asdict(row) for row in rows],
        "seconds": seconds,
        "frames_per_second": len(video) / seconds,
    }
    return Made(ready.clip, video, ready.parts), rows, about


def of_run(experiment: Experiment, weights: Weights, sha256: str) -> dict[str, Any]:
    """What a record says of the model; sha256: of the file of its weights."""
    return {
        "weights": str(weights.file),
        "sha256": sha256,
        "state": weights.said,
        "method": experiment.method.name,
        "variant": experiment.variant,
        "options": plain(experiment.options),
        "model": plain(experiment.model),
    }


def _settings(experiment: Experiment, ready: Ready) -> dict[str, Any]:
    sampling = experiment.sampling
    return {
        **plain(ready.wanted),
        "overlap": ready.parts.overlap,
        "size": ready.clip.video.shape[-1],
        "steps": sampling.steps,
        "guidance": sampling.guidance,
        "noise": experiment.sampling_noise.name,
        "precision": experiment.precision.name,
        "fps": sampling.fps,
        "flow": ready.flow,
    }
