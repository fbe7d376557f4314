"""A frozen dataset, read in the way a cohort is read: clips, raters, frames, planes.

Frames keep the numbers that they have in the cohort's clip, and a clip is its picture alone: the
margin that fills a dataset's frames up to one size is left out. So whatever reads a cohort reads a
dataset, and finds the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Self

import numpy as np

from napari_confseg.dataset.frozen import Dataset
from napari_confseg.store import RATER_KINDS, Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.dataset.manifest import ClipRecord, RaterRecord
    from napari_confseg.store import ClassSpec, Sector, Spacing
    from napari_confseg.store.rater_kinds import RaterKind

    Block = Callable[[str, int], NDArray[np.uint8]]

_FRAMES = 32  # handed out at a time
_BLOCKS = 4  # shards kept decoded, of at most 32 MB each


@dataclass(frozen=True)
class FrozenMeta:
    """What of a cohort's metadata a dataset knows; classes are numbered as its planes are."""

    name: str
    cohort_id: str
    classes: tuple[ClassSpec, ...]

    def class_index(self, name: str) -> int:
        """Return the index of the class called `name`; ``KeyError`` says which exist."""
        names = [c.name for c in self.classes]
        if name not in names:
            raise KeyError(f"no class {name!r} in dataset {self.name!r}; it has {', '.join(names)}")
        return names.index(name)


@dataclass(frozen=True)
class FrozenClipMeta:
    """What of a clip's metadata a dataset knows; lengths are in its own pixels."""

    patient: str
    zone: str | None
    spacing: Spacing | None
    sector: Sector | None


@dataclass(frozen=True)
class FrozenRaterMeta:
    """What of a rater's metadata a dataset knows."""

    kind: RaterKind
    label: str

    @property
    def learnt(self) -> bool:
        """Whether it is learnt from if nobody is named."""
        return RATER_KINDS[self.kind].learnt


class FrozenCohort:
    """One version of a frozen dataset, with the reading half of a cohort's interface.

    Parameters
    ----------
    dataset : Dataset
        The version.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        m = dataset.manifest
        classes = tuple(c.model_copy(update={"index": i}) for i, c in enumerate(m.classes))
        self.meta = FrozenMeta(f"{m.request.name}/v{m.version}", m.cohort_id, classes)
        self._records = {c.clip: c for c in m.clips}
        self._block = lru_cache(maxsize=_BLOCKS)(self._read_block)

    @classmethod
    def open(cls, location: str | Path) -> Self:
        """Open a version of a dataset, the newest one if `location` holds several."""
        return cls(Dataset.open(location))

    @property
    def location(self) -> str:
        """Absolute path of the version's folder."""
        return str(self.dataset.folder.absolute())

    @property
    def sha256(self) -> str:
        """Content hash of the version."""
        return self.dataset.manifest.content_sha256

    def clips(self) -> list[str]:
        """Return the names of the clips."""
        return list(self._records)

    def clip(self, name: str) -> FrozenClip:
        """Return the clip called `name`.

        Raises
        ------
        StoreError
            If there is none.
        """
        if name not in self._records:
            raise StoreError(Problem("missing", name, f"{self.meta.name} has no such clip"))
        return FrozenClip(self._records[name], self.dataset, self._block)

    def _read_block(self, path: str, number: int) -> NDArray[np.uint8]:
        """Return the rows of one shard, read-only."""
        shape, _, rows = self.dataset.layout(path)
        n = min(rows, shape[0] - number * rows)
        block: NDArray[np.uint8] = np.zeros((n, *shape[1:]), np.uint8)
        self.dataset.read_shard(path, number, block)
        block.setflags(write=False)
        return block


class FrozenClip:
    """One clip of a frozen dataset.

    Attributes
    ----------
    numbers : tuple of int
        Which of the clip's frames were frozen, rising.
    shape : tuple of int
        (T, Y, X) of the clip as far as its last frozen frame, without the margin.
    """

    def __init__(self, record: ClipRecord, dataset: Dataset, block: Block) -> None:
        self.name, self.numbers = record.clip, record.frames
        self._record, self._dataset, self._block = record, dataset, block
        y, x = record.inside
        self.shape = (record.frames[-1] + 1, y.stop - y.start, x.stop - x.start)
        sector = record.sector
        if sector is not None:
            corners = np.array(sector.polygon) - (y.start, x.start)
            sector = sector.model_copy(update={"polygon": tuple(map(tuple, corners.tolist()))})
        self.meta = FrozenClipMeta(record.patient, record.zone, record.spacing, sector)

    def raters(self) -> list[str]:
        """Return the names of the raters, sorted."""
        return sorted(self._record.raters)

    def rater(self, name: str) -> FrozenRater:
        """Return the rater called `name`.

        Raises
        ------
        StoreError
            If there is none.
        """
        if name not in self._record.raters:
            where = f"{self.name}/raters/{name}"
            raise StoreError(
                Problem(
                    "missing",
                    where,
                    f"The dataset has no such rater, only {', '.join(self.raters())}",
                )
            )
        return FrozenRater(name, self._record.raters[name], self)

    def read_frames(self, wanted: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        """Yield blocks of the wanted frames, ``uint8 (n, Y, X)``, in order."""
        rows = [self.row(t) for t in wanted]
        for start in range(0, len(rows), _FRAMES):
            yield np.stack([self.picture("frames", r) for r in rows[start : start + _FRAMES]])

    def row(self, number: int) -> int:
        """Return at which place of the dataset's arrays the frame `number` stands."""
        row = int(np.searchsorted(self.numbers, number))
        if row == len(self.numbers) or self.numbers[row] != number:
            raise IndexError(f"frame {number} of {self.name} is not in the dataset")
        return row

    def picture(self, name: str, row: int) -> NDArray[np.uint8]:
        """Return one row of an array ``(T, ..., Y, X)`` of this clip, without the margin."""
        path = f"{self.name}/{name}"
        rows = self._dataset.layout(path).shard
        y, x = self._record.inside
        picture: NDArray[np.uint8] = self._block(path, row // rows)[row % rows][..., y, x]
        return picture

    def status(self, rater: str) -> NDArray[np.uint8]:
        """Return the status of a rater on the frozen frames, ``uint8 (rows, C)``."""
        return self._dataset.status(self.name, rater)

    def marked(self, rater: str) -> NDArray[np.bool_]:
        """Return where a rater marked anything, ``bool (rows, C)``."""
        return self._dataset.marked(self.name, rater)


class FrozenRater:
    """One rater on one clip of a frozen dataset."""

    def __init__(self, name: str, record: RaterRecord, clip: FrozenClip) -> None:
        self.name = name
        self.meta = FrozenRaterMeta(record.kind, name)
        self._clip = clip
        self.shape = (clip.shape[0], len(record.classes), *clip.shape[1:])

    def read_status(self) -> NDArray[np.uint8]:
        """Return the status, ``uint8 (T, C)``; frames that were not frozen are untouched."""
        status = np.zeros(self.shape[:2], np.uint8)
        status[list(self._clip.numbers)] = self._clip.status(self.name)
        return status

    def stored_chunks(self) -> list[tuple[int, int]]:
        """Return the sorted (frame, class index) pairs on which anything is marked."""
        rows, classes = np.nonzero(self._clip.marked(self.name))
        return [(self._clip.numbers[r], int(c)) for r, c in zip(rows, classes, strict=True)]

    def read_plane(self, frame: int, class_index: int) -> NDArray[np.uint8]:
        """Return one plane of one frame, ``uint8 (Y, X)``, not to be written into."""
        path = f"raters/{self.name}/planes"
        plane: NDArray[np.uint8] = self._clip.picture(path, self._clip.row(frame))[class_index]
        return plane

    def read_planes(self, class_index: int) -> NDArray[np.uint8]:
        """Return the plane of a class, ``uint8 (T, Y, X)``; 0 on frames that were not frozen."""
        planes = np.zeros((self.shape[0], *self.shape[2:]), np.uint8)
        for t, c in self.stored_chunks():
            if c == class_index:
                planes[t] = self.read_plane(t, c)
        return planes
