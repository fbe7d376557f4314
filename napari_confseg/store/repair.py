"""Repair of a cohort: what a crash left and can be set right without guessing."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from napari_confseg.store.attributes import (
    attributes_in,
    is_whole,
    merged,
    parse_node,
    read_attributes,
    read_node,
    write_attributes,
)
from napari_confseg.store.backend import KeyValueStore, open_store
from napari_confseg.store.cohort import Cohort
from napari_confseg.store.durable import PARTIAL
from napari_confseg.store.errors import StoreError, sentence
from napari_confseg.store.layout import stored_classes
from napari_confseg.store.lease import IMPORT_LOCK, Lease, only_import
from napari_confseg.store.mending import accept_files, mend
from napari_confseg.store.omezarr import clip_ome, ome_faults, rater_ome
from napari_confseg.store.record import RECORD, sweep_partials
from napari_confseg.store.revisions import (
    CHANGES,
    is_change,
    read_newest,
    show_newest,
    swap_newest,
)
from napari_confseg.store.schema import ClipMeta

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.store.backend import Location
    from napari_confseg.store.clip import Clip
    from napari_confseg.store.rater import Rater

_OLD = 3600.0
"""Seconds after which a half-written file outside of raters is nobody's any more."""


def repair(
    location: Location,
    *,
    accept_changed: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[str]:
    """Set right what can be without guessing; return what was done, a sentence each.

    Half-written files, groups that were never finished, a ``zarr.json`` that does not show the
    newest change, OME metadata that differ from the attributes, arrays that were half widened,
    planes, status and notes that are not what the record comes to.
    Whatever somebody is writing now is left alone, and said so.

    Parameters
    ----------
    location : str or Path
        A folder or bucket.
    accept_changed : bool
        Take planes that somebody has changed as they are, where no record tells what they were.
    progress : callable, optional
        Called with (clips done, clips, name).

    Raises
    ------
    StoreError
        If the cohort itself can't be read or written, or an import is under way.
    """
    store = open_store(location, read_only=False)
    with only_import(store, str(location)):
        return _Repair(KeyValueStore(store), str(location), accept_changed).run(progress)


class _Repair:
    def __init__(self, keys: KeyValueStore, location: str, accept_changed: bool) -> None:
        self._accept = accept_changed
        self._keys = keys
        self._location = location
        self._done: list[str] = []

    def run(self, progress: Callable[[int, int, str], None] | None) -> list[str]:
        self._newest_change("")
        cohort = Cohort.open(self._keys.store)
        names = [n for n in self._keys.children("") if n not in ("zarr.json", IMPORT_LOCK, CHANGES)]
        for number, name in enumerate(names):
            if progress:
                progress(number, len(names), name)
            try:
                self._clip(cohort, name)
            except (StoreError, OSError) as error:
                self._say(name, f"left as it is: {sentence(error)}")
        self._old_partials([*self._keys.under(f"{CHANGES}/"), *names])
        return self._done

    def _say(self, path: str, what: str) -> None:
        self._done.append(f"{path or 'cohort'}: {what}")

    def _newest_change(self, path: str) -> None:
        """Let ``zarr.json`` show the newest change; one that is empty has never come to be."""
        folder = f"{path}/{CHANGES}".lstrip("/")
        for key in self._keys.under(f"{folder}/"):
            empty = is_change(key.rpartition("/")[2]) and self._keys.get(key, limit=2**25) == b""
            if empty and self._is_old(key):
                self._keys.delete(key)
                self._say(key, "removed an empty change")
        if is_whole(self._keys, path) and show_newest(self._keys, path):
            self._say(path, "zarr.json shows the newest change again")

    def _is_old(self, key: str) -> bool:
        written = self._keys.modified(key)
        return written is not None and time.time() - written.timestamp() > _OLD

    def _old_partials(self, keys: list[str]) -> None:
        for key in keys:
            # In a rater's group a lease tells whether somebody is writing; here only age does.
            if key.endswith(PARTIAL) and self._is_old(key):
                self._keys.delete(key)
                self._say(key, "removed a half-written file")

    def _clip(self, cohort: Cohort, name: str) -> None:
        keys = self._keys.under(f"{name}/")
        self._old_partials([key for key in keys if "/raters/" not in key])
        if not is_whole(self._keys, name):
            self._bare_clip(name, keys)
            return
        self._newest_change(name)
        clip = cohort.clip(name)
        self._clip_ome(clip)
        for rater in self._keys.children(f"{name}/raters"):
            if rater != "zarr.json":
                try:
                    self._rater(clip, rater)
                except (StoreError, OSError) as error:  # the next one may be fine
                    self._say(f"{name}/raters/{rater}", f"left as it is: {sentence(error)}")

    def _bare_clip(self, name: str, keys: list[str]) -> None:
        """Remove the rest of an import that never ended; what holds more than that stays."""
        rest = re.compile(rf"{re.escape(name)}/(zarr\.json|0/zarr\.json|0/c/\d+/0/0|.*{PARTIAL})")
        frames = any(key.startswith(f"{name}/0/c/") for key in keys)
        if frames and f"{name}/zarr.json" not in keys:
            return  # of a whole clip whose attributes were lost, perhaps
        if not keys or not all(map(rest.fullmatch, keys)) or not self._is_bare(name):
            return
        if not all(map(self._is_old, keys)):
            self._say(name, "left as it is, an import may be under way: try again in an hour")
            return
        self._keys.delete_tree(name)
        self._say(name, "removed what an interrupted import left")

    def _is_bare(self, path: str) -> bool:
        """Whether a group has no attributes at all, or is not even there."""
        try:
            return not read_node(self._keys, path).get("attributes")
        except StoreError as error:
            return {p.code for p in error.problems} == {"missing"}

    def _clip_ome(self, clip: Clip) -> None:
        before = read_newest(self._keys, clip.name)
        node = parse_node(before.data, clip.name)
        meta = attributes_in(node, clip.name, ClipMeta)
        wanted = clip_ome(clip.name, meta.frame_interval, meta.spacing)
        if any(ome_faults(node["attributes"].get("ome"), wanted)) and swap_newest(
            self._keys, clip.name, before, merged(before.data, meta, wanted)
        ):
            self._say(clip.name, "wrote the OME metadata anew from the attributes")

    # -- raters: each by its one writer, or not at all

    def _rater(self, clip: Clip, name: str) -> None:
        path = f"{clip.name}/raters/{name}"
        lease = Lease(self._keys, path)
        holder = lease.acquire()
        if holder is not None:
            self._say(path, f"left as it is, {holder} is writing")
            return
        try:
            if any(key.endswith(PARTIAL) for key in self._keys.under(f"{path}/")):
                sweep_partials(self._keys, path)
                self._say(path, "removed half-written files")
            if not is_whole(self._keys, path):
                if self._is_empty(path):
                    lease.release()
                    self._keys.delete_tree(path)
                    self._say(path, "removed a rater that was never finished and holds nothing")
                return
            rater = clip.rater(name)
            self._widths(rater)
            self._rater_ome(clip, rater)
            self._planes(rater, lease)
        finally:
            lease.release()

    def _planes(self, rater: Rater, lease: Lease) -> None:
        """Let planes, status and notes be what the record comes to."""
        try:
            for key in mend(rater, lease.epoch, lease.session):
                self._say(key, "made again from the record")
        except StoreError as error:
            if not self._accept or {p.code for p in error.problems} != {"plane-changed"}:
                raise
            accept_files(rater)
            self._say(rater.path, "took planes and status as they are now")

    def _is_empty(self, path: str) -> bool:
        """Whether a bare rater holds neither marks nor a word."""
        names = rf"zarr\.json|(0|status)/zarr\.json|[^/]*\.lock|{RECORD}/\d+\.lease"
        rest = re.compile(rf"{re.escape(path)}/({names})")
        return self._is_bare(path) and all(map(rest.fullmatch, self._keys.under(f"{path}/")))

    def _widths(self, rater: Rater) -> None:
        planes, status = stored_classes(self._keys, rater.path)
        if planes != status:
            rater.bring_in_step()
            self._say(rater.path, f"planes and status have {rater.shape[1]} classes, both")

    def _rater_ome(self, clip: Clip, rater: Rater) -> None:
        classes = clip.classes[: stored_classes(self._keys, rater.path)[0]]
        wanted = rater_ome(rater.name, clip.meta.frame_interval, clip.meta.spacing, classes)
        found = read_node(self._keys, rater.path)["attributes"].get("ome")
        if any(ome_faults(found, wanted)):
            meta = read_attributes(self._keys, rater.path, type(rater.meta))
            write_attributes(self._keys, rater.path, meta, wanted)
            self._say(rater.path, "wrote the OME metadata anew from the attributes")
