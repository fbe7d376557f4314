"""Segmentations of COCO: polygons that cover a mask to the pixel, run lengths, and both read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as rle
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_BEYOND = 0.1
"""Share of a side by which a point may lie outside: people and programs draw beyond the edge."""
_MOST_NUMBERS = 200_000
_LONGEST = 2e6  # pixels: every fifth of one is kept while an outline is drawn


def encode(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return COCO's compressed run-length code of a mask ``bool (Y, X)``."""
    coded: dict[str, Any] = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return coded


def counts_of(mask: NDArray[np.bool_]) -> list[int]:
    """Return the runs of 0 and 1 in turn, column by column, as COCO writes crowds."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff([0, *edges.tolist(), mask.size])
    return [int(n) for n in (runs[:-1] if runs[-1] == 0 else runs)]


@dataclass(frozen=True)
class Region:
    """What of a mask hangs together: outlines, number of pixels, and box (x, y, width, height)."""

    polygons: list[list[float]]
    area: int
    bbox: list[float]


def regions_of(mask: NDArray[np.bool_]) -> Iterator[Region]:
    """Yield the regions of a mask; pixels hang together over corners, too."""
    numbers, _ = ndimage.label(mask, np.ones((3, 3)))
    for number, box in enumerate(ndimage.find_objects(numbers), 1):
        piece = numbers[box] == number
        corner = (box[1].start, box[0].start)
        bbox = [float(n) for n in (*corner, *piece.shape[::-1])]
        yield Region(polygons_of(piece, corner), int(piece.sum()), bbox)


def polygons_of(mask: NDArray[np.bool_], corner: tuple[int, int] = (0, 0)) -> list[list[float]]:
    """Return polygons ``[x, y, x, y, ...]`` along the borders of pixels.

    COCO's own drawing of them is `mask`, to the pixel. It fills a polygon where an odd number of
    its lines is crossed, so a hole is part of the outline around it, reached by a line that is
    drawn forth and back.

    Parameters
    ----------
    mask : ndarray of bool (Y, X)
        Any mask.
    corner : tuple of int
        (x, y) that its first pixel has in the picture.
    """
    numbers, _ = ndimage.label(mask)  # by sides alone: outlines that never cross themselves
    polygons = []
    for number, box in enumerate(ndimage.find_objects(numbers), 1):
        left, top = box[1].start + corner[0], box[0].start + corner[1]
        outline, *holes = _loops(numbers[box] == number)
        for hole in holes:
            away = np.abs(np.array(outline) - hole[0]).sum(1)
            at = int(away.argmin())
            outline = [*outline[: at + 1], *hole, hole[0], *outline[at:]]
        polygons.append([float(n) for x, y in outline for n in (x + left, y + top)])
    return polygons


def _loops(piece: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Return the corners (x, y) of the outline of one piece, and then of each of its holes."""
    steps = _border(piece)
    loops: list[list[tuple[int, int]]] = []
    while steps:
        # The topmost corner, and of those the leftmost, lies on an outline before any hole in it.
        start = min(steps, key=lambda p: (p[1], p[0])) if not loops else next(iter(steps))
        here, (dx, dy) = start, (1, 0)
        corners: list[tuple[int, int]] = []
        while here in steps:
            ways = steps[here]
            # The piece lies to the right: where two ways go on, a right turn stays with it.
            turn = (-dy, dx)
            way = turn if len(ways) > 1 and turn in ways else ways[0]
            ways.remove(way)
            if not ways:
                del steps[here]
            if way != (dx, dy) or not corners:
                corners.append(here)
            here, (dx, dy) = (here[0] + way[0], here[1] + way[1]), way
            if here == start and (start not in steps or _closed(corners, way)):
                break
        loops.append(corners)
    return loops


def _closed(corners: list[tuple[int, int]], way: tuple[int, int]) -> bool:
    """Return whether a loop is back at its start by the way that its first step continues."""
    (ax, ay), (bx, by) = corners[0], corners[1]
    first = (int(np.sign(bx - ax)), int(np.sign(by - ay)))
    return first == (-way[1], way[0])


def _border(piece: NDArray[np.bool_]) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Return the steps along the border from each corner (x, y), with the piece to their right."""
    padded = np.pad(piece, 1)
    inside = padded[1:-1, 1:-1]
    steps: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for outside, corner, way in (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),  # nothing above: along the top, to the right
        (padded[1:-1, 2:], (1, 0), (0, 1)),
        (padded[2:, 1:-1], (1, 1), (-1, 0)),
        (padded[1:-1, :-2], (0, 1), (0, -1)),
    ):
        for y, x in np.argwhere(inside & ~outside).tolist():
            steps[x + corner[0], y + corner[1]].append(way)
    return steps


def mask_of(shape: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask ``bool (Y, X)`` of a ``segmentation``.

    Raises
    ------
    ValueError
        If it is neither polygons nor run lengths of `size`, or marks nothing; other errors of the
        kind that wrong types raise.
    """
    if isinstance(shape, list):
        mask = _from_polygons(shape, size)
    else:
        if [int(n) for n in shape["size"]] != list(size):
            raise ValueError(f"it is of {shape['size']} pixels, the image of {list(size)}")
        counts = shape["counts"]
        mask = from_counts(counts if isinstance(counts, list) else unpacked(counts), size)
    if not mask.any():
        raise ValueError("it marks not one pixel")
    return mask


def _from_polygons(polygons: list[Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    if not polygons:
        raise ValueError("there is no outline")
    # Checked before the C code of pycocotools sees them: it writes where a point leads it.
    side = np.array(size[::-1], float)  # x, y
    for polygon in polygons:
        points = np.asarray(polygon, float)
        if points.ndim != 1 or not 6 <= len(points) <= _MOST_NUMBERS or len(points) % 2:
            raise ValueError("a polygon is a list of x and y of three points or more")
        points = points.reshape(-1, 2)
        # Else it is of another picture, or no list of points at all.
        inside = (points >= -_BEYOND * side - 2) & (points <= (1 + _BEYOND) * side + 2)
        if not inside.all():  # no number, too
            x, y = points[~inside.all(1)][0].tolist()
            raise ValueError(f"a point ({x:g}, {y:g}) is far outside of {size[1]} x {size[0]}")
        if np.abs(np.diff(points, axis=0)).sum() > _LONGEST:
            raise ValueError(f"an outline is no longer than {_LONGEST:g} pixels")
    if max(np.max(polygon) for polygon in polygons) <= 1:
        raise ValueError("its points are shares of the picture, or all in one pixel")
    mask: NDArray[np.bool_] = rle.decode(rle.merge(rle.frPyObjects(polygons, *size))) == 1
    return mask


def from_counts(counts: list[Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask of runs of 0 and 1 in turn, column by column."""
    if len(counts) > size[0] * size[1] + 1:
        raise ValueError("there are more runs than pixels")
    runs = np.array([int(n) for n in counts], np.int64)
    if (runs < 0).any() or (runs > size[0] * size[1]).any() or runs.sum() != size[0] * size[1]:
        raise ValueError(f"the runs do not add up to {size[0]} x {size[1]} pixels")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(size[::-1]).T


def unpacked(text: str) -> list[int]:
    """Return the run lengths in COCO's compressed text.

    Each is a number of 5 bits a character, lowest first; from the fourth run on, what it is more
    than the one two before (``rleFrString`` of pycocotools, which trusts its input).
    """
    runs: list[int] = []
    value, bits = 0, 0
    if not isinstance(text, str):  # of a number, bytes() would be as many
        raise ValueError("run lengths are a list or text")
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or bits > 40:
            raise ValueError("it holds what is no run length")
        value |= (code & 31) << bits
        bits += 5
        if not code & 32:
            if code & 16:  # negative
                value -= 1 << bits
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, bits = 0, 0
    if bits:
        raise ValueError("it is cut short")
    return runs
