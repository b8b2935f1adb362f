"""Local use: opens Antiphon in this process for a command that no server answers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from antiphon.app.antiphon import Antiphon
    from antiphon.domain.event import Event


@contextlib.asynccontextmanager
async def antiphon(
    model: str | None, data_dir: Path, models_dir: Path | None, receive: Callable[[Event], None] | None = None
) -> AsyncIterator[Antiphon]:
    """Antiphon with the model (None: the best that is on the disk) loaded; `receive` gets its events."""
    # Imported late: it is slow, and no command needs it while a server answers.
    from antiphon.app.antiphon import Antiphon

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    flags: dict[str, Any] = {"data_dir": data_dir, "download": False, "model": (model or "auto",)}
    opened = Antiphon(**flags | ({"models_dir": models_dir} if models_dir is not None else {}))
    if receive is not None:
        opened.bus.listen(receive)
    async with opened:
        await opened.settled()
        yield opened
