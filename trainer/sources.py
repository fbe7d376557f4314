"""Common interface to cohorts and frozen datasets, with default raters and hold-out.

Both have clips, raters, frames, planes and review status under the same names. What differs
between them is decided here and nowhere else: which raters are learnt from by default, and which
patients are held out. :mod:`trainer.data` reads samples through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_confseg.dataset.as_cohort import FrozenClip, FrozenCohort, FrozenRater
from napari_confseg.dataset.frozen import is_dataset
from napari_confseg.dataset.holdout import LEARN, VALIDATE, HoldOut, deal, draw, from_parts
from napari_confseg.store import Clip, Cohort, Rater
from trainer.errors import TrainError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.job import FitRequest

AnyCohort: TypeAlias = Cohort | FrozenCohort
AnyClip: TypeAlias = Clip | FrozenClip
AnyRater: TypeAlias = Rater | FrozenRater

FOLDS = 5
"""Default number of folds of a study on a cohort."""


class Origin(BaseModel):
    """Origin of a run's samples; kept in ``config.json``.

    Attributes
    ----------
    kind : {"cohort", "dataset", "phantoms"}
        Kind of source.
    name, cohort_id : str
        Its name (with the version of a dataset), and the identity of the cohort behind it.
    sha256 : str
        Of a dataset, the content hash in its manifest; of a cohort, the hash of what was read.
    fold : int or None
        The fold of a dataset that was kept for a test.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["cohort", "dataset", "phantoms"]
    name: str
    cohort_id: str
    sha256: str
    fold: int | None = None

    def __str__(self) -> str:
        fold = "" if self.fold is None else f", but for fold {self.fold}"
        what = self.name if self.kind == "phantoms" else f"{self.kind} {self.name}"
        return f"{what} ({self.sha256[:12]}){fold}"


@dataclass(frozen=True)
class Source:
    """The reviewed frames of one clip, before anything is decoded.

    Attributes
    ----------
    clip : Clip or FrozenClip
        The clip.
    raters : tuple of Rater or FrozenRater
        Raters whose planes are learnt from.
    reviewed : ndarray of bool, shape (raters, T, C)
        Review status of each for the chosen classes.
    """

    clip: AnyClip
    raters: tuple[AnyRater, ...]
    reviewed: NDArray[np.bool_]

    def frames(self) -> list[int]:
        """Return the frames that any rater has reviewed for some class."""
        return [int(t) for t in np.flatnonzero(self.reviewed.any((0, 2)))]

    @cached_property
    def stored(self) -> list[NDArray[np.bool_]]:
        """Stored planes of each rater, (T, C) by the cohort's class indices."""
        found = []
        for rater in self.raters:
            stored = np.zeros(rater.shape[:2], np.bool_)
            for t, index in rater.stored_chunks():
                stored[t, index] = True
            found.append(stored)
        return found

    def marked(self, indices: Sequence[int]) -> NDArray[np.bool_]:
        """Return the classes that any rater marked on each of :meth:`frames`, (frames, C)."""
        marked = np.stack(self.stored)[:, :, list(indices)]
        anyone: NDArray[np.bool_] = np.logical_or.reduce(marked & self.reviewed)
        return anyone[self.frames()]


def open_source(location: str) -> AnyCohort:
    """Open what is at `location` for reading: a cohort, or a frozen dataset's newest version.

    Raises
    ------
    StoreError
        If it is neither, or damaged.
    """
    if "://" not in location and is_dataset(location):
        return FrozenCohort.open(location)
    return Cohort.open(location, read_only=True)


@lru_cache(maxsize=4)
def opened(location: str) -> AnyCohort:
    """Return the source at `location`, cached for a worker that reads it again."""
    return open_source(location)


def located(source: AnyCohort, location: str) -> str:
    """Return the location of `source`; of a dataset that of its version."""
    return source.location if isinstance(source, FrozenCohort) else location


def called(source: AnyCohort) -> str:
    """Return the source's kind and name: ``cohort lung`` or ``dataset lung/v2``."""
    return f"{'dataset' if isinstance(source, FrozenCohort) else 'cohort'} {source.meta.name}"


def teachers(source: AnyCohort) -> Callable[[AnyRater], bool]:
    """Return the test of whether a rater is learnt from by default.

    Of a cohort, the readers, but nothing imported. Of a dataset, everybody whom it froze: they were
    chosen when it was built; but the truth of synthetic data, which is there to compare with, only
    if nobody else is.
    """
    if isinstance(source, Cohort):
        return lambda rater: rater.meta.learnt
    kinds = {r.kind for c in source.dataset.manifest.clips for r in c.raters.values()}
    return lambda rater: rater.meta.kind != "truth" or kinds == {"truth"}


def hold_out(
    source: AnyCohort, clips: Sequence[Source], indices: Sequence[int], request: FitRequest
) -> HoldOut:
    """Return the hold-out: clips for training, validation and test.

    Of a dataset its parts decide, or with ``request.fold`` that fold is the test and validation is
    drawn from the others. Of a cohort, and of a dataset without a part to validate on, validation
    is drawn. Patients in ``request.held_out`` are kept for the test, too.

    Parameters
    ----------
    source : Cohort or FrozenCohort
        What is read.
    clips : sequence of Source
        Its clips with anything to learn from.
    indices : sequence of int
        The classes' indices.
    request : FitRequest
        Fold, held-out patients and seed.

    Raises
    ------
    TrainError
        If nothing is left to learn from, or a fold or patient is unknown.
    """
    test = _kept_apart(source, request)
    left = [s for s in clips if s.clip.name not in test]
    if not left:
        raise TrainError("Every patient with reviewed frames is held out", "Hold out fewer.")
    found = None
    if isinstance(source, FrozenCohort) and request.fold is None:
        part_of = source.dataset.manifest.split.of_clip
        found = from_parts(
            {s.clip.name: part_of[s.clip.name] for s in left},
            {s.clip.name: s.clip.meta.patient for s in left},
        )
    if found is None:
        found = draw(
            [s.clip.name for s in left],
            [s.clip.meta.patient for s in left],
            [s.frames() for s in left],
            [s.marked(indices) for s in left],
            seed=request.seed,
        )
    return found.model_copy(
        update={"test": tuple(test), "test_name": ", ".join(dict.fromkeys(test.values()))}
    )


def _kept_apart(source: AnyCohort, request: FitRequest) -> dict[str, str]:
    """Return the clips of the test, with the name of each clip's part."""
    patient_of = {name: source.clip(name).meta.patient for name in source.clips()}
    if unknown := sorted(set(request.held_out) - set(patient_of.values())):
        raise TrainError(
            f"{source.meta.name} has no patient called {', '.join(unknown)} to hold out",
            f"It has {', '.join(sorted(set(patient_of.values())))}.",
        )
    test: dict[str, str] = {}
    if isinstance(source, FrozenCohort):
        if request.fold is not None:
            held = fold_patients(source)
            if request.fold >= len(held):
                raise TrainError(
                    f"There is no fold {request.fold} in {called(source)}",
                    f"Its {len(held)} folds are counted from 0.",
                )
            apart = held[request.fold]
            test = {c: f"fold {request.fold}" for c, p in patient_of.items() if p in apart}
        else:
            test = {c: f"part {part}" for c, part in test_parts(source).items()}
    return test | {c: "held-out patients" for c, p in patient_of.items() if p in request.held_out}


def test_parts(source: FrozenCohort) -> dict[str, str]:
    """Return the clips of a dataset's test parts, with the part of each.

    Raises
    ------
    TrainError
        If there is no part to learn from.
    """
    split = source.dataset.manifest.split
    if not set(LEARN) & set(split.names):
        raise TrainError(
            f"{called(source).capitalize()} has no part called train: its parts are "
            f"{', '.join(split.names)}",
            "Name a fold, or build it with --split train=0.7 val=0.15 test=0.15.",
        )
    return {c: part for c, part in split.of_clip.items() if part not in (*LEARN, *VALIDATE)}


def fold_patients(source: FrozenCohort) -> list[tuple[str, ...]]:
    """Return the patients of each fold of a dataset.

    Raises
    ------
    TrainError
        If it has no folds.
    """
    m = source.dataset.manifest
    if m.folds is None:
        raise TrainError(
            f"{called(source).capitalize()} has no folds",
            "Build it with --folds 5, or fit without a fold.",
        )
    of_clip = m.folds.of_clip
    return [
        tuple(sorted({c.patient for c in m.clips if of_clip[c.clip] == name}))
        for name in m.folds.names
    ]


def domain_folds(source: AnyCohort, domains: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the patients of each domain: those of a cohort's clips with that tag.

    Raises
    ------
    TrainError
        If a tag is on no clip, a patient is of two domains, or it is a dataset, which keeps none.
    """
    if isinstance(source, FrozenCohort):
        raise TrainError(
            f"{called(source).capitalize()} does not know its clips' tags",
            "Study the cohort that it was built from.",
        )
    tags: dict[str, set[str]] = {}
    for name in source.clips():
        meta = source.clip(name).meta
        for tag in meta.tags:
            tags.setdefault(tag, set()).add(meta.patient)
    if unknown := [d for d in domains if d not in tags]:
        raise TrainError(
            f"No clip of {source.meta.name} has the tag {', '.join(unknown)}",
            f"Its tags are {', '.join(sorted(tags)) or 'none'}.",
        )
    folds = [tuple(sorted(tags[d])) for d in domains]
    patients = [p for fold in folds for p in fold]
    if twice := sorted({p for p in patients if patients.count(p) > 1}):
        raise TrainError(
            f"Patients of two domains: {', '.join(twice[:5])}", "Name tags that no patient shares."
        )
    return folds


def deal_folds(
    source: AnyCohort, clips: Sequence[Source], indices: Sequence[int], k: int | None, seed: int
) -> list[tuple[str, ...]]:
    """Return the patients of each fold: a dataset's own, or a cohort's, dealt anew.

    Raises
    ------
    TrainError
        If there are too few patients, or a dataset has no folds or another number.
    """
    if isinstance(source, FrozenCohort):
        dealt = fold_patients(source)
        if k not in (None, len(dealt)):
            raise TrainError(
                f"{called(source).capitalize()} has {len(dealt)} folds, not {k}",
                "Leave --folds out, or build it with as many.",
            )
        return dealt
    k = k or FOLDS
    patients = [s.clip.meta.patient for s in clips]
    if len(set(patients)) < k + 1:
        raise TrainError(
            f"{len(set(patients))} patients can't be dealt into {k} folds with some left "
            "to validate on",
            "Ask for fewer folds, or add patients.",
        )
    return deal(patients, np.array([s.marked(indices).any(0) for s in clips]), k, seed=seed)
