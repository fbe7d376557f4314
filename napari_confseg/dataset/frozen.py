"""A frozen dataset, read: arrays by clip and rater, checked against the manifest on request."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import zarr
from zarr.storage import LocalStore

from napari_confseg.dataset.manifest import Manifest, read_manifest
from napari_confseg.dataset.packing import DATA
from napari_confseg.dataset.shards import chunks_in, decode_into
from napari_confseg.store import Problem, StoreError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_THREADS = 4


def versions(folder: Path) -> list[int]:
    """Return the numbers of the whole versions in a dataset's folder, rising."""
    found = [
        int(p.name[1:])
        for p in (folder.iterdir() if folder.is_dir() else ())
        if p.name[:1] == "v" and p.name[1:].isdigit() and (p / "manifest.json").is_file()
    ]
    return sorted(found)


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
        self._store = LocalStore(folder / DATA, read_only=True)

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
                    "one of " + ", ".join(f"v{v}" for v in there),
                    f"v{number}",
                )
            )
        return cls(folder / f"v{number}")

    def clips(self) -> list[str]:
        """Return the names of the clips."""
        return [c.clip for c in self.manifest.clips]

    def frames(self, clip: str) -> NDArray[np.uint8]:
        """Return the frames of a clip, ``uint8 (T, Y, X)``."""
        return self._read(f"{clip}/frames")

    def planes(self, clip: str, rater: str) -> NDArray[np.uint8]:
        """Return a rater's planes of a clip, ``uint8 (T, C, Y, X)``."""
        return self._read(f"{clip}/raters/{rater}/planes")

    def status(self, clip: str, rater: str) -> NDArray[np.uint8]:
        """Return a rater's status on a clip, ``uint8 (T, C)``."""
        return np.asarray(self.array(f"{clip}/raters/{rater}/status")[:], np.uint8)

    def _read(self, path: str) -> NDArray[np.uint8]:
        """Return a whole array, each chunk decoded straight into its place.

        A few threads share the work, of which a good part is the system clearing fresh memory
        (`benchmarks.dataset`); both let go of the interpreter lock.
        """
        array = self.array(path)
        out: NDArray[np.uint8] = np.zeros(array.shape, np.uint8)
        step, shard = array.chunks[0], array.shards[0]
        tail = ["0"] * (len(array.shape) - 1)
        with ThreadPoolExecutor(_THREADS) as pool:
            for start in range(0, len(out), shard):
                file = self.folder.joinpath(DATA, path, "c", str(start // shard), *tail)
                chunks = chunks_in(file, out[start : start + shard], step, shard)
                list(pool.map(lambda c: decode_into(c[0], c[1], step), chunks))
        return out

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
                    "one of " + ", ".join(there),
                    name,
                    "Name one of these, or build the dataset with other parts.",
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
                    f"one of {list(raters)}",
                    str(name),
                    "Say which with --rater, or build the dataset from a consensus.",
                )
            )
        return name

    def verify(self) -> list[Problem]:
        """Return a problem for each file that is missing or not as it was when frozen."""
        problems = []
        for record in self.manifest.clips:
            for path, digest in record.files.items():
                file = self.folder / path
                if not file.is_file():
                    problems.append(Problem("file-missing", path, "a file", "none"))
                elif hashlib.sha256(file.read_bytes()).hexdigest() != digest:
                    problems.append(
                        Problem(
                            "file-changed",
                            path,
                            f"SHA-256 {digest[:12]}...",
                            "another",
                            "Build this version again.",
                        )
                    )
        return problems
