"""`claims.md`: the claims with their verdicts, and the numbers that decided."""

from __future__ import annotations

from collections.abc import Sequence

from attnzoo.report.claims import Claim, Judged, count, not_run, open_ones, own_verdict
from attnzoo.report.explanation import Explanation
from attnzoo.report.explanation import __doc__ as ON_TRIAL
from attnzoo.report.markdown import escaped
from attnzoo.report.verdict import Comparison, Verdict
from attnzoo.report.verdict import __doc__ as RULE

_WORDS = {
    Verdict.holds: "**holds**",
    Verdict.does_not: "**does not**",
    Verdict.unknown: "**cannot be told** with this many samples",
}


def claims_page(
    found: Sequence[Judged],
    tried: Explanation | None,
    made: str,
    unlike: Sequence[str],
    caveats: Sequence[str] = (),
    nominal: str = "",
) -> str:
    """The page: a table of verdicts, then each claim with its comparisons, then the rule.

    unlike: paragraphs on what the comparison is not; caveats: on this run's own numbers, before
    them. nominal: what the rule's 5 % are by simulation.
    """
    numbers, left, lacking = count(found), open_ones(found), not_run(found)
    lines = ["# The paper's claims, on these data", "", made, ""]
    lines.append(
        f"{numbers[Verdict.holds]} of {len(found)} hold{f' ({left})' * bool(left)}, "
        f"{numbers[Verdict.does_not]} do not, "
        f"{numbers[Verdict.unknown]} cannot be told with this many samples"
        f"{f' ({lacking})' * bool(lacking)}."
    )
    lines += [
        "",
        *(line for text in (*caveats, *unlike) for line in (text, "")),
        "| | section | claim | verdict | comparisons that hold | least and largest gain "
        "| the rule on the paper's own numbers |",
        "| ---: | --- | --- | --- | ---: | --- | --- |",
    ]
    for i, one in enumerate(found, 1):
        start = f"| {i} | {one.claim.section} | {one.claim.sentence} | {_verdict(one)} "
        rest = (_held(one.claimed), _range(one.claimed), _own(one.claim))
        lines.append(start + "| " + " | ".join(rest) + " |")
    for i, one in enumerate(found, 1):
        lines += ["", *_section(i, one)]
    if tried is not None:
        lines += ["", *_tried(tried)]
    lines += ["", "## The rule", "", *_paragraphs(RULE)]
    lines += ["", nominal] if nominal else []
    return "\n".join(lines) + "\n"


def _verdict(one: Judged) -> str:
    """The verdict, and what it leaves open."""
    return "; ".join(filter(None, (_WORDS[one.verdict], one.left_open)))


def _own(claim: Claim) -> str:
    verdict = own_verdict(claim)
    return "–" if verdict is None else verdict.value


def _held(found: Sequence[Comparison]) -> str:
    return f"{sum(one.verdict is Verdict.holds for one in found)} of {len(found)}"


def _range(found: Sequence[Comparison]) -> str:
    """The smallest and the largest gain with their intervals, once where there is one."""
    known = sorted((one for one in found if one.gain is not None), key=lambda one: one.gain or 0)
    ends = known if len(known) < 2 else [known[0], known[-1]]
    return " to ".join(f"{_gain(one)} {_interval(one)}" for one in ends) or "–"


def _gain(one: Comparison) -> str:
    return "–" if one.gain is None else f"{one.gain:+.1%}"


def _interval(one: Comparison) -> str:
    if one.low is None or one.high is None:
        return "–"
    return f"[{one.low:+.1%}, {one.high:+.1%}]"


def _section(i: int, one: Judged) -> list[str]:
    claim = one.claim
    lines = [
        f"## {i}. {claim.sentence}",
        "",
        f"Section {claim.section}: {_verdict(one)}.",
        "",
    ]
    lines += _comparisons(one.comparisons)
    if one.note:
        lines += ["", f"Here: {escaped(one.note)}."]
    if one.settings:
        lines += ["", f"Settings of these cells alone: {escaped(one.settings)}."]
    if one.own:
        lines += ["", f"The paper's own numbers: {one.own}."]
    if claim.words:
        lines += ["", f"Words and numbers: {claim.words}"]
    return lines


def _comparisons(found: Sequence[Comparison]) -> list[str]:
    if not found:
        return ["No comparison could be made."]
    lines = [
        "| | | | by | gain | interval | seeds | |",
        "| --- | --- | --- | --- | ---: | --- | ---: | --- |",
    ]
    for one in found:
        verdict = one.verdict.name.replace("_", " ").replace("unknown", "cannot be told")
        why = f": {one.why}" if one.why else ""
        lines.append(
            f"| {escaped(one.first)} | {one.asked.value} | {escaped(one.second)} | "
            f"{one.measure.name} | {_gain(one)} | {_interval(one)} | {one.seeds} | "
            f"{verdict}{escaped(why)} |"
        )
    return lines


def _tried(tried: Explanation) -> list[str]:
    return [
        "## Why attention at the same place gains",
        "",
        *_paragraphs(ON_TRIAL),
        "",
        f"The explanation: {_WORDS[tried.verdict]}.",
        "",
        *_comparisons(tried.comparisons),
        "",
        "Beside it, deciding nothing:",
        "",
        *_comparisons(tried.likely),
    ]


def _paragraphs(document: str | None) -> list[str]:
    """A docstring without its title line."""
    return (document or "").split("\n", 2)[2].strip().split("\n")
