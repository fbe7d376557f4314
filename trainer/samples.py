"""Samples of a fit: packed frames and planes, gathered batch by batch.

Planes are compressed, since most of them are empty: those of a hundred thousand frames with six
classes and three raters would take 118 GB, and take a hundredth of it. A plane without a mark is
not stored at all. The bytes are kept by :mod:`trainer.records`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numcodecs import zstd

from napari_confseg.store import MAX_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from trainer.records import Records

_LEVEL = 1  # of zstd: planes are a few flat areas, which no higher level packs much better
_DIGEST = 16  # bytes
_TOGETHER = 256  # samples that are moved to a device at a time


def _numbers(rows: Tensor | slice, n: int) -> list[int]:
    """Return the row numbers of an index."""
    if isinstance(rows, slice):
        return list(range(*rows.indices(n)))
    found: list[int] = rows.tolist()
    return found


class PackedFrames:
    """Frames ``uint8 (N, H, W)``, gathered by ``frames[rows]`` or ``frames[slice]``.

    Parameters
    ----------
    records : Records
        Holds frame `i` under number `i`.
    shape : tuple of int
        (N, H, W).

    Attributes
    ----------
    digests : ndarray of uint8, shape (N, 16)
        Hash of each frame.
    """

    def __init__(self, records: Records, shape: tuple[int, int, int]) -> None:
        self.records, self.shape = records, shape
        self.digests: NDArray[np.uint8] = np.zeros((shape[0], _DIGEST), np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of all of them in one tensor."""
        return int(np.prod(self.shape, dtype=np.int64))

    def put(self, number: int, frame: NDArray[np.uint8]) -> None:
        """Keep one frame, ``uint8 (H, W)``."""
        data = frame.tobytes()
        self.digests[number] = _digest(data)
        self.records.put(number, data)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """Return frames, uint8 (len(rows), H, W)."""
        wanted = _numbers(rows, len(self))
        found = np.empty((len(wanted), *self.shape[1:]), np.uint8)
        for frame, number in zip(found, wanted, strict=True):
            data = self.records.get(number)
            assert data is not None
            frame[...] = np.frombuffer(data, np.uint8).reshape(frame.shape)
        return torch.from_numpy(found)


class PackedPlanes:
    """Planes ``uint8 (S, C, H, W)``, decoded by ``planes[rows]`` or ``planes[slice]``.

    Parameters
    ----------
    records : Records
        Where they are kept, numbered from `first` on.
    first : int
        The first number.
    shape : tuple of int
        (S, C, H, W).

    Attributes
    ----------
    highest : ndarray of uint8, shape (S, C)
        The highest confidence stated on each.
    digests : ndarray of uint8, shape (S, C, 16)
        Hash of each plane as read, zeros where it is blank.
    """

    def __init__(self, records: Records, first: int, shape: tuple[int, int, int, int]) -> None:
        self.records, self._first, self.shape = records, first, shape
        self.highest: NDArray[np.uint8] = np.zeros(shape[:2], np.uint8)
        self.digests: NDArray[np.uint8] = np.zeros((*shape[:2], _DIGEST), np.uint8)
        # Unmarked planes differ by their margin alone, so by the clip's shape.
        self._blanks: list[NDArray[np.uint8]] = []
        self._blank_of = np.zeros(shape[0], np.int32)
        self._tables: Mapping[tuple[int, int], bytes] = {}
        self._rater_of: list[int] = []

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of all of them in one tensor."""
        return int(np.prod(self.shape, dtype=np.int64))

    def put_blank(self, rows: slice, blank: NDArray[np.uint8]) -> None:
        """Set the blank plane ``uint8 (H, W)`` of some samples, which stands for those not kept."""
        for number, known in enumerate(self._blanks):
            if np.array_equal(known, blank):
                self._blank_of[rows] = number
                return
        self._blank_of[rows] = len(self._blanks)
        self._blanks.append(blank)

    def put(self, row: int, c: int, plane: NDArray[np.uint8]) -> None:
        """Keep one plane, ``uint8 (H, W)``, unless it is blank."""
        if np.array_equal(plane, self._blanks[self._blank_of[row]]):
            return
        highest = plane.max()
        if highest > MAX_CONFIDENCE:  # something is excluded
            highest = plane[plane <= MAX_CONFIDENCE].max(initial=0)
        self.highest[row, c] = highest
        self.digests[row, c] = _digest(plane.tobytes())
        self.records.put(self._number(row, c), bytes(zstd.compress(plane, _LEVEL)))

    def through(
        self, tables: Mapping[tuple[int, int], bytes], rater_of: Sequence[int]
    ) -> PackedPlanes:
        """Return the planes with values looked up in a table for each (rater, class).

        Parameters
        ----------
        tables : mapping
            256 bytes for each (rater, class); values of the others stay.
        rater_of : sequence of int
            The rater of each sample.
        """
        other = PackedPlanes(self.records, self._first, self.shape)
        other.digests = self.digests
        other.highest, other._blanks, other._blank_of = self.highest, self._blanks, self._blank_of
        other._tables, other._rater_of = tables, list(rater_of)
        return other

    def plane(self, row: int, c: int) -> NDArray[np.uint8]:
        """Return one plane, ``uint8 (H, W)``."""
        plane = np.empty(self.shape[2:], np.uint8)
        self._decode(row, c, plane)
        return plane

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """Return planes, uint8 (len(rows), C, H, W)."""
        wanted = _numbers(rows, len(self))
        found = np.empty((len(wanted), *self.shape[1:]), np.uint8)
        for planes, row in zip(found, wanted, strict=True):
            for c, plane in enumerate(planes):
                self._decode(row, c, plane)
        return torch.from_numpy(found)

    def _number(self, row: int, c: int) -> int:
        return self._first + row * self.shape[1] + c

    def _decode(self, row: int, c: int, out: NDArray[np.uint8]) -> None:
        data = self.records.get(self._number(row, c))
        table = self._tables.get((self._rater_of[row], c)) if self._tables else None
        if data is None:
            blank = self._blanks[self._blank_of[row]]
            out[...] = blank if table is None else _looked_up(blank.tobytes(), table, out.shape)
        elif table is None:
            zstd.decompress(data, out)
        else:
            out[...] = _looked_up(bytes(zstd.decompress(data)), table, out.shape)


def _digest(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(hashlib.blake2b(data, digest_size=_DIGEST).digest(), np.uint8)


def _looked_up(data: bytes, table: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    # Python's own way of translating bytes is several times as fast as numpy's indexing.
    return np.frombuffer(data.translate(table), np.uint8).reshape(shape)


@dataclass(frozen=True)
class Samples:
    """The samples of a fit; each is one rater's planes on one frame.

    Attributes
    ----------
    frames : PackedFrames or uint8 tensor, shape (N, H, W)
        Each frame once, however many raters marked it.
    planes : PackedPlanes or uint8 tensor, shape (S, C, H, W)
        Confidence in percent; ``255`` where nothing is to be learnt, as on the margin
        of the canvas.
    reviewed : bool tensor, shape (S, C)
        Whether the rater has reviewed that class on that frame. Not reviewed weighs nothing.
    frame_of : int64 tensor, shape (S,)
        The frame of each sample.
    clips : tuple of str
        The clip of each sample.
    times : tuple of int
        Its frame number in that clip.
    rater_of : int64 tensor, shape (S,)
        Rater of each sample, as its place in `raters`.
    raters : tuple of str
        Names of the raters.
    """

    frames: PackedFrames | Tensor
    planes: PackedPlanes | Tensor
    reviewed: Tensor
    frame_of: Tensor
    clips: tuple[str, ...]
    times: tuple[int, ...]
    rater_of: Tensor
    raters: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frame_of)

    @property
    def nbytes(self) -> int:
        """Bytes that frames and planes take as tensors."""
        return self.frames.nbytes + self.planes.nbytes

    def content_sha256(self) -> str:
        """Return the SHA-256 of frames, planes, clips and raters as they were read."""
        # Frames and planes are hashed while they are read: later it would take as long again.
        frames, planes = self.frames, self.planes
        assert isinstance(frames, PackedFrames)
        assert isinstance(planes, PackedPlanes)
        facts = [
            self.clips,
            self.times,
            self.raters,
            planes.shape,
            self.rater_of.tolist(),
            self.frame_of.tolist(),
            self.reviewed.tolist(),
        ]
        digest = hashlib.sha256(json.dumps(facts).encode())
        digest.update(frames.digests.tobytes())
        digest.update(planes.digests.tobytes())
        return digest.hexdigest()

    @property
    def packed_bytes(self) -> int:
        """Bytes that they take packed."""
        if isinstance(self.planes, PackedPlanes):
            return self.planes.records.nbytes
        return self.nbytes

    @property
    def on_disk(self) -> bool:
        """Whether they are read from a file."""
        return isinstance(self.planes, PackedPlanes) and self.planes.records.on_disk

    def unpacked(self, device: torch.device) -> Samples:
        """Return the samples with frames and planes as tensors on `device`."""
        return replace(
            self,
            frames=_tensor(self.frames, device),
            planes=_tensor(self.planes, device),
            reviewed=self.reviewed.to(device),
            frame_of=self.frame_of.to(device),
            rater_of=self.rater_of.to(device),
        )

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gather frames (B, 1, H, W), planes (B, C, H, W), reviewed (B, C) and rater (B,)."""
        rows = rows.to(self.frame_of.device)
        frames = self.frames[self.frame_of[rows]][:, None]
        return frames, self.planes[rows], self.reviewed[rows], self.rater_of[rows]


def _tensor(packed: PackedFrames | PackedPlanes | Tensor, device: torch.device) -> Tensor:
    if isinstance(packed, torch.Tensor):
        return packed.to(device)
    tensor = torch.empty(packed.shape, dtype=torch.uint8, device=device)
    for rows in _slices(len(packed)):
        tensor[rows] = packed[rows].to(device)
    return tensor


def _slices(n: int) -> Iterator[slice]:
    for start in range(0, n, _TOGETHER):
        yield slice(start, min(n, start + _TOGETHER))
