"""Scheduling: which unit runs next, what it will cost, when a job will be done, and whether more work is accepted.

Everything here is pure (the clock is passed in) except `dispatch`, which runs units. Entry points:
`fair_queue.FairQueue` (a `queue_policy.QueuePolicy`), `fairness` (the rule that it follows), `dispatch.Dispatcher`,
`cost.CostModels`, `admission.Admission`, `device.Device`, `autoscale.AutoscalePolicy`.
"""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["admission", "autoscale", "cost", "device", "dispatch", "fair_queue", "ticket"]
