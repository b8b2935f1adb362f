"""PCM: makes and changes mono signed 16-bit little-endian samples, which are `bytes`.

Functions import numpy and soxr themselves, so that engines without them start fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from antiphon.domain import errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

#: Bytes of one sample.
WIDTH = 2
#: Samples up to this size are silent: 54 dB below full scale, less than the hiss of the quietest voice.
SILENCE = 64


def silence(seconds: float, rate: int) -> bytes:
    """Silence of so many seconds at `rate` Hz; none for a negative length."""
    return bytes(WIDTH * max(0, round(seconds * rate)))


def duration(nbytes: int, rate: int) -> float:
    """Seconds of `nbytes` of PCM at `rate` Hz."""
    return nbytes / WIDTH / rate


def check_whole(audio: bytes) -> None:
    """Raises `UnitFailed` if the last sample is incomplete: all audio after it would be noise."""
    if len(audio) % WIDTH:
        raise errors.UnitFailed(f"The audio ends in the middle of a sample: it has {len(audio)} bytes, an odd number")


def from_float(array: ArrayLike) -> bytes:
    """One channel of samples between -1 and 1 (shape (n,), (1, n) or (n, 1)) as PCM; louder ones are clipped.

    Raises `UnitFailed` on NaN and infinity, `ValueError` on more than one channel.
    """
    import numpy as np

    with np.errstate(over="ignore"):
        samples = np.asarray(array, dtype=np.float32)
    if samples.size != max(samples.shape, default=1):
        raise ValueError(f"one channel is expected, not an array of shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise errors.UnitFailed("The model made samples that are not finite numbers")
    # Clip at twice full scale first, so that scaling cannot overflow.
    return _round(np.clip(samples.reshape(-1), -2.0, 2.0) * 32768.0)


def resample(audio: bytes, rate_from: int, rate_to: int) -> bytes:
    """The audio at another rate; the same bytes if the rates are equal."""
    if rate_from == rate_to:
        return audio
    resampler = Resampler(rate_from, rate_to)
    return resampler.feed(audio) + resampler.finish()


class Resampler:
    """Changes the rate of a stream. Its output lags some milliseconds behind until `finish`."""

    def __init__(self, rate_from: int, rate_to: int) -> None:
        import soxr

        # Floats and our own rounding, since soxr adds dither to integers, and digital silence must stay silent.
        self._stream: Any = soxr.ResampleStream(rate_from, rate_to, 1, dtype="float32", quality="HQ")

    def feed(self, audio: bytes) -> bytes:
        return self._run(audio, last=False)

    def finish(self) -> bytes:
        """The rest of the audio. Nothing can be fed afterwards."""
        tail = self._run(b"", last=True)
        self._stream = None
        return tail

    def _run(self, audio: bytes, *, last: bool) -> bytes:
        if self._stream is None:
            raise ValueError("this resampler is finished")
        return _round(self._stream.resample_chunk(_samples(audio).astype("float32"), last=last))


def trim_silence(audio: bytes, rate: int, keep: float = 0.05, threshold: int = SILENCE) -> bytes:
    """Shortens the silence at either end to `keep` seconds; audio that is all silent becomes `keep` seconds long."""
    import numpy as np

    samples = _samples(audio)
    spare = round(keep * rate)
    loud = np.flatnonzero((samples > threshold) | (samples < -threshold))
    if not loud.size:
        return audio[: WIDTH * spare]
    first = max(0, int(loud[0]) - spare)
    return audio[WIDTH * first : WIDTH * (int(loud[-1]) + 1 + spare)]


def _samples(audio: bytes) -> NDArray[np.int16]:
    import numpy as np

    check_whole(audio)
    return np.frombuffer(audio, dtype="<i2")


def _round(samples: NDArray[np.float32]) -> bytes:
    """The nearest 16-bit values of samples whose full scale is 32768."""
    import numpy as np

    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()
