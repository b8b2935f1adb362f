"""Job kind: how requests of one kind of work are read and planned, and how their results are written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.concurrency.threads import Threads
from antiphon.domain.job import Kind, Result
from antiphon.domain.kind import KindTraits
from antiphon.domain.plan import Plan, Request
from antiphon.jobs.run import JobRun
from antiphon.models.served import ServedModel


@dataclass(frozen=True, slots=True)
class JobKind:
    """`Any` stands for the kind's own request and plan."""

    traits: KindTraits
    #: The request that `Request.to_json` wrote. For a kind without a body model in `api.job_bodies` also a client's
    #: JSON. Raises `InvalidRequest`, `KeyError`, `TypeError` or `ValueError` for anything else.
    parse: Callable[[Mapping[str, Any]], Request]
    #: The model that answers an owner's request, and the plan for it. Raises `InvalidRequest` and its kin for what can
    #: never work, `ModelLoading` and `ModelUnavailable`.
    prepare: Callable[[Any, str], Awaitable[tuple[ServedModel, Plan]]]
    #: The plan of a request that was prepared before.
    plan: Callable[[Any, ServedModel], Awaitable[Plan]]
    #: The units' results as a file in the output directory, all or nothing. Raises what ended the run, `OSError`.
    write: Callable[[JobRun, Any, Path, Threads], Awaitable[Result]]
    #: What the names of its result files begin with; the job's id follows.
    file_prefix: str
    #: All names that the files of one result may have, by the name of its first.
    file_names: Callable[[str], Iterable[str]] = lambda name: (name,)
    #: Whether a result's segments are times of text.
    subtitles: bool = True

    @property
    def name(self) -> Kind:
        return self.traits.name


Kinds = Mapping[Kind, JobKind]
