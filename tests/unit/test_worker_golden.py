"""Golden files of the worker protocol: the bytes of one example of every message, kept in `golden/worker_protocol`.

A change of the protocol shows as a changed file. After a wanted change, `REWRITE_GOLDEN=1 pytest THIS_FILE` writes the
files again; the diff then belongs into the same commit.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from antiphon.domain.engine import Canvas, Capabilities, Cut, Voice
from antiphon.worker import frames
from antiphon.worker.channel import StartProgress
from antiphon.worker.ray import messages
from antiphon.worker.ray.messages import MessageKind

GOLDEN = Path(__file__).parent / "golden" / "worker_protocol"
REWRITE = bool(os.environ.get("REWRITE_GOLDEN"))

CAPABILITIES = Capabilities(
    kind="speech",
    sample_rate=24_000,
    revision="2026-01",
    languages=("en", "zh"),
    voices=(Voice("ann", "Ann", ("en", "en-GB"), "female", "calm"), Voice("bo", "Bo", ("zh",))),
    default_voice="ann",
    voice_by_language={"zh": "bo"},
    installable={"ja": "with: pip install it"},
    silent="①",
    silent_by_language={"zh": "½"},
    emotions=("happy", "sad"),
    speed_min=0.5,
    speed_max=2.0,
    cloning=True,
    options=("pitch",),
    mixing=True,
    deterministic=True,
    sharing="one",
    slots=4,
    cut=Cut(200, 100, 40, 2.0),
    canvas=Canvas((768, 512), 128, 2048, 16, 30),
    early=True,
    normalises=("zh",),
    spells=True,
    computation="8 threads",
    footprint=4_000_000_000,
    licence="MIT",
    attribution="Example",
)

#: One example of every message between the server and a worker, every field given, and its payload.
FRAMES: tuple[tuple[frames.Message, bytes], ...] = (
    (frames.Load("package.module:Engine", {"dir": "/models/m", "threads": 2}), b""),
    (frames.Run(7, {"text": "Good day. 你好。", "voice": "ann", "speed": 1.25, "seed": None}, True, True, True), b""),
    (frames.Cancel(7), b""),
    (frames.Stop(), b""),
    (frames.Phase("loading", 0.5), b""),
    (frames.Ready(CAPABILITIES), b""),
    (frames.LoadFailed("no module named torch", "pip install torch"), b""),
    (frames.Heartbeat(123_456_789, 4_000_000_000, 99), b""),
    (frames.Chunk(7), bytes(range(256))),
    (frames.Progress(7, 0.25), b""),
    (frames.Done(7, 0.75, {"sample_rate": 24_000}), b"\x01\x00\xff\x7f"),
    (frames.Failed(7, "unit_failed", "the text is too long", True, (7, 8)), b""),
)

#: One example of every kind of message between the server and the bridge to Ray.
RAY: Mapping[MessageKind, Any] = {
    MessageKind.DATA: b"\x00\x01frames",
    MessageKind.CONNECT: messages.Connect("10.0.0.1:6379"),
    MessageKind.START: messages.StartWorker(
        name="kokoro",
        cpus=0.5,
        gpus=0.25,
        folder="/data/node",
        environment={"LANG": "C.UTF-8"},
        prepare="antiphon.models.ray_node:prepare",
        arguments={"model": "kokoro", "offline": False},
        version="1.2.3",
    ),
    MessageKind.START_PROGRESS: StartProgress("fetching kokoro", 1_000, 4_000, 2.5),
    MessageKind.STARTED: messages.WorkerStarted(4321, "node-1"),
    MessageKind.ENSURE_FILES: messages.EnsureFiles(3, [("voices", "0a.wav", "/data/voices/0a.wav")]),
    MessageKind.FILES_ENSURED: messages.FilesEnsured(3, "the recording is gone"),
    MessageKind.LINE: "a line that was printed: 你好",
    MessageKind.KILL: b"",
    MessageKind.ENDED: messages.WorkerEnded("its process was ended by SIGKILL", "give it more memory"),
    MessageKind.NODES: [messages.Node("f0", "node-1", 8.0, 1.0), messages.Node("f1", "node-2", 4.0, 0.0)],
}


def frame_name(message: frames.Message) -> str:
    return f"{type(message).__name__.lower()}.bin"


def ray_name(kind: MessageKind) -> str:
    return f"ray_{kind.name.lower()}.bin"


def same(name: str, encoded: bytes) -> bytes:
    """The golden bytes, after a comparison with those of today."""
    if REWRITE:
        (GOLDEN / name).write_bytes(encoded)
    golden = (GOLDEN / name).read_bytes()
    assert encoded == golden, f"{name} changed: see this file's first lines"
    return golden


@pytest.mark.parametrize(("message", "payload"), FRAMES, ids=lambda value: type(value).__name__)
def test_a_frame_has_its_golden_bytes_and_comes_out_of_them(message: frames.Message, payload: bytes) -> None:
    golden = same(frame_name(message), frames.encode(message, payload))
    side: Any = frames.AT_WORKER if isinstance(message, frames.ToWorker) else frames.AT_SERVER
    assert list(frames.Decoder(side).feed(golden)) == [(message, payload)]


@pytest.mark.parametrize("kind", RAY, ids=lambda kind: kind.name)
def test_a_message_to_the_bridge_has_its_golden_bytes_and_comes_out_of_them(kind: MessageKind) -> None:
    golden = same(ray_name(kind), messages.encode(9, kind, RAY[kind]))
    ((worker, decoded, body),) = messages.MessageDecoder().feed(golden)
    assert (worker, decoded) == (9, kind)
    match RAY[kind]:
        case bytes(raw):
            assert body == raw
        case str(text):
            assert body.decode() == text
        case list(nodes):
            assert msgspec.json.decode(body, type=list[messages.Node]) == nodes
        case struct:
            assert msgspec.json.decode(body, type=type(struct)) == struct


def test_every_message_has_an_example_with_every_field_and_a_golden_file() -> None:
    assert {type(message) for message, _ in FRAMES} == set(frames.Message.__subclasses__())
    assert set(RAY) == set(MessageKind)
    structs = {each for each in vars(messages).values() if isinstance(each, type) and issubclass(each, msgspec.Struct)}
    bodies = [each for body in RAY.values() for each in (body if isinstance(body, list) else [body])]
    assert structs <= {type(body) for body in bodies}
    for each in (*(message for message, _ in FRAMES), *(b for b in bodies if isinstance(b, msgspec.Struct))):
        given = msgspec.structs.asdict(each)
        missing = [f.name for f in msgspec.structs.fields(each) if not f.required and given[f.name] == f.default]
        assert not missing, f"the example of {type(each).__name__} leaves {missing} at their defaults"
    assert {each.name for each in GOLDEN.iterdir()} == {
        *(frame_name(message) for message, _ in FRAMES),
        *(ray_name(kind) for kind in RAY),
    }
