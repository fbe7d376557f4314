"""A frozen dataset, read: arrays by clip and rater, each file checked against the manifest.

A file that is missing, or not as it was when frozen, is refused by name before anything of it is
used.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import zarr
from zarr.storage import LocalStore, WrapperStore

from napari_confseg.dataset.manifest import MANIFEST, Manifest, read_manifest
from napari_confseg.dataset.packing import DATA
from napari_confseg.dataset.shards import chunks_in, decode_into
from napari_confseg.store import Problem, StoreError
from napari_confseg.store.files import parse_json, read_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

_THREADS = 4


def versions(folder: Path) -> list[int]:
    """Return the numbers of the whole versions in a dataset's folder, rising."""
    found = [
        int(p.name[1:])
        for p in (folder.iterdir() if folder.is_dir() else ())
        if p.name[:1] == "v" and p.name[1:].isdigit() and (p / MANIFEST).is_file()
    ]
    return sorted(found)


def is_dataset(location: str | Path) -> bool:
    """Whether a frozen dataset, or a version of one, is at `location`."""
    folder = Path(location).expanduser()
    return (folder / MANIFEST).is_file() or bool(versions(folder))


class Layout(NamedTuple):
    """Shape of an array, and rows of a chunk and of a shard; other axes are not cut."""

    shape: tuple[int, ...]
    chunk: int
    shard: int

    @classmethod
    def of(cls, metadata: dict[str, Any], path: str) -> Layout:
        """Read the layout from the ``zarr.json`` of the array at `path`.

        Raises
        ------
        StoreError
            If it is not as :mod:`~napari_confseg.dataset.packing` makes it.
        """
        try:
            (sharding,) = metadata["codecs"]
            shape = tuple(metadata["shape"])
            inner = tuple(sharding["configuration"]["chunk_shape"])
            outer = tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"])
            whole = all(type(n) is int for n in (*shape, *inner, *outer))
        except (AttributeError, KeyError, TypeError, ValueError):
            whole = False
        if not whole or not (inner[1:] == outer[1:] == shape[1:]) or not _cut(inner, outer):
            raise StoreError(
                Problem("layout", path, "The array is not cut as that of a dataset", hint=_AGAIN)
            )
        return cls(shape, inner[0], outer[0])


def _cut(inner: tuple[int, ...], outer: tuple[int, ...]) -> bool:
    return bool(inner and outer) and 0 < inner[0] <= outer[0] and outer[0] % inner[0] == 0


_AGAIN = "Build this version again, or bring back a copy of it."
MAX_FILE_BYTES = 2**31
"""A file of a dataset larger than this is refused unread: shards hold some 32 MB, unpacked."""


class _Verified(WrapperStore[LocalStore]):
    """A store of which each file is checked before the first byte of it is handed out."""

    def __init__(self, store: LocalStore, check: Callable[[str], object]) -> None:
        super().__init__(store)
        self._check = check
        self._whole: set[str] = set()

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        if key not in self._whole:
            self._check(f"{DATA}/{key}")
            self._whole.add(key)
        return await super().get(key, prototype, byte_range)


class Dataset:
    """One version of a frozen dataset. Use :meth:`open`.

    Attributes
    ----------
    folder : Path
        Of the version.
    manifest : Manifest
        What it says of itself.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: Manifest = read_manifest(folder)
        self._layouts: dict[str, Layout] = {}
        self._records = {c.clip: c for c in self.manifest.clips}
        self._digests = {p: d for c in self.manifest.clips for p, d in c.files.items()}
        self._store = _Verified(LocalStore(folder / DATA, read_only=True), self._bytes)

    @classmethod
    def open(cls, location: str | Path, version: int | None = None) -> Self:
        """Open a version: `location` itself, or the one asked for or newest inside it.

        Raises
        ------
        StoreError
            If there is none.
        """
        folder = Path(location).expanduser()
        there = versions(folder)
        if version is None and not there:
            return cls(folder)
        number = version if version is not None else there[-1]
        if number not in there:
            raise StoreError(
                Problem(
                    "no-version",
                    str(folder),
                    f"There is no v{number}, only {', '.join(f'v{v}' for v in there)}",
                )
            )
        return cls(folder / f"v{number}")

    def clips(self) -> list[str]:
        """Return the names of the clips."""
        return [c.clip for c in self.manifest.clips]

    def frames(self, clip: str) -> NDArray[np.uint8]:
        """Return the frames of a clip, ``uint8 (T, Y, X)``."""
        return self.read(f"{clip}/frames")

    def planes(self, clip: str, rater: str) -> NDArray[np.uint8]:
        """Return a rater's planes of a clip, ``uint8 (T, C, Y, X)``."""
        return self.read(f"{clip}/raters/{rater}/planes")

    def status(self, clip: str, rater: str) -> NDArray[np.uint8]:
        """Return a rater's status on a clip, ``uint8 (T, C)``."""
        return self.read(f"{clip}/raters/{rater}/status")

    def marked(self, clip: str, rater: str) -> NDArray[np.bool_]:
        """Return on which frames of a clip a rater marked anything of a class, ``bool (T, C)``."""
        return self.read(f"{clip}/raters/{rater}/marked").astype(np.bool_)

    def read(self, path: str) -> NDArray[np.uint8]:
        """Return the array at `path`, in its whole shape (T, ...), e.g. ``"clip-1/frames"``.

        Of a large one, a few threads share the decoding. A good part of that work is the system
        clearing fresh memory (`benchmarks.dataset`); both let go of the interpreter lock.

        Raises
        ------
        StoreError
            If there is no such array, or it is damaged.
        """
        layout = self.layout(path)
        try:
            out: NDArray[np.uint8] = np.zeros(layout.shape, np.uint8)
        except (MemoryError, ValueError) as error:
            raise StoreError(
                Problem("memory", path, f"Memory is too small for an array of {layout.shape}")
            ) from error
        shards = [
            (i, out[at : at + layout.shard])
            for i, at in enumerate(range(0, len(out), layout.shard))
        ]
        if layout.shape[0] <= layout.chunk:  # one chunk
            self.read_shard(path, *shards[0])
            return out
        with ThreadPoolExecutor(_THREADS) as pool:
            for number, rows in shards:
                self.read_shard(path, number, rows, pool)
        return out

    def read_shard(
        self, path: str, number: int, out: NDArray[np.uint8], pool: Executor | None = None
    ) -> None:
        """Read the rows of one shard of the array at `path` into `out`, which holds zeros.

        Parameters
        ----------
        path : str
            Of the array, e.g. ``"clip-1/frames"``.
        number : int
            Which shard: its first row is ``number * layout(path).shard``.
        out : ndarray of uint8, shape (rows, ...)
            As many rows as the array has there.
        pool : Executor, optional
            Decodes several chunks at once.
        """
        _, step, shard = layout = self.layout(path)
        tail = "/0" * (len(layout.shape) - 1)
        data = self._bytes(f"{DATA}/{path}/c/{number}{tail}")
        if data is not None:
            # Each chunk is decoded straight into its place.
            chunks = chunks_in(data, out, step, shard, path)
            list((pool.map if pool else map)(lambda c: decode_into(c[0], c[1], step, path), chunks))

    def layout(self, path: str) -> Layout:
        """Return how the array at `path` is cut along its first axis.

        Raises
        ------
        StoreError
            If there is no such array, or it is not as it was when frozen.
        """
        if path not in self._layouts:
            file = f"{DATA}/{path}/zarr.json"
            data = self._bytes(file)
            if data is None:
                raise StoreError(Problem("missing", path, "The dataset has no such array"))
            layout = Layout.of(parse_json(data, file), path)
            if layout.shape != self._shape(path):
                raise StoreError(
                    Problem.mismatch(
                        "shape-mismatch",
                        path,
                        f"{self._shape(path)}, as the manifest says",
                        str(layout.shape),
                        _AGAIN,
                    )
                )
            self._layouts[path] = layout
        return self._layouts[path]

    def _shape(self, path: str) -> tuple[int, ...]:
        """Return the shape that an array has by the manifest."""
        clip, _, inside = path.partition("/")
        record = self._records.get(clip)
        if record is None:
            raise StoreError(Problem("missing", path, "The dataset has no such clip"))
        n, classes = len(record.frames), len(self.manifest.classes)
        kind = inside.rpartition("/")[2]
        if kind == "frames":
            return (n, *record.shape)
        return (n, classes, *record.shape) if kind == "planes" else (n, classes)

    def _bytes(self, path: str) -> bytes | None:
        """Return the bytes of a file of this dataset, by its path in the manifest.

        None if there never was one: a shard of zeros is not written.

        Raises
        ------
        StoreError
            If it is missing, or not as it was when frozen.
        """
        data, problem = self._checked(path)
        if problem is not None:
            raise StoreError(problem)
        return data

    def _checked(self, path: str) -> tuple[bytes | None, Problem | None]:
        digest = self._digests.get(path)
        try:
            data = self._read(path)
        except (FileNotFoundError, NotADirectoryError):
            if digest is None:
                return None, None
            return None, Problem("file-missing", path, "The file is missing", hint=_AGAIN)
        except StoreError as error:
            return None, error.problems[0]
        found = hashlib.sha256(data).hexdigest()
        if digest == found:
            return data, None
        return None, Problem(
            "file-changed",
            path,
            f"The file has changed: its SHA-256 was {digest[:12]}... and is {found[:12]}..."
            if digest
            else "This file was not there when the dataset was frozen",
            hint=_AGAIN,
        )

    def _read(self, path: str) -> bytes:
        file = self.folder / path
        if os.path.realpath(file) != os.path.join(os.path.realpath(self.folder), path):
            raise StoreError(
                Problem("outside", path, "A link leads out of the dataset", hint=_AGAIN)
            )
        return read_file(file, MAX_FILE_BYTES)

    def array(self, path: str) -> Any:
        """Return the zarr array at `path`, to be read by slicing."""
        return zarr.open_array(self._store, path=path, mode="r", zarr_format=3)

    def part(self, name: str) -> list[str]:
        """Return the clips in the part called `name`.

        Raises
        ------
        StoreError
            If there is no part of that name.
        """
        there = self.manifest.split.names
        if name not in there:
            raise StoreError(
                Problem(
                    "no-part",
                    str(self.folder),
                    f"The dataset has no part {name!r}, only {', '.join(there)}",
                    hint="Name one of these, or build the dataset with other parts.",
                )
            )
        return [c for c, part in self.manifest.split.of_clip.items() if part == name]

    def one_rater(self, name: str | None = None) -> str:
        """Return the rater to export: the one named, or the only one.

        Raises
        ------
        StoreError
            If the name is unknown, or none is given and there are several.
        """
        raters = self.manifest.raters
        if name is None and len(raters) == 1:
            return raters[0]
        if name not in raters:
            raise StoreError(
                Problem(
                    "which-rater",
                    str(self.folder),
                    f"The dataset has several raters: {', '.join(raters)}"
                    if name is None
                    else f"The dataset has no rater {name!r}, only {', '.join(raters)}",
                    hint="Name one with --rater, or build the dataset from a consensus.",
                )
            )
        return name

    def verify(self) -> list[Problem]:
        """Return a problem for each file that is missing or not as it was when frozen."""
        found = (self._checked(path)[1] for path in self._digests)
        return [problem for problem in found if problem is not None]
