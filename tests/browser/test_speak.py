"""The page Speak, in a real browser against a real server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ear
from tests.browser.visiting import PAYLOAD, fits, needs_chromium, shot, visit
from tests.conftest import Server, Start, launch, wait_until
from tests.hub import slow_kokoro

pytestmark = needs_chromium

#: Long enough that each is a segment of its own.
SENTENCES = [
    f"This is the sentence with the number {n}, and it goes on and on about nothing at all, until it is long enough to be "
    "cut off from the one that follows it, as a paragraph would be, if there were a paragraph here at all, which is not so."
    for n in range(1, 5)
]
LONG = "\n\n".join(SENTENCES)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Tone, two seconds for each segment, one at a time."""
    server = launch(
        tmp_path_factory.mktemp("slow"), "--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "2"}
    )
    yield server
    server.stop()


def write(page: Any, text: str) -> None:
    page.wait_for_selector("#text:enabled")
    page.get_by_label("What is to be said").fill(text)


def speak(page: Any, text: str) -> None:
    write(page, text)
    page.get_by_role("button", name="Speak", exact=True).click()


def at(page: Any) -> float:
    return float(page.evaluate("document.querySelector('.audio-player')?.dataset.at ?? 0"))


def last_body(server: Server, page: Any) -> dict[str, Any]:
    return dict(page.evaluate("JSON.parse(sessionStorage.getItem('antiphon.last')).body"))


def test_segments_are_counted_and_the_sentence_that_is_heard_is_marked(slow: Server, browser: Any) -> None:
    with visit(browser, slow, "speak") as page:
        speak(page, LONG)
        page.locator(".place").filter(has_text="left").wait_for()
        cells = "[...document.querySelectorAll('.segment-cells span')].map((cell) => Number(cell.dataset.part))"
        wait_until(lambda: (page.evaluate(cells) or [0])[0] == 1, "the first segment is done")
        assert page.evaluate(cells)[-1] < 1
        assert page.locator(".now").get_attribute("data-status") == "running"
        shot(page, "speak-running")
        page.wait_for_selector(".now[data-status=succeeded] .sentences li")
        page.locator(".sentences .line").nth(2).click()
        page.wait_for_selector(".sentences li:nth-child(3)[aria-current=true]")
        assert page.locator(".sentences [aria-current]").count() == 1
        page.get_by_role("button", name="Pause").click()
        assert at(page) > 1
        assert len(page.locator(".audio-player .shape").get_attribute("d")) > 1000
        page.reload()
        page.wait_for_selector(".now[data-status=succeeded] .sentences li")
        wait_until(lambda: "/ 0:2" in page.locator(".clock").inner_text(), "the sound is there after a reload")
        page.get_by_role("button", name="Make sentence 2 anew").click()
        wait_until(lambda: slow.client.get("/v1/jobs").json()["data"][0]["attempts"] >= 1, "asked for")
        page.wait_for_selector(".now[data-status=succeeded] .sentences li")


def test_a_text_is_heard_while_it_is_made(slow: Server, browser: Any) -> None:
    with visit(browser, slow, "speak") as page:
        speak(page, LONG.replace("This", "That"))
        wait_until(lambda: at(page) > 0.1, "it is heard")
        assert page.locator(".now").get_attribute("data-status") == "running"
        # The sentence that plays is marked although the others are still being made.
        wait_until(lambda: page.locator(".now .sentences [aria-current=true]").count() == 1, "it is marked")
        assert page.locator(".now").get_attribute("data-status") == "running"


def test_a_text_with_a_payload_is_only_text_and_every_file_can_be_had(
    espeak: Server, browser: Any, tmp_path: Path
) -> None:
    with visit(browser, espeak, "speak") as page:
        # As code it is read, and not taken for a tag that is silent.
        speak(page, f"`{PAYLOAD}` Hello, this is a text.")
        page.wait_for_selector(".now[data-status=succeeded] .sentences li")
        assert PAYLOAD in page.locator(".sentences .said").first.inner_text()
        assert page.locator("main img").count() == 0
        page.locator(".downloads summary").click()
        shot(page, "speak")
        starts = {
            "WAV": b"RIFF",
            "MP3": None,
            "OPUS": b"OggS",
            "FLAC": b"fLaC",
            "AAC": None,
            "PCM": None,
            "SRT": b"1\n00:",
        }
        starts |= {"VTT": b"WEBVTT", "JSON": b'{"segments"'}
        for name, start in starts.items():
            with page.expect_download() as waiting:
                page.locator(".downloads").get_by_role("button", name=name, exact=True).click()
            file = tmp_path / waiting.value.suggested_filename
            waiting.value.save_as(file)
            data = file.read_bytes()
            assert file.suffix == f".{name.lower()}"
            assert len(data) > 50, name
            assert data.startswith(start or b""), (name, data[:20])


def test_mood_voice_speed_and_priority_are_asked_for(tone: Server, browser: Any) -> None:
    with visit(browser, tone, "speak", faults=1, viewport={"width": 390, "height": 844}) as page:
        write(page, "A happy text.")
        page.get_by_label("Voice", exact=True).select_option("tone/low")
        # A sample is shorter than a slow moment of this machine: that its button said so is written down.
        page.evaluate(
            """() => new MutationObserver(() => {
                window.stops ||= [...document.querySelectorAll("button")].some((one) => one.textContent.includes("Stop"));
            }).observe(document.body, { subtree: true, childList: true, characterData: true })"""
        )
        page.get_by_role("button", name="Hear it").click()
        page.wait_for_function("window.stops")
        page.get_by_label("Speed").fill("1.5")
        page.get_by_label("Priority").select_option("bulk")
        page.get_by_role("button", name="Happy").click()
        page.get_by_role("button", name="Speak", exact=True).click()
        page.wait_for_selector(".now[data-status=succeeded]")
        body = last_body(tone, page)
        asked = {key: body[key] for key in ("voice", "model", "speed", "priority", "emotion")}
        assert asked == {"voice": "low", "model": "tone", "speed": 1.5, "priority": "bulk", "emotion": "happy"}
        page.get_by_text("Mix emotions").click()
        page.get_by_label("Calm").fill("0.5")
        assert page.locator("[data-mood][aria-pressed=true]").count() == 0
        page.get_by_role("button", name="Speak", exact=True).click()
        wait_until(lambda: last_body(tone, page)["emotion"] == {"happy": 1, "calm": 0.5}, "weights are asked for")
        page.get_by_label("Speed").fill("9")
        page.get_by_role("button", name="Speak", exact=True).click()
        page.locator("#speed-wrong").filter(has_text="speed").wait_for()
        assert fits(page, 390)


def test_what_is_copied_runs(tone: Server, browser: Any, tmp_path: Path) -> None:
    with visit(browser, tone, "speak", permissions=["clipboard-read", "clipboard-write"]) as page:
        write(page, 'It\'s "quoted" $HOME `x` \\ 你好\nand goes on.')
        for name, run in (("curl", ["bash", "-c"]), ("Python", [sys.executable, "-c"])):
            page.get_by_role("button", name=f"Copy as {name}").click()
            page.get_by_text("Copied.").wait_for()
            script = page.evaluate("navigator.clipboard.readText()")
            (tmp_path / "speech.wav").unlink(missing_ok=True)
            subprocess.run([*run, script], cwd=tmp_path, check=True, capture_output=True, timeout=60)
            assert (tmp_path / "speech.wav").read_bytes().startswith(b"RIFF")


@pytest.mark.models
def test_the_banner_tells_what_is_fetched_and_the_input_does_not_wait_for_it(
    serve: Start, browser: Any, tmp_path: Path
) -> None:
    models = ("--model", "espeak", "--model", "kokoro", "--models-dir", str(tmp_path / "models"))
    with slow_kokoro(tmp_path / "models") as (hub, env):
        server = serve(*models, "--workers", "1", env=env, ready=False)
        with visit(browser, server, "speak") as page:
            banner = page.locator("#banner")
            told = r"kokoro: .*MB of 1\d\d(\.\d)? MB"
            wait_until(
                lambda: re.search(told, banner.inner_text()) and banner.locator("progress").count(), "bytes are told"
            )
            wait_until(page.locator("#text").is_enabled, "espeak speaks meanwhile")
            hub.release.set()
            wait_until(banner.is_hidden, "kokoro is there", 100)


def test_the_banner_says_what_is_missing_and_the_input_waits(serve: Start, browser: Any, tmp_path: Path) -> None:
    args = ("--model", "kokoro", "--offline", "--models-dir", str(tmp_path / "models"))
    server = serve(*args, ready=False)
    with visit(browser, server, "speak") as page:
        page.locator("#banner code").first.wait_for()
        hint = next(m["hint"] for m in server.health()["models"] if m["hint"])
        assert page.locator("#banner code").first.inner_text().split() == hint.split()
        assert page.locator("#text").is_disabled()
        shot(page, "speak-offline")


def test_language_and_theme_are_switched_and_kept(tone: Server, browser: Any) -> None:
    with visit(browser, tone, "speak", color_scheme="light") as page:
        ground = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(ground)
        page.get_by_role("button", name="Theme: system").click()
        page.get_by_role("button", name="Theme: light").click()
        page.get_by_role("button", name="Theme: dark").wait_for()
        assert page.evaluate(ground) != light
        page.get_by_role("button", name="中文").click()
        page.get_by_label("要朗读的文字").wait_for()
        page.reload()
        page.get_by_label("要朗读的文字").wait_for()
        assert page.evaluate(ground) != light
        page.get_by_role("button", name="English").click()


def test_the_browser_chooses_the_language(tone: Server, browser: Any) -> None:
    options = {"locale": "zh-CN", "color_scheme": "dark", "viewport": {"width": 390, "height": 844}}
    with visit(browser, tone, "speak", **options) as page:
        page.get_by_label("要朗读的文字").wait_for()
        assert fits(page, 390)
        shot(page, "speak-zh")


def test_kokoro_is_heard(serve: Start, browser: Any) -> None:
    pytest.importorskip("kokoro_onnx")
    server = serve("--model", "kokoro", "--workers", "1", "--models-dir", str(ear.model("kokoro").parent), ready=False)
    with visit(browser, server, "speak") as page:
        speak(page, "This is a real voice.")
        wait_until(lambda: at(page) > 0.3, "it is heard")
        page.wait_for_selector(".now[data-status=succeeded] .sentences li")
        peaks = page.locator(".audio-player .shape").get_attribute("d")
        assert len(set(peaks.split("M"))) > 20, "a voice's waveform is not even"
        shot(page, "speak-kokoro")
