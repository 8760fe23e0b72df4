"""Every damage: in grades that get worse, the same for the same seed, and only what it says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from attnzoo.damage import Damage, Kind, Scene, damages, register
from attnzoo.damage.shuffle import shuffled
from attnzoo.data.clip import Clip
from attnzoo.data.embedded import open_embedded


@pytest.fixture(scope="module")
def clip() -> Clip:
    return open_embedded(clips=5).test[4]


def damaged(clip: Clip, damage: Damage, grade: float, seed: int = 0) -> Tensor:
    scene = Scene(torch.Generator().manual_seed(seed), clip.body, clip.logo)
    return damage.apply(clip.video, grade, scene)


def named(name: str) -> Damage:
    return next(damage for damage in damages() if damage.name == name)


def test_the_damages_there_are() -> None:
    names = {damage.name for damage in damages()}
    assert {
        "blur", "noise", "jpeg", "h264", "colour_flicker", "shuffle", "jitter", "ghosting",
        "freeze", "logo_drift", "logo_jitter", "elastic", "elastic_trembling",
    } <= names  # fmt: skip
    kinds = [damage.kind for damage in damages()]
    assert kinds == sorted(kinds, key=list(Kind).index)


@pytest.mark.parametrize("name", [damage.name for damage in damages()])
def test_grades_get_worse_and_stay_pictures(clip: Clip, name: str) -> None:
    damage = named(name)
    before = clip.video.clone()
    found = [damaged(clip, damage, grade) for grade in damage.grades]
    assert torch.equal(clip.video, before)
    for video in found:
        assert video.shape == clip.video.shape and video.dtype == torch.float32
        assert float(video.min()) >= 0 and float(video.max()) <= 1
    assert torch.equal(found[0], damaged(clip, damage, damage.grades[0]))
    errors = [float((video - clip.video).square().mean()) for video in found]
    assert 0 < errors[0] < errors[-1]
    assert list(damage.grades) == sorted(damage.grades)


@pytest.mark.parametrize("name", ["blur", "elastic", "jpeg"])
def test_spatial_damage_does_the_same_to_equal_frames(clip: Clip, name: str) -> None:
    still = Clip(**{**vars(clip), "video": clip.video[:1].expand(16, -1, -1, -1)})
    found = damaged(still, named(name), named(name).grades[-1])
    assert float((found - found[:1]).abs().max()) < 1e-6


def test_a_trembling_warp_is_the_same_warp_in_each_frame(clip: Clip) -> None:
    still, trembling = (damaged(clip, named(n), 1) for n in ("elastic", "elastic_trembling"))
    assert torch.equal(still[0], trembling[0])
    errors = [(video - clip.video).abs().mean(dim=(1, 2, 3)) for video in (still, trembling)]
    assert float(errors[1].mean()) == pytest.approx(float(errors[0].mean()), rel=0.5)


@pytest.mark.parametrize(("frames", "width"), [(16, 2), (16, 16), (7, 4), (5, 2)])
def test_shuffled_frames_are_all_there_and_near(frames: int, width: int) -> None:
    order = shuffled(frames, width, torch.Generator().manual_seed(0))
    assert sorted(order) == list(range(frames))
    assert all(k // width == place // width for place, k in enumerate(order))
    assert order[:width] != list(range(width))


def test_a_frozen_clip_is_its_first_frame(clip: Clip) -> None:
    frozen = damaged(clip, named("freeze"), 1.0)
    assert torch.equal(frozen, clip.video[:1].expand_as(frozen))


@pytest.mark.parametrize("name", ["logo_drift", "logo_jitter"])
def test_only_the_sign_is_moved(clip: Clip, name: str) -> None:
    assert clip.logo is not None
    changed = (damaged(clip, named(name), 4) != clip.video).any(dim=1, keepdim=True)
    near = torch.nn.functional.max_pool2d(clip.logo, 11, 1, 5) > 0
    assert (changed <= (near & (clip.body > 0.5))).all() and changed.any()
    with pytest.raises(ValueError, match="no sign"):
        scene = Scene(torch.Generator(), clip.body)
        named(name).apply(clip.video, 1, scene)


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="two damages 'blur'"):
        register(named("blur"))
