"""OpenAI's own package against the server: every way to ask, every format, heard by Whisper; errors are its own."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import openai
import pytest

from antiphon.audio import codec, wav
from tests import ear
from tests.conftest import Server, launch

#: Half of them are heard as asked for at once, half as streamed; another test says that the two ways give the same.
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
#: One text for each format, so that nothing is answered from another's cache.
TEXTS = (
    "The weather is very nice today.",
    "Please close the door and open the window.",
    "My brother bought seven apples and three lemons.",
    "The train to London leaves in twenty minutes.",
    "She wrote a long letter to her old teacher.",
    "We walked along the river until the evening.",
)
LONG = " ".join(f"This is sentence number {n} of a text that is spoken in several segments." for n in range(12))


@pytest.fixture(scope="module")
def client(espeak: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{espeak.base}/v1", api_key="none", max_retries=0) as made:
        yield made


def as_wav(audio: bytes, fmt: str) -> bytes:
    samples, rate = (audio, 24000) if fmt == "pcm" else codec.decode(audio)
    return wav.header(rate, len(samples)) + samples


@pytest.mark.models
def test_compressed_audio_is_what_was_said(client: openai.OpenAI) -> None:
    heard = []
    for fmt, text in zip(FORMATS[:3], TEXTS[:3], strict=True):
        answer = client.audio.speech.create(model="tts-1", voice="alloy", input=text, response_format=fmt)  # type: ignore[arg-type]
        heard.append(ear.hear(as_wav(answer.content, fmt)))
    assert ear.wer(list(TEXTS[:3]), heard) <= 0.35, heard


@pytest.mark.models
async def test_streamed_and_awaited_audio_is_what_was_said(espeak: Server) -> None:
    heard = []
    async with openai.AsyncOpenAI(base_url=f"{espeak.base}/v1", api_key="none") as client:
        for fmt, text in zip(FORMATS[3:], TEXTS[3:], strict=True):
            speech = client.audio.speech.with_streaming_response
            async with speech.create(model="tts-1", voice="nova", input=text, response_format=fmt) as answer:  # type: ignore[arg-type]
                audio = b"".join([part async for part in answer.iter_bytes()])
            heard.append(ear.hear(as_wav(audio, fmt)))
    assert ear.wer(list(TEXTS[3:]), heard) <= 0.35, heard


@pytest.mark.parametrize("fmt", FORMATS)
async def test_the_four_ways_to_ask_give_the_same_audio(client: openai.OpenAI, espeak: Server, fmt: str) -> None:
    asked = {"model": "gpt-4o-mini-tts", "voice": "onyx", "input": LONG, "response_format": fmt}
    whole = client.audio.speech.create(**asked).content  # type: ignore[call-overload]
    with client.audio.speech.with_streaming_response.create(**asked) as answer:
        assert b"".join(answer.iter_bytes()) == whole
    async with openai.AsyncOpenAI(base_url=f"{espeak.base}/v1", api_key="none") as other:
        assert (await other.audio.speech.create(**asked)).content == whole  # type: ignore[call-overload]
        async with other.audio.speech.with_streaming_response.create(**asked) as streamed:
            assert b"".join([part async for part in streamed.iter_bytes()]) == whole


def test_a_stream_goes_into_a_file(client: openai.OpenAI, tmp_path: object) -> None:
    path = f"{tmp_path}/speech.flac"
    speech = client.audio.speech.with_streaming_response
    with speech.create(model="tts-1", voice="echo", input=LONG, response_format="flac") as answer:
        answer.stream_to_file(path)
    with open(path, "rb") as file:
        samples, rate = codec.decode(file.read())
    assert len(samples) / 2 / rate > 20


def test_a_voice_may_be_an_object_and_speed_and_instructions_are_taken(client: openai.OpenAI) -> None:
    asked = {"model": "tts-1", "input": "In the voice of an object.", "response_format": "pcm"}
    named = client.audio.speech.create(voice="cedar", **asked).content  # type: ignore[call-overload]
    assert client.audio.speech.create(voice={"id": "cedar"}, **asked).content == named  # type: ignore[call-overload]
    quick = client.audio.speech.create(voice="cedar", speed=2.0, instructions="Be glad.", **asked).content  # type: ignore[call-overload]
    assert 0.3 < len(quick) / len(named) < 0.8


def test_server_sent_events_carry_the_same_audio(client: openai.OpenAI) -> None:
    asked = {"model": "tts-1", "voice": "sage", "input": LONG, "response_format": "pcm"}
    speech = client.audio.speech.with_streaming_response
    parts, last = [], None
    with speech.create(stream_format="sse", **asked) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                last = json.loads(line[6:])
                parts.append(base64.b64decode(last.get("audio", "")))
    assert last is not None
    assert last["type"] == "speech.audio.done"
    assert last["usage"]["total_tokens"] > 0
    assert b"".join(parts) == client.audio.speech.create(**asked).content  # type: ignore[call-overload]


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["espeak"]


def test_errors_are_the_packages_own(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        client.audio.speech.create(model="tts-1", voice="alloy", input="Fast.", speed=9)
    assert (bad.value.param, bad.value.code, bad.value.type) == ("speed", "invalid_request", "invalid_request_error")
    with pytest.raises(openai.BadRequestError, match="Text must be"):
        client.audio.speech.create(model="tts-1", voice="alloy", input="")
    with pytest.raises(openai.BadRequestError) as voice:
        client.audio.speech.create(model="tts-1", voice="nobody", input="Hello.")
    assert voice.value.code == "voice_not_found"
    with pytest.raises(openai.NotFoundError) as model:
        client.audio.speech.create(model="nothing", voice="alloy", input="Hello.")
    assert model.value.code == "model_not_found"


def test_too_much_is_a_rate_limit_error_and_says_when(tmp_path_factory: pytest.TempPathFactory) -> None:
    args = ("--model", "tone", "--workers", "1", "--max-client-seconds", "2", "--drain-seconds", "0")
    server = launch(tmp_path_factory.mktemp("full"), *args, env={"ANTIPHON_TONE_DELAY": "0.3"})
    try:
        with openai.OpenAI(base_url=f"{server.base}/v1", api_key="none", max_retries=0) as client:
            speech = client.audio.speech.with_streaming_response
            asked = {"model": "tts-1", "voice": "alloy", "response_format": "pcm"}
            # The server learns how long it takes. Then both are longer than what a client may have waiting: one such is
            # taken at a time.
            client.audio.speech.create(input=LONG, **asked)  # type: ignore[call-overload]
            with (
                speech.create(input=" ".join(LONG.replace("text", f"book {n}") for n in range(4)), **asked),  # type: ignore[call-overload]
                pytest.raises(openai.RateLimitError) as caught,
            ):
                client.audio.speech.create(input=" ".join(LONG.replace("text", f"tale {n}") for n in range(4)), **asked)  # type: ignore[call-overload]
            assert int(caught.value.response.headers["retry-after"]) >= 1
    finally:
        server.stop()


@pytest.fixture(scope="module")
def kokoro(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("kokoro_onnx")
    ear.model("kokoro")
    args = ("--model", "kokoro", "--workers", "1", "--models-dir", str(ear.models_dir()))
    server = launch(tmp_path_factory.mktemp("kokoro"), *args)
    server.wait_ready("kokoro")
    yield server
    server.stop()


@pytest.mark.models
def test_kokoro_is_understood_in_english_and_in_chinese(kokoro: Server) -> None:
    with openai.OpenAI(base_url=f"{kokoro.base}/v1", api_key="none") as client:
        english, chinese = "The old man walked slowly to the market.", "今天天气很好，我们去公园散步。"
        said = client.audio.speech.create(model="kokoro", voice="alloy", input=english, response_format="mp3")
        assert ear.wer(english, ear.hear(as_wav(said.content, "mp3"))) <= 0.2
        said = client.audio.speech.create(model="kokoro", voice="alloy", input=chinese, response_format="opus")
        assert ear.cer(chinese, ear.hear(as_wav(said.content, "opus"), language="zh")) <= 0.2
