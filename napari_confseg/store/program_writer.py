"""Programs that write a rater's planes, through the same lease as people."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from napari_confseg.store.backend import KeyValueStore
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.identity import check_same_kind
from napari_confseg.store.lease import Lease, LeaseLostError
from napari_confseg.store.schema import check_slug

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_confseg.store.clip import Clip
    from napari_confseg.store.identity import Identity
    from napari_confseg.store.lease import Holder
    from napari_confseg.store.rater import Rater

CHECK_AFTER = 3.0
"""Seconds of writing after which the lease is looked at again; it beats every ten."""


class ProgramWriter:
    """Write access of a program to one rater's planes on a clip, while entered.

    The rater is made, as `identity` says, if there is none of its name.

    Examples
    --------
    >>> with ProgramWriter(clip, "mean", Identity("consensus")) as writer:  # doctest: +SKIP
    ...     writer.write_plane(0, 2, plane)

    Attributes
    ----------
    rater : Rater
        What is written; to be read at will. Written through this object alone.
    """

    rater: Rater

    def __init__(self, clip: Clip, name: str, identity: Identity) -> None:
        check_slug(name)
        self._clip, self._name, self._identity = clip, name, identity
        self._path = f"{clip.name}/raters/{name}"
        self._lease = Lease(KeyValueStore(clip.store), self._path)
        self._checked = 0.0

    def __enter__(self) -> Self:
        """Take the lease.

        Raises
        ------
        StoreError
            If a rater of that name is of another kind, or somebody else writes it.
        """
        self._find()
        holder = self._lease.acquire()
        if holder is not None:
            raise self._refused(holder)
        try:
            self._checked = time.monotonic()
            self.rater = self._find() or self._make()  # somebody may have made it meanwhile
        except BaseException:
            self._lease.release()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """Let others write."""
        self._lease.release()

    def write_plane(self, frame: int, class_index: int, data: NDArray[np.uint8]) -> None:
        """Replace one plane of one frame with `data`, ``uint8 (Y, X)``.

        Parameters
        ----------
        frame, class_index : int
            Frame of the clip, and index of the class in the cohort.
        data : ndarray of uint8, shape (Y, X)
            Confidence in percent, or 255 for excluded.

        Raises
        ------
        StoreError
            If write access was lost, or a value is not 0..100 or 255.
        """
        self._check()
        self.rater.write_plane(frame, class_index, data)

    @contextmanager
    def bulk(self) -> Iterator[Callable[[int, int, NDArray[np.uint8]], None]]:
        """Give a function that replaces a plane, from any thread; one sync when the block ends.

        It takes frame, class index and plane, ``uint8 (Y, X)``. See :meth:`Rater.bulk`.

        Raises
        ------
        StoreError
            If write access was lost, or a value is not 0..100 or 255.
        """
        with self.rater.bulk() as put:

            def write(frame: int, class_index: int, data: NDArray[np.uint8]) -> None:
                self._check()
                put(frame, class_index, data)

            yield write
            self._check()  # before anything can be seen

    def write_status(self, status: NDArray[np.uint8]) -> None:
        """Replace the whole status, ``uint8 (T, C)``.

        Raises
        ------
        StoreError
            If write access was lost, or a value is no :class:`Status`.
        """
        self._check()
        self.rater.write_status(status)

    def record_identity(self) -> None:
        """Write down what made the planes that follow, in place of what made those before."""
        me, meta = self._identity, self.rater.meta
        told = {
            "label": me.label or meta.label,
            "run": me.run,
            "run_sha256": me.run_sha256,
            "imported": me.imported,
            "guarantee": me.guarantee,
        }
        if me.run is not None or told != {name: getattr(meta, name) for name in told}:
            self._check()
            self.rater.update_meta(**told, created=datetime.now(UTC))

    def _find(self) -> Rater | None:
        if self._name not in self._clip.raters():
            return None
        rater = self._clip.rater(self._name)
        check_same_kind(self._clip.name, rater, self._identity.kind)
        return rater

    def _make(self) -> Rater:
        me = self._identity
        return self._clip.create_rater(
            self._name, kind=me.kind, label=me.label, run=me.run, imported=me.imported
        )

    def _check(self) -> None:
        if time.monotonic() - self._checked < CHECK_AFTER:
            return
        try:
            self._lease.check()
        except LeaseLostError as error:
            raise self._refused(error.holder) from error
        self._checked = time.monotonic()

    def _refused(self, holder: Holder) -> StoreError:
        return StoreError(
            Problem(
                "read-only",
                self._path,
                holder.refusal,
                hint="Wait until it is free, or choose another name.",
            )
        )
