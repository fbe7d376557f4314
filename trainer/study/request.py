"""The request of a study, and its plan of fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_confseg.dataset.frozen import is_dataset
from napari_confseg.job import FitRequest
from napari_confseg.methods import Method
from napari_confseg.store import StoreError
from napari_confseg.store.files import MIB, read_file
from napari_confseg.store.schema import Slug
from trainer.data import class_indices, find_sources
from trainer.errors import TrainError
from trainer.sources import FOLDS, deal_folds, domain_folds, open_source

if TYPE_CHECKING:
    from pathlib import Path

REQUEST, RUNS, NUMBERS, REPORT = "study.json", "runs", "numbers.csv", "report.html"
GROWS = {"groups", "methods", "seeds", "against"}
"""Fields that may grow later: the fits that exist stay valid."""


class StudyRequest(BaseModel):
    """``study.json``.

    Attributes
    ----------
    source : str
        Location of a cohort, or of a version of a frozen dataset.
    classes : tuple of str
        Classes to learn.
    groups : dict
        Name of a rater group -> its raters: models learn from one group at a time.
    methods : tuple of Method
        What to compare.
    folds, seeds : int
        Parts that the patients are dealt into, each held out once; and repetitions of the whole,
        with other initial weights and, on a cohort, other parts. A dataset's folds are its own.
    against : dict
        Name of a rater group -> raters that its models are compared with: the mean of their
        confidences, without those of them that the group learns from. A group that is not named
        is compared with the truth where that is known, else with itself.
    domains : tuple of str
        Tags of a cohort's clips: the patients of each are a fold, so models are tried on clips of
        another kind than they learnt from. `folds` is then their number.
    size : str
        Of the network.
    steps : int or None
        Of each fit: the same for all, whatever the method.
    findings : bool
        Whether clinical findings of the held-out clips are kept, too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: str
    classes: tuple[Slug, ...] = Field(min_length=1)
    groups: dict[Slug, tuple[Slug, ...]] = Field(min_length=1)
    methods: tuple[Method, ...] = Field(min_length=1)
    folds: int = Field(default=FOLDS, ge=1)
    seeds: int = Field(default=1, ge=1)
    size: Literal["study", "quick", "normal"] = "study"
    steps: int | None = Field(default=None, ge=1)
    findings: bool = False
    against: dict[Slug, tuple[Slug, ...]] = {}
    domains: tuple[str, ...] = ()

    def reference(self, group: str) -> tuple[str, ...]:
        """Return the raters that a group's models are compared with; none if not asked for."""
        return tuple(r for r in self.against.get(group, ()) if r not in self.groups[group])

    @model_validator(mode="after")
    def _folds_make_sense(self) -> Self:
        if self.domains and (
            self.folds != len(self.domains) or len(set(self.domains)) < self.folds
        ):
            raise ValueError(f"{len(self.domains)} domains, each once, are as many folds")
        if not self.domains and self.folds < 2:
            raise ValueError("folds must be 2 or more")
        return self

    @model_validator(mode="after")
    def _references_are_others(self) -> Self:
        for group in self.against:
            if group not in self.groups:
                raise ValueError(f"against names {group}, which is no rater group of the study")
            if not self.reference(group):
                raise ValueError(
                    f"nobody is left to compare rater group {group} with: it learns from all of "
                    f"{', '.join(self.against[group]) or 'no raters'}"
                )
        return self

    @model_validator(mode="after")
    def _methods_differ(self) -> Self:
        names = [slug(m) for m in self.methods]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"methods given twice: {', '.join(twice)}")
        return self


def slug(method: Method) -> str:
    """Return the method's name for files: ``threshold-60``, ``soft-semimetric``."""
    values = (f"{v:g}".replace(".", "p") for v in method.settings.values())
    return "-".join([method.name, *values, *filter(None, (method.loss, method.levels))])


@dataclass(frozen=True)
class StudyFit:
    """One fit of a study: raters, method, fold and seed."""

    group: str
    method: Method
    fold: int
    seed: int
    raters: tuple[str, ...]
    held_out: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of its run folder."""
        return f"{self.group}-{slug(self.method)}-seed{self.seed}-fold{self.fold}"

    def request(self, study: StudyRequest) -> FitRequest:
        """Return the request to the trainer."""
        # One thread and fp32: the same bits on every repetition.
        frozen = is_dataset(study.source)
        return FitRequest(
            cohort=None if frozen else study.source,
            dataset=study.source if frozen else None,
            fold=self.fold if frozen else None,
            rater=self.name[:64],  # nothing is written under it, so it must not be a reader's
            classes=study.classes,
            raters=self.raters,
            method=self.method,
            size=study.size,
            device="cpu",
            seed=self.seed,
            steps=study.steps,
            threads=1,
            held_out=() if frozen else self.held_out,
            precision="fp32",
        )


def plan_fits(study: StudyRequest) -> list[StudyFit]:
    """Return all fits of a study, fold by fold.

    A dataset's folds are the ones it was frozen with. Those of a cohort keep patients whole and
    classes as frequent in each as in all (by any rater's marks), and are the same for all groups
    and methods: only so can scores be compared patient by patient.

    Raises
    ------
    TrainError
        If a rater, class or domain is unknown, or there are too few patients.
    """
    source = open_source(study.source)
    group_raters = sorted({r for raters in study.groups.values() for r in raters})
    clips = find_sources(source, study.classes, group_raters)
    indices = class_indices(source, study.classes)
    if references := sorted({r for raters in study.against.values() for r in raters}):
        find_sources(source, study.classes, references)  # refuses those that are unknown
    dealt = [
        domain_folds(source, study.domains)
        if study.domains
        else deal_folds(source, clips, indices, study.folds, seed)
        for seed in range(study.seeds)
    ]
    # Folds before methods: what a stopped study has done covers all methods.
    return [
        StudyFit(group, method, fold, seed, raters, held_out)
        for seed, parts in enumerate(dealt)
        for fold, held_out in enumerate(parts)
        for group, raters in study.groups.items()
        for method in study.methods
    ]


def open_study(folder: Path, asked: StudyRequest | None = None) -> StudyRequest:
    """Return the request of the study in `folder`; create or extend it as `asked`.

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
    try:
        earlier = StudyRequest.model_validate_json(read_file(path, 16 * MIB))
    except (StoreError, ValidationError) as error:
        raise TrainError(
            f"{path} is damaged: {error!s:.300}", "Choose another folder for the study."
        ) from error
    if asked is None or asked == earlier:
        return earlier
    differs = [
        f
        for f in StudyRequest.model_fields
        if f not in GROWS and getattr(asked, f) != getattr(earlier, f)
    ]
    differs += [
        f"rater group {name}"
        for name, raters in asked.groups.items()
        if earlier.groups.get(name, raters) != raters
    ]
    differs += [
        f"what rater group {name} is compared with"
        for name in asked.groups
        if name in earlier.groups and earlier.against.get(name) != asked.against.get(name)
    ]
    if differs:
        raise TrainError(
            f"{folder} holds another study: it differs in {', '.join(differs)}",
            "Choose another folder, or ask for the same.",
        )
    path.write_text(asked.model_dump_json(indent=2), encoding="utf-8")
    return asked
