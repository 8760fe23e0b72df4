"""FLOPs, peak memory and the profile of a model: counted by hand, on small true models."""

from __future__ import annotations

import json

import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from attnzoo.bench.cost import flops, peak_memory
from attnzoo.bench.profile import profile
from attnzoo.data.clip import Batch
from attnzoo.models.codec import PixelShuffleCodec
from attnzoo.models.dance import DanceModel
from attnzoo.models.image_encoder import ImageEncoder

CPU = torch.device("cpu")
MIB = 2**20


def query_key_value(b: int, heads: int, n: int, m: int, d: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((b, heads, n, d), (b, heads, m, d), (b, heads, m, d))
    return [torch.randn(s, generator=generator).requires_grad_() for s in shapes]


@pytest.mark.parametrize(("n", "m"), [(16, 16), (7, 33)])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_on_a_cpu_is_counted(n: int, m: int, masked: bool) -> None:
    q, k, v = query_key_value(2, 3, n, m, 8)
    mask = torch.ones(n, m, dtype=torch.bool) if masked else None
    products = 2 * (2 * 2 * 3 * n * m * 8)
    with torch.no_grad():
        counted = flops(lambda: F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
    assert counted["Global"] == products


@pytest.mark.parametrize(
    ("backend", "passes"), [(SDPBackend.FLASH_ATTENTION, 3.5), (SDPBackend.MATH, 3.0)]
)
def test_backward_of_attention_is_counted(backend: SDPBackend, passes: float) -> None:
    """Two passes for the gradients; the fused kernel makes the scores again, half a pass."""
    q, k, v = query_key_value(2, 3, 16, 16, 8)

    def run() -> None:
        with sdpa_kernel(backend):
            F.scaled_dot_product_attention(q, k, v).sum().backward()

    assert flops(run)["Global"] == passes * 2 * (2 * 2 * 3 * 16 * 16 * 8)


def test_products_are_counted_by_module() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4))
    x = torch.randn(5, 8)
    counted = flops(lambda: model(x))
    assert counted["Sequential.0"] == 2 * 5 * 8 * 16
    assert counted["Global"] == counted["Sequential"] == 2 * 5 * (8 * 16 + 16 * 4)


def test_products_added_in_place_are_counted() -> None:
    a, b = torch.ones(3, 5), torch.ones(5, 7)
    assert flops(lambda: torch.zeros(3, 7).addmm_(a, b))["Global"] == 2 * 3 * 5 * 7
    assert flops(lambda: torch.zeros(2, 3, 7).baddbmm_(a.expand(2, 3, 5), b.expand(2, 5, 7)))[
        "Global"
    ] == 2 * (2 * 3 * 5 * 7)


def test_what_has_no_product_costs_none() -> None:
    x = torch.randn(5, 8)
    assert flops(lambda: x * 2)["Global"] == 0


def test_peak_memory_of_a_known_case() -> None:
    x = torch.zeros(MIB)

    def run() -> None:
        a = x + 1  # 4 MiB
        b = a + 1  # 8
        del a  # 4
        c = torch.cat([b, b])  # 12
        del b, c

    run()
    assert peak_memory(run, CPU) == pytest.approx(12 * MIB, rel=0.01)


def test_peak_memory_sees_what_is_kept_for_backward() -> None:
    weight = torch.zeros(MIB, requires_grad=True)

    def forward() -> None:
        with torch.no_grad():
            weight.sin().exp()

    def training() -> None:
        weight.grad = None
        weight.sin().exp().sum().backward()

    forward()
    training()
    weight.grad = None
    assert peak_memory(forward, CPU) == pytest.approx(8 * MIB, rel=0.01)
    # The exponential, kept, its gradient, the sine's (or the weight's, or both) as it is made.
    assert 11 * MIB < peak_memory(training, CPU) < 17 * MIB


def small_model() -> DanceModel:
    codec = PixelShuffleCodec(2)
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=12,
        out_channels=12,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=64,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    controls = [
        ControlNetModel(
            in_channels=12,
            conditioning_channels=channels,
            block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "DownBlock2D"),
            mid_block_type="UNetMidBlock2D",
            layers_per_block=1,
            cross_attention_dim=64,
            norm_num_groups=4,
            conditioning_embedding_out_channels=(8, 16),
        )
        for channels in (6, 3)
    ]
    encoder = ImageEncoder(6)
    scheduler = {"num_train_timesteps": 1000, "prediction_type": "v_prediction"}
    return DanceModel(
        unet, *controls, encoder, nn.Linear(encoder.width, 64), codec, scheduler
    )  # fmt: skip


def batch(b: int = 1, f: int = 4, size: int = 16) -> Batch:
    generator = torch.Generator().manual_seed(0)

    def image(*shape: int) -> Tensor:
        return torch.rand((*shape, size, size), generator=generator)

    return Batch(
        names=("clip",) * b,
        video=image(b, f, 3),
        pose=image(b, f, 6),
        foreground=image(b, 3),
        mask=image(b, 1),
        reference_pose=image(b, 6),
        background=image(b, 3),
        motion=None,
    )


@pytest.mark.parametrize("name", ["temporal", "crossframe_all", "none"])
def test_the_profile_is_whole_and_leaves_the_model_as_it_was(name: str) -> None:
    model = small_model()
    model.inflate(name)
    model.unet.train().requires_grad_(False)
    model.image_encoder.eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]

    found = profile(model, batch(), rounds=2)

    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert modes == [module.training for module in model.modules()]
    assert not any(p.requires_grad or p.grad is not None for p in model.unet.parameters())
    json.dumps(found, allow_nan=False)
    assert found["batch"] == {"clips": 1, "frames": 4, "size": 16}
    assert found["parameters"]["total"] == sum(p.numel() for p in model.parameters())
    for step in ("forward", "training"):
        assert found[step]["latency_s"]["n"] == 2 and found[step]["peak_memory_bytes"] > 0
        assert found[step]["frames_per_s"] * found[step]["latency_s"]["median"] == pytest.approx(4)
    assert 0 < found["forward"]["unet_flops"] < found["forward"]["flops"]
    assert found["training"]["flops"] > found["forward"]["flops"]
    if name == "none":
        assert "reason" in found["module"]
    else:
        assert found["module"]["forward"]["flops"] > 0


def test_the_modules_flops_are_those_of_its_formula() -> None:
    """Temporal attention over f frames at h * w places: four projections and two products."""
    model = small_model()
    model.inflate("temporal")
    found = profile(model, batch(), rounds=1)["module"]
    b, f, h, w, c = found["shape"]
    assert (b, f, h, w, c) == (1, 4, 4, 4, 16)
    assert found["forward"]["flops"] == 2 * b * f * h * w * (4 * c * c + 2 * f * c)


def test_an_uninflated_model_is_refused() -> None:
    with pytest.raises(ValueError, match="not inflated"):
        profile(small_model(), batch())
