"""A video of 5,000 frames is read in the memory that one of half as many takes.

    python -m pytest tests/load/test_long_video.py -s

Small pictures stay in memory up to `KEPT_BYTES`, once as the file is decoded and once as clips ask
for them: a video that is shorter than both takes less. `attnzoo.score` has whole videos in memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np

FRAMES, HALF = 5_000, 2_500
SIDE, CLIP = 64, 16
MIB = 2**20
READ = """
import json, sys
from attnzoo.data.video import open_video

def peak(): # of this process; getrusage begins with its parent's
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

before = peak()
source = open_video(sys.argv[1], size=64, frames=16, windows=int(sys.argv[2]))
frames = sum(len(source.train[i].video) for i in range(len(source.train)))
print(json.dumps([before, peak(), frames]))
"""


def written(path: Path, count: int) -> Path:
    """A video in which a bright square goes from left to right, again and again."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width = stream.height = SIDE
        for number in range(count):
            picture = np.full((SIDE, SIDE, 3), 60, np.uint8)
            left = number % (SIDE - 8)
            picture[20:44, left : left + 8] = 220
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    return path


def grown(path: Path, count: int) -> int:
    """Bytes by which a process grows that opens a video and reads all windows of it."""
    windows = count // CLIP
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path), str(windows)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    before, peak, frames = json.loads(done.stdout)
    assert frames == windows * CLIP
    return int(peak - before)


def test_a_long_video_is_read_in_constant_memory(tmp_path: Path) -> None:
    half, whole = (
        grown(written(tmp_path / f"{count}.mp4", count), count) for count in (HALF, FRAMES)
    )
    print(f"{HALF} frames: {half / MIB:.0f} MiB, {FRAMES} frames: {whole / MIB:.0f} MiB")
    assert whole - half < 100 * MIB
