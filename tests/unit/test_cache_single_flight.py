"""Single flight: one makes it, the others get it, and nobody gets another's trouble."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.cache import SingleFlight


class Maker:
    """Makes values when it is told to, and counts."""

    def __init__(self) -> None:
        self.made = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> str:
        self.made += 1
        await self.go.wait()
        if self.error is not None:
            error, self.error = self.error, None
            self.go.clear()
            raise error
        return f"made {self.made}"


async def started(*tasks: asyncio.Task[str]) -> None:
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


async def test_one_makes_it_for_all() -> None:
    flight: SingleFlight[str] = SingleFlight()
    make = Maker()
    tasks = [asyncio.create_task(flight.run("a", make)) for _ in range(10)]
    other = asyncio.create_task(flight.run("b", make))
    await started(*tasks, other)
    make.go.set()
    assert len(set(await asyncio.gather(*tasks))) == 1
    await other
    assert make.made == 2
    assert "a" not in flight


async def test_a_leaders_failure_is_its_own() -> None:
    flight: SingleFlight[str] = SingleFlight()
    make = Maker()
    make.error = ValueError("mine")
    leader, *others = [asyncio.create_task(flight.run("a", make)) for _ in range(5)]
    await started(leader, *others)
    make.go.set()
    with pytest.raises(ValueError, match="mine"):
        await leader
    await started(*others)
    make.go.set()
    assert await asyncio.gather(*others) == ["made 2"] * 4
    assert make.made == 2


async def test_a_leaders_cancel_is_its_own() -> None:
    flight: SingleFlight[str] = SingleFlight()
    make = Maker()
    leader, *others = [asyncio.create_task(flight.run("a", make)) for _ in range(5)]
    await started(leader, *others)
    leader.cancel()
    await asyncio.wait([leader])
    assert leader.cancelled()
    make.go.set()
    assert await asyncio.gather(*others) == ["made 2"] * 4


async def test_a_followers_cancel_concerns_nobody() -> None:
    flight: SingleFlight[str] = SingleFlight()
    make = Maker()
    leader, follower, other = [asyncio.create_task(flight.run("a", make)) for _ in range(3)]
    await started(leader, follower, other)
    follower.cancel()
    make.go.set()
    assert [await leader, await other] == ["made 1"] * 2
    assert follower.cancelled()


async def test_by_hand() -> None:
    flight: SingleFlight[bytes] = SingleFlight()
    assert flight.lead("a")
    assert not flight.lead("a")
    first, second = flight.follow("a"), flight.follow("a")
    flight.land("a")
    assert (await first, await second) == (None, None)
    assert flight.lead("a")
    third = flight.follow("a")
    flight.land("a", b"audio")
    assert await third == b"audio"
    with pytest.raises(KeyError):
        flight.land("a")
