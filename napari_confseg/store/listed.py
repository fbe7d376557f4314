"""One clip of a store, listed once: for questions to many clips, in few requests."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

from zarr.storage import LocalStore, ObjectStore, WrapperStore

from napari_confseg.store.bucket import signatures_under

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zarr.abc.store import Store

# Small, asked for again and again by whoever opens a clip and its raters.
_KEPT = re.compile(r"(.*/)?zarr\.json")
# Says who writes now, not what is there.
_PASSING = re.compile(r"[^/]*\.(lock|partial|lease)")
_PLANES = re.compile(r"(raters/[^/]+/)?0/c")


class ListedStore(WrapperStore["Store"]):
    """A store in which the keys under one prefix are known, and small files are read once.

    It shows what was there when it was made; for reading only, and for a short time.

    Parameters
    ----------
    store : zarr Store
        A folder or a bucket.
    prefix : str
        Name of the clip.
    planes : bool
        Whether frames and planes are listed too. Without, nothing is known of them.
    keys : iterable of str, optional
        All keys under `prefix`, if they are known already.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        *,
        planes: bool = True,
        keys: Iterable[str] | None = None,
    ) -> None:
        super().__init__(store)
        self.prefix = prefix
        self.complete = planes
        found = _signatures(store, prefix, planes) if keys is None else ((key, "") for key in keys)
        self.signatures: dict[str, str] = dict(found)
        self.kept: dict[str, bytes | None] = {}
        self.whole: tuple[str, bytes] | None = None

    def inner(self) -> Store:
        """Return the store behind."""
        return self._store

    def knows(self, key: str) -> bool:
        """Whether the listing tells if something is at `key`."""
        inside = key.removeprefix(f"{self.prefix}/")
        return inside != key and (self.complete or _PLANES.match(inside) is None)

    def keeps(self, key: str) -> bool:
        """Whether what is at `key` is read once and kept."""
        return _KEPT.fullmatch(key) is not None and key.startswith(f"{self.prefix}/")

    def under(self, prefix: str) -> list[str]:
        """Return the known keys that begin with `prefix`, sorted."""
        return sorted(key for key in self.signatures if key.startswith(prefix))


def _signatures(store: Store, prefix: str, planes: bool) -> Iterator[tuple[str, str]]:
    if isinstance(store, ObjectStore):
        yield from signatures_under(store, f"{prefix}/")
    elif isinstance(store, LocalStore):
        yield from _files(os.fspath(store.root), prefix, planes)


def _files(root: str, clip: str, planes: bool) -> Iterator[tuple[str, str]]:
    """Yield key and signature of the files of a clip; links are named, not followed."""
    folders = [clip]
    while folders:
        folder = folders.pop()
        try:
            entries = list(os.scandir(os.path.join(root, folder)))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            key = f"{folder}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if planes or not (entry.name == "c" and folder.endswith("/0")):
                    folders.append(key)
            else:
                yield key, ""


def can_list(store: Store) -> bool:
    """Whether `store` tells what has changed without being read."""
    return isinstance(store, (LocalStore, ObjectStore))


def signature_of(store: Store | ListedStore, clip: str, *, planes: bool) -> str:
    """Return what changes whenever anything of a clip but its frames and its writers does.

    Parameters
    ----------
    store : zarr Store
        A folder, or a listed bucket.
    clip : str
        Its name.
    planes : bool
        Whether raters' planes count, which makes it slower in a folder.
    """
    if isinstance(store, ListedStore):
        rows = [f"{key} {found}" for key, found in store.signatures.items()]
        rows = [row for row in rows if not _PASSING.fullmatch(row.split()[0].rsplit("/")[-1])]
    elif isinstance(store, LocalStore):
        rows = list(_rows(os.path.join(os.fspath(store.root), clip), planes))
    else:
        rows = []
    return hashlib.blake2b("\n".join(sorted(rows)).encode(), digest_size=16).hexdigest()


def _rows(clip: str, planes: bool) -> Iterator[str]:
    folders = [clip]
    while folders:
        folder = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "c" or not folder.endswith(f"{os.sep}0"):
                    folders.append(entry.path)
                elif planes and os.path.dirname(folder) != clip:
                    yield from _plane_rows(entry.path)
            elif not _PASSING.fullmatch(entry.name):
                yield _row(entry.path, entry.stat(follow_symlinks=False))


def _plane_rows(chunks: str) -> Iterator[str]:
    # A folder a frame is opened, and not two more a plane; see chunks_under.
    for frame in os.scandir(chunks):
        try:
            for plane in os.listdir(frame.path):
                path = f"{frame.path}/{plane}/0/0"
                yield _row(path, os.lstat(path))
        except (FileNotFoundError, NotADirectoryError):
            continue


def _row(path: str, found: os.stat_result) -> str:
    # Every write of ours makes a new file, and a log only grows.
    return f"{path} {found.st_size} {found.st_mtime_ns} {found.st_ino}"
