"""Plots of a results folder: what they draw is right, gaps are said, bytes repeat, torch stays out.

The folder is made up, with few clips; pictures are checked for what decides them, not for looks.
"""

from __future__ import annotations

import errno
import itertools
import json
import math
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

import made_results
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from attnzoo.bench.cell import What
from attnzoo.errors import UserError
from attnzoo.report import plots
from attnzoo.report.explanation import beyond_real
from attnzoo.report.folder import Cell, Folder, Row, ShownClip
from attnzoo.report.measures import MEASURES
from attnzoo.report.page.plots import picture
from attnzoo.report.pairs import COLUMNS, Scores
from attnzoo.report.plots import (
    attention,
    comparison,
    cost_bars,
    growth,
    intervals,
    learning,
    noise_camera,
    quality_cost,
    samples,
    scenarios,
    sizes,
    step_curves,
)
from attnzoo.report.plots.data import Data
from attnzoo.report.plots.overview import GAINS
from attnzoo.report.plots.pareto import Cost, front
from attnzoo.report.plots.plot import Drawn, LeftOut, Plot, Sketch
from attnzoo.report.plots.style import PAGE, legend, log_ticks, look, marks, page
from attnzoo.report.plots.videos import (
    crop,
    middle_row,
    read_picture,
    read_video,
    spread,
    square,
    x_t_slice,
)
from attnzoo.report.tables import write_tables


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(bytes(64)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + rows + chunk(b"IEND", b"")


BENCH = {
    "what": "module", "name": "temporal", "frames": 8, "height": 16, "width": 16, "batch": 1,
    "channels": 64, "heads": 8, "options": {}, "peer": False, "dtype": "fp32", "backward": False,
    "compiled": False, "device": "cpu", "unet": "", "level": "", "peak_memory": 2**20,
    "status": "ok", "predicted": False, "latency": 0.01,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of four clips; one cell has failed; no videos."""
    return made_results.make_results(
        tmp_path_factory.mktemp("made"), seeds=2, clips=4, videos=False
    )


@pytest.fixture(scope="module")
def data(folder: Path) -> Data:
    return Data.read(folder)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with videos of the first table's cells."""
    path = tmp_path_factory.mktemp("filmed")
    made_results.make_results(path, seeds=1, clips=4, broken=False, videos=False)
    rows = json.loads((path / "protocol.json").read_text())["tables"]["table1"]["rows"]
    made_results._write_clips(path / "clips", [row["cell"] for row in rows])
    return path


@cache
def sketches(module: ModuleType, data: Data) -> list[Sketch]:
    """All plots of a module; they are not changed by being looked at."""
    with look():
        found = list(module.draw(data))
    assert all(isinstance(one, Sketch) for one in found)
    return found


def edited(folder: Path, into: Path, cell: str, score: str, change: dict[str, object]) -> Path:
    """A copy of a folder in which one score of one cell's records is changed."""
    for file in folder.rglob("*.json"):
        copied = into / file.relative_to(folder)
        copied.parent.mkdir(parents=True, exist_ok=True)
        content = json.loads(file.read_text())
        if file.parent.name == cell and file.parent.parent.name == "records":
            content["scores"][score] = change
        copied.write_text(json.dumps(content))
    return into


# Files


def test_files_are_svg_and_png_of_print_width_and_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "_ALL", (sizes.draw, samples.draw))
    written = plots.write_plots(folder)
    assert [plot.name for plot in written] == ["sizes", "figure2c"]
    svg, png = written[0].files
    assert svg == folder / "plots" / "sizes.svg" and png == folder / "plots" / "sizes.png"
    assert 'width="504pt"' in svg.read_text()[:1000]  # 7 inches
    assert all(plot.alt and plot.caption and plot.title for plot in written)
    assert [one.name for one in plots.left_out(folder)] == ["figure4"]
    index = json.loads((folder / "plots" / "index.json").read_text())
    assert index["plots"][0]["files"] == ["plots/sizes.svg", "plots/sizes.png"]
    assert index["plots"][1]["files"] == ["figures/figure2c.png"]


def test_what_is_no_longer_drawn_is_deleted_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "_ALL", (sizes.draw,))
    plots.write_plots(folder)
    mine = folder / "plots" / "mine.png"
    mine.touch()
    (folder / "plots" / ".partial-1-sizes.svg").touch()
    monkeypatch.setattr(plots, "_ALL", ())
    assert [plot.name for plot in plots.write_plots(folder)] == ["figure2c"]
    assert sorted(p.name for p in (folder / "plots").iterdir()) == ["index.json", "mine.png"]
    assert (folder / "figures" / "figure2c.png").is_file()
    mine.unlink()


@pytest.mark.parametrize(
    "index",
    [
        '{"plots": [{"files": ["plots/..", "plots/../kept.svg", "../kept.svg", "plots/a/b.svg"]}]}',
        '{"plots": [{"files": [3, null]}]}', '{"plots": [{"fi', "[]", "{}", "[" * 5000,
    ],
    ids=["elsewhere", "no names", "cut off", "a list", "empty", "deep"],
)  # fmt: skip
def test_an_index_of_somebody_else_deletes_nothing_but_plots(
    folder: Path, tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "_ALL", ())
    mine = tmp_path / "mine"
    shutil.copytree(folder, mine)
    (mine / "plots" / "a").mkdir(parents=True, exist_ok=True)
    for kept in (mine / "kept.svg", mine / "plots" / "a" / "b.svg"):
        kept.touch()
    before = {path for path in mine.rglob("*") if path.parent != mine / "plots"}
    (mine / "plots" / "index.json").write_text(index)
    plots.write_plots(mine)
    assert {path for path in mine.rglob("*") if path.parent != mine / "plots"} == before
    assert json.loads((mine / "plots" / "index.json").read_text())["schema"] == 1


@pytest.mark.parametrize("name", ["plots", "tables"])
def test_a_file_in_the_place_of_a_folder_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    mine = shutil.copytree(folder, tmp_path / "mine")
    shutil.rmtree(mine / name, ignore_errors=True)
    (mine / name).touch()
    with pytest.raises(UserError, match=rf"mine/{name}: a file; the report writes a folder"):
        plots.write_plots(mine) if name == "plots" else write_tables(mine)


@pytest.mark.parametrize("name", ["plots", "tables"])
def test_a_link_out_of_the_folder_is_not_written_through(
    folder: Path, tmp_path: Path, name: str
) -> None:
    mine, elsewhere = tmp_path / "mine", tmp_path / "elsewhere"
    shutil.copytree(folder, mine)
    shutil.rmtree(mine / name, ignore_errors=True)
    elsewhere.mkdir()
    (mine / name).symlink_to(elsewhere)
    with pytest.raises(UserError, match=rf"mine/{name}: {name} leaves the folder"):
        plots.write_plots(mine) if name == "plots" else write_tables(mine)
    assert not list(elsewhere.iterdir())


@pytest.mark.long
def test_no_plot_of_right_results_is_left_out_as_undrawable(
    folder: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Data, "read", lambda path: data)  # its intervals are known by then
    monkeypatch.setattr(plots, "write", lambda figure, stem: ())
    assert len(plots.write_plots(folder)) == 19
    left = {one.name: one.reason for one in plots.left_out(folder)}
    assert set(left) == {"growth", "figure3", "figure4", "figure5"}
    assert not any(reason.startswith(plots.UNDRAWN) for reason in left.values())


def test_a_plot_that_cannot_be_drawn_takes_no_other_with_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(data: Data) -> Iterator[Drawn]:
        yield from sizes.draw(data)
        raise IndexError("no such\nrow")

    monkeypatch.setattr(breaks, "__module__", "attnzoo.report.plots.step_curves")
    monkeypatch.setattr(plots, "_ALL", (breaks, samples.draw, sizes.draw))
    assert [plot.name for plot in plots.write_plots(folder)] == ["sizes", "sizes", "figure2c"]
    said = "it could not be drawn (IndexError: no such row)"
    first, second = plots.left_out(folder)
    assert first == LeftOut("step-curves", said) and second.name == "figure4"
    assert caplog.messages == [f"plot step-curves is left out: {said}"]


def test_growth_is_drawn_of_all_that_the_bench_measures() -> None:
    assert {what.value for what in What} == growth._WHAT.keys()


def test_a_plot_that_cannot_be_written_is_called_by_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(figure: object, stem: Path) -> tuple[Path, ...]:
        raise ValueError("half a letter: \ud800")

    monkeypatch.setattr(plots, "write", breaks)
    monkeypatch.setattr(plots, "_ALL", (sizes.draw,))
    # What is logged is kept with the test's outcome, which is told in whole letters.
    monkeypatch.setattr(plots._LOG, "disabled", True)
    plots.write_plots(folder)
    said = "it could not be drawn (ValueError: half a letter: \ud800)"
    assert plots.left_out(folder) == [LeftOut("sizes", said)]


@pytest.mark.parametrize(
    "error", [UserError("x.mp4: no video"), OSError(errno.ENOSPC, "full"), MemoryError()]
)
def test_what_a_user_or_the_machine_is_to_mend_ends_the_report(
    folder: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(data: Data) -> Iterator[Drawn]:
        raise error
        yield LeftOut("", "")

    monkeypatch.setattr(plots, "_ALL", (breaks,))
    with pytest.raises(type(error)):
        plots.write_plots(folder)


def test_bytes_repeat_and_hold_no_date(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "_ALL", (sizes.draw,))
    first = [file.read_bytes() for plot in plots.write_plots(folder) for file in plot.files]
    again = [file.read_bytes() for plot in plots.write_plots(folder) for file in plot.files]
    assert len(first) == 3 and first == again
    assert b"<dc:date>" not in first[0] and b"tIME" not in first[1]


def test_no_torch_is_imported() -> None:
    code = "import sys, attnzoo.report.plots; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_folder_without_protocol_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"protocol\.json: cannot be read"):
        plots.write_plots(tmp_path)


def test_a_folder_in_which_all_failed_leaves_reasons(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "protocol.json").write_text((folder / "protocol.json").read_text())
    assert plots.write_plots(tmp_path) == []
    reasons = {one.name: one.reason for one in plots.left_out(tmp_path)}
    assert reasons["intervals-table1"] == "table1 has no finished row"
    assert reasons["costs"].startswith("no cost was measured")
    assert all(reasons.values()) and len(reasons) >= 19


# Text is readable and tells everything apart


def test_no_text_is_smaller_than_seven_points_and_none_overlaps_in_ticks(data: Data) -> None:
    modules = (quality_cost, sizes, scenarios, noise_camera, step_curves, intervals)
    drawn = [sketches(module, data)[-1] for module in modules]
    for sketch in drawn:
        sketch.figure.draw_without_rendering()
        texts = [t for t in sketch.figure.findobj(match=lambda a: hasattr(a, "get_fontsize"))]
        shown = [t for t in texts if t.get_text() and t.get_visible()]
        assert min(t.get_fontsize() for t in shown) >= 7, sketch.name
        assert not any("$" in t.get_text() for t in shown), sketch.name  # would be seen as it is
        for axes in sketch.figure.axes:
            for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
                boxes = [t.get_window_extent() for t in labels if t.get_text()]
                for one, other in itertools.pairwise(boxes):
                    assert not one.shrunk(0.98, 0.9).overlaps(other.shrunk(0.98, 0.9)), sketch.name


def test_thirty_series_look_different() -> None:
    looks = marks([f"variant {i}" for i in range(30)])
    assert len({(mark.colour, mark.marker) for mark in looks.values()}) == 30
    assert len({(mark.colour, str(mark.line)) for mark in list(looks.values())[:16]}) == 16


@pytest.mark.parametrize("label", [r"$\foo$", "5 $ and 6 $", "$x^2$"])
def test_a_dollar_in_a_label_is_a_dollar(label: str) -> None:
    def width(label: str) -> float:
        with look():
            figure = page(PAGE, 2.0)
            axes = figure.subplots()
            legend(figure, list(marks([label]).items()))
            axes.set_yticks([0], [label])
            figure.draw_without_rendering()
        texts = [*figure.legends[0].get_texts(), *axes.get_yticklabels()]
        return sum(float(text.get_window_extent().width) for text in texts)

    assert width(label) > width(label.replace("$", ""))


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (0.011, 0.6, ["0.02", "0.05", "0.1", "0.2", "0.5"]),
        (0.3, 30000, ["1", "100", "10000"]),
        (0.021, 0.049, None),
    ],
)
def test_a_logarithmic_axis_has_numbers_to_read(
    low: float, high: float, told: list[str] | None
) -> None:
    with look():
        figure = page(PAGE / 5, 1.2)
        axes = figure.subplots()
        axes.set(yscale="log", ylim=(low, high))
        log_ticks(axes.yaxis)
        figure.draw_without_rendering()
    labels = [t for t in axes.get_yticklabels() if low <= t.get_position()[1] <= high]
    texts = [t.get_text() for t in labels if t.get_text()]
    assert len(texts) >= 3 and (told is None or set(told) <= set(texts))
    boxes = [t.get_window_extent() for t in labels if t.get_text()]
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


@pytest.mark.parametrize("count", [1, 5, 18])
def test_a_legend_of_long_labels_stays_on_the_page(count: int) -> None:
    name = "my_temporal_attention_with_relative_positions"
    with look():
        figure = page(PAGE, 2.0)
        figure.subplots()
        legend(figure, list(marks([f"{name} {i}" for i in range(count)]).items()))
        figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
    assert figure.axes[0].get_window_extent().height > 1.2 * figure.dpi


# Quality against cost


def test_the_front_is_what_nothing_beats() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        n = int(rng.integers(1, 9))
        costs, badness = rng.integers(1, 6, n).tolist(), rng.integers(0, 5, n).tolist()
        expected = [
            not any(
                a <= costs[i] and b <= badness[i] and (a, b) != (costs[i], badness[i])
                for a, b in zip(costs, badness, strict=True)
            )
            for i in range(n)
        ]
        assert front([Cost(c, c, c) for c in costs], badness) == expected
    with pytest.raises(ValueError, match="2 costs and 1"):
        front([Cost(1, 1, 1), Cost(2, 2, 2)], [1])


@pytest.mark.parametrize(
    ("dearer", "apart"),
    [
        (Cost(104, 104, 104), True),
        (Cost(102, 102, 102), False),  # by less than 3 %
        (Cost(120, 101, 130), False),  # ranges overlap
        (Cost(120, 102, 130), True),
    ],
)
def test_of_costs_that_cannot_be_told_apart_the_best_is_on_the_front(
    dearer: Cost, apart: bool
) -> None:
    cheap = Cost(100, 99, 101)
    assert front([cheap, dearer], [2, 1], 0.03) == [apart, True]
    assert front([cheap, dearer], [1, 2], 0.03) == [True, False]
    assert front([cheap, dearer], [1, 1], 0.03) == [True, not apart]


def test_the_front_names_the_planted_best(data: Data) -> None:
    latency, memory = sketches(quality_cost, data)
    assert "FVD-embedded: " in latency.alt and "Temporal" in latency.alt.split(";")[1]
    assert "DreamPose-style" not in latency.alt.replace("Missing", "")
    assert len(latency.figure.axes) == 3
    assert "hides the modules" in memory.caption and "less than 3 %" in latency.caption
    assert "median over 4 rounds, with quartiles" in latency.caption


def test_settings_of_one_variant_are_no_marks_of_their_own(data: Data) -> None:
    for sketch in sketches(quality_cost, data):
        told = [text.get_text() for text in sketch.figure.legends[0].get_texts()]
        assert "VD + SA + MF" in told and "stsa, not shifted" not in told


def test_a_training_step_of_stage_2_is_marked_and_compared_with_no_other(data: Data) -> None:
    changed = dict(data.folder.costs)
    profile = changed["disco"]["profile"]
    other = profile | {"training": profile["training"] | {"stage": 2}}
    changed["disco"] = changed["disco"] | {"profile": other}
    mine = Data(replace(data.folder, costs=changed), data.scores)
    with look():
        latency, memory = quality_cost.draw(mine)
        (bars,) = cost_bars.draw(mine)
    assert isinstance(memory, Sketch) and isinstance(bars, Sketch)
    assert "DisCo-style (trains in stage 2 alone)" in memory.caption
    told = [text.get_text() for text in memory.figure.legends[0].get_texts()]
    assert "DisCo-style" not in told and "VD" in told
    place = [cell.id for cell in data.folder.cells_of(*cost_bars.TABLES)].index("disco")
    marked = [line for line in bars.figure.axes[0].lines if line.get_marker() == "s"]
    hollow = [line.get_markerfacecolor() == "white" for line in marked]
    assert hollow == [i == place for i in range(len(marked))]
    assert "open, one of stage 2" in bars.caption
    assert latency is not None and quality_cost.cost(changed["disco"], quality_cost.LATENCY)


def test_gains_far_below_stand_in_a_corner(data: Data) -> None:
    latency = sketches(quality_cost, data)[0]
    axes = latency.figure.axes[0]
    assert axes.get_ylim()[0] >= quality_cost.LOWEST
    said = "\n".join(text.get_text() for text in axes.texts)
    found = 100 * data.gain("dreampose", "none", "embedded_perceptual").value
    assert found < quality_cost.LOWEST and f"DreamPose-style −{-found:.1f} %" in said


# Intervals


def test_intervals_are_gains_over_the_row_that_is_tested_against(data: Data) -> None:
    by_name = {one.name: one for one in sketches(intervals, data)}
    assert set(by_name) == {f"intervals-table{i}" for i in (1, 2, 3, 5, 6)}
    table2 = by_name["intervals-table2"]
    panel = table2.figure.axes[0]
    points = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "o"]
    cells = [row.cell for row in data.folder.tables["table2"].rows]
    gains = [data.gain(cell, "stsa-4x4x4", "fd_embedded_frame") for cell in cells[:-1]]
    assert cells[-1] == "stsa-4x4x4" and points == [*(100 * one.value for one in gains), 0]
    bars = [bar.get_segments()[0][:, 0] for one in panel.containers for bar in one.lines[2]]
    assert bars == [pytest.approx([100 * one.low, 100 * one.high]) for one in gains]
    assert panel.get_yticklabels()[-1].get_text() == "VD + SA (reference)"
    ranks = [text.get_text() for text in panel.texts]
    assert ranks == ["#5", "#4", "#2", "#6", "#3", "#1"]  # by FID in the paper's Table 2
    assert "by FID beside FD-embedded, frames" in table2.caption
    for said in ("95 % intervals over seeds", "not corrected", "reference row (VD + SA)"):
        assert said in table2.caption
    titles = {axes.get_title().replace("\n", " ") for axes in table2.figure.axes}
    assert titles == {MEASURES[key].name for key in GAINS}


def test_references_are_of_the_same_group_and_of_the_same_noise_and_camera(data: Data) -> None:
    fifth, sixth = (data.folder.tables[name] for name in ("table5", "table6"))
    of_fifth = intervals.references_of(data, fifth)
    found = dict(zip((row.name for row in fifth.rows), of_fifth, strict=True))
    assert found["align=scatter, alignment"] == "stsa_flow-permute"
    assert found["stsa, not shifted, shift, stsa"] == "stsa-4x4x4"
    for row, reference in zip(sixth.rows, intervals.references_of(data, sixth), strict=True):
        assert reference == f"{row.cell.rpartition('-')[0]}-none"


def test_a_failed_row_is_a_gap_with_its_reason(data: Data) -> None:
    table5 = next(one for one in sketches(intervals, data) if one.name == "intervals-table5")
    rows = data.folder.tables["table5"].rows
    panel = table5.figure.axes[0]
    assert sum(line.get_marker() == "o" for line in panel.lines) == len(rows) - 1
    assert [text.get_text() for text in panel.texts] == ["–"]
    said = "align=cycles, alignment failed (UserError: align=cycles: a made-up failure"
    assert said in table5.caption


def test_a_null_score_is_a_gap(folder: Path, tmp_path: Path) -> None:
    null = {"value": None, "n": 0, "clips": [], "reason": "made up"}
    data = Data.read(edited(folder, tmp_path, "temporal", "embedded_perceptual", null))
    assert data.estimate("temporal", "embedded_perceptual") is None
    table2 = next(one for one in sketches(intervals, data) if one.name == "intervals-table2")
    panel = table2.figure.axes[GAINS.index("embedded_perceptual")]
    assert "–" in [text.get_text() for text in panel.texts]
    latency = sketches(quality_cost, data)[0]
    assert "Temporal" not in latency.alt.split(";")[0]


def test_two_lines_of_text_get_more_room() -> None:
    one, two, three = np.diff(intervals.places_of(["a", "b", "two\nlines", "c"]))
    assert two == pytest.approx(three) and two > one >= 1


# Sizes, scenarios, noise and camera


def test_sizes_are_set_against_the_papers_best(data: Data) -> None:
    (one,) = sketches(sizes, data)
    base = data.estimate("stsa-4x4x4", "warp_error_1").value
    texts = [text.get_text() for text in one.figure.axes[0].texts]
    assert f"{base:#.3g}" in texts  # itself without a gain
    found = data.gain("stsa-8x4x4", "stsa-4x4x4", "warp_error_1").value
    assert found > 0 and any(f"{100 * found:+.1f} %" in text for text in texts)
    assert "Best size by FD-embedded, frames [8,4,4]" in one.alt


def test_a_size_without_a_score_is_a_gap_and_words_stay_legible(
    folder: Path, tmp_path: Path
) -> None:
    null = {"value": None, "n": 0, "clips": [], "reason": "made up"}
    data = Data.read(edited(folder, tmp_path, "stsa-4x2x2", "ssim", null))
    (one,) = sketches(sizes, data)
    axes = one.figure.axes[0]
    one.figure.draw_without_rendering()
    gaps = [text.get_position() for text in axes.texts if text.get_text() == "–"]
    assert gaps == [(1.5, 0.5)]
    columns = len(axes.get_xticks())
    colours = np.asarray(axes.collections[0].get_facecolor())[:, :3]
    for text in axes.texts:
        x, y = text.get_position()
        if (x, y) not in gaps:
            ground = luminance(colours[int(y) * columns + int(x)])
            ink = luminance(np.array(to_rgb(text.get_color())))
            assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) >= 4.5


def luminance(colour: np.ndarray) -> float:
    """The relative luminance of sRGB in [0, 1], by WCAG."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_an_added_row_is_none_of_the_papers_sizes() -> None:
    cells = {
        name: Cell(name, "", "stsa", ("size=[4,4,4]",), added=name == "added")
        for name in ("size", "added")
    }
    frame = pd.DataFrame(columns=["cell", "score", *COLUMNS])
    data = Data(Folder(Path("x"), "full", (0,), cells, {}, {}), Scores(frame))
    assert [sizes.size_of(data, Row("", name)) for name in cells] == ["[4,4,4]", ""]


def test_scenarios_go_from_simple_to_complex(data: Data) -> None:
    rows = data.folder.tables["table4"].rows
    assert scenarios.scenarios_of(data, rows) == [
        "seen person, seen pose",
        "seen person, unseen pose",
        "unseen person, seen pose",
        "unseen person, unseen pose",
    ]
    (one,) = sketches(scenarios, data)
    panel = one.figure.axes[0]
    heights = [bar.get_height() for bar in panel.patches]
    assert len(heights) == 4 * len(rows)
    clips = [
        score["clips"][i]
        for record in data.folder.records_of(rows[0].cell).values()
        for score in [record["scores"]["embedded_perceptual"]]
        for i, name in enumerate(record["sampling"]["scenarios"])
        if name == "seen person, seen pose"
    ]
    assert heights[0] == pytest.approx(np.mean(clips))


def test_the_grid_of_noise_and_camera_shows_the_planted_gains(data: Data) -> None:
    one = sketches(noise_camera, data)[-2]
    panels = {panel.get_title(loc="left"): panel for panel in one.figure.axes}
    assert list(panels) == [
        f"noise {noise}, camera {camera}"
        for noise in ("shared", "half", "independent")
        for camera in ("still", "moving")
    ]

    def gains(title: str) -> list[float]:
        drawn = [x for x in panels[title].containers]
        return [bar.lines[0].get_xdata()[0] for bar in drawn]

    temporal, stsa, aligned, mixed = gains("noise shared, camera still")
    # What is planted is in the part of the warp error that real clips have not.
    beyond = 1 - made_results.REAL["warp_error_1"] / made_results.BASES["warp_error_1"]
    planted = 100 * beyond * (1 - math.exp(made_results.SIXTH["temporal"]))
    assert temporal > stsa > mixed > aligned and temporal == pytest.approx(planted, abs=3)
    assert max(np.abs(gains("noise independent, camera moving"))) < 4


def test_a_condition_without_its_base_says_so(folder: Path, tmp_path: Path) -> None:
    null = {"value": None, "n": 0, "clips": [], "reason": "made up"}
    cell = "table6-half-still-none"
    data = Data.read(edited(folder, tmp_path, cell, "warp_error_1", null))
    one = sketches(noise_camera, data)[-2]
    assert "none at half noise, still camera" in one.caption


def test_the_lead_is_what_the_sixth_table_is_judged_by(data: Data) -> None:
    one = sketches(noise_camera, data)[-1]
    axes = one.figure.axes[0]
    drawn = [bar.lines[0] for bar in axes.containers]
    lead = {(line.get_marker(), round(line.get_ydata()[0])): line.get_xdata()[0] for line in drawn}
    assert one.name == "noise-camera-lead" and len(lead) == 6
    still, moving = drawn[0].get_marker(), drawn[1].get_marker()
    planted = 100 * (1 - math.exp(made_results.SIXTH["stsa"]))
    assert lead[still, 0] == pytest.approx(planted, abs=3)
    assert lead[still, 0] > lead[moving, 0] > lead[moving, 2] and abs(lead[still, 2]) < 4
    samples_of = [
        data.scores.sample(f"table6-shared-still-{name}", "warp_error_1")
        for name in ("stsa", "stsa_flow")
    ]
    found = beyond_real(*samples_of)
    assert found is not None and lead[still, 0] == pytest.approx(100 * found.value)


# Curves


def test_curves_are_of_their_steps(data: Data) -> None:
    denoising, training = sketches(step_curves, data)
    line = next(one for one in denoising.figure.axes[2].lines if len(one.get_xdata()) == 4)
    values = [s["warp_error_1"]["value"] for s in data.folder.curves["none"]["denoising"]["scores"]]
    assert line.get_ydata().tolist() == values
    assert line.get_xdata() == pytest.approx([2, 5, 10, 20], rel=0.1)
    assert [t.get_text() for t in training.figure.axes[0].get_xticklabels()] == [
        "20", "40", "60", "95",
    ]  # fmt: skip


def test_a_curve_goes_by_rising_steps_and_has_no_step_0() -> None:
    found = step_curves.ordered({"steps": [20, 0, 5], "scores": [{"b": 1}, {}, {"a": 1}]})
    assert found == {"steps": [5, 20], "scores": [{"a": 1}, {"b": 1}]}
    assert step_curves.ordered({"steps": [0], "scores": [{}]})["steps"] == []


def test_training_goes_on_after_stage_1(data: Data) -> None:
    denoising, training = sketches(step_curves, data)
    for axes in training.figure.axes[:3]:
        assert axes.get_xlabel() == "training steps"
        ends = [x for line in axes.lines if len(x := line.get_xdata()) == 2 and x[0] == x[1]]
        assert ends == [[80, 80]]
    assert "the end of stage 1; the last point lies after stage 2." in training.caption
    assert "with the weights of that step; 4 videos of one seed." in training.caption
    assert "stage" not in denoising.caption and "4 videos of one seed" in denoising.caption


def test_seeds_of_another_run_are_not_drawn(folder: Path, data: Data) -> None:
    other = folder / "records" / "none" / "seed9.json"
    record = json.loads((other.parent / "seed0.json").read_text())
    other.write_text(json.dumps(record | {"seed": 9}))
    try:
        assert Data.read(folder).estimate("none", "l1") == data.estimate("none", "l1")
    finally:
        other.unlink()


def test_cells_of_the_sixth_table_are_called_by_their_groups(data: Data) -> None:
    labels = learning.labels_of(data.folder, ("table6",))
    assert labels["table6-half-moving-stsa"] == "stsa, noise half, camera moving"
    assert learning.labels_of(data.folder, ("table1",))["none"] == "VD"


def test_losses_are_averaged_and_seeds_are_a_band() -> None:
    def record(losses: list[float]) -> dict[str, object]:
        curve = {"step": [1, 2, 3], "loss": losses}
        nothing = {"step": [], "loss": []}
        return {"training": {"stage1": {"loss": curve}, "stage2": {"loss": nothing}}}

    (band,) = learning.bands_of({0: record([3, 2, 1]), 1: record([5, 4, 1])})
    assert band.mean.tolist() == [4, 3, 1]
    assert band.low.tolist() == [3, 2, 1] and band.high.tolist() == [5, 4, 1]
    assert learning.bands_of({}) == []


def test_losses_have_numbers_on_their_logarithmic_axis(data: Data) -> None:
    one = sketches(learning, data)[0]
    one.figure.draw_without_rendering()
    axes = one.figure.axes[0]
    low, high = axes.get_ylim()
    shown = [t for t in axes.get_yticklabels() if low <= t.get_position()[1] <= high]
    assert axes.get_yscale() == "log" and len([t for t in shown if t.get_text()]) >= 2


def test_smoothing_keeps_what_is_constant() -> None:
    assert learning.smoothed(np.full(40, 0.5)) == pytest.approx(np.full(40, 0.5))
    values = np.arange(40.0)
    assert learning.smoothed(values)[20] == pytest.approx(20)
    assert learning.smoothed(values)[0] == pytest.approx(np.mean(values[:3]))


def test_learning_has_a_panel_a_cell_and_says_what_failed(data: Data) -> None:
    with look():
        first = next(learning.draw(data))
    assert sum(axes.get_visible() for axes in first.figure.axes) == 18
    assert made_results.FAILED == "stsa_flow-cycles" and "align=cycles failed" in first.caption


# Growth


def test_growth_fits_the_exponent(tmp_path: Path) -> None:
    rows = [
        BENCH | {"frames": frames, "latency": 0.001 * frames**2, "name": name}
        for name in ("temporal", "crossframe_all")
        for frames in (8, 16, 32)
    ]
    rows += [BENCH | {"frames": 64, "status": "out_of_memory", "latency": None}]
    rows += [BENCH | {"height": 32, "frames": 8, "peer": True}]
    (tmp_path / "bench").mkdir()
    path = tmp_path / "bench" / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    one, other = growth.series_of(growth.rows_of(path)).values()
    assert one.axis == "frames" and one.sizes == (8, 16, 32) and one.memory == (1, 1, 1)
    assert {one.name, other.name} == {"temporal", "crossframe_all"}
    with look():
        drawn = growth._sketch("module", "frames", [one, other], 5)
    assert "temporal 2.00" in drawn.alt and "3 other series" in drawn.caption
    assert [t.get_text() for t in drawn.figure.legends[0].get_texts()] == [
        "temporal (2.00)", "crossframe_all (2.00)",
    ]  # fmt: skip


def test_growth_is_a_line_a_mechanism_of_one_setting() -> None:
    def rows(name: str, height: int, options: dict[str, object], **other: object) -> list[object]:
        own = {"name": name, "height": height, "options": options, "rounds": 2}
        return [BENCH | own | {"frames": frames} | other for frames in (8, 16, 32)]

    measured = [
        *rows("temporal", 16, {}), *rows("temporal", 32, {}), *rows("temporal", 64, {}),
        *rows("temporal", 32, {}, backward=True),
        *rows("stsa", 32, {"shift": True}), *rows("stsa", 32, {"shift": False}),
    ]  # fmt: skip
    found = list(growth.series_of(measured).values())  # type: ignore[arg-type]
    found = [one for one in found if one.axis == "frames"]
    drawn = growth.chosen(found)
    assert [(one.name, one.options) for one in drawn] == [("temporal", ""), ("stsa", "shift=false")]
    assert {one.setting for one in drawn} == {"512 tokens per frame, 64 channels, fp32"}
    with look():
        said = growth._sketch("module", "frames", drawn, len(found)).caption
    assert "at least 2 interleaved rounds" in said and "one module, forward" in said
    assert "stsa with shift=false" in said and "4 other series" in said


def test_a_series_is_one_files_and_one_machines() -> None:
    def rows(latency: float, frames: tuple[int, ...], **changes: object) -> list[growth.Row]:
        return [BENCH | {"frames": f, "latency": latency} | changes for f in frames]

    many, few = rows(0.001, (8, 16, 32)), rows(0.1, (16, 32))
    for files in ((many, few), (few, many)):
        (one,) = growth.longest(map(growth.series_of, files))
        assert one.sizes == (8, 16, 32) and one.latency == (1, 1, 1)
    machines = [{"cpu": "a", "threads": 1}, {"cpu": "a", "threads": 2}, {"cpu": "b", "threads": 2}]
    mixed = [row for m in machines for row in rows(0.001, (8, 16), environment=m)]
    found = growth.longest([growth.series_of(mixed)])
    assert [one.machine for one in found] == ["a, 1 thread", "a, 2 threads", "b, 2 threads"]
    (one,) = growth.chosen(found)
    assert one.machine == "a, 1 thread"


def test_a_broken_line_of_the_bench_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(BENCH) + "\n{}\n")
    with pytest.raises(UserError, match=r"rows\.jsonl, line 2: not a row of the bench"):
        growth.rows_of(path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"status": "ok", "predicted": false, "peer": false}', "it lacks frames, height"),
        (json.dumps(BENCH | {"what": "../../up"}), "what is '../../up', not module, level, unet"),
        (json.dumps(BENCH | {"frames": 0}), "frames is 0, not a number above 0"),
        (json.dumps(BENCH | {"latency": None}), "latency is None"),
        (json.dumps(BENCH | {"latency": 10**400}), "row.latency must be a finite number"),
        (json.dumps(BENCH | {"peak_memory": "much"}), "peak_memory is 'much'"),
        (json.dumps(BENCH | {"name": 3}), "name is 3, not a text"),
        (json.dumps(BENCH | {"options": []}), "options is \\[\\], not an object"),
        (json.dumps(BENCH | {"environment": "here"}), "environment is 'here'"),
        ("[" * 5000, "RecursionError"),
        (b"\xff\xfe", "UnicodeDecodeError"),
    ],
)
def test_a_row_that_cannot_be_drawn_is_named(tmp_path: Path, line: str | bytes, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(line if isinstance(line, bytes) else line.encode())
    with pytest.raises(UserError, match=rf"rows\.jsonl, line 1: not a row of the bench: .*{said}"):
        growth.rows_of(path)


# Figures from videos


def test_a_slice_is_its_row_over_time() -> None:
    video = np.zeros((5, 6, 4, 3), np.uint8)
    video[:, 2] = np.arange(5)[:, None, None]
    assert x_t_slice(video, 2)[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert x_t_slice(video, 3).sum() == 0
    boxes = [(0.0, 1.0, 2.0, 3.0), None, (0.0, 2.0, 2.0, 4.0), (0.0, 2.0, 2.0, 4.0)]
    assert middle_row(boxes, 6) == 3  # the median of 2, 3, 3
    assert middle_row([None], 6) is None


def test_a_crop_is_about_its_box_and_stays_inside() -> None:
    frame = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    assert (crop(frame, (3, 3, 5, 5), 4) == frame[2:6, 2:6]).all()
    assert (crop(frame, (0, 6, 2, 8), 4) == frame[4:8, 0:4]).all()
    assert square([(0, 0, 2, 3), None, (0, 0, 4, 1)], 1.5) == 7


def test_frames_are_spread_over_the_clip() -> None:
    assert spread(16, 8) == [0, 2, 4, 6, 9, 11, 13, 15]
    assert spread(3, 8) == [0, 1, 2]


def test_videos_come_back_at_their_own_size(filmed: Path) -> None:
    path = filmed / "clips" / "real" / "person0-dance0.mp4"
    frames = read_video(path, 64)
    assert frames.shape == (16, 64, 64, 3)
    red = frames[5, 28:36, 29:39].reshape(-1, 3).mean(0)  # the logo, where `made_results` draws it
    assert red[0] > 180 and red[1] < 80
    with pytest.raises(UserError, match="256x256 pixels are no whole multiple of size 60"):
        read_video(path, 60)
    broken = filmed / "broken.mp4"
    broken.write_text("no video")
    with pytest.raises(UserError, match=r"broken\.mp4: not a video"):
        read_video(broken, 64)


@pytest.mark.parametrize("side", [60_000, 10_000])
def test_a_picture_that_would_take_all_memory_is_refused(tmp_path: Path, side: int) -> None:
    path = tmp_path / "0.png"
    path.write_bytes(png_header(side, side))
    with pytest.raises(UserError, match=r"0\.png: not a picture that can be read: .*exceeds limit"):
        read_picture(path, 64)
    with pytest.raises(UserError, match=r"0\.png: not a picture that can be read: .*exceeds limit"):
        picture(Plot("0", "", "", "", (path,)))


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"<svg>", b'<svg width="1.2.3pt" height="1pt">'],
    ids=["bytes", "no size", "no number"],
)  # fmt: skip
def test_an_svg_without_a_size_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "0.svg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"0\.svg: "):
        picture(Plot("0", "", "", "", (path,)))


def test_figures_four_and_five_are_drawn_from_the_videos(filmed: Path) -> None:
    (filmed / "clips" / "disco" / "person3-dance3.mp4").unlink()
    data = Data.read(filmed)
    (four,), (five,) = sketches(samples, data), sketches(comparison, data)
    assert "VD + SA + MF" in four.title
    assert "“seen person, seen pose” and “unseen person, unseen pose”" in four.alt
    pictures = [axes for axes in four.figure.axes if axes.images]
    assert len(pictures) == 2 * (3 * samples.SHOWN + 1)
    # Of six methods one has no video; frame 4 has a logo, so no crop is missing of the shown ones.
    slices = [axes for axes in five.figure.axes if axes.images and axes.get_aspect() == "auto"]
    assert len(slices) == 5
    real = read_video(filmed / "clips" / "real" / "person3-dance3.mp4", 64)
    assert (slices[-1].images[0].get_array() == real[:, 32]).all()
    assert "Missing: DisCo-style" in five.caption


def test_the_most_complex_clip_with_a_logo_is_compared(data: Data) -> None:
    def clip(scenario: str, box: object) -> ShownClip:
        return ShownClip("c", scenario, 8, 1, 64, (box,))  # type: ignore[arg-type]

    class Shown:
        clips = (
            clip("unseen person, unseen pose", None),
            clip("unseen person, seen pose", (0, 0, 1, 1)),
            clip("seen person, unseen pose", (0, 0, 1, 1)),
        )

    found = comparison.shown_clip(Shown())  # type: ignore[arg-type]
    assert found is not None and found.scenario == "unseen person, seen pose"


def test_receptive_fields_are_drawn_from_their_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "protocol.json").write_text((folder / "protocol.json").read_text())
    assert isinstance(next(attention.draw(Data.read(tmp_path))), LeftOut)
    (tmp_path / "figures").mkdir()
    mask = np.zeros((2, 3, 3), bool)
    mask[:, 1, 1] = True
    file = tmp_path / "figures" / "figure3.npz"
    np.savez(file, query=np.array([1, 1, 1]), temporal=mask)
    (one,) = sketches(attention, Data.read(tmp_path))
    assert "temporal 2 of 18" in one.alt
    file.write_bytes(b"no masks")
    with pytest.raises(UserError, match=r"figure3\.npz: not masks with a query"):
        next(attention.draw(Data.read(tmp_path)))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"a": np.zeros((2, 3, 3)), "b": np.zeros((3, 3, 3))}, "all alike"),
        ({"a": np.zeros((2, 3, 3)), "b": np.zeros((2, 3, 4))}, "all alike"),
        ({"a": np.zeros((0, 3, 3))}, "all alike"),
        ({"a": np.zeros((3, 3))}, "all alike"),
        ({}, "all alike"),
        ({"a": np.zeros((2, 3, 3)), "query": np.array([2, 0, 0])}, "a place in them"),
        ({"a": np.zeros((2, 3, 3)), "query": np.array([0.0, np.inf, 0.0])}, "not masks"),
        ({"a": np.zeros((501, 3, 3))}, r"1 masks of \(501, 3, 3\); at most 500 frames"),
        ({"a": np.zeros((1, 1, 129))}, "with 128 tokens a side"),
    ],
)
def test_masks_that_cannot_be_drawn_are_named(
    data: Data, tmp_path: Path, arrays: dict[str, np.ndarray], said: str
) -> None:
    (tmp_path / "figures").mkdir()
    np.savez(tmp_path / attention.FILE, **({"query": np.array([0, 0, 0])} | arrays))
    elsewhere = Data(replace(data.folder, path=tmp_path), data.scores)
    with pytest.raises(UserError, match=rf"figure3\.npz: .*{said}"):
        next(attention.draw(elsewhere))


def test_every_measure_that_plots_show_is_one_of_the_records(data: Data) -> None:
    scored = set(next(iter(data.folder.records_of("none").values()))["scores"])
    assert set(scenarios.SCORES) <= set(MEASURES) and set(MEASURES) <= scored
