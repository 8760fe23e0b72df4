"""The whole denoiser: what each condition does, and what must stay the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from attnzoo.data.clip import Batch, collate
from attnzoo.data.embedded import open_embedded
from attnzoo.errors import UserError
from attnzoo.models.codec import PixelShuffleCodec
from attnzoo.models.dance import DanceModel
from attnzoo.models.embedded import build_embedded, load_embedded
from attnzoo.models.image_encoder import CHUNK, ImageEncoder
from attnzoo.models.noise import Noise
from attnzoo.train.objective import Objective


@pytest.fixture(scope="module")
def batch() -> Batch:
    return collate([open_embedded(frames=3).test[i] for i in range(2)])


@pytest.fixture(scope="module")
def model() -> DanceModel:
    torch.manual_seed(0)
    model = build_embedded().eval()
    with torch.no_grad():  # ControlNets start at zero; here they must be seen to act
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    return model


@pytest.fixture(scope="module")
def noisy() -> torch.Tensor:
    return torch.randn(2, 3, 12, 32, 32, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def predict(model: DanceModel, batch: Batch, noisy: torch.Tensor) -> torch.Tensor:
    times = torch.tensor([700, 100])[: len(noisy)]
    return model(noisy, times, model.tokens(batch), batch.pose, batch.background)


def test_codec_loses_nothing() -> None:
    images = torch.rand(2, 3, 3, 16, 16)
    latents = PixelShuffleCodec(2).encode(images)
    assert latents.shape == (2, 3, 12, 8, 8)
    assert torch.allclose(PixelShuffleCodec(2).decode(latents), images, atol=1e-6)


def test_tokens_are_the_persons_cells_then_the_null_token(batch: Batch) -> None:
    encoder = ImageEncoder()
    torch.nn.init.normal_(encoder.null)
    tokens = encoder(batch.foreground, batch.mask, batch.reference_pose)
    cells = torch.nn.functional.max_pool2d(batch.mask, 2).flatten(1).sum(1)
    assert tokens.shape[1] % CHUNK == 0
    for row, count in zip(tokens, cells.int().tolist(), strict=True):
        null = (row == encoder.null).all(-1)
        assert not null[:count].any()
        assert null[count:].all()


def test_a_person_gives_the_same_tokens_alone_and_in_company(batch: Batch) -> None:
    encoder = ImageEncoder()
    both = encoder(batch.foreground, batch.mask, batch.reference_pose)
    alone = encoder(batch.foreground[:1], batch.mask[:1], batch.reference_pose[:1])
    assert torch.allclose(both[0, : alone.shape[1]], alone[0], atol=1e-6)


def test_frames_do_not_see_each_other_before_inflation(model, batch, noisy) -> None:
    whole = predict(model, batch, noisy)
    for k in range(3):
        one = replace(batch, pose=batch.pose[:, k : k + 1])
        alone = predict(model, one, noisy[:, k : k + 1])[:, 0]
        assert torch.allclose(alone, whole[:, k], atol=1e-5)


@pytest.mark.parametrize("field", ["pose", "background", "foreground", "mask", "reference_pose"])
def test_every_condition_matters(model, batch, noisy, field: str) -> None:
    changed = replace(batch, **{field: getattr(batch, field).flip(0)})
    assert not torch.allclose(predict(model, changed, noisy), predict(model, batch, noisy))


def test_the_person_is_read_by_its_own_pose_and_not_the_dances(model, batch) -> None:
    tokens = model.tokens(batch)
    dancing = replace(batch, pose=batch.pose.flip(0))
    assert torch.equal(model.tokens(dancing), tokens)
    posing = replace(batch, reference_pose=batch.reference_pose.flip(0))
    assert not torch.allclose(model.tokens(posing), tokens)


def test_clips_of_a_batch_are_independent(model, batch, noisy) -> None:
    changed = noisy.clone()
    changed[1] += 1
    before, after = predict(model, batch, noisy), predict(model, batch, changed)
    assert torch.allclose(before[0], after[0], atol=1e-5)
    assert not torch.allclose(before[1], after[1])


def test_missing_weights_name_the_file_and_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere.*attnzoo\.train\.base"):
        load_embedded(tmp_path / "nowhere.safetensors")


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_file({"unet.conv_in.weight": torch.zeros(1)}, tmp_path / "wrong.safetensors")
    with pytest.raises(UserError, match=r"wrong\.safetensors"):
        load_embedded(tmp_path / "wrong.safetensors")


def test_shipped_weights_fit_the_code_that_reads_them() -> None:
    """Their loss, which any change of inputs, waves or schedule would raise."""
    model = load_embedded()
    assert model.unet.conv_in.weight.dtype == torch.float32
    model.inflate("none", positions=False)
    objective = Objective(model, noise=Noise.independent, seed=0, stage=1, null_tokens=0.0)
    batch = collate([open_embedded(frames=2).test[0]])
    with torch.no_grad():
        losses = [float(objective(batch, number)) for number in range(8)]
    assert sum(losses) / 8 < 0.05
