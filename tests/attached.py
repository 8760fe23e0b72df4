"""Models of diffusers in small, for the tests of attaching."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel, UNetMotionModel
from torch import Tensor, nn

from attnzoo.models.attach import Attachment
from attnzoo.motion import Motion

FRAMES, H, W = 4, 4, 6
LEVELS: dict[str, Any] = dict(
    block_out_channels=(16, 24), layers_per_block=1, norm_num_groups=4, cross_attention_dim=6
)


def seeded(make: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval()


def unet() -> Any:
    return seeded(
        lambda: UNet2DConditionModel(
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            attention_head_dim=(2, 3),
            **LEVELS,
        )
    )


def controlnet() -> Any:
    model = seeded(
        lambda: ControlNetModel(
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            attention_head_dim=(2, 3),
            conditioning_embedding_out_channels=(4, 8),
            **LEVELS,
        )
    )
    torch.nn.init.eye_(model.controlnet_mid_block.weight[:, :, 0, 0].data)  # zero in a new one
    return model


def motion_unet(**settings: Any) -> Any:
    return seeded(
        lambda: UNetMotionModel(
            down_block_types=("CrossAttnDownBlockMotion", "DownBlockMotion"),
            up_block_types=("UpBlockMotion", "CrossAttnUpBlockMotion"),
            num_attention_heads=2,
            motion_num_attention_heads=4,
            **LEVELS,
            **settings,
        )
    )


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def motion(clips: int = 2, seed: int = 0) -> Motion:
    flow = 2 * noise(clips, FRAMES - 1, 2, 8, 12, seed=seed)
    return Motion.consecutive(flow, -flow)


def run(model: Any, clips: int = 2, h: int = H, w: int = W, seed: int = 0) -> Tensor:
    """What a model makes of some clips, `[(b f), c, h, w]` or, of a ControlNet, its middle."""
    inner = getattr(model, "_orig_mod", model)
    images = noise(clips * FRAMES, 4, h, w, seed=seed)
    text = noise(clips * FRAMES, 3, 6, seed=1)
    with torch.no_grad():
        if isinstance(inner, ControlNetModel):
            picture = noise(clips * FRAMES, 3, 2 * h, 2 * w, seed=2)
            return model(images, 7, text, controlnet_cond=picture, return_dict=False)[1]
        if isinstance(inner, UNetMotionModel):
            video = images.unflatten(0, (clips, FRAMES)).transpose(1, 2)
            out = model(video, 7, text, return_dict=False)[0]
            return out.transpose(1, 2).flatten(0, 1)
        return model(images, 7, text, return_dict=False)[0]


def disturb(attachment: Attachment, scale: float = 0.3) -> None:
    """As if trained: every new parameter moves."""
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in attachment.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=g))


def everything(model: nn.Module) -> tuple[list[Any], list[Tensor]]:
    """All that attaching might leave behind: modules, attributes, hooks, modes, flags, values."""
    about: list[Any] = [
        (
            name,
            id(m),
            m.training,
            sorted(k for k in vars(m)),
            [len(v) for k, v in sorted(vars(m).items()) if "hooks" in k and isinstance(v, dict)],
            [(k, id(v)) for k, v in vars(m).items() if callable(v) and not k.startswith("__")],
            [(k, id(p), p.requires_grad) for k, p in m.named_parameters(recurse=False)],
        )
        for name, m in model.named_modules()
    ]
    about += [(k, id(p)) for k, p in getattr(model, "attn_processors", {}).items()]
    state = model.state_dict()
    return [about, list(state)], [value.clone() for value in state.values()]


def assert_same(before: Any, after: Any) -> None:
    assert before[0] == after[0]
    assert all(torch.equal(a, b) for a, b in zip(before[1], after[1], strict=True))
