"""Labels frame by frame, as most annotation tools keep them: shapes with a name on a picture.

Modules of such formats turn their files into :class:`Frame` and :class:`Shape`; how these become
planes, what counts as reviewed, and what is refused is settled here, the same for all.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image

from napari_confseg.formats.label_source import (
    Found,
    Labels,
    check_frame,
    check_pixels,
    check_size,
)
from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE, Problem, StoreError
from napari_confseg.store.errors import MOST_PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item
    from napari_confseg.formats.label_source import Target
    from napari_confseg.store import Clip

Draw: TypeAlias = "Callable[[tuple[int, int]], NDArray[np.bool_] | NDArray[np.uint8]]"
RESAMPLED = "(resized frames)"
"""Stands among the reviewed classes of a frame whose pixels are not the clip's."""
_MOST_PIXELS = 2 * 10**10
"""Pixels of all shapes of a clip: as many as 20,000 shapes on frames of a megapixel."""
_WRONG = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)
_NUMBERED = re.compile(r"(?:(?P<clip>.+?)[_-])??(?:frame[_-]?)?(?P<frame>[0-9]{1,9})$")


@dataclass(frozen=True)
class Shape:
    """A marked area.

    Attributes
    ----------
    name : str
        Of its class, in the source.
    kind : str
        What the tool calls it: "polygon", "mask".
    draw : callable
        From a size (Y, X) to the mask ``bool (Y, X)``, or to confidences ``uint8 (Y, X)`` where the
        shape states several; raises ``ValueError`` if it can't be drawn.
    confidence : int or None
        1 to 100, or 255 for excluded; None if the source states none.
    """

    name: str
    kind: str
    draw: Draw
    confidence: int | None = None


@dataclass
class Frame:
    """A frame of a clip, with what is marked on it.

    Attributes
    ----------
    path : Path
        The file that speaks of it.
    where : str
        What problems name.
    clip, number : str, int
        Which it is; the clip in the source's words.
    size : tuple of int or None
        (Y, X), if the source states it.
    shapes : list of Shape
        What is marked.
    reviewed : list of str or None
        Names of classes of which an absent mark means absence, if the source says so.
    finished : bool
        Whether the source says that all its classes were looked for.
    problems : list of Problem
        For which the clip is left out.
    """

    path: Path
    where: str
    clip: str
    number: int
    size: tuple[int, int] | None = None
    shapes: list[Shape] = field(default_factory=list)
    reviewed: list[str] | None = None
    finished: bool = False
    problems: list[Problem] = field(default_factory=list)


def numbered(name: str) -> tuple[str, int] | None:
    r"""Return clip and frame that the name of a picture states; None if it has no number.

    The clip is what stands before the number, else the folder; empty if there is neither.

    >>> numbered("clip-1/000012.png"), numbered("a/clip-1_000012"), numbered("frame_000012.png")
    (('clip-1', 12), ('clip-1', 12), ('', 12))
    """
    *folders, last = name.replace("\\", "/").split("/")
    parts = _NUMBERED.match(re.sub(r"\.[A-Za-z]{2,4}$", "", last))
    if parts is None:
        return None
    return parts["clip"] or (folders[-1] if folders else ""), int(parts["frame"])


def no_clip(where: str, name: str) -> Problem:
    """Return the problem of a picture whose name tells neither clip nor frame."""
    return Problem.mismatch("clip-unknown", where, "a file name as clip/000012.png", f"{name:.120}")


def refused(kind: str) -> Draw:
    """Return what refuses to draw a kind of shape that is no area, or not known as one."""

    def draw(size: tuple[int, int]) -> NDArray[np.bool_]:
        raise ValueError(f"shapes of the kind {kind!r:.40} are not imported")

    return draw


def stated(value: object, where: str) -> int:
    """Return a confidence as a source states it: 1 to 100 percent, or 255 for excluded.

    Raises
    ------
    StoreError
        ``confidence-range``.
    """
    try:
        number = float(str(value))
    except ValueError:
        number = np.nan
    if number != EXCLUDED and not (number.is_integer() and 1 <= number <= MAX_CONFIDENCE):
        expected = f"1..{MAX_CONFIDENCE} percent, or {EXCLUDED} for excluded"
        raise StoreError(Problem.mismatch("confidence-range", where, expected, f"{value!s:.40}"))
    return int(number)


_AS_A_WHOLE = "Correct it there, and import again."
_BY_CLASS = "Correct or remove it there, or leave its class out with --classes 'NAME='."


def told(error: Exception, where: str, what: str, hint: str = _AS_A_WHOLE) -> list[Problem]:
    """Return the problems of a part of a file that does not follow its format."""
    if isinstance(error, StoreError):
        return list(error.problems)
    reason = f"no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
    return [Problem("shape", where, f"{what} cannot be read: {reason:.160}", hint=hint)]


def built(frame: Frame, build: Callable[[Frame], None]) -> Frame:
    """Fill in a frame; one that does not follow its format gets a problem instead."""
    try:
        build(frame)
    except (StoreError, *_WRONG) as error:
        frame.problems += told(error, frame.where, "The frame")
    return frame


def clips_of(frames: Iterable[Frame], names: Iterable[str], target: Target) -> Iterator[Found]:
    """Yield the clips that frames belong to, whole.

    Parameters
    ----------
    frames : iterable of Frame
        In any order.
    names : iterable of str
        All classes that the source knows, which a finished frame was looked at for.
    target : Target
        Where they are to go.
    """
    of_clip: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        of_clip[frame.clip].append(frame)
    known = sorted({*names, *(s.name for mine in of_clip.values() for f in mine for s in f.shapes)})
    for clip, mine in sorted(of_clip.items()):
        yield Found(
            clip, mine[0].path, partial(read_frames, frames=mine, names=known, target=target)
        )


def read_frames(clip: Clip, frames: Iterable[Frame], names: list[str], target: Target) -> Labels:
    """Return the labels of a clip; see :func:`clips_of`.

    A frame counts as reviewed for the classes that the source says so of. Where it does not say:
    for all its classes if there is a mark, or on every frame by the choice `reviewed`.

    Raises
    ------
    StoreError
        With all problems of all frames: labels of a clip come whole or not at all.
    """
    reader = _Reader(clip, names, target)
    for frame in frames:
        reader.add(frame)
        if len(reader.problems) >= MOST_PROBLEMS:
            break
    if reader.problems:
        raise StoreError(reader.problems)
    return reader.labels


class _Reader:
    """Reads frames onto one clip."""

    def __init__(self, clip: Clip, names: list[str], target: Target) -> None:
        self._clip, self._target = clip, target
        self._known = [name for name in names if target.knows(name)]
        self._pixels = 0
        self._unknown: set[str] = set()
        self._seen: dict[int, Frame] = {}
        self.labels = Labels()
        self.problems: list[Problem] = []

    def add(self, frame: Frame) -> None:
        """Mark what a frame says."""
        self.problems += frame.problems
        try:
            check_pixels(RESAMPLED in (frame.reviewed or ()), frame.where)
            check_frame(self._clip, frame.number, frame.where)
            if frame.size is not None:
                check_size(self._clip, frame.size, frame.where)
        except StoreError as error:
            self.problems += error.problems
            return
        first = self._seen.setdefault(frame.number, frame)
        if first is not frame:
            what = f"Frame {frame.number} of the clip is also that of {first.where:.120}"
            self.problems.append(
                Problem("frame-twice", frame.where, what, hint="Import one of them at a time.")
            )
            return
        marked = [self._mark(frame, shape) for shape in frame.shapes]
        names: Iterable[str] = ()
        if frame.reviewed is not None:
            names = frame.reviewed
        elif frame.finished or any(marked) or self._target.request.reviewed == "all":
            names = self._known
        for name in filter(self._target.knows, names):
            index = self._target.class_index(name, frame.where)
            if index is not None:
                self.labels.reviewed.add((frame.number, index))

    def _mark(self, frame: Frame, shape: Shape) -> bool:
        """Mark a shape; false if its class is left out, or is a problem."""
        index = self._index(shape.name, frame.where)
        if index is None:
            return False
        height, width = self._clip.shape[1:]
        self._pixels += height * width
        if self._pixels > _MOST_PIXELS:
            self.problems.append(
                Problem("too-many-shapes", frame.where, "There are more shapes than anybody drew")
            )
            return False
        what = f"The {shape.kind:.40} of {shape.name!r:.80}"
        try:
            drawn = shape.draw((height, width))
        except (StoreError, *_WRONG) as error:
            self.problems += told(error, frame.where, what, _BY_CLASS)
            return False
        if not drawn.any():
            outside = ValueError("it lies outside the picture")
            self.problems += told(outside, frame.where, what, _BY_CLASS)
            return False
        value = shape.confidence or self._target.request.confidence
        several = [value] if drawn.dtype == bool else np.unique(drawn[drawn > 0]).tolist()
        for value in several:
            mask = drawn == value if drawn.dtype != bool else drawn.astype(bool)
            self.labels.mark(frame.number, index, mask, value)
        return True

    def _index(self, name: str, where: str) -> int | None:
        if not name and "" not in self._target.request.classes:
            self.problems.append(
                Problem(
                    "class-unknown",
                    where,
                    "A shape has no class",
                    hint="Give it one there, or leave all such shapes out with --classes '='.",
                )
            )
            return None
        index = self._target.class_index(name, where)
        left_out = not self._target.request.classes.get(name, name)
        if index is None and not left_out and name not in self._unknown:
            self._unknown.add(name)
            what = f"The clip is left out, since {name!r:.80} on it is no class of the cohort"
            self.problems.append(Problem("class-unknown", where, what))
        return index


def marks(item: Item, i: int) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    """Yield class, confidence and mask for each confidence that a class has on a frame.

    Parameters
    ----------
    item : Item
        The clip.
    i : int
        Place of the frame among those of the item.
    """
    for c, plane in enumerate(item.planes[i]):
        for value in np.unique(plane[plane > 0]).tolist():
            yield c, value, plane == value


def reviewed_names(job: Export, item: Item, i: int) -> list[str]:
    """Return the classes that were reviewed on a frame, and whether it was resized."""
    seen = [job.classes[c] for c in np.flatnonzero(item.reviewed[i])]
    return [*seen, RESAMPLED] if item.resampled else seen


def save_frames(job: Export, item: Item, *folder: str) -> Iterator[tuple[int, str]]:
    """Save the frames as PNG; yield the place of each, and its name ``<clip>/<frame>.png``."""
    place = job.folder(*folder, item.name)
    for i, number in enumerate(item.record.frames):
        name = f"{number:06d}.png"
        Image.fromarray(item.frames[i]).save(place / name)
        yield i, f"{item.name}/{name}"


def wholly_reviewed(item: Item) -> list[int]:
    """Return the places of frames that were reviewed for every class."""
    places: list[int] = np.flatnonzero(item.reviewed.all(1)).tolist()
    return places


def check_any(found: Any, job: Export) -> None:
    """Refuse an export of frames that were reviewed for every class if there are none."""
    if not found:
        raise StoreError(
            Problem(
                "nothing-reviewed",
                "",
                "No frame has all classes reviewed",
                hint="Build the dataset with the reviewed classes alone.",
            )
        )
