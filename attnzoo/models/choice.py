"""What a variant is put into: the settings of the group `model`.

They say what is missing without reading weights; what builds a model is imported when it is asked
for, since it brings diffusers.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from attnzoo.errors import UserError
from attnzoo.models.sources import Place, disco_file
from attnzoo.paths import typed

if TYPE_CHECKING:
    from attnzoo.models.dance import DanceModel


@dataclass
class Embedded:
    """The small model that ships with the package.

    weights: a file in the place of the shipped one, as `python -m attnzoo.train.base` writes it.
    """

    name: str = "embedded"
    weights: str | None = None

    def check(self) -> None:
        """UserError if a file of weights was named and is not there."""
        if self.weights is None:
            return
        if not typed(self.weights, f"model.weights={self.weights}").is_file():
            raise UserError(
                f"model.weights={self.weights}: no such file; `python -m attnzoo.train.base` "
                "writes one"
            )
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(typed(self.weights, "model.weights"), "pt"):
                pass  # the header is checked, nothing else is read
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"model.weights={self.weights}: no safetensors that can be read ({error})"
            ) from error

    def build(self) -> DanceModel:
        """The model with its image-level weights, without a variant.

        Raises:
            UserError: the file is missing or does not hold exactly this model's tensors.
        """
        from attnzoo.models.embedded import load_embedded

        return load_embedded(self._file)

    def digest(self) -> str:
        """SHA-256 of the file of weights.

        Raises:
            UserError: it is missing.
        """
        from attnzoo.metrics.networks.weights import sha256
        from attnzoo.models.embedded import weights_path

        file = self._file or weights_path()
        try:
            return sha256(file)
        except OSError as error:
            raise UserError(f"{file}: the base's weights cannot be read ({error})") from error

    @property
    def _file(self) -> Path | None:
        return Path(self.weights).expanduser() if self.weights else None

    def shape(self) -> DanceModel:
        """The model as initialised; reads no file, and does on the meta device."""
        from attnzoo.models.embedded import build_embedded

        return build_embedded()


class Weights(Enum):
    """Where weights come from; random ones serve for trials of memory and time alone."""

    pretrained = "pretrained"
    random = "random"


class Background(Enum):
    """What the background ControlNet is conditioned by."""

    latents = "latents"
    picture = "picture"


PARTS = ("unet", "vae", "scheduler", "image_encoder")
"""Of a published model, by the names of their folders."""


@dataclass
class StableDiffusion:
    """Settings `model.*` of the real-sized model, and what makes it.

    path: a folder with unet/, vae/, scheduler/ and image_encoder/, or the hub id of one; unet, vae,
    scheduler, image_encoder: a folder (or hub id) for this part alone; pose_controlnet,
    background_controlnet: likewise, null for a copy of the U-Net's encoder; disco: DisCo's
    checkpoint, which then replaces all weights that it holds; background: what the background
    ControlNet takes; download: whether hub ids may be fetched; weights: pretrained, or random of
    the published shape; scale: of random weights, the widths as a multiple of the published ones.
    """

    name: str = "stable_diffusion"
    path: str | None = None
    unet: str | None = None
    vae: str | None = None
    scheduler: str | None = None
    image_encoder: str | None = None
    pose_controlnet: str | None = None
    background_controlnet: str | None = None
    disco: str | None = None
    background: Background = Background.latents
    download: bool = False
    weights: Weights = Weights.pretrained
    scale: float = 1.0

    def check(self) -> None:
        """Looks for every part, without reading weights.

        Raises:
            UserError: the names of all settings and files that are missing, or settings that
                contradict each other.
        """
        if self.weights is Weights.random:
            self._check_random()
            return
        if self.scale != 1:
            raise UserError(f"model.scale={self.scale}: only random weights have another width")
        absent = [part for part in PARTS if getattr(self, part) is None]
        missing: list[str | None] = []
        if absent and self.path is None:
            named = ", ".join(f"{part}/" for part in absent)
            missing.append(
                f"needs model.path=FOLDER with {named} in it, or model.{absent[0]}=FOLDER and so "
                "on (of Stable Diffusion 1.5 or image variations; a folder or a hub id)"
            )
        else:
            missing += [self._missing(part) for part in PARTS]
        for part in ("pose_controlnet", "background_controlnet"):
            if getattr(self, part) is not None:
                missing.append(self.place(part).missing("config.json"))
        told = list(dict.fromkeys(text for text in missing if text))
        if self.disco is not None:
            try:
                disco_file(self.disco)
            except UserError as error:
                told.append(str(error))
        if told:
            raise UserError(f"model=stable_diffusion: {'; '.join(told)}")
        _need_transformers()

    def _check_random(self) -> None:
        named = [
            f"model.{key}={value}"
            for key, value in vars(self).items()
            if key not in ("name", "background", "download", "weights", "scale")
            and value is not None
        ]
        if named:
            raise UserError(f"model.weights=random: reads no file, so leave out {', '.join(named)}")
        if not 0 < self.scale <= 1:
            raise UserError(f"model.scale={self.scale}: must be above 0 and at most 1")
        _need_transformers()

    def _missing(self, part: str) -> str | None:
        if part == "scheduler":
            return self.place(part).missing("scheduler_config.json", weights=False)
        return self.place(part).missing("config.json")

    def place(self, part: str) -> Place:
        """Where the part of that name is read from."""
        own = getattr(self, part)
        if own is not None:
            return Place(f"model.{part}", own, None, self.download)
        return Place("model.path", str(self.path), part, self.download)

    def build(self) -> DanceModel:
        """The model, float32, without a variant.

        Raises:
            UserError: what `check` says; a part that cannot be read or has not exactly the tensors
                that it should have; parts that do not fit each other.
        """
        from attnzoo.models.stable_diffusion import build_stable_diffusion

        return build_stable_diffusion(self)

    def shape(self) -> DanceModel:
        """The model with random weights of the published shape; reads no file."""
        from attnzoo.models.stable_diffusion import random_stable_diffusion

        return random_stable_diffusion(self)


Model = Embedded | StableDiffusion


def _need_transformers() -> None:
    if importlib.util.find_spec("transformers") is None:
        raise UserError(
            "model=stable_diffusion: CLIP needs transformers, which is not installed; "
            "pip install 'attnzoo[sd]'"
        )
