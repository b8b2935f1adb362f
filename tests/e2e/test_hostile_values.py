"""P23: no value of a client is ever our mistake. One server, every route, both WebSockets."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from antiphon.audio import wav
from tests import plugins
from tests.conftest import PATIENCE, Server, launch

PICKY = Path(plugins.__file__).parent / "picky_engines.py"
HUGE = "1" + "0" * 400
DEEP = "[" * 100_000 + "]" * 100_000
#: Nested as deep as a body may be and still reach what is behind the parser.
NESTED = "[" * 150 + "]" * 150
FILE = wav.header(16000, 32000) + struct.pack("<16000h", *(9000 * (-1) ** (n // 20) for n in range(16000)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A speech model, and one of another kind."""
    engines = {"ear": "Ear", "early": "Early"}
    env = plugins.installed(tmp_path_factory.mktemp("site"), PICKY, engines)
    models = ("--model", "tone", "--model", "ear", "--model", "early", "--workers", "1")
    server = launch(tmp_path_factory.mktemp("hostile"), *models, env=env)
    server.wait_whole()
    yield server
    errors = [line for line in server.lines() if line.get("level") in ("error", "critical")]
    server.stop()
    assert not errors, errors[:3]


def refused(answer: httpx.Response, path: str, status: int | None = None) -> str | None:
    """The `param` of a refusal, whose status and shape are checked."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    assert status is None or answer.status_code == status, answer.text[:300]
    error = answer.json()["error"]
    if not path.startswith("/v1/"):
        assert isinstance(error, str)
        assert error
        return None
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["type"] != "server_error"
    return str(error["param"]) if error["param"] is not None else None


#: Route, and the field in which it takes the text.
ROUTES = {"/tts": "text", "/v1/audio/speech": "input", "/v1/jobs": "input", "/dev/captioned_speech": "input"}
#: Fields as JSON; every one of them is refused.
FIELDS: dict[str, tuple[str, str]] = {
    "speed, 10^400": ("speed", HUGE),
    "speed, -10^400": ("speed", "-" + HUGE),
    "speed, too large for a float": ("speed", "1e400"),
    "speed, NaN": ("speed", "NaN"),
    "speed, true": ("speed", "true"),
    "speed, a list": ("speed", "[1]"),
    "seed, 10^400": ("seed", HUGE),
    "seed, true": ("seed", "true"),
    "seed, a fraction": ("seed", "1.5"),
    "voice, a mix of no number": ("voice", '"low(1e999)+high"'),
    "voice, foreign digits": ("voice", '"low(٣)+high"'),
    "voice, a name without end": ("voice", json.dumps("a+" * 200_000)),
    "voice, NUL": ("voice", '"a\\u0000b"'),
    "voice, half a character": ("voice", '"\\ud800"'),
    "model, a line end": ("model", '"a\\nb"'),
    "model, hears": ("model", '"ear"'),
    "model, OpenAI's that hears": ("model", '"whisper-1"'),
    "model, OpenAI's that draws": ("model", '"dall-e-3"'),
    "model, without end": ("model", json.dumps("m" * 60_000)),
    "priority, a list": ("priority", "[]"),
}
#: Those that the article's route does not have.
MORE: dict[str, tuple[str, str]] = {
    "strength, 10^400": ("emotion_strength", HUGE),
    "emotion, 10^400": ("emotion", f"[{HUGE}, 0, 0, 0, 0, 0, 0, 0]"),
    "emotion, 1e308": ("emotion", '{"happy": 1e308}'),
    "emotion, NaN": ("emotion", '{"happy": NaN}'),
    "emotion, true": ("emotion", '{"happy": true}'),
    "emotion, deep": ("emotion", NESTED),
    "sample_rate, true": ("sample_rate", "true"),
    "sample_rate, 10^400": ("sample_rate", HUGE),
    "language, a line end": ("language", '"en\\r\\nX-Forged: 1"'),
    "language, NUL": ("language", '"e\\u0000"'),
    "language, a separator": ("language", '"en\\u2028"'),
    "format, a list": ("response_format", "[]"),
    "ssml, a number": ("ssml", "1"),
    "ref_audio, no base64": ("ref_audio", '"data:audio/wav;base64,é"'),
    "emotion_audio, a digest": ("emotion_audio", '"ref:' + "a" * 64 + '"'),
}


def with_field(text_field: str, name: str, value: str) -> bytes:
    return f'{{"{text_field}": "Hello there.", "{name}": {value}}}'.encode()


@pytest.mark.parametrize("path", ROUTES)
def test_fields(server: Server, path: str) -> None:
    fields = FIELDS if path == "/tts" else FIELDS | MORE
    for title, (name, value) in fields.items():
        answer = server.client.post(path, content=with_field(ROUTES[path], name, value))
        param = refused(answer, path)
        assert param is None or param.partition(".")[0] in (name, "voice"), (title, answer.text)
    assert server.client.post(path, content=with_field(ROUTES[path], "speed", "1")).status_code in (200, 202)


def test_a_refused_job_is_not_stored(server: Server) -> None:
    before = server.client.get("/v1/jobs?limit=500").json()["data"]
    body = with_field("input", "language", '"en\\nX: y"')
    assert refused(server.client.post("/v1/jobs", content=body), "/v1/jobs", 400) == "language"
    assert server.client.get("/v1/jobs?limit=500").json()["data"] == before


EXTRA = {
    "vector, 10^400": f'{{"emo_vector": [{HUGE}, 0, 0, 0, 0, 0, 0, 0]}}',
    "alpha, 10^400": f'{{"emo_alpha": {HUGE}}}',
    "beams, NaN": '{"num_beams": NaN}',
    "beams, infinity": '{"num_beams": Infinity}',
    "beams, true": '{"num_beams": true}',
    "temperature, -10^400": f'{{"temperature": -{HUGE}}}',
}


@pytest.mark.parametrize("title", EXTRA)
def test_parameters_of_other_servers(server: Server, title: str) -> None:
    body = with_field("input", "extra_params", EXTRA[title])
    assert refused(server.client.post("/v1/audio/speech", content=body), "/v1/audio/speech", 400)


BODIES = {
    "deep": DEEP.encode(),
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a deep field": f'{{"input": "Hi", "text": "Hi", "type": {DEEP}}}'.encode(),
    "a deep kind": f'{{"type": {DEEP}}}'.encode(),
    "deeper than Python's stack": f'{{"type": {"[" * 3000 + "]" * 3000}}}'.encode(),
    "half a character": b'{"input": "a\\ud800b", "text": "a\\ud800b"}',
    "not UTF-8": b'{"input": "\xff\xfe", "text": "\xff"}',
    "UTF-16": '{"input": "Hi", "text": "Hi"}'.encode("utf-16"),
    "a number": HUGE.encode(),
    "null": b"null",
    "empty": b"",
    "NUL": b"\x00",
    "a type that is a number": b'{"type": 5, "input": "", "text": ""}',
}
POSTS = (
    *ROUTES, "/v1/audio/dialogue", "/v1/audio/speech/batch", "/v1/images/generations", "/tts_url",
    "/v1/queue/pause", "/v1/queue/resume", "/v1/queue/x/class",
)  # fmt: skip


@pytest.mark.parametrize("title", BODIES)
def test_bodies(server: Server, title: str) -> None:
    for path in POSTS:
        if title == "empty" and path.startswith("/v1/queue/") and not path.endswith("class"):
            continue  # It means: everything.
        refused(server.client.post(path, content=BODIES[title]), path)


def test_a_batch_loses_no_item_to_another(server: Server) -> None:
    items = [
        '{"input": "Good."}', f'{{"input": "Bad.", "speed": {HUGE}}}', f'{{"input": "Bad.", "seed": {HUGE}}}',
        f'{{"input": "Good.", "unknown": {HUGE}}}', f'{{"input": "Good too.", "unknown": {NESTED}}}',
        '{"input": "Bad.", "voice": 5}', "{}", '{"input": "Bad.", "model": "ear"}', '{"input": "Good.", "speed": 1.5}',
        '{"input": "Bad.", "language": "e\\n"}', '{"input": "Bad.", "emotion": {"happy": NaN}}',
    ]  # fmt: skip
    body = f'{{"items": [{", ".join(items)}]}}'
    answer = server.client.post("/v1/audio/speech/batch", content=body.encode())
    assert answer.status_code == 200, answer.text
    outcomes = [result["status"] for result in answer.json()["results"]]
    assert outcomes == ["success" if "Good" in item else "error" for item in items]
    assert all(result["error"] for result in answer.json()["results"] if result["status"] == "error")


@pytest.mark.parametrize(
    "turn",
    [
        f'{{"text": "Hi", "speed": {HUGE}}}', '{"text": "Hi", "language": "a\\nb"}', '{"text": "Hi", "voice": "low(٣)"}',
        f'{{"text": "Hi", "emotion": [{HUGE}, 0, 0, 0, 0, 0, 0, 0]}}', '{"text": "Hi", "emotion": {"sad": NaN}}',
        f'{{"text": {NESTED}}}', "5", "null",
    ],
)  # fmt: skip
def test_turns_of_a_dialogue(server: Server, turn: str) -> None:
    body = f'{{"turns": [{{"text": "Hello."}}, {turn}]}}'.encode()
    for path in ("/v1/audio/dialogue", "/v1/jobs"):
        param = refused(server.client.post(path, content=body), path)
        assert param == "voice" or str(param).startswith("turns.1"), param


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("guidance", HUGE), ("guidance", "NaN"), ("n", HUGE), ("steps", HUGE), ("seed", HUGE), ("n", "true"),
        ("size", '"²x²"'), ("size", '"99999x99999"'), ("size", '"512x512\\n"'), ("model", '"tone"'),
        ("model", '"whisper-1"'), ("negative_prompt", json.dumps("n" * 9000)), ("output_format", '"tape"'),
    ],
)  # fmt: skip
def test_images(server: Server, name: str, value: str) -> None:
    body = f'{{"prompt": "A house", "{name}": {value}}}'.encode()
    refused(server.client.post("/v1/images/generations", content=body), "/v1/images/generations")
    body = f'{{"type": "image", "prompt": "A house", "{name}": {value}}}'.encode()
    refused(server.client.post("/v1/jobs", content=body), "/v1/jobs")


def test_index_tts(server: Server) -> None:
    for name, value in {
        "emo_weight": HUGE, "emo_vec": f"[{HUGE}, 0.5, 0, 0, 0, 0, 0, 0]", "max_text_tokens_per_sentence": "1.5",
        "emo_control_method": "true",
    }.items():  # fmt: skip
        method = "" if name == "emo_control_method" else '"emo_control_method": 2, '
        body = f'{{"text": "Hi", "spk_audio_path": "low", {method}"{name}": {value}}}'.encode()
        refused(server.client.post("/tts_url", content=body), "/tts_url")


JOBS = {
    "webhook, half an address": ("webhook", '"http://[::1"'),
    "webhook, a sign that is a path": ("webhook", '"http://\u2100/"'),
    "webhook, an empty label": ("webhook", '"http://a..b/"'),
    "webhook, a line end": ("webhook", '"http://example.com/\\n"'),
    "webhook, a long label": ("webhook", '"http://' + "a" * 64 + '.com/"'),
    "webhook, a port": ("webhook", '"http://example.com:99999/"'),
    "webhook, a foreign port": ("webhook", '"http://example.com:²/"'),
    "webhook, no address": ("webhook", '"http://[zz::]/"'),
    "webhook, a secret": ("webhook", '{"url": "http://example.com", "secret": "é"}'),
    "deadline, NaN": ("deadline", '"nan"'),
    "deadline, far": ("deadline", '"1000000000-01-01T00:00:00Z"'),
    "deadline, the first day": ("deadline", '"0001-01-01T00:00:00+14:00"'),
    "deadline, a number": ("deadline", "1e308"),
    "deadline, foreign digits": ("deadline", '"٠٦:٠٠"'),
}


@pytest.mark.parametrize("title", JOBS)
def test_jobs(server: Server, title: str) -> None:
    name, value = JOBS[title]
    param = refused(server.client.post("/v1/jobs", content=with_field("input", name, value)), "/v1/jobs", 400)
    assert param == name


HEADERS = {
    "half an address": ("Host", b"[::1", 400),
    "no host": ("Host", b"a/b", 400),
    "a user": ("Host", b"a@localhost", 400),
    "a foreign port": ("Host", b"localhost:\xb2", 400),
    "a foreign name": ("Host", b"example.com", 403),
    "a page of half an address": ("Origin", b"http://[::1", 403),
    "a page of nowhere": ("Origin", b"\xff\xfe", 403),
    "a key on two lines": ("Idempotency-Key", b"a\tb", 400),
    "a key of signs that do not print": ("Idempotency-Key", b"a\x85b", 400),
    "a key without end": ("Idempotency-Key", b"k" * 300, 400),
}


@pytest.mark.parametrize("title", HEADERS)
@pytest.mark.parametrize("path", ["/tts", "/v1/audio/speech", "/v1/jobs"])
def test_headers(server: Server, path: str, title: str) -> None:
    name, value, status = HEADERS[title]
    body = json.dumps({ROUTES[path]: "Hello there."}).encode()
    refused(server.client.post(path, content=body, headers={name.encode(): value}), path, status)  # type: ignore[dict-item]


@pytest.mark.parametrize("value", [b"\xb2", b"-1", b"1_0", b"9" * 400, b"1.5", b"\xff"])
def test_last_event_ids(server: Server, value: bytes) -> None:
    job = server.client.post("/v1/jobs", json={"input": "To be watched."}).json()["id"]
    for path in ("/v1/events", f"/v1/jobs/{job}/events"):
        answer = server.client.get(path, headers={b"Last-Event-ID": value})  # type: ignore[dict-item]
        assert refused(answer, path, 400) == "Last-Event-ID"


@pytest.mark.parametrize(
    "value", [b"bytes=\xb2-", b"bytes=" + b"9" * 400 + b"-", b"\xff=1-2", b"bytes=-", b"bytes=1_0-2"]
)
def test_odd_ranges_are_ignored(server: Server, value: bytes) -> None:
    path = server.client.post("/tts", json={"text": "A file."}).json()["audio_path"]
    for name in (b"Range", b"If-Range", b"If-None-Match", b"If-Modified-Since"):
        answer = server.client.get(path, headers={name: value})  # type: ignore[dict-item]
        assert answer.status_code in (200, 304), (name, answer.status_code)


QUERIES = (
    "/v1/jobs?limit=%C2%B2", f"/v1/jobs?limit={HUGE}", "/v1/jobs?limit=0", "/v1/jobs?limit=nan", "/v1/jobs?after=%00",
    "/v1/jobs?after=%FF%FE", "/v1/jobs?after=x", "/v1/jobs?status=lost", "/v1/jobs/%00", "/v1/jobs/%FF",
    f"/v1/jobs/{'x' * 5000}", "/v1/jobs/x/result?wait=maybe", "/v1/jobs/x/subtitles.srt?partial=2", "/status?id=%00",
    "/status", f"/status?id={HUGE}", "/output/%0A", "/output/speech_x.wav%0A", "/v1/audio/voices?legacy=perhaps",
    "/v1/audio/voices/%00/sample", "/v1/audio/voices/low/sample?model=%00", "/v1/jobs/x/events", "/web/%00", "/web/..%2F",
)  # fmt: skip


@pytest.mark.parametrize("path", QUERIES)
def test_queries_and_paths(server: Server, path: str) -> None:
    refused(server.client.get(path), path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v1/audio/voices/%00"), ("DELETE", "/v1/jobs/%00"), ("DELETE", "/v1/queue/%0A"),
        ("POST", f"/v1/jobs/x/units/{HUGE}/retry"), ("POST", "/v1/jobs/x/units/%C2%B2/retry"), ("POST", "/v1/jobs/%00/retry"),
        ("POST", "/v1/queue/%00/front"), ("POST", "/v1/models/%00/load"), ("POST", "/v1/models/%0A/unload"),
    ],
)  # fmt: skip
def test_ids_in_paths(server: Server, method: str, path: str) -> None:
    refused(server.client.request(method, path), path)


FORMS = {
    "temperature": {"temperature": "1e400"},
    "temperature, NaN": {"temperature": "nan"},
    "temperature, foreign digits": {"temperature": "٠.٥"},
    "temperature, Python's": {"temperature": "0_1"},
    "language": {"language": "xx"},
    "language, a line end": {"language": "e\nn"},
    "language, none": {"language": "ー"},
    "format": {"response_format": "\x00"},
    "prompt": {"prompt": "a\x00b"},
    "model": {"model": "tone"},
    "model, OpenAI's that speaks": {"model": "tts-1"},
    "priority": {"priority": "²"},
}


@pytest.mark.parametrize("title", FORMS)
def test_forms(server: Server, title: str) -> None:
    path = "/v1/audio/transcriptions"
    answer = server.client.post(path, files={"file": ("a\r\nb.wav", FILE)}, data=FORMS[title])
    assert refused(answer, path, 400) in FORMS[title]
    upload = {"name": "anna", "consent": "yes, Anna", **FORMS["prompt"], "ref_text": "a\x00b"}
    answer = server.client.post("/v1/audio/voices", files={"audio_sample": ("x", FILE)}, data=upload)
    assert refused(answer, "/v1/audio/voices", 400) in ("prompt", "ref_text")


BOUNDARY = b"multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n%s\r\n--b--\r\n'
WITH_FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + FILE + b"\r\n"
RAW_FORMS: dict[str, tuple[bytes, bytes]] = {
    "no boundary": (b"multipart/form-data", b"x"),
    "an empty boundary": (b'multipart/form-data; boundary=""', b"x"),
    "another boundary": (BOUNDARY, b"--c\r\n\r\n"),
    "no form": (BOUNDARY, b"\x00\xff" * 100),
    "nothing": (BOUNDARY, b""),
    "cut": (BOUNDARY, b"--b\r\nContent-Disp"),
    "no name": (BOUNDARY, b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
    "a charset that is none": (BOUNDARY + b"; charset=\xb2", PART % b"x"),
    "base64 as a charset": (BOUNDARY + b"; charset=base64", PART % b"x"),
    "half characters by a charset": (BOUNDARY + b"; charset=unicode_escape", WITH_FILE + PART % b"\\ud800"),
    "a charset that raises": (BOUNDARY + b"; charset=idna", PART % b"xn--999999"),
    "a text in place of the file": (BOUNDARY, PART.replace(b"prompt", b"file") % b"x"),
    "JSON": (b"application/json", b"{}"),
    "no type": (b"\xb2", b""),
}


@pytest.mark.parametrize("title", RAW_FORMS)
@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/voices"])
def test_broken_forms(server: Server, path: str, title: str) -> None:
    content_type, body = RAW_FORMS[title]
    refused(server.client.post(path, content=body, headers={b"Content-Type": content_type}), path, 400)  # type: ignore[dict-item]


def test_a_client_that_leaves_in_its_own_form_is_no_error_of_ours(server: Server) -> None:
    head = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\nContent-Type: "
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(head + BOUNDARY + b"\r\n\r\n--b\r\nContent-Disposition")
    # The fixture looks into the log at the end.
    assert server.client.get("/livez").status_code == 200


# Kinds of work


def test_a_model_of_another_kind_is_refused_with_the_remedy(server: Server) -> None:
    for path, field in ROUTES.items():
        answer = server.client.post(path, json={field: "Hello there.", "model": "ear"})
        refused(answer, path, 400)
        assert "name one of: " in answer.text
        assert "tone" in answer.text
    answer = server.client.post("/v1/audio/transcriptions", files={"file": FILE}, data={"model": "tone"})
    assert refused(answer, "/v1/audio/transcriptions", 400) == "model"
    assert "name one of: ear" in answer.text


def test_a_kind_of_work_that_no_model_does_is_refused_for_good(server: Server) -> None:
    for body in ({"prompt": "A house"}, {"prompt": "A house", "model": "dall-e-3"}):
        answer = server.client.post("/v1/images/generations", json=body)
        assert refused(answer, "/v1/images/generations", 404) == "model"
        assert "start the server with --model" in answer.text
        assert "retry-after" not in answer.headers


def test_a_language_that_the_model_does_not_read_is_refused(server: Server) -> None:
    texts = (
        {"input": "こんにちは。", "voice": "high", "model": "early"},
        {"input": "Hi", "language": "ja", "model": "early"},
    )
    for body in texts:
        for path in ("/v1/audio/speech", "/v1/jobs"):
            assert refused(server.client.post(path, json=body), path, 400) == "language"
    # The voice is there all the same, and can be heard in a language that the model reads.
    assert server.client.get("/v1/audio/voices/high/sample?model=early").status_code == 200


# HEAD


def test_head_wherever_get_is(server: Server) -> None:
    job = server.client.post("/v1/jobs", json={"input": "A file for HEAD."}).json()["id"]
    server.wait_job(job)
    values = {"id": job, "name": f"speech_{job}.wav", "voice": "low", "kind": "srt", "index": "0"}
    document = server.client.get("/openapi.json").json()["paths"]
    for path, operations in {
        **document,
        "/": {"get": {}},
        "/openapi.json": {"get": {}},
        "/nothing": {"get": {}},
    }.items():
        url = path.format(**values)
        head = server.client.head(url)
        assert head.content == b""
        if "get" not in operations:
            assert head.status_code == 405, path
            assert "HEAD" not in head.headers["allow"]
            assert {method.upper() for method in operations} <= set(head.headers["allow"].split(", "))
            continue
        with server.client.stream("GET", url) as got:
            assert head.status_code == got.status_code, path
            for name in ("content-type", "etag", "accept-ranges", "cache-control"):
                assert head.headers.get(name) == got.headers.get(name), (path, name)
            # What other tests have asked for may end between the two.
            if path not in ("/metrics", "/v1/stats", "/v1/workers", "/v1/jobs", "/v1/queue", "/health"):
                assert head.headers.get("content-length") == got.headers.get("content-length"), path


def test_head_ignores_ranges_and_keeps_the_connection(server: Server) -> None:
    path = server.client.post("/tts", json={"text": "Another file for HEAD."}).json()["audio_path"]
    whole = server.client.get(path)
    request = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-9\r\n\r\n".encode()
    last = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port)) as client, client.makefile("rb") as answers:
        client.sendall(request * 2 + last)
        for _ in range(2):
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            headers = {}
            while (line := answers.readline()) != b"\r\n":
                name, _, value = line.partition(b": ")
                headers[name.lower()] = value.strip()
            assert headers[b"content-length"] == str(len(whole.content)).encode()
        assert answers.read().endswith(whole.content)


def test_a_wrong_method_says_which_there_are(server: Server) -> None:
    answer = server.client.put("/v1/jobs")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    assert answer.json()["error"]["code"] == "method_not_allowed"
    assert server.client.get("/tts").headers["allow"] == "POST"


# WebSockets


def tell(socket: ClientConnection, message: str | bytes) -> dict[str, Any]:
    socket.send(message)
    return dict(json.loads(socket.recv(timeout=PATIENCE)))


def test_the_speech_socket_answers_every_mistake_and_stays(server: Server) -> None:
    config = '{"type": "session.config", %s}'
    mistakes: list[str | bytes] = [
        "", "null", "5", HUGE, DEEP, b"\x00\xff", b"{}", "{", '{"type": 5}', f'{{"type": {DEEP}}}', '{"type": "\\ud800"}',
        '{"type": "input.text", "text": "too early"}', '{"type": "input.done"}', '{"type": "' + "x" * 1000 + '"}',
        *(config % f'"{name}": {value}' for name, value in (FIELDS | MORE).values() if name not in ("voice", "model", "ref_audio", "emotion_audio")),
        *(config % f'"extra_params": {value}' for value in EXTRA.values()),
        config % '"split_granularity": 1', config % '"stream_audio": "yes"', config % f'"extra_params": {DEEP}',
    ]  # fmt: skip
    with connect(f"ws://127.0.0.1:{server.port}/v1/audio/speech/stream", max_size=None, proxy=None) as socket:
        for mistake in mistakes:
            answer = tell(socket, mistake)
            assert (answer["type"], bool(answer["message"])) == ("error", True), mistake[:100]
            assert answer["code"] != "internal_error", mistake[:100]
        socket.send(config % '"response_format": "pcm"')
        for text in ('"\\ud800"', HUGE, NESTED, "null"):
            assert tell(socket, f'{{"type": "input.text", "text": {text}}}')["type"] == "error"
        # What only planning can see ends its sentence and nothing else.
        for name, value in (("voice", '"low(٣)"'), ("model", '"ear"'), ("ref_audio", '"data:audio/wav;base64,é"')):
            socket.send(config % f'"{name}": {value}')
            socket.send('{"type": "input.text", "text": "Hello there."}')
            ended = tell(socket, '{"type": "input.done"}')
            assert ended["type"] == "audio.done"
            assert ended["error"]
            assert json.loads(socket.recv(timeout=PATIENCE))["type"] == "session.done"
        socket.send(config % '"response_format": "pcm"')
        socket.send('{"type": "input.text", "text": "It still speaks."}')
        assert tell(socket, '{"type": "input.done"}')["type"] == "audio.start"


@pytest.mark.parametrize(
    "query",
    [
        "?last_event_id=%C2%B2", f"?last_event_id={HUGE}", "?last_event_id=-1", "?id=%00", "?id=%FF", f"?id={HUGE}",
        "?id=" + "%E4%BD%A0" * 200, "?id=x&last_event_id=nan", "?id=",
    ],
)  # fmt: skip
def test_the_socket_of_events_says_what_is_wrong_before_it_closes(server: Server, query: str) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/ws{query}", proxy=None) as socket:
        answer = json.loads(socket.recv(timeout=PATIENCE))
        assert (answer["type"], bool(answer["error"])) == ("error", True)
        assert answer["code"] != "internal_error"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


def test_after_all_that_it_still_speaks(server: Server) -> None:
    assert server.client.post("/tts", json={"text": "Still here."}).status_code == 200
