"""What clips are sampled from, what is prepared for training, and how a data set is chosen."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bad_input_case import Case, Ran
from bad_input_data import MASK, TIKTOK, TWO, VIDEO, Y4M, finite, link, shows, unspoken
from bad_input_files import (
    Make,
    cut,
    dances,
    frames,
    moving,
    overwritten,
    picture,
    put,
    record,
    replaced,
    several,
    tensors,
    text,
    video,
    written,
)

from attnzoo.config import END

SAID = {
    "--run": "R",
    "--foreground": "embedded:test:0",
    "--background": "embedded:test:1",
    "--pose": "embedded:test:2",
    "--device": "cpu",
    "--out": "out",
}


def sample(*more: str, **other: str | None) -> str:
    """The command as it is right, with other sources (None: without it) and more behind."""
    said = {**SAID, **{f"--{name}": value for name, value in other.items()}}
    given = [f"{flag} {value}" for flag, value in said.items() if value is not None]
    return " ".join(["sample", *given, *more])


_RUNS: list[Path] = []


def trained(*changes: Make) -> Make:
    """A finished run `R` of four frames, changed."""

    def made(folder: Path) -> None:
        shutil.copytree(_run(), folder / "R")
        for change in changes:
            change(folder / "R")

    return made


def recorded(change: Callable[[dict[str, Any]], object] | None = None) -> dict[str, Any]:
    """The run's record."""
    content = record(put("options", "size", value=[2, 2, 2]))
    if change is not None:
        change(content)
    return content


def _run() -> Path:
    """Made once a process: its weights are those that training starts with."""
    if not _RUNS:
        import atexit
        import tempfile

        from attnzoo import composing, config
        from attnzoo.tensors import write_tensors
        from attnzoo.train.experiment import WEIGHTS, inflated
        from attnzoo.train.stages import STAGES, trained_parameters

        place = Path(tempfile.mkdtemp())
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        given = ["attn=stsa", "size=[2,2,2]", "data.size=32", "data.frames=4", "sample.steps=1"]
        cfg = composing.composed(given)
        experiment = config.experiment_of(cfg)
        model = inflated(experiment, experiment.model.build)
        about = {"variant": "stsa", "method": "video"}
        write_tensors(place / WEIGHTS, trained_parameters(model, STAGES[-1]), about)
        (place / "config.yaml").write_text(config.stored(cfg))
        (place / "record.json").write_text(json.dumps(recorded()))
        _RUNS.append(place)
    return _RUNS[0]


def unfinished(change: Make) -> Make:
    """The same run with one checkpoint alone, sealed and then changed."""

    def made(run: Path) -> None:
        from attnzoo.files import seal

        folder = run / "checkpoints/stage1-000001"
        folder.mkdir(parents=True)
        (run / "weights.safetensors").rename(folder / "averages.safetensors")
        (run / "record.json").unlink()
        (folder / "progress.json").write_text(json.dumps({"stage": 1, "steps": 1}))
        seal(folder)
        change(folder)

    return trained(made)


def unsealed(progress: str) -> Make:
    return several(gone("sums.json"), written("progress.json", progress))


def flipped(checkpoint: Path) -> None:
    file = checkpoint / "averages.safetensors"
    data = bytearray(file.read_bytes())
    data[-9] ^= 1
    file.write_bytes(data)


def gone(name: str) -> Make:
    return lambda folder: (folder / name).unlink()


def makes(count: int) -> Callable[[Ran], bool]:
    """So many frames are about to be made."""
    return lambda ran: ran.started[0][2].clip.video.shape == (count, 3, 32, 32)


def person(name: str, *, height: int = 32) -> Make:
    return written(name, picture(moving(1, height)[0]))


def cover(name: str, value: int, *, height: int = 32) -> Make:
    return written(name, picture(np.full((height, 32, 3), value, np.uint8)))


EVIL = "open('evil-ran', 'w')\n"

SAMPLES = [
    Case("sample: right", sample(), right=makes(4), files=trained()),
    Case("sample: longer than its window", sample("--frames 9"), right=makes(9), files=trained()),
    Case("sample: no run", sample(run=None), ("--run",)),
    Case("sample: a run that is not there", sample(), ("--run R", "config.yaml")),
    Case("sample: a file for a run", sample(), ("--run R", "config.yaml"), written("R", "")),
    Case(
        "sample: a run without weights",
        sample(),
        ("--run R", "weights.safetensors is gone"),
        trained(gone("weights.safetensors")),
    ),
    Case(
        "sample: nothing trained",
        sample(),
        ("--run R", "nothing trained"),
        trained(gone("weights.safetensors"), gone("record.json")),
    ),
    Case(
        "sample: weights in words",
        sample(),
        ("weights.safetensors", "cannot be read"),
        trained(written("weights.safetensors", "hello")),
    ),
    Case(
        "sample: weights of something else",
        sample(),
        ("weights.safetensors",),
        trained(tensors("weights.safetensors", a__b=[3])),
    ),
    Case(
        "sample: half a record",
        sample(),
        ("record.json",),
        trained(written("record.json", json.dumps(recorded())[:500])),
    ),
    Case(
        "sample: code in a word",
        sample(),
        right=makes(4),
        files=trained(
            written("record.json", json.dumps(recorded(put("environment", "code", value="x"))))
        ),
    ),
    *(
        Case(f"sample: {name}", sample(), ("--run R", "stage1-000001", said), unfinished(change))
        for name, said, change in (
            ("a stage without end", "checkpoint", unsealed('{"stage": 1e999}')),
            ("progress deep inside", "checkpoint", unsealed("[" * 100_000)),
            ("a flipped bit", "averages.safetensors is not as it was written", flipped),
            ("sums in a list", "checkpoint", written("sums.json", "[]")),
        )
    ),
    Case(
        "sample: a config in words",
        sample(),
        ("R/config.yaml",),
        trained(written("config.yaml", f"hello\n{END}")),
    ),
    Case(
        "sample: a config that is cut off",
        sample(),
        ("--run R", "config.yaml is cut off"),
        trained(text("config.yaml", lambda said: said[: len(said) // 2])),
    ),
    Case(
        "sample: a config of bytes",
        sample(),
        ("--run R", "config.yaml"),
        trained(written("config.yaml", b"\xff\xfe")),
    ),
    *(
        Case(
            f"sample: a config with {name}",
            sample(),
            ("--run R", "config.yaml", "no run writes"),
            trained(text("config.yaml", lambda said, more=more: f"{said}{more}\n")),
        )
        for name, more in {
            "aliases": "a: &a [x]\nb: [*a]",
            "a look-up": "c: '${oc.env:HOME}'",
            "a missing value": "d: ???",
        }.items()
    ),
    *(
        Case(
            f"sample: a config with a seed of {name}",
            sample(),
            ("R/config.yaml",),
            trained(text("config.yaml", replaced("seed: 0\n", f"seed: {value}\n"))),
        )
        for name, value in {"no digits": "0x_", "5000 digits": "9" * 5000, "words": "one"}.items()
    ),
    *(
        Case(
            f"sample: a config that names {plugin}",
            sample(),
            ("--run R", f"+plugins=[{plugin.rpartition('/')[2]}]", "if you trust it"),
            several(
                trained(text("config.yaml", replaced("plugins: []", f"plugins: ['{plugin}']"))),
                *(written(place, EVIL) for place in ("R/mine.py", "mine.py")),
            ),
        )
        for plugin in ("R/mine.py", "mine.py", "/proc/self/cwd/mine.py")
    ),
    Case(
        "sample: three milliard frames a second",
        sample("--fps 3000000000"),
        ("--fps 3000000000", "at most 1000"),
        trained(),
    ),
    Case("sample: no frames", sample("--frames 0"), ("--frames 0", "at least 2"), trained()),
    Case("sample: minus one frame", sample("--frames -1"), ("--frames -1", "at least"), trained()),
    Case(
        "sample: a milliard frames",
        sample("--frames 1000000000"),
        ("--frames 1000000000", "at most"),
        trained(),
    ),
    Case("sample: overlap of a window", sample("--overlap 4"), ("--overlap 4", "3"), trained()),
    Case("sample: no steps", sample("--steps 0"), ("--steps 0", "at least 1"), trained()),
    Case("sample: guidance of NaN", sample("--guidance nan"), ("--guidance nan",), trained()),
    Case("sample: no stride", sample("--stride 0"), ("--stride 0",), trained()),
    Case("sample: negative seed", sample("--seed -1"), ("--seed -1",), trained()),
    Case("sample: another size", sample("data.size=64"), ("data.size=64", "stand"), trained()),
    Case("sample: half a setting", sample("flow"), ("flow", "key=value"), trained()),
    Case(
        "sample: a folder that is full",
        sample(),
        ("--out out", "holds something"),
        several(trained(), written("out/a", "")),
    ),
    Case(
        "sample: below a file",
        sample(out="a/out"),
        ("--out a/out", "cannot be written"),
        several(trained(), written("a", "")),
    ),
    Case(
        "sample: a pose in words",
        sample(pose="p.txt"),
        ("--pose p.txt", "a text"),
        several(trained(), written("p.txt", "hello " * 9999)),
    ),
    Case(
        "sample: a picture for a dance",
        sample(pose="p.png"),
        ("--pose p.png", "a clip is needed"),
        several(trained(), person("p.png")),
    ),
    Case(
        "sample: an empty folder for a dance",
        sample(pose="p"),
        ("--pose p", "no pictures"),
        several(trained(), lambda folder: (folder / "p").mkdir()),
    ),
    Case(
        "sample: a dance of one frame",
        sample(pose="p"),
        ("--pose p", "1 frames", "--loop"),
        several(trained(), frames("p", moving(1))),
    ),
    Case(
        "sample: half a dance",
        sample(pose="p.mp4"),
        ("--pose p.mp4",),
        several(trained(), video("p.mp4", moving(30, 64, 64), change=cut(0.5))),
    ),
    Case(
        "sample: a dance by a link",
        sample(pose="p"),
        right=makes(4),
        files=several(trained(), frames("away", moving(4)), link("p", "away")),
    ),
    Case(
        "sample: a person without outline",
        sample(foreground="a.png"),
        ("--foreground a.png", "--mask"),
        several(trained(), person("a.png")),
    ),
    Case(
        "sample: a person by a mask",
        sample("--mask m.png", foreground="a.png"),
        right=makes(4),
        files=several(trained(), person("a.png"), cover("m.png", 255)),
    ),
    Case(
        "sample: nobody by a mask",
        sample("--mask m.png", foreground="a.png"),
        ("--foreground a.png", "nobody"),
        several(trained(), person("a.png"), cover("m.png", 0)),
    ),
    Case(
        "sample: a mask of another shape",
        sample("--mask m.png", foreground="a.png"),
        ("--mask m.png",),
        several(trained(), person("a.png"), cover("m.png", 255, height=48)),
    ),
    Case(
        "sample: a mask in words",
        sample("--mask m.txt", foreground="a.png"),
        ("--mask", "m.txt", "a text"),
        several(trained(), person("a.png"), written("m.txt", "hello " * 99)),
    ),
    Case(
        "sample: a place that is not there",
        sample(background="gone.png"),
        ("--background gone.png", "no such file"),
        trained(),
    ),
    Case(
        "sample: a dancer beyond the last",
        sample(foreground="embedded:test:99999"),
        ("--foreground embedded:test:99999", "4096"),
        trained(),
    ),
    Case(
        "sample: no such dance in a folder",
        sample("--frames 2", pose="T:003"),
        ("--pose T:003", "no such dance"),
        several(trained(), dances()),
    ),
]

_STORE = "data=video data.path=v data.frames=4 data.size=32 attn=none device=cpu data.prepared="
PREPARE = "prepare " + _STORE
STORED = "run " + _STORE

_PREPARED: list[Path] = []


def prepared(change: Callable[[Path], object]) -> Make:
    """Frames `v` with what was prepared of them in `P`, changed."""

    def made(folder: Path) -> None:
        frames("v", moving(4))(folder)
        shutil.copytree(_prepared(folder), folder / "P")
        change(folder / "P")

    return made


def _prepared(folder: Path) -> Path:
    """Made once a process, of a copy of the frames that are in `folder`: contents count."""
    if not _PREPARED:
        import atexit
        import tempfile

        from attnzoo import composing, config
        from attnzoo.preparation.prepare import prepare

        place = Path(tempfile.mkdtemp())
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        cfg = composing.composed(f"{_STORE}P".split())
        prepare(config.experiment_of(cfg), config.source_of(cfg, prepared=False), place / "P")
        _PREPARED.append(place / "P")
    return _PREPARED[0]


def sheets(text: str) -> Make:
    """Another text in the list of what there is."""

    def change(store: Path) -> None:
        for sheet in (store / "sheets").iterdir():
            sheet.write_text(text)

    return prepared(change)


def opened(ran: Ran) -> bool:
    """Training would read what was prepared."""
    return type(ran.started[0][1].train).__name__ == "PreparedClips"


def begun(ran: Ran) -> bool:
    """The first item is about to be made."""
    return bool(ran.started)


PREPARATIONS = [
    Case("prepare: right", PREPARE + "P", right=begun, files=frames("v", moving(4))),
    Case(
        "prepare: nowhere",
        PREPARE[: -len(" data.prepared=")],
        ("data.prepared=FOLDER",),
        frames("v", moving(4)),
    ),
    Case("prepare: dancers that are drawn", "prepare device=cpu", ("data=embedded", "drawn")),
    Case(
        "prepare: into a file",
        PREPARE + "P",
        ("data.prepared=P", "cannot be written"),
        several(frames("v", moving(4)), written("P", "")),
    ),
    Case(
        "prepare: below a file",
        PREPARE + "P/a",
        ("data.prepared=P/a", "cannot be written"),
        several(frames("v", moving(4)), written("P", "")),
    ),
    Case(
        "prepare: a name of nothing",
        PREPARE + "''",
        ("data.prepared=", "empty path"),
        frames("v", moving(4)),
    ),
    *(
        Case(
            f"prepare: a file for its {part}",
            PREPARE + "P",
            ("data.prepared=P", "cannot be written"),
            several(frames("v", moving(4)), written(f"P/{part}", "")),
        )
        for part in ("items", "locks", "catalogue", "sheets")
    ),
    Case(
        "prepare: half a frame",
        PREPARE + "P",
        ("2.png", "damaged"),
        several(frames("v", moving(4)), written("v/2.png", picture(moving(2)[1])[:150])),
    ),
    Case("prepared: right", STORED + "P", right=opened, files=prepared(lambda store: None)),
    Case(
        "prepared: a file",
        STORED + "P",
        ("data.prepared=P", "prepare"),
        several(frames("v", moving(4)), written("P", "")),
    ),
    Case(
        "prepared: an empty folder",
        STORED + "P",
        ("data.prepared=P", "prepare"),
        several(frames("v", moving(4)), lambda folder: (folder / "P").mkdir()),
    ),
    Case(
        "prepared: another frame since",
        STORED + "P",
        ("data.prepared=P", "prepare"),
        several(prepared(lambda store: None), written("v/2.png", picture(moving(3)[2]))),
    ),
    Case("prepared: half a list", STORED + "P", ("data.prepared=P", "prepare"), sheets('{"asked"')),
    Case(
        "prepared: a list deep inside",
        STORED + "P",
        ("data.prepared=P", "prepare"),
        sheets("[" * 100_000),
    ),
    Case(
        "prepared: pages deep inside",
        STORED + "P",
        right=opened,
        files=prepared(
            lambda store: [p.write_text("[" * 100_000) for p in (store / "catalogue").iterdir()]
        ),
    ),
    Case(
        "prepared: frames whose names are no text",
        STORED + "P",
        ("data.prepared=P", "prepare"),
        several(prepared(lambda store: None), unspoken("v")),
    ),
    Case("prepared: a list of nothing", STORED + "P", ("data.prepared=P", "prepare"), sheets("{}")),
    Case(
        "prepared: a list in words",
        STORED + "P",
        ("data.prepared=P", "prepare"),
        sheets('{"asked": "hello"}'),
    ),
]


def listing(setting: str, content: str | bytes) -> Make:
    return several(dances(), written(f"{setting}.txt", content))


def two(folder: Path) -> None:
    """A second dance beside `002`, by a link out of the folder."""
    dances()(folder)
    shutil.copytree(folder / "T" / "002", folder / "away")
    link("T/003", "../away")(folder)


LISTS = [
    Case(
        "dances: a list that is not there",
        TIKTOK + " data.train=a.txt",
        ("data.train=a.txt", "cannot be read"),
        dances(),
    ),
    Case(
        "dances: a folder for a list",
        TIKTOK + " data.train=T",
        ("data.train=T", "cannot be read"),
        dances(),
    ),
    Case(
        "dances: an empty list",
        TIKTOK + " data.train=train.txt",
        ("data.train=train.txt", "names no dance"),
        listing("train", "# none\n"),
    ),
    Case(
        "dances: a list of bytes",
        TIKTOK + " data.train=train.txt",
        ("data.train=train.txt", "no text"),
        listing("train", b"\xff\xfe\n"),
    ),
    Case(
        "dances: a list of others",
        TIKTOK + " data.train=train.txt",
        ("data.train=train.txt: line 2", "no dance 099", "002"),
        listing("train", "\n099\n"),
    ),
    Case(
        "dances: a number of thousands of digits",
        TIKTOK + " data.train=train.txt",
        ("data.train=train.txt: line 1", "no dance 999"),
        listing("train", "9" * 5000),
    ),
    Case("dances: lists in a list", TIKTOK + " data.train=[a,b]", ("data.train",), dances()),
    Case(
        "dances: nobody to train on",
        TIKTOK + " data.test=test.txt",
        ("data.test=test.txt", "no dance to train on"),
        listing("test", "2\n"),
    ),
    Case(
        "dances: one to train and to test on",
        TIKTOK + " data.train=a.txt data.test=a.txt",
        ("data.train and data.test both have 002",),
        listing("a", "2\n"),
    ),
    Case(
        "dances: DisCo's list of others",
        TIKTOK + " data.test=disco",
        ("data.test=disco", "335 to 340"),
        dances(),
    ),
    Case(
        "dances: perhaps damaged",
        TIKTOK + " data.damaged=perhaps",
        ("data.damaged", "skip"),
        dances(),
    ),
    Case(
        "dances: no frame between",
        TIKTOK + " data.every=0",
        ("data.every=0", "at least 1"),
        dances(),
    ),
    Case(
        "dances: a milliard frames between",
        TIKTOK + " data.every=1000000000",
        right=lambda ran: len(ran.started[0][1].train) == 1,
        files=dances(),
    ),
    Case(
        "dances: all are damaged",
        TIKTOK + " data.damaged=skip",
        ("every window to train on",),
        dances(change=written("000002.png", "")),
    ),
    Case(
        "dances: a list of one by a link",
        TIKTOK + " data.train=a.txt",
        right=lambda ran: list(ran.started[0][1].split["sequences"]) == ["003"],
        files=several(two, written("a.txt", "003 # by a link\n")),
    ),
    Case(
        "dances: a mask by a link to nothing",
        TIKTOK,
        (MASK,),
        dances(change=link(MASK, "gone.png")),
    ),
    Case(
        "dances: a mask by a link to itself",
        TIKTOK,
        (MASK,),
        dances(change=link(MASK, "000002.png.mask.png")),
    ),
    Case(
        "dances: a link to itself among them",
        TIKTOK,
        right=finite,
        files=several(dances(), link("T/003", "003")),
    ),
    Case(
        "frames: one by a link out of the folder",
        TWO,
        right=shows(moving(4)),
        files=several(
            frames("v", moving(4)),
            lambda folder: os.rename(folder / "v/2.png", folder / "away.png"),
            link("v/2.png", "../away.png"),
        ),
    ),
    Case(
        "frames: a folder by a link",
        TWO,
        right=shows(moving(4)),
        files=several(frames("away", moving(4)), link("v", "away")),
    ),
    Case(
        "frames: one by a link to itself",
        TWO,
        right=shows(moving(4)),
        files=several(frames("v", moving(4)), link("v/5.png", "5.png")),
    ),
    Case(
        "video: a header and no frame",
        VIDEO.format("v.y4m"),
        ("v.y4m",),
        written("v.y4m", (Y4M % (32, 32)).partition(b"FRAME")[0]),
    ),
    Case(
        "video: half a frame", VIDEO.format("v.y4m"), ("v.y4m",), written("v.y4m", Y4M % (32, 32))
    ),
    Case(
        "video: huge in its sample's header",
        VIDEO.format("v.mp4"),
        right=shows(moving(4), 9),
        files=video(
            "v.mp4", moving(4), change=overwritten(b"avc1", 24, struct.pack(">2H", 65535, 65535))
        ),
    ),
    Case(
        "video: huge in its track's header",
        VIDEO.format("v.mp4"),
        right=shows(moving(4), 9),
        files=video(
            "v.mp4",
            moving(4),
            change=overwritten(b"tkhd", 76, struct.pack(">2I", 65535 << 16, 65535 << 16)),
        ),
    ),
    Case(
        "video: words in a text",
        VIDEO.format("v.txt"),
        ("v.txt", "a text"),
        written("v.txt", "hello " * 9999),
    ),
]

CASES = {"samples": SAMPLES, "preparations": PREPARATIONS, "lists and links": LISTS}
