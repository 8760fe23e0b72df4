"""Training from what was computed beforehand: the same numbers, from items whole or absent."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from command import environment
from dances import folder, picture, png, published
from tiny_run import tiny_model
from torch import Tensor

from attnzoo.data.clip import Batch
from attnzoo.data.flow_settings import Estimation, FlowSource
from attnzoo.data.flow_source import with_flow
from attnzoo.data.prepared import packed, unpacked
from attnzoo.data.source import Source
from attnzoo.data.store import Store, Unsound, key_of
from attnzoo.data.tiktok import open_tiktok
from attnzoo.data.video import open_video
from attnzoo.data.windows import Damaged, Short
from attnzoo.errors import UserError
from attnzoo.models.choice import Embedded, StableDiffusion, Weights
from attnzoo.models.methods import Method
from attnzoo.preparation.attach import attach
from attnzoo.preparation.prepare import Outcome, prepare
from attnzoo.prepare import command
from attnzoo.train.batches import Batches
from attnzoo.train.experiment import inflated
from attnzoo.train.objective import Objective
from attnzoo.train.settings import Experiment, Precision
from attnzoo.train.stages import enter_stage

FRAMES = 5


@pytest.fixture(autouse=True)
def _small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded model's classes, smaller: what is prepared is the same in kind."""
    monkeypatch.setattr(Embedded, "build", lambda self: tiny_model())
    monkeypatch.setattr(Embedded, "shape", lambda self: tiny_model().to("meta"))


def opened(path: Path, prepared: Path | None = None, **settings: Any) -> Source:
    where = None if prepared is None else str(prepared)
    return open_tiktok(str(path), size=32, frames=FRAMES, prepared=where, **settings)


def losses(
    experiment: Experiment, source: Source, batch: int = 1, workers: int = 0
) -> tuple[list[Batch], list[float]]:
    """The first batches, and their losses in the first stage."""
    model = inflated(experiment, experiment.model.build)
    enter_stage(model, 1)
    objective = Objective(model, noise=experiment.training_noise, seed=0, stage=1, null_tokens=0.5)
    batches = Batches(source.train, 0, 1, batch, workers)
    seen = list(batches.between(0, 2))
    with torch.no_grad():
        return [b for _, b in seen], [float(objective(b, first)) for first, b in seen]


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("computed, though it was prepared")


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A switch after which nothing may be decoded, encoded or estimated."""

    def switch() -> None:
        for place in (
            "attnzoo.data.tiktok_dance.Dance.read",
            "attnzoo.data.tiktok_folder.picture",
            "attnzoo.data.tiktok_raw.picture",
            "attnzoo.models.codec.PixelShuffleCodec.encode",
            "attnzoo.models.image_encoder.ImageEncoder.forward",
            "attnzoo.data.windows.dense_flow",
            "attnzoo.data.flow_source.limb_flow",
            "attnzoo.data.flow_source.surface_flow",
        ):
            monkeypatch.setattr(place, refuse)

    return switch


CASES: dict[str, tuple[dict[str, Any], FlowSource, Estimation]] = {
    "no flow": ({"variant": "temporal"}, FlowSource.auto, Estimation()),
    "the data's own flow": ({"variant": "stsa_flow"}, FlowSource.auto, Estimation()),
    "joints, checked": (
        {"variant": "stsa_flow", "options": {"size": (2, 4, 4)}},
        FlowSource.skeleton,
        Estimation(checked=True),
    ),
    "DreamPose": ({"variant": "none", "method": Method.dreampose}, FlowSource.auto, Estimation()),
}


@pytest.mark.parametrize("case", CASES)
def test_batches_and_losses_are_the_same_bit_for_bit(
    tmp_path: Path, no_work: Any, case: str
) -> None:
    settings, flow, how = CASES[case]
    data, store = folder(tmp_path / "data", ("002", "003"), FRAMES + 1), tmp_path / "store"
    source = with_flow(opened(data), flow, how)
    experiment = Experiment(**settings, flow=flow, motion=how, device="cpu")
    assert prepare(experiment, source, store).windows == 4
    plain, expected = losses(experiment, source)
    no_work()
    again = with_flow(opened(data, store), flow, how, tried=True)
    ready, found = losses(experiment, attach(experiment, again, store), workers=2)
    assert found == expected
    for a, b in zip(plain, ready, strict=True):
        assert a.names == b.names
        assert torch.equal(a.pose, b.pose)
        assert torch.equal(a.background, b.background)


def test_raw_iuv_and_a_clip_that_is_played_to_and_fro(tmp_path: Path, no_work: Any) -> None:
    data, store = published(tmp_path / "data", count=3), tmp_path / "store"
    source = with_flow(opened(data, short=Short.loop), FlowSource.iuv)
    experiment = Experiment("stsa_flow", flow=FlowSource.iuv, device="cpu")
    prepare(experiment, source, store)
    plain, expected = losses(experiment, source, batch=1)
    no_work()
    ready, found = losses(experiment, attach(experiment, source, store), batch=1)
    assert found == expected
    assert torch.equal(plain[0].pose, ready[0].pose)
    assert plain[0].pose[:, :, 3:].any()


def test_several_clips_a_batch_differ_by_the_image_encoder_s_rounding(tmp_path: Path) -> None:
    experiment, source, store = filled(tmp_path)
    plain, expected = losses(experiment, source, batch=2)
    ready, found = losses(experiment, attach(experiment, source, store), batch=2)
    assert found == pytest.approx(expected, rel=1e-6)
    assert all(torch.equal(a.pose, b.pose) for a, b in zip(plain, ready, strict=True))


def test_a_video_without_poses(tmp_path: Path, no_work: Any) -> None:
    pictures = tmp_path / "video"
    pictures.mkdir()
    for i in range(8):
        (pictures / f"{i}.png").write_bytes(png(picture(i)))
    store = tmp_path / "store"
    source = open_video(str(pictures), size=32, frames=FRAMES, windows=0, prepared=str(store))
    experiment = Experiment("stsa_flow", device="cpu")
    prepare(experiment, source, store)
    _, expected = losses(experiment, source)
    no_work()
    assert losses(experiment, attach(experiment, source, store))[1] == expected


def test_stable_diffusion_encodes_nothing_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    model = StableDiffusion(weights=Weights.random, scale=0.05)
    data, store = folder(tmp_path / "data", count=FRAMES + 1), tmp_path / "store"
    experiment = Experiment("temporal", model=model, device="cpu")
    source = opened(data)
    prepare(experiment, source, store)
    plain, expected = losses(experiment, source, batch=1)
    for place in (
        "attnzoo.models.auto_encoder.KLCodec.encode",
        "attnzoo.models.clip_encoder.ClipEncoder._tokens",
    ):
        monkeypatch.setattr(place, refuse)
    ready, found = losses(experiment, attach(experiment, source, store), batch=1)
    assert (plain[0].background.shape, ready[0].background.shape) == ((1, 3, 32, 32), (1, 4, 4, 4))
    assert found == expected


# --- what is there is not made again, what does not fit is


def filled(tmp_path: Path, variant: str = "stsa_flow") -> tuple[Experiment, Source, Path]:
    data, store = folder(tmp_path / "data", count=FRAMES + 1), tmp_path / "store"
    source, experiment = opened(data), Experiment(variant, device="cpu")
    prepare(experiment, source, store)
    return experiment, source, store


def items(store: Path) -> list[Path]:
    return sorted(p for p in (store / "items").rglob("*") if p.is_file())


def test_what_is_there_is_kept_and_shared(tmp_path: Path) -> None:
    experiment, source, store = filled(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in items(store)}
    again = prepare(experiment, source, store)
    assert (again.made, again.kept, again.rebuilt) == (0, len(before), 0)
    assert {p: p.stat().st_mtime_ns for p in items(store)} == before
    other = prepare(replace(experiment, variant="temporal"), source, store)
    assert other.made == 0
    spaced = opened(tmp_path / "data", every=2)
    assert prepare(experiment, spaced, store).made == 0


def test_other_weights_arithmetic_size_or_motion_make_other_items(tmp_path: Path) -> None:
    experiment, source, store = filled(tmp_path)
    weights = tmp_path / "other.safetensors"
    weights.write_bytes(b"others")
    changed = replace(experiment, model=Embedded(weights=str(weights)))
    with pytest.raises(UserError, match=r"not, or not to the end, prepared for these data, this"):
        attach(changed, source, store)
    # Every frame and first frame and the null token, but for the flow nothing new.
    assert prepare(changed, source, store).made == (FRAMES + 1) + 2 + 1
    moved = with_flow(source, FlowSource.classical, Estimation(checked=True))
    checked = replace(experiment, motion=Estimation(checked=True))
    assert 0 < prepare(checked, moved, store).made < 20
    half = replace(experiment, precision=Precision.bf16)
    assert prepare(half, source, store).made == (FRAMES + 1) + 2 + 1


def test_changed_pictures_are_noticed_and_prepared_anew(tmp_path: Path) -> None:
    experiment, source, store = filled(tmp_path, "temporal")
    frame = tmp_path / "data/002/000006.png"
    frame.write_bytes(png(picture(2)))
    with pytest.raises(UserError, match=r"002 was never prepared, or its files have changed since"):
        attach(experiment, source, store)
    again = prepare(experiment, opened(tmp_path / "data"), store)
    assert (again.made, again.kept) == (1, FRAMES + 2 + 1)
    frame.touch()  # changed in time, not in content
    assert prepare(experiment, opened(tmp_path / "data"), store).made == 0


def test_a_flipped_bit_is_named_by_a_run_and_mended_by_prepare(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    experiment, source, store = filled(tmp_path)
    plain = losses(experiment, attach(experiment, source, store))[1]
    sound = {item: item.read_bytes() for item in items(store)}
    for item, content in sound.items():
        changed = bytearray(content)
        changed[len(changed) // 2] ^= 1
        item.write_bytes(bytes(changed))
    settings = ["attn=stsa_flow", "size=[2,4,4]"]
    with pytest.raises(
        UserError, match=r"items/../\w+ is damaged, its checksum does not fit; run"
    ) as told:
        attach(experiment, source, store, settings)
    assert "`python -m attnzoo.prepare attn=stsa_flow 'size=[2,4,4]'`" in str(told.value)
    found = prepare(experiment, source, store)
    assert (found.rebuilt, found.made, found.kept) == (len(sound), len(sound), 0)
    assert caplog.text.count("its checksum does not fit: it is made again") == len(sound)
    assert {item: item.read_bytes() for item in items(store)} == sound
    assert losses(experiment, attach(experiment, source, store))[1] == plain
    for place in ("sheets", "catalogue"):
        pages = list((store / place).glob("*.json"))
        for page in pages:
            changed = bytearray(page.read_bytes())
            changed[len(changed) // 3] ^= 1
            page.write_bytes(bytes(changed))
        with pytest.raises(
            UserError, match=rf"{place}/\w+.json is damaged, its checksum does"
        ) as told:
            attach(experiment, source, store)
        assert any(f": {page.relative_to(store)} is damaged" in str(told.value) for page in pages)
        assert prepare(experiment, source, store).made == 0
        assert losses(experiment, attach(experiment, source, store))[1] == plain
    victim = items(store)[3]
    victim.unlink()
    ready = attach(experiment, source, store).train
    with pytest.raises(UserError, match=rf"{victim.name} is missing; run `python -m attnzoo.prep"):
        list(ready)


def test_a_variant_finds_no_flow_on_grids_that_another_asked_for(tmp_path: Path) -> None:
    experiment, source, store = filled(tmp_path)
    other = replace(experiment, options={"size": (5, 4, 4)})
    with pytest.raises(UserError, match="not to the end, prepared"):
        attach(other, source, store)
    clip = attach(experiment, source, store).train[0]
    assert clip.motion is not None and clip.ready is not None and clip.ready.related is not None
    with pytest.raises(UserError, match="holds no flow from frame 0 to frame 4 on a grid of 16x16"):
        clip.ready.related([4] * FRAMES, 16, 16)
    with pytest.raises(UserError, match="prepared on some grids alone"):
        clip.motion(0, 1)


def test_damaged_frames_are_refused_or_known_beforehand(tmp_path: Path, no_work: Any) -> None:
    data, store = folder(tmp_path / "data", ("002", "003"), FRAMES + 3), tmp_path / "store"
    (data / "002/000007.png").write_bytes(png(picture(0))[:150])
    experiment = Experiment("temporal", device="cpu")
    source = opened(data, damaged=Damaged.skip)
    assert prepare(experiment, source, store).windows == 2 + 4
    no_work()
    again = opened(data, store, damaged=Damaged.skip)
    assert again.split == source.split
    assert [c.name for c in attach(experiment, again, store).train][:3] == [
        "002-00000", "002-00001", "003-00000",
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"002/000007\.png: damaged picture"):
        opened(data, store)


# --- the store itself


def test_an_item_is_what_was_put_or_is_refused(tmp_path: Path) -> None:
    store, key = Store(tmp_path / "store"), key_of("a", 1, [2.5])
    tensors = {"a": torch.arange(6).view(2, 3), "b": torch.rand(4).to(torch.bfloat16)}
    store.put(key, tensors)
    found = store.get(key)
    assert found.keys() == tensors.keys()
    assert all(
        torch.equal(found[k], tensors[k]) and found[k].dtype == tensors[k].dtype for k in found
    )
    (file,) = items(store.folder)
    for cut in (0, 20, 40, len(file.read_bytes()) - 1):
        file.write_bytes(file.read_bytes()[:cut])
        with pytest.raises(Unsound) as told:
            store.get(key)
        assert told.value.damaged
        store.put(key, tensors)
    with pytest.raises(Unsound, match="missing"):
        store.get(key_of("b"))


@pytest.mark.parametrize("bytes_alone", [True, False])
def test_images_are_packed_without_loss(bytes_alone: bool) -> None:
    image: Tensor = torch.randint(0, 256, (6, 8, 5)).float() / 255
    image = image if bytes_alone else image * 0.99
    content, shape = packed(image)
    assert torch.equal(unpacked(content, shape), image)
    assert (content.numel() < 400) == bytes_alone


def test_two_at_work_share_the_recordings_and_leavings_are_swept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.shared():
        left = tmp_path / "items/ab/.partial-1-xyz"
        left.parent.mkdir(parents=True)
        left.write_text("half")
        with store.claimed("002", wait=False) as mine:
            assert mine
            with Store(tmp_path).claimed("002", wait=False) as theirs:
                assert not theirs
            with Store(tmp_path).claimed("003", wait=False) as theirs:
                assert theirs
        with Store(tmp_path).shared():
            assert left.exists()  # it may be the other's
    with store.shared():
        assert not left.exists()


def test_a_disk_without_locks_is_told_of_and_nothing_is_swept_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def lockless(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("attnzoo.data.store.fcntl.flock", lockless)
    left = tmp_path / "items/ab/.partial-1-xyz"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    store = Store(tmp_path)
    with store.shared():
        for wait in (False, True):
            with store.claimed("002", wait=wait) as mine:
                assert mine
    assert left.exists() and caplog.text.count("this disk has no locks") == 1


# --- the command


def settings_of(data: Path, store: Path) -> Sequence[str]:
    return (
        "attn=temporal", "data=tiktok", f"data.path={data}", f"data.prepared={store}",
        "data.size=32", f"data.frames={FRAMES}",
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.slow
def test_killed_and_started_again_it_leaves_what_it_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the killed process has the model as shipped
    data, store = folder(tmp_path / "data", ("002", "003"), 24), tmp_path / "store"
    program = [sys.executable, "-m", "attnzoo.prepare", *settings_of(data, store)]
    with subprocess.Popen(program, env=environment(), stderr=subprocess.DEVNULL) as process:
        while len(items(store)) < 20 and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    there = len(items(store))
    assert 20 <= there < 45
    source = opened(data)
    experiment = Experiment("temporal", device="cpu")
    with pytest.raises(UserError, match=r"run `python -m attnzoo.prepare` with this run"):
        attach(experiment, source, store)
    again = prepare(experiment, source, store)
    assert again == Outcome(windows=40, made=45 - again.kept, kept=again.kept)
    assert again.kept >= there - 2
    whole = tmp_path / "whole"
    prepare(experiment, source, whole)
    assert [p.name for p in items(whole)] == [p.name for p in items(store)]
    assert [p.read_bytes() for p in items(whole)] == [p.read_bytes() for p in items(store)]


def test_embedded_data_have_nothing_to_prepare() -> None:
    with pytest.raises(UserError, match="data=embedded: its clips are drawn and not read"):
        command(["attn=temporal"])
    with pytest.raises(UserError, match=r"data.prepared=FOLDER is needed"):
        command(["attn=temporal", "data=tiktok", "data.path=nowhere"])
