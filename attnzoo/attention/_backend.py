"""Softmax attention by name of what computes it."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable
from enum import Enum
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from attnzoo.errors import UserError

_CUDA_BATCH = 32768
"""CUDA's attention kernels launch at most 65535 blocks along the batch; stay clear of that."""


_FLEX_IS_WRONG = torch.backends.cpu.get_cpu_capability() == "AVX2"
"""PyTorch 2.13 compiles it wrongly there: strided float32 gives other numbers, two threads NaN."""


class Backend(Enum):
    """What computes the attention; one that cannot run is an error, never exchanged for another.

    auto: the fastest that is known here: on a CPU piece by piece where tokens are gathered, else
    as sdpa; sdpa: `scaled_dot_product_attention`, whose kernel PyTorch chooses; math: its plain
    formula, which can be differentiated twice; flex: `flex_attention`, compiled, on a CPU without
    gradients only, and on none with AVX2 and no more; xformers: `memory_efficient_attention`, on
    CUDA only.
    """

    auto = "auto"
    sdpa = "sdpa"
    math = "math"
    flex = "flex"
    xformers = "xformers"


def refuse_missing(backend: Backend) -> None:
    """UserError if what `backend` names cannot run on any device of this machine."""
    if backend is not Backend.xformers:
        return
    if importlib.util.find_spec("xformers") is None:
        raise UserError(
            "backend=xformers: the package xformers is not installed "
            "(pip install 'attnzoo[xformers]')"
        )
    if not torch.cuda.is_available():
        raise UserError(
            "backend=xformers: xformers computes attention on CUDA devices only, and PyTorch sees "
            "none here: take backend=auto"
        )


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | None = None,
    *,
    backend: Backend = Backend.auto,
) -> Tensor:
    """Softmax attention (equation 4): n sequences, m queries and l keys each, head-wise.

    q `[n, m, heads, d]`; k, v `[n, l, heads, d]`; bias `[heads, m, l]`, added to the scores.
    Returns `[n, m, heads, d]`. Any strides with d contiguous are read as they are.

    Raises:
        UserError: `backend` cannot do this on this device.
    """
    if q.is_cuda and q.shape[0] > _CUDA_BATCH:
        parts = zip(q.split(_CUDA_BATCH), k.split(_CUDA_BATCH), v.split(_CUDA_BATCH), strict=True)
        return torch.cat([attention(*part, bias=bias, backend=backend) for part in parts])
    bias = None if bias is None else bias.to(q.dtype)
    return _COMPUTED_BY[backend](q, k, v, bias)


def _sdpa(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    mask = None if bias is None else bias.unsqueeze(0)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)


def _math(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    with sdpa_kernel(SDPBackend.MATH):
        return _sdpa(q, k, v, bias)


def _flex(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    differentiable = torch.is_grad_enabled() and any(t.requires_grad for t in (q, k, v))
    if q.device.type == "cpu" and differentiable:
        raise UserError(
            "backend=flex: PyTorch's flex_attention has no gradient on a CPU: take backend=auto, "
            "or torch.no_grad()"
        )
    if q.device.type == "cpu" and q.dtype is torch.float64:
        raise UserError(
            "backend=flex: PyTorch's flex_attention has no float64 on a CPU: take backend=auto"
        )
    if q.device.type == "cpu" and _FLEX_IS_WRONG:
        raise UserError(
            "backend=flex: PyTorch's compiled flex_attention gives wrong numbers on a CPU with "
            "AVX2 and no AVX-512, as this one: take backend=auto"
        )
    modified: Callable[..., Tensor] | None = None
    if bias is not None:
        table = bias

        def modified(score: Tensor, n: Tensor, head: Tensor, m: Tensor, at: Tensor) -> Tensor:
            return score + table[head, m, at]

    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    out: Tensor = _flex_attention()(q, k, v, score_mod=modified)
    return out.transpose(1, 2)


@functools.cache
def _flex_attention() -> Callable[..., Tensor]:
    """Compiled once; uncompiled it would make all scores."""
    from torch.nn.attention.flex_attention import flex_attention

    compiled: Callable[..., Tensor] = torch.compile(flex_attention, dynamic=False)
    return compiled


def _xformers(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    if not q.is_cuda:
        raise UserError(
            f"backend=xformers: xformers computes attention on CUDA devices only, not on {q.device}"
        )
    ops: Any = importlib.import_module("xformers.ops")
    mask = None if bias is None else _aligned(bias).expand(q.shape[0], -1, -1, -1)
    out: Tensor = ops.memory_efficient_attention(q, k, v, attn_bias=mask)
    return out


def _aligned(bias: Tensor) -> Tensor:
    """`[heads, m, l]` with rows that begin at multiples of 8, as the kernels demand."""
    length = bias.shape[-1]
    return F.pad(bias, (0, -length % 8))[..., :length]


_COMPUTED_BY: dict[Backend, Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]] = {
    Backend.auto: _sdpa,
    Backend.sdpa: _sdpa,
    Backend.math: _math,
    Backend.flex: _flex,
    Backend.xformers: _xformers,
}
