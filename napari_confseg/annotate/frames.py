"""A clip's frames, cached and prefetched for the viewer."""

from __future__ import annotations

import weakref
from bisect import bisect_right
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_confseg.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import Clip


MEMORY = 256 * 2**20
"""Bytes of frames kept: a 300-frame clip of 768 x 1024 plays from memory, a 2,000-frame one
does not fill it."""

AHEAD: Final = 8
"""Frames fetched ahead the way the person goes: a quarter of a second of a cine, time enough for
a network drive."""


class CachedFrames:
    """Array-like over a clip's frames, ``uint8 (T, Y, X)``, that keeps the frames read last.

    Whoever asks for frame 11 after frame 10 finds 12 and the next ones fetched already, by a
    thread of our own; going back, those before.

    Parameters
    ----------
    clip : Clip
        The clip.
    memory : int
        Bytes to keep at most; one frame is always kept.
    """

    def __init__(self, clip: Clip, memory: int = MEMORY) -> None:
        self._frames = clip.frames
        self.shape = clip.shape
        self.dtype = np.dtype(np.uint8)
        self.ndim = 3
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._room = max(1, memory // (self.shape[1] * self.shape[2]))
        self._lock = Lock()
        self._at, self._step = 0, 1
        self._fetching: set[int] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="frames-ahead")
        # Frames still wanted when the clip goes are wanted no more.
        weakref.finalize(self, self._thread.shutdown, wait=False, cancel_futures=True)

    @property
    def size(self) -> int:
        """Number of pixels of the whole clip."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes of the whole clip, were it in memory."""
        return self.size

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        if not isinstance(key, tuple):
            key = (key,)
        if key and isinstance(key[0], (int, np.integer)):
            return np.asarray(self.frame(int(key[0]))[key[1:]])
        return np.asarray(self._frames[key], np.uint8)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self._frames[:], dtype or np.uint8)

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return one frame, ``uint8 (Y, X)``, read-only."""
        index = range(self.shape[0])[index]
        frame = self._find(index)
        if frame is None:
            frame = self._read(index)
        self._fetch_ahead(index)
        return frame

    def ahead(self) -> list[int]:
        """Return the frames that the person comes to next, nearest first; the clip goes round."""
        n = min(AHEAD, self._room - 1, self.shape[0] - 1)
        return [(self._at + k * self._step) % self.shape[0] for k in range(1, n + 1)]

    def _find(self, index: int) -> NDArray[np.uint8] | None:
        with self._lock:
            if index in self._kept:
                self._kept.move_to_end(index)
            return self._kept.get(index)

    def _read(self, index: int) -> NDArray[np.uint8]:
        frame = np.asarray(self._frames[index], np.uint8)
        frame.flags.writeable = False
        with self._lock:
            self._kept[index] = frame
            while len(self._kept) > self._room:
                self._kept.popitem(last=False)
        return frame

    def _fetch_ahead(self, index: int) -> None:
        moved = index - self._at
        if moved:
            # A jump says nothing about where one goes next; a step of a few frames does.
            self._step = moved if abs(moved) <= AHEAD else 1
        self._at = index
        with self._lock:
            due = [t for t in self.ahead() if t not in self._kept and t not in self._fetching]
            self._fetching.update(due)
        fetch = weakref.WeakMethod(self._fetch)
        for t in due:
            self._thread.submit(_call, fetch, t)

    def _fetch(self, index: int) -> None:
        # Asked for again where the person sees it, a frame that can't be read says so there.
        with suppress(StoreError, OSError):
            if index in self.ahead() and self._find(index) is None:
                self._read(index)
        with self._lock:
            self._fetching.discard(index)


def _call(method: weakref.WeakMethod[Any], index: int) -> None:
    """Call a method unless its object has gone: a queue must not keep a closed clip alive."""
    alive = method()
    if alive is not None:
        alive(index)


def duration(times: Sequence[float]) -> float:
    """Return how long one round of the clip takes, in seconds; the last frame lasts a mean one."""
    if len(times) < 2:
        return 1.0
    span = times[-1] - times[0]
    return span + span / (len(times) - 1)


def frame_at(times: Sequence[float], start: int, elapsed: float) -> int:
    """Return the frame due `elapsed` seconds after frame `start` came up; the clip goes round.

    Parameters
    ----------
    times : sequence of float
        Time of each frame in seconds, rising.
    start : int
        The frame on show at ``elapsed = 0``.
    elapsed : float
        Seconds by the clock, so that a slow screen drops frames and keeps the rate.
    """
    t = (times[start] - times[0] + elapsed) % duration(times)
    # Half a nanosecond forgives the rounding of the sum: a frame is due at its own time.
    return bisect_right(times, t + times[0] + 5e-10) - 1


def rate(times: Sequence[float]) -> float:
    """Return the mean rate in frames per second."""
    return len(times) / duration(times)
