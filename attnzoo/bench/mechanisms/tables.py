"""The lines of the table of ratios, in the blocks whose candidates are timed together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from torch import nn

from attnzoo.bench.cell import Cell, What
from attnzoo.bench.clip_subject import maps_subject
from attnzoo.bench.measure import Candidate, measure
from attnzoo.bench.mechanisms.candidates import Candidates, Modules, backends, with_events
from attnzoo.bench.mechanisms.figure import Figure, Line, Must, timed_figure
from attnzoo.bench.mechanisms.floors import Floor, Projections, window_lengths
from attnzoo.bench.mechanisms.setting import Setting

LIMIT, LIMIT_KEPT, LIMIT_BOTH = "limit", "limit, memory kept", "limit of both"

WINDOW_PEERS = ("naive", "masked_sdpa", "torchvision", "flex")
UNSHIFTED_PEERS = (*WINDOW_PEERS, "natten")


class Block:
    """Candidates that are timed in the same rounds, and what is said of them."""

    def __init__(self, title: str, modules: Modules, backward: bool = False) -> None:
        """backward: of all candidates."""
        self.title = title
        self.modules = modules
        self.backward = backward
        self.candidates = Candidates()
        self.lines: list[Line] = []

    def mechanism(
        self, text: str, baseline: str | None, must: Must | None, name: str, **options: Any
    ) -> None:
        """Adds a mechanism, and each further backend that it has."""
        run = partial(self.modules.mechanism_run, name, self.backward, **options)
        self._line(text, baseline, must, run)
        for backend in backends(name):
            other = partial(run, backend=backend)
            self._line(f"{text}, backend={backend}", baseline, None, other, peer=True)

    def peers(
        self, names: Sequence[str], text: str, baseline: str, of: str, **options: Any
    ) -> None:
        """Adds peers that compute what the mechanism `of` does."""
        for peer in names:
            run = partial(self.modules.peer_run, peer, of, self.backward, **options)
            self._line(f"{text}, {peer}", baseline, None, run, peer=True)

    def floor(self, text: str, baseline: str, run: Callable[[], object]) -> None:
        """Adds a limit or floor, of which nothing is to be checked."""
        self._line(text, baseline, None, lambda: run, peer=True)

    def _line(
        self,
        text: str,
        baseline: str | None,
        must: Must | None,
        make: Callable[[], Callable[[], object]],
        peer: bool = False,
    ) -> None:
        self.candidates.add(text, make)
        self.lines.append(Line(text, text, baseline, must, peer))

    def measured(self) -> list[Figure]:
        """Times the candidates, interleaved, and gives a figure for each line."""
        setting = self.modules.setting
        runs = with_events(self.candidates.runs, setting.device)
        found = measure(runs, rounds=setting.rounds, warmup=2, device=setting.device)
        return [timed_figure(line, found, self.candidates.refused) for line in self.lines]


def blocks(modules: Modules) -> Sequence[Callable[[], Block]]:
    """What makes each block of the table; a block's candidates live as long as the block."""
    return [partial(make, modules) for make in (forward, both, crossframe, maps)]


def forward(modules: Modules) -> Block:
    """Windows and temporal attention without gradients, over their projections."""
    block, setting = Block("forward / limit", modules), modules.setting
    limit = projections(modules)
    size = setting.size
    block.candidates.runs[LIMIT] = limit.forward
    block.floor(LIMIT_KEPT, LIMIT, limit.kept)
    for shift, must in ((True, Must(1.25)), (False, Must(1.15, floor="floor, unshifted"))):
        word = "shifted" if shift else "unshifted"
        lengths = window_lengths(setting.shape[1:4], size, shift)
        block.mechanism(_stsa(size, word), LIMIT, must, "stsa", size=size, shift=shift)
        block.floor(f"floor, {word}", LIMIT, Floor(limit, lengths, setting).forward)
        names = WINDOW_PEERS if shift else UNSHIFTED_PEERS
        block.peers(names, word, LIMIT, "stsa", size=size, shift=shift)
    block.mechanism(
        "stsa_flow / stsa, maps cached", _stsa(size, "shifted"), Must(1.10),
        "stsa_flow", size=size, shift=True,
    )  # fmt: skip
    block.mechanism("temporal", LIMIT, Must(1.25), "temporal")
    sequences = type(window_lengths((1, 1, 1), size, False))({setting.frames: setting.side**2})
    block.floor("floor, temporal", LIMIT, Floor(limit, sequences, setting).forward)
    block.peers(("diffusers_temporal",), "temporal", LIMIT, "temporal")
    return block


def both(modules: Modules) -> Block:
    """The same with backward, to input and weights."""
    block, setting = Block("forward and backward / limit of both", modules, True), modules.setting
    limit, size = projections(modules), setting.size
    block.candidates.runs[LIMIT_BOTH] = limit.both
    for shift, must in ((True, Must(1.35)), (False, None)):
        word = "shifted" if shift else "unshifted"
        lengths = window_lengths(setting.shape[1:4], size, shift)
        block.mechanism(_stsa(size, word), LIMIT_BOTH, must, "stsa", size=size, shift=shift)
        block.floor(f"floor, {word}", LIMIT_BOTH, Floor(limit, lengths, setting).both)
        names = WINDOW_PEERS if shift else ("masked_sdpa",)
        block.peers(names, word, LIMIT_BOTH, "stsa", size=size, shift=shift)
    block.mechanism(
        "stsa_flow / stsa, maps cached", _stsa(size, "shifted"), None,
        "stsa_flow", size=size, shift=True,
    )  # fmt: skip
    block.mechanism("temporal", LIMIT_BOTH, None, "temporal")
    block.peers(("diffusers_temporal",), "temporal", LIMIT_BOTH, "temporal")
    return block


def crossframe(modules: Modules) -> Block:
    """Cross-frame attention to one frame, over the 2-D self-attention that it replaces."""
    block = Block("forward / the 2-D self-attention that is replaced", modules)
    replaced = "2-D self-attention"
    run = partial(modules.peer_run, "diffusers_2d", "crossframe_first")
    block.candidates.add(replaced, run)
    for name in ("first", "middle", "previous"):
        entry = f"crossframe_{name}"
        block.mechanism(entry, replaced, Must(1.0), entry)
        block.peers(("per_frame_keys",), entry, replaced, entry)
    return block


def maps(modules: Modules) -> Block:
    """Index maps of a clip at all levels of a U-Net, from flow that is there."""
    block, setting = Block("index maps from the flow, all levels [ms]", modules), modules.setting
    modules.mechanism("stsa_flow", size=setting.size)
    unet = "small" if setting.quick else "sd15"
    cell = Cell(
        What.maps, "stsa_flow", setting.frames, setting.side, setting.side, unet=unet,
        options={"size": setting.size}, device=setting.device.type,
    )  # fmt: skip
    text = "stsa_flow, both modules of every level"
    block.candidates.runs[text] = cast(Candidate, maps_subject(cell).run)
    block.lines.append(Line(text, text, None, Must(20.0)))
    return block


def projections(modules: Modules) -> Projections:
    """The limit of a module with these channels, with weights like a `stsa`'s."""
    from attnzoo.bench.subject import made_module

    layers: Any = made_module(modules.cell("stsa"))
    to_qkv, to_out = layers.to_qkv, layers.to_out
    assert isinstance(to_qkv, nn.Linear) and isinstance(to_out, nn.Linear)
    return Projections(to_qkv, to_out, modules.x)


def _stsa(size: tuple[int, int, int], word: str) -> str:
    return f"stsa [{','.join(map(str, size))}] {word}"


def tables(setting: Setting) -> list[tuple[str, list[Figure]]]:
    """Title and figures of every block at one setting."""
    modules = Modules(setting)
    found = []
    for make in blocks(modules):
        block = make()
        found.append((block.title, block.measured()))
    return found
