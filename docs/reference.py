"""Writes docs/api/, the reference of all that may be imported from benchbd, from its docstrings.

    python docs/reference.py            write the pages
    python docs/reference.py --check    write nothing; fail if a page is not what would be written

Every name is on one page, with its signature, what it does, and an example that a test runs.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import re
import sys
from abc import ABC
from collections.abc import Collection, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

import benchbd
import benchbd.api
import benchbd.api.executors
from benchbd.defense.defense import CleanDataDefense, Defense
from benchbd.markdown import markdown_table
from benchbd.plugin.declared import Configurable
from benchbd.plugin.hooks import Hooks
from benchbd.plugin.page import parameter_table
from benchbd.plugin.plugin import Plugin
from benchbd.running.run import Run

FOLDER = Path(__file__).parent / "api"
WIDTH = 88

PREAMBLE = """\
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbd.api import *
from benchbd.testing.trial import hand_over

handed = hand_over()  # what the core hands to methods, tiny
model, clean, train, test = handed.model, handed.clean, handed.train, handed.test
build_model, recipe, rng = handed.build_model, handed.recipe, handed.rng
scene = handed.scene
"""

ABOUT_THE_EXAMPLES = f"""\
All examples begin with these lines:

```python
{PREAMBLE}```

`model` is a small backdoored classifier of four classes of images (3, 32, 32), `clean` are the 40
clean images that the defender holds, `train` are the 200 training images as the victim saw them,
`test` are 100 clean test images, `recipe` says how the victim was trained, and `scene` is what
analyses look at. On the page for
executors the path `spec` leads to the spec of a stage that makes an attack result in the folder
`work`.
"""


@dataclasses.dataclass(frozen=True)
class Page:
    """A page of the reference: names of one door, in groups by what an author does."""

    title: str
    door: ModuleType
    groups: dict[str, tuple[str, ...]]
    bases: tuple[type[Any], ...] = ()
    """Classes of no door from which those of this page inherit what is described here."""


PAGES = {
    "benchbd.md": Page(
        "Run and read",
        benchbd,
        {"From a script or a notebook": ("run", "matrix", "analyze", "load_results", "load_model")},
        (Run,),
    ),
    "plugins.md": Page(
        "Every plugin",
        benchbd.api,
        {
            "Parameters and other plugins": ("param", "create"),
            "Write an observer": ("hookimpl",),
        },
        (Hooks, Plugin),
    ),
    "attacks.md": Page(
        "Write an attack",
        benchbd.api,
        {
            "The two families": (
                "PoisoningAttack",
                "TrainingControlledAttack",
                "Trained",
                "Attack",
            ),
            "Labels and pixels": ("ClassNumber", "LabelMode", "relabel", "to_uint8"),
            "Models to attack with": ("BuildModel", "clean_model"),
        },
    ),
    "defenses.md": Page(
        "Write a defense",
        benchbd.api,
        {
            "Repair a model": ("Repair", "TrainingSetRepair", "Repaired"),
            "Train robustly": ("RobustTraining", "Learned"),
            "Filter the training set": ("DataFilter", "Suspicion"),
            "Judge inputs": ("InputDetector", "Scorer"),
            "Judge a model": ("ModelDetector", "Verdict"),
            "What a defender holds": ("CleanSet",),
            "Choose along a path": (
                "Sweep",
                "PruningPath",
                "ModelPath",
                "path_by_number",
                "path_by_threshold",
                "sweep_accuracies",
                "last_within",
                "staying_pruned",
                "OracleSelection",
            ),
        },
        (Defense, CleanDataDefense),
    ),
    "analyses.md": Page(
        "Write an analysis",
        benchbd.api,
        {
            "The contract": ("Analysis", "Measure", "Findings"),
            "What there is to look at": (
                "Scene",
                "Pairs",
                "BACKDOORED",
                "REJECTED",
                "PoisonedSet",
                "State",
            ),
            "Pictures as data": ("Picture", "Scatter", "Lines", "Histogram", "Grid", "Overlay"),
            "Measure triggers": ("image_quality",),
        },
    ),
    "models_and_data.md": Page(
        "Write a model or a data set",
        benchbd.api,
        {
            "Write a model": ("Model", "ImageShape", "Classifier", "prepare_torchvision"),
            "Write a data set": (
                "DataSet",
                "Split",
                "ImageSet",
                "room_for",
                "is_picture_file",
                "PicturesBelow",
                "is_foreign",
                "passed_over_beside",
                "counted_in_words",
                "read_picture",
                "PixelMode",
                "data_dir",
                "require_folder",
                "read_images",
            ),
        },
    ),
    "training.md": Page(
        "Train and evaluate",
        benchbd.api,
        {
            "Train": ("fit", "Recipe", "Batches", "batch_sizes", "epoch_done", "track"),
            "Parameters of methods that train": ("FineTuning", "Descent", "Augmentation"),
            "Evaluate": ("logits", "features", "predict", "accuracy", "batched", "eval_mode"),
            "Devices and number formats": ("device_of", "to_float", "hardware"),
            "Random numbers": ("fork", "draw_seed", "global_random_state"),
            "Work that results share": ("remembered",),
        },
    ),
    "structure.md": Page(
        "Look into a network",
        benchbd.api,
        {
            "Layers": ("norm_layers", "conv_layers", "is_scaled_norm", "named_layer"),
            "What passes through layers": ("watching_outputs", "channel_means", "last_executed"),
            "Which layer reads which": (
                "trace",
                "following_norm",
                "feeds_relu",
                "main_path",
                "deepest_convolution",
            ),
        },
    ),
    "errors.md": Page(
        "Errors",
        benchbd.api,
        {
            "What to raise": (
                "NotApplicable",
                "ConfigError",
                "DataError",
                "Diverged",
                "PluginError",
                "PluginNotFound",
            ),
            "What to say": ("nearest", "DataNote"),
        },
    ),
    "executors.md": Page(
        "Write an executor",
        benchbd.api.executors,
        {
            "The contract": ("Executor", "Session", "Limits", "Ended"),
            "Run a stage": ("run_stage", "read_ended", "write_ended", "log_path"),
            "What the machine has": ("usable_cores", "visible_gpus"),
            "Stages that travel": (
                "attack_folder",
                "pack_attack",
                "settle",
                "files_made",
                "bring_home",
                "claimed",
            ),
            "Errors": ("Busy", "RecordError", "Unwritable"),
        },
    ),
}


def pages() -> dict[str, str]:
    """All pages by the name of their file."""
    return {name: _page(page) for name, page in PAGES.items()} | {"index.md": _index()}


def documented(door: ModuleType) -> list[str]:
    """The names of a door that are on a page, in the order of the pages."""
    return [
        name
        for page in PAGES.values()
        if page.door is door
        for group in page.groups.values()
        for name in group
    ]


def docstring(door: ModuleType, name: str) -> str:
    """What is written below a name: in its function or class, or below the line that assigns it."""
    thing = getattr(door, name)
    if inspect.isclass(thing) or _is_function(thing):
        return inspect.cleandoc(thing.__doc__ or "")
    return _assignment(door, name)[1]


def example_of(text: str) -> str:
    """The example in a docstring; empty where there is none."""
    return text[text.index(">>> ") :] if ">>> " in text else ""


def _page(page: Page) -> str:
    parts = [f"# {page.title}", f"All names here are imported from `{page.door.__name__}`."]
    for title, names in page.groups.items():
        parts += [f"## {title}", *(part for name in names for part in _entry(page.door, name))]
    for base in page.bases:
        parts += [f"## {_title_of(base)}", *_class(base)]
    return "\n\n".join(parts) + "\n"


def _title_of(base: type[Any]) -> str:
    return {
        Hooks: "What observers are told",
        Plugin: "What every plugin has",
        Defense: "What every defense has",
        CleanDataDefense: "What every defense with clean data has",
        Run: "What `run` returns",
    }[base]


def _entry(door: ModuleType, name: str) -> Iterator[str]:
    thing, text = getattr(door, name), docstring(door, name)
    yield f"### `{name}`"
    if inspect.isclass(thing):
        yield from _class(thing)
    else:
        yield _fenced(_call(name, thing) if _is_function(thing) else _assignment(door, name)[0])
        yield from _described(text, _names(thing))


def _described(text: str, names: Collection[str]) -> Iterator[str]:
    yield _prose(text, names)
    if example := example_of(text):
        yield _fenced(example)


def _class(thing: type[Any]) -> Iterator[str]:
    yield _fenced(_head(thing))
    yield from _described(inspect.cleandoc(thing.__doc__ or ""), _names(thing))
    if issubclass(thing, Configurable) and thing.model_fields:
        yield f"Its parameters:\n\n{parameter_table(thing)}"
    for name, member in vars(thing).items():
        if name[0] != "_" and name not in UNSAID:
            yield from _member(f"{thing.__name__}.{name}", member)


def _member(name: str, member: Any) -> Iterator[str]:
    text = inspect.getdoc(member)
    if not text:
        return
    if isinstance(member, property):
        yield f"`{name}`: {_prose(text, ())}"
    elif inspect.isfunction(function := getattr(member, "__func__", member)):
        yield _fenced(_call(name, function))
        yield _prose(text, _names(function))


def _is_made(thing: type[Any]) -> bool:
    """Whether authors make objects of a class, rather than derive from it or raise it."""
    has_init = "__init__" in vars(thing) or issubclass(thing, BaseModel)
    return has_init and not issubclass(thing, Configurable | Exception)


def _is_function(thing: Any) -> bool:
    """Also of one that remembers its answers, or that gives a context."""
    return inspect.isfunction(inspect.unwrap(thing)) and callable(thing)


UNSAID = ("respond", "require_contract")
"""Methods that the core writes for its families, and that authors neither write nor call."""


def _head(thing: type[Any]) -> str:
    """`class Repair(CleanDataDefense)`, or the call that makes an object where authors make one."""
    if _is_made(thing):
        return _call(thing.__name__, thing)
    bases = [base.__name__ for base in thing.__bases__ if base not in (object, ABC)]
    return f"class {thing.__name__}({', '.join(bases)})" if bases else f"class {thing.__name__}"


def _call(name: str, function: Any) -> str:
    """The signature as it is called: without `self`, with types; a context after `with`."""
    signature = inspect.signature(function)
    is_context = inspect.isgeneratorfunction(getattr(function, "__wrapped__", None))
    ending = ""
    if not is_context and not inspect.isclass(function):
        ending = f" -> {_annotation(signature.return_annotation)}"
    words = list(_parameters(_as_written(function, signature)))
    start = f"with {name}" if is_context else name
    line = f"{start}({', '.join(words)}){ending}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{start}(", *(f"    {word}," for word in words), f"){ending}"])


def _as_written(function: Any, signature: inspect.Signature) -> inspect.Signature:
    """With the annotations of a pydantic class as its source has them."""
    if not (inspect.isclass(function) and issubclass(function, BaseModel)):
        return signature
    written = inspect.get_annotations(function)
    parameters = [p.replace(annotation=written[n]) for n, p in signature.parameters.items()]
    return signature.replace(parameters=parameters)


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    keyword_only = False
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            yield "*"
        yield _parameter(parameter)


def _parameter(parameter: inspect.Parameter) -> str:
    word = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
    word += parameter.name
    if parameter.annotation is not parameter.empty:
        word += f": {_annotation(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        word += f" = {_default(parameter.default)}"
    return word


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _default(value: Any) -> str:
    """A default as one writes it: a path as its text; a fresh table is what dataclasses call a
    factory.
    """
    if repr(value) == "<factory>":
        return "{}"
    return json.dumps(str(value)) if isinstance(value, str | Path) else repr(value)


def _prose(text: str, names: Collection[str]) -> str:
    """What stands before the example; a paragraph about parameters as a list of them."""
    paragraphs = text.partition(">>> ")[0].strip().split("\n\n")
    return "\n\n".join(_listed(paragraph, names) for paragraph in paragraphs)


def _listed(paragraph: str, names: Collection[str]) -> str:
    """`model: its copy. rng: where draws come from.` as a list, with what follows it below."""
    if not any(paragraph.startswith(f"{name}{end}") for name in names for end in (": ", ", ")):
        return paragraph
    lines: list[str] = []
    for sentence in re.split(r"(?<=[.;]) ", paragraph.replace("\n", " ")):
        about, colon, _ = sentence.partition(": ")
        if colon and set(about.split(", ")) <= set(names):
            lines.append(re.sub(r"^([\w, ]+):", lambda m: f"- {_quoted(m[1])}:", sentence))
        elif sentence.startswith(("Raises ", "Returns ")) and lines[-1][0] == "-":
            lines += ["", sentence]
        else:
            lines[-1] += f" {sentence}"
    return "\n".join(lines)


def _quoted(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))


def _names(thing: Any) -> Collection[str]:
    is_called = _is_made(thing) if inspect.isclass(thing) else _is_function(thing)
    return inspect.signature(thing).parameters if is_called else ()


def _fenced(code: str) -> str:
    return f"```python\n{code}\n```"


@cache
def _homes(door: ModuleType) -> dict[str, str]:
    """The module that each name of a door comes from."""
    tree = ast.parse(inspect.getsource(door))
    return {
        alias.name: str(node.module)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _assignment(door: ModuleType, name: str) -> tuple[str, str]:
    """The line that assigns a name, and the string below it."""
    source = inspect.getsource(importlib.import_module(_homes(door)[name]))
    body = ast.parse(source).body
    for statement, below in pairwise(body):
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            assert isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant), name
            line = ast.get_source_segment(source, statement) or ""
            return line, inspect.cleandoc(str(below.value.value))
    raise LookupError(f"{name} is assigned nowhere in {_homes(door)[name]}")


def _index() -> str:
    parts = ["# Reference", ABOUT_THE_EXAMPLES.strip()]
    for file, page in PAGES.items():
        rows = [_row(file, page.door, name) for group in page.groups.values() for name in group]
        table = markdown_table(("name", "what it is"), rows)
        parts += [f"## [{page.title}]({file})", f"From `{page.door.__name__}`:", table]
    return "\n\n".join(parts) + "\n"


def _row(file: str, door: ModuleType, name: str) -> tuple[str, str]:
    paragraph = docstring(door, name).partition("\n\n")[0].replace("\n", " ")
    return f"[`{name}`]({file}#{name.lower()})", paragraph.partition(". ")[0].rstrip(".:")


def main(words: list[str]) -> int:
    """Write the pages, or say which of them are out of date."""
    wanted = {FOLDER / name: text for name, text in pages().items()}
    differing = [p for p, text in wanted.items() if not p.exists() or p.read_text() != text]
    needless = sorted(set(FOLDER.glob("*")) - set(wanted))
    if words == ["--check"]:
        sys.stderr.writelines(f"{path} is out of date\n" for path in (*differing, *needless))
        return 1 if differing or needless else 0
    FOLDER.mkdir(exist_ok=True)
    for path in differing:
        path.write_text(wanted[path])
    for path in needless:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
