"""A driver for tests: the functions of NVML that Antiphon calls, over the cards of a JSON file.

Put before the real binding on PYTHONPATH. `ANTIPHON_TEST_GPUS` names the file: a list of `{id, name, total, used}`,
bytes, with `load` in percent and `capability` as two numbers; the string "broken" instead of a list is a driver that fails.
"""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    pass


def _cards() -> list[dict[str, Any]]:
    with open(os.environ["ANTIPHON_TEST_GPUS"]) as file:
        cards = json.load(file)
    if cards == "broken":
        raise NVMLError("driver not loaded")
    return list(cards)


def nvmlInit() -> None:
    _cards()


def nvmlShutdown() -> None:
    pass


def nvmlDeviceGetCount() -> int:
    return len(_cards())


def nvmlDeviceGetHandleByIndex(index: int) -> dict[str, Any]:
    return _cards()[index]


def nvmlDeviceGetMemoryInfo(handle: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(total=handle["total"], used=handle["used"], free=handle["total"] - handle["used"])


def nvmlDeviceGetUtilizationRates(handle: dict[str, Any]) -> SimpleNamespace:
    if "load" not in handle:
        raise NVMLError("not supported")
    return SimpleNamespace(gpu=handle["load"])


def nvmlDeviceGetCudaComputeCapability(handle: dict[str, Any]) -> tuple[int, int]:
    if "capability" not in handle:
        raise NVMLError("not supported")
    major, minor = handle["capability"]
    return major, minor


def nvmlDeviceGetUUID(handle: dict[str, Any]) -> str:
    return str(handle["id"])


def nvmlDeviceGetName(handle: dict[str, Any]) -> str:
    return str(handle["name"])
