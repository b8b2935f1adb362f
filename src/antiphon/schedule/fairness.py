"""The fairness rule: start-time fair queueing, as arithmetic on the start tags of flows.

A flow is one client's work of one class. It has a weight and a start tag: the virtual time at which its next unit
starts. A unit of c seconds moves the tag on by c / weight, and the flow with the least rank goes next (Goyal, Vin and
Cheng, "Start-time Fair Queueing", 1996). The queue of one model, the estimate of when a job is done, and the device
that several models share all follow this rule and take it from here.

A flow that had nothing to do starts at the present virtual time or where it left off, whichever is later: idling earns
nothing, and leaving does not wipe out what the flow was given. While a flow is busy its tag follows from its own work
alone; taking the later of the two at every unit would give the heavier flow everything.

Virtual time moves on by c / (sum of the weights that share) for every c seconds handed out, as if all flows were served
at once, so it never stands still. In the paper it is the tag of the unit in service. That tag stands still while
newcomers that come once are served, and as long as they keep coming everyone else would starve.
"""

from __future__ import annotations


def start(tag: float, now: float) -> float:
    """Virtual time at which the next unit of a flow with this tag starts, if it has been idle until `now`."""
    return tag if tag > now else now


def charge(tag: float, seconds: float, weight: float) -> float:
    """The tag after `seconds` of work; seconds below 0 take back what was charged too much."""
    return tag + seconds / weight


def rank(tag: float, weight: float, quantum: float) -> float:
    """By what flows are ordered: the flow with the least rank goes next.

    `quantum` is the mean of a unit's seconds. Among flows of one weight this is the order of their tags. Between
    weights it keeps a crowd of newcomers of a low class, whose tags are all the present time, from going before the
    second unit of a higher class."""
    return tag + quantum / weight


def advance(now: float, seconds: float, weight: float) -> float:
    """Virtual time after `seconds` were handed out among flows whose weights sum up to `weight`."""
    return now + seconds / weight


def work(earlier: float, later: float, weight: float) -> float:
    """Seconds of work that flows of this (total) weight are handed between two virtual times."""
    return weight * (later - earlier)
