"""Everything that benchbd raises on purpose.

    BenchbdError
    ├── ConfigError           a value, an option or a file of options that cannot be used
    ├── PluginError           something is wrong with a plugin
    │   ├── PluginNotFound    no plugin of that name
    │   └── ContractBroken    a plugin does not keep the contract of its family
    │       └── ApiTooNew     a plugin is written for a later benchbd than this one
    ├── DataError             a data set that is missing, broken or does not fit
    ├── RecordError           a stored result that is missing, broken or does not fit
    │   ├── UnsafeFile        a file that would run code when read
    │   └── Unwritable        a result that cannot be stored: full disk, read-only folder
    └── Diverged              training arrived at a loss, or work at a result, that is not a number

    NotApplicable             an answer, not a failure: why this method does not apply here

Messages say who, what was expected, what came, and what to do. `exit_code` is what the command line
returns for an error of that class.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchbdError(Exception):
    exit_code = 1


class ConfigError(BenchbdError):
    exit_code = 2


class PluginError(BenchbdError):
    exit_code = 3


class PluginNotFound(PluginError):
    pass


class ContractBroken(PluginError):
    pass


class ApiTooNew(ContractBroken):
    pass


class DataError(BenchbdError):
    exit_code = 4


class RecordError(BenchbdError):
    exit_code = 5


class UnsafeFile(RecordError):
    pass


class Unwritable(RecordError):
    pass


class Diverged(BenchbdError):
    exit_code = 6


class NotApplicable(Exception):
    """Raised by a plugin whose method does not apply to the model or the data at hand.

    The cell is then recorded as `n/a` with this reason; it is neither a failure nor a number.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def nearest(name: str, known: Iterable[str], remedy: str = "") -> str:
    """The end of a message: `"; did you mean 'epochs'?"` when one of `known` is close to `name`,
    then the remedy.
    """
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    parts = [
        f"; did you mean {match[0]!r}?" if match else "",
        remedy and (f" {remedy}" if match else f"; {remedy}"),
    ]
    return "".join(parts)
