"""A clip's frames as the viewer reads them: one at a time, the latest kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.store import Clip

MEMORY = 256 * 2**20
"""Bytes of frames kept: a 300-frame clip of 768 x 1024 plays from memory, a 2,000-frame one
does not fill it."""


class CachedFrames:
    """Array-like over a clip's frames, ``uint8 (T, Y, X)``, that keeps the frames read last.

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
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        frame = np.asarray(self._frames[index], np.uint8)
        frame.flags.writeable = False
        self._kept[index] = frame
        while len(self._kept) > self._room:
            self._kept.popitem(last=False)
        return frame
