"""Discovery: listing imports nothing, a broken plugin harms nobody else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchbd.errors import ApiTooNew, ContractBroken, PluginError, PluginNotFound
from benchbd.plugin import registry
from benchbd.plugin.entry import KINDS
from benchbd.plugin.points import DeclaredPoint
from benchbd.plugin.provenance import entry_of, source_digest

MODEL = """
from torch import nn
from benchbd.api import ImageShape, Model, param

class Net(Model):
    api = 1
    name = "{name}"
    variant: str = param("small", "which one")
    width: int = param(4, "channels", ge=1)

    def build(self, num_classes, image_shape):
        return nn.Identity()
"""

FAULTS = {
    "raises": (
        "raise ZeroDivisionError('at import')",
        "import-error",
        "ZeroDivisionError: at import",
    ),
    "exits": ("raise SystemExit(3)", "import-error", "SystemExit: 3"),
    "typo": ("def", "import-error", "SyntaxError"),
    "absent": ("", "import-error", "AttributeError"),
    "too_new": (MODEL.replace("api = 1", "api = 99"), "api-too-new", "upgrade benchbd"),
    "silent": (
        MODEL.replace("    api = 1\n", ""),
        "contract",
        "expected `api = 1` in the class body",
    ),
    "no_plugin": (
        "class Net: pass",
        "contract",
        "expected no_plugin:Net to be a class of the model family",
    ),
    "no_class": ("Net = 3", "contract", "found 3"),
    "other_kind": (
        "from benchbd.api import Repair as Net",
        "contract",
        "to be a class of the model family",
    ),
    "verbless": (MODEL.replace("def build", "def built"), "contract", "does not write build"),
    "misnamed": (MODEL.replace("{name}", "other"), "contract", "calls itself 'other'"),
}

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Replaces the registered models by (name, module) pairs, each from a distribution of its own
    or a given one.
    """
    made: list[DeclaredPoint] = []
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "points", lambda: {"benchbd.model": tuple(made)})
    registry.entries.cache_clear()
    registry.catalogue.cache_clear()
    before = set(sys.modules)

    def add(name: str, source: str, module: str = "", distribution: str = "dist") -> None:
        module = module or name
        (tmp_path / f"{module}.py").write_text(source.replace("{name}", name))
        made.append(DeclaredPoint("benchbd.model", name, f"{module}:Net", distribution, "1.2"))

    yield add
    registry.entries.cache_clear()
    registry.catalogue.cache_clear()
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[module]


def test_listing_imports_no_plugin_and_no_large_library() -> None:
    program = (
        "import sys; from benchbd.plugin.entry import KINDS; from benchbd.plugin.registry import "
        "entries\n"
        "assert all(entries(kind) for kind in KINDS)\n"
        "large = {'torch', 'pandas', 'pydantic', 'numpy', 'benchbd_zoo', "
        "'benchbd_zoo.attack.badnet'}\n"
        "print(sorted(large & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_bundled_plugins_can_be_found() -> None:
    entry = registry.find("attack", "badnet")
    assert (entry.kind, entry.provider, entry.target) == (
        "attack",
        "benchbd",
        "benchbd_zoo.attack.badnet:BadNet",
    )
    assert registry.find("attack", "benchbd/badnet") == entry
    cls = registry.load("attack", "badnet")
    assert entry_of(cls) == entry
    assert len(source_digest(cls)) == 64


def test_entries_are_sorted() -> None:
    for kind in KINDS:
        names = [entry.name for entry in registry.entries(kind)]
        assert names == sorted(names)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(PluginNotFound) as caught:
        registry.find("attack", "badnets")
    assert (
        str(caught.value)
        == "no attack named 'badnets'; did you mean 'badnet'? `benchbd list attacks` shows all"
    )
    with pytest.raises(
        PluginNotFound, match="no attack named 'qqqq'; `benchbd list attacks` shows all"
    ):
        registry.find("attack", "qqqq")
    with pytest.raises(PluginNotFound):
        registry.find("attack", "stranger/badnet")


def test_what_is_broken_is_listed_with_its_reason_and_the_rest_loads(install: Install) -> None:
    for name, (source, _, _) in FAULTS.items():
        install(name, source)
    install("good", MODEL)
    assert {entry.name for entry in registry.entries("model")} == {*FAULTS, "good"}
    faults = {
        entry.name: fault
        for entry in registry.entries("model")
        if (fault := registry.fault(entry)) is not None
    }
    assert {name: fault.reason for name, fault in faults.items()} == {
        name: reason for name, (_, reason, _) in FAULTS.items()
    }
    for name, (_, _, message) in FAULTS.items():
        assert message in faults[name].message
        assert faults[name].trace.startswith("Traceback")
    assert registry.create("model", "good", {"width": 2}).params == {"variant": "small", "width": 2}


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_plugin_is_refused_at_use(install: Install, name: str) -> None:
    source, reason, message = FAULTS[name]
    install(name, source)
    with pytest.raises(PluginError, match=name) as caught:
        registry.create("model", name)
    assert message in str(caught.value)
    assert isinstance(caught.value, ContractBroken) == (reason != "import-error")
    assert isinstance(caught.value, ApiTooNew) == (reason == "api-too-new")


def test_two_providers_of_one_name(install: Install) -> None:
    install("net", MODEL, module="first", distribution="dist-a")
    install("net", MODEL, module="second", distribution="dist-b")
    with pytest.raises(
        PluginError,
        match="two packages provide the model 'net': dist-a/net and dist-b/net; name the one you "
        "mean",
    ):
        registry.load("model", "net")
    assert registry.load("model", "dist-b/net").__module__ == "second"
    clash = registry.clashes("model")
    assert [(fault.reason, fault.message) for fault in clash] == [
        ("name-clash", "'net' is provided by dist-a, dist-b")
    ]


def test_what_follows_a_colon_is_the_variant(install: Install) -> None:
    install("net", MODEL)
    install("plain", MODEL.replace('    variant: str = param("small", "which one")\n', ""))
    assert registry.create("model", "net:large", {"width": 8}).params == {
        "variant": "large",
        "width": 8,
    }
    assert registry.create("model", "dist/net:large").params["variant"] == "large"
    with pytest.raises(
        PluginNotFound, match="'plain' takes nothing after a colon, got 'plain:large'"
    ):
        registry.create("model", "plain:large")


CARD = "model:\n  net:\n    family: image\n    summary: A net.\n"


@pytest.mark.parametrize(
    ("content", "summary"),
    [
        (CARD, "A net."),
        ("model: [", ""),
        ("- a list", ""),
        ("model: text", ""),
        ("model:\n  net: text\n", ""),
        ("model:\n  net:\n    summary: 3\n", "3"),
        ("!!python/object/apply:os.abort []", ""),
        ("\x00\x01", ""),
        ("", ""),
    ],
)
@pytest.mark.usefixtures("install")
def test_registry_files(tmp_path: Path, content: str, summary: str) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "registry.yaml").write_text(content)
    entry = registry._entry(
        "model", DeclaredPoint("benchbd.model", "net", "package:Net", "somebody", "1.2")
    )
    assert (entry.summary, entry.provider) == (summary, "somebody")
    assert "package" not in sys.modules


@pytest.mark.usefixtures("install")
def test_a_card_is_found_without_running_the_package(tmp_path: Path) -> None:
    (tmp_path / "explosive").mkdir()
    (tmp_path / "explosive" / "__init__.py").write_text("raise RuntimeError")
    (tmp_path / "explosive" / "registry.yaml").write_text(CARD)
    assert registry.catalogue("explosive") == {
        "model": {"net": {"family": "image", "summary": "A net."}}
    }
    assert registry.catalogue("no_such_package_anywhere") == {}
    assert registry.catalogue("__main__") == {}


@pytest.mark.usefixtures("install")
def test_words_of_a_card_that_are_of_another_shape_are_left_out_and_told_of(tmp_path: Path) -> None:
    (tmp_path / "shapeless").mkdir()
    (tmp_path / "shapeless" / "__init__.py").write_text("")
    card = "{family: image, summary: [1], paper: a book, needs: 3, tags: [x], 1: 2}"
    (tmp_path / "shapeless" / "registry.yaml").write_text(f"model: {{net: {card}}}")
    assert registry.catalogue("shapeless") == {"model": {"net": {"family": "image", "tags": ["x"]}}}
    assert "net: summary: expected a str, got '[1]'" in registry.catalogue_fault("shapeless")


@pytest.mark.usefixtures("install")
@pytest.mark.parametrize("content", ["model: 2024-13-45", "model: !!int x", "model: 0x_"])
def test_a_registry_with_a_slip_of_yaml_counts_as_absent(tmp_path: Path, content: str) -> None:
    (tmp_path / "slipped").mkdir()
    (tmp_path / "slipped" / "__init__.py").write_text("")
    (tmp_path / "slipped" / "registry.yaml").write_text(content)
    assert registry.catalogue("slipped") == {}
    assert "line 1" in registry.catalogue_fault("slipped")
