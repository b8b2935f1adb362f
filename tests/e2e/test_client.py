"""The Python client against real servers, also across a kill and restart."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import threading
import wave
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from antiphon import AsyncClient, Client
from antiphon import client as c
from tests.conftest import Server, Start, wait_until

BOOK = "\n\n".join(f"Sentence number {n} of the book is long enough to be a segment of its own." for n in range(12))


@pytest.fixture
def client(tone: Server) -> Iterator[Client]:
    with Client(tone.base) as made:
        yield made


@pytest.fixture
async def aclient(tone: Server) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(tone.base) as made:
        yield made


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = (
        "import sys, antiphon; print([m for m in ('httpx', 'numpy', 'av', 'fastapi', 'pydantic') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"
    script = "import sys; from antiphon import Client; print([m for m in ('numpy', 'av', 'fastapi', 'pydantic') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"


def test_speech_is_audio_with_what_the_server_said_of_it(client: Client, tmp_path: Path) -> None:
    first = client.speak("Heard by a client.", voice="low", seed=7, sample_rate=48000)
    assert (first.media_type, first.cache) == ("audio/wav", "miss")
    assert first.job is not None
    assert client.job(first.job).status == "succeeded"
    with wave.open(str(first.save(tmp_path / "a.wav"))) as file:
        assert file.getframerate() == 48000
    again = client.speak("Heard by a client.", voice="low", seed=7, sample_rate=48000)
    assert (again.cache, again.data) == ("hit", first.data)
    told = client.speak("With a warning.", instructions="like a teapot")
    assert any("instructions" in warning for warning in told.warnings)


async def test_the_async_client_says_the_same(aclient: AsyncClient, client: Client) -> None:
    text = "Both clients hear this. " + BOOK
    whole = await aclient.speak(text, format="pcm")
    async with aclient.stream(text, format="pcm") as stream:
        parts = [part async for part in stream]
        assert stream.head.media_type == "audio/pcm"
    with client.stream(text, format="pcm") as same:
        assert b"".join(same) == b"".join(parts) == whole.data
    job = await aclient.submit(text, format="pcm")
    assert (await aclient.wait(job)).ended
    events = [event async for event in aclient.events(job)]
    assert events[-1].type == "job.succeeded"
    assert (await aclient.result(job)).data
    assert (await aclient.jobs())[0].id == job.id
    assert (await aclient.voices())[0].id == "tone"
    assert (await aclient.models())[0].id == "tone"
    assert (await aclient.health())["status"] == "ok"


def test_audio_comes_as_it_is_made_and_leaving_frees_the_place(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", "--drain-seconds", "0", env={"ANTIPHON_TONE_DELAY": "0.3"})
    with Client(server.base) as client:
        with client.stream(BOOK) as stream:
            assert next(stream)[:4] == b"RIFF"
            assert stream.head.job is not None
            assert client.job(stream.head.job).status == "running"
        wait_until(lambda: client.job(stream.head.job or "").status == "cancelled", "its place is free")


def test_a_job_from_its_submission_to_its_subtitles(client: Client) -> None:
    job = client.submit("One sentence for a job. " + BOOK, format="mp3", priority="bulk")
    done = client.wait(job, timeout=30)
    assert (done.status, done.progress) == ("succeeded", 1.0)
    assert done.units.done == done.units.total > 1
    assert done.result is not None
    audio = client.result(done)
    assert (audio.media_type, len(audio.data)) == ("audio/mpeg", done.result.bytes)
    assert client.subtitles(done, "srt").startswith("1\n00:00:00,000")
    assert client.subtitles(done, "vtt").startswith("WEBVTT")
    assert client.jobs(status="succeeded", limit=1)[0].id == job.id
    ids = [event.id for event in client.events(job)]
    assert ids == sorted(set(ids))
    assert [event.id for event in client.events(job, after=ids[-2])] == ids[-1:]


def test_a_key_is_one_job_and_a_cancelled_one_can_be_retried(serve: Start) -> None:
    server = serve("--model", "tone", "--workers", "1", "--drain-seconds", "0", env={"ANTIPHON_TONE_DELAY": "0.1"})
    with Client(server.base) as client:
        job = client.submit(BOOK, idempotency_key="the book")
        assert client.submit(BOOK, idempotency_key="the book").id == job.id
        assert client.submit("Short.").id != client.submit("Short.").id, "two calls are two jobs"
        with pytest.raises(c.WaitTimeout):
            client.wait(job, timeout=0.2)
        client.cancel(job)
        with pytest.raises(c.JobFailed) as caught:
            client.wait(job)
        assert caught.value.code == "cancelled"
        with pytest.raises(c.Conflict):
            client.result(job)
        assert client.wait(client.retry(job)).status == "succeeded"


def test_a_voice_comes_and_goes(client: Client) -> None:
    recording = client.speak(
        "A recording that is long enough to be imitated, as it lasts for two seconds or more."
    ).data
    made = client.add_voice("mine", recording, consent="I agree")
    assert made.seconds >= 1
    assert any(voice.id == made.id for voice in client.voices())
    with pytest.raises(c.Conflict):
        client.add_voice("mine", recording, consent="I agree")
    assert client.speak("In my voice.", voice="mine").data
    assert client.remove_voice("mine").id == made.id
    with pytest.raises(c.NotFound):
        client.remove_voice("mine")


def test_errors_have_the_servers_codes(client: Client) -> None:
    with pytest.raises(c.BadRequest) as caught:
        client.speak("Too fast.", speed=9)
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, "invalid_request", "speed")
    with pytest.raises(c.BadRequest) as caught:
        client.speak("Nobody.", voice="nobody")
    assert caught.value.code == "voice_not_found"
    with pytest.raises(c.NotFound) as missing:
        client.speak("Nothing.", model="nothing")
    assert missing.value.code == "model_not_found"
    with pytest.raises(c.NotFound):
        list(client.events("job_nobody"))
    with pytest.raises(TypeError, match="colour"):
        client.speak("A typing error.", colour="red")  # type: ignore[call-arg]


def test_a_full_queue_is_waited_for_and_without_retries_it_is_an_error(serve: Start) -> None:
    server = serve(
        "--model",
        "tone",
        "--workers",
        "1",
        "--max-client-seconds",
        "2",
        "--drain-seconds",
        "0",
        env={"ANTIPHON_TONE_DELAY": "0.05"},
    )
    with Client(server.base, retries=0) as client, Client(server.base, retries=30) as patient:
        jobs: list[c.Job] = []
        refused: list[c.ApiError] = []

        def until_refused() -> bool:
            try:
                jobs.append(client.submit(f"{len(jobs)}. {BOOK}"))
            except c.RateLimited as e:
                refused.append(e)
            return bool(refused)

        wait_until(until_refused, "a submission is refused")
        assert refused[0].code == "over_share"
        assert refused[0].retry_after
        assert patient.submit("This one waits until it fits.").status


def test_no_server_is_said_with_its_remedy() -> None:
    with Client("http://127.0.0.1:9", retries=1) as client, pytest.raises(c.Unreachable, match="ANTIPHON_SERVER"):
        client.health()


def restart(server: Server, serve: Start) -> None:
    """Restarts the server as after a power failure: same data, same address."""
    server.kill()
    args = [*server.args, "--port", str(server.port)]
    serve(*args, data=server.data, env=server.env, ready=False)


def slow(serve: Start) -> Server:
    return serve("--model", "tone", "--workers", "1", "--drain-seconds", "0", env={"ANTIPHON_TONE_DELAY": "0.12"})


def test_wait_and_events_outlive_a_server_that_is_killed(serve: Start) -> None:
    server = slow(serve)
    with Client(server.base) as client:
        job = client.submit(BOOK)
        done: list[c.Job] = []
        waiting = threading.Thread(target=lambda: done.append(client.wait(job, timeout=60)))
        waiting.start()
        seen: list[c.Event] = []
        for event in client.events(job):
            seen.append(event)
            if sum(e.type == "unit.done" for e in seen) == 3 and server.process.poll() is None:
                restart(server, serve)
        waiting.join()
        assert (done[0].status, done[0].attempts) == ("succeeded", 2)
        ids = [event.id for event in seen]
        assert ids == sorted(set(ids))
        assert seen[-1].type == "job.succeeded"
        assert sum(e.type == "job.started" for e in seen) == 2, "both lives were heard"


async def test_the_async_client_outlives_it_too(serve: Start) -> None:
    server = slow(serve)
    async with AsyncClient(server.base) as client:
        job = await client.submit(BOOK)
        waiting = asyncio.create_task(client.wait(job, timeout=60))
        seen: list[c.Event] = []
        async for event in client.events(job):
            seen.append(event)
            if len(seen) == 4:
                await asyncio.to_thread(restart, server, serve)
        assert seen[-1].last
        assert (await waiting).status == "succeeded"


class Flaky(ThreadingHTTPServer):
    """Server that answers with the statuses of `plan` in turn, None for hanging up, and repeats the last. `got`: received headers."""

    def __init__(self, *plan: int | None) -> None:
        self.got: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:
                handler.rfile.read(int(handler.headers["content-length"]))
                status = plan[min(len(self.got), len(plan) - 1)]
                self.got.append({name.lower(): value for name, value in handler.headers.items()})
                if status is not None:
                    handler.send_response(status)
                    handler.send_header("Retry-After", "1" if status != 501 else "9999")
                    handler.send_header("Content-Length", "0")
                    handler.end_headers()
                handler.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                return

        super().__init__(("127.0.0.1", 0), Handler)

    def __enter__(self) -> Flaky:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


def test_only_what_is_safe_to_repeat_is_repeated() -> None:
    with Flaky(None) as server, Client(server.base, retries=2, api_key="secret") as client:
        with pytest.raises(c.Unreachable, match="broke off"):
            client.speak("Said once.")
        assert len(server.got) == 1
        assert server.got[0]["authorization"] == "Bearer secret"
        with pytest.raises(c.Unreachable):
            client.submit("A job.")
        assert len(server.got) == 1 + 3
        assert len({headers["idempotency-key"] for headers in server.got[1:]}) == 1
        with pytest.raises(c.Unreachable):
            client.speak("With a key.", idempotency_key="k")
        assert len(server.got) == 4 + 3
    with Flaky(None) as server, Client(server.base, retries=0) as client:
        with pytest.raises(c.Unreachable):
            client.submit("A job.")
        assert [("idempotency-key" in headers) for headers in server.got] == [False]


def test_a_refusal_is_repeated_when_it_says_and_not_when_that_is_too_late() -> None:
    with Flaky(503, 200) as server, Client(server.base, retries=1) as client:
        assert client.speak("Come again.").data == b""
        assert len(server.got) == 2
    with Flaky(429) as server, Client(server.base, retries=3, patience=0.5) as client:
        with pytest.raises(c.RateLimited) as caught:
            client.speak("Not today.")
        assert (len(server.got), caught.value.retry_after) == (1, 1.0)
    with Flaky(500) as server, Client(server.base) as client:
        with pytest.raises(c.ServerFailed):
            client.speak("Broken.")
        assert len(server.got) == 1


def test_the_server_is_found_by_the_environment(tone: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_SERVER", tone.base + "/")
    with Client() as client, wave.open(io.BytesIO(client.speak("By the environment.").data)) as file:
        assert file.getnchannels() == 1
