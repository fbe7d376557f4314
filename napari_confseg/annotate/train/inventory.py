"""Inventory of labels of a cohort or a frozen dataset: which frames were reviewed by whom."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.dataset.as_cohort import FrozenCohort
from napari_confseg.dataset.frozen import versions
from napari_confseg.dataset.holdout import LEARN
from napari_confseg.store import RATER_KINDS, Status, StoreError, kind_rank
from napari_confseg.store.backend import local_root

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_confseg.store import ClassSpec, Cohort, RaterKind


@dataclass(frozen=True, eq=False)
class Reviewed:
    """Frames that one rater has reviewed on one clip.

    Attributes
    ----------
    clip, patient, rater, label, kind : str
        Which clip of whom, and who reviewed; `kind` as in the rater's metadata.
    learnt : bool
        Whether it is learnt from if nobody is named.
    frames : ndarray of bool (T, C)
        Whether the rater has reviewed this frame for this class.
    """

    clip: str
    patient: str
    rater: str
    label: str
    kind: RaterKind
    learnt: bool
    frames: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LabelInventory:
    """All that has been reviewed, a cohort's models left out: nobody learns from himself.

    Attributes
    ----------
    entries : tuple of Reviewed
        One for each rater on each clip.
    clips : tuple of str
        All clips of the cohort, reviewed or not.
    """

    entries: tuple[Reviewed, ...] = ()
    clips: tuple[str, ...] = ()

    def raters(self) -> dict[str, Reviewed]:
        """Return one entry of each rater who has reviewed something, people first."""
        found = sorted(
            (e for e in self.entries if e.frames.any()), key=lambda e: (kind_rank(e.kind), e.rater)
        )
        return {e.rater: e for e in found}

    def frames_by_class(self, raters: Iterable[str], n_classes: int) -> NDArray[np.intp]:
        """Return how many frames `raters` have reviewed for each class, each frame once."""
        chosen = set(raters)
        by_clip: dict[str, NDArray[np.bool_]] = {}
        for e in self.entries:
            if e.rater in chosen:
                known = by_clip.get(e.clip)
                by_clip[e.clip] = e.frames if known is None else known | e.frames
        total = np.zeros(n_classes, np.intp)
        for frames in by_clip.values():
            total += frames.sum(axis=0)
        return total

    def frames_of(self, rater: str) -> int:
        """Return how many frames `rater` has reviewed for at least one class."""
        return sum(int(e.frames.any(axis=1).sum()) for e in self.entries if e.rater == rater)

    def patients(self, raters: Iterable[str], classes: Iterable[int]) -> set[str]:
        """Return the patients with a frame that `raters` have reviewed for one of `classes`."""
        chosen, wanted = set(raters), list(classes)
        return {e.patient for e in self.entries if e.rater in chosen and e.frames[:, wanted].any()}

    def replaced(self, entry: Reviewed) -> LabelInventory:
        """Return a copy with `entry` in place of what was known of that rater on that clip."""
        others = (e for e in self.entries if (e.clip, e.rater) != (entry.clip, entry.rater))
        # A clip imported since the survey is a clip of the cohort all the same.
        return LabelInventory((*others, entry), tuple(sorted({*self.clips, entry.clip})))


@dataclass(frozen=True, eq=False)
class FrozenVersion:
    """Labels of a version of a frozen dataset.

    Attributes
    ----------
    location : str
        Of the version.
    name : str
        For people: ``"ward-dataset/v2"``.
    classes : tuple of ClassSpec
        Its classes, numbered as the columns of what is reviewed.
    inventory : LabelInventory
        What is reviewed in it.
    parts : tuple of (str, int)
        Names of its parts, and the number of clips in each.
    cohort_id : str
        Identity of the cohort that it was built from.
    problem : str
        Why it can't be learnt from; empty if it can.
    """

    location: str
    name: str = ""
    classes: tuple[ClassSpec, ...] = ()
    inventory: LabelInventory = LabelInventory()
    parts: tuple[tuple[str, int], ...] = ()
    cohort_id: str = ""
    problem: str = ""


def datasets_folder(cohort: Cohort) -> Path:
    """Return where a cohort's datasets are built unless another folder is chosen: beside it."""
    root = local_root(cohort.store)
    return (root.parent if root else Path.home()) / f"{cohort.meta.name}-dataset"


def frozen_versions(cohort: Cohort) -> tuple[tuple[str, str], ...]:
    """Return (location, what people read) of the versions beside a cohort, newest first."""
    folder = datasets_folder(cohort)
    return tuple((str(folder / f"v{n}"), f"{folder.name} v{n}") for n in reversed(versions(folder)))


def survey_dataset(location: str) -> FrozenVersion:
    """Read what a frozen dataset holds. Like :func:`survey`, run it beside the window."""
    try:
        source = FrozenCohort.open(location)
        split = source.dataset.manifest.split
        counts = tuple((p, sum(v == p for v in split.of_clip.values())) for p in split.names)
        problem = ""
        if not set(LEARN) & set(split.names):
            problem = f"{source.meta.name} has no part called train: build it with one."
        return FrozenVersion(
            source.location,
            source.meta.name,
            source.meta.classes,
            survey(source),
            counts,
            source.meta.cohort_id,
            problem,
        )
    except (StoreError, OSError) as error:
        return FrozenVersion(location, problem=str(error).splitlines()[0])


def survey(cohort: Cohort | FrozenCohort) -> LabelInventory:
    """Read what has been reviewed. Clips and raters that cannot be read count nothing.

    Models are left out of a cohort's; a dataset's were chosen. A few small files for each rater of
    each clip: run it beside the window, not in it.
    """
    entries = []
    clips = cohort.clips()
    for name in clips:
        with suppress(StoreError):
            clip = cohort.clip(name)
            for rater_name in clip.raters():
                with suppress(StoreError):
                    rater = clip.rater(rater_name)
                    of_model = not RATER_KINDS[rater.meta.kind].teaches
                    if of_model and not isinstance(cohort, FrozenCohort):
                        continue
                    frames = rater.read_status() == Status.REVIEWED
                    entries.append(
                        Reviewed(
                            name,
                            clip.meta.patient,
                            rater_name,
                            rater.meta.label,
                            rater.meta.kind,
                            rater.meta.learnt,
                            frames,
                        )
                    )
    return LabelInventory(tuple(entries), tuple(clips))
