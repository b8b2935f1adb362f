"""Figures for the operator: `exposition` for Prometheus, `report` for /v1/stats, `traces` for OpenTelemetry.

`advice` says how many workers the load needs, by the queueing theory of `queueing`.
"""
