"""Piper: small neural voices on the CPU, each of which is a file and speaks one language."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Chunk, Context, Cut, Phase
from antiphon.domain.request import check_number
from antiphon.domain.unit import SpeechParams
from antiphon.engines import prosody
from antiphon.engines.onnx_session import Interrupted, Interruption
from antiphon.engines.piper import reading, voices
from antiphon.engines.piper.network import Loaded, LoadedVoices
from antiphon.engines.piper.voices import VoiceFiles
from antiphon.engines.trimming import JOIN, TAIL, pcm, silence

#: Raised when our own code makes the same text sound different.
CODE = 1
#: Hz of what the engine gives: that of nearly all voices. Others (16,000 and 44,100) are resampled.
RATE = 22_050
SPEED_MIN, SPEED_MAX = 0.5, 2.0
CUT = Cut(max_chars=300, target_chars=160, first_chars=60)
#: Seconds of silence for a text that is punctuation only, and between the sentences of a segment.
NOTHING, PAUSE = 0.3, 0.25
#: Characters after which a reader pauses. A segment that ends elsewhere goes on in the next one.
ENDS = frozenset('.!?;:,…—。！？；：，、"”’)）」』؟،؛।')
#: Bytes of a worker with as many voices as it keeps.
FOOTPRINT = 600 * 1024 * 1024


class Piper:
    """Options: `dir` or `folder` (voices, or folders with voices), `threads` (of one computation; default 1)."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._dir = Path(options.get("folder") or options["dir"])
        self._interruption = Interruption()
        self._loaded = LoadedVoices(int(options.get("threads", 1)), self._interruption)

    def load(self, phase: Phase) -> None:
        """Raises `FileNotFoundError` with the command that fetches a voice if there is none."""
        phase("importing Piper")
        import piper

        assert piper
        phase("looking for voices")
        self._found = voices.find(self._dir)
        self._require()

    def warm(self) -> None:
        """Loads the voice that is used if none is named. One that cannot be used is left out."""
        while True:
            default = self._found.voices[self._default]
            try:
                loaded = self._loaded.get(default)
                for phonemes in reading.sentences(loaded.reader, "1."):
                    loaded.samples(phonemes, 0, 1.0, 0)
                break
            except Exception as e:
                self._found.refused[default.model.name] = str(e)
                del self._found.voices[default.id]
                self._require()
        for line in voices.describe(self._found):
            print(f"Piper: {line}", file=sys.stderr)  # noqa: T201 - for the server's log

    def _require(self) -> None:
        if not self._found.voices:
            why = "; ".join(f"{name}: {why}" for name, why in self._found.refused.items()) or "it has no *.onnx file"
            raise FileNotFoundError(
                f"there is no voice in {self._dir} ({why}); antiphon voices --available lists voices, "
                "antiphon pull piper:VOICE fetches one"
            )

    @property
    def _default(self) -> str:
        return self._found.by_language.get("en") or next(iter(self._found.voices))

    def capabilities(self) -> Capabilities:
        found = self._found
        return Capabilities(
            kind="speech",
            sample_rate=RATE,
            revision=f"piper-{importlib.metadata.version('piper-tts')}-{CODE}",
            languages=tuple(found.by_language),
            voices=tuple(each.voice for each in found.voices.values()),
            default_voice=self._default,
            voice_by_language=found.by_language,
            tries_any_language=False,
            voice_sets_language=True,
            emotions=tuple(prosody.EMOTIONS),
            speed_min=SPEED_MIN,
            speed_max=SPEED_MAX,
            cut=CUT,
            computation="; ".join(voices.describe(found)),
            footprint=FOOTPRINT,
            licence="see each voice's",
            attribution="Piper by the Open Home Foundation; pronunciation: eSpeak NG",
        )

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        """One chunk for each sentence.

        A text that is punctuation only is a short silence. Raises `NothingToSay` for letters that have no sound."""
        asked = SpeechParams.of(params)
        check_number("speed", asked.speed, SPEED_MIN, SPEED_MAX)
        files, speaker = self._voice(asked)
        loaded = self._loaded.get(files)
        mood = prosody.mixed(asked.emotion)
        sentences = list(reading.sentences(loaded.reader, asked.text))
        if not sentences:
            if any(ch.isalnum() for ch in asked.text):
                raise errors.NothingToSay(f"The voice {files.id} has no sounds for {asked.text[:30]!r}")
            yield _chunk(silence(NOTHING, RATE))
        for number, phonemes in enumerate(sentences):
            last = number == len(sentences) - 1
            tail = JOIN if last and asked.text.rstrip()[-1:] not in ENDS else TAIL
            try:
                with self._interruption.watching(context):
                    samples = loaded.samples(phonemes, speaker, mood.engine_speed(asked.speed), asked.seed)
            except Interrupted:
                return
            samples = _shaped(_at_rate(samples, loaded), mood)
            yield _chunk(pcm(samples, RATE, tail=tail) + (b"" if last else silence(PAUSE, RATE)))
            if context.cancelled():
                return

    def close(self) -> None:
        """Nothing outlives the process."""

    def _voice(self, asked: SpeechParams) -> tuple[VoiceFiles, int]:
        """The voice and the number of its speaker. Raises `UnknownVoice`, `UnsupportedLanguage`."""
        language = asked.language.partition("-")[0].lower()
        name, _, speaker = (asked.voice or self._found.by_language.get(language, "")).partition("#")
        if name not in self._found.voices:
            # It may have been pulled since this worker started.
            self._found.voices |= {id: each for id, each in voices.find(self._dir).voices.items() if id == name}
        if (files := self._found.voices.get(name)) is None:
            have = ", ".join(list(self._found.voices)[:5])
            raise errors.UnknownVoice(f"Piper has no voice {name[:60]!r} here, but {have}", param="voice")
        if speaker and speaker not in files.speakers:
            some = ", ".join(list(files.speakers)[:5]) or "none to choose from"
            raise errors.UnknownVoice(f"{name} has no speaker {speaker[:60]!r}; it has {some}", param="voice")
        if language not in files.voice.languages:
            raise errors.UnsupportedLanguage(
                f"The voice {name} reads {files.language}, not {language!r}", param="language"
            )
        return files, files.speakers[speaker] if speaker else next(iter(files.speakers.values()), 0)


def _at_rate(samples: Any, loaded: Loaded) -> Any:
    if loaded.files.rate == RATE:
        return samples
    import soxr

    return soxr.resample(samples, loaded.files.rate, RATE)


def _shaped(samples: Any, mood: prosody.Prosody) -> Any:
    return next(prosody.shaped(((samples, True),), mood, RATE))[0]


def _chunk(audio: bytes) -> Chunk:
    return Chunk(audio, {"sample_rate": RATE})
