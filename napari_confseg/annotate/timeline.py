"""The timeline of a clip: what its frames hold, and how many of them are in sight.

Cells stand for the frames that share a pixel. Of these the one that matters most speaks for all:
a single painted frame among 2,000 is seen, and so is a single one that is not reviewed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_confseg.annotate.tools.filling import Origin, note_origin
from napari_confseg.store import EXCLUDED, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import Stroke

UNKNOWN: Final = 255
"""Stands for a match that nobody measured."""

GRIP: Final = 50
"""Percent of match beneath which carrying lost its grip: what is carried is then rather wrong than
right, as the share of what is true follows the match."""

CLOSEST: Final = 8
"""Frames in sight at the least."""

MOST_LANES: Final = 12
"""Lanes of classes; what is more shares the last one."""

READ_AT_ONCE: Final = 3 * 2**20
"""Bytes of planes that are looked at before somebody else gets a turn: some milliseconds."""


class Timeline:
    """What each plane of a rater on a clip holds, kept up stroke by stroke.

    Parameters
    ----------
    n_frames, n_classes : int
        Of the clip and the cohort.
    """

    def __init__(self, n_frames: int = 0, n_classes: int = 0) -> None:
        shape = (n_frames, n_classes)
        self.highest: NDArray[np.uint8] = np.zeros(shape, np.uint8)
        """Highest confidence of every plane, ``uint8 (T, C)``; 0 also where all is excluded."""
        self.origin: NDArray[np.uint8] = np.zeros(shape, np.uint8)
        """:class:`~napari_confseg.annotate.tools.filling.Origin` of every plane, marked or not."""
        self.match: NDArray[np.uint8] = np.full(shape, UNKNOWN, np.uint8)
        """Percent by which the picture matched where marks were carried; else ``UNKNOWN``."""
        self.lost: NDArray[np.bool_] = np.zeros(shape, np.bool_)
        """Where nothing was left of what was carried, ``bool (T, C)``."""
        self._strokes = 0
        self._waiting: dict[tuple[int, int], None] = {}  # to be looked at, the last first

    @property
    def n_frames(self) -> int:
        """Frames of the clip."""
        return len(self.highest)

    # ---- keeping it up --------------------------------------------------------------------

    def begin(self, strokes: Sequence[Stroke], marked: NDArray[np.bool_]) -> None:
        """Take all strokes; the `marked` planes ``(T, C)`` are to be read by :meth:`read`."""
        self._replay(strokes)
        self._waiting = {(int(t), int(c)): None for t, c in np.argwhere(marked)[::-1]}

    def read(
        self, plane: Callable[[int, int], NDArray[np.uint8]], budget: int = READ_AT_ONCE
    ) -> bool:
        """Look at planes that were not looked at yet; return whether some are left.

        Parameters
        ----------
        plane : callable
            Returns the plane ``uint8 (Y, X)`` of a class index and a frame.
        budget : int
            Bytes of planes after which to stop.
        """
        while self._waiting and budget > 0:
            (t, c), _ = self._waiting.popitem()
            found = plane(c, t)
            self.highest[t, c] = highest_of(found)
            budget -= found.size
        return bool(self._waiting)

    def update(
        self,
        where: Iterable[tuple[int, int]],
        plane: Callable[[int, int], NDArray[np.uint8]],
        strokes: Sequence[Stroke],
    ) -> bool:
        """Follow one edit, made, undone or redone; return whether planes are left to be read.

        Parameters
        ----------
        where : iterable of (int, int)
            Frame and class index of each plane that it changed.
        plane : callable
            As of :meth:`read`.
        strokes : sequence of Stroke
            All of them, oldest first.
        """
        left = self.look_again(where, plane)
        if len(strokes) == self._strokes + 1:
            self._note(strokes[-1])
            self._strokes += 1
        else:  # an undo may bring back what was there three strokes ago
            self._replay(strokes)
        return left

    def look_again(
        self,
        where: Iterable[tuple[int, int]],
        plane: Callable[[int, int], NDArray[np.uint8]],
    ) -> bool:
        """Take the confidence of planes, each (frame, class index), that became others.

        Of many those that come last are left to :meth:`read`: returns whether some are.
        """
        for at in sorted(where, reverse=True):
            self._waiting.pop(at, None)
            self._waiting[at] = None
        return self.read(plane)

    def _replay(self, strokes: Sequence[Stroke]) -> None:
        self.origin.fill(Origin.NONE)
        self.match.fill(UNKNOWN)
        self.lost.fill(False)
        for stroke in strokes:
            self._note(stroke)
        self._strokes = len(strokes)

    def _note(self, stroke: Stroke) -> None:
        note_origin(self.origin, stroke)
        if stroke.undone:
            return
        way = stroke.carrying
        matches = dict(way.matches) if way else {}
        for frame, c in stroke.touched:
            self.match[frame, c] = matches.get(frame, UNKNOWN)
            self.lost[frame, c] = False
        if way and way.lost is not None:
            for c in {c for _, c in stroke.touched}:
                self.match[way.lost, c] = matches[way.lost]
                self.lost[way.lost, c] = True

    # ---- what is shown --------------------------------------------------------------------

    def shown(self, marked: NDArray[np.bool_]) -> NDArray[np.uint16]:
        """Return origin and confidence of what is `marked` as one number, ``uint16 (T, C)``.

        ``256 * origin + confidence``: the larger one is the one to show. Marks that no stroke
        tells of, of an import, count as painted.
        """
        origin = np.where(self.origin == Origin.NONE, Origin.PAINTED, self.origin)
        return np.where(marked, 256 * origin.astype(np.uint16) + self.highest, 0).astype(np.uint16)

    def grip(self, marked: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return the least match on each frame of what is still as it was carried, ``uint8 (T,)``.

        Where marks were lost the match counts too, as long as the frame bears none of that class.
        """
        counts = np.where(self.lost, ~marked, (self.origin == Origin.CARRIED) & marked)
        match = np.where(counts, self.match, np.uint8(UNKNOWN))
        least: NDArray[np.uint8] = match.min(axis=1, initial=UNKNOWN)
        return least

    def lost_frames(self, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the frames on which carried marks were lost, and none are now, ``bool (T,)``."""
        return np.asarray((self.lost & ~marked).any(axis=1))


def highest_of(plane: NDArray[np.uint8]) -> int:
    """Return the highest confidence on a plane; what is excluded is none."""
    top = int(plane.max(initial=0))
    # Few planes have excluded pixels, and looking for them costs a copy.
    return top if top < EXCLUDED else int(plane[plane < EXCLUDED].max(initial=0))


def review_state(status: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return of each frame 0 open, 1 reviewed in some classes, 2 in all, ``uint8 (T,)``."""
    done = status == Status.REVIEWED
    return np.asarray(done.any(axis=1), np.uint8) + np.asarray(done.all(axis=1), np.uint8)


def lanes_of(n_classes: int, active: int, most: int = MOST_LANES) -> list[tuple[int, ...]]:
    """Return the class indices of each lane, in order; the one of the `active` class is its own.

    Where there are more than `most` classes, those that come last share the last lane.
    """
    if n_classes <= most:
        return [(c,) for c in range(n_classes)]
    alone = [c for c in range(n_classes) if c < most - 1]
    if active not in alone:
        alone[-1] = active
    return [*((c,) for c in alone), tuple(c for c in range(n_classes) if c not in alone)]


@dataclass(frozen=True)
class Window:
    """The frames in sight: `length` of them from `start` on, of `n_frames`.

    Both may lie between frames, so that the zoom goes smoothly; they never reach past the clip.
    """

    n_frames: int
    start: float = 0.0
    length: float = 0.0

    def __post_init__(self) -> None:
        length = min(max(self.length or self.n_frames, CLOSEST), self.n_frames)
        start = min(max(self.start, 0.0), self.n_frames - length)
        object.__setattr__(self, "length", float(length))
        object.__setattr__(self, "start", float(start))

    @property
    def whole(self) -> bool:
        """Whether all frames are in sight."""
        return self.length >= self.n_frames

    def zoomed(self, factor: float, share: float) -> Window:
        """Return the window with `factor` times as many frames; what is at `share` (0..1) stays."""
        length = min(max(self.length * factor, min(CLOSEST, self.n_frames)), self.n_frames)
        about = self.start + share * self.length
        return Window(self.n_frames, about - share * length, length)

    def moved(self, frames: float) -> Window:
        """Return the window `frames` further on, as far as the clip goes."""
        return replace(self, start=self.start + frames)

    def holds(self, frame: int) -> bool:
        """Whether all of `frame` is in sight."""
        return self.start <= frame + 1e-6 and frame + 1 <= self.start + self.length + 1e-6

    def with_frame(self, frame: int, *, page: bool = False) -> Window:
        """Return the window moved so that `frame` is in sight; the same if it is.

        Parameters
        ----------
        frame : int
            The frame.
        page : bool
            Turn over, so that much is in sight of what comes next that way; else move as little
            as needed.
        """
        if self.holds(frame):
            return self
        on = frame + 1 > self.start + self.length
        room = 0.1 * self.length if page else 0.0
        if on is page:  # the frame comes to stand on the left
            return replace(self, start=frame - room)
        return replace(self, start=frame + 1 + room - self.length)

    def share_of(self, frame: float) -> float:
        """Return where `frame` begins, 0 the left edge and 1 the right one."""
        return (frame - self.start) / self.length

    def frame_at(self, share: float) -> int:
        """Return the frame at `share` of the width, the nearest one in sight if outside."""
        first, last = self.first, self.stop - 1
        return min(max(int(np.floor(self.start + share * self.length)), first), last)

    @property
    def first(self) -> int:
        """The first frame of which something is in sight."""
        return int(np.floor(self.start + 1e-6))

    @property
    def stop(self) -> int:
        """The frame after the last one of which something is in sight."""
        return min(int(np.ceil(self.start + self.length - 1e-6)), self.n_frames)

    def cells(self, width: int) -> Cells:
        """Return which frames share which of `width` pixels."""
        frames = np.arange(self.first, self.stop)
        edges = (np.append(frames, self.stop) - self.start) / self.length * width
        if self.length > width:  # several to a pixel: those that begin on it
            left = np.floor(edges[:-1] + 1e-9).astype(int).clip(0, width - 1)
            begins = np.flatnonzero(np.diff(left, prepend=-1))
            return Cells(frames[begins], np.append(left[begins], width), self.stop)
        # Half a pixel goes up everywhere, so that a frame of one pixel never becomes none.
        return Cells(frames, np.floor(edges + 0.5).astype(int).clip(0, width), self.stop)


@dataclass(frozen=True, eq=False)
class Cells:
    """Runs of frames, and the pixels that each of them has."""

    first: NDArray[np.int_]  # the first frame of each; it ends where the next one begins
    edges: NDArray[np.int_]  # pixel at which each begins, and at which the last one ends
    stop: int  # the frame at which the last one ends

    def __len__(self) -> int:
        return len(self.first)

    def most(self, values: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
        """Return the largest of `values` ``(T, ...)`` in each cell."""
        return np.maximum.reduceat(values[: self.stop], self.first, axis=0)

    def least(self, values: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
        """Return the smallest of `values` ``(T, ...)`` in each cell."""
        return np.minimum.reduceat(values[: self.stop], self.first, axis=0)

    def of_pixels(self) -> NDArray[np.int_]:
        """Return the index of the cell that each pixel belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.edges))

    def at(self, x: float) -> int:
        """Return the index of the cell at pixel `x`, the nearest if it lies outside."""
        found = np.searchsorted(self.edges, x, side="right") - 1
        return int(np.clip(found, 0, len(self) - 1))

    def frames(self, index: int) -> range:
        """Return the frames of a cell."""
        end = self.first[index + 1] if index + 1 < len(self) else self.stop
        return range(int(self.first[index]), int(end))
