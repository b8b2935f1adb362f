"""What every job store promises of uploaded voices, asked of all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from antiphon.domain import errors
from antiphon.domain.voice import Reference
from antiphon.store.base import JobStore
from antiphon.store.sqlite import SqliteStore
from tests.stores.memory import MemoryStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[JobStore]:
    made: JobStore = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "a.db")
    await made.open()
    yield made
    await made.close()


def reference(id: str = "a", **changes: Any) -> Reference:
    made = Reference(id, "me", "Änna ✨", "ab" * 32, 2.5, 1000, "I agree", 100.5, "audio/wav")
    return replace(made, **changes)


FULL = reference("f", name="full", ref_text="你好", description="warm", languages=("en", "zh"))


@pytest.mark.parametrize("each", [reference(), FULL], ids=["bare", "full"])
async def test_a_voice_comes_back_as_it_went_in(store: JobStore, each: Reference) -> None:
    await store.add_voice(each)
    assert await store.voice("me", each.id) == each
    assert await store.voice("me", each.name) == each
    assert await store.voices("me") == [each]


async def test_a_name_is_its_owners_once(store: JobStore) -> None:
    await store.add_voice(reference())
    with pytest.raises(errors.Conflict, match="Änna"):
        await store.add_voice(reference("b"))
    await store.add_voice(reference("b", owner="you"))
    with pytest.raises(errors.Conflict):
        await store.add_voice(reference("b", name="other"))
    assert await store.voices("me") == [reference()]


async def test_the_voices_of_others_do_not_exist(store: JobStore) -> None:
    await store.add_voice(reference())
    for name in ("a", "Änna ✨"):
        assert await store.voice("you", name) is None
        assert await store.remove_voice("you", name) is None
    assert await store.voices("you") == []
    assert await store.voice("me", "a") == reference()


async def test_an_id_goes_before_a_name(store: JobStore) -> None:
    await store.add_voice(reference("b", name="other"))
    await store.add_voice(reference("a", name="one"))
    await store.add_voice(reference("c", name="d"))
    await store.add_voice(reference("d", name="two"))
    assert await store.voice("me", "d") == reference("d", name="two")
    assert await store.remove_voice("me", "d") == reference("d", name="two")
    assert await store.voice("me", "d") == reference("c", name="d")


async def test_oldest_first(store: JobStore) -> None:
    for id, at in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        await store.add_voice(reference(id, name=id, created_at=at))
    assert [each.id for each in await store.voices("me")] == ["b", "c", "a"]


async def test_removing(store: JobStore) -> None:
    await store.add_voice(reference())
    await store.add_voice(reference("b", owner="you"))
    assert await store.remove_voice("me", "Änna ✨") == reference()
    assert await store.remove_voice("me", "Änna ✨") is None
    assert await store.voice("me", "a") is None
    assert await store.voices("you") == [reference("b", owner="you")]
    await store.add_voice(reference("c"))


async def test_whether_a_recording_is_anybodys(store: JobStore) -> None:
    assert not await store.digest_used("ab" * 32)
    await store.add_voice(reference())
    await store.add_voice(reference("b", owner="you"))
    await store.remove_voice("me", "a")
    assert await store.digest_used("ab" * 32)
    assert not await store.digest_used("cd" * 32)
    await store.remove_voice("you", "b")
    assert not await store.digest_used("ab" * 32)


async def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "a.db")
    await first.open()
    await first.add_voice(FULL)
    await first.close()
    second = SqliteStore(tmp_path / "a.db")
    await second.open()
    assert await second.voices("me") == [FULL]
    await second.close()


@pytest.mark.parametrize(
    "change", [{"digest": "ABC"}, {"digest": "AB" * 32}, {"consent": " "}, {"seconds": 0.0}, {"name": ""}]
)
async def test_the_database_refuses_nonsense(tmp_path: Path, change: dict[str, Any]) -> None:
    store = SqliteStore(tmp_path / "a.db")
    await store.open()
    with pytest.raises(errors.StoreError):
        await store.add_voice(reference(**change))
    assert await store.voices("me") == []
    await store.close()


async def test_a_closed_store_says_so() -> None:
    with pytest.raises(errors.StoreError):
        await MemoryStore().voices("me")
