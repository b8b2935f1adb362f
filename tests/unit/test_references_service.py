"""Reference service: voices need consent, belong to one owner, and their recordings stay while a voice uses them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.audio import pcm, wav
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain import voice as voices
from antiphon.domain.voice import Reference
from antiphon.files.disk_space import DiskSpace
from antiphon.references import service as module
from antiphon.references.service import References
from antiphon.sandbox import client
from tests import parts
from tests.stores.memory import MemoryStore
from tests.unit.test_audio_pcm import tone

YES = "I agree that my voice is imitated. A. Speaker"


def file(hertz: float = 440.0) -> bytes:
    audio = tone(1.5, 8000, hertz)
    return wav.header(8000, len(audio)) + audio


@pytest.fixture
async def references(tmp_path: Path) -> AsyncIterator[References]:
    store, threads = MemoryStore(), Threads()
    await store.open()
    yield parts.references(tmp_path, store, threads, Arrivals(tmp_path, 0))
    threads.close()


class Arrivals(DiskSpace):
    """Counts the recordings that are about to be read."""

    count = 0

    def check(self) -> None:
        Arrivals.count += 1


async def test_a_voice_is_its_owners(references: References) -> None:
    reference = await references.upload("me", "Anna", file(), consent=YES, ref_text="Hello.", description="warm")
    assert (reference.owner, reference.name, reference.consent, reference.ref_text, reference.description) == (
        "me", "Anna", YES, "Hello.", "warm",
    )  # fmt: skip
    assert reference.seconds == pytest.approx(1.5, abs=0.01)
    assert reference.bytes == references.library.path(reference.digest).stat().st_size
    assert await references.find("me", "Anna") == reference
    assert await references.find("me", reference.id) == reference
    assert await references.list("me") == [reference]
    assert dict(await references.by_name("me")) == {"Anna": reference, reference.id: reference}
    assert await references.find("you", "Anna") is None
    assert await references.find("you", reference.id) is None
    assert await references.list("you") == []
    assert await references.delete("you", reference.id) is None
    assert references.library.has(reference.digest)


async def test_what_was_remembered_is_news_after_a_change(references: References) -> None:
    assert await references.find("me", "Anna") is None
    reference = await references.upload("me", "Anna", file(), consent=YES)
    assert await references.find("me", "Anna") == reference
    assert await references.delete("me", "Anna") == reference
    assert await references.find("me", "Anna") is None
    assert not references.library.has(reference.digest)


async def test_a_recording_stays_while_another_voice_is_the_same(references: References) -> None:
    mine = await references.upload("me", "Anna", file(), consent=YES)
    yours = await references.upload("you", "Berta", file(), consent=YES)
    assert mine.digest == yours.digest
    await references.delete("me", "Anna")
    assert references.library.has(mine.digest)
    await references.delete("you", yours.id)
    assert not references.library.has(mine.digest)


async def test_deleting_and_uploading_the_same_at_once(references: References, monkeypatch: pytest.MonkeyPatch) -> None:
    """No upload can begin to use a recording between the check that it is unused and its removal."""
    library, put = references.library, threading.Event()
    put_recording, remove = library.put, library.remove

    def noted(recording: bytes) -> str:
        digest = put_recording(recording)
        put.set()
        return digest

    def late(digest: str) -> None:
        put.wait(0.5)
        remove(digest)

    reference = await references.upload("me", "Anna", file(), consent=YES)

    async def at_once(data: bytes) -> bytes:
        return library.path(reference.digest).read_bytes()

    monkeypatch.setattr(client, "read", at_once)
    monkeypatch.setattr(library, "put", noted)
    monkeypatch.setattr(library, "remove", late)
    await asyncio.gather(references.delete("me", "Anna"), references.upload("you", "Berta", file(), consent=YES))
    assert library.has(reference.digest)


async def test_a_voice_that_cannot_be_stored_leaves_no_recording(
    references: References, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(self: MemoryStore, reference: Reference) -> None:
        raise errors.StorageFull

    monkeypatch.setattr(MemoryStore, "add_voice", full)
    with pytest.raises(errors.StorageFull):
        await references.upload("me", "Anna", file(), consent=YES)
    assert list(references.library.directory.iterdir()) == []


async def test_a_name_is_taken_once(references: References) -> None:
    first, second = await asyncio.gather(
        references.upload("me", "Anna", file(440), consent=YES),
        references.upload("me", "Anna", file(880), consent=YES),
        return_exceptions=True,
    )
    lost = [each for each in (first, second) if isinstance(each, BaseException)]
    assert [type(each) for each in lost] == [errors.Conflict]
    with pytest.raises(errors.Conflict, match="Anna"):
        await references.upload("me", "Anna", b"not even read", consent=YES)
    assert len(list(references.library.directory.iterdir())) == 1


async def test_there_are_only_so_many(references: References, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_VOICES", 1)
    await references.upload("me", "Anna", file(), consent=YES)
    with pytest.raises(errors.Conflict, match="1 voices"):
        await references.upload("me", "Berta", file(), consent=YES)


@pytest.mark.parametrize(
    "name", ["", "a" * 65, "a/b", "a\\b", "a\nb", "a\x00", " a", "..", "ref:" + "0" * 64, "REF:x", "a\u202eb", "\ud800"]
)
async def test_what_is_no_name(references: References, name: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        await references.upload("me", name, file(), consent=YES)
    assert caught.value.param == "name"


@pytest.mark.parametrize("name", ["a", "Ä" * 64, "小贝", "O'Hara (2)", "v1.0", "<b>"])
def test_names(name: str) -> None:
    voices.check_name(name)


@pytest.mark.parametrize("consent", ["", " ", "false", "No", "0", "null"])
async def test_without_consent_no_voice(references: References, consent: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="consent") as caught:
        await references.upload("me", "Anna", file(), consent=consent)
    assert caught.value.param == "consent"
    assert not references.library.directory.exists()


async def test_a_refusal_names_the_field(references: References) -> None:
    with pytest.raises(errors.InvalidRequest, match="silent") as caught:
        await references.upload("me", "Anna", wav.header(8000, 16000) + pcm.silence(1, 8000), consent=YES)
    assert caught.value.param == "audio_sample"
    with pytest.raises(errors.InvalidRequest, match="2000") as caught:
        await references.upload("me", "Anna", file(), consent=YES, ref_text="a" * 2001)
    assert caught.value.param == "ref_text"


async def test_only_so_many_are_read_at_once(references: References, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, let = 0, 0, asyncio.Event()
    before = Arrivals.count

    async def slow(data: bytes) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await let.wait()
        running -= 1
        return data

    monkeypatch.setattr(client, "read", slow)
    tasks = [asyncio.create_task(references.put_unnamed(file())) for _ in range(module.CHILDREN + module.WAITING)]
    # Each is hashed in a thread first: before all of them wait, there is room for one more, which would wait for ever.
    while Arrivals.count - before < len(tasks) or running < module.CHILDREN:
        await asyncio.sleep(0)
    with pytest.raises(errors.QueueFull) as caught:
        await references.put_unnamed(file())
    assert caught.value.retry_after
    let.set()
    assert len(set(await asyncio.gather(*tasks))) == 1
    assert most == module.CHILDREN
    await references.put_unnamed(file())


async def test_the_same_recording_is_read_once(references: References, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = await references.put_unnamed(file())
    os.utime(references.library.path(digest), (1, 1))

    async def again(data: bytes) -> bytes:
        raise AssertionError("it was read again")

    with monkeypatch.context() as patch:
        patch.setattr(client, "read", again)
        assert await references.put_unnamed(file()) == digest
    await references.sweep(3600)
    assert references.library.has(digest)
    references.library.remove(digest)
    assert await references.put_unnamed(file()) == digest
    assert references.library.has(digest)


async def test_what_was_given_once_goes_when_it_is_old(references: References) -> None:
    digest = await references.put_unnamed(file(880))
    reference = await references.upload("me", "Anna", file(), consent=YES)
    await references.sweep(3600)
    assert references.library.has(digest)
    for each in (digest, reference.digest):
        os.utime(references.library.path(each), (1, 1))
    await references.sweep(3600)
    assert not references.library.has(digest)
    assert references.library.has(reference.digest)


async def test_no_link_is_followed_to_a_recording(references: References, tmp_path: Path) -> None:
    reference = await references.upload("me", "Anna", file(), consent=YES)
    assert await references.ensure_local(reference.digest)
    path = references.library.path(reference.digest)
    path.rename(tmp_path / "elsewhere.wav")
    path.symlink_to(tmp_path / "elsewhere.wav")
    assert not await references.ensure_local(reference.digest)
