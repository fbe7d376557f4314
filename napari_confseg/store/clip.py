"""A clip: its frames, and the raters who marked it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import zarr

from napari_confseg.store.attributes import (
    attributes_in,
    is_whole,
    merged,
    parse_node,
    write_attributes,
    write_group,
)
from napari_confseg.store.backend import KeyValueStore
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.frames import Frames
from napari_confseg.store.layout import (
    FRAMES_PER_SHARD,
    check_frames,
    create_rater_arrays,
    stored_classes,
)
from napari_confseg.store.omezarr import clip_ome, rater_ome
from napari_confseg.store.rater import Rater
from napari_confseg.store.revisions import read_newest, swap_newest
from napari_confseg.store.schema import (
    ClassSpec,
    ClipMeta,
    CohortMeta,
    Imported,
    RaterMeta,
    check_slug,
    is_slug,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from zarr.abc.store import Store

    from napari_confseg.store.rater_kinds import RaterKind


class Clip:
    """One clip of a cohort. Obtained from :meth:`Cohort.clip`.

    Attributes
    ----------
    name : str
        The clip's slug.
    meta : ClipMeta
        Patient, times, spacing, sector, provenance.
    frames : Frames
        ``uint8 (T, Y, X)``, read by slicing.
    """

    def __init__(self, store: Store, name: str, cohort: CohortMeta) -> None:
        self._store = store
        self._keys = KeyValueStore(store)
        self._cohort = cohort
        self.name = name
        self.meta = attributes_in(
            parse_node(read_newest(self._keys, name).data, name), name, ClipMeta
        )
        shape, per_shard, problems = check_frames(self._keys, f"{name}/0")
        if problems:
            raise StoreError(problems)
        if len(self.meta.frame_times) != shape[0]:
            raise StoreError(
                Problem.mismatch(
                    "frame-times",
                    name,
                    f"{shape[0]} frame times, one a frame",
                    f"{len(self.meta.frame_times)}",
                    "Import the clip again.",
                )
            )
        self.frames = Frames(self._keys, f"{name}/0", shape, per_shard)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, Y, X)."""
        return self.frames.shape

    @property
    def classes(self) -> tuple[ClassSpec, ...]:
        """What raters mark, as the cohort says."""
        return self._cohort.classes

    def update_meta(self, **changes: object) -> None:
        """Write the attributes with some fields changed; all others stay as they are on disk.

        Of two who change different fields at once neither loses any.
        """
        while True:
            before = read_newest(self._keys, self.name)
            now = attributes_in(parse_node(before.data, self.name), self.name, ClipMeta)
            meta = ClipMeta.model_validate(now.model_dump() | changes)
            interval, spacing = meta.frame_interval, meta.spacing
            ome = clip_ome(self.name, interval, spacing)
            if swap_newest(self._keys, self.name, before, merged(before.data, meta, ome)):
                break  # else somebody was faster, which happens a few times at most
        self.meta = meta
        if {"frame_times", "spacing"} & changes.keys():
            for name in self.raters():  # their OME metadata repeat the clip's scale
                rater = self.rater(name)
                stored, _ = stored_classes(self._keys, rater.path)
                ome = rater_ome(name, interval, spacing, self._cohort.classes[:stored])
                write_attributes(self._keys, rater.path, rater.meta, ome)

    def raters(self) -> list[str]:
        """Return the names of the raters, sorted; folders with illegal names are none.

        Raises
        ------
        FileNotFoundError
            If the clip is not there any more.
        """
        prefix = f"{self.name}/raters"
        names = [n for n in self._keys.children(prefix) if is_slug(n)]
        whole = [n for n in names if is_whole(self._keys, f"{prefix}/{n}")]
        if not whole or len(whole) < len(names):
            self._keys.check_there(self.name)
        return whole

    def rater(self, name: str) -> Rater:
        """Return the rater called `name`.

        Raises
        ------
        StoreError
            If there is none, or its group breaks the contract.
        """
        path = f"{self.name}/raters/{name}"
        try:
            check_slug(name)
        except ValueError as error:
            raise StoreError(Problem("name", path, str(error))) from error
        return self._open_rater(path)

    def _open_rater(self, path: str) -> Rater:
        return Rater(self._store, path, self.shape, self._cohort.classes)

    def change_frames(self, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> None:
        """Replace every frame with what `change` makes of it.

        Goes file by file, each replaced whole, with a bounded memory. Interrupted, it leaves the
        first part changed: `change` must do no harm when it is applied once more.

        Parameters
        ----------
        change : callable
            Takes frames ``uint8 (n, Y, X)`` and returns as many of the same shape.
        """
        n_frames = self.shape[0]
        array = zarr.open_array(self._store, path=f"{self.name}/0", mode="r+", zarr_format=3)
        for start in range(0, n_frames, FRAMES_PER_SHARD):
            stop = min(start + FRAMES_PER_SHARD, n_frames)
            frames: NDArray[np.uint8] = array[start:stop]  # type: ignore[assignment]
            array[start:stop] = change(frames)

    @property
    def store(self) -> Store:
        """The zarr store of the cohort."""
        return self._store

    def create_rater(
        self,
        name: str,
        *,
        kind: RaterKind,
        label: str | None = None,
        run: str | None = None,
        adjudicator: str | None = None,
        imported: Imported | None = None,
        created: datetime | None = None,
    ) -> Rater:
        """Make an empty rater and return it.

        Parameters
        ----------
        name : str
            Slug of the new rater.
        kind : str
            Key of :data:`~napari_confseg.store.RATER_KINDS`.
        label : str, optional
            What people read; the name if not given.
        run : str, optional
            The run that makes a model's planes.
        adjudicator : str, optional
            Who adjudicates, as people read it; for an adjudicated rater.
        imported : Imported, optional
            For planes that come from a file: which format, and who made them.
        created : datetime, optional
            Now, if not given.

        Raises
        ------
        StoreError
            If there is a rater of that name.
        """
        path = f"{self.name}/raters/{check_slug(name)}"
        if is_whole(self._keys, path):
            raise StoreError(Problem("exists", path, "A rater of this name exists already"))
        meta = RaterMeta(
            kind=kind,
            label=label or name,
            run=run,
            adjudicator=adjudicator,
            imported=imported,
            created=created or datetime.now(UTC),
        )
        n_frames, height, width = self.shape
        n_classes = len(self._cohort.classes)
        write_group(self._keys, f"{self.name}/raters")
        create_rater_arrays(self._store, path, (n_frames, n_classes, height, width))
        ome = rater_ome(name, self.meta.frame_interval, self.meta.spacing, self._cohort.classes)
        write_attributes(self._keys, path, meta, ome)  # last: its presence makes the rater
        return self._open_rater(path)
