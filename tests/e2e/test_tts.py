"""The article's surface, as its page would use it."""

from __future__ import annotations

import io
import json
import wave

import pytest
from websockets.sync.client import connect

from tests.conftest import Server, Start, wait_until


def test_tts_answers_with_a_path_whose_file_is_the_audio(tone: Server) -> None:
    answer = tone.client.post("/tts", json={"text": "Hello there, how are you today?", "emotion": "happy"})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["status"] == "succeeded"
    assert body["audio_path"].startswith("/output/speech_")
    audio = tone.client.get(body["audio_path"])
    assert audio.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(audio.content)) as file:
        assert file.getnchannels() == 1
        assert file.getnframes() / file.getframerate() == pytest.approx(body["duration"], abs=0.01)
    assert (tone.data / body["audio_path"].lstrip("/")).read_bytes() == audio.content


def test_the_same_again_is_answered_from_the_cache(tone: Server) -> None:
    body = {"text": "Once is enough for anybody.", "emotion": "sad"}
    first, second = tone.client.post("/tts", json=body), tone.client.post("/tts", json=body)
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert not first.json()["cached"]
    assert second.json()["cached"]
    paths = [answer.json()["audio_path"] for answer in (first, second)]
    assert paths[0] != paths[1]
    assert tone.client.get(paths[0]).content == tone.client.get(paths[1]).content


def test_emotions_differ(tone: Server) -> None:
    heard = {}
    for emotion in ("happy", "sad", "angry", "neutral"):
        path = tone.client.post("/tts", json={"text": "The same words.", "emotion": emotion}).json()["audio_path"]
        heard[emotion] = tone.client.get(path).content
    assert len(set(heard.values())) == 4


@pytest.mark.parametrize("prefer", [True, False])
def test_without_waiting_the_status_is_polled_to_the_end(tone: Server, prefer: bool) -> None:
    body = {"text": f"Come back later, {prefer}.", "emotion": "neutral"}
    headers = {"Prefer": "respond-async"} if prefer else {}
    answer = tone.client.post("/tts", json=body if prefer else {**body, "wait": False}, headers=headers)
    assert answer.status_code == 202
    accepted = answer.json()
    assert accepted["status_path"] == f"/status?id={accepted['id']}" == answer.headers["location"]
    assert accepted["position"] is not None

    def done() -> dict[str, object] | None:
        status = tone.client.get(accepted["status_path"]).json()
        return status if status["status"] == "succeeded" else None

    status = wait_until(done, "the job succeeds")
    assert status["progress"] == 1
    assert status["error"] is None
    assert tone.client.get(status["audio_path"]).status_code == 200


def test_status_of_an_unknown_id_is_404(tone: Server) -> None:
    for name in ("", "nothing", "../../etc/passwd", "0" * 26):
        answer = tone.client.get("/status", params={"id": name})
        assert answer.status_code == 404
        assert answer.json()["error"]


def test_health_says_what_the_page_needs(tone: Server) -> None:
    health = tone.health()
    assert health["status"] == "ok"
    assert health["model_loaded"] is True
    assert health["model"] == "tone"
    assert {"concurrent", "queued", "models", "network", "version"} <= set(health)
    assert health["models"][0]["state"] == "ready"


def test_output_serves_ranges_and_entity_tags(tone: Server) -> None:
    path = tone.client.post("/tts", json={"text": "A file to be cut."}).json()["audio_path"]
    whole = tone.client.get(path)
    etag = whole.headers["etag"]
    part = tone.client.get(path, headers={"Range": "bytes=10-19"})
    assert part.status_code == 206
    assert part.content == whole.content[10:20]
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    tail = tone.client.get(path, headers={"Range": "bytes=-5"})
    assert tail.content == whole.content[-5:]
    assert tone.client.get(path, headers={"Range": f"bytes={len(whole.content)}-"}).status_code == 416
    assert tone.client.get(path, headers={"If-None-Match": etag}).status_code == 304
    fresh = tone.client.get(path, headers={"Range": "bytes=0-3", "If-Range": etag})
    stale = tone.client.get(path, headers={"Range": "bytes=0-3", "If-Range": '"other"'})
    assert (fresh.status_code, stale.status_code) == (206, 200)


@pytest.mark.parametrize(
    "name",
    [
        "../antiphon.db", "..%2fantiphon.db", "%2e%2e/antiphon.db", "....//antiphon.db", "speech_x.wav", ".hidden",
        "speech_" + "0" * 26 + ".wav", "speech_" + "0" * 26 + ".wav%00.png", "/etc/passwd", "%2fetc%2fpasswd", "",
    ],
)  # fmt: skip
def test_nothing_outside_output_is_served(tone: Server, name: str) -> None:
    answer = tone.client.get(f"/output/{name}")
    assert answer.status_code == 404
    assert "error" in answer.json()


@pytest.mark.local("files: the storage has the file itself, which is sent")
def test_a_symlink_in_output_is_not_followed(tone: Server) -> None:
    path = tone.client.post("/tts", json={"text": "Follow me not."}).json()["audio_path"]
    file = tone.data / path.lstrip("/")
    file.unlink()
    file.symlink_to(tone.log)
    assert tone.client.get(path).status_code == 404


def test_ws_pushes_started_and_done(serve: Start) -> None:
    server = serve("--model", "tone", env={"ANTIPHON_TONE_DELAY": "0.1"})
    accepted = server.client.post("/tts", json={"text": "Push it to me.", "wait": False}).json()
    with connect(f"ws://127.0.0.1:{server.port}/ws?id={accepted['id']}") as socket:
        first = json.loads(socket.recv(timeout=10))
        assert first["id"] == accepted["id"]
        types = [json.loads(message)["type"] for message in socket]
    # How far it is, is told to those who listen when it takes long enough; the story is the rest.
    assert [each for each in types if each != "job.progress"] == [
        "job.queued",
        "job.started",
        "unit.done",
        "job.succeeded",
    ]


def test_ws_without_an_id_tells_all_of_mine(tone: Server) -> None:
    with connect(f"ws://127.0.0.1:{tone.port}/ws") as socket:
        answer = tone.client.post("/tts", json={"text": "Anybody listening?"}).json()
        types = []
        while not types or types[-1] != "job.succeeded":
            event = json.loads(socket.recv(timeout=10))
            assert event["job"] == answer["id"]
            types.append(event["type"])
    assert types[:2] == ["job.queued", "job.started"] or types[0] == "job.started"


def test_ws_of_an_unknown_job_says_so(tone: Server) -> None:
    with connect(f"ws://127.0.0.1:{tone.port}/ws?id=nothing") as socket:
        assert json.loads(socket.recv(timeout=10))["code"] == "not_found"


def test_one_log_line_a_request(tone: Server) -> None:
    tone.client.post("/tts", json={"text": "Count me\nonce, please, in the log of the server.", "emotion": "angry"})
    line = wait_until(
        lambda: next((x for x in tone.lines() if str(x.get("text", "")).startswith("Count me")), None), "the log line"
    )
    assert line["method"] == "POST"
    assert line["path"] == "/tts"
    assert line["status"] == 200
    assert line["emotion"] == "angry"
    assert line["model"] == "tone"
    assert line["ms"] > 0
    assert len(line["text"]) <= 31
    assert {"active", "queued", "cached"} <= set(line)
