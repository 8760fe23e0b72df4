"""SIGTERM and Ctrl-C: saved, told how to go on; a second one ends it at once."""

from __future__ import annotations

import signal
import time

import checking
from jobs import SLEEPS, SLOW, SLOW_S, UNSAVED, UNSAVED_STEPS
from rounds import Round

from kinds.fault import Fault

HINTS = ("resume=", "same command")
"""One of these stands in what an interrupted command says."""
AT_ONCE_S = 5.0
ENDS = {
    signal.SIGTERM: (128 + signal.SIGTERM, -signal.SIGTERM),
    signal.SIGINT: (128 + signal.SIGINT, -signal.SIGINT),
}


def _play(round: Round, number: signal.Signals, twice: bool) -> None:
    round.history()
    before = checking.leftovers(round.out)  # of that kill
    child = round.start()
    # Before its own handler is there, and after its last line, the system ends a command.
    round.pause(child, max(round.moment(), 0.15 * round.reference.seconds))
    sent, at_work = child.alive(), round.job.at_work in child.said
    send = child.send if number is signal.SIGTERM else child.send_all
    send(number)
    if twice:
        time.sleep(round.random.uniform(0.0, 0.1))
        second = time.monotonic()
        send(number)
    status = round.ended(child, *ENDS[number], 0)
    if twice:
        took = time.monotonic() - second
        round.expect(took < AT_ONCE_S, f"a second signal took {took:.1f} s")
    if sent and status != 0:
        round.faults += 1
        done = (round.out / "record.json").exists()
        if not twice and round.job.resumes and at_work and not done:
            told = any(hint in round.said for hint in HINTS)
            round.expect(told, f"it does not say how to go on: {round.said[-200:]!r}")
        if not twice:
            round.wrong += [left for left in checking.leftovers(round.out) if left not in before]
    round.look()
    round.finish()


def _unsaved(round: Round) -> None:
    """In a stage without checkpoints: the one that is there then comes of the signal."""
    child = round.start()
    while child.alive() and "stage 1" not in child.said:
        time.sleep(0.005)
    round.pause(child, round.random.uniform(0.0, 0.4) * round.reference.seconds)
    child.send(signal.SIGTERM)
    status = round.ended(child, 128 + signal.SIGTERM, 0)
    if status != 0:
        found = [path.name for path in round.out.glob("checkpoints/stage*")]
        # One at the stage's end would be there anyway.
        round.faults += f"stage1-{UNSAVED_STEPS:06}" not in found
        round.expect(bool(found), "nothing was saved")
    round.look()
    round.finish()


def _in_a_slow_step(round: Round) -> None:
    """The first signal waits for the step's end, and the second for nothing."""
    child = round.start(environment={SLEEPS: "1"})
    while child.alive() and "asleep" not in child.said:
        time.sleep(0.005)
    child.send(signal.SIGTERM)
    round.pause(child, 1.0)
    round.expect(child.alive(), "it has not waited for the step's end")
    second = time.monotonic()
    child.send(signal.SIGTERM)
    round.ended(child, *ENDS[signal.SIGTERM])
    took = time.monotonic() - second
    round.expect(took < AT_ONCE_S < SLOW_S / 2, f"a second signal took {took:.1f} s")
    round.faults += 1
    round.look()
    round.finish()


FAULTS = (
    Fault("terminate", lambda round: _play(round, signal.SIGTERM, False), rounds=2),
    Fault("interrupt", lambda round: _play(round, signal.SIGINT, False), rounds=2),
    Fault("terminate-twice", lambda round: _play(round, signal.SIGTERM, True), rounds=1),
    Fault("interrupt-twice", lambda round: _play(round, signal.SIGINT, True), rounds=1),
    Fault("terminate-twice-slow", _in_a_slow_step, rounds=2, fits=lambda job: job is SLOW),
    Fault("terminate-unsaved", _unsaved, rounds=3, fits=lambda job: job is UNSAVED),
)
