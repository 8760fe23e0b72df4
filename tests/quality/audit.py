"""Known faults of everything that is installed: `python tests/quality/audit.py`.

pip-audit asks an index for them, and passes over what that does not know, down to all of it. Here
that is no pass: exit status 1 if anything has a known fault, or if nothing could be looked up; what
was passed over is counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def main() -> int:
    """Asks, and tells."""
    command = ["pip-audit", "--local", "--skip-editable", "--progress-spinner", "off"]
    done = subprocess.run([*command, "--format", "json"], capture_output=True, text=True)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"pip-audit: {done.stderr.strip()[-500:]}", file=sys.stderr)
        return 1
    text, status = told(found)
    print(text)
    return status


def told(found: Sequence[Mapping[str, Any]]) -> tuple[str, int]:
    """What came of it in words, and the exit status."""
    known = [one for one in found if "skip_reason" not in one]
    faults = [
        f"{one['name']} {one['version']}: {fault['id']}, mended in "
        f"{', '.join(fault['fix_versions']) or 'no version'}"
        for one in known
        for fault in one["vulns"]
    ]
    lines = [*faults, f"{len(known)} of {len(found)} packages could be looked up"]
    return "\n".join(lines), 1 if faults or not known else 0


if __name__ == "__main__":
    sys.exit(main())
