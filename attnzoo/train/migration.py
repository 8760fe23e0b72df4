"""Records of older schemas, brought to the present one or refused by name."""

from __future__ import annotations

from typing import Any

FLOW = {"embedded": "exact", "video": "classical", "tiktok": "classical"}
"""Where motion came from before records said so: the data set alone decided."""


def migrated(content: Any) -> Any:
    """A record's content in the present schema; what is no record is returned as it is.

    Schema 2 had neither `method` nor `flow`: all runs were videos, and the data set decided the
    flow. Its distances of sets have no `influence`, which cannot be made up afterwards. Early
    records of schema 3 and those of 2 say nothing of the loader.

    Raises:
        ValueError: schema 1, whose runs began from another base: their numbers would stand beside
            those of today without being comparable.
    """
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema == 1:
        raise ValueError("record.schema is 1, of runs from an earlier base model; run it again")
    if schema in (2, 3):
        content = _with_loader(content)
    if schema != 2:
        return content
    data = content.get("data")
    name = data.get("name") if isinstance(data, dict) else None
    return {**content, "schema": 3, "method": "video", "flow": FLOW.get(name or "")}


def _with_loader(content: dict[str, Any]) -> dict[str, Any]:
    """Stages whose loader is not mentioned get a null for it."""
    training = content.get("training")
    if not isinstance(training, dict):
        return content
    stages = {
        name: {"loader": None, **training[name]}
        for name in ("stage1", "stage2")
        if isinstance(training.get(name), dict)
    }
    return {**content, "training": {**training, **stages}}
