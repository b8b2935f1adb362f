"""Whisper through faster-whisper (CTranslate2): transcribes 99 languages, and translates them into English.

A unit is a piece of a recording. Its result is a JSON object in UTF-8 with `language`, `text` and `segments`; a segment
has `start` and `end` in seconds from the piece's first sample.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities, Chunk, Context, Phase

#: Hz.
RATE = 16_000
#: Raised when our own code makes the same audio give another text.
CODE = 1
#: Default prompts by language: this one makes Whisper write simplified characters and punctuation.
PROMPTS = {"zh": "以下是普通话的句子。"}
#: Temperatures to try in order while the result repeats itself or is improbable (Radford et al. 2022).
FALLBACK = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
#: Memory as a multiple of the files' size, for buffers and the audio's features.
OVERHEAD = 1.6


class Whisper:
    """Options: `dir` or `folder` (of the model's files), `uploads` (of recordings), `threads`, `beam_size` (5)."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._dir, self._uploads = Path(options.get("folder") or options["dir"]), Path(options["uploads"])
        self._threads = int(options.get("threads", 1))
        self._beam = int(options.get("beam_size", 5))

    def load(self, phase: Phase) -> None:
        """Raises `FileNotFoundError` with the command that fetches what is missing."""
        for name in ("model.bin", "config.json", "tokenizer.json"):
            if not (self._dir / name).is_file():
                raise FileNotFoundError(f"{self._dir / name} is missing; fetch it with: antiphon pull {self._dir.name}")
        phase("importing CTranslate2")
        import ctranslate2
        from faster_whisper import WhisperModel

        phase("reading weights")
        gpu = ctranslate2.get_cuda_device_count() > 0
        self._model = WhisperModel(
            str(self._dir),
            device="cuda" if gpu else "cpu",
            compute_type="float16" if gpu else "int8",
            cpu_threads=self._threads,
            local_files_only=True,
        )
        self._revision = _revision(self._dir)

    def warm(self) -> None:
        import numpy as np

        segments, _ = self._model.transcribe(np.zeros(RATE, np.float32), language="en", beam_size=1)
        list(segments)

    def capabilities(self) -> Capabilities:
        languages = self._model.supported_languages
        return Capabilities(
            kind="transcription",
            sample_rate=RATE,
            revision=self._revision,
            languages=tuple(languages),
            deterministic=True,
            footprint=int((self._dir / "model.bin").stat().st_size * OVERHEAD),
            licence="MIT",
        )

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        samples = self._read(params)
        language, prompt = params.get("language"), params.get("prompt") or None
        found, info = self._transcribe(samples, params, language, prompt or PROMPTS.get(language or ""))
        if prompt is None and language is None and info.language in PROMPTS:
            # `found` is lazy: so far Whisper has only detected the language.
            found, info = self._transcribe(samples, params, info.language, PROMPTS[info.language])
        segments = []
        for segment in found:
            if context.cancelled():
                return
            context.progress(min(1.0, segment.end * RATE / max(1, len(samples))))
            segments.append(_segment(segment))
        text = "".join(segment["text"] for segment in segments).strip()
        result = {"language": info.language, "text": text, "segments": segments}
        yield Chunk(json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode())

    def _transcribe(self, samples: Any, params: Mapping[str, Any], language: str | None, prompt: str | None) -> Any:
        return self._model.transcribe(
            samples,
            language=language,
            task=params.get("task", "transcribe"),
            initial_prompt=prompt if params.get("task") != "translate" else params.get("prompt") or None,
            temperature=float(params.get("temperature", 0.0)) or list(FALLBACK),
            word_timestamps=bool(params.get("words")),
            beam_size=self._beam,
            # Each window by itself, so that one mistake is not repeated to the end.
            condition_on_previous_text=False,
        )

    def close(self) -> None:
        pass

    def _read(self, params: Mapping[str, Any]) -> Any:
        import numpy as np

        path = self._uploads / f"{params['audio']}.pcm"
        first, last = int(params["start"]), int(params["end"])
        try:
            with path.open("rb") as file:
                file.seek(2 * first)
                audio = file.read(2 * (last - first))
        except FileNotFoundError:
            raise errors.UnitFailed("The recording is no longer here; send it again") from None
        if len(audio) != 2 * (last - first):
            raise errors.UnitFailed("The recording is shorter than it was; send it again")
        return np.frombuffer(audio, "<i2").astype(np.float32) / 32768


def _segment(segment: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature,
        "avg_logprob": round(segment.avg_logprob, 4),
        "compression_ratio": round(segment.compression_ratio, 4),
        "no_speech_prob": round(segment.no_speech_prob, 4),
    }
    if segment.words is not None:
        found["words"] = [
            {"word": word.word, "start": round(word.start, 3), "end": round(word.end, 3)} for word in segment.words
        ]
    return found


def _revision(folder: Path) -> str:
    """Changes with the small files and the size of the weights, whose hash was verified when they were fetched."""
    digest = hashlib.sha256()
    for name in ("config.json", "tokenizer.json"):
        digest.update((folder / name).read_bytes())
    digest.update(str((folder / "model.bin").stat().st_size).encode())
    return f"{CODE}-{importlib.metadata.version('faster-whisper')}-{digest.hexdigest()[:12]}"
