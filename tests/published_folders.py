"""Small random models in the layouts in which the real ones are published."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from attnzoo.models.dance import DanceModel

WIDTH, CONTEXT, TOKEN, SIDE = 8, 16, 24, 28


def image_variations(folder: Path) -> Path:
    """unet/, vae/, scheduler/ and image_encoder/, as of Stable Diffusion image variations."""
    stable_diffusion(folder)
    image_encoder().save_pretrained(folder / "image_encoder")
    return folder


def stable_diffusion(folder: Path) -> Path:
    """unet/, vae/ and scheduler/, as of Stable Diffusion 1.5, without its text encoder."""
    torch.manual_seed(1)
    unet().save_pretrained(folder / "unet")
    vae().save_pretrained(folder / "vae")
    PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True,
        num_train_timesteps=50, steps_offset=1,
    ).save_pretrained(folder / "scheduler")  # fmt: skip
    return folder


def unet(context: int = CONTEXT) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(WIDTH, 2 * WIDTH),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        norm_num_groups=4,
        cross_attention_dim=context,
    )


def vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        sample_size=16,
    )


def image_encoder(projection: int = CONTEXT) -> CLIPVisionModelWithProjection:
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=TOKEN,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=14,
            projection_dim=projection,
        )
    )


OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def disco_state(model: DanceModel, *, shift: float = 0.25) -> dict[str, Tensor]:
    """The tensors of `model` moved by `shift`, under the names that DisCo's network gives them."""
    state = {}
    for key, tensor in model.state_dict().items():
        state[_theirs(key)] = (tensor + shift).half()
    state["clip_image_encoder.visual_projection.weight"] = torch.zeros(CONTEXT, TOKEN).half()
    state["clip_image_encoder.vision_model.embeddings.position_ids"] = torch.arange(5)[None]
    return state


def _theirs(key: str) -> str:
    for ours, theirs in (
        ("pose_controlnet.", "controlnet.nets.0."),
        ("background_controlnet.", "controlnet.nets.1."),
        ("image_encoder.vision.", "clip_image_encoder.vision_model."),
        ("image_projection.", "refer_clip_proj."),
    ):
        if key.startswith(ours):
            return theirs + key.removeprefix(ours)
    if key.startswith("codec.vae."):
        return _older(key.removeprefix("codec."))
    return key


def old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """An auto-encoder's tensors as diffusers named them until 0.17."""
    return {_older(key): tensor for key, tensor in state.items()}


def _older(key: str) -> str:
    if ".attentions." in key:
        for new, old in OLD_NAMES.items():
            key = key.replace(f".{new}.", f".{old}.")
    return key
