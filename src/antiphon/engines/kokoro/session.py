"""Session: runs an ONNX model on the CPU and stops in the middle of a computation on a cancel."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from antiphon.domain.engine import Context

#: Seconds between two checks for a cancel.
POLL = 0.05


class Interrupted(Exception):
    """A cancel stopped the computation."""


class Session:
    """An `InferenceSession` that can be interrupted."""

    def __init__(self, model: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._new_options = onnxruntime.RunOptions
        self._options: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, outputs: Any, feed: Mapping[str, Any]) -> Any:
        """Raises `Interrupted` if a cancel stopped it."""
        options = self._options
        try:
            return self._session.run(outputs, feed, options)
        except Exception as e:
            if options is not None and options.terminate:
                raise Interrupted from e
            raise

    @contextlib.contextmanager
    def interruptible(self, context: Context) -> Iterator[None]:
        """Inside the block a cancel stops the computation within a tenth of a second."""
        self._options, done = self._new_options(), threading.Event()
        watcher = threading.Thread(
            target=_watch, args=(context, self._options, done), name="cancel watcher", daemon=True
        )
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
            self._options = None


def _watch(context: Context, options: Any, done: threading.Event) -> None:
    while not done.wait(POLL):
        if context.cancelled():
            options.terminate = True
            return
