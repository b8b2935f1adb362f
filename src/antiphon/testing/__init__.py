"""Testing: checks whether an engine keeps its contract. Entry point: `python -m antiphon.testing.engine NAME`."""
