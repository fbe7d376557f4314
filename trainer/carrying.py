"""Marks of painted frames, carried along with the picture and joined to what a model proposes.

Where the picture could be followed from a painted frame, what was painted there holds; where it
could not, what the model says does. How likely it could is known from the match of the frames.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
import torch
from scipy.ndimage import label, maximum_filter
from torch.nn import functional as F  # noqa: N812

from napari_confseg.motion import Track, flow, kept
from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

STEPS: Final = 4
"""Steps from frame to frame that an answer may take: some 30 ms each."""

LEAST: Final = 5
"""Percent below which what a model proposes is left as it is, where no mark comes near."""

_SURE: Final = 1.02  # no odds are infinite

_T = TypeVar("_T")

_REMEMBERED: Final = 400  # tracks, and as many flows, of some 0.1 MB each


class Tracker:
    """Follows the picture from frame to frame; remembers the ways that it went.

    Attributes
    ----------
    steps_left : int
        How many steps it may still take.
    """

    def __init__(self) -> None:
        self.steps_left = 0
        # By content, so that nobody has to say which clip it is.
        self._tracks: OrderedDict[bytes, Track] = OrderedDict()
        self._flows: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()

    def track(
        self, path: Mapping[int, NDArray[np.float32]], factor: int, start: int, end: int
    ) -> Track | None:
        """Return the track from one frame to another; None if it may not step that far yet.

        Parameters
        ----------
        path : mapping of int to ndarray of float32 (h, w)
            Small frames by index in the clip.
        factor : int
            By how much they were reduced each way.
        start, end : int
            Painted frame, and the one to which its marks are carried.
        """
        way = range(start, end + (1 if end > start else -1), 1 if end > start else -1)
        if any(t not in path for t in way):
            return None
        keys = [_digest(path[t]) for t in way]
        told, names = hashlib.blake2b(factor.to_bytes(4, "little"), digest_size=16), []
        for key in keys:
            told.update(key)
            names.append(told.digest())
        known = next((i for i in reversed(range(len(names))) if names[i] in self._tracks), -1)
        if known < 0:
            known = 0
            _keep(self._tracks, names[0], Track.begin_small(path[start], factor))
        made = self._tracks[names[known]]
        for i in range(known + 1, len(names)):
            if self.steps_left <= 0:
                return None
            self.steps_left -= 1
            following = path[way[i]]
            made = made.follow_small(following, self._flow(keys[i], following, keys[i - 1], made))
            _keep(self._tracks, names[i], made)
        self._tracks.move_to_end(names[-1])
        return made

    def _flow(
        self, key: bytes, following: NDArray[np.float32], earlier: bytes, track: Track
    ) -> NDArray[np.float32]:
        both = key + earlier
        found = self._flows.pop(both, None)
        if found is None:
            found = flow(following, track.latest)
        _keep(self._flows, both, found)
        return found


@dataclass(frozen=True, eq=False)
class Source:
    """Marks of a class on a painted frame, and the way from there to the frame on show.

    Attributes
    ----------
    track : Track
        The way.
    steps : int
        How many frames it is long.
    marks : ndarray of uint8 (Y, X)
        As they were painted.
    expected : ndarray of uint8 (Y, X)
        What the model itself expects there, in percent.
    begun : float
        How far what is unmarked there may be still to be marked, the likelier by the model: 0
        where all that is unmarked is known to be absent.
    """

    track: Track
    steps: int
    marks: NDArray[np.uint8]
    expected: NDArray[np.uint8]
    begun: float


def count_pieces(marks: NDArray[np.uint8]) -> int:
    """Return how many pieces of a class were painted on a frame: the more, the less is to come."""
    return int(label((marks > 0) & (marks != EXCLUDED), np.ones((3, 3)))[1])


def joined(percent: NDArray[np.uint8], sources: Sequence[Source]) -> NDArray[np.uint8]:
    """Return percents of a class after joining marks that are carried to them.

    ``h sum(o c) / sum(o) + (1 - h) percent``: c is what was marked at the place on a painted
    frame; w, how likely it still holds, gives its odds o and how likely any of them does, h.

    Parameters
    ----------
    percent : ndarray of uint8 (Y, X)
        What the model proposes.
    sources : sequence of Source
        Of painted frames.
    """
    near = percent >= LEAST
    for source in sources:
        near |= _reached(source)
    at = np.flatnonzero(near)
    y, x = np.unravel_index(at, percent.shape)
    said, odds, none = np.zeros(len(at)), np.zeros(len(at)), np.ones(len(at))
    for source in sources:
        weight, share = _carried(source, y, x)
        each = weight / (_SURE - weight)
        said += each * share
        odds += each
        none *= 1 - weight
    found = (1 - none) * said / np.maximum(odds, 1e-9)
    found += none * (percent.reshape(-1)[at] / MAX_CONFIDENCE)
    out = percent.reshape(-1).copy()
    out[at] = np.rint(found * MAX_CONFIDENCE).astype(np.uint8)
    return out.reshape(percent.shape)


def _carried(
    source: Source, y: NDArray[np.intp], x: NDArray[np.intp]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return how likely what was painted holds at pixels, and what was: shares of 1, each (n,)."""
    height, width = source.marks.shape
    from_y, from_x, quality = _origin(source.track, y, x)
    seen = (from_y >= 0) & (from_y < height) & (from_x >= 0) & (from_x < width)
    place = np.where(seen, from_y * width + from_x, 0)
    marks = source.marks.reshape(-1)[place]
    weight = kept(source.steps, quality) * (seen & (marks != EXCLUDED))
    if source.begun:
        expected = source.expected.reshape(-1)[place] / MAX_CONFIDENCE
        weight = np.where(marks == 0, weight * (1 - expected) ** source.begun, weight)
    return weight, marks / MAX_CONFIDENCE


def _origin(
    track: Track, y: NDArray[np.intp], x: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return where pixels (n,) came from, y and x, and the match there.

    As `track` carries whole planes, but for pixels half way between two; several times as fast.
    """
    h, w = track.quality.shape
    fields = torch.from_numpy(np.stack([*track.shift, track.quality]))
    places = []
    for at, n in ((x, w), (y, h)):
        small = (torch.from_numpy(at).float() - (track.factor - 1) / 2) / track.factor
        places.append(2 * small / max(n - 1, 1) - 1)  # from pixel to pixel is -1..1
    grid = torch.stack(places, -1).view(1, 1, -1, 2)
    found = F.grid_sample(fields[None], grid, padding_mode="border", align_corners=True)
    dy, dx, quality = found[0, :, 0].numpy()
    from_y, from_x = (np.rint(at + d * track.factor) for at, d in ((y, dy), (x, dx)))
    return from_y.astype(np.intp), from_x.astype(np.intp), quality


def _reached(source: Source) -> NDArray[np.bool_]:
    """Return the pixels to which a mark may have been carried, in blocks (Y, X)."""
    (height, width), factor = source.marks.shape, source.track.factor
    rows, columns = np.nonzero((source.marks > 0) & (source.marks != EXCLUDED))
    h, w = source.track.quality.shape
    blocks = np.zeros((h, w), np.bool_)
    blocks[np.minimum(rows // factor, h - 1), np.minimum(columns // factor, w - 1)] = True
    # Pixels lie between blocks: those beside are looked at on both frames.
    blocks = maximum_filter(blocks, 5)
    origin = np.rint(np.indices((h, w)) + source.track.shift).astype(np.intp)
    seen = (origin >= 0).all(0) & (origin[0] < h) & (origin[1] < w)
    blocks = maximum_filter(seen & blocks[tuple(np.where(seen, origin, 0))], 3)
    full: NDArray[np.bool_] = blocks.repeat(factor, 0).repeat(factor, 1)[:height, :width]
    return full


def _digest(small: NDArray[np.float32]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(small).data, digest_size=16).digest()


def _keep(memory: OrderedDict[bytes, _T], key: bytes, value: _T) -> None:
    """Remember a value as the latest, and forget the oldest."""
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > _REMEMBERED:
        memory.popitem(last=False)
