"""P20: no text freezes the server, on no route, and none that is stored freezes a start."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator

import pytest
from websockets.sync.client import connect

from tests.conftest import PATIENCE, Server, Start

#: It measures waiting: nothing else runs beside it.
pytestmark = pytest.mark.alone

#: Seconds that an answer to /livez may take on a machine with other work; the benchmark asks for 0.25.
MOST = 1.0

MARKS = "a" + "\u0301\u0323" * 60_000
#: What froze, or looked as if it could.
TEXTS = {
    "combining marks": MARKS,
    "marks that are stored as they came": f"{MARKS}[pause 1ms]b",
    "ends without a sentence": "a" + "! " * 50_000,
    "pauses": "a" * 100_000 + "[pause 1ms] " * 8000 + "b",
    "changes of tempo": "<speak>" + '<prosody rate="1.1">a</prosody>b ' * 1000 + "</speak>",
    "paragraphs": "a\n\n" * 4000,
    "quotations": "「好。」" * 4000,
    "nothing": " \n" * 100_000 + "a",
    "decoration": "=-" * 100_000 + "a",
    "numbers": "On 3/14/2024 he paid $1,234.56 for 5 kg at 9:30. " * 2500,
    "Chinese numbers": "今天-5℃，他花了¥99.9元买了3-4个。" * 3000,
    "marks of documents": "**a** [b](c) _d_ | <p> `e` \n\n# f\n" * 3000,
    "one paragraph of marks": "**a _b [c](d <p " * 8000,
    "links without an end": "[a][b] " * 10_000 + "\n\n[b]: https://example.org",
    "brackets": "a" + "(b [" * 4000,
}


class Watch(threading.Thread):
    """Asks /livez every 20 ms."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._over = threading.Event()
        self.first = threading.Event()
        self.worst = 0.0

    def run(self) -> None:
        with contextlib.closing(self._connection) as connection:
            while not self._over.wait(0.02):
                began = time.monotonic()
                connection.request("GET", "/livez")
                connection.getresponse().read()
                self.worst = max(self.worst, time.monotonic() - began)
                self.first.set()

    def stop(self) -> None:
        self._over.set()
        self.join()


@contextlib.contextmanager
def watched(server: Server) -> Iterator[Watch]:
    watch = Watch(server)
    watch.start()
    try:
        assert watch.first.wait(PATIENCE)
        yield watch
    finally:
        watch.stop()
    assert watch.worst < MOST, f"/livez took {watch.worst:.2f} s"


def try_all(server: Server, text: str) -> list[int]:
    """Statuses of the text on every route; what is taken is given up at once."""
    client = server.client
    job = client.post("/v1/jobs", json={"input": text})
    turns = [{"text": f"a {text[:200]}"}] * 40
    answers = [job, client.post("/v1/jobs", json={"turns": turns}), *(
        client.post(path, json=body)
        for path, body in (
            ("/tts", {"text": text[:9000], "wait": False}),
            ("/v1/audio/speech/batch", {"items": [{"input": text[:300]}, {"input": text[:300]}]}),
        )
    )]  # fmt: skip
    for answer in answers:
        if answer.status_code == 202:
            client.delete(f"/v1/jobs/{answer.json()['id']}")
    for path, body in (("/v1/audio/speech", {"input": text}), ("/v1/audio/dialogue", {"turns": turns})):
        with client.stream("POST", path, json=body) as answer:
            answers.append(answer)
    return [answer.status_code for answer in answers]


def test_no_text_freezes_a_route(tone: Server) -> None:
    worst = {}
    for name, text in TEXTS.items():
        with watched(tone) as watch:
            statuses = try_all(tone, text)
        worst[name] = round(watch.worst, 3)
        # The beginning of a text may have nothing to say where its end has.
        assert statuses[0] in (202, 400), name
        assert set(statuses) <= {200, 202, 400}, (name, statuses)
    print(worst)


@pytest.mark.parametrize("name", ["combining marks", "ends without a sentence", "quotations", "sentences", "lists"])
def test_no_text_freezes_a_conversation(tone: Server, name: str) -> None:
    text = {"sentences": "Hi. " * 5000, "lists": "1. " * 6000}.get(name, TEXTS.get(name, ""))[:20_000]
    with watched(tone), connect(f"ws://127.0.0.1:{tone.port}/v1/audio/speech/stream", proxy=None) as socket:
        socket.send(json.dumps({"type": "session.config", "response_format": "pcm"}))
        socket.send(json.dumps({"type": "input.text", "text": text}))
        for at in range(300):
            socket.send(json.dumps({"type": "input.text", "text": text[at]}))
        # An unknown message is answered when everything before it was read.
        socket.send(json.dumps({"type": "nothing"}))
        while not isinstance(message := socket.recv(timeout=PATIENCE), str) or json.loads(message)["type"] != "error":
            pass


def test_stored_texts_freeze_no_start(serve: Start) -> None:
    """A text with marks is stored as it came, and planned again at every start."""
    # Nothing is ever spoken, so all are there after the kill.
    server = serve(
        "--model", "tone", "--workers", "1", "--max-client-seconds", "1000000", env={"ANTIPHON_TONE_DELAY": "3600"}
    )
    server.wait_ready()
    names = ("marks that are stored as they came", "pauses", "changes of tempo", "paragraphs")
    for name in names:
        assert server.client.post("/v1/jobs", json={"input": TEXTS[name]}).status_code == 202
    server.kill()
    again = serve(*server.args, data=server.data, env=server.env)
    with watched(again):
        again.wait_ready()
        jobs = again.client.get("/v1/jobs").json()["data"]
    assert [job["status"] in ("queued", "running") for job in jobs] == [True] * len(names)


def test_no_json_freezes_the_server(tone: Server) -> None:
    """An error message for each wrong value took minutes."""
    many = 500_000
    bodies = {
        "/v1/audio/speech": '{"input": "a", "emotion": [' + '"x",' * many + "1]}",
        "/v1/jobs": '{"input": "a", ' + ",".join(f'"k{n}": 1' for n in range(many)) + "}",
        "/tts_url": '{"text": "a", "spk_audio_path": "a", "emo_vec": [' + '"",' * many + "1]}",
        "/v1/audio/speech/batch": '{"items": [' + "{}," * many + "1]}",
    }
    with watched(tone):
        for path, body in bodies.items():
            answer = tone.client.post(path, content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 400, path
            assert "values" in answer.text
    many_commas = {"input": "One, two, three. " * 20_000}
    assert tone.client.post("/v1/jobs", json=many_commas).status_code == 202
