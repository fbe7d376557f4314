"""A question to a model: what it is to suggest on, and the marks that it learns from first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.job import ActiveModel, active_model
from napari_confseg.suggest.protocol import Suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from napari_confseg.store import Clip, Cohort
    from napari_confseg.suggest.client import Answer, ModelProcess


@dataclass(frozen=True, eq=False)
class Marks:
    """What the person marked on this clip, for the model to learn from.

    Attributes
    ----------
    frames : tuple of int
        Which frames.
    planes : mapping of (int, str) to ndarray of uint8 (Y, X)
        Copies of planes by place in `frames` and class.
    reviewed : tuple of (int, str)
        Where all that is unmarked is absent.
    strokes : int
        How many strokes they come from.
    """

    frames: tuple[int, ...] = ()
    planes: Mapping[tuple[int, str], NDArray[np.uint8]] = field(default_factory=dict)
    reviewed: tuple[tuple[int, str], ...] = ()
    strokes: int = 0


def model_to_ask(cohort: Cohort, model: str = "") -> ActiveModel:
    """Return which model suggests in a cohort: `model` if one is named, else the active one."""
    return ActiveModel(model) if model else active_model(cohort)


@dataclass(frozen=True, eq=False)
class SuggestWork:
    """Frames on which a model is to propose.

    Attributes
    ----------
    owner : object
        The planes that it is for, to know them again.
    cohort : Cohort
        Whose active model is asked if `model` names none.
    clip : Clip
        Whose frames.
    frames : tuple of int
        Their indices, the one on show first.
    model : str
        Folder of a run, or the name of the one that comes with the package; empty for the
        cohort's active model.
    marks : Marks
        What it is to learn from first.
    edits : int
        How many edits of the clip it knows of.
    """

    owner: object
    cohort: Cohort
    clip: Clip
    frames: tuple[int, ...]
    model: str
    marks: Marks
    edits: int

    def run(
        self, process: ModelProcess, cancelled: Callable[[], bool] = lambda: False
    ) -> Answer | None:
        """Ask the model; None if cancelled.

        Raises
        ------
        SuggestError
            If there is no answer.
        StoreError, OSError
            If the frame can't be read.
        """
        if cancelled():
            return None
        read = {t: np.asarray(self.clip.frames[t]) for t in {*self.frames, *self.marks.frames}}
        arrays = {"frames": np.stack([read[t] for t in self.frames])}
        marks = self.marks
        if marks.frames:
            arrays["taught"] = np.stack([read[t] for t in marks.frames])
            blank = np.zeros((0, *self.clip.shape[1:]), np.uint8)
            arrays["marks"] = np.stack([*marks.planes.values()]) if marks.planes else blank
        active = model_to_ask(self.cohort, self.model)
        request = Suggest(
            model=active.location,
            marks=tuple(marks.planes),
            reviewed=marks.reviewed,
            strokes=marks.strokes,
        )
        answer = process.ask(request, arrays, cancelled)
        return None if answer is None else answer._replace(caution=active.problem)
