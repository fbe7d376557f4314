"""Reading with a model's suggestions against reading without, on frames drawn at random.

Where a cohort withholds suggestions on some frames, what readers agree on there is their own; what
they agree on elsewhere may be the model's. Only what both of a pair have reviewed counts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.agreement.intervals import Estimate, estimate
from napari_confseg.agreement.overlap import N_VALUES, joint_histogram, survival
from napari_confseg.agreement.rater_view import rater_views

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_confseg.agreement.rater_view import RaterView
    from napari_confseg.store import Clip, Cohort

WITH, WITHOUT = 0, 1


@dataclass(frozen=True)
class Contrast:
    """Soft Dice of two raters of a class on frames with suggestions, and on frames without.

    Attributes
    ----------
    class_name, a, b : str
        Of one the marks were suggested; `b` may be a truth.
    offered, withheld : Estimate
        Soft Dice over the frames of each kind; `n` is their number.
    difference : Estimate
        The first less the second.
    """

    class_name: str
    a: str
    b: str
    offered: Estimate
    withheld: Estimate
    difference: Estimate

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def with_and_without(
    cohort: Cohort, raters: Sequence[str], classes: Sequence[str] = (), clips: Sequence[str] = ()
) -> list[Contrast]:
    """Return how pairs of raters agree with suggestions and without; none where that is unknown.

    A frame counts as one with suggestions where every reader of the pair who ever got some on
    this clip was shown one there, and as one without where they were withheld from all of them.

    Parameters
    ----------
    cohort : Cohort
        Read only.
    raters : sequence of str
        Whom to compare, with each other and with every truth.
    classes, clips : sequence of str
        All if empty.

    Raises
    ------
    StoreError
        If a clip can't be read.
    """
    if not cohort.meta.withheld_changes:
        return []
    indices = {c.name: c.index for c in cohort.meta.classes if not classes or c.name in classes}
    rows: dict[tuple[str, str, str], list[tuple[str, NDArray[np.float64]]]] = {}
    for name in clips or cohort.clips():
        clip = cohort.clip(name)
        for key, sums in _of_clip(clip, raters, indices).items():
            rows.setdefault(key, []).append((clip.meta.patient, sums))
    return [_contrast(*key, found) for key, found in sorted(rows.items())]


def _of_clip(
    clip: Clip, raters: Sequence[str], indices: Mapping[str, int]
) -> dict[tuple[str, str, str], NDArray[np.float64]]:
    """Return sums (2 x 3) by class and pair: twice the overlap, both areas, frames."""
    views = {v.name: v for v in rater_views(clip, raters)}
    truths = [n for n in clip.raters() if n not in views and clip.rater(n).meta.kind == "truth"]
    views |= {v.name: v for v in rater_views(clip, truths)}
    kinds = {n: _kinds(v) for n, v in views.items() if n not in truths}
    found = {}
    for a, b in combinations(views, 2):
        told = [kinds[n] for n in (a, b) if n in kinds and (kinds[n] >= 0).any()]
        if not told or (a in truths and b in truths):
            continue
        same = np.all([k == told[0] for k in told], axis=0)
        kind = np.where(same, told[0], -1)
        for name, index in indices.items():
            sums = _sums(views[a], views[b], index, kind)
            if sums[:, 2].any():
                found[name, a, b] = sums
    return found


def _kinds(view: RaterView) -> NDArray[np.int64]:
    """Return which frames were read with a suggestion, which without; -1 where nobody knows."""
    kinds = np.full(len(view.reviewed), -1)
    for frame, offer in view.rater.read_clip_notes().offers.items():
        if frame < len(kinds):
            kinds[frame] = WITHOUT if offer.outcome == "withheld" else WITH
    return kinds


def _sums(a: RaterView, b: RaterView, index: int, kind: NDArray[np.int64]) -> NDArray[np.float64]:
    sums = np.zeros((2, 3))
    blank = np.zeros(a.rater.shape[2:], np.uint8)
    both = a.reviewed[:, index] & b.reviewed[:, index] & (kind >= 0)
    for frame in np.flatnonzero(both).tolist():
        one, other = a.plane(frame, index), b.plane(frame, index)
        row = sums[kind[frame]]
        row[2] += 1
        if one is None and other is None:
            continue
        table = joint_histogram(blank if one is None else one, blank if other is None else other)
        s = survival(table)
        diagonal = np.arange(1, N_VALUES)
        row[0] += 2 * float(s[diagonal, diagonal].sum())
        row[1] += float(s[1:, 0].sum() + s[0, 1:].sum())
    return sums


def _contrast(
    class_name: str, a: str, b: str, rows: Sequence[tuple[str, NDArray[np.float64]]]
) -> Contrast:
    patients = [patient for patient, _ in rows]
    sums = np.array([s.reshape(-1) for _, s in rows])
    n = sums.sum(0)[[2, 5]].astype(int).tolist()

    def dice(drawn: NDArray[np.float64], kind: int) -> NDArray[np.float64]:
        value = np.full(len(drawn), np.nan)
        twice, areas = drawn[:, 3 * kind], drawn[:, 3 * kind + 1]
        np.divide(twice, areas, out=value, where=areas > 0)
        return value

    return Contrast(
        class_name,
        a,
        b,
        estimate(sums, patients, lambda d: dice(d, WITH), n=n[WITH]),
        estimate(sums, patients, lambda d: dice(d, WITHOUT), n=n[WITHOUT]),
        estimate(sums, patients, lambda d: dice(d, WITH) - dice(d, WITHOUT), n=sum(n)),
    )
