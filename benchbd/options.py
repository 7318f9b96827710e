"""The reader of options that people write in YAML. They are read safely and in bounded time, and
refused where YAML would misunderstand them.

A text is checked before anything is built from it: how much it unfolds to, how deep it goes, and
which kinds of values it has. A text from a stranger therefore costs no more than its size does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

try:  # ten times faster; missing where PyYAML was built without libyaml
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

from benchbd.errors import ConfigError

MAX_OPTIONS_BYTES = 2**17
MAX_VALUES = 20_000
"""The most values in a file of options. Keys count, too, and so does everything that aliases
repeat.
"""

MAX_DEPTH = 30
MAX_NUMBER_CHARACTERS = 100
"""The most characters of a number. Python needs quadratic time for longer ones, and refuses to
print them.
"""


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a YAML file of keys and values. Raises `ConfigError`."""
    content = load_yaml(path)
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path}: expected keys and values, such as `dataset: digits`")
    return content


def load_yaml(path: Path) -> Any:
    """Return what a YAML file says. Raises `ConfigError`."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for without end
            raise ConfigError(f"cannot read {path}: it is no file; name a file of options")
        if path.stat().st_size > MAX_OPTIONS_BYTES:
            raise ConfigError(
                f"{path} has more than {MAX_OPTIONS_BYTES:,} bytes; that is no file of options"
            )
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not YAML that benchbd reads: {error}") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, source: str) -> Any:
    """Return what a text in YAML says; `source` is what an error calls it. Raises `ConfigError`."""
    try:
        _require_shallow(text, source)
        loader = _Loader(_Named(text.encode(), source))
        node = loader.get_single_node()
        if node is None:
            return None
        _require_plain(node, source)
        return loader.construct_document(node)
    except (yaml.YAMLError, RecursionError, UnicodeError) as error:
        raise ConfigError(f"{source} is not YAML that benchbd reads: {error}") from None


class _Named(BytesIO):
    """A text with the name that YAML's errors give it."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


_OTHER_BASE = re.compile(r"[-+]?0[0-7_]+|.*:.*")
"""Numbers that YAML 1.1 reads in base 8 or 60: 010 as 8, 1:30 as 90."""

_NO_CHARACTER = re.compile(r"[\0\ud800-\udfff]")
"""Characters that no file name can hold, and halves of surrogate pairs, which cannot be written."""

_PREFIX = "tag:yaml.org,2002:"
_SCALARS = {_PREFIX + kind for kind in ("str", "int", "float", "bool", "null", "merge")}
_NUMBERS = {_PREFIX + kind for kind in ("int", "float")}
_COLLECTIONS = {_PREFIX + kind for kind in ("seq", "map")}


class _Loader(SafeLoader):
    """A loader that says where an unreadable value stands. It refuses numbers that YAML would read
    as other numbers than people do.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep=deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:  # of whatever a value is that only looks like one of its kind
            raise _refusal(node, f"cannot be read: {error or type(error).__name__}") from None
        if node.tag in _NUMBERS and _OTHER_BASE.fullmatch(node.value):
            problem = f"{node.value} would be read as {value}; write a plain number"
            raise _refusal(node, f"{problem}, or '{node.value}' in quotes if it is a text")
        if isinstance(value, float) and not math.isfinite(value):
            raise _refusal(node, f"{node.value} is no finite number")
        return value

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Add the pairs of merged tables to a table. Of several tables the first takes precedence,
        and the table's own keys before all (yaml.org/type/merge.html).

        Releases of PyYAML differ in this; 6.0.4 compares keys by where their text lies in memory.
        """
        own: list[tuple[yaml.Node, yaml.Node]] = []
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if key.tag != _PREFIX + "merge":
                own.append((key, value))
                continue
            for table in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(table, yaml.MappingNode):
                    raise _refusal(table, "expected a table to merge, or a list of tables")
                self.flatten_mapping(table)
                for pair in table.value:
                    merged.setdefault(pair[0].value, pair)
        for key, _ in own:
            merged.pop(key.value, None)
        node.value = [*merged.values(), *own]


def _require_shallow(text: str, source: str) -> None:
    """Raise for a text with too many values or of too great depth, while reading one event after
    the other. Old releases of libyaml build nested values by recursion and crash on such a text.
    """
    loader, count, depth = _Loader(_Named(text.encode(), source)), 0, 0
    while loader.check_event():
        event: Any = loader.get_event()
        count += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        _require_within(count, depth, event, source)


def _require_within(count: int, depth: int, marked: yaml.Event | yaml.Node, source: str) -> None:
    if count > MAX_VALUES:
        raise ConfigError(
            f"{source} unfolds to more than {MAX_VALUES:,} values; that is no file of options"
        )
    if depth > MAX_DEPTH:
        raise _refusal(marked, f"lists and tables lie in each other more than {MAX_DEPTH} deep")


def _require_plain(root: yaml.Node, source: str) -> None:
    """Raise unless the content is small and holds only texts, numbers, yes and no, lists and
    tables. A value that aliases repeat counts each time, also one that contains itself.
    """
    waiting, count = [(root, 0)], 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        _require_within(count, depth, node, source)
        if isinstance(node, yaml.ScalarNode):
            _require_plain_scalar(node)
        elif isinstance(node, yaml.CollectionNode):
            _require_plain_collection(node)
            waiting += ((child, depth + 1) for child in _children(node))


def _children(node: yaml.CollectionNode) -> Iterator[yaml.Node]:
    for child in node.value:
        yield from child if isinstance(child, tuple) else (child,)


def _require_plain_scalar(node: yaml.ScalarNode) -> None:
    text = node.value
    if node.tag not in _SCALARS:
        raise _refusal(
            node,
            f"{text[:MAX_NUMBER_CHARACTERS]} would be read as {_kind(node)}; write it in quotes if "
            "it is a text",
        )
    if node.tag in _NUMBERS and len(text) > MAX_NUMBER_CHARACTERS:
        raise _refusal(
            node, f"a number has at most {MAX_NUMBER_CHARACTERS} characters, got {len(text):,}"
        )
    if _NO_CHARACTER.search(text):
        raise _refusal(node, f"{text[:MAX_NUMBER_CHARACTERS]!r} holds what is no character")


def _require_plain_collection(node: yaml.CollectionNode) -> None:
    """Raise for a key that is given twice, because YAML would silently drop the first value."""
    if node.tag not in _COLLECTIONS:
        raise _refusal(node, f"expected a list or a table, got {_kind(node)}")
    seen = set()
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if not isinstance(key, yaml.ScalarNode):
            raise _refusal(key, "expected a text or a number as a key, got a list or a table")
        if key.value in seen and key.tag != _PREFIX + "merge":
            raise _refusal(key, f"the key {key.value!r} is given twice")
        seen.add(key.value)


def _kind(node: yaml.Node) -> str:
    return f"a {node.tag.removeprefix(_PREFIX)!r}"


def _refusal(node: yaml.Node | yaml.Event, problem: str) -> ConstructorError:
    mark: Any = node.start_mark  # of the type of libyaml or of that of PyYAML
    return ConstructorError(None, None, problem, mark)
