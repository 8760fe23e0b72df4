"""The checks themselves: each finds the fault that it is for, in a module that has only that."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import broken_modules
import pytest
import torch
from broken_modules import (
    ABOUT,
    BROKEN,
    REPLACE,
    Broken,
    KeepsAListOfNumbers,
    PowersOfTwoOnly,
    Sound,
)

from attnzoo import registry
from attnzoo.attention.crossframe_first import CrossFrameFirst
from attnzoo.errors import UserError
from attnzoo.testing import CheckFailed, Outcome, Verdict, check_attention
from attnzoo.testing.contract import CHECKS
from attnzoo.testing.subject import Subject


@pytest.fixture(autouse=True)
def forget_what_a_test_registers():
    with registry.preserved():
        yield


COMPILING = {"compile", "compile_fullgraph", "export"}
"""Most of the time; run where the fault is one of compiling, or there is none."""


def outcomes(cls: type, without: Collection[str] = (), **about: Any) -> dict[str, Outcome]:
    registry.register("mine", **{**ABOUT, **about})(cls)
    return {check.name: check.run() for check in check_attention(cls) if check.name not in without}


@pytest.mark.parametrize("broken", BROKEN, ids=[f"{b.check}-{b.cls.__name__}" for b in BROKEN])
def test_a_fault_is_named_by_its_check(broken: Broken):
    without = () if broken.check in COMPILING else COMPILING
    found = outcomes(broken.cls, without, **broken.about)
    message = found[broken.check].message
    failed = {name for name, outcome in found.items() if outcome.verdict is Verdict.failed}
    assert failed == {broken.check, *broken.others}, {n: found[n].message for n in failed}
    assert broken.words in message
    assert re.match(r"expected .+; came .+; look at \S+\.py:\d+ ?", message)


def test_every_check_is_proven_by_a_broken_module():
    assert {broken.check for broken in BROKEN} == {check.__name__ for check in CHECKS}


@pytest.mark.parametrize(("cls", "about"), [(Sound, {}), (CrossFrameFirst, REPLACE)])
def test_the_sound_modules_pass_all(cls, about):
    found = outcomes(cls, **about)
    assert not {n: o.message for n, o in found.items() if o.verdict is not Verdict.passed}


def test_a_check_is_called_and_named_as_a_test_is():
    registry.register("mine", **ABOUT)(KeepsAListOfNumbers)
    checks = {check.__name__: check for check in check_attention("mine")}
    assert "mine-shapes" in checks and str(checks["mine-cost"]) == "mine-cost"
    checks["mine-shapes"]()
    with pytest.raises(CheckFailed, match=r"mine-state_dict: expected .*; came .*; look at "):
        checks["mine-state_dict"]()


def test_an_expected_failure_is_declared_with_its_reason_and_strictly():
    declared = {"state_dict": "numbers are drawn anew", "shapes": "nothing"}
    found = outcomes(KeepsAListOfNumbers, COMPILING, expected_failures=declared)
    assert found["state_dict"].verdict is Verdict.expected
    assert found["state_dict"].message.startswith("numbers are drawn anew (expected ")
    assert found["shapes"].verdict is Verdict.failed
    assert "expected shapes to fail, as declared: nothing; came a pass" in found["shapes"].message
    checks = {check.name: check for check in check_attention("mine")}
    checks["state_dict"]()
    with pytest.raises(CheckFailed, match="came a pass; look at expected_failures at "):
        checks["shapes"]()


@pytest.mark.parametrize(
    ("name", "words"),
    [("compil", "did you mean 'compile'"), ("reference", "no check of mine")],
)
def test_an_expected_failure_of_no_check_is_refused(name, words):
    registry.register("mine", **ABOUT, expected_failures={name: "why"})(Sound)
    with pytest.raises(UserError, match=words):
        check_attention("mine")


def test_an_expected_failure_without_a_reason_is_refused():
    with pytest.raises(UserError, match="the expected failure of 'cost' has no reason"):
        registry.register("mine", **ABOUT, expected_failures={"cost": " "})(Sound)


def test_what_is_not_registered_has_no_checks():
    with pytest.raises(UserError, match="Sound is not registered"):
        check_attention(Sound)
    with pytest.raises(UserError, match="unknown variant 'stas'"):
        check_attention("stas")


def test_an_error_keeps_its_traceback_and_names_the_line():
    registry.register("mine", **ABOUT)(PowersOfTwoOnly)
    check = next(c for c in check_attention("mine") if c.name == "unet_step")
    with pytest.raises(CheckFailed) as caught:
        check()
    assert isinstance(caught.value.__cause__.__cause__, UserError)
    source = Path(broken_modules.__file__).read_text()
    line = source.split("must be a power of two")[0].count("\n") + 1
    assert str(caught.value).endswith(f"broken_modules.py:{line}")


def test_a_choice_that_the_constructor_refuses_is_no_case():
    class Even(Sound):
        def __init__(self, channels: int, heads: int, *, size: tuple[int, int, int] = (4, 4, 4)):
            super().__init__(channels, heads)
            if any(s % 2 for s in size):
                raise UserError(f"size={size} must be even")

    registry.register("mine", **ABOUT)(Even)
    assert [case.options for case in Subject(registry.get("mine")).cases] == [{}]


def test_checks_disturb_no_random_state():
    registry.register("mine", **ABOUT)(Sound)
    before = torch.get_rng_state()
    for check in check_attention("mine"):
        check.run()
    assert torch.equal(torch.get_rng_state(), before)
