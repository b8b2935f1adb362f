"""Ray node: fetches a model's files to a node before its worker starts there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from antiphon.catalog import models as catalog
from antiphon.catalog.download import Downloader, PullProgress
from antiphon.catalog.sources import First
from antiphon.domain import errors
from antiphon.worker.channel import StartProgress


async def prepare(
    model: str, models_dir: str, first: First, offline: bool, on_progress: Callable[[StartProgress], None]
) -> None:
    """Fetches the files of a model that the node lacks, once per node. Raises `WorkerDied` with what is missing and
    what to do."""
    spec, folder = catalog.find(model), Path(models_dir)
    if spec is None or not catalog.missing(spec, folder):
        return  # The engine itself finds a folder of the operator's, or reports that it is missing.

    def report(progress: PullProgress) -> None:
        phase = f"fetching files to the node: {progress.phase}"
        on_progress(StartProgress(phase, progress.bytes_done, progress.bytes_total, progress.eta))

    try:
        await Downloader(folder, offline=offline, first=first).pull(spec, report)
    except errors.DownloadFailed as e:
        died = errors.WorkerDied(f"{model} is not on the node, in {folder}: {e.message}")
        died.hint = f"antiphon pull {model} --output {folder}"
        raise died from e
