"""The suite from options to files."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from attnzoo.bench.environment import Load, commit
from attnzoo.bench.hardware import hardware, versions
from attnzoo.bench.mechanisms.growth import growth
from attnzoo.bench.mechanisms.memory import memory
from attnzoo.bench.mechanisms.report import Report, save, text
from attnzoo.bench.mechanisms.setting import Setting, settings
from attnzoo.bench.mechanisms.tables import tables
from attnzoo.bench.settings import SuiteOptions

OUTPUTS = Path("outputs/mechanisms")


def run(options: SuiteOptions) -> list[Report]:
    """Measures, prints and saves; `options.out` is a folder, by default `outputs/mechanisms`.

    Raises:
        UserError: a device that is not there.
    """
    found = settings(options)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    reports = []
    for setting in found:
        reports.append(_reported(setting))
        print(text(reports[-1]), end="\n\n", flush=True)
    for report in reports:
        if report.missed:
            print(f"not reached: {', '.join(report.missed)}")
    written = save(reports, options.out or OUTPUTS)
    print(f"{', '.join(map(str, written))}: {sum(r.seconds for r in reports):.0f} s")
    return reports


def _reported(setting: Setting) -> Report:
    start, load = time.perf_counter(), Load()
    blocks = tables(setting)
    title = "peak memory / (input + qkv + attention output), and exponents of peak memory"
    blocks.append((title, memory(setting)))
    growths = growth(setting)
    circumstances = {
        "hardware": hardware(setting.device),
        "versions": versions(),
        "commit": commit(),
        "load": load.found(),
        "threads": torch.get_num_threads(),
    }
    return Report(str(setting), blocks, growths, circumstances, time.perf_counter() - start)
