"""Identity: likeness of the person to the reference picture, in the embedded network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnzoo.metrics.registry import (
    Better,
    Context,
    Kind,
    Metric,
    Network,
    NoValue,
    Profile,
    register,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def _load(files: Sequence[Path], device: torch.device) -> Any:
    import copy

    from attnzoo.metrics.features import load_features

    network = load_features()
    return network if device.type == "cpu" else copy.deepcopy(network).to(device)


def likeness(real: Tensor, fake: Tensor, context: Context) -> Tensor:
    """Per frame `[f]`, see `attnzoo.metrics.identity`.

    Raises:
        NoValue: the person's place or the reference picture is unknown.
    """
    from attnzoo.metrics.identity import identity

    if context.body is None or context.reference is None or context.reference_body is None:
        raise NoValue("no reference picture, or where the person is is not known")
    try:
        return identity(
            context.network, fake, context.body, context.reference, context.reference_body
        )
    except ValueError as error:
        raise NoValue(str(error)) from error


register(
    Metric(
        name="identity_embedded",
        label="Identity-embedded",
        title="cosine of the person's features with the reference picture's",
        profiles=(Profile.strict,),
        unit="1",
        better=Better.higher,
        kind=Kind.clip,
        input_range="RGB float [-1, 1]",
        resize="64x64 bilinear with smoothing",
        crop="the person before grey",
        clip_rule="every frame; mean over frames",
        source="this package",
        network=Network(title="attnzoo's embedded feature network", load=_load),
        compute=lambda real, fake, context: likeness(real, fake, context).nanmean(),
    )
)
