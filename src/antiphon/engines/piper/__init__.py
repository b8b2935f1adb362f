"""Piper on the CPU: a voice is a file. Entry point: `Piper`."""

from antiphon.engines.piper.engine import Piper

__all__ = ["Piper"]
