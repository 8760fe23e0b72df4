"""YAML that may come from elsewhere, as plain values.

Nothing of it is run, no key of it counts twice, and what its aliases would make larger than any
memory is refused before it is made.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

from attnzoo.errors import UserError
from attnzoo.paths import regular

UNREADABLE = (
    yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError,
    RecursionError,
)  # fmt: skip
"""What PyYAML raises of a text: it looks at the words of a number, a date or a truth value only
after it has taken them for one."""

LARGEST = 100_000
"""Values that a file may hold, with its aliases written out."""


def read_yaml(path: Path) -> Any:
    """What a file says.

    Raises:
        UserError: it cannot be read, is no YAML, says a key twice, or is larger than `LARGEST`.
    """
    try:
        text = regular(path).read_text("utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path}: not YAML ({error})") from error
    return parsed_yaml(text, str(path))


def parsed_yaml(text: str, what: str) -> Any:
    """What a text says; errors as of `read_yaml`, beginning with `what`."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node, what)
        for mapping in _mappings(node, set()):
            _check_keys(mapping, loader, what)
        return loader.construct_document(node)
    except UserError:
        raise
    except UNREADABLE as error:
        raise UserError(f"{what}: not YAML ({why_not(error)})") from error


def why_not(error: Exception) -> str:
    """In one line, what one of `UNREADABLE` says of a text."""
    said = " ".join(str(error).split())
    return said if isinstance(error, yaml.YAMLError) else f"a value is none of its kind: {said}"


def check_size(text: str, what: str) -> None:
    """UserError, beginning with `what`, if a text's aliases make it larger than `LARGEST`.

    Of a text that is no YAML nothing is said.
    """
    if "*" not in text:
        return
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except UNREADABLE:
        return
    if node is not None:
        _check_size(node, what)


def _mappings(node: yaml.Node, seen: set[int]) -> Iterator[yaml.MappingNode]:
    """The mappings in a node, each once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        yield node
    for one in _inside(node):
        yield from _mappings(one, seen)


def _inside(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [one for pair in node.value for one in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _check_keys(node: yaml.MappingNode, loader: yaml.SafeLoader, what: str) -> None:
    """UserError for two equal keys, of which the last would count without a word.

    Those that differ in their type alone, such as 1 and "1", are one name to us.
    """
    seen: set[Hashable] = set()
    for key_node, _ in node.value:
        if key_node.tag == _MERGE:
            continue
        key = loader.construct_object(key_node, deep=True)
        if key in seen or str(key) in seen:
            line = key_node.start_mark.line + 1
            raise UserError(f"{what}: key {str(key)!r:.100} stands twice, again in line {line}")
        seen |= {key, str(key)}


_MERGE = "tag:yaml.org,2002:merge"
"""Of the key `<<`, whose value's keys give way to those that stand beside it."""


def _check_size(node: yaml.Node, what: str) -> None:
    if _size(node, {}) > LARGEST:
        raise UserError(
            f"{what}: holds more than {LARGEST} values with its aliases written out; name each "
            "value where it belongs"
        )


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node holds, aliases written out; above `LARGEST` if it holds itself."""
    if id(node) not in known:
        known[id(node)] = LARGEST + 1  # until it is known: what it holds itself in has no end
        known[id(node)] = 1 + sum(_size(one, known) for one in _inside(node))
    return known[id(node)]
