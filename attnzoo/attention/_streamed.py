"""Attention in groups of gathered tokens on a CPU, piece by piece.

A whole clip's rows, queries, keys and values do not fit into a cache, and memory that is new costs
as much as reading it. So a piece of some windows at a time is gathered, projected, attended,
projected out and written to its places. With gradients, queries, keys, values and results are
kept; rows are gathered again, and no gradient but that of the tokens is ever whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from attnzoo.attention._subspace import Group, Plan

_TOKENS = 1024
"""Of a piece, for each thread: products of fewer rows are slower, pieces of more leave the cache.
"""

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def can_stream(x: Tensor, to_qkv: nn.Linear, to_out: nn.Linear) -> bool:
    """Whether `streamed` does for these what the layers would do one after the other.

    Not where something is hooked to a layer or stands in its place, nor while tracing.
    """
    layers = (to_qkv, to_out)
    return _eager_on_cpu(x) and all(type(m) is nn.Linear and _untouched(m) for m in layers)


def can_split(x: Tensor, module: nn.Module) -> bool:
    """Whether `module` may be given the windows of `x` in parts, its layers called once for each.

    Not with gradients, whose parts would have to be joined again, nor where something is hooked to
    one of its layers, nor while tracing.
    """
    return (
        not torch.is_grad_enabled() and _eager_on_cpu(x) and all(map(_untouched, module.children()))
    )


def in_parts(windows: Tensor) -> tuple[Tensor, ...]:
    """`[windows, tokens, c]`, so many windows at a time as fit into the cache."""
    step = max(1, _TOKENS * torch.get_num_threads() // windows.shape[1])
    parts: tuple[Tensor, ...] = windows.split(step)
    return parts


def _eager_on_cpu(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
        and not torch._C._are_functorch_transforms_active()
    )


def _untouched(module: nn.Module) -> bool:
    """Whether nothing is hooked to a module or any in it, and no weight is elsewhere."""
    return all(
        not (
            m._forward_hooks
            or m._forward_pre_hooks
            or m._backward_hooks
            or m._backward_pre_hooks
            or "forward" in vars(m)
        )
        and all(p.device.type == "cpu" for p in m._parameters.values() if p is not None)
        for m in module.modules()
    )


def streamed(
    x: Tensor, plan: Plan, to_qkv: nn.Linear, to_out: nn.Linear, heads: int, table: Tensor | None
) -> Tensor:
    """The delta of tokens `x` `[n, c]` by the windows of `plan`.

    `table` holds biases `[entries, heads]` of relative positions. What autocast does to linear
    layers it does here.
    """
    tensors = (x, to_qkv.weight, to_out.weight, to_out.bias, table)
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        tensors = tuple(None if t is None else t.to(dtype) for t in tensors)  # type: ignore[assignment]
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        delta: Tensor = _Streamed.apply(plan, heads, *tensors)  # type: ignore[no-untyped-call]
        return delta
    return _run(plan, heads, *tensors)


@dataclass(frozen=True)
class _Piece:
    """Rows `begin` to `end` of the gathered order, windows of `group`; `places` are the tokens
    whose results lie there, at `found` from its begin (None: one after the other).
    """

    begin: int
    end: int
    group: Group
    places: Tensor
    found: Tensor | None

    def split(self, qkv: Tensor, heads: int) -> tuple[Tensor, ...]:
        """Queries, keys and values `[windows, heads, tokens, d]` of `[windows tokens, 3c]`."""
        each = qkv.view(-1, self.group.tokens, 3, heads, qkv.shape[-1] // (3 * heads))
        return tuple(t.transpose(1, 2) for t in each.unbind(2))

    def bias(self, table: Tensor | None) -> Tensor | None:
        """`[1, heads, tokens, tokens]`."""
        if table is None or self.group.offsets is None:
            return None
        return table[self.group.offsets].permute(2, 0, 1).unsqueeze(0)

    def write(self, result: Tensor, delta: Tensor) -> None:
        """Puts the result's rows where tokens read them."""
        if self.found is not None:
            result = result.index_select(0, self.found)
        delta.index_copy_(0, self.places, result)


_kept: WeakKeyDictionary[Plan, tuple[int, list[_Piece]]] = WeakKeyDictionary()


def _pieces(plan: Plan) -> list[_Piece]:
    """The pieces of a plan, worked out once for as long as it lives."""
    limit = _TOKENS * torch.get_num_threads()
    known = _kept.get(plan)
    if known is None or known[0] != limit:
        known = _kept[plan] = limit, list(_cut(plan, limit))
    return known[1]


def _cut(plan: Plan, limit: int) -> Iterator[_Piece]:
    """Pieces of no more than `limit` tokens, but of one window at least."""
    at, spans = 0, []
    for group in plan.groups:
        step = max(1, limit // group.tokens) * group.tokens
        end = at + group.windows * group.tokens
        spans += [(begin, min(begin + step, end), group) for begin in range(at, end, step)]
        at = end
    if plan.restore.is_permutation:
        # The token whose result lies in a row is the one that was gathered into its cell.
        written = plan.restore.inverse().index
        for begin, end, group in spans:
            yield _Piece(begin, end, group, written[begin:end], None)
        return
    sources, tokens = plan.restore.index.sort(stable=True)
    cuts = torch.searchsorted(sources, torch.tensor([begin for begin, _, _ in spans] + [at]))
    bounds = cuts.tolist()
    for (begin, end, group), low, high in zip(spans, bounds[:-1], bounds[1:], strict=True):
        yield _Piece(begin, end, group, tokens[low:high], sources[low:high] - begin)


def _run(
    plan: Plan,
    heads: int,
    x: Tensor,
    w_qkv: Tensor,
    w_out: Tensor,
    b_out: Tensor | None,
    table: Tensor | None,
) -> Tensor:
    """The delta, of which nothing is kept: the pieces share their memory."""
    delta = torch.empty_like(x, memory_format=torch.contiguous_format)
    pieces = _pieces(plan)
    longest = max(piece.end - piece.begin for piece in pieces)
    rows, result = (x.new_empty(longest, x.shape[1]) for _ in range(2))
    qkv = x.new_empty(longest, w_qkv.shape[0])
    for piece in pieces:
        n = piece.end - piece.begin
        torch.index_select(x, 0, plan.gather.index[piece.begin : piece.end], out=rows[:n])
        torch.mm(rows[:n], w_qkv.t(), out=qkv[:n])
        q, k, v = piece.split(qkv[:n], heads)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=piece.bias(table))
        joined = out.transpose(1, 2).reshape(n, x.shape[1])
        if b_out is None:
            torch.mm(joined, w_out.t(), out=result[:n])
        else:
            torch.addmm(b_out, joined, w_out.t(), out=result[:n])
        piece.write(result[:n], delta)
    return delta


class _Streamed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        plan: Plan,
        heads: int,
        x: Tensor,
        w_qkv: Tensor,
        w_out: Tensor,
        b_out: Tensor | None,
        table: Tensor | None,
    ) -> Tensor:
        kept: list[Tensor] = []
        delta = torch.empty_like(x, memory_format=torch.contiguous_format)
        pieces = _pieces(plan)
        for piece in pieces:
            rows = x.index_select(0, plan.gather.index[piece.begin : piece.end])
            qkv = F.linear(rows, w_qkv)
            q, k, v = piece.split(qkv, heads)
            out, logsumexp = _forward(q, k, v, attn_mask=piece.bias(table))
            joined = out.transpose(1, 2).reshape(rows.shape)
            piece.write(F.linear(joined, w_out, b_out), delta)
            kept += [qkv, out, logsumexp]
        # Their cut depends on the number of threads, which may be another at the way back.
        ctx.plan, ctx.heads, ctx.pieces = plan, heads, pieces
        ctx.save_for_backward(x, w_qkv, w_out, table, *kept)
        return delta

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, w_qkv, w_out, table, *kept = ctx.saved_tensors
        plan, wanted = ctx.plan, ctx.needs_input_grad[2:]
        sums = [
            _Sum(t, want)
            for t, want in zip((w_qkv, w_out, w_out[:, 0], table), wanted[1:], strict=True)
        ]
        to_rows = plan.gather.is_permutation
        to_x = torch.empty_like(x, memory_format=torch.contiguous_format) if wanted[0] else None
        if not plan.restore.is_permutation:
            grad = plan.restore.gradient(grad)
        for i, piece in enumerate(ctx.pieces):
            qkv, out, logsumexp = kept[3 * i : 3 * i + 3]
            index = plan.gather.index[piece.begin : piece.end]
            if piece.found is None:
                above = grad.index_select(0, piece.places)
            else:
                above = grad[piece.begin : piece.end]
            result = out.transpose(1, 2).reshape(above.shape)
            sums[1].add(above, result)
            sums[2].add_rows(above)
            inner = _Attended(piece, ctx.heads, qkv, out, logsumexp, piece.bias(table))
            to_qkv, to_bias = inner.gradient(above @ w_out, sums[3].wanted)
            sums[3].add_bias(to_bias, piece.group.offsets)
            if sums[0].wanted:
                sums[0].add(to_qkv, x.index_select(0, index))
            if to_x is not None:
                rows = to_qkv @ w_qkv
                if to_rows:
                    to_x.index_copy_(0, index, rows)
                else:
                    to_x[piece.begin : piece.end] = rows
        if to_x is not None and not to_rows:
            to_x = plan.gather.gradient(to_x)
        return None, None, to_x, *(s.total() for s in sums)


class _Sum:
    """The gradient of a parameter, summed over pieces in float32 at least."""

    def __init__(self, like: Tensor | None, wanted: bool) -> None:
        self.wanted = wanted and like is not None
        self._dtype = like.dtype if like is not None else None
        self._sum: Tensor | None = None
        if like is not None and self.wanted:
            dtype = torch.promote_types(like.dtype, torch.float32)
            self._sum = torch.zeros(like.shape, dtype=dtype)

    def add(self, above: Tensor, below: Tensor) -> None:
        """Adds `above^T below`, a weight's gradient."""
        if self._sum is None:
            return
        if self._sum.dtype == above.dtype:
            self._sum.addmm_(above.t(), below)
        else:
            self._sum += above.t() @ below

    def add_rows(self, above: Tensor) -> None:
        """Adds the sum of all rows, a bias's gradient."""
        if self._sum is not None:
            self._sum += above.sum(0, dtype=self._sum.dtype)

    def add_bias(self, scores: Tensor | None, offsets: Tensor | None) -> None:
        """Adds gradients `[heads, m, l]` of scores to the entries that they were taken from."""
        if self._sum is not None and scores is not None and offsets is not None:
            rows = scores.flatten(1).t().to(self._sum.dtype)
            self._sum.index_add_(0, offsets.flatten(), rows)

    def total(self) -> Tensor | None:
        """The sum in the parameter's dtype."""
        return None if self._sum is None else self._sum.to(self._dtype)


@dataclass(frozen=True)
class _Attended:
    """What one piece's attention left for its gradient."""

    piece: _Piece
    heads: int
    qkv: Tensor
    out: Tensor
    logsumexp: Tensor
    mask: Tensor | None

    def gradient(self, above: Tensor, bias: bool) -> tuple[Tensor, Tensor | None]:
        """The gradients of qkv `[windows tokens, 3c]` and of the bias `[heads, m, l]`."""
        q, k, v = self.piece.split(self.qkv, self.heads)
        above = above.view(q.shape[0], q.shape[2], self.heads, -1).transpose(1, 2)
        if bias and self.mask is not None:
            to_q, to_k, to_v, to_bias = self._by_formula(q, k, v, above)
        else:
            to_bias = None
            to_q, to_k, to_v = _backward(
                above, q, k, v, self.out, self.logsumexp, 0.0, False, attn_mask=self.mask
            )
        each = [t.transpose(1, 2) for t in (to_q, to_k, to_v)]
        return torch.stack(each, dim=2).view_as(self.qkv), to_bias

    def _by_formula(self, q: Tensor, k: Tensor, v: Tensor, above: Tensor) -> Sequence[Tensor]:
        """Also the gradient of the bias, which the fused kernel does not know."""
        scale = q.shape[-1] ** -0.5
        p = (q @ k.transpose(-1, -2) * scale + self.mask).softmax(-1)
        inner = above @ v.transpose(-1, -2) - (above * self.out).sum(-1, keepdim=True)
        to_scores = p * inner
        to_q = to_scores @ k * scale
        to_k = to_scores.transpose(-1, -2) @ q * scale
        return to_q, to_k, p.transpose(-1, -2) @ above, to_scores.sum(0)
