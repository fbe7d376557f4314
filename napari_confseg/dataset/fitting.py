"""Which frames of a clip go into a dataset, and how they come to its spacing and size."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from skimage.transform import resize

from napari_confseg.agreement.rater_view import RaterView, planes_of
from napari_confseg.store import EXCLUDED, RATER_KINDS, Problem, Spacing, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

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


class Fit:
    """How a clip's frames come to the wished-for spacing and size.

    Attributes
    ----------
    shape : tuple of int
        (Y, X) of the result.
    scale : tuple of float
        Pixels of the result per pixel of the clip.
    offset : tuple of int
        Where the clip's corner lands; negative if it is cut off.
    """

    def __init__(self, clip: Clip, request: BuildRequest) -> None:
        height, width = clip.shape[1:]
        if request.spacing is not None:
            if clip.meta.spacing is None:
                raise StoreError(
                    Problem(
                        "spacing-unknown",
                        clip.name,
                        "a known spacing",
                        "none",
                        "Set it, leave the clip out, or build without a spacing.",
                    )
                )
            factor = (clip.meta.spacing.y / request.spacing, clip.meta.spacing.x / request.spacing)
        elif request.size is not None:
            factor = (min(request.size[0] / height, request.size[1] / width),) * 2
        else:
            factor = (1.0, 1.0)
        self._inner = (max(1, round(height * factor[0])), max(1, round(width * factor[1])))
        self.scale = (self._inner[0] / height, self._inner[1] / width)
        self.shape = request.size or self._inner
        self.offset = (
            (self.shape[0] - self._inner[0]) // 2,
            (self.shape[1] - self._inner[1]) // 2,
        )
        self._native = (height, width)

    def spacing(self, of_clip: Spacing | None) -> Spacing | None:
        """Return the spacing after fitting."""
        if of_clip is None:
            return None
        return Spacing(
            y=of_clip.y / self.scale[0], x=of_clip.x / self.scale[1], source=of_clip.source
        )

    def frame(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a frame, interpolated, smoothed before it shrinks."""
        if self._inner != self._native:
            frame = np.rint(
                resize(frame, self._inner, order=1, preserve_range=True, anti_aliasing=True)
            ).astype(np.uint8)
        return self._place(frame)

    def plane(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a plane by nearest pixel: confidences are never mixed or made up."""
        if self._inner != self._native:
            rows, columns = (
                np.minimum(((np.arange(n) + 0.5) * m / n).astype(int), m - 1)
                for n, m in zip(self._inner, self._native, strict=True)
            )
            plane = plane[np.ix_(rows, columns)]
        return self._place(plane)

    def _place(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._inner == self.shape:
            return image
        placed = np.zeros(self.shape, np.uint8)
        target, source = [], []
        for offset, inner, outer in zip(self.offset, self._inner, self.shape, strict=True):
            target.append(slice(max(offset, 0), min(offset + inner, outer)))
            source.append(slice(max(-offset, 0), max(-offset, 0) + min(inner, outer)))
        placed[tuple(target)] = image[tuple(source)]
        return placed
