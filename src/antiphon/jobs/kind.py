"""The kinds of work: for each, how a kept request is read, how it is planned, and how its result is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.concurrency.threads import Threads
from antiphon.domain.job import JobType, Result
from antiphon.domain.work import Plan, Request
from antiphon.jobs.run import JobRun
from antiphon.models.served import ServedModel


@dataclass(frozen=True, slots=True)
class Kind:
    """`Any` stands for the kind's own request and plan."""

    parse: Callable[[Mapping[str, Any]], Request]
    #: The model that answers an owner's request, and the plan for it. Raises `InvalidRequest` and its kin for what can
    #: never work, `ModelLoading` and `ModelUnavailable`.
    prepare: Callable[[Any, str], Awaitable[tuple[ServedModel, Plan]]]
    #: The plan of a request that was prepared before.
    plan: Callable[[Any, ServedModel], Awaitable[Plan]]
    #: The units' results as a file in the output directory, all or nothing. Raises what ended the run, `OSError`.
    write: Callable[[JobRun, Any, Path, Threads], Awaitable[Result]]


Kinds = Mapping[JobType, Kind]
