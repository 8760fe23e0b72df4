"""The smallest real model, data and settings for the tests of training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn

from attnzoo.data.clip import POSE_CHANNELS, Clip
from attnzoo.data.source import Source
from attnzoo.models.codec import PixelShuffleCodec
from attnzoo.models.dance import DanceModel
from attnzoo.models.image_encoder import ImageEncoder
from attnzoo.models.pose_features import PoseFeatures
from attnzoo.train.experiment import run
from attnzoo.train.settings import Experiment, Sampling, Stage, Training

FRAMES, SIZE, TOKEN = 3, 16, 8
SCHEDULER = {
    "num_train_timesteps": 50,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
}


@cache
def _model(prediction: str) -> DanceModel:
    common: dict[str, Any] = {
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "cross_attention_dim": TOKEN,
    }

    def controlnet(conditions: int) -> ControlNetModel:
        return ControlNetModel(
            in_channels=12,
            conditioning_channels=conditions,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            mid_block_type="UNetMidBlock2D",
            conditioning_embedding_out_channels=(4, 8),
            **common,
        )

    # Whoever asks first may be making a model without memory, and it is kept.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=SIZE // 2,
            in_channels=12,
            out_channels=12,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=2,
            **common,
        )
        encoder, features = ImageEncoder(width=TOKEN), PoseFeatures()
        model = DanceModel(
            unet,
            controlnet(features.channels),
            controlnet(3),
            encoder,
            nn.Sequential(nn.Linear(TOKEN, TOKEN), nn.LayerNorm(TOKEN)),
            PixelShuffleCodec(2),
            {**SCHEDULER, "prediction_type": prediction},
            features,
        )
        with torch.no_grad():
            for parameter in model.parameters():  # zero convolutions of ControlNets too
                parameter.add_(0.02 * torch.randn_like(parameter))
    return model


def tiny_model(prediction: str = "v_prediction") -> DanceModel:
    """A fresh copy of one small model without variant."""
    return copy.deepcopy(_model(prediction))


def tiny_clip(number: int, scenario: str = "", *, flow: bool = True) -> Clip:
    g = torch.Generator().manual_seed(number)

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, generator=g)

    video = rand(FRAMES, 3, SIZE, SIZE)
    body = torch.zeros(FRAMES, 1, SIZE, SIZE)
    body[:, :, 4:12, 4:12] = 1
    pose = rand(FRAMES, POSE_CHANNELS, SIZE, SIZE)

    def pair(k: int, r: int) -> tuple[Tensor, Tensor]:
        return torch.full((2, SIZE, SIZE), 2.0 * (r - k)), torch.ones(SIZE, SIZE, dtype=torch.bool)

    return Clip(
        name=f"clip{number}",
        video=video,
        pose=pose,
        foreground=video[0] * body[0],
        mask=body[0],
        reference_pose=pose[0],
        background=rand(3, SIZE, SIZE),
        body=body,
        flow=pair if flow else None,
        scenario=scenario,
    )


def tiny_source(train: Sequence[Clip] | None = None) -> Source:
    return Source(
        name="tiny",
        frames=FRAMES,
        size=SIZE,
        train=train if train is not None else [tiny_clip(i) for i in range(3)],
        test=[tiny_clip(100, "seen"), tiny_clip(101, "unseen")],
        split={"train": 3, "test": 2},
    )


def tiny_experiment(variant: str = "temporal", **changes: Any) -> Experiment:
    training = Training(
        stage1=Stage(3, 1e-2, 1),
        stage2=Stage(3, 1e-3, 1),
        ema=0.5,
        null_tokens=0.3,
        checkpoint_seconds=1e9,
    )
    settings = {"training": training, "sampling": Sampling(steps=2, clips=2), "device": "cpu"}
    return Experiment(variant, **{**settings, **changes})


class Interrupting(Sequence[Clip]):
    """Clips; asking for the `at`-th one of all (counted from 1) raises `error` instead."""

    def __init__(self, at: int, error: BaseException) -> None:
        self.clips = [tiny_clip(i) for i in range(3)]
        self.left, self.error = at, error

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise self.error
        return self.clips[index]


def no_scores(real: Tensor, fake: Tensor, clips: Sequence[Clip]) -> dict[str, Any]:
    return {"l1": {"value": float((real - fake).abs().mean()), "n": len(clips)}}


def tiny_run(
    folder: Path,
    experiment: Experiment,
    source: Source | None = None,
    *,
    build: Callable[[], DanceModel] = tiny_model,
    **arguments: Any,
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The record, and the model's weights at the end."""
    built: list[DanceModel] = []

    def keep() -> DanceModel:
        built.append(build())
        return built[-1]

    record = run(
        experiment,
        source or tiny_source(),
        folder,
        build=keep,
        **{"scores": no_scores, "pictures": False, **arguments},
    )
    weights = built[-1].state_dict() if built else {}
    return record, {name: tensor.clone() for name, tensor in weights.items()}
