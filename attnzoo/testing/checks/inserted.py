"""In a small stock U-Net: at the start, and after one step of training."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor

from attnzoo.models.inflate import Inflation, inflate
from attnzoo.models.slots import Slots
from attnzoo.testing.small_unet import FRAMES, inputs, motion, stock
from attnzoo.testing.subject import CHANNELS, HEADS, Subject


def identity_at_insertion(subject: Subject) -> None:
    """Just inserted, the U-Net's output is bit for bit what it was; removed, the U-Net too."""
    frames = max(FRAMES, subject.entry.min_frames)
    (case, *_) = subject.plain
    unet, inflation = _inflated(subject, frames)
    expected = _run(stock(), frames)
    came = _run(unet, frames)
    if not torch.equal(came, expected):
        raise case.fail(
            "the U-Net's own output right after insertion",
            f"a difference of up to {(came - expected).abs().max().item():.3g}",
            "__init__",
        )
    inflation.remove()
    left = set(unet.state_dict()) ^ set(stock().state_dict())
    if left or not torch.equal(_run(unet, frames), expected):
        raise case.fail("the stock U-Net after removal", f"another, with {sorted(left)[:3]}")


def takes_over_weights(subject: Subject) -> None:
    """A self-attention's weights, as diffusers names them, load strictly."""
    theirs = Attention(query_dim=CHANNELS, heads=HEADS, dim_head=CHANNELS // HEADS)
    for case in subject.cases:
        try:
            case.module(torch.float32).load_state_dict(theirs.state_dict(), strict=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise case.fail(
                f"the keys {', '.join(theirs.state_dict())} of a self-attention", reason, "__init__"
            ) from error


def unet_step(subject: Subject) -> None:
    """One step of training in the U-Net: finite, changes the new weights, leaves all others."""
    (case, *_) = subject.plain
    frames = max(FRAMES, subject.entry.min_frames)
    unet, inflation = _inflated(subject, frames)
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    new = {id(parameter) for parameter in inflation.new_parameters()}
    for parameter in unet.parameters():
        parameter.requires_grad_(id(parameter) in new)
    start = _run(unet, frames)
    optimizer = torch.optim.AdamW(inflation.new_parameters(), 1e-2, weight_decay=0)
    output = unet.train()(*inputs(frames=frames), return_dict=False)[0]
    loss = (output - _target(output)).square().mean()
    loss.backward()
    optimizer.step()
    unet.eval()
    named = dict(unet.named_parameters())
    changed = [name for name, value in named.items() if not torch.equal(value, before[name])]
    if not loss.isfinite() or not all(value.isfinite().all() for value in named.values()):
        raise case.fail("a finite loss and finite weights after a step", f"loss {loss.item():.3g}")
    frozen = [name for name in changed if id(named[name]) not in new]
    if frozen:
        raise case.fail("frozen weights as they were", f"others in {frozen[0]}")
    for index, mechanism in enumerate(inflation.modules()):
        own = {id(parameter) for parameter in mechanism.parameters()}
        gates = not own or subject.entry.last_linear is None
        if not gates and not any(id(named[name]) in own for name in changed):
            raise case.fail(f"module {index} to learn in a step", "no weight of it that changed")
    if torch.equal(_run(unet, frames), start):
        raise case.fail("another output after a step of training", "the same")


def _inflated(subject: Subject, frames: int) -> tuple[Any, Inflation]:
    unet = stock()
    inflation = inflate(unet, subject.entry.name, slots=Slots.all)
    inflation.context.set(frames, motion(frames=frames))
    return unet, inflation


def _run(unet: Any, frames: int) -> Tensor:
    with torch.no_grad():
        found: Tensor = unet(*inputs(frames=frames), return_dict=False)[0]
    return found


def _target(output: Tensor) -> Tensor:
    return torch.randn(output.shape, generator=torch.Generator().manual_seed(9))
