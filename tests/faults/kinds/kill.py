"""SIGKILL at random moments: of the command alone, whose workers have to notice."""

from __future__ import annotations

import signal

from rounds import Round

from kinds.fault import Fault

KILLS = 3
"""In one round, before the job is let go to its end."""


def play(round: Round) -> None:
    """Kills, goes on, kills again; some rounds in quick succession."""
    for number in range(KILLS):
        child = round.start()
        # What is left of a job that goes on takes less time.
        round.pause(child, round.moment() / (1 + number))
        if child.alive():
            child.send(signal.SIGKILL)
            round.faults += 1
        round.ended(child, -signal.SIGKILL, 0)
        round.look()
    round.finish()


FAULTS = (Fault("kill", play, rounds=6),)
