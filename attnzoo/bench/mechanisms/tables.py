"""The lines of the table of ratios, in the blocks whose candidates are timed together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any

from torch import nn

from attnzoo.bench.cell import Cell, What
from attnzoo.bench.clip_subject import maps_subject
from attnzoo.bench.measure import Candidate, measure
from attnzoo.bench.mechanisms.candidates import Candidates, Modules, backends, with_events
from attnzoo.bench.mechanisms.figure import Figure, Line, Must, timed_figure
from attnzoo.bench.mechanisms.floors import Floor, Projections, window_lengths
from attnzoo.bench.mechanisms.setting import Setting
from attnzoo.bench.subject import made_module

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
        self.makers: dict[str, Callable[[], Candidate]] = {}
        self.lines: list[Line] = []

    def mechanism(
        self, text: str, baseline: str | None, must: Must | None, name: str, **options: Any
    ) -> None:
        """Adds a mechanism."""
        run = partial(self.modules.mechanism_run, name, self.backward, **options)
        self.line(Line(text, text, baseline, must), run)

    def backends(self, text: str, baseline: str, name: str, **options: Any) -> None:
        """Adds a mechanism once with each backend that it has beside its default."""
        for backend in backends(name):
            said = f"{text}, backend={backend}"
            run = partial(self.modules.backend_run, backend, name, self.backward, **options)
            self.line(Line(said, said, baseline, peer=True), run)

    def peers(
        self, names: Sequence[str], text: str, baseline: str, of: str, **options: Any
    ) -> None:
        """Adds peers that compute what the mechanism `of` does."""
        for peer in names:
            said = f"{text}, {peer}"
            run = partial(self.modules.peer_run, peer, of, self.backward, **options)
            self.line(Line(said, said, baseline, peer=True), run)

    def line(self, line: Line, make: Callable[[], Candidate]) -> None:
        """Adds a line and what makes its candidate."""
        self.lines.append(line)
        self.makers[line.candidate] = make

    def measured(self) -> list[Figure]:
        """Makes and checks the candidates, times them, and gives a figure for each line."""
        setting = self.modules.setting
        candidates = Candidates()
        for name, make in self.makers.items():
            candidates.add(name, make)
        runs = with_events(candidates.runs, setting.device)
        found = None
        if runs:
            found = measure(runs, rounds=setting.rounds, warmup=2, device=setting.device)
        return [timed_figure(line, found, candidates.refused) for line in self.lines]


def blocks(modules: Modules) -> Sequence[Callable[[], Block]]:
    """What makes each block of the table; a block's candidates live as long as the block."""
    return [partial(make, modules) for make in (forward, both, crossframe, maps)]


def forward(modules: Modules) -> Block:
    """Windows and temporal attention without gradients, over their projections."""
    block, setting = Block("forward / limit", modules), modules.setting
    limit = cache(partial(projections, modules))
    size = setting.size
    block.makers[LIMIT] = lambda: limit().forward
    kept = Line(LIMIT_KEPT, LIMIT_KEPT, LIMIT, peer=True)
    block.line(kept, lambda: limit().kept)
    for shift, must in ((True, Must(1.25)), (False, Must(1.15, floor="floor, unshifted"))):
        word = "shifted" if shift else "unshifted"
        lengths = window_lengths(setting.shape[1:4], size, shift)
        block.mechanism(_stsa(size, word), LIMIT, must, "stsa", size=size, shift=shift)
        _floor(block, word, LIMIT, limit, lengths)
        if shift:
            block.backends(word, LIMIT, "stsa", size=size, shift=shift)
        names = WINDOW_PEERS if shift else UNSHIFTED_PEERS
        block.peers(names, word, LIMIT, "stsa", size=size, shift=shift)
    block.mechanism(
        "stsa_flow / stsa, maps cached", _stsa(size, "shifted"), Must(1.10),
        "stsa_flow", size=size, shift=True,
    )  # fmt: skip
    block.mechanism("temporal", LIMIT, Must(1.25), "temporal")
    _floor(block, "temporal", LIMIT, limit, Counter({setting.frames: setting.side**2}))
    block.backends("temporal", LIMIT, "temporal")
    block.peers(("diffusers_temporal",), "temporal", LIMIT, "temporal")
    return block


def both(modules: Modules) -> Block:
    """The same with backward, to input and weights."""
    block, setting = Block("forward and backward / limit of both", modules, True), modules.setting
    limit, size = cache(partial(projections, modules)), setting.size
    block.makers[LIMIT_BOTH] = lambda: limit().both
    for shift, must in ((True, Must(1.35)), (False, None)):
        word = "shifted" if shift else "unshifted"
        lengths = window_lengths(setting.shape[1:4], size, shift)
        block.mechanism(_stsa(size, word), LIMIT_BOTH, must, "stsa", size=size, shift=shift)
        _floor(block, word, LIMIT_BOTH, limit, lengths)
        if shift:
            block.backends(word, LIMIT_BOTH, "stsa", size=size, shift=shift)
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
    block.makers[replaced] = run
    # Keys and values that all frames share are made once; each frame's previous one is its own.
    musts = {"first": Must(1.0), "middle": Must(1.0), "previous": None}
    for name, must in musts.items():
        entry = f"crossframe_{name}"
        block.mechanism(entry, replaced, must, entry)
        block.peers(("per_frame_keys",), entry, replaced, entry)
    return block


def maps(modules: Modules) -> Block:
    """Index maps of a clip at all levels of a U-Net, from flow that is there."""
    block, setting = Block("index maps from the flow, all levels [ms]", modules), modules.setting
    unet = "small" if setting.quick else "sd15"
    cell = Cell(
        What.maps, "stsa_flow", setting.frames, setting.side, setting.side, unet=unet,
        options={"size": setting.size}, device=setting.device.type,
    )  # fmt: skip
    text = "stsa_flow, both modules of every level"
    block.line(Line(text, text, None, Must(20.0)), lambda: _checked_maps(modules, cell))
    return block


def projections(modules: Modules) -> Projections:
    """The limit of a module with these channels, with weights like a `stsa`'s."""
    layers: Any = made_module(modules.cell("stsa"))
    to_qkv, to_out = layers.to_qkv, layers.to_out
    assert isinstance(to_qkv, nn.Linear) and isinstance(to_out, nn.Linear)
    return Projections(to_qkv, to_out, modules.x)


def _checked_maps(modules: Modules, cell: Cell) -> Candidate:
    modules.mechanism(cell.name, **cell.options)
    return maps_subject(cell).run


def _floor(
    block: Block,
    word: str,
    baseline: str,
    limit: Callable[[], Projections],
    lengths: Counter[int],
) -> None:
    """Adds the floor of sequences of such lengths."""

    def make() -> Callable[[], object]:
        floor = Floor(limit(), lengths, block.modules.setting)
        return floor.both if block.backward else floor.forward

    text = f"floor, {word}"
    block.line(Line(text, text, baseline, peer=True), make)


def _stsa(size: tuple[int, int, int], word: str) -> str:
    return f"stsa [{','.join(map(str, size))}] {word}"


def tables(setting: Setting) -> Iterator[tuple[str, list[Figure]]]:
    """Title and figures of every block at one setting, as they are measured."""
    modules = Modules(setting)
    for make in blocks(modules):
        block = make()
        yield block.title, block.measured()
