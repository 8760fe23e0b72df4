"""Which weights a model holds, told quickly however large they are."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

SAMPLED = 256
"""Values of a tensor, spread evenly over it."""


def fingerprint(model: nn.Module) -> str:
    """SHA-256 of the names and shapes of a model's tensors and of values spread over each.

    Other weights differ nearly everywhere; a few changed values may go unseen, as may a changed
    kind of number that holds the same values.
    """
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        values = tensor.detach().flatten()
        seen = values[:: max(1, len(values) // SAMPLED)].to("cpu", torch.float64)
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode() + seen.numpy().tobytes())
    return digest.hexdigest()
