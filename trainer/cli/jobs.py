"""What fit, predict and run have in common: the request in a run's folder is carried out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from napari_confseg.job import CONFIG, RunFolder
from trainer.cli.parsing import DONE, REFUSED

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.job import FitRequest, PredictRequest


def is_shared() -> bool:
    """Whether this is one of several processes that ``torchrun`` started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def carry_out(folder: RunFolder, *, as_json: bool, quiet: bool = False) -> int:
    """Do what the folder asks, and tell how it goes; 1 if it fails."""
    from trainer.cli.terminal import telling
    from trainer.run_job import execute

    with telling(as_json=as_json, quiet=quiet) as tell:
        result = execute(folder, tell)
    return REFUSED if result is None else DONE


def carry_out_new(path: Path, request: FitRequest | PredictRequest, *, as_json: bool) -> int:
    """Do what `request` asks in a folder of its own; go on if the same was begun there before.

    What is refused leaves nothing behind that would stand in the way of the next attempt.
    """
    folder = RunFolder.begin(path, request)
    code = carry_out(folder, as_json=as_json)
    if code != DONE and not (path / CONFIG).exists():
        folder.withdraw()
    return code


def carry_out_together(path: Path, request: FitRequest | None, *, as_json: bool) -> int:
    """Do it with the other processes of the team; the first of them tells."""
    from trainer import parallel

    try:
        team = parallel.meet()
        with team.folder(path, request) as folder:
            code = carry_out(folder, as_json=as_json, quiet=team.rank > 0)
        if code == DONE:
            team.part()
        elif request and not team.rank and not (path / CONFIG).exists():
            RunFolder(path).withdraw()
    except RuntimeError as error:
        if parallel.is_lost(error):
            raise parallel.LOST from error
        raise
    return code
