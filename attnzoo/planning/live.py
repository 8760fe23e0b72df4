"""How much memory tensors hold at a time, seen on the meta device where they hold none."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

_HALF = {torch.conv2d, F.linear, torch.matmul, Tensor.matmul, torch.bmm, torch.addmm, torch.mm}
_FULL = {F.layer_norm, F.group_norm, F.mse_loss}
"""What autocast computes in half and in full precision on CUDA, of what the models call."""


class Live(TorchDispatchMode):
    """Adds up the storages of meta tensors from when an operation makes them until they go.

    `held` and `peak` are in bytes. Views share a storage and count once. What an operation needs
    inside its kernel is not seen, nor what an allocator rounds up.
    """

    def __init__(self, there: Iterable[Tensor]) -> None:
        """`there` are tensors that hold memory before; they do not count."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.held = self.peak = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()
        for tensor in there:
            self._known.add(tensor.untyped_storage())

    def restart(self) -> None:
        """Looks for the peak from here on."""
        self.peak = self.held

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.is_meta:
                self._note(leaf.untyped_storage())
        return result

    def _note(self, storage: Any) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.held += size
        self.peak = max(self.peak, self.held)
        weakref.finalize(storage, self._release, size)

    def _release(self, size: int) -> None:
        self.held -= size


class AsOnGPU(TorchFunctionMode):
    """Makes meta tensors take the ways that CUDA tensors take.

    Attention is the fused kernel, which keeps no scores. Under a half precision, products are in
    half and norms in full precision, as in `torch.autocast` (which knows no meta device); the copy
    of a weight serves for as long as anything holds it.
    """

    def __init__(self, half: torch.dtype | None = None) -> None:
        super().__init__()
        self.half = half
        self._copies: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            args, kwargs = self._cast((args, kwargs), self.half)
            return _fused(*args, **kwargs)
        if func in _HALF:
            args, kwargs = self._cast((args, kwargs), self.half)
        elif func in _FULL and self.half is not None:
            args, kwargs = self._cast((args, kwargs), torch.float32)
        return func(*args, **kwargs)

    def _cast(self, values: Any, dtype: torch.dtype | None) -> Any:
        if dtype is None:
            return values
        wanted = dtype

        def cast(value: Any) -> Any:
            if not isinstance(value, Tensor) or not value.is_floating_point():
                return value
            if not isinstance(value, nn.Parameter) or value.dtype == wanted:
                return value.to(wanted)
            recorded = torch.is_grad_enabled() and value.requires_grad
            copy = self._copies.get(id(value))
            if copy is None or copy.requires_grad != recorded:
                copy = self._copies[id(value)] = value.to(wanted)
            return copy

        return tree_map(cast, values)


def backward(loss: Tensor) -> None:
    """The backward pass with `AsOnGPU` switched on in it, where checkpointed blocks run again.

    PyTorch's own entrances are functions that a mode may take over, for which it is switched off.
    """
    engine: Any = torch.autograd.graph._engine_run_backward
    engine(
        (loss,), (torch.ones_like(loss),), False, False, (),
        allow_unreachable=True, accumulate_grad=True,
    )  # fmt: skip


def _fused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention by the kernel that keeps the scores' sums alone."""
    if attn_mask is not None:
        attn_mask = attn_mask.expand(*query.shape[:-1], key.shape[-2])
    out: Tensor = torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, attn_mask, torch.is_grad_enabled(), dropout_p, is_causal, scale=scale
    )[0]
    return out
