"""Which part and which fold each clip of a dataset belongs to, as its manifest says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_confseg.dataset.manifest import SplitRecord
from napari_confseg.dataset.splits import Split, split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.dataset.manifest import BuildRequest


class Counted(Protocol):
    """A clip of which is known who was filmed and which classes are on it."""

    @property
    def clip(self) -> str:
        """Its name."""

    @property
    def patient(self) -> str:
        """Whose it is."""

    def marks(self, class_name: str) -> bool:
        """Whether anybody marked the class anywhere on it."""


def part_clips(
    clips: Sequence[Counted], request: BuildRequest
) -> tuple[SplitRecord, SplitRecord | None]:
    """Return the split and, if the request wants any, the folds.

    Raises
    ------
    ValueError
        If there are fewer patients than parts or folds.
    """
    parts = _record(clips, request, dict(request.parts))
    if not request.folds:
        return parts, None
    shares = {f"fold-{i}": 1 / request.folds for i in range(request.folds)}
    return parts, _record(clips, request, shares)


def _record(
    clips: Sequence[Counted], request: BuildRequest, shares: dict[str, float]
) -> SplitRecord:
    labels = np.array([[clip.marks(c) for c in request.classes] for clip in clips])
    result: Split = split([c.patient for c in clips], labels, shares, seed=request.seed)
    prevalence = {
        name: {
            c: None if np.isnan(v) else round(float(v), 6)
            for c, v in zip(request.classes, row, strict=True)
        }
        for name, row in zip(result.names, result.prevalence, strict=True)
    }
    return SplitRecord(
        names=result.names,
        of_clip={c.clip: result.names[p] for c, p in zip(clips, result.parts, strict=True)},
        prevalence=prevalence,
        worst_prevalence_deviation=round(result.deviation, 6),
        worst_size_deviation=round(result.size_deviation, 6),
    )
