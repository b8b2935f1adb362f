"""What the queue promises, simulated: slots, arrivals and seconds are made up, the queue is the real one."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from antiphon.domain.job import Priority
from antiphon.schedule.fair_queue import FairQueue
from antiphon.schedule.ticket import Ticket

UNIT = 0.2


@dataclass
class Job:
    """A job that arrives at `at` seconds, and what became of it."""

    at: float
    client: str
    units: Sequence[float]
    priority: Priority = "normal"
    deadline: float | None = None
    waiting: bool = False
    eta: float = 0.0
    asked: float = 0.0
    first: float = 0.0
    done: float = 0.0
    #: Seconds of its units that were handed out, and when.
    handed: list[tuple[float, float]] = field(default_factory=list)

    @property
    def took(self) -> float:
        return self.done - self.at


def simulate(
    jobs: Sequence[Job],
    slots: int,
    *,
    noise: float = 0.0,
    truth: Callable[[Job, float], float] = lambda _, cost: cost,
    seed: int = 0,
    until: float = float("inf"),
    survey: bool = False,
) -> list[Job]:
    """Runs jobs through a queue. A unit takes `truth(job, predicted)` seconds, and `noise` of that more or less.

    Jobs that arrive at the same time are told their ETA after all of them are queued. With `survey` all that are not
    done are told once more when the last one arrives.
    """
    rnd, queue = random.Random(seed), FairQueue()
    tickets = {
        id(job): Ticket(str(n), job.client, job.priority, job.units, None, job, deadline=job.deadline)
        for n, job in enumerate(jobs)
    }
    for job in jobs:
        tickets[id(job)].waiting = job.waiting
    arrivals = sorted(jobs, key=lambda job: job.at, reverse=True)
    ends: list[tuple[float, int, Ticket, int, float, float]] = []
    left = {id(job): len(job.units) for job in jobs}
    serial, now = 0, 0.0
    while (arrivals or ends) and now < until:
        now = (
            min([arrivals[-1].at] if arrivals else [], default=float("inf"))
            if not ends
            else (min(arrivals[-1].at, ends[0][0]) if arrivals else ends[0][0])
        )
        while ends and ends[0][0] <= now:
            _, _, ticket, index, cost, took = heapq.heappop(ends)
            queue.settle(ticket, index, cost, took)
            job = ticket.payload
            assert isinstance(job, Job)
            job.first = job.first or now
            left[id(job)] -= 1
            if not left[id(job)]:
                job.done = now
        new = []
        while arrivals and arrivals[-1].at <= now:
            new.append(arrivals.pop())
            queue.push(tickets[id(new[-1])], now)
        busy = [end[0] - now for end in ends]
        if survey and new and not arrivals:
            new = [job for job in jobs if left[id(job)]]
        for job, job.eta in zip(new, queue.etas([tickets[id(job)] for job in new], slots, now, busy), strict=True):
            job.asked = now
        while len(ends) < slots and (popped := queue.pop(now)):
            ticket, index, cost = popped
            job = ticket.payload
            assert isinstance(job, Job)
            took = truth(job, cost) * (1 + noise * rnd.uniform(-1, 1))
            job.handed.append((now, took))
            serial += 1
            heapq.heappush(ends, (now + took, serial, ticket, index, cost, took))
    return list(jobs)


def percentile(values: Sequence[float], fraction: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * fraction))]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def test_a_short_job_does_not_wait_for_a_book_and_fifty_jobs_of_its_own_client() -> None:
    book = [Job(0.0, "ann", [UNIT] * 300)]
    queued = [Job(0.01 * n, "ann", [UNIT] * 2) for n in range(50)]
    short = [Job(5 + 0.37 * n, "ann", [UNIT]) for n in range(40)]
    simulate([*book, *queued, *short], slots=2)
    waits = [job.took for job in short]
    assert percentile(waits, 0.5) <= 1.5 * UNIT + 1e-9
    assert max(waits) <= 2 * UNIT + 1e-9


def test_a_quiet_client_hardly_notices_four_hundred_jobs_of_a_greedy_one() -> None:
    greedy = [Job(0.001 * n, "greedy", [UNIT] * 5) for n in range(400)]
    quiet = [Job(3 + 0.9 * n, "quiet", [UNIT]) for n in range(30)]
    simulate([*greedy, *quiet], slots=2)
    waits = [job.took for job in quiet]
    assert percentile(waits, 0.5) <= 1.5 * UNIT + 1e-9
    assert max(waits) <= 2 * UNIT + 1e-9


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_a_client_that_sends_one_job_at_a_time_keeps_its_p95_within_twice_that_of_an_idle_server(slots: int) -> None:
    rnd = random.Random(slots)
    units = [[UNIT * rnd.uniform(0.5, 1.5) for _ in range(rnd.choice((1, 1, 2, 3)))] for _ in range(200)]
    ask = [Job(5 + 4.0 * n + rnd.random(), "quiet", u) for n, u in enumerate(units)]
    idle = [job.took for job in simulate([Job(job.at, job.client, job.units) for job in ask], slots)]
    flood = [Job(0.0, "greedy", [UNIT] * 5 * slots) for _ in range(1000)]
    simulate([*flood, *ask], slots, until=ask[-1].at + 60)
    assert all(job.done for job in ask)
    assert percentile([job.took for job in ask], 0.95) <= 2 * percentile(idle, 0.95)


def test_ageing_ends_a_book_under_a_stream_of_short_jobs_at_95_percent_load() -> None:
    rnd, at, jobs = random.Random(1), 0.0, [Job(0.0, "ann", [UNIT] * 100)]
    while at < 120:
        at += rnd.expovariate(0.95 * 2 / (2 * UNIT))
        jobs.append(Job(at, "ann", [UNIT] * rnd.randint(1, 3)))
    simulate(jobs, slots=2)
    assert 0 < jobs[0].done < 110


@pytest.mark.parametrize(
    ("heavy", "light", "ratio"), [("vip", "normal", 4.0), ("normal", "bulk", 4.0), ("vip", "bulk", 16.0)]
)
def test_classes_share_as_they_are_weighted(heavy: Priority, light: Priority, ratio: float) -> None:
    jobs = [Job(0.0, "ann", [UNIT] * 4000, heavy), Job(0.0, "bob", [UNIT] * 4000, light)]
    simulate(jobs, slots=2, until=200.0)
    had = [sum(took for _, took in job.handed) for job in jobs]
    assert had[0] / had[1] == pytest.approx(ratio, rel=0.02)


def test_what_was_predicted_wrong_does_not_make_shares_wrong() -> None:
    """Ann's units take three times what was predicted for them: she still gets half of the time."""
    jobs = [Job(0.0, "ann", [UNIT] * 3000), Job(0.0, "bob", [UNIT] * 3000)]
    simulate(jobs, slots=2, until=150.0, truth=lambda job, cost: cost * (3 if job.client == "ann" else 1))
    had = [sum(took for at, took in job.handed) for job in jobs]
    assert had[0] / had[1] == pytest.approx(1.0, rel=0.03)


def test_a_newcomer_is_not_set_back_by_wrong_predictions_of_the_past() -> None:
    """Work that turns out to take a tenth of what was predicted must not carry virtual time away from the tags."""
    old = [Job(0.0, f"old {n}", [2.0] * 2000) for n in range(4)]
    new = Job(50.05, "new", [0.2])
    simulate([*old, new], slots=2, until=60.0, truth=lambda job, cost: cost / 10 if job is not new else cost)
    assert new.done
    # Only what is in flight is charged wrong, for a moment.
    assert new.took <= 4.0


def test_a_stream_of_clients_that_come_once_starves_nobody() -> None:
    """Each newcomer starts at the present virtual time; if that stood still, they would all go before Ann."""
    ann = Job(0.0, "ann", [1.0] * 20)
    once = [Job(0.1 * n, f"once {n}", [0.1]) for n in range(1500)]
    simulate([ann, *once], slots=1, until=150.0)
    # The newcomers alone fill the slot; Ann shares with as many as she has made wait.
    assert len(ann.handed) >= 4


def test_a_crowd_of_bulk_newcomers_does_not_go_before_the_second_unit_of_a_vip() -> None:
    bulk = [Job(0.0, f"bulk {n}", [UNIT], "bulk") for n in range(400)]
    vip = Job(0.01, "vip", [UNIT] * 5, "vip")
    simulate([*bulk, vip], slots=1)
    assert vip.took <= 7 * UNIT


def test_idling_earns_nothing() -> None:
    """Bob was away while Ann had everything; when he comes back he gets half, not all until he has caught up."""
    ann, bob = Job(0.0, "ann", [UNIT] * 2000), Job(100.0, "bob", [UNIT] * 500)
    simulate([ann, bob], slots=1, until=150.0)
    during = [sum(took for at, took in job.handed if at >= 100) for job in (ann, bob)]
    assert during[0] == pytest.approx(during[1], abs=3 * UNIT)


def test_a_deadline_is_met_and_no_sooner_than_it_must() -> None:
    """Ten minutes of work for one slot that others fill: as bulk it would take hours."""
    crowd = [Job(0.0, f"c{n}", [UNIT] * 40_000) for n in range(4)]
    dated = Job(0.0, "dated", [UNIT] * 500, deadline=3000.0)
    simulate([*crowd, dated], slots=1, until=3000.0)
    assert dated.done
    early = sum(took for at, took in dated.handed if at < 1000)
    assert early < 1000 * 0.25 / 4.25 + 5
    plain = Job(0.0, "dated", [UNIT] * 500, "bulk")
    simulate([*(Job(0.0, f"c{n}", [UNIT] * 40_000) for n in range(4)), plain], slots=1, until=1500.0)
    assert not plain.done


def backlog(seed: int, *, jobs: int = 120, clients: int = 6) -> list[Job]:
    """Jobs that all arrive at once: short ones and books, of three classes, of even and of greedy clients."""
    rnd, out = random.Random(seed), []
    for _ in range(jobs):
        client = f"c{rnd.randrange(clients)}"
        if seed % 4 == 3:
            client = "greedy" if rnd.random() < 0.8 else f"c{rnd.randrange(20)}"
        count = rnd.choice((1, 1, 2) if seed % 4 == 1 else (1, 1, 1, 2, 4, 20, 100))
        priority: Priority = rnd.choices(("vip", "normal", "bulk"), (1, 6, 3))[0]  # type: ignore[assignment]
        out.append(Job(0.0, client, [UNIT * rnd.uniform(0.5, 2) for _ in range(count)], priority))
    return out


def within(jobs: Sequence[Job], part: float) -> float:
    """Share of the jobs whose ETA was right to `part` of the truth."""
    return mean([abs(job.eta - (job.done - job.asked)) <= part * (job.done - job.asked) for job in jobs])


@pytest.mark.parametrize("slots", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(8))
def test_the_eta_of_a_fixed_backlog_is_within_a_quarter_for_nine_jobs_in_ten(seed: int, slots: int) -> None:
    assert within(simulate(backlog(seed), slots), 0.25) >= 0.9
    assert within(simulate(backlog(seed), slots, noise=0.2, seed=seed), 0.25) >= 0.9


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_the_eta_of_a_fixed_backlog_of_many_clients(slots: int) -> None:
    assert within(simulate(backlog(2, jobs=600, clients=30), slots), 0.25) >= 0.9


def test_the_eta_on_an_idle_server_is_the_job() -> None:
    for slots, units, truth in (
        (1, [0.2], 0.2),
        (4, [0.2], 0.2),
        (1, [0.2] * 5, 1.0),
        (4, [0.2] * 4, 0.2),
        (4, [0.2] * 9, 0.6),
    ):
        (job,) = simulate([Job(0.0, "ann", units)], slots)
        assert job.took == pytest.approx(truth)
        assert job.eta == pytest.approx(truth)


@pytest.mark.parametrize("slots", [1, 2, 4])
@pytest.mark.parametrize("clients", [1, 5, 30])
def test_the_eta_in_the_middle_of_work_of_jobs_of_every_age(slots: int, clients: int) -> None:
    """A minute of arrivals above what the slots can do, then everybody is told an ETA and nobody comes any more."""
    told = []
    for seed in range(6):
        rnd, jobs, at = random.Random(seed), [], 0.0
        for _ in range(100 + 40 * slots):
            at += rnd.expovariate(2 + slots)
            units = [UNIT * rnd.uniform(0.5, 2) for _ in range(rnd.choice((1, 1, 1, 2, 4, 20, 100)))]
            priority: Priority = rnd.choices(("vip", "normal", "bulk"), (1, 6, 3))[0]  # type: ignore[assignment]
            jobs.append(Job(at, f"c{rnd.randrange(clients)}", units, priority))
        told += [job for job in simulate(jobs, slots, survey=True) if job.done > at]
    assert len(told) > 200
    assert within(told, 0.25) >= 0.9
