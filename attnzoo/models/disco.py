"""DisCo's checkpoint: the whole dance model's tensors in one file, under other names.

DeepSpeed writes `mp_rank_00_model_states.pt`; its entry `module` holds the tensors of DisCo's
network: U-Net, two ControlNets (pose first), auto-encoder, CLIP and the projection of its tokens,
in half precision and with diffusers' names of early 2023. The same names in a safetensors file
will do as well.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from attnzoo.errors import UserError
from attnzoo.models.pretrained import listed, load_tensors, read_state
from attnzoo.models.sources import disco_file

_LOG = logging.getLogger(__name__)

PARTS = {
    "unet.": "unet.",
    "controlnet.nets.0.": "pose_controlnet.",
    "controlnet.nets.1.": "background_controlnet.",
    "vae.": "codec.vae.",
    "clip_image_encoder.vision_model.": "image_encoder.vision.",
    "refer_clip_proj.": "image_projection.",
}
"""Beginnings of DisCo's names and of ours."""

FROZEN = ("codec.vae.", "image_encoder.vision.")
"""Parts that DisCo does not train: where a file holds none of one, the base's stays."""

PROJECTION = "clip_image_encoder.visual_projection."
"""CLIP's own projection: a trained copy of it is what counts, where there is one."""

NO_PART = ("clip_image_encoder.vision_model.embeddings.position_ids",)
"""What a file may hold that no part of ours has: indices."""

CAPTION = "text_encoder."
"""Encoder of an empty caption, by which DisCo's option `ref_null_caption` conditions the background
ControlNet instead of by the person. None of the published checkpoints has it."""

_OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD_ATTENTION = re.compile(rf"(\.attentions\.\d+\.)({'|'.join(_OLD)})\.")
"""How the auto-encoder's attention was named until diffusers 0.17."""


def renamed(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors under this package's names, and the names of those that no part of it has.

    A name that begins like no known part stays as it is, to be told as left over.
    """
    plain = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    spare = [key for key in plain if key.startswith(NO_PART)]
    if any(key.startswith("refer_clip_proj.") for key in plain):
        spare += [key for key in plain if key.startswith(PROJECTION)]
    used = {_ours(key): tensor for key, tensor in plain.items() if key not in set(spare)}
    return used, spare


def _ours(key: str) -> str:
    for theirs, ours in {**PARTS, PROJECTION: "image_projection."}.items():
        if key.startswith(theirs):
            name = ours + key.removeprefix(theirs)
            return _OLD_ATTENTION.sub(lambda m: f"{m[1]}{_OLD[m[2]]}.", name)
    return key


def load(model: nn.Module, path: str) -> None:
    """Puts a checkpoint's tensors into a dance model that has no variant yet.

    Raises:
        UserError: the file cannot be read or is none of DisCo's; a tensor is missing, left over
            (as temporal layers are) or of another shape.
    """
    file = disco_file(path)
    what = f"model.disco={path}"
    content = _module(read_state(file), what)
    if any(key.removeprefix("module.").startswith(CAPTION) for key in content):
        raise UserError(
            f"{what}: has a {CAPTION.rstrip('.')}: it was trained with DisCo's ref_null_caption, "
            "where the background ControlNet is told an empty caption instead of the person; take "
            "a checkpoint without"
        )
    state, spare = renamed(content)
    if spare:
        _LOG.info("%s: not used: %s", what, listed(spare))
    own = model.state_dict()
    for part in FROZEN:
        if not any(key.startswith(part) for key in state):
            _LOG.info("%s: holds no %s; the base's stays", what, part.rstrip("."))
            state |= {key: tensor for key, tensor in own.items() if key.startswith(part)}
    load_tensors(model, state, what)


def _module(content: Any, what: str) -> dict[str, Tensor]:
    state = content.get("module", content) if isinstance(content, dict) else None
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(tensor, Tensor) for tensor in state.values())
    ):
        raise UserError(f"{what}: not DisCo's checkpoint: no tensors, nor any under 'module'")
    return state
