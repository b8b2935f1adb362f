"""Remote engine: speaks through another server that has OpenAI's API, such as vLLM-Omni.

This server puts its queue, fairness, cache, segmentation and client protocols in front of it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from antiphon.domain import errors, voice
from antiphon.domain.engine import Capabilities, Chunk, Context, Cut, Phase, Voice
from antiphon.domain.request import EMOTIONS
from antiphon.engines.remote.client import Known, Remote
from antiphon.engines.remote.options import Options
from antiphon.engines.remote.spawned import Spawned

#: Raised when our own code makes the same request sound different.
CODE = 1
#: Slowest and fastest speed of a server: of OpenAI's API, and (True) of vLLM-Omni.
SPEEDS = {False: (0.25, 4.0), True: (0.5, 2.0)}
#: Text spoken once, which tells the sample rate and has the server load its model.
FIRST = "Hello."


class Down(Exception):
    """The server that this worker started has ended. It is fatal, so that a new worker starts another server."""

    fatal = True


class OpenAI:
    """Options: see `remote.options.Options`; and `voices`, the folder of the uploaded recordings."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = Options.of(options)
        self._spawned: Spawned | None = None

    def load(self, phase: Phase) -> None:
        given = self._options
        if given.spawn:
            phase("starting the speech server")
            self._spawned = Spawned(given)
            try:
                self._spawned.wait(given.start_seconds, phase)
            except RuntimeError as e:
                self._spawned.close()
                raise RuntimeError(f"{given.command} serve {given.spawn}: {e}") from e
        phase("asking the speech server")
        self._remote = Remote(given.base(self._spawned.port if self._spawned else None), given)
        self._known: Known = self._remote.look()
        self._voice = (self._known.voices or ("alloy",))[0]

    def warm(self) -> None:
        body = {"model": self._known.model, "input": FIRST, "voice": self._voice}
        self._rate = self._options.sample_rate or self._remote.rate(body)

    def capabilities(self) -> Capabilities:
        omni, indextts = self._known.omni, self._known.omni and "indextts" in self._known.model.lower()
        low, high = SPEEDS[omni]
        identity = f"{CODE} {self._known.model} {omni} {self._rate}"
        return Capabilities(
            kind="speech",
            sample_rate=self._rate,
            revision=f"{self._known.model}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}",
            voices=tuple(Voice(name, name, ()) for name in self._known.voices or (self._voice,)),
            default_voice=self._voice,
            emotions=EMOTIONS if indextts else (),
            speed_min=low,
            speed_max=high,
            cloning=omni,
            normalises=("*",),
            options=("emotion_ref", "emotion_strength", "emotion_text") if indextts else (),
            slots=self._options.slots,
            cut=Cut(max_chars=280, target_chars=160, first_chars=60),
            licence="as the speech server's model",
        )

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        sample = self._sample(params["voice"], "voice")
        body = self._body(params, sample is not None)
        try:
            audio = self._speak(body, context, sample)
        except errors.Cancelled:
            return
        except errors.UnitFailed as e:
            if self._spawned is not None and self._spawned.ended:
                raise Down(f"the speech server has ended; {self._spawned.tail()}") from e
            raise
        if len(audio) % 2 or not audio:
            raise errors.UnitFailed(f"The speech server sent {len(audio)} bytes, which is no 16-bit audio")
        yield Chunk(audio)

    def _speak(self, body: Mapping[str, Any], context: Context, sample: tuple[str, bytes] | None) -> bytes:
        try:
            return self._remote.speak(body, context.cancelled, sample)
        except errors.InvalidRequest:
            if sample is None or not self._remote.forgot_uploads():
                raise
            return self._remote.speak(body, context.cancelled, sample)

    def _body(self, params: Mapping[str, Any], cloned: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._known.model,
            "input": params["text"],
            "response_format": "pcm",
            "speed": params["speed"],
        }
        if not cloned:
            body["voice"] = params["voice"] or self._voice
        if not self._known.omni:
            return body
        body |= {"seed": params["seed"], "language": params["language"]}
        asked: Mapping[str, Any] = params["options"]
        extra: dict[str, Any] = {}
        if params["emotion"]:
            extra["emo_vector"] = [float(params["emotion"].get(name, 0.0)) for name in EMOTIONS]
        if "emotion_strength" in asked:
            extra["emo_alpha"] = asked["emotion_strength"]
        if "emotion_text" in asked:
            extra |= {"use_emo_text": True, "emo_text": asked["emotion_text"]}
        if "emotion_ref" in asked:
            emotion = self._sample(f"ref:{asked['emotion_ref']}", "emotion_audio")
            assert emotion is not None
            extra["emo_audio"] = "data:audio/wav;base64," + base64.b64encode(emotion[1]).decode()
        return {**body, "extra_params": extra} if extra else body

    def _sample(self, asked: str, param: str) -> tuple[str, bytes] | None:
        """Digest and bytes of an uploaded reference; None for a voice of the server. Raises `UnknownVoice`."""
        digest = voice.digest_of(asked)
        if digest is None:
            return None
        try:
            if self._options.recordings is None:
                raise FileNotFoundError("no folder of recordings")
            return digest, (self._options.recordings / f"{digest}.wav").read_bytes()
        except FileNotFoundError as e:
            raise errors.UnknownVoice("The voice's recording is no longer here; upload it again", param=param) from e

    def close(self) -> None:
        if self._spawned is not None:
            self._spawned.close()
