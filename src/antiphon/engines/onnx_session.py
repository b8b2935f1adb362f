"""Session: runs an ONNX model on the CPU and stops in the middle of a computation on a cancel."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from antiphon.domain.engine import Context

#: Seconds between two checks for a cancel.
POLL = 0.05
#: Gives the memory of a computation back when it is done. Without it the arena keeps what the longest text needed: a
#: worker that read texts of mixed lengths held 986 MB, with it 219 MB.
_SHRINK = ("memory.enable_memory_arena_shrinkage", "cpu:0")


#: What computes, in ONNX Runtime's words.
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
#: Where the drivers of GPUs show that there is one: on Linux, and on Linux inside of Windows.
_DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/dev/dxg"))


class NoGpu(RuntimeError):
    """ONNX Runtime does not compute on the GPU."""


def sees_gpu() -> bool:
    """Whether this process sees a GPU that the installed ONNX Runtime was made for."""
    import onnxruntime

    if CUDA not in onnxruntime.get_available_providers() or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    return any(path.exists() for path in _DRIVERS)


class Interrupted(Exception):
    """A cancel stopped the computation."""


class Interruption:
    """Stops the computations of one engine's sessions; they share one."""

    def __init__(self) -> None:
        self.options: Any = None

    @contextlib.contextmanager
    def watching(self, context: Context) -> Iterator[None]:
        """Inside the block a cancel stops the computation within a tenth of a second."""
        options, done = run_options(), threading.Event()
        self.options = options
        watcher = threading.Thread(target=_watch, args=(context, options, done), name="cancel watcher", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
            self.options = None


class Session:
    """An `InferenceSession` that can be interrupted."""

    def __init__(self, model: Path, threads: int, interruption: Interruption, *, gpu: bool = False) -> None:
        """`gpu`: on the first GPU that the process sees; raises `NoGpu` if ONNX Runtime cannot use it."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        _share_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
        # A thread that waits for its part of the work must not turn round on a core that others need: with two threads
        # it took 1.4 times the processor time of one, and was slower than one on a busy machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = [CUDA, CPU] if gpu else [CPU]
        self._session = onnxruntime.InferenceSession(str(model), options, providers=providers)
        # It computes on the processor, with a line in the log, where a library of CUDA is missing.
        if gpu and CUDA not in self._session.get_providers():
            raise NoGpu("ONNX Runtime cannot use the GPU; its log says which library of CUDA is missing")
        self._interruption = interruption
        self._plain = run_options()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, outputs: Any, feed: Mapping[str, Any]) -> Any:
        """Raises `Interrupted` if a cancel stopped it."""
        options = self._interruption.options
        try:
            return self._session.run(outputs, feed, options or self._plain)
        except Exception as e:
            if options is not None and options.terminate:
                raise Interrupted from e
            raise


@functools.cache
def _share_memory() -> None:
    """Makes one store of memory for all sessions of a process, which grows by what is asked for and not by doubling: a
    worker that has read texts of mixed lengths then takes 40 MiB less."""
    import onnxruntime

    kind, use = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, onnxruntime.OrtMemType.DEFAULT
    grow_as_asked = onnxruntime.OrtArenaCfg({"max_mem": 0, "arena_extend_strategy": 1})
    onnxruntime.create_and_register_allocator(onnxruntime.OrtMemoryInfo("Cpu", kind, 0, use), grow_as_asked)


def return_memory() -> None:
    """Gives back what loading, or a computation, needed and nothing uses any more, where the C library can. It takes
    milliseconds; without it a worker that has read long texts keeps 60 MiB more."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def run_options() -> Any:
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry(*_SHRINK)
    return options


def _watch(context: Context, options: Any, done: threading.Event) -> None:
    while not done.wait(POLL):
        if context.cancelled():
            options.terminate = True
            return
