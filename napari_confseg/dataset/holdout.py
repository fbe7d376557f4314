"""The hold-out model: who is learnt from, who validates, and who is kept for a test.

Whole patients, every class in its share. There are three ways to it: drawn from what is learnt
from (:func:`draw`), as a frozen dataset's parts say (:func:`from_parts`), and fold by fold
(:func:`deal`). Trainer, study and dataset all take theirs from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_confseg.dataset.splits import folds, split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

VALIDATION_SHARE = 0.25
LEARN, VALIDATE = ("train",), ("val", "validation")
"""Names of a dataset's parts that are learnt from, and validated on; any other is a test."""

Level = Literal["patient", "clip", "frame", "none"]
WARNINGS: dict[Level, str] = {
    "patient": "",
    "clip": "All frames are of one patient: validation is on other clips of the same patient "
    "and therefore optimistic.",
    "frame": "All frames are of one clip: validation is on the last frames of the same clip "
    "and therefore very optimistic.",
    "none": "There is one frame only: validation is on the frame that is learnt from and "
    "says nothing about other frames.",
}


class HoldOut(BaseModel):
    """Which frames are held out; stored with the run, so that scoring uses the same ones.

    Attributes
    ----------
    level : {"patient", "clip", "frame", "none"}
        What is kept whole. Anything but ``"patient"`` is optimistic; :data:`WARNINGS` says how.
    train, validation : tuple of str
        Clips of each part; with ``"frame"`` and ``"none"`` both name the same clip.
    validation_patients : tuple of str
        The patients held out; empty unless `level` is ``"patient"``.
    test : tuple of str
        Clips that are neither learnt from nor validated on.
    test_name : str
        What these are called: ``"part test"``, ``"fold-2"``; empty if there are none.
    first_validation_frame : int
        With ``"frame"``, frames from here on are validation; otherwise 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    level: Level
    train: tuple[str, ...]
    validation: tuple[str, ...]
    validation_patients: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    test_name: str = ""
    first_validation_frame: int = 0

    @property
    def warning(self) -> str:
        """What makes the validation optimistic; empty if nothing does."""
        return WARNINGS[self.level]

    def is_train(self, clip: str, frame: int) -> bool:
        """Whether this frame of the clip is learnt from."""
        late = self.level == "frame" and frame >= self.first_validation_frame
        return clip in self.train and not late

    def is_validation(self, clip: str, frame: int) -> bool:
        """Whether this frame of the clip is held out."""
        return clip in self.validation and frame >= self.first_validation_frame


def draw(
    clips: Sequence[str],
    patients: Sequence[str],
    frames: Sequence[Sequence[int]],
    marked: Sequence[NDArray[np.bool_]],
    *,
    seed: int,
) -> HoldOut:
    """Hold out a quarter of the patients; of the clips or frames if there is one of the other.

    Parameters
    ----------
    clips, patients : sequence of str
        Name and patient of each clip that has reviewed frames.
    frames : sequence of sequence of int
        The reviewed frames of each clip, ascending.
    marked : sequence of ndarray of bool, shape (frames, classes)
        Which classes are marked on each of them: every part gets its share of each class.
    seed : int
        Decides between equals.
    """
    level: Level = "patient" if len(set(patients)) > 1 else "clip"
    if len(clips) > 1:
        groups = patients if level == "patient" else clips
        per_frame = [g for g, f in zip(groups, frames, strict=True) for _ in f]
        shares = {"train": 1 - VALIDATION_SHARE, "validation": VALIDATION_SHARE}
        dealt = split(per_frame, np.concatenate(marked), shares, seed=seed)
        held = sorted({per_frame[i] for i in dealt.items("validation")})
        return HoldOut(
            level=level,
            train=tuple(c for c, g in zip(clips, groups, strict=True) if g not in held),
            validation=tuple(c for c, g in zip(clips, groups, strict=True) if g in held),
            validation_patients=tuple(held) if level == "patient" else (),
        )
    if len(frames[0]) == 1:
        return HoldOut(level="none", train=tuple(clips), validation=tuple(clips))
    # The end of the clip, not frames drawn at random: neighbours in a cine are near copies.
    first = frames[0][-max(1, round(len(frames[0]) * VALIDATION_SHARE))]
    return HoldOut(
        level="frame", train=tuple(clips), validation=tuple(clips), first_validation_frame=first
    )


def from_parts(part_of: Mapping[str, str], patient_of: Mapping[str, str]) -> HoldOut | None:
    """Return what the parts of a dataset say; None if there is none to validate on.

    Parameters
    ----------
    part_of : mapping
        Clip -> its part, for each clip that anything is learnt from or scored on.
    patient_of : mapping
        Clip -> its patient.
    """
    train, validation = (
        tuple(c for c, part in part_of.items() if part in names) for names in (LEARN, VALIDATE)
    )
    if not train or not validation:
        return None
    held = sorted({patient_of[c] for c in validation})
    return HoldOut(
        level="patient", train=train, validation=validation, validation_patients=tuple(held)
    )


def deal(
    patients: Sequence[str], marked: NDArray[np.bool_], k: int, *, seed: int
) -> list[tuple[str, ...]]:
    """Return the patients of each of `k` folds, every class in its share.

    Parameters
    ----------
    patients : sequence of str
        Patient of each clip.
    marked : ndarray of bool, shape (clips, classes)
        Which classes are marked anywhere on it.
    k : int
        Number of folds, at least 2.
    seed : int
        Decides between equals.
    """
    dealt = folds(patients, marked, k, seed=seed)
    return [tuple(sorted({patients[i] for i in dealt.items(name)})) for name in dealt.names]
