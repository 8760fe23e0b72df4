"""`claims.md`: the claims with their verdicts, and the numbers that decided."""

from __future__ import annotations

from collections.abc import Sequence

from attnzoo.report.claims import Judged, count
from attnzoo.report.markdown import escaped
from attnzoo.report.noise_camera import Explanation
from attnzoo.report.noise_camera import __doc__ as ON_TRIAL
from attnzoo.report.verdict import Comparison, Verdict
from attnzoo.report.verdict import __doc__ as RULE

_WORDS = {
    Verdict.holds: "**holds**",
    Verdict.does_not: "**does not**",
    Verdict.unknown: "**cannot be told** with this many samples",
}


def claims_page(found: Sequence[Judged], tried: Explanation | None, made: str) -> str:
    """The page: a table of verdicts, then each claim with its comparisons, then the rule."""
    numbers = count(found)
    lines = ["# The paper's claims, on these data", "", made, ""]
    lines.append(
        f"{numbers[Verdict.holds]} of {len(found)} hold, {numbers[Verdict.does_not]} do not, "
        f"{numbers[Verdict.unknown]} cannot be told with this many samples."
    )
    lines += ["", "| | section | claim | verdict |", "| ---: | --- | --- | --- |"]
    for i, one in enumerate(found, 1):
        claim = one.claim
        lines.append(f"| {i} | {claim.section} | {claim.sentence} | {_WORDS[one.verdict]} |")
    for i, one in enumerate(found, 1):
        lines += ["", *_section(i, one)]
    if tried is not None:
        lines += ["", *_tried(tried)]
    lines += ["", "## The rule", "", *_paragraphs(RULE)]
    return "\n".join(lines) + "\n"


def _section(i: int, one: Judged) -> list[str]:
    claim = one.claim
    lines = [
        f"## {i}. {claim.sentence}",
        "",
        f"Section {claim.section}: {_WORDS[one.verdict]}.",
        "",
    ]
    lines += _comparisons(one.comparisons)
    if one.note:
        lines += ["", f"Here: {escaped(one.note)}."]
    if one.own:
        lines += ["", f"The paper's own numbers: {one.own}."]
    if claim.words:
        lines += ["", f"Words and numbers: {claim.words}"]
    return lines


def _comparisons(found: Sequence[Comparison]) -> list[str]:
    if not found:
        return ["No comparison could be made."]
    lines = [
        "| | | | by | gain | interval | pairs | |",
        "| --- | --- | --- | --- | ---: | --- | ---: | --- |",
    ]
    for one in found:
        gain = "–" if one.gain is None else f"{one.gain:+.1%}"
        interval = "–"
        if one.low is not None and one.high is not None:
            interval = f"[{one.low:+.1%}, {one.high:+.1%}]"
        verdict = one.verdict.name.replace("_", " ").replace("unknown", "cannot be told")
        why = f": {one.why}" if one.why else ""
        lines.append(
            f"| {escaped(one.first)} | {one.asked.value} | {escaped(one.second)} | "
            f"{one.measure.name} | {gain} | {interval} | {one.n} | {verdict}{escaped(why)} |"
        )
    return lines


def _tried(tried: Explanation) -> list[str]:
    words = _paragraphs(ON_TRIAL)
    return [
        "## Why attention at the same place gains",
        "",
        *words[:-2],
        "",
        f"The explanation: {_WORDS[tried.verdict]}.",
        "",
        *_comparisons(tried.predictions),
        "",
        *words[-2:],
    ]


def _paragraphs(document: str | None) -> list[str]:
    """A docstring without its title line."""
    return (document or "").split("\n", 2)[2].strip().split("\n")
