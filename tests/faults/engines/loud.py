"""An engine that prints its text as some libraries do, and then dies of it."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from antiphon.domain.engine import Chunk, Context, Phase
from tests.faults.engines.broken import Fine


class Loud(Fine):
    def load(self, phase: Phase) -> None:
        print("loaded 54 voices", file=sys.stderr, flush=True)

    def fail(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        text = params["text"]
        print(f"WARNING: words count mismatch in {text}", file=sys.stderr)
        print("tokens:", text.upper().split(" "), file=sys.stderr)
        try:
            raise ValueError(f"cannot say {text!r}")
        except ValueError:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(7)
        yield
