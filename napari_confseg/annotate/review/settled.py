"""Which disagreements stand decided, by the record of strokes: all that a restart needs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_confseg.dataset.regions import Event, Region
    from napari_confseg.store import DecidedRegion, Decision, Stroke

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
