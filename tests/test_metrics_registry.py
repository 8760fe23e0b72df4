"""What metrics state about themselves, and how they come to be known."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from command import ROOT, environment

from attnzoo._options import RegistrationError
from attnzoo.errors import UserError
from attnzoo.metrics import registry
from attnzoo.metrics.registry import Kind, Profile, get, load_plugin, metrics, register

TABLE = ["fid", "ssim", "psnr", "lpips", "l1", "fid_vid", "fvd"]

MINE = """
from attnzoo.metrics.registry import Better, Kind, Metric, Profile, register
register(Metric(
    name="NAME", label="Mine", title="largest error", profiles=(Profile.strict,), unit="1",
    better=Better.lower, kind=Kind.clip, input_range="[0, 1]", resize="none", crop="none",
    clip_rule="whole video", source="a test",
    compute=lambda real, fake, context: (real - fake).abs().max(),
))
"""


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics(Profile.strict)
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr(registry, "_broken", dict(registry._broken))


@pytest.mark.parametrize("profile", Profile)
def test_table_1_comes_first_in_both_profiles(profile: Profile) -> None:
    assert [metric.name for metric in metrics(profile)][:7] == TABLE


@pytest.mark.parametrize("profile", Profile)
def test_every_entry_states_everything(profile: Profile) -> None:
    for metric in metrics(profile):
        texts = (
            metric.label, metric.title, metric.unit, metric.input_range, metric.resize,
            metric.crop, metric.clip_rule, metric.source, metric.place,
        )  # fmt: skip
        assert all(texts), metric.name
        line = metric.statement("a network, sha256 0", 3, 48)
        assert "\n" not in line and "a network, sha256 0" in line and "3 videos, 48 samples" in line
        if metric.extractor is not None:
            assert metric.kind is Kind.set and metric.distance is not None
            assert metric.distance.name in line


def test_a_network_is_named_only_by_its_own_metric() -> None:
    for profile in Profile:
        for metric in metrics(profile):
            embedded = metric.sight is not None and "embedded" in metric.sight.title
            assert embedded == metric.name.endswith("_embedded")


def test_listing_imports_no_torch() -> None:
    code = (
        "import sys; from attnzoo.metrics.registry import *; "
        "[m.statement() for p in Profile for m in metrics(p)]; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment())


def test_a_name_is_taken_once_in_a_profile() -> None:
    psnr = get(Profile.strict, "psnr")
    with pytest.raises(RegistrationError, match=r"'psnr' is in profile strict twice: .*psnr.py:"):
        register(psnr)
    register(replace(psnr, name="psnr2"))
    assert get(Profile.strict, "psnr2").place.startswith(str(Path(__file__)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"profiles": ()}, "is in no profile"),
        ({"compute": None}, "a metric of pairs has compute"),
        ({"kind": Kind.set}, "a distance of sets has extractor and distance"),
    ],
)
def test_parts_that_make_no_metric_are_refused(changes: dict, words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(RegistrationError, match=words):
        register(replace(get(Profile.strict, "psnr"), name="other", **changes))


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE.replace("NAME", "mine"))
    assert load_plugin(file) == ["mine"]
    assert get(Profile.strict, "mine").place.startswith(str(file))
    with pytest.raises(UserError, match=r"no metric 'min' in profile strict.*mine"):
        get(Profile.strict, "min")


@pytest.mark.parametrize(
    ("text", "words"), [("x = 1", "registers no metric"), ("1 / 0", "division by zero")]
)
def test_a_file_that_gives_nothing_says_so(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "bad.py"
    file.write_text(text)
    with pytest.raises(UserError, match=words):
        load_plugin(file)


def test_a_package_offers_metrics_by_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "their_metric.py").write_text(MINE.replace("NAME", "theirs"))
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [
        EntryPoint("theirs", "their_metric", registry.ENTRY_POINTS),
        EntryPoint("gone", "no_such_module", registry.ENTRY_POINTS),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    monkeypatch.setattr(registry, "_discovered", False)
    assert "theirs" in [metric.name for metric in metrics(Profile.strict)]
    assert "gone = no_such_module" in caplog.text
    with pytest.raises(UserError, match="gone = no_such_module does not import"):
        get(Profile.strict, "gone")
