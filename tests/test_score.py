"""`python -m attnzoo score`: folders in, a table and files out, one line for what is wrong."""

from __future__ import annotations

import csv
import json
import os
import struct
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from command import WITHOUT_OPTIONAL, command
from numpy.typing import NDArray
from PIL import Image

from attnzoo import commands, score
from attnzoo.errors import UserError
from attnzoo.metrics.entries.psnr import true_psnr, wrapped_psnr
from attnzoo.metrics.features import features, load_features
from attnzoo.metrics.frechet import frechet_distance, gaussian
from attnzoo.metrics.statistics import frechet_interval
from attnzoo.scoring import cache, measure, reading
from attnzoo.scoring.reading import Shape, repeats, shape_of

Frames = NDArray[np.uint8]

CHEAP = ("--only", "psnr,l1,fd_embedded,fvd_embedded")


def dance(f: int = 6, h: int = 32, w: int = 24, seed: int = 0) -> Frames:
    """Pictures that move, `[f, h, w, 3]`."""
    rng = np.random.default_rng(seed)
    rough = rng.uniform(0, 255, (h // 4, w // 4 + f, 3)).astype(np.float32)
    wide = cv2.resize(rough, (w + 4 * f, h), interpolation=cv2.INTER_CUBIC)
    return np.stack(
        [np.clip(wide[:, 3 * k : 3 * k + w], 0, 255).astype(np.uint8) for k in range(f)]
    )


def noisy(frames: Frames, sigma: float, seed: int = 9) -> Frames:
    rng = np.random.default_rng(seed)
    found = np.clip(frames + sigma * rng.standard_normal(frames.shape), 0, 255).round()
    return found.astype(np.uint8)


def as_folder(folder: Path, frames: Frames) -> Path:
    folder.mkdir(parents=True)
    for k, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{k}.png")
    return folder


def as_gif(path: Path, frames: Frames, *, fps: float = 3.03) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=1000 / fps, loop=0)
    return path


def as_video(path: Path, frames: Frames) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=24, options={"crf": "12"})
        stream.width, stream.height = frames.shape[2], frames.shape[1]
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())
    return path


def random_vgg() -> dict[str, torch.Tensor]:
    """Names and shapes of torchvision's VGG16, without its classifier, small numbers in it."""
    from torchvision.models import vgg16

    with torch.device("meta"):
        shapes = {k: v.shape for k, v in vgg16(weights=None).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    return {
        name: 0.05 * torch.randn(shape, generator=generator)
        for name, shape in shapes.items()
        if name.startswith("features")
    }


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two pairs of folders of frames."""
    for i, sigma in enumerate((5.0, 20.0)):
        frames = dance(seed=i)
        as_folder(tmp_path / "real" / f"v{i}", frames)
        as_folder(tmp_path / "fake" / f"v{i}", noisy(frames, sigma))
    return tmp_path / "real", tmp_path / "fake"


def run(real: Path, fake: Path, *more: str) -> None:
    score.command(["--real", str(real), "--fake", str(fake), "--cache", "none", *more])


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command says before it exits with 2."""
    with pytest.raises(SystemExit) as left:
        commands.execute(score.command, [*arguments, "--cache", "none"])
    out = capsys.readouterr()
    assert left.value.code == 2 and not out.out and "Traceback" not in out.err
    return out.err


def test_a_distance_has_its_interval_over_videos_and_the_real_ones_beside_it(
    tmp_path: Path,
) -> None:
    reals = [dance(seed=i) for i in range(6)]
    fakes = [noisy(frames, 20.0, seed=i) for i, frames in enumerate(reals)]
    for i in range(6):
        as_folder(tmp_path / "real" / f"v{i}", reals[i])
        as_folder(tmp_path / "fake" / f"v{i}", fakes[i])
    out = tmp_path / "o.json"
    run(tmp_path / "real", tmp_path / "fake", "--only", "fd_embedded", "--json", str(out))
    found = json.loads(out.read_text())["strict"]["fd_embedded"]
    network = load_features()
    a, b = (
        [features(network, as_tensor(frames)[None])[0][0] for frames in side]
        for side in (reals, fakes)
    )
    videos = torch.arange(6).repeat_interleave(6)
    expected = frechet_interval(torch.cat(a), torch.cat(b), videos, videos)
    assert found["value"] == pytest.approx(expected.value, rel=1e-4)
    assert [found["low"], found["high"]] == pytest.approx([expected.low, expected.high], rel=1e-3)
    halves = (gaussian(torch.cat(part)) for part in (a[::2], a[1::2]))
    assert found["real_to_real"] == pytest.approx(frechet_distance(*halves), rel=1e-4)


def as_tensor(frames: Frames) -> torch.Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255


def test_two_videos_give_all_metrics_and_null_has_its_reason(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = tmp_path / "o.json", tmp_path / "o.csv"
    run(*folders, "--json", str(files[0]), "--csv", str(files[1]))
    content = json.loads(files[0].read_text())
    assert set(content) == {"disco", "strict"}
    for profile in content.values():
        for name, entry in profile.items():
            assert {"value", "low", "high", "n", "network"} <= set(entry), name
            assert (entry["value"] is None) == bool(entry.get("reason")), name
        for name in ("ssim", "psnr", "l1", "fd_embedded", "fvd_embedded"):
            assert profile[name]["value"] is not None and profile[name]["n"] == 2, name
    pairs = [[_unit(folder / f"v{i}") for folder in folders] for i in range(2)]
    for profile, function in (("strict", true_psnr), ("disco", wrapped_psnr)):
        frames = torch.cat([function(a, b) for a, b in pairs])
        assert content[profile]["psnr"]["value"] == pytest.approx(frames.mean().item(), abs=1e-9)
    about = json.loads((tmp_path / "o.provenance.json").read_text())
    assert about["videos"]["v1"]["frames"] == 6 and about["versions"]["torch"]
    rows = list(csv.DictReader(files[1].read_text().splitlines()))
    assert len(rows) == sum(len(profile) for profile in content.values())
    for row in rows:
        value = content[row["profile"]][row["metric"]]["value"]
        assert (float(row["value"]) if row["value"] else None) == value
    printed = capsys.readouterr()
    assert "profile disco" in printed.out and "profile strict" in printed.out
    for profile in content.values():
        for entry in profile.values():
            assert entry["statement"] in printed.out
            assert entry.get("reason", "") in printed.out
    assert "scoring" in printed.err and "2 videos: values are those of these videos" in printed.out
    assert content["strict"]["fid"]["reason"].startswith("no weights of Inception")
    assert "sha256" in content["strict"]["fvd_embedded"]["network"]
    assert content["strict"]["fid"]["network"] is None


def _unit(folder: Path) -> torch.Tensor:
    pictures = [np.asarray(Image.open(p)) for p in sorted(folder.iterdir())]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def test_formats_pair_by_name_and_numbers_are_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = dance(12)
    as_folder(tmp_path / "real" / "a", frames)
    as_gif(tmp_path / "fake" / "a.gif", frames)
    as_folder(tmp_path / "real" / "b", frames)
    as_video(tmp_path / "fake" / "b.mp4", frames)
    out = tmp_path / "o.json"
    run(tmp_path / "real", tmp_path / "fake", "--json", str(out), "--only", "psnr")
    videos = json.loads(out.read_text())["strict"]["psnr"]["videos"]
    # Palette and compression cost something; frames in another order would cost far more.
    assert videos["a"] > 20 and videos["b"] > 20


def test_mean_over_frames_of_videos_of_unequal_length(tmp_path: Path) -> None:
    for i, f in enumerate((3, 8, 5)):
        frames = dance(f, seed=i)
        as_folder(tmp_path / "real" / f"v{i}", frames)
        as_folder(tmp_path / "fake" / f"v{i}", noisy(frames, 4.0 * (i + 1)))
    out = tmp_path / "o.json"
    run(tmp_path / "real", tmp_path / "fake", "--json", str(out), "--only", "psnr")
    folders = [[_unit(tmp_path / side / f"v{i}") for side in ("real", "fake")] for i in range(3)]
    frames = torch.cat([true_psnr(a, b) for a, b in folders])
    found = json.loads(out.read_text())["strict"]["psnr"]
    assert found["value"] == pytest.approx(frames.mean().item(), abs=1e-9)
    assert found["low"] < found["value"] < found["high"]
    assert found["n"] == 3 and found["samples"] == 16


def test_each_video_is_decoded_once_and_features_are_kept_by_content(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, looks = [], []
    monkeypatch.setattr(measure, "read", lambda *a: reads.append(a[0]) or reading.read(*a))
    put = cache.Features.put
    monkeypatch.setattr(
        cache.Features, "put", lambda self, *a: looks.append(a[1:]) or put(self, *a)
    )
    real, fake = folders
    arguments = ["--real", str(real), "--fake", str(fake), "--cache", str(tmp_path / "kept")]
    score.command([*arguments, *CHEAP])
    assert sorted(reads) == sorted(p for folder in folders for p in folder.iterdir())
    assert len(looks) == len(set(looks)) == 8  # 2 extractors, 4 videos, once for both profiles
    score.command([*arguments, *CHEAP])
    assert len(looks) == 8
    # The same frames elsewhere and in another format are the same content.
    (tmp_path / "moved").mkdir()
    for folder in fake.iterdir():
        folder.rename(tmp_path / "moved" / folder.name)
    score.command(["--real", str(real), "--fake", str(tmp_path / "moved"), *arguments[4:], *CHEAP])
    assert len(looks) == 8
    broken = next((tmp_path / "kept").iterdir())
    broken.write_bytes(b"cut off")
    score.command(["--real", str(real), "--fake", str(tmp_path / "moved"), *arguments[4:], *CHEAP])
    assert len(looks) == 9
    assert not list((tmp_path / "kept").glob(".partial-*"))


def test_a_gif_has_the_frames_that_it_stores(tmp_path: Path) -> None:
    path = as_gif(tmp_path / "slow.gif", dance(16))
    assert shape_of(path, "--fake") == Shape(16, 32, 24)
    assert reading.read(path, "--fake", Shape(16, 32, 24)).shape == (16, 3, 32, 24)


def test_expanded_frames_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = dance(8)
    expanded = frames.repeat(8, axis=0)
    as_gif(tmp_path / "real" / "a.gif", frames)
    as_video(tmp_path / "fake" / "a.mp4", expanded)
    said = complaint(capsys, "--real", str(tmp_path / "real"), "--fake", str(tmp_path / "fake"))
    assert "8 frames real and 64 generated; 64 = 8 x 8" in said and "expanded" in said
    as_video(tmp_path / "slow" / "a.mp4", noisy(expanded, 0))
    run(tmp_path / "fake", tmp_path / "slow", "--only", "psnr")
    out = capsys.readouterr().out
    assert "frames that repeat" in out and "its frames come in runs of 8" in out


def test_what_stands_still_is_not_taken_for_expanded() -> None:
    frames = torch.from_numpy(dance(12)).permute(0, 3, 1, 2)
    assert repeats(frames) == 1
    assert repeats(frames[:1].expand(12, -1, -1, -1)) == 1
    assert repeats(frames.repeat_interleave(3, 0)) == 3
    uneven = torch.cat(
        [frames[:1].expand(5, -1, -1, -1), frames[1:6], frames[6:7].repeat(4, 1, 1, 1)]
    )
    assert repeats(uneven) == 1
    trembling = torch.from_numpy(noisy(np.repeat(dance(1), 12, axis=0), 2)).permute(0, 3, 1, 2)
    assert repeats(trembling) == 1


def test_a_network_whose_weights_are_given_is_used_and_named(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(random_vgg(), tmp_path / "vgg16-397923af.pth")
    out = tmp_path / "o.json"
    run(*folders, "--json", str(out), "--only", "lpips", "--weights", str(tmp_path))
    content = json.loads(out.read_text())
    for profile in ("disco", "strict"):
        assert content[profile]["lpips"]["value"] > 0
        assert "not the published file" in content[profile]["lpips"]["network"]
    assert content["disco"]["lpips"]["value"] != content["strict"]["lpips"]["value"]
    capsys.readouterr()
    bad = tmp_path / "bad.pth"
    bad.write_text("no weights")
    arguments = ("--real", str(folders[0]), "--fake", str(folders[1]), "--weights", f"vgg16={bad}")
    assert "bad.pth: no weights can be read" in complaint(capsys, *arguments)


def test_a_missing_package_is_a_reason(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from attnzoo.metrics import registry

    real = registry.importlib.util.find_spec
    monkeypatch.setattr(
        registry.importlib.util, "find_spec", lambda n, *a: None if n == "lpips" else real(n, *a)
    )
    out = tmp_path / "o.json"
    run(*folders, "--json", str(out), "--only", "lpips,psnr")
    content = json.loads(out.read_text())["strict"]
    assert content["lpips"]["reason"] == "the package lpips is not installed"
    assert content["psnr"]["value"] is not None


def test_the_base_install_is_enough(folders: tuple[Path, Path], tmp_path: Path) -> None:
    real, fake = map(str, folders)
    arguments = ("score", "--real", real, "--fake", fake, "--cache", "none", "--json", "o.json")
    done = command(*arguments, cwd=tmp_path, code=WITHOUT_OPTIONAL)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "o.json").read_text())
    assert "torch_fidelity is not installed" in content["strict"]["fid"]["reason"]
    # What needs no package of its own says which weights it would need.
    assert "i3d_pretrained_400.pt" in content["disco"]["fvd"]["reason"]
    for name in ("psnr", "ssim", "l1", "fvd_embedded"):
        assert content["disco"][name]["value"] is not None


def test_names_sizes_and_lengths_that_do_not_pair_are_listed(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    real, fake = folders
    as_folder(real / "alone", dance())
    as_folder(real / "large", dance(h=40))
    as_folder(fake / "large", dance())
    as_folder(real / "long", dance(7))
    as_folder(fake / "long", dance(6))
    as_folder(fake / "ex\ntra", dance())
    said = complaint(capsys, "--real", str(real), "--fake", str(fake)).splitlines()
    assert len(said) == 5 and said[-1] == "4 of 6 videos do not pair, listed above"
    assert f"alone: in --real {real}, not in --fake" in said
    assert f"ex tra: in --fake {fake}, not in --real" in said
    assert "large: sizes differ, 24x40 real and 24x32 generated; nothing is resized here" in said
    assert "long: lengths differ, 7 frames real and 6 generated" in said


def test_frames_whose_numbers_disagree_do_not_pair(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Frame 1 is missing of one, the last of the other: as many are left, and paired wrongly."""
    real, fake = folders
    (real / "v0" / "1.png").unlink()
    (fake / "v0" / "5.png").unlink()
    said = complaint(capsys, "--real", str(real), "--fake", str(fake))
    assert "1 of 2 videos do not pair; v0: " in said and len(said.splitlines()) == 1
    assert f"{fake / 'v0'}: its frame 1 has number 1, counted from its first one's" in said
    assert f"that of {real / 'v0'} number 2: a frame is missing" in said
    for path in sorted((fake / "v0").iterdir(), reverse=True):  # counted by tens, the same gap
        path.rename(path.with_name(f"f{10 * (int(path.stem) + (path.stem != '0')):04d}.png"))
    run(real, fake, "--only", "l1")


def test_what_is_left_out_is_told(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    real, fake = folders
    for name in ("a.mpg", "b.ts", "notes.txt", ".hidden"):
        (fake / name).touch()
    (real / "tif").mkdir()
    Image.fromarray(dance()[0]).save(real / "tif" / "0.tif")
    for side in (real, fake):
        (side / "v0" / "3.png").unlink()
    run(real, fake, "--only", "l1")
    assert f"--real {real}: v0: 3 missing among its frames" in caplog.text
    assert f"--fake {fake}: v0: 3 missing among its frames" in caplog.text
    said = "left out that hold no video as it is read here:"
    assert f"--fake {fake}: 2 {said} a.mpg, b.ts" in caplog.text
    assert f"--real {real}: 1 {said} tif" in caplog.text


def test_results_and_their_provenance_are_of_one_command(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, about = tmp_path / "o.json", tmp_path / "o.provenance.json"
    run(*folders, "--only", "l1", "--json", str(file))
    (folders[0] / "tables").mkdir()  # below the videos, and among the frames of none
    run(*folders, "--only", "l1", "--csv", str(folders[0] / "tables" / "o.csv"))
    assert (folders[0] / "tables" / "o.csv").is_file()
    assert about.exists() and {p.name for p in tmp_path.iterdir() if p.is_file()} == {
        "o.json", "o.provenance.json",
    }  # fmt: skip
    before = file.read_text()

    def killed(path: Path, *_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("attnzoo.scoring.report._write", killed)
    with pytest.raises(KeyboardInterrupt):
        run(*folders, "--only", "l1", "--json", str(file))
    assert file.read_text() == before and not about.exists()


def test_without_a_home_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def homeless(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache.user_folder() == Path.home() / ".cache/attnzoo/features"
    monkeypatch.setattr(Path, "expanduser", homeless)
    assert cache.user_folder() is None and "no home folder here" in caplog.text


def test_bad_input_is_one_line(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real, fake = folders
    (tmp_path / "empty").mkdir()
    as_folder(tmp_path / "bare", dance())
    as_folder(tmp_path / "one" / "a", dance(1))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "v0.mp4").write_bytes(b"no video")
    (tmp_path / "bad" / "v1.gif").write_bytes(b"GIF89a no picture")
    (tmp_path / "twice").mkdir()
    as_gif(tmp_path / "twice" / "v0.gif", dance())
    as_folder(tmp_path / "twice" / "v0", dance())
    as_folder(tmp_path / "cut" / "v0", dance())
    whole = (tmp_path / "cut" / "v0" / "3.png").read_bytes()
    (tmp_path / "cut" / "v0" / "3.png").write_bytes(whole[: len(whole) // 2])
    as_folder(tmp_path / "cut" / "v1", dance())
    cases = (
        (real, tmp_path / "gone", (), "no such folder"),
        (real / "v0" / "0.png", fake, (), "is a file"),
        (real, tmp_path / "empty", (), "holds no videos"),
        (tmp_path / "bare", fake, (), "pictures lie in it directly"),
        (tmp_path / "one", tmp_path / "one", (), "one frame is no video"),
        (tmp_path / "bad", fake, (), "v0.mp4: cannot be decoded"),
        (real, tmp_path / "twice", (), "share a name"),
        (tmp_path / "cut", tmp_path / "cut", (), "3.png: damaged picture"),
        (tmp_path / "bare" / "..", fake, ("--profile", "strickt"), "invalid choice"),
        (real, fake, ("--only", "pnsr"), "no such metric"),
        (real, fake, ("--weights", "nowhere"), "no such folder"),
        (real, fake, ("--weights", "i4d=x"), "no network 'i4d'"),
        (real, fake, ("--weights", "i3d=x"), "no such file"),
        (real, fake, ("--device", "gpu9"), "no such device"),
        (real, fake, ("--json", str(tmp_path / "no" / "o.json")), "has to exist"),
        (real, fake, ("--csv", str(real / "v0" / "0.png")), "among the frames of a video of --re"),
    )
    for a, b, more, words in cases:
        said = complaint(capsys, "--real", str(a), "--fake", str(b), *more)
        lines = [line for line in said.splitlines() if line and "pair/s" not in line]
        assert len(lines) == 1 and words in lines[0], (words, said)
    assert "--real DIR and --fake DIR are needed" in complaint(capsys)
    (tmp_path / "bad" / "v0.mp4").unlink()
    as_folder(tmp_path / "bad" / "v0", dance())
    said = complaint(capsys, "--real", str(real), "--fake", str(tmp_path / "bad"))
    assert "v1.gif" in said and len(said.splitlines()) == 1


def test_a_gif_cut_anywhere_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    whole = as_gif(tmp_path / "a.gif", dance(3, 16, 16)).read_bytes()
    second = whole.index(b"\x21\xf9", whole.index(b"\x21\xf9") + 1)
    refused = 0
    for end in range(second, second + 40):
        (tmp_path / "a.gif").write_bytes(whole[:end])
        try:
            shape = shape_of(tmp_path / "a.gif", "--real")
            reading.read(tmp_path / "a.gif", "--real", shape)
        except UserError as error:
            refused += 1
            assert "a.gif: " in str(error) and "\n" not in str(error)
    assert refused > 10


@pytest.mark.parametrize(
    ("place", "sides", "words"),
    [
        (5, 65535, "too large a picture"),
        (5, 12000, "too large a picture"),
        (1, 8, "frame 1 is 24x24, the first one 16x16"),
    ],
)
def test_a_gif_whose_second_frame_is_larger_is_refused(
    place: int, sides: int, words: str, tmp_path: Path
) -> None:
    """A frame says where its corner is (1) and how large it is (5)."""
    frames = dance(2, 16, 16)
    whole = bytearray(as_gif(tmp_path / "a.gif", frames).read_bytes())
    second = whole.index(b"\x2c", whole.index(b"\x21\xf9", whole.index(b"\x21\xf9") + 1))
    whole[second + place : second + place + 4] = struct.pack("<HH", sides, sides)
    (tmp_path / "a.gif").write_bytes(whole)
    with pytest.raises(UserError, match=words):
        reading.read(tmp_path / "a.gif", "--real", Shape(2, 16, 16))


def test_list_names_every_metric_and_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    score.command(["--list", "--profile", "disco"])
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "profile disco" and len(out) == 10
    assert any(line.startswith("  psnr") and "wrapped around in uint8" in line for line in out)


def test_a_metric_of_ones_own_is_scored_too(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_metrics_registry import MINE

    from attnzoo.metrics import registry

    registry.metrics(registry.Profile.strict)
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    file, out = tmp_path / "mine.py", tmp_path / "o.json"
    file.write_text(MINE.replace("NAME", "mine"))
    run(*folders, "--plugin", str(file), "--only", "mine", "--json", str(out))
    content = json.loads(out.read_text())
    assert content["disco"] == {} and 0 < content["strict"]["mine"]["value"] <= 1


SEES = """
from attnzoo.metrics.distances import FRECHET
from attnzoo.metrics.entries.fd_embedded import EMBEDDED
from attnzoo.metrics.registry import Better, Extractor, Kind, Metric, Profile, register

def colours(network, video):
    return SCALE * video.float().mean((2, 3)) / 255

register(Metric(
    name="NAME", label="Mine", title="mean colours", profiles=(Profile.strict,), unit="1",
    better=Better.lower, kind=Kind.set, input_range="RGB", resize="none", crop="none",
    clip_rule="every frame", source="a test", extractor=Extractor("mine", EMBEDDED, 3, colours),
    distance=FRECHET,
))
"""


def test_kept_features_of_a_plugin_are_of_its_own_code(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be edited, and two may call their features alike."""
    from attnzoo.metrics import registry

    registry.metrics(registry.Profile.strict)
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    found = {}
    for scale, keeps in ((1, True), (10, True), (100, False)):
        file, out = tmp_path / f"x{scale}.py", tmp_path / f"{scale}.json"
        file.write_text(SEES.replace("NAME", f"x{scale}").replace("SCALE", str(scale)))
        kept = ["--cache", str(tmp_path / "kept")] if keeps else []
        run(*folders, "--plugin", str(file), "--only", f"x{scale}", "--json", str(out), *kept)
        found[scale] = json.loads(out.read_text())["strict"][f"x{scale}"]["value"]
    assert found[10] == pytest.approx(100 * found[1], rel=1e-3)
    assert found[100] == pytest.approx(100 * found[10], rel=1e-3)


@pytest.mark.parametrize(
    ("returned", "value", "words"),
    [
        ("real.flatten(1).mean(1)[:1]", False, "1 values, and 6 are due per frame"),
        ("real.flatten(1).mean(1) / 0", False, "a value is infinite"),
        ("real.flatten(1).mean(1).where(torch.arange(6) > 1, torch.nan)", True,
         "4 of 12 frames have no value, in 2 videos: v0, v1"),
    ],
)  # fmt: skip
def test_what_a_metric_of_ones_own_leaves_out_is_said(
    folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    returned: str,
    value: bool,
    words: str,
) -> None:
    from test_metrics_registry import MINE

    from attnzoo.metrics import registry

    registry.metrics(registry.Profile.strict)
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    file, out = tmp_path / "mine.py", tmp_path / "o.json"
    text = MINE.replace("NAME", "mine").replace("Kind.clip", "Kind.frame")
    changed = text.replace("(real - fake).abs().max()", returned)
    assert changed != text
    file.write_text(f"import torch\n{changed}")
    run(*folders, "--plugin", str(file), "--only", "mine,l1", "--json", str(out))
    content = json.loads(out.read_text())["strict"]
    assert (content["mine"]["value"] is not None) == value and content["l1"]["value"] > 0
    assert words in json.dumps(content["mine"])


@pytest.mark.parametrize("csv", ["o.json", "o.provenance.json"])
def test_two_files_of_one_name_are_refused(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], csv: str
) -> None:
    real, fake = map(str, folders)
    files = ["--json", str(tmp_path / "o.json"), "--csv", str(tmp_path / csv)]
    said = complaint(capsys, "--real", real, "--fake", fake, "--only", "l1", *files)
    assert "writes, too; take another file" in said and not (tmp_path / "o.json").exists()


@pytest.mark.long
@pytest.mark.skipif("ATTNZOO_CLIPS" not in os.environ, reason="ATTNZOO_CLIPS is not set")
def test_real_clips_against_themselves(tmp_path: Path) -> None:
    clips = Path(os.environ["ATTNZOO_CLIPS"]) / "densepose"
    out = tmp_path / "o.json"
    run(clips, clips, "--only", "psnr,fvd_embedded", "--json", str(out))
    found = json.loads(out.read_text())
    assert found["strict"]["psnr"]["value"] == found["disco"]["psnr"]["value"] == 100
    assert found["strict"]["fvd_embedded"]["value"] == pytest.approx(0, abs=1e-6)
