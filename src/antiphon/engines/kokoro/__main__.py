"""`python -m antiphon.engines.kokoro DIR`: prints which graph runs on this machine, for `antiphon doctor`."""

from __future__ import annotations

import sys
from pathlib import Path

from antiphon.engines.kokoro import derived, japanese
from antiphon.engines.kokoro.engine import MODEL
from antiphon.engines.onnx_session import sees_gpu

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    told = derived.state(folder / MODEL, derived.FOR_GPUS if sees_gpu() else derived.FOR_PROCESSORS)
    if not japanese.installed():
        told += f"; it would speak Japanese {japanese.REMEDY}"
    print(told)  # noqa: T201
