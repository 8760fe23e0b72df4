"""`attnzoo.sample`: from a run and three sources to a clip, or to one line that says why not."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import av
import pytest
import torch
from command import TINY
from omegaconf import DictConfig
from published_folders import image_variations
from safetensors.torch import load_file, save_file
from test_mixing_sources import noise, poses, save
from test_plugins import MINE
from torch import Tensor

from attnzoo import commands, composing, config, job, registry, sample
from attnzoo.data.cast import Casting
from attnzoo.data.embedded import make_clip
from attnzoo.errors import UserError
from attnzoo.mixing import making, trained
from attnzoo.mixing.made import Made, check_folder, write
from attnzoo.models.dance import DanceModel
from attnzoo.models.methods import Method
from attnzoo.models.stretches import stretches
from attnzoo.train import experiment as training
from attnzoo.train.description import describe_trained
from attnzoo.train.outputs import Picture
from attnzoo.train.settings import Experiment

WINDOW = 4
SAID = ["--foreground", "embedded:test:0", "--background", "embedded:test:0",
        "--pose", "embedded:test:0"]  # fmt: skip
SHORT = (
    "train.stage1.steps=1", "train.stage1.warmup=0", "train.stage1.learning_rate=0.01",
    "train.stage2.steps=1", "train.stage2.warmup=0", "train.stage2.learning_rate=0.001",
    "sample.steps=1", "sample.clips=1",
)  # fmt: skip


def run(folder: Path, *overrides: str) -> Tensor:
    """Trains next to nothing into `folder`; what the run itself made of its first test clip."""
    made: list[Tensor] = []

    def keep(real: Tensor, generated: Tensor, clips: object) -> dict[str, object]:
        made.append(generated[0])
        return {}

    cfg = composing.composed([*TINY, *SHORT, *overrides])
    experiment = config.experiment_of(cfg)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config.stored(cfg))
    training.run(
        experiment, config.source_of(cfg), folder, scores=keep, pictures=False,
        environment={"code": job.code_of(experiment.variant)},
    )  # fmt: skip
    return made[0]


@pytest.fixture(scope="module")
def flowing(tmp_path_factory) -> tuple[Path, Tensor]:
    """A finished run of a variant that follows motion, and its clip."""
    folder = tmp_path_factory.mktemp("runs") / "stsa_flow"
    return folder, run(folder, "attn=stsa_flow", "size=[2,2,2]", "seed=3")


@pytest.fixture(scope="module")
def read(flowing) -> tuple[DictConfig, tuple[DanceModel, str]]:
    """The finished run's configuration and model, read once."""
    cfg = sample._configuration(flowing[0], [])
    return cfg, trained.load(config.experiment_of(cfg), trained.weights_of(flowing[0]))


@pytest.fixture
def quick(read, monkeypatch) -> None:
    """The command reads what is always the same no second time, and writes its record alone."""

    def write(folder: Path, made: object, about: dict[str, object], **_: object) -> None:
        folder.mkdir()
        (folder / "sample.json").write_text(json.dumps(about))

    composed = sample._configuration
    monkeypatch.setattr(
        sample, "_configuration", lambda run, given: composed(run, given) if given else read[0]
    )
    monkeypatch.setattr(trained, "load", lambda *_: read[1])
    monkeypatch.setattr("attnzoo.mixing.made.write", write)


@pytest.fixture
def kept(monkeypatch) -> list[Tensor]:
    """The clips that the command makes, not yet pictures."""
    made: list[Tensor] = []
    real = making.sample

    def keep(*arguments, **named):
        made.append(real(*arguments, **named)[0])
        return made[-1][None]

    monkeypatch.setattr(making, "sample", keep)
    return made


def status(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        commands.execute(sample.command, [*map(str, arguments)])
    return int(exit_.value.code or 0)


def record(folder: Path) -> dict:
    return json.loads((folder / "sample.json").read_text())


def frames_of(path: Path) -> list[Picture]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def test_from_the_runs_own_sources_it_is_the_runs_own_clip(flowing, kept, tmp_path, capfd):
    folder, own = flowing
    out = tmp_path / "out"
    assert status("--run", folder, *SAID, "--out", out) == 0
    assert torch.equal(kept[0], own)
    said = capfd.readouterr()
    assert "note:" not in said.err and "one window" in said.out and "at seams" not in said.out
    assert sorted(p.name for p in out.iterdir()) == ["sample.json", "sample.mp4", "strip.png"]
    found = record(out)
    assert found["seams"] == [] and found["windows"] == [[0, WINDOW]]
    assert found["run"]["state"] == "a finished run" and found["settings"]["seed"] == 3


def test_three_sources_and_a_long_clip(flowing, kept, tmp_path, capfd):
    out = tmp_path / "out"
    given = ("--foreground", "embedded:test:1", "--background", save(tmp_path / "place.png",
             noise(40, 50, 3)), "--pose", "embedded:test:2", "--frames", 11, "--overlap", 2,
             "--fps", 5, "--png", "--out", out)  # fmt: skip
    assert status("--run", flowing[0], *given) == 0
    assert kept[0].shape == (11, 3, 32, 32) and kept[0].std((1, 2, 3)).min() > 0.01
    assert [p.name for p in sorted((out / "frames").iterdir())][-1] == "000010.png"
    assert len(frames_of(out / "sample.mp4")) == 11
    said = capfd.readouterr().out
    assert "11 frames" in said and "5 windows of 4" in said
    assert [line.split("  ")[0] for line in said.splitlines()[2:7]] == [
        "warp error", "warp error on the body", "change", "change off the dancer", "tremor"
    ]  # fmt: skip
    found = record(out)
    assert found["windows"] == [[0, 4], [1, 5], [3, 7], [5, 9], [7, 11]]
    assert {row["measure"] for row in found["seams"]} >= {"warp error", "tremor"}
    assert found["settings"]["flow"] == "exact" and found["settings"]["overlap"] == 2
    sources = found["sources"]
    assert sources["background"]["kind"] == "picture" and len(sources["background"]["sha256"]) == 64
    assert len({source["tensors_sha256"] for source in sources.values()}) == 3


def test_what_is_asked_for_counts_and_the_same_comes_again(flowing, quick, kept, tmp_path):
    changes = ([], [], ["--seed", 5], ["--steps", 2], ["--noise", "independent"],
               ["--guidance", 2.5], ["--overlap", 3], ["--frames", 3])  # fmt: skip
    for number, more in enumerate(changes):
        arguments = ["--frames", 6, *more, "--out", tmp_path / str(number)]
        assert status("--run", flowing[0], *SAID, *arguments) == 0
    assert torch.equal(kept[0], kept[1])
    assert len(kept[7]) == 3
    for made in kept[2:7]:
        assert not torch.equal(made, kept[0])


def test_poses_of_another_kind_are_followed_by_their_pictures(
    flowing, quick, kept, tmp_path, capfd
):
    walk = poses(tmp_path / "walk", 6)
    arguments = ["--run", flowing[0], *SAID[:4], "--frames", 6, "--pose"]
    assert status(*arguments, walk, "--out", tmp_path / "a") == 0
    err = capfd.readouterr().err
    assert "trained on data=embedded" in err and "nobody knows" not in err
    assert record(tmp_path / "a")["settings"]["flow"] == "classical"
    assert record(tmp_path / "a")["notices"]
    assert status(*arguments, walk, "flow=skeleton") == commands.BAD_INPUT
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and f"--pose {walk}: flow=skeleton" in err
    bare = poses(tmp_path / "bare", 6, even=False)
    assert status(*arguments, bare, "--out", tmp_path / "c") == 0
    assert "nobody knows where the dancer is" in capfd.readouterr().err
    assert not torch.equal(kept[0], kept[1])


def test_an_unfinished_run_by_its_newest_averages(flowing, read, kept, tmp_path, capfd):
    folder = tmp_path / "run"
    checkpoints = folder / "checkpoints"
    shutil.copytree(flowing[0], folder, ignore=shutil.ignore_patterns("record.json", "weights*"))
    weights = load_file(flowing[0] / "weights.safetensors")
    first = {n: 2 * t for n, t in weights.items() if ".slot." in n or "frame_positions" in n}
    assert 0 < len(first) < len(weights)
    for name, tensors in (("stage1-000001", first), ("stage2-000001", weights)):
        (checkpoints / name).mkdir(parents=True)
        save_file(tensors, checkpoints / name / "averages.safetensors")
        stage = {"stage": int(name[5]), "steps": 1}
        (checkpoints / name / "progress.json").write_text(json.dumps(stage))
    assert status("--run", folder, *SAID, "--out", tmp_path / "a") == 0
    assert "averages after 1 steps of stage 2" in capfd.readouterr().err
    assert torch.equal(kept[0], flowing[1])
    (checkpoints / "stage2-000001/averages.safetensors").write_bytes(b"torn")
    found = trained.weights_of(folder)
    assert found == trained.weights_of(checkpoints / "stage1-000001")
    assert found.said == "an unfinished run, averages after 1 steps of stage 1"
    assert trained.run_of(checkpoints / "stage1-000001") == folder
    experiment = config.experiment_of(read[0])
    state = trained.load(experiment, found)[0].state_dict()
    base = experiment.model.build().state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in first.items())
    assert all(torch.equal(state[name], tensor) for name, tensor in base.items())
    stage = {"stage": 1, "steps": 1, "base": "0" * 64}
    (checkpoints / "stage1-000001/progress.json").write_text(json.dumps(stage))
    with pytest.raises(UserError, match=r"upon other weights of the base .* begins with 0{12}"):
        trained.load(experiment, trained.weights_of(folder))
    stage = {"stage": 1, "steps": 1, "trained": {**describe_trained(experiment), "seed": 4}}
    (checkpoints / "stage1-000001/progress.json").write_text(json.dumps(stage))
    said = re.escape(f"{folder / 'config.yaml'}: has seed=3, and the weights there were trained")
    with pytest.raises(UserError, match=said):
        trained.load(experiment, trained.weights_of(folder))
    (checkpoints / "stage1-000001/progress.json").unlink()
    with pytest.raises(UserError, match="nothing trained lies there"):
        trained.weights_of(folder)


def test_the_root_of_a_disk_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr("os.path.ismount", lambda path: Path(path) == tmp_path)
    with pytest.raises(UserError, match=r"is a disk of its own.*such as .*sample"):
        check_folder(tmp_path)
    check_folder(tmp_path / "sample")


def test_what_came_into_the_folder_meanwhile_stays(tmp_path):
    video = torch.rand(2, 3, 16, 16)
    clip = make_clip(Casting(1, 2), frames=2, size=16)
    out = tmp_path / "out"
    check_folder(out)
    for _ in range(2):
        try:
            write(out, Made(clip, video, stretches(2, 2, 0)), {}, fps=5, single=False)
        except UserError as error:
            assert "--out" in str(error) and "holds something already" in str(error)
            break
        (out / "mine").touch()
    else:
        pytest.fail("the second one took its place")
    assert (out / "mine").exists() and [p.name for p in tmp_path.iterdir()] == ["out"]


WRONG = [
    (["--frames", "1"], "--frames 1: attn=stsa_flow needs at least 2"),
    (["--overlap", "4", "--frames", "9"], "--overlap 4: must be from 0 to 3"),
    (["--steps", "0"], "--steps 0: must be at least 1"),
    (["--guidance", "nan"], "--guidance nan"),
    (["--guidance", "-1"], "--guidance -1.0: must be at least 0"),
    (["--seed", "-1"], "--seed -1: must be at least 0"),
    (["--guidance", "1e300"], "--guidance 1e+300: must be at most 1000"),
    (["--seed", "99999999999999999999"], "--seed 99999999999999999999: must be at most"),
    (["--fps", "0"], "--fps 0: must be at least 1"),
    (["--fps", "3000000000"], "--fps 3000000000: must be at most 1000"),
    (["--stride", "0"], "--stride 0: must be at least 1"),
    (["--stride", "2"], "--stride 2: --pose embedded:test:0 is no video of poses"),
    (["--noise", "some"], "shared"),
    (["--device", "tpu"], "--device tpu: choose one of auto, cpu, cuda"),
    (["--device", "cpu", "--precision", "fp16"], "--precision fp16: needs a CUDA device"),
    (["--mask", "gone.png"], "--mask gone.png: --foreground embedded:test:0 brings its own"),
    (["--out", "full"], "--out full: holds something already"),
    (["--out", "full/file/below"], "--out full/file/below: cannot be written"),
    (["attn=none"], "attn=none: the run's settings stand; only model."),
    (["size=[4,4,4]"], "the run's settings stand"),
    (["model.weights=gone"], "model.weights=gone: no such file"),
    (["model.weight=gone"], "did you mean 'weights'"),
    (["model.path"], "model.path: cannot be read as key=value"),
    (["+plugins=[gone.py]"], "gone.py"),
    (["flow=raft"], "motion.weights"),
    (["--pose", "gone.mp4"], "--pose gone.mp4: no such file"),
    (["--background", "full"], "--background full: no pictures in this folder"),
    (["--fast"], "--fast"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "said"), WRONG, ids=[" ".join(row[0]) for row in WRONG])
def test_bad_input_is_one_line_before_the_model(
    more, said, flowing, quick, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    monkeypatch.setattr(trained, "load", lambda *_: pytest.fail("the model was built"))
    before = sorted(tmp_path.rglob("*"))
    with registry.preserved():
        assert status("--run", flowing[0], *SAID, *more) == commands.BAD_INPUT
    err = capfd.readouterr().err
    assert said in err and err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before, "bad input leaves nothing behind"


def test_folders_that_are_no_runs(tmp_path, capfd):
    texts = (None, "attn: [", "seed: 1", "attn: {name: none}\ndata: {name: embedded}\nfoo: 1")
    for text in texts:
        if text is not None:
            (tmp_path / "config.yaml").write_text(f"{text}\n{config.END}")
        assert status("--run", tmp_path, *SAID) == commands.BAD_INPUT
        err = capfd.readouterr().err
        assert "config" in err and err.count("\n") == 1


def test_more_steps_than_the_model_knows(flowing, tmp_path, capfd):
    assert status("--run", flowing[0], *SAID, "--steps", 1001) == commands.BAD_INPUT
    assert capfd.readouterr().err == "--steps 1001: must be at most 1000\n"


def test_weights_that_do_not_fit(flowing, read, tmp_path):
    folder = shutil.copytree(flowing[0], tmp_path / "run")
    file, experiment = folder / "weights.safetensors", config.experiment_of(read[0])
    weights = load_file(file)
    name = next(iter(weights))

    def refused(said: str) -> None:
        with pytest.raises(UserError, match=re.escape(said)):
            trained.load(experiment, trained.weights_of(folder))

    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1
    file.write_bytes(changed)
    refused("its SHA-256 is not the one that record.json has of it: it is damaged")
    save_file({k: t for k, t in weights.items() if k != name}, file)
    refused(f"missing: 1 ({name})")
    save_file({**weights, name: torch.zeros(3)}, file)
    refused(f"of another shape: 1 ({name})")
    save_file(weights, file, {"variant": "temporal"})
    refused("weights of variant=temporal, the run's is stsa_flow")
    save_file(weights, file, {"base": "0123456789abcdef"})
    refused("upon other weights of the base than lie there now: put back the file whose SHA-256")
    file.write_bytes(b"torn")
    refused("weights.safetensors: cannot be read")
    file.unlink()
    refused("its weights.safetensors is gone")


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("align: scatter", "align: permute", "align=permute, and .* with align=scatter"),
        ("seed: 3", "seed: 4", "seed=4, and .* with seed=3"),
        ("stack: declared", "stack: flat", "stack=flat, and .* with stack=declared"),
    ],
)
def test_a_configuration_that_was_edited_afterwards(flowing, tmp_path, was, now, said):
    folder = shutil.copytree(flowing[0], tmp_path / "run")
    file = folder / "config.yaml"
    assert was in file.read_text()
    file.write_text(file.read_text().replace(was, now, 1))
    experiment = config.experiment_of(sample._configuration(folder, []))
    with pytest.raises(UserError, match=f"config.yaml: has {said}: put that back"):
        trained.load(experiment, trained.weights_of(folder))


def test_a_model_whose_numbers_have_gone_makes_no_clip(flowing, quick, read, tmp_path, capfd):
    model, _ = read[1]
    bias = model.unet.conv_in.bias
    before = bias.detach().clone()
    try:
        bias.data[0] = float("nan")
        arguments = ["--run", flowing[0], *SAID, "--out", tmp_path / "out"]
        assert status(*arguments) == commands.BAD_INPUT
    finally:
        bias.data.copy_(before)
    last = capfd.readouterr().err.splitlines()[-1]
    assert "step 1 of 1: the prediction is not finite, first in unet.conv_in" in last
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_leaves_no_folder(flowing, tmp_path, monkeypatch, capfd):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("attnzoo.mixing.made.encode", full)
    assert status("--run", flowing[0], *SAID, "--out", tmp_path / "out") == commands.LACKS
    assert "No space left" in capfd.readouterr().err and not list(tmp_path.iterdir())


def test_a_method_that_goes_frame_by_frame(kept, tmp_path, capfd):
    own = run(tmp_path / "run", "method=dreampose", "attn=none")
    arguments = ["--run", tmp_path / "run", *SAID]
    assert status(*arguments, "--out", tmp_path / "a") == 0
    assert torch.equal(kept[0], own)
    capfd.readouterr()
    assert status(*arguments, "--noise", "shared") == commands.BAD_INPUT
    said = capfd.readouterr().err
    assert said.startswith("--noise shared: method=dreampose makes each frame by itself")


def test_a_run_without_poses_gets_none(tmp_path):
    walk = poses(tmp_path / "walk", 6)
    wanted = making.Wanted(*SAID[1:4:2], walk, frames=5)
    data = {"name": "video", "pose": None}
    ready = making.prepare(Experiment("none", data=data), wanted, window=4, size=32)
    assert not ready.clip.pose.any() and "trained without poses" in ready.notices[0]
    data |= {"pose": walk, "stride": 2}
    with pytest.raises(UserError, match=r"6 frames, but a clip takes 5, 2 apart: give at least 9"):
        making.prepare(Experiment("none", data=data), wanted, window=4, size=32)
    data["stride"] = 1
    ready = making.prepare(Experiment("none", data=data), wanted, window=4, size=32)
    assert ready.clip.pose.any() and not ready.notices


@pytest.mark.parametrize(
    ("method", "windows"),
    [(Method.disco, [(0, 4), (4, 8), (8, 12)]), (Method.dreampose, [(0, 8), (4, 12)])],
)
def test_frames_that_are_made_apart_overlap_to_lend_poses_alone(method, windows):
    wanted = making.Wanted(*SAID[1::2], frames=12)
    parts = making.prepare(Experiment("none", method=method), wanted, window=4, size=32).parts
    assert [(one.start, one.stop) for one in parts.windows] == windows
    assert set(parts.weights.unique().tolist()) == {0, 1}
    wanted = making.Wanted(*SAID[1::2], frames=12, overlap=2)
    with pytest.raises(UserError, match=r"--overlap 2: method=.* makes each frame by itself"):
        making.prepare(Experiment("none", method=method), wanted, window=4, size=32)


def test_a_variant_of_ones_own_and_its_file_elsewhere(kept, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE.replace("NAME", "mine"))
    with registry.preserved():
        own = run(tmp_path / "run", "+plugins=[mine.py]", "attn=mine")
    (tmp_path / "mine.py").rename(tmp_path / "moved.py")
    with (tmp_path / "moved.py").open("a") as file:
        file.write("\n# edited\n")
    arguments = ["--run", tmp_path / "run", *SAID]
    with registry.preserved():
        assert status(*arguments) == commands.BAD_INPUT
        assert "mine.py" in capfd.readouterr().err
    with registry.preserved():
        assert status(*arguments, "+plugins=[moved.py]", "--out", "a") == 0
    assert torch.equal(kept[0], own)
    assert "its file has changed since the run was trained" in capfd.readouterr().err


@pytest.mark.long
def test_a_model_in_the_published_layout(kept, tmp_path, capfd):
    published = image_variations(tmp_path / "sd")
    own = run(tmp_path / "run", "model=stable_diffusion", f"model.path={published}",
              "attn=temporal")  # fmt: skip
    moved = published.rename(tmp_path / "elsewhere")
    arguments = ["--run", tmp_path / "run", *SAID]
    assert status(*arguments) == commands.BAD_INPUT
    assert "model.path" in capfd.readouterr().err
    assert status(*arguments, f"model.path={moved}", "--out", tmp_path / "a") == 0
    assert torch.equal(kept[0], own)
    assert record(tmp_path / "a")["run"]["model"]["path"] == str(moved)
    file = moved / "vae/diffusion_pytorch_model.safetensors"
    save_file({name: tensor * 1.01 for name, tensor in load_file(file).items()}, file)
    assert status(*arguments, f"model.path={moved}", "--out", tmp_path / "b") == commands.BAD_INPUT
    assert "upon other weights of the base than lie there now: put back what was there" in (
        capfd.readouterr().err
    )
