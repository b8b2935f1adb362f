"""One inference as the article does it: a process that loads the engine, speaks one text into a file, and ends.

The engine is Antiphon's own, so that both servers pay the same for the sound; ENGINE is espeak, kokoro (ENGINE_DIR: the
folder of its files) or tone.
"""

import json
import os
import sys
import wave

if os.environ.get("ENGINE", "espeak") == "tone":
    from antiphon.engines.tone import Tone as Engine
elif os.environ.get("ENGINE") == "kokoro":
    from antiphon.engines.kokoro import Kokoro as Engine
else:
    from antiphon.engines.espeak import Espeak as Engine


class Context:
    def cancelled(self) -> bool:
        return False

    def progress(self, fraction: float) -> None:
        return None


def main() -> None:
    asked = json.load(sys.stdin)
    engine = Engine({"dir": os.environ["ENGINE_DIR"]} if "ENGINE_DIR" in os.environ else {})
    engine.load(lambda name, fraction=None: None)
    can = engine.capabilities()
    emotion = {} if asked["emotion"] == "neutral" else {asked["emotion"]: 1.0}
    params = {
        "text": asked["text"], "voice": can.default_voice, "language": "en", "emotion": emotion, "speed": 1.0,
        "seed": 0, "options": {},
    }  # fmt: skip
    with wave.open(sys.argv[1], "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(can.sample_rate)
        for chunk in engine.run(params, Context()):
            file.writeframes(chunk.payload)


main()
