"""The pictures of a run: `loss.png`, `strip.png`, `sample.mp4`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from attnzoo.data.clip import Clip
from attnzoo.files import replacing

Picture = NDArray[np.uint8]
"""`[H, W, 3]`."""

COLUMNS = ("reference", "pose", "generated", "real")
CELL, PANEL = 96, 256
"""Least height of a frame in pixels, in the strip and in the video."""
LABEL = 76
LINE = 18
_INK, _PAPER = (30, 30, 30), (255, 255, 255)


@dataclass(frozen=True)
class Shown:
    """A clip and what was generated for it, `[f, 3, H, W]` in [0, 1]."""

    clip: Clip
    generated: Tensor

    @property
    def title(self) -> str:
        """Name and scenario."""
        return f"{self.clip.name}  {self.clip.scenario}".strip()

    def rows(self) -> dict[str, list[Picture]]:
        """Pictures by row; the reference is foreground and background, the others have frames."""
        clip = self.clip
        return {
            "reference": [picture(clip.foreground), picture(clip.background)],
            "pose": [picture(frame[:3]) for frame in clip.pose],
            "generated": [picture(frame) for frame in self.generated],
            "real": [picture(frame) for frame in clip.video],
        }


def picture(image: Tensor) -> Picture:
    """`[3, H, W]` in [0, 1] to 8 bits."""
    values = image.detach().float().cpu().clamp(0, 1).mul(255).round()
    done: Picture = values.permute(1, 2, 0).numpy().astype(np.uint8)
    return done


def enlarged(image: Picture, height: int) -> Picture:
    """Each pixel as a square of pixels, the least whole factor that gives at least `height`."""
    factor = max(1, math.ceil(height / image.shape[0]))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def write_loss(path: Path, losses: Mapping[str, Sequence[float]]) -> None:
    """The loss of each stage over its steps: every step faint, a running mean of them bold."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, max(len(losses), 1), squeeze=False)[0]
    for axes, (name, values) in zip(panels, losses.items(), strict=False):
        steps = np.arange(1, len(values) + 1)
        axes.plot(steps, values, color="tab:blue", alpha=0.3, linewidth=0.8)
        width = max(1, len(values) // 20)
        if len(values) >= width > 1:
            mean = np.convolve(values, np.ones(width) / width, mode="valid")
            axes.plot(steps[width - 1 :], mean, color="tab:blue", label=f"mean of {width} steps")
            axes.legend(frameon=False)
        elif not values:
            axes.text(0.5, 0.5, "no steps", ha="center", transform=axes.transAxes)
        axes.set(title=name, xlabel="step", ylabel="loss")
        axes.grid(alpha=0.3)
    with replacing(path) as beside:
        figure.savefig(beside, dpi=120)


def write_strip(path: Path, shown: Sequence[Shown]) -> None:
    """One block a clip: the rows of `COLUMNS`, labelled, frames from left to right."""
    blocks = [_block(one) for one in shown]
    width = max(block.width for block in blocks)
    sheet = Image.new("RGB", (width, sum(block.height for block in blocks)), _PAPER)
    top = 0
    for block in blocks:
        sheet.paste(block, (0, top))
        top += block.height
    with replacing(path) as beside:
        sheet.save(beside)


def _block(shown: Shown) -> Image.Image:
    rows = {name: [enlarged(p, CELL) for p in row] for name, row in shown.rows().items()}
    height, width = rows["real"][0].shape[:2]
    frames = len(rows["real"])
    sheet = Image.new("RGB", (LABEL + frames * (width + 2), LINE + 4 * (height + 2)), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    draw.text((4, 2), shown.title, fill=_INK, font=font)
    for r, name in enumerate(COLUMNS):
        top = LINE + r * (height + 2)
        draw.text((4, top + height // 2 - 7), name, fill=_INK, font=font)
        for f, frame in enumerate(rows[name][:frames]):
            sheet.paste(Image.fromarray(frame), (LABEL + f * (width + 2), top))
    return sheet


def write_video(path: Path, shown: Sequence[Shown], fps: int) -> None:
    """The clips one after the other as h264, `COLUMNS` side by side with their names above."""
    encode(path, [frame for one in shown for frame in _panels(one)], fps)


def encode(path: Path, frames: Sequence[Picture], fps: int) -> None:
    """Frames of equal, even size as h264 that every browser plays."""
    with replacing(path) as beside:
        try:
            _encode(beside, frames, fps)
        except av.error.ExternalError as error:
            # x264 does not say why. Size and options are right, so that only memory can be wanting.
            raise MemoryError(f"{path}: x264 could not begin, for want of memory") from error


def _encode(path: Path, frames: Sequence[Picture], fps: int) -> None:
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as file:
        stream = file.add_stream("libx264", rate=Fraction(fps))
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "16", "preset": "medium"}
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())


def _panels(shown: Shown) -> list[Picture]:
    """The video's frames, `[H, W, 3]` with H and W even."""
    rows = shown.rows()
    frames = len(rows["real"])
    rows["reference"] = [rows["reference"][0]] * frames
    header: Picture | None = None
    done = []
    for f in range(frames):
        panels = [enlarged(rows[name][f], PANEL) for name in COLUMNS]
        if header is None:
            header = _header(panels[0].shape[1])
        frame = np.concatenate([header, np.concatenate(panels, axis=1)])
        odd = ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0))
        done.append(np.pad(frame, odd, mode="edge"))
    return done


def _header(panel: int) -> Picture:
    sheet = Image.new("RGB", (panel * len(COLUMNS), LINE), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for i, name in enumerate(COLUMNS):
        draw.text((i * panel + 4, 2), name, fill=_INK, font=font)
    done: Picture = np.asarray(sheet)
    return done
