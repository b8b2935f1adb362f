"""Speaks what a language model writes while it still writes: text goes in token by token, audio comes out."""

import asyncio
import json
import os
import sys
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

SERVER = os.environ.get("ANTIPHON_SERVER", "http://127.0.0.1:7860").replace("http", "ws", 1)
WORDS = "Hello there. I am still thinking about this. But you hear me already."
CONFIG = {"type": "session.config", "response_format": "pcm", "split_granularity": "sentence"}


async def write(socket: ClientConnection) -> None:
    await socket.send(json.dumps(CONFIG))
    for token in WORDS.split():  # Stands for a language model.
        await socket.send(json.dumps({"type": "input.text", "text": token + " "}))
    await socket.send(json.dumps({"type": "input.done"}))


async def main(path: Path) -> None:
    async with connect(f"{SERVER}/v1/audio/speech/stream") as socket, asyncio.TaskGroup() as group:
        group.create_task(write(socket))
        with path.open("wb") as file:
            async for message in socket:
                if isinstance(message, bytes):
                    file.write(message)
                elif (event := json.loads(message))["type"] in ("session.done", "error"):
                    print(event)
                    break


asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "llm.pcm")))
