"""Live events without WebSocket, and without any event stream: the page falls back to polling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.visiting import needs_chromium
from tests.conftest import PATIENCE, Server, launch, wait_until

pytestmark = needs_chromium

NO_SOCKET = "window.WebSocket = class { constructor() { throw new DOMException('not here'); } };"
#: Every sentence is a segment of its own.
TEXT = "\n\n".join(
    f"Paragraph {n} of a text that is made step by step, so that whoever looks on sees it grow, sentence after sentence, "
    "which takes as long as it takes, for nobody is in a hurry here, and nothing else waits for it to be done."
    for n in range(4)
)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = launch(
        tmp_path_factory.mktemp("slow"), "--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "2"}
    )
    yield server
    server.stop()


@pytest.mark.parametrize("mode", ["stream", "poll"])
def test_progress_and_the_end_are_seen(slow: Server, browser: Any, mode: str) -> None:
    context = browser.new_context(locale="en-US")
    context.add_init_script(NO_SOCKET)
    page = context.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(slow.base).partition("=")[0]))
    if mode == "poll":
        page.route("**/events", lambda route: route.abort())
    page.goto(slow.base)
    page.wait_for_selector(f"html[data-live={mode}]", state="attached")
    page.locator("#text:enabled").fill(f"{mode}\n\n{TEXT.replace('Paragraph', mode)}")
    page.locator("#send").click()
    progress = page.locator(".now progress")
    wait_until(lambda: 0 < float(progress.evaluate("(bar) => bar.value")) < 1, "it grows")
    if mode == "stream":
        wait_until(
            lambda: page.evaluate("document.querySelectorAll('.segment-cells [data-part=\"1\"]').length") in (1, 2, 3),
            "segments are told one by one",
        )
    page.wait_for_selector(".now[data-status=succeeded] .sentences li")
    assert page.evaluate("document.documentElement.dataset.live") == mode
    if mode == "poll":
        assert "/status?id" in asked
    context.close()
