"""A consensus on one clip, to be looked at before it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.dataset.consensus import YES, fit_class, merge
from napari_confseg.dataset.reading import people, planes_of, readings
from napari_confseg.store import Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.dataset.consensus import ConsensusMethod
    from napari_confseg.store import Cohort


def combine_clip(
    cohort: Cohort,
    method: ConsensusMethod,
    clip_name: str,
    *,
    raters: Sequence[str] = (),
    threshold: int = YES,
    least: int = 2,
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, NDArray[np.uint8]] | None:
    """Return the planes that ``make_consensus`` would write on a clip, class -> ``(T, Y, X)``.

    What raters are like is estimated over all clips, as it would be then. Classes without any mark
    are left out; None if cancelled. Parameters are those of ``make_consensus``.

    Raises
    ------
    StoreError
        If too few of the raters are on the clip.
    """
    panel = tuple(raters) or tuple(people(cohort))
    clip = cohort.clip(clip_name)
    present = readings(clip, panel)
    if len(present) < least:
        raise StoreError(
            Problem("too-few-raters", clip_name, f"at least {least} of {list(panel)}",
                    f"{[r.name for r in present]}", "Open a clip that they have marked.")
        )  # fmt: skip
    found = {}
    clips, names = cohort.clips(), [c.name for c in cohort.meta.classes]
    for index, class_name in enumerate(names):
        if cancelled and cancelled():
            return None
        if progress:
            progress(index, len(names), f"estimating {class_name}")
        rule, _ = fit_class(cohort, method, panel, clips, index, threshold, least)
        planes = np.zeros(clip.shape, np.uint8)  # pages that nobody touches cost nothing
        for frame in range(clip.shape[0]):
            said = planes_of(present, frame, index, clip.shape[1:])
            if len(said) >= least and any(p.any() for p in said.values()):
                planes[frame] = merge(panel, said, rule)
                found[class_name] = planes
    return found
