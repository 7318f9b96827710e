"""Executors that cannot work say so before any work."""

from __future__ import annotations

import socket
import sys

import pytest

from benchbd.errors import ConfigError
from benchbd.executing.executor import Limits, open_executor


@pytest.mark.parametrize(("executor", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_what_to_install_is_said(
    executor: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ConfigError, match=rf"needs the package {package}; pip install 'benchbd\[{executor}\]'"
    ):
        with open_executor(executor, {}, Limits()):
            pass


def test_a_cluster_that_does_not_answer_is_not_waited_for() -> None:
    pytest.importorskip(
        "ray", reason="the package ray is not installed; pip install 'benchbd[ray]'"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConfigError, match=rf"no Ray cluster answers at 127.0.0.1:{port}"):
        with open_executor("ray", {"executor.address": f"127.0.0.1:{port}"}, Limits()):
            pass
