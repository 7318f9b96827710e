"""A real browser for tests of the page: Debian's chromium, driven by playwright, with no way to any
network.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *(
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
    ),
    *("--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND"),
)


def require_browser() -> str:
    """The path of a browser. Skips the tests without one, or without playwright; where CI is set
    that is a failure.
    """
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    try:
        import playwright  # noqa: F401
    except ImportError:
        missing = "playwright is not installed; pip install '.[browser]'"
    else:
        missing = "" if path else "no chromium on the path; on Debian: apt-get install chromium"
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing or path is None:
        pytest.skip(missing)
    return path


@contextmanager
def started() -> Iterator[Any]:
    """A browser with a new, empty profile."""
    path = require_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, headless=True, args=list(OPTIONS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """One page from disk in a context of its own, with all that it asked for and complained of."""

    context: Any
    file: Path
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context.set_offline(True)
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on(
            "console",
            lambda said: (
                self.complaints.append(said.text) if said.type in ("error", "warning") else None
            ),
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "dialog",
            lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()),
        )

    def open(self, fragment: str = "") -> Any:
        """The page, freshly loaded with this fragment."""
        self.page.goto("about:blank")
        self.page.goto(self.file.as_uri() + fragment)
        return self.page

    @property
    def fragment(self) -> str:
        return str(self.page.evaluate("location.hash"))

    def require_quiet(self) -> None:
        """Nothing was asked of anybody but the file itself, and nothing complained of."""
        assert {url.partition("#")[0] for url in self.requests} <= {
            self.file.as_uri(),
            "about:blank",
        }
        assert self.complaints == []


@contextmanager
def visit(browser: Any, file: Path, **context: Any) -> Iterator[Visit]:
    """A visit that must end quietly. `context`: what playwright takes, such as `viewport` and
    `color_scheme`.
    """
    opened = browser.new_context(**context)
    try:
        found = Visit(opened, file)
        yield found
        found.require_quiet()
    finally:
        opened.close()
