"""Published weights into attached modules: AnimateDiff's and Tune-A-Video's.

The layouts are those of the original repositories (guoyww/AnimateDiff, showlab/Tune-A-Video) and
of diffusers' `MotionAdapter`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import MotionAdapter
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from safetensors.torch import load_file
from torch import Tensor, nn

from attnzoo.errors import UserError
from attnzoo.models import adapters
from attnzoo.models.attach import Attachment, attachment_of
from attnzoo.models.slots import SlotLayer, Slots

_LAYER = re.compile(r"(down_blocks\.\d+|mid_block|up_blocks\.\d+)\.motion_modules\.(\d+)\.(.+)")
_SLOT = re.compile(
    r"(down_blocks\.\d+|mid_block|up_blocks\.\d+)\.(?:attentions|resnets|motion_modules)\.(\d+)"
    r"(?:\.slot)?"
)
_NAMES = (
    ("temporal_transformer.", ""),
    (".norms.0.", ".norm1."),
    (".norms.1.", ".norm2."),
    (".ff_norm.", ".norm3."),
    (".attention_blocks.0.", ".attn1."),
    (".attention_blocks.1.", ".attn2."),
)
_POSITIONS = ("pos_encoder.pe", "pos_embed.pe")
_SHOWN = 6

Source = str | Path | Mapping[str, Any]


def load_animatediff(model: Any, source: Source | MotionAdapter) -> None:
    """Loads AnimateDiff's motion modules into the `motion_module` that is attached to `model`.

    `source` is a `MotionAdapter`, a file of AnimateDiff's own (v1, v2 or v3; `.ckpt`, `.pt`,
    `.safetensors`), a folder written by `MotionAdapter.save_pretrained`, or a state dict of either
    naming. Where it has nothing for the middle block (v1 and v3), the slot there becomes the
    identity.

    Raises:
        UserError: no `motion_module` is attached at all layers; the file cannot be read; what does
            not fit, listed: names, shapes, an adapter's heads and groups, positions that are not
            sinusoids. The modules are untouched then.
    """
    present = _present(model, "motion_module", Slots.all)
    layers = {}
    for path, slot in present.inflation.slots().items():
        match = _SLOT.fullmatch(path)
        if match is not None:
            layers[f"{match[1]}.{match[2]}"] = _first_layer(slot)
    content: Any = source
    if isinstance(source, Path | str) and Path(source).is_dir():
        content = MotionAdapter.from_pretrained(source)
    wrong: list[str] = []
    if isinstance(content, MotionAdapter):
        adapter: Any = content
        wrong += _config_differences(adapter.config, layers.values())
        content = adapter.state_dict()
    found = _by_layer(_read(content), wrong)
    absent = [key for key in layers if key.startswith("mid_block") and key not in found]
    plan = _plan({k: v.mechanism for k, v in layers.items() if k not in absent}, found, wrong)
    _refuse("AnimateDiff's modules do not fit", wrong)
    _fill(plan)
    for key in absent:
        _zero(layers[key].mechanism.get_submodule("proj_out"))


def load_tune_a_video(model: Any, source: Source) -> None:
    """Loads Tune-A-Video's temporal attention into the `temporal` that is attached to `model`.

    Its place is inside the spatial transformers, so attach with `slots="inside"`, without
    positions. `source` is the file of its U-Net or a state dict; of it the keys with `attn_temp`
    and `norm_temp` are taken, the others are the 2-D U-Net's. Tune-A-Video has one temporal
    attention at each place, so of a slot's two modules the second becomes the identity.

    Raises:
        UserError: `temporal` is not attached so; the file cannot be read; what does not fit,
            listed. The modules are untouched then.
    """
    present = _present(model, "temporal", Slots.inside)
    if present.options["positions"] != "none":
        raise UserError("Tune-A-Video's attention has no positions: attach with positions=none")
    slots = {p.removesuffix(".slot"): slot for p, slot in present.inflation.slots().items()}
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in _read(source).items():
        match = re.fullmatch(r"(?:module\.)?(.+)\.(attn_temp|norm_temp)\.(.+)", key)
        if match is not None:
            found.setdefault(match[1], {})[f"{match[2]}.{match[3]}"] = value
    wrong: list[str] = []
    plan = _plan(
        {path: _first_layer(slot) for path, slot in slots.items()},
        {path: _temporal_layer(tensors) for path, tensors in found.items()},
        wrong,
    )
    _refuse("Tune-A-Video's attention does not fit", wrong)
    _fill(plan)
    for slot in slots.values():
        for layer in list(slot.layers)[1:]:  # type: ignore[arg-type]
            _zero(layer.mechanism.get_submodule("to_out"))


def _temporal_layer(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`attn_temp` and `norm_temp` under the names of a slot's layer."""
    state = {}
    parts = [tensors.get(f"attn_temp.to_{part}.weight") for part in "qkv"]
    if all(part is not None for part in parts):
        state["mechanism.to_qkv.weight"] = torch.cat([p for p in parts if p is not None])
    for key, value in tensors.items():
        if key.startswith("attn_temp.to_out.0."):
            state["mechanism.to_out." + key.removeprefix("attn_temp.to_out.0.")] = value
        elif key.startswith("norm_temp."):
            state["norm." + key.removeprefix("norm_temp.")] = value
        elif key not in {f"attn_temp.to_{part}.weight" for part in "qkv"}:
            state[key] = value  # listed as a name that is not known here
    return state


def _present(model: Any, variant: str, slots: Slots) -> Attachment:
    present = attachment_of(model)
    if present is None or present.variant != variant or present.slots is not slots:
        right = f'attnzoo.attach(model, "{variant}", slots="{slots.name}", frames=...)'
        raise UserError(f"these weights belong into {right}, which is not what the model carries")
    return present


def _first_layer(slot: Any) -> SlotLayer:
    layer: SlotLayer = slot.layers[0]
    return layer


def _by_layer(state: Mapping[str, Tensor], wrong: list[str]) -> dict[str, dict[str, Tensor]]:
    """Tensors by layer (`down_blocks.0.1`) and our own names; positions are checked and left."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        match = _LAYER.fullmatch(key.removeprefix("module."))
        if match is None:
            if "motion_modules" in key or key.startswith("conv_in"):
                wrong.append(f"{key} has no place here")
            continue
        name = match[3]
        for theirs, ours in _NAMES:
            name = name.replace(theirs, ours)
        if not name.endswith(_POSITIONS):
            found.setdefault(f"{match[1]}.{match[2]}", {})[name] = value
        elif not _are_sinusoids(value):
            wrong.append(f"{key} is no table of sinusoids")
    if not found:
        wrong.append("there are no motion modules in it")
    return found


def _are_sinusoids(table: Tensor) -> bool:
    if table.dim() != 3 or table.shape[0] != 1:
        return False
    expected: Any = SinusoidalPositionalEmbedding(table.shape[2], table.shape[1]).pe
    return torch.allclose(table.float(), expected.float(), atol=0.01)  # half precision's error


def _config_differences(config: Mapping[str, Any], layers: Iterable[SlotLayer]) -> list[str]:
    """Heads and groups leave no trace in the weights' shapes."""
    heads = config["motion_num_attention_heads"]
    heads = {heads} if isinstance(heads, int) else set(heads)
    ours: Any = next(iter(layers)).mechanism
    lines = []
    if heads != {ours.motion_heads}:
        lines.append(f"motion_heads {sorted(heads)} there, {ours.motion_heads} here")
    if config["motion_norm_num_groups"] != ours.groups:
        lines.append(f"groups {config['motion_norm_num_groups']} there, {ours.groups} here")
    return lines


def _plan(
    modules: Mapping[str, nn.Module], found: Mapping[str, Mapping[str, Tensor]], wrong: list[str]
) -> list[tuple[Tensor, Tensor]]:
    """Pairs of our tensor and theirs; what does not fit goes to `wrong`."""
    plan = []
    for path in [*modules, *(p for p in found if p not in modules)]:
        ours = adapters.plain_state(modules[path]) if path in modules else {}
        theirs = found.get(path, {})
        if not ours or not theirs:
            wrong.append(f"{path} {'absent here' if theirs else 'absent there'}")
            continue
        for key in [*ours, *(k for k in theirs if k not in ours)]:
            shapes = [list(s[key].shape) if key in s else "absent" for s in (theirs, ours)]
            if shapes[0] != shapes[1]:
                wrong.append(f"{path} {key} {shapes[0]} there, {shapes[1]} here")
            else:
                plan.append((ours[key], theirs[key]))
    return plan


def _refuse(what: str, wrong: list[str]) -> None:
    if wrong:
        more = len(wrong) - _SHOWN
        raise UserError(
            f"{what}: {'; '.join(wrong[:_SHOWN])}" + (f"; and {more} more" if more > 0 else "")
        )


def _fill(plan: list[tuple[Tensor, Tensor]]) -> None:
    with torch.no_grad():
        for ours, theirs in plan:
            ours.copy_(theirs)


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _read(source: Source) -> Mapping[str, Tensor]:
    """The tensors of a file or mapping, inside `state_dict` where a checkpoint has one."""
    content: Any = source
    if isinstance(source, str | Path):
        path = Path(source)
        try:
            if path.suffix == ".safetensors":
                content = load_file(path)
            else:
                content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch's unpickler raises whatever it stumbles over
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{path} cannot be read as weights: {reason}") from error
    content = content.get("state_dict", content) if isinstance(content, Mapping) else {}
    return {key: value for key, value in content.items() if isinstance(value, Tensor)}
