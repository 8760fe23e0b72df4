"""The feature network, its training, and the scores as a record keeps them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from attnzoo.data.embedded import open_embedded
from attnzoo.errors import UserError
from attnzoo.metrics.features import (
    FEATURES,
    WEIGHTS,
    FeatureNetwork,
    features,
    load_features,
    perceptual_distance,
    read_notes,
)
from attnzoo.metrics.flicker import flicker
from attnzoo.metrics.frechet import frechet_distance, gaussian
from attnzoo.metrics.ghosting import ghosting
from attnzoo.metrics.identity import identity
from attnzoo.metrics.l1 import l1
from attnzoo.metrics.logo import track
from attnzoo.metrics.psnr import psnr
from attnzoo.metrics.score import score
from attnzoo.metrics.ssim import ssim
from attnzoo.metrics.statistics import frechet_interval
from attnzoo.metrics.warp_error import PairFlow, correspondence, warp_error
from attnzoo.models.finite import NotFinite
from attnzoo.train.feature_task import CLASSES, COMPONENTS, blurred, corrupt, make_pool
from attnzoo.train.features import (
    FeatureTraining,
    command,
    draw_losses,
    train_features,
    write_weights,
)

NAMES = {
    "ssim", "psnr", "l1", "l1_body", "lpips", "embedded_perceptual", "fd_embedded_frame",
    "fd_embedded_video", "warp_error_1", "warp_error_4", "warp_error_1_picture",
    "warp_error_4_picture", "flicker", "ghosting", "identity_embedded", "logo_position",
    "logo_jitter", "logo_shape", "logo_colour",
}  # fmt: skip


@dataclass
class Known:
    """What scoring asks of a clip."""

    body: Tensor
    flow: PairFlow | None
    logo: Tensor | None = None

    @property
    def foreground(self) -> Tensor:
        return torch.full((3, *self.body.shape[2:]), 0.7)

    @property
    def mask(self) -> Tensor:
        return torch.ones(1, *self.body.shape[2:])


def still(k: int, r: int, h: int = 16, w: int = 16) -> tuple[Tensor, Tensor]:
    return torch.zeros(2, h, w), torch.ones(h, w, dtype=torch.bool)


def some(n: int, f: int, h: int = 16, w: int = 16, seed: int = 0) -> Tensor:
    return torch.rand((n, f, 3, h, w), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def network() -> FeatureNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FeatureNetwork().eval()


@pytest.fixture(scope="module")
def dancers() -> list:  # type: ignore[type-arg]
    source = open_embedded(train_clips=24, clips=4)
    return [source.train[i] for i in range(20)]


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(8, 70), st.integers(8, 70))
def test_features_have_their_shapes_for_any_clip(n: int, f: int, h: int, w: int) -> None:
    frames, videos = features(FeatureNetwork(), some(n, f, h, w))
    assert frames.shape == (n, f, FEATURES) and videos.shape == (n, FEATURES)
    assert frames.isfinite().all() and videos.isfinite().all()


def test_clips_and_frames_do_not_mix(network: FeatureNetwork) -> None:
    clips = some(3, 4, 64, 64)
    frames, videos = features(network, clips)
    alone = features(network, clips[1:2])
    torch.testing.assert_close(frames[1:2], alone[0])
    torch.testing.assert_close(videos[1:2], alone[1])
    shuffled = features(network, clips[:, [2, 0, 3, 1]])
    torch.testing.assert_close(frames[:, [2, 0, 3, 1]], shuffled[0])
    assert not torch.allclose(videos, shuffled[1])


def test_perceptual_distance_is_its_definition(network: FeatureNetwork) -> None:
    real, fake = some(2, 3, 64, 64), some(2, 3, 64, 64, seed=1)
    expected = []
    for a, b in zip(real, fake, strict=True):
        with torch.no_grad():
            pairs = list(zip(network.layers(a), network.layers(b), strict=True))
        of_layers = []
        for x, y in pairs:
            x, y = x.double(), y.double()
            x, y = x / x.norm(dim=1, keepdim=True), y / y.norm(dim=1, keepdim=True)
            of_layers.append((2 - 2 * (x * y).sum(1)).mean())
        expected.append(sum(of_layers) / len(of_layers))
    torch.testing.assert_close(
        perceptual_distance(network, real, fake), torch.stack(expected), rtol=1e-4, atol=1e-6
    )
    assert perceptual_distance(network, real, real).tolist() == [0.0, 0.0]


def test_a_missing_or_foreign_file_names_itself_and_the_command(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path / "bad.safetensors"):
        if path.name.startswith("bad"):
            path.write_bytes(b"no safetensors")
        with pytest.raises(UserError, match=f"{path.name}.*attnzoo.train.features"):
            load_features(path)


def test_a_record_has_every_score_and_is_plain_json() -> None:
    real, fake = some(3, 6), some(3, 6, seed=1)
    known = [Known(torch.ones(6, 1, 16, 16), still) for _ in range(3)]
    found = score(real, fake, known)
    assert set(found) == NAMES
    json.dumps(found, allow_nan=False)
    for name, entry in found.items():
        assert (entry["value"] is None) == ("reason" in entry), name
        if entry["value"] is not None and not name.startswith("fd_"):
            assert entry["n"] == 3
            assert entry["value"] == pytest.approx(sum(entry["clips"]) / 3)
    assert found["l1_body"]["value"] == pytest.approx(found["l1"]["value"])
    assert found["warp_error_1"]["value"] == pytest.approx(found["warp_error_1_picture"]["value"])
    assert found["fd_embedded_frame"]["n"] == 18 and found["fd_embedded_video"]["n"] == 3
    assert "biased upwards" in found["fd_embedded_video"]["note"]


def test_influences_of_clips_give_the_interval_of_a_distance() -> None:
    real, fake = some(6, 4), some(6, 4, seed=1)
    found = score(real, fake, [Known(torch.ones(4, 1, 16, 16), None)] * 6)
    network, videos = load_features(WEIGHTS), torch.arange(6)
    of_frames, of_videos = zip(features(network, real), features(network, fake), strict=True)
    for name, rows, of in (
        ("fd_embedded_frame", of_frames, videos.repeat_interleave(4)),
        ("fd_embedded_video", of_videos, videos),
    ):
        a, b = (part.reshape(-1, FEATURES) for part in rows)
        interval = frechet_interval(a, b, of, of)
        influence = torch.tensor(found[name]["influence"], dtype=torch.float64)
        assert len(influence) == 6 and abs(float(influence.sum())) < 1e-9 * interval.value
        error = float((influence.square().sum() * 6 / 5).sqrt())
        half = float(stats.t.ppf(0.975, 5)) * error / interval.value
        assert interval.high is not None
        assert interval.value * math.exp(half) == pytest.approx(interval.high, rel=1e-6)


def test_what_cannot_be_had_is_null_with_its_reason(tmp_path: Path) -> None:
    real, fake = some(1, 2, 8, 8), some(1, 2, 8, 8, seed=1)
    known = [Known(torch.zeros(2, 1, 8, 8), None)]
    found = score(real, fake, known, weights=tmp_path / "none.safetensors")
    reasons = {
        "ssim": "at least 11 pixels",
        "l1_body": "no clip's body is known",
        "ghosting": "or it leaves no pixel",
        "identity_embedded": "attnzoo.train.features",
        "embedded_perceptual": "attnzoo.train.features",
        "fd_embedded_video": "attnzoo.train.features",
        "warp_error_1": "knows no flow",
        "warp_error_4_picture": "no two that are 4 apart",
        "flicker": "at least 3 frames, not 2",
    }
    for name, reason in reasons.items():
        assert found[name]["value"] is None and reason in found[name]["reason"], name
    assert found["psnr"]["value"] is not None and found["l1"]["value"] is not None


def test_one_clip_has_no_video_distance_and_says_why() -> None:
    known = [Known(torch.ones(3, 1, 16, 16), still)]
    found = score(some(1, 3), some(1, 3, seed=1), known)
    assert found["fd_embedded_video"]["value"] is None
    assert "at least 2 samples, not 1" in found["fd_embedded_video"]["reason"]
    assert found["fd_embedded_frame"]["value"] is not None


def test_a_clip_without_body_or_flow_is_left_out_of_the_mean_and_keeps_its_place() -> None:
    real, fake = some(2, 3), some(2, 3, seed=1)
    known = [Known(torch.zeros(3, 1, 16, 16), None), Known(torch.ones(3, 1, 16, 16), still)]
    found = score(real, fake, known)
    for name in ("l1_body", "warp_error_1"):
        first, second = found[name]["clips"]
        assert first is None and second == found[name]["value"] and found[name]["n"] == 1
    # The real clips' value is over the same clips as the generated ones'.
    pairs = (real[1, 1:] - real[1, :-1]).abs().mean()
    assert found["warp_error_1"]["real"] == pytest.approx(pairs.item(), abs=1e-6)


@pytest.mark.parametrize(
    ("fake", "clips", "words"),
    [
        (torch.zeros(1, 2, 3, 16, 16), 2, "2 clips"),
        (torch.zeros(1, 3, 3, 16, 16), 1, "generated and 1 clips"),
        (torch.full((1, 2, 3, 16, 16), float("nan")), 1, "not finite"),
    ],
)
def test_what_does_not_fit_is_refused(fake: Tensor, clips: int, words: str) -> None:
    known = [Known(torch.ones(2, 1, 16, 16), still)] * clips
    with pytest.raises(ValueError, match=words):
        score(torch.zeros(1, 2, 3, 16, 16), fake, known)


def test_the_real_dancers_score_perfectly_against_themselves(dancers: list) -> None:  # type: ignore[type-arg]
    clips = dancers[:2]
    real = torch.stack([clip.video for clip in clips])
    found = score(real, real, clips)
    perfect = {"ssim": 1.0, "l1": 0.0, "l1_body": 0.0, "flicker": 0.0}
    for name, value in perfect.items():
        assert found[name]["value"] == pytest.approx(value, abs=1e-9), name
    for span in (1, 4):
        entry = found[f"warp_error_{span}"]
        assert entry["value"] == entry["real"] and 0 < entry["value"] < 0.1
    assert found["warp_error_1"]["value"] < score(real, some(2, 16, 64, 64), clips)["warp_error_1"]["value"]  # fmt: skip  # noqa: E501


def test_each_score_is_its_metric_of_the_right_videos(dancers: list) -> None:  # type: ignore[type-arg]
    """Each by its own function, real and generated in their places."""
    clips = dancers[:2]
    real = torch.stack([clip.video for clip in clips])
    # Darker, later by a frame and moved: what is not symmetrical shows which is which.
    fake = (0.8 * real + 0.2 * real[:, [0, *range(15)]]).roll(1, -1)
    found, network = score(real, fake, clips), load_features()
    body = torch.stack([clip.body for clip in clips])
    whole = {
        "ssim": ssim(real, fake),
        "psnr": psnr(real, fake),
        "l1": l1(real, fake),
        "l1_body": l1(real, fake, body),
        "flicker": flicker(real, fake),
        "embedded_perceptual": perceptual_distance(network, real, fake),
    }
    for name, expected in whole.items():
        assert found[name]["clips"] == pytest.approx(expected.tolist()), name
    assert abs(found["flicker"]["value"]) > 1e-4
    reals: dict[str, list[float]] = {"identity_embedded": []}
    for i, clip in enumerate(clips):
        for span in (1, 4):
            along = correspondence(clip.flow, 16, span)
            for name, where in ((f"warp_error_{span}", clip.body), (f"warp_error_{span}_picture", None)):  # fmt: skip  # noqa: E501
                expected = warp_error(fake[i], along, where)
                assert found[name]["clips"][i] == pytest.approx(expected), name
                reals.setdefault(name, []).append(warp_error(real[i], along, where))
        assert found["ghosting"]["clips"][i] == ghosting(real[i], fake[i], clip.body)
        sign = track(real[i], fake[i], clip.logo)
        for name, value in (
            ("logo_position", sign.position_error), ("logo_jitter", sign.jitter),
            ("logo_shape", sign.shape_error), ("logo_colour", sign.colour_error),
        ):  # fmt: skip
            assert found[name]["clips"][i] == pytest.approx(value, nan_ok=True), name
        likeness = [
            float(identity(network, video, clip.body, clip.foreground, clip.mask).nanmean())
            for video in (fake[i], real[i])
        ]
        assert found["identity_embedded"]["clips"][i] == pytest.approx(likeness[0])
        reals["identity_embedded"].append(likeness[1])
    for name, values in reals.items():
        assert found[name]["real"] == pytest.approx(sum(values) / 2) != found[name]["value"], name


def test_only_blur_and_noise_are_taught_and_the_seed_decides() -> None:
    videos = some(30, 2, 16, 16)
    found, classes = corrupt(videos, torch.Generator().manual_seed(3))
    again, _ = corrupt(videos, torch.Generator().manual_seed(3))
    assert torch.equal(found, again) and set(classes.tolist()) == set(range(CLASSES))
    for before, after, kind in zip(videos, found, classes.tolist(), strict=True):
        assert torch.equal(before, after) == (kind == 0)
        if kind == 1:
            assert after.std() < before.std()


@pytest.mark.parametrize("sigma", [0.3, 1.7])
def test_blur_keeps_flat_pictures_and_the_mean_of_a_point(sigma: float) -> None:
    flat = torch.full((2, 3, 9, 9), 0.4)
    torch.testing.assert_close(blurred(flat, sigma), flat)
    point = torch.zeros(1, 1, 31, 31)
    point[..., 15, 15] = 1
    spread = blurred(point, sigma)[0, 0]
    assert spread.sum().item() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(spread, spread.T)


def test_targets_are_centred_and_of_unit_mean_variance(dancers: list) -> None:  # type: ignore[type-arg]
    pool = make_pool(dancers)
    assert pool.videos.shape == (20, 16, 3, 64, 64) and pool.videos.dtype == torch.uint8
    assert pool.frame_targets.shape == (20, 16, 2 * COMPONENTS)
    assert pool.video_targets.shape == (20, 3 * COMPONENTS)
    frames = pool.frame_targets.flatten(0, 1)
    torch.testing.assert_close(frames.mean(0), torch.zeros(2 * COMPONENTS), atol=1e-4, rtol=0)
    for part in (frames[:, :COMPONENTS], frames[:, COMPONENTS:]):
        assert part.var(0).mean().item() == pytest.approx(1, abs=1e-3)


def test_a_stopped_training_goes_on_to_the_same_weights(
    dancers: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # type: ignore[type-arg]
) -> None:  # fmt: skip
    from attnzoo.train import features as module

    plan = FeatureTraining(steps=4, clips=12, batch=2)
    cpu = torch.device("cpu")
    whole, progress = train_features(dancers, plan, device=cpu, checkpoint=tmp_path / "a")

    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)
    real, calls = module._loss, []

    def stopping(*args):  # type: ignore[no-untyped-def]
        calls.append(None)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(module, "_loss", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_features(dancers, plan, device=cpu, checkpoint=tmp_path / "b")
    monkeypatch.setattr(module, "_loss", real)
    resumed, later = train_features(dancers, plan, device=cpu, checkpoint=tmp_path / "b")

    assert later.losses == progress.losses
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(UserError, match="other settings"):
        other = FeatureTraining(steps=5, clips=12, batch=2)
        train_features(dancers, other, device=cpu, checkpoint=tmp_path / "b")

    out = tmp_path / "deep" / "features.safetensors"
    write_weights(out, resumed, plan, later)
    draw_losses(tmp_path / "loss.png", later)
    assert read_notes(out)["steps"] == 4 and (tmp_path / "loss.png").stat().st_size > 1000
    x = some(1, 3, 64, 64)
    torch.testing.assert_close(
        features(load_features(out), x)[1], features(resumed.network, x)[1], rtol=0.02, atol=0.02
    )
    assert [p.name for p in out.parent.iterdir()] == ["features.safetensors"]


def test_a_training_stops_at_a_loss_that_is_no_number(
    dancers: list, tmp_path: Path  # type: ignore[type-arg]
) -> None:  # fmt: skip
    plan = FeatureTraining(steps=6, clips=12, batch=2, learning_rate=1e30)
    with pytest.raises(NotFinite, match=r"step \d of 6: the .* is (nan|inf)"):
        train_features(dancers, plan, device=torch.device("cpu"), checkpoint=tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("clips", 9), ("batch", -1)])
def test_impossible_settings_are_refused(name: str, value: int) -> None:
    with pytest.raises(UserError, match=f"--{name} {value}: at least"):
        FeatureTraining(**{name: value})


def test_too_few_training_clips_are_refused(dancers: list, tmp_path: Path) -> None:  # type: ignore[type-arg]
    plan = FeatureTraining(clips=21)
    with pytest.raises(UserError, match="--clips 21: the data set has 20"):
        train_features(dancers, plan, device=torch.device("cpu"), checkpoint=tmp_path / "a")


def test_the_shipped_network_orders_damage(dancers: list) -> None:  # type: ignore[type-arg]
    """Also damage that it was never taught: shuffled frames, ghosts, jitter, flicker."""
    network = load_features()
    assert WEIGHTS.stat().st_size < 1_000_000
    generator = torch.Generator().manual_seed(0)
    real = torch.stack([clip.video for clip in dancers])
    reference = gaussian(features(network, real)[1])

    def distance(clips: Tensor) -> float:
        return frechet_distance(reference, gaussian(features(network, clips.clamp(0, 1))[1]))

    def noise(s: float) -> Tensor:
        return real + s * torch.randn(real.shape, generator=generator)

    def flicker(s: float) -> Tensor:
        return real * (1 + s * torch.randn((len(real), 16, 1, 1, 1), generator=generator))

    def ghost(s: float) -> Tensor:
        return (1 - s) * real + s * real[:, [0, *range(15)]]

    def jitter(pixels: int) -> Tensor:
        return torch.stack([real[:, k].roll(pixels * (k % 2), -1) for k in range(16)], 1)

    def shuffle(width: int) -> Tensor:
        order = [k for i in range(0, 16, width) for k in reversed(range(i, i + width))]
        order = order[1::2] + order[::2] if width == 16 else order
        return real[:, order]

    for damage, mild, strong in (
        (lambda s: torch.stack([blurred(clip, s) for clip in real]), 0.5, 1.5),
        (noise, 0.02, 0.1),
        (flicker, 0.05, 0.15),
        (ghost, 0.2, 0.5),
        (jitter, 1, 3),
        (shuffle, 2, 16),
    ):
        assert 0 < distance(damage(mild)) < distance(damage(strong))


def test_the_command_of_the_feature_network_writes_where_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped, out = WEIGHTS.read_bytes(), tmp_path / "mine.safetensors"
    given = ["--steps", "2", "--clips", "12", "--batch", "2", "--device", "cpu", "--out", str(out)]
    command(given)
    assert read_notes(out)["steps"] == 2 and WEIGHTS.read_bytes() == shipped
    assert (tmp_path / "mine_loss.png").is_file()
    assert isinstance(load_features(out), FeatureNetwork)
    (tmp_path / "mine.checkpoint").write_bytes(b"no state")
    with pytest.raises(UserError, match=r"mine\.checkpoint: no state of a training"):
        command(given)
    monkeypatch.chdir(tmp_path)
    command(given[:-2])
    written = {"features.checkpoint", "features.safetensors", "features_loss.png"}
    assert {path.name for path in Path("outputs").iterdir()} == written
    assert WEIGHTS.read_bytes() == shipped
