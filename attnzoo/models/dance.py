"""The whole denoiser of the paper's section 3.2: U-Net, two ControlNets, image encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from einops import rearrange, repeat
from torch import Tensor, nn

from attnzoo.data.clip import Batch
from attnzoo.models.controlnets import takes_latents
from attnzoo.models.inflate import Inflation, Slots, Stack, inflate
from attnzoo.motion import Motion


class DanceModel(nn.Module):
    """Predicts a clip's noise (or v) from a person, a background and a sequence of poses.

    Args:
        unet: a stock U-Net; frames travel in its batch axis.
        pose_controlnet: conditioned by each frame's pose image.
        background_controlnet: conditioned by the one background picture, or by its latents where
            its condition embedding takes those (`attnzoo.models.controlnets`).
        image_encoder: foreground `[b, 3, H, W]`, mask, pose -> tokens; has `null_tokens` and
            `width`, the channels of a token.
        image_projection: tokens to the U-Net's cross-attention.
        codec: pictures in [0, 1] to latents and back (`encode`, `decode`).
        scheduler_config: a diffusers scheduler's configuration, `prediction_type` included.
        pose_features: from pose images to what the pose ControlNet is conditioned by.
    """

    pose_reach = 0
    """How many frames before and after it a frame's poses are taken from."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        pose_controlnet: ControlNetModel,
        background_controlnet: ControlNetModel,
        image_encoder: nn.Module,
        image_projection: nn.Module,
        codec: nn.Module,
        scheduler_config: Mapping[str, Any],
        pose_features: nn.Module | None = None,
    ) -> None:
        super().__init__()
        # diffusers' classes are opaque to type checkers
        self.unet: Any = unet
        self.pose_controlnet: Any = pose_controlnet
        self.background_controlnet: Any = background_controlnet
        self.image_encoder: Any = image_encoder
        self.image_projection = image_projection
        self.codec: Any = codec
        self.scheduler_config = dict(scheduler_config)
        self.pose_features = pose_features or nn.Identity()
        self.inflation: Inflation | None = None

    def inflate(
        self,
        name: str,
        *,
        options: Mapping[str, Any] | None = None,
        slots: Slots = Slots.attention,
        stack: Stack = Stack.declared,
        positions: bool = True,
        seed: int = 0,
    ) -> Inflation:
        """Puts the variant `name` into the U-Net; see `attnzoo.models.inflate.inflate`."""
        self.inflation = inflate(
            self.unet,
            name,
            options=options or {},
            slots=slots,
            stack=stack,
            positions=positions,
            seed=seed,
        )
        return self.inflation

    @property
    def inflated(self) -> Inflation:
        """What was put into the U-Net.

        Raises:
            ValueError: nothing was, not even `none`.
        """
        if self.inflation is None:
            raise ValueError("the model has no variant yet, it is not inflated: inflate it first")
        return self.inflation

    def added_parameters(self) -> list[nn.Parameter]:
        """What the base had not, or what stands in its place: trained from the first stage on."""
        return self.inflated.new_parameters()

    def learning_rate_factors(self) -> dict[nn.Parameter, float]:
        """Rates of the added parameters as multiples of a stage's, where they are not that."""
        return self.inflated.learning_rate_factors()

    def added_count(self) -> int:
        """How many parameters there are that the base had not."""
        return self.inflated.parameter_counts().added

    def tuned_parameters(self) -> list[nn.Parameter]:
        """What the second stage trains: U-Net and image projection, and all that was added."""
        shared = [*self.unet.parameters(), *self.image_projection.parameters()]
        return list(dict.fromkeys([*shared, *self.added_parameters()]))

    def checkpoint_gradients(self) -> None:
        """Keeps no activations inside blocks, which makes them again for the backward pass.

        To be called before `inflate`: slots do as the blocks that they are put into. Of use in the
        ControlNets too: in stage 2 the image projection's gradients come through them.
        """
        for part in (self.unet, self.pose_controlnet, self.background_controlnet):
            part.enable_gradient_checkpointing()

    def tokens(self, batch: Batch) -> Tensor:
        """The image encoder's tokens `[b, n, d]`: what stays fixed while the U-Net trains."""
        if batch.ready is not None:
            return batch.ready.tokens
        encoded: Tensor = self.image_encoder(batch.foreground, batch.mask, batch.reference_pose)
        return encoded

    def null_tokens(self, tokens: Tensor) -> Tensor:
        """Encoded tokens that stand for no person (classifier-free guidance)."""
        null: Tensor = self.image_encoder.null_tokens(tokens)
        return null

    def forward(
        self,
        noisy: Tensor,
        t: Tensor,
        tokens: Tensor,
        pose: Tensor,
        background: Tensor,
        motion: Motion | None = None,
    ) -> Tensor:
        """The prediction for noisy latents.

        Args:
            noisy: `[b, f, c, h, w]` latents.
            t: `[b]` timesteps; the frames of a clip share theirs.
            tokens: `[b, n, d]` from `tokens` or `null_tokens`.
            pose: `[b, f, p, H, W]` pose images in [0, 1].
            background: `[b, 3, H, W]` in [0, 1], or latents of it `[b, c, h, w]` where the
                background ControlNet takes those.
            motion: what flow-guided mechanisms follow.

        Returns:
            `[b, f, c, h, w]`, of the kind that `scheduler_config["prediction_type"]` names.
        """
        b, f = noisy.shape[:2]
        if self.inflation is not None:
            self.inflation.context.set(f, motion)
        images = rearrange(noisy, "b f c h w -> (b f) c h w")
        times = repeat(t, "b -> (b f)", f=f)
        context = repeat(self.image_projection(tokens), "b n d -> (b f) n d", f=f)
        poses = self.pose_features(rearrange(pose, "b f c h w -> (b f) c h w"))
        latent = background.shape[-2:] == noisy.shape[-2:]
        if takes_latents(self.background_controlnet) and not latent:
            background = self.codec.encode(background)
        places = repeat(background, "b c h w -> (b f) c h w", f=f)
        down, mid = self._residuals(images, times, context, poses, places)
        out = self.unet(
            self.unet_input(images, pose),
            times,
            context,
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
            return_dict=False,
        )[0]
        prediction: Tensor = rearrange(out, "(b f) c h w -> b f c h w", b=b)
        return prediction

    def unet_input(self, images: Tensor, pose: Tensor) -> Tensor:
        """What the U-Net gets of noisy latents `[(b f), c, h, w]`: they alone."""
        return images

    def _residuals(
        self, images: Tensor, times: Tensor, context: Tensor, poses: Tensor, places: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Both ControlNets' residuals, added."""
        of_pose, pose_mid = self.pose_controlnet(
            images, times, context, controlnet_cond=poses, return_dict=False
        )
        of_place, place_mid = self.background_controlnet(
            images, times, context, controlnet_cond=places, return_dict=False
        )
        down = [a + b for a, b in zip(of_pose, of_place, strict=True)]
        return down, torch.add(pose_mid, place_mid)
