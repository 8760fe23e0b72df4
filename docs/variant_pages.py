"""One page a variant, made from what it declares about itself; run by mkdocs-gen-files."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path

import mkdocs_gen_files

from attnzoo import registry
from attnzoo.testing.receptive_field import draw


def page(entry: registry.Entry) -> str:
    """The text of one variant's page."""
    needs = [f"at least {entry.min_frames} frames"] * (entry.min_frames > 1)
    needs += ["the clip's motion"] * entry.needs_flow
    facts = {
        "Source": entry.source,
        "Kind": f"`{entry.kind.name}`",
        "Needs": " and ".join(needs) or "nothing but frames",
        "Modules in one slot": str(len(entry.modules)),
        "Cost of one module": f"`{entry.cost}` FLOPs for scores and values, forward",
        "Code": f"`{Path(inspect.getfile(entry.cls)).name}` in `attnzoo/attention/`",
    }
    lines = [f"# {entry.name}", "", f"*{entry.title}*", "", inspect.getdoc(entry.cls) or "", ""]
    lines += ["| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in facts.items())]
    lines += ["", "## Options", ""]
    lines += options(entry)
    lines += ["", "## What a token sees", ""]
    lines += [
        f"![receptive field of {entry.name}]({entry.name}.png)",
        "",
        "The marked patch, 8 frames of 12x12 patches, and what its result depends on"
        + (", with everything moving one patch to the right a frame." if entry.needs_flow else "."),
        "",
        f"Drawn by `python -m attnzoo show {entry.name} --picture FOLDER`.",
    ]
    return "\n".join(lines) + "\n"


def options(entry: registry.Entry) -> list[str]:
    """The options as a list, with those that the slot sets marked."""
    if not entry.options:
        return ["None."]
    return [f"- `{option.describe(option.name in entry.fixed)}`" for option in entry.options]


def index(names: list[str]) -> str:
    """The page that lists all variants."""
    rows = [
        f"| [`{name}`]({name}.md) | {registry.get(name).title} | {registry.get(name).source} |"
        for name in names
    ]
    return "\n".join(["# Variants", "", "| name | | source |", "| --- | --- | --- |", *rows]) + "\n"


def fields(names: list[str]) -> str:
    """The page that shows what a token sees in all variants, as the paper's Figure 3."""
    lines = [
        "# What a token sees",
        "",
        "Figure 3 of Dance-Your-Latents, drawn from the modules themselves: 8 frames of 12x12 "
        "patches from left to right, one patch marked in red, and in blue the patches that its "
        "result depends on. Tests hold these to be exactly those to which there is a gradient. "
        "`attnzoo.receptive_field(name, query, shape, **options)` gives the same as a mask.",
        "",
        "The last row of a picture stacks the modules of one slot: a shifted subspace that reads "
        "subspaces that are not spreads what one token knows to its neighbours in all directions.",
        "",
    ]
    for name in names:
        entry = registry.get(name)
        drift = ", everything moving one patch to the right a frame" if entry.needs_flow else ""
        lines += [f"## {name}", "", f"{entry.title}{drift}.", ""]
        lines += [f"[![what a token sees in {name}]({name}.png)]({name}.md)", ""]
    return "\n".join(lines)


names = registry.list_variants()
with mkdocs_gen_files.open("variants/fields.md", "w") as file:
    file.write(fields(names))
with mkdocs_gen_files.open("variants/index.md", "w") as file:
    file.write(index(names))
with tempfile.TemporaryDirectory() as folder:
    for name in names:
        draw(name, Path(folder) / f"{name}.png")
        with mkdocs_gen_files.open(f"variants/{name}.md", "w") as file:
            file.write(page(registry.get(name)))
        with mkdocs_gen_files.open(f"variants/{name}.png", "wb") as picture:
            picture.write((Path(folder) / f"{name}.png").read_bytes())
