"""Disagreements of raters: regions of frames, linked to events, worst first.

At a threshold each rater votes yes or no on every pixel. Pixels on which those who reviewed the
frame differ form connected regions (8 neighbours); a region of the next frame that overlaps
continues it, so a B-line that one reader overlooks for twenty frames is one event.

An event's size is the sum over its pixels of (highest - lowest confidence) / 100: area times gap,
in pixels of full disagreement. The list is ranked by it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_confseg.agreement.maps import gap
from napari_confseg.agreement.rater_view import planes_of, rater_views
from napari_confseg.store import EXCLUDED, Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.agreement.agreement import Agreement
    from napari_confseg.agreement.rater_view import RaterView
    from napari_confseg.agreement.scores import SoftScore
    from napari_confseg.store import Clip


@dataclass(frozen=True, eq=False)
class Region:
    """Connected pixels of one frame on which raters differ.

    Parameters
    ----------
    frame, y, x : int
        Which frame, and the top-left pixel of the box around it.
    shape : tuple of int
        (h, w) of that box.
    bits : ndarray of uint8
        The mask in that box, packed: a long clip has thousands of regions.
    area : int
        Pixels.
    size : float
        Sum over its pixels of (highest - lowest confidence) / 100.
    stated : dict of str to float
        Mean confidence in percent of each rater who reviewed the frame and doesn't exclude it.
    omitted_by : frozenset of str
        Raters with no mark in it nor touching it: they omit the finding, not only a part.
    """

    frame: int
    y: int
    x: int
    shape: tuple[int, int]
    bits: NDArray[np.uint8]
    area: int
    size: float
    stated: dict[str, float]
    omitted_by: frozenset[str]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The region's pixels within its box, ``bool (h, w)``."""
        n = self.shape[0] * self.shape[1]
        return np.unpackbits(self.bits, count=n).reshape(self.shape).astype(bool)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(y0, x0, y1, x1), half open."""
        return self.y, self.x, self.y + self.shape[0], self.x + self.shape[1]

    @property
    def anchor(self) -> tuple[int, int]:
        """A pixel (y, x) of the region: the first of its middle row."""
        mask = self.mask
        rows = np.flatnonzero(mask.any(axis=1))
        row = int(rows[len(rows) // 2])
        return self.y + row, self.x + int(np.flatnonzero(mask[row])[0])

    def holds(self, y: int, x: int) -> bool:
        """Whether pixel (y, x) belongs to it."""
        inside = 0 <= y - self.y < self.shape[0] and 0 <= x - self.x < self.shape[1]
        return inside and bool(self.mask[y - self.y, x - self.x])


@dataclass(frozen=True, eq=False)
class Event:
    """One disagreement: a region on each of some frames, each overlapping the one before.

    Parameters
    ----------
    regions : tuple of Region
        One a frame, frames rising.
    """

    class_index: int
    regions: tuple[Region, ...]

    @property
    def frames(self) -> tuple[int, ...]:
        """Its frames, rising."""
        return tuple(r.frame for r in self.regions)

    @property
    def size(self) -> float:
        """Pixels of full disagreement over all its frames."""
        return sum(r.size for r in self.regions)

    @property
    def worst(self) -> Region:
        """The largest of its regions."""
        return max(self.regions, key=lambda r: r.size)

    @property
    def presence(self) -> bool:
        """Whether somebody omits the finding, over most of its area."""
        omitted = sum(r.area for r in self.regions if r.omitted_by)
        return 2 * omitted > sum(r.area for r in self.regions)

    @property
    def stated(self) -> dict[str, float]:
        """Mean confidence in percent of each rater over all its pixels."""
        sums: dict[str, float] = {}
        areas: dict[str, int] = {}
        for region in self.regions:
            for name, value in region.stated.items():
                sums[name] = sums.get(name, 0.0) + value * region.area
                areas[name] = areas.get(name, 0) + region.area
        return {name: sums[name] / areas[name] for name in sums}


@dataclass(frozen=True, eq=False)
class Disagreements:
    """All disagreements of some raters on one clip, worst first.

    Parameters
    ----------
    raters : tuple of str
        Raters compared, those of them that are on the clip.
    threshold, narrowest : int
        Confidence that counted as yes, and smallest width of a region.
    compared : ndarray of bool (T, C)
        Frames and classes that at least two of them reviewed.
    events : tuple of Event
        Worst first.
    """

    clip: str
    raters: tuple[str, ...]
    threshold: int
    narrowest: int
    compared: NDArray[np.bool_]
    events: tuple[Event, ...]


def overlap(a: Region, b: Region) -> int:
    """Return how many pixels two regions share, whatever their frames."""
    top, left = max(a.y, b.y), max(a.x, b.x)
    bottom, right = min(a.box[2], b.box[2]), min(a.box[3], b.box[3])
    if top >= bottom or left >= right:
        return 0
    one = a.mask[top - a.y : bottom - a.y, left - a.x : right - a.x]
    other = b.mask[top - b.y : bottom - b.y, left - b.x : right - b.x]
    return int((one & other).sum())


NARROWEST = 3
"""A region that holds no square of this many pixels is a sliver between two hand-drawn edges."""

_EIGHT = np.ones((3, 3), bool)


def split_vote(planes: NDArray[np.uint8], threshold: int) -> NDArray[np.bool_]:
    """Return where raters differ, ``bool (Y, X)``, from ``uint8 (raters, Y, X)``.

    A pixel that a rater excludes is no vote of theirs.
    """
    known = planes != EXCLUDED
    yes = (planes >= threshold) & known
    split: NDArray[np.bool_] = yes.any(axis=0) & (~yes & known).any(axis=0)
    return split


def wide_regions(
    split: NDArray[np.bool_], narrowest: int = NARROWEST
) -> tuple[NDArray[np.int32], int]:
    """Return the connected regions of `split` that hold a square of `narrowest` pixels.

    Returns
    -------
    ndarray of int32 (Y, X), int
        1, 2, ... inside regions, 0 elsewhere and in slivers; and how many regions there are.
    """
    labels, n = ndimage.label(split, _EIGHT)
    # The smallest of a square is 1 only where the whole square is inside.
    core = ndimage.minimum_filter(split.astype(np.uint8), narrowest, mode="constant")
    wide = np.zeros(n + 1, np.int32)
    kept = np.unique(labels[core > 0])
    wide[kept] = np.arange(1, len(kept) + 1)
    return wide[labels], len(kept)


def marked_box(planes: Iterable[NDArray[np.uint8]]) -> tuple[slice, slice] | None:
    """Return the box around all that anybody marked, one pixel wider; None if nothing is."""
    marked = np.logical_or.reduce([p > 0 for p in planes])
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    if rows.size == 0:
        return None
    top, left = max(int(rows[0]) - 1, 0), max(int(columns[0]) - 1, 0)
    return np.s_[top : int(rows[-1]) + 2, left : int(columns[-1]) + 2]


def regions_of(
    planes: dict[str, NDArray[np.uint8]], frame: int, threshold: int, narrowest: int = NARROWEST
) -> list[Region]:
    """Return the regions where raters differ on one frame.

    Parameters
    ----------
    planes : dict
        Name -> ``uint8 (Y, X)`` of everybody who reviewed the frame.
    frame : int
        Its number, kept with the regions.
    threshold : int
        Confidence in percent that counts as yes, 1..100.
    narrowest : int
        See :func:`wide_regions`.
    """
    box = marked_box(planes.values())
    if len(planes) < 2 or box is None:
        return []
    top, left = box[0].start, box[1].start
    stack = np.stack([p[box] for p in planes.values()])
    labels, n = wide_regions(split_vote(stack, threshold), narrowest)
    found = []
    for number, place in enumerate(ndimage.find_objects(labels, n), 1):
        ys, xs = place
        around = np.s_[max(ys.start - 1, 0) : ys.stop + 1, max(xs.start - 1, 0) : xs.stop + 1]
        mask = labels[place] == number
        stated, omitted = _opinions(planes, stack[:, *around], labels[around] == number, threshold)
        found.append(
            Region(
                frame,
                top + ys.start,
                left + xs.start,
                mask.shape,
                np.packbits(mask),
                int(mask.sum()),
                float(gap(stack[:, *place])[mask].sum()) / 100,
                stated,
                omitted,
            )
        )
    return found


def _opinions(
    names: Iterable[str],
    stack: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    threshold: int,
) -> tuple[dict[str, float], frozenset[str]]:
    """Return each rater's mean confidence in `mask`, and who has no mark there nor touching it."""
    near = ndimage.binary_dilation(mask, _EIGHT)
    stated, omitted = {}, set()
    for name, plane in zip(names, stack, strict=True):
        inside = plane[mask]
        inside = inside[inside != EXCLUDED]
        if inside.size:
            stated[name] = float(inside.mean())
            touching = plane[near]
            if not ((touching >= threshold) & (touching != EXCLUDED)).any():
                omitted.add(name)
    return stated, frozenset(omitted)


def linked(frames: Sequence[Sequence[Region]], class_index: int) -> list[Event]:
    """Return the events that regions make, followed from each frame to the next.

    A region continues the one it shares most pixels with, and each is continued by at most one:
    where a region splits, the larger part goes on and the other begins an event of its own.

    Parameters
    ----------
    frames : sequence of sequence of Region
        Regions by frame, in the order of the compared frames.
    class_index : int
        Kept with the events.
    """
    chains: list[list[Region]] = [[r] for r in (frames[0] if frames else ())]
    open_ = dict(enumerate(chains))  # index in the frame -> chain that ends there
    for before, now in pairwise(frames):
        shared = sorted(
            (
                (-n, i, j)
                for i, a in enumerate(before)
                for j, b in enumerate(now)
                if (n := overlap(a, b))
            ),
        )
        going_on: dict[int, list[Region]] = {}
        for _, i, j in shared:
            if i in open_ and j not in going_on:
                going_on[j] = open_.pop(i)
                going_on[j].append(now[j])
        for j, region in enumerate(now):
            if j not in going_on:
                going_on[j] = [region]
                chains.append(going_on[j])
        open_ = going_on
    return [Event(class_index, tuple(chain)) for chain in chains]


def find_disagreements(
    clip: Clip,
    raters: Sequence[str],
    classes: Sequence[int],
    threshold: int,
    *,
    narrowest: int = NARROWEST,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Disagreements | None:
    """Compare raters over a clip; None if cancelled.

    Only frames that at least two of them reviewed are compared, and only planes that are on disk
    are read, one frame of one class at a time.

    Parameters
    ----------
    clip : Clip
        Read only.
    raters : sequence of str
        Raters; those not on the clip are left out.
    classes : sequence of int
        Indices of the classes.
    threshold, narrowest : int
        See :func:`regions_of`.
    progress : callable, optional
        Called with (frames done, frames).
    cancelled : callable, optional
        Checked before each frame.

    Raises
    ------
    StoreError
        If a plane cannot be read, or a rater vanishes meanwhile.
    """
    views = rater_views(clip, raters)
    n_frames = clip.shape[0]
    n_classes = views[0].reviewed.shape[1] if views else 0
    compared = np.zeros((n_frames, n_classes), np.bool_)
    if views:
        twice = np.sum([r.reviewed for r in views], axis=0) >= 2
        compared[:, list(classes)] = twice[:, list(classes)]
    total, done = int(compared.sum()), 0
    events: list[Event] = []
    for c in classes if views else ():
        found = []
        for frame in np.flatnonzero(compared[:, c]).tolist():
            if cancelled and cancelled():
                return None
            if progress:
                progress(done, total)
            done += 1
            found.append(_frame_regions(views, frame, c, clip, threshold, narrowest))
        events += linked(found, c)
    _still_there(clip, views)
    events.sort(key=lambda e: (-e.size, e.class_index, e.regions[0].frame, e.regions[0].box))
    names = tuple(r.name for r in views)
    return Disagreements(clip.name, names, threshold, narrowest, compared, tuple(events))


def _frame_regions(
    views: Sequence[RaterView], frame: int, c: int, clip: Clip, threshold: int, narrowest: int
) -> list[Region]:
    planes = planes_of(views, frame, c, clip.shape[1:])
    return regions_of(planes, frame, threshold, narrowest)


def _still_there(clip: Clip, views: Sequence[RaterView]) -> None:
    """Refuse a comparison with a rater who was removed meanwhile: missing chunks read as 0."""
    gone = sorted({r.name for r in views} - set(clip.raters()))
    if gone:
        raise StoreError(
            Problem(
                "missing",
                f"{clip.name}/raters/{gone[0]}",
                "This rater was removed meanwhile",
                hint="Compare the raters that are left.",
            )
        )


MOST = 12
"""Number of frames shown."""


def worst_first(agreement: Agreement, number: int = MOST) -> list[SoftScore]:
    """Return the frames furthest apart, largest first.

    At most two of a clip and class, and no class more than a third: the largest structures would
    fill the list.
    """
    rows = [s for c in agreement.clips for s in c.soft if s.worst_frame is not None]
    rows.sort(key=lambda s: (-s.worst_pixels, s.clip, s.class_name, s.a, s.b))
    here: Counter[tuple[str, str]] = Counter()
    of_class: Counter[str] = Counter()
    chosen = []
    for row in rows:
        key = (row.clip, row.class_name)
        if here[key] < 2 and of_class[row.class_name] < max(1, number // 3):
            here[key] += 1
            of_class[row.class_name] += 1
            chosen.append(row)
    return chosen[:number]
