"""From the floor to the real voice without a restart, and honest words where there is no way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import ear
from tests.conftest import Server, Start, wait_until
from tests.hub import slow_kokoro

#: Seconds until Kokoro must speak: it computes for five, on a machine that does other things too.
LOADED = 100.0
CHINESE = "今天天气很好，我们去公园散步吧。"


def state_of(server: Server, name: str) -> dict[str, Any]:
    return next(m for m in server.health()["models"] if m["name"] == name)


@pytest.mark.models
def test_kokoro_is_fetched_in_the_background_and_taken_without_a_restart(serve: Start, tmp_path: Path) -> None:
    with slow_kokoro(tmp_path / "models") as (hub, env):
        models = ("--model", "espeak", "--model", "kokoro", "--models-dir", str(tmp_path / "models"))
        server = serve(*models, "--workers", "1", env=env)
        assert server.health()["model"] == "espeak"
        first = server.client.post("/tts", json={"text": "You hear me at once."})
        assert first.status_code == 200
        wait_until(hub.stalled.is_set, "a part of it has come")
        refused = server.client.post("/tts", json={"text": CHINESE})
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert "kokoro" in refused.json()["error"]
        wait_until(lambda: state_of(server, "kokoro")["state"] == "downloading", "it is said")
        progress = []

        def ready() -> bool:
            seen = state_of(server, "kokoro")
            if seen["bytes_total"]:
                progress.append(seen["bytes_done"])
            return bool(seen["state"] == "ready")

        wait_until(lambda: not ready() and progress, "its bytes are counted")
        hub.release.set()
        wait_until(ready, "kokoro is ready", LOADED)
    assert progress == sorted(progress)
    assert len(set(progress)) > 1
    answer = server.client.post("/tts", json={"text": CHINESE})
    assert answer.status_code == 200
    assert server.health()["model"] == "kokoro"
    wav = server.client.get(answer.json()["audio_path"]).content
    assert ear.cer(CHINESE, ear.hear(wav, language="zh")) <= 0.2


@pytest.mark.models
def test_whisper_hears_kokoro_through_the_server(serve: Start) -> None:
    server = serve("--workers", "1", "--models-dir", str(ear.model("kokoro").parent), "--offline")
    server.wait_ready("kokoro", LOADED)
    english = "Hello there, how are you today? The weather is nice, and we are going for a walk in the park."
    answer = server.client.post("/tts", json={"text": english, "emotion": "happy"})
    assert "warning" not in answer.headers, "it has the article's moods"
    assert "warnings" not in answer.json()
    wav = server.client.get(answer.json()["audio_path"]).content
    assert ear.wer(english, ear.hear(wav)) <= 0.2
    assert server.health()["network"] == "offline"


@pytest.mark.models
def test_whisper_hears_espeak_through_the_server(espeak: Server) -> None:
    texts = [
        "Hello there, how are you today?",
        "The train to London leaves from platform seven in twenty minutes.",
        "Please remember to close the window before you leave the house.",
    ]
    heard = []
    for text in texts:
        path = espeak.client.post("/tts", json={"text": text, "emotion": "happy"}).json()["audio_path"]
        heard.append(ear.hear(espeak.client.get(path).content))
    assert ear.wer(texts, heard) <= 0.35, heard


def test_offline_says_so_and_names_the_command(serve: Start, tmp_path: Path) -> None:
    server = serve("--offline", "--models-dir", str(tmp_path / "models"))
    wait_until(lambda: state_of(server, "kokoro")["state"] == "unavailable", "kokoro is given up")
    seen = state_of(server, "kokoro")
    assert seen["hint"] == "antiphon pull kokoro --output MODELS_DIR"
    assert seen["error"]
    assert server.health()["network"] == "offline"
    assert server.health()["status"] == "degraded"
    assert server.client.post("/tts", json={"text": "I still speak."}).status_code == 200
    refused = server.client.post("/tts", json={"text": CHINESE})
    assert refused.status_code == 503
    assert "antiphon pull kokoro" in refused.json()["error"]


@pytest.mark.models
def test_files_copied_by_hand_are_taken_without_a_network(
    serve: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What makes ONNX Runtime silent by itself; else it keeps here what it is about to send to its makers.
    for name in ("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "TF_BUILD", "GITHUB_ACTIONS", "JENKINS_URL", "CI"):
        monkeypatch.delenv(name, raising=False)
    kept = tmp_path / "kept"
    kept.mkdir()
    ear.copied("kokoro", tmp_path / "models")
    env = {"HOME": str(kept), "XDG_CACHE_HOME": str(kept / "cache")}
    server = serve("--workers", "1", "--offline", "--models-dir", str(tmp_path / "models"), env=env)
    server.wait_ready("kokoro", LOADED)
    assert server.client.post("/tts", json={"text": CHINESE}).status_code == 200
    server.stop()
    assert [path for path in kept.rglob("*") if path.is_file()] == []
