"""Receptive fields: what `receptive_field` says is what gradients say, for slots too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import attnzoo
from attnzoo import registry
from attnzoo.errors import UserError
from attnzoo.testing.receptive_field import DRAWN, draw, drift, save

SHAPE = (5, 6, 7)
QUERY = (3, 2, 4)


def seen_by_gradient(modules, flow) -> torch.Tensor:
    x = torch.randn(1, *SHAPE, 8, dtype=torch.float64, requires_grad=True)
    y = x
    for module in modules:
        y = y + module.double()(y, flow=flow)
    delta = y if len(modules) != 1 else y - x
    (gradient,) = torch.autograd.grad(delta[(0, *QUERY)].pow(2).sum(), x)
    return gradient[0].abs().sum(-1) > 0


@pytest.mark.parametrize("name", registry.list_variants())
def test_a_slots_field_is_what_its_modules_reach_one_after_the_other(name: str) -> None:
    torch.manual_seed(0)
    entry = registry.get(name)
    flow = drift(*SHAPE) if entry.needs_flow else None
    modules = [registry.create(name, 8, 2, **fixed) for fixed in entry.modules]
    expected = seen_by_gradient(modules, flow)
    if len(modules) == 1:
        assert torch.equal(attnzoo.receptive_field(name, QUERY, SHAPE, flow=flow), expected)
    expected[QUERY] = True
    assert torch.equal(attnzoo.slot_receptive_field(name, QUERY, SHAPE, flow=flow), expected)


def test_options_count() -> None:
    field = attnzoo.receptive_field("stsa", QUERY, SHAPE, size=[2, 1, 3], shift=False)
    expected = torch.zeros(SHAPE, dtype=torch.bool)
    expected[2:4, 2:3, 3:6] = True
    assert torch.equal(field, expected)


def test_without_flow_all_that_may_be_seen() -> None:
    may = attnzoo.receptive_field("stsa_flow", QUERY, SHAPE)
    does = attnzoo.receptive_field("stsa_flow", QUERY, SHAPE, flow=drift(*SHAPE))
    assert (may | does).equal(may) and does.sum() < may.sum()


@pytest.mark.parametrize(
    ("query", "shape", "words"),
    [((5, 0, 0), SHAPE, "query="), ((0, -1, 0), SHAPE, "query="), ((0, 0, 0), (0, 1, 1), "shape=")],
)
def test_a_query_outside_the_clip_is_refused(query, shape, words: str) -> None:
    with pytest.raises(UserError, match=words):
        attnzoo.receptive_field("stsa", query, shape)


def test_flow_for_a_variant_without_is_refused() -> None:
    with pytest.raises(UserError, match="temporal follows no motion"):
        attnzoo.receptive_field("temporal", QUERY, SHAPE, flow=drift(*SHAPE))


@pytest.mark.parametrize("name", ["none", "stsa_flow", "crossframe_previous"])
def test_the_picture_shows_the_query_and_the_field(name: str, tmp_path: Path) -> None:
    draw(name, tmp_path / "field.png")
    picture = np.asarray(Image.open(tmp_path / "field.png").convert("RGB")).astype(int)
    red, _, blue = picture.transpose(2, 0, 1)
    assert (red - blue > 80).any()
    assert (blue - red > 80).any() == (name != "none")
    assert [p.name for p in tmp_path.iterdir()] == ["field.png"]


def test_the_command_draws_each_variant_into_the_folder(tmp_path: Path, capsys) -> None:
    from importlib import import_module

    import_module("attnzoo.show").command(["stsa", "none", "--picture", str(tmp_path / "pictures")])
    files = sorted((tmp_path / "pictures").iterdir())
    assert [path.name for path in files] == ["none.png", "stsa.png"]
    assert files[0].read_bytes() != files[1].read_bytes()
    assert str(files[0]) in capsys.readouterr().out


def test_stored_fields_are_the_fields(tmp_path: Path) -> None:
    path = tmp_path / "fields.npz"
    save(
        path,
        {"windows": ("stsa", {"size": [2, 1, 3]}), "flow": ("stsa_flow", {}), "-": ("none", {})},
    )
    first = path.read_bytes()
    save(
        path,
        {"windows": ("stsa", {"size": [2, 1, 3]}), "flow": ("stsa_flow", {}), "-": ("none", {})},
    )
    assert path.read_bytes() == first
    with np.load(path) as stored:
        query = tuple(stored["query"].tolist())
        expected = attnzoo.receptive_field("stsa", query, DRAWN, size=[2, 1, 3], shift=False)
        assert (stored["windows"] == expected.numpy()).all()
        assert stored["flow"].shape == DRAWN and stored["flow"][query]


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("frame", range(5))
def test_without_a_flow_a_token_may_see_the_frames_of_its_group_and_no_other(shift, frame):
    module = registry.create("stsa_flow", 8, 2, size=(2, 3, 2), shift=shift)
    groups = [range(1), range(1, 3), range(3, 5)] if shift else [range(2), range(2, 4), range(4, 5)]
    own = next(group for group in groups if frame in group)
    mask = module.sees((frame, 1, 1), (5, 3, 4))
    assert mask.flatten(1).all(1).tolist() == mask.flatten(1).any(1).tolist()
    assert mask.flatten(1).all(1).nonzero().flatten().tolist() == list(own)
