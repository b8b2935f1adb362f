"""IndexTTS2, the older of the two, through the whole server on a random checkpoint."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from antiphon.audio import codec, pcm
from tests.conftest import Server, launch, wait_until
from tests.unit.test_audio_pcm import tone

# Looked for and not imported: on a CPU its torchaudio has to be mended first.
if importlib.util.find_spec("indextts") is None:
    pytest.skip("needs the extra [indextts2]; make test-indextts installs it", allow_module_level=True)

MODEL = "indextts-2"
SPEECH = "/v1/audio/speech"
FRESH = {"Cache-Control": "no-store, no-cache"}
SECRET = "Zanzibar ÞÆŁ"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    from tests.indextts import checkpoint2

    models = tmp_path_factory.mktemp("models2")
    checkpoint2.build(models / MODEL)
    plain = ("--model-option", f"{MODEL}:normalise=[]", "--model-option", f"{MODEL}:threads=1", "--log-text", "0")
    data = tmp_path_factory.mktemp("indextts2")
    made = launch(data, "--model", MODEL, *plain, "--models-dir", str(models), "--workers", "1", ready=False)
    try:
        made.wait_ready(MODEL, patience=240)
        yield made
    finally:
        made.stop()


def say(server: Server, text: str, **more: Any) -> bytes:
    body = {"model": MODEL, "input": text, "response_format": "pcm", "seed": 3, **more}
    answer: httpx.Response = server.client.post(SPEECH, json=body, headers=FRESH, timeout=240)
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.fixture(scope="module")
def anna(server: Server) -> str:
    audio = codec.encode(pcm.silence(1, 24000) + tone(4, 24000, 180.0) + pcm.silence(1, 24000), 24000, "mp3")
    form = {"name": "Anna", "consent": "I agree that my voice is imitated. A. Speaker"}
    answer = server.client.post("/v1/audio/voices", data=form, files={"audio_sample": ("anna.mp3", audio)})
    assert answer.status_code == 200, answer.text
    return "Anna"


def test_everything_that_was_asked_for_changes_the_samples_and_nothing_else_does(server: Server, anna: str) -> None:
    text = "The same words every time."
    first = say(server, text)
    assert say(server, text, voice=anna) != first
    assert say(server, text, seed=4) != first
    assert say(server, text, emotion={"happy": 0.8}) != first
    assert say(server, "Other words, this time.") != first
    # Requests with other voices and emotions came between.
    assert say(server, text) == first


def test_four_emotions_through_the_article(server: Server, anna: str) -> None:
    sounds = set()
    for emotion in ("neutral", "happy", "sad", "angry"):
        body = {"text": "How are you today, my friend?", "emotion": emotion, "voice": anna}
        told = server.client.post("/tts", json=body, timeout=240)
        assert told.status_code == 200, told.text
        sounds.add(server.client.get(told.json()["audio_path"]).content)
    assert len(sounds) == 4


def test_an_emotion_in_words_is_read(server: Server) -> None:
    """The stand-in for the model that reads it says nothing, which is calm at its full weight, as `neutral` is."""
    assert say(server, "In what mood?", emotion_text="as if the sun came out") == say(
        server, "In what mood?", emotion="neutral"
    )


def test_speed_is_made_of_the_samples(server: Server) -> None:
    """The model knows none."""
    usual, quick = (len(say(server, "Quicker, please.", speed=speed)) for speed in (1.0, 1.5))
    assert quick == pytest.approx(usual / 1.5, rel=0.15)


def test_it_streams_and_a_cancel_ends_it_inside_a_segment(server: Server) -> None:
    text = " ".join(f"Sentence number {n} is a little longer than the others were." for n in range(20))
    body = {"model": MODEL, "input": text, "response_format": "pcm"}
    with server.client.stream("POST", SPEECH, json=body, timeout=240) as answer:
        job = answer.headers["x-job-id"]
        assert next(answer.iter_raw())
        units = server.job(job)["units"]
        assert 0 < units["done"] < units["total"]
    wait_until(lambda: server.health()["concurrent"] == 0, "nobody works for a listener who left", 10)
    assert server.workers()[0]["restarts"] == 0


def test_nothing_of_a_text_is_in_the_log(server: Server) -> None:
    """The package warns of letters that it does not know, and quotes them."""
    say(server, f"{SECRET} is a name.")
    log = server.log.read_text("utf-8")
    assert not any(word in log for word in SECRET.split())


def test_a_killed_worker_is_replaced_and_the_job_ends(server: Server) -> None:
    text = " ".join(f"Sentence {n} is said even though its worker dies on the way." for n in range(3))
    job = server.client.post("/v1/jobs", json={"model": MODEL, "input": text, "seed": 5}).json()
    busy = wait_until(lambda: [w for w in server.workers() if w["busy"]], "somebody works")
    os.kill(busy[0]["pid"], signal.SIGKILL)
    assert server.wait_job(job["id"], patience=240)["status"] == "succeeded"


WITHOUT = """
import sys
from antiphon.domain.unit import SpeechParams
from antiphon.engines.indextts.indextts2 import IndexTTS2

class Nobody:
    def cancelled(self): return False
    def progress(self, fraction): pass

engine = IndexTTS2({"dir": sys.argv[1], "normalise": [], "threads": 1})
engine.load(lambda name, fraction=None: None)
engine.warm()
made = engine.run(SpeechParams("Hello there.", "", "en").as_params(), Nobody())
print("emotion_text" in engine.capabilities().options, sum(len(chunk.payload) for chunk in made) > 0)
"""


def test_a_folder_without_the_emotion_reader_speaks_all_the_same(server: Server, tmp_path: Path) -> None:
    whole = Path(server.args[server.args.index("--models-dir") + 1]) / MODEL
    for path in whole.iterdir():
        if path.name not in ("qwen0.6bemo4-merge", "cache"):
            (tmp_path / path.name).symlink_to(path)
    # In a process of its own: what is offline is decided once in each.
    ran = subprocess.run([sys.executable, "-c", WITHOUT, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ran.stdout.splitlines()[-1:] == ["False True"], ran.stderr[-2000:]


BATCHED = """
import sys
from antiphon.domain.engine import Emitted, Ended
from antiphon.domain.unit import SpeechParams, Wish
from antiphon.engines.indextts.indextts2 import engine

made = engine({"dir": sys.argv[1], "normalise": [], "threads": 1})
made.load(lambda name, fraction=None: None)
made.warm()

def speak(*units):
    sound, left = dict.fromkeys(units, b""), len(units)
    for unit in units:
        params = SpeechParams(f"Number {unit} says {'some words ' * (unit % 3)}now.", "", "en", seed=unit,
                              emotion={"happy": 0.4} if unit % 2 else {}).as_params()
        made.admit(unit, params, Wish())
    while left:
        for event in made.step():
            if isinstance(event, Emitted):
                sound[event.unit] += event.chunk.payload
            elif isinstance(event, Ended):
                assert event.error is None, event.error
                left -= 1
    return sound

alone = [speak(unit)[unit] for unit in (1, 2, 3)]
again = speak(1, 2, 3)
print([len(each) for each in alone] == [len(again[unit]) for unit in (1, 2, 3)], len(set(alone)))
pairs = [(a, b) for one, two in zip(alone, again.values()) for a, b in zip(memoryview(one).cast("h"), memoryview(two).cast("h"))]
print(max(abs(a - b) for a, b in pairs) <= 1)
"""


def test_units_at_the_same_time_sound_as_they_do_alone(server: Server) -> None:
    folder = Path(server.args[server.args.index("--models-dir") + 1]) / MODEL
    ran = subprocess.run([sys.executable, "-c", BATCHED, str(folder)], capture_output=True, text=True, check=False)
    assert ran.stdout.splitlines()[-2:] == ["True 3", "True"], ran.stderr[-2000:]
