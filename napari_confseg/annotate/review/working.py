"""What a review has done beside the window: plain functions, to be called in any thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_confseg.annotate.review.agreeing import agreed_acts
from napari_confseg.dataset.disagreement import find_disagreements
from napari_confseg.dataset.reading import Reading
from napari_confseg.store import StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_confseg.annotate.review.deciding import Case
    from napari_confseg.annotate.review.state import Question
    from napari_confseg.dataset.regions import Disagreements
    from napari_confseg.store import Act, Clip

Progress = Callable[[int, int], None]
Work = Callable[[Progress, Callable[[], bool]], Any]
Raters = dict[str, "Reading | str"]
"""Everybody on a clip; of whom cannot be read, why."""


def read_raters(clip: Clip, _progress: object, cancelled: Callable[[], bool]) -> Raters:
    """Read who is on `clip`; of whom cannot be read, why."""
    found: Raters = {}
    for name in clip.raters():
        if cancelled():
            break
        try:
            found[name] = Reading(clip, name)
        except (StoreError, OSError) as error:
            found[name] = str(error)
    return found


def compare(
    clip: Clip, question: Question, progress: Progress, cancelled: Callable[[], bool]
) -> Disagreements | None:
    """Return where raters differ on `clip`; None if cancelled."""
    return find_disagreements(
        clip, question.raters, question.classes, question.threshold,
        narrowest=question.narrowest, progress=progress, cancelled=cancelled,
    )  # fmt: skip


def agree(
    clip: Clip,
    case: Case,
    frames: NDArray[np.bool_],
    progress: Progress,
    cancelled: Callable[[], bool],
) -> list[Act] | None:
    """Return the acts that copy what all agree on to `frames`; None if cancelled."""
    return agreed_acts(clip, case, frames, progress=progress, cancelled=cancelled)
