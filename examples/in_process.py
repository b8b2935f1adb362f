"""The service without HTTP, inside a program of one's own: its queue, its workers and its cache."""

import asyncio
import sys
from pathlib import Path

from antiphon import Antiphon


async def main(folder: Path) -> None:
    # Options are those of `antiphon serve`; the directory belongs to one process at a time.
    async with Antiphon(data_dir=folder, model="espeak") as antiphon:
        audio = await antiphon.speak("No server was started for this.", format="flac")
    (folder / "in_process.flac").write_bytes(audio)
    print(folder / "in_process.flac")


# Workers are processes of their own, which import this file again.
if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "antiphon-data")))
