"""How alike the human readers of a clip are, compared once and remembered."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_confseg.agreement.overlap import soft_dice_by_class
from napari_confseg.annotate.access import Role, Visibility
from napari_confseg.annotate.preferences import state_folder
from napari_confseg.annotate.review_progress import reviewed_frames
from napari_confseg.store import RATER_KINDS, StoreError
from napari_confseg.store.durable import write_private
from napari_confseg.store.files import MIB, read_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_confseg.store import Cohort


def may_compare(cohort: Cohort, name: str, rater: str, role: Role) -> bool:
    """Whether `rater` may know how alike the readers of a clip are.

    Raises
    ------
    StoreError
        If the clip or the rater can't be read.
    """
    rule = cohort.meta.blinding
    if not Visibility(rule, role).blinded:
        return True
    clip = cohort.clip(name)
    if rater not in clip.raters():
        return False
    mine = clip.rater(rater)
    complete = bool(reviewed_frames(mine.read_status()).all())
    unblinded = mine.read_clip_notes().unblinded is not None
    return not Visibility(rule, role, complete, unblinded).blinded


class Score(BaseModel):
    """One clip's score."""

    model_config = ConfigDict(frozen=True)

    stamp: str  # what was compared; see :meth:`~napari_confseg.store.Rater.stamp`
    alike: float | None  # the lowest soft Dice in any class; None if there is nothing to compare


class Scores(BaseModel):
    """Scores by clip, in a file of the state folder; one that cannot be read counts as empty."""

    clips: dict[str, Score] = Field(default_factory=dict)

    @classmethod
    def load(cls, cohort: Cohort) -> Scores:
        """Return what is remembered of `cohort`."""
        with suppress(OSError, StoreError, ValidationError):
            return cls.model_validate_json(read_file(_file(cohort), 64 * MIB))
        return cls()

    def save(self, cohort: Cohort) -> None:
        """Remember this; a disk that refuses costs a comparison later."""
        with suppress(OSError):
            write_private(_file(cohort), self.model_dump_json().encode())

    def of(
        self, cohort: Cohort, name: str, cancelled: Callable[[], bool] | None = None
    ) -> float | None:
        """Return the score of a clip, compared anew if one of its readers has gone on since.

        Raises
        ------
        StoreError
            If something of it can't be read.
        """
        clip = cohort.clip(name)
        raters = {n: clip.rater(n) for n in clip.raters()}
        people = [n for n, rater in raters.items() if RATER_KINDS[rater.meta.kind].compared]
        if len(people) < 2:
            return None
        stamp = " ".join(f"{n}:{raters[n].stamp()}" for n in people)
        known = self.clips.get(name)
        if known is not None and known.stamp == stamp:
            return known.alike
        scores = soft_dice_by_class(clip, people, cancelled=cancelled)
        if scores is None:  # cancelled
            return None
        score = Score(stamp=stamp, alike=min(scores.values(), default=None))
        self.clips[name] = score
        return score.alike


def _file(cohort: Cohort) -> Path:
    return state_folder() / "alike" / f"{cohort.meta.cohort_id}.json"
