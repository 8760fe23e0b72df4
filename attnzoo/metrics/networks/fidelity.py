"""Video networks as torch-fidelity's feature extractors, for clips `[b, 3, t, H, W]` uint8.

After `register` `torch_fidelity.calculate_metrics(feature_extractor="attnzoo-i3d",
feature_extractor_weights_path=...)` knows them too.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from attnzoo.errors import UserError
from attnzoo.metrics.networks.i3d import I3D
from attnzoo.metrics.networks.inputs import resnet_input
from attnzoo.metrics.networks.resnet3d import ResNet3D
from attnzoo.metrics.networks.weights import fill, is_torchscript, read_weights

I3D_LOGITS, RESNET3D = "attnzoo-i3d", "attnzoo-resnet3d"


def created(name: str, file: Path, device: torch.device) -> Any:
    """A registered extractor with weights from `file`, on `device`."""
    from torch_fidelity.utils import create_feature_extractor

    register()
    layer = {I3D_LOGITS: "400", RESNET3D: "2048"}[name]
    return create_feature_extractor(
        name, [layer], cuda=False, verbose=False, feature_extractor_weights_path=str(file)
    ).to(device)


@functools.cache
def register() -> None:
    """Makes both known to torch-fidelity, whose base class they get here: it need not be there."""
    from torch_fidelity import register_feature_extractor
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    for name, extractor in ((I3D_LOGITS, I3dLogits), (RESNET3D, Resnet3dFeatures)):
        bases = (extractor, FeatureExtractorBase)
        register_feature_extractor(name, type(extractor.__name__, bases, {}))


class _Clips:
    """What both have in common: one layer of features, and a file that they come from."""

    LAYER = ""

    def __init__(
        self,
        name: str,
        features_list: Sequence[str],
        feature_extractor_weights_path: str | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(name, list(features_list))  # type: ignore[call-arg]
        if feature_extractor_weights_path is None:
            raise UserError(f"{name}: give feature_extractor_weights_path; nothing is downloaded")
        self.network = self._read(Path(feature_extractor_weights_path))

    def _read(self, path: Path) -> torch.nn.Module:
        raise NotImplementedError

    def _features(self, clips: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, clips: Tensor) -> tuple[Tensor]:
        """Features of clips `[b, 3, t, H, W]` uint8, as torch-fidelity wants them."""
        if clips.dtype != torch.uint8 or clips.dim() != 5 or clips.shape[1] != 3:
            raise ValueError(f"clips must be uint8 [b, 3, t, H, W], not {list(clips.shape)}")
        return (self._features(clips),)

    @classmethod
    def get_provided_features_list(cls) -> tuple[str, ...]:
        """The one layer there is."""
        return (cls.LAYER,)

    @classmethod
    def get_default_feature_layer_for_metric(cls, metric: str) -> str:
        """The one layer there is."""
        return cls.LAYER

    @staticmethod
    def can_be_compiled() -> bool:
        """Not tried."""
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        """A small clip."""
        return torch.zeros(1, 3, 16, 8, 8, dtype=torch.uint8)


class I3dLogits(_Clips):
    """I3D's logits: of the TorchScript file as StyleGAN-V calls it, or of pytorch-i3d's weights."""

    LAYER = "400"

    def _read(self, path: Path) -> torch.nn.Module:
        self.scripted = is_torchscript(path)
        if not self.scripted:
            return fill(I3D(), read_weights(path), path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                network: torch.nn.Module = torch.jit.load(path, map_location="cpu").eval()
            except RuntimeError as error:
                raise UserError(f"{path}: no TorchScript network can be read") from error
        return network

    def _features(self, clips: Tensor) -> Tensor:
        if self.scripted:
            found: Tensor = self.network(
                clips.float(), rescale=True, resize=True, return_features=True
            )
            return found
        frames = clips.transpose(1, 2).flatten(0, 1).float()
        small = F.interpolate(frames, (224, 224), mode="bilinear") / 127.5 - 1
        logits: Tensor = self.network(small.unflatten(0, (len(clips), -1)).transpose(1, 2))
        return logits


class Resnet3dFeatures(_Clips):
    """3D-ResNet-50's pooled features of clips of 16 frames."""

    LAYER = "2048"

    def _read(self, path: Path) -> torch.nn.Module:
        return fill(ResNet3D(), read_weights(path), path)

    def _features(self, clips: Tensor) -> Tensor:
        small = torch.stack([resnet_input(clip.transpose(0, 1)).transpose(0, 1) for clip in clips])
        found: Tensor = self.network(small)
        return found
