"""Operations that the batched runtime launches: what a GPU's pace at few rows depends on, and a CPU can count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from antiphon.engines.indextts.batch import draws, flow_parts, parts, prompts
from antiphon.engines.indextts.batch.codes import CodeSlots, Prompt
from antiphon.engines.indextts.batch.flow import Flow
from tests.indextts.batch_models import Modules, tokens, voice

ROWS = 8
#: These only look at a tensor in another way.
VIEWS = (
    "view", "expand", "slice", "select", "transpose", "permute", "squeeze", "split", "detach", "alias", "aten.t.",
    "as_strided", "unbind", "chunk", "reshape",
)  # fmt: skip


class Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not any(view in str(function) for view in VIEWS)
        return function(*args, **(kwargs or {}))


def counted(work: Callable[[], object]) -> int:
    with Operations() as operations:
        work()
    return operations.count


pytestmark = pytest.mark.usefixtures("inference")


def test_a_code_takes_few_operations(mid: Modules) -> None:
    slots = CodeSlots(parts.code_model(mid.gpt), ROWS, 320, 64)
    made = prompts.prompt_model(mid.gpt)
    speaker = voice(mid, 0, 8).emotion
    slots.join([Prompt(made(speaker, tokens(n)), draws.uniforms(n, 64), 64) for n in range(ROWS)])
    slots.advance(1)
    a_code = counted(lambda: slots._step(192)) / ROWS
    print(f"operations a code: {a_code:.1f}")
    assert a_code <= 25


def test_an_euler_step_of_a_row_takes_few_operations(mid: Modules) -> None:
    flow = Flow(flow_parts.flow_model(mid.cfm))
    rows = []
    for n in range(ROWS):
        made, frames = voice(mid, n, 20), 40 - n
        condition = torch.cat([made.condition, torch.zeros(frames - 20, mid.channels)])
        rows.append(flow.row(draws.noise(n, 80, frames), made.mel, condition, made.style))
    batch = flow.batch(rows)
    a_row = counted(lambda: flow.step(batch)) / ROWS
    print(f"operations an Euler step of a row: {a_row:.1f}")
    assert a_row <= 60
