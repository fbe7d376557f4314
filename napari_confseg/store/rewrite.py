"""Changing the frames of a clip after its import: only to take something out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import zarr

from napari_confseg.store.clip import FRAMES_PER_SHARD

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_confseg.store.cohort import Cohort


def change_frames(
    cohort: Cohort, clip: str, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
) -> None:
    """Replace every frame of `clip` with what `change` makes of it.

    Goes file by file, each replaced whole, with a bounded memory. Interrupted, it leaves the first
    part changed: `change` must do no harm when it is applied once more.

    Parameters
    ----------
    cohort : Cohort
        Where; opened for writing.
    clip : str
        Name of the clip.
    change : callable
        Takes frames ``uint8 (n, Y, X)`` and returns as many of the same shape.
    """
    n_frames = cohort.clip(clip).shape[0]  # checks the layout before anything is decoded
    array = zarr.open_array(cohort.store, path=f"{clip}/0", mode="r+", zarr_format=3)
    for start in range(0, n_frames, FRAMES_PER_SHARD):
        stop = min(start + FRAMES_PER_SHARD, n_frames)
        frames: NDArray[np.uint8] = array[start:stop]  # type: ignore[assignment]
        array[start:stop] = change(frames)
