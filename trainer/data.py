"""Read a cohort once into samples: frames and planes on the network's canvas.

Frames are averaged down (area): no detail is lost by chance, and speckle is calmed. Planes are
taken at the nearest pixel: a plane's value is a confidence that a rater *stated*, and averaging
90 with the 0 beside it would state a 45 that nobody said (and let thin lines fall below any
threshold). So every value that reaches a method is one that a rater gave.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from napari_confseg.store import EXCLUDED, Status
from napari_confseg.store.threads import map_bounded
from trainer.errors import TrainError
from trainer.records import MEMORY, Records
from trainer.samples import PackedFrames, PackedPlanes, Samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_confseg.store import Clip, Cohort, Rater

_BLOCK = 32  # frames read at a time: one shard
_FITTED = 8  # frames scaled at a time: as floats they are large
_STRIDE = 16  # networks halve the image four times
Canvas = tuple[int, int]


@dataclass(frozen=True)
class Source:
    """The reviewed frames of one clip, before anything is decoded.

    Attributes
    ----------
    clip : Clip
        The clip.
    raters : tuple of Rater
        Whose planes are learnt from.
    reviewed : ndarray of bool, shape (raters, T, C)
        What each has reviewed of the chosen classes.
    """

    clip: Clip
    raters: tuple[Rater, ...]
    reviewed: NDArray[np.bool_]

    def frames(self) -> list[int]:
        """Return the frames that somebody has reviewed for some class."""
        return [int(t) for t in np.flatnonzero(self.reviewed.any((0, 2)))]

    @cached_property
    def stored(self) -> list[NDArray[np.bool_]]:
        """For each rater which planes there are, (T, C) by the cohort's class indices."""
        found = []
        for rater in self.raters:
            stored = np.zeros(rater.shape[:2], np.bool_)
            for t, index in rater.stored_chunks():
                stored[t, index] = True
            found.append(stored)
        return found

    def marked(self, indices: Sequence[int]) -> NDArray[np.bool_]:
        """Return which classes somebody marked on each of :meth:`frames`, shape (frames, C)."""
        marked = np.stack(self.stored)[:, :, list(indices)]
        anyone: NDArray[np.bool_] = np.logical_or.reduce(marked & self.reviewed)
        return anyone[self.frames()]


def choose_canvas(shapes: Sequence[tuple[int, int]], longest: int) -> Canvas:
    """Return the (H, W) that every frame fits when its longer side is scaled to `longest`.

    Multiples of 16, and no larger than needed: wide frames waste no margin, and frames smaller
    than `longest` are not enlarged.
    """
    fitted = [_inner(shape, (min(longest, max(shape)),) * 2) for shape in shapes]
    height, width = (max(sizes) for sizes in zip(*fitted, strict=True))
    return -(-height // _STRIDE) * _STRIDE, -(-width // _STRIDE) * _STRIDE


def _inner(shape: tuple[int, int], canvas: Canvas) -> tuple[int, int]:
    """Return how much of the canvas, from its top-left corner, a frame of `shape` takes."""
    scale = min(canvas[0] / shape[0], canvas[1] / shape[1])
    return (
        min(canvas[0], max(1, round(shape[0] * scale))),
        min(canvas[1], max(1, round(shape[1] * scale))),
    )


def fit_frames(frames: NDArray[np.uint8], canvas: Canvas) -> Tensor:
    """Scale frames, ``uint8 (T, Y, X)``, onto the canvas: uint8 tensor (T, H, W), margin 0."""
    shape = frames.shape[1], frames.shape[2]
    inner = _inner(shape, canvas)
    images = torch.from_numpy(np.ascontiguousarray(frames))[:, None].float()
    if inner[0] <= shape[0]:
        images = F.interpolate(images, inner, mode="area")
    else:
        images = F.interpolate(images, inner, mode="bilinear", align_corners=False)
    margin = (0, canvas[1] - inner[1], 0, canvas[0] - inner[0])
    return F.pad(images.round_(), margin)[:, 0].to(torch.uint8)


def fit_plane(plane: NDArray[np.uint8], canvas: Canvas) -> NDArray[np.uint8]:
    """Scale a plane, ``uint8 (Y, X)``, onto the canvas: ``uint8 (H, W)``, margin excluded."""
    fitted = np.full(canvas, EXCLUDED, np.uint8)
    height, width = _inner((plane.shape[0], plane.shape[1]), canvas)
    # The pixel under the centre of each new pixel.
    y = ((np.arange(height) + 0.5) * plane.shape[0] / height).astype(np.intp)
    x = ((np.arange(width) + 0.5) * plane.shape[1] / width).astype(np.intp)
    fitted[:height, :width] = plane[y][:, x]  # whole rows first: eight times as fast
    return fitted


def unfit(images: Tensor, shape: tuple[int, int]) -> Tensor:
    """Scale canvases (N, C, H, W) back to frames of `shape`: the inverse of :func:`fit_frames`."""
    height, width = _inner(shape, (images.shape[2], images.shape[3]))
    return F.interpolate(images[:, :, :height, :width], shape, mode="bilinear", align_corners=False)


def find_sources(
    cohort: Cohort, classes: Sequence[str], raters: Sequence[str], clips: Sequence[str] = ()
) -> list[Source]:
    """Return the clips with reviewed frames, and what is reviewed of them.

    Parameters
    ----------
    cohort : Cohort
        Where to look.
    classes : sequence of str
        The classes to learn.
    raters : sequence of str
        Whose planes count; empty means every reader, but nothing that was imported.
    clips : sequence of str
        Look at these only; empty means all.

    Raises
    ------
    TrainError
        If a class or rater is unknown, or nobody has reviewed anything.
    """
    indices = class_indices(cohort, classes)
    sources, seen = [], set()
    for name in clips or cohort.clips():
        clip = cohort.clip(name)
        chosen = []
        for rater in map(clip.rater, clip.raters()):
            seen.add(rater.name)
            if rater.name in raters if raters else rater.meta.learnt:
                chosen.append(rater)
        if not chosen:
            continue
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
    if not sources:
        raise TrainError(
            f"Nobody has reviewed any frame of {cohort.meta.name} for {', '.join(classes)}",
            "Mark frames in the Annotate panel and press 'Reviewed' on each: only reviewed frames "
            "are learnt from, since an unmarked frame may just not have been looked at.",
        )
    return sources


def class_indices(cohort: Cohort, classes: Sequence[str]) -> list[int]:
    """Return the indices of `classes` in the cohort; an unknown one is a :class:`TrainError`."""
    try:
        return [cohort.meta.class_index(name) for name in classes]
    except KeyError as error:
        raise TrainError(str(error.args[0]), "Choose among the cohort's classes.") from error


def read_samples(
    sources: Sequence[Source],
    indices: Sequence[int],
    canvas: Canvas,
    *,
    scratch: Path | None = None,
    memory: int = MEMORY,
    tell: Callable[[int, int, str], None] = lambda *_: None,
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
    tell : callable
        Told (clips done, clips, message).

    Raises
    ------
    TrainError
        If there is no room for the file.
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
            planes.put_blank(rows, fit_plane(np.zeros(source.clip.shape[1:], np.uint8), canvas))
            yield from ((number, job) for job in _frame_jobs(source, frames, first_frames[number]))
            yield from ((number, job) for job in _plane_jobs(source, indices, planes, rows.start))

    def work(job: tuple[int, Callable[[], None]]) -> int:
        job[1]()
        return job[0]

    at = -1
    for number in map_bounded(work, jobs()):
        if number > at:
            at = number
            tell(at, len(sources), f"Reading {sources[at].clip.name}")
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
    """Yield what reads the frames of a source, shard by shard, into places from `first` on."""
    canvas = frames.shape[1], frames.shape[2]

    def read(wanted: Sequence[int], first: int) -> None:
        for block in read_frames(source.clip, wanted):
            for start in range(0, len(block), _FITTED):
                for frame in fit_frames(block[start : start + _FITTED], canvas):
                    frames.put(first, frame.numpy())
                    first += 1

    wanted = source.frames()
    for start in range(0, len(wanted), _BLOCK):
        yield partial(read, wanted[start : start + _BLOCK], first + start)


def _plane_jobs(
    source: Source, indices: Sequence[int], planes: PackedPlanes, first: int
) -> Iterator[Callable[[], None]]:
    """Yield what reads the planes of a source into rows from `first` on."""
    canvas = planes.shape[2], planes.shape[3]

    def read(r: int, wanted: Sequence[int], first: int) -> None:
        for row, t in enumerate(wanted, first):
            for c, index in enumerate(indices):
                if source.stored[r][t, index]:
                    planes.put(row, c, fit_plane(source.raters[r].read_plane(t, index), canvas))

    for r in range(len(source.raters)):
        wanted = np.flatnonzero(source.reviewed[r].any(1)).tolist()
        for start in range(0, len(wanted), _BLOCK):
            yield partial(read, r, wanted[start : start + _BLOCK], first + start)
        first += len(wanted)


def read_frames(clip: Clip, wanted: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
    """Yield blocks of the wanted frames, ``uint8 (n, Y, X)``, shard by shard, in order."""
    for start in range(0, clip.shape[0], _BLOCK):
        inside = [t - start for t in wanted if start <= t < start + _BLOCK]
        if inside:
            block = np.asarray(clip.frames[start + inside[0] : start + inside[-1] + 1])
            yield block[np.array(inside) - inside[0]]
