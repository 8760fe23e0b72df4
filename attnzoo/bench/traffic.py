"""Bytes that a run moves between memory and operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_NO_TRAFFIC = ("aten::empty", "aten::detach")


class _Traffic(TorchDispatchMode):
    """Adds up what each operator reads and writes; a view moves nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not (func.is_view or func.name().startswith(_NO_TRAFFIC)):
            self.bytes += sum(map(_size, _tensors((args, kwargs, out))))
        return out


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
    distinct = {(t.data_ptr(), t.shape): t for t in _tensors(values)}
    return sum(map(_size, distinct.values()))


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
