"""Outlines and masks: polygons, ellipses and lines drawn, and the outlines of a mask.

Points are (x, y) in pixels, a pixel's centre at whole numbers. Programs that count from the
picture's corner, where that centre lies at 0.5, are shifted by :data:`CORNER` first.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.measure import find_contours

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

CORNER = 0.5
"""What a coordinate counted from the picture's corner is more than one from a pixel's centre."""
FARTHEST = 1e5
"""Pixels; people and programs draw a little beyond the edge."""
MOST_POINTS = 100_000
LONGEST = 2e6
"""Pixels of an outline, which bounds the work of drawing it."""
_NEAR = 1e-6  # pixels within which a centre lies on a line
_ALL_AROUND = np.ones((3, 3), bool)


def checked_points(points: ArrayLike, least: int) -> NDArray[np.float64]:
    """Return points as ``float64 (n, 2)``.

    Raises
    ------
    ValueError
        If they are fewer than `least` or very many, no numbers, or far away.
    """
    array = np.asarray(points, np.float64)
    if array.ndim != 2 or array.shape[1] != 2 or not least <= len(array) <= MOST_POINTS:
        found = len(array) if array.ndim == 2 and array.shape[1] == 2 else "none"
        raise ValueError(f"it takes {least} to {MOST_POINTS:,} points (x, y), found {found}")
    if not (np.abs(array) <= FARTHEST).all():
        raise ValueError(f"its points lie within {FARTHEST:g} pixels of the picture")
    if np.abs(np.diff(array, axis=0, append=array[:1])).sum() > LONGEST:
        raise ValueError(f"its outline is no longer than {LONGEST:g} pixels")
    return array


def fill(points: ArrayLike, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels of a polygon ``bool (Y, X)``: those whose centre is in it or on its edge.

    Where it crosses itself, what is inside twice is outside (even-odd rule). One that lies
    between the centres of pixels marks those that its points are in.

    Parameters
    ----------
    points : array_like
        ``(n, 2)`` of (x, y), three or more, checked by :func:`checked_points`.
    size : tuple of int
        (Y, X).
    """
    given = checked_points(points, 3)
    mask = np.zeros(size, bool)
    # Most shapes are small beside the picture, and the work grows with the pixels looked at.
    x0, y0 = np.clip(np.floor(given.min(0)), 0, size[::-1]).astype(int).tolist()
    x1, y1 = np.clip(np.ceil(given.max(0)) + 1, 0, size[::-1]).astype(int).tolist()
    if x0 >= x1 or y0 >= y1:
        return mask
    begin = given - (x0, y0)
    end = np.roll(begin, -1, axis=0)
    near = _inside(begin, end, (y1 - y0, x1 - x0))
    _draw_edges(near, begin, end)
    mask[y0:y1, x0:x1] = near
    if not near.any():
        rows, columns = np.rint(given[:, ::-1]).astype(int).T
        within = (rows >= 0) & (rows < size[0]) & (columns >= 0) & (columns < size[1])
        mask[rows[within], columns[within]] = True
    return mask


def _inside(
    begin: NDArray[np.float64], end: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Count the edges to the left of each centre: an odd number means inside."""
    height, width = size
    which, rows = _rows(np.ceil, np.ceil, begin, end, height)
    x = _across(begin, end, which, rows)
    columns = np.clip(np.ceil(x - _NEAR), 0, width).astype(int)
    crossings = np.bincount(rows * (width + 1) + columns, minlength=height * (width + 1))
    odd: NDArray[np.bool_] = np.cumsum(crossings.reshape(height, width + 1), axis=1) % 2 == 1
    return np.ascontiguousarray(odd[:, :width])


def _rows(
    first: Any, stop: Any, begin: NDArray[np.float64], end: NDArray[np.float64], height: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which edge crosses which row, one after the other."""
    low = np.clip(first(np.minimum(begin[:, 1], end[:, 1])), 0, height).astype(int)
    high = np.clip(stop(np.maximum(begin[:, 1], end[:, 1])), 0, height).astype(int)
    counts = np.maximum(high - low, 0)
    which = np.repeat(np.arange(len(begin)), counts)
    within = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    return which, low[which] + within


def _across(
    begin: NDArray[np.float64],
    end: NDArray[np.float64],
    which: NDArray[np.intp],
    rows: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return x of edges at rows; at the first point of level ones, which are drawn elsewhere."""
    step = end[which] - begin[which]
    level = np.abs(step[:, 1]) < _NEAR
    part = np.where(level, 0.0, (rows - begin[which, 1]) / np.where(level, 1.0, step[:, 1]))
    x: NDArray[np.float64] = begin[which, 0] + part * step[:, 0]
    return x


def _draw_edges(
    mask: NDArray[np.bool_], begin: NDArray[np.float64], end: NDArray[np.float64]
) -> None:
    """Mark the pixels whose centres lie on an edge."""
    height, width = mask.shape
    which, rows = _rows(
        lambda y: np.ceil(y - _NEAR), lambda y: np.floor(y + _NEAR) + 1, begin, end, height
    )
    x = _across(begin, end, which, rows)
    column = np.rint(x)
    hit = (np.abs(x - column) < _NEAR) & (column >= 0) & (column < width)
    mask[rows[hit], column[hit].astype(int)] = True
    row = np.rint(begin[:, 1])
    level = np.abs(begin[:, 1] - end[:, 1]) < _NEAR
    level &= (np.abs(begin[:, 1] - row) < _NEAR) & (row >= 0) & (row < height)
    low = np.clip(np.ceil(np.minimum(begin[:, 0], end[:, 0]) - _NEAR), 0, width).astype(int)
    high = np.clip(np.floor(np.maximum(begin[:, 0], end[:, 0]) + _NEAR) + 1, 0, width).astype(int)
    for i in np.flatnonzero(level & (high > low)).tolist():
        mask[int(row[i]), low[i] : high[i]] = True


def box(
    corner: tuple[float, float],
    sides: tuple[float, float],
    size: tuple[int, int],
    *,
    rotation: float = 0.0,
    about: tuple[float, float] | None = None,
) -> NDArray[np.bool_]:
    """Return the pixels of a rectangle ``bool (Y, X)``.

    Parameters
    ----------
    corner, sides : tuple of float
        (x, y) of its upper left corner, and (width, height).
    size : tuple of int
        (Y, X).
    rotation : float
        Degrees, clockwise as the picture is seen.
    about : tuple of float, optional
        (x, y) of the point it is turned about; its centre if not given.
    """
    x, y = corner
    width, height = sides
    points = checked_points([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], 4)
    centre = np.array(about if about is not None else (x + width / 2, y + height / 2))
    return fill((points - centre) @ _turned(rotation) + centre, size)


def _turned(rotation: float) -> NDArray[np.float64]:
    angle = np.deg2rad(rotation)
    if not np.isfinite(angle):
        raise ValueError("its rotation is a number of degrees")
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, sin], [-sin, cos]])  # of row vectors, y down


def ellipse(
    centre: tuple[float, float],
    radii: tuple[float, float],
    size: tuple[int, int],
    *,
    rotation: float = 0.0,
) -> NDArray[np.bool_]:
    """Return the pixels of an ellipse ``bool (Y, X)``; see :func:`box` for the arguments."""
    (middle,) = checked_points([centre], 1)
    (given,) = checked_points([radii], 1)
    if (given < 0).any():
        raise ValueError("its radii are not negative")
    reach = max(given) + 1
    (x0, y0), (x1, y1) = (
        np.clip(np.ceil(middle + way * reach), 0, size[::-1]).astype(int) for way in (-1, 1)
    )
    mask = np.zeros(size, bool)
    y, x = np.mgrid[y0:y1, x0:x1]
    turned = np.stack([x, y], -1) - middle
    turned = turned @ _turned(rotation).T
    # One thinner than half a pixel is drawn as a line.
    mask[y0:y1, x0:x1] = ((turned / np.maximum(given, 0.5)) ** 2).sum(-1) <= 1 + _NEAR
    return mask


def band(points: ArrayLike, width: float, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels ``bool (Y, X)`` within half of `width` pixels of a line through points."""
    line = checked_points(points, 2)
    mask, half = np.zeros(size, bool), width / 2
    for a, b in pairwise(line):
        low = np.clip(np.floor(np.minimum(a, b) - half), 0, size[::-1]).astype(int)
        high = np.clip(np.ceil(np.maximum(a, b) + half + 1), 0, size[::-1]).astype(int)
        y, x = np.mgrid[low[1] : high[1], low[0] : high[0]]
        step = b - a
        length = float(step @ step) or 1.0
        part = np.clip(((x - a[0]) * step[0] + (y - a[1]) * step[1]) / length, 0, 1)
        distance = np.hypot(x - a[0] - part * step[0], y - a[1] - part * step[1])
        mask[low[1] : high[1], low[0] : high[0]] |= distance <= half
    return mask


def outlines(mask: NDArray[np.bool_]) -> Iterator[NDArray[np.int_]]:
    """Yield polygons ``int (n, 2)`` of (x, y) that :func:`fill` makes `mask` of again, exactly.

    They run through the centres of its outermost pixels, as OpenCV's do. A part with a hole is
    cut in two through it, since few formats hold polygons with holes.
    """
    for piece, (y, x) in _pieces(mask):
        if piece.all():
            low, right = piece.shape[0] - 1, piece.shape[1] - 1
            yield np.array([(x, y), (x + right, y), (x + right, y + low), (x, y + low)])
            continue
        # Nearer to the pixels inside than to those outside, so that rounding leads to the former.
        contour = find_contours(np.pad(piece, 1).astype(float), 0.75, fully_connected="high")[0]
        chain = np.rint(contour[:-1, ::-1]).astype(int) - 1
        yield _corners(chain) + np.array((x, y))


def _pieces(mask: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.bool_], tuple[int, int]]]:
    """Yield connected parts without holes, each with (y, x) of its corner."""
    todo = [(np.asarray(mask, bool), (0, 0))]
    while todo:
        whole, (top, left) = todo.pop()
        numbers, _ = ndimage.label(whole, _ALL_AROUND)
        for number, place in enumerate(ndimage.find_objects(numbers), 1):
            piece = numbers[place] == number
            corner = (top + place[0].start, left + place[1].start)
            if piece.all():  # most small ones, which cost most
                yield piece, corner
                continue
            outside, count = ndimage.label(~np.pad(piece, 1))
            if count == 1:
                yield piece, corner
                continue
            hole = ndimage.find_objects(outside)[1][1]
            cut = (hole.start + hole.stop - 1) // 2  # the padded column is one more than ours
            todo += [
                (piece[:, :cut], corner),
                (piece[:, cut:], (corner[0], corner[1] + cut)),
            ]


def _corners(chain: NDArray[np.int_]) -> NDArray[np.int_]:
    """Return the points of a closed chain of pixels where it turns; three at least."""
    moved = chain[(chain != np.roll(chain, 1, axis=0)).any(1)]
    if len(moved) == 0:
        moved = chain[:1]
    ahead = np.roll(moved, -1, axis=0) - moved
    turning = moved[(ahead != np.roll(ahead, 1, axis=0)).any(1)]
    turning = turning if len(turning) else moved[:1]
    more = max(3 - len(turning), 0)
    return np.concatenate([turning, np.repeat(turning[-1:], more, axis=0)])


def runs(flat: NDArray[np.bool_]) -> list[int]:
    """Return lengths of runs of False and True in turn, of ``bool (n,)``; the first may be 0."""
    ends = np.flatnonzero(np.diff(flat)) + 1
    lengths: list[int] = np.diff(np.concatenate([[0], ends, [len(flat)]])).tolist()
    return [0, *lengths] if len(flat) and flat[0] else lengths


def from_runs(lengths: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask ``bool (Y, X)`` of runs of False and True in turn, row by row.

    Raises
    ------
    ValueError
        If they are negative, or do not add up to `size`.
    """
    pixels = size[0] * size[1]
    if len(lengths) > pixels + 1:
        raise ValueError("it has more runs than pixels")
    counts = [int(n) for n in lengths]
    if any(n < 0 for n in counts) or sum(counts) != pixels:
        raise ValueError(f"its runs do not add up to {size[0]} x {size[1]} pixels")
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(size)
