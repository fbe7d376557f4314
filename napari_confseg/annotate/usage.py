"""Confidences that a reader uses, and a reminder to vary them."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from napari_confseg.store import MAX_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_confseg.store import Stroke

WINDOW: Final = 20
"""Strokes that are looked at, and that pass before a reminder comes again."""

BIN: Final = 5
"""Width of a bar of the histogram in percent."""

BY_HAND: Final = frozenset({"brush", "polygon", "fill", "b-line", "pleura", "smart-edge"})
"""Tools whose strokes state a confidence that somebody chose just then."""


def stated(strokes: Iterable[Stroke], class_index: int | None = None) -> list[int]:
    """Return the confidences of the strokes by hand that stand, of one class or of all."""
    return [
        s.confidence
        for s in strokes
        if not s.undone
        and s.tool in BY_HAND
        and 1 <= s.confidence <= MAX_CONFIDENCE
        and class_index in (None, s.class_index)
    ]


def histogram(confidences: Iterable[int]) -> list[int]:
    """Return how many lie in 1..5, 6..10, ..., 96..100 percent."""
    counts = Counter((c - 1) // BIN for c in confidences)
    return [counts[i] for i in range(MAX_CONFIDENCE // BIN)]


class Reminder:
    """Decides when to remind a reader who only ever uses one value.

    It looks at the strokes of this sitting, over all clips, and is due at most once in
    ``WINDOW`` strokes.
    """

    def __init__(self) -> None:
        self._latest: deque[int] = deque(maxlen=WINDOW)
        self._since = WINDOW
        self._place: object = None
        self._seq = 0

    def update(self, place: object, strokes: list[Stroke]) -> int | None:
        """Take in the strokes on a clip; return the one value used, if a reminder is due.

        Parameters
        ----------
        place : object
            Which clip and reader: on another one the strokes that are there are old.
        strokes : list of Stroke
            All strokes there, oldest first.
        """
        if place != self._place:
            self._place, self._seq = place, max((s.seq for s in strokes), default=0)
            return None
        fresh = [s for s in strokes if s.seq > self._seq]
        if not fresh:
            return None
        self._seq = fresh[-1].seq
        values = stated(fresh)
        self._latest.extend(values)
        self._since += len(values)
        one = len(self._latest) == WINDOW and len(set(self._latest)) == 1
        if not (values and one and self._since >= WINDOW):
            return None
        self._since = 0
        return self._latest[-1]
