"""Where the motion that mechanisms follow comes from, and what each source can and cannot know."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import hydra
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from test_data_tiktok import folder as tiktok_folder
from test_data_tiktok import points
from test_data_tiktok import tsv as tiktok_tsv
from tiny_run import tiny_clip, tiny_experiment, tiny_run, tiny_source
from torch import Tensor

from attnzoo import config
from attnzoo.data.clip import Clip, collate
from attnzoo.data.embedded import Camera, open_embedded
from attnzoo.data.flow_settings import Estimation, FlowSource, Method, Span
from attnzoo.data.flow_source import Follow, estimator, flow_between, with_flow
from attnzoo.data.limbs import Limbs, limb_flow, of_keypoints
from attnzoo.data.look import Look
from attnzoo.data.source import Source
from attnzoo.data.surface import Surface, raw_surface, surface_flow
from attnzoo.data.tiktok import open_tiktok
from attnzoo.data.video import open_video
from attnzoo.errors import UserError
from attnzoo.summary import summary
from attnzoo.train.settings import Experiment

PAIRS = [(0, 1), (5, 9), (12, 4)]


def dancers(camera: Camera = Camera.still) -> Source:
    return open_embedded(clips=2, camera=camera)


def errors(source: Source, flow: FlowSource, how: Estimation | None = None) -> Tensor:
    """End-point errors on the body, where both frames show it, in pixels."""
    followed = with_flow(source, flow, how)
    found = []
    for i in range(len(source.test)):
        clip = followed.test[i]
        assert clip.flow is not None and clip.motion is not None
        for k, r in PAIRS:
            exact, seen = clip.flow(k, r)
            on = seen & (clip.body[k, 0] > 0.5)
            found.append((clip.motion(k, r) - exact).norm(dim=0)[on])
    return torch.cat(found)


@pytest.mark.parametrize("camera", Camera)
def test_surface_coordinates_know_more_than_joints_and_joints_more_than_nothing(
    camera: Camera,
) -> None:
    source = dancers(camera)
    iuv, skeleton = (errors(source, f) for f in (FlowSource.iuv, FlowSource.skeleton))
    assert iuv.median() < 0.1 and iuv.mean() < 0.6
    assert iuv.mean() < 0.4 * skeleton.mean()
    lengths = []
    for i in range(2):
        clip = source.test[i]
        assert clip.flow is not None
        for k, r in PAIRS:
            exact, seen = clip.flow(k, r)
            lengths.append(exact.norm(dim=0)[seen & (clip.body[k, 0] > 0.5)])
    assert skeleton.mean() < 0.6 * torch.cat(lengths).mean()


def test_classical_flow_sees_pictures_of_poses_alone() -> None:
    source = open_embedded(clips=1)
    followed = with_flow(source, FlowSource.classical, Estimation(span=Span.direct)).test[0]
    assert followed.motion is not None and followed.looks is not None
    found = followed.motion(0, 1)
    on = followed.body[0, 0] > 0.5
    assert followed.flow is not None
    exact = followed.flow(0, 1)[0]
    assert (found - exact).norm(dim=0)[on].mean() < 0.7 * exact.norm(dim=0)[on].mean()
    assert not torch.from_numpy(followed.looks[0].picture).float()[..., 0].flatten()[:20].any()
    other = with_flow(source, FlowSource.classical, Estimation(Method.farneback, span=Span.direct))
    assert not torch.equal(found, other.test[0].motion(0, 1))  # type: ignore[misc]


@pytest.mark.parametrize("flow", [FlowSource.iuv, FlowSource.skeleton])
def test_off_the_body_a_pose_knows_nothing_of_the_camera(flow: FlowSource) -> None:
    clip = with_flow(dancers(Camera.moving), flow).test[0]
    assert clip.flow is not None and clip.motion is not None
    # Far from the body: joints believe in limbs of human thickness.
    body = torch.nn.functional.max_pool2d(clip.body[:1], 11, 1, 5)[0, 0] > 0.5
    assert clip.flow(0, 12)[0][:, ~body].abs().sum(0).min() > 1
    assert not clip.motion(0, 12)[:, ~body].any()


def test_metrics_keep_the_datas_own_flow_and_mechanisms_follow_the_other() -> None:
    source = dancers()
    followed = with_flow(source, FlowSource.skeleton)
    assert followed.flow is FlowSource.skeleton and followed.split_hash == source.split_hash
    own, other = source.test[0], followed.test[:1][0]
    assert own.flow is not None and other.flow is not None and other.motion is not None
    assert torch.equal(own.flow(0, 3)[0], other.flow(0, 3)[0])
    motion = collate([other]).motion
    assert motion is not None
    assert torch.equal(motion.pair(0, 3)[0], other.motion(0, 3))
    assert not torch.equal(motion.pair(0, 3)[0], own.flow(0, 3)[0])


def test_the_datas_own_source_changes_nothing() -> None:
    source = dancers()
    assert with_flow(source) is source
    assert with_flow(source, FlowSource.exact) is source
    assert source.flow is FlowSource.exact


def surface_picture(left: int, size: int = 64) -> NDArray[np.uint8]:
    """A raw IUV picture of two parts, from column `left` on."""
    picture = np.zeros((size, size, 3), np.uint8)
    y, x = np.mgrid[:40, :16]
    for part, at in ((3, left), (7, left + 16)):
        block = np.stack([np.full_like(y, part), 6 * y + 5, 15 * x + 5], -1)
        picture[12:52, at : at + 16] = block
    return picture


def saved(root: Path, name: str, pictures: list[NDArray[np.uint8]], suffix: str = "png") -> str:
    (root / name).mkdir()
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(root / name / f"{i:03d}.{suffix}")
    return str(root / name)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_raw_iuv_pictures_of_any_channel_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    pictures = [surface_picture(8 + 3 * k)[..., order].copy() for k in range(4)]
    frames = saved(tmp_path, "frames", [np.full((64, 64, 3), 9 * k, np.uint8) for k in range(4)])
    pose = saved(tmp_path, "pose", pictures)
    source = with_flow(open_video(frames, frames=4, pose=pose), FlowSource.iuv)
    clip = source.test[0]
    assert clip.motion is not None
    flow = clip.motion(0, 2)
    body = torch.zeros(64, 64, dtype=torch.bool)
    body[14:50, 10:38] = True
    assert (flow[0][body] - 6).abs().max() < 0.3 and flow[1][body].abs().max() < 0.3
    assert not flow[:, :10].any()


def test_renderings_are_no_surface_coordinates() -> None:
    flat = surface_picture(8)
    flat[flat[..., 0] == 3] = (20, 160, 70)
    flat[flat[..., 0] == 7] = (3, 90, 200)
    noisy = surface_picture(8).astype(int) + np.random.default_rng(0).integers(0, 3, (64, 64, 3))
    for picture in (flat, noisy.clip(0, 255).astype(np.uint8)):
        found = raw_surface(picture, 256)
        assert isinstance(found, str) and "hold no U and V" in found
    nobody = raw_surface(np.zeros((64, 64, 3), np.uint8), 256)
    assert isinstance(nobody, Surface) and not len(nobody.places)
    someone = raw_surface(surface_picture(8), 256)
    assert isinstance(someone, Surface)
    for pair in ((nobody, someone), (someone, nobody)):
        assert not surface_flow(*pair).any()


def test_a_part_that_the_other_frame_hides_does_not_move() -> None:
    start, end = surface_picture(8), surface_picture(14)
    end[end[..., 0] == 7] = 0
    surfaces = [raw_surface(picture, 256) for picture in (start, end)]
    assert all(isinstance(surface, Surface) for surface in surfaces)
    flow = surface_flow(*surfaces)  # type: ignore[arg-type]
    assert np.abs(flow[0, 14:50, 9:23] - 6).max() < 0.5
    assert not flow[:, :, 24:40].any()
    half = end.copy()
    half[12:32] = 0  # what is hidden of a part goes with the rest of it
    flow = surface_flow(raw_surface(start, 256), raw_surface(half, 256))  # type: ignore[arg-type]
    assert np.abs(flow[0, 12:52, 8:24] - 6).max() < 0.5


def limbs(change: Callable[[NDArray[np.float64]], object] = lambda ends: None) -> Limbs:
    ends = np.full((10, 2, 2), np.nan)
    ends[0] = [(32, 20), (32, 40)]
    ends[2] = [(32, 22), (48, 22)]
    change(ends)
    return Limbs(ends, 64)


def test_a_limb_takes_what_is_near_it() -> None:
    def raised(ends: NDArray[np.float64]) -> None:
        ends += (2, 1)
        ends[2, 1] = ends[2, 0] + (0, -8)  # an arm that points up and is half as long

    flow = limb_flow(limbs(), limbs(raised))
    assert np.allclose(flow[:, 32, 32], (2, 1)) and np.allclose(flow[:, 36, 38], (2, 1))
    assert np.allclose(flow[:, 22, 48], (2 - 16, 1 - 8))  # the hand
    assert np.allclose(flow[:, 24, 44], (2 - 12 + 2, 1 - 6 - 2))  # beside the arm: its other side
    assert not flow[:, 60].any() and not flow[:, :, 5].any()
    assert not limb_flow(limbs(), limbs()).any()


def test_round_a_joint_one_limb_has_all() -> None:
    def arm(hand: tuple[float, float]) -> Limbs:
        def bent(ends: NDArray[np.float64]) -> None:
            ends[2] = [(30.2, 17.4), (47.3, 21.7)]
            ends[3] = [(47.3, 21.7), hand]

        return limbs(bent)

    flow = limb_flow(arm((44.9, 39.1)), arm((60.4, 30.3)))
    # Past the elbow's outside, where rounding says now one limb, now the other.
    assert np.abs(flow[:, 18:22, 48:52]).max() < 1e-5
    assert np.abs(flow[:, 34, 46]).max() > 5


def test_what_a_frame_does_not_know_does_not_move() -> None:
    def moved(ends: NDArray[np.float64]) -> None:
        ends += 3
        ends[2] = np.nan

    flow = limb_flow(limbs(), limbs(moved))
    assert np.allclose(flow[:, 32, 32], 3) and not flow[:, 22, 46].any()
    nobody = of_keypoints(None, 64, 64, 64)
    assert not limb_flow(limbs(), nobody).any() and not limb_flow(nobody, limbs()).any()


def test_keypoints_are_cropped_and_scaled_with_the_picture() -> None:
    rows = np.array(points(0))[:, :2]
    found = of_keypoints(rows, 96, 64, 128)
    assert np.allclose(found.ends[2, 0], (2 * (rows[5] + 0.5 - (0, 16)) - 0.5))
    assert np.allclose(found.ends[0, 1], 2 * (rows[[11, 12]].mean(0) + 0.5 - (0, 16)) - 0.5)
    assert np.isnan(found.ends[[7, 9]]).any((1, 2)).all()  # the ankles are absent
    assert np.isfinite(found.ends[:7]).all()


@pytest.mark.parametrize("layout", [tiktok_folder, tiktok_tsv])
def test_keypoints_of_tiktok_give_flow(tmp_path: Path, layout: Callable[..., Path]) -> None:
    source = open_tiktok(str(layout(tmp_path / "data")))
    assert source.flow is FlowSource.classical
    clip = with_flow(source, FlowSource.skeleton).train[0]
    assert clip.motion is not None
    flow = clip.motion(0, 3)
    # Everybody there walks one pixel to the right a frame.
    moved = flow[0].abs() > 0.01
    assert moved.sum() > 50 and (flow[0][moved] - 3).abs().median() < 0.1


class Scripted:
    """Looks whose flow is 1 to the right a frame, but 2 from frame 1 on; back it is what it was."""

    def __getitem__(self, frame: int) -> Look:
        raise AssertionError

    def between(self, estimate: object, k: int, r: int) -> Tensor:
        flow = torch.zeros(2, 8, 8)
        flow[0] = {(0, 1): 1.0, (1, 0): -1.0, (1, 2): 2.0, (2, 1): -2.0, (0, 2): 9.0}.get(
            (k, r), -3.0
        )
        return flow


def scripted(flow: FlowSource, **how: object) -> Tensor:
    settings = Estimation(**how)  # type: ignore[arg-type]
    follow = Follow(flow, settings, estimator(flow, settings))
    return flow_between(Scripted(), 3, follow)(0, 2)


def test_flow_is_composed_or_direct_and_checked_where_it_is_asked() -> None:
    assert scripted(FlowSource.classical)[0, 4, 1] == 3
    assert scripted(FlowSource.iuv)[0, 4, 1] == 9
    assert scripted(FlowSource.classical, span=Span.direct)[0, 4, 1] == 9
    assert scripted(FlowSource.iuv, span=Span.composed)[0, 4, 1] == 3
    assert scripted(FlowSource.classical, checked=True)[0, 4, 1] == 3
    # Direct flow leads 9 there and 3 back.
    assert not scripted(FlowSource.classical, span=Span.direct, checked=True).any()


def test_a_mask_is_what_keeps_the_background_still() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (256, 256, 3)).astype(np.uint8)
    still = np.zeros((256, 256), bool)
    still[:, :128] = True
    start = Look(picture, still, "", "")
    end = Look(np.roll(picture, 4, 1), still, "", "")
    masked, free = (
        estimator(FlowSource.classical, Estimation(masked=m))(start, end, 64) for m in (True, False)
    )
    assert not masked[:, :, :30].any() and masked[0, 20:40, 40:60].median() == pytest.approx(1, 0.1)
    assert free[0, 20:40, 8:28].median() == pytest.approx(1, 0.1)


REFUSED: list[tuple[FlowSource, Estimation, str]] = [
    (FlowSource.exact, Estimation(), "flow=exact: only data=embedded knows"),
    (FlowSource.iuv, Estimation(), "flow=iuv: data=video without data.pose"),
    (FlowSource.skeleton, Estimation(), "flow=skeleton: data=video has pose pictures at most"),
    (FlowSource.raft, Estimation(), "flow=raft needs motion.weights=FILE"),
    (FlowSource.raft, Estimation(weights="no.pth"), "motion.weights=no.pth: no such file"),
    (FlowSource.auto, Estimation(weights="w.pth"), r"flow=classical \(auto\) has no use for it"),
    (FlowSource.exact, Estimation(checked=True), "motion.checked=true: flow=exact has no use"),
    (FlowSource.iuv, Estimation(Method.farneback), "flow=iuv has no use for it; flow=classical"),
]


@pytest.mark.parametrize(("flow", "how", "words"), REFUSED)
def test_what_a_recording_cannot_give(
    tmp_path: Path, flow: FlowSource, how: Estimation, words: str
) -> None:
    frames = saved(tmp_path, "frames", [np.full((40, 40, 3), 9 * k, np.uint8) for k in range(3)])
    with pytest.raises(UserError, match=words):
        with_flow(open_video(frames, frames=3, size=32), flow, how)


def test_what_poses_cannot_give(tmp_path: Path) -> None:
    flat = [np.zeros((40, 40, 3), np.uint8) for _ in range(3)]
    for picture in flat:
        picture[10:30, 10:30] = (200, 30, 90)
    frames, pose = saved(tmp_path, "frames", flat), saved(tmp_path, "pose", flat)
    with pytest.raises(UserError, match="flow=iuv: the pose pictures hold no U and V"):
        with_flow(open_video(frames, frames=3, size=32, pose=pose), FlowSource.iuv)
    dances = open_tiktok(str(tiktok_folder(tmp_path / "dances")))
    with pytest.raises(UserError, match="flow=iuv: the poses of data=tiktok are joints here"):
        with_flow(dances, FlowSource.iuv)
    with pytest.raises(UserError, match="data=tiny shows nothing to take it from"):
        with_flow(tiny_source(), FlowSource.skeleton)
    with pytest.raises(UserError, match="data=tiny has no flow to which motion"):
        with_flow(tiny_source(), FlowSource.auto, Estimation(checked=True))


def test_the_configuration_chooses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config.register()
    with hydra.initialize(config_path=None, version_base="1.3"):
        small = ["data.size=32", "data.frames=3", "data.clips=1"]
        cfg = hydra.compose(config.NAME, [*small, "flow=iuv", "motion.checked=true"])
    source = config.source_of(cfg)
    assert source.flow is FlowSource.iuv and source.test[0].followed is not None
    experiment = config.experiment_of(cfg)
    assert experiment.flow is FlowSource.iuv and experiment.motion == Estimation(checked=True)
    other = replace(experiment, flow=FlowSource.skeleton)
    unchecked = replace(experiment, motion=Estimation())
    assert len({e.identity("") for e in (experiment, other, unchecked)}) == 3


def test_a_run_is_told_by_what_its_weights_hold_and_not_by_their_path(tmp_path: Path) -> None:
    file = tmp_path / "raft.pth"
    experiment = Experiment("stsa_flow", motion=Estimation(weights=str(file)))
    with pytest.raises(UserError, match=r"motion.weights=.*raft.pth: cannot be read"):
        experiment.identity("")
    seen = set()
    for content in (b"one", b"two"):
        file.write_bytes(content)
        found = experiment.based_on()
        assert found["motion"] == hashlib.sha256(content).hexdigest()
        seen.add(experiment.identity(""))
    moved = replace(experiment, motion=Estimation(weights=str(file.rename(tmp_path / "b.pth"))))
    assert len(seen) == 2 and moved.identity("") in seen


def with_source(clip: Clip, shift: float) -> Clip:
    return replace(clip, followed=lambda k, r: torch.full((2, 16, 16), shift * (r - k)))


def test_the_record_names_the_source(tmp_path: Path) -> None:
    clips = [with_source(tiny_clip(i), 1.0) for i in range(2)]
    source = replace(tiny_source(clips), flow=FlowSource.iuv)
    record, _ = tiny_run(tmp_path / "a", tiny_experiment("stsa_flow"), source)
    assert record["flow"] == "iuv"
    assert ", flow iuv, " in summary(record, tmp_path)
    assert json.loads((tmp_path / "a" / "record.json").read_text())["flow"] == "iuv"
    plain, _ = tiny_run(tmp_path / "b", tiny_experiment("none"))
    assert plain["flow"] is None and "flow" not in summary(plain, tmp_path).splitlines()[0]
