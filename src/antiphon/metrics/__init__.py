"""Figures for the operator: `exposition` for Prometheus, `report` for /v1/stats, `traces` for OpenTelemetry.

`advice` says how many workers the load needs, by the queueing theory of `queueing`.
"""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["exposition", "families", "report", "traces"]
