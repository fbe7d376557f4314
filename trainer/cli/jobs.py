"""Execution of a run folder, shared by fit, predict and run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from napari_confseg.job import CONFIG, REQUEST, Cancelled, RunFolder
from trainer.cli.parsing import DONE, REFUSED, scheduler_address
from trainer.errors import TrainError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from napari_confseg.job import FitRequest, PredictRequest


def is_shared() -> bool:
    """Whether ``torchrun`` started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def add_where(parser: argparse.ArgumentParser) -> None:
    """Add the option for a run on another machine."""
    parser.add_argument(
        "--where",
        type=scheduler_address,
        metavar="ADDRESS",
        help="dask scheduler whose workers see the same folders (tcp://HOST:8786); else here",
    )


def carry_out(
    folder: RunFolder, *, as_json: bool, quiet: bool = False, where: str | None = None
) -> int:
    """Execute the folder's request and report progress; 1 if it fails."""
    from trainer.cli.terminal import report_events
    from trainer.remote import execute_at
    from trainer.run_job import execute

    folder.request()  # refused here if it can't be read
    if _has_stopped(folder):
        folder.clear_cancel()
    folder.send_to(where)
    with report_events(as_json=as_json, quiet=quiet) as listen:
        result = execute_at(where, folder, listen) if where else execute(folder, listen)
    return REFUSED if result is None else DONE


def _has_stopped(folder: RunFolder) -> bool:
    """Whether the last request to stop was obeyed: to run it again is then meant."""
    events, _ = folder.events()
    return bool(events) and isinstance(events[-1], Cancelled)


def carry_out_new(
    path: Path,
    request: FitRequest | PredictRequest,
    *,
    as_json: bool,
    where: str | None = None,
) -> int:
    """Execute `request` in the folder `path`; resume if the same was begun there."""
    new = not (path / REQUEST).exists()
    folder = RunFolder.begin(path, request)
    # A refused request leaves nothing behind that would hinder the next attempt.
    try:
        code = carry_out(folder, as_json=as_json, where=where)
    except TrainError:
        if new and not (path / CONFIG).exists():
            folder.withdraw()
        raise
    if code != DONE and not (path / CONFIG).exists():
        folder.withdraw()
    return code


def carry_out_together(path: Path, request: FitRequest | None, *, as_json: bool) -> int:
    """Execute it with the other processes of the group; the first of them reports."""
    from trainer import parallel

    try:
        group = parallel.join()
        with group.folder(path, request) as folder:
            code = carry_out(folder, as_json=as_json, quiet=group.rank > 0)
        if code == DONE:
            group.leave()
        elif request and not group.rank and not (path / CONFIG).exists():
            RunFolder(path).withdraw()
    except RuntimeError as error:
        if parallel.is_lost(error):
            raise parallel.LOST from error
        raise
    return code
