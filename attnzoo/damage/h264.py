"""H.264 compression of the clip."""

from __future__ import annotations

import io

import av
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from attnzoo.damage._damage import Damage, Kind, Scene, register


def _apply(clip: Tensor, grade: float, scene: Scene) -> Tensor:
    height, width = clip.shape[-2:]
    even = F.pad(clip, (0, width % 2, 0, height % 2), mode="replicate")
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=8)
        stream.height, stream.width = even.shape[-2:]
        stream.pix_fmt = "yuv420p"
        # The encoder's assembly does not give the same bytes each time, nor do several threads.
        stream.options = {
            "crf": str(round(grade)),
            "preset": "medium",
            "threads": "1",
            "x264-params": "no-asm=1",
        }
        for frame in (255 * even).round().to(torch.uint8).permute(0, 2, 3, 1).numpy():
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            out.mux(stream.encode(picture.reformat(format="yuv420p")))
        out.mux(stream.encode())
    file.seek(0)
    with av.open(file, "r") as back:
        frames = [frame.to_ndarray(format="rgb24") for frame in back.decode(video=0)]
    video = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255
    return video[..., :height, :width]


register(
    Damage(
        name="h264",
        title="H.264 of the clip at a constant rate factor of the grade",
        kind=Kind.spatial,
        unit="crf",
        grades=(20, 27, 34, 41, 48),
        apply=_apply,
    )
)
