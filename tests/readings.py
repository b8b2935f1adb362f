"""Readings: what the tests of all languages ask of one."""

from __future__ import annotations

from antiphon.reading.said import Reading


def word(reading: Reading, said: str) -> str:
    """What was written for a word that is said."""
    start = reading.text.index(said)
    begin, end = reading.written_at(start, start + len(said))
    return reading.written[begin:end]
