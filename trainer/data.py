"""Reading of reviewed frames and their planes, from a source into samples.

:func:`find_sources` lists what is reviewed, :func:`read_samples` decodes it once and brings it onto
the network's canvas (:class:`napari_confseg.dataset.resample.Resampler`). What is read is kept by
:mod:`trainer.samples`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_confseg.dataset.as_cohort import FrozenClip
from napari_confseg.dataset.resample import Resampler, Size
from napari_confseg.store import Status
from napari_confseg.store.threads import map_bounded
from trainer.errors import TrainError
from trainer.records import MEMORY, Records
from trainer.samples import PackedFrames, PackedPlanes, Samples
from trainer.sources import Source, called, teachers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.sources import AnyClip, AnyCohort, AnyRater

_BLOCK = 32  # frames read at a time: one shard


def find_sources(
    cohort: AnyCohort, classes: Sequence[str], raters: Sequence[str], clips: Sequence[str] = ()
) -> list[Source]:
    """Return the clips with reviewed frames, and their raters.

    Parameters
    ----------
    cohort : Cohort or FrozenCohort
        The source.
    classes : sequence of str
        The classes to learn.
    raters : sequence of str
        Raters to learn from; empty means every reader of a cohort, but nothing that was
        imported, and every rater of a dataset.
    clips : sequence of str
        Clips to read; empty means all.

    Raises
    ------
    TrainError
        If a class or rater is unknown, or nobody has reviewed anything.
    """
    indices = class_indices(cohort, classes)
    teaches = teachers(cohort)
    sources, seen, taught = [], set(), False
    for name in clips or cohort.clips():
        clip = cohort.clip(name)
        chosen: list[AnyRater] = []
        for rater_name in clip.raters():
            rater = clip.rater(rater_name)
            seen.add(rater.name)
            if rater.name in raters if raters else teaches(rater):
                chosen.append(rater)
        if not chosen:
            continue
        taught = True
        status = np.stack([r.read_status()[:, indices] for r in chosen])
        source = Source(clip, tuple(chosen), status == Status.REVIEWED)
        if source.reviewed.any():
            sources.append(source)
    unknown = set(raters) - seen
    if unknown:
        raise TrainError(
            f"No clip of {cohort.meta.name} has a rater called {', '.join(sorted(unknown))}",
            f"It has {', '.join(sorted(seen)) or 'none'}.",
        )
    if seen and not taught:
        raise TrainError(
            f"No rater of {cohort.meta.name} is learnt from unless named",
            f"Its raters are {', '.join(sorted(seen))}: what was imported, or made by a program, "
            "is learnt from only by name.",
        )
    if not sources:
        raise TrainError(
            f"Nobody has reviewed any frame of {cohort.meta.name} for {', '.join(classes)}",
            "Mark frames in the Annotate panel and press 'Reviewed' on each: only reviewed frames "
            "are learnt from, since an unmarked frame may not have been read yet.",
        )
    return sources


def class_indices(cohort: AnyCohort, classes: Sequence[str]) -> list[int]:
    """Return the indices of `classes` in the cohort; an unknown one is a :class:`TrainError`."""
    try:
        return [cohort.meta.class_index(name) for name in classes]
    except KeyError as error:
        raise TrainError(
            str(error.args[0]), f"Choose among the classes of {called(cohort)}."
        ) from error


def clips_of(cohort: AnyCohort) -> list[str]:
    """Return the names of all clips; a cohort without any is a :class:`TrainError`."""
    names = list(cohort.clips())
    if not names:
        raise TrainError(f"There are no clips in {called(cohort)}", "Import some first.")
    return names


def read_samples(
    sources: Sequence[Source],
    indices: Sequence[int],
    canvas: Size,
    *,
    scratch: Path | None = None,
    memory: int = MEMORY,
    on_progress: Callable[[int, int, str], None] = lambda *_: None,
) -> Samples:
    """Decode the reviewed frames of each source, and the planes on them, in a few threads.

    Parameters
    ----------
    sources : sequence of Source
        From :func:`find_sources`.
    indices : sequence of int
        The classes' indices in the cohort.
    canvas : tuple of int
        (H, W) of the network.
    scratch : Path or None
        Folder for a file of what is more than `memory`.
    memory : int
        Bytes to hold in memory. The samples are the same either way.
    on_progress : callable
        Called with (clips done, clips, message).

    Raises
    ------
    TrainError
        If the disk is too full for the file.
    """
    names = tuple(sorted({r.name for s in sources for r in s.raters}))
    reviewed: list[NDArray[np.bool_]] = []
    frame_of: list[int] = []
    where: list[tuple[str, int]] = []
    rater_of: list[int] = []
    first_frames, first_rows = [0], [0]
    for source in sources:
        wanted = source.frames()
        for r, rater in enumerate(source.raters):
            for i, t in enumerate(wanted):
                if source.reviewed[r, t].any():
                    reviewed.append(source.reviewed[r, t])
                    frame_of.append(first_frames[-1] + i)
                    where.append((source.clip.name, t))
                    rater_of.append(names.index(rater.name))
        first_frames.append(first_frames[-1] + len(wanted))
        first_rows.append(len(where))
    n_frames, n_samples = first_frames[-1], len(where)
    frames_size = n_frames * canvas[0] * canvas[1]
    records = Records(
        n_frames + n_samples * len(indices), scratch, memory=memory, expected=frames_size
    )
    frames = PackedFrames(records, (n_frames, *canvas))
    planes = PackedPlanes(records, n_frames, (n_samples, len(indices), *canvas))

    def jobs() -> Iterator[tuple[int, Callable[[], None]]]:
        for number, source in enumerate(sources):
            rows = slice(first_rows[number], first_rows[number + 1])
            blank = np.zeros(source.clip.shape[1:], np.uint8)
            planes.put_blank(rows, _resampler(source, canvas).plane(blank))
            yield from ((number, job) for job in _frame_jobs(source, frames, first_frames[number]))
            yield from ((number, job) for job in _plane_jobs(source, indices, planes, rows.start))

    def work(job: tuple[int, Callable[[], None]]) -> int:
        job[1]()
        return job[0]

    at = -1
    for number in map_bounded(work, jobs()):
        if number > at:
            at = number
            on_progress(at, len(sources), f"Reading {sources[at].clip.name}")
    return Samples(
        frames,
        planes,
        torch.from_numpy(np.stack(reviewed)),
        torch.tensor(frame_of),
        tuple(clip for clip, _ in where),
        tuple(t for _, t in where),
        torch.tensor(rater_of),
        names,
    )


def _frame_jobs(source: Source, frames: PackedFrames, first: int) -> Iterator[Callable[[], None]]:
    """Yield jobs that read the frames of a source, by shard, into places from `first` on."""
    resampler = _resampler(source, (frames.shape[1], frames.shape[2]))

    def read(wanted: Sequence[int], first: int) -> None:
        for block in read_frames(source.clip, wanted):
            for frame in block:  # one at a time: as floats they are large
                frames.put(first, resampler.frame(frame))
                first += 1

    wanted = source.frames()
    for start in range(0, len(wanted), _BLOCK):
        yield partial(read, wanted[start : start + _BLOCK], first + start)


def _plane_jobs(
    source: Source, indices: Sequence[int], planes: PackedPlanes, first: int
) -> Iterator[Callable[[], None]]:
    """Yield jobs that read the planes of a source into rows from `first` on."""
    resampler = _resampler(source, (planes.shape[2], planes.shape[3]))

    def read(r: int, wanted: Sequence[int], first: int) -> None:
        for row, t in enumerate(wanted, first):
            for c, index in enumerate(indices):
                if source.stored[r][t, index]:
                    plane = source.raters[r].read_plane(t, index)
                    planes.put(row, c, resampler.plane(plane))

    for r in range(len(source.raters)):
        wanted = np.flatnonzero(source.reviewed[r].any(1)).tolist()
        for start in range(0, len(wanted), _BLOCK):
            yield partial(read, r, wanted[start : start + _BLOCK], first + start)
        first += len(wanted)


def _resampler(source: Source, canvas: Size) -> Resampler:
    shape = source.clip.shape
    return Resampler.into((shape[1], shape[2]), canvas)


def read_frames(clip: AnyClip, wanted: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
    """Yield blocks of the wanted frames, ``uint8 (n, Y, X)``, shard by shard, in order."""
    if isinstance(clip, FrozenClip):
        yield from clip.read_frames(wanted)
        return
    for start in range(0, clip.shape[0], _BLOCK):
        inside = [t - start for t in wanted if start <= t < start + _BLOCK]
        if inside:
            block = np.asarray(clip.frames[start + inside[0] : start + inside[-1] + 1])
            yield block[np.array(inside) - inside[0]]
