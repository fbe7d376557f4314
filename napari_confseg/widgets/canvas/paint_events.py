"""What napari's paint events say: their private atoms read as patches.

With :mod:`~napari_confseg.widgets.canvas.layers` the only place that knows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.annotate.boxes import patch_between

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.store import Patch


def patches_of(item: Sequence[Any], data: Any, class_index: int) -> list[Patch]:
    """Return what a paint event changed, one patch for each frame.

    Parameters
    ----------
    item : sequence
        The event's atoms: masks within boxes, or (indices, values before, values after).
    data : ndarray of uint8 (T, Y, X)
        The plane. napari tells of a polygon before it writes and of a drag after, so neither the
        values there are taken for those before nor for those after: the atoms know both.
    class_index : int
        Whose plane it is.
    """
    boxes = [_box(atom, data.shape) for atom in item]
    low = np.min([[s.start for s in box] for box in boxes], axis=0)
    high = np.max([[s.stop for s in box] for box in boxes], axis=0)
    union = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    before = data[union].copy()
    places = [_place(atom, box, low) for atom, box in zip(item, boxes, strict=True)]
    for atom, place in zip(reversed(item), reversed(places), strict=True):  # latest change first
        before[place] = atom.old_values if hasattr(atom, "mask") else atom[1]
    after = before.copy()
    for atom, place in zip(item, places, strict=True):
        after[place] = atom.new_value if hasattr(atom, "mask") else atom[2]
    y, x = union[1].start, union[2].start
    found = (
        patch_between(class_index, union[0].start + t, before[t], after[t], y=y, x=x)
        for t in range(len(after))
    )
    return [p for p in found if p is not None]


def _box(atom: Any, shape: tuple[int, ...]) -> tuple[slice, ...]:
    if hasattr(atom, "mask"):
        ranges = (range(n)[s] for s, n in zip(atom.slice_key, shape, strict=True))
        return tuple(slice(r.start, r.stop) for r in ranges)
    indices = [np.atleast_1d(i) for i in atom[0]]
    return tuple(slice(int(i.min()), int(i.max()) + 1) for i in indices)


def _place(atom: Any, box: tuple[slice, ...], origin: Any) -> Any:
    """Return the index of the pixels that `atom` changed in an array that begins at `origin`."""
    if not hasattr(atom, "mask"):
        return tuple(np.asarray(i) - o for i, o in zip(atom[0], origin, strict=True))
    ranges = [range(s.start - o, s.stop - o) for s, o in zip(box, origin, strict=True)]
    if atom.mask is None:
        return tuple(slice(r.start, r.stop) for r in ranges)
    return tuple(i + r.start for i, r in zip(np.nonzero(atom.mask), ranges, strict=True))


def value_painted(atom: Any) -> int:
    """Return the value that `atom` wrote."""
    return int(atom.new_value if hasattr(atom, "mask") else np.ravel(atom[2])[0])
