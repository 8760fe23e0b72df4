"""Mutants of a file: cosmic-ray's operators, less those that change nothing that runs."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

NO_OPERATORS = ("core/NoOp", "core/VariableReplacer", "core/VariableInserter")
"""The first changes nothing; the others need names to be given."""


@dataclass(frozen=True)
class Mutant:
    """One change. line: of the original, from 1; before, after: that line; text: the whole file."""

    operator: str
    line: int
    before: str
    after: str
    text: str


def mutants(source: str) -> list[Mutant]:
    """All of a file, each once, in the order of operators and places."""
    meaning = _meaning(source)
    seen = {meaning}
    found = []
    for name, text in _mutated(source):
        try:
            meant = _meaning(text)
        except SyntaxError:
            continue
        if meant not in seen:
            seen.add(meant)
            found.append(Mutant(name, *_difference(source, text), text))
    return found


def _mutated(source: str) -> Iterator[tuple[str, str]]:
    for name in sorted(operator_names()):
        if name in NO_OPERATORS:
            continue
        operator = get_operator(name)()
        nodes = ast_nodes(get_ast(source))
        count = sum(1 for node in nodes for _ in operator.mutation_positions(node))
        for i in range(count):
            text = mutate_code(source, operator, i)
            if text is not None:
                yield name, text


class _Bare(ast.NodeTransformer):
    """Takes away what does not run: annotations and documentation."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        node.annotation = ast.Constant(None)
        self.generic_visit(node)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        if isinstance(node.value, ast.Constant):
            node.value = ast.Constant(None)
        return node


def _meaning(source: str) -> str:
    return ast.dump(_Bare().visit(ast.parse(source)))


def _difference(before: str, after: str) -> tuple[int, str, str]:
    old, new = before.splitlines(), after.splitlines()
    for what, i, j, k, m in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
        if what != "equal":
            return i + 1, " ".join(old[i:j]).strip(), " ".join(new[k:m]).strip()
    raise AssertionError("a mutant that differs nowhere")
