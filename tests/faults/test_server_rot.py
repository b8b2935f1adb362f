"""P8 through the whole server: audio that rotted on the disk is never sent; it is made anew, once."""

from __future__ import annotations

import random

from tests.conftest import Start, wait_until

SEED = 8
TEXTS = [f"Sentence number {n} is kept on the disk for whoever asks again." for n in range(12)]


def test_rotten_audio_is_made_anew(serve: Start) -> None:
    # No memory cache: what is served again comes from the disk.
    args = ("--model", "tone", "--cache-memory", "0")
    # Audio that is made in no time is not filed.
    slow = {"ANTIPHON_TONE_DELAY": "0.1"}
    server = serve(*args, env=slow)
    body = {"response_format": "wav"}
    first = [server.client.post("/v1/audio/speech", json={"input": text, **body}).content for text in TEXTS]
    assert len(set(first)) == len(TEXTS)
    folder = server.data / "cache"
    wait_until(lambda: len([*folder.glob("??/" + "?" * 64)]) == len(TEXTS), "every unit is on the disk")
    server.stop()
    rng = random.Random(SEED)
    files = sorted(folder.glob("??/" + "?" * 64))
    for n, file in enumerate(files):
        data = bytearray(file.read_bytes())
        if n % 3 == 0:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif n % 3 == 1:
            del data[rng.randrange(len(data)) :]
        else:
            data[:] = files[0].read_bytes()
        file.write_bytes(data)
    again = serve(*args, data=server.data, env=slow)
    for _ in range(2):
        answers = [again.client.post("/v1/audio/speech", json={"input": text, **body}) for text in TEXTS]
        assert [answer.content == made for answer, made in zip(answers, first, strict=True)] == [True] * len(TEXTS)
    units = again.client.get("/metrics").text
    assert 'antiphon_units_total{model="tone",source="worker"} 12.0' in units
