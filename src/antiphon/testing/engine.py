"""Contract check: `python -m antiphon.testing.engine NAME` says which parts of the contract an engine keeps."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from antiphon.domain import errors
from antiphon.domain.job import Kind
from antiphon.testing import image, speech, transcription
from antiphon.testing.bench import Broken, Check, Skip, bench

CHECKS: Mapping[Kind, tuple[Check, ...]] = {
    "speech": speech.CHECKS,
    "transcription": transcription.CHECKS,
    "image": image.CHECKS,
}


async def check(engine: str, options: Mapping[str, Any], *, cancel_grace: float = 30.0) -> int:
    """Runs all checks of the engine's kind and prints a line for each. Returns how many failed."""
    failed = 0
    try:
        async with bench(engine, options, cancel_grace=cancel_grace) as made:
            print(f"{engine}: {made.capabilities.kind}, revision {made.capabilities.revision}")
            for each in CHECKS[made.capabilities.kind]:
                try:
                    await each(made)
                    verdict = "kept"
                except Skip as e:
                    verdict = f"does not apply: {e}"
                except (Broken, errors.AntiphonError) as e:
                    failed, verdict = failed + 1, f"BROKEN: {e}"
                print(f"  {each.__name__.replace('_', ' ')}: {verdict}")
    except Broken as e:
        print(f"{engine}: {e}")
        return 1
    print("The contract is kept." if not failed else f"{failed} not kept.")
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m antiphon.testing.engine", description=__doc__)
    parser.add_argument("engine", help="name of its entry point, or module:Class")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="given to the engine; JSON, or a string"
    )
    asked = parser.parse_args()
    options: dict[str, Any] = {}
    for text in asked.option:
        name, separator, value = text.partition("=")
        if not separator:
            parser.error(f"--option {text!r} is not NAME=VALUE")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    if ":" in asked.engine:
        # The worker too finds an engine that is not installed in the current directory.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH"))))
    try:
        failed = asyncio.run(check(asked.engine, options))
    except errors.AntiphonError as e:
        parser.error(e.message)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
