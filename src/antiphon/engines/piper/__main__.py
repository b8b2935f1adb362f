"""`python -m antiphon.engines.piper DIR`: prints which voices are there, for `antiphon doctor`."""

from __future__ import annotations

import sys
from pathlib import Path

from antiphon.engines.piper import voices

if __name__ == "__main__":
    print("; ".join(voices.describe(voices.find(Path(sys.argv[1])))))  # noqa: T201
