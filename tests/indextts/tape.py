"""Tape: a recorder for the CPU that does to the code what a CUDA graph does, so that its mistakes fail here as they would
on a GPU.

It keeps the operations that were launched, with the tensors and the numbers that they were given, and repeats these.
Nothing that Python decided meanwhile is decided again, and what was made on the way is made anew each time. Whoever
reads a value on the host, or copies one from it, is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

#: Operations that wait for the device, or bring something from the host.
_REFUSED = ("_local_scalar_dense", "nonzero", "is_nonzero", "lift_fresh", "masked_select", "aten.equal", "unique")
#: Methods of a tensor that read it on the host; not all of them launch an operation on a CPU.
_HOST = ("item", "tolist", "numpy", "cpu", "__bool__", "__int__", "__float__", "__index__")


class NotRecorded(RuntimeError):
    """Something that a CUDA graph cannot have in it."""


class _Host(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__name__", "") in _HOST:
            raise NotRecorded(f"operation not permitted when stream is capturing: {function.__name__}")
        return function(*args, **(kwargs or {}))


class _Launches(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, list[Any]]] = []
        self._before: dict[int, tuple[Any, Any]] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(name in str(function) for name in _REFUSED):
            raise NotRecorded(f"operation not permitted when stream is capturing: {function}")
        if "aten.index" in str(function) and any(_is_mask(index) for index in args[1] if index is not None):
            raise NotRecorded(f"operation not permitted when stream is capturing: {function}, which counts a mask")
        kwargs = kwargs or {}
        for n, argument in enumerate(function._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                self._keep(args[n] if n < len(args) else kwargs.get(argument.name))
        made = function(*args, **kwargs)
        self.calls.append((function, args, kwargs, [t for t in tree_flatten(made)[0] if isinstance(t, torch.Tensor)]))
        return made

    def _keep(self, written: Any) -> None:
        if isinstance(written, torch.Tensor):
            storage = written.untyped_storage()
            self._before.setdefault(storage.data_ptr(), (storage, storage.clone()))

    def undo(self) -> None:
        """What is recorded has not been run yet."""
        for storage, before in self._before.values():
            storage.copy_(before)


class Tape:
    """A `graphs.Recorder`."""

    def __init__(self, fail_at: int | None = None) -> None:
        """`fail_at`: number of the recording that does not work, from 0."""
        self.recorded = self.repeated = 0
        self._fail_at = fail_at

    def record(self, work: Callable[[], object]) -> Callable[[], object]:
        if self.recorded == self._fail_at:
            raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later")
        self.recorded += 1
        with _Host(), _Launches() as launches:
            work()
        launches.undo()
        return lambda: self._repeat(launches.calls)

    def _repeat(self, calls: list[tuple[Any, Any, Any, list[Any]]]) -> None:
        self.repeated += 1
        now: dict[int, Any] = {}

        def current(value: Any) -> Any:
            return now.get(id(value), value) if isinstance(value, torch.Tensor) else value

        for function, args, kwargs, before in calls:
            made = function(*tree_map(current, args), **tree_map(current, kwargs))
            tensors = [t for t in tree_flatten(made)[0] if isinstance(t, torch.Tensor)]
            now.update((id(was), is_) for was, is_ in zip(before, tensors, strict=True))


def _is_mask(index: Any) -> bool:
    return isinstance(index, torch.Tensor) and index.dtype == torch.bool
