"""What can be named as person, place and dance, and what of it reaches the model."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from attnzoo.data.cast import Casting
from attnzoo.data.clip import Clip
from attnzoo.data.embedded import make_clip, open_embedded
from attnzoo.data.flow_settings import Estimation, FlowSource
from attnzoo.errors import UserError
from attnzoo.mixing.mix import danced, mixed
from attnzoo.mixing.people import Person, person, place
from attnzoo.mixing.sources import Kind, clips, origin

SIZE = 32
REAL = Path(os.environ.get("ATTNZOO_CLIPS", "nowhere")) / "tiktok"


def save(path: Path, pixels: NDArray[np.uint8]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return str(path)


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    """48 x 32 pixels, so that 8 columns on either side are cut off."""
    return save(tmp_path / "photo.png", noise(32, 48, 3))


def poses(folder: Path, frames: int, *, even: bool = True) -> str:
    """A square that moves to the right by a pixel a frame, on purple."""
    for i in range(frames):
        image = np.full((32, 32, 3), (84, 1, 68), np.uint8) if even else noise(32, 32, 3)
        image[10:20, 4 + i : 14 + i] = noise(10, 10, 3)
        save(folder / f"{i}.png", image)
    return str(folder)


def seen(text: str, **more: str) -> Person:
    return person(origin("--foreground", text), SIZE, **more)


def test_an_embedded_dancer_is_that_of_the_data_set() -> None:
    clip = open_embedded(size=SIZE, clips=6).test[5]
    for text in ("embedded:test:5", f"embedded:{clip.name}"):
        found = seen(text)
        assert torch.equal(found.foreground, clip.foreground)
        assert torch.equal(found.mask, clip.mask) and torch.equal(found.pose, clip.reference_pose)
        assert torch.equal(place(origin("--background", text), SIZE), clip.background)
        where = origin("--pose", text)
        longer = clips(where, size=SIZE, frames=20).test[0]
        assert torch.equal(longer.pose[:16], clip.pose) and len(longer.pose) == 20
    training = open_embedded(size=SIZE).train[3]
    assert torch.equal(seen("embedded:train:3").foreground, training.foreground)


def test_transparency_is_the_mask(tmp_path: Path) -> None:
    image = np.dstack([noise(SIZE, SIZE, 3), np.zeros((SIZE, SIZE), np.uint8)])
    image[4:20, 8:16, 3] = 255
    found = seen(save(tmp_path / "cut.png", image))
    expected = torch.from_numpy(image[..., :3].copy()).permute(2, 0, 1) / 255
    assert found.mask.sum() == 16 * 8 and found.mask[0, 4:20, 8:16].all()
    torch.testing.assert_close(found.foreground, expected * found.mask)
    assert not found.pose.any()


def test_a_mask_beside_the_picture_and_its_pose(photo: str, tmp_path: Path) -> None:
    white = np.zeros((16, 24), np.uint8)
    white[4:8, 4:12] = 255
    mask = save(tmp_path / "mask.png", white)
    pose = np.full((32, 48, 3), (84, 1, 68), np.uint8)
    pose[8:16, 8:24] = (10, 200, 30)
    found = seen(photo, mask=mask, pose=save(tmp_path / "pose.png", pose))
    assert found.mask.sum() == 8 * 16 and found.mask[0, 8:16, :16].all()
    assert not found.foreground[:, ~found.mask[0].bool()].any()
    colour = torch.tensor([10, 200, 30]).view(3, 1, 1) / 255
    torch.testing.assert_close(found.pose[:3, 8:16, :16], colour.expand(3, 8, 16))
    assert not found.pose[:3, 20:].any(), "the pose picture's even background is black"
    whole = seen(photo, mask="all")
    assert whole.mask.all()
    assert torch.equal(whole.foreground, place(origin("--background", photo), SIZE))


def test_a_place_is_the_picture_or_what_stands_still_in_a_video(photo: str, tmp_path: Path) -> None:
    expected = torch.from_numpy(noise(32, 48, 3)[:, 8:40].copy()).permute(2, 0, 1) / 255
    torch.testing.assert_close(place(origin("--background", photo), SIZE), expected)
    video = poses(tmp_path / "walk", 9)
    still = place(origin("--background", video), SIZE)
    colour = torch.tensor([84, 1, 68]).view(3, 1) / 255
    torch.testing.assert_close(still[:, 0], colour.expand(3, SIZE))


WRONG = [
    ("gone.png", {}, "--foreground gone.png: no such file.*embedded:test:0"),
    ("n" * 300, {}, "too long"),
    ("embedded:tast:3", {}, "embedded:PART:N, PART one of train, validation, test"),
    ("embedded:test:4096", {}, "N below 4096"),
    ("embedded:test:-1", {}, "embedded:PART:N"),
    ("embedded:test:3", {"mask": "all"}, "--mask all: --foreground embedded:test:3 brings its own"),
    ("photo.png", {}, r"nothing says where the person is.*--mask PICTURE.*--mask all"),
    ("opaque.png", {}, "nothing says where the person is"),
    ("cut.png", {"mask": "photo.png"}, "transparent outside the person already"),
    ("photo.png", {"mask": "gone.png"}, "--mask gone.png: no such file"),
    ("photo.png", {"mask": "embedded:test:3"}, "--mask embedded:test:3: a picture or a video"),
    ("photo.png", {"mask": "tall.png"}, "mask is 20x40; must be as large as the frame, 48x32"),
    ("photo.png", {"mask": "black.png"}, "nobody is to be seen"),
    ("photo.png", {"mask": "all", "pose": "tall.png"}, "tall.png: the mask is 20x40"),
    ("photo.png:002", {}, "photo.png is a picture and holds no named dances"),
    ("deep.png", {"mask": "all"}, "deep.png: .*8 bits a channel"),
    ("broken.png", {"mask": "all"}, "broken.png: (damaged|not a picture)"),
    ("text.png", {"mask": "all"}, "text.png: not a picture"),
    ("empty", {"mask": "all"}, "empty: no pictures in this folder"),
]


@pytest.mark.parametrize(("text", "more", "said"), WRONG, ids=[str(row[:2]) for row in WRONG])
def test_what_is_no_person(text, more, said, photo, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    alpha = np.dstack([noise(32, 48, 3), np.full((32, 48), 255, np.uint8)])
    save(tmp_path / "opaque.png", alpha)
    alpha[4:, :, 3] = 0
    save(tmp_path / "cut.png", alpha)
    save(tmp_path / "tall.png", noise(40, 20, 3))
    save(tmp_path / "black.png", np.zeros((32, 48), np.uint8))
    Image.fromarray(np.full((32, 48), 999, np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "broken.png").write_bytes(Path(photo).read_bytes()[:300])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=said):
        seen(text, **more)


def test_a_dance_of_pose_pictures(tmp_path: Path) -> None:
    where = origin("--pose", poses(tmp_path / "walk", 6))
    assert where.kind is Kind.video
    clip = clips(where, size=SIZE, frames=3, stride=2, pose=True).test[0]
    assert clip.body.any() and not clip.pose[:, :3, 0].any()
    assert torch.equal(clip.body[1].roll(2, -1), clip.body[2])
    looped = clips(where, size=SIZE, frames=9, loop=True, pose=True).test[0]
    assert torch.equal(looped.pose[7], looped.pose[3])
    with pytest.raises(UserError, match=r"--pose \S*walk: 6 frames, .* 7: .* --frames, or --loop"):
        clips(where, size=SIZE, frames=7, pose=True)


def test_one_picture_is_no_dance(photo: str) -> None:
    with pytest.raises(UserError, match=r"--pose \S*photo.png: one picture; a clip is needed"):
        clips(origin("--pose", photo), size=SIZE, frames=4)


@pytest.mark.skipif(not REAL.is_dir(), reason="no real clips beside the package")
def test_dances_in_discos_layouts() -> None:
    for text in (f"{REAL}/tsv:Custom_002", f"{REAL}/frames:002", f"{REAL}/frames/002"):
        where = origin("--pose", text)
        assert where.kind is Kind.tiktok
        clip = clips(where, size=SIZE, frames=4).test[0]
        assert clip.pose.any() and clip.body.any() and clip.mask.any()
    assert seen(f"{REAL}/tsv:Custom_000").mask.any()
    assert place(origin("--background", f"{REAL}/tsv:Custom_001"), SIZE).std() > 0.05
    with pytest.raises(UserError, match=r"several dances \(.*00, .*\); name one, as in .*tsv:"):
        clips(origin("--pose", f"{REAL}/tsv"), size=SIZE, frames=4)
    with pytest.raises(UserError, match=r"--pose \S*tsv:007: no such dance; there are Custom_000"):
        clips(origin("--pose", f"{REAL}/tsv:007"), size=SIZE, frames=4)


@pytest.fixture(scope="module")
def dance() -> Clip:
    from attnzoo.data.embedded import Camera

    return make_clip(Casting(5, 9), frames=4, size=SIZE, camera=Camera.moving)


def test_in_another_place_nothing_moves_but_the_dancer(dance: Clip) -> None:
    who = seen("embedded:test:3")
    where = place(origin("--background", "embedded:test:4"), SIZE)
    clip = mixed("mix", who, where, dance, elsewhere=True)
    assert clip.foreground is who.foreground and clip.background is where
    assert clip.reference_pose is who.pose and clip.pose is dance.pose
    on, moved = dance.body[0, 0] > 0.5, dance.flow(0, 3)[0]
    flow, visible = clip.flow(0, 3)
    assert moved[:, ~on].any() and not flow[:, ~on].any()
    assert torch.equal(flow[:, on], moved[:, on]) and torch.equal(clip.motion(0, 3), flow)
    assert torch.equal(visible[~on], dance.body[3, 0][~on] < 0.5)
    assert torch.equal(visible[on], dance.flow(0, 3)[1][on])
    same = mixed("mix", who, dance.background, dance, elsewhere=False)
    assert same.flow is dance.flow


def test_the_flow_that_is_followed_is_the_dances_own(tmp_path: Path) -> None:
    where = origin("--pose", "embedded:test:2")
    source = clips(where, size=SIZE, frames=3)
    assert danced(where, source, FlowSource.iuv, Estimation(), follows=False) is source
    assert danced(where, source, FlowSource.auto, Estimation(), follows=True).flow.name == "exact"
    joints = danced(where, source, FlowSource.skeleton, Estimation(), follows=True)
    clip = mixed("mix", seen("embedded:test:3"), torch.zeros(3, SIZE, SIZE), joints.test[0],
                 elsewhere=True)  # fmt: skip
    on = clip.body[0, 0] > 0.5
    assert clip.motion(0, 2)[:, on].any() and not clip.motion(0, 2)[:, ~on].any()
    assert not torch.equal(clip.motion(0, 2), clip.flow(0, 2)[0])
    drawn = origin("--pose", poses(tmp_path / "walk", 4))
    pictures = clips(drawn, size=SIZE, frames=3, pose=True)
    found = danced(drawn, pictures, FlowSource.auto, Estimation(), follows=True)
    assert found.flow.name == "classical"
    for flow, said in ((FlowSource.exact, "flow=exact: only"), (FlowSource.iuv, "flow=iuv")):
        with pytest.raises(UserError, match=rf"--pose \S*walk: {said}"):
            danced(drawn, pictures, flow, Estimation(), follows=True)


def test_a_stride_is_no_longer_than_what_is_played_to_and_fro(tmp_path: Path) -> None:
    where = origin("--pose", poses(tmp_path / "walk", 3))
    assert clips(where, size=SIZE, frames=4, loop=True, stride=3).frames == 4
    with pytest.raises(UserError, match=r"--pose .*--stride 4: must be at most its 3 frames"):
        clips(where, size=SIZE, frames=4, loop=True, stride=4)
