"""Write-behind: what the journal has is brought to the store, in order, again until it is there."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.store.journal import Entry
    from napari_confseg.store.rater import Rater

PLANES_KEPT = 16
"""Planes (of one frame and class) kept from one batch to the next: people paint where they are."""


class Applier:
    """Applies entries to one rater's group.

    Planes first, then status, then the record of strokes, each durable before the next. A batch
    that fails half-way is applied again from its beginning, which comes to the same.

    Parameters
    ----------
    rater : Rater
        The group; this is its only writer.
    """

    def __init__(self, rater: Rater) -> None:
        self._rater = rater
        self._planes: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self.status = rater.read_status()
        self.record = {s.seq: s for s in rater.read_strokes()}

    def announce(self, session: str) -> None:
        """Write down once that `session` is the rater's writer from here on."""
        if self._rater.meta.session != session:
            self._rater.update_meta(epoch=self._rater.meta.epoch + 1, session=session)

    def apply(self, entries: Sequence[Entry]) -> None:
        """Bring `entries` to the store; when this returns they are durable there.

        Raises
        ------
        StoreError, OSError
            If the store refuses or is away; nothing is half-remembered here then.
        """
        planes: dict[tuple[int, int], NDArray[np.uint8]] = {}
        status = self.status.copy()
        record = dict(self.record)
        for entry in entries:
            act = entry.effect()
            for patch in act.patches:
                key = patch.frame, patch.class_index
                if key not in planes:
                    planes[key] = self._plane(key).copy()
                patch.apply(planes[key])
            for change in act.status:
                status[change.frame, change.class_index] = change.after
            record[entry.stroke.seq] = entry.record()
        for (frame, class_index), plane in planes.items():
            self._rater.write_plane(frame, class_index, plane)
        if not np.array_equal(status, self.status):
            self._rater.write_status(status)
        self._rater.write_strokes(record[seq] for seq in sorted(record))
        self._keep(planes)
        self.status, self.record = status, record

    def _plane(self, key: tuple[int, int]) -> NDArray[np.uint8]:
        kept = self._planes.get(key)
        return self._rater.read_plane(*key) if kept is None else kept

    def _keep(self, planes: dict[tuple[int, int], NDArray[np.uint8]]) -> None:
        for key, plane in planes.items():
            self._planes[key] = plane
            self._planes.move_to_end(key)
        while len(self._planes) > PLANES_KEPT:
            self._planes.popitem(last=False)
