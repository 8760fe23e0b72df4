"""The model card of saved modules, with the metadata block that the Hub reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attnzoo.registry import Entry

_CARD = """---
library_name: attnzoo
tags:
- attnzoo
- diffusers
- video-diffusion
- temporal-attention
- {variant}
---

# {title}

Modules of the variant `{variant}` for a {base}, for clips of {frames} frames.
Source of the variant: {source}.

```python
import attnzoo

attnzoo.load_modules(unet, folder)  # a {base} of the same shape, or a pipeline that has one
```

| | |
| --- | --- |
| options | {options} |
| slots, stack | {slots}, {stack} |
| base | {config} |
| places | {places} |
| attnzoo | {attnzoo} |

What the modules were trained on, and how, is not known to the program that wrote this card.
"""


def card(description: Mapping[str, Any], entry: Entry) -> str:
    """The text of `README.md` for a description as `attnzoo.save_modules` writes it."""
    base = description["base"]
    return _CARD.format(
        variant=description["variant"],
        title=entry.title,
        source=entry.source,
        base=base["class"],
        frames=description["frames"],
        options=_listed(description["options"]),
        slots=description["slots"],
        stack=description["stack"],
        config=_listed(base["config"]),
        places=len(base["slots"]),
        attnzoo=description["attnzoo"],
    )


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items()) or "none"
