"""Steps of whole U-Nets: a variant attached as by default, and peers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from attnzoo.bench.cell import Cell, What
from attnzoo.bench.subject import Subject, random
from attnzoo.bench.unets import LATENTS, TEXT_TOKENS, UNETS
from attnzoo.errors import UserError
from attnzoo.models.attach import Attachment
from attnzoo.motion import Motion, following

Call = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""Images `[(b f), c, h, w]`, timestep, text and number of frames to images."""


def attached_call(unet: Any, attachment: Attachment, motion: Motion | None) -> Call:
    """A U-Net that `attach` changed; frames may differ from call to call."""

    def call(images: Tensor, t: Tensor, text: Tensor, frames: int) -> Tensor:
        attachment.inflation.context.frames = frames
        with nullcontext() if motion is None else following(motion):
            found: Tensor = unet(images, t, text, return_dict=False)[0]
        return found

    return call


def unet_subject(
    cell: Cell, unet: nn.Module, call: Call, counting: Call, trained: Sequence[nn.Parameter]
) -> Subject:
    """One denoising step without guidance, or one training step of `trained` by AdamW.

    Raises:
        UserError: a training step of nothing.
    """
    b, f, h, w = cell.shape
    images = random((b * f, LATENTS, h, w), cell)
    text = random((b * f, TEXT_TOKENS, UNETS[cell.unet].cross_attention_dim), cell)
    target = random((b * f, LATENTS, h, w), cell, seed=1)
    t = torch.tensor(500, device=cell.device)

    def forward(called: Call) -> Tensor:
        unet.eval()
        with torch.no_grad():
            return called(images, t, text, f)

    touched = [images, target, text, list(unet.parameters())]
    plain = Subject(
        lambda: forward(call), lambda: forward(counting), lambda: forward(counting), touched
    )
    if cell.what is What.unet:
        return plain
    if not trained:
        raise UserError(f"{cell.name} adds nothing that could be trained")
    optimizer = torch.optim.AdamW(trained, lr=1e-6)

    def training(called: Call) -> None:
        unet.train()
        loss = (called(images, t, text, f).float() - target.float()).square().mean()
        loss.backward()
        optimizer.step()
        drop()

    def drop() -> None:
        optimizer.zero_grad(set_to_none=True)

    # Gradients and both moments are written and read besides.
    states = [torch.empty_like(p, device="meta") for p in trained for _ in range(5)]
    return replace(
        plain,
        run=lambda: training(call),
        counting=lambda: training(counting),
        touched=[*touched, states],
        drop=drop,
    )
