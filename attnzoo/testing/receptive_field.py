"""Receptive fields: which tokens a token attends to, as masks and as the paper's Figure 3."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attnzoo import registry
from attnzoo.errors import UserError
from attnzoo.files import replacing
from attnzoo.motion import Motion

Token = tuple[int, int, int]
"""Frame, row, column; or the numbers of them."""

DRAWN: Token = (8, 12, 12)
QUERY: Token = (5, 6, 5)
"""The clip that pictures show, and the token whose field it is."""


def receptive_field(
    name: str, query: Token, shape: Token, /, *, flow: Motion | Tensor | None = None, **options: Any
) -> Tensor:
    """The tokens that one module's delta at `query` depends on, `[f, h, w]` bool.

    Args:
        name: a variant, a plug-in too.
        query: frame, row and column of the token, from 0.
        shape: frames, rows and columns of the clip.
        flow: for variants that follow motion, the motion of one clip, or its flow `[1, f, 2, h, w]`
            in cells; without it all that may be seen for some flow.
        options: as `attnzoo.create` takes them.

    Raises:
        UserError: unknown variant or option, a query outside the clip, flow for a variant that
            does not look at it.
    """
    if len(shape) != 3 or any(length < 1 for length in shape):
        raise UserError(f"shape={shape}: must be three positive numbers (frames, rows, columns)")
    if len(query) != 3 or any(not 0 <= at < n for at, n in zip(query, shape, strict=True)):
        raise UserError(f"query={query}: must lie within the clip, from (0, 0, 0) below {shape}")
    if flow is not None and not registry.get(name).needs_flow:
        raise UserError(f"{name} follows no motion: leave flow out")
    return _seen(registry.create(name, **options), query, shape, flow)


def _seen(module: Any, query: Token, shape: Token, flow: Motion | Tensor | None) -> Tensor:
    follows = {} if flow is None else {"flow": flow}
    return torch.as_tensor(module.sees(query, shape, **follows))


def slot_receptive_field(
    name: str, query: Token, shape: Token, /, *, flow: Motion | Tensor | None = None, **options: Any
) -> Tensor:
    """What all modules of one slot together let `query` depend on, `[f, h, w]` bool.

    The last module sees tokens that the one before it has changed, and so on back to the input;
    every module's residual connection passes the token itself on.

    Args: as `receptive_field` has them; options that the slot fixes are not among them.
    """
    reached = torch.zeros(shape, dtype=torch.bool)
    reached[query] = True
    for fixed in reversed(registry.get(name).modules):
        module = registry.create(name, **fixed, **options)
        for token in torch.nonzero(reached).tolist():
            reached |= _seen(module, (token[0], token[1], token[2]), shape, flow)
    return reached


def drift(frames: int, rows: int, columns: int) -> Motion:
    """A motion to draw with: everything moves one cell to the right from frame to frame."""

    def pair(k: int, r: int) -> Tensor:
        flow = torch.zeros(1, 2, rows, columns)
        flow[:, 0] = r - k
        return flow

    return Motion(pair, batch=1, frames=frames)


def draw(name: str, path: Path, /, **options: Any) -> None:
    """Draws a variant's receptive field as in Figure 3: 8 frames of 12x12 patches in a row.

    One row for each module of a slot, and one for both, one after the other. The query is outlined,
    what it depends on is coloured. Variants that follow motion are drawn with everything moving
    one patch to the right from frame to frame. Written beside and renamed.
    """
    shape, query = DRAWN, QUERY
    entry = registry.get(name)
    flow = drift(*shape) if entry.needs_flow else None
    rows = {
        ", ".join(["one module", *(f"{k}={v}" for k, v in fixed.items())]): receptive_field(
            name, query, shape, flow=flow, **fixed, **options
        )
        for fixed in entry.modules
    }
    if not rows:
        rows = {"no module": receptive_field(name, query, shape, **options)}
    if len(entry.modules) > 1:
        rows["a slot's modules, one after the other"] = slot_receptive_field(
            name, query, shape, flow=flow, **options
        )
    _draw_rows(rows, query, path)


def save(path: Path, variants: Mapping[str, tuple[str, Mapping[str, Any]]], /) -> None:
    """Stores one module's receptive field of several variants, for who draws them without torch.

    The clip and the query are those of `draw`. The file is NumPy's `npz`: a mask `[f, h, w]` bool
    by label, and `query`, three integers. Written beside and renamed.

    Args:
        path: the file.
        variants: by label, the variant's name and its options.

    Raises:
        UserError: unknown variant or option.
    """
    masks: dict[str, Any] = {}
    for label, (name, options) in variants.items():
        entry = registry.get(name)
        fixed = entry.modules[0] if entry.modules else {}
        flow = drift(*DRAWN) if entry.needs_flow else None
        masks[label] = receptive_field(name, QUERY, DRAWN, flow=flow, **options, **fixed).numpy()
    with replacing(path) as beside, beside.open("wb") as file:
        np.savez(file, query=np.array(QUERY), **masks)


def _draw_rows(rows: dict[str, Tensor], query: Token, path: Path) -> None:
    # pyplot's state is not touched, so that a notebook's own backend stays.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    frames = next(iter(rows.values())).shape[0]
    figure = Figure(figsize=(1.25 * frames, 1.5 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = np.atleast_2d(figure.subplots(len(rows), frames, squeeze=False))
    for row, ((title, field), axes) in enumerate(zip(rows.items(), grid, strict=True), 1):
        for frame, axis in enumerate(axes):
            picture = field[frame].numpy()
            axis.imshow(picture, cmap=ListedColormap(["#eef1f4", "#4c8dd6"]), vmin=0, vmax=1)
            height, width = picture.shape
            axis.set_xticks(np.arange(-0.5, width), [])
            axis.set_yticks(np.arange(-0.5, height), [])
            axis.grid(color="white", linewidth=0.6)
            axis.tick_params(length=0)
            axis.spines[:].set_visible(False)
            if frame == query[0]:
                corner = (query[2] - 0.5, query[1] - 0.5)
                axis.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="#d62728", lw=2))
            if row == len(rows):
                axis.set_xlabel(f"frame {frame}", fontsize=8)
        axes[0].set_title(title, fontsize=9, loc="left")
    temporary = path.with_name(f"{path.stem}.tmp{path.suffix}")
    figure.savefig(temporary, dpi=100)
    temporary.replace(path)
