"""The pages Transcribe and Images, with two test engines: Morse code and bands of colour."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.audio import wav
from tests import plugins
from tests.browser.visiting import PAYLOAD, fits, mount, needs_chromium, shot, visit
from tests.conftest import Server, launch, wait_until

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def able(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    site = tmp_path_factory.mktemp("site")
    env = plugins.morse(site / "a")
    module = Path(plugins.__file__).parent / "drawing_engines.py"
    more = plugins.installed(site / "b", module, {"painter": "Painter"})
    env["PYTHONPATH"] += f":{more['PYTHONPATH']}"
    env["MORSE_READER_DELAY"] = "0.3"
    names = ("morse", "morse-reader", "painter")
    args = [word for name in names for word in ("--model", name)]
    made = launch(tmp_path_factory.mktemp("able"), *args, "--workers", "1", env=env, ready=False)
    try:
        for name in names:
            made.wait_ready(name)
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def recording(able: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    body = {"model": "morse", "input": "Hello from the page", "response_format": "wav", "speed": 2}
    file = tmp_path_factory.mktemp("recording") / "hello.wav"
    file.write_bytes(able.client.post("/v1/audio/speech", json=body).content)
    return file


@pytest.mark.parametrize(("locale", "width"), [("en-US", 1280), ("zh-CN", 375)])
def test_a_recording_is_written_down(able: Server, browser: Any, recording: Path, locale: str, width: int) -> None:
    with visit(browser, able, "transcribe", locale=locale, viewport={"width": width, "height": 800}) as page:
        wait_until(lambda: page.locator("#transcribe-model option").count() == 2, "the model is offered")
        assert page.locator("#transcribe-go").is_disabled()
        page.set_input_files("#transcribe-file", str(recording))
        page.click("#transcribe-go")
        wait_until(lambda: page.locator("#transcript").inner_text() == "hello from the page", "it is written down")
        with page.expect_download() as caught:
            page.get_by_role("button", name="SRT").click()
        assert "-->" in Path(caught.value.path()).read_text()
        assert fits(page, width)
        shot(page, f"transcribe-{locale}")
        # A reload shows it again.
        page.reload()
        mount(page, "transcribe")
        wait_until(lambda: page.locator("#transcript").inner_text() == "hello from the page", "it is there again")


def test_what_cannot_be_heard_says_why(able: Server, browser: Any, tmp_path: Path) -> None:
    silent = tmp_path / "silent.wav"
    silent.write_bytes(wav.header(16000, 32000) + bytes(32000))
    with visit(browser, able, "transcribe", faults=1) as page:
        page.set_input_files("#transcribe-file", str(silent))
        page.click("#transcribe-go")
        wait_until(lambda: "silent" in page.locator("ap-transcribe [role=alert]").all_inner_texts()[-1], "it says why")
        assert page.locator("#transcribe-go").is_enabled()


def test_images_are_drawn_and_downloaded(able: Server, browser: Any) -> None:
    with visit(browser, able, "images") as page:
        page.fill("#prompt", f"bands {PAYLOAD}")
        page.fill("#images-count", "2")
        page.fill("#images-seed", "5")
        page.click("#images-go")
        drawn = "[...document.querySelectorAll('.gallery img')].filter((image) => image.naturalWidth === 64).length"
        wait_until(lambda: page.evaluate(drawn) == 2, "two are seen")
        assert page.locator(".gallery img").first.get_attribute("alt") == f"bands {PAYLOAD}"
        with page.expect_download() as caught:
            page.locator(".gallery button").first.click()
        assert Path(caught.value.path()).read_bytes().startswith(b"\x89PNG")
        shot(page, "images")
        page.fill("#prompt", "impossible")
        page.click("#images-go")
        wait_until(
            lambda: "paint has run out" in page.locator("ap-images [role=alert]").all_inner_texts()[-1], "why not"
        )


def test_a_long_one_is_cancelled(able: Server, browser: Any) -> None:
    with visit(browser, able, "images") as page:
        page.fill("#prompt", "slow")
        page.fill("#images-count", "10")
        page.click("#images-go")
        page.get_by_role("button", name="Stop").click()
        wait_until(lambda: "Cancelled" in page.locator("ap-images").inner_text(), "it is cancelled")
        assert page.locator("#images-go").is_enabled()


def test_a_server_without_such_models_says_how_to_get_them(tone: Server, browser: Any) -> None:
    with visit(browser, tone, "transcribe") as page:
        wait_until(lambda: "whisper-base" in page.locator("ap-transcribe .note").inner_text(), "what helps")
    with visit(browser, tone, "images") as page:
        wait_until(lambda: "diffusers" in page.locator("ap-images .note").inner_text(), "what helps")


@pytest.mark.parametrize(("old", "name"), [("hear", "transcribe"), ("draw", "images")])
def test_old_addresses_of_pages_still_work(tone: Server, browser: Any, old: str, name: str) -> None:
    page = browser.new_page()
    page.goto(f"{tone.base}/#/{old}")
    mount(page, name)
    assert page.locator("nav a[aria-current=page]").get_attribute("href") == f"#/{name}"
    page.close()
