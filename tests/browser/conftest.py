"""One Chromium for all tests of the page that a process runs; each page of `visit` has storage of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    from tests.browser.visiting import CHROMIUM, sync  # Skips what imports it where playwright is not installed.

    with sync.sync_playwright() as playwright:
        microphone = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        args = ["--no-sandbox", "--no-proxy-server", "--autoplay-policy=no-user-gesture-required", *quiet, *microphone]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    yield chromium
    # A page that a failed test left open would go on playing, and asking its server, beside the next one.
    for context in chromium.contexts:
        context.close()
