"""What a study asks for, and the fits that this comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_confseg.dataset.splits import folds
from napari_confseg.job import FitRequest
from napari_confseg.methods import Method
from napari_confseg.store import Cohort
from napari_confseg.store.schema import Slug
from trainer.data import class_indices, find_sources
from trainer.errors import TrainError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

REQUEST, RUNS, NUMBERS, REPORT = "study.json", "runs", "numbers.csv", "report.html"
GROWS = {"panels", "methods", "seeds"}
"""What may be added to a study later: it leaves the fits that are there as they are."""


class StudyRequest(BaseModel):
    """``study.json``.

    Attributes
    ----------
    cohort : str
        Location of the cohort.
    classes : tuple of str
        Classes to learn.
    panels : dict
        Name of a panel -> the raters in it: models learn from one panel at a time.
    methods : tuple of Method
        What to compare.
    folds, seeds : int
        Parts that the patients are dealt into, each held out once; and how often all is repeated,
        with other parts and other initial weights.
    size : str
        Of the network.
    steps : int or None
        Of each fit: the same for all, whatever the method.
    findings : bool
        Whether clinical findings of the held-out clips are kept, too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    cohort: str
    classes: tuple[Slug, ...] = Field(min_length=1)
    panels: dict[Slug, tuple[Slug, ...]] = Field(min_length=1)
    methods: tuple[Method, ...] = Field(min_length=1)
    folds: int = Field(default=5, ge=2)
    seeds: int = Field(default=1, ge=1)
    size: Literal["study", "quick", "normal"] = "study"
    steps: int | None = Field(default=None, ge=1)
    findings: bool = False

    @model_validator(mode="after")
    def _methods_differ(self) -> Self:
        names = [slug(m) for m in self.methods]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"asked for twice: {', '.join(twice)}")
        return self


def slug(method: Method) -> str:
    """Return the method's name for files: ``threshold-60``, ``soft-semimetric``."""
    values = (f"{v:g}".replace(".", "p") for v in method.settings.values())
    return "-".join([method.name, *values, *filter(None, (method.loss, method.levels))])


@dataclass(frozen=True)
class Fit:
    """One fit of a study: who teaches how, and who is held out."""

    panel: str
    method: Method
    fold: int
    seed: int
    raters: tuple[str, ...]
    held_out: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of its run folder."""
        return f"{self.panel}-{slug(self.method)}-seed{self.seed}-fold{self.fold}"

    def request(self, study: StudyRequest) -> FitRequest:
        """Return what the trainer is asked for; one thread and fp32, so that runs repeat."""
        return FitRequest(
            cohort=study.cohort,
            rater=slug(self.method),
            classes=study.classes,
            raters=self.raters,
            method=self.method,
            size=study.size,
            device="cpu",
            seed=self.seed,
            steps=study.steps,
            threads=1,
            held_out=self.held_out,
            precision="fp32",
        )


def plan(study: StudyRequest) -> list[Fit]:
    """Return all fits, fold by fold: what is there of a stopped study covers all methods.

    Folds keep patients whole and classes as frequent in each as in all (by any rater's marks), and
    are the same for all panels and methods: only so can scores be compared patient by patient.

    Raises
    ------
    TrainError
        If a rater or class is unknown, or there are too few patients.
    """
    cohort = Cohort.open(study.cohort, read_only=True)
    panel_raters = sorted({r for raters in study.panels.values() for r in raters})
    dealt = [deal(cohort, study, panel_raters, seed) for seed in range(study.seeds)]
    return [
        Fit(panel, method, fold, seed, raters, held_out)
        for seed, parts in enumerate(dealt)
        for fold, held_out in enumerate(parts)
        for panel, raters in study.panels.items()
        for method in study.methods
    ]


def deal(
    cohort: Cohort, study: StudyRequest, raters: Sequence[str], seed: int
) -> list[tuple[str, ...]]:
    """Return the patients of each fold."""
    sources = find_sources(cohort, study.classes, raters)
    indices = class_indices(cohort, study.classes)
    patients = [s.clip.meta.patient for s in sources]
    if len(set(patients)) < study.folds + 1:
        raise TrainError(
            f"{len(set(patients))} patients can't be dealt into {study.folds} folds with some left "
            "to validate on",
            "Ask for fewer folds, or add patients.",
        )
    marked = np.array([s.marked(indices).any(0) for s in sources])
    dealt = folds(patients, marked, study.folds, seed=seed)
    return [tuple(sorted({patients[i] for i in dealt.items(name)})) for name in dealt.names]


def open_study(folder: Path, asked: StudyRequest | None = None) -> StudyRequest:
    """Return the request of the study in `folder`; begin it, or let it grow, if `asked` says so.

    Raises
    ------
    TrainError
        If there is no study, or one that differs in what can't be changed any more.
    """
    path = folder / REQUEST
    if not path.exists():
        if asked is None:
            raise TrainError(f"{folder} is no study: it holds no {REQUEST}", "Name another folder.")
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(asked.model_dump_json(indent=2), encoding="utf-8")
        return asked
    earlier = StudyRequest.model_validate_json(path.read_bytes())
    if asked is None or asked == earlier:
        return earlier
    differs = [
        f
        for f in StudyRequest.model_fields
        if f not in GROWS and getattr(asked, f) != getattr(earlier, f)
    ]
    differs += [
        f"panel {name}"
        for name, raters in asked.panels.items()
        if earlier.panels.get(name, raters) != raters
    ]
    if differs:
        raise TrainError(
            f"{folder} holds another study: it differs in {', '.join(differs)}",
            "Choose another folder, or ask for the same.",
        )
    path.write_text(asked.model_dump_json(indent=2), encoding="utf-8")
    return asked
