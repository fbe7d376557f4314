"""Frozen datasets: build, split, leakage, preview, comparison of versions.

A split by patient needs arrays only:

Examples
--------
>>> import numpy as np
>>> from napari_confseg.dataset import split
>>> patients = ["p1", "p1", "p2", "p3", "p4"]
>>> shows = np.array([[True], [False], [True], [False], [True]])  # whether an item shows a class
>>> parts = split(patients, shows, {"train": 0.5, "test": 0.5}, seed=0)
>>> parts.items("train"), parts.items("test")  # no patient in two parts
([2, 3], [0, 1, 4])

:func:`build` freezes what readers marked in a cohort, :class:`Dataset` reads it.
"""

from napari_confseg.dataset.as_cohort import FrozenCohort
from napari_confseg.dataset.build import BuildStopped, build, changed_sources
from napari_confseg.dataset.diff import Changes, RaterChange, compare
from napari_confseg.dataset.frozen import Dataset, is_dataset, versions
from napari_confseg.dataset.holdout import HoldOut
from napari_confseg.dataset.leakage import find_leakage
from napari_confseg.dataset.manifest import (
    BuildRequest,
    ClassCount,
    ClipRecord,
    FramePolicy,
    Leakage,
    Manifest,
    RaterRecord,
    SplitRecord,
    Suspect,
)
from napari_confseg.dataset.preview import Preview, Surveyor
from napari_confseg.dataset.resample import Resampler
from napari_confseg.dataset.splits import Split, folds, split

__all__ = [
    "BuildRequest",
    "BuildStopped",
    "Changes",
    "ClassCount",
    "ClipRecord",
    "Dataset",
    "FramePolicy",
    "FrozenCohort",
    "HoldOut",
    "Leakage",
    "Manifest",
    "Preview",
    "RaterChange",
    "RaterRecord",
    "Resampler",
    "Split",
    "SplitRecord",
    "Surveyor",
    "Suspect",
    "build",
    "changed_sources",
    "compare",
    "find_leakage",
    "folds",
    "is_dataset",
    "split",
    "versions",
]
