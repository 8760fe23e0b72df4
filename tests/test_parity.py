"""Mechanisms against what others published, with their weights mapped or loaded unchanged.

What runs here is run: diffusers' motion modules and its Text2Video-Zero processor, torchvision's
3-D shifted windows. Tune-A-Video, FateZero and ControlVideo are written as their repositories have
them, on diffusers' own `Attention`.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from einops import rearrange
from torch import Tensor

from attnzoo import registry
from attnzoo.testing.reference import reference_of

C, HEADS = 12, 3


def tokens(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, C, generator=generator, dtype=torch.float64)


def module(name: str, **options: Any) -> Any:
    return registry.create(name, C, HEADS, **options).double()


def stock_attention() -> Attention:
    """diffusers' self-attention with weights of its own."""
    torch.manual_seed(0)
    return Attention(query_dim=C, heads=HEADS, dim_head=C // HEADS).double()


def fused(attention: Any) -> dict[str, Tensor]:
    """Its state as `temporal` names it."""
    return {
        "to_qkv.weight": torch.cat([getattr(attention, f"to_{n}").weight for n in "qkv"]),
        "to_out.weight": attention.to_out[0].weight,
        "to_out.bias": attention.to_out[0].bias,
    }


@pytest.mark.parametrize("frames", [1, 5, 32])
def test_temporal_with_positions_is_the_attention_inside_diffusers_motion_module(frames: int):
    torch.manual_seed(0)
    theirs = AnimateDiffTransformer3D(
        HEADS,
        C // HEADS,
        in_channels=C,
        norm_num_groups=3,
        activation_fn="geglu",
        positional_embeddings="sinusoidal",
        num_positional_embeddings=32,
    ).double()
    (block,) = theirs.transformer_blocks
    seen: dict[str, Tensor] = {}
    for name, attention, norm in (("1", block.attn1, block.norm1), ("2", block.attn2, block.norm2)):
        norm.register_forward_hook(lambda _m, _i, out, n=name: seen.update({"in" + n: out}))
        attention.register_forward_hook(lambda _m, _i, out, n=name: seen.update({"out" + n: out}))
    theirs(tokens(2 * frames, 3, 4).movedim(-1, 1), num_frames=frames)

    def unfolded(sequences: Tensor) -> Tensor:
        return rearrange(sequences, "(b h w) f c -> b f h w c", b=2, h=3, w=4)

    for name, attention in (("1", block.attn1), ("2", block.attn2)):
        ours = module("temporal", positions="sinusoidal")
        ours.load_state_dict(fused(attention))
        # Their table of positions is rounded to float32.
        expected = unfolded(seen["out" + name])
        tolerance = 1e-6 * expected.abs().max().item()
        delta = ours(unfolded(seen["in" + name]))
        torch.testing.assert_close(delta, expected, rtol=0, atol=tolerance)


def test_temporal_without_positions_is_tune_a_videos():
    attention, ours, x = stock_attention(), module("temporal"), tokens(2, 5, 3, 4)
    ours.load_state_dict(fused(attention))
    d = 3 * 4
    hidden = rearrange(x, "b f h w c -> (b f) (h w) c")
    # tuneavideo/models/attention.py, BasicTransformerBlock.forward: temporal attention
    hidden = rearrange(hidden, "(b f) d c -> (b d) f c", f=5)
    hidden = attention(hidden)
    hidden = rearrange(hidden, "(b d) f c -> (b f) d c", d=d)
    expected = rearrange(hidden, "(b f) (h w) c -> b f h w c", b=2, h=3)
    torch.testing.assert_close(ours(x), expected, rtol=1e-10, atol=1e-12)


def from_frames(attention: Attention, x: Tensor, chosen: list[list[int]]) -> Tensor:
    """FateZero's `SparseCausalAttention`: of each query frame the frames in `chosen`, side by side.

    fatezero/video_diffusion/models/attention.py: `key = torch.cat([key[:, frame_index] for
    frame_index in ...], dim=2)`, one list a position, of one frame for each query frame.
    """
    b, f, h, w, _ = x.shape
    hidden = rearrange(x, "b f h w c -> (b f) (h w) c")
    query, key, value = attention.to_q(hidden), attention.to_k(hidden), attention.to_v(hidden)

    def gathered(t: Tensor) -> Tensor:
        t = rearrange(t, "(b f) d c -> b f d c", f=f)
        t = torch.cat([t[:, frame_index] for frame_index in chosen], dim=2)
        return rearrange(t, "b f d c -> (b f) d c")

    query, key, value = map(attention.head_to_batch_dim, (query, gathered(key), gathered(value)))
    weights = attention.get_attention_scores(query, key)
    out = attention.batch_to_head_dim(torch.bmm(weights, value))
    for layer in attention.to_out:
        out = layer(out)
    return rearrange(out, "(b f) (h w) c -> b f h w c", b=b, h=h, w=w)


F = 6
OWN, FIRST = list(range(F)), [0] * F
MIDDLE = [int(F - 1) // 2] * F
PREVIOUS = [max(i - 1, 0) for i in range(F)]


@pytest.mark.parametrize(
    ("name", "options", "chosen"),
    [
        ("crossframe_first", {}, [FIRST]),
        ("crossframe_middle", {}, [MIDDLE]),
        ("crossframe_middle", {"include_self": True}, [OWN, MIDDLE]),
        ("crossframe_middle", {"reference": "preceding"}, [[i // 2 for i in OWN]]),
        ("crossframe_previous", {}, [PREVIOUS]),
        ("crossframe_previous", {"include_self": True}, [PREVIOUS, OWN]),
        ("crossframe_first", {"include_self": True}, [FIRST, OWN]),
        ("crossframe_all", {}, [[i] * F for i in range(F)]),
    ],
)
def test_crossframe_is_the_published_formula_with_diffusers_weights(name, options, chosen):
    attention, ours, x = stock_attention(), module(name, **options), tokens(2, F, 3, 4)
    ours.load_state_dict(attention.state_dict(), strict=True)
    torch.testing.assert_close(ours(x), from_frames(attention, x, chosen), rtol=1e-10, atol=1e-12)


def test_crossframe_first_is_diffusers_text2video_zero():
    zero = pytest.importorskip(
        "diffusers.pipelines.deprecated.text_to_video_synthesis.pipeline_text_to_video_zero"
    )
    attention, ours, x = stock_attention(), module("crossframe_first"), tokens(2, F, 3, 4)
    ours.load_state_dict(attention.state_dict(), strict=True)
    hidden = rearrange(x, "b f h w c -> (b f) (h w) c")
    for processor in (zero.CrossFrameAttnProcessor(2), zero.CrossFrameAttnProcessor2_0(2)):
        expected = processor(attention, hidden).view(x.shape)
        torch.testing.assert_close(ours(x), expected, rtol=1e-10, atol=1e-12)


def test_crossframe_all_is_controlvideos():
    attention, ours, x = stock_attention(), module("crossframe_all"), tokens(2, F, 3, 4)
    ours.load_state_dict(attention.state_dict(), strict=True)
    # controlvideo/models/attention.py, FullyFrameAttention: "(b f) d c -> b (f d) c" for q, k, v
    hidden = rearrange(x, "b f h w c -> b (f h w) c")
    torch.testing.assert_close(ours(x), attention(hidden).view(x.shape), rtol=1e-10, atol=1e-12)


def windows(size: tuple[int, int, int], shift: bool, bias: bool = True) -> tuple[Any, Any]:
    """Our module and torchvision's with the same weights; its table zero without `bias`."""
    swin = pytest.importorskip("torchvision.models.video.swin_transformer")
    torch.manual_seed(0)
    shifts = [s // 2 if shift else 0 for s in size]
    theirs = swin.ShiftedWindowAttention3d(C, list(size), shifts, HEADS, qkv_bias=False).double()
    ours = module("stsa", size=size, shift=shift, bias="relative" if bias else "none")
    table = theirs.relative_position_bias_table
    torch.nn.init.normal_(table) if bias else torch.nn.init.zeros_(table)
    state = {
        "to_qkv.weight": theirs.qkv.weight,
        "to_out.weight": theirs.proj.weight,
        "to_out.bias": theirs.proj.bias,
    }
    if bias:
        state["bias_table"] = table
    ours.load_state_dict(state, strict=True)
    return ours, theirs


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((2, 2, 2), (4, 6, 4)),
        ((4, 4, 4), (8, 8, 12)),
        ((2, 3, 5), (4, 9, 10)),  # odd windows are shifted by the lower half
        ((1, 4, 2), (3, 8, 4)),
        ((8, 2, 2), (4, 4, 6)),  # more frames than there are: one window, not shifted along them
    ],
)
def test_stsa_is_torchvisions_shifted_windows_where_sizes_divide(size, shape, shift, bias):
    ours, theirs = windows(size, shift, bias)
    x, y = (tokens(2, *shape).requires_grad_() for _ in range(2))
    delta, expected = ours(x), theirs(y)
    # Its mask of -100 leaves the other regions a weight of exp(-100), below float64's rounding.
    torch.testing.assert_close(delta, expected, rtol=1e-10, atol=1e-12)
    for out in (delta, expected):
        (out * tokens(2, *shape, seed=1)).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-9, atol=1e-11)
    if bias:
        grad = theirs.relative_position_bias_table.grad
        torch.testing.assert_close(ours.bias_table.grad, grad, rtol=1e-9, atol=1e-11)


def test_torchvisions_mask_leaks_where_scores_are_large_and_ours_does_not():
    ours, theirs = windows((1, 1, 4), shift=True, bias=False)
    x = 60 * tokens(1, 1, 1, 8)
    delta = ours(x)
    expected = reference_of("stsa")(ours, x)
    torch.testing.assert_close(delta, expected, rtol=1e-9, atol=1e-9)
    assert (theirs(x) - expected).abs().max() > 1e-3 * expected.abs().max()


@pytest.mark.parametrize("shape", [(4, 2, 4), (4, 4, 2), (4, 2, 2)])
def test_torchvision_reads_wrong_biases_where_rows_or_columns_are_clamped(shape):
    ours, theirs = windows((4, 4, 4), shift=False)
    x = tokens(1, *shape)
    expected = reference_of("stsa")(ours, x)
    torch.testing.assert_close(ours(x), expected, rtol=1e-10, atol=1e-12)
    assert (theirs(x) - expected).abs().max() > 1e-2 * expected.abs().max()
    # It takes the first rows and columns of the whole window's index, those of other tokens.
    # With those of the tokens that are there it is right, too.
    inside = torch.zeros(4, 4, 4, dtype=torch.bool)
    inside[: shape[0], : shape[1], : shape[2]] = True
    index = theirs.relative_position_index
    theirs.relative_position_index = index[inside.flatten()][:, inside.flatten()]
    torch.testing.assert_close(theirs(x), expected, rtol=1e-10, atol=1e-12)


def test_torchvision_attends_to_padding_where_sizes_do_not_divide():
    ours, theirs = windows((1, 1, 4), shift=False, bias=False)
    x = tokens(1, 1, 1, 5)
    # The last token is alone in its window, so its delta is its own value, projected.
    value = ours.to_qkv(x).chunk(3, -1)[2]
    torch.testing.assert_close(ours(x)[..., 4, :], ours.to_out(value)[..., 4, :])
    came = theirs(x)
    torch.testing.assert_close(came[..., :4, :], ours(x)[..., :4, :])
    assert (came - ours(x))[..., 4, :].abs().max() > 0.1
    # Torchvision's is that of a clip that goes on with three tokens of zeros.
    padded = torch.cat([x, torch.zeros(1, 1, 1, 3, C, dtype=x.dtype)], dim=3)
    torch.testing.assert_close(came, ours(padded)[..., :5, :])
