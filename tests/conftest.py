"""attnzoo comes first, in whatever file: its import hook lets diffusers load beside a CPU torch.

Each of several test processes gets one thread: two of two threads stall each other on two cores.
"""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")

import attnzoo  # noqa: F401
