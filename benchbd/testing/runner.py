"""The runner of the checks: it tests one plugin against all rules of its family."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchbd.engine.hardware import default_precision
from benchbd.errors import ConfigError, NotApplicable, nearest
from benchbd.plugin.plugin import Plugin
from benchbd.testing import checks  # noqa: F401 - registers them
from benchbd.testing.check import CHECKS, Check
from benchbd.testing.result import CHECK_LEVELS, NOT_TRIED, CheckLevel, NotSeen, Result, RuleBroken
from benchbd.testing.subject import GATES, Subject
from benchbd.testing.tiny_data import TINY_RECIPE


def check_plugin(
    cls: type[Plugin],
    level: CheckLevel = "smoke",
    *,
    settings: Mapping[str, Any] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> list[Result]:
    """Return one result per check of the plugin's family, up to `level`.

    settings: parameters to check it with. expected_failures: checks that it is known to fail, by
    name, with the reason; one of them that passes is reported as failed, so that the list does not
    outlive its reasons.
    """
    expected = dict(expected_failures or {})
    chosen = checks_for(cls, level)
    if unknown := [name for name in expected if name not in {check.name for check in CHECKS}]:
        raise ConfigError(
            f"no check named {unknown[0]!r}{nearest(unknown[0], [check.name for check in CHECKS])}"
        )
    subject = Subject(cls, level, dict(settings or {}))
    return [_strict(run_check(check, subject), expected.get(check.name)) for check in chosen]


def checks_for(cls: type[Plugin], level: CheckLevel) -> list[Check]:
    """Return the checks of a plugin's family, up to a level."""
    allowed = CHECK_LEVELS[: CHECK_LEVELS.index(level) + 1]
    return [check for check in CHECKS if check.level in allowed and check.wants(cls)]


def run_check(check: Check, subject: Subject) -> Result:
    """Run one check and return its result, whatever the plugin raises. No check is run for a plugin
    that fails an earlier gate.
    """
    if subject.unfit and check.name not in GATES[: GATES.index(subject.unfit) + 1]:
        return Result(
            subject.cls.name, check.name, check.rule, "skipped", f"{NOT_TRIED}; see {subject.unfit}"
        )
    start, status, message, trace = time.perf_counter(), "passed", "", ""
    try:
        # as the core does, so that nothing depends on what this processor offers
        with default_precision(TINY_RECIPE.precision):
            check.run(subject)
    except RuleBroken as error:
        status, message = "failed", str(error)
        trace = "".join(traceback.format_exception(error.__cause__)) if error.__cause__ else ""
    except (NotApplicable, NotSeen) as error:
        status, message = "n/a" if isinstance(error, NotApplicable) else "skipped", str(error)
    except (Exception, SystemExit) as error:
        status, message, trace = (
            "failed",
            f"it raised {type(error).__name__}: {error}",
            traceback.format_exc(),
        )
    return Result(
        subject.cls.name,
        check.name,
        check.rule,
        status,  # type: ignore[arg-type]
        message,
        round(time.perf_counter() - start, 3),
        trace,
    )


def _strict(result: Result, reason: str | None) -> Result:
    """Return the result with regard to the expected failures. An expected failure is no fault, and
    a pass that was expected to fail is one.
    """
    if reason is None or result.status not in ("failed", "passed"):
        return result
    if result.status == "failed":
        return replace(result, status="expected", message=f"{reason}: {result.message}")
    return replace(
        result,
        status="failed",
        message=f"it was expected to fail ({reason}) and passed; take it off the list",
    )
