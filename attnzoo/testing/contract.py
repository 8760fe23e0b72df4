"""The checks of one entry, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch

from attnzoo import registry
from attnzoo._options import suggestion
from attnzoo.errors import UserError
from attnzoo.registry import Entry, Kind
from attnzoo.testing.checks import (
    arguments,
    compiling,
    cost,
    declared,
    gradients,
    independence,
    inserted,
    numerics,
    shapes,
)
from attnzoo.testing.subject import CheckFailed, Subject, in_short, origin

Function = Callable[[Subject], None]

CHECKS: tuple[Function, ...] = (
    shapes.shapes,
    shapes.wrong_shapes,
    shapes.input_untouched,
    arguments.unknown_options,
    arguments.wrong_heads,
    independence.batch_independence,
    independence.receptive_field,
    numerics.reference,
    numerics.determinism,
    numerics.state_dict,
    numerics.dtypes,
    numerics.autocast,
    gradients.gradients,
    gradients.checkpointing,
    gradients.inference_mode,
    declared.flow,
    declared.min_frames,
    declared.last_linear,
    cost.cost,
    compiling.compile,
    compiling.compile_fullgraph,
    compiling.export,
    inserted.identity_at_insertion,
    inserted.takes_over_weights,
    inserted.unet_step,
)
"""In the order in which they are made; a check's name is its function's."""

_APPLIES: dict[Function, Callable[[Entry], bool]] = {
    numerics.reference: lambda entry: numerics.reference_of_entry(entry) is not None,
    declared.last_linear: lambda entry: entry.last_linear is not None,
    inserted.identity_at_insertion: lambda entry: entry.kind is Kind.insert,
    inserted.takes_over_weights: lambda entry: entry.kind is Kind.replace,
}
"""What an entry must declare for a check to concern it; the others concern every entry."""


class Verdict(Enum):
    """How a check ended."""

    passed = "pass"
    failed = "FAIL"
    expected = "expected failure"


@dataclass(frozen=True)
class Outcome:
    """The end of a check, in words where it did not pass, and the error behind a failure."""

    verdict: Verdict
    message: str = ""
    error: Exception | None = None


@dataclass(frozen=True)
class Check:
    """One check of one entry. Called, it raises CheckFailed unless all is as declared."""

    function: Function
    subject: Subject

    @property
    def name(self) -> str:
        """What `expected_failures` and the command call it."""
        return self.function.__name__

    @property
    def __name__(self) -> str:
        # From which pytest makes the id.
        return str(self)

    def __str__(self) -> str:
        return f"{self.subject.entry.name}-{self.name}"

    def run(self) -> Outcome:
        """How the check ends; an expected failure that passes has failed."""
        entry = self.subject.entry
        reason = entry.expected_failures.get(self.name)
        failure = self._failure()
        if failure is not None:
            expected = reason is not None
            message = f"{reason} ({failure})" if expected else str(failure)
            return Outcome(Verdict.expected if expected else Verdict.failed, message, failure)
        if reason is not None:
            failure = CheckFailed.saying(
                f"{self.name} to fail, as declared: {reason}",
                "a pass",
                f"expected_failures at {entry.place}",
            )
            return Outcome(Verdict.failed, str(failure), failure)
        return Outcome(Verdict.passed)

    def __call__(self) -> None:
        """Raises CheckFailed if the outcome is `failed`."""
        outcome = self.run()
        if outcome.verdict is Verdict.failed:
            raise CheckFailed(f"{self}: {outcome.message}") from outcome.error

    def _failure(self) -> CheckFailed | None:
        """Any error counts as one of the mechanism; draws of the check disturb nobody."""
        entry = self.subject.entry
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            try:
                self.function(self.subject)
            except CheckFailed as found:
                return found
            except Exception as error:
                came = in_short(error)
                failure = CheckFailed.saying("no error", came, origin(entry, error))
                failure.__cause__ = error
                return failure
        return None


def check_attention(cls_or_name: type | str) -> list[Check]:
    """All checks that concern an entry, to be called or to parametrise a test over.

    `@pytest.mark.parametrize("check", check_attention("mine"))` gives one test each, with the ids
    `mine-shapes`, `mine-gradients` and so on. They run on the CPU with 8 channels in 2 heads.

    Args:
        cls_or_name: a class under `@attnzoo.register`, or the name of an entry.

    Raises:
        UserError: nothing of that name, a class that is not registered, or an expected failure
            declared for a check that the entry has not.
    """
    entry = registry.get(cls_or_name) if isinstance(cls_or_name, str) else _entry_of(cls_or_name)
    subject = Subject(entry)
    checks = [
        Check(function, subject)
        for function in CHECKS
        if function not in _APPLIES or _APPLIES[function](entry)
    ]
    names = [check.name for check in checks]
    for name in entry.expected_failures:
        if name not in names:
            raise UserError(
                f"{entry.place}: expected_failures names {name!r}, which is no check of "
                f"{entry.name}{suggestion(name, names)}"
            )
    return checks


def _entry_of(cls: type) -> Entry:
    names = registry.list_variants()
    found = next((entry for entry in map(registry.get, names) if entry.cls is cls), None)
    if found is None:
        raise UserError(f"{cls.__qualname__} is not registered; @attnzoo.register does")
    return found
