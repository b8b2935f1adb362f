"""Queueing: how long work waits for a number of servers, and how many keep the wait under a target. Pure.

The model is M/G/c: arrivals at random (Poisson), any distribution of service times, c equal servers, first come first
served.

- The chance of waiting is taken from M/M/c, Erlang's C (A. K. Erlang, 1917), computed by the recursion of Erlang's B,
  which neither overflows nor loses digits.
- The mean wait is that of M/M/c times (1 + cs²) / 2, cs being the coefficient of variation of the service times:
  A. M. Lee and P. A. Longton, "Queueing processes associated with airline passenger check-in", Operational Research
  Quarterly 10 (1959), 56-71. It is the Allen-Cunneen formula for random arrivals (A. O. Allen, "Probability, Statistics
  and Queueing Theory", 2nd edition, 1990, section 5.2), exact for M/M/c and, as Pollaczek-Khinchine, for one server.
- Given that one waits, the wait is taken as exponential, which gives its percentiles: exact for M/M/c and the usual
  approximation else (W. Whitt, "Approximations for the GI/G/m queue", Production and Operations Management 2 (1993),
  114-161).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Servers at which the search ends; no machine has as many.
MAX_SERVERS = 4096


@dataclass(frozen=True, slots=True)
class Wait:
    """The wait of arrivals. With a utilisation of 1 or more the times are infinite."""

    #: Offered load of one server, as a part of its time: above 1 the queue grows for ever.
    utilisation: float
    #: Chance that an arrival finds no server free.
    chance: float
    #: Seconds, over all arrivals, with those that need not wait.
    mean: float

    def percentile(self, part: float = 0.95) -> float:
        """Seconds that `part` (0 to 1) of all arrivals wait no longer than."""
        if self.chance <= 1 - part:
            return 0.0
        if math.isinf(self.mean):
            return math.inf
        return self.mean / self.chance * math.log(self.chance / (1 - part))


def erlang_b(servers: int, load: float) -> float:
    """Chance that all servers are busy, in a system without a queue. `load`: arrivals times mean service, in Erlang."""
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked


def erlang_c(servers: int, load: float) -> float:
    """Chance that an arrival has to wait; 1 if there is more to do than `servers` can."""
    if load >= servers:
        return 1.0
    blocked = erlang_b(servers, load)
    return servers * blocked / (servers - load * (1 - blocked))


def wait(arrivals: float, service: float, variance: float, servers: int) -> Wait:
    """The wait in M/G/c.

    `arrivals`: per second. `service`, `variance`: mean seconds that one takes of a server, and their variance (s²).
    Raises `ValueError` for numbers that cannot be.
    """
    numbers = (arrivals, service, variance)
    if not all(math.isfinite(n) and n >= 0 for n in numbers) or servers < 1 or (service == 0 and variance > 0):
        raise ValueError(f"not a queue: {arrivals=}, {service=}, {variance=}, {servers=}")
    load = arrivals * service
    if load == 0:
        return Wait(0.0, 0.0, 0.0)
    chance = erlang_c(servers, load)
    if load >= servers:
        return Wait(load / servers, chance, math.inf)
    exponential = chance * service / (servers - load)
    return Wait(load / servers, chance, exponential * (1 + variance / service**2) / 2)


def needed(
    arrivals: float, service: float, variance: float, target: float, *, part: float = 0.95, step: int = 1
) -> int | None:
    """The least number of servers, a multiple of `step`, with which `part` of all wait no longer than `target` seconds.

    None: not even with `MAX_SERVERS`.
    """
    for servers in range(step, MAX_SERVERS + 1, step):
        if wait(arrivals, service, variance, servers).percentile(part) <= target:
            return servers
    return None
