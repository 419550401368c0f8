"""The system's Chromium, without a window, for pages that only a browser shows."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Of the pictures too: wide enough for a table of runs beside MLflow's menus.
WIDTH, HEIGHT = 1500, 950

# A page of MLflow is a megabyte of JavaScript, on cores that tests share.
PATIENCE_MS = 60_000


def executable() -> str | None:
    """Return the path of Chromium, None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def require_chromium() -> None:
    """Skip the test where there is no Chromium; in CI that is a failure."""
    if executable() is not None and find_spec("playwright") is not None:
        return
    reason = "needs Chromium (Debian: apt install chromium) and playwright, of the extra dev"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def page(width: int = WIDTH, height: int = HEIGHT) -> Iterator[Page]:
    """Yield an empty page of a browser of its own, with nothing stored from before."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # No sandbox: tests run as root in containers, and open nothing but our own server.
        browser = playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        try:
            opened = browser.new_page(viewport={"width": width, "height": height})
            opened.set_default_timeout(PATIENCE_MS)
            yield opened
        finally:
            browser.close()
