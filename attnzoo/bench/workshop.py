"""Makes the subjects of cells; weights and motion that cells have in common are made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import nn

from attnzoo import registry
from attnzoo.bench.cell import Cell, What
from attnzoo.bench.clip_subject import flow_subject, maps_subject, motion_of
from attnzoo.bench.subject import Subject, made_module, module_subject
from attnzoo.bench.unet_peers import unet_peers
from attnzoo.bench.unet_subject import attached_call, unet_subject
from attnzoo.bench.unets import UNETS, Form, stock
from attnzoo.models.attach import Attachment, attach
from attnzoo.motion import Motion

MOST_FORMS = 4096
"""Shapes and directions for which one module may be compiled in a run."""


class Workshop:
    """Cells that differ in sizes alone share their modules and U-Nets."""

    def __init__(self) -> None:
        self._kept: dict[Any, Any] = {}

    def make(self, cell: Cell) -> Subject:
        """The subject of a cell.

        Raises:
            UserError: what the variant, its options or a backend refuse.
        """
        if cell.what is What.flow:
            return flow_subject(cell)
        if cell.what is What.maps:
            return maps_subject(cell)
        if cell.what in (What.module, What.level):
            return self._module(cell)
        return self._peer(cell) if cell.peer else self._attached(cell)

    def forget(self) -> None:
        """Lets go of all that is shared."""
        self._kept.clear()

    def _module(self, cell: Cell) -> Subject:
        key = (cell.variant, *self._form(cell), cell.channels, cell.heads)
        module = self._once(key, lambda: made_module(cell))
        return module_subject(cell, module, self._maybe_compiled(cell, module), self._motion(cell))

    def _attached(self, cell: Cell) -> Subject:
        key = (cell.name, cell.unet, *self._form(cell))
        unet, attachment = self._once(key, lambda: _with_modules(cell))
        motion = self._motion(cell)
        call = attached_call(self._maybe_compiled(cell, unet), attachment, motion)
        counting = attached_call(unet, attachment, motion)
        subject = unet_subject(cell, unet, call, counting, attachment.parameters())
        ours = {id(module) for module in attachment.modules()}
        root = type(unet).__name__
        mechanisms = {f"{root}.{n}": m for n, m in unet.named_modules() if id(m) in ours}
        return replace(subject, mechanisms=mechanisms)

    def _peer(self, cell: Cell) -> Subject:
        peer = unet_peers()[cell.name]
        form = Form(cell.torch_dtype, torch.device(cell.device))
        unet = self._once((cell.name, cell.unet, form), lambda: peer.build(UNETS[cell.unet], form))
        trained = peer.trained(unet)
        for parameter in trained:
            parameter.requires_grad_()
        call = partial(peer.call, self._maybe_compiled(cell, unet))
        return unet_subject(cell, unet, call, partial(peer.call, unet), trained)

    def _form(self, cell: Cell) -> tuple[Any, ...]:
        return cell.variant, cell.dtype, cell.device

    def _motion(self, cell: Cell) -> Motion | None:
        if not registry.get(cell.mirrors or cell.name).needs_flow:
            return None
        key = ("motion", cell.shape, cell.device)
        return cast(Motion, self._once(key, lambda: motion_of(cell)))

    def _maybe_compiled(self, cell: Cell, module: nn.Module) -> Any:
        if not cell.compiled:
            return module
        return self._once(("compiled", id(module)), lambda: _compiled(module))

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


def _compiled(module: nn.Module) -> Any:
    """Compiled anew for each shape and direction; beyond dynamo's limit it would run as it is."""
    limits = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, MOST_FORMS)
    limits.accumulated_recompile_limit = max(limits.accumulated_recompile_limit, MOST_FORMS)
    limits.fail_on_recompile_limit_hit = True
    return torch.compile(module, dynamic=False)


def _with_modules(cell: Cell) -> tuple[Any, Attachment]:
    form = Form(cell.torch_dtype, torch.device(cell.device))
    unet = stock(UNETS[cell.unet], form)
    attachment = attach(unet, cell.name, frames=cell.frames, **cell.options)
    return unet, attachment
