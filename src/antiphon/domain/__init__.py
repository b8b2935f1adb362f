"""The words of the trade: what a request, a job, a unit, an engine and an event are. Standard library only."""
