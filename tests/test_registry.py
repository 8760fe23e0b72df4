"""The registry: what it refuses and with which words, and what a configuration is made of."""

from __future__ import annotations

import ast
import inspect
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from enum import Enum
from pathlib import Path
from typing import Literal

import pytest
import torch
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, ValidationError

import attnzoo
from attnzoo import registry
from attnzoo._options import converted
from attnzoo.attention._mechanism import Mechanism
from attnzoo.attention.none import NoAttention
from attnzoo.errors import UserError
from attnzoo.registry import Kind, RegistrationError, register

ABOUT = dict(title="A title", source="a source", kind=Kind.insert, cost="b*f*h*w*c")


class Flavour(Enum):
    sweet = "sweet"
    sour = "sour"


@pytest.fixture(autouse=True)
def forget_what_a_test_registers():
    with registry.preserved():
        yield


def cls_of(signature: str, name: str = "Mine", **scope) -> type:
    """A mechanism's class with this constructor signature."""
    source = f"def __init__(self, {signature}): pass"
    exec(source, scope)
    return type(name, (), {"__init__": scope["__init__"]})


def entered(signature: str, *, name: str = "mine", **about):
    return register(name, **ABOUT | about)(cls_of(signature, Flavour=Flavour, Literal=Literal))


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        ("channels: int, heads: int, **kwargs", r"Mine takes \*\*kwargs; name each option"),
        ("channels: int, heads: int, *rest", r"Mine takes \*rest; name each option"),
        ("channels: int, heads: int, *, depth=1", "option 'depth' of Mine has no annotation"),
        ("channels: int, heads: int, *, width: int", "option 'width' of Mine has no default"),
        ("channels: int, depth: int, *, a: int = 1", r"not \(channels, depth\) before the star"),
        ("channels: int, heads: int, a: int = 1", r"not \(channels, heads, a\) before the star"),
        ("channels: int, heads: int, *, name: str = ''", "option 'name' of Mine: the name is"),
        (
            "channels: int, heads: int, *, way: Literal['a'] = 'a'",
            "'way' of Mine is of type typing.Literal.*; right are bool, int, float, str, an Enum",
        ),
        ("channels: int, heads: int, *, way: dict = ()", "option 'way' of Mine is of type dict"),
        (
            "channels: int, heads: int, *, size: tuple[int, int] = [1, 2]",
            r"'size' of Mine has the default \[1, 2\], must be \(1, 2\) for tuple\[int, int\]",
        ),
        (
            "channels: int, heads: int, *, depth: int = 'deep'",
            "'depth' of Mine has a default of another type: depth=deep must be an integer",
        ),
        ("channels: int, heads: int, *, to: 'Lost' = 1", "of Mine cannot be resolved.*'Lost'"),
    ],
)
def test_refuses_signatures_that_are_no_configuration(signature, words):
    with pytest.raises(RegistrationError, match=words) as caught:
        entered(signature)
    assert "test_registry.py:" in str(caught.value)
    assert "mine" not in registry.list_variants()


def test_a_name_used_twice_names_both_places():
    register("mine", **ABOUT)(NoAttention)
    with pytest.raises(RegistrationError) as caught:
        register("mine", **ABOUT)(NoAttention)
    first, second = str(caught.value).split("used twice: ")[1].split(" and ")
    assert "test_registry.py:" in first and "test_registry.py:" in second and first != second
    with pytest.raises(RegistrationError, match=r"'stsa' is used twice: attnzoo/attention/stsa.py"):
        entered("channels: int, heads: int", name="stsa")


@pytest.mark.parametrize("key", ["shift", "size"])
def test_modules_may_fix_only_what_is_there(key):
    with pytest.raises(RegistrationError, match=f"modules fixes '{key}', which is no option"):
        entered("channels: int, heads: int", modules=({key: 1},))


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        ("b*n", "cost uses 'n'"),
        ("b*sise", "cost uses 'sise'; did you mean 'size'"),
        ("b*", "cost 'b\\*': invalid syntax"),
        ("__import__('os')", "cost uses '__import__'"),
    ],
)
def test_cost_knows_shapes_and_options_only(cost, words):
    with pytest.raises(RegistrationError, match=words):
        entered("channels: int, heads: int, *, size: int = 1", cost=cost)


def test_cost_is_the_expression_with_numbers():
    entered("channels: int, heads: int, *, k: int = 3", cost="min(f,k)*b*max(h,w)*c")
    assert registry.cost("mine", b=1, f=8, h=2, w=5, c=7) == 3 * 5 * 7
    assert registry.cost("mine", b=1, f=8, h=2, w=5, c=7, k=10) == 8 * 5 * 7
    stsa = registry.cost("stsa", b=1, f=16, h=32, w=32, c=320, size=[4, 4, 4])
    assert stsa == 4 * 16 * 32 * 32 * 320 * 64
    with pytest.raises(UserError, match="mine has no option 'size'"):
        registry.cost("mine", b=1, f=1, h=1, w=1, c=1, size=2)


@pytest.mark.parametrize(
    ("name", "near"), [("stas", "stsa"), ("crossframe_frist", "crossframe_first")]
)
def test_unknown_variant_names_the_nearest(name, near):
    with pytest.raises(UserError, match=f"unknown variant '{name}'; did you mean '{near}'\\? the"):
        attnzoo.create(name)
    with pytest.raises(UserError, match="there are: crossframe_all, crossframe_first"):
        attnzoo.show(name)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("stsa", {"sise": 1}, "stsa has no option 'sise'; did you mean 'size'\\? there are"),
        ("stsa_flow", {"alined": 1}, "no option 'alined'; did you mean 'align(ed)?'"),
        ("none", {"size": 1}, "none has no option 'size'; there are none"),
        ("stsa", {"size": [4, 4]}, r"size=\[4,4\] must be \[int, int, int\], 3 values"),
        ("stsa", {"size": [4, "a", 4]}, r"size=\[4,a,4\] must be \[int, int, int\]"),
        ("stsa", {"size": 8}, r"stsa: size=8 must be \[int, int, int\]"),
        ("stsa", {"size": [0, 4, 4]}, r"size=\[0,4,4\] must be three positive integers"),
        ("stsa", {"shift": 1}, "stsa: shift=1 must be true or false"),
        ("stsa_flow", {"align": "scater"}, "align=scater is no choice; did you mean 'scatter'"),
        ("stsa", {"bias": True}, "bias=true is no choice; there are: local, none, relative"),
    ],
)
def test_wrong_options_are_never_swallowed(name, options, words):
    with pytest.raises(UserError, match=words):
        attnzoo.create(name, 8, 2, **options)


def test_options_come_as_they_are_typed():
    module = attnzoo.create("stsa_flow", 8, 2, size=[2, 3, 4], align="permute", bias="local")
    assert module.size == (2, 3, 4) and module.align.name == "permute"
    assert converted("x", float, 1) == 1.0
    assert converted("x", tuple[int, ...], [1, 2, 3]) == (1, 2, 3)
    with pytest.raises(UserError, match="x=nan must be a number"):
        converted("x", float, float("nan"))
    with pytest.raises(UserError, match=r"x=\[1,b\] must be a list of int"):
        converted("x", tuple[int, ...], [1, "b"])


def test_globs_list():
    assert attnzoo.list_variants("crossframe*") == [
        "crossframe_all",
        "crossframe_first",
        "crossframe_middle",
        "crossframe_previous",
    ]
    assert attnzoo.list_variants("nothing*") == []
    assert set(attnzoo.list_variants("temporal*")) < set(attnzoo.list_variants())


def test_an_entry_is_frozen():
    entry = registry.get("stsa")
    with pytest.raises(FrozenInstanceError):
        entry.kind = Kind.replace
    assert entry.fixed == {"shift"} and entry.modules == ({"shift": False}, {"shift": True})


@pytest.mark.parametrize("name", registry.list_variants())
def test_schema_is_a_structured_config(name):
    entry, schema = registry.get(name), registry.schema(name)
    assert schema is registry.schema(name)
    assert [f.name for f in fields(schema)] == ["name", *(o.name for o in entry.free)]
    config = OmegaConf.structured(schema)
    assert config.name == name
    with pytest.raises(ConfigKeyError):
        OmegaConf.merge(config, {"no_such_option": 1})
    assert pickle.loads(pickle.dumps(config)) == config
    for option in entry.free:
        typed = option.default.name if isinstance(option.default, Enum) else option.default
        config = OmegaConf.merge(config, {option.name: typed})
        assert registry.create(name, 8, 2, **{option.name: config[option.name]}) is not None


def test_schema_is_typed():
    config = OmegaConf.structured(registry.schema("stsa_flow"))
    merged = OmegaConf.merge(config, {"size": [8, 4, 4], "align": "permute"})
    options = {k: v for k, v in merged.items() if k != "name"}
    assert attnzoo.create("stsa_flow", 8, 2, **options).size == (8, 4, 4)
    with pytest.raises(ValidationError):
        OmegaConf.merge(config, {"size": ["a", 4, 4]})
    with pytest.raises(ConfigKeyError):
        OmegaConf.merge(config, {"shift": True})
    with pytest.raises(AttributeError):
        registry.no_such_thing  # noqa: B018
    assert registry.stsa_flow_options is registry.schema("stsa_flow")


def test_show_prints_what_is_declared():
    text = attnzoo.show("stsa")
    entry = registry.get("stsa")
    for part in (entry.title, entry.source, entry.cost, entry.place, "size=[4,4,4]"):
        assert part in text
    assert "shift=false  (true | false)  fixed by the slot" in text
    assert "bias=none  (none | relative | local)" in text
    assert "motion flow" in attnzoo.show("stsa_flow")


PLUGIN = """
from __future__ import annotations
from enum import Enum
import torch
import attnzoo
from attnzoo.attention._mechanism import Mechanism

class Way(Enum):
    up = "up"
    down = "down"

@attnzoo.register("{name}", title="Scaled", source="a test", kind=attnzoo.Kind.insert, cost="0")
class Scaled(Mechanism):
    def __init__(self, channels: int, heads: int, *, way: Way = Way.up, factor: float = 2.0):
        super().__init__(channels, heads)
        self.scale = torch.nn.Parameter(torch.full((channels,), factor))
        self.way = way
    def forward(self, x, *, flow=None):
        return x * self.scale
    def sees(self, query, shape):
        mask = torch.zeros(shape, dtype=torch.bool)
        mask[query] = True
        return mask
"""


def test_a_plugin_file_is_an_entry_like_any_other(tmp_path):
    file = tmp_path / "scaled.py"
    file.write_text(PLUGIN.format(name="scaled"))
    assert attnzoo.load_plugin(file) == ["scaled"]
    assert attnzoo.load_plugin(str(file)) == ["scaled"]
    module = attnzoo.create("scaled", 8, 2, way="down")
    assert module.way.name == "down" and isinstance(module, Mechanism)
    assert torch.equal(module(torch.ones(1, 1, 1, 1, 8)), torch.full((1, 1, 1, 1, 8), 2.0))
    assert registry.get("scaled").last_linear is None
    assert str(file) in registry.get("scaled").place


def test_a_plugin_module_is_loaded_by_name(tmp_path, monkeypatch):
    (tmp_path / "scaled_module.py").write_text(PLUGIN.format(name="scaled_too"))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert attnzoo.load_plugin("scaled_module") == ["scaled_too"]


def test_plugins_that_fail_say_which(tmp_path):
    with pytest.raises(UserError, match=r"plugin 'no_such_file.py': no such file"):
        attnzoo.load_plugin("no_such_file.py")
    with pytest.raises(UserError, match="no_such_module does not import: ModuleNotFoundError"):
        attnzoo.load_plugin("no_such_module")
    broken = tmp_path / "broken.py"
    broken.write_text(PLUGIN.format(name="broken") + "\nraise OSError('half-way')\n")
    with pytest.raises(UserError, match=r"broken.py does not import: OSError: half-way"):
        attnzoo.load_plugin(broken)
    assert "broken" not in attnzoo.list_variants()
    empty = tmp_path / "empty.py"
    empty.write_text("pass\n")
    with pytest.raises(UserError, match="registers no mechanism"):
        attnzoo.load_plugin(empty)
    taken = tmp_path / "taken.py"
    taken.write_text(PLUGIN.format(name="stsa"))
    with pytest.raises(RegistrationError, match=r"stsa.py:\d+ and .*taken.py:\d+"):
        attnzoo.load_plugin(taken)


def test_entries_do_not_import_one_another():
    files = sorted((Path(registry.__file__).parent / "attention").glob("[!_]*.py"))
    entries = {file.stem for file in files}
    assert len(entries) >= 9
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = {node.module.split(".")[-1], *(alias.name for alias in node.names)}
                assert not names & entries, file


def alone(code: str) -> str:
    """What a fresh interpreter prints."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout


def test_importing_the_package_imports_nothing_heavy():
    heavy = "torch", "numpy", "hydra", "omegaconf", "diffusers", "matplotlib", "einops"
    code = "import sys, attnzoo, attnzoo.registry; print([m for m in {} if m in sys.modules])"
    assert alone(code.format(heavy)).strip() == "[]"


def test_public_names_survive_commands_of_the_same_name():
    code = (
        "import sys, types, attnzoo; from attnzoo import show, create, Motion, UserError;"
        "attnzoo.show = types.ModuleType('attnzoo.show'); attnzoo.list = types.ModuleType('x');"
        "print(attnzoo.show is show, type(attnzoo.list).__name__, attnzoo.__version__ != '',"
        "sorted(set(attnzoo.__all__) - set(dir(attnzoo))))"
    )
    assert alone(code).strip() == "True module True []"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        attnzoo.nonsense  # noqa: B018


def test_an_entry_file_that_does_not_import_is_named(tmp_path):
    package = Path(registry.__file__).parent
    for part in (
        "__init__.py",
        "registry.py",
        "_entry.py",
        "_options.py",
        "_imports.py",
        "_siblings.py",
        "errors.py",
        "files.py",
        "paths.py",
        "_torchvision.py",
    ):
        (tmp_path / "attnzoo").mkdir(exist_ok=True)
        (tmp_path / "attnzoo" / part).write_text((package / part).read_text())
    (tmp_path / "attnzoo" / "attention").mkdir()
    entry = tmp_path / "attnzoo" / "attention" / "rotten.py"
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import attnzoo\n"
        "for _ in range(2):\n  try: print(attnzoo.list_variants())\n"
        "  except attnzoo.UserError as e: print(e)"
    )
    for text, words in (
        ("import no_such_library", "rotten.py does not import: ModuleNotFoundError"),
        ("pass", "rotten.py registers 0 mechanisms, must be one"),
    ):
        entry.write_text(text)
        first, second = alone(code).splitlines()
        assert words in first and words in second


@pytest.mark.parametrize("name", registry.list_variants())
def test_all_are_called_alike(name: str) -> None:
    """So that a slot, a script and an exported graph need not know which one they have."""
    takes = inspect.signature(registry.get(name).cls.forward).parameters
    assert {one.name: one.kind for one in takes.values()} == {
        "self": inspect.Parameter.POSITIONAL_OR_KEYWORD,
        "x": inspect.Parameter.POSITIONAL_OR_KEYWORD,
        "flow": inspect.Parameter.KEYWORD_ONLY,
    }


SHIFTED = ({"shift": False}, {"shift": True})
DECLARED = {
    "crossframe_all": ("include_self=False backend=auto", ({},)),
    "crossframe_first": ("include_self=False backend=auto", ({},)),
    "crossframe_middle": ("reference=clip include_self=False backend=auto", ({},)),
    "crossframe_previous": ("include_self=False backend=auto", ({},)),
    "motion_module": ("motion_heads=8 groups=32 blocks=1 statistics=clip backend=auto", ({},)),
    "none": ("", ()),
    "stsa": ("size=(4, 4, 4) shift=False bias=none backend=auto", SHIFTED),
    "stsa_flow": (
        "size=(4, 4, 4) shift=False bias=none align=scatter aligned=all backend=auto", SHIFTED,
    ),
    "temporal": ("positions=none backend=auto", ({}, {})),
    "temporal_conv": ("", ({}, {})),
}  # fmt: skip
"""Options with what they are where nothing is said, and the modules of a slot. To change one
changes what a default run computes."""


@pytest.mark.parametrize(("name", "declared"), DECLARED.items())
def test_defaults_are_those_of_the_pages(name: str, declared: tuple[str, tuple]) -> None:
    entry = registry.get(name)

    def said(default: object) -> object:
        return default.value if isinstance(default, Enum) else default

    options = " ".join(f"{option.name}={said(option.default)}" for option in entry.options)
    assert (options, tuple(entry.modules)) == declared
    module = registry.create(name, 16, 2)
    assert all(getattr(module, o.name, o.default) == o.default for o in entry.options)
