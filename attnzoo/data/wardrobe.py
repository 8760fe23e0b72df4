"""Persons and places: textures over each part's surface, and backgrounds, made from a seed."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

ALONG, AROUND = 24, 48
"""Texture cells along a part's axis and around it; V = 0 is the middle of the front."""


def _colour(rng: np.random.Generator, light: tuple[float, float] = (0.25, 0.95)) -> Array:
    rgb = colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(0.35, 1.0), rng.uniform(*light))
    return np.array(rgb, np.float32)


def _far_colour(rng: np.random.Generator, other: Array) -> Array:
    """A colour that can be told from `other` at a glance."""
    while True:
        colour = _colour(rng, (0.1, 1.0))
        if np.abs(colour - other).sum() > 0.9:
            return colour


def _cloth(rng: np.random.Generator, base: Array) -> Array:
    """A pattern over one part: plain, rings, stripes, checks or two halves."""
    u, v = np.meshgrid(np.arange(ALONG) / ALONG, np.arange(AROUND) / AROUND, indexing="ij")
    second = _far_colour(rng, base)
    n, kind = rng.integers(2, 4), rng.integers(0, 5)
    mask = (
        np.zeros_like(u, bool),
        (u * n + 0.25) % 1 < 0.4,
        (v * 2 * n) % 1 < 0.35,
        ((u * n) % 1 < 0.5) ^ ((v * 2 * n) % 1 < 0.5),
        u > rng.uniform(0.4, 0.7),
    )[kind]
    return np.where(mask[..., None], second, base).astype(np.float32)


def _logo(rng: np.random.Generator, texture: Array, middle: int) -> NDArray[np.bool_]:
    """Prints a two-coloured sign on a torso texture, centred at column `middle`.

    Returns `[ALONG, AROUND]`, where it is.
    """
    ground = _far_colour(rng, texture[8, middle])
    ink = _far_colour(rng, ground)
    y, x = np.mgrid[-5:6, -6:7]
    shape = rng.integers(0, 6)
    drawn = (
        (np.abs(x) < 2) | (np.abs(y) < 2),
        (np.hypot(x, y * 1.1) < 5) & (np.hypot(x, y * 1.1) > 2.2),
        np.abs(x) + np.abs(y) < 5,
        (x > 0) ^ (y > 0),
        np.abs(np.abs(x) - np.abs(y)) < 2,
        (y < -1) | (np.abs(x) < 2),
    )[shape]
    rows = slice(5 + rng.integers(0, 3), None)
    columns = (np.arange(-6, 7) + middle + rng.integers(-2, 3)) % AROUND
    patch = np.where(drawn[..., None], ink, ground)
    texture[rows][: len(patch), columns] = patch
    place = np.zeros((ALONG, AROUND), bool)
    place[rows][: len(patch), columns] = True
    return place


def person(seed: int) -> Array:
    """Textures `[10 parts, ALONG, AROUND, 3]` in [0, 1] of the person with this seed."""
    return _dressed(seed)[0]


def front_logo(seed: int) -> NDArray[np.bool_]:
    """Where the sign on the front of this person's torso is, `[ALONG, AROUND]`."""
    return _dressed(seed)[1]


def _dressed(seed: int) -> tuple[Array, NDArray[np.bool_]]:
    """All textures, and the place of the sign on the front."""
    rng = np.random.default_rng([seed, 0xBE])
    skin = np.array([0.95, 0.78, 0.65], np.float32) * rng.uniform(0.45, 1.0)
    hair, shirt, trousers = _colour(rng, (0.05, 0.9)), _colour(rng), _colour(rng)
    parts = np.empty((10, ALONG, AROUND, 3), np.float32)
    parts[0] = _cloth(rng, shirt)
    front, _ = (_logo(rng, parts[0], middle) for middle in (0, AROUND // 2))
    parts[1] = hair
    face = (np.arange(-9, 10)) % AROUND
    parts[1][:16, face] = skin
    for eye in (-4, 4):
        parts[1][9:12, (eye + np.arange(-1, 2)) % AROUND] = 0.05
    parts[1][3:5, np.arange(-3, 4) % AROUND] = (0.7, 0.15, 0.15)
    sleeve, leg = _cloth(rng, _colour(rng)), _cloth(rng, trousers)
    lower = _cloth(rng, trousers) if rng.uniform() < 0.5 else np.broadcast_to(skin, leg.shape)
    shoe = _colour(rng, (0.1, 1.0))
    for side in (0, 2):
        parts[2 + side] = sleeve
        parts[3 + side] = skin
        parts[3 + side][:, 16:32] = skin * 0.8
        parts[6 + side] = leg
        parts[7 + side] = lower
        parts[7 + side][20:] = shoe
    return parts, front


def background(seed: int, height: int, width: int) -> Array:
    """A picture `[height, width, 3]` in [0, 1]: a lit wall, a floor, some things standing there."""
    rng = np.random.default_rng([seed, 0xB6])
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    wall, floor = _colour(rng, (0.3, 0.9)), _colour(rng, (0.2, 0.7))
    light = (1 - 0.35 * np.hypot(x - rng.uniform(0, 1), y - rng.uniform(0, 0.5)))[..., None]
    picture = wall * light
    if rng.uniform() < 0.6:
        n = rng.integers(4, 9)
        picture = picture * np.where((x * n % 1 < 0.5)[..., None], 1.0, rng.uniform(0.75, 0.92))
    horizon = rng.uniform(0.68, 0.85)
    tiles = ((x * 6).astype(int) + ((y - horizon) * 12).astype(int)) % 2
    picture = np.where((y > horizon)[..., None], floor * (0.85 + 0.15 * tiles[..., None]), picture)
    for _ in range(rng.integers(2, 5)):
        left, top = rng.uniform(-0.1, width / height), rng.uniform(0, 0.6)
        wide, high = rng.uniform(0.1, 0.4, 2)
        inside = (x > left) & (x < left + wide) & (y > top) & (y < top + high)
        edge = inside & ((x < left + 0.03) | (y < top + 0.03))
        picture = np.where(inside[..., None], _colour(rng), picture)
        picture = np.where(edge[..., None], _colour(rng), picture)
    clipped: Array = np.clip(picture, 0, 1).astype(np.float32)
    return clipped
