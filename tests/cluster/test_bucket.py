"""Object storage: what holds of every kind of address, and what is said when it fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.domain import errors
from antiphon.files.bucket import Bucket
from tests.cluster.storage import Storage


@pytest.fixture(params=["s3", "file"])
def bucket(request: pytest.FixtureRequest, storage_server: Storage, tmp_path: Path) -> Bucket:
    if request.param == "s3":
        return Bucket(storage_server.bucket(), endpoint=storage_server.endpoint)
    return Bucket(f"file://{tmp_path}/shared")


@pytest.fixture
def down(storage_server: Storage) -> Iterator[Bucket]:
    """One whose storage has gone away."""
    bucket = Bucket(storage_server.bucket(), endpoint=storage_server.endpoint)
    storage_server.stop()
    yield bucket
    storage_server.start()


async def test_what_was_put_is_got(bucket: Bucket, tmp_path: Path) -> None:
    await bucket.check()
    await bucket.put("a/b", b"some bytes", "audio/wav")
    assert await bucket.get("a/b") == b"some bytes"
    assert await bucket.has("a/b")
    await bucket.put("a/b", b"others")
    assert await bucket.get("a/b") == b"others"
    (tmp_path / "long").write_bytes(long := os.urandom(12 * 1024 * 1024))
    await bucket.put("a/long", tmp_path / "long")
    assert await bucket.fetch("a/long", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == long
    found = {each.key: each async for each in bucket.list("a")}
    assert {key: each.size for key, each in found.items()} == {"a/b": 6, "a/long": len(long)}
    changed = (tmp_path / "again").stat().st_mtime
    assert all(abs(each.changed - changed) < 60 for each in found.values())
    await bucket.delete(["a/b", "a/long", "a/never"])
    assert [each async for each in bucket.list("a")] == []
    assert bucket.last_error is None


async def test_what_is_not_there_is_no_trouble(bucket: Bucket, tmp_path: Path) -> None:
    await bucket.check()
    assert await bucket.get("nothing") is None
    assert await bucket.open("nothing") is None
    assert not await bucket.has("nothing")
    assert not await bucket.fetch("nothing", tmp_path / "file")
    assert not (tmp_path / "file").exists()
    assert bucket.last_error is None
    assert bucket.counts["get", "missing"] == 3


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), content=st.binary(min_size=1, max_size=3000))
async def test_any_part_is_that_part(bucket: Bucket, data: st.DataObject, content: bytes) -> None:
    first = data.draw(st.integers(0, len(content) - 1))
    behind = data.draw(st.integers(first + 1, len(content)) | st.none())
    await bucket.put("part", content)
    pieces = await bucket.open("part", first, behind)
    assert pieces is not None
    assert b"".join([piece async for piece in pieces]) == content[first:behind]


async def test_a_signed_address_opens_one_object(storage_server: Storage) -> None:
    bucket = Bucket(storage_server.bucket(), endpoint=storage_server.endpoint)
    await bucket.put("a", b"0123456789", "audio/mpeg")
    signed = await bucket.sign("a", 60)
    answer = httpx.get(signed, headers={"Range": "bytes=2-4"})
    assert (answer.status_code, answer.content) == (206, b"234")
    assert httpx.get(signed).headers["content-type"] == "audio/mpeg"
    other = f"http://localhost:{storage_server.port}"
    public = Bucket(bucket.url, endpoint=storage_server.endpoint, public=other)
    assert (await public.sign("a", 60)).startswith(other)


async def test_a_storage_that_is_away_is_said(down: Bucket, storage_server: Storage, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for asking in (down.put("a", b"x"), down.put("a", tmp_path / "file"), down.get("a"), down.has("a"), down.open("a")):
        with pytest.raises(errors.StorageDown, match="The object storage failed: ") as raised:
            await asking
        assert "\n" not in raised.value.message
        assert raised.value.retry_after
    with pytest.raises(errors.StorageDown):
        await down.delete(["a"])
    with pytest.raises(errors.StorageDown):
        assert [found async for found in down.list("a")]
    assert down.last_error
    await down.check()  # It may come later: no reason not to start.
    storage_server.start()
    await down.put("a", b"x")
    assert down.last_error is None
    storage_server.stop()


async def test_a_file_that_is_not_here_is_no_fault_of_the_storage(bucket: Bucket, tmp_path: Path) -> None:
    await bucket.check()
    with pytest.raises(FileNotFoundError, match="no file gone"):
        await bucket.put("a", tmp_path / "gone")
    assert bucket.last_error is None
    assert not await bucket.has("a")


async def test_a_bucket_that_is_not_there_is_a_mistake(storage_server: Storage) -> None:
    bucket = Bucket("s3://nobodys-bucket/x", endpoint=storage_server.endpoint)
    with pytest.raises(errors.InvalidRequest, match="s3://nobodys-bucket/x cannot be written"):
        await bucket.check()
    with pytest.raises(errors.StorageDown):
        await bucket.put("a", b"x")  # Never taken for kept.
