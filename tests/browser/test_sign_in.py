"""Sign-in: the page asks for a key, stores it for the chosen time, and sends it with every request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.visiting import needs_chromium
from tests.conftest import PATIENCE, Server, command, launch, wait_until

pytestmark = needs_chromium


def make_key(data: Path, name: str) -> str:
    return command("keys", "create", "--data-dir", str(data), "--name", name).stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    data = tmp_path_factory.mktemp("guarded")
    key = make_key(data, "reader")
    server = launch(data, "--model", "tone", "--workers", "1")
    yield server, key
    server.stop()


def open_page(context: Any, server: Server) -> Any:
    page = context.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(server.base)
    return page


def sign_in(page: Any, key: str, keep: bool = False) -> None:
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_label("Remember it").set_checked(keep)
    page.locator("dialog").get_by_role("button", name="Sign in").click()


def test_a_key_opens_everything(guarded: tuple[Server, str], browser: Any, tmp_path: Path) -> None:
    server, key = guarded
    context = browser.new_context(locale="en-US", accept_downloads=True)
    page = open_page(context, server)
    sign_in(page, "ak_wrong")
    page.get_by_text("did not take the last key").wait_for()
    assert page.locator("dialog").count() == 1, "everybody who waits is answered by one dialog"
    sign_in(page, key)
    page.wait_for_selector("html[data-live=socket]", state="attached")
    page.locator("#text:enabled").fill("Spoken with a key. " * 20)
    page.locator("#model option[value=tone]").wait_for(state="attached")
    page.locator("#send").click()
    page.wait_for_selector(".now[data-status=succeeded] .sentences li")
    wait_until(lambda: float(page.locator(".audio-player").get_attribute("data-at")) > 0.05, "it is heard")
    page.locator(".downloads summary").click()
    with page.expect_download() as waiting:
        page.locator(".downloads").get_by_role("button", name="WAV").click()
    waiting.value.save_as(tmp_path / "speech.wav")
    assert (tmp_path / "speech.wav").read_bytes().startswith(b"RIFF")
    page.get_by_role("link", name="Jobs").click()
    page.locator(".jobs").get_by_role("button", name="Play").first.click()
    page.locator(".jobs").get_by_role("button", name="Stop").wait_for()
    page.get_by_role("link", name="Voices").click()
    page.wait_for_selector("ap-voices .voices li")
    # It was kept for this tab only.
    page.reload()
    page.wait_for_selector("ap-voices .voices li")
    other = open_page(context, server)
    other.get_by_label("Key", exact=True).wait_for()
    other.close()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Key", exact=True).wait_for()
    page.get_by_role("button", name="Not now").click()
    page.get_by_role("button", name="Sign in").wait_for()
    kept = page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}])")
    assert key not in kept
    assert "Spoken with a key" not in kept, "the next person reads nothing of it"
    context.close()


def test_a_key_is_remembered_where_that_was_chosen(guarded: tuple[Server, str], browser: Any) -> None:
    server, key = guarded
    context = browser.new_context(locale="en-US")
    page = open_page(context, server)
    sign_in(page, key, keep=True)
    page.wait_for_selector("html[data-live=socket]", state="attached")
    other = open_page(context, server)
    other.locator("#model option[value=tone]").wait_for(state="attached")
    assert other.locator("dialog").count() == 0
    context.close()
