"""Voices over HTTP: upload, list, hear, delete, and what is refused."""

from __future__ import annotations

import re
import select
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from antiphon.audio import codec, pcm, wav
from antiphon.sandbox import reference_audio
from tests.conftest import Server
from tests.unit.test_audio_pcm import pitch, tone

CONSENT = "I agree that my voice is imitated. A. Speaker"
VOICES = "/v1/audio/voices"


def file(hertz: float = 523.0) -> bytes:
    return codec.encode(pcm.silence(1, 24000) + tone(2, 24000, hertz) + pcm.silence(1, 24000), 24000, "mp3")


def upload(server: Server, name: str = "Anna", audio: bytes | None = None, **fields: str) -> httpx.Response:
    form = {"name": name, "consent": CONSENT, **fields}
    audio = file() if audio is None else audio
    return server.client.post(VOICES, data=form, files={"audio_sample": ("../../evil.mp3", audio, "audio/mpeg")})


def listed(server: Server) -> dict[str, Any]:
    return dict(server.client.get(VOICES).json())


@pytest.fixture
def anna(tone: Server) -> Iterator[dict[str, Any]]:
    answer = upload(tone, ref_text="La.", speaker_description="warm")
    assert answer.status_code == 200, answer.text
    yield answer.json()["voice"]
    tone.client.delete(f"{VOICES}/Anna")


def test_what_vllm_omnis_clients_read(tone: Server, anna: dict[str, Any]) -> None:
    (mine,) = listed(tone)["uploaded_voices"]
    assert mine == anna
    assert mine["name"] == "Anna"
    assert mine["consent"] == CONSENT
    assert mine["mime_type"] == "audio/wav"
    assert mine["ref_text"] == "La."
    assert mine["speaker_description"] == "warm"
    assert isinstance(mine["created_at"], int)
    assert mine["seconds"] == pytest.approx(2.2, abs=0.1)
    assert mine["file_size"] == len(tone.client.get(mine["sample"]).content)


def test_it_is_among_the_voices_where_a_model_can_imitate_it(
    tone: Server, espeak: Server, anna: dict[str, Any]
) -> None:
    voices = listed(tone)["voices"]
    assert {"id", "name", "model", "languages", "gender", "speakers", "sample"} == set(voices[0])
    assert [v["name"] for v in voices if v["id"] == anna["id"]] == ["Anna"]
    legacy = tone.client.get(VOICES, params={"legacy": "true"}).json()
    assert legacy["voices"] == [v["id"] for v in voices]
    assert upload(espeak).status_code == 200
    assert "Anna" not in {v["name"] for v in listed(espeak)["voices"]}
    assert [v["name"] for v in listed(espeak)["uploaded_voices"]] == ["Anna"]


def test_it_is_heard_trimmed_and_as_it_was(tone: Server, anna: dict[str, Any]) -> None:
    for name in (anna["id"], "Anna"):
        answer = tone.client.get(f"{VOICES}/{name}/sample")
        assert answer.headers["content-type"] == "audio/wav"
        audio, rate = wav.read(answer.content)
        assert pitch(audio, rate) == pytest.approx(523, abs=3)
    tag = {"If-None-Match": answer.headers["etag"]}
    assert tone.client.get(anna["sample"], headers=tag).status_code == 304
    part = tone.client.get(anna["sample"], headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"RIFF")


def test_every_voice_of_a_model_has_a_sample(espeak: Server) -> None:
    entry = listed(espeak)["voices"][-1]
    first = espeak.client.get(entry["sample"])
    assert first.status_code == 200, first.text
    audio, rate = wav.read(first.content)
    assert pcm.duration(len(audio), rate) > 1
    again = espeak.client.get(entry["sample"])
    assert again.content == first.content
    assert espeak.client.get(entry["sample"], headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    for path in ("nobody/sample", f"{entry['id']}/sample?model=nobody"):
        assert espeak.client.get(f"{VOICES}/{path}").status_code == 404


def test_deleting(tone: Server, anna: dict[str, Any]) -> None:
    answer = tone.client.delete(f"{VOICES}/Anna")
    assert answer.json() == {"success": True, "voice": anna}
    assert listed(tone)["uploaded_voices"] == []
    for path in (f"{VOICES}/Anna", f"{VOICES}/{anna['id']}", f"{VOICES}/tone"):
        assert tone.client.delete(path).status_code == 404
    assert tone.client.get(anna["sample"]).status_code == 404
    assert list((tone.data / "voices").iterdir()) == []


def test_the_voices_of_others_are_not_there(tone: Server, anna: dict[str, Any]) -> None:
    """Owners are addresses as long as there are no keys."""
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=tone.base, transport=transport, trust_env=False, timeout=60) as other:
        assert other.get(VOICES).json()["uploaded_voices"] == []
        assert anna["id"] not in other.get(VOICES).text
        for name in ("Anna", anna["id"]):
            assert other.get(f"{VOICES}/{name}/sample").status_code == 404
            assert other.delete(f"{VOICES}/{name}").status_code == 404
            answer = other.post("/v1/audio/speech", json={"input": "Hello.", "voice": name})
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "voice_not_found")
    assert tone.client.get(anna["sample"]).status_code == 200


def test_speaking_with_it(tone: Server, espeak: Server, anna: dict[str, Any]) -> None:
    for voice in ("Anna", anna["id"], {"id": anna["id"]}):
        body = {"input": "A text that is long enough to be heard.", "voice": voice, "response_format": "wav"}
        answer = tone.client.post("/v1/audio/speech", json=body)
        assert answer.status_code == 200, answer.text
        audio, rate = wav.read(answer.content)
        assert pitch(audio, rate) == pytest.approx(523, abs=5)
    upload(espeak)
    answer = espeak.client.post("/v1/audio/speech", json={"input": "Hello.", "voice": "Anna"})
    assert answer.status_code == 400
    assert "imitate" in answer.json()["error"]["message"]


def test_a_digest_is_nobodys_voice(tone: Server, anna: dict[str, Any]) -> None:
    digest = tone.client.get(anna["sample"]).headers["etag"].strip('"')
    answer = tone.client.post("/v1/audio/speech", json={"input": "Hello.", "voice": f"ref:{digest}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "voice_not_found")


def test_a_name_is_taken_once(tone: Server, anna: dict[str, Any]) -> None:
    answer = upload(tone)
    assert answer.status_code == 409
    assert "Anna" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"consent": "false"}, "consent"),
        ({"consent": ""}, "consent"),
        ({"name": "ref:abc"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "  "}, "name"),
        ({"speaker_description": "a" * 501}, "speaker_description"),
    ],
)
def test_fields_that_are_refused(tone: Server, form: dict[str, str], param: str) -> None:
    answer = upload(tone, **{"name": "Berta", **form})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_recordings_that_are_refused(tone: Server) -> None:
    for audio, why in ((b"hello", "cannot be read"), (b"", "cannot be read"), (file()[:3000], "silent")):
        answer = upload(tone, "Berta", audio)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "audio_sample")
        assert why in answer.json()["error"]["message"]
    assert upload(tone, "Berta", bytes(reference_audio.MAX_BYTES + 1)).status_code == 413
    assert listed(tone)["uploaded_voices"] == []


def test_forms_that_are_none(tone: Server) -> None:
    client = tone.client
    for answer in (
        client.post(VOICES, json={"name": "Berta"}),
        client.post(VOICES, data={"name": "Berta"}),
        client.post(VOICES, content=b"x", headers={"Content-Type": "multipart/form-data"}),
        client.post(VOICES, content=b"x", headers={"Content-Type": "multipart/form-data; boundary=b"}),
        client.post(VOICES, data={"consent": CONSENT}, files={"audio_sample": file()}),
        client.post(VOICES, data={"name": "B", "consent": CONSENT, "audio_sample": "text"}, files={"x": b""}),
        client.post(VOICES, data={str(n): "a" for n in range(20)}, files={"audio_sample": file()}),
        client.post(VOICES, data={"name": "a" * 100_000}, files={"audio_sample": file()}),
        client.post(VOICES, files=[("audio_sample", file()), ("other", b"a second file")]),
    ):
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["message"]


def sent_until_refused(server: Server, piece: bytes, most: int) -> tuple[int, bytes]:
    """How many pieces of an endless form were sent when the refusal came, and the refusal."""
    begin = (
        f"POST {VOICES} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nTransfer-Encoding: chunked\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    ).encode()
    part = b'--b\r\nContent-Disposition: form-data; name="audio_sample"; filename="a"\r\n'
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(begin + chunk(part))
        for sent in range(most):
            if select.select([connection], [], [], 0)[0]:
                # The head and the body may come apart.
                answer = connection.recv(4096)
                while not _whole(answer) and (more := connection.recv(4096)):
                    answer += more
                return sent, answer
            connection.sendall(chunk(piece))
    pytest.fail(f"{most} pieces were taken")


def _whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head, re.I)
    return bool(end) and found is not None and len(body) >= int(found[1])


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@pytest.mark.parametrize("header", [b"X-A: " + b"a" * 1000 + b"\r\n", b"X-A: " + b"a" * 1000], ids=["many", "long"])
def test_endless_headers_of_a_part_are_cut_off(tone: Server, header: bytes) -> None:
    """Long before as much was sent as a form may have."""
    _, answer = sent_until_refused(tone, header * 100, most=reference_audio.MAX_BYTES // 100_000)
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b"form cannot be read" in answer


def test_an_endless_form_is_cut_off(tone: Server) -> None:
    """Soon after the bound; what lies in sockets on the way is not read."""
    sent, answer = sent_until_refused(tone, b"\r\n" + bytes(1024 * 1024), most=100)
    assert b" 413 " in answer.partition(b"\r\n")[0]
    assert sent >= 10


def test_it_is_documented(tone: Server) -> None:
    paths = tone.client.get("/openapi.json").json()["paths"]
    assert set(paths[VOICES]) == {"get", "post"}
    assert set(paths[VOICES + "/{voice}"]) == {"delete"}
    assert set(paths[VOICES + "/{voice}/sample"]) == {"get"}
    form = paths[VOICES]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(form["required"]) == {"name", "audio_sample", "consent"}
    assert {"200", "400", "409", "413", "503"} <= set(paths[VOICES]["post"]["responses"])
