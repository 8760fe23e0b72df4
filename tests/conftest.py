"""attnzoo comes first, in whatever file: its import hook lets diffusers load beside a CPU torch.

Each of several test processes gets one thread: two of two threads stall each other on two cores.
"""

import gc
import os
import signal

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")

import attnzoo  # noqa: F401

# A suite in the background of a script is started with Ctrl-C ignored, which commands respect.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What all tests import is no garbage to be looked through again and again.

    Half of a small run's time was that, each stage of which ends with a full collection.
    """
    gc.collect()
    gc.freeze()
