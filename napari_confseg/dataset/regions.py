"""What a disagreement is: regions of frames, and the event that they make together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Region:
    """Connected pixels of one frame where raters are of two minds.

    Attributes
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
    said : dict of str to float
        Mean confidence in percent of each rater who reviewed the frame and has a say here.
    omitted_by : frozenset of str
        Raters with nothing in it nor touching it: they left out the thing, not only a part.
    """

    frame: int
    y: int
    x: int
    shape: tuple[int, int]
    bits: NDArray[np.uint8]
    area: int
    size: float
    said: dict[str, float]
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

    Attributes
    ----------
    class_index : int
        What it is about.
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
        """Whether it is about a thing that somebody leaves out, over most of its area."""
        omitted = sum(r.area for r in self.regions if r.omitted_by)
        return 2 * omitted > sum(r.area for r in self.regions)

    @property
    def said(self) -> dict[str, float]:
        """Mean confidence in percent of each rater over all its pixels."""
        sums: dict[str, float] = {}
        areas: dict[str, int] = {}
        for region in self.regions:
            for name, value in region.said.items():
                sums[name] = sums.get(name, 0.0) + value * region.area
                areas[name] = areas.get(name, 0) + region.area
        return {name: sums[name] / areas[name] for name in sums}


@dataclass(frozen=True, eq=False)
class Disagreements:
    """All disagreements of some raters on one clip, worst first.

    Attributes
    ----------
    clip : str
        Its name.
    raters : tuple of str
        Whose planes were compared, those of them that are on the clip.
    threshold, narrowest : int
        What counted as yes, and what was too thin to count.
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
