"""Options that people write in YAML: read safely, and refused where YAML would take them for
something else.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from benchbd.errors import ConfigError

MAX_OPTIONS_BYTES = 2**20
MAX_VALUES = 100_000
"""Values in a file of options, counted with what its aliases repeat."""


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file of keys and values. Raises `ConfigError`."""
    try:
        if path.stat().st_size > MAX_OPTIONS_BYTES:
            raise ConfigError(
                f"{path} has more than {MAX_OPTIONS_BYTES:,} bytes; that is no file of options"
            )
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not YAML that benchbd reads: {error}") from None
    content = parse_yaml(text, str(path))
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path}: expected keys and values, such as `dataset: digits`")
    return content


def parse_yaml(text: str, source: str) -> Any:
    """What a text in YAML says; `source` is what an error calls it. Raises `ConfigError`."""
    try:
        loader = _Loader(text)
        loader.name = source
        content = loader.get_single_data()
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{source} is not YAML that benchbd reads: {error}") from None
    if not _is_small(content):
        raise ConfigError(
            f"{source} unfolds to more than {MAX_VALUES:,} values; that is no file of options"
        )
    return content


_OTHER_BASE = re.compile(r"[-+]?0[0-7_]+|.*:.*")
"""Numbers that YAML 1.1 reads by eights or by sixties: 010 as 8, 1:30 as 90."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML would forget the first, and numbers that are
    not what they look like.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        value = super().construct_object(node, deep=deep)
        if isinstance(value, int | float) and _OTHER_BASE.fullmatch(node.value):
            problem = (
                f"{node.value} would be read as {value}; write a plain number, or '{node.value}' "
                "in quotes if it is a text"
            )
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def _is_small(content: Any) -> bool:
    """Whether there are few values in it, what aliases repeat (without end, if they lead to
    themselves) included.
    """
    waiting, count = [content], 0
    while waiting:
        value = waiting.pop()
        count += 1
        if count > MAX_VALUES:
            return False
        waiting += (
            value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        )
    return True
