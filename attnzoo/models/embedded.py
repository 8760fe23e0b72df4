"""The embedded model: small enough for two cores, of the same parts as the real one."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from attnzoo.errors import DAMAGED, UserError
from attnzoo.models.codec import PixelShuffleCodec
from attnzoo.models.dance import DanceModel
from attnzoo.models.image_encoder import ImageEncoder
from attnzoo.models.pose_features import PoseFeatures

CHANNELS = (64, 96)
TOKEN = 64
SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
}
WEIGHTS = "base.safetensors"


def build_embedded() -> DanceModel:
    """The embedded model as initialised: 64 pixels, 32x32 latents of 12 channels, two levels."""
    codec = PixelShuffleCodec(2)
    unet = UNet2DConditionModel(
        sample_size=32,
        in_channels=codec.channels,
        out_channels=codec.channels,
        block_out_channels=CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=TOKEN,
        # diffusers' name notwithstanding, this is the number of heads of each level
        attention_head_dim=(1, 3),
        norm_num_groups=16,
    )
    encoder = ImageEncoder()
    features = PoseFeatures()
    projection = nn.Sequential(nn.Linear(encoder.width, TOKEN), nn.LayerNorm(TOKEN))
    return DanceModel(
        unet,
        _controlnet(codec.channels, features.channels),
        _controlnet(codec.channels, 3),
        encoder,
        projection,
        codec,
        SCHEDULER,
        features,
    )


def _controlnet(latents: int, condition: int) -> ControlNetModel:
    return ControlNetModel(
        in_channels=latents,
        conditioning_channels=condition,
        block_out_channels=CHANNELS,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        mid_block_type="UNetMidBlock2D",
        layers_per_block=1,
        cross_attention_dim=TOKEN,
        norm_num_groups=16,
        conditioning_embedding_out_channels=(32, 64),
    )


UNREADABLE: tuple[type[Exception], ...] = (SafetensorError, *DAMAGED)


def weights_path() -> Path:
    """Where the shipped weights lie."""
    return Path(str(importlib.resources.files("attnzoo"))) / "weights" / WEIGHTS


def load_embedded(path: Path | None = None) -> DanceModel:
    """The embedded model with its shipped (or the named) image-level weights, in float32.

    Raises:
        UserError: the file is missing or does not hold exactly this model's tensors.
    """
    path = path or weights_path()
    if not path.is_file():
        raise UserError(f"{path}: the base's weights are missing; `python -m attnzoo.train.base`")
    model = build_embedded()
    try:
        state = {k: v.to(torch.float32) for k, v in load_file(path).items()}
    except UNREADABLE as error:
        raise UserError(f"{path}: no weights can be read ({error})") from error
    wanted = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in state.items()}
    wrong = sorted(k for k in wanted | found if wanted.get(k) != found.get(k))
    if wrong:
        raise UserError(
            f"{path}: not this model's weights: {len(wrong)} tensors missing, left over or of "
            f"another shape, the first {wrong[0]}"
        )
    model.load_state_dict(state)
    return model
