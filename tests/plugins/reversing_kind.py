"""A whole kind of jobs in one file: the words of a text, each reversed by the engine of `reversing_engine`.

Nothing else in the server knows of it; a registry of kinds brings it in with one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from antiphon.app.kinds import KindParts
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain.engine import Capabilities
from antiphon.domain.job import Kind, Priority, Result
from antiphon.domain.kind import KindTraits
from antiphon.domain.unit import Recipe, Unit, UnitResult
from antiphon.files import atomic
from antiphon.jobs.kind import JobKind
from antiphon.jobs.run import JobRun
from antiphon.models.selection import ModelSelector
from antiphon.models.served import ServedModel


@dataclass(frozen=True, slots=True)
class ReversalRequest:
    type: ClassVar[Kind] = "reversal"
    text: str
    model: str | None = None
    priority: Priority = "normal"
    deadline: float | None = None
    #: How often a word (its number, as text) was reversed again.
    takes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.text.split():
            raise errors.InvalidRequest("text must have words", param="text")

    def to_json(self) -> dict[str, Any]:
        return {"text": self.text, "model": self.model, "priority": self.priority, "takes": dict(self.takes)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(**{"text": data["text"], **data})

    def brief(self) -> dict[str, str]:
        return {"text": self.text}

    def with_another_take(self, index: int) -> Self:
        return replace(self, takes={**self.takes, str(index): self.takes.get(str(index), 0) + 1})


@dataclass(slots=True)
class ReversalPlan:
    request: ReversalRequest
    model: str
    warnings: tuple[str, ...] = ()
    source: str | None = None

    @property
    def words(self) -> list[str]:
        return self.request.text.split()

    @property
    def keys(self) -> list[str]:
        return [self._recipe(index).key() for index in range(len(self.words))]

    @property
    def nbytes(self) -> int:
        return len(self.request.text)

    def _recipe(self, index: int) -> Recipe:
        params = {"word": self.words[index], "take": self.request.takes.get(str(index), 0)}
        return Recipe("reversal", self.model, "1", params)

    def unit(self, job: str, index: int) -> Unit:
        return Unit(job, index, self._recipe(index), self.length(index))

    def length(self, index: int) -> float:
        return len(self.words[index])

    def expected_audio(self, per_length: float | None) -> float:
        return 0.0

    def audio_seconds(self, result: UnitResult) -> float | None:
        return None


def check_result(capabilities: Capabilities, result: UnitResult) -> str | None:
    return None if result.payload else "the word is missing"


TRAITS = KindTraits(ReversalRequest.type, "letters", reference_length=5.0, check_result=check_result, audio=False)


@dataclass(slots=True)
class ReversalPlanner:
    selector: ModelSelector

    async def prepare(self, request: ReversalRequest, owner: str) -> tuple[ServedModel, ReversalPlan]:
        served = self.selector.choose_kind(request.model, request.type)
        return served, await self.plan(request, served)

    async def plan(self, request: ReversalRequest, served: ServedModel) -> ReversalPlan:
        return ReversalPlan(request, served.name)


async def write(run: JobRun, plan: ReversalPlan, folder: Path, threads: Threads) -> Result:
    data = b" ".join([entry.payload async for entry in run.entries()])
    name = f"reversal_{run.job}.txt"
    digest = await threads.run(atomic.write, folder, name, data)
    return Result(name, "text/plain", len(data), 0.0, digest)


def kind(parts: KindParts) -> JobKind:
    planner = ReversalPlanner(parts.selector)
    return JobKind(
        TRAITS, ReversalRequest.from_json, planner.prepare, planner.plan, write, file_prefix="reversal", subtitles=False
    )
