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
    DataNote                  a warning: what was decided about images without being asked

Messages say who, what was expected, what came, and what to do. `exit_code` is what the command line
returns for an error of that class.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchbdError(Exception):
    """Base of all errors that benchbd raises on purpose."""

    exit_code = 1


class ConfigError(BenchbdError):
    """A value, an option or a file of options that cannot be used.

    >>> raise ConfigError("shrink: expected factor to be a number >= 0, got -1")
    Traceback (most recent call last):
        ...
    benchbd.errors.ConfigError: shrink: expected factor to be a number >= 0, got -1
    """

    exit_code = 2


class PluginError(BenchbdError):
    """Something is wrong with a plugin: it cannot be imported, or what it needs is not installed.

    >>> issubclass(PluginNotFound, PluginError)
    True
    """

    exit_code = 3


class PluginNotFound(PluginError):
    """There is no plugin of that name.

    >>> create(DataSet, "digit")
    Traceback (most recent call last):
        ...
    benchbd.errors.PluginNotFound: no dataset named 'digit'; did you mean 'digits'? ...
    """


class ContractBroken(PluginError):
    """A plugin does not keep the contract of its family."""


class ApiTooNew(ContractBroken):
    """A plugin is written for a later benchbd than this one."""


class DataError(BenchbdError):
    """A data set that is missing, broken or does not fit.

    >>> ImageSet(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]), ("cat", "dog"))
    Traceback (most recent call last):
        ...
    benchbd.errors.DataError: expected images as uint8 (N, C, H, W), got torch.float32 (2, 1, 8, 8)
    """

    exit_code = 4


class RecordError(BenchbdError):
    """A stored result that is missing, broken or does not fit.

    >>> issubclass(Unwritable, RecordError)
    True
    """

    exit_code = 5


class UnsafeFile(RecordError):
    """A file that would run code when it is read."""


class Unwritable(RecordError):
    """A result that cannot be stored: the disk is full or the folder is read-only.

    >>> Ended(code="unwritable", reason=str(Unwritable("no space left on the disk"))).reason
    'no space left on the disk'
    """


class Diverged(BenchbdError):
    """A training arrived at a loss that is not a number. `fit` raises it, and a training loop of a
    method's own does.

    >>> fit(model, clean.train, Recipe(epochs=9, lr=1e12), rng)
    Traceback (most recent call last):
        ...
    benchbd.errors.Diverged: training diverged in epoch ...; lower the learning rate
    """

    exit_code = 6


class NotApplicable(Exception):
    """A method does not apply to the model or the data at hand. It is an answer and no failure: the
    cell is recorded as `n/a` with `reason`.

    >>> norm_layers(nn.Linear(2, 2))
    Traceback (most recent call last):
        ...
    benchbd.errors.NotApplicable: the network has no normalisation layer ...
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DataNote(UserWarning):
    """What was decided about images without being asked, such as which files were passed over. It
    is a warning of Python, and the command line prints it as a note.

    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as heard:
    ...     warnings.simplefilter("always")
    ...     warnings.warn("grey: files that were passed over: 3 .txt", DataNote)
    >>> print(heard[0].message)
    grey: files that were passed over: 3 .txt
    """


def nearest(name: str, known: Iterable[str], remedy: str = "") -> str:
    """Return the end of an error message about an unknown `name`: the closest one of `known`, if
    there is a close one, and then the `remedy`.

    >>> "no layer named 'haed'" + nearest("haed", ["head", "body"])
    "no layer named 'haed'; did you mean 'head'?"
    """
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    parts = [
        f"; did you mean {match[0]!r}?" if match else "",
        remedy and (f" {remedy}" if match else f"; {remedy}"),
    ]
    return "".join(parts)
