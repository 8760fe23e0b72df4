"""attnzoo comes first, in whatever file: its import hook lets diffusers load beside a CPU torch."""

import attnzoo  # noqa: F401
