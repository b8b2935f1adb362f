"""Threads: run what would block the event loop for more than a few milliseconds, such as encoding and hashing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

#: Characters of a text that are worked on in the event loop. A longer one goes to a thread: the costliest takes some
#: 10 µs for each character, and the loop is not to be held up for much more than 5 ms.
SMALL_TEXT = 500


class Threads:
    """A pool of threads."""

    def __init__(self, count: int = 4, name: str = "audio") -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=f"antiphon-{name}")

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """The result of a function that runs in a thread; raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    async def run_text(self, characters: int, function: Callable[..., T], *args: object) -> T:
        """The result of a function of a text, which runs in a thread unless the text is small (`SMALL_TEXT`). It may
        take time linear in the text, but no long single call of `re` or the like, which would hold up all threads."""
        return function(*args) if characters <= SMALL_TEXT else await self.run(function, *args)

    def close(self) -> None:
        """Takes no further functions and drops those that have not started; does not wait for running ones."""
        self._pool.shutdown(wait=False, cancel_futures=True)
