"""One pass over a clip: joint histograms per class and pair, and what follows from them."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.dataset.overlap import (
    LEVELS,
    Outlines,
    dice,
    dice_curve,
    energy_distance,
    iou,
    joint_histogram,
    soft_dice,
    survival,
)
from napari_confseg.dataset.reading import first_reading, planes_of
from napari_confseg.dataset.scores import (
    VOTE,
    ClipAgreement,
    PairScore,
    Pixels,
    Presence,
    SoftScore,
    Stated,
)
from napari_confseg.store import EXCLUDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.dataset.reading import Reading
    from napari_confseg.store import Clip, Cohort


def compare_clip(
    clip: Clip,
    panel: Sequence[Reading],
    raters: Sequence[str],
    cohort: Cohort,
    classes: Sequence[str],
    thresholds: Sequence[int],
) -> ClipAgreement:
    """Return what one clip adds to the agreement of `raters`, of whom `panel` are on it."""
    result = ClipAgreement(clip.name, clip.meta.patient)
    for reading in panel:
        times = [s.time for s in reading.rater.read_strokes() if not s.undone]
        result.read_at[reading.name] = max(times, default=reading.rater.meta.created)
    for class_name in classes:
        index = cohort.meta.class_index(class_name)
        counter = _Counter(clip, raters, thresholds)
        for frame in range(clip.shape[0]):
            planes = planes_of(panel, frame, index, clip.shape[1:])
            if len(planes) > 1:
                counter.add(frame, planes)
        counter.report(result, class_name)
    return result


class _Counter:
    """Adds up one class of one clip."""

    def __init__(self, clip: Clip, names: Sequence[str], thresholds: Sequence[int]) -> None:
        self._clip = clip
        self._thresholds = thresholds
        self._panel = [n for n in names if first_reading(n, names) is None]
        self._own = [(f, n) for n in names if (f := first_reading(n, names))]
        spacing = clip.meta.spacing
        self._spacing = (spacing.y, spacing.x) if spacing else (1.0, 1.0)
        pairs = [*combinations(self._panel, 2), *self._own]
        self._tables = {p: np.zeros((LEVELS, LEVELS), np.int64) for p in pairs}
        self._frames = dict.fromkeys(pairs, 0)
        self._worst: dict[tuple[str, str], tuple[float, int | None]] = dict.fromkeys(
            pairs, (0.0, None)
        )
        self._hd95: dict[tuple[str, str, int], list[float]] = {}
        n = len(self._panel)
        self._presence = {t: Presence(np.zeros(n + 1, np.int64)) for t in thresholds}
        self._coincidences = np.zeros((LEVELS, LEVELS))
        self._moments = {name: np.zeros(6) for name in self._panel}

    def add(self, frame: int, planes: dict[str, NDArray[np.uint8]]) -> None:
        """Add a frame that at least two have reviewed."""
        box = _marked_box(planes)
        cut = {name: plane[box] for name, plane in planes.items()}
        some = next(iter(planes.values()))
        outside = some.size - some[box].size
        for pair in self._tables:
            if pair[0] in cut and pair[1] in cut:
                self._add_pair(frame, pair, cut, outside)
        jury = {n: cut[n] for n in self._panel if n in cut}
        if len(jury) > 1:
            self._add_presence(jury)
            self._add_pixels(jury, outside)
            self._add_moments(jury)
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

    def _add_presence(self, jury: dict[str, NDArray[np.uint8]]) -> None:
        highest = [int(_known(p).max(initial=0)) for p in jury.values()]
        for threshold, presence in self._presence.items():
            yes = sum(h >= threshold for h in highest)
            no = len(highest) - yes
            if len(jury) == len(self._panel):
                presence.tally[yes] += 1
            pairs = np.array([[no * (no - 1), no * yes], [no * yes, yes * (yes - 1)]])
            presence.coincidences += pairs / (len(highest) - 1)

    def _add_pixels(self, jury: dict[str, NDArray[np.uint8]], outside: int) -> None:
        planes = list(jury.values())
        excluded = np.logical_or.reduce([p == EXCLUDED for p in planes])
        if excluded.any():  # a pixel that one excludes has no full set of answers: leave it out
            planes = [np.where(excluded, np.uint8(EXCLUDED), p) for p in planes]
        for a, b in combinations(planes, 2):
            table = joint_histogram(a, b)
            table[0, 0] += outside
            self._coincidences += (table + table.T) / (len(planes) - 1)

    def _add_moments(self, jury: dict[str, NDArray[np.uint8]]) -> None:
        for name, plane in jury.items():
            others = np.stack([p[(plane > 0) & (plane != EXCLUDED)]
                               for n, p in jury.items() if n != name])  # fmt: skip
            known = others != EXCLUDED
            asked = known.sum(0)
            x = plane[(plane > 0) & (plane != EXCLUDED)][asked > 0] / 100
            y = (((others >= VOTE) & known).sum(0) / np.maximum(asked, 1))[asked > 0]
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
                SoftScore(clip, patient, class_name, a, b, frames, soft_dice(table),
                          energy_distance(table), dice_curve(table), worst_frame,
                          worst_pixels)
            )  # fmt: skip
            at_least = survival(table)
            for t in self._thresholds:
                overlap = (float(at_least[t, t]), float(at_least[t, 0]), float(at_least[0, t]))
                distances = self._hd95.get((a, b, t), [])
                result.pairs.append(
                    PairScore(clip, patient, class_name, a, b, t, frames, dice(*overlap),
                              iou(*overlap), float(np.mean(distances)) if distances else np.nan,
                              len(distances), "mm" if self._clip.meta.spacing else "px")
                )  # fmt: skip
        for t, presence in self._presence.items():
            result.presence[class_name, t] = presence
        matrix = self._coincidences
        result.pixels[class_name] = Pixels(
            matrix.sum(1), float((matrix * _GAP**2).sum()),
            {t: _binary(matrix, t) for t in self._thresholds},
        )  # fmt: skip
        for name in self._panel:
            result.stated[class_name, name] = self._stated(name)

    def _stated(self, name: str) -> Stated:
        tables = [t for (a, _), t in self._panel_tables() if a == name]
        tables += [t.T for (_, b), t in self._panel_tables() if b == name]
        total = np.sum(tables, axis=0) if tables else np.zeros((LEVELS, LEVELS), np.int64)
        return Stated(total.sum(1), total[:, VOTE:].sum(1), self._moments[name])

    def _panel_tables(self) -> list[tuple[tuple[str, str], NDArray[np.int64]]]:
        return [(p, t) for p, t in self._tables.items() if p not in self._own]


_GAP = np.abs(np.subtract.outer(np.arange(LEVELS), np.arange(LEVELS)))


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
