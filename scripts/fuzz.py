"""Coverage-guided fuzzing of what strangers can send: `python scripts/fuzz.py frames|text|uploads [SECONDS]`.

Needs `pip install atheris`, which the tests do not. Anything but the errors that each reader promises is a crash, which
ends the run with its input in a file.
"""

import io
import struct
import sys
import wave

import atheris

with atheris.instrument_imports(include=["antiphon"]):
    from antiphon.audio.decode import decode
    from antiphon.domain import errors
    from antiphon.domain.engine import Cut
    from antiphon.text import chapters, language, markup
    from antiphon.text.emotion_words import emotion_weights
    from antiphon.text.incremental import Splitter
    from antiphon.text.normalise import clean
    from antiphon.text.segment import segment
    from antiphon.worker import frames


def read_frames(data: bytes) -> None:
    """A worker's stream, in two pieces."""
    given = atheris.FuzzedDataProvider(data)
    at = given.ConsumeIntInRange(0, 64)
    rest = given.ConsumeBytes(given.remaining_bytes())
    if given.ConsumeBool() or len(rest) % 2:
        # Past the prefix, where random bytes seldom come.
        body = rest[:200]
        rest = struct.pack(frames.PREFIX.format, frames.MAGIC, len(body), 0) + body
    decoder = frames.Decoder(frames.AT_SERVER)
    try:
        for part in (rest[:at], rest[at:]):
            list(decoder.feed(part))
    except errors.FrameError:
        return


def read_text(data: bytes) -> None:
    """From what came in to segments, and text that arrives in pieces."""
    given = atheris.FuzzedDataProvider(data)
    text = given.ConsumeUnicode(2000)
    try:
        spans = markup.parse(text)
    except errors.InvalidText:
        spans = []
    for span in spans:
        said = clean(span.text)
        if clean(said) != said:
            raise AssertionError("cleaning is not idempotent")
        cut = segment(said, Cut(), language.detect(said)) if said else []
        if "".join(part.text for part in cut) != said:
            raise AssertionError("a segment was lost")
    if "".join(chapter.text for chapter in chapters.split(text)) != text:
        raise AssertionError("a chapter was lost")
    emotion_weights(text)
    splitter = Splitter("sentence")
    for piece in (text[:7], text[7:100], text[100:]):
        splitter.feed(piece)
    splitter.flush()


def read_upload(data: bytes) -> None:
    """A recording, half of the time behind a header that is right."""
    if data[:1] and data[0] % 2:
        file = io.BytesIO()
        with wave.open(file, "wb") as made:
            made.setnchannels(1 + data[0] % 3)
            made.setsampwidth(2)
            made.setframerate(8000)
            made.writeframes(bytes(64))
        data = file.getvalue()[: len(data)] + data
    try:
        decode(data, max_seconds=10.0, max_bytes=1 << 20)
    except errors.InvalidRequest:
        return


TARGETS = {"frames": read_frames, "text": read_text, "uploads": read_upload}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"name a target: {', '.join(TARGETS)}")
    seconds = sys.argv[2] if len(sys.argv) > 2 else "60"
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-rss_limit_mb=2048", "-max_len=4096"], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
