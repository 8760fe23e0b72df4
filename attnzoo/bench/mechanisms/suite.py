"""The suite from options to files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch

from attnzoo.bench.environment import Load, commit
from attnzoo.bench.hardware import hardware, versions
from attnzoo.bench.mechanisms.figure import Figure
from attnzoo.bench.mechanisms.growth import growth
from attnzoo.bench.mechanisms.memory import memory
from attnzoo.bench.mechanisms.report import Report, block_text, growth_text, save
from attnzoo.bench.mechanisms.setting import Setting, settings
from attnzoo.bench.mechanisms.tables import tables
from attnzoo.bench.settings import SuiteOptions
from attnzoo.paths import make_writable

PEAKS = "peak memory / (input + qkv + attention output), and exponents of peak memory"
OUTPUTS = Path("outputs/mechanisms")


def run(options: SuiteOptions) -> list[Report]:
    """Measures, prints and saves; `options.out` is a folder, by default `outputs/mechanisms`.

    Raises:
        UserError: a device that is not there, or a folder that cannot be written.
    """
    found = settings(options)
    out = options.out or OUTPUTS
    make_writable(out, f"out={out}")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    reports = [_reported(setting) for setting in found]
    for report in reports:
        if report.missed:
            print(f"not reached: {', '.join(report.missed)}")
    written = save(reports, out)
    print(f"{', '.join(map(str, written))}: {sum(r.seconds for r in reports):.0f} s")
    return reports


def _reported(setting: Setting) -> Report:
    """Measures at one setting, and prints each block as it is done."""
    start, load = time.perf_counter(), Load()
    print(setting, end="\n\n", flush=True)
    blocks = []
    for title, figures in measured(setting):
        print(block_text(title, figures), end="\n\n", flush=True)
        blocks.append((title, figures))
    growths = growth(setting)
    print(growth_text(growths), end="\n\n", flush=True)
    circumstances = {
        "hardware": hardware(setting.device),
        "versions": versions(),
        "commit": commit(),
        "load": load.found(),
        "threads": torch.get_num_threads(),
    }
    return Report(str(setting), blocks, growths, circumstances, time.perf_counter() - start)


def measured(setting: Setting) -> Iterator[tuple[str, list[Figure]]]:
    """Title and figures of each block, those of peak memory last."""
    yield from tables(setting)
    yield PEAKS, memory(setting)
