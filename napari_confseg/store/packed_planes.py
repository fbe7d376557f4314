"""Planes of one class in memory: compressed, but for the frames looked at last."""

from __future__ import annotations

import math
from collections import OrderedDict
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_confseg.store.codec import decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_confseg.store.edits import Patch

ROOM: Final = 8 * 2**20
"""Bytes of planes that one class keeps unpacked: ten frames of 1024 x 768."""


class PackedPlanes:
    """Array-like ``uint8 (T, Y, X)`` over one class's planes; memory follows what is marked.

    A plane is unpacked when it is looked at or changed, and packed again, if it was changed, when
    others need its room. One with no mark takes no memory at all. A patch may be put to a packed
    plane (:meth:`add`), and is applied when that is unpacked: to thousands of planes at once it
    takes no time.

    ``planes[t]`` is a plane, read-only and without copying: to be looked at, not to be kept, for
    it follows changes only as long as it stays unpacked here. Any other index gives a copy, as a
    file on disk would, but for a region of one frame, ``planes[t : t + 1, a:b, c:d]``, which a
    brush changes many times a second: what is written into that is kept once the region is
    assigned back, and not to be relied on before. Marks are written by assignment and by
    :meth:`apply`. Threads may read while one writes.

    Parameters
    ----------
    shape : tuple of int
        (T, Y, X).
    packed : mapping of int to bytes, optional
        zstd chunks by frame, each known to decode and to have a mark; frames that are missing
        have none.
    counts : mapping of int to int, optional
        How many pixels of `packed` planes are marked, by frame, as far as it is known.
    room : int
        Bytes to keep unpacked; two planes always are.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        packed: Mapping[int, bytes] | None = None,
        counts: Mapping[int, int] | None = None,
        *,
        room: int = ROOM,
    ) -> None:
        self.shape = shape
        self.dtype = np.dtype(np.uint8)
        self.ndim = 3
        self.size = math.prod(shape)
        self.writeable = True
        """Whether marks may be written."""
        self._packed: dict[int, bytes] = dict(packed or {})
        self._added: dict[int, list[Patch]] = {}  # to be applied to what is packed, oldest first
        self._counts: dict[int, int] = dict(counts or {})  # of planes that are not open
        self._open: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()  # latest last
        self._changed: set[int] = set()  # open ones that are not in `_packed`
        self._n_open = max(2, room // max(math.prod(shape[1:]), 1))
        self._lock = RLock()
        # Takes no memory: all its pixels are one.
        self._nothing = np.broadcast_to(np.uint8(0), shape[1:])

    @property
    def held(self) -> int:
        """Bytes of memory that the planes take now."""
        with self._lock:
            added = sum(len(p.pack()) for patches in self._added.values() for p in patches)
            opened = sum(p.nbytes for p in self._open.values())
            return sum(map(len, self._packed.values())) + added + opened

    def __len__(self) -> int:
        return self.shape[0]

    def any(self) -> bool:
        """Whether any frame has a mark."""
        return any(plane.any() for _, plane in self._marked(range(len(self))))

    def is_marked(self, frame: int) -> bool:
        """Whether a frame has a mark; without unpacking it.

        Of a chunk that is held packed it is known: none is kept of a plane without marks.
        """
        with self._lock:
            plane = self._open.get(frame)
            if plane is not None:
                return bool(plane.any())
            return self._counts[frame] > 0 if frame in self._added else frame in self._packed

    def __deepcopy__(self, _memo: object) -> PackedPlanes:
        with self._lock:
            packed = dict(self._packed)
            packed |= {t: encode(self._open[t]) for t in self._changed if self._open[t].any()}
            twin = PackedPlanes(self.shape, packed, self._counts)
            twin._added = {t: list(patches) for t, patches in self._added.items()}
        return twin

    # ---- looking --------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, np.integer)):
            with self._lock:
                plane = self._unpack(range(len(self))[key]).view()
            plane.flags.writeable = False
            return plane
        first, rest = self._split(key)
        with self._lock:
            if isinstance(first, int):
                return self._look(first)[rest].copy()
            if isinstance(first, range) and len(first) == 1 and self._is_painted(first[0], rest):
                return self._open[first[0]][None, *rest]
            if isinstance(first, range):
                return self._stack(first, rest)
            if len(rest) == self.ndim - 1 and _are_indices(first, *rest):
                return self._points(first, *rest)
            return np.asarray(self)[key]

    def _is_painted(self, frame: int, rest: tuple[Any, ...]) -> bool:
        """Whether `frame` was changed since it was unpacked, and `rest` is a region of it."""
        if not self.writeable or frame not in self._changed:
            return False
        return len(rest) == 2 and all(isinstance(part, slice) for part in rest)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("packed planes can't be had without a copy")
        return np.asarray(self._stack(range(len(self)), ()), dtype)

    def _stack(self, frames: range, rest: tuple[Any, ...]) -> NDArray[np.uint8]:
        out = np.zeros((len(frames), *self._nothing[rest].shape), np.uint8)
        with self._lock:
            if len(frames) == 1:  # as napari looks at the frame on show
                out[0] = self._look(frames[0])[rest]
                return out
            for i, plane in self._marked(frames):
                out[i] = plane[rest]
        return out

    def _points(self, *key: Any) -> NDArray[np.uint8]:
        """Return the values at lists of indices, as `numpy.nonzero` gives them."""
        frames, y, x = np.broadcast_arrays(*key)
        out = np.zeros(frames.shape, np.uint8)
        for t in np.unique(frames).tolist():
            here = frames == t
            out[here] = self._look(range(len(self))[t])[y[here], x[here]]
        return out

    def _marked(self, frames: range) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield (place in `frames`, plane) where something is held, without keeping it unpacked."""
        with self._lock:
            for i, t in enumerate(frames):
                if t in self._open:
                    yield i, self._open[t]
                elif t in self._packed or t in self._added:
                    yield i, self._unpacked(t)

    def _look(self, frame: int) -> NDArray[np.uint8]:
        if frame in self._open or frame in self._packed or frame in self._added:
            return self._unpack(frame)
        return self._nothing

    def peek(self, frame: int) -> NDArray[np.uint8]:
        """Return the plane of `frame`, ``uint8 (Y, X)``, read-only, without keeping it unpacked."""
        with self._lock:
            if frame in self._open:
                plane = self._open[frame].view()
            elif frame in self._packed or frame in self._added:
                plane = self._unpacked(frame)
            else:
                return self._nothing
        plane.flags.writeable = False
        return plane

    # ---- changing -------------------------------------------------------------------------

    def __setitem__(self, key: Any, value: Any) -> None:
        first, rest = self._split(key)
        with self._lock:
            if isinstance(first, int):
                self._to_change(first)[rest] = value
                return
            if isinstance(first, range) and len(first) == 1:
                plane = self._to_change(first[0])[None]
                plane[0:1, *rest] = value
                return
            if isinstance(first, range):
                inner = self._nothing[rest].shape
                for t, part in zip(
                    first, np.broadcast_to(value, (len(first), *inner)), strict=True
                ):
                    self._to_change(t)[rest] = part
                return
            # Lists of indices, as `numpy.nonzero` gives them.
            *places, values = np.broadcast_arrays(first, *rest, value)
            for t in np.unique(places[0]).tolist():
                here = places[0] == t
                at = tuple(p[here] for p in places[1:])
                self._to_change(range(len(self))[t])[at] = values[here]

    def apply(self, patch: Patch) -> None:
        """Write the changed pixels of `patch`, whatever class it is of, into its frame."""
        with self._lock:
            patch.apply(self._to_change(patch.frame))

    def add(self, patch: Patch) -> None:
        """Put `patch` to its frame as :meth:`apply` does; it is applied when somebody looks.

        What is before it must be what is there: then it is known at once what is marked.
        """
        t = patch.frame
        with self._lock:
            if t in self._open or not self.writeable:
                self.apply(patch)
                return
            if t not in self._counts and (t in self._packed or t in self._added):
                self._counts[t] = int(np.count_nonzero(self._unpacked(t)))
            self._counts[t] = max(self._counts.get(t, 0) + patch.gain, 0)
            self._added.setdefault(t, []).append(patch)

    def _to_change(self, frame: int) -> NDArray[np.uint8]:
        if not self.writeable:
            raise ValueError("these planes are read-only")
        plane = self._unpack(frame)
        self._note_changed(frame)
        return plane

    def _note_changed(self, frame: int) -> None:
        self._changed.add(frame)
        self._packed.pop(frame, None)  # as it was
        self._counts.pop(frame, None)

    # ---- packing --------------------------------------------------------------------------

    def _split(self, key: Any) -> tuple[Any, tuple[Any, ...]]:
        """Return (frame, range of frames or list of them) and the rest of an index."""
        key = key if isinstance(key, tuple) else (key,)
        if not key or key[0] is Ellipsis:
            missing = (slice(None),) * (self.ndim - len(key) + 1)
            key = (*missing, *key[1:])
        first, rest = key[0], key[1:]
        if isinstance(first, slice):
            return range(len(self))[first], rest
        if isinstance(first, (int, np.integer)):
            return range(len(self))[first], rest
        return first, rest

    def _unpack(self, frame: int) -> NDArray[np.uint8]:
        if frame in self._open:
            self._open.move_to_end(frame)
            return self._open[frame]
        plane = self._unpacked(frame)
        if self._added.pop(frame, None):
            self._note_changed(frame)
        self._open[frame] = plane
        while len(self._open) > self._n_open:
            self._pack(*self._open.popitem(last=False))
        return plane

    def _unpacked(self, frame: int) -> NDArray[np.uint8]:
        plane = np.zeros(self.shape[1:], np.uint8)
        if frame in self._packed:
            decode(self._packed[frame], plane, f"frame {frame} in memory")
        for patch in self._added.get(frame, ()):
            patch.apply(plane)
        return plane

    def _pack(self, frame: int, plane: NDArray[np.uint8]) -> None:
        if frame not in self._changed:
            return
        self._changed.discard(frame)
        marked = int(np.count_nonzero(plane))
        if marked:
            self._packed[frame] = encode(plane)
            self._counts[frame] = marked


def _are_indices(*key: Any) -> bool:
    return all(np.issubdtype(np.asarray(part).dtype, np.integer) for part in key)


AnyPlanes = NDArray[np.uint8] | PackedPlanes
"""``uint8 (T, Y, X)``, whole in memory or packed."""
