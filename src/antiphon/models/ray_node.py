"""What is done on a cluster's node before a model's worker starts there."""

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
    """Makes the model's files present: what is there is used, what is missing is fetched, once per node.

    Raises `WorkerDied` with what is missing and what to do."""
    spec, folder = catalog.find(model), Path(models_dir)
    if spec is None or not catalog.missing(spec, folder):
        return  # A folder of the operator's own is found by its engine, or said to be missing.

    def tell(progress: PullProgress) -> None:
        what = f"fetching files to the node: {progress.phase}"
        on_progress(StartProgress(what, progress.bytes_done, progress.bytes_total, progress.eta))

    try:
        await Downloader(folder, offline=offline, first=first).pull(spec, tell)
    except errors.DownloadFailed as e:
        died = errors.WorkerDied(f"{model} is not on the node, in {folder}: {e.message}")
        died.hint = f"antiphon pull {model} --output {folder}"
        raise died from e
