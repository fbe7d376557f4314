"""A cohort: the root of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from napari_confseg.store.attributes import is_whole, read_attributes, write_attributes
from napari_confseg.store.backend import Keys, Location, open_store
from napari_confseg.store.clip import Clip, ClipWriter
from napari_confseg.store.problems import Problem, StoreError
from napari_confseg.store.schema import (
    DEFAULT_ANCHORS,
    DEFAULT_CLASSES,
    Anchor,
    ClassSpec,
    CohortMeta,
    check_slug,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zarr.abc.store import Store


class Cohort:
    """A set of clips with a common list of classes.

    Use :meth:`open` or :meth:`create`.

    Attributes
    ----------
    meta : CohortMeta
        Name, classes, anchors.
    location : str
        Where it was opened, for people and for handing to another process.
    store : zarr Store
        The storage behind it.
    """

    def __init__(self, store: Store, location: str) -> None:
        self.store = store
        self.location = location
        self._keys = Keys(store)
        self.meta = read_attributes(self._keys, "", CohortMeta)

    @classmethod
    def open(cls, location: Location | Store, *, read_only: bool = False) -> Self:
        """Open the cohort at a folder, zip, bucket or zarr store.

        Raises
        ------
        StoreError
            If there is none, or its attributes break the contract.
        """
        return cls(open_store(location, read_only=read_only), str(location))

    @classmethod
    def create(
        cls,
        location: Location | Store,
        *,
        name: str,
        classes: Sequence[ClassSpec] = DEFAULT_CLASSES,
        anchors: Sequence[Anchor] = DEFAULT_ANCHORS,
        cohort_id: str | None = None,
    ) -> Self:
        """Make an empty cohort.

        Parameters
        ----------
        location : str, Path or zarr Store
            A folder that does not exist yet or is empty, a bucket, or a store.
        name : str
            Slug of the cohort.
        classes, anchors : sequence
            What raters mark, and the words for confidences.
        cohort_id : str, optional
            32 hexadecimal digits; random if not given.

        Raises
        ------
        StoreError
            If something is there already.
        """
        store = open_store(location, read_only=False, create=True)
        keys = Keys(store)
        if keys.children(""):
            raise StoreError(
                Problem("exists", str(location), "an empty place", "something is there",
                        "Choose another name, or open the cohort that is there.")
            )  # fmt: skip
        fields = {"cohort_id": cohort_id} if cohort_id else {}
        meta = CohortMeta(name=name, classes=tuple(classes), anchors=tuple(anchors), **fields)
        write_attributes(keys, "", meta)
        return cls(store, str(location))

    def clips(self) -> list[str]:
        """Return the names of the clips, sorted."""
        return [n for n in self._keys.children("") if is_whole(self._keys, n)]

    def clip(self, name: str) -> Clip:
        """Return the clip called `name`.

        Raises
        ------
        StoreError
            If there is none, or its group breaks the contract.
        """
        return Clip(self.store, check_slug(name), self.meta)

    def new_clip(self, name: str, *, shape: tuple[int, int]) -> ClipWriter:
        """Return a writer for a new clip of frames of `shape` (Y, X).

        Raises
        ------
        StoreError
            If there is a clip of that name.
        """
        if is_whole(self._keys, check_slug(name)):
            raise StoreError(
                Problem("exists", name, "no clip of that name", "one", "Choose another name.")
            )
        return ClipWriter(self.store, name, shape)

    def remove_clip(self, name: str) -> None:
        """Remove the clip called `name` with everything in it."""
        self._keys.delete_tree(check_slug(name))
