"""Tempo: makes speech faster or slower at the same pitch, for speeds that an engine does not have itself."""

from __future__ import annotations

from fractions import Fraction

from antiphon.audio import pcm
from antiphon.domain.request import SPEED_MAX, SPEED_MIN, check_number

#: Lowest and highest factor of one `atempo` filter: above two it drops samples, and does not blend them.
_LOW, _HIGH = 0.5, 2.0
#: Seconds of silence added at the end, since the filter does not return the last part of its input.
_RUN_OUT = 0.25


def stretch(audio: bytes, rate: int, factor: float) -> bytes:
    """PCM that is `factor` times as fast at the same pitch. Raises `InvalidRequest` unless `factor` is 0.25 to 4.

    The result has exactly `1 / factor` of the input's samples, rounded.
    """
    check_number("speed", factor, SPEED_MIN, SPEED_MAX)
    pcm.check_whole(audio)
    if factor == 1.0 or not audio:
        return audio
    length = pcm.WIDTH * round(len(audio) // pcm.WIDTH / factor)
    # With several filters the second one gets what the first one has shortened, so the silence has to be longer.
    return _filter(audio + pcm.silence(_RUN_OUT * max(1.0, factor), rate), rate, factor)[:length]


def _filter(audio: bytes, rate: int, factor: float) -> bytes:
    from antiphon.audio.libav import av

    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate, format="s16", layout="mono", time_base=Fraction(1, rate))
    filters = [graph.add("atempo", f"{step:.6f}") for step in _steps(factor)]
    graph.link_nodes(source, *filters, graph.add("abuffersink")).configure()
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(audio) // pcm.WIDTH)
    frame.planes[0].update(audio)
    frame.sample_rate = rate
    frame.pts = 0
    graph.push(frame)
    graph.push(None)
    parts: list[bytes] = []
    while True:
        try:
            out = graph.pull()
        except av.error.EOFError:
            return b"".join(parts)
        assert isinstance(out, av.AudioFrame)
        parts.append(bytes(out.planes[0])[: out.samples * pcm.WIDTH])


def _steps(factor: float) -> list[float]:
    """Factors between `_LOW` and `_HIGH` whose product is `factor`."""
    if _LOW <= factor <= _HIGH:
        return [factor]
    step = _HIGH if factor > _HIGH else _LOW
    return [step, *_steps(factor / step)]
