"""One fit of a study in a worker process, from start to scores."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from multiprocessing import parent_process
from typing import TYPE_CHECKING

import torch

from napari_confseg.job import REQUEST, Failed, JobError, RunFolder
from napari_confseg.store import StoreError
from trainer.checkpoint import STATE
from trainer.errors import TrainError
from trainer.findings import FINDINGS_CSV, model_findings, write_findings
from trainer.predict import Predictor
from trainer.run_job import execute
from trainer.sources import opened
from trainer.study.measure import AGAINST, TABLE_CSV, TABLES, measure, write_scores
from trainer.study.request import RUNS, open_study

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from napari_confseg.job import Event
    from trainer.study.request import StudyFit, StudyRequest

TRUTHS = ("latent", "truth")
"""Raters that hold what is known by construction: of the kind truth, whoever made the cohort."""


def is_complete(folder: Path, fit: StudyFit) -> bool:
    """Whether the fit's scores, which are written last, are there."""
    return (folder / RUNS / fit.name / TABLE_CSV).exists()


def attempt(folder: Path, fit: StudyFit) -> str | TrainError:
    """Carry out a fit and return its name, or why it failed."""
    try:
        return carry_out(folder, fit)
    except TrainError as error:
        return error
    except (JobError, StoreError) as error:
        return TrainError(f"{fit.name}: {error}")


def carry_out(folder: Path, fit: StudyFit) -> str:
    """Fit, predict the held-out patients and measure; resume an earlier attempt.

    Returns
    -------
    str
        The fit's name.

    Raises
    ------
    TrainError
        If the fit failed.
    """
    study = open_study(folder)
    run = RunFolder(folder / RUNS / fit.name)
    if not (run.path / REQUEST).exists():
        run = RunFolder.create(run.path, fit.request(study))
    failures: list[Failed] = []

    def listen(event: Event) -> None:
        if isinstance(event, Failed):
            failures.append(event)

    result = execute(run, listen)
    if result is None or result.stopped:
        failed = failures[-1] if failures else Failed(error="It was stopped", hint="")
        raise TrainError(f"{fit.name}: {failed.error}", failed.hint)
    # Nothing is left to resume, and hundreds of states would fill a disk.
    (run.path / STATE).unlink(missing_ok=True)
    _score(run, study, fit)
    return fit.name


def _score(run: RunFolder, study: StudyRequest, fit: StudyFit) -> None:
    source = opened(study.source)
    clips = [name for name in source.clips() if _patient(study.source, name) in fit.held_out]
    predictor = Predictor.load(run.path, "cpu")
    asked = study.reference(fit.group)
    names = fit.raters if asked else (*truths(study.source), *fit.raters)
    references = {name: (name,) for name in names} | ({AGAINST: asked} if asked else {})
    measured = measure(predictor, source, clips, references)
    measured.save(run.path / TABLES)
    if study.findings:
        found = {name: model_findings(source.clip(name), predictor) for name in clips}
        write_findings(found, run.path / FINDINGS_CSV)
    write_scores(measured, run.path / TABLE_CSV)


@lru_cache(maxsize=4096)
def _patient(location: str, clip: str) -> str:
    return opened(location).clip(clip).meta.patient


@lru_cache(maxsize=4)
def truths(location: str) -> tuple[str, ...]:
    """Return the raters that hold the truth; none if it is not known."""
    clips = [opened(location).clip(name) for name in opened(location).clips()]
    return tuple(
        name
        for name in TRUTHS
        if all(name in c.raters() and c.rater(name).meta.kind == "truth" for c in clips)
    )


def is_synthetic(location: str) -> bool:
    """Whether every clip itself says, by its tags or its millimetres, that it is synthetic."""
    metas = [opened(location).clip(name).meta for name in opened(location).clips()]
    # A frozen dataset keeps no tags, but the origin of its millimetres.
    return all(
        "synthetic" in getattr(m, "tags", ())
        or (m.spacing is not None and m.spacing.source == "synthetic")
        for m in metas
    )


def prepare_worker() -> None:
    """Prepare a worker process: one thread, and an end with its parent."""
    torch.set_num_threads(1)
    parent = parent_process()
    if parent is not None:  # a killed study must not leave workers that write into its folder
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
