"""What several files of end-to-end tests start with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests import ear

if TYPE_CHECKING:
    from antiphon.engines.kokoro import Kokoro
    from antiphon.engines.kokoro.g2p import G2P


@pytest.fixture(scope="module")
def g2p(tmp_path_factory: pytest.TempPathFactory) -> G2P:
    """Kokoro's reader of text, without the model."""
    from antiphon.engines.kokoro.g2p import G2P

    return G2P(tmp_path_factory.mktemp("jieba"))


@pytest.fixture(scope="module")
def kokoro() -> Iterator[Kokoro]:
    """Kokoro with its real files, loaded and warm."""
    from antiphon.engines.kokoro import Kokoro

    engine = Kokoro({"dir": str(ear.model("kokoro")), "threads": 1})
    engine.load(lambda name, fraction=None: None)
    engine.warm()
    yield engine
    engine.close()
