"""Speech recognition as OpenAI's clients ask for it: what Kokoro says comes back as text, in every format."""

from __future__ import annotations

import base64
import io
import json
import math
import struct
import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from antiphon.audio import wav
from tests import ear
from tests.conftest import Server, Start, launch, wait_until

pytest.importorskip("kokoro_onnx")
pytest.importorskip("faster_whisper")

ENGLISH = "The committee will meet on Thursday morning. Please bring your notes, and a pencil for each guest."
CHINESE = "今天天气很好，我们一起去公园看花。晚上回家，和朋友们一起吃饭。"
PATH = "/v1/audio/transcriptions"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    ear.model("kokoro"), ear.model("whisper-base")
    models = str(ear.models_dir())
    args = ("--model", "kokoro", "--model", "whisper-base", "--workers", "1", "--models-dir", models)
    server = launch(tmp_path_factory.mktemp("both"), *args)
    server.wait_ready("whisper-base")
    server.wait_ready("kokoro")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def spoken(both: Server) -> dict[str, bytes]:
    def say(text: str) -> bytes:
        body = {"input": text, "model": "kokoro", "response_format": "mp3"}
        return both.client.post("/v1/audio/speech", json=body).raise_for_status().content

    return {"en": say(ENGLISH), "zh": say(CHINESE)}


def ask(server: Server, audio: bytes, path: str = PATH, **fields: Any) -> httpx.Response:
    return server.client.post(path, files={"file": ("a.mp3", audio, "audio/mpeg")}, data=fields)


def test_openais_client_hears_what_kokoro_says(both: Server, spoken: dict[str, bytes]) -> None:
    http = httpx.Client(trust_env=False)
    with openai.OpenAI(base_url=f"{both.base}/v1", api_key="none", http_client=http) as client:
        hear_all(client, spoken)


def hear_all(client: openai.OpenAI, spoken: dict[str, bytes]) -> None:
    for language, text, measure, bound in (("en", ENGLISH, ear.wer, 0.1), ("zh", CHINESE, ear.cer, 0.15)):
        file = ("speech.mp3", spoken[language])
        plain = client.audio.transcriptions.create(model="whisper-1", file=file)
        assert measure(text, plain.text) <= bound, plain.text
        verbose = client.audio.transcriptions.create(
            model="whisper-base", file=file, language=language, response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )  # fmt: skip
        assert measure(text, verbose.text) <= bound, verbose.text
        assert verbose.language == {"en": "english", "zh": "chinese"}[language]
        assert 0 <= verbose.words[0].start < verbose.words[-1].end <= verbose.duration + 1
        times = [(s.start, s.end) for s in verbose.segments]
        assert times == sorted(times)
    # The characters of the mainland, although nobody said which.
    assert "天气" in client.audio.transcriptions.create(model="auto", file=("a.mp3", spoken["zh"])).text
    events = list(client.audio.transcriptions.create(model="whisper-1", file=("a.mp3", spoken["en"]), stream=True))
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert events[0].delta == events[1].text
    with warnings.catch_warnings():
        # OpenAI's client calls this one deprecated; whoever uses it is served none the less.
        warnings.simplefilter("ignore", DeprecationWarning)
        english = client.audio.translations.create(model="whisper-1", file=("a.mp3", spoken["zh"]))
    assert "park" in english.text.lower()


def test_formats(both: Server, spoken: dict[str, bytes]) -> None:
    text = ask(both, spoken["en"], response_format="text")
    assert text.headers["content-type"].startswith("text/plain")
    assert ear.wer(ENGLISH, text.text) <= 0.1
    srt = ask(both, spoken["en"], response_format="srt").text
    assert srt.startswith("1\n00:00:00,")
    assert " --> " in srt
    vtt = ask(both, spoken["en"], response_format="vtt")
    assert vtt.text.startswith("WEBVTT\n\n00:00:0")
    # One recording, one piece of work, whatever the format.
    assert vtt.headers["x-cache"] == "hit"


def test_a_durable_job_survives_the_server(both: Server, spoken: dict[str, bytes], serve: Start) -> None:
    args = ("--model", "whisper-base", "--models-dir", str(ear.models_dir()))
    server = serve(*args, ready=False)
    server.wait_ready("whisper-base")
    # It serves nothing that speaks, and is ready for all that it serves.
    assert server.client.get("/readyz").status_code == 200
    assert (server.health()["status"], server.health()["model_loaded"]) == ("ok", False)
    accepted = server.client.post(
        PATH, files={"file": spoken["en"]}, data={"response_format": "srt"}, headers={"Prefer": "respond-async"}
    )
    assert accepted.status_code == 202
    job = accepted.json()
    assert (job["type"], accepted.headers["location"]) == ("transcription", f"/v1/jobs/{job['id']}")
    url = "data:audio/mpeg;base64," + base64.b64encode(spoken["zh"]).decode()
    other = server.client.post(
        "/v1/jobs", json={"type": "transcription", "audio": url, "language": "zh", "response_format": "text"}
    ).json()
    server.kill()
    again = serve(*args, data=server.data, ready=False)
    done = again.wait_job(job["id"])
    assert (done["status"], done["result"]["media_type"]) == ("succeeded", "application/x-subrip")
    result = again.client.get(f"/v1/jobs/{job['id']}/result")
    assert result.text.startswith("1\n00:00:00,")
    assert again.client.get(done["result"]["path"]).text == result.text
    assert again.client.get(f"/v1/jobs/{job['id']}/subtitles.vtt").text.startswith("WEBVTT")
    assert again.wait_job(other["id"])["status"] == "succeeded"
    assert ear.cer(CHINESE, again.client.get(f"/v1/jobs/{other['id']}/result").text) <= 0.15
    renewed = again.client.post(f"/v1/jobs/{job['id']}/units/0/retry")
    assert renewed.status_code == 202
    assert again.wait_job(job["id"])["status"] == "succeeded"
    # A request that somebody waited for is not kept.
    waited = ask(again, spoken["en"]).headers["x-job-id"]
    wait_until(
        lambda: again.client.get(f"/v1/jobs/{waited}").json()["status"] == "succeeded", "the request is recorded"
    )
    assert again.client.post(f"/v1/jobs/{waited}/units/0/retry").status_code == 409


def test_what_cannot_be_heard_is_refused(both: Server, spoken: dict[str, bytes]) -> None:
    def refusal(answer: httpx.Response, status: int = 400) -> str:
        assert answer.status_code == status, answer.text
        return str(answer.json()["error"]["message"])

    silent = wav.header(16000, 32000) + bytes(32000)
    assert "silent" in refusal(ask(both, silent))
    assert "cannot be read" in refusal(ask(both, b"no audio at all"))
    assert "`file` is missing" in refusal(both.client.post(PATH, files={"other": b"x"}))
    assert "multipart" in refusal(both.client.post(PATH, json={"file": "x"}))
    assert "response_format" in refusal(ask(both, spoken["en"], response_format="docx"))
    assert "verbose_json" in refusal(ask(both, spoken["en"], **{"timestamp_granularities[]": "word"}))
    assert "temperature" in refusal(ask(both, spoken["en"], temperature="hot"))
    assert "language" in refusal(ask(both, spoken["en"], language="<b>"))
    assert "is for speech, not for transcription" in refusal(ask(both, spoken["en"], model="kokoro"))
    assert "not served" in refusal(ask(both, spoken["en"], model="whisper-9"), 404)
    job = {"type": "transcription", "audio": "data:text/plain;base64,AA=="}
    assert "data: URL" in refusal(both.client.post("/v1/jobs", json=job))
    assert "base64" in refusal(both.client.post("/v1/jobs", json={**job, "audio": "data:audio/wav;base64,!"}))


def test_without_a_model_it_says_which_there_are(tone: Server) -> None:
    answer = ask(tone, b"anything")
    assert answer.status_code == 404
    assert "whisper-base" in answer.json()["error"]["message"]


def test_a_client_that_leaves_frees_its_place(both: Server) -> None:
    rate = 16000
    wave = b"".join(struct.pack("<h", int(9000 * math.sin(n / 9) * math.sin(n / 3000))) for n in range(60 * rate))
    with pytest.raises(httpx.ReadTimeout):
        both.client.post(PATH, files={"file": io.BytesIO(wav.header(rate, len(wave)) + wave)}, timeout=1.5)
    wait_until(lambda: both.health()["concurrent"] == both.health()["queued"] == 0, "nothing is worked on")


def test_the_document_knows_it(both: Server) -> None:
    paths = json.loads(both.client.get("/openapi.json").content)["paths"]
    assert {PATH, "/v1/audio/translations"} <= set(paths)
