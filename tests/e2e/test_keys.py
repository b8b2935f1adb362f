"""Keys: who may come in, who sees what, how much and how often; and that no key lies anywhere in plain text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from antiphon.app.antiphon import Antiphon
from tests.conftest import Server, Start, command, surroundings, wait_until

#: What only the operator may do.
ADMIN = ("/v1/queue", "/v1/webhooks/secret", "/v1/models/{id}/")
PUBLIC = {"/livez", "/readyz", "/health", "/openapi.json"}


def keys(data: Path, *arguments: str) -> str:
    done = command("keys", *arguments, "--data-dir", str(data), env=surroundings(data))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def create(data: Path, name: str, *more: str) -> str:
    return keys(data, "create", "--name", name, *more)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server with three keys: Anna's, Ben's, and the operator's."""
    from tests.conftest import launch

    data = tmp_path_factory.mktemp("closed")
    tokens = {name: create(data, name) for name in ("anna", "ben")}
    tokens["root"] = create(data, "root", "--admin", "--class", "vip")
    server = launch(data, "--model", "tone", ready=False)
    wait_until(lambda: server.health()["model_loaded"], "a model is ready")
    yield server, tokens
    server.stop()


def ended(server: Server, job: str, token: str) -> dict[str, Any]:
    def final() -> dict[str, Any] | None:
        found: dict[str, Any] = server.client.get(f"/v1/jobs/{job}", headers=bearer(token)).json()
        return found if found["status"] in ("succeeded", "failed") else None

    return dict(wait_until(final, "the job ends"))


def operations(server: Server) -> list[tuple[str, str]]:
    paths = server.client.get("/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def test_every_route_needs_a_key(closed: tuple[Server, dict[str, str]]) -> None:
    server, _ = closed
    found = operations(server)
    assert len(found) > 30
    for method, path in found:
        answer = server.client.request(method, path.replace("{", "").replace("}", ""))
        if path in PUBLIC:
            assert answer.status_code in (200, 503), path
            continue
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"] == "Bearer"
        error = answer.json()["error"]
        assert "key" in (error["message"] if isinstance(error, dict) else error)
        wrong = server.client.request(method, path, headers=bearer("ak_wrong"))
        assert wrong.status_code in (401, 429), (method, path)


def test_two_keys_never_see_each_others_things(closed: tuple[Server, dict[str, str]]) -> None:
    """Every route that names a thing, asked for Anna's with Ben's key: as if it were not there."""
    server, tokens = closed
    client, anna, ben = server.client, bearer(tokens["anna"]), bearer(tokens["ben"])
    job = client.post("/v1/jobs", json={"input": "Only Anna may hear this."}, headers=anna).json()
    done = ended(server, job["id"], tokens["anna"])
    name = done["result"]["path"].rpartition("/")[2]
    known = {"id": job["id"], "name": name, "index": "0", "kind": "srt", "voice": job["id"]}
    asked = 0
    for method, path in operations(server):
        if "{" not in path or path.startswith(ADMIN):
            continue
        url = path
        for field, value in known.items():
            url = url.replace("{" + field + "}", value)
        assert "{" not in url, f"nobody told this test what {path} names"
        answer = client.request(method, url, headers=ben)
        assert answer.status_code in (404, 400), (method, url, answer.status_code)
        asked += 1
    assert asked >= 9
    assert client.get(f"/status?id={job['id']}", headers=ben).status_code == 404
    assert client.get(f"/status?id={job['id']}", headers=anna).status_code == 200
    assert client.get(done["result"]["path"], headers=anna).status_code == 200
    assert client.get("/v1/jobs", headers=ben).json()["data"] == []
    assert [j["id"] for j in client.get("/v1/jobs", headers=anna).json()["data"]] == [job["id"]]
    for method, path in operations(server):
        if path.startswith(ADMIN):
            answer = client.request(method, path.replace("{id}", job["id"]), headers=ben)
            assert answer.status_code == 403, (method, path)
    with client.stream("GET", "/v1/events", headers={**ben, "Last-Event-ID": "1"}) as answer:
        client.post("/v1/jobs", json={"input": "Ben's own."}, headers=ben)
        owned = set()
        for line in answer.iter_lines():
            if line.startswith("data: "):
                event = json.loads(line[6:])
                owned.add(event["job"])
                if event["type"] == "job.succeeded":
                    break
    assert job["id"] not in owned


def test_websockets_take_a_key_as_a_protocol(closed: tuple[Server, dict[str, str]]) -> None:
    server, tokens = closed
    base = server.base.replace("http", "ws")
    for path in ("/ws", "/v1/audio/speech/stream"):
        with pytest.raises(InvalidStatus), connect(base + path):
            pass
        with connect(base + path, subprotocols=[f"antiphon.key.{tokens['anna']}"]) as socket:  # type: ignore[list-item]
            assert socket.subprotocol is not None
        with connect(base + path, additional_headers=bearer(tokens["anna"])):
            pass


def test_the_operator_may_look_at_everybodys(closed: tuple[Server, dict[str, str]]) -> None:
    server, tokens = closed
    assert server.client.get("/v1/queue", headers=bearer(tokens["root"])).status_code == 200
    assert server.client.get("/v1/webhooks/secret", headers=bearer(tokens["root"])).status_code == 200
    assert server.client.get("/v1/models", headers={"X-API-Key": tokens["anna"]}).status_code == 200


def test_a_key_made_or_revoked_counts_at_once_and_a_class_is_a_ceiling(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", env={"ANTIPHON_TONE_DELAY": "0.3"})
    assert server.client.get("/v1/jobs").status_code == 200
    token = create(server.data, "late", "--class", "bulk")
    wait_until(lambda: server.client.get("/v1/jobs").status_code == 401, "the first key closes the server", 5)
    admin = bearer(create(server.data, "root", "--admin"))
    wait_until(lambda: server.client.get("/v1/queue", headers=admin).status_code == 200, "the second opens it", 5)
    for n in range(3):
        body = {"input": f"Please hurry, {n}.", "priority": "vip"}
        assert server.client.post("/v1/jobs", json=body, headers=bearer(token)).status_code == 202
    rows = server.client.get("/v1/queue", headers=admin).json()["data"]
    assert rows
    assert {row["priority"] for row in rows} == {"bulk"}
    keys(server.data, "revoke", "late")
    wait_until(lambda: server.client.get("/v1/jobs", headers=bearer(token)).status_code == 401, "it is revoked", 5)
    keys(server.data, "revoke", "root")
    wait_until(lambda: server.client.get("/v1/queue", headers=admin).status_code == 401, "nobody is left", 5)


def test_no_key_lies_anywhere(serve: Start, tmp_path: Path) -> None:
    data = tmp_path / "data0"
    token = create(data, "secret one")
    server = serve("--model", "tone", data=data, ready=False)
    wait_until(lambda: server.health()["model_loaded"], "a model is ready")
    assert server.client.post("/tts", json={"text": "Hello."}, headers=bearer(token)).status_code == 200
    assert server.client.post("/tts", json={"text": "Hello."}, headers=bearer(token[:-1])).status_code == 401
    base = server.base.replace("http", "ws")
    with connect(base + "/ws", subprotocols=[f"antiphon.key.{token}"]):  # type: ignore[list-item]
        pass
    server.stop()
    for path in data.rglob("*"):
        if path.is_file():
            assert token[3:-1].encode() not in path.read_bytes(), path


def test_a_quota_holds_when_many_ask_at_once(serve: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    token = create(data, "little", "--quota-seconds", "5")
    server = serve("--model", "tone", "--workers", "2", data=data, env={"ANTIPHON_TONE_DELAY": "0.3"})
    start = threading.Barrier(20)

    def ask(number: int) -> float:
        start.wait()
        body = {"text": f"Sentence number {number} of twenty, which is long enough.", "emotion": "neutral"}
        answer = httpx.post(server.base + "/tts", json=body, headers=bearer(token), timeout=60)
        assert answer.status_code in (200, 429), answer.text
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) >= 1
        return float(answer.json()["duration"]) if answer.status_code == 200 else 0.0

    with ThreadPoolExecutor(20) as pool:
        durations = list(pool.map(ask, range(20)))
    assert 0 < sum(durations) <= 5 + max(durations)
    # What was refused took nothing: the rest of the quota, if there is any, can be had.
    if sum(durations) < 5:
        assert ask_alone(server, token).status_code == 200


def test_what_was_heard_counts_also_if_the_client_hangs_up(serve: Start, tmp_path: Path) -> None:
    """Whoever left before the end had any amount of audio for nothing."""
    data = tmp_path / "data"
    token = create(data, "little", "--quota-seconds", "2")
    server = serve("--model", "tone", "--workers", "1", data=data, env={"ANTIPHON_TONE_DELAY": "0.2"})
    body = {
        "input": " ".join(f"Sentence {n} has a second or two of audio in it." for n in range(200)),
        "response_format": "pcm",
    }
    heard = 0
    with httpx.stream("POST", server.base + "/v1/audio/speech", json=body, headers=bearer(token), timeout=60) as answer:
        for part in answer.iter_bytes():
            heard += len(part)
            if heard > 3 * 48_000:
                break
    job = f"/v1/jobs/{answer.headers['x-job-id']}"
    wait_until(lambda: server.client.get(job, headers=bearer(token)).json()["status"] == "cancelled", "it has ended")
    refused = ask_alone(server, token)
    assert refused.status_code == 429
    assert "today" in refused.json()["error"]


def test_what_was_heard_of_a_job_counts_also_if_it_is_cancelled(serve: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    token = create(data, "little", "--quota-seconds", "2")
    server = serve("--model", "tone", "--workers", "1", data=data, env={"ANTIPHON_TONE_DELAY": "0.2"})
    text = " ".join(f"Sentence {n} has a second or two of audio in it." for n in range(200))
    body = {"input": text, "response_format": "pcm"}
    job = "/v1/jobs/" + server.client.post("/v1/jobs", json=body, headers=bearer(token)).json()["id"]
    # A job that nobody listens to takes nothing.
    server.client.delete(job, headers=bearer(token)).raise_for_status()
    assert ask_alone(server, token).status_code == 200
    job = "/v1/jobs/" + server.client.post("/v1/jobs", json=body, headers=bearer(token)).json()["id"]
    url, heard = f"{server.base}{job}/result?wait=true", 0
    with httpx.stream("GET", url, headers=bearer(token), timeout=60) as answer:
        for part in answer.iter_bytes():
            heard += len(part)
            if heard > 3 * 48_000:
                server.client.delete(job, headers=bearer(token)).raise_for_status()
                break
    refused = ask_alone(server, token)
    assert refused.status_code == 429
    assert "today" in refused.json()["error"]


def ask_alone(server: Server, token: str) -> httpx.Response:
    body = {"text": "One more.", "emotion": "neutral"}
    return server.client.post("/tts", json=body, headers=bearer(token))


def test_a_quota_of_audio(serve: Start, tmp_path: Path) -> None:
    data = tmp_path / "data0"
    token = create(data, "little", "--quota-seconds", "1")
    server = serve("--model", "tone", data=data, ready=False)
    wait_until(lambda: server.health()["model_loaded"], "a model is ready")
    headers = bearer(token)
    long = {"text": "This is about a second of audio, or a little more of it, as it happens."}
    assert server.client.post("/tts", json=long, headers=headers).status_code == 200
    refused = server.client.post("/tts", json={"text": "And this is too much."}, headers=headers)
    assert refused.status_code == 429
    assert "today" in refused.json()["error"]
    assert 0 < int(refused.headers["retry-after"]) <= 86400
    # What the cache has is audio, too.
    assert server.client.post("/tts", json=long, headers=headers).status_code == 429
    server.stop()
    again = serve("--model", "tone", data=data, ready=False)
    wait_until(lambda: again.health()["model_loaded"], "a model is ready")
    assert again.client.post("/v1/jobs", json={"input": "Still too much."}, headers=headers).status_code == 429


def test_the_rate_limit_counts_to_one(serve: Start) -> None:
    server = serve("--model", "tone", "--rate-limit", "20", ready=False)
    wait_until(lambda: server.health()["model_loaded"], "a model is ready")
    answers = [server.client.get("/v1/models") for _ in range(20)]
    assert [answer.status_code for answer in answers] == [200] * 20
    assert answers[0].headers["ratelimit-policy"] == "20;w=60"
    assert "remaining=19" in answers[0].headers["ratelimit"]
    assert "remaining=0" in answers[-1].headers["ratelimit"]
    refused = server.client.get("/v1/models")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["error"]["code"] == "rate_limited"
    # Nobody named a proxy, so what a header says of the address is worth nothing.
    spoofed = server.client.get("/v1/models", headers={"X-Forwarded-For": "203.0.113.9"})
    assert spoofed.status_code == 429
    assert server.client.get("/livez").status_code == 200


def test_a_named_proxy_is_believed_up_to_the_last_stranger(serve: Start) -> None:
    server = serve("--model", "tone", "--trusted-proxies", "127.0.0.0/8", "--rate-limit", "5", ready=False)
    wait_until(lambda: server.health()["model_loaded"], "a model is ready")

    def ask(forwarded: str) -> int:
        return server.client.get("/v1/models", headers={"X-Forwarded-For": forwarded}).status_code

    assert [ask(f"198.51.100.{n}, 203.0.113.9, 127.0.0.5") for n in range(6)] == [200] * 5 + [429]
    assert ask("203.0.113.10") == 200
    # The operator is who sits here, not whom a proxy brings.
    assert server.client.get("/v1/queue", headers={"X-Forwarded-For": "203.0.113.11"}).status_code == 403


def test_wrong_keys_are_counted(serve: Start, tmp_path: Path) -> None:
    data = tmp_path / "data0"
    token = create(data, "right")
    server = serve("--model", "tone", data=data, ready=False)
    statuses = [server.client.get("/v1/models", headers=bearer(f"ak_{n}")).status_code for n in range(70)]
    assert statuses == [401] * 60 + [429] * 10
    assert server.client.get("/v1/models", headers=bearer(token)).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", ""])
def test_a_foreign_host_is_refused(tone: Server, host: str) -> None:
    answer = tone.client.get("/v1/models", headers={"Host": host})
    assert answer.status_code == 403
    assert "--allowed-hosts" in answer.json()["error"]["message"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:7860", "[::1]:1", "192.168.1.7", "my.localhost"])
def test_hosts_that_nobody_can_point_elsewhere_are_ours(tone: Server, host: str) -> None:
    assert tone.client.get("/v1/models", headers={"Host": host}).status_code == 200


def test_a_foreign_page_may_not_write_nor_listen(tone: Server) -> None:
    foreign = {"Origin": "https://evil.example"}
    assert tone.client.post("/tts", json={"text": "Hi"}, headers=foreign).status_code == 403
    assert tone.client.delete("/v1/jobs/x", headers={"Origin": "null"}).status_code == 403
    own = {"Origin": tone.base}
    assert tone.client.post("/tts", json={"text": "Hi"}, headers=own).status_code == 200
    base = tone.base.replace("http", "ws")
    for path in ("/ws", "/v1/audio/speech/stream"):
        with pytest.raises(InvalidStatus), connect(base + path, origin="https://evil.example"):  # type: ignore[arg-type]
            pass
        with connect(base + path, origin=tone.base):  # type: ignore[arg-type]
            pass


def test_a_page_that_was_named_may(serve: Start) -> None:
    server = serve("--model", "tone", "--allowed-origins", "https://chat.example", "--allowed-hosts", "speech.example")
    origin = {"Origin": "https://chat.example"}
    answer = server.client.post("/tts", json={"text": "Hi"}, headers=origin)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://chat.example"
    asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    assert server.client.options("/tts", headers=asked).status_code == 200
    assert server.client.get("/v1/models", headers={"Host": "speech.example"}).status_code == 200
    other = server.client.get("/v1/models", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_answers_cannot_be_sniffed_nor_embedded(tone: Server) -> None:
    for path in ("/health", "/v1/models", "/nowhere"):
        headers = tone.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_other_addresses_are_served_only_with_keys(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "antiphon.cli.main", "serve", "--host", "0.0.0.0", "--port", "0", "--model", "tone"]
    line += ["--data-dir", str(tmp_path)]
    env = surroundings(tmp_path)
    refused = subprocess.run(line, capture_output=True, text=True, timeout=30, env=env)
    assert refused.returncode != 0
    assert "antiphon keys create" in refused.stderr
    token = create(tmp_path, "for others")
    quiet = subprocess.DEVNULL
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=quiet, text=True, env=env) as process:
        assert process.stdout is not None
        port = process.stdout.readline().split()[-1].rpartition(":")[2]
        answer = httpx.get(f"http://127.0.0.1:{port}/v1/models", headers=bearer(token), trust_env=False)
        process.terminate()
    assert answer.status_code == 200


def test_a_key_cannot_tell_what_another_key_has_asked_for(closed: tuple[Server, dict[str, str]]) -> None:
    """P29: each key has a cache of its own, so the same text is a miss for it, and takes what a new text takes."""
    server, tokens = closed

    def speak(name: str, words: str, format: str = "mp3") -> str:
        body = {"input": words, "response_format": format}
        answer = server.client.post("/v1/audio/speech", json=body, headers=bearer(tokens[name]))
        assert answer.status_code == 200, answer.text
        return answer.headers["x-cache"]

    def computed() -> float:
        page = server.client.get("/metrics", headers=bearer(tokens["root"])).text
        counts = re.findall(r'^antiphon_units_total\{.*source="worker".*\} (\S+)$', page, re.MULTILINE)
        assert counts, page
        return sum(map(float, counts))

    words = "What Anna asks for is hers alone. She has two sentences of it, so that it has more than one segment."
    assert [speak("anna", words), speak("anna", words)] == ["miss", "hit"]
    before = computed()
    assert [speak("ben", words), speak("ben", words, "wav"), speak("root", words)] == ["miss", "hit", "miss"]
    assert computed() > before

    def cached(name: str) -> int:
        body = {"input": words + " And more."}
        job = server.client.post("/v1/jobs", json=body, headers=bearer(tokens[name])).json()["id"]
        return int(ended(server, job, tokens[name])["units"]["cached"])

    assert [cached("anna"), cached("anna") > 0, cached("ben"), cached("ben") > 0] == [0, True, 0, True]


def test_a_key_hears_its_job_while_it_is_made(closed: tuple[Server, dict[str, str]]) -> None:
    server, tokens = closed
    text = " ".join(f"Sentence number {n} is long enough to be worth a segment of its own." for n in range(30))
    job = server.client.post("/v1/jobs", json={"input": text}, headers=bearer(tokens["anna"])).json()["id"]
    heard = server.client.get(f"/v1/jobs/{job}/result?wait=true", headers=bearer(tokens["anna"]))
    assert heard.status_code == 200, heard.text
    assert len(heard.content) > 10_000


async def test_keys_share_a_cache_only_if_the_operator_says_so(tmp_path: Path) -> None:
    for sharing, space in (("owners", "anna"), ("all", "")):
        service = Antiphon(data_dir=tmp_path, model=("tone",), cache_sharing=sharing)
        assert service.lifecycle.shared.space("anna") == ""
        service.api_keys.open = False
        assert service.lifecycle.shared.space("anna") == space
