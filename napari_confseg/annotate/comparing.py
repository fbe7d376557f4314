"""How alike a clip's human readers are, compared once and remembered until one goes on."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_confseg.annotate.remember import state_folder
from napari_confseg.dataset.alike import soft_dice_by_class

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_confseg.store import Cohort


class Score(BaseModel):
    """One clip's score.

    Attributes
    ----------
    stamp : str
        What was compared; see :meth:`~napari_confseg.store.Rater.stamp`.
    alike : float or None
        The lowest soft Dice in any class; None if there is nothing to compare.
    """

    model_config = ConfigDict(frozen=True)

    stamp: str
    alike: float | None


class Scores(BaseModel):
    """Scores by clip, in a file of the state folder; one that cannot be read counts as empty."""

    clips: dict[str, Score] = Field(default_factory=dict)

    @classmethod
    def load(cls, cohort: Cohort) -> Scores:
        """Return what is remembered of `cohort`."""
        with suppress(OSError, ValueError, ValidationError):
            return cls.model_validate_json(_file(cohort).read_text("utf-8"))
        return cls()

    def save(self, cohort: Cohort) -> None:
        """Remember this; a disk that refuses costs the memory only."""
        file = _file(cohort)
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            partial = file.with_suffix(".partial")
            partial.write_text(self.model_dump_json(), "utf-8")
            partial.replace(file)

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
        people = [n for n, rater in raters.items() if rater.meta.kind == "human"]
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
