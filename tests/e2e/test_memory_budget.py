"""Three models under a memory budget that holds two keep serving all three; loading and unloading by hand."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import plugins
from tests.conftest import Server, launch, wait_until
from tests.plugins.heavy_engines import BALLAST

NAMES = ("first", "second", "third")
#: Two of them with their interpreters fit, three do not.
BUDGET = 2 * BALLAST + BALLAST // 2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    module = Path(plugins.__file__).parent / "heavy_engines.py"
    env = plugins.installed(tmp_path_factory.mktemp("site"), module, dict.fromkeys(NAMES, "Heavy"))
    args = ["--workers", "1", "--memory-budget", str(BUDGET)]
    for name in NAMES:
        args += ["--model", name]
    made = launch(tmp_path_factory.mktemp("heavy"), *args, env=env)
    yield made
    made.stop()


def states(server: Server) -> dict[str, str]:
    return {model["id"]: model["state"] for model in server.client.get("/v1/models").json()["data"]}


def say(server: Server, model: str, text: str) -> int:
    body = {"model": model, "input": text, "response_format": "wav"}
    return server.client.post("/v1/audio/speech", json=body).status_code


def test_all_three_are_served_and_the_budget_is_kept(server: Server) -> None:
    # Each was loaded once, so that what it can do is known.
    wait_until(lambda: sorted(states(server).values()) == ["asleep", "ready", "ready"], "all are known")
    over, stop = list[int](), threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            loaded = [w["rss"] for w in server.client.get("/v1/workers").json()["data"] if w["rss"] > BALLAST]
            if sum(loaded) > BUDGET:
                over.append(sum(loaded))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(say, server, NAMES[n % 3], f"Sentence {n}.") for n in range(18)]
            assert {each.result() for each in asked} == {200}
    finally:
        stop.set()
        watcher.join()
    assert over == []
    assert list(states(server).values()).count("asleep") >= 1


def test_by_hand(server: Server) -> None:
    wait_until(lambda: "ready" in states(server).values(), "one is loaded")
    name = next(name for name, state in states(server).items() if state == "ready")
    answer = server.client.post(f"/v1/models/{name}/unload")
    assert (answer.status_code, answer.json()["id"]) == (202, name)
    wait_until(lambda: states(server)[name] == "asleep", "it sleeps")
    # Twice is once.
    assert server.client.post(f"/v1/models/{name}/unload").status_code == 202
    assert server.client.post(f"/v1/models/{name}/load").status_code == 202
    wait_until(lambda: states(server)[name] == "ready", "it is loaded again")
    assert server.client.post("/v1/models/nobody/load").status_code == 404
    assert say(server, name, "Still there.") == 200
