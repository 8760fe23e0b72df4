"""Networks in their published layouts, with small or random weights, and distances of features."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attnzoo.errors import UserError
from attnzoo.metrics.distances import FRECHET, POLYNOMIAL_MMD, frechet, polynomial_mmd
from attnzoo.metrics.entries import cd_fvd, fid, fid_vid, fvd, jedi
from attnzoo.metrics.networks.i3d import I3D, _same
from attnzoo.metrics.networks.inputs import i3d_input, resnet_input
from attnzoo.metrics.networks.resnet3d import ResNet3D
from attnzoo.metrics.networks.video_transformer import AttentivePooler, VideoMae, VJepa
from attnzoo.metrics.networks.weights import fill, read_weights, sha256

CPU = torch.device("cpu")


def drawn(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A network whose statistics are random too, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = make()
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight)  # so that features depend on the pictures
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def video(frames: int, h: int = 24, w: int = 20, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (frames, 3, h, w), generator=generator, dtype=torch.uint8)


class Clips(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Items for torch-fidelity."""

    def __init__(self, items: list[Tensor]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Tensor:
        return self.items[index]


def fidelity(real: list[Tensor], fake: list[Tensor], **settings: object) -> float:
    from torch_fidelity import calculate_metrics

    found = calculate_metrics(
        input1=Clips(real), input2=Clips(fake), fid=True, cuda=False, verbose=False,
        save_cpu_ram=True, batch_size=2, cache=False, **settings,
    )  # fmt: skip
    return float(found["frechet_inception_distance"])


def test_what_networks_are_given_is_what_their_sources_say() -> None:
    """At their own sizes, where nothing is resized."""
    through = nn.Sequential(nn.Identity(), nn.Identity())
    frames = video(1, 299, 299)
    expected = 2 * frames.float() / 255 - 1
    torch.testing.assert_close(fid.pytorch_fid_features(through, frames), expected.flatten(1))
    frames, mean = video(1, 112, 112), torch.tensor((114.7748, 107.7354, 99.4750)).view(3, 1, 1)
    torch.testing.assert_close(resnet_input(frames), frames.float() - mean)
    frames = video(1, 224, 224)
    torch.testing.assert_close(i3d_input(frames), frames.float() / 127.5 - 1)


def test_i3d_pads_as_tensorflow_does() -> None:
    """SAME: the odd cell behind, sizes that divide by the stride without loss."""
    row = torch.arange(1.0, 5).view(1, 1, 1, 4, 1)
    assert _same(row, (1, 7, 1), (1, 2, 1)).flatten().tolist() == [0, 0, 1, 2, 3, 4, 0, 0, 0]
    assert _same(row, (1, 3, 1), (1, 1, 1)).flatten().tolist() == [0, 1, 2, 3, 4, 0]
    assert _same(row, (1, 2, 1), (1, 2, 1)).flatten().tolist() == [1, 2, 3, 4]


def test_videomae_is_that_of_transformers() -> None:
    """With equal weights: its positions, its biases, its blocks, its closing mean."""
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

    width, hidden, side = 32, 48, 16
    config = VideoMAEConfig(
        image_size=side, patch_size=8, num_channels=3, num_frames=4, tubelet_size=2,
        hidden_size=width, num_hidden_layers=2, num_attention_heads=16, intermediate_size=hidden,
        hidden_act="gelu", use_mean_pooling=True, qkv_bias=True, layer_norm_eps=1e-6,
        num_labels=width,
    )  # fmt: skip
    theirs = drawn(lambda: VideoMAEForVideoClassification(config)).eval()
    for parameter in theirs.parameters():
        parameter.data.normal_(0, 0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    theirs.classifier.weight.data.copy_(torch.eye(width))
    theirs.classifier.bias.data.zero_()
    own = {"patch_embed.proj.weight": "videomae.embeddings.patch_embeddings.projection.weight"}
    state = theirs.state_dict()
    found = {"patch_embed.proj.bias": state["videomae.embeddings.patch_embeddings.projection.bias"]}
    found |= {name: state[other] for name, other in own.items()}
    for i in range(2):
        layer = f"videomae.encoder.layer.{i}."
        attention = f"{layer}attention.attention."
        found[f"blocks.{i}.attn.qkv.weight"] = torch.cat(
            [state[f"{attention}{part}.weight"] for part in ("query", "key", "value")]
        )
        for part, name in (("query", "q_bias"), ("value", "v_bias")):
            key = f"{attention}{name}"
            found[f"blocks.{i}.attn.{name}"] = state.get(key, state.get(f"{attention}{part}.bias"))
        for mine, their in (
            ("norm1", "layernorm_before"), ("norm2", "layernorm_after"),
            ("attn.proj", "attention.output.dense"), ("mlp.fc1", "intermediate.dense"),
            ("mlp.fc2", "output.dense"),
        ):  # fmt: skip
            for part in ("weight", "bias"):
                found[f"blocks.{i}.{mine}.{part}"] = state[f"{layer}{their}.{part}"]
    for part in ("weight", "bias"):
        found[f"fc_norm.{part}"] = state[f"fc_norm.{part}"]
    ours = VideoMae({**found, "head.weight": torch.zeros(5, width), "head.bias": torch.zeros(5)})
    missing = ours.load_state_dict(found, strict=False)
    assert all("qkv.bias" in n or n.startswith("head") for n in missing.missing_keys), missing
    assert not missing.unexpected_keys
    frames = torch.rand(1, 4, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs(frames).logits
        came = ours.eval()(frames.transpose(1, 2))
    torch.testing.assert_close(came, expected, rtol=1e-4, atol=1e-4)


def test_fid_is_torch_fidelitys_own(tmp_path: Path) -> None:
    path = tmp_path / "inception.pth"
    torch.save(drawn(_bare_inception).state_dict(), path)
    network = fid.load_inception([path], CPU)
    real, fake = video(3), video(3, seed=1)
    own = frechet(fid.fidelity_features(network, real), fid.fidelity_features(network, fake))
    other = fidelity(list(real), list(fake), feature_extractor_weights_path=str(path))
    assert own == pytest.approx(other, rel=1e-3) and own > 1e-3
    # pytorch-fid's way of reading pictures is another one, of the same network.
    rows = fid.pytorch_fid_features(network, real[:1])
    assert rows.shape == (1, 2048)
    assert not torch.allclose(rows, fid.fidelity_features(network, real[:1]), rtol=1e-3)


def _bare_inception() -> nn.Module:
    """The network without its constructor's loading."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Bare(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, state: object, **kwargs: object) -> None:
            return None

    import torch_fidelity.feature_extractor_inceptionv3 as module

    before = module.load_state_dict_from_url
    module.load_state_dict_from_url = lambda *args, **kwargs: {}
    try:
        return Bare("inception-v3-compat", ["2048"])
    finally:
        module.load_state_dict_from_url = before


@pytest.mark.long
def test_video_networks_are_torch_fidelitys_extractors(tmp_path: Path) -> None:
    """The same number through its own five-dimensional path as through ours."""
    path = tmp_path / "resnet-50-kinetics.pth"
    state = {f"module.{key}": value for key, value in drawn(ResNet3D).state_dict().items()}
    torch.save({"epoch": 1, "arch": "resnet-50", "state_dict": state}, path)
    network = fid_vid.load_registered([path], CPU)
    clips = [[video(16, seed=10 * side + i) for i in range(2)] for side in range(2)]
    rows = [torch.cat([fid_vid.separate_features(network, clip) for clip in one]) for one in clips]
    five = [[clip.transpose(0, 1).contiguous() for clip in one] for one in clips]
    other = fidelity(
        *five, feature_extractor="attnzoo-resnet3d", feature_extractor_weights_path=str(path)
    )
    assert frechet(rows[0], rows[1]) == pytest.approx(other, rel=1e-3) and other > 1e-3


def test_resnet_clips(tmp_path: Path) -> None:
    path = tmp_path / "resnet.pth"
    torch.save({"state_dict": drawn(ResNet3D).state_dict()}, path)
    network = fid_vid.load_resnet([path], CPU)
    frames = video(18)
    sliding = fid_vid.sliding_features(network, frames)
    assert sliding.shape == (3, 2048)
    one = fid_vid.sliding_features(network, frames[1:17])
    torch.testing.assert_close(sliding[1:2], one, rtol=1e-3, atol=1e-2)
    # Shorter ones are filled with their last frame, files are means over their segments.
    filled = torch.cat([frames[:5], frames[4:5].expand(11, -1, -1, -1)])
    torch.testing.assert_close(
        fid_vid.sliding_features(network, frames[:5]), fid_vid.sliding_features(network, filled)
    )
    rest = torch.cat([frames[16:], frames[17:].expand(14, -1, -1, -1)])
    segments = [fid_vid.sliding_features(network, part) for part in (frames[:16], rest)]
    torch.testing.assert_close(
        fid_vid.averaged_features(network, frames), torch.cat(segments).mean(0, keepdim=True),
        rtol=1e-3, atol=1e-2,
    )  # fmt: skip


def test_i3d_in_both_layouts(tmp_path: Path) -> None:
    weights = tmp_path / "rgb_imagenet.pt"
    torch.save(drawn(I3D).state_dict(), weights)
    frames = video(17)
    plain = fvd.load_i3d([weights], CPU)
    assert fvd.sliding_features(plain, frames).shape == (2, 400)
    assert fvd.whole_features(plain, frames).shape == (1, 400)
    registered = fvd.load_registered([weights], CPU)
    assert fvd.separate_features(registered, frames).shape == (1, 400)

    class Scripted(nn.Module):
        def forward(self, x: Tensor, rescale: bool, resize: bool, return_features: bool) -> Tensor:
            assert rescale and resize and return_features
            return x.mean(dim=(2, 3, 4)).repeat(1, 134)[:, :400]

    script = tmp_path / "i3d_torchscript.pt"
    with pytest.warns(DeprecationWarning):
        torch.jit.script(Scripted()).save(str(script))
    rows = fvd.separate_features(fvd.load_registered([script], CPU), frames)
    expected = frames[:16].float().mean(dim=(0, 2, 3)).repeat(134)[:400]
    torch.testing.assert_close(rows[0], expected)


def test_vjepa_and_its_probe(tmp_path: Path) -> None:
    """Tokens, positions and the query by plain arithmetic in one head at a time."""
    width, hidden, tokens = 32, 48, 8 * 2 * 2
    encoder = drawn(lambda: VJepa(_transformer(width, hidden, (2, 4, 4), pos_embed=tokens)))
    for parameter in encoder.parameters():
        parameter.data.normal_(0, 0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    probe = drawn(lambda: AttentivePooler(width, hidden), seed=1)
    nn.init.normal_(probe.query_tokens, generator=torch.Generator().manual_seed(2))
    files = [tmp_path / "vith16.pth.tar", tmp_path / "ssv2-probe.pth.tar"]
    state = {f"module.backbone.{k}": v for k, v in encoder.state_dict().items()}
    torch.save({"target_encoder": state, "epoch": 1}, files[0])
    pooler = {f"module.pooler.{k}": v for k, v in probe.state_dict().items()}
    linear = {"module.linear.weight": torch.zeros(3, width), "module.linear.bias": torch.zeros(3)}
    torch.save({"classifier": {**pooler, **linear}, "epoch": 1}, files[1])
    frames = video(33, 8, 8)
    rows = jedi.clip_features(jedi.load_vjepa(files, CPU), frames)
    assert rows.shape == (2, width)

    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in (jedi.MEAN, jedi.DEVIATION))
    clip = ((frames[:16].float() / 255 - mean) / deviation).transpose(0, 1)[None]
    with torch.no_grad():
        seen = encoder(clip)
        block = probe.cross_attention_block
        keys, values = block.xattn.kv(block.norm1(seen)).chunk(2, dim=-1)
        query = block.xattn.q(probe.query_tokens)
        heads = []
        for h in range(16):
            part = slice(2 * h, 2 * h + 2)
            scores = (query[..., part] @ keys[..., part].transpose(1, 2) / 2**0.5).softmax(-1)
            heads.append(scores @ values[..., part])
        read = probe.query_tokens + block.xattn.proj(torch.cat(heads, -1))
        read = read + block.mlp(block.norm2(read))
    torch.testing.assert_close(rows[:1], read[:, 0], rtol=1e-4, atol=1e-5)


def test_videomae(tmp_path: Path) -> None:
    width, hidden = 32, 40
    network = drawn(lambda: VideoMae(_transformer(width, hidden, (2, 112, 112), head=5)))
    path = tmp_path / "vit_g.pth"
    torch.save({"module": network.state_dict()}, path)
    frames = video(20)
    rows = cd_fvd.clip_features(cd_fvd.load_videomae([path], CPU), frames)
    assert rows.shape == (1, width)
    small = nn.functional.interpolate(frames[:16].float() / 255, (224, 224), mode="bilinear")
    with torch.no_grad():
        expected = network(small.transpose(0, 1)[None])
    torch.testing.assert_close(rows, expected)
    # Positions tell clips in another order apart.
    assert not torch.allclose(cd_fvd.clip_features(network, frames[:16].flip(0)), rows)


def _transformer(
    width: int, hidden: int, patch: tuple[int, int, int], *, pos_embed: int = 0, head: int = 0
) -> dict[str, Tensor]:
    state = {"patch_embed.proj.weight": torch.zeros(width, 3, *patch)}
    state |= {f"blocks.{i}.mlp.fc1.bias": torch.zeros(hidden) for i in range(2)}
    state |= {"pos_embed": torch.zeros(1, pos_embed, width)} if pos_embed else {}
    return state | ({"head.bias": torch.zeros(head)} if head else {})


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("executed",)


def test_weights_are_read_without_running_what_is_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.pth"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "more": Harmful()}, path)
    with pytest.raises(UserError, match=r"bad.pth: no weights can be read; a file of weights"):
        read_weights(path)
    path.write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(UserError, match=r"bad\.pth"):
        read_weights(path)
    assert "executed" not in capsys.readouterr().out


def test_foreign_weights_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=r"other.pth: not the weights of I3D: lacks Conv3d_1a_7x7"):
        fvd.load_i3d([path], CPU)
    with pytest.raises(UserError, match="not a fine-tuned VideoMAE-v2"):
        cd_fvd.load_videomae([path], CPU)
    with pytest.raises(UserError, match="not V-JEPA and its probe"):
        jedi.load_vjepa([path, path], CPU)
    with pytest.raises(UserError, match="not the weights of the FID's Inception"):
        fid.load_inception([path], CPU)
    torch.save({"weight": torch.zeros(2, 2), "bias": torch.zeros(3)}, path)
    with pytest.raises(UserError, match=r"weight is \(2, 2\), not \(3, 2\)"):
        fill(nn.Linear(2, 3), read_weights(path), path)
    path.write_text("nothing")
    with pytest.raises(UserError, match=r"other.pth"):
        read_weights(path)


def test_digest(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for text in (b"a", b"other"):
        path.write_bytes(text)
        assert sha256(path) == hashlib.sha256(text).hexdigest()


def test_distances_in_plain_float64() -> None:
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 4)), rng.standard_normal((25, 4)) * 1.5 + 1
    kernel = [(a @ b.T / 4) ** 2 for a, b in ((x, x), (y, y), (x, y))]
    mmd = 100 * (kernel[0].mean() + kernel[1].mean() - 2 * kernel[2].mean())
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    assert polynomial_mmd(a, b) == pytest.approx(mmd, rel=1e-12)
    covariances = [np.cov(v, rowvar=False) for v in (x, y)]
    root = sqrtm(covariances[0] @ covariances[1]).real
    shift = x.mean(0) - y.mean(0)
    expected = shift @ shift + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet(a, b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("distance", [FRECHET, POLYNOMIAL_MMD], ids=lambda d: d.name)
def test_an_interval_holds_its_value(distance) -> None:  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(40, 5, generator=generator)
    fake = torch.randn(40, 5, generator=generator) + 0.5
    videos = torch.arange(20).repeat_interleave(2)
    found = distance.interval(real, fake, videos, videos, level=0.95, seed=0)
    assert found.value == pytest.approx(distance.between(real, fake), rel=1e-9)
    assert found.low < found.value < found.high and found.n == 20
    wider = distance.interval(real, fake, videos, videos, level=0.99, seed=0)
    assert wider.low <= found.low and found.high < wider.high
    # Pairs that differ by little are known better than sets without pairs.
    near = real + 0.1 * torch.rand(40, 5, generator=generator)
    paired = distance.interval(real, near, videos, videos, level=0.95, seed=0)
    apart = distance.interval(real, near, videos, videos + 100, level=0.95, seed=0)
    assert paired.high - paired.low < apart.high - apart.low
    one = distance.interval(real, fake, 0 * videos, 0 * videos, level=0.95, seed=0)
    assert one.low is None and one.high is None and "one video" in one.method.replace("1", "one")
