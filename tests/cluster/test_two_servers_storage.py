"""Two servers over one object storage: what one made, took in or removed is so on the other."""

from __future__ import annotations

import errno
import hashlib
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from antiphon import Client
from antiphon.audio import codec, pcm, wav
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.files.bucket import Bucket
from antiphon.files.store import FileStore
from tests import parts
from tests.cluster.conftest import Pair
from tests.cluster.storage import Storage
from tests.cluster.test_two_servers import submit, text
from tests.conftest import Server, Start, wait_until
from tests.unit.test_audio_pcm import pitch, tone

CONSENT = "I agree that my voice is imitated. A. Speaker"


@pytest.fixture
def url(storage_server: Storage) -> str:
    return storage_server.bucket()


@pytest.fixture
def shared(storage_server: Storage, url: str) -> dict[str, str]:
    return storage_server.environment(url)


def finished(server: Server, input: str) -> dict[str, Any]:
    return dict(server.wait_job(submit(server, input)["id"]))


def test_a_finished_file_is_read_through_any_server(pair: Pair, shared: dict[str, str]) -> None:
    one, two = pair(env=shared)
    job = finished(one, text("the job", 2))
    path = job["result"]["path"]
    here = one.client.get(path)
    assert here.status_code == 200
    assert not list((two.data / "output").iterdir())
    there = two.client.get(path)
    assert (there.content, there.headers["etag"]) == (here.content, here.headers["etag"])
    assert there.headers["content-type"] == here.headers["content-type"]
    assert there.headers["etag"].strip('"') == hashlib.sha256(there.content).hexdigest()
    assert int(there.headers["content-length"]) == len(here.content) == job["result"]["bytes"]
    size = len(here.content)
    etag = here.headers["etag"]
    for headers in (
        {"Range": "bytes=0-0"},
        {"Range": "bytes=100-199"},
        {"Range": f"bytes={size - 5}-"},
        {"Range": "bytes=-7"},
        {"Range": f"bytes={size}-"},
        {"Range": "bytes=100-199", "If-Range": etag},
        {"Range": "bytes=100-199", "If-Range": '"another"'},
        {"Range": "lines=1-2"},
        {"If-None-Match": etag},
        {"If-None-Match": '"another"'},
    ):
        ours, theirs = (server.client.get(path, headers=headers) for server in (one, two))
        assert (theirs.status_code, theirs.content) == (ours.status_code, ours.content), headers
        assert theirs.headers.get("content-range") == ours.headers.get("content-range"), headers
    # Of several ranges it sends the whole, as it may.
    assert two.client.get(path, headers={"Range": "bytes=0-1,5-6"}).content == here.content
    result = two.client.get(f"/v1/jobs/{job['id']}/result")
    assert result.content == here.content
    assert "attachment" in result.headers.get("content-disposition", "attachment")


def test_a_finished_file_outlives_its_server(pair: Pair, shared: dict[str, str]) -> None:
    one, two = pair(env=shared)
    job = finished(one, text("the job", 2))
    waited = one.client.post("/tts", json={"text": "Somebody waited for this."}).json()
    contents = [one.client.get(path).content for path in (job["result"]["path"], waited["audio_path"])]
    one.kill()
    assert [two.client.get(p).content for p in (job["result"]["path"], waited["audio_path"])] == contents


def test_the_segments_of_a_dead_server_are_not_made_again(pair: Pair, shared: dict[str, str]) -> None:
    one, two = pair(delay=0.3, env=shared)
    job = submit(one, text("the job", 12))
    wait_until(lambda: one.job(job["id"])["units"]["done"] >= 6, "half of it is made")
    one.kill()
    ended = two.wait_job(job["id"])
    assert ended["status"] == "succeeded"
    # What was being made and what was being sent when it died may be made again.
    assert ended["units"]["cached"] >= 4
    # And what one made, the other need not make for somebody else.
    again = finished(two, text("the job", 12))
    assert again["units"]["cached"] == 12


def test_two_servers_make_a_text_once(pair: Pair, shared: dict[str, str]) -> None:
    one, two = pair(delay=0.3, env=shared)
    finished(one, text("the job", 3))
    wait_until(
        lambda: 'antiphon_cache_shared_total{what="sent"} 3.0' in one.client.get("/metrics").text, "they are shared"
    )
    again = finished(two, text("the job", 3))
    assert again["units"] == {"total": 3, "done": 3, "cached": 3}


def test_a_late_servers_file_is_not_what_the_others_give_out(
    pair: Pair, shared: dict[str, str], url: str, storage_server: Storage
) -> None:
    """Under one name there may be several, each known by its digest."""
    one, two = pair(env=shared)
    job = finished(one, text("the job", 1))
    name = Path(job["result"]["path"]).name
    late = one.data / "output" / name
    content = late.read_bytes()
    # As if another server had made it, and this one, which it was taken from, finished writing later.
    late.write_bytes(content[:-2] + b"xx")
    assert one.client.get(job["result"]["path"]).content == content
    assert two.client.get(job["result"]["path"]).content == content
    assert [key for key in storage_server.keys(url) if key.startswith("output/")] == [
        f"output/{name}/{hashlib.sha256(content).hexdigest()}"
    ]


def test_clients_are_sent_to_the_storage_if_that_is_wanted(
    pair: Pair, shared: dict[str, str], storage_server: Storage
) -> None:
    public = f"http://localhost:{storage_server.port}"
    one, two = pair("--objects-reads", "signed", "--objects-public", public, env=shared)
    job = finished(one, text("the job", 1))
    for server in (one, two):
        sent = server.client.get(job["result"]["path"])
        assert sent.status_code == 307
        assert sent.headers["location"].startswith(public + "/")
        answer = httpx.get(sent.headers["location"], headers={"Range": "bytes=0-3"})
        assert (answer.content, answer.headers["content-type"]) == (b"RIFF", "audio/wav")
        etag = f'"{hashlib.sha256(httpx.get(sent.headers["location"]).content).hexdigest()}"'
        assert server.client.get(job["result"]["path"], headers={"If-None-Match": etag}).status_code == 304
    assert one.client.get("/output/speech_00000000000000000000000000.wav").status_code == 404
    content = httpx.get(sent.headers["location"]).content
    with Client(two.base) as ours:
        assert ours.result(job["id"]).data == content
    # A page may load from its own origin only.
    page = {"Sec-Fetch-Site": "same-origin", "Range": "bytes=0-3"}
    assert two.client.get(job["result"]["path"], headers=page).content == b"RIFF"
    storage_server.stop()
    try:
        assert upload(one, "Anna").status_code == 503  # By which it learns of it.
        assert one.client.get(job["result"]["path"]).content == content
    finally:
        storage_server.start()


def test_a_storage_that_is_away_holds_an_end_up_and_loses_nothing(
    pair: Pair, shared: dict[str, str], storage_server: Storage
) -> None:
    one, two = pair(delay=0.1, env=shared)
    job = submit(one, text("the job", 40))
    wait_until(lambda: one.job(job["id"])["units"]["done"] >= 1, "it works")
    storage_server.stop()
    try:
        wait_until(lambda: one.job(job["id"])["units"]["done"] == 40, "its segments are made all the same")
        wait_until(lambda: one.health()["status"] == "degraded", "it is said")
        assert one.health()["storage"] != "ok"
        assert one.job(job["id"])["status"] == "running"
        # New work is taken, and whoever waits gets an answer.
        later = submit(one, text("another", 2))
        assert one.client.post("/tts", json={"text": "Meanwhile."}, timeout=30).status_code == 200
        refused = upload(one, "Anna")
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
    finally:
        storage_server.start()
    for each in (job, later):
        ended = two.wait_job(each["id"])
        assert ended["status"] == "succeeded"
        assert two.client.get(ended["result"]["path"]).status_code == 200
    wait_until(lambda: one.health()["storage"] == "ok", "all is well")


def test_a_storage_that_cannot_be_written_is_said_at_the_start(
    serve: Start, database: str, storage_server: Storage
) -> None:
    env = storage_server.environment("s3://nobodys-bucket/x")
    with pytest.raises(pytest.fail.Exception, match="--objects s3://nobodys-bucket/x cannot be written: there is no"):
        serve("--model", "tone", "--store", database, env=env)


# Recordings


def upload(server: Server, name: str, hertz: float = 523.0) -> httpx.Response:
    audio = codec.encode(pcm.silence(0.5, 24000) + tone(2, 24000, hertz) + pcm.silence(0.5, 24000), 24000, "wav")
    form = {"name": name, "consent": CONSENT}
    return server.client.post("/v1/audio/voices", data=form, files={"audio_sample": ("a.wav", audio, "audio/wav")})


def says(server: Server, voice: str, input: str) -> httpx.Response:
    body = {"model": "tone", "input": input, "voice": voice, "response_format": "wav"}
    return server.client.post("/v1/audio/speech", json=body)


def hertz_of(answer: httpx.Response) -> float:
    audio, rate = wav.read(answer.content)
    return pitch(audio, rate)


def test_a_voice_is_one_on_all_servers(pair: Pair, shared: dict[str, str], url: str, storage_server: Storage) -> None:
    one, two = pair(env=shared)
    assert says(two, "Anna", "Nobody knows her yet.").status_code == 400
    made = upload(one, "Anna").json()["voice"]
    # At once, though the other server has read its voices before.
    assert hertz_of(says(two, "Anna", "Now she is known.")) == pytest.approx(523, rel=0.03)
    assert upload(two, "Anna").status_code == 409
    sample = two.client.get(made["sample"])
    assert sample.content == one.client.get(made["sample"]).content
    kept = hashlib.sha256(sample.content).hexdigest()
    assert f"voices/{kept}.wav" in storage_server.keys(url)
    # The same recording under another name, and the first goes: the recording stays.
    assert upload(two, "Berta").status_code == 200
    assert one.client.delete("/v1/audio/voices/Anna").status_code == 200
    assert hertz_of(says(one, "Berta", "This is Berta.")) == pytest.approx(523, rel=0.03)
    assert f"voices/{kept}.wav" in storage_server.keys(url)
    # The last one goes: nobody has the recording any more.
    assert two.client.delete("/v1/audio/voices/Berta").status_code == 200
    assert f"voices/{kept}.wav" not in storage_server.keys(url)
    wait_until(lambda: says(one, "Berta", "She is gone.").status_code == 400, "the other server has heard it")
    for server in (one, two):
        wait_until(lambda at=server: not list((at.data / "voices").glob("*.wav")), "it is on no disk")  # type: ignore[misc]


def test_a_job_with_a_recording_goes_on_elsewhere(pair: Pair, shared: dict[str, str]) -> None:
    one, two = pair(delay=0.2, env=shared)
    assert upload(one, "Anna").status_code == 200
    body = {"input": text("the job", 5), "voice": "Anna", "model": "tone", "response_format": "wav"}
    job = one.client.post("/v1/jobs", json=body).json()
    wait_until(lambda: one.job(job["id"])["units"]["done"] >= 1, "it works")
    one.kill()
    ended = two.wait_job(job["id"])
    assert ended["status"] == "succeeded"
    assert hertz_of(two.client.get(ended["result"]["path"])) == pytest.approx(523, rel=0.03)


def test_a_job_waits_for_a_recording_that_cannot_be_had_yet(
    pair: Pair, shared: dict[str, str], storage_server: Storage
) -> None:
    one, two = pair(delay=0.2, env=shared)
    assert upload(one, "Anna").status_code == 200
    body = {"input": text("the job", 20), "voice": "Anna", "model": "tone", "response_format": "wav"}
    job = one.client.post("/v1/jobs", json=body).json()
    wait_until(lambda: one.job(job["id"])["units"]["done"] >= 1, "it works")
    storage_server.stop()
    try:
        one.kill()
        wait_until(lambda: "a job waits for a recording" in two.log.read_text(), "it is taken over, and waits")
        assert two.job(job["id"])["status"] == "queued"
        # Others are not held up by it.
        assert says(two, "alloy", "Not held up.").status_code == 200
    finally:
        storage_server.start()
    assert two.wait_job(job["id"])["status"] == "succeeded"


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads()
    yield made
    made.close()


async def test_a_recording_to_be_written_down_is_had_by_all(
    storage_server: Storage, url: str, tmp_path: Path, threads: Threads
) -> None:
    bucket = Bucket(url, endpoint=storage_server.endpoint)
    one, two = (parts.recordings(tmp_path / name / "uploads", threads, bucket) for name in ("1", "2"))
    taken = await one.put(io.BytesIO(codec.encode(tone(2, 24000, 300), 24000, "flac")))
    await two.ensure_local(taken.digest)
    assert two.path(taken.digest).read_bytes() == one.path(taken.digest).read_bytes()
    # What comes is looked at: it goes to a model under this name.
    two.path(taken.digest).unlink()
    await bucket.put(f"uploads/{taken.digest}.pcm", b"something else")
    with pytest.raises(errors.NotFound):
        await two.ensure_local(taken.digest)
    assert not list((tmp_path / "2" / "uploads").iterdir())


async def test_a_disk_that_cannot_take_a_recording_is_waited_for(
    storage_server: Storage, url: str, tmp_path: Path, threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = FileStore(tmp_path, threads, Bucket(url, endpoint=storage_server.endpoint))
    digest = hashlib.sha256(b"samples").hexdigest()
    (taken := tmp_path / "one" / f"{digest}.pcm").parent.mkdir()
    taken.write_bytes(b"samples")
    await files.put("uploads", taken)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    here = tmp_path / "two" / taken.name
    with monkeypatch.context() as patched:
        patched.setattr("antiphon.files.store.os.replace", full)
        with pytest.raises(errors.StorageDown, match="No space left"):
            await files.fetch("uploads", here)
    assert not list(here.parent.iterdir())
    assert await files.fetch("uploads", here)


async def test_what_is_old_goes_from_the_storage(
    storage_server: Storage, url: str, tmp_path: Path, threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(url, endpoint=storage_server.endpoint)
    files = FileStore(tmp_path, threads, bucket)
    for key in ("output/a.wav/d", "uploads/u.pcm", "cache/ab/c", "voices/mine.wav", "voices/nobodys.wav"):
        await bucket.put(key, b"x")

    async def wanted(digest: str) -> bool:
        return digest == "mine"

    async def left(days: float) -> set[str]:
        monkeypatch.setattr("antiphon.files.store.time.time", lambda: clock + days * 86400)
        await files.sweep(7 * 86400, 30 * 86400, wanted)
        return {found.key async for found in bucket.list("")}

    clock = time.time()
    assert len(await left(6.9)) == 5
    assert await left(7.1) == {"output/a.wav/d", "cache/ab/c", "voices/mine.wav"}
    assert await left(8.1) == {"cache/ab/c", "voices/mine.wav"}
    assert await left(30.1) == {"voices/mine.wav"}


def test_a_pruned_jobs_file_goes_from_everywhere(
    pair: Pair, serve: Start, shared: dict[str, str], url: str, storage_server: Storage, database: str
) -> None:
    one, two = pair(env=shared)
    old, new = finished(one, text("old", 1)), finished(one, text("new", 1))
    assert two.stop() == 0
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("UPDATE jobs SET finished_at = finished_at - 8 * 86400 WHERE id = %s", (old["id"],))
    # It looks for what is old when it starts.
    common = ("--model", "tone", "--store", database, "--lease", "2", "--server-name", "two")
    serve(*common, data=two.data, env=shared)

    def shared_files() -> list[str]:
        return [key.split("/")[1] for key in storage_server.keys(url) if key.startswith("output/")]

    wait_until(lambda: shared_files() == [Path(new["result"]["path"]).name], "the old one is gone, the new one stays")
    assert one.client.get(old["result"]["path"]).status_code == 404
