"""Where the motion that mechanisms follow comes from: the settings, without what they need."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from attnzoo.errors import UserError
from attnzoo.paths import typed


class FlowSource(Enum):
    """What the flow that mechanisms follow is taken from; metrics keep the data's own.

    auto: the data's own, exact for embedded dancers and classical for recordings. exact: geometry
    of the embedded dancers, camera and hidden parts included. iuv: same place of the same body
    part by surface coordinates in the pose. skeleton: joints alone. classical, raft: dense flow
    between pictures, of poses where there are dense ones.
    """

    auto = "auto"
    exact = "exact"
    iuv = "iuv"
    skeleton = "skeleton"
    classical = "classical"
    raft = "raft"


class Method(Enum):
    """Of `flow=classical`: dense inverse search (Kroeger 2016) or polynomials (Farnebäck 2003)."""

    dis = "dis"
    farneback = "farneback"


class Span(Enum):
    """How flow over several frames comes about.

    direct: estimated between the two frames; composed: from neighbour to neighbour, each step read
    where the ones before have led; auto: direct for iuv and skeleton, composed for the others.
    """

    auto = "auto"
    direct = "direct"
    composed = "composed"


@dataclass
class Estimation:
    """How flow is estimated; what a source has no use for is refused.

    method: of `flow=classical`. weights: of `flow=raft`, a file of torchvision's `raft_large` or
    `raft_small`. span: see `Span`. checked: flow that does not lead back by the flow the other way
    (see `attnzoo.data.flow.visible`) is unknown and counts as 0. masked: where a pose picture shows
    nobody, estimated flow is 0.
    """

    method: Method = Method.dis
    weights: str | None = None
    span: Span = Span.auto
    checked: bool = False
    masked: bool = True

    def digest(self) -> str:
        """SHA-256 of the file of weights, of which a path says nothing.

        Raises:
            UserError: none was named, or it cannot be read.
        """
        if self.weights is None:
            raise UserError("no motion.weights=FILE was named")
        from attnzoo.data.frames import fingerprint

        said = f"motion.weights={self.weights}"
        try:
            return fingerprint(typed(self.weights, said))
        except OSError as error:
            raise UserError(f"{said}: cannot be read ({error.strerror})") from error
