"""The list of jobs, live: it outlives the server, keeps the focus, and stays smooth with a hundred of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests import ports
from tests.browser.visiting import PAYLOAD, fits, needs_chromium, shot, visit
from tests.conftest import PATIENCE, Server, Start, wait_until

pytestmark = needs_chromium

#: Milliseconds in which the page may stand still while a hundred jobs go through; generous, for two busy cores.
STILL = 400


def submit(server: Server, text: str, **more: Any) -> str:
    answer = server.client.post("/v1/jobs", json={"type": "speech", "input": text, **more})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_a_killed_server_leaves_the_page_showing_the_jobs_end(serve: Start, browser: Any) -> None:
    # A second for each paragraph: time enough for a page to open beside other tests.
    where = ("--model", "tone", "--workers", "1", "--port", str(ports.steady()))
    server = serve(*where, env={"ANTIPHON_TONE_DELAY": "1"})
    text = "\n\n".join(f"This is the sentence with the number {n}, and it is long enough to be one." for n in range(12))
    job = submit(server, text)
    page = browser.new_page(locale="en-US")
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(f"{server.base}/#/jobs")
    page.evaluate("window.same = true")
    row = f".jobs [data-id='{job}']"
    page.wait_for_selector(f"{row}[data-status=running]")
    page.locator(f"{row} button").focus()
    bar = page.locator(f"{row} progress")
    wait_until(lambda: bar.evaluate("(bar) => bar.value") > 0.1, "the bar grows")
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"
    server.kill()
    page.get_by_text("The server does not answer").wait_for()
    serve(*where, data=server.data)
    page.wait_for_selector(f"{row}[data-status=succeeded]")
    assert page.evaluate("window.same") is True
    page.close()


def test_a_job_is_cancelled_tried_again_heard_and_taken(serve: Start, browser: Any) -> None:
    server = serve("--model", "tone", "--workers", "1")
    server.client.post("/v1/queue/pause", json={}).raise_for_status()
    # As code it is read, and not taken for a tag that is silent.
    job = submit(server, f"`{PAYLOAD}` One sentence. And another one. " + "It goes on for a while. " * 20)
    with visit(browser, server, "jobs") as page:
        row = page.locator(f".jobs [data-id='{job}']")
        row.get_by_role("button", name="Cancel").click()
        page.wait_for_selector(f".jobs [data-id='{job}'][data-status=cancelled]")
        assert page.evaluate("document.activeElement.textContent") == "Try again", "the focus goes on"
        server.client.post("/v1/queue/resume", json={}).raise_for_status()
        row.get_by_role("button", name="Try again").click()
        page.wait_for_selector(f".jobs [data-id='{job}'][data-status=succeeded]")
        row.get_by_role("button", name="Play").click()
        row.get_by_role("button", name="Stop").click()
        with page.expect_download() as waiting:
            row.get_by_role("button", name="Download").click()
        assert waiting.value.suggested_filename == f"speech-{job}.wav"
        row.get_by_text("Sentences").click()
        row.locator(".said").filter(has_text=PAYLOAD).wait_for()
        with page.expect_download() as waiting:
            row.get_by_role("button", name="SRT").click()
        assert waiting.value.suggested_filename.endswith(".srt")
        shot(page, "jobs-open")
        row.get_by_role("button", name="Make sentence 1 anew").click()
        # It goes through the queue again and ends again; its row is redrawn, and its list is closed.
        wait_until(lambda: server.job(job)["attempts"] >= 2, "it is made anew")
        page.wait_for_selector(f".jobs [data-id='{job}'][data-status=succeeded]")
        row.get_by_role("button", name="Play").wait_for()
        page.reload()
        page.wait_for_selector(f".jobs [data-id='{job}'][data-status=succeeded]")


@pytest.mark.alone
def test_a_hundred_jobs_stay_smooth_and_come_in_pages(serve: Start, browser: Any) -> None:
    server = serve("--model", "tone", "--workers", "2", env={"ANTIPHON_TONE_DELAY": "0.02"})
    old = [submit(server, f"an old one, number {n}") for n in range(60)]
    server.wait_job(old[-1])
    with visit(browser, server, "jobs", viewport={"width": 390, "height": 844}) as page:
        page.wait_for_selector(".jobs li:nth-child(50)")
        page.evaluate(
            "() => { window.still = []; new PerformanceObserver((list) => window.still.push(...list.getEntries()"
            ".map((entry) => entry.duration))).observe({ type: 'longtask' }); }"
        )
        kept = page.locator(f".jobs [data-id='{old[-1]}']").element_handle()
        new = [submit(server, f"number {n}") for n in range(100)]
        page.wait_for_selector(f".jobs [data-id='{new[-1]}'][data-status=succeeded]")
        page.get_by_role("button", name="Show more").click()
        page.wait_for_selector(f".jobs [data-id='{old[0]}']")
        shown = page.evaluate("[...document.querySelectorAll('.jobs li')].map((row) => row.dataset.id)")
        assert shown == sorted({*shown}, reverse=True)
        assert {*old} <= {*shown}
        assert kept.evaluate("(row) => row.isConnected"), "a row is made once"
        longest = max(page.evaluate("window.still"), default=0)
        assert longest < STILL, f"the page stood still for {longest} ms"
        assert fits(page, 390)
        shot(page, "jobs-many", whole=False)


def test_show_more_goes_on_where_the_list_ends_after_a_gap_in_the_events(serve: Start, browser: Any) -> None:
    server = serve("--model", "tone", "--workers", "2", env={"ANTIPHON_TONE_DELAY": "0"})
    old = [submit(server, f"an old one, number {n}") for n in range(100)]
    server.wait_job(old[-1])
    # What the page asks for while it is offline fails, and Chromium says so.
    with visit(browser, server, "jobs", faults=20) as page:
        page.wait_for_selector(".jobs li:nth-child(50)")
        page.context.set_offline(True)
        new = [submit(server, f"number {n}") for n in range(120)]
        page.context.set_offline(False)
        page.evaluate(
            "import('/web/net/live-events.js').then(({ events }) =>"
            " events.dispatchEvent(new CustomEvent('event', { detail: null })))"
        )
        page.wait_for_selector(f".jobs [data-id='{new[0]}']")
        page.get_by_role("button", name="Show more").click()
        page.wait_for_selector(f".jobs [data-id='{old[0]}']")
        shown = page.evaluate("[...document.querySelectorAll('.jobs li')].map((row) => row.dataset.id)")
        assert shown == sorted([*old, *new], reverse=True)
