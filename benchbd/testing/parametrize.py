"""The checks of several plugins as one pytest test that runs once for each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from benchbd.errors import ConfigError, nearest
from benchbd.plugin.plugin import Plugin
from benchbd.testing.check import CHECKS, Check
from benchbd.testing.result import CheckLevel
from benchbd.testing.runner import checks_for, run_check
from benchbd.testing.subject import Subject


@dataclass(frozen=True, eq=False)
class Contract:
    """The arguments with which a test function was decorated."""

    plugins: tuple[type[Plugin], ...]
    level: CheckLevel | None
    settings: Mapping[str, Any]
    expected_failures: Mapping[str, str]

    def cases(self, level: CheckLevel) -> list[Any]:
        """Return one pytest parameter per plugin and check. An expected failure is a strict
        xfail.
        """
        found = []
        for cls in self.plugins:
            subject = Subject(cls, self.level or level, dict(self.settings))
            for check in checks_for(cls, subject.level):
                reason = self.expected_failures.get(check.name)
                marks = (
                    [pytest.mark.xfail(strict=True, reason=reason, raises=pytest.fail.Exception)]
                    if reason
                    else []
                )
                found.append(
                    pytest.param(
                        CheckedCase(check, subject), id=f"{cls.name}-{check.name}", marks=marks
                    )
                )
        return found


@dataclass(frozen=True, eq=False)
class CheckedCase:
    """One check of one plugin. Calling it fails or skips the test in which it is called."""

    check: Check
    subject: Subject = field(repr=False)

    def __call__(self) -> None:
        result = run_check(self.check, self.subject)
        if result.status == "failed":
            pytest.fail(
                f"{result.plugin}: {result.rule}\n{result.message}\n{result.traceback}".rstrip(),
                pytrace=False,
            )
        if result.status != "passed":
            pytest.skip(f"{result.status}: {result.message}")


def parametrize_with_checks(
    plugins: Sequence[type[Plugin]],
    *,
    level: CheckLevel | None = None,
    settings: Mapping[str, Any] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test with the argument `check` once per plugin and check: `def test_contract(check):
    check()`.

    level: `api`, `smoke` or `full`; unset: what `pytest --benchbd-level` says. expected_failures:
    checks that these plugins are known to fail, by name, with the reason; one of them that passes
    fails the test.
    """
    unknown = [
        name for name in expected_failures or {} if name not in {check.name for check in CHECKS}
    ]
    if unknown:
        raise ConfigError(
            f"no check named {unknown[0]!r}{nearest(unknown[0], [check.name for check in CHECKS])}"
        )
    contract = Contract(tuple(plugins), level, settings or {}, expected_failures or {})
    return pytest.mark.benchbd_contract(contract)
