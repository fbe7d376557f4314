"""What a frozen dataset says of itself: every key of ``manifest.json`` is a field here."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from napari_confseg.dataset.resample import SizeName, covered
from napari_confseg.request_fields import setting
from napari_confseg.store import ClassSpec, Guarantee, Problem, Sector, Spacing, StoreError
from napari_confseg.store.errors import field_problems
from napari_confseg.store.files import read_file
from napari_confseg.store.rater_kinds import RaterKind
from napari_confseg.store.schema import Positive, Seconds, Slug, Strict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MANIFEST = "manifest.json"
MANIFEST_VERSION: Final = 3
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=8, le=8192)]
MAX_MANIFEST_BYTES: Final = 2**30
"""A manifest larger than this is refused unread: a million frames take some 100 MB."""

# Of frames as they come; and where a clip's picture lies among them.
_Length = Annotated[int, Field(ge=1, le=16_384)]
_Offset = Annotated[int, Field(ge=-16_384, le=16_384)]


def _check_inside(path: str) -> str:
    parts = path.split("/")
    if path.startswith("/") or "\\" in path or ":" in path or {"", ".", ".."} & set(parts):
        raise ValueError(f"{path!r} leads out of the dataset")
    return path


InsidePath = Annotated[str, AfterValidator(_check_inside)]
"""Path of a file within the dataset, with '/' between folders."""


class FramePolicy(Strict):
    """Which of the reviewed frames are taken.

    ``reviewed`` takes all, ``every`` each `n`-th, ``disagreement`` the `n` of each clip on which
    the chosen raters differ most.
    """

    kind: Literal["reviewed", "every", "disagreement"] = "reviewed"
    n: int = Field(default=1, ge=1)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the policy `text`: ``"reviewed"``, ``"every:5"`` or ``"disagreement:10"``.

        Raises
        ------
        ValueError
            If it is none of these.
        """
        kind, _, n = text.partition(":")
        known = kind in ("reviewed", "every", "disagreement")
        if not known or (kind != "reviewed") != n.isdigit():
            raise ValueError(f"frames must be reviewed, every:N or disagreement:N, found {text!r}")
        return cls.model_validate({"kind": kind, "n": int(n or 1)})

    def __str__(self) -> str:
        return self.kind if self.kind == "reviewed" else f"{self.kind}:{self.n}"


class BuildRequest(Strict):
    """All that decides what goes into a dataset. Empty tuples mean all there are."""

    name: Slug = setting(..., "Name", "name of the dataset")
    clips: tuple[Slug, ...] = setting((), "Clips", "clips of the cohort; all if empty")
    raters: tuple[Slug, ...] = setting(
        (),
        "Marks of",
        "whose marks; every reader if empty, but nothing imported. A consensus or a model is a "
        "rater, too",
    )
    classes: tuple[Slug, ...] = setting((), "Classes", "classes of the cohort; all if empty")
    frames: FramePolicy = setting(
        FramePolicy(),
        "Frames",
        "which of the reviewed frames: reviewed (all), every:N, or disagreement:N, the N of each "
        "clip on which the raters differ most",
    )
    size: tuple[Side, Side] | SizeName | None = setting(
        None,
        "Size",
        "height and width that all frames get, scaled to fit and padded with black; or study, "
        "quick or normal: what confseg-train's networks of that size see; as they are if not given",
        unit="pixels",
    )
    spacing: Positive | None = setting(
        None,
        "Spacing",
        "spacing that all frames are brought to first; refused for clips whose spacing is unknown",
        unit="mm/pixel",
        none="as recorded",
    )
    parts: dict[Slug, Positive] = setting(
        {"train": 0.7, "val": 0.15, "test": 0.15}, "Split", "shares of the parts, by patient"
    )
    folds: int = setting(0, "Folds", "folds over all clips, by patient; 0 for none", ge=0, le=1000)
    seed: int = setting(
        0, "Seed", "seed of the split: another seed, another split as fair", ge=0, le=2**31 - 1
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if abs(sum(self.parts.values()) - 1) > 1e-6:
            raise ValueError(f"the parts must add up to 1, found {self.parts}")
        if self.folds == 1:
            raise ValueError("one fold is no fold: use 0 or at least 2")
        if isinstance(self.size, str) and self.spacing is not None:
            raise ValueError(f"size {self.size!r} leaves no choice of spacing: give one of the two")
        return self

    @property
    def pixels(self) -> tuple[int, int] | None:
        """The size as (Y, X), once a name has been spelt out; None if frames keep their own."""
        if isinstance(self.size, str):
            raise ValueError(f"size {self.size!r} depends on the clips: complete the request")
        return self.size


class ClassCount(Strict):
    """How much of a class there is.

    Attributes
    ----------
    reviewed : int
        Frames where the rater looked for it.
    marked : int
        Of these, frames with any pixel of it; the rest are empty labels.
    pixels : tuple of int
        Pixels by stated confidence: 1..10 %, ..., 91..100 %.
    excluded : int
        Pixels of 255.
    """

    reviewed: Count = 0
    marked: Count = 0
    pixels: tuple[Count, ...] = (0,) * 10
    excluded: Count = 0

    def __add__(self, other: ClassCount) -> ClassCount:
        return ClassCount(
            reviewed=self.reviewed + other.reviewed,
            marked=self.marked + other.marked,
            pixels=tuple(a + b for a, b in zip(self.pixels, other.pixels, strict=True)),
            excluded=self.excluded + other.excluded,
        )


class RaterRecord(Strict):
    """One rater on one clip of the dataset.

    `source_sha256` is of the planes and status that were read; `strokes` counts those not undone;
    `guarantee` is what a model's planes came with.
    """

    kind: RaterKind
    source_sha256: Digest
    strokes: Count
    classes: dict[Slug, ClassCount]
    guarantee: Guarantee | None = None


class ClipRecord(Strict):
    """One clip of the dataset.

    Attributes
    ----------
    clip, patient : str
        As in the cohort.
    video_sha256 : str
        Of the file the clip was imported from.
    source_sha256 : str
        Of the frames that were read, with their numbers.
    frames : tuple of int
        Their numbers in the clip, rising.
    times : tuple of float
        Seconds from the clip's first frame.
    zone : str or None
        Of the lung.
    shape : tuple of int
        (Y, X) here.
    inner : tuple of int
        (Y, X) of the clip's picture, scaled; what of `shape` it does not take is margin.
    scale : tuple of float
        Pixels here per pixel of the clip, (y, x).
    offset : tuple of int
        Where the picture's corner lies here, (y, x); negative where it is cut off.
    sector : Sector or None
        The insonated area, here.
    spacing : Spacing or None
        Millimetres per pixel here.
    raters : dict
        Name -> record.
    fingerprints : tuple of str
        Perceptual hash of each frame, 16 hexadecimal digits.
    files : dict
        Path within the dataset -> SHA-256.
    """

    clip: Slug
    patient: Slug
    video_sha256: Digest
    source_sha256: Digest
    zone: str | None
    frames: tuple[Annotated[int, Field(ge=0, lt=100_000)], ...] = Field(min_length=1)
    times: tuple[Seconds, ...]
    shape: tuple[_Length, _Length]
    inner: tuple[_Length, _Length]
    scale: tuple[Positive, Positive]
    offset: tuple[_Offset, _Offset]
    sector: Sector | None
    spacing: Spacing | None
    raters: dict[Slug, RaterRecord]
    fingerprints: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")], ...]
    files: dict[InsidePath, Digest]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(b <= a for a, b in pairwise(self.frames)):
            raise ValueError("numbers of frames must rise")
        if not len(self.frames) == len(self.times) == len(self.fingerprints):
            raise ValueError("there must be a time and a fingerprint for each frame")
        return self

    @property
    def inside(self) -> tuple[slice, slice]:
        """The part of the frames that the clip's picture takes; the rest is margin."""
        return covered(self.offset, self.inner, self.shape)

    @property
    def resampled(self) -> bool:
        """Whether pixels here are others than the clip's; labels then cannot come back to it."""
        return self.scale != (1.0, 1.0) or self.offset != (0, 0) or self.inner != self.shape

    def marks(self, class_name: str) -> bool:
        """Whether any rater marked the class anywhere on it."""
        return any(r.classes[class_name].marked for r in self.raters.values())


class Suspect(Strict):
    """Two frames in different parts that look alike: `distance` bits of 64, `likeness` -1..1."""

    a: str
    b: str
    distance: Count
    likeness: float


class Leakage(Strict):
    """What may have leaked from one part into another; empty is good.

    Attributes
    ----------
    patients : tuple of str
        Patients in two parts.
    videos : tuple of tuple of str
        Clips of different parts that were imported from the same file.
    frames : tuple of Suspect
        Near-duplicate frames in different parts, most alike first.
    """

    patients: tuple[str, ...] = ()
    videos: tuple[tuple[str, ...], ...] = ()
    frames: tuple[Suspect, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.patients or self.videos or self.frames)


class SplitRecord(Strict):
    """Part of each clip, and how even the split is (see ``splits.Split``)."""

    names: tuple[str, ...]
    of_clip: dict[Slug, str]
    prevalence: dict[str, dict[str, float | None]]
    worst_prevalence_deviation: float
    worst_size_deviation: float


class Manifest(Strict):
    """``manifest.json``, written last: its presence is the proof that a version is whole."""

    kind: Literal["dataset"] = "dataset"
    schema_version: Literal[3] = MANIFEST_VERSION
    version: int = Field(ge=1)
    cohort: Slug
    cohort_id: str
    classes: tuple[ClassSpec, ...]
    raters: tuple[Slug, ...]
    request: BuildRequest
    software: dict[str, str]
    clips: tuple[ClipRecord, ...]
    split: SplitRecord
    folds: SplitRecord | None = None
    leakage: Leakage
    content_sha256: Digest

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [c.clip for c in self.clips]
        classes = {c.name for c in self.classes}
        if len(set(names)) != len(names) or len(classes) != len(self.classes):
            raise ValueError("clips, and classes, must have names of their own")
        for parts in (self.split, *([self.folds] if self.folds else [])):
            if parts.of_clip.keys() != set(names) or not set(parts.of_clip.values()) <= set(
                parts.names
            ):
                raise ValueError("the split must name a part that there is for each clip")
        for clip in self.clips:
            for rater, record in clip.raters.items():
                if rater not in self.raters or record.classes.keys() != classes:
                    raise ValueError(f"{clip.clip}: rater {rater!r} or its classes are not listed")
        return self

    def class_names(self) -> list[str]:
        """Return the names of the classes, in the order of the planes."""
        return [c.name for c in self.classes]

    def guarantees(self, rater: str) -> list[Guarantee]:
        """Return what the planes of a rater came with: one for all clips, unless runs differ."""
        found: list[Guarantee] = []
        for record in (c.raters[rater] for c in self.clips if rater in c.raters):
            if record.guarantee is not None and record.guarantee not in found:
                found.append(record.guarantee)
        return found

    def record(self, clip: str) -> ClipRecord:
        """Return the record of a clip; raises ``KeyError`` if it is not there."""
        for record in self.clips:
            if record.clip == clip:
                return record
        raise KeyError(f"no clip {clip!r} in this dataset")


def canonical(data: object) -> bytes:
    """Return JSON that depends on the content alone: sorted keys, no spaces."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def content_digest(
    clips: Sequence[ClipRecord],
    request: BuildRequest,
    split: SplitRecord,
    folds: SplitRecord | None,
) -> str:
    """Return the SHA-256 of what was asked for and of all that came of it, but for the name."""
    data: dict[str, Any] = {
        "request": request.model_dump(mode="json", exclude={"name"}),
        "clips": [c.model_dump(mode="json") for c in clips],
        "split": split.of_clip,
        "folds": folds.of_clip if folds else None,
    }
    return hashlib.sha256(canonical(data)).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a version.

    Raises
    ------
    StoreError
        If there is none, or it breaks the contract.
    """
    path = folder / MANIFEST
    try:
        m = Manifest.model_validate_json(read_file(path, MAX_MANIFEST_BYTES))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreError(
            Problem(
                "not-a-dataset",
                str(folder),
                f"The folder has no {MANIFEST}",
                hint="Give the folder that `confseg build` made.",
            )
        ) from error
    except ValidationError as error:
        raise StoreError(field_problems(error, "manifest", str(path))) from error
    if content_digest(m.clips, m.request, m.split, m.folds) != m.content_sha256:
        raise StoreError(
            Problem(
                "manifest-changed",
                str(path),
                "The manifest was changed after the dataset was frozen",
                hint="Build this version again.",
            )
        )
    return m
