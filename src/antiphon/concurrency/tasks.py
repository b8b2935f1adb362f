"""Tasks: watches named background tasks, and repeats attempts until they succeed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

T = TypeVar("T")


class TaskSet:
    """The background tasks of one owner, in one event loop. The set keeps each task alive, logs the error of a task
    that fails, and ends all of them with its owner."""

    def __init__(self, logger: str = "antiphon") -> None:
        self._log = structlog.get_logger(logger)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._idle: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str, *, idle: bool = False) -> asyncio.Task[T]:
        """Starts a task. An `idle` task only waits until it can do something, so `stop` cancels it at once."""
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        if idle:
            self._idle.add(task)
        task.add_done_callback(self._done)
        return task

    async def stop(self, grace: float = 0.0) -> None:
        """Gives the tasks `grace` seconds to finish, then cancels them, and returns when all have ended."""
        for task in tuple(self._idle):
            task.cancel()
        if self._tasks and grace:
            await asyncio.wait(tuple(self._tasks), timeout=grace)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._idle.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("a background task failed", task=task.get_name(), error=repr(error), exc_info=error)


async def retry_until(
    attempt: Callable[[], Awaitable[T]],
    failures: type[Exception] | tuple[type[Exception], ...],
    seconds: float,
    on_failure: Callable[[Any], object],
) -> T:
    """The result of `attempt`, which is tried again after `seconds` whenever it raises one of `failures`. `on_failure`
    is called with each failure: it logs the failure, or raises to give up."""
    while True:
        try:
            return await attempt()
        except failures as e:
            on_failure(e)
        await asyncio.sleep(seconds)


def log_and_wait(log: Any, message: str, **facts: Any) -> Callable[[Any], None]:
    """A handler for `retry_until` that logs each failure and goes on."""

    def on_failure(error: Exception) -> None:
        log.warning(message, error=getattr(error, "message", None) or repr(error), **facts)

    return on_failure
