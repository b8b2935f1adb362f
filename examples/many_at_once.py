"""Speaks many texts at once: the server decides what goes first, the client only asks and waits."""

import asyncio
import sys
from pathlib import Path

from antiphon import AsyncClient

TEXTS = [f"Announcement number {n}: the train to platform {n % 6 + 1} is on time." for n in range(1, 21)]


async def main(folder: Path) -> None:
    async with AsyncClient() as client:

        async def one(number: int, text: str) -> int:
            # If the queue is full, the client comes again when the server says that there is room.
            audio = await client.speak(text, format="opus")
            audio.save(folder / f"{number:02}.opus")
            return len(audio.data)

        sizes = await asyncio.gather(*(one(number, text) for number, text in enumerate(TEXTS, 1)))
    print(f"{folder}: {len(sizes)} files, {sum(sizes)} bytes")


target = Path(sys.argv[1] if len(sys.argv) > 1 else "announcements")
target.mkdir(parents=True, exist_ok=True)
asyncio.run(main(target))
