"""Training, sampling and scoring of one variant: `attnzoo.train.experiment.run` does it all."""

from __future__ import annotations
