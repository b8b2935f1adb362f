"""The cache of the version before: its recipes were written otherwise, so its entries are neither served nor a fault."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

from antiphon.cache import Cache
from antiphon.domain.unit import SpeechParams
from antiphon.engines.tone import Tone
from tests.conftest import Start

TEXT = "A sentence that was cached before."


def old_key(revision: str) -> str:
    """The name of the recipe in format 1, which wrote every parameter."""
    params = {"text": TEXT, "voice": "tone", "language": "en", "emotion": {}, "speed": 1.0, "seed": 0, "options": {}}
    form = json.dumps(
        [1, "speech", "tone", revision, params], ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(form.encode()).hexdigest()


async def fill(folder: Path, key: str) -> None:
    cache = Cache(folder, 10**9)
    await cache.open()
    cache.put_soon(key, bytes(2000), {"sample_rate": 24000})
    await cache.close()


def test_the_cache_of_the_version_before_is_not_served(serve: Start, tmp_path: Path) -> None:
    revision = Tone({}).capabilities().revision
    key = old_key(revision)
    assert key != SpeechParams(TEXT, "tone", "en").recipe("tone", revision).key()
    serve("--model", "tone", data=tmp_path / "data").stop()
    asyncio.run(fill(tmp_path / "data" / "cache", key))
    server = serve("--model", "tone", data=tmp_path / "data")
    body = {"text": TEXT, "emotion": "neutral"}
    answers = [server.client.post("/tts", json=body).json() for _ in range(2)]
    # The old entry is 42 ms of silence.
    assert [answer["cached"] for answer in answers] == [False, True]
    assert all(answer["duration"] > 0.5 for answer in answers)
    assert not [line for line in server.lines() if line["level"] in ("error", "critical")]
