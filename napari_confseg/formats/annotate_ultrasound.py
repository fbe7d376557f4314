"""Lines of SlicerUltrasound's AnnotateUltrasound as planes, and planes as its lines.

Its file ``<clip>.<rater>.json`` has for each annotated frame (counted from 0) pleura lines and
B-lines, each a list of points (x, y, 0) in millimetres of the image's volume, LPS or RAS. A
pleura line becomes a band along it. A B-line marks, as that program draws it, the part of the fan
between the rays through its ends; without a fan (``mask_type``), the strip between their columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field
from scipy import ndimage
from skimage.measure import approximate_polygon

from napari_confseg.formats.label_source import Found, Labels, check_frame, check_pixels, whole
from napari_confseg.formats.outlines import band
from napari_confseg.readouts.beams import Beams
from napari_confseg.store import Problem, StoreError
from napari_confseg.store.errors import MOST_PROBLEMS
from napari_confseg.store.rater_kinds import RaterKind
from napari_confseg.store.schema import Positive, Slug, Strict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.export import Export, Item
    from napari_confseg.formats.label_source import Target
    from napari_confseg.store import Clip

KINDS = {"pleura_lines": "pleura", "b_lines": "b-line"}
MOST_POINTS = 1000
MOST_PIXELS = 10**9
"""Pixels that are looked at for all lines of a file, some twenty seconds' worth."""
ROUNDING = 1e-6
"""Pixels or radians by which a pixel on the edge of a B-line may miss it, through millimetres."""
STEP, OFF = 8, 0.7
"""Pixels from one place to the next at which a pleura's depth is taken, and its lines may miss."""
SLACK = 2.0
"""Pixels by which a point may lie outside the picture: people draw up to its edge."""


OURS = "confseg"
"""Key of what our own export says of its cine; AnnotateUltrasound keeps what it does not know."""


def write(job: Export) -> None:
    """Write ``<clip>.dcm`` and, beside it, ``<clip>.<rater>.json``.

    A region of pleura that reaches the threshold becomes lines along its middle, a region of
    B-lines the line between the beams that bound it. Frames on which either
    class was not reviewed are left out: a frame that is listed says that there are no others.
    """
    from napari_confseg.formats.dicom_seg import cine, save_cine

    lacking = sorted(set(KINDS.values()) - set(job.classes))
    if lacking:
        raise StoreError(
            Problem(
                "classes",
                "",
                f"The dataset has no {' and no '.join(lacking)}: a file of AnnotateUltrasound says "
                "of each frame whether there are any",
                hint="Build the dataset with pleura and b-line.",
            )
        )
    at = {kind: job.classes.index(name) for kind, name in KINDS.items()}
    left_out = 0
    for item in job.items():
        source = cine(job, item)
        save_cine(source, job.out / f"{item.name}.dcm")
        marks = job.cut(item.planes)
        fan = Fan.of(item)
        known = item.reviewed[:, sorted(at.values())].all(1)
        left_out += int((~known).sum())
        frames = [
            {"frame_number": i, "coordinate_space": "LPS"}
            | {
                kind: [
                    {"rater": job.rater, "line": {"points": points}}
                    for region in _regions(marks[i, c])
                    for points in _lines(item, fan, kind, *region)
                ]
                for kind, c in at.items()
            }
            for i in np.flatnonzero(known).tolist()
        ]
        own = {
            "rater": job.rater,
            "kind": job.kind,
            "resampled": item.resampled,
            "frames": list(item.record.frames),
            "spacing": list(item.spacing),
        }
        height, width = item.record.shape
        data = {
            "SOPInstanceUID": str(source.SOPInstanceUID),
            "GrayscaleConversion": False,
            **fan.described(),
            "image_size_rows": height,
            "image_size_cols": width,
            "AnnotationLabels": [],
            "labels": [],
            "frame_annotations": frames,
            OURS: own,
        }
        job.write_json(job.out / f"{item.name}.{job.rater}.json", data)
    job.notes.append("Lines stand for regions: what comes back has their place, not their outline.")
    if left_out:
        job.notes.append(f"{left_out} frames are left out: not both classes were reviewed there.")


@dataclass(frozen=True)
class Fan:
    """Where beams run, in pixels, as AnnotateUltrasound has it; without `apex`, along columns."""

    apex: tuple[int, int] | None
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, item: Item) -> Fan:
        """Return the beams of a clip on its way out."""
        beams = Beams.fit(item.record.sector, None, item.record.shape)
        apex = beams.apex and (round(beams.apex[0]), round(beams.apex[1]))
        return cls(apex, beams.inside)

    def across(self, y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float64]:
        """Return which beam pixels lie on: an angle from straight down, or a column."""
        if self.apex is None:
            return np.asarray(x, float)
        return np.asarray(np.arctan2(x - self.apex[1], y - self.apex[0]))

    def along(self, y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float64]:
        """Return how deep on their beam pixels lie, in pixels."""
        if self.apex is None:
            return np.asarray(y, float)
        return np.asarray(np.hypot(x - self.apex[1], y - self.apex[0]))

    def place(self, along: float, across: float) -> tuple[float, float]:
        """Return the pixel (y, x) of beam coordinates."""
        if self.apex is None:
            return along, across
        y, x = along * np.cos(across) + self.apex[0], along * np.sin(across) + self.apex[1]
        return float(y), float(x)

    def described(self) -> dict[str, Any]:
        """Return the keys that say it."""
        if self.apex is None:
            return {"mask_type": "rectangle"}
        y, x = np.nonzero(self.inside)
        depths, angles = self.along(y, x), np.degrees(self.across(y, x))
        return {
            "mask_type": "fan",
            "angle1": 90 - float(angles.min()),  # from the right, clockwise
            "angle2": 90 - float(angles.max()),
            "center_rows_px": self.apex[0],
            "center_cols_px": self.apex[1],
            "radius1": int(np.floor(depths.min())),
            "radius2": int(np.ceil(depths.max())),
        }


def _regions(mask: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the pixels (y, x) of each region of a mask."""
    numbers, _ = ndimage.label(mask, np.ones((3, 3)))
    for number, box in enumerate(ndimage.find_objects(numbers), 1):
        y, x = np.nonzero(numbers[box] == number)
        yield y + box[0].start, x + box[1].start


def _lines(
    item: Item, fan: Fan, kind: str, y: NDArray[np.intp], x: NDArray[np.intp]
) -> list[list[list[float]]]:
    """Return a region as lines of two points (x, y, 0), all they can have, in millimetres."""
    across, along = fan.across(y, x), fan.along(y, x)
    if kind == "pleura_lines":
        places = approximate_polygon(np.array(_middle(fan, across, along)), OFF).tolist()
    else:
        depth = float(np.median(along))
        # Between columns, AnnotateUltrasound marks the box that the line is a diagonal of.
        ends = (along.min(), along.max()) if fan.apex is None else (depth, depth)
        sides = (across.min(), across.max())
        places = [fan.place(float(d), float(a)) for d, a in zip(ends, sides, strict=True)]
    dy, dx = item.spacing
    points = [[px * dx, py * dy, 0.0] for py, px in places]
    return [list(pair) for pair in pairwise(points)]


def _middle(
    fan: Fan, across: NDArray[np.float64], along: NDArray[np.float64]
) -> list[tuple[float, float]]:
    """Return points along the middle of a band, from its first beam to its last."""
    low, high = float(across.min()), float(across.max())
    wide = (high - low) * (1.0 if fan.apex is None else float(along.mean()))
    count = max(1, min(MOST_POINTS - 2, round(wide / STEP)))
    edges = np.linspace(low, high, count + 1)
    bins = np.clip(np.searchsorted(edges, across, side="right") - 1, 0, count - 1)
    filled = np.unique(bins)
    depths = np.array([along[bins == b].mean() for b in filled])
    middles = np.array([across[bins == b].mean() for b in filled])
    # A line is drawn with round ends, half as long as it is thick.
    thick = len(across) / (wide + 1)
    inset = (high - low) * min(0.5, thick / 2 / (wide + 1))
    ends = (min(low + inset, middles[0]), max(high - inset, middles[-1]))
    slopes = np.diff(depths) / np.diff(middles) if len(filled) > 1 else np.zeros(1)
    first = depths[0] + slopes[0] * (ends[0] - middles[0])
    last = depths[-1] + slopes[-1] * (ends[1] - middles[-1])
    places = zip([first, *depths, last], [ends[0], *middles, ends[1]], strict=True)
    return [fan.place(float(depth), float(place)) for depth, place in places]


def find(source: Path, target: Target) -> Iterator[Found]:
    """Yield one clip for each file; frames it lists count as reviewed for pleura and B-lines."""
    files = [source] if source.is_file() else sorted(source.rglob("*.json"))
    for path in files:
        data = target.read_json(path)
        if data is not None and "frame_annotations" in data:
            name = path.name.split(".", 1)[0]
            yield Found(name, path, partial(_read, path=path, data=data, target=target))


def _read(clip: Clip, *, path: Path, data: dict[str, Any], target: Target) -> Labels:
    return _Reader(clip, path, data, target).read()


class _Own(Strict):
    """What our own export says: of whom it is, and of its cine's frames and pixels (y, x)."""

    rater: Slug
    kind: RaterKind
    resampled: bool
    frames: tuple[int, ...] = Field(min_length=1)
    spacing: tuple[Positive, Positive]


class _Reader:
    """Reads one file onto one clip."""

    def __init__(self, clip: Clip, path: Path, data: dict[str, Any], target: Target) -> None:
        self._clip, self._data, self._target = clip, data, target
        self._where = path.name
        self._work = 0
        own = data.get(OURS)
        self._own = None if own is None else _Own.model_validate(own)
        self._crop = None if self._own else clip.meta.provenance.crop
        self._corner = np.array(self._crop[:2] if self._crop else (0, 0), float)
        spacing = clip.meta.spacing
        if self._own:
            check_pixels(self._own.resampled, self._where)
            self._spacing = np.array(self._own.spacing)
            return
        # Slicer takes the size of a pixel from the file, and 1 mm where that is silent.
        known = spacing is not None and spacing.source == "dicom-region"
        self._spacing = np.array((spacing.y, spacing.x) if spacing and known else (1.0, 1.0))

    def read(self) -> Labels:
        """Return the labels; every problem of the file at once."""
        self._check_size()
        self._check_authors()
        labels = Labels()
        problems: list[Problem] = []
        for frame in self._frames():
            try:
                self._add(labels, frame)
            except StoreError as error:
                problems += error.problems
            if len(problems) >= MOST_PROBLEMS:
                break
        if problems:
            raise StoreError(problems)
        return labels

    def _frames(self) -> list[dict[str, Any]]:
        """Return the frames, also of the first form of the file: a dictionary of bare lines."""
        frames = self._data["frame_annotations"]
        if isinstance(frames, list):
            return frames
        return [
            {"frame_number": number}
            | {
                kind: [{"rater": "", "line": {"points": points}} for points in said[kind]]
                for kind in KINDS
                if kind in said
            }
            for number, said in frames.items()
        ]

    def _check_size(self) -> None:
        if not {"image_size_rows", "image_size_cols"} <= self._data.keys():
            return
        size = (int(self._data["image_size_rows"]), int(self._data["image_size_cols"]))
        crop = self._crop
        fits = crop[2] <= size[0] and crop[3] <= size[1] if crop else size == self._clip.shape[1:]
        if not fits:
            expected = f"a picture that {crop} was cut from" if crop else f"{self._clip.shape[1:]}"
            raise StoreError(
                Problem.mismatch(
                    "image-size",
                    self._where,
                    expected,
                    str(size),
                    f"Is it another clip than {self._clip.name}?",
                )
            )

    def _check_authors(self) -> None:
        authors = {
            str(line.get("rater", ""))
            for f in self._frames()
            for k in KINDS
            for line in f.get(k, [])
        }
        wanted = self._target.request.author
        if wanted is None and len(authors) > 1:
            raise StoreError(
                Problem(
                    "several-raters",
                    self._where,
                    f"The file holds the lines of several raters: {', '.join(sorted(authors))}",
                    hint="Choose one with --author.",
                )
            )
        if wanted is not None and wanted not in authors:
            raise StoreError(
                Problem.mismatch(
                    "author-unknown",
                    self._where,
                    f"lines of {wanted}",
                    f"of {', '.join(sorted(authors)) or 'nobody'}",
                )
            )

    def _add(self, labels: Labels, frame: dict[str, Any]) -> None:
        number = whole(frame["frame_number"])
        if self._own:
            if not 0 <= number < len(self._own.frames):
                raise ValueError(f"the cine has no frame {number}")
            number = self._own.frames[number]
        where = f"{self._where} frame {number}"
        check_frame(self._clip, number, self._where)
        if not KINDS.keys() & frame.keys():
            text = f"It has none of {', '.join(KINDS)}: not even that there are no lines"
            raise StoreError(Problem("line", where, text))
        mirrored = frame.get("coordinate_space", "RAS") == "RAS"
        request = self._target.request
        everybody = [line for kind in KINDS for line in frame.get(kind, [])]
        if everybody and not any(self._is_theirs(line) for line in everybody):
            return  # somebody else has looked at this frame
        for kind, class_name in KINDS.items():
            index = self._target.class_index(class_name, self._where)
            if index is None or kind not in frame:
                continue
            labels.reviewed.add((number, index))
            for line in filter(self._is_theirs, frame[kind]):
                if (line.get("validation") or {}).get("status") == "invalidated":
                    continue  # struck out when readings were settled
                points = self._points(line, number, mirrored=mirrored)
                mask = self._band(points) if kind == "pleura_lines" else self._beam(points)
                if not mask.any():
                    raise StoreError(Problem("line", where, "A line marks not one pixel"))
                labels.mark(number, index, mask, request.confidence)

    def _is_theirs(self, line: dict[str, Any]) -> bool:
        wanted = self._target.request.author
        return wanted is None or line.get("rater", "") == wanted

    def _points(self, line: dict[str, Any], number: int, *, mirrored: bool) -> NDArray[np.float64]:
        """Return the points as (y, x) pixels of the clip."""
        where = f"{self._where} frame {number}"
        given = line["line"]["points"]
        if len(given) > MOST_POINTS:
            raise StoreError(
                Problem.mismatch(
                    "line", where, f"at most {MOST_POINTS:,} points", f"{len(given):,}"
                )
            )
        points = np.asarray(given, float)
        if points.ndim != 2 or points.shape[1] != 3 or len(points) < 2:
            raise StoreError(
                Problem.mismatch(
                    "line", where, "two points (x, y, z) or more", f"an array {points.shape}"
                )
            )
        sign = -1 if mirrored else 1  # RAS and LPS point against each other in x and y
        flat: NDArray[np.float64] = sign * points[:, 1::-1] / self._spacing - self._corner
        height, width = self._clip.shape[1:]
        inside = (flat >= -SLACK) & (flat <= np.array([height, width]) - 1 + SLACK)
        if not inside.all():
            worst = flat[~inside.all(1)][0].round(1).tolist()
            raise StoreError(
                Problem.mismatch(
                    "outside",
                    where,
                    f"points inside {height} x {width} pixels",
                    f"(y, x) = {worst}",
                    "Has the clip the spacing of its DICOM file, and is it the same file?",
                )
            )
        return flat

    def _grid(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        height, width = self._clip.shape[1:]
        y, x = np.mgrid[:height, :width].astype(float)
        return y, x

    def _band(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return what lies within half a line's width of the line."""
        width, size = self._target.request.line_width, self._clip.shape[1:]
        for a, b in pairwise(points):
            low = np.clip(np.minimum(a, b) - width / 2 - 1, 0, size)
            high = np.clip(np.maximum(a, b) + width / 2 + 2, 0, size)
            self._count(int(np.prod(high - low)))
        return band(points[:, ::-1], width, size)

    def _count(self, pixels: int) -> None:
        self._work += pixels
        if self._work > MOST_PIXELS:
            raise StoreError(
                Problem("too-many-lines", self._where, "There are more lines than anybody drew")
            )

    def _beam(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the part of the fan, or the strip, between the line's ends."""
        y, x = self._grid()
        self._count(y.size)
        if self._data.get("mask_type") != "fan":
            ends = points[:, 1].min() - ROUNDING, points[:, 1].max() + ROUNDING
            strip: NDArray[np.bool_] = (x >= ends[0]) & (x <= ends[1])
            return strip
        apex = np.array([self._data["center_rows_px"], self._data["center_cols_px"]], float)
        top, left = apex - self._corner
        angles = np.arctan2(points[:, 1] - left, points[:, 0] - top)  # from straight down
        angle, radius = np.arctan2(x - left, y - top), np.hypot(y - top, x - left)
        within = (radius >= self._data["radius1"]) & (radius <= self._data["radius2"])
        ends = angles.min() - ROUNDING, angles.max() + ROUNDING
        beam: NDArray[np.bool_] = within & (angle >= ends[0]) & (angle <= ends[1])
        return beam
