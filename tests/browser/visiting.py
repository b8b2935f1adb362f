"""Visiting: opens a page in Chromium and fails on errors in the console."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any

import pytest

from tests.conftest import PATIENCE, Server

sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
#: The headless shell is Chromium without its own windows: the same engine, and less than half of the processor time.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium: apt-get install chromium-headless-shell"
)
#: A text that would run a script if it were inserted as markup.
PAYLOAD = "<img src=x onerror=alert(1)>"

#: Controls without an accessible name, or less than 44 px high. A checkbox is enlarged by its label.
UNFIT = """() => [...document.querySelectorAll(".page :is(button, a, select, input, summary, progress, svg[role=img])")]
    .filter((node) => node.checkVisibility({ contentVisibilityAuto: true }) && !node.classList.contains("unseen"))
    .filter((node) => {
        const named = node.ariaLabel || node.labels?.length || node.textContent.trim();
        const shown = node.matches("[type=checkbox], progress, svg") || node.getBoundingClientRect().height >= 43.5;
        return !named || !shown;
    }).map((node) => node.outerHTML)"""


@contextlib.contextmanager
def visit(browser: Any, server: Server, name: str, *, locale: str = "en-US", faults: int = 0, **options: Any) -> Any:
    """Opens a page. At the end, fails on console errors beyond `faults` refused requests."""
    page = browser.new_page(locale=locale, accept_downloads=True, **options)
    page.set_default_timeout(PATIENCE * 1000)
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: said.append(str(e)))
    page.on("dialog", lambda d: (said.append(f"dialog: {d.message}"), d.dismiss()))
    page.goto(f"{server.base}/#/{name}")
    mount(page, name)
    yield page
    assert page.evaluate(UNFIT) == [], "controls without a name, or too small for a finger"
    refused = [each for each in said if "Failed to load resource" in each]
    assert [each for each in said if each not in refused] == []
    assert len(refused) <= faults, refused
    page.close()


def mount(page: Any, name: str) -> None:
    """Waits until the page's element is mounted, also after a reload."""
    page.wait_for_selector(f"ap-{name} h2")


def shot(page: Any, name: str, whole: bool = True) -> None:
    """Saves a screenshot to the folder in ANTIPHON_SCREENSHOTS, if set."""
    if folder := os.environ.get("ANTIPHON_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=whole)


def fits(page: Any, width: int) -> bool:
    return int(page.evaluate("document.documentElement.scrollWidth")) <= width
