"""The shape of the code: imports point one way, the core knows no plugin, functions stay short, and
each module has its tests at the same place.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

import benchbd.api
import benchbd.api.executors

ROOT = Path(__file__).parents[1]
CORE, ZOO = ROOT / "benchbd", ROOT / "plugins" / "benchbd_zoo"

LAYERS = (
    {"errors", "seeds"},
    {"markdown", "options"},
    {"plugin"},
    {"arguments"},
    {"data"},
    {"engine"},
    {"measure"},
    {"victim", "attack", "analysis"},
    {"record"},
    {"report"},
    {"defense"},
    {"running"},
    {"executing"},
    {"matrices"},
    {"importing"},
    {"exporting"},
    {"leaderboard"},
    {"audit"},
    {"api"},
    {"testing", "scaffold"},
    {"functions"},
    {"cli"},
    {"__init__", "__main__"},
)
"""Parts of the core from the ground up; a part imports from itself and from those before it."""

NO_PLUGINS = {
    "clean": "a state of samples",
    "none": "what is unset",
    "timm": "a library whose version is recorded",
    "torchvision": "a library whose version is recorded",
    "digits": "what numbers are made of",
    "blind": "a kind of reader, for whom colours are chosen",
    "strip": "a method of texts",
    "parquet": "a file format",
    "stored": "what was written to the disk",
    "imported": "what came from elsewhere",
    "path": "where a file lies",
    "quality": "how visible a trigger is, which results record",
}
"""Names of plugins that are also words with a meaning of their own, and which."""

EXAMPLES = ("--attack badnet", "--defense anp", 'attack="badnet", defense="anp"')
"""First steps shown to a newcomer, who could not run them with a name left out."""

KINDS = ("attack", "defense", "analysis", "model", "dataset")
LONGEST = 60
SMALL = 35
"""Lines up to which a module may be tested where it is used."""


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


@cache
def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def module(path: Path) -> str:
    """`benchbd.data.images` for benchbd/data/images.py; packages end in `.__init__`."""
    return ".".join(
        path.relative_to(ROOT if path.is_relative_to(CORE) else ZOO.parent).with_suffix("").parts
    )


def imported(path: Path) -> set[str]:
    """Full names of the modules, or of the things in them, that a file imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            names |= {
                alias.name for alias in node.names if alias.name != "benchbd"
            }  # which is imported in any case
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def graph() -> dict[str, set[str]]:
    """Which file of the core imports which."""
    known = {module(path): path for path in files(CORE)}

    def target(name: str) -> str | None:
        return next(
            (m for m in (name, f"{name}.__init__", name.rpartition(".")[0]) if m in known), None
        )

    return {
        m: {t for name in imported(path) if (t := target(name)) and t != m}
        for m, path in known.items()
    }


def layer(name: str) -> int:
    part = name.split(".")[1]
    places = [place for place, parts in enumerate(LAYERS) if part in parts]
    assert places, f"{name} has no place yet; put {part!r} into LAYERS"
    return places[0]


def plugin_names() -> set[str]:
    registered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    return {name for kind in KINDS for name in registered[f"benchbd.{kind}"]}


def without_examples(text: str) -> str:
    """The text but for first steps, and for what docstrings show at a prompt."""
    lines = text.splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith((">>> ", "... ")))
    for example in EXAMPLES:
        text = text.replace(example, "")
    return text


@pytest.mark.slow
def test_the_graph_is_really_read() -> None:
    edges = graph()
    assert "benchbd.data.images" in edges["benchbd.data.poisoned"]
    assert "benchbd.plugin.plugin" in edges["benchbd.plugin.registry"]
    assert len(edges) > 40


def test_files_do_not_import_in_circles() -> None:
    TopologicalSorter(graph()).prepare()


def test_imports_point_one_way_between_parts() -> None:
    wrong = {
        f"{importer} -> {target}"
        for importer, targets in graph().items()
        for target in targets
        if importer.split(".")[1] != target.split(".")[1] and layer(target) >= layer(importer)
    }
    assert wrong == set()


def test_the_core_never_imports_the_zoo() -> None:
    assert [
        path
        for path in files(CORE)
        if any(name.startswith("benchbd_zoo") for name in imported(path))
    ] == []


@pytest.mark.slow
def test_plugins_import_only_the_plugin_door() -> None:
    """Executors have a second one; nobody else has anything to do with stages."""
    wrong = {
        f"{module(path)}: {name}"
        for path in files(ZOO)
        for name in imported(path)
        if name.split(".")[0] == "benchbd" and name.rpartition(".")[0] not in doors(path)
    }
    assert wrong == set()


def doors(path: Path) -> tuple[str, ...]:
    executor = path.is_relative_to(ZOO / "executor")
    return ("benchbd.api", "benchbd.api.executors") if executor else ("benchbd.api",)


def test_the_core_names_no_plugin() -> None:
    names = plugin_names() - set(NO_PLUGINS)
    assert len(names) > 10
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, sorted(names)))})\b")
    found = {
        f"{module(path)}: {word}"
        for path in files(CORE)
        for word in pattern.findall(without_examples(path.read_text()))
    }
    assert found == set()


@pytest.mark.parametrize("door", [benchbd.api, benchbd.api.executors], ids=lambda d: d.__name__)
def test_a_door_is_complete(door: ModuleType) -> None:
    names = door.__all__  # sorted, as ruff asks for it: constants come first
    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(door, name)] == []
    assert door.__file__ is not None
    public = {name for name in imported(Path(door.__file__)) if name.startswith("benchbd.")}
    assert {name.rpartition(".")[2] for name in public} == set(names)


def public_names(path: Path) -> Iterator[str]:
    """Classes and aliases of types that a file defines for others."""
    for node in syntax(path).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            made = ast.unparse(node.value).startswith(("TypeVar(", "re.compile(", "getattr("))
            if not name.isupper() and not made:
                yield name


def test_no_class_or_alias_of_the_core_has_the_name_of_another() -> None:
    homes: dict[str, list[str]] = {}
    for path in files(CORE):
        for name in public_names(path):
            if not name.startswith("_"):
                homes.setdefault(name, []).append(module(path))
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_the_doors_share_no_name() -> None:
    assert set(benchbd.api.__all__) & set(benchbd.api.executors.__all__) == set()


@pytest.mark.slow
def test_one_place_opens_images() -> None:
    """Pillow opens dozens of formats, some with other programs, unless it is told which."""
    readers = {"imread", "pil_loader", "default_loader", "decode_image", "read_image"}
    found = {
        module(path)
        for path in [*files(CORE), *files(ZOO)]
        for node in ast.walk(syntax(path))
        if ast.unparse(node).endswith("Image.open")
        or (isinstance(node, ast.Name) and node.id in readers)
        or (isinstance(node, ast.Attribute) and node.attr in readers)
    }
    assert found == {"benchbd.data.pictures"}


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Its lines, but for those of its docstring."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    said = function.body[0]
    assert said.end_lineno is not None
    return lines - (said.end_lineno - said.lineno + 1)


def test_public_functions_and_classes_of_the_core_say_what_they_do() -> None:
    silent = {
        f"{module(path)}.{node.name}"
        for path in files(CORE)
        for node in syntax(path).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and node.name[0] != "_"
        and ast.get_docstring(node) is None
        and "overload" not in map(ast.unparse, node.decorator_list)
    }
    assert silent == set()


def test_functions_are_short() -> None:
    long = {
        f"{module(path)}.{node.name}: {length(node)} lines"
        for path in [*files(CORE), *files(ZOO)]
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and length(node) > LONGEST
    }
    assert long == set()


def test_every_module_has_its_tests_at_the_same_place() -> None:
    """benchbd/data/images.py is tested in tests/data/test_images.py."""
    large = [
        path.relative_to(CORE)
        for path in files(CORE)
        if path.name != "__init__.py" and len(path.read_text().splitlines()) > SMALL
    ]
    untested = [
        path.as_posix()
        for path in large
        if not (ROOT / "tests" / path.parent / f"test_{path.name}").is_file()
    ]
    assert untested == []
