"""Speaking from the page, in a real browser against a real server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import PATIENCE, Server, wait_until

sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync.sync_playwright() as playwright:
        args = ["--no-sandbox", "--no-proxy-server", "--autoplay-policy=no-user-gesture-required"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        yield browser
        browser.close()


def test_a_text_is_spoken_and_listed(espeak: Server, browser: Any) -> None:
    page = browser.new_page(locale="en-US")
    page.set_default_timeout(PATIENCE * 1000)
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: said.append(str(e)))
    page.goto(espeak.base)
    page.get_by_label("What is to be said").fill("<img src=x onerror=alert(1)> Hello.")
    page.get_by_role("button", name="Speak").click()
    page.wait_for_selector("#now [data-status=succeeded] audio")
    # Asked from here: the page's policy forbids the evaluation that `wait_for_function` repeats inside it.
    wait_until(lambda: page.evaluate("document.querySelector('#now audio').duration > 0.2"), "the sound has a length")
    shots(page, "speak")
    page.get_by_role("link", name="Jobs").click()
    page.wait_for_selector("#list [data-status=succeeded]")
    shots(page, "jobs")
    page.get_by_role("button", name="中文").click()
    page.locator("#list").get_by_text("完成").first.wait_for()
    assert said == []
    page.close()


def test_the_browser_chooses_the_language(espeak: Server, browser: Any) -> None:
    page = browser.new_page(locale="zh-CN", color_scheme="dark", viewport={"width": 390, "height": 844})
    page.goto(espeak.base)
    page.get_by_label("要朗读的文字").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shots(page, "zh")
    page.close()


def shots(page: Any, name: str) -> None:
    if folder := os.environ.get("ANTIPHON_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")
