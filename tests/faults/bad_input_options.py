"""What may be typed wrongly: options, settings and paths of every command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from bad_input_case import Case, Ran
from bad_input_files import frames, moving, plugin, several, stored_as, written

LONG = "a" * 300
"""Longer than a file's name may be."""


_LEVELS = (f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
BOMB = f"# @package _global_\na0: &a0 [x]\n{''.join(_LEVELS)}"
"""Settings that are small and, with their aliases written out, larger than any memory."""


def configured(key: str, value: object) -> object:
    """The run would start with this setting."""

    def right(ran: Ran) -> bool:
        node = ran.started[0][0]
        for part in key.split("."):
            node = node[part]
        return bool(node == value)

    return right


def prints(*words: str) -> object:
    return lambda ran: all(word in ran.out for word in words)


def starts(ran: Ran) -> bool:
    """Everything was found right and the work would begin."""
    return len(ran.started) == 1


def empty(folder: Path) -> None:
    (folder / "empty").mkdir()


def pair(folder: Path) -> None:
    """Two pairs of folders of frames for `score`."""
    for which in ("real", "fake"):
        for name in ("v0", "v1"):
            frames(f"{which}/{name}", moving(4, seed=len(which)))(folder)


def bench_row(**changes: object) -> Callable[[Path], object]:
    """A file `a.jsonl` with one row of a bench, changed."""

    def made(folder: Path) -> None:
        from attnzoo.bench.cell import Cell, What
        from attnzoo.bench.row import Facts, Row, Status

        cell = Cell(What.module, "temporal", 16, 32, 32, channels=64)
        facts = Facts("reference", peak_memory=100)
        row = Row(cell, "key", Status.ok, facts=facts, latency=0.5, seconds=(0.5, 0.6))
        written("a.jsonl", json.dumps({**row.plain, **changes}) + "\n")(folder)

    return made


RUN = [
    Case("unknown variant", "run attn=stas", ("'stas'", "did you mean 'stsa'")),
    Case("no variant", "run attn=", ("''", "there are")),
    Case("several variants", "run attn=[stsa,none]", ("-m attn=stsa,none",)),
    Case("zero in size", "run size=[0,4,4]", ("[0,4,4]", "positive")),
    Case("negative size", "run size=[-8,4,4]", ("[-8,4,4]", "positive")),
    Case("two sizes", "run size=[4,4]", ("[4,4]", "3 values")),
    Case("size of words", "run size=[8,four,4]", ("[8,four,4]",)),
    Case("size with NaN", "run size=[8,nan,4]", ("[8,nan,4]",)),
    Case("size of an object", "run size={a:1}", ("size",)),
    Case("open bracket", "run size=[8,4,4", ("size=[8,4,4", "key=value")),
    Case("option of another variant", "run attn=none size=[8,4,4]", ("'size'", "no option")),
    Case("misspelt option", "run attn.sizes=[8,4,4]", ("'sizes'", "did you mean 'size'")),
    Case("option of the slot", "run shift=true", ("shift", "stack=declared|flat")),
    Case("misspelt setting", "run sed=1", ("'sed'", "did you mean 'seed'")),
    Case("misspelt setting added", "run +sed=1", ("'sed'", "did you mean 'seed'")),
    Case("setting taken out", "run ~seed", ("seed",)),
    Case("group taken out", "run ~data", ("data",)),
    Case("misspelt setting inside", "run train.stage1.stps=3", ("stps", "did you mean 'steps'")),
    Case("third stage", "run train.stage3.steps=3", ("train.stage3.steps",)),
    Case("unknown setting of Hydra", "run hydra.foo=1", ("hydra.foo",)),
    Case("seed in words", "run seed=one", ("seed=one", "Integer")),
    Case("two for a truth", "run train.deterministic=2", ("deterministic=2", "true or false")),
    Case("less than none for a truth", "run train.deterministic=-1", ("=-1", "true or false")),
    Case(
        "one for a truth",
        "run train.deterministic=1",
        right=configured("train.deterministic", True),
    ),
    Case("negative seed", "run seed=-1", ("seed=-1", "at least 0")),
    Case("a seed of 400 digits", f"run seed={'9' * 400}", ("at most 9223372036854775807",)),
    Case("a batch of a milliard", "run train.batch=1000000000", ("train.batch=1000000000",)),
    Case(
        "a milliard of passes",
        "run train.accumulate=1000000000",
        ("accumulate=1000000000", "at most"),
    ),
    Case(
        "a billion steps",
        "run train.stage1.steps=1000000000000",
        ("steps=1000000000000", "at most"),
    ),
    Case(
        "a milliard steps",
        "run train.stage1.steps=1000000000",
        right=configured("train.stage1.steps", 1000000000),
    ),
    Case("three milliard frames a second", "run sample.fps=3000000000", ("sample.fps=3000000000",)),
    Case("fraction of a seed", "run seed=1.5", ("seed=1.5",)),
    Case("seed beyond 64 bits", "run seed=99999999999999999999", ("at most 9223372036854775807",)),
    Case("NaN learning rate", "run train.stage1.learning_rate=nan", ("learning_rate=nan",)),
    Case(
        "infinite learning rate",
        "run train.stage1.learning_rate=inf",
        ("learning_rate=inf", "finite"),
    ),
    Case("infinite guidance", "run sample.guidance=inf", ("sample.guidance=inf", "finite")),
    Case("infinite decay", "run train.weight_decay=1e999", ("weight_decay=inf", "finite")),
    Case("infinite rate of positions", "run train.positions_rate=inf", ("positions_rate=inf",)),
    Case(
        "no clipping", "run train.clip_norm=inf", right=configured("train.clip_norm", float("inf"))
    ),
    Case("negative steps", "run train.stage1.steps=-5", ("steps=-5", "at least 0")),
    Case("share above one", "run train.null_tokens=1.5", ("null_tokens=1.5", "from 0 to 1")),
    Case("average that never moves", "run train.ema=1", ("train.ema=1", "below 1")),
    Case("batch of none", "run train.batch=0", ("train.batch=0", "at least 1")),
    Case("no sampling steps", "run sample.steps=0", ("sample.steps=0", "at least 1")),
    Case("more sampling steps than times", "run sample.steps=100000", ("sample.steps=100000",)),
    Case("first clip beyond the last", "run sample.first=64", ("sample.first=64",)),
    Case("no clips", "run sample.clips=0", ("sample.clips=0", "at least 1")),
    Case("unknown noise", "run noise=some", ("noise=some", "shared")),
    Case("unknown slots", "run slots=every", ("slots=every", "inside")),
    Case("unknown precision", "run precision=fp8", ("precision=fp8", "bf16")),
    Case("half precision on a CPU", "run device=cpu precision=fp16", ("precision=fp16", "bf16")),
    Case("unknown device", "run device=tpu", ("device=tpu", "auto, cpu, cuda")),
    Case("negative workers", "run workers=-1", ("workers=-1", "at least 0")),
    Case("a million workers", "run workers=1000000", ("workers=1000000", "at most")),
    Case("unknown data", "run data=tiktak", ("data=tiktak", "did you mean 'tiktok'")),
    Case("size no multiple of 8", "run data.size=63", ("data.size=63", "multiple of 8")),
    Case("size too small", "run data.size=8", ("data.size=8", "at least 32")),
    Case("size of a city", "run data.size=1000000", ("data.size=1000000", "at most")),
    Case("one frame", "run data.frames=1", ("data.frames=1", "at least 2")),
    Case("a milliard frames", "run data.frames=1000000000", ("data.frames=1000000000", "at most")),
    Case("a milliard clips", "run data.clips=1000000000", ("data.clips=1000000000", "at most")),
    Case(
        "a milliard training clips",
        "run data.train_clips=1000000000",
        ("data.train_clips=1000000000", "at most"),
    ),
    Case("negative seed of data", "run data.seed=-1", ("data.seed=-1", "at least 0")),
    Case("training part as test", "run data.part=train", ("data.part=train", "validation")),
    Case("unknown camera", "run data.camera=shaky", ("data.camera=shaky", "moving")),
    Case("video without path", "run data=video", ("data.path=VALUE",)),
    Case("empty path", "run data=video data.path=", ("data.path=", "empty")),
    Case("quoted empty path", "run data=video \"data.path=''\"", ("data.path=", "empty")),
    Case("null path", "run data=video data.path=null", ("data.path",)),
    Case("path of a list", "run data=video data.path=[a,b]", ("data.path",)),
    Case("missing file", "run data=video data.path=gone.mp4", ("gone.mp4", "no such file")),
    Case("name too long", f"run data=video data.path={LONG}", (LONG, "too long")),
    Case(
        "nobody's home",
        '''run data=video "data.path='~nobody1/a.mp4'"''',
        ("~nobody1", "no such user"),
    ),
    Case(
        "prepared in nobody's home",
        '''run data=video data.path=v data.frames=4 "data.prepared='~nobody1/x'"''',
        ("data.prepared=~nobody1/x", "no such user"),
        frames("v", moving(4)),
    ),
    Case(
        "prepared in a folder without name",
        """run data=video data.path=v data.frames=4 "data.prepared=''\"""",
        ("data.prepared=", "empty"),
        frames("v", moving(4)),
    ),
    Case("dances' path too long", f"run data=tiktok data.path={LONG}", (LONG, "too long")),
    Case("dances in nobody's home", '''run data=tiktok "data.path='~nobody1'"''', ("~nobody1",)),
    Case(
        "file as output folder",
        "run hydra.run.dir=file/below",
        ("hydra.run.dir=file/below", "another folder"),
        written("file", ""),
    ),
    Case("empty output folder", "run hydra.run.dir=", ("hydra.run.dir=", "empty")),
    Case("output name too long", f"run hydra.run.dir={LONG}", (LONG,)),
    Case("unknown experiment", "run +experiment=quik", ("experiment=quik", "'quick'")),
    Case("unknown preset", "run +preset=papr", ("preset=papr", "'paper'")),
    Case("resume from nowhere", "run resume=gone", ("resume=gone", "folder of an earlier run")),
    Case("resume from an empty folder", "run resume=empty", ("config.yaml",), empty),
    Case("resume with a change", "run resume=. seed=1", ("seed=1", "device, workers")),
    Case("resume of a sweep", "run -m resume=.", ("resume=.", "not with -m")),
    Case("sweep with an unknown variant", "run -m attn=stsa,nune", ("'nune'", "'none'")),
    Case("sweep over nothing", "run -m attn=glob(x*)", ("attn=glob(x*)", "no name matches")),
    Case("sweep with one wrong seed", "run -m seed=0,-1", ("seed=-1", "at least 0")),
    Case("unknown sweeper", "run -m hydra/sweeper=best seed=0,1", ("hydra/sweeper",)),
    Case("unknown launcher", "run -m hydra/launcher=moon seed=0,1", ("hydra/launcher",)),
    Case("no such folder of settings", "run --config-dir gone", ("gone", "no such folder")),
    Case(
        "settings that are no YAML",
        "run --config-dir s +experiment=bad",
        ("bad.yaml", "YAML"),
        written("s/experiment/bad.yaml", "# @package _global_\nseed: [\n"),
    ),
    Case(
        "settings with code",
        "run --config-dir s +experiment=bad",
        ("bad.yaml",),
        written("s/experiment/bad.yaml", "seed: !!python/object/apply:os.system ['touch evil']\n"),
    ),
    Case(
        "settings of bytes",
        "run --config-dir s +experiment=bad",
        ("experiment=bad", "not text"),
        written("s/experiment/bad.yaml", b"seed: \xff\xfe\n"),
    ),
    Case(
        "settings of a list",
        "run --config-dir s +experiment=bad",
        ("bad",),
        written("s/experiment/bad.yaml", "# @package _global_\n- seed\n"),
    ),
    Case(
        "settings of another type",
        "run --config-dir s +experiment=bad",
        ("seed",),
        written("s/experiment/bad.yaml", "# @package _global_\nseed: {a: 1}\n"),
    ),
    Case("rerun of a pickle", "run --experimental-rerun a.pickle", ("--experimental-rerun",)),
    Case("resolved, and nothing printed", "run --resolve", ("--resolve", "--cfg")),
    Case("a part, and nothing printed", "run --package train", ("--package", "--cfg")),
    Case("a sweep that is printed", "run -m --cfg job", ("--multirun --cfg", "one of them")),
    Case("a run and a sweep", "run -r -m seed=0,1", ("--run --multirun", "one of them")),
    Case("completion of what", "run --shell-completion", ("--shell-completion", "install=SHELL")),
    Case("a part of nothing", "run --cfg job --package nosuch", ("--package nosuch", "there are")),
    Case("a part that is there", "run --cfg job --package train.stage1", right=prints("steps: 80")),
    Case(
        "logging at a level of its own",
        "run hydra.job_logging.root.level=LOUD",
        ("hydra.job_logging.root.level=LOUD", "WARNING"),
    ),
    Case("a seed of 5000 digits", f"run seed={'9' * 5000}", ("seed=999", "4300 digits")),
    Case("plan: a seed of 5000 digits", f"plan seed={'9' * 5000}", ("seed=999", "4300 digits")),
    Case("bench: 5000 digits", f"bench frames={'9' * 5000}", ("frames=999", "4300 digits")),
    Case("tables: 5000 digits", f"tables seeds={'9' * 5000}", ("seeds=999", "4300 digits")),
    Case("500 brackets", f"run size={'[' * 500}1{']' * 500}", ("size=[[[", "too deep")),
    Case("tables: 500 brackets", f"tables add={'[' * 500}1{']' * 500}", ("add=[[[", "too deep")),
    Case("a sweep without end", "run -m seed=range(0,inf)", ("seed=range(0,inf)", "without end")),
    Case("a sweep of a billion", "run -m seed=range(0,1000000000000)", ("10000 values",)),
    Case("bench: frames without end", "bench frames=range(1,inf)", ("frames=range(1,inf)",)),
    Case(
        "settings that aliases make endless",
        "run --config-dir s +experiment=bad",
        ("bad.yaml", "aliases written out"),
        written("s/experiment/bad.yaml", BOMB),
    ),
    Case(
        "settings in themselves",
        "run --config-dir s +experiment=bad",
        ("bad.yaml", "aliases written out"),
        written("s/experiment/bad.yaml", "# @package _global_\na: &a [*a]\n"),
    ),
    Case("unknown flag", "run --fast", ("--fast", "--help")),
    Case("another configuration", "run --config-name other", ("--config-name",)),
    Case("another folder of configurations", "run --config-path .", ("--config-path",)),
    Case("key without value", "run size", ("size", "key=value")),
    Case("value without key", "run =3", ("=3", "key=value")),
    Case("a quote that does not end", 'run "noise=\'half"', ("noise='half",)),
    Case("interpolation of nothing", "run seed=${gone}", ("gone",)),
    Case("interpolation by nobody", "run seed=${oc.what:1}", ("oc.what",)),
    Case("a loop of interpolations", "run seed=${workers} workers=${seed}", ("seed",)),
    Case(
        "flow that data have not",
        "run data=video data.path=v flow=exact",
        ("flow=exact",),
        frames("v", moving(16)),
    ),
    Case(
        "motion that flow has no use for",
        "run flow=iuv motion.method=dis motion.masked=false",
        ("motion.masked=false", "no use for it"),
    ),
    Case("RAFT without weights", "run flow=raft", ("motion.weights",)),
    Case("RAFT with weights from nowhere", "run flow=raft motion.weights=gone.pth", ("gone.pth",)),
    Case("frame by frame with a variant", "run method=disco attn=stsa", ("attn=none",)),
    Case(
        "frame by frame with shared noise",
        "run method=disco attn=none noise=shared",
        ("noise=shared", "independent"),
    ),
    Case("model without files", "run model=stable_diffusion", ("model.path",)),
    Case("model from nowhere", "run model=stable_diffusion model.path=gone", ("model.path=gone",)),
    Case(
        "model in nobody's home",
        '''run model=stable_diffusion "model.path='~nobody1/x'"''',
        ("~nobody1",),
    ),
    Case("weights from nowhere", "run model.weights=gone", ("model.weights=gone",)),
    Case("weights in nobody's home", '''run "model.weights='~nobody1/w'"''', ("~nobody1",)),
    Case(
        "random weights and a file",
        "run model=stable_diffusion model.weights=random model.unet=a",
        ("model.unet=a",),
    ),
    Case(
        "width of random weights",
        "run model=stable_diffusion model.weights=random model.scale=nan",
        ("model.scale=nan",),
    ),
    Case("tracker of another age", "run tracker=paper", ("tracker=paper", "tensorboard")),
    Case(
        "Unicode in a path",
        """run data=video "data.path='Tänze und Tänzerinnen/v'" data.frames=4""",
        right=lambda ran: len(ran.started[0][1].test) == 1,
        files=frames("Tänze und Tänzerinnen/v", moving(4)),
    ),
    Case(
        "Unicode without quotes",
        "run data=video 'data.path=Tänze/v' data.frames=4",
        ("Tänze/v", "quotes"),
        files=frames("Tänze/v", moving(4)),
    ),
    Case(
        "quotes and spaces in a path",
        r"""run data=video "data.path='it\'s mine/v, [1]'" data.frames=4""",
        right=lambda ran: len(ran.started[0][1].test) == 1,
        files=frames("it's mine/v, [1]", moving(4)),
    ),
    Case(
        "Unicode in the output folder",
        """run "hydra.run.dir='ausgaben/läufe-été'" attn=none""",
        right=lambda ran: (ran.folder / "ausgaben/läufe-été").is_dir(),
    ),
    Case(
        "everything right", "run attn=stsa 'size=[8,4,4]'", right=configured("attn.size", [8, 4, 4])
    ),
]

SMALL = [
    Case("unknown command", "rum attn=stsa", ("'rum'", "did you mean 'run'")),
    Case("list: no match", "list x*", ("'x*'", "there are")),
    Case("list: a glob that is open", "list [", ("'['",)),
    Case("list: an empty glob", "list ''", ("''",)),
    Case("list: unknown flag", "list --all", ("--all", "--help")),
    Case("list: two patterns", "list a b", ("b", "--help")),
    Case("list: missing plug-in", "list --plugin gone.py", ("gone.py", "no such file")),
    Case("list: right", "list crossframe* --names", right=prints("crossframe_all")),
    Case("show: nothing", "show", ("name",)),
    Case("show: unknown", "show stas", ("'stas'", "did you mean 'stsa'")),
    Case(
        "show: picture into a file",
        "show none --picture file",
        ("--picture file",),
        written("file", ""),
    ),
    Case("show: picture without name", "show none --picture ''", ("--picture", "empty")),
    Case("show: right", "show stsa none", right=prints("stsa:", "none:")),
    Case("new: no name", "new", ("name",)),
    Case("new: digits first", "new 3d", ("'3d'", "letter first")),
    Case("new: a path", "new ../up", ("'../up'", "my_attention")),
    Case("new: a keyword", "new lambda", ("'lambda'",)),
    Case("new: Unicode", "new fürst", ("'fürst'",)),
    Case("new: taken", "new stsa", ("'stsa'", "taken")),
    Case("new: hides a module", "new json", ("json.py would hide",)),
    Case("new: a name too long", f"new {LONG}", (LONG[:50], "too long")),
    Case("new: a file is there", "new mine", ("mine.py exists",), written("mine.py", "")),
    Case("new: right", "new mine", right=lambda ran: (ran.folder / "test_mine.py").is_file()),
    Case("check: nothing", "check", ("FILE|NAME",)),
    Case("check: unknown", "check stas", ("'stas'", "did you mean 'stsa'")),
    Case("check: unknown check", "check none --only quick", ("--only quick", "there are")),
    Case("check: missing file", "check gone.py", ("gone.py", "no such file")),
    Case("plan: unknown GPU", "plan --gpu V1000", ("--gpu V1000", "V100")),
    Case("plan: utilisation in words", "plan --utilisation full", ("--utilisation",)),
    Case("plan: utilisation NaN", "plan --utilisation nan", ("--utilisation nan",)),
    Case("plan: unknown setting", "plan sed=1", ("'sed'", "'seed'")),
    Case("plan: measures the moon", "plan --measure moon", ("moon",)),
    Case("plan: wrong size", "plan attn=stsa size=[4,4]", ("3 values",)),
    Case("plan: right", "plan attn=temporal data=video", right=starts),
    Case("coverage: nowhere", "coverage", ("--out",)),
    Case("coverage: few", "coverage --out o --simulations 2", ("--simulations 2", "at least 10")),
    Case(
        "coverage: a billion",
        "coverage --out o --simulations 1000000000000",
        ("--simulations", "at most"),
    ),
    Case("coverage: negative seed", "coverage --out o --seed -1", ("--seed: -1",)),
    Case("coverage: into a file", "coverage --out file", ("--out file",), written("file", "")),
    Case("coverage: empty name", "coverage --out ''", ("--out", "empty")),
    Case("coverage: name too long", f"coverage --out {LONG}", (LONG, "too long")),
    Case("coverage: right", "coverage --out o --simulations 10", right=starts),
    Case("distort: few clips", "distort --count 3", ("--count 3", "at least 4")),
    Case("distort: many clips", "distort --count 1000000000", ("1000000000", "at most")),
    Case("distort: odd size", "distort --size 63", ("size=63", "multiple of 8")),
    Case("distort: one frame", "distort --frames 1", ("frames=1", "at least 2")),
    Case("distort: negative seed", "distort --seed -1", ("--seed: -1",)),
    Case("distort: no videos", "distort --clips empty", ("empty", "holds no videos"), empty),
    Case("distort: clips from nowhere", "distort --clips gone", ("gone", "no such folder")),
    Case("distort: empty name of clips", "distort --clips ''", ("--clips", "empty")),
    Case("distort: unknown network", "distort --weights i4d=x", ("'i4d'",)),
    Case(
        "distort: too few clips",
        "distort --clips c --frames 4 --size 32",
        ("at least 4",),
        frames("c/v", moving(8)),
    ),
    Case(
        "distort: damaged video",
        "distort --clips c",
        ("v.mp4", "cannot be decoded"),
        written("c/v.mp4", b"no video"),
    ),
    Case("align: nothing", "align", ("no clip given",)),
    Case("align: missing", "align gone.mp4", ("gone.mp4", "no such file")),
    Case(
        "align: fine grid",
        "align v --frames 4 --size 32 --grid 64",
        ("grid=64",),
        frames("v", moving(4)),
    ),
    Case(
        "align: groups of none",
        "align v --frames 4 --group 0",
        ("group=0",),
        frames("v", moving(4)),
    ),
    Case(
        "align: huge size",
        "align v --size 1000000",
        ("size=1000000", "at most"),
        frames("v", moving(4)),
    ),
    Case("align: nobody's home", "align ~nobody1/v", ("~nobody1",)),
    Case(
        "align: right",
        "align v --frames 4 --size 32 --grid 8",
        right=starts,
        files=frames("v", moving(4)),
    ),
    Case("flow: no clips", "flow --count 0", ("--count 0",)),
    Case("flow: a billion clips", "flow --count 1000000000", ("1000000000", "at most")),
    Case("flow: one frame", "flow --frames 1", ("frames=1", "at least 2")),
    Case("flow: missing clip", "flow gone.mp4", ("gone.mp4",)),
    Case(
        "flow: weights that are none",
        "flow --weights w.pth",
        ("w.pth",),
        written("w.pth", "no weights"),
    ),
    Case("flow: empty name of weights", "flow --weights ''", ("weights=",)),
    Case("flow: right", "flow --count 1 --frames 4", right=starts),
    Case("score: nothing", "score", ("--real DIR",)),
    Case("score: empty name", "score --real '' --fake ''", ("--real", "empty")),
    Case("score: gone", "score --real gone --fake gone", ("gone", "no such folder")),
    Case("score: name too long", f"score --real {LONG} --fake .", (LONG, "too long")),
    Case(
        "score: output's name as long as may be",
        f"score --real real --fake fake --only l1 --cache none --json {'長' * 78}.json",
        files=pair,
        right=prints("2 pairs"),
    ),
    Case(
        "score: provenance's name too long",
        f"score --real real --fake fake --only l1 --cache none --json {'長' * 82}.json",
        ("its provenance: File name too long",),
        pair,
    ),
    Case(
        "score: output's name too long",
        f"score --real real --fake fake --only l1 --cache none --csv {LONG}.csv",
        (LONG, "too long"),
        pair,
    ),
    Case("score: profile", "score --profile strickt", ("strickt",)),
    Case("score: metric", "score --only pnsr", ("pnsr", "did you mean 'psnr'")),
    Case("score: no metric", "score --only ''", ("--only",)),
    Case("score: negative seed", "score --real real --fake fake --seed -1", ("--seed: -1",), pair),
    Case("score: device", "score --real real --fake fake --device gpu9", ("gpu9",), pair),
    Case(
        "score: a device without memory",
        "score --real real --fake fake --device meta",
        ("--device meta", "cpu or cuda"),
        pair,
    ),
    Case(
        "score: output nowhere",
        "score --real real --fake fake --json no/o.json",
        ("has to exist",),
        pair,
    ),
    Case(
        "score: output is a folder",
        "score --real real --fake fake --csv real",
        ("cannot be written",),
        pair,
    ),
    Case(
        "score: cache in a file",
        "score --real real --fake fake --only fd_embedded --cache file/c",
        ("--cache file/c",),
        several(pair, written("file", "")),
    ),
    Case(
        "score: weights from nowhere",
        "score --real real --fake fake --weights gone",
        ("gone", "no such folder"),
        pair,
    ),
    Case(
        "score: weights in nobody's home",
        "score --real real --fake fake --weights ~nobody1",
        ("~nobody1",),
        pair,
    ),
    Case(
        "score: right",
        "score --real real --fake fake --only l1 --cache none",
        right=prints("2 pairs"),
        files=pair,
    ),
]

BENCH = [
    Case("bench: unknown variant", "bench attn=stsaa", ("'stsaa'", "did you mean 'stsa'")),
    Case("bench: unknown setting", "bench atn=stsa", ("atn=", "no setting")),
    Case("bench: sizes", "bench attn=stsa size=[4,4]", ("size",)),
    Case("bench: no frames", "bench frames=0", ("frames=0", "positive integer")),
    Case("bench: frames in words", "bench frames=many", ("frames=many",)),
    Case("bench: resolution", "bench resolution=x", ("resolution=x", "32x48")),
    Case("bench: resolution of zero", "bench resolution=0x32", ("resolution=0x32",)),
    Case("bench: resolution in superscript", "bench resolution=²", ("resolution=²",)),
    Case("bench: dtype", "bench dtype=fp8", ("fp32, bf16, fp16",)),
    Case("bench: twice", "bench dtype=fp32 dtype=bf16", ("given once",)),
    Case("bench: suffix", "bench out=a.txt", ("must end with .jsonl",)),
    Case("bench: empty name", "bench out=", ("out=",)),
    Case("bench: nobody's home", '''bench "out='~nobody1/a.jsonl'"''', ("~nobody1",)),
    Case("bench: against nothing", "bench against=no.jsonl", ("no.jsonl", "cannot be read")),
    Case(
        "bench: against words",
        "bench attn=temporal what=module against=a.jsonl",
        ("a.jsonl",),
        written("a.jsonl", "hello\n"),
    ),
    Case(
        "bench: against a list",
        "bench attn=temporal what=module against=a.jsonl",
        ("a.jsonl",),
        written("a.jsonl", "[1, 2]\n"),
    ),
    Case(
        "bench: against bytes",
        "bench attn=temporal what=module against=a.jsonl",
        ("a.jsonl",),
        written("a.jsonl", b"\xff\xfe\x00"),
    ),
    Case(
        "bench: rows of another bench",
        "bench attn=temporal what=module out=a.jsonl",
        ("a.jsonl",),
        written("a.jsonl", '{"cell": "x"}\n'),
    ),
    Case("bench: memory without end", "bench attn=temporal memory=inf", ("memory=inf",)),
    *(
        Case(
            f"bench: {key} of 400 digits", f"bench attn=temporal {key}={'9' * 400}", (key, "finite")
        )
        for key in ("memory", "limit", "width", "longest")
    ),
    *(
        Case(
            f"bench: against rows with {name}",
            "bench attn=temporal what=module against=a.jsonl",
            ("against=a.jsonl", said),
            bench_row(**changes),
        )
        for name, said, changes in (
            ("a latency in words", "latency is 'fast'", {"latency": "fast"}),
            ("a latency of 400 digits", "latency is 999", {"latency": int("9" * 400)}),
            ("no rounds", "without the rounds", {"seconds": []}),
            ("rounds in words", "seconds is ('a',)", {"seconds": ["a"]}),
            ("memory in words", "peak_memory is 'much'", {"peak_memory": "much"}),
            ("frames in words", "frames is 'four'", {"frames": "four"}),
            ("a peak in words", "peak_bytes is 'x'", {"environment": {"peak_bytes": "x"}}),
        )
    ),
    Case(
        "bench: against right rows",
        "bench attn=temporal what=module against=a.jsonl",
        right=starts,
        files=bench_row(),
    ),
    Case("bench: memory NaN", "bench attn=temporal memory=nan", ("memory=nan",)),
    Case("bench: limit of nothing", "bench attn=temporal limit=0", ("limit=0", "positive")),
    Case("bench: rounds in halves", "bench rounds=1.5", ("rounds=1.5",)),
    Case(
        "bench: a thousand million threads",
        "bench attn=temporal threads=1000000000",
        ("threads=1000000000", "at most"),
    ),
    Case("bench: channels and heads", "bench channels=10", ("channels=10", "heads=8")),
    Case("bench: unknown suite", "bench suite=mechanism", ("suite=mechanism", "mechanisms")),
    Case("bench: suite and grid", "bench suite=unet against=a.jsonl", ("no setting 'against'",)),
    Case("bench: suite's rounds", "bench suite=mechanisms rounds=0", ("rounds=0",)),
    Case("bench: flag", "bench --rounds=3", ("--rounds=3", "no such flag")),
    Case(
        "bench: plots into a file",
        "bench attn=temporal what=module plots=file out=a.jsonl",
        ("plots=file",),
        written("file", ""),
    ),
    Case(
        "bench: no commit",
        "bench attn=temporal what=module base=no-such-commit",
        ("base=no-such-commit",),
    ),
    Case(
        "bench: a commit that looks like a flag",
        "bench attn=temporal what=module base=--version",
        ("base=--version", "no such commit"),
    ),
    Case("bench: right", "bench attn=temporal what=module out=a.jsonl", right=starts),
    Case("tables: misspelt", "tables quik=true", ("'quik'", "did you mean 'quick'")),
    Case("tables: table nine", "tables only=table9", ("only=table9",)),
    Case("tables: part beyond", "tables part=4/4", ("part=4/4",)),
    Case("tables: part in superscript", "tables part=²/³", ("part=²/³",)),
    Case("tables: part of nothing", "tables part=0/0", ("part=0/0",)),
    Case("tables: a milliard seeds", "tables quick=true seeds=1000000000", ("seeds=1000000000",)),
    Case("tables: no seeds", "tables quick=true seeds=0", ("seeds=0",)),
    Case("tables: protocol from nowhere", "tables protocol=gone.yaml", ("gone.yaml",)),
    Case("tables: two protocols", "tables quick=true protocol=a.yaml", ("give one of them",)),
    Case("tables: unknown variant added", "tables quick=true only=table2 add=[stsaa]", ("stsaa",)),
    Case("tables: a number added", "tables quick=true add=[3]", ("add=", "a list is needed")),
    Case("tables: a path added", "tables quick=true add=['../up']", ("add=../up",)),
    Case(
        "tables: into a file",
        "tables quick=true only=table2 out=file/below",
        ("out=file/below",),
        written("file", ""),
    ),
    Case("tables: empty name", "tables quick=true only=table2 out=", ("out=",)),
    Case("tables: reuse of nothing", "tables quick=true only=table2 reuse=gone", ("reuse=gone",)),
    Case("tables: flag", "tables --quick", ("--quick", "no such flag")),
    Case("tables: jobs without number", "tables -m quick=true", ("parts=N",)),
    Case(
        "tables: a million workers",
        "tables quick=true only=table2 workers=1000000",
        ("workers=1000000", "at most"),
    ),
    Case("report: nothing", "report", ("--results",)),
    Case("report: nowhere", "report --results gone", ("gone",)),
    Case("report: empty name", "report --results ''", ("--results", "empty")),
    Case("report: no results", "report --results empty", ("protocol.json",), empty),
    Case(
        "report: page nowhere",
        "report --results empty --out no/page.html",
        ("no folder no",),
        empty,
    ),
    Case("results.load: nowhere", "results.load gone", ("gone", "no record")),
    Case("results.load: empty", "results.load empty", ("empty", "no record"), empty),
]

PLUGINS = [
    Case("plug-in: gone", "run +plugins=[gone.py]", ("gone.py", "no such file")),
    Case(
        "plug-in: a folder",
        "run +plugins=[a.py]",
        ("a.py", "no such file"),
        lambda folder: (folder / "a.py").mkdir(),
    ),
    Case(
        "plug-in: half-way",
        "run +plugins=[mine.py]",
        ("mine.py does not import", "half-way"),
        plugin(new="\nraise OSError('half-way')\nimport attnzoo", old="\nimport attnzoo"),
    ),
    Case("plug-in: syntax", "run +plugins=[mine.py]", ("SyntaxError",), written("mine.py", "x=(")),
    Case("plug-in: bytes", "run +plugins=[mine.py]", ("mine.py",), written("mine.py", b"\xff\0")),
    Case("plug-in: zeros", "run +plugins=[mine.py]", ("mine.py",), written("mine.py", bytes(64))),
    Case(
        "plug-in: leaves",
        "run +plugins=[mine.py]",
        ("SystemExit",),
        written("mine.py", "import sys\nsys.exit(0)\n"),
    ),
    Case(
        "plug-in: name taken",
        "run +plugins=[mine.py]",
        ("'stsa' is used twice",),
        plugin(name="stsa"),
    ),
    Case(
        "plug-in: two of one name",
        "run +plugins=[a.py,b.py]",
        ("'mine' is used twice",),
        several(plugin("a.py"), plugin("b.py")),
    ),
    Case(
        "plug-in: registers nothing",
        "run +plugins=[mine.py]",
        ("registers no mechanism",),
        written("mine.py", ""),
    ),
    Case("plug-in: unknown module", "run +plugins=[no_such_module]", ("ModuleNotFoundError",)),
    Case("plug-in: dots", "run +plugins=[..]", ("..",)),
    Case("plug-in: empty name", '''run "+plugins=['']"''', ("plugins",)),
    Case("plug-in: a number", "run +plugins=3", ("a list is needed",)),
    Case(
        "plug-in: a link to itself",
        "run +plugins=[a.py]",
        ("a.py",),
        lambda folder: (folder / "a.py").symlink_to("a.py"),
    ),
    Case("plug-in: nobody's home", '''run "+plugins=['~nobody1/a.py']"''', ("~nobody1",)),
    Case("plug-in: name too long", f"run +plugins=[{LONG}.py]", (LONG, "too long")),
    Case(
        "plug-in: no class",
        "run +plugins=[mine.py]",
        ("mine.py",),
        plugin(old="class Scaled(Mechanism):\n", new="def Scaled():\n"),
    ),
    Case(
        "plug-in: not a module of torch",
        "run +plugins=[mine.py] attn=mine",
        ("mine.py",),
        plugin(old="class Scaled(Mechanism):", new="class Scaled(dict):"),
    ),
    Case(
        "plug-in: no annotation",
        "run +plugins=[mine.py]",
        ("'factor'", "no annotation"),
        plugin(old="factor: float = 2.0", new="factor=2.0"),
    ),
    Case(
        "plug-in: no default",
        "run +plugins=[mine.py]",
        ("'factor'", "no default"),
        plugin(old="factor: float = 2.0", new="factor: float"),
    ),
    Case(
        "plug-in: any number of arguments",
        "run +plugins=[mine.py]",
        ("*more",),
        plugin(old="heads: int, *, factor: float = 2.0", new="heads: int, *more"),
    ),
    Case(
        "plug-in: type of an option",
        "run +plugins=[mine.py]",
        ("'factor'", "dict"),
        plugin(old="factor: float = 2.0", new="factor: dict = {}"),
    ),
    Case(
        "plug-in: cost in words",
        "run +plugins=[mine.py]",
        ("cost",),
        plugin(old='cost="0"', new='cost="a lot"'),
    ),
    Case(
        "plug-in: cost of an import",
        "run +plugins=[mine.py]",
        ("__import__",),
        plugin(old='cost="0"', new="cost=\"__import__('os')\""),
    ),
    Case(
        "plug-in: name of another kind",
        "run +plugins=[mine.py]",
        ("mine.py", "name"),
        plugin(old='"NAME"', new="3"),
    ),
    Case(
        "plug-in: a name that is a path",
        "run +plugins=[mine.py]",
        ("mine.py", "name"),
        plugin(name="../up"),
    ),
    Case(
        "plug-in: a name of a script",
        "run +plugins=[mine.py]",
        ("<script>", "name"),
        plugin(name="<script>"),
    ),
    Case(
        "plug-in: kind in words",
        "run +plugins=[mine.py]",
        ("mine.py", "kind"),
        plugin(old="kind=attnzoo.Kind.insert", new="kind='insert'"),
    ),
    Case(
        "plug-in: value of another type",
        "run +plugins=[mine.py] attn=mine factor=much",
        ("much",),
        plugin(),
    ),
    Case(
        "plug-in: metrics", "score --plugin mine.py", ("mine.py", "registers no metric"), plugin()
    ),
    Case("plug-in: score's is gone", "score --plugin gone.py", ("gone.py", "no such file")),
    Case(
        "plug-in: check's breaks",
        "check mine.py",
        ("ZeroDivisionError",),
        written("mine.py", "1 / 0\n"),
    ),
    Case(
        "plug-in: Unicode and spaces",
        "list --plugin 'mein Stück/é.py' mine",
        right=prints("Scaled <b>"),
        files=plugin("mein Stück/é.py", title="Scaled <b>"),
    ),
    Case(
        "plug-in: right",
        "run +plugins=[mine.py] attn=mine factor=3",
        right=configured("attn.factor", 3.0),
        files=plugin(),
    ),
    Case(
        "plug-in: of a folder that was resumed",
        "run resume=r",
        ("mine.py", "+plugins="),
        several(
            plugin("r/mine.py"),
            lambda folder: stored_as(
                "attn: {name: mine}\ndata: {name: embedded}\n"
                f"plugins: [{folder / 'r' / 'mine.py'}]\n",
            )(folder),
        ),
    ),
    Case(
        "plug-in: not by its whole path",
        "run resume=r",
        ("mine.py", "+plugins="),
        several(
            plugin("mine.py"),
            stored_as("attn: {name: mine}\ndata: {name: embedded}\nplugins: [mine.py]\n"),
        ),
    ),
]

CASES = {
    "settings of a run": RUN,
    "other commands": SMALL,
    "bench and tables": BENCH,
    "plug-ins": PLUGINS,
}
