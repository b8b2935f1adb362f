"""Kokoro-82M on the CPU. Entry point: `Kokoro`."""

from antiphon.engines.kokoro.engine import CUT, Kokoro

__all__ = ["CUT", "Kokoro"]
