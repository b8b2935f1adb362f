"""The list of jobs, live: it outlives the server and keeps the focus."""

from __future__ import annotations

from typing import Any

from tests.browser.visiting import browser, needs_chromium
from tests.conftest import PATIENCE, Start, wait_until

__all__ = ["browser"]
pytestmark = needs_chromium


def test_a_killed_server_leaves_the_page_showing_the_jobs_end(serve: Start, browser: Any) -> None:
    env = {"ANTIPHON_TONE_DELAY": "0.4"}
    server = serve("--model", "tone", "--workers", "1", env=env)
    text = " ".join(f"This is the sentence with the number {n}, and it is long enough to be one." for n in range(12))
    job = server.client.post("/v1/jobs", json={"type": "speech", "input": text}).json()
    page = browser.new_page(locale="en-US")
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(f"{server.base}/#/jobs")
    page.evaluate("window.same = true")
    row = f"#list [data-id='{job['id']}']"
    page.wait_for_selector(f"{row}[data-status=running]")
    page.locator(f"{row} button").focus()
    bar = page.locator(f"{row} progress")
    wait_until(lambda: bar.evaluate("(bar) => bar.value") > 0.1, "the bar grows")
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"
    server.kill()
    page.get_by_text("The server does not answer").wait_for()
    serve("--model", "tone", "--workers", "1", "--port", str(server.port), data=server.data, env=env)
    page.wait_for_selector(f"{row}[data-status=succeeded]")
    assert page.evaluate("window.same") is True
    page.close()
