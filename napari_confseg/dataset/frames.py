"""Choice of a clip's frames for a dataset, and how they are brought to size."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.agreement.rater_view import RaterView, planes_of
from napari_confseg.dataset.resample import Resampler
from napari_confseg.store import EXCLUDED, RATER_KINDS, Problem, Spacing, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.dataset.manifest import BuildRequest, FramePolicy
    from napari_confseg.store import Clip


def choose_frames(
    clip: Clip, panel: Sequence[RaterView], indices: Sequence[int], policy: FramePolicy
) -> list[int]:
    """Return the numbers of the frames to take, rising.

    Parameters
    ----------
    clip : Clip
        The clip.
    panel : sequence of RaterView
        The chosen raters on it. If it is one alone, such as a consensus, "disagreement" is that of
        the readers on the clip.
    indices : sequence of int
        Class indices; a frame counts as reviewed if anybody reviewed any of them.
    policy : FramePolicy
        Which of these.
    """
    reviewed = np.logical_or.reduce([r.reviewed[:, list(indices)].any(1) for r in panel])
    frames = np.flatnonzero(reviewed)
    if policy.kind == "every":
        frames = frames[:: policy.n]
    elif policy.kind == "disagreement":
        if len(panel) < 2:
            everybody = [RaterView(clip, name) for name in clip.raters()]
            panel = [r for r in everybody if RATER_KINDS[r.rater.meta.kind].compared]
        apart = np.array([_apart(panel, int(f), indices, clip.shape[1:]) for f in frames])
        # Equal ones in order of time, so that the choice never depends on a sort's whim.
        frames = np.sort(frames[np.argsort(-apart, kind="stable")[: policy.n]])
    return [int(f) for f in frames]


def _apart(
    panel: Sequence[RaterView], frame: int, indices: Sequence[int], shape: tuple[int, int]
) -> float:
    total = 0.0
    for index in indices:
        planes = planes_of(panel, frame, index, shape).values()
        for a, b in combinations(planes, 2):
            known = (a != EXCLUDED) & (b != EXCLUDED)
            total += float(np.abs(a.astype(np.int16) - b)[known].sum())
    return total


def resampler_for(clip: Clip, request: BuildRequest) -> Resampler:
    """Return what brings the clip to the spacing and size that `request` asks for.

    Raises
    ------
    StoreError
        If a spacing is asked for and the clip's own is unknown.
    """
    shape = clip.shape[1:]
    size = request.pixels
    if request.spacing is None:
        return Resampler.into(shape, size or shape)
    spacing = clip.meta.spacing
    if spacing is None:
        raise StoreError(
            Problem(
                "spacing-unknown",
                clip.name,
                "The spacing of its pixels is unknown",
                hint="Set it, leave the clip out, or build without a spacing.",
            )
        )
    inner = (
        max(1, round(shape[0] * spacing.y / request.spacing)),
        max(1, round(shape[1] * spacing.x / request.spacing)),
    )
    return Resampler(shape, inner, size or inner)


def resampled_spacing(spacing: Spacing | None, scale: tuple[float, float]) -> Spacing | None:
    """Return the size of a pixel after resampling by `scale` (y, x)."""
    if spacing is None:
        return None
    return Spacing(y=spacing.y / scale[0], x=spacing.x / scale[1], source=spacing.source)
