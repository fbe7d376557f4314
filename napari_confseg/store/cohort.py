"""A cohort: the root of the store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from napari_confseg.store.attributes import (
    NAMESPACE,
    attributes_in,
    is_whole,
    merged,
    parse_attributes,
    parse_node,
    read_attributes,
    read_node,
    write_attributes,
)
from napari_confseg.store.backend import KeyValueStore, Location, open_store
from napari_confseg.store.clip import Clip
from napari_confseg.store.clip_writer import ClipWriter
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.identity import check_same_kind
from napari_confseg.store.lease import Lease
from napari_confseg.store.revisions import read_newest, swap_newest
from napari_confseg.store.schema import (
    DEFAULT_ANCHORS,
    DEFAULT_CLASSES,
    Anchor,
    ClassSpec,
    CohortMeta,
    RaterMeta,
    check_slug,
    is_slug,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zarr.abc.store import Store

    from napari_confseg.store.rater_kinds import RaterKind
    from napari_confseg.store.revisions import Revision
    from napari_confseg.store.schema import Blinding, ModelChange


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
        self._keys = KeyValueStore(store)
        self.meta = self._read_newest()[1]

    @classmethod
    def open(cls, location: Location | Store, *, read_only: bool = False) -> Self:
        """Open the cohort at a folder, zip, bucket or zarr store.

        Parameters
        ----------
        location : str, Path or zarr Store
            A folder, a zip (which can only be read) or an ``s3://`` address.
        read_only : bool
            Refuse everything that would write.

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
        keys = KeyValueStore(store)
        if keys.children(""):
            raise StoreError(
                Problem(
                    "exists",
                    str(location),
                    "The folder is not empty",
                    hint="Choose another name, or open the cohort that is there.",
                )
            )
        fields = {"cohort_id": cohort_id} if cohort_id else {}
        meta = CohortMeta(name=name, classes=tuple(classes), anchors=tuple(anchors), **fields)
        write_attributes(keys, "", meta)
        return cls(store, str(location))

    def update_meta(
        self,
        *,
        classes: Sequence[ClassSpec] | None = None,
        anchors: Sequence[Anchor] | None = None,
        blinding: Blinding | None = None,
        withheld: int | None = None,
        by: str = "",
        progress: Callable[[int, int, str], None] | None = None,
    ) -> list[str]:
        """Change what classes are called and look like, add classes, change anchors or blinding.

        Classes are only ever added at the end: planes are stored under their index, and records
        name it. If somebody else has added some since the cohort was opened, ours come after
        theirs: look at :attr:`meta` afterwards. Raters follow (a plane for each new class, names
        and colours for other OME-Zarr viewers): those that nobody holds now, the others when they
        next write.

        Parameters
        ----------
        classes, anchors : sequence, optional
            The whole list; as it is if not given.
        blinding : {"none", "until-reviewed", "always"}, optional
            Whether readers see each other; as it is if not given.
        withheld : int, optional
            Percent of the frames on which models suggest nothing; as it is if not given.
        by : str
            Who sets either, as people read the name; it is kept with the time.
        progress : callable, optional
            Called with (clips done, clips, name) while raters follow.

        Returns
        -------
        list of str
            Paths of raters that are held by someone, and follow later.

        Raises
        ------
        StoreError
            If a class is missing, moved or renamed, the list breaks the contract, the store is
            for reading only, or someone else has changed the same thing since it was opened.
            Nothing is written then.
        """
        self._check_writable()
        while True:
            before, now = self._read_newest()
            fields = now.model_dump(mode="json")
            given = self._merge(now, classes, anchors, blinding, withheld)
            for name, value in (("blinding", "rule"), ("withheld", "percent")):
                if name in given:
                    change = {"at": datetime.now(UTC).isoformat(), "by": by, value: given[name]}
                    given[f"{name}_changes"] = [*fields[f"{name}_changes"], change]
            meta = parse_attributes(fields | given, "", CohortMeta)
            if swap_newest(self._keys, "", before, merged(before.data, meta)):
                break  # else somebody was faster: what of ours still applies, and to what?
        self.meta = meta
        return self._let_raters_follow(progress) if classes is not None else []

    def record_model(self, change: ModelChange) -> None:
        """Make a model the active one: add `change` to :attr:`CohortMeta.active_models`.

        Raises
        ------
        StoreError
            If the store is for reading only, or somebody else has changed the active model since
            the cohort was opened. Nothing is written then.
        """
        self._check_writable()
        while True:
            before, now = self._read_newest()
            if now.active_models != self.meta.active_models:
                raise self._changed_meanwhile("The active model has")
            fields = now.model_dump(mode="json")
            fields["active_models"].append(change.model_dump(mode="json"))
            meta = parse_attributes(fields, "", CohortMeta)
            if swap_newest(self._keys, "", before, merged(before.data, meta)):
                break  # else somebody was faster: with the active model, or with something else
        self.meta = meta

    def _check_writable(self) -> None:
        if self.store.read_only:
            raise StoreError(
                Problem(
                    "read-only",
                    self.location,
                    "Read-only: the cohort was opened for reading",
                    hint="Unpack the zip, or copy the cohort.",
                )
            )

    def read_meta(self) -> CohortMeta:
        """Return the metadata as they are now; :attr:`meta` stays as it was read.

        Raises
        ------
        StoreError
            If they cannot be read, or break the contract.
        """
        return self._read_newest()[1]

    def _read_newest(self) -> tuple[Revision, CohortMeta]:
        before = read_newest(self._keys, "")
        return before, attributes_in(parse_node(before.data, ""), "", CohortMeta)

    def _merge(
        self,
        now: CohortMeta,
        classes: Sequence[ClassSpec] | None,
        anchors: Sequence[Anchor] | None,
        blinding: Blinding | None,
        withheld: int | None,
    ) -> dict[str, Any]:
        """Return the fields to change; what was made of `self.meta` is applied to `now`.

        Raises
        ------
        StoreError
            If somebody has changed the same thing in another way meanwhile.
        """
        seen = self.meta
        given: dict[str, Any] = {}
        if classes is not None:
            self._check_classes(classes)
            found = self._merge_classes(now, classes)
            given["classes"] = [c.model_dump(mode="json") for c in found]
        if anchors is not None:
            if now.anchors not in (seen.anchors, tuple(anchors)):
                raise self._changed_meanwhile("The anchors of the scale have")
            given["anchors"] = [a.model_dump(mode="json") for a in anchors]
        if blinding not in (None, seen.blinding):
            if now.blinding not in (seen.blinding, blinding):
                raise self._changed_meanwhile("The blinding has")
            if now.blinding != blinding:
                given["blinding"] = blinding
        if withheld not in (None, seen.withheld):
            if now.withheld not in (seen.withheld, withheld):
                raise self._changed_meanwhile("The share of frames without suggestions has")
            if now.withheld != withheld:
                given["withheld"] = withheld
        return given

    def _merge_classes(self, now: CohortMeta, classes: Sequence[ClassSpec]) -> list[ClassSpec]:
        seen = self.meta.classes
        merged_classes = list(now.classes)
        for mine, before in zip(classes, seen, strict=False):
            theirs = merged_classes[before.index]
            if theirs in (before, mine):
                merged_classes[before.index] = mine
            elif mine != before:
                raise self._changed_meanwhile(f"Class {before.name!r} has")
        for mine in classes[len(seen) :]:
            theirs_too = [c for c in now.classes[len(seen) :] if c.name == mine.name]
            if not theirs_too:
                # Where there is room: theirs came first, and planes are stored by index.
                shift = len(now.classes) - len(seen)
                merged_classes.append(mine.model_copy(update={"index": mine.index + shift}))
            elif theirs_too[0] != mine.model_copy(update={"index": theirs_too[0].index}):
                raise self._changed_meanwhile(f"A class {mine.name!r} has")
        return merged_classes

    def _changed_meanwhile(self, what: str) -> StoreError:
        return StoreError(
            Problem(
                "changed-meanwhile",
                self.location,
                f"{what} been changed by somebody else since the cohort was opened",
                hint="Open the cohort again and change it then.",
            )
        )

    def _check_classes(self, classes: Sequence[ClassSpec]) -> None:
        """Refuse a list in which a class of ours is missing, moved or renamed."""
        problems = []
        for old in self.meta.classes:
            found = classes[old.index].name if old.index < len(classes) else "none"
            if found != old.name:
                problems.append(
                    Problem.mismatch(
                        "class-changed",
                        self.location,
                        f"class {old.index} {old.name!r}",
                        found,
                        "Classes stay in place: change the label, or add a class.",
                    )
                )
        if problems:
            raise StoreError(problems)

    def _let_raters_follow(self, progress: Callable[[int, int, str], None] | None) -> list[str]:
        held = []
        names = self.clips()
        for done, name in enumerate(names):
            if progress:
                progress(done, len(names), name)
            clip = self.clip(name)
            for rater in map(clip.rater, clip.raters()):
                lease = Lease(self._keys, rater.path)
                if lease.acquire() is not None:
                    held.append(rater.path)
                    continue
                try:
                    rater.bring_in_step()
                finally:
                    lease.release()
        return held

    def clips(self) -> list[str]:
        """Return the names of the clips, sorted.

        Raises
        ------
        FileNotFoundError
            If the cohort is not there any more.
        """
        names = [n for n in self._keys.children("") if is_slug(n)]
        whole = [n for n in names if is_whole(self._keys, n)]
        if not whole or len(whole) < len(names):
            self._keys.check_there("")
        return whole

    def names(self) -> list[str]:
        """Return the names of clips and of those being imported: one listing, nothing opened."""
        return [n for n in self._keys.children("") if is_slug(n)]

    def clip(self, name: str) -> Clip:
        """Return the clip called `name`.

        Raises
        ------
        StoreError
            If there is none, or its group breaks the contract.
        """
        try:
            check_slug(name)
        except ValueError as error:
            raise StoreError(Problem("name", name, f"This is no legal name: {error}")) from error
        return Clip(self.store, name, self.meta)

    def kinds_of(self, rater: str) -> dict[RaterKind, str]:
        """Return the kinds of the raters called `rater`, and a clip where there is one.

        Asks each clip for one small file; what can't be read counts nothing.
        """
        found: dict[RaterKind, str] = {}
        names = self.clips()
        with ThreadPoolExecutor(8) as pool:  # of a bucket, each answer takes its time
            metas = pool.map(lambda clip: self._meta_of(clip, check_slug(rater)), names)
            for clip, meta in zip(names, metas, strict=True):
                if meta is not None:
                    found.setdefault(meta.kind, clip)
        return found

    def _meta_of(self, clip: str, rater: str) -> RaterMeta | None:
        path = f"{clip}/raters/{rater}"
        with suppress(StoreError):
            if is_whole(self._keys, path):
                return read_attributes(self._keys, path, RaterMeta)
        return None

    def check_name(self, rater: str, kind: RaterKind) -> None:
        """Refuse `rater` as the name of one of `kind` if it is another's somewhere in the cohort.

        Raises
        ------
        StoreError
            Says what it is, and where.
        """
        for found, clip in self.kinds_of(rater).items():
            if found != kind:
                check_same_kind(clip, self.clip(clip).rater(rater), kind)

    def new_clip(self, name: str, *, shape: tuple[int, int]) -> ClipWriter:
        """Return a writer for a new clip of frames of `shape` (Y, X).

        Raises
        ------
        StoreError
            If there is a clip of that name.
        """
        if is_whole(self._keys, check_slug(name)):
            raise StoreError(
                Problem(
                    "exists",
                    name,
                    "A clip of this name exists already",
                    hint="Choose another name.",
                )
            )
        return ClipWriter(self.store, name, shape)

    def remove_clip(self, name: str) -> None:
        """Remove the clip called `name` with everything in it."""
        self._keys.delete_tree(check_slug(name))


def kind_at(location: Location) -> Literal["cohort", "clip"] | None:
    """Return what of ours lies at `location`; None for anything else, other zarr among it.

    Looks at one attribute and validates nothing: opening it says what is wrong with it.
    """
    try:
        attributes = read_node(KeyValueStore(open_store(location, read_only=True)), "").get(
            "attributes"
        )
    except (StoreError, OSError, ValueError):
        return None
    ours = attributes.get(NAMESPACE) if isinstance(attributes, dict) else None
    kind = ours.get("kind") if isinstance(ours, dict) else None
    if kind == "cohort":
        return "cohort"
    return "clip" if kind == "clip" else None


def open_clip_at(folder: Location) -> tuple[Cohort, Clip]:
    """Return the clip whose folder is `folder`, and the cohort around it, for reading.

    Raises
    ------
    StoreError
        If the folder above is no cohort, or either breaks the contract.
    """
    path = Path(folder).expanduser().absolute()
    cohort = Cohort.open(path.parent, read_only=True)
    return cohort, cohort.clip(path.name)
