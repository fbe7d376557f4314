"""Agreement of raters, clip by clip and in bounded memory.

One pass over the frames of a clip fills a joint histogram per class and pair of raters; scores
follow from it. Only what both have reviewed is compared. What a clip adds to kappa, alpha,
calibration and correlation are sums, so :mod:`napari_confseg.agreement.summary` can add clips up
and resample patients without reading a plane again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.agreement.answers import VERSION, pack, unpack
from napari_confseg.agreement.overlap import (
    N_VALUES,
    Outlines,
    dice,
    dice_curve,
    energy_distance,
    iou,
    joint_histogram,
    soft_dice,
    survival,
)
from napari_confseg.agreement.rater_view import (
    compared_raters,
    first_reading,
    planes_of,
    rater_views,
)
from napari_confseg.agreement.scores import (
    ClipAgreement,
    PairScore,
    Pixels,
    Presence,
    SoftScore,
    Stated,
)
from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE, Problem, StoreError
from napari_confseg.store.survey import Question, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.agreement.rater_view import RaterView
    from napari_confseg.store import Clip, Cohort


VOTE = 50
"""Confidence from which a rater counts as voting yes, where a yes or no is needed."""


@dataclass(frozen=True)
class Agreement:
    """Agreement over a cohort.

    Parameters
    ----------
    raters : tuple of str
        Second readings (``<rater>-2``) among them.
    thresholds : tuple of int
        Confidences in percent.
    clips : tuple of ClipAgreement
        Clips that at least two of the raters are on.
    problems : tuple of Problem
        Why some clips could not be read.
    """

    cohort: str
    raters: tuple[str, ...]
    classes: tuple[str, ...]
    thresholds: tuple[int, ...]
    clips: tuple[ClipAgreement, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def group(self) -> tuple[str, ...]:
        """The raters without second readings: those whose agreement with each other counts."""
        return tuple(r for r in self.raters if first_reading(r, self.raters) is None)

    def pairs(self) -> list[tuple[str, str]]:
        """Return all pairs of the group, then each rater with their own second reading."""
        own = [(f, r) for r in self.raters if (f := first_reading(r, self.raters))]
        return [*combinations(self.group, 2), *own]


def compare_clip(
    clip: Clip,
    views: Sequence[RaterView],
    raters: Sequence[str],
    classes: Sequence[str],
    thresholds: Sequence[int],
) -> ClipAgreement:
    """Return what one clip adds to the agreement of `raters`, of whom `views` are on it."""
    result = ClipAgreement(clip.name, clip.meta.patient)
    for view in views:
        times = [s.time for s in view.rater.read_strokes() if not s.undone]
        result.read_at[view.name] = max(times, default=view.rater.meta.created)
    indices = {c.name: c.index for c in clip.classes}
    for class_name in classes:
        index = indices[class_name]
        counter = _Counter(clip, raters, thresholds)
        for frame in range(clip.shape[0]):
            planes = planes_of(views, frame, index, clip.shape[1:])
            if len(planes) > 1:
                counter.add(frame, planes)
        counter.report(result, class_name)
    return result


class _Counter:
    """Adds up one class of one clip."""

    def __init__(self, clip: Clip, names: Sequence[str], thresholds: Sequence[int]) -> None:
        self._clip = clip
        self._thresholds = thresholds
        self._group = [n for n in names if first_reading(n, names) is None]
        self._own = [(f, n) for n in names if (f := first_reading(n, names))]
        spacing = clip.meta.spacing
        self._spacing = (spacing.y, spacing.x) if spacing else (1.0, 1.0)
        pairs = [*combinations(self._group, 2), *self._own]
        self._tables = {p: np.zeros((N_VALUES, N_VALUES), np.int64) for p in pairs}
        self._frames = dict.fromkeys(pairs, 0)
        self._worst: dict[tuple[str, str], tuple[float, int | None]] = dict.fromkeys(
            pairs, (0.0, None)
        )
        self._hd95: dict[tuple[str, str, int], list[float]] = {}
        n = len(self._group)
        self._presence = {t: Presence(np.zeros(n + 1, np.int64)) for t in thresholds}
        self._coincidences = np.zeros((N_VALUES, N_VALUES))
        self._moments = {name: np.zeros(6) for name in self._group}

    def add(self, frame: int, planes: dict[str, NDArray[np.uint8]]) -> None:
        """Add a frame that at least two have reviewed."""
        box = _marked_box(planes)
        cut = {name: plane[box] for name, plane in planes.items()}
        some = next(iter(planes.values()))
        outside = some.size - some[box].size
        for pair in self._tables:
            if pair[0] in cut and pair[1] in cut:
                self._add_pair(frame, pair, cut, outside)
        group_planes = {n: cut[n] for n in self._group if n in cut}
        if len(group_planes) > 1:
            self._add_presence(group_planes)
            self._add_pixels(group_planes, outside)
            self._add_moments(group_planes)
        if some[box].size:
            self._add_outlines(cut)

    def _add_pair(
        self, frame: int, pair: tuple[str, str], cut: dict[str, NDArray[np.uint8]], outside: int
    ) -> None:
        table = joint_histogram(cut[pair[0]], cut[pair[1]])
        table[0, 0] += outside
        self._tables[pair] += table
        self._frames[pair] += 1
        apart = float((table * _GAP).sum()) / 100
        if apart > self._worst[pair][0]:
            self._worst[pair] = (apart, frame)

    def _add_presence(self, group_planes: dict[str, NDArray[np.uint8]]) -> None:
        highest = [int(_known(p).max(initial=0)) for p in group_planes.values()]
        for threshold, presence in self._presence.items():
            yes = sum(h >= threshold for h in highest)
            no = len(highest) - yes
            if len(group_planes) == len(self._group):
                presence.tally[yes] += 1
            pairs = np.array([[no * (no - 1), no * yes], [no * yes, yes * (yes - 1)]])
            presence.coincidences += pairs / (len(highest) - 1)

    def _add_pixels(self, group_planes: dict[str, NDArray[np.uint8]], outside: int) -> None:
        planes = list(group_planes.values())
        excluded = np.logical_or.reduce([p == EXCLUDED for p in planes])
        if excluded.any():  # a pixel that one excludes has no full set of answers: leave it out
            planes = [np.where(excluded, np.uint8(EXCLUDED), p) for p in planes]
        for a, b in combinations(planes, 2):
            table = joint_histogram(a, b)
            table[0, 0] += outside
            self._coincidences += (table + table.T) / (len(planes) - 1)

    def _add_moments(self, group_planes: dict[str, NDArray[np.uint8]]) -> None:
        for name, plane in group_planes.items():
            others = np.stack(
                [p[(plane > 0) & (plane != EXCLUDED)] for n, p in group_planes.items() if n != name]
            )
            known = others != EXCLUDED
            votes = known.sum(0)
            x = plane[(plane > 0) & (plane != EXCLUDED)][votes > 0] / 100
            y = (((others >= VOTE) & known).sum(0) / np.maximum(votes, 1))[votes > 0]
            self._moments[name] += [x.size, x.sum(), y.sum(), x @ x, y @ y, x @ y]

    def _add_outlines(self, cut: dict[str, NDArray[np.uint8]]) -> None:
        for t in self._thresholds:
            masks = {n: (p >= t) & (p != EXCLUDED) for n, p in cut.items()}
            outlines = Outlines(masks, self._spacing)
            for a, b in self._tables:
                distance = outlines.hausdorff95(a, b)
                if not np.isnan(distance):
                    self._hd95.setdefault((a, b, t), []).append(distance)

    def report(self, result: ClipAgreement, class_name: str) -> None:
        """Put what was counted into `result`."""
        clip, patient = result.clip, result.patient
        for (a, b), table in self._tables.items():
            frames = self._frames[a, b]
            if not frames:
                continue
            worst_pixels, worst_frame = self._worst[a, b]
            result.soft.append(
                SoftScore(
                    clip,
                    patient,
                    class_name,
                    a,
                    b,
                    frames,
                    soft_dice(table),
                    energy_distance(table),
                    dice_curve(table),
                    worst_frame,
                    worst_pixels,
                )
            )
            at_least = survival(table)
            for t in self._thresholds:
                overlap = (float(at_least[t, t]), float(at_least[t, 0]), float(at_least[0, t]))
                distances = self._hd95.get((a, b, t), [])
                result.pairs.append(
                    PairScore(
                        clip,
                        patient,
                        class_name,
                        a,
                        b,
                        t,
                        frames,
                        dice(*overlap),
                        iou(*overlap),
                        float(np.mean(distances)) if distances else np.nan,
                        len(distances),
                        "mm" if self._clip.meta.spacing else "px",
                    )
                )
        for t, presence in self._presence.items():
            result.presence[class_name, t] = presence
        matrix = self._coincidences
        result.pixels[class_name] = Pixels(
            matrix.sum(1),
            float((matrix * _GAP**2).sum()),
            {t: _binary(matrix, t) for t in self._thresholds},
        )
        for name in self._group:
            result.stated[class_name, name] = self._stated(name)

    def _stated(self, name: str) -> Stated:
        tables = [t for (a, _), t in self._group_tables() if a == name]
        tables += [t.T for (_, b), t in self._group_tables() if b == name]
        total = np.sum(tables, axis=0) if tables else np.zeros((N_VALUES, N_VALUES), np.int64)
        return Stated(total.sum(1), total[:, VOTE:].sum(1), self._moments[name])

    def _group_tables(self) -> list[tuple[tuple[str, str], NDArray[np.int64]]]:
        return [(p, t) for p, t in self._tables.items() if p not in self._own]


_GAP = np.abs(np.subtract.outer(np.arange(N_VALUES), np.arange(N_VALUES)))


def _known(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    known: NDArray[np.uint8] = plane[plane != EXCLUDED]
    return known


def _binary(matrix: NDArray[np.float64], t: int) -> NDArray[np.float64]:
    halves = np.add.reduceat(matrix, [0, t], axis=0)
    return np.add.reduceat(halves, [0, t], axis=1)


def _marked_box(planes: dict[str, NDArray[np.uint8]]) -> tuple[slice, slice]:
    """Return the box around everything marked, so that background costs nothing."""
    distinct = {id(p): p for p in planes.values()}.values()
    rows = np.logical_or.reduce([p.any(1) for p in distinct])
    columns = np.logical_or.reduce([p.any(0) for p in distinct])
    if not rows.any():
        return np.s_[0:0, 0:0]
    y, x = np.flatnonzero(rows), np.flatnonzero(columns)
    return np.s_[int(y[0]) : int(y[-1]) + 1, int(x[0]) : int(x[-1]) + 1]


def agree(
    cohort: Cohort,
    *,
    raters: Sequence[str] = (),
    classes: Sequence[str] = (),
    clips: Sequence[str] = (),
    thresholds: Sequence[int] = (),
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    processes: bool = False,
    seen: dict[str, str] | None = None,
) -> Agreement:
    """Compare raters over a cohort.

    Parameters
    ----------
    cohort : Cohort
        Read only.
    raters : sequence of str
        Raters to compare; every reader if empty. A model or a consensus may be named, too.
    classes, clips : sequence of str
        All if empty.
    thresholds : sequence of int
        Confidences in percent, 1..100; the cohort's anchors if empty.
    progress : callable, optional
        Called with (clips done, clips, name).
    cancelled : callable, optional
        Checked before each clip; if true, what is done so far is returned.
    processes, seen
        As for :func:`~napari_confseg.store.survey.survey`.

    Raises
    ------
    StoreError
        If there are fewer than two raters, or a class or threshold is not possible.
    """
    seen = {} if seen is None else seen
    names, wanted, chosen = resolve(
        cohort, raters, classes, thresholds, processes=processes, seen=seen
    )
    question = Question(
        partial(_ask, names, wanted, chosen), f"{VERSION} {names} {wanted} {chosen}"
    )
    found: list[ClipAgreement] = []
    problems: list[Problem] = []
    for answer in survey(
        cohort,
        question,
        clips=clips,
        processes=processes,
        progress=progress,
        cancelled=cancelled,
        seen=seen,
    ):
        problems += answer.problems
        if answer.data:  # else fewer than two are on it
            found.append(unpack(answer.data))
    return Agreement(cohort.meta.name, names, wanted, chosen, tuple(found), tuple(problems))


def resolve(
    cohort: Cohort,
    raters: Sequence[str],
    classes: Sequence[str],
    thresholds: Sequence[int],
    *,
    processes: bool = False,
    seen: dict[str, str] | None = None,
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...]]:
    """Return the raters, classes and thresholds that :func:`agree` compares; see there."""
    names = tuple(raters) or tuple(compared_raters(cohort, processes=processes, seen=seen))
    wanted = tuple(classes) or tuple(c.name for c in cohort.meta.classes)
    chosen = tuple(sorted(set(thresholds))) or tuple(a.value for a in cohort.meta.anchors)
    _check(cohort, names, wanted, chosen)
    return names, wanted, chosen


def _ask(
    names: Sequence[str], classes: Sequence[str], thresholds: Sequence[int], clip: Clip
) -> dict[str, Any]:
    """Return what a clip adds to the agreement, as plain data; an empty one if nothing."""
    views = rater_views(clip, names)
    return pack(compare_clip(clip, views, names, classes, thresholds)) if len(views) > 1 else {}


def _check(
    cohort: Cohort, raters: tuple[str, ...], classes: tuple[str, ...], thresholds: tuple[int, ...]
) -> None:
    problems = []
    if len(set(raters)) < 2:
        problems.append(
            Problem(
                "too-few-raters",
                "",
                f"Agreement needs at least two raters, given: {', '.join(raters) or 'none'}",
                hint="Name them, or let a second person read.",
            )
        )
    known = {c.name for c in cohort.meta.classes}
    for name in classes:
        if name not in known:
            problems.append(
                Problem.mismatch("class-unknown", "", f"one of {sorted(known)}", repr(name))
            )
    for threshold in thresholds:
        if not 1 <= threshold <= MAX_CONFIDENCE:
            problems.append(
                Problem.mismatch("threshold-range", "", "1..100 percent", str(threshold))
            )
    if problems:
        raise StoreError(problems)
