"""Network: the graphs of the voices that were used last, and a sentence's samples of one."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.domain import errors
from antiphon.engines.onnx_session import Interruption, Session, return_memory
from antiphon.engines.piper import noise
from antiphon.engines.piper.voices import VoiceFiles

#: Bytes of graphs that a worker keeps: those of four voices of medium quality.
KEPT = 270_000_000


@contextlib.contextmanager
def _in_memory(data: bytes) -> Iterator[Path]:
    """A file that is on no disk. ONNX Runtime keeps the bytes of a graph that it is given as bytes: 63 MB of each."""
    descriptor = os.memfd_create("voice")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A voice whose graph is in memory."""

    files: VoiceFiles
    session: Session
    #: Whether its noise is an input; else it is run without.
    seeded: bool
    #: Reads texts: `piper.PiperVoice`.
    reader: Any

    def samples(self, phonemes: list[str], speaker: int, speed: float, seed: int) -> Any:
        """Float32 samples at the voice's rate. Raises `Interrupted`."""
        import numpy as np

        config = self.reader.config
        ids = np.array([self.reader.phonemes_to_ids(phonemes)], np.int64)
        noises = (config.noise_scale, config.noise_w_scale) if self.seeded else (0.0, 0.0)
        feed: dict[str, Any] = {
            "input": ids,
            "input_lengths": np.array([ids.shape[1]], np.int64),
            "scales": np.array([noises[0], config.length_scale / speed, noises[1]], np.float32),
        }
        if self.seeded:
            feed[noise.INPUT] = noise.numbers(seed)
        if self.files.speakers:
            feed["sid"] = np.array([speaker], np.int64)
        return self.session.run(None, feed)[0].ravel()


class LoadedVoices:
    """Loads a voice when it is first used, and forgets those that were not used for the longest."""

    def __init__(self, threads: int, interruption: Interruption, kept: int = KEPT) -> None:
        self._threads, self._interruption, self._kept = threads, interruption, kept
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()

    def get(self, files: VoiceFiles) -> Loaded:
        """Raises `UnitFailed` for a file that cannot be used, with what to do."""
        loaded = self._loaded.get(files.id)
        if loaded is None or loaded.files != files:
            self._make_room(files)
            loaded = self._loaded[files.id] = self._load(files)
        self._loaded.move_to_end(files.id)
        return loaded

    def names(self) -> list[str]:
        """The voices in memory, the one that was used last at the end."""
        return list(self._loaded)

    def _make_room(self, files: VoiceFiles) -> None:
        self._loaded.pop(files.id, None)
        while self._loaded and sum(each.files.size for each in self._loaded.values()) + files.size > self._kept:
            self._loaded.popitem(last=False)

    def _load(self, files: VoiceFiles) -> Loaded:
        from piper import PiperConfig, PiperVoice

        try:
            data = files.model.read_bytes()
            if hashlib.sha256(data).hexdigest() != files.sha256:
                raise noise.NoVoice("its file was changed while the server runs; start the server again")
            graph, seeded = noise.with_input(data)
            with _in_memory(graph) as path:
                session = Session(path, self._threads, self._interruption)
        except Exception as e:
            why = e.strerror if isinstance(e, OSError) else str(e)
            raise errors.UnitFailed(f"The voice {files.id} cannot be used: {why}", param="voice") from e
        del data, graph
        return_memory()
        reader = PiperVoice(session=session, config=PiperConfig.from_dict(dict(files.config)))
        return Loaded(files, session, seeded, reader)
