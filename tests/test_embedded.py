"""The embedded dancers: what moves where, who is seen by whom, and how fast they are made."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from attnzoo.data.cast import HELD_BACK, TRAINING, Known, Part, stills, training_casting
from attnzoo.data.embedded import SCENARIOS, Camera, held_out, make_clip, open_embedded
from attnzoo.errors import UserError

CAMERAS = pytest.mark.parametrize("camera", list(Camera))


@pytest.fixture(scope="module", params=list(Camera), ids=lambda c: c.name)
def clip(request: pytest.FixtureRequest):
    return make_clip(held_out(Part.test, 4)[3][0], camera=request.param)


def test_shapes_and_ranges(clip) -> None:
    assert clip.video.shape == (16, 3, 64, 64)
    assert clip.pose.shape == (16, 6, 64, 64)
    for image in (clip.video, clip.pose, clip.foreground, clip.background):
        assert image.dtype == torch.float32
        assert image.min() >= 0
        assert image.max() <= 1


def test_the_foreground_is_the_first_frame_inside_its_mask(clip) -> None:
    assert torch.equal(clip.foreground, clip.video[0] * clip.mask)
    assert 0.08 < clip.mask.mean() < 0.4


@pytest.mark.parametrize(("k", "r"), [(0, 1), (5, 9), (12, 2)])
def test_flow_leads_to_the_same_colour_where_it_says_visible(clip, k: int, r: int) -> None:
    flow, visible = clip.flow(k, r)
    y, x = np.nonzero((visible & (clip.body[k, 0] > 0)).numpy())
    to_x = np.rint(x + flow[0, y, x].numpy()).astype(int)
    to_y = np.rint(y + flow[1, y, x].numpy()).astype(int)
    error = (clip.video[k][:, y, x] - clip.video[r][:, to_y, to_x]).abs().mean()
    still = (clip.video[k][:, y, x] - clip.video[r][:, y, x]).abs().mean()
    assert len(y) > 200
    assert error < 0.07
    assert error < 0.6 * still


def test_flow_to_itself_is_zero(clip) -> None:
    flow, visible = clip.flow(3, 3)
    assert flow.abs().max() < 2e-3
    assert visible.float().mean() > 0.99


def test_flow_there_and_back_is_zero(clip) -> None:
    there, visible = clip.flow(4, 6)
    back, _ = clip.flow(6, 4)
    y, x = torch.nonzero(visible & (clip.body[4, 0] > 0), as_tuple=True)
    to_y = (y + there[1, y, x]).round().long()
    to_x = (x + there[0, y, x]).round().long()
    error = (there[:, y, x] + back[:, to_y, to_x]).norm(dim=0)
    assert error.median() < 0.3


def test_background_moves_with_the_camera_alone() -> None:
    cast = held_out(Part.test, 1)[0][0]
    still, moving = (make_clip(cast, camera=c) for c in (Camera.still, Camera.moving))
    outside = still.body[2, 0] == 0
    assert still.flow(2, 9)[0][:, outside].abs().max() == 0
    flow = moving.flow(2, 9)[0][:, moving.body[2, 0] == 0]
    assert flow.std(dim=1).max() < 1e-6
    assert flow.abs().max() > 1


def test_limbs_move_far() -> None:
    speeds = []
    for cast, _ in held_out(Part.test, 8):
        one = make_clip(cast)
        for k in range(15):
            flow = one.flow(k, k + 1)[0]
            speeds.append(flow.norm(dim=0)[one.body[k, 0] > 0])
    assert torch.cat(speeds).quantile(0.9) > 2.5


def test_the_same_index_is_the_same_clip() -> None:
    first, second = open_embedded(seed=3).train[5], open_embedded(seed=3).train[5]
    assert first.name == second.name
    assert torch.equal(first.video, second.video)
    assert open_embedded(seed=4).train[5].name != first.name


def test_parts_do_not_overlap() -> None:
    validation = {c for c, _ in held_out(Part.validation, 400)}
    test = {c for c, _ in held_out(Part.test, 400)}
    assert not validation & test
    unseen = [{c.person for c in part if c.person >= TRAINING} for part in (validation, test)]
    assert not unseen[0] & unseen[1]


def test_training_never_shows_a_held_out_meeting() -> None:
    rng = np.random.default_rng(0)
    drawn = [training_casting(rng) for _ in range(2000)]
    assert all((c.person - c.dance) % HELD_BACK for c in drawn)
    for cast, scenario in held_out(Part.test, 400):
        seen = cast.person < TRAINING and cast.dance < TRAINING
        assert seen == (scenario == SCENARIOS[0])
        assert (cast.person < TRAINING) == scenario.startswith("seen person")
        assert (cast.dance < TRAINING) == scenario.endswith(", seen pose")
        if seen:
            assert (cast.person - cast.dance) % HELD_BACK == 0


def test_the_split_hash_tells_parts_apart() -> None:
    assert open_embedded().split_hash == open_embedded().split_hash
    assert open_embedded().split_hash != open_embedded(part=Part.validation).split_hash


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"frames": 1}, "data.frames=1"),
        ({"size": 60}, "data.size=60: must be a multiple of 8"),
        ({"size": 16}, "data.size=16: must be at least 32"),
        ({"clips": 0}, "data.clips=0"),
        ({"part": Part.train}, "data.part=train"),
    ],
)
def test_bad_numbers_are_named(options, words: str) -> None:
    with pytest.raises(UserError, match=words):
        open_embedded(**options)


def test_stills_pair_frames_with_their_persons_picture() -> None:
    rows = stills(np.random.default_rng(0), people=2, each=3, size=64)
    assert rows["image"].shape == (6, 3, 64, 64)
    assert np.array_equal(rows["foreground"][0], rows["foreground"][2])
    assert not np.array_equal(rows["foreground"][0], rows["foreground"][3])
    assert not np.array_equal(rows["image"][0], rows["image"][1])


def test_stills_without_surface_coordinates_show_the_whole_of_another_frame() -> None:
    full = stills(np.random.default_rng(0), people=1, each=2, size=64)
    rows = stills(np.random.default_rng(0), people=1, each=2, size=64, known=Known.picture)
    assert np.array_equal(rows["pose"][:, :3], full["pose"][:, :3])
    assert not rows["pose"][:, 3:].any() and not rows["reference_pose"][:, 3:].any()
    assert rows["mask"].all()
    person = full["mask"] > 0
    assert np.array_equal(rows["foreground"] * person, full["foreground"])
    assert np.array_equal(rows["surface"], full["pose"])
    assert np.array_equal(rows["reference_surface"], full["reference_pose"])


def test_stills_without_a_pose_are_to_copy_the_picture_in_place() -> None:
    rows = stills(np.random.default_rng(0), people=1, each=2, size=64, known=Known.nothing)
    assert not rows["pose"].any() and not rows["reference_pose"].any()
    assert np.array_equal(rows["foreground"], rows["image"])
    assert np.array_equal(rows["surface"], rows["reference_surface"])
    places = rows["surface"][0, :2].reshape(2, -1).T
    assert len(np.unique(places, axis=0)) == 64 * 64
