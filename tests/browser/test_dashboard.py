"""The page Dashboard: queue control by mouse and keyboard, memory curves of the workers, statistics."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.visiting import fits, needs_chromium, shot, visit
from tests.conftest import PATIENCE, Server, Start, wait_until

pytestmark = needs_chromium

#: Seconds per character: the first job occupies the worker for the whole test.
SLOW = {"ANTIPHON_TONE_DELAY_PER_CHAR": "1"}


def submit(server: Server, text: str, **more: Any) -> str:
    answer = server.client.post("/v1/jobs", json={"input": text, **more})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


@pytest.fixture
def line(serve: Start) -> tuple[Server, list[str]]:
    """A running job, and three jobs that wait in order."""
    server = serve("--model", "tone", "--workers", "1", env=SLOW)
    running = submit(server, "x" * 90)
    wait_until(lambda: server.job(running)["status"] == "running", "the first job runs")
    return server, [running, *(submit(server, f"job {n}") for n in range(3))]


def order(server: Server) -> list[str]:
    return [row["id"] for row in server.client.get("/v1/queue").json()["data"]]


def row_of(server: Server, job: str) -> dict[str, Any]:
    return next(dict(row) for row in server.client.get("/v1/queue").json()["data"] if row["id"] == job)


def test_the_queue_by_mouse(line: tuple[Server, list[str]], browser: Any) -> None:
    server, (running, first, second, third) = line
    assert order(server) == [running, first, second, third]
    with visit(browser, server, "dashboard", viewport={"width": 1100, "height": 1000}) as page:
        rows = page.locator(".queue li")
        page.wait_for_selector(f"[data-id='{third}']")
        held = page.locator(f"[data-id='{third}']")
        held.locator(".grip").hover()
        page.mouse.down()
        box = rows.nth(0).bounding_box()
        for step in range(4):  # More than one move: a drag begins with the first, and is over something with the next.
            page.mouse.move(box["x"] + 200 + step, box["y"] + 10 + step)
        page.wait_for_selector(".dragging .first.over")
        shot(page, "dashboard-drag", whole=False)
        page.mouse.up()
        wait_until(
            lambda: order(server).index(third) < order(server).index(first), "the dragged job is before the others"
        )
        page.wait_for_function(
            "(ids) => { const all = [...document.querySelectorAll('.queue li')].map((row) => row.dataset.id);"
            " return all.indexOf(ids[0]) < all.indexOf(ids[1]); }",
            arg=[third, first],
        )
        page.locator(f"[data-id='{second}']").get_by_label("Class of").select_option("vip")
        wait_until(lambda: row_of(server, second)["priority"] == "vip", "the class is changed")
        page.locator(f"[data-id='{first}']").get_by_role("button", name="Pause").click()
        wait_until(lambda: row_of(server, first)["paused"], "the job is paused")
        page.locator(f"[data-id='{first}']").get_by_role("button", name="Resume").click()
        wait_until(lambda: not row_of(server, first)["paused"], "the job goes on")
        page.locator(f"[data-id='{first}']").get_by_role("button", name="Cancel").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
        page.locator(f"[data-id='{first}']").wait_for(state="detached")
        assert server.job(first)["status"] == "cancelled"


def test_the_queue_by_keyboard(line: tuple[Server, list[str]], browser: Any) -> None:
    server, (_, first, _, third) = line
    with visit(browser, server, "dashboard") as page:
        press = page.keyboard.press
        page.locator(f"[data-id='{third}']").get_by_role("button", name="Make").focus()
        press("Enter")
        wait_until(lambda: order(server).index(third) < order(server).index(first), "the job is before the others")
        page.get_by_text(f"{third[-8:]} is next.").wait_for()
        # The focus moved with the row: the next button belongs to the same job.
        press("Tab")
        press("Space")
        wait_until(lambda: row_of(server, third)["paused"], "the job is paused")
        press("Tab")
        press("Enter")
        page.get_by_role("dialog").wait_for()
        press("Escape")
        assert row_of(server, third)["status"] == "queued"
        press("Enter")
        press("Tab")
        press("Enter")
        wait_until(lambda: server.job(third)["status"] == "cancelled", "the job is cancelled")
        page.locator(f"[data-id='{third}']").wait_for(state="detached")
        everything = page.get_by_role("button", name="Pause everything")
        everything.focus()
        press("Enter")
        page.get_by_role("button", name="Resume everything").wait_for()
        assert server.client.get("/v1/queue").json()["paused"] is True
        press("Enter")
        everything.wait_for()
        assert server.client.get("/v1/queue").json()["paused"] is False


def test_curves_and_figures_are_drawn(tone: Server, browser: Any) -> None:
    for n in range(5):
        assert tone.client.post("/tts", json={"text": f"Number {n}"}).status_code == 200
    with visit(browser, tone, "dashboard", locale="zh-CN", viewport={"width": 390, "height": 844}) as page:
        page.get_by_text("没有等待或正在处理的任务").wait_for()
        page.wait_for_selector(".workers [data-points]:not([data-points='0']):not([data-points='1'])")
        assert "L" in page.locator(".workers .stroke").first.get_attribute("d")
        assert page.get_by_role("img", name="的内存").count() == 2
        asked = page.wait_for_selector(".plot .bars .bar:not(.none)", state="attached")
        assert float(asked.get_attribute("height")) > 10
        assert "还" in page.locator(".advice").inner_text()
        assert page.get_by_role("cell").all_inner_texts().count("–") <= 2
        assert fits(page, 390)
        shot(page, "dashboard-phone-zh")
        page.get_by_role("button", name="English").click()
        page.get_by_role("heading", name="Requests per minute").wait_for()
        page.get_by_text("Nothing waits and nothing runs.").wait_for()


@pytest.fixture
def elsewhere(tone: Server) -> Iterator[Server]:
    """The same server through a relay whose address is not the operator's, as from another machine."""
    door = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, drain: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                drain.sendall(data)
            drain.shutdown(socket.SHUT_WR)

    def carry(near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", tone.port), source_address=("127.0.0.2", 0)) as far:
            back = threading.Thread(target=pump, args=(far, near))
            back.start()
            pump(near, far)
            back.join()

    carriers: list[threading.Thread] = []

    def relay() -> None:
        with contextlib.suppress(OSError):
            while True:
                carriers.append(threading.Thread(target=carry, args=(door.accept()[0],), daemon=True))
                carriers[-1].start()

    keeper = threading.Thread(target=relay, daemon=True)
    keeper.start()
    base = f"http://127.0.0.1:{door.getsockname()[1]}"
    server = Server(tone.process, base, tone.data, [], {}, tone.log)
    yield server
    server.client.close()
    door.shutdown(socket.SHUT_RDWR)
    door.close()
    for thread in (keeper, *carriers):
        thread.join(PATIENCE)


def test_who_may_not_see_the_queue_is_told_who_may(elsewhere: Server, browser: Any) -> None:
    assert elsewhere.client.get("/v1/queue").status_code == 403
    with visit(browser, elsewhere, "dashboard", faults=100) as page:
        page.get_by_text("The queue is shown to the operator only").wait_for()
        assert page.get_by_role("button", name="Pause everything").count() == 0
        page.wait_for_selector(".workers li")
