"""What was reviewed, beside planes that hold confidences whole: ``reviewed.json``, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from napari_confseg.formats.label_source import Labels, check_frame, check_pixels
from napari_confseg.store import Problem, StoreError
from napari_confseg.store.errors import field_problems
from napari_confseg.store.rater_kinds import RaterKind
from napari_confseg.store.schema import Seconds, Slug, Strict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item
    from napari_confseg.formats.label_source import Target
    from napari_confseg.store import Clip

NAME: Final = "reviewed.json"
Frame = Annotated[int, Field(ge=0, lt=100_000)]


class ReviewedClip(Strict):
    """What was reviewed of one clip: for each frame, in seconds, which of the classes.

    `resampled` says that its pixels are others than the clip's.
    """

    part: str = ""
    resampled: bool = False
    frames: tuple[Frame, ...] = Field(min_length=1)
    seconds: tuple[Seconds, ...]
    reviewed: tuple[tuple[Literal[0, 1], ...], ...]

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if not len(self.frames) == len(self.seconds) == len(self.reviewed):
            raise ValueError("there are not as many frames as times and reviews")
        if len(set(self.frames)) < len(self.frames):
            raise ValueError("a frame is listed twice")
        return self


class ReviewedTable(Strict):
    """``reviewed.json``: whose marks lie beside it, and what was reviewed."""

    rater: Slug
    kind: RaterKind
    classes: tuple[Slug, ...] = Field(min_length=1, max_length=64)
    clips: dict[Slug, ReviewedClip]

    @model_validator(mode="after")
    def _as_wide(self) -> Self:
        for name, clip in self.clips.items():
            if any(len(row) != len(self.classes) for row in clip.reviewed):
                raise ValueError(f"{name} does not say for each class whether it was reviewed")
        return self


def reviewed_clip(item: Item) -> ReviewedClip:
    """Return what was reviewed of a clip on its way out."""
    return ReviewedClip(
        part=item.part,
        resampled=item.resampled,
        frames=item.record.frames,
        seconds=item.record.times,
        reviewed=tuple(tuple(int(seen) for seen in row) for row in item.reviewed),
    )


def write_reviewed(job: Export, clips: dict[str, ReviewedClip]) -> None:
    """Write ``reviewed.json`` into the folder of an export."""
    table = ReviewedTable(rater=job.rater, kind=job.kind, classes=tuple(job.classes), clips=clips)
    job.write_json(job.out / NAME, table.model_dump(mode="json"))


def read_reviewed(path: Path, target: Target) -> ReviewedTable | None:
    """Return what a ``reviewed.json`` says; None, and a problem, if it is none."""
    data = target.read_json(path)
    if data is None:
        return None
    try:
        return ReviewedTable.model_validate(data)
    except ValidationError as error:
        hint = "Export the dataset again."
        for problem in field_problems(error, "reviewed", str(path), hint):
            target.tell(problem)
        return None


def exact_labels(
    clip: Clip,
    classes: Iterable[str],
    said: ReviewedClip,
    planes: Callable[[str], NDArray[np.uint8]],
    target: Target,
    where: str,
) -> Labels:
    """Return labels of planes that hold confidences whole.

    Parameters
    ----------
    clip : Clip
        What they are of.
    classes : iterable of str
        Names in the source.
    said : ReviewedClip
        Frames and what was reviewed.
    planes : callable
        From a name to ``uint8 (T, Y, X)``, a plane for each of the frames; raises ``StoreError``.
    target : Target
        Meaning of names.
    where : str
        What problems name.

    Raises
    ------
    StoreError
        If frames or sizes are not the clip's.
    """
    labels = Labels()
    check_pixels(said.resampled, where)
    for frame in said.frames:
        check_frame(clip, frame, where)
    for c, name in enumerate(classes):
        index = target.class_index(name, where)
        if index is None:
            continue
        stack = planes(name)
        expected = (len(said.frames), *clip.shape[1:])
        if stack.shape != expected or stack.dtype != np.uint8:
            raise StoreError(
                Problem.mismatch(
                    "image-size",
                    where,
                    f"bytes of {expected} (frames, y, x) as in {clip.name}",
                    f"{stack.dtype} of {stack.shape}",
                    "Labels come back only to frames of their own size.",
                )
            )
        for i, frame in enumerate(said.frames):
            if said.reviewed[i][c]:
                labels.reviewed.add((frame, index))
            if stack[i].any():
                labels.planes[frame, index] = stack[i].copy()  # a view would keep them all
    return labels
