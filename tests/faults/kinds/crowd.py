"""Two to eight processes with the same folder and cache at once."""

from __future__ import annotations

from rounds import Round

from kinds.fault import Fault

SAYS = ("at work", "finished", "holds something already")


def crowd(round: Round) -> None:
    """One does it, or all; who is refused says in one line that another is at work."""
    children = []
    for _ in range(round.random.randint(2, 8)):
        children.append(round.start(round.job.arguments))
        round.faults += 1
    statuses = []
    for child in children:
        statuses.append(round.ended(child, 0, 2))
        if statuses[-1] == 2:
            told = any(text in round.said for text in SAYS)
            round.expect(told, f"refused: {round.said[-300:]}")
    round.expect(0 in statuses, f"nobody did it: {statuses}")
    round.look()
    round.check_end()
    round.finish()


FAULTS = (Fault("crowd", crowd, rounds=2),)
