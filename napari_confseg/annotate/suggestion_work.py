"""A question to a model: what it is to suggest on, and the marks that it learns from first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_confseg.job import ActiveModel, active_model
from napari_confseg.motion import small
from napari_confseg.suggest.path import path_between
from napari_confseg.suggest.protocol import Suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import Clip, Cohort
    from napari_confseg.suggest.client import Answer, ModelProcess


_AT_ONCE: Final = 12
"""Frames that are made small for one question."""

_KEPT: Final = 256
"""Small frames that are remembered, of some 50 kB each."""


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


class SmallFrames:
    """Frames of a clip made small, to follow the picture; some are remembered.

    Parameters
    ----------
    clip : Clip
        Whose frames.
    """

    def __init__(self, clip: Clip) -> None:
        self._clip = clip
        self._known: dict[int, NDArray[np.float32]] = {}
        self.factor = 1

    def take(self, wanted: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """Return those of some frames that are known, and a few more, the first ones first.

        Not all at once: reading a long way would hold up the answer.
        """
        new = [t for t in wanted if t not in self._known][:_AT_ONCE]
        for t in new:
            self._known[t], self.factor = small(np.asarray(self._clip.frames[t]))
        known = dict(self._known)  # a question that was given up may still be here
        found = {t: known[t] for t in wanted if t in known}
        for t in [t for t in known if t not in found][: max(0, len(known) - _KEPT)]:
            self._known.pop(t, None)
        return found


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
    smalls : SmallFrames
        Of the clip.
    shown_from : int
        The percentage from which on it shows.
    """

    owner: object
    cohort: Cohort
    clip: Clip
    frames: tuple[int, ...]
    model: str
    marks: Marks
    edits: int
    smalls: SmallFrames
    shown_from: int

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
        path = self.smalls.take(path_between(self.frames, marks.frames))
        if path:
            arrays["path"] = np.stack([*path.values()])
        active = model_to_ask(self.cohort, self.model)
        request = Suggest(
            model=active.location,
            marks=tuple(marks.planes),
            reviewed=marks.reviewed,
            strokes=marks.strokes,
            frames_at=self.frames,
            taught_at=marks.frames,
            path_at=tuple(path),
            factor=self.smalls.factor,
            shown_from=self.shown_from,
        )
        answer = process.ask(request, arrays, cancelled)
        return None if answer is None else answer._replace(caution=active.problem)
