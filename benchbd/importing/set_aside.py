"""Stand-ins for objects that training scripts store beside the parameters, such as their options.
With them the parameters can be read, and nothing else of the file is looked at.

The classes themselves are never imported. A stand-in takes whatever it is given and keeps nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any


class SetAside:
    """A stand-in for an object that was not read."""

    def __new__(cls, *args: Any) -> SetAside:
        return super().__new__(cls)

    def __init__(self, *args: Any) -> None:
        return

    def __setstate__(self, state: Any) -> None:
        return

    def __repr__(self) -> str:
        return "set aside unread"


class TableAside:
    """A stand-in for a table of a class of its own; it becomes an ordinary table."""

    def __new__(cls, *args: Any) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


OBJECTS = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    *(f"pathlib.{name}" for name in ("Path", "PosixPath", "WindowsPath")),
    *(f"pathlib.{name}" for name in ("PurePath", "PurePosixPath", "PureWindowsPath")),
    *(f"pathlib._local.{name}" for name in ("Path", "PosixPath", "WindowsPath")),
    *(f"datetime.{name}" for name in ("date", "datetime", "timedelta")),
    *(
        f"{module}.{name}"
        for module in ("builtins", "__builtin__")
        for name in ("bool", "dict", "float", "int", "list", "str", "tuple")
    ),
    "typing.Any",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    *(f"omegaconf.base.{name}" for name in ("ContainerMetadata", "Metadata")),
    *(
        f"omegaconf.nodes.{kind}Node"
        for kind in ("Any", "Boolean", "Enum", "Float", "Integer", "String")
    ),
)
TABLES = (
    "collections.defaultdict",
    "addict.addict.Dict",
    "easydict.EasyDict",
    "fvcore.common.config.CfgNode",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "munch.Munch",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "yacs.config.CfgNode",
)
"""Names of classes: in `OBJECTS` those of options, dates, paths and other plain objects, in
`TABLES` those of tables.
"""

STAND_INS: tuple[tuple[Any, str], ...] = (
    *((SetAside, name) for name in OBJECTS),
    *((TableAside, name) for name in TABLES),
)
