"""One clip into a dataset: chosen frames and planes, brought to size, packed into shards.

A function of the cohort, the request and the clip's name alone, so clips can be packed in any
order, on any machine, again after a crash, and come out as the same bytes.
"""

from __future__ import annotations

import hashlib
import shutil
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.storage import LocalStore

from napari_confseg.agreement.rater_view import rater_views
from napari_confseg.dataset.frames import choose_frames, resampled_spacing, resampler_for
from napari_confseg.dataset.leakage import fingerprint
from napari_confseg.dataset.manifest import (
    ClassCount,
    ClipRecord,
    RaterRecord,
    canonical,
)
from napari_confseg.dataset.shards import LEVEL, write_shard
from napari_confseg.store import EXCLUDED, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.agreement.rater_view import RaterView
    from napari_confseg.dataset.manifest import BuildRequest
    from napari_confseg.dataset.resample import Resampler
    from napari_confseg.store import Clip, Cohort, Sector

T = TypeVar("T")
DATA = "data.zarr"
SHARD_BYTES = 2**25
CHUNK_BYTES = 2**20
"""Sizes before compression: a chunk large enough that decoding it outweighs finding it."""


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
    found = find(cohort, request, clip_name)
    if found is None:
        return None
    clip, panel, frames, indices = found
    resampler = resampler_for(clip, request)
    target = folder / DATA / clip_name
    shutil.rmtree(target, ignore_errors=True)
    source, prints = _pack_frames(folder, clip, frames, resampler)
    raters = {
        r.name: _pack_rater(folder, clip, r, frames, indices, request.classes, resampler)
        for r in panel
    }
    files = {
        str(p.relative_to(folder)).replace("\\", "/"): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(target.rglob("*"))
        if p.is_file()
    }
    return ClipRecord(
        clip=clip_name,
        patient=clip.meta.patient,
        video_sha256=clip.meta.provenance.source_sha256,
        source_sha256=source,
        zone=clip.meta.zone,
        frames=tuple(frames),
        times=tuple(clip.meta.frame_times[f] for f in frames),
        shape=resampler.canvas,
        inner=resampler.inner,
        scale=resampler.scale,
        offset=resampler.offset,
        sector=_resampled_sector(clip.meta.sector, resampler),
        spacing=resampled_spacing(clip.meta.spacing, resampler.scale),
        raters=raters,
        fingerprints=tuple(prints),
        files=files,
    )


def _resampled_sector(sector: Sector | None, resampler: Resampler) -> Sector | None:
    if sector is None:
        return None
    moved = np.array(sector.polygon) * resampler.scale + resampler.offset
    return sector.model_copy(update={"polygon": tuple(map(tuple, moved.round(3).tolist()))})


def _batches(n_frames: int, frame_bytes: int) -> tuple[int, int]:
    """Return frames per chunk and per shard."""
    chunk = max(1, min(n_frames, CHUNK_BYTES // frame_bytes))
    shard = chunk * max(1, min(-(-n_frames // chunk), SHARD_BYTES // (chunk * frame_bytes)))
    return chunk, shard


class _Packed:
    """A sharded array that is written shard by shard."""

    def __init__(self, folder: Path, name: str, shape: tuple[int, ...], axes: str) -> None:
        self._chunk, self.rows = _batches(shape[0], int(np.prod(shape[1:])))
        self._folder, self._tail = folder / DATA / name / "c", ["0"] * (len(shape) - 1)
        zarr.create_array(
            LocalStore(folder / DATA),
            name=name,
            shape=shape,
            chunks=(self._chunk, *shape[1:]),
            shards=(self.rows, *shape[1:]),
            dtype="uint8",
            fill_value=0,
            compressors=ZstdCodec(level=LEVEL, checksum=True),
            dimension_names=tuple(axes),
        )

    def write(self, start: int, rows: NDArray[np.uint8]) -> None:
        """Write one shard's rows, of which `start` is the first."""
        file = self._folder.joinpath(str(start // self.rows), *self._tail)
        write_shard(file, rows, self._chunk, self.rows)


def _frames_of(
    clip: Clip, frames: Sequence[int], digest: hashlib._Hash
) -> Iterator[NDArray[np.uint8]]:
    """Yield the chosen frames, and add them to `digest` on the way."""
    digest.update(canonical([clip.shape[1:], list(frames)]))
    for number in frames:
        frame = np.asarray(clip.frames[number], np.uint8)
        digest.update(frame.tobytes())
        yield frame


def planes_with_marks(
    reading: RaterView,
    status: NDArray[np.uint8],
    frames: Sequence[int],
    indices: Sequence[int],
    digest: hashlib._Hash,
) -> Iterator[dict[int, NDArray[np.uint8]]]:
    """Yield for each frame the planes with anything on them, and add them to `digest`."""
    digest.update(canonical([list(status.shape), list(frames)]) + status.tobytes())
    for number in frames:
        found = {}
        for c, index in enumerate(indices):
            plane = reading.plane(number, index)
            if plane is not None and plane.any():
                digest.update(canonical([number, c]) + plane.tobytes())
                found[c] = plane
        yield found


def status_of(
    reading: RaterView, frames: Sequence[int], indices: Sequence[int]
) -> NDArray[np.uint8]:
    """Return what the rater said of these frames and classes, ``uint8 (frames, classes)``."""
    chosen: NDArray[np.uint8] = reading.rater.read_status()[np.ix_(frames, indices)]
    return chosen


def source_digests(cohort: Cohort, request: BuildRequest, clip_name: str) -> dict[str, str]:
    """Return the SHA-256 of what :func:`pack_clip` would read: "" for frames, else by rater.

    Empty if there is nothing to pack.
    """
    found = find(cohort, request, clip_name)
    if found is None:
        return {}
    clip, panel, frames, indices = found
    digest = hashlib.sha256()
    for _ in _frames_of(clip, frames, digest):
        pass
    digests = {"": digest.hexdigest()}
    for reading in panel:
        digest = hashlib.sha256()
        for _ in planes_with_marks(
            reading, status_of(reading, frames, indices), frames, indices, digest
        ):
            pass
        digests[reading.name] = digest.hexdigest()
    return digests


def find(
    cohort: Cohort, request: BuildRequest, clip_name: str
) -> tuple[Clip, list[RaterView], list[int], list[int]] | None:
    """Return clip, raters, frames and class indices to take; None if nothing is reviewed there."""
    clip = cohort.clip(clip_name)
    panel = rater_views(clip, request.raters)
    indices = [cohort.meta.class_index(c) for c in request.classes]
    frames = choose_frames(clip, panel, indices, request.frames) if panel else []
    return (clip, panel, frames, indices) if frames else None


def _pack_frames(
    folder: Path, clip: Clip, frames: Sequence[int], resampler: Resampler
) -> tuple[str, list[str]]:
    packed = _Packed(folder, f"{clip.name}/frames", (len(frames), *resampler.canvas), "tyx")
    digest = hashlib.sha256()
    prints: list[str] = []
    for start, batch in _batched(_frames_of(clip, frames, digest), packed.rows):
        prints += [f"{fingerprint(frame):016x}" for frame in batch]
        packed.write(start, np.stack([resampler.frame(frame) for frame in batch]))
    return digest.hexdigest(), prints


def _pack_rater(
    folder: Path,
    clip: Clip,
    reading: RaterView,
    frames: Sequence[int],
    indices: Sequence[int],
    classes: Sequence[str],
    resampler: Resampler,
) -> RaterRecord:
    path = f"{clip.name}/raters/{reading.name}"
    shape = (len(frames), len(indices), *resampler.canvas)
    array = _Packed(folder, f"{path}/planes", shape, "tcyx")
    whole = status_of(reading, frames, indices)
    _pack_table(folder, f"{path}/status", whole)
    # Known here for nothing; whoever reads would have to decode every plane to find out.
    marked = np.zeros_like(whole)
    digest = hashlib.sha256()
    tally = Tally(classes, whole)
    source = planes_with_marks(reading, whole, frames, indices, digest)
    for start, batch in _batched(source, array.rows):
        packed = np.zeros((len(batch), *shape[1:]), np.uint8)
        for i, planes in enumerate(batch):
            for c, plane in planes.items():
                packed[i, c] = resampler.plane(plane, margin=0)
                marked[start + i, c] = 1
                tally.add(start + i, c, packed[i, c])
        array.write(start, packed)
    _pack_table(folder, f"{path}/marked", marked)
    strokes = sum(not s.undone for s in reading.rater.read_strokes())
    return RaterRecord(
        kind=reading.rater.meta.kind,
        source_sha256=digest.hexdigest(),
        strokes=strokes,
        classes=tally.counts(),
        guarantee=reading.rater.meta.guarantee,
    )


def _pack_table(folder: Path, name: str, table: NDArray[np.uint8]) -> None:
    """Pack a small array ``uint8 (T, C)``."""
    packed = _Packed(folder, name, table.shape, "tc")
    for start in range(0, len(table), packed.rows):
        packed.write(start, np.ascontiguousarray(table[start : start + packed.rows]))


def _batched(items: Iterable[T], size: int) -> Iterator[tuple[int, list[T]]]:
    """Yield (position of the first, up to `size` items)."""
    iterator, start = iter(items), 0
    while batch := list(islice(iterator, size)):
        yield start, batch
        start += len(batch)


class Tally:
    """Counts what of each class is in the planes as packed."""

    def __init__(self, classes: Sequence[str], status: NDArray[np.uint8]) -> None:
        self._classes = classes
        self._reviewed = status == Status.REVIEWED
        self._marked = np.zeros(status.shape, bool)
        self._values = np.zeros((len(classes), 256), np.int64)

    def add(self, row: int, class_number: int, plane: NDArray[np.uint8]) -> None:
        """Count one plane."""
        marked = plane[plane > 0]  # few: counting the background would take as long as decoding
        self._values[class_number] += np.bincount(marked, minlength=256)
        self._marked[row, class_number] = bool((marked != EXCLUDED).any())

    def counts(self) -> dict[str, ClassCount]:
        """Return what was counted, by class."""
        return {
            name: ClassCount(
                reviewed=int(self._reviewed[:, c].sum()),
                marked=int((self._marked & self._reviewed)[:, c].sum()),
                pixels=tuple(self._values[c, 1:101].reshape(10, 10).sum(1).tolist()),
                excluded=int(self._values[c, EXCLUDED]),
            )
            for c, name in enumerate(self._classes)
        }
