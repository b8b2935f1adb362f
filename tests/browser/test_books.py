"""The page Books: chapters by the server's rules, one job each, across a reload, downloaded as a zip."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from antiphon.audio import wav
from antiphon.text.chapters import split
from tests.browser.visiting import PAYLOAD, fits, mount, needs_chromium, shot, visit
from tests.conftest import Server, Start

pytestmark = needs_chromium

HEADINGS = ["Chapter 1", "CHAPTER IV. The Storm", "Chapter Twenty-One: Home", "Part One", "Prologue", "EPILOGUE", "# A Title",
    "## 第二节 风", "第一章 开端", "第十二回　宝玉初试云雨情", "第3章：风起", "第 5 章 雨", "楔子", "卷一", "尾声", "番外 雪夜",
    "Book II - The Return", "Appendix A", "Chapter 5 The Return", "chapter ninety nine", "chapter 12 – home",
    "Chapter 1 was the one she liked best, and so she read it again.", "Part of the reason was money.", "#hashtag",
    "第一章他看了很久，然后睡着了。", "In chapter 3 he dies.", "Introduction to chemistry is dull.", "序幕拉开之后，大家都笑了。",
    "chapter 7 the return", "Chapter ٣", "第一百二十回", "chapter iix what", "Part 3 of 4."]  # fmt: skip
SAMPLES = [
    "",
    "  The first line.\nThe second.\n",
    *(f"Before it.\n\n{heading}\nWhat it tells.\n" for heading in HEADINGS),
    "Contents\nChapter 1\nChapter 2\nChapter 3\nChapter 4\n\nChapter 1\nOne.\nChapter 2\nTwo.\nChapter 3\nThree.\n",
    "Part One\n\nChapter 1\nIt begins.\n\nChapter 2\nIt ends.\n",
    "第一章\n他来了\n第二章\n她走了\n",
    "Chapter 1\n\n\nChapter 2\n",
    "***\n\nChapter 1\nText 𝒂 with what is two units long.\n\u3000第二章 风\n好。",
    "Chapter 1\rOne.\u2028Chapter 2\nTwo.\n",
]
#: Three chapters; the slow server takes a character's time for each.
CHAPTERS = {
    "Chapter 1: Sea/Sky": "It begins.",
    f"Chapter 2: {PAYLOAD}": "It goes on for a while, which is longer than the title of the first.",
    "第三章 终": "It ends.",
}
BOOK = "".join(f"{title}\n\n{text}\n\n" for title, text in CHAPTERS.items())


def test_chapters_are_the_same_on_both_sides(tone: Server, browser: Any) -> None:
    with visit(browser, tone, "books") as page:
        found = page.evaluate(
            "async (all) => { const { split } = await import('/web/lib/chapters.js');"
            " return all.map((text) => split(text).map((each) => [each.title, each.text])); }",
            SAMPLES,
        )
    for sample, ours in zip(SAMPLES, found, strict=True):
        assert ours == [[each.title, each.text] for each in split(sample)], sample


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_files_are_read_in_their_encoding(tone: Server, browser: Any, tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "book.txt"
    file.write_bytes("第一章 风\r\n他来了。\r\n第二章 雨\r\n她走了。\r\n".encode(encoding))
    with visit(browser, tone, "books", locale="zh-CN") as page:
        page.locator("#book-file").set_input_files(file)
        page.get_by_text("找到 2 章").wait_for()
        assert page.locator(".chapters input[type=text]").nth(1).input_value() == "第二章 雨"


def test_what_is_no_text_is_refused(tone: Server, browser: Any, tmp_path: Path) -> None:
    file = tmp_path / f"{PAYLOAD.replace('/', '')}.txt"
    file.write_bytes(bytes(range(256)))
    with visit(browser, tone, "books") as page:
        page.locator("#book-file").set_input_files(file)
        page.get_by_role("alert").get_by_text(f"{file.name} is no text in UTF-8").wait_for()


def test_a_book_becomes_a_zip_over_a_reload(serve: Start, browser: Any, tmp_path: Path) -> None:
    # There is room for one chapter at a time, so the reload comes while the others are not sent yet.
    server = serve("--model", "tone", "--max-client-bytes", "80", env={"ANTIPHON_TONE_DELAY": "0.3"})
    file = tmp_path / f"{PAYLOAD}.txt"
    file.write_text("...\n\n" + BOOK)
    with visit(browser, server, "books", faults=20, viewport={"width": 390, "height": 844}) as page:
        page.locator("#book-file").set_input_files(file)
        page.get_by_text("chapters found: 3").wait_for()
        assert page.locator(".chapters input[type=text]").nth(1).input_value() == f"Chapter 2: {PAYLOAD}"
        page.get_by_label("Format").select_option("wav")
        page.get_by_label("Voice", exact=True).select_option(label="Low · tone")
        assert fits(page, 390)
        shot(page, "books-list-phone")
        page.get_by_role("button", name="Make the book").click()
        page.wait_for_selector(".book-jobs [data-status=held]")
        page.reload()
        mount(page, "books")
        page.get_by_text("3 of 3 chapters done").wait_for()
        # Nothing is sent again now, so what is shown is what was remembered.
        page.reload()
        mount(page, "books")
        page.get_by_text("3 of 3 chapters done").wait_for()
        jobs = server.client.get("/v1/jobs").json()["data"]
        assert len(jobs) == 3, "a reload sent a chapter again"
        assert fits(page, 390)
        shot(page, "books-done-phone")
        with page.expect_download() as one:
            page.get_by_role("link", name="Download Chapter 1").click()
        assert one.value.suggested_filename == "01 Chapter 1_ Sea_Sky.wav"
        with page.expect_download() as whole:
            page.get_by_role("button", name="Download all as zip").click()
        assert whole.value.suggested_filename.endswith(".zip")
        packed = Path(whole.value.path()).read_bytes()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            "01 Chapter 1_ Sea_Sky.wav",
            "02 Chapter 2_ _img src=x onerror=alert(1)_.wav",
            "03 第三章 终.wav",
        ]
        entries = [archive.read(name) for name in archive.namelist()]
    made = {job["id"]: server.client.get(f"/v1/jobs/{job['id']}/result").content for job in jobs}
    assert sorted(entries) == sorted(made.values())
    # The longer a text, the longer its tone.
    lengths = [len(wav.read(entry)[0]) for entry in entries]
    assert lengths[1] > lengths[0] > lengths[2] > 0, "an entry has another chapter's audio"


def test_a_book_is_edited_cancelled_and_forgotten(serve: Start, browser: Any, tmp_path: Path) -> None:
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "30"})
    file = tmp_path / "book.txt"
    file.write_text(BOOK)
    with visit(browser, server, "books", color_scheme="dark") as page:
        page.locator("#book-file").set_input_files(file)
        page.get_by_label("Title of Chapter 1").fill("First")
        page.get_by_role("button", name="Join Chapter 2").click()
        page.get_by_label("Read 第三章").uncheck()
        page.get_by_role("button", name="Make the book").click()
        page.get_by_text("0 of 1 chapters done").wait_for()
        page.wait_for_selector(".book-jobs [data-status=running]")
        shot(page, "books-dark")
        (job,) = server.client.get("/v1/queue").json()["data"]
        assert job["priority"] == "bulk"
        page.get_by_role("button", name="Cancel", exact=True).click()
        page.get_by_role("button", name="Cancel the chapters").click()
        page.wait_for_selector(".book-jobs [data-status=cancelled]")
        assert server.job(job["id"])["status"] == "cancelled"
        page.get_by_role("button", name="Try First again").wait_for()
        page.get_by_role("button", name="Remove from the list").click()
        page.locator(".book-jobs").wait_for(state="detached")
        page.reload()
        mount(page, "books")
        assert page.locator(".book-jobs").count() == 0


def test_without_a_secure_context_texts_are_told_apart(tone: Server, browser: Any) -> None:
    with visit(browser, tone, "books") as page:
        sums = page.evaluate(
            "async () => { const { sum } = await import('/web/storage/book-storage.js');"
            " return Array.from({ length: 20000 }, (_, n) => sum(new TextEncoder().encode(`Chapter ${n}`))); }"
        )
    assert len(set(sums)) == 20000
    assert all(len(each) == 32 for each in sums)
