"""References: recordings to clone, uploaded ones by digest and those of the model's folder by name."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from antiphon.audio import wav
from antiphon.domain import errors, voice
from antiphon.domain.unit import SpeechParams

#: Folder of the model's own voices, one `NAME.wav` each, beside the model's files.
FOLDER = "voices"
#: Name of the voice that the espeak engine makes if the folder has none.
DEFAULT = "default"
#: What that voice says: most sounds of English, in about six seconds.
_DEFAULT_TEXT = (
    "The quick brown fox jumps over the lazy dog, and nobody in this quiet house was surprised to hear about it."
)


#: What a client is told of a recording that was deleted.
GONE = "The voice's recording is no longer here; upload it again"


@dataclass(frozen=True, slots=True)
class Reference:
    """An audio file; equal digests mean equal audio."""

    digest: str
    path: str


class References:
    def __init__(self, folder: Path, uploaded: Path | None, *, default: bool = True) -> None:
        """`folder` is the model's; `uploaded` holds `<digest>.wav`. `default`: one is made if the folder has none."""
        self._uploaded = uploaded
        self._made: int | None = None
        self._own = {p.stem: _reference(p) for p in sorted((folder / FOLDER).glob("*.wav"))}
        if not self._own and default:
            self._own = {DEFAULT: self._make()}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the model's own voices, the default first."""
        return tuple(sorted(self._own, key=lambda name: (name != DEFAULT, name)))

    def identity(self) -> list[str]:
        """Lines that change when one of the model's own voices does, so that no cached audio of the old one is used."""
        return [f"{name} {self._own[name].digest}" for name in self.names]

    def of_voice(self, asked: str) -> Reference:
        """The reference of an uploaded voice (`ref:DIGEST`), or of one of the model's own. Raises `UnknownVoice`."""
        digest = voice.digest_of(asked)
        if digest is not None:
            return self.of_digest(digest, "voice")
        own = self._own.get(asked or next(iter(self.names), ""))
        if own is None:
            raise errors.UnknownVoice(
                f"There is no voice {asked[:60]!r} in this model; upload one, or name {', '.join(self.names[:20])}",
                param="voice",
            )
        return own

    def of_digest(self, digest: str, param: str) -> Reference:
        """An uploaded reference; `param` is the request's field. Raises `UnknownVoice`."""
        path = self._uploaded / f"{digest}.wav" if self._uploaded and voice.is_digest(digest) else None
        if path is None or not path.is_file() or path.is_symlink():
            raise errors.UnknownVoice(GONE, param=param)
        return Reference(digest, str(path))

    def close(self) -> None:
        if self._made is not None:
            os.close(self._made)

    def _make(self) -> Reference:
        """A reference spoken by espeak. It lives in memory, so a killed worker leaves no file behind."""
        from antiphon.engines.espeak import Espeak

        engine = Espeak({})
        engine.load(lambda name, fraction=None: None)
        # What an engine can do is asked once it is warm.
        engine.warm()
        rate = engine.capabilities().sample_rate
        params = SpeechParams(_DEFAULT_TEXT, "en-us", "en").as_params()
        audio = b"".join(chunk.payload for chunk in engine.run(params, _NeverCancelled()))
        engine.close()
        data = wav.header(rate, len(audio)) + audio
        self._made = os.memfd_create("antiphon-default-voice")
        os.write(self._made, data)
        return Reference(hashlib.sha256(data).hexdigest(), f"/proc/self/fd/{self._made}")


class _NeverCancelled:
    def cancelled(self) -> bool:
        return False

    def progress(self, fraction: float) -> None:
        """Not reported."""


def _reference(path: Path) -> Reference:
    with path.open("rb") as file:
        return Reference(hashlib.file_digest(file, "sha256").hexdigest(), str(path))
