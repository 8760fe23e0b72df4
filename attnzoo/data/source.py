"""What a data set gives to training and evaluation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attnzoo.data.clip import Clip
from attnzoo.data.flow_settings import FlowSource


@dataclass(frozen=True)
class Source:
    """Clips to train on and clips to test on; both sequences make or read a clip when indexed.

    `split` describes the two parts in plain JSON values (which persons, dances, files, frames);
    `flow` is what the flow comes from that mechanisms follow, None where nobody said.
    """

    name: str
    frames: int
    size: int
    train: Sequence[Clip]
    test: Sequence[Clip]
    split: Mapping[str, Any]
    flow: FlowSource | None = None

    @property
    def split_hash(self) -> str:
        """SHA-256 of the split's description: equal hashes mean the same clips.

        Of TikTok dances it covers names of frames and settings, and not what the pictures hold.
        """
        text = json.dumps(self.split, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
