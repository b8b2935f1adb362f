"""Images through the whole server, as OpenAI's clients ask for them; drawn by an engine that needs no model."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from antiphon.imaging import image_codec
from tests import plugins
from tests.conftest import Server, command, launch, surroundings, wait_until
from tests.plugins.drawing_engines import bands

PATH = "/v1/images/generations"
PROMPT = "A lighthouse at dusk"


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    module = Path(plugins.__file__).parent / "drawing_engines.py"
    return plugins.installed(tmp_path_factory.mktemp("site"), module, {"painter": "Painter"})


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory, env: dict[str, str]) -> Iterator[Server]:
    made = launch(tmp_path_factory.mktemp("painter"), "--model", "painter", "--workers", "1", env=env, ready=False)
    made.wait_ready("painter")
    yield made
    made.stop()


def ask(server: Server, prompt: str = PROMPT, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    return server.client.post(PATH, json={"prompt": prompt, **fields}, headers=headers)


def decoded(answer: httpx.Response) -> list[bytes]:
    assert answer.status_code == 200, answer.text
    return [base64.b64decode(each["b64_json"]) for each in answer.json()["data"]]


def files(server: Server) -> set[str]:
    return {path.name for path in (server.data / "output").iterdir()}


def test_openais_client_draws(painter: Server) -> None:
    http = httpx.Client(trust_env=False)
    with openai.OpenAI(base_url=f"{painter.base}/v1", api_key="none", http_client=http) as client:
        made = client.images.generate(model="gpt-image-1", prompt=PROMPT, n=2, size="64x96", extra_body={"seed": 5})
        assert made.data is not None
        assert [base64.b64decode(each.b64_json or "") for each in made.data] == [bands(64, 96, 5), bands(64, 96, 6)]
        assert (made.output_format, made.size) == ("png", "64x96")
        # The older models answered with addresses, and their clients rely on it.
        old = client.images.generate(model="dall-e-2", prompt=PROMPT)
        assert old.data is not None
        url = old.data[0].url or ""
        assert url.startswith(f"{painter.base}/output/image_")
        found = painter.client.get(url)
        assert (found.headers["content-type"], image_codec.size(found.content)) == ("image/png", (64, 64))
        with pytest.raises(openai.BadRequestError, match="prompt must be"):
            client.images.generate(model="painter", prompt=" ")


def test_a_seed_is_the_same_image_and_chance_another(painter: Server) -> None:
    first, again, more = ask(painter, seed=70), ask(painter, seed=70), ask(painter, seed=70, n=2)
    assert decoded(first) == decoded(again) == decoded(more)[:1]
    assert [r.headers["x-cache"] for r in (first, again, more)] == ["miss", "hit", "partial"]
    one, other = ask(painter), ask(painter)
    assert decoded(one) != decoded(other)
    # What chance gave can be asked for again.
    assert decoded(ask(painter, seed=one.json()["data"][0]["seed"])) == decoded(one)


@pytest.mark.parametrize(("fmt", "begins", "ending"), [("jpeg", b"\xff\xd8\xff", ".jpg"), ("webp", b"RIFF", ".webp")])
def test_formats(painter: Server, fmt: str, begins: bytes, ending: str) -> None:
    assert decoded(ask(painter, output_format=fmt, seed=1))[0].startswith(begins)
    url = ask(painter, output_format=fmt, seed=1, response_format="url").json()["data"][0]["url"]
    found = painter.client.get(url)
    assert found.content.startswith(begins)
    assert (url.endswith(ending), found.headers["content-type"]) == (True, f"image/{fmt}")


def test_a_job_of_several_images_survives_the_server(tmp_path: Path, env: dict[str, str]) -> None:
    server = launch(tmp_path / "data", "--model", "painter", "--workers", "1", env=env, ready=False)
    server.wait_ready("painter")
    body = {"type": "image", "prompt": "slow", "n": 3, "seed": 8, "model": "painter", "priority": "bulk"}
    job = server.client.post("/v1/jobs", json=body).json()
    assert (job["type"], job["units"]["total"]) == ("image", 3)
    wait_until(lambda: server.job(job["id"])["units"]["done"] >= 1, "the first is drawn")
    server.kill()
    again = launch(server.data, "--model", "painter", "--workers", "1", env=env, ready=False)
    try:
        done = again.wait_job(job["id"])
        images = done["result"]["images"]
        assert [each["seed"] for each in images] == [8, 9, 10]
        for each in images:
            found = again.client.get(each["path"])
            assert found.content == bands(64, 64, each["seed"])
            assert found.headers["etag"]
        assert done["result"]["path"] == images[0]["path"]
        assert again.client.get(f"/v1/jobs/{job['id']}/result").content == bands(64, 64, 8)
        assert again.client.get(f"/v1/jobs/{job['id']}/subtitles.srt").status_code == 409
        assert again.client.get(images[2]["path"].replace("_3", "_4")).status_code == 404
        # One of them anew is another one; the others stay.
        assert again.client.post(f"/v1/jobs/{job['id']}/units/1/retry").status_code == 202
        renewed = again.wait_job(job["id"])["result"]["images"]
        assert [each["seed"] for each in renewed] == [8, 12, 10]
        assert again.client.get(renewed[1]["path"]).content == bands(64, 64, 12)
    finally:
        again.stop()


def test_each_step_is_heard(painter: Server) -> None:
    job = painter.client.post("/v1/jobs", json={"type": "image", "prompt": "slow", "steps": 4, "n": 2}).json()
    with painter.client.stream("GET", f"/v1/jobs/{job['id']}/events") as answer:
        told = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    steps = [event for event in told if event["type"] == "job.progress" and "unit" in event]
    assert {event["unit"]["index"] for event in steps} == {0, 1}
    # Each is half of the whole, and what is done does not count twice.
    assert all(event["progress"] == (event["unit"]["index"] + event["unit"]["progress"]) / 2 for event in steps)
    assert {0.25, 0.5, 0.75} & {event["unit"]["progress"] for event in steps}
    assert told[-1]["type"] == "job.succeeded"


def test_async_and_keys_that_repeat(painter: Server) -> None:
    accepted = ask(painter, headers={"Prefer": "respond-async"}, n=2)
    assert (accepted.status_code, accepted.headers["location"]) == (202, f"/v1/jobs/{accepted.json()['id']}")
    waited = painter.client.get(f"/v1/jobs/{accepted.json()['id']}/result", params={"wait": True})
    assert (waited.status_code, waited.headers["content-type"]) == (200, "image/png")
    assert len(painter.wait_job(accepted.json()["id"])["result"]["images"]) == 2
    # Without a seed each would be another image.
    key = {"Idempotency-Key": "the same"}
    first, again = ask(painter, headers=key), ask(painter, headers=key)
    assert decoded(first) == decoded(again)
    assert first.headers["x-job-id"] == again.headers["x-job-id"]
    assert ask(painter, "Another", headers=key).status_code == 422


def test_what_cannot_be_drawn_is_refused_in_words(painter: Server) -> None:
    def refusal(status: int = 400, **fields: Any) -> str:
        answer = painter.client.post(PATH, json={"prompt": PROMPT, **fields})
        assert answer.status_code == status, answer.text
        return str(answer.json()["error"]["message"])

    assert "'prompt'" in painter.client.post(PATH, json={}).json()["error"]["message"]
    assert "prompt must be" in refusal(prompt="")
    assert "n must be" in refusal(n=11)
    assert "size must be like" in refusal(size="large")
    assert "64 to 256 pixels" in refusal(size="512x512")
    assert "multiples of 16" in refusal(size="72x64")
    assert "seed must be" in refusal(seed=-1)
    assert "steps must be" in refusal(steps=0)
    assert "output_format" in refusal(output_format="gif")
    assert "response_format" in refusal(response_format="file")
    assert "not served" in refusal(404, model="sd-9")
    assert "The paint has run out" in refusal(500, prompt="impossible")
    assert "no PNG" in refusal(500, prompt="not a PNG")
    assert "no PNG" in refusal(500, prompt="not a PNG", response_format="url")
    answer = painter.client.post("/v1/jobs", json={"type": "image", "prompt": PROMPT, "sise": "64x64"})
    assert (answer.status_code, "sise" in answer.text) == (422, True)
    # It still draws.
    assert decoded(ask(painter, negative_prompt="fog", seed=3)) == [bands(64, 64, 3)]
    assert "negative prompts" in ask(painter, negative_prompt="fog", seed=3).headers["warning"]


def test_nothing_is_left_of_an_image_that_failed(painter: Server) -> None:
    before = files(painter)
    assert ask(painter, "not a PNG", n=3, response_format="url").status_code == 500
    assert files(painter) == before


def test_other_models_say_what_they_do(tone: Server) -> None:
    answer = ask(tone)
    assert answer.status_code == 404
    assert "No model for image is served" in answer.json()["error"]["message"]
    answer = ask(tone, model="tone")
    assert (answer.status_code, "No model for image is served" in answer.text) == (404, True)


def test_a_client_that_leaves_frees_its_place(painter: Server) -> None:
    before = files(painter)
    with pytest.raises(httpx.ReadTimeout):
        painter.client.post(PATH, json={"prompt": "slow", "n": 10, "steps": 150}, timeout=0.6)
    wait_until(lambda: painter.health()["concurrent"] == painter.health()["queued"] == 0, "nothing is drawn", 10)
    assert files(painter) == before


def test_somebody_elses_image_is_not_shown_and_a_class_is_a_ceiling(tmp_path: Path, env: dict[str, str]) -> None:
    server = launch(tmp_path / "data", "--model", "painter", "--workers", "1", env=env, ready=False)

    def key(name: str, *options: str) -> dict[str, str]:
        arguments = ("--name", name, "--data-dir", str(server.data), *options)
        made = command("keys", "create", *arguments, env=surroundings(server.data))
        return {"Authorization": f"Bearer {made.stdout.split()[-1]}"}

    try:
        server.wait_ready("painter")
        one, other, admin = key("one", "--class", "bulk"), key("other"), key("admin", "--admin")
        wait_until(lambda: server.client.get("/v1/jobs").status_code == 401, "keys are asked for")
        for each in (one, other, admin):
            wait_until(lambda each=each: server.client.get("/v1/jobs", headers=each).status_code == 200, "keys count")
        answer = ask(server, headers=one, n=2, response_format="url")
        for path in (each["url"].removeprefix(server.base) for each in answer.json()["data"]):
            told = [server.client.get(path, headers=each).status_code for each in ({}, one, other, admin)]
            assert told == [401, 200, 404, 200]
        job = ask(server, "slow", headers={**one, "Prefer": "respond-async"}, priority="vip", steps=100).json()
        rows = server.client.get("/v1/queue", headers=admin).json()["data"]
        assert [(row["id"], row["priority"]) for row in rows] == [(job["id"], "bulk")]
    finally:
        server.stop()


def test_the_command_draws_with_a_server_and_without(painter: Server, tmp_path: Path, env: dict[str, str]) -> None:
    alone = tmp_path / "alone"

    def imagine(*args: str, server: str = painter.base) -> subprocess.CompletedProcess[str]:
        where = ("--server", server, "--data-dir", str(alone))
        return command("imagine", *args, *where, cwd=tmp_path, env=surroundings(alone, env))

    nobody = "http://127.0.0.1:9"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        with_server = pool.submit(imagine, PROMPT, "-o", "a.png", "--n", "2", "--seed", "5", "--size", "64x80")
        without = pool.submit(
            imagine, PROMPT, "-o", "b.png", "--seed", "6", "--size", "64x80", "--model", "painter", server=nobody
        )
    assert "a-1.png" in with_server.result().stdout, with_server.result().stderr
    assert "b.png" in without.result().stdout, without.result().stderr
    assert (tmp_path / "a-1.png").read_bytes() == bands(64, 80, 5)
    assert (tmp_path / "a-2.png").read_bytes() == (tmp_path / "b.png").read_bytes() == bands(64, 80, 6)
    refused = imagine(PROMPT, "-o", "a.gif")
    assert (refused.returncode, ".png, .jpg" in refused.stderr) == (1, True)
    failed = imagine("impossible", "-o", "c.png")
    assert (failed.returncode, failed.stderr.strip()) == (1, "antiphon: The paint has run out")
    assert not (tmp_path / "c.png").exists()
    assert "name a model" in imagine(PROMPT, server=nobody).stderr
