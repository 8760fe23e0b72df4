"""Peak memory: of windows with their backward, and how that of all frames grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from attnzoo.bench.cost import peak_memory
from attnzoo.bench.growth import fit
from attnzoo.bench.measure import Spread
from attnzoo.bench.mechanisms.candidates import Candidates, Modules, Run
from attnzoo.bench.mechanisms.figure import Figure, Must
from attnzoo.bench.mechanisms.floors import MEMORY_FLOORS, MEMORY_UNIT
from attnzoo.bench.mechanisms.setting import Setting

LINEAR = Must(1.05)
"""Exponent of peak memory by tokens: a quadratic one is 2."""

FRAMES = 4
SIDES = (8, 12, 16, 24, 32)
QUICK_SIDES = (4, 6, 8)
LONGEST_WRITTEN = 1024
"""Tokens beyond which the scores of all heads are not written out: 1 GiB comes soon."""


def memory(setting: Setting) -> list[Figure]:
    """The rows of peak memory at one setting."""
    return [*windows(setting), *all_frames(setting)]


def windows(setting: Setting) -> list[Figure]:
    """Peak of forward and backward over input + qkv + attention output; the input counts as held.

    See `MEMORY_FLOORS` for what cannot be avoided.
    """
    modules = Modules(setting)
    bytes_of_input = modules.x.numel() * modules.x.element_size()
    found = []
    for shift in (True, False):
        options = {"size": setting.size, "shift": shift}
        word = "shifted" if shift else "unshifted"
        candidates = Candidates()
        candidates.add("stsa", lambda: modules.mechanism_run("stsa", True, **options))  # noqa: B023
        for peer in ("naive", "masked_sdpa", "torchvision"):
            candidates.add(peer, lambda: modules.peer_run(peer, "stsa", True, **options))  # noqa: B023
        for name, run in candidates.runs.items():
            assert callable(run)
            peak = (_peak(run, setting) + bytes_of_input) / (MEMORY_UNIT * bytes_of_input)
            must = Must(2.0) if name == "stsa" else None
            found.append(_figure(f"{name} {word}, forward and backward", peak, must))
        found += [
            _refused(f"{name} {word}, forward and backward", why, name == "stsa")
            for name, why in candidates.refused.items()
        ]
    for how, floor in MEMORY_FLOORS.items():
        found.append(_figure(f"floor, {how}", floor, None))
    return found


def all_frames(setting: Setting) -> list[Figure]:
    """Exponent of the peak of attention to all tokens of all frames, by the number of tokens."""
    sides = QUICK_SIDES if setting.quick else SIDES
    return [
        _grown("crossframe_all, exponent by tokens", setting, sides, None),
        _grown("written_scores, exponent by tokens", setting, sides, "written_scores"),
    ]


def _grown(text: str, setting: Setting, sides: Sequence[int], peer: str | None) -> Figure:
    must = None if peer else LINEAR
    if peer:
        sides = [side for side in sides if FRAMES * side**2 <= LONGEST_WRITTEN]
    candidates, peaks = Candidates(), []
    for side in sides:
        small = replace(setting, frames=FRAMES, side=side)
        modules = Modules(small)
        if peer is None:
            candidates.add("run", lambda: modules.mechanism_run("crossframe_all"))  # noqa: B023
        else:
            candidates.add("run", lambda: modules.peer_run(peer, "crossframe_all"))  # noqa: B023
        if candidates.refused:
            return _refused(text, candidates.refused["run"], peer is None)
        run = candidates.runs["run"]
        assert callable(run)
        peaks.append(_peak(run, small))
    tokens = [FRAMES * side**2 for side in sides]
    exponent = fit(tokens, peaks).exponent
    sizes = ", ".join(f"{p / 2**20:.1f}" for p in peaks)
    note = f"{sizes} MiB at {', '.join(map(str, tokens))} tokens"
    return _figure(text, exponent, must, note=note, unit="exponent")


def _peak(run: Run, setting: Setting) -> int:
    run()
    return peak_memory(run, setting.device)


def _figure(text: str, value: float, must: Must | None, note: str = "", unit: str = "") -> Figure:
    spread = Spread(value, value, value, 1)
    reached = None if must is None else must.reached(spread)
    said = str(must) if must else ""
    return Figure(text, spread, unit, None, said, reached, must is None, note)


def _refused(text: str, why: str, ours: bool) -> Figure:
    return Figure(text, None, must="2" if ours else "", reached=False if ours else None, note=why)
