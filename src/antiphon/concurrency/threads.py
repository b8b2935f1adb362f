"""Threads: run what would block the event loop for more than a few milliseconds, such as encoding and hashing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Threads:
    """A pool of threads."""

    def __init__(self, count: int = 4) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="antiphon-audio")

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """The result of a function that runs in a thread; raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    def close(self) -> None:
        """Takes no further functions and drops those that have not started; does not wait for running ones."""
        self._pool.shutdown(wait=False, cancel_futures=True)
