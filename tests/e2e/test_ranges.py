"""P19: entity tags, ranges and conditions over HTTP are exact, against a small reading of RFC 9110 of the test's own."""

from __future__ import annotations

import email
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.conftest import Server

SPECS = st.one_of(
    st.tuples(st.integers(0, 70_000), st.integers(0, 70_000)).map(lambda t: f"{t[0]}-{t[1]}"),
    st.tuples(st.integers(0, 70_000), st.integers(0, 200)).map(lambda t: f"{t[0]}-{t[0] + t[1]}"),
    st.integers(0, 70_000).map(lambda n: f"{n}-"),
    st.integers(0, 70_000).map(lambda n: f"-{n}"),
    st.sampled_from(["", "-", "x-y", "1-2-3", "+1-5", "1_0-20", "99999999999999999-", "0x1-0x5"]),
)
HEADERS = st.builds(
    # A client sends no field that ends in a space.
    lambda unit, specs, gap: f"{unit}={(',' + gap).join(specs)}".rstrip(),
    st.sampled_from(["bytes", "bytes", "bytes", "Bytes", "items"]),
    st.lists(SPECS, min_size=1, max_size=20),
    st.sampled_from(["", " "]),
)


@dataclass
class File:
    urls: tuple[str, ...]
    data: bytes = field(repr=False)
    etag: str


@pytest.fixture(scope="module")
def file(tone: Server) -> File:
    made = tone.client.post("/v1/jobs", json={"input": "A file to take pieces of, for as long as it has bytes."}).json()
    tone.wait_job(made["id"])
    urls = (f"/v1/jobs/{made['id']}/result", f"/output/speech_{made['id']}.wav")
    data = tone.client.get(urls[0]).content
    assert tone.client.get(urls[1]).content == data
    return File(urls, data, f'"{hashlib.sha256(data).hexdigest()}"')


def expected(header: str, size: int) -> tuple[int, set[int]]:
    """(status, the bytes' places) by RFC 9110, 14: a set says nothing about their order, which may be anything."""
    unit, _, specs = header.partition("=")
    asked = [spec.strip() for spec in specs.split(",") if spec.strip()]
    whole = (200, set(range(size)))
    if unit.lower() != "bytes" or not asked or len(asked) > 16:
        return whole
    places: set[int] = set()
    for spec in asked:
        first, dash, last = spec.partition("-")
        known = [part for part in (first, last) if part]
        if not dash or not known or any(set(part) - set("0123456789") for part in known):
            return whole
        if first and last and int(last) < int(first):
            return whole
        if first:
            places.update(range(int(first), min(size, int(last) + 1 if last else size)))
        else:
            places.update(range(max(0, size - int(last)), size))
    return (206, places) if places else (416, set())


def pieces(answer: httpx.Response) -> Iterator[tuple[int, bytes]]:
    """(place, bytes) of each part of a 206."""
    kind = answer.headers["content-type"]
    if not kind.startswith("multipart/byteranges"):
        yield int(answer.headers["content-range"].split()[1].partition("-")[0]), answer.content
        return
    message = email.message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + answer.content)
    boundary = b"--" + message.get_boundary("").encode()
    for part in answer.content.split(boundary)[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        line = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-range:"))
        yield int(line.split()[2].partition(b"-")[0]), body.removesuffix(b"\r\n")


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(header="bytes=5-3", which=0)
@example(header="bytes=0-0,99999999-", which=0)
@example(header="bytes=99999999-", which=1)
@example(header="bytes=-0", which=1)
@example(header="bytes=" + ",".join(f"{n * 3}-{n * 3}" for n in range(17)), which=0)
@example(header="items=0-1", which=0)
@given(header=HEADERS, which=st.integers(0, 1))
def test_ranges_are_exact(tone: Server, file: File, header: str, which: int) -> None:
    size = len(file.data)
    status, places = expected(header, size)
    answer = tone.client.get(file.urls[which], headers={"Range": header})
    assert answer.status_code == status, header
    assert answer.headers["etag"] == file.etag
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{size}"
    elif status == 200:
        assert answer.content == file.data
    else:
        seen: set[int] = set()
        for first, body in pieces(answer):
            assert body == file.data[first : first + len(body)]
            seen.update(range(first, first + len(body)))
        assert seen == places
    stale = tone.client.get(file.urls[which], headers={"Range": header, "If-Range": '"of another file"'})
    assert (stale.status_code, stale.content == file.data) == (200, True)


def test_conditions(tone: Server, file: File) -> None:
    def get(**headers: str) -> httpx.Response:
        return tone.client.get(file.urls[0], headers={k.replace("_", "-"): v for k, v in headers.items()})

    for tags in (file.etag, "*", f'"x", {file.etag}', f"W/{file.etag}"):
        same = get(if_none_match=tags, range="bytes=0-1")
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", file.etag)
    assert get(if_none_match='"x"').status_code == 200
    assert get(if_range=file.etag, range="bytes=0-9").status_code == 206
    assert get(if_range=f"W/{file.etag}", range="bytes=0-9").status_code == 200
    modified = get().headers["last-modified"]
    assert get(if_range=modified, range="bytes=0-9").status_code == 200


def test_a_thousand_ranges_cost_no_more_than_the_file(tone: Server, file: File) -> None:
    header = "bytes=" + ",".join(f"{n * 3}-{n * 3}" for n in range(1000))
    began = time.monotonic()
    answer = tone.client.get(file.urls[0], headers={"Range": header})
    assert (answer.status_code, answer.content == file.data) == (200, True)
    assert time.monotonic() - began < 1
