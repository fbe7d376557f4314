"""Decisions on disagreements: the edits that store them, and their record."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_confseg.agreement.consensus import combine_mean, merge
from napari_confseg.agreement.disagreement import marked_box, split_vote, wide_regions
from napari_confseg.annotate.patches import patch_between
from napari_confseg.store import EXCLUDED, DecidedRegion, Decision, Edit, Status, StatusChange

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.agreement.disagreement import Event, Region
    from napari_confseg.store import AnyPlanes, Patch, Stroke, Verdict

    Box = tuple[int, int, int, int]
    Planes = dict[str, NDArray[np.uint8]]
    Resolved = list[tuple[Region, NDArray[np.uint8] | None]]

TOOL: Final = "adjudicate-{}"


@dataclass(frozen=True)
class DecisionBasis:
    """The adjudicator's name, the raters compared and the settings of the comparison."""

    by: str
    raters: tuple[str, ...]
    threshold: int
    narrowest: int

    def decision(
        self, verdict: Verdict, regions: Iterable[Region] = (), source: str | None = None
    ) -> Decision:
        """Return what goes into the record."""
        return Decision(
            verdict=verdict,
            by=self.by,
            raters=self.raters,
            source=source,
            threshold=self.threshold,
            narrowest=self.narrowest,
            regions=tuple(
                DecidedRegion(frame=r.frame, anchor=r.anchor, box=r.box) for r in regions
            ),
        )


def mean_of(planes: Planes) -> NDArray[np.uint8]:
    """Return the mean confidence of those who don't exclude the pixel, ``uint8 (Y, X)``."""
    return merge(list(planes), planes, combine_mean)


def agreed_plane(planes: Planes, threshold: int, narrowest: int) -> tuple[NDArray[np.uint8], bool]:
    """Return what needs no decision on one frame, and whether something else does.

    Parameters
    ----------
    planes : dict
        Name -> ``uint8 (Y, X)`` of everybody who reviewed the frame, two at least.
    threshold, narrowest : int
        Confidence that counts as marked, and width from which a region needs a decision.

    Returns
    -------
    ndarray of uint8 (Y, X)
        The mean confidence where all mark the pixel, and in slivers too thin to need a decision;
        what half of them exclude is excluded; 0 elsewhere.
    bool
        Whether there is a region to decide.
    """
    out = np.zeros(next(iter(planes.values())).shape, np.uint8)
    box = marked_box(planes.values())
    if box is None:
        return out, False
    stack = np.stack([p[box] for p in planes.values()])
    split = split_vote(stack, threshold)
    labels, n = wide_regions(split, narrowest)
    known = stack != EXCLUDED
    everybody = ((stack >= threshold) | ~known).all(axis=0) & (known.sum(axis=0) >= 2)
    mean = mean_of(dict(zip(planes, stack, strict=True)))
    kept = everybody | (split & (labels == 0)) | (mean == EXCLUDED)
    out[box] = np.where(kept, mean, 0)
    return out, n > 0


def resolve_regions(
    verdict: Verdict,
    regions: Sequence[Region],
    source: str | None,
    planes: Callable[[int, str | None], Planes],
    progress: Callable[[int, int], object] = lambda *_: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Resolved | None:
    """Return the confidences that a verdict gives `regions`; None if cancelled.

    Reads a plane or more for each region.

    Parameters
    ----------
    verdict : str
        ``"accept"`` (of `source`), ``"mean"``, ``"reject"``, or ``"correct"``: painted already.
    regions : sequence of Region
        Of one class.
    source : str or None
        The rater to accept; regions of frames that they have not reviewed are left out.
    planes : callable
        From a frame and a rater (None: everybody compared) to the planes of those who reviewed it.
    progress : callable
        Called with (regions done, regions).
    cancelled : callable
        Checked before each region.

    Returns
    -------
    list of (Region, ndarray of uint8 (h, w) or None)
        The confidence within each region's box; None where it stays as it is.
    """
    found: Resolved = []
    for done, region in enumerate(regions):
        if cancelled():
            return None
        progress(done, len(regions))
        stated = planes(region.frame, source) if verdict in ("accept", "mean") else {}
        if source is not None and source not in stated:
            continue  # unmarked by someone who has not reviewed the frame means nothing
        found.append((region, None if verdict == "correct" else _values(region, stated, source)))
    return found


def _values(region: Region, stated: Planes, source: str | None) -> NDArray[np.uint8]:
    y0, x0, y1, x1 = region.box
    box = np.s_[y0:y1, x0:x1]
    if source is not None:
        return stated[source][box].copy()  # of a whole plane, only this is kept
    if stated:
        return mean_of({n: p[box] for n, p in stated.items()})
    return np.zeros((y1 - y0, x1 - x0), np.uint8)  # rejected: nothing is there


def decision_edit(
    verdict: Verdict,
    found: Resolved,
    class_index: int,
    basis: DecisionBasis,
    *,
    mine: AnyPlanes,
    status: NDArray[np.uint8],
    closed: Collection[int],
    source: str | None = None,
) -> Edit | None:
    """Return the edit that decides regions of a class, or None if there are none.

    Parameters
    ----------
    verdict : str
        ``"accept"`` (of `source`), ``"mean"``, ``"reject"``, or ``"correct"``: painted already.
    found : list
        See :func:`resolve_regions`.
    class_index : int
        Their class.
    basis : DecisionBasis
        For the record.
    mine : ndarray of uint8 (T, Y, X)
        The adjudicated plane of the class.
    status : ndarray of uint8 (T,)
        Its status.
    closed : collection of int
        Frames on which nothing of this class is left to decide after this.
    source : str, optional
        The rater to accept.
    """
    if not found:
        return None
    decided = [region for region, _ in found]
    made = (_patch(r, class_index, w, mine) for r, w in found if w is not None)
    patches = [p for p in made if p is not None]
    return Edit(
        tuple(patches),
        _confidence(patches),
        TOOL.format(verdict),
        class_index,
        decided[0].frame,
        tuple(_status_changes(decided, class_index, status, closed)),
        basis.decision(verdict, decided, source),
    )


def _patch(
    region: Region, class_index: int, values: NDArray[np.uint8], mine: AnyPlanes
) -> Patch | None:
    y0, x0, y1, x1 = region.box
    before = mine[region.frame, y0:y1, x0:x1]
    after = np.where(region.mask, values, before)
    return patch_between(class_index, region.frame, before, after, y=y0, x=x0)


def _confidence(patches: Iterable[Patch]) -> int:
    """Return the mean of what is marked now, 0 if nothing is: one number for the record."""
    values = [p.after[(p.before != p.after) & (p.after != EXCLUDED)] for p in patches]
    marked = np.concatenate([v[v > 0] for v in values]) if values else np.zeros(0)
    return round(float(marked.mean())) if marked.size else 0


def _status_changes(
    regions: Iterable[Region],
    class_index: int,
    status: NDArray[np.uint8],
    closed: Collection[int],
) -> Iterable[StatusChange]:
    for frame in sorted({r.frame for r in regions}):
        before = int(status[frame])
        after = Status.REVIEWED if frame in closed else max(before, Status.IN_PROGRESS)
        if before != after:
            yield StatusChange(frame, class_index, before, int(after))


@dataclass(frozen=True, eq=False)
class Item:
    """A disagreement, its undecided regions, and the latest decision about it."""

    event: Event
    open: tuple[Region, ...]
    decided: Stroke | None = None


class DecisionRecord:
    """The decisions in a record of strokes, by class and frame; undone ones don't count.

    A region is decided by the latest decision whose pixel lies in it and whose box shares more
    than half with its own (intersection over union).

    Parameters
    ----------
    strokes : iterable of Stroke
        Of the adjudicated rater, in order.
    """

    # Exactly the region itself while raters and threshold are the same, and still itself where a
    # moved threshold changes its edge a little. Regions that grow together into something much
    # larger need a new decision.

    def __init__(self, strokes: Iterable[Stroke]) -> None:
        self._by: defaultdict[tuple[int, int], list[tuple[DecidedRegion, Stroke]]]
        self._by = defaultdict(list)
        self.begun: dict[int, Decision] = {}
        for stroke in strokes:
            decision = stroke.decision
            if decision is None or stroke.undone:
                continue
            if decision.verdict == "begin":
                self.begun[stroke.class_index] = decision
            for region in decision.regions:
                self._by[stroke.class_index, region.frame].append((region, stroke))

    def by(self, class_index: int, region: Region) -> Stroke | None:
        """Return the decision on `region`, or None."""
        for decided, stroke in reversed(self._by.get((class_index, region.frame), ())):
            if region.holds(*decided.anchor) and shared(decided.box, region.box) > 0.5:
                return stroke
        return None

    def item(self, event: Event) -> Item:
        """Return `event` with its decisions."""
        strokes = [self.by(event.class_index, r) for r in event.regions]
        left = tuple(r for r, s in zip(event.regions, strokes, strict=True) if s is None)
        latest = max((s for s in strokes if s is not None), key=lambda s: s.seq, default=None)
        return Item(event, left, latest)

    def changes_nothing(self, edit: Edit, regions: Iterable[Region]) -> bool:
        """Whether `edit` leaves planes, status and the verdict on each of `regions` as they are."""
        decision = edit.decision
        if decision is None or edit.patches or edit.status:
            return False
        before = [self.by(edit.class_index, region) for region in regions]
        return all(
            s is not None
            and s.decision is not None
            and (s.decision.verdict, s.decision.source) == (decision.verdict, decision.source)
            for s in before
        )


def shared(a: Box, b: Box) -> float:
    """Return intersection over union of two boxes (y0, x0, y1, x1)."""
    height, width = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(height, 0) * max(width, 0)
    return both / (_area(a) + _area(b) - both)


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
