"""The page Voices: a recording is trimmed, uploaded, played and deleted; errors appear at the field they concern."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from antiphon.audio import pcm, wav
from tests.browser.visiting import PAYLOAD, fits, needs_chromium, shot, visit
from tests.conftest import Server
from tests.unit.test_audio_pcm import pitch, tone

pytestmark = needs_chromium

RATE = 24_000
LOW, HIGH = 300, 900
FILES = (
    *(f"pages/{name}.js" for name in ("voices", "dashboard", "books")),
    *(f"parts/{name}.js" for name in ("upload-form", "queue", "workers", "statistics", "book")),
    "audio/trimmer.js",
)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two seconds of a low tone, then four of a high one."""
    file = tmp_path / f"{PAYLOAD.replace('/', '')}.wav"
    audio = tone(2, RATE, LOW) + tone(4, RATE, HIGH)
    file.write_bytes(wav.header(RATE, len(audio)) + audio)
    return file


@pytest.fixture
def emptied(tone: Server) -> Iterator[Server]:
    yield tone
    for voice in tone.client.get("/v1/audio/voices").json()["uploaded_voices"]:
        tone.client.delete(f"/v1/audio/voices/{voice['id']}")


def fill(page: Any, name: str) -> None:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("I am the speaker").check()


def open_form(page: Any) -> None:
    page.get_by_text("Add a voice").click()


def slide(page: Any, label: str, seconds: float) -> None:
    page.get_by_label(label, exact=True).evaluate(
        "(node, value) => { node.value = value; node.dispatchEvent(new Event('input', { bubbles: true })); }", seconds
    )


def test_a_recording_is_cut_uploaded_heard_and_deleted(emptied: Server, browser: Any, recording: Path) -> None:
    with visit(browser, emptied, "voices") as page:
        open_form(page)
        page.locator("#voice-file").set_input_files(recording)
        page.get_by_text(f"{recording.name}: move both ends").wait_for()
        slide(page, "Start", 2.5)
        # The other end by keys, as those do who have no pointer: 0.01 s each.
        page.get_by_label("End", exact=True).focus()
        for _ in range(50):
            page.keyboard.press("ArrowLeft")
        page.get_by_text("3 of 6 s").wait_for()
        shot(page, "voices-cut")
        fill(page, PAYLOAD)
        page.get_by_role("button", name="Add the voice").click()
        page.get_by_text(f"{PAYLOAD} was added.").wait_for()
        (mine,) = emptied.client.get("/v1/audio/voices").json()["uploaded_voices"]
        assert (mine["name"], round(mine["seconds"], 1)) == (PAYLOAD, 3.0)
        assert mine["consent"].startswith("I am the speaker")
        audio, rate = wav.read(emptied.client.get(mine["sample"]).content)
        assert math.isclose(pitch(audio, rate), HIGH, rel_tol=0.01)
        play = page.get_by_role("button", name=f"Play a sample of {PAYLOAD}")
        play.click()
        page.wait_for_function("document.querySelector('.own [aria-pressed=true]')?.textContent === 'Stop'")
        page.get_by_role("button", name=f"Delete {PAYLOAD}").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        play.wait_for(state="detached")
        assert emptied.client.get("/v1/audio/voices").json()["uploaded_voices"] == []


def test_a_refusal_is_shown_where_it_is_wrong(emptied: Server, browser: Any, tmp_path: Path) -> None:
    silent = tmp_path / "silent.wav"
    audio = pcm.silence(2, RATE)
    silent.write_bytes(wav.header(RATE, len(audio)) + audio)
    text = tmp_path / "text.wav"
    text.write_text("This is no sound. " * 200)
    with visit(browser, emptied, "voices", faults=3) as page:
        open_form(page)
        add = page.get_by_role("button", name="Add the voice")
        add.click()
        page.get_by_text("Give the voice a name.").wait_for()
        page.get_by_text("only with its speaker's consent").wait_for()
        fill(page, "Anna")
        for file, reason in ((silent, "The recording is silent"), (text, "cannot be read")):
            page.locator("#voice-file").set_input_files(file)
            page.locator(".source [role=status]", has_text=file.name).wait_for()
            add.click()
            wrong = page.locator(".field", has=page.locator(".source")).get_by_role("alert")
            wrong.get_by_text(reason).wait_for()
        shot(page, "voices-refused")
        loud = tone(2, RATE, LOW)
        silent.write_bytes(wav.header(RATE, len(loud)) + loud)
        page.locator("#voice-file").set_input_files(silent)
        page.get_by_text("silent.wav: move both ends").wait_for()
        page.get_by_label("Name", exact=True).fill("..")
        add.click()
        page.get_by_role("alert").get_by_text("That is no name for a voice").wait_for()
        assert page.get_by_label("Name", exact=True).get_attribute("aria-invalid") == "true"


def test_the_microphone_records(emptied: Server, browser: Any) -> None:
    with visit(browser, emptied, "voices") as page:
        open_form(page)
        page.get_by_role("button", name="Record", exact=True).click()
        page.get_by_text(re.compile("Recording: [1-9]")).wait_for()
        page.get_by_role("button", name="Stop recording").click()
        page.get_by_text("Your recording: move both ends").wait_for()
        assert float(page.get_by_label("End", exact=True).get_attribute("max")) > 0.5


def test_a_file_is_dropped(emptied: Server, browser: Any) -> None:
    with visit(browser, emptied, "voices") as page:
        page.evaluate(
            """() => {
                const dropped = new DataTransfer();
                dropped.items.add(new File(["no sound"], "dropped.mp3"));
                document.querySelector(".upload").dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true }));
            }"""
        )
        page.get_by_text("dropped.mp3 cannot be shown here").wait_for()


def test_voices_are_found_and_played_one_at_a_time(espeak: Server, browser: Any) -> None:
    espeak_voices = espeak.client.get("/v1/audio/voices").json()["voices"]
    with visit(browser, espeak, "voices", locale="zh-CN", viewport={"width": 390, "height": 844}) as page:
        page.get_by_text(f"{len(espeak_voices)} 个声音").wait_for()
        page.get_by_label("语言").select_option("fr")
        rows = page.locator(".voices:not(.own) li")
        french = [v for v in espeak_voices if "fr" in v["languages"]]
        page.get_by_text(f"{len(french)} 个声音").wait_for()
        assert rows.count() == len(french)
        page.get_by_label("语言").select_option("")
        buttons = page.get_by_role("button", name="播放")
        buttons.nth(0).click()
        page.wait_for_selector("[aria-pressed=true]")
        buttons.nth(1).click()
        page.wait_for_function("document.querySelectorAll('.voices button')[1].ariaPressed === 'true'")
        assert page.locator("[aria-pressed=true]").count() == 1
        page.get_by_label("搜索").fill("none such")
        page.get_by_text("没有符合的声音").wait_for()
        assert fits(page, 390)
        shot(page, "voices-phone-zh")


def test_a_server_that_cannot_clone_says_so(espeak: Server, browser: Any, recording: Path) -> None:
    sent = espeak.client.post(
        "/v1/audio/voices",
        data={"name": "kept", "consent": "mine"},
        files={"audio_sample": ("a.wav", recording.read_bytes())},
    )
    assert sent.status_code == 200
    with visit(browser, espeak, "voices", color_scheme="dark") as page:
        page.get_by_text("No model on this server can imitate a voice").wait_for()
        page.get_by_role("button", name="Play a sample of kept").wait_for()
        shot(page, "voices-dark")


def test_both_languages_say_the_same_things(tone: Server, browser: Any) -> None:
    with visit(browser, tone, "voices") as page:
        strings = page.evaluate("async () => (await import('/web/i18n/pages.js')).STRINGS")
    assert strings["en"].keys() == strings["zh"].keys()
    for key, english in strings["en"].items():
        assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", strings["zh"][key])), key
    web = resources.files("antiphon").joinpath("web")
    source = "".join(web.joinpath(name).read_text() for name in FILES)
    used = set(re.findall(r"\b(?:t|label): \"(\w+)\"|\bt\(\"(\w+)\"|button\(\"(\w+)\"|field\(\"(\w+)\"", source))
    assert {key for keys in used for key in keys if key} <= strings["en"].keys()
