"""The procedural dancer: pictures, surface coordinates and exact flow of textured capsules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnzoo.data.choreography import PARTS, RADII, Dance
from attnzoo.data.wardrobe import ALONG, AROUND

Array = NDArray[np.float32]

Indices = NDArray[np.integer]

PALETTE = np.array(
    [
        [0.90, 0.10, 0.10], [1.00, 0.75, 0.10], [0.10, 0.45, 0.95], [0.10, 0.85, 0.95],
        [0.15, 0.65, 0.15], [0.60, 0.95, 0.25], [0.55, 0.15, 0.80], [0.90, 0.45, 0.95],
        [0.95, 0.45, 0.15], [0.60, 0.60, 0.60],
    ],
    np.float32,
)  # fmt: skip
"""A colour for each part, for pose pictures."""


@dataclass(frozen=True)
class Figure:
    """One dance rasterised, without its clothes.

    Over all frames `[f, H, W]`: part (-1 none), u (along the axis, 0..1), v (radians around it),
    beyond (pixels past the axis's end, signed), cover (share of the pixel, 0..1). Per frame and
    part: start, axis (unit), normal `[f, 10, 2]`, length, turn `[f, 10]`; skeleton
    `[f, H, W, 3]`; camera `[f, 2]` the picture's shift in pixels.
    """

    part: NDArray[np.int8]
    u: Array
    v: Array
    beyond: Array
    cover: Array
    start: Array
    axis: Array
    normal: Array
    length: Array
    turn: Array
    radius: Array
    skeleton: Array
    camera: Array

    def flow(self, k: int, r: int) -> tuple[Array, NDArray[np.bool_]]:
        """Exact motion of every pixel of frame k to frame r.

        Returns flow `[2, H, W]` in pixels (x to the right, y down), and `[H, W]` whether what
        is seen at the pixel in frame k is seen in frame r too.
        """
        height, width = self.part.shape[1:]
        shift = self.camera[r] - self.camera[k]
        flow = np.empty((2, height, width), np.float32)
        flow[:] = shift[:, None, None]
        y, x = np.nonzero(self.part[k] >= 0)
        part = self.part[k, y, x]
        radius, beyond = self.radius[part], self.beyond[k, y, x]
        half = np.sqrt(np.maximum(radius**2 - beyond**2, 0))
        angle = self.v[k, y, x] - self.turn[r, part]
        along = (self.u[k, y, x] * self.length[r, part] + beyond)[:, None]
        side = (half * np.sin(angle))[:, None]
        target = self.start[r, part] + along * self.axis[r, part] + side * self.normal[r, part]
        flow[0, y, x], flow[1, y, x] = target[:, 0] - x, target[:, 1] - y
        return flow, self._visible(k, r, flow, np.cos(angle) > 0, (y, x))

    def _visible(
        self, k: int, r: int, flow: Array, facing: NDArray[np.bool_], body: tuple[Indices, Indices]
    ) -> NDArray[np.bool_]:
        height, width = self.part.shape[1:]
        grid_y, grid_x = np.mgrid[0:height, 0:width]
        to_x = np.rint(grid_x + flow[0]).astype(np.int32)
        to_y = np.rint(grid_y + flow[1]).astype(np.int32)
        inside = (to_x >= 0) & (to_x < width) & (to_y >= 0) & (to_y < height)
        there = self.part[r, to_y.clip(0, height - 1), to_x.clip(0, width - 1)]
        visible: NDArray[np.bool_] = inside & (there == self.part[k])
        visible[body] &= facing
        return visible


def camera_path(seed: int, frames: int, size: int) -> Array:
    """Shift of the picture in pixels `[frames, 2]`: a slow pan that ends within `size` / 4."""
    rng = np.random.default_rng([seed, 0xCA])
    direction = rng.uniform(0, 2 * np.pi)
    reach = rng.uniform(0.1, 0.2) * size * np.linspace(0, 1, frames)
    return np.stack([reach * np.cos(direction), 0.3 * reach * np.sin(direction)], -1).astype("f4")


def rasterise(dance: Dance, times: Array, size: int, camera: Array | None = None) -> Figure:
    """Draws all parts of a dance at `times` into a depth buffer, `size` pixels square."""
    segments, turn = dance.segments(times)
    frames, segments = len(times), segments * size
    shift = np.zeros((frames, 2), np.float32) if camera is None else camera
    segments[..., :2] += shift[:, None, None]
    start, end = segments[:, :, 0], segments[:, :, 1]
    difference = (end - start)[..., :2]
    length = np.maximum(np.linalg.norm(difference, axis=-1), 1e-3)
    axis = difference / length[..., None]
    # across the axis, so that the figure's own left stays left when a part points down or up
    flip = np.where(np.arange(len(PARTS)) < 2, -1.0, 1.0)[None, :, None]
    normal = np.stack([axis[..., 1], -axis[..., 0]], -1) * flip
    radius = RADII * size
    shape = (frames, size, size)
    depth = np.full(shape, -np.inf, np.float32)
    part = np.full(shape, -1, np.int8)
    u, v, beyond, cover = (np.zeros(shape, np.float32) for _ in range(4))
    skeleton = np.zeros((*shape, 3), np.float32)
    for p in range(len(PARTS)):
        low, high = _box(segments[:, p, :, :2], radius[p] + 1, size)
        box = (slice(None), slice(low[1], high[1]), slice(low[0], high[0]))
        y = np.arange(low[1], high[1], dtype=np.float32)[None, :, None]
        x = np.arange(low[0], high[0], dtype=np.float32)[None, None, :]
        local = [c[:, None, None] for c in (*start[:, p].T, *axis[:, p].T, *normal[:, p].T)]
        x0, y0, z0, ax, ay, nx, ny = local
        along = (x - x0) * ax + (y - y0) * ay
        side = (x - x0) * nx + (y - y0) * ny
        far = length[:, p, None, None]
        inner = np.clip(along, 0, far)
        past = along - inner
        distance = np.sqrt(past**2 + side**2)
        covered = np.clip(radius[p] + 0.5 - distance, 0, 1)
        np.maximum(cover[box], covered, out=cover[box])
        share = inner / far
        half = np.sqrt(np.maximum(radius[p] ** 2 - past**2, 1e-6))
        sine = np.clip(side / half, -1, 1)
        bulge = np.sqrt(np.maximum(radius[p] ** 2 - distance**2, 0))
        z = z0 + share * (end[:, p, 2] - start[:, p, 2])[:, None, None] + bulge
        # a part's soft edge never hides a pixel that another part fills
        z = np.where(covered < 0.5, z - 4 * size, z)
        front = (covered > 0) & (z > depth[box])
        np.copyto(depth[box], z, where=front)
        np.copyto(part[box], np.int8(p), where=front)
        np.copyto(u[box], share, where=front)
        np.copyto(v[box], np.arcsin(sine) + turn[:, p, None, None], where=front)
        np.copyto(beyond[box], past, where=front)
        line = np.clip(1.5 - distance, 0, 1)[..., None]
        skeleton[box] += line * (PALETTE[p] - skeleton[box])
    part[cover < 0.5] = -1
    return Figure(
        part, u, v, beyond, cover, start[..., :2], axis, normal, length, turn, radius,
        skeleton, shift,
    )  # fmt: skip


def _box(ends: Array, margin: float, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The part's bounding box over all frames, at least one pixel large, inside the picture."""
    low = np.clip(np.floor(ends.min((0, 1)) - margin), 0, size - 1).astype(int)
    high = np.clip(np.ceil(ends.max((0, 1)) + margin) + 1, low + 1, size).astype(int)
    return (int(low[0]), int(low[1])), (int(high[0]), int(high[1]))


def pose_image(figure: Figure) -> Array:
    """The dancer as DensePose shows it `[f, 6, H, W]`: part colour, U, cosine and sine of V."""
    on = (figure.part >= 0)[:, None]
    colour = PALETTE[np.maximum(figure.part, 0)].transpose(0, 3, 1, 2)
    round_ = [0.5 + 0.5 * np.cos(figure.v), 0.5 + 0.5 * np.sin(figure.v)]
    image: Array = np.concatenate([colour, np.stack([figure.u, *round_], 1)], 1) * on
    return image.astype(np.float32)


def dress(figure: Figure, textures: Array, place: Array) -> Array:
    """Paints a figure: video `[f, H, W, 3]` in [0, 1].

    Args:
        figure: the rasterised dance.
        textures: `[10, ALONG, AROUND, 3]`, see `wardrobe.person`.
        place: the background of each frame `[f, H, W, 3]` or of all `[H, W, 3]`.
    """
    seen = np.nonzero(figure.cover > 0)
    part, u, v = np.maximum(figure.part[seen], 0), figure.u[seen], figure.v[seen]
    colour = _lookup(textures, part, u * (ALONG - 1), v * (AROUND / (2 * np.pi)))
    facing = np.cos(v - figure.turn[seen[0], part])
    colour *= (0.8 + 0.2 * facing)[:, None]
    video = np.broadcast_to(place, (*figure.part.shape, 3)).copy()
    share = figure.cover[seen][:, None]
    video[seen] += share * (colour - video[seen])
    return video


def printed(figure: Figure, place: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a sign on the torso's texture is seen: `[f, H, W]`.

    Args:
        figure: the rasterised dance.
        place: `[ALONG, AROUND]`, where the sign is.
    """
    row = np.rint(figure.u * (ALONG - 1)).astype(int).clip(0, ALONG - 1)
    column = np.rint(figure.v * (AROUND / (2 * np.pi))).astype(int) % AROUND
    seen: NDArray[np.bool_] = (figure.part == PARTS.index("torso")) & place[row, column]
    return seen


def _lookup(textures: Array, part: NDArray[np.int8], row: Array, column: Array) -> Array:
    """Bilinear reading; columns go round."""
    i, j = np.floor(row).astype(np.int32), np.floor(column).astype(np.int32)
    a, b = (row - i)[:, None], (column - j)[:, None]
    below, right = np.minimum(i + 1, ALONG - 1), (j + 1) % AROUND
    i, j = np.clip(i, 0, ALONG - 1), j % AROUND
    flat = textures.reshape(-1, 3)
    base = part.astype(np.int32) * ALONG
    top = (base + i) * AROUND
    bottom = (base + below) * AROUND
    upper = flat[top + j] * (1 - b) + flat[top + right] * b
    lower = flat[bottom + j] * (1 - b) + flat[bottom + right] * b
    mixed: Array = upper * (1 - a) + lower * a
    return mixed
