"""The tree of errors, and the hint at the nearest name."""

from __future__ import annotations

import pytest

from benchbd import errors
from benchbd.errors import BenchbdError, NotApplicable, nearest


def test_every_error_but_the_answer_is_a_benchbd_error() -> None:
    raised = {
        value
        for value in vars(errors).values()
        if isinstance(value, type)
        and issubclass(value, Exception)
        and not issubclass(value, Warning)
    }
    assert {error for error in raised if not issubclass(error, BenchbdError)} == {NotApplicable}


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        ("PluginNotFound", "PluginError"),
        ("ContractBroken", "PluginError"),
        ("ApiTooNew", "ContractBroken"),
        ("UnsafeFile", "RecordError"),
    ],
)
def test_tree(child: str, parent: str) -> None:
    assert issubclass(getattr(errors, child), getattr(errors, parent))


def test_exit_codes_tell_the_branches_apart() -> None:
    branches = [
        errors.ConfigError,
        errors.PluginError,
        errors.DataError,
        errors.RecordError,
        errors.Diverged,
    ]
    codes = [branch.exit_code for branch in branches]
    assert len(set(codes)) == len(codes)
    assert 0 not in codes
    assert errors.UnsafeFile.exit_code == errors.RecordError.exit_code


def test_not_applicable_carries_its_reason() -> None:
    assert NotApplicable("no convolution").reason == "no convolution"
    assert str(NotApplicable("no convolution")) == "no convolution"


@pytest.mark.parametrize(
    ("name", "remedy", "message"),
    [
        ("epoch", "", "; did you mean 'epochs'?"),
        ("zzz", "", ""),
        ("epoch", "see the list", "; did you mean 'epochs'? see the list"),
        ("zzz", "see the list", "; see the list"),
    ],
)
def test_nearest(name: str, remedy: str, message: str) -> None:
    assert nearest(name, ["lr", "epochs"], remedy) == message
