"""Random wrong input, from a seed: `python tests/faults/fuzz.py [--rounds N] [--seed S]`.

A round takes a right command line, or a right file, and breaks it in a random place: options are
exchanged, doubled, cut and written in Hydra's grammar; bytes are flipped, inserted and taken away.
Whatever it is, the command has to end in time, with a status that is documented and without a
traceback; what is refused is refused in one line.

Rounds run in a child process. One that takes the whole process with it is found, too: the child is
started anew behind it. Status 1 if any round was not as it should be; each is printed with the
number by which `--from N --rounds 1` does it again.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from bad_input import prepare
from bad_input_case import Ran, execute
from bad_input_files import (
    ROOT,
    dances,
    frames,
    moving,
    plugin,
    records,
    results,
    stored_as,
    tensors,
    tsv,
    video,
    written,
)
from bad_input_results import TINY

MEMORY = 3 << 30
"""Bytes that a child may take: a size out of a broken header is to be refused, not tried."""

LINES = (
    "run attn=stsa size=[8,4,4] seed=3 data.size=32 train.stage1.steps=12",
    "run attn=stsa_flow align=permute flow=skeleton motion.checked=true noise=independent",
    "run -m attn=none,temporal seed=0,1 sample.steps=2",
    "run method=disco attn=none precision=bf16 device=cpu",
    "run +experiment=quick attn=temporal hydra.run.dir=o",
    "run data=video data.path=v data.frames=4 data.size=32 data.stride=1 data.short=loop",
    "run +plugins=[mine.py] attn=mine factor=3",
    "run model=stable_diffusion model.weights=random model.scale=0.1",
    "list cross* --names",
    "show stsa none",
    "new mine",
    "check none --only shapes",
    "score --real v2 --fake v2 --only l1 --cache none --seed 3 --profile strict",
    "distort --clips v2 --frames 4 --size 32 --count 4 --seed 1",
    "coverage --out o --simulations 10 --seed 1",
    "align v --size 32 --grid 8 --frames 4 --group 2 --out o",
    "flow --count 1 --frames 4",
    "plan attn=temporal data.size=32 --gpu V100 --utilisation 0.5",
    "bench attn=stsa,temporal frames=8,16 size=[4,4,4] what=module rounds=3 out=a.jsonl",
    "bench suite=unet frames=8 resolution=16",
    "tables protocol=p.yaml seeds=1 workers=1 out=o part=0/2",
    "tables protocol=p.yaml add=['temporal positions=sinusoidal'] only=table2",
    "report --results gone --out report.html",
)  # fmt: skip
"""Right ones; what they would begin is left out."""

VALUES = (
    "", "null", "nan", "inf", "-inf", "-1", "0", "1e999", "1e-999", "99999999999999999999", "0x10",
    "1.5", "true", "yes", "[]", "[[]]", "{}", "{a:1}", "[1,2,3]", "[nan,1,1]", "a,b", "''", "'",
    '"', "\\", "${seed}", "${oc.env:HOME}", "${", "*", "**", "glob(*)", "range(0,3)", "choice(a,b)",
    "interval(0,1)", "sort(3,1)", "int(3)", "str(3)", "~", "~/x", "~nobody1", "/", "/dev/null",
    "..", ".", "../../etc", "v", "gone", "ü", "日本", "é" * 200, "a" * 300, "-", "--", "--help",
    "-m", "%s", "{0}", "<script>", ";ls", "$(ls)", "\t", "\n", " ", "#", "@", "a@b", "a=b", "1_000",
    "２", "²", "+1", "1e5", "stsa", "none", "temporal", "cpu", "cuda:9", "fp16", "!!python/x",
)  # fmt: skip


def broken_line(draw: random.Random) -> list[str]:
    """A right command line with one to three things wrong."""
    words = shlex.split(draw.choice(LINES))
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(1, len(words)) if len(words) > 1 else 0
        what = draw.randrange(8)
        if place == 0 or what == 0:
            words.insert(len(words), draw.choice(VALUES))
        elif what in (1, 2, 3):
            key, equals, _ = words[place].partition("=")
            words[place] = key + equals + draw.choice(VALUES) if equals else draw.choice(VALUES)
        elif what == 4:
            text = words[place]
            at = draw.randrange(len(text) + 1)
            words[place] = text[:at] + draw.choice(VALUES)[:3] + text[at + draw.randint(0, 2) :]
        elif what == 5:
            words.insert(place, words[place])
        elif what == 6:
            del words[place]
        else:
            words[place] = draw.choice("+~+") + words[place]
    return [word.replace("\0", "") for word in words]


def line_files(folder: Path) -> None:
    """What the lines speak of."""
    frames("v", moving(4))(folder)
    frames("v2/a", moving(4))(folder)
    plugin()(folder)
    written("p.yaml", TINY)(folder)


VIDEO = "run data=video data.path={} data.frames=4 data.size=32"
TIKTOK = "run data=tiktok data.path=T data.frames=4 data.size=32"
CONFIG = "attn:\n  name: stsa\n  size: [4, 4, 4]\ndata:\n  name: embedded\nseed: 3\nplugins: []\n"
ROWS = (
    '{"address": "here"}\n'
    '{"key": "a", "facts": {"agreement": ""}, "first": 1.5, "crc32": 3908325552}\n'
)

FILES: dict[str, tuple[Callable[[Path], object], str, tuple[str, ...]]] = {
    "MP4": (video("v.mp4", moving(8)), VIDEO.format("v.mp4"), ("v.mp4",)),
    "Matroska": (
        video("v.mkv", moving(6), codec="ffv1", pixels="bgr0"),
        VIDEO.format("v.mkv"),
        ("v.mkv",),
    ),
    "PNG": (frames("v", moving(4)), VIDEO.format("v"), ("v/2.png",)),
    "JPEG": (frames("v", moving(4), "jpg"), VIDEO.format("v"), ("v/2.jpg",)),
    "WebP": (frames("v", moving(4), "webp"), VIDEO.format("v"), ("v/2.webp",)),
    "BMP": (frames("v", moving(4), "bmp"), VIDEO.format("v"), ("v/2.bmp",)),
    "dances": (
        dances(),
        TIKTOK,
        (
            "T/002/000002.png",
            "T/002/groundsam/000002.png.mask.png",
            "T/002/openpose_json/000002.png.json",
        ),
    ),
    "TSV": (
        tsv(),
        TIKTOK,
        (
            "T/train.yaml",
            "T/train_images.tsv",
            "T/train_poses.tsv",
            "T/train_poses.lineidx",
            "T/train_vid2line.tsv",
        ),
    ),
    "GIF": (
        lambda folder: [_gif(folder / side / "a.gif") for side in ("real", "fake")],
        "score --real real --fake fake --only l1 --cache none",
        ("real/a.gif",),
    ),
    "record": (records(), "results.load R", ("R/a/record.json",)),
    "one record": (records(name="record.json"), "read_record record.json", ("record.json",)),
    "results": (
        results(),
        "findings R",
        ("R/protocol.json", "R/records/none/seed0.json", "R/costs/none.json", "R/curves/none.json"),
    ),
    "protocol": (written("p.yaml", TINY), "tables protocol=p.yaml", ("p.yaml",)),
    "config": (stored_as(CONFIG), "run resume=r", ("r/config.yaml",)),
    "journal": (written("j.part", ROWS), "journal j.part", ("j.part",)),
    "weights": (
        lambda folder: _torch(folder / "w.pt"),
        "read_weights w.pt",
        ("w.pt",),
    ),
    "old weights": (
        lambda folder: _torch(folder / "w.pt", old=True),
        "read_state w.pt",
        ("w.pt",),
    ),
    "safetensors": (tensors("w.safetensors", a=(9,)), "read_state w.safetensors", (
        "w.safetensors",)),
    "plug-in": (plugin(), "run +plugins=[mine.py] attn=mine", ("mine.py",)),
}  # fmt: skip
"""Right files by kind: how they are made, what reads them, and which of them are broken."""


def _gif(path: Path) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = map(Image.fromarray, moving(4))
    first.save(path, save_all=True, append_images=rest, duration=100)


def _torch(path: Path, *, old: bool = False) -> None:
    import torch

    content = {"state_dict": {"a": torch.zeros(9), "b": torch.ones(2, 2)}}
    torch.save(content, path, _use_new_zipfile_serialization=not old)


def broken_bytes(data: bytes, draw: random.Random) -> bytes:
    """Bytes flipped, taken away, doubled, inserted or exchanged in a random place or two."""
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        at = (
            draw.randrange(len(data) + 1)
            if draw.random() < 0.7
            else draw.randrange(min(len(data), 64) + 1)
        )
        what = draw.randrange(7)
        if what == 0:
            data = data[:at]
        elif what == 1:
            data = data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :]
        elif what == 2 and at < len(data):
            data = data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]
        elif what == 3:
            data = data[:at] + draw.randbytes(draw.randint(1, 40)) + data[at:]
        elif what == 4:
            data = data[:at] + data[at + draw.randint(1, 40) :]
        elif what == 5:
            data = data[:at] + data[at : at + draw.randint(1, 40)] + data[at:]
        else:
            new = draw.choice(
                (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"9" * 30, b"NaN", b"null")
            )
            data = data[:at] + new + data[at + len(new) :]
    return data  # fmt: skip


def round_(number: int, seed: int, folder: Path) -> tuple[str, str, Ran]:
    """What was broken, how to say it, and what came of it."""
    draw = random.Random(f"{seed}-{number}")
    folder.mkdir(parents=True)
    if number % 2:
        line_files(folder)
        words = broken_line(draw)
        return f"{words[0]}: options", shlex.join(words), execute(words, folder)
    kind = draw.choice(sorted(FILES))
    make, line, broken = FILES[kind]
    make(folder)
    file = folder / draw.choice(broken)
    file.write_bytes(broken_bytes(file.read_bytes(), draw))
    name = file.relative_to(folder)
    return f"{kind}: bytes", f"{line}  # {name} broken", execute(shlex.split(line), folder)


def child(first: int, rounds: int, seed: int) -> None:
    """Does the rounds; a line of JSON before each and after it."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    prepare()
    with tempfile.TemporaryDirectory() as place:
        for number in range(first, first + rounds):
            print(json.dumps({"begins": number}), flush=True)
            folder = Path(place) / str(number)
            try:
                kind, said, ran = round_(number, seed, folder)
            except (Exception, KeyboardInterrupt) as error:
                print(json.dumps({"kind": "fuzz", "said": "", "fault": repr(error), "ended": "?"}))
                raise
            done = {"kind": kind, "said": said, "fault": ran.fault, "ended": str(ran.status)}
            print(json.dumps(done), flush=True)


def rounds(first: int, count: int, seed: int) -> tuple[dict[str, Counter[str]], list[str]]:
    """How the rounds of each kind ended, and what was not as it should be."""
    counts: dict[str, Counter[str]] = {}
    wrong: list[str] = []
    at, last = first, first + count
    while at < last:
        command = [
            sys.executable,
            __file__,
            "--child",
            "--from",
            str(at),
            "--rounds",
            str(last - at),
        ]
        process = subprocess.Popen(
            [*command, "--seed", str(seed)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )  # fmt: skip
        assert process.stdout is not None
        begun = at - 1
        for line in process.stdout:
            if not line.startswith("{"):
                continue
            said = json.loads(line)
            if "begins" in said:
                begun = said["begins"]
                continue
            fault = said["fault"]
            ended = "not as it should be" if fault else ENDED.get(said["ended"], said["ended"])
            counts.setdefault(said["kind"], Counter())[ended] += 1
            if fault:
                wrong.append(f"round {begun}: {said['said']}\n    {fault}")
                print(f"WRONG {wrong[-1]}", flush=True)
            at = begun + 1
        process.stdout.close()
        if process.wait() and at < last:
            wrong.append(f"round {max(begun, at)}: the process ended with {process.returncode}")
            print(f"WRONG {wrong[-1]}", flush=True)
            at = max(begun, at) + 1
    return counts, wrong


ENDED = {"0": "right or harmless", "1": "status 1", "2": "one line, status 2"}


def main() -> int:
    """Does the rounds and prints how they ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.first, given.rounds, given.seed)
        return 0
    counts, wrong = rounds(given.first, given.rounds, given.seed)
    heads = [*ENDED.values(), "not as it should be"]
    width = max(map(len, counts), default=4)
    print(f"{'':<{width}}  " + "  ".join(heads))
    for kind in sorted(counts):
        cells = [f"{counts[kind][head]:>{len(head)}}" for head in heads]
        print(f"{kind:<{width}}  " + "  ".join(cells))
    print(
        f"{sum(c.total() for c in counts.values())} rounds, seed {given.seed}, {len(wrong)} wrong"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
