"""The model at its real size: Stable Diffusion, CLIP and two ControlNets, as in DisCo.

The parts are stock ones: `UNet2DConditionModel`, `AutoencoderKL`, `ControlNetModel`, CLIP's vision
transformer. They come from folders in their libraries' layouts (Stable Diffusion 1.5, which brings
no image encoder; image variations, which does), or are made with random weights, to learn what a
run costs.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from torch import nn

from attnzoo.errors import UserError
from attnzoo.models import disco
from attnzoo.models.auto_encoder import KLCodec
from attnzoo.models.choice import Background, StableDiffusion, Weights
from attnzoo.models.clip_encoder import ClipEncoder
from attnzoo.models.controlnets import (
    PosePicture,
    latent_controlnet,
    picture_controlnet,
    take_latents,
)
from attnzoo.models.dance import DanceModel
from attnzoo.models.pretrained import load_part, load_tensors, read_state, readable
from attnzoo.models.sources import Place

SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "clip_sample": False,
}
"""Stable Diffusion 1.5's, for random weights."""

UNET, VAE, CONTEXT = (320, 640, 1280, 1280), (128, 256, 512, 512), 768
"""Stable Diffusion 1.5's widths; CLIP's is 1024, in 24 layers (ViT-L/14)."""

FULL_CLIP = (
    "text_model.",
    "text_projection.",
    "logit_scale",
    "vision_model.embeddings.position_ids",
)
"""What CLIP's whole checkpoint holds beside the image encoder, and indices of old ones."""

CONTROLNET_FILE = "diffusion_pytorch_model.safetensors"


def build_stable_diffusion(settings: StableDiffusion) -> DanceModel:
    """The model that `settings` describe, float32, without a variant.

    Raises:
        UserError: see `StableDiffusion.build`.
    """
    settings.check()
    if settings.weights is Weights.random:
        return random_stable_diffusion(settings)
    place = settings.place("scheduler")
    with readable(place):
        scheduler = _known(DDIMScheduler.load_config(place.source, **place.arguments()))
    unet = load_part(UNet2DConditionModel, settings.place("unet"))
    vae = load_part(AutoencoderKL, settings.place("vae"))
    clip = load_part(_vision_class(), settings.place("image_encoder"), FULL_CLIP)
    # What a ControlNet has beside the U-Net's encoder is drawn, always the same.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = _assembled(unet, vae, clip, scheduler, settings.background)
    _load_controlnets(model, settings)
    if settings.disco is not None:
        disco.load(model, settings.disco)
    return model


def _load_controlnets(model: DanceModel, settings: StableDiffusion) -> None:
    """Those that are not to begin as copies of the U-Net's encoder."""
    if settings.pose_controlnet is not None:
        place = settings.place("pose_controlnet")
        model.pose_controlnet = _fitting(load_part(ControlNetModel, place), model, place)
    if settings.background_controlnet is None:
        return
    place = settings.place("background_controlnet")
    if settings.background is Background.picture:
        model.background_controlnet = _fitting(load_part(ControlNetModel, place), model, place)
        return
    # The class's own loader would make the embedding that is exchanged here.
    with readable(place):
        config = ControlNetModel.load_config(place.source, **place.arguments())
        made = ControlNetModel.from_config(config)
    take_latents(made)
    file = place.root / CONTROLNET_FILE
    if not file.is_file():
        raise UserError(f"{place}: a ControlNet of latents is read from a folder's {file.name}")
    load_tensors(made, read_state(file), str(place))
    model.background_controlnet = _fitting(made, model, place)


def _fitting(controlnet: Any, model: DanceModel, place: Place) -> Any:
    """The ControlNet; UserError unless it takes and gives what the U-Net does."""
    ours, theirs = model.unet.config, controlnet.config
    for key in ("in_channels", "block_out_channels", "layers_per_block", "cross_attention_dim"):
        if _plain(theirs[key]) != _plain(ours[key]):
            raise UserError(
                f"{place}: has {key} {_plain(theirs[key])} and the U-Net {_plain(ours[key])}; take "
                "one that was made for this U-Net"
            )
    if theirs["conditioning_channels"] != 3:
        raise UserError(
            f"{place}: is conditioned by {theirs['conditioning_channels']} channels, not pictures"
        )
    return controlnet


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


def _assembled(
    unet: Any, vae: Any, clip: Any, scheduler: dict[str, Any], background: Background
) -> DanceModel:
    projection = clip.visual_projection
    _check_fit(unet, vae, projection)
    levels = len(vae.config.block_out_channels)
    # Trained in stage 2, beginning as CLIP's own.
    own = nn.Linear(projection.in_features, projection.out_features, bias=False)
    own.load_state_dict(projection.state_dict())
    latents = background is Background.latents
    return DanceModel(
        unet,
        picture_controlnet(unet, levels),
        latent_controlnet(unet) if latents else picture_controlnet(unet, levels),
        ClipEncoder(clip.vision_model, clip.config.image_size),
        own,
        KLCodec(vae),
        scheduler,
        PosePicture(),
    )


def _check_fit(unet: Any, vae: Any, projection: nn.Linear) -> None:
    fits = [
        ("vae", vae.config.latent_channels, "latents", unet.config.in_channels),
        (
            "image_encoder",
            projection.out_features,
            "cross-attention",
            unet.config.cross_attention_dim,
        ),
    ]
    for part, given, what, wanted in fits:
        if given != wanted:
            raise UserError(
                f"model.{part}: gives {given} channels, and the U-Net's {what} has {wanted}; take "
                "the one that belongs to this U-Net"
            )


def random_stable_diffusion(settings: StableDiffusion) -> DanceModel:
    """Random weights of the published shapes, or of narrower ones, always the same."""
    scale = settings.scale
    context = _width(CONTEXT * scale, 32)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=64,
            block_out_channels=tuple(_width(c * scale, 32) for c in UNET),
            cross_attention_dim=context,
            attention_head_dim=8,
        )
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=tuple(_width(c * scale, 32) for c in VAE),
            layers_per_block=2,
            sample_size=512,
        )
        clip = _random_clip(scale, context)
        return _assembled(unet, vae, clip, SCHEDULER, settings.background)


def _random_clip(scale: float, context: int) -> Any:
    from transformers import CLIPVisionConfig

    width = _width(1024 * scale, 64)
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=max(1, round(24 * scale)),
        num_attention_heads=width // 64,
        patch_size=14,
        image_size=224,
        projection_dim=context,
    )
    return _vision_class()(config)


def _width(channels: float, step: int) -> int:
    """The nearest multiple of `step`, at least one."""
    return max(step, round(channels / step) * step)


def _vision_class() -> Any:
    """CLIP's image encoder, of a library that an extra brings."""
    from transformers import CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection


def _known(config: Any) -> dict[str, Any]:
    """A scheduler's configuration as far as it concerns noise, whatever its class was.

    Latents are not clipped, also where an old file does not say so.
    """
    scheduler: Any = DDIMScheduler
    read = scheduler.from_config({"clip_sample": False, **config})
    return {key: value for key, value in read.config.items() if not key.startswith("_")}
