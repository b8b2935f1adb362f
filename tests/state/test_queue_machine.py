"""The fair queue under everything that can happen to it, against a model that does all by brute force."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import Phase, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from antiphon.domain.job import PRIORITIES, Priority
from antiphon.schedule.aging_srpt import STEP
from antiphon.schedule.fair_queue import WEIGHTS, FairQueue
from antiphon.schedule.ticket import Ticket

AGEING = 30.0
CLIENTS = ("ann", "bob", "cyd")
COST = st.sampled_from((0.1, 0.2, 0.25))


@dataclass(eq=False)
class Model:
    """What is known about a job without asking the queue."""

    client: str
    priority: Priority
    arrived: float
    deadline: float | None
    queued: dict[int, float]
    waiting: bool = False
    #: Units that came back and go first.
    again: set[int] = field(default_factory=set)
    flight: dict[int, float] = field(default_factory=dict)
    done: Counter[int] = field(default_factory=Counter)
    paused: bool = False
    front: int = 0
    closed: bool = False

    @property
    def remaining(self) -> float:
        return math.fsum(self.queued.values())

    @property
    def next(self) -> int:
        return min(self.again or self.queued)


class Queue(RuleBasedStateMachine):
    jobs = Bundle("jobs")

    @initialize()
    def begin(self) -> None:
        self.now, self.serial, self.fronts = 100.0, 0, 0
        self.queue = FairQueue(AGEING)
        self.models: dict[Ticket, Model] = {}
        self.paused_clients: set[str] = set()
        self.paused = False
        self.largest = 0.0
        # Seconds by weight that each flow was handed, and by pair what that was when both came to be busy.
        self.served: Counter[tuple[str, str]] = Counter()
        self.since: dict[tuple[tuple[str, str], tuple[str, str]], float] = {}

    # What happens

    @rule(
        target=jobs,
        client=st.sampled_from(CLIENTS),
        priority=st.sampled_from(PRIORITIES),
        costs=st.one_of(st.lists(COST, min_size=1, max_size=4), st.lists(COST, min_size=20, max_size=30)),
        first=st.sampled_from((0, 0, 0, 7)),
        gap=st.sampled_from((1, 1, 2)),
        slack=st.sampled_from((None, None, None, 0.5, 20.0)),
        waiting=st.booleans(),
    )
    def submit(
        self,
        client: str,
        priority: Priority,
        costs: list[float],
        first: int,
        gap: int,
        slack: float | None,
        waiting: bool,
    ) -> Ticket:
        self.serial += 1
        deadline = None if slack is None else self.now + slack
        indices = [first + gap * n for n in range(len(costs))]
        ticket = Ticket(f"job {self.serial}", client, priority, costs, indices, deadline=deadline)
        ticket.waiting = waiting
        self.models[ticket] = Model(client, priority, self.now, deadline, dict(ticket.pending()), waiting)
        assert [index for index, _ in ticket.pending()] == indices
        self.largest = max(self.largest, *costs)
        self.queue.push(ticket, self.now)
        return ticket

    @rule(seconds=st.sampled_from((0.0, 0.1, 1.0, 15.0, 300.0)))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(times=st.sampled_from((1, 2, 5, 20)), comes_back=st.booleans())
    def pop(self, times: int, comes_back: bool) -> None:
        for _ in range(times):
            may = [t for t in self.models if self.may_go(t)]
            flows = {t: self.flow(t) for t in may}
            owed: dict[tuple[str, str], float] = {
                name: flow.lanes.owed for name, flow in self.queue._flows._flows.items()
            }
            popped = self.queue.pop(self.now)
            assert (popped is None) == (not may), "work conserving, and nothing that is held goes"
            if popped is None:
                return
            ticket, index, cost = popped
            model = self.models[ticket]
            assert index == model.next
            assert cost == model.queued[index]
            self.check_choice(ticket, may, flows)
            self.check_lane(ticket, may, cost, owed.get(self.flow(ticket), 0.0))
            del model.queued[index]
            model.again.discard(index)
            model.flight[index] = cost
            if not model.front:
                self.served[self.flow(ticket)] += cost / self.weight(ticket)
            if comes_back:
                self.finish(ticket, index)

    @rule(ticket=jobs, data=st.data())
    def done(self, ticket: Ticket, data: st.DataObject) -> None:
        if ticket not in self.models:
            return
        if self.models[ticket].flight:
            self.finish(ticket, data.draw(st.sampled_from(sorted(self.models[ticket].flight))))

    def finish(self, ticket: Ticket, index: int) -> None:
        model = self.models[ticket]
        cost = model.flight.pop(index)
        model.done[index] += 1
        self.queue.settle(ticket, index, cost, cost)

    @rule(ticket=jobs, data=st.data())
    def died(self, ticket: Ticket, data: st.DataObject) -> None:
        if ticket not in self.models:
            return
        model = self.models[ticket]
        if model.flight:
            index = data.draw(st.sampled_from(sorted(model.flight)))
            cost = model.flight.pop(index)
            assert self.queue.put_back(ticket, index, cost, self.now) == (not model.closed)
            if not model.closed:
                model.queued[index] = cost
                model.again.add(index)
            self.since.clear()

    @rule(ticket=jobs, cost=COST, data=st.data())
    def needed_once_more(self, ticket: Ticket, cost: float, data: st.DataObject) -> None:
        if ticket not in self.models:
            return
        model = self.models[ticket]
        if model.done and not model.closed:
            index = data.draw(st.sampled_from(sorted(model.done)))
            if index not in model.queued and index not in model.flight:
                del model.done[index]
                assert self.queue.put_back(ticket, index, cost, self.now)
                self.largest = max(self.largest, cost)
                model.queued[index] = cost
                model.again.add(index)

    @rule(ticket=jobs)
    def cancel(self, ticket: Ticket) -> None:
        if ticket not in self.models:
            return
        self.queue.remove(ticket)
        model = self.models[ticket]
        model.closed = True
        model.queued.clear()
        model.again.clear()

    @rule(ticket=jobs, on=st.booleans())
    def pause_job(self, ticket: Ticket, on: bool) -> None:
        if ticket not in self.models:
            return
        (self.queue.pause if on else self.queue.resume)(ticket)
        self.models[ticket].paused = on

    @rule(client=st.sampled_from(CLIENTS), on=st.booleans())
    def pause_client(self, client: str, on: bool) -> None:
        (self.queue.pause if on else self.queue.resume)(client)
        (self.paused_clients.add if on else self.paused_clients.discard)(client)

    @rule(on=st.sampled_from((True, False, False)))
    def pause_all(self, on: bool) -> None:
        (self.queue.pause if on else self.queue.resume)()
        self.paused = on

    @rule(ticket=jobs, priority=st.sampled_from(PRIORITIES))
    def change_class(self, ticket: Ticket, priority: Priority) -> None:
        if ticket not in self.models:
            return
        self.queue.change_class(ticket, priority)
        self.models[ticket].priority, self.models[ticket].deadline = priority, None

    @rule(ticket=jobs, waiting=st.booleans())
    def somebody_comes_or_goes(self, ticket: Ticket, waiting: bool) -> None:
        if ticket not in self.models:
            return
        self.queue.set_waiting(ticket, waiting)
        self.models[ticket].waiting = waiting

    @rule(ticket=jobs)
    def move_to_front(self, ticket: Ticket) -> None:
        if ticket not in self.models:
            return
        self.queue.move_to_front(ticket)
        self.fronts += 1
        self.models[ticket].front = self.fronts

    @rule(ticket=jobs, factor=st.sampled_from((0.5, 1.25)))
    def reprice(self, ticket: Ticket, factor: float) -> None:
        if ticket not in self.models:
            return
        self.queue.reprice(ticket, factor)
        model = self.models[ticket]
        if model.closed:
            return
        repriced = dict(ticket.pending())
        for index in model.queued:
            assert math.isclose(repriced[index], model.queued[index] * factor, rel_tol=1e-6)
        model.queued = repriced
        self.largest = max([self.largest, *model.queued.values()])

    @rule(target=jobs)
    def crash(self) -> object:
        """All that is not done is queued again by another life of the server; operators' orders are lost."""
        old, self.models = self.models, {}
        self.queue = FairQueue(AGEING)
        self.paused_clients.clear()
        self.paused = False
        self.since.clear()
        for ticket, model in old.items():
            left = sorted({**model.queued, **model.flight}.items())
            if left and not model.closed:
                again = Ticket(
                    ticket.job,
                    model.client,
                    model.priority,
                    [c for _, c in left],
                    [i for i, _ in left],
                    deadline=model.deadline,
                    arrived=model.arrived,
                )
                kept = Model(
                    model.client, model.priority, model.arrived, model.deadline, dict(again.pending()), done=model.done
                )
                self.models[again] = kept
                self.queue.push(again, self.now)
        return multiple(*self.models)

    # What must hold

    def may_go(self, ticket: Ticket) -> bool:
        model = self.models[ticket]
        held = self.paused or model.paused or model.client in self.paused_clients
        return bool(model.queued) and not held

    def flow(self, ticket: Ticket) -> tuple[str, str]:
        model = self.models[ticket]
        if model.deadline is None:
            return model.client, model.priority
        return model.client, "vip" if ticket.raised else "bulk"

    def weight(self, ticket: Ticket) -> float:
        return WEIGHTS[self.flow(ticket)[1]]

    def check_choice(self, ticket: Ticket, may: list[Ticket], flows: dict[Ticket, tuple[str, str]]) -> None:
        """The most urgent of those moved to the front; else the best of its lane, up to the factor that is promised."""
        fronts = [t for t in may if self.models[t].front]
        if fronts:
            assert ticket is max(fronts, key=lambda t: self.models[t].front)
            return
        peers = [t for t in self.peers(ticket, may) if self.models[t].waiting == self.models[ticket].waiting]
        assert self.score(ticket) <= STEP * min(map(self.score, peers)) * (1 + 1e-6)
        for t in may:
            if flows[t] != self.flow(t):
                assert ticket.raised or t.raised, "only a deadline moves a job to another flow"

    def check_lane(self, ticket: Ticket, may: list[Ticket], cost: float, owed: float) -> None:
        """Who waits goes first, unless durable work was passed by as much as its next unit is worth."""
        durable = [t for t in self.peers(ticket, may) if not self.models[t].waiting]
        if self.models[ticket].front or not durable:
            return
        if self.models[ticket].waiting:
            # Of which durable job the next unit is, is known up to a factor.
            assert owed < max(self.models[t].queued[self.models[t].next] for t in durable)
        else:
            assert len(durable) == len(self.peers(ticket, may)) or owed >= cost * (1 - 1e-6)

    def peers(self, ticket: Ticket, may: list[Ticket]) -> list[Ticket]:
        """Jobs of the same flow whose units can be handed out in its order."""
        return [t for t in may if self.flow(t) == self.flow(ticket) and not self.models[t].front]

    def score(self, ticket: Ticket) -> float:
        model = self.models[ticket]
        return model.remaining / (1 + (self.now - model.arrived) / AGEING) ** 2

    @invariant()
    def sums_are_true(self) -> None:
        queued = [t for t, m in self.models.items() if m.queued]
        assert len(self.queue) == len(queued) == self.queue.queued_jobs()
        assert math.isclose(
            self.queue.backlog_seconds(), math.fsum(self.models[t].remaining for t in queued), abs_tol=1e-5
        )
        for client in CLIENTS:
            own = [t for t in queued if self.models[t].client == client]
            assert self.queue.queued_jobs(client) == len(own)
            assert math.isclose(
                self.queue.backlog_seconds(client), math.fsum(self.models[t].remaining for t in own), abs_tol=1e-5
            )
            for priority in PRIORITIES:
                seconds = math.fsum(self.models[t].remaining for t in own if self.flow(t)[1] == priority)
                assert math.isclose(self.queue.backlog_seconds(client, priority), seconds, abs_tol=1e-5)

    @invariant()
    def units_are_told_in_order(self) -> None:
        for ticket, model in self.models.items():
            if not model.closed:
                again = sorted(model.again)
                rest = sorted(set(model.queued) - model.again)
                assert [index for index, _ in ticket.pending()] == again + rest
                assert ticket.left == len(model.queued)
                assert math.isclose(ticket.remaining, model.remaining, abs_tol=1e-5)
            assert set(ticket.in_flight or ()) == set(model.flight)

    @invariant()
    def nothing_is_done_twice(self) -> None:
        for model in self.models.values():
            assert all(times == 1 for times in model.done.values())
            assert not set(model.queued) & set(model.flight)

    @invariant()
    def shares_are_fair(self) -> None:
        """Start-time fair queueing's bound for any two flows that are busy all the while."""
        busy: dict[tuple[str, str], int] = {}
        for ticket in self.models:
            if self.may_go(ticket) and not self.models[ticket].front:
                busy[self.flow(ticket)] = 1
        pairs = {(a, b) for a in busy for b in busy if a < b}
        self.since = {pair: lead for pair, lead in self.since.items() if pair in pairs}
        for a, b in pairs:
            lead = self.served[a] - self.served[b]
            apart = lead - self.since.setdefault((a, b), lead)
            bound = 2 * self.largest * (1 / WEIGHTS[a[1]] + 1 / WEIGHTS[b[1]])
            assert abs(apart) <= bound + 1e-6, (a, b, apart, bound)

    @invariant()
    def places_are_told(self) -> None:
        busy = [0.1] * sum(len(m.flight) for m in self.models.values())
        for ticket, model in self.models.items():
            eta = self.queue.eta(ticket, 2, self.now, busy)
            position = self.queue.position(ticket, self.now)
            if not model.queued:
                assert position == 0
                assert math.isfinite(eta)
                continue
            assert 1 <= position <= len(self.queue)
            assert math.isinf(eta) != self.may_go(ticket)
            assert eta >= ticket.last_cost * (1 - 1e-6)

    def teardown(self) -> None:
        """Whatever has happened: when nobody holds anything, every unit comes out, each once."""
        if not hasattr(self, "queue"):
            return
        self.queue.resume()
        self.paused = False
        for client in CLIENTS:
            self.pause_client(client, False)
        for ticket in self.models:
            self.pause_job(ticket, False)
        left = sum(len(m.queued) for m in self.models.values())
        self.pop(left + 1, True)
        assert not any(m.queued for m in self.models.values())
        assert len(self.queue) == 0
        assert self.queue.backlog_seconds() == 0.0


Queue.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)
TestQueue = Queue.TestCase
