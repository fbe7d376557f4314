"""Frames filled from painted ones, by propagation or interpolation.

What such work needs is taken from the session at one moment, so that painting can go on meanwhile;
what it found is merged afterwards into the planes as they are then
(:meth:`~napari_confseg.annotate.tools.toolkit.Toolkit.land`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_confseg.annotate.tools.interpolation import between
from napari_confseg.annotate.tools.placing import Snippet, copied
from napari_confseg.annotate.tools.propagation import carried
from napari_confseg.store import Carrying

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_confseg.store import Stroke

_NEUTRAL: Final = frozenset({"status", "clip-to-sector", "exclude"})
"""Tools after which marks are as much a person's own as before."""


class Origin(IntEnum):
    """Where the marks of a plane come from; the higher stands for several."""

    NONE = 0
    INTERPOLATED = 1
    CARRIED = 2
    PAINTED = 3


@dataclass(frozen=True)
class Filled:
    """What is proposed for one frame."""

    frame: int
    # By class index; None where nothing is proposed. Empty if what was carried was lost here.
    proposals: Mapping[int, Snippet | None]
    match: float | None = None  # of what was carried: how well the picture matches, 0..1

    @property
    def lost(self) -> bool:
        """Whether nothing was left of what was carried."""
        return not self.proposals


@dataclass(frozen=True, eq=False)
class Propagation:
    """Marks of one frame carried along with the picture."""

    owner: object  # the planes that it is for, to know them again
    frames: ArrayLike  # the clip
    # Copies of the painted planes by class index, uint8 (Y, X).
    planes: Mapping[int, NDArray[np.uint8]]
    frame: int  # the painted one
    total: int  # frames to go at most
    direction: int  # 1 or -1
    inside: NDArray[np.bool_]  # the sector, bool (Y, X)
    tool: str = "propagate"

    @property
    def confidence(self) -> int:
        """The highest that is carried."""
        return highest(self.planes.values())

    def steps(self) -> Iterator[Filled]:
        """Yield frame after frame, until the clip ends or what is carried is lost."""
        for step in carried(
            self.frames,
            self.planes,
            self.frame,
            steps=self.total,
            direction=self.direction,
            inside=self.inside,
        ):
            proposals = {c: copied(p) for c, p in step.proposals.items()}
            yield Filled(step.frame, {} if step.lost else proposals, step.match)


@dataclass(frozen=True, eq=False)
class Gap:
    """Two painted frames of a class with others between."""

    start: int  # the first painted frame
    stop: int  # the second
    first: NDArray[np.uint8]  # copy of its plane, uint8 (Y, X)
    last: NDArray[np.uint8]  # copy of the other, uint8 (Y, X)


@dataclass(frozen=True, eq=False)
class Interpolation:
    """Shapes between painted frames."""

    owner: object  # the planes that it is for, to know them again
    frame: int  # where it was asked for
    gaps: Mapping[int, Gap]  # by class index
    inside: NDArray[np.bool_]  # the sector, bool (Y, X)
    tool: str = "interpolate"

    @property
    def confidence(self) -> int:
        """The higher of the ends'."""
        return highest(p for gap in self.gaps.values() for p in (gap.first, gap.last))

    @property
    def total(self) -> int:
        """Planes between the ends."""
        return sum(gap.stop - gap.start - 1 for gap in self.gaps.values())

    def steps(self) -> Iterator[Filled]:
        """Yield plane after plane, class after class."""
        for c, gap in self.gaps.items():
            planes = between(gap.first, gap.last, gap.stop - gap.start, inside=self.inside)
            for frame, plane in enumerate(planes, gap.start + 1):
                yield Filled(frame, {c: copied(plane)})


Filling = Propagation | Interpolation
"""Work that fills frames."""


def run(
    filling: Filling,
    report: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[Filled]:
    """Do the work; what was done before it was `cancelled` is returned too."""
    found = []
    for step in filling.steps():
        found.append(step)
        if report is not None:
            report(len(found), filling.total, "")
        if cancelled is not None and cancelled():
            break
    return found


def highest(planes: Iterable[NDArray[np.uint8]]) -> int:
    """Return the highest confidence in `planes`; what is excluded is none."""
    return max((int(p[p <= 100].max(initial=0)) for p in planes), default=0)


def carrying_of(found: Sequence[Filled]) -> Carrying | None:
    """Return how well the picture matched on the way, for the record; None if nobody looked."""
    matches = [(step.frame, round(100 * step.match)) for step in found if step.match is not None]
    if not matches:
        return None
    return Carrying(matches=tuple(matches), lost=found[-1].frame if found[-1].lost else None)


def origin_of(tool: str) -> Origin | None:
    """Return where marks come from that `tool` made; None if they come from where they did."""
    if tool in _NEUTRAL:
        return None
    return {"propagate": Origin.CARRIED, "interpolate": Origin.INTERPOLATED}.get(
        tool, Origin.PAINTED
    )


def note_origin(found: NDArray[np.uint8], stroke: Stroke) -> None:
    """Note in `found` ``(T, C)`` what a standing stroke, later than all before, makes of it.

    What a person touched stays theirs; of what is filled, the latest filling counts.
    """
    origin = origin_of(stroke.tool)
    if origin is None or stroke.undone:
        return
    for frame, c in stroke.touched:
        if found[frame, c] != Origin.PAINTED:
            found[frame, c] = origin


def origins(strokes: Iterable[Stroke], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the :class:`Origin` of each plane, ``uint8 (T, C)``; also of those erased since."""
    found = np.zeros(shape, np.uint8)
    for stroke in strokes:
        note_origin(found, stroke)
    return found


def filled_only(strokes: Iterable[Stroke], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which planes were filled from others and not touched by hand since, ``bool (T, C)``.

    Those make room when they are filled anew, and nothing is interpolated from them.
    """
    found = origins(strokes, shape)
    filled: NDArray[np.bool_] = (found == Origin.CARRIED) | (found == Origin.INTERPOLATED)
    return filled


def touched_by_hand(strokes: Iterable[Stroke], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which planes a person marked, ``bool (T, C)``; also those erased to nothing."""
    painted: NDArray[np.bool_] = origins(strokes, shape) == Origin.PAINTED
    return painted


@dataclass
class KeptFrames:
    """Frames that a filling left as they were, counted from 0."""

    by_hand: set[int] = field(default_factory=set)  # painted by the person
    reviewed: set[int] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.by_hand or self.reviewed)

    def words(self) -> str:
        """Return which frames stay and why, in sentences; empty if none."""
        return " ".join(
            f"Stays as it was, {why}: frame{'s' * (len(frames) > 1)} {listed(frames)}."
            for frames, why in ((self.by_hand, "painted by hand"), (self.reviewed, "reviewed"))
            if frames
        )


def listed(frames: Iterable[int]) -> str:
    """Return frames counted from 0 as people count them: ``"3, 7 to 9"``."""
    runs: list[list[int]] = []
    for frame in sorted(frames):
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    words = [f"{a + 1}" if a == b else f"{a + 1} to {b + 1}" for a, b in runs]
    return ", ".join(words[:5]) + (" ..." if len(words) > 5 else "")


def gap_around(keys: Sequence[int], frame: int) -> tuple[int, int] | None:
    """Return the two of the painted frames `keys` (rising) between which `frame` lies.

    A painted frame lies at the end of the gap before it, so that it can be filled back from where
    one paints; if there is none before, at the start of the one after. None if there is no gap.
    """
    gaps = [(a, b) for a, b in pairwise(keys) if b - a > 1]
    within = [gap for gap in gaps if gap[0] < frame < gap[1]]
    before = [gap for gap in gaps if gap[1] == frame]
    after = [gap for gap in gaps if gap[0] == frame]
    return next(iter([*within, *before, *after]), None)
