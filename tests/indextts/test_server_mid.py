"""Many clients at once, on a model that is large enough for a neighbour to be heard: each gets its own sound."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from antiphon.audio import wav
from antiphon.domain.engine import Ended, Progressed
from antiphon.domain.unit import SpeechParams, Wish
from antiphon.engines.indextts import indextts25
from antiphon.engines.indextts.batched import BatchedIndexTTS
from tests.conftest import Server, launch
from tests.indextts import batch_models, checkpoint
from tests.indextts.conftest import MODEL, PLAIN
from tests.unit.test_audio_pcm import tone

RATE = 22050
CLIENTS, VOICES, ROWS, BULK = 16, 4, 16, 48
#: Few steps of the flow, which gains nothing from company on a CPU.
STEPS = 4
#: A short reference, since each of its seconds costs time in every step of the flow.
SHORT = {"reference_seconds": 2}


@pytest.fixture(scope="module")
def mid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models directory with a larger model and four voices of its own."""
    folder = tmp_path_factory.mktemp("mid")
    # Stronger attention would make chaos of eight layers: a rounding error becomes another code.
    checkpoint.build(folder / MODEL, seed=1, stop_at=20, config=batch_models.mid_config(), attention=3)
    (folder / MODEL / "voices").mkdir()
    for number in range(VOICES):
        samples = tone(2.0, RATE, 110.0 + 40 * number)
        (folder / MODEL / "voices" / f"v{number}.wav").write_bytes(wav.header(RATE, len(samples)) + samples)
    return folder


@pytest.fixture(scope="module")
def server(mid: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    given = [f"{MODEL}:{name}={value}" for name, value in {"rows": ROWS, **SHORT}.items()]
    options = [each for option in given for each in ("--model-option", option)]
    made = launch(tmp_path_factory.mktemp("served"), *PLAIN, *options, "--models-dir", str(mid), ready=False)
    try:
        made.wait_ready(MODEL, patience=240)
        yield made
    finally:
        made.stop()


def text(number: int) -> str:
    """Short enough for the sound of twenty codes to pass the guard."""
    return f"Number {number}, {'and again ' * (number % 3)}{number}."


def ask(server: Server, number: int, **changed: object) -> bytes:
    body = {
        "model": MODEL, "input": text(number), "voice": f"v{number % VOICES}", "seed": 100 + number,
        "response_format": "pcm", "extra_params": {"diffusion_steps": STEPS}, **changed,
    }  # fmt: skip
    fresh = {"Cache-Control": "no-store, no-cache"}
    answer = server.client.post("/v1/audio/speech", json=body, headers=fresh, timeout=300)
    assert answer.status_code == 200, answer.text
    return answer.content


def same(one: bytes, other: bytes) -> bool:
    """One more code would be 40 ms more, and another one other samples; rounding is one of 32,767."""
    samples = [np.frombuffer(each, np.int16).astype(int) for each in (one, other)]
    return len(one) == len(other) and int(np.abs(samples[0] - samples[1]).max()) <= 1


def test_a_seed_decides_the_sound_alone_and_among_three_and_sixteen(server: Server) -> None:
    alone = [ask(server, number) for number in range(CLIENTS)]
    for count, asked in ((3, 6), (CLIENTS, CLIENTS)):
        with ThreadPoolExecutor(count) as pool:
            together = list(pool.map(lambda number: ask(server, number), range(asked)))
        assert [same(one, other) for one, other in zip(alone, together, strict=False)] == [True] * asked
    assert not any(same(alone[n], alone[m]) for n in range(CLIENTS) for m in range(n))


@pytest.mark.parametrize("changed", [{"seed": 7}, {"voice": "v2"}, {"input": text(4)}], ids=str)
def test_the_seed_the_voice_and_the_text_each_change_the_sound(server: Server, changed: dict[str, object]) -> None:
    assert not same(ask(server, 1), ask(server, 1, **changed))


def test_who_listens_is_served_between_forty_eight_who_do_not(mid: Path) -> None:
    """Counted in steps, each of which is bounded in time: first sound within six times those of an idle engine."""
    given = {"dir": str(mid / MODEL), "normalise": [], "threads": 1, "rows": ROWS, **SHORT}
    engine = indextts25.engine(given)
    assert isinstance(engine, BatchedIndexTTS)
    engine.load(lambda name, fraction=None: None)
    for number in range(VOICES):
        admit(engine, number, Wish())
    while not engine._runtime.idle:
        engine.step()
    idle = steps_until_sound(engine, 1000, set())
    working: set[int] = set()
    for number in range(BULK):
        admit(engine, 2000 + number, Wish())
        working.add(2000 + number)
    waits = [steps_until_sound(engine, 3000 + n, working) for n in range(3)]
    assert len(working) > BULK / 4, "the crowd was there all the time"
    assert max(waits) <= 6 * idle
    # The crowd goes on between the steps of those who listen.
    for number in working:
        engine.cancel(number)
    assert engine._runtime.idle
    engine.close()


def admit(engine: BatchedIndexTTS, number: int, wish: Wish) -> None:
    options = {"diffusion_steps": 2 * STEPS}
    engine.admit(number, SpeechParams(text(number), f"v{number % VOICES}", "en", options=options).as_params(), wish)


def steps_until_sound(engine: BatchedIndexTTS, live: int, working: set[int]) -> int:
    admit(engine, live, Wish(live=True))
    steps, heard = 0, False
    while not heard:
        steps += 1
        for event in engine.step():
            heard = heard or (event.unit == live and not isinstance(event, Progressed))
            if isinstance(event, Ended):
                working.discard(event.unit)
    return steps
