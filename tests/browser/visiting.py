"""Visiting one of the pages in a real browser, with an eye on what the console says."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import PATIENCE, Server

sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")
#: A text that would do harm as markup.
PAYLOAD = "<img src=x onerror=alert(1)>"

#: Controls of the page that nobody can name, or that are less than 44 px high. A tick has its label beside it.
UNFIT = """() => [...document.querySelectorAll(".page :is(button, a, select, input, summary, progress, svg[role=img])")]
    .filter((node) => node.checkVisibility({ contentVisibilityAuto: true }) && !node.classList.contains("unseen"))
    .filter((node) => {
        const named = node.ariaLabel || node.labels?.length || node.textContent.trim();
        const shown = node.matches("[type=checkbox], progress, svg") || node.getBoundingClientRect().height >= 43.5;
        return !named || !shown;
    }).map((node) => node.outerHTML)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync.sync_playwright() as playwright:
        microphone = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        args = ["--no-sandbox", "--no-proxy-server", "--autoplay-policy=no-user-gesture-required", *quiet, *microphone]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        yield browser
        browser.close()


@contextlib.contextmanager
def visit(browser: Any, server: Server, name: str, *, locale: str = "en-US", faults: int = 0, **options: Any) -> Any:
    """A page of that name. At its end nothing may have gone wrong in it but `faults` refused requests."""
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
    """Waits for the page's element; also after a reload."""
    page.wait_for_selector(f"ap-{name} h2")


def shot(page: Any, name: str, whole: bool = True) -> None:
    """A picture for people, where they ask for it."""
    if folder := os.environ.get("ANTIPHON_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=whole)


def fits(page: Any, width: int) -> bool:
    return int(page.evaluate("document.documentElement.scrollWidth")) <= width
