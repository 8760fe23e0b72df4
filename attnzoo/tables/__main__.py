"""`python -m attnzoo.tables`: the tables of the paper, run again under a fixed protocol."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from attnzoo import commands, grammar
from attnzoo.overrides import plugins_of

HELP = """\
usage: python -m attnzoo.tables [KEY=VALUE ...]

Runs every cell of the paper's tables with every seed under a protocol fixed in a file
(experiments/tables/full.yaml), and leaves records, costs, clips and curves in one folder, from
which the report is made. A cell that several tables share runs once. The same command goes on
where it was killed, and runs again only what a change of settings, data or code touches.

what is run
  quick=true          1 seed, few steps and videos, every row: too short to judge by
  six=true            the sixth table, noise and camera, which stands alone
  only=table2,table3  some tables
  seeds=3             so many, from the protocol's first on, each scored on its own share of the
                      test clips
  protocol=FILE.yaml  a protocol of your own, of the same form
  search=true         chooses settings of each cell on the validation part, with the same budget for
                      all: OUT/search/log.jsonl, OUT/search/chosen.json. Copied to chosen.yaml
                      beside the protocol they become part of it
  check=true          runs and writes nothing: how what lies in out= differs from the protocol

a variant of your own beside the others
  '+plugins=[my.py]' 'add=[my_attention]'       a row in tables 1 and 2 (in another, if neither is
                      run), with what search=true and the same add= chose in the same out=
  "add=['my_attention reach=3']"                with options
  reuse=FOLDER        takes over what was run there under the same protocol, marked as reused; costs
                      are measured anew for all

how and where
  out=outputs/tables  the folder of results; with quick=true outputs/tables-quick. One that holds
                      records of another protocol is refused, and other seeds than it has
  workers= threads=   processes, by default one a core, and torch's threads in each, 1
  part=0/4            a share of the runs, for several machines with one folder; afterwards the
                      command without part= measures costs and makes the report
  -m parts=8 hydra/launcher=joblib|submitit_local|submitit_slurm [hydra.launcher.KEY=VALUE ...]
                      the same by a launcher of Hydra's, costs and report here at the end; on one
                      machine with workers=1

Exit status 1, with part= 3: some cell failed; its row says why, and the rest is complete. Of
check=true 1: what is there does not come from the protocol; other code or libraries alone are told
with status 0."""


def command(arguments: Sequence[str]) -> None:
    """Runs what the arguments describe."""
    if any(text in ("-h", "--help", "help") for text in arguments):
        print(HELP)
        return
    # `-m` is no setting; what it needs of Hydra is imported for it alone.
    sweeps = [text for text in arguments if text not in ("-m", "--multirun")]
    if len(sweeps) < len(arguments):
        from attnzoo.tables.spreading import spread

        spread(sweeps)
        # What is left for one machine: costs, pictures, the report.
        arguments = [t for t in sweeps if not t.startswith(("parts=", "hydra/", "hydra."))]
    given = grammar.given(arguments)
    from attnzoo.tables.run import run
    from attnzoo.tables.settings import settings_of
    from attnzoo.tables.spreading import FAILED, FAILED_OF_PART, end_with_launcher

    said = shlex.join(["python", "-m", "attnzoo.tables", *arguments])
    settings = settings_of(given, plugins_of(arguments), said)
    if settings.check:
        from attnzoo.tables.checking import check

        fine = check(settings)
    else:
        if settings.part is not None:
            end_with_launcher()
        with commands.going_on(commands.SAME_COMMAND):
            fine = run(settings)
    if not fine:
        sys.exit(FAILED if settings.part is None else FAILED_OF_PART)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command, with its exit status."""
    commands.execute(command, arguments)


if __name__ == "__main__":
    main()
