"""The active model of a cohort: the one that suggests and ranks unless another is named.

The cohort holds the pointer with its history (``active_models`` of its attributes): where the run
lies and the hash of its weights. The run itself may lie elsewhere, be moved or be fitted on, so
who asks is told when it is missing or has changed. Neither Qt nor torch is needed to ask.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_confseg.job.folder import CHECKPOINT
from napari_confseg.job.requests import STARTER
from napari_confseg.store import ModelChange, Problem, StoreError
from napari_confseg.store.backend import local_root
from napari_confseg.store.errors import sentence
from napari_confseg.store.files import check_file, open_file

if TYPE_CHECKING:
    from napari_confseg.store import Cohort

MOST_WEIGHTS = 4 * 2**30
"""Bytes that a file of weights may have."""
_BLOCK = 2**20


@dataclass(frozen=True)
class ActiveModel:
    """The model that a cohort uses unless another is named.

    Attributes
    ----------
    location : str
        Folder of the run, or ``"starter"``: none was chosen, or the chosen one can't be used.
    name : str
        Of the model at `location`, for people.
    chosen : ModelChange or None
        The change that made it the active one; None if none ever was.
    problem : str
        Why the chosen model can't be used, in one sentence; empty if it can.
    changes : int
        How many changes can be taken back.
    """

    location: str = STARTER
    name: str = STARTER
    chosen: ModelChange | None = None
    problem: str = ""
    changes: int = 0


def active_model(cohort: Cohort) -> ActiveModel:
    """Return the active model of a cohort, as the store says now.

    Hashing the weights takes a few milliseconds a megabyte, the first time only.

    Raises
    ------
    StoreError
        If the cohort's attributes can't be read.
    """
    history = cohort.read_meta().active_models
    if not history:
        return ActiveModel()
    chosen, changes = history[-1], len(_not_taken_back(history))
    if chosen.sha256 is None:
        return ActiveModel(chosen=chosen, changes=changes)
    folder = folder_of(cohort, chosen)
    problem = _problem(chosen, folder)
    if problem:
        return ActiveModel(chosen=chosen, problem=problem, changes=changes)
    return ActiveModel(str(folder), chosen.name, chosen, changes=changes)


def folder_of(cohort: Cohort, change: ModelChange) -> Path:
    """Return where the run of a change should lie."""
    root = local_root(cohort.store)
    if change.location.startswith(".") and root is not None:
        return Path(os.path.normpath(root.resolve() / change.location))
    return Path(change.location)


def located_from(cohort: Cohort, folder: Path) -> str:
    """Return the location of a run for the record: from the cohort if it lies beside it.

    So both can be moved together, and another computer that sees the share finds it too.
    """
    root, folder = local_root(cohort.store), folder.absolute()
    if root is not None and (beside := root.resolve().parent) in folder.resolve().parents:
        return f"../{folder.resolve().relative_to(beside).as_posix()}"
    return str(folder)


def _problem(chosen: ModelChange, folder: Path) -> str:
    try:
        found = weights_sha256(folder)
    except FileNotFoundError:
        return f"The active model, {chosen.name}, is missing: there are no weights in {folder}"
    except (StoreError, OSError) as error:
        what = error.problems[0].message if isinstance(error, StoreError) else sentence(error)
        return f"The active model, {chosen.name}, can't be read in {folder}: {what}"
    if found != chosen.sha256:
        return (
            f"The active model, {chosen.name}, has changed since it was made active: the weights "
            f"in {folder} are others"
        )
    return ""


def weights_sha256(folder: Path) -> str:
    """Return the hash of a run's weights, by which it is known wherever it lies.

    Raises
    ------
    FileNotFoundError
        If there are none.
    StoreError, OSError
        If they can't be read.
    """
    path = folder / CHECKPOINT
    found = path.stat()
    return _hashed(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=64)
def _hashed(path: Path, _changed: int, _size: int) -> str:
    check_file(path, MOST_WEIGHTS)
    digest = hashlib.sha256()
    with open_file(path, MOST_WEIGHTS) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def set_active(
    cohort: Cohort, folder: Path | None, *, by: str, why: str, insisted: bool = False
) -> ModelChange:
    """Make a run the active model, or the one that comes with the package; return the change.

    Parameters
    ----------
    cohort : Cohort
        Open for writing.
    folder : Path or None
        Of the run; None for the model that comes with the package.
    by, why : str
        For the record.
    insisted : bool
        Whether it is so without or against a comparison.

    Raises
    ------
    StoreError
        If the run has no weights, or the cohort can't be changed.
    """
    name, location, sha256 = STARTER, STARTER, None
    if folder is not None:
        name, location = folder.absolute().name, located_from(cohort, folder)
        sha256 = _sha256_or_refuse(folder)
    change = ModelChange(
        at=datetime.now(UTC),
        by=by,
        name=name,
        location=location,
        sha256=sha256,
        why=why,
        insisted=insisted,
    )
    cohort.record_model(change)
    return change


def _sha256_or_refuse(folder: Path) -> str:
    try:
        return weights_sha256(folder)
    except OSError as error:
        raise StoreError(
            Problem(
                "no-model",
                str(folder),
                f"There is no fitted model here: {sentence(error)}",
                hint="Choose the folder of a run that has begun to learn.",
            )
        ) from error


def _not_taken_back(history: tuple[ModelChange, ...]) -> list[ModelChange]:
    """Return the changes that still stand, oldest first."""
    standing: list[ModelChange] = []
    for change in history:
        if change.back:
            standing.pop()
        else:
            standing.append(change)
    return standing


def go_back(cohort: Cohort, *, by: str) -> ModelChange:
    """Take back the latest change of the active model that is not taken back; return the new one.

    Going back again takes back the change before it, down to the model that comes with the
    package.

    Raises
    ------
    StoreError
        If there is none, or the cohort can't be changed.
    """
    history = cohort.meta.active_models
    standing = _not_taken_back(history)
    if not standing:
        raise StoreError(
            Problem(
                "no-model",
                "",
                "There is nothing to go back to: no change of the active model is left to take "
                "back",
            )
        )
    now, why = datetime.now(UTC), f"back from {history[-1].name}"
    if len(standing) == 1:
        change = ModelChange(at=now, by=by, name=STARTER, location=STARTER, why=why, back=True)
    else:
        change = standing[-2].model_copy(
            update={"at": now, "by": by, "why": why, "insisted": False, "back": True}
        )
    cohort.record_model(change)
    return change
