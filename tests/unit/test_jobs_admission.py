"""What a job counts for: in the lane of who waits or of durable work, at its price of now, and no more when it ended."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.domain.job import Units
from antiphon.jobs.active import ActiveJob
from antiphon.jobs.admission import JobAdmission
from antiphon.schedule.admission import Admission


class NoQuotas:
    """Keys without quotas."""

    def release(self, owner: str, seconds: float) -> None:
        assert seconds == 0.0


def counted(seconds: float, *, waiting: bool = False) -> tuple[JobAdmission, Admission, ActiveJob]:
    """A job that was admitted, and the books that it is in."""
    work, nothing = Admission(client_seconds=100.0, total_seconds=1000.0), Any
    admission = JobAdmission(work, NoQuotas(), nothing)  # type: ignore[arg-type]
    job = ActiveJob("job", "ann", "normal", True, waiting, 0.0, nothing, Units(1))  # type: ignore[arg-type]
    job.seconds, job.nbytes = seconds, 7
    job.long = work.take(job.owner, seconds, job.nbytes, waiting=waiting)
    return admission, work, job


@pytest.mark.parametrize("seconds", [60.0, 600.0])
def test_a_job_counts_where_its_callers_put_it_and_ends_there(seconds: float) -> None:
    admission, work, job = counted(seconds, waiting=True)
    admission.count_as(job, waiting=False)
    assert work.queued("ann", waiting=True) == (0.0, 0, 0)
    assert work.queued("ann") == (seconds, 7, 1)
    admission.spend(job, 10.0)
    admission.count_as(job, waiting=True)
    assert work.queued("ann", waiting=True) == (pytest.approx(seconds - 10), 7, 1)
    admission.give_back(job)
    admission.count_as(job, waiting=False)
    admission.give_back(job)
    assert work.queued() == work.queued(waiting=True) == (0.0, 0, 0)


@pytest.mark.parametrize("seconds", [60.0, 600.0])
def test_a_job_that_is_priced_again_counts_for_its_new_price(seconds: float) -> None:
    """Else who is refused because of it is told the guess of a fresh server for as long as it lasts."""
    admission, work, job = counted(seconds)
    admission.reprice(job, 0.1)
    assert work.queued("ann")[0] == pytest.approx(seconds / 10)
    admission.reprice(job, 30.0)
    assert work.queued("ann")[0] == pytest.approx(seconds * 3)
    admission.spend(job, seconds)
    assert work.queued("ann")[0] == pytest.approx(seconds * 2)
    admission.give_back(job)
    assert work.queued() == (0.0, 0, 0)


def test_a_long_job_that_moves_is_still_the_only_long_one() -> None:
    admission, work, job = counted(600.0)
    assert job.long
    admission.reprice(job, 0.05)
    admission.count_as(job, waiting=True)
    assert not job.long, "by its price of now it is not long"
    work.take("ann", 70.0, 1, waiting=True)
    admission.give_back(job)
    assert work.queued("ann", waiting=True) == (70.0, 1, 1)
