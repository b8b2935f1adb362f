"""Every page, light and dark, before axe: no fault that it calls serious or critical. And the keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.visiting import needs_chromium, visit
from tests.conftest import Server, launch

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
pytestmark = needs_chromium

PAGES = ("speak", "jobs", "voices", "dashboard", "books", "transcribe", "images")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has something to show."""
    server = launch(tmp_path_factory.mktemp("used"), "--model", "tone", "--workers", "1")
    job = server.client.post("/v1/jobs", json={"type": "speech", "input": "A sentence. And another."}).json()
    server.wait_job(job["id"])
    yield server
    server.stop()


def faults(page: Any) -> list[str]:
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {[node['html'] for node in each['nodes']][:3]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_shuts_anybody_out(used: Server, browser: Any, scheme: str) -> None:
    with visit(browser, used, "speak", color_scheme=scheme) as page:
        page.locator("#text:enabled").fill("Read this, please.")
        page.get_by_text("Mix emotions").click()
        page.locator("#send").click()
        page.wait_for_selector(".now[data-status=succeeded] .sentences li")
        page.locator(".downloads summary").click()
        wrong = {"speak": faults(page)}
        for name in PAGES[1:]:
            page.evaluate("(name) => { location.hash = `#/${name}`; }", name)
            page.wait_for_selector(f"ap-{name} h2")
            if name == "jobs":
                page.locator(".jobs").get_by_text("Sentences").first.click()
                page.wait_for_selector(".jobs .said")
            wrong[name] = faults(page)
        assert wrong == {name: [] for name in PAGES}


def test_the_keyboard_alone_is_enough(used: Server, browser: Any) -> None:
    with visit(browser, used, "speak") as page:
        page.wait_for_selector("#text:enabled")
        page.locator("h1").click()
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "text":
                break
        page.keyboard.type("Said without a mouse.")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector(".now[data-status=succeeded] .sentences li")
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.matches('.audio-player .play')"):
                break
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.type") == "range"
