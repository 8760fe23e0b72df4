"""What is mutated, and the tests that are to notice.

Tests of a target run in one process that is forked for each mutant, so only those serve that start
no process of their own. Graphs are left out where compiling takes longer than all else together.
"""

from __future__ import annotations

from dataclasses import dataclass

WHOLE = "tests/test_mechanisms.py tests/test_exactness.py tests/test_streamed.py"
"""What every mechanism is held to; a target chooses from it by names."""
DECLARED = f"{WHOLE} tests/test_registry.py"
"""Also what the pages say of an entry."""
SLOW = "compile or export or autocast or unet or dtypes"


@dataclass(frozen=True)
class Target:
    """A file of the package. tests: files or nodes; chosen: pytest's -k."""

    file: str
    tests: str
    chosen: str = ""

    @property
    def module(self) -> str:
        """`attnzoo.metrics.l1` of `metrics/l1.py`."""
        return "attnzoo." + self.file.removesuffix(".py").replace("/", ".")

    @property
    def room(self) -> str:
        """`attention` or `metrics`."""
        return self.file.split("/")[0]

    @property
    def arguments(self) -> list[str]:
        """pytest's."""
        return [*self.tests.split(), *(["-k", self.chosen] if self.chosen else [])]


TARGETS = (
    Target(
        "attention/_subspace.py",
        f"{WHOLE} tests/test_align.py",
        f"(stsa and not flow and not ({SLOW})) or reference_frame or sizes or size_becomes",
    ),
    Target(
        "attention/_subspace_attention.py",
        WHOLE,
        f"(stsa and not flow and not ({SLOW})) or bias_starts",
    ),
    Target("attention/_align.py", "tests/test_align.py"),
    Target("attention/_backend.py", "tests/test_backends.py", f"not ({SLOW})"),
    Target(
        "attention/_mechanism.py",
        "tests/test_registry.py tests/test_mechanisms.py",
        f"(temporal or none or stsa) and not flow and not conv and not ({SLOW})",
    ),
    Target("attention/none.py", DECLARED, f"none and not ({SLOW})"),
    Target(
        "attention/_grouped.py",
        WHOLE,
        f"(stsa or temporal) and not flow and not conv and not ({SLOW})",
    ),
    Target("attention/_streamed.py", "tests/test_streamed.py tests/test_exactness.py"),
    Target("attention/_crossframe.py", WHOLE, f"crossframe and not ({SLOW})"),
    *(
        Target(f"attention/crossframe_{name}.py", DECLARED, f"crossframe_{name} and not ({SLOW})")
        for name in ("all", "first", "middle", "previous")
    ),
    Target(
        "attention/motion_module.py",
        WHOLE,
        f"(motion_module or whole_module or norm_of_rows) and not ({SLOW})",
    ),
    Target(
        "attention/_rows.py", "tests/test_rows.py tests/test_streamed.py tests/test_exactness.py"
    ),
    Target("attention/stsa.py", DECLARED, f"stsa and not flow and not ({SLOW})"),
    Target(
        "attention/stsa_flow.py",
        f"tests/test_align.py tests/test_receptive_field.py {WHOLE}",
        f"flow and not ({SLOW})",
    ),
    Target("attention/temporal.py", DECLARED, f"temporal and not conv and not ({SLOW})"),
    Target("attention/temporal_conv.py", WHOLE, f"temporal_conv and not ({SLOW})"),
    Target("metrics/l1.py", "tests/test_metrics_pictures.py"),
    Target("metrics/psnr.py", "tests/test_metrics_pictures.py"),
    Target("metrics/ssim.py", "tests/test_metrics_pictures.py"),
    Target("metrics/frechet.py", "tests/test_metrics_frechet.py"),
    Target("metrics/polynomial_mmd.py", "tests/test_metrics_mmd.py"),
    Target("metrics/flicker.py", "tests/test_metrics_motion.py"),
    Target("metrics/warp_error.py", "tests/test_metrics_motion.py"),
    Target("metrics/ghosting.py", "tests/test_metrics_consistency.py", "ghosting or shapes"),
    Target("metrics/consistency.py", "tests/test_metrics_consistency.py"),
    Target("metrics/clips.py", "tests/test_metrics_distances.py"),
    Target("metrics/distances.py", "tests/test_metrics_distances.py"),
    Target(
        "metrics/score.py",
        "tests/test_metrics_registry.py tests/test_metrics_score.py",
        "not training and not command and not shipped",
    ),
    Target("metrics/logo.py", "tests/test_metrics_consistency.py"),
    Target(
        "metrics/identity.py",
        "tests/test_metrics_consistency.py",
        "person or reason or likeness or half or shapes or so_many",
    ),
    Target("metrics/entries/l1.py", "tests/test_metrics_profiles.py"),
    Target("metrics/entries/psnr.py", "tests/test_metrics_profiles.py"),
    Target("metrics/entries/ssim.py", "tests/test_metrics_profiles.py"),
    *(
        Target(
            f"metrics/entries/{name}.py",
            "tests/test_metrics_registry.py tests/test_metrics_score.py "
            "tests/test_metrics_consistency.py",
            "not training and not command and not shipped",
        )
        for name in ("flicker", "warp_error", "ghosting", "logo", "identity", "fvd_embedded")
    ),
    Target("metrics/statistics/mean.py", "tests/test_metrics_statistics.py"),
    Target("metrics/statistics/paired.py", "tests/test_metrics_statistics.py"),
    Target("metrics/statistics/frechet.py", "tests/test_metrics_statistics.py"),
    Target("metrics/statistics/floor.py", "tests/test_metrics_statistics.py"),
    Target("metrics/statistics/detectable.py", "tests/test_metrics_statistics.py"),
    Target("metrics/statistics/extrapolation.py", "tests/test_metrics_statistics.py"),
    Target("metrics/statistics/interval.py", "tests/test_metrics_statistics.py"),
)
