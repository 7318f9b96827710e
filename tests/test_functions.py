"""The functions of `import benchbd` take what is declared for the commands, and nothing else."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
from click.testing import CliRunner
from pydantic.fields import FieldInfo

import benchbd
from benchbd.arguments import Options
from benchbd.cli.main import benchbd as command_line
from benchbd.matrices.options import MatrixOptions
from benchbd.running.options import RunOptions

DOORS = [(benchbd.run, RunOptions), (benchbd.matrix, MatrixOptions)]


def accepted(annotation: Any) -> Any:
    """What a program may hand over for an option of that type: one for a list, text for a path."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return accepted(arguments[0])
    if origin is tuple:
        inner = accepted(arguments[0])
        return inner | Sequence[inner]
    if origin in (Union, UnionType):
        return reduce(or_, map(accepted, arguments))
    return str | Path if annotation is Path else annotation


def default(field: FieldInfo) -> Any:
    return inspect.Parameter.empty if field.is_required() else field.get_default()


@pytest.mark.parametrize(("function", "options"), DOORS)
def test_python_takes_what_is_declared(
    function: Callable[..., Any], options: type[Options]
) -> None:
    parameters = inspect.signature(function).parameters
    hints = get_type_hints(function, localns={"Run": object, "DataFrame": object})
    assert list(parameters) == list(options.model_fields)
    for name, field in options.model_fields.items():
        assert parameters[name].default == default(field), name
        assert hints[name] == accepted(field.annotation), name
        assert f"{name}: {field.description}" in (function.__doc__ or "")


@pytest.mark.parametrize("options", [RunOptions, MatrixOptions])
def test_the_command_line_takes_what_is_declared(options: type[Options]) -> None:
    told = CliRunner().invoke(command_line, [options.command, "--help"], terminal_width=1000)
    text = " ".join(told.output.split())
    for name, field in options.model_fields.items():
        if field.is_required():
            assert f"[OPTIONS] {name.upper()}" in text
            continue
        assert f"--{(field.alias or name).replace('_', '-')} " in text, name
        assert (field.description or "")[1:] in text, name


def test_help_of_a_command_loads_no_torch() -> None:
    script = (
        "import sys\nfrom benchbd.cli.main import benchbd\n"
        "for words in (['run'], ['matrix'], ['plan']):\n"
        "    benchbd.main([*words, '--help'], standalone_mode=False)\n"
        "sys.exit('torch' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_what_is_no_function_is_said_so() -> None:
    assert set(benchbd.__all__) <= set(dir(benchbd))
    with pytest.raises(AttributeError, match="no attribute 'runs'"):
        _ = benchbd.runs  # type: ignore[attr-defined]
