"""Read a cohort once into contiguous uint8 tensors, small enough to keep.

Frames are averaged down (area): no detail is lost by chance, and speckle is calmed. Planes are
taken at the nearest pixel: a plane's value is a confidence that a rater *stated*, and averaging
90 with the 0 beside it would state a 45 that nobody said (and let thin lines fall below any
threshold). So every value that reaches a method is one that a rater gave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from napari_confseg.store import EXCLUDED, Status
from trainer.errors import TrainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_confseg.store import Clip, Cohort, Rater

MAX_BYTES = 4 * 2**30
"""A constant, not a share of this machine's memory: the same cohort trains alike everywhere."""

_BLOCK = 32  # frames read at a time: one shard
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

    def marked(self, indices: Sequence[int]) -> NDArray[np.bool_]:
        """Return which classes somebody marked on each of :meth:`frames`, shape (frames, C)."""
        marked = np.zeros(self.reviewed.shape, np.bool_)
        for r, rater in enumerate(self.raters):
            for t, index in rater.stored_chunks():
                if index in indices:
                    marked[r, t, list(indices).index(index)] = True
        anyone: NDArray[np.bool_] = np.logical_or.reduce(marked & self.reviewed)
        return anyone[self.frames()]


@dataclass(frozen=True)
class Samples:
    """Everything there is to learn from; a sample is one rater's word on one frame.

    Attributes
    ----------
    frames : uint8 tensor, shape (N, H, W)
        Each frame once, however many raters marked it.
    planes : uint8 tensor, shape (S, C, H, W)
        Confidence in percent; ``255`` where nothing is to be learnt, the margin of the canvas
        included.
    reviewed : bool tensor, shape (S, C)
        Whether the rater has reviewed that class on that frame. Not reviewed weighs nothing.
    frame_of : int64 tensor, shape (S,)
        The frame of each sample.
    clips : tuple of str
        The clip of each sample.
    times : tuple of int
        Its frame number in that clip.
    rater_of : int64 tensor, shape (S,)
        Whose word each sample is.
    raters : tuple of str
        Their names.
    """

    frames: Tensor
    planes: Tensor
    reviewed: Tensor
    frame_of: Tensor
    clips: tuple[str, ...]
    times: tuple[int, ...]
    rater_of: Tensor
    raters: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frame_of)

    def to(self, device: torch.device) -> Samples:
        """Return the samples with all tensors on `device`."""
        return replace(
            self,
            frames=self.frames.to(device),
            planes=self.planes.to(device),
            reviewed=self.reviewed.to(device),
            frame_of=self.frame_of.to(device),
            rater_of=self.rater_of.to(device),
        )

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gather frames (B, 1, H, W), planes (B, C, H, W), reviewed (B, C) and rater (B,)."""
        rows = rows.to(self.frames.device)
        frames = self.frames[self.frame_of[rows]][:, None]
        return frames, self.planes[rows], self.reviewed[rows], self.rater_of[rows]


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
    fitted[:height, :width] = plane[y[:, None], x]
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
        Whose planes count; empty means every human.
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
            if rater.name in raters if raters else rater.meta.kind == "human":
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


def choose_stride(sources: Sequence[Source], canvas: Canvas, limit: int = MAX_BYTES) -> int:
    """Return n such that every n-th reviewed frame of each clip fits into `limit` bytes.

    Frames of a cine differ little, so leaving some out costs least where there are many.
    """
    area = canvas[0] * canvas[1]
    n_classes = sources[0].reviewed.shape[2]
    total: int = sum(
        area * (len(s.frames()) + n_classes * int(s.reviewed.any(2).sum())) for s in sources
    )
    return max(1, -(-total // limit))


def read_samples(
    sources: Sequence[Source],
    indices: Sequence[int],
    canvas: Canvas,
    *,
    every: int = 1,
    tell: Callable[[int, int, str], None] = lambda *_: None,
) -> Samples:
    """Decode every `every`-th reviewed frame of each source, and the planes on it.

    Parameters
    ----------
    sources : sequence of Source
        From :func:`find_sources`.
    indices : sequence of int
        The classes' indices in the cohort.
    canvas : tuple of int
        (H, W) of the network.
    every : int
        From :func:`choose_stride`.
    tell : callable
        Told (clips done, clips, message).
    """
    wanted = [source.frames()[::every] for source in sources]
    n_samples = sum(
        int(s.reviewed[:, w].any(2).sum()) for s, w in zip(sources, wanted, strict=True)
    )
    planes = np.empty((n_samples, len(indices), *canvas), np.uint8)
    frames: list[Tensor] = []
    reviewed: list[NDArray[np.bool_]] = []
    frame_of: list[int] = []
    where: list[tuple[str, int]] = []
    rater_of: list[int] = []
    names = tuple(sorted({r.name for s in sources for r in s.raters}))
    n_frames = 0
    for done, source in enumerate(sources):
        tell(done, len(sources), f"Reading {source.clip.name}")
        frames += [fit_frames(block, canvas) for block in read_frames(source.clip, wanted[done])]
        blank = fit_plane(np.zeros(source.clip.shape[1:], np.uint8), canvas)
        for r, rater in enumerate(source.raters):
            stored = set(rater.stored_chunks())
            for i, t in enumerate(wanted[done]):
                if not source.reviewed[r, t].any():
                    continue
                for c, index in enumerate(indices):
                    marked = (t, index) in stored
                    planes[len(where), c] = (
                        fit_plane(rater.read_plane(t, index), canvas) if marked else blank
                    )
                reviewed.append(source.reviewed[r, t])
                frame_of.append(n_frames + i)
                where.append((source.clip.name, t))
                rater_of.append(names.index(rater.name))
        n_frames += len(wanted[done])
    return Samples(
        torch.cat(frames),
        torch.from_numpy(planes),
        torch.from_numpy(np.stack(reviewed)),
        torch.tensor(frame_of),
        tuple(clip for clip, _ in where),
        tuple(t for _, t in where),
        torch.tensor(rater_of),
        names,
    )


def read_frames(clip: Clip, wanted: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
    """Yield blocks of the wanted frames, ``uint8 (n, Y, X)``, shard by shard, in order."""
    for start in range(0, clip.shape[0], _BLOCK):
        inside = [t - start for t in wanted if start <= t < start + _BLOCK]
        if inside:
            block = np.asarray(clip.frames[start + inside[0] : start + inside[-1] + 1])
            yield block[np.array(inside) - inside[0]]
