"""What comes out of a check says what and why."""

from __future__ import annotations

import pytest

from benchbd.testing import check_plugin, failures
from support.mutants import mutant

pytestmark = pytest.mark.usefixtures("no_processes")


@pytest.mark.slow
def test_a_result_says_what_and_why() -> None:
    (result,) = failures(check_plugin(mutant("training_mode"), "smoke"))[:1]
    assert result.to_json().keys() == {
        "plugin",
        "check",
        "rule",
        "status",
        "message",
        "seconds",
        "traceback",
    }
    assert (result.plugin, result.rule) == (
        "training_mode",
        "What comes back is a model, in eval mode.",
    )
    assert result.message == "it returned a model in training mode; return `model.eval()`"
