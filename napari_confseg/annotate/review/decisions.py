"""From a verdict to the one edit that carries it out on the adjudicated planes. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_confseg.agreement.consensus import fit, merge
from napari_confseg.agreement.disagreement import marked_box, split_vote, wide_regions
from napari_confseg.annotate.patches import patch_between
from napari_confseg.store import EXCLUDED, DecidedRegion, Decision, Edit, Status, StatusChange

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.agreement.disagreement import Event, Region
    from napari_confseg.store import Patch, Stroke, Verdict


if TYPE_CHECKING:
    Planes = dict[str, NDArray[np.uint8]]
    Becoming = list[tuple[Region, NDArray[np.uint8] | None]]

TOOL: Final = "adjudicate-{}"
_MEAN: Final = fit("mean", None)[0]


@dataclass(frozen=True)
class Case:
    """Who decides between whom, and what was asked.

    Attributes
    ----------
    by : str
        The adjudicator, as people read it.
    raters : tuple of str
        Who is compared.
    threshold, narrowest : int
        See :class:`~napari_confseg.agreement.disagreement.Disagreements`.
    """

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
    """Return the mean confidence of those who have a say, ``uint8 (Y, X)``."""
    return merge(list(planes), planes, _MEAN)


def agreed(planes: Planes, threshold: int, narrowest: int) -> tuple[NDArray[np.uint8], bool]:
    """Return what needs no decision on one frame, and whether something else does.

    Parameters
    ----------
    planes : dict
        Name -> ``uint8 (Y, X)`` of everybody who reviewed the frame, two at least.
    threshold, narrowest : int
        From where on a rater says yes, and how wide what is asked about must be.

    Returns
    -------
    ndarray of uint8 (Y, X)
        The mean confidence where all say yes, and in slivers too thin to ask about; what half of
        them exclude is excluded; 0 elsewhere.
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


def becoming(
    verdict: Verdict,
    regions: Sequence[Region],
    source: str | None,
    planes: Callable[[int, str | None], Planes],
    progress: Callable[[int, int], object] = lambda *_: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Becoming | None:
    """Return what `regions` are to become; None if cancelled. Reads a plane or more for each.

    Parameters
    ----------
    verdict : str
        ``"accept"`` (of `source`), ``"mean"``, ``"reject"``, or ``"correct"``: painted already.
    regions : sequence of Region
        Of one class.
    source : str or None
        Whom to accept; regions of frames that they have not reviewed are left out.
    planes : callable
        From a frame, and who is wanted (None: everybody compared), to the planes of those of them
        who reviewed it.
    progress : callable
        Called with (regions done, regions).
    cancelled : callable
        Asked for each region.

    Returns
    -------
    list of (Region, ndarray of uint8 (h, w) or None)
        The confidence within each region's box; None where it stays as it is.
    """
    found: Becoming = []
    for done, region in enumerate(regions):
        if cancelled():
            return None
        progress(done, len(regions))
        said = planes(region.frame, source) if verdict in ("accept", "mean") else {}
        if source is not None and source not in said:
            continue  # who has not reviewed this frame has no say on it
        found.append((region, None if verdict == "correct" else _wanted(region, said, source)))
    return found


def _wanted(region: Region, said: Planes, source: str | None) -> NDArray[np.uint8]:
    y0, x0, y1, x1 = region.box
    box = np.s_[y0:y1, x0:x1]
    if source is not None:
        return said[source][box].copy()  # of a whole plane, only this is kept
    if said:
        return mean_of({n: p[box] for n, p in said.items()})
    return np.zeros((y1 - y0, x1 - x0), np.uint8)  # rejected: nothing is there


def rule(
    verdict: Verdict,
    found: Becoming,
    class_index: int,
    case: Case,
    *,
    mine: NDArray[np.uint8],
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
        See :func:`becoming`.
    class_index : int
        Their class.
    case : Case
        For the record.
    mine : ndarray of uint8 (T, Y, X)
        The adjudicated plane of the class.
    status : ndarray of uint8 (T,)
        Its status.
    closed : collection of int
        Frames on which nothing of this class is left to decide after this.
    source : str, optional
        Whom to accept.
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
        case.decision(verdict, decided, source),
    )


def _patch(
    region: Region, class_index: int, wanted: NDArray[np.uint8], mine: NDArray[np.uint8]
) -> Patch | None:
    y0, x0, y1, x1 = region.box
    before = mine[region.frame, y0:y1, x0:x1]
    after = np.where(region.mask, wanted, before)
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


if TYPE_CHECKING:
    Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Item:
    """One disagreement and how it stands.

    Attributes
    ----------
    event : Event
        The disagreement.
    open : tuple of Region
        What of it is not decided.
    decided : Stroke or None
        The latest decision about it that stands.
    """

    event: Event
    open: tuple[Region, ...]
    decided: Stroke | None = None


class Settled:
    """The decisions that stand, by class and frame.

    A region is settled by the latest decision whose pixel lies in it and whose box shares more
    than half with its own (intersection over union): exactly itself while raters and threshold
    are the same, and still itself where a moved threshold changes its edge a little. Where regions
    grow together into something much larger, that is a new question.
    """

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
        """Return the decision that settles `region`, or None."""
        for said, stroke in reversed(self._by.get((class_index, region.frame), ())):
            if region.holds(*said.anchor) and shared(said.box, region.box) > 0.5:
                return stroke
        return None

    def item(self, event: Event) -> Item:
        """Return how `event` stands."""
        strokes = [self.by(event.class_index, r) for r in event.regions]
        left = tuple(r for r, s in zip(event.regions, strokes, strict=True) if s is None)
        latest = max((s for s in strokes if s is not None), key=lambda s: s.seq, default=None)
        return Item(event, left, latest)


def shared(a: Box, b: Box) -> float:
    """Return intersection over union of two boxes (y0, x0, y1, x1)."""
    height, width = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(height, 0) * max(width, 0)
    return both / (_area(a) + _area(b) - both)


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
