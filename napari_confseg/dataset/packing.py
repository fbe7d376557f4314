"""One clip into a dataset: chosen frames and planes, brought to size, packed into shards.

A function of the cohort, the request and the clip's name alone, so clips can be packed in any
order, on any machine, again after a crash, and come out as the same bytes.
"""

from __future__ import annotations

import hashlib
import shutil
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from skimage.transform import resize
from zarr.codecs import ZstdCodec
from zarr.storage import LocalStore

from napari_confseg.dataset.fingerprint import fingerprint
from napari_confseg.dataset.manifest import (
    BuildRequest,
    ClassCount,
    ClipRecord,
    FramePolicy,
    RaterRecord,
    canonical,
)
from napari_confseg.dataset.reading import Reading, planes_of, readings
from napari_confseg.store import EXCLUDED, Cohort, Problem, Spacing, Status, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.store import Clip

DATA = "data.zarr"
RECORD = "record.json"
SHARD_BYTES = 2**25
CHUNK_BYTES = 2**20
"""Sizes before compression: a chunk large enough that decoding it outweighs finding it."""

_CODEC = ZstdCodec(level=3, checksum=True)


def choose_frames(
    panel: Sequence[Reading], indices: Sequence[int], policy: FramePolicy, shape: tuple[int, int]
) -> list[int]:
    """Return the numbers of the frames to take, rising.

    Parameters
    ----------
    panel : sequence of Reading
        The raters on this clip.
    indices : sequence of int
        Class indices; a frame counts as reviewed if anybody reviewed any of them.
    policy : FramePolicy
        Which of these.
    shape : tuple of int
        (Y, X) of a plane.
    """
    reviewed = np.logical_or.reduce([r.reviewed[:, list(indices)].any(1) for r in panel])
    frames = np.flatnonzero(reviewed)
    if policy.kind == "every":
        frames = frames[:: policy.n]
    elif policy.kind == "disagreement":
        apart = np.array([_apart(panel, int(f), indices, shape) for f in frames])
        # Equal ones in order of time, so that the choice never depends on a sort's whim.
        frames = np.sort(frames[np.argsort(-apart, kind="stable")[: policy.n]])
    return [int(f) for f in frames]


def _apart(
    panel: Sequence[Reading], frame: int, indices: Sequence[int], shape: tuple[int, int]
) -> float:
    total = 0.0
    for index in indices:
        planes = planes_of(panel, frame, index, shape).values()
        for a, b in combinations(planes, 2):
            known = (a != EXCLUDED) & (b != EXCLUDED)
            total += float(np.abs(a.astype(np.int16) - b)[known].sum())
    return total


class Fit:
    """How a clip's frames come to the wished-for spacing and size.

    Attributes
    ----------
    shape : tuple of int
        (Y, X) of the result.
    scale : tuple of float
        Pixels of the result per pixel of the clip.
    offset : tuple of int
        Where the clip's corner lands; negative if it is cut off.
    """

    def __init__(self, clip: Clip, request: BuildRequest) -> None:
        height, width = clip.shape[1:]
        self._inner = (height, width)
        if request.spacing is not None:
            if clip.meta.spacing is None:
                raise StoreError(
                    Problem("spacing-unknown", clip.name, "a known spacing", "none",
                            "Set it, leave the clip out, or build without a spacing.")
                )  # fmt: skip
            factor = (clip.meta.spacing.y / request.spacing, clip.meta.spacing.x / request.spacing)
        elif request.size is not None:
            factor = (min(request.size[0] / height, request.size[1] / width),) * 2
        else:
            factor = (1.0, 1.0)
        self._inner = (max(1, round(height * factor[0])), max(1, round(width * factor[1])))
        self.scale = (self._inner[0] / height, self._inner[1] / width)
        self.shape = request.size or self._inner
        self.offset = (
            (self.shape[0] - self._inner[0]) // 2,
            (self.shape[1] - self._inner[1]) // 2,
        )
        self._native = (height, width)

    def spacing(self, of_clip: Spacing | None) -> Spacing | None:
        """Return the spacing after fitting."""
        if of_clip is None:
            return None
        return Spacing(y=of_clip.y / self.scale[0], x=of_clip.x / self.scale[1],
                       source=of_clip.source)  # fmt: skip

    def frame(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a frame, interpolated, smoothed before it shrinks."""
        if self._inner != self._native:
            frame = np.rint(
                resize(frame, self._inner, order=1, preserve_range=True, anti_aliasing=True)
            ).astype(np.uint8)
        return self._place(frame)

    def plane(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a plane by nearest pixel: confidences are never mixed or made up."""
        if self._inner != self._native:
            rows, columns = (
                np.minimum(((np.arange(n) + 0.5) * m / n).astype(int), m - 1)
                for n, m in zip(self._inner, self._native, strict=True)
            )
            plane = plane[np.ix_(rows, columns)]
        return self._place(plane)

    def _place(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._inner == self.shape:
            return image
        placed = np.zeros(self.shape, np.uint8)
        target, source = [], []
        for offset, inner, outer in zip(self.offset, self._inner, self.shape, strict=True):
            target.append(slice(max(offset, 0), min(offset + inner, outer)))
            source.append(slice(max(-offset, 0), max(-offset, 0) + min(inner, outer)))
        placed[tuple(target)] = image[tuple(source)]
        return placed


def pack_clip(
    cohort: Cohort, request: BuildRequest, clip_name: str, folder: Path
) -> ClipRecord | None:
    """Pack one clip into ``folder/data.zarr/<clip>`` and return its record.

    Parameters
    ----------
    cohort : Cohort
        Read only.
    request : BuildRequest
        With all names filled in.
    clip_name : str
        Which clip.
    folder : Path
        Of the version that is being built.

    Returns
    -------
    ClipRecord or None
        None if no chosen rater reviewed anything there.
    """
    clip = cohort.clip(clip_name)
    panel = readings(clip, request.raters)
    indices = [cohort.meta.class_index(c) for c in request.classes]
    if not panel:
        return None
    frames = choose_frames(panel, indices, request.frames, clip.shape[1:])
    if not frames:
        return None
    fit = Fit(clip, request)
    target = folder / DATA / clip_name
    shutil.rmtree(target, ignore_errors=True)
    store = LocalStore(folder / DATA)
    source, prints = _pack_frames(store, clip, frames, fit)
    raters = {
        r.name: _pack_rater(store, clip, r, frames, indices, request.classes, fit) for r in panel
    }
    files = {
        str(p.relative_to(folder)).replace("\\", "/"): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(target.rglob("*"))
        if p.is_file()
    }
    return ClipRecord(
        clip=clip_name, patient=clip.meta.patient, video_sha256=clip.meta.provenance.source_sha256,
        source_sha256=source, frames=tuple(frames),
        times=tuple(clip.meta.frame_times[f] for f in frames), shape=fit.shape, scale=fit.scale,
        offset=fit.offset, spacing=fit.spacing(clip.meta.spacing), raters=raters,
        fingerprints=tuple(prints), files=files,
    )  # fmt: skip


def _batches(n_frames: int, frame_bytes: int) -> tuple[int, int]:
    """Return frames per chunk and per shard."""
    chunk = max(1, min(n_frames, CHUNK_BYTES // frame_bytes))
    shard = chunk * max(1, min(-(-n_frames // chunk), SHARD_BYTES // (chunk * frame_bytes)))
    return chunk, shard


def _array(store: LocalStore, name: str, shape: tuple[int, ...], axes: str) -> tuple[Any, int]:
    chunk, shard = _batches(shape[0], int(np.prod(shape[1:])))
    array = zarr.create_array(
        store, name=name, shape=shape, chunks=(chunk, *shape[1:]), shards=(shard, *shape[1:]),
        dtype="uint8", fill_value=0, compressors=_CODEC, dimension_names=tuple(axes),
    )  # fmt: skip
    return array, shard


def _pack_frames(
    store: LocalStore, clip: Clip, frames: Sequence[int], fit: Fit
) -> tuple[str, list[str]]:
    array, shard = _array(store, f"{clip.name}/frames", (len(frames), *fit.shape), "tyx")
    digest = hashlib.sha256(canonical([clip.shape[1:], list(frames)]))
    prints = []
    for start in range(0, len(frames), shard):
        batch = []
        for number in frames[start : start + shard]:
            frame = np.asarray(clip.frames[number], np.uint8)
            digest.update(frame.tobytes())
            prints.append(f"{fingerprint(frame):016x}")
            batch.append(fit.frame(frame))
        array[start : start + len(batch)] = np.stack(batch)
    return digest.hexdigest(), prints


def _pack_rater(
    store: LocalStore,
    clip: Clip,
    reading: Reading,
    frames: Sequence[int],
    indices: Sequence[int],
    classes: Sequence[str],
    fit: Fit,
) -> RaterRecord:
    path = f"{clip.name}/raters/{reading.name}"
    shape = (len(frames), len(indices), *fit.shape)
    array, shard = _array(store, f"{path}/planes", shape, "tcyx")
    whole = reading.rater.read_status()[np.ix_(frames, indices)]
    status, _ = _array(store, f"{path}/status", whole.shape, "tc")
    status[:] = whole
    digest = hashlib.sha256(canonical([whole.shape, list(frames)]) + whole.tobytes())
    tally = _Tally(classes, whole)
    for start in range(0, len(frames), shard):
        numbers = frames[start : start + shard]
        batch = np.zeros((len(numbers), *shape[1:]), np.uint8)
        for i, number in enumerate(numbers):
            for c, index in enumerate(indices):
                plane = reading.plane(number, index)
                if plane is not None and plane.any():
                    digest.update(canonical([number, c]) + plane.tobytes())
                    batch[i, c] = fit.plane(plane)
                    tally.add(start + i, c, batch[i, c])
        array[start : start + len(numbers)] = batch
    strokes = sum(not s.undone for s in reading.rater.read_strokes())
    return RaterRecord(kind=reading.rater.meta.kind, source_sha256=digest.hexdigest(),
                       strokes=strokes, classes=tally.counts())  # fmt: skip


class _Tally:
    """Counts what of each class is in the planes as packed."""

    def __init__(self, classes: Sequence[str], status: NDArray[np.uint8]) -> None:
        self._classes = classes
        self._reviewed = status == Status.REVIEWED
        self._marked = np.zeros(status.shape, bool)
        self._values = np.zeros((len(classes), 256), np.int64)

    def add(self, row: int, class_number: int, plane: NDArray[np.uint8]) -> None:
        self._values[class_number] += np.bincount(plane.ravel(), minlength=256)
        self._marked[row, class_number] = bool(((plane > 0) & (plane != EXCLUDED)).any())

    def counts(self) -> dict[str, ClassCount]:
        return {
            name: ClassCount(
                reviewed=int(self._reviewed[:, c].sum()),
                marked=int((self._marked & self._reviewed)[:, c].sum()),
                pixels=tuple(self._values[c, 1:101].reshape(10, 10).sum(1).tolist()),
                excluded=int(self._values[c, EXCLUDED]),
            )
            for c, name in enumerate(self._classes)
        }
