"""Bytes that a run moves between memory and operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_NO_TRAFFIC = ("aten::empty", "aten::detach", "aten::_unsafe_view")
_GATHERS = ("aten::index_select", "aten::gather", "aten::index", "aten::embedding")
"""Of their first tensor they read no more than they write."""
_SCATTERS = ("aten::index_copy_", "aten::index_copy", "aten::index_put_", "aten::scatter_")
"""Of what they return they write no more than their last tensor has."""
_FILLS = ("aten::copy_", "aten::fill_", "aten::zero_", "aten::normal_", "aten::uniform_")
"""They do not read their first tensor, in which they write."""


class _Traffic(TorchDispatchMode):
    """Adds up what each operator reads and writes; a view moves nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not (func.is_view or func.name().startswith(_NO_TRAFFIC)):
            self.bytes += _moved(func._schema, args, kwargs or {}, out)
        return out


def _moved(schema: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    """Bytes that one operator reads and writes."""
    # What is written to a given tensor (`out=`) is returned, too.
    given = {a.name for a in schema.arguments if a.is_out}
    read = list(_tensors((args, {k: v for k, v in kwargs.items() if k not in given})))
    if schema.name in _GATHERS:
        return sum(map(_size, read[1:])) + 2 * _total(out)
    if schema.name in _SCATTERS:
        return sum(map(_size, read[1:])) + _size(read[-1])
    if schema.name in _FILLS:
        read = read[1:]
    return sum(map(_size, read)) + _total(out)


def _total(values: Any) -> int:
    return sum(map(_size, _tensors(values)))


def traffic(run: Callable[[], object]) -> int:
    """Bytes that the operators of one run read and write, each tensor whole and once per operator.

    That is what leaves and enters memory if no cache holds a tensor from one operator to the next;
    scratch inside of kernels does not count. A lower bound where kernels read twice, an upper one
    where the cache is larger than the tensors. Compiled code is not seen: ask its eager twin.
    """
    with _Traffic() as mode:
        run()
    found: int = mode.bytes
    return found


def least_traffic(*values: Any) -> int:
    """Bytes of all these tensors, in any nest of lists, each once: the least that is moved."""
    distinct = {_place(t): t for t in _tensors(values)}
    return sum(map(_size, distinct.values()))


def _place(tensor: Tensor) -> tuple[object, ...]:
    """What tells tensors apart; those without memory, which stand for others, by themselves."""
    return (id(tensor),) if tensor.is_meta else (tensor.data_ptr(), tensor.shape)


def _tensors(values: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))


def _size(tensor: Tensor) -> int:
    # What is expanded lies in memory once.
    extents = (
        n for n, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or n == 0
    )
    count = 1
    for n in extents:
        count *= n
    return count * tensor.element_size()
