"""The contract: what the ``confseg`` attributes of cohort, clip and rater may say.

Every key on disk is a field here. Values that a reader must not guess are typed, bounded and
checked at the door; keys that are not listed are an error *inside* ``attributes["confseg"]``
and left untouched everywhere else.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import IntEnum
from itertools import pairwise
from typing import Annotated, Final, Literal, Self
from uuid import uuid4

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from napari_confseg.store.rater_kinds import RATER_KINDS, RaterKind

SCHEMA_VERSION: Final = 11
"""Version of everything below; a store of another version is refused, not guessed at."""

NOT_MARKED = 0
MAX_CONFIDENCE = 100
EXCLUDED = 255
"""Plane values: 0 not marked, 1..100 confidence in percent, 255 excluded from learning."""

SLUG_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
_RESERVED_ON_WINDOWS = frozenset(
    ["con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))]
)


class Status(IntEnum):
    """What a rater has said of one class on one frame."""

    UNTOUCHED = 0
    IN_PROGRESS = 1
    REVIEWED = 2


def check_slug(value: str) -> str:
    """Return `value` if it is a legal name of a cohort, clip, rater or class.

    Raises
    ------
    ValueError
        If it does not match ``SLUG_PATTERN`` or is a device name on Windows.
    """
    if not re.fullmatch(SLUG_PATTERN, value):
        raise ValueError(
            f"{value!r} is not a legal name: use 1 to 64 of a-z, 0-9, '-' and '_', "
            "beginning with a letter or digit"
        )
    if value in _RESERVED_ON_WINDOWS:
        raise ValueError(f"{value!r} is reserved on Windows: choose another name")
    return value


def is_slug(value: str) -> bool:
    """Whether `value` is a legal name; see :func:`check_slug`."""
    try:
        check_slug(value)
    except ValueError:
        return False
    return True


Slug = Annotated[str, AfterValidator(check_slug)]
Color = Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]
Confidence = Annotated[int, Field(ge=1, le=MAX_CONFIDENCE)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Pixel = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]
"""A duration; 1e7 are four months."""

_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _check_moment(value: datetime) -> datetime:
    # Where a clock is off by centuries, reckoning in other time zones overflows.
    if not _EARLIEST <= value < _LATEST:
        raise ValueError(f"must lie between 1970 and 2200, found {value.isoformat()}")
    return value


Moment = Annotated[AwareDatetime, AfterValidator(_check_moment)]
"""A point in time, with its time zone."""


Blinding = Literal["none", "until-reviewed", "always"]


class Strict(BaseModel):
    """Frozen model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassSpec(Strict):
    """A class that raters mark, e.g. B-lines. `index` never changes and is never reused."""

    index: int = Field(ge=0, lt=64)
    name: Slug
    label: str = Field(min_length=1, max_length=80, description="what people read")
    color: Color
    key: Annotated[str, Field(pattern=r"^\S{1,12}$")] | None = None


class Anchor(Strict):
    """A word for a confidence, agreed on within a cohort, and the key that sets it."""

    value: Confidence
    word: str = Field(min_length=1, max_length=40)
    example: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="what a mark of this confidence looks like, in a sentence"
    )
    key: Annotated[str, Field(pattern=r"^\S{1,12}$")] | None = None


# Okabe and Ito's palette (Color Universal Design, 2008): told apart by colour-blind readers.
DEFAULT_CLASSES = (
    ClassSpec(index=0, name="pleura", label="Pleural line", color="#f0e442"),
    ClassSpec(index=1, name="a-line", label="A-line", color="#56b4e9"),
    ClassSpec(index=2, name="b-line", label="B-line", color="#d55e00"),
    ClassSpec(index=3, name="consolidation", label="Consolidation", color="#cc79a7"),
    ClassSpec(index=4, name="effusion", label="Effusion", color="#009e73"),
    ClassSpec(index=5, name="rib", label="Rib", color="#0072b2"),
)
DEFAULT_ANCHORS = (
    Anchor(value=30, word="possible", key="8"),
    Anchor(value=60, word="probable", key="9"),
    Anchor(value=90, word="certain", key="0"),
)


class BlindingChange(Strict):
    """Who set from when on whether a cohort's readers see each other."""

    at: Moment
    by: str = Field(min_length=1, max_length=80, description="as people read the name")
    rule: Blinding


class ModelChange(Strict):
    """Which model was made a cohort's active one, when, by whom and why."""

    at: Moment
    by: str = Field(min_length=1, max_length=80, description="as people read the name")
    name: str = Field(min_length=1, max_length=255, description="of the run, or starter")
    location: str = Field(
        min_length=1,
        max_length=4096,
        description="folder of the run, from the cohort's if it begins with a dot, or starter",
    )
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None, description="of its weights; None for the model that comes with the package"
    )
    why: str = Field(min_length=1, max_length=2000, description="what spoke for it")
    insisted: bool = Field(
        default=False, description="whether a person wanted it without or against a comparison"
    )
    back: bool = Field(
        default=False, description="whether it takes back the change before, not taken back yet"
    )


Share = Annotated[int, Field(ge=0, le=100)]


class WithholdingChange(Strict):
    """Who set from when on on how many frames a cohort's readers get no suggestion."""

    at: Moment
    by: str = Field(min_length=1, max_length=80, description="as people read the name")
    percent: Share


class CohortMeta(Strict):
    """``attributes["confseg"]`` of the cohort group."""

    kind: Literal["cohort"] = "cohort"
    schema_version: Literal[11] = SCHEMA_VERSION
    cohort_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] = Field(
        default_factory=lambda: uuid4().hex
    )
    name: Slug
    classes: tuple[ClassSpec, ...] = Field(default=DEFAULT_CLASSES, min_length=1, max_length=64)
    anchors: tuple[Anchor, ...] = Field(default=DEFAULT_ANCHORS, min_length=1)
    blinding: Blinding = Field(
        default="none",
        description="whether a reader sees the others: at once; once their own clip is reviewed; "
        "only if a reviewer lets them",
    )
    blinding_changes: tuple[BlindingChange, ...] = Field(
        default=(), description="oldest first; the last one set the rule that holds"
    )
    withheld: Share = Field(
        default=0, description="percent of the frames on which models suggest nothing to anybody"
    )
    withheld_changes: tuple[WithholdingChange, ...] = Field(
        default=(), description="oldest first; the last one set the percentage that holds"
    )

    active_models: tuple[ModelChange, ...] = Field(
        default=(), description="oldest first; the last one names the model that is active"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        indices = [c.index for c in self.classes]
        if indices != list(range(len(indices))):
            raise ValueError(f"class indices must be 0, 1, 2, ... in order, found {indices}")
        names = [c.name for c in self.classes]
        if len(set(names)) != len(names):
            raise ValueError(f"class names must differ, found {names}")
        rules = ["none", *(change.rule for change in self.blinding_changes)]
        if rules[-1] != self.blinding:
            raise ValueError(
                f"blinding must be what its last change set, {rules[-1]!r}, found {self.blinding!r}"
            )
        open_changes = 0
        for change in self.active_models:
            open_changes += -1 if change.back else 1
            if open_changes < 0:
                raise ValueError("active_models goes back where there is no change to take back")
        shares = [0, *(change.percent for change in self.withheld_changes)]
        if shares[-1] != self.withheld:
            raise ValueError(
                f"withheld must be what its last change set, {shares[-1]}, found {self.withheld}"
            )
        values = [a.value for a in self.anchors]
        if values != sorted(set(values)):
            raise ValueError(f"anchor values must rise, found {values}")
        return self

    def class_index(self, name: str) -> int:
        """Return the index of the class called `name`; raises ``KeyError`` with those there."""
        for spec in self.classes:
            if spec.name == name:
                return spec.index
        known = ", ".join(c.name for c in self.classes)
        raise KeyError(f"no class {name!r} in cohort {self.name!r}; it has {known}")


Millimetres = Annotated[float, Field(ge=1e-6, le=1e4, allow_inf_nan=False)]


class Spacing(Strict):
    """Size of a pixel in millimetres, and who says so. Absent when nobody truly knows."""

    y: Millimetres
    x: Millimetres
    source: Literal["dicom-region", "manual", "synthetic"]


DOUBTFUL = 0.5
"""Trust below which a sector that was found waits for a person before anything is cut by it."""


class Sector(Strict):
    """Shape of the insonated area, as a polygon of (y, x) pixel coordinates."""

    kind: Literal["linear", "curved", "phased", "unknown"]
    polygon: tuple[tuple[Pixel, Pixel], ...] = Field(min_length=3, max_length=512)
    confirmed: bool = False
    trust: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="how far an outline found by itself can be trusted; None if drawn"
    )

    @property
    def doubtful(self) -> bool:
        """Whether a person must look at it before anything is cut by it."""
        return not self.confirmed and self.trust is not None and self.trust < DOUBTFUL


class Provenance(Strict):
    """Where the frames come from. Holds no file name: names carry patients' names."""

    source_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    decoder: str = Field(max_length=1000)
    crop: tuple[int, int, int, int] | None = Field(
        default=None, description="(y0, x0, y1, x1) in source pixels"
    )


class ClipMeta(Strict):
    """``attributes["confseg"]`` of a clip group. `frame_times` are seconds from the first frame."""

    kind: Literal["clip"] = "clip"
    schema_version: Literal[11] = SCHEMA_VERSION
    patient: Slug
    zone: Annotated[str, Field(max_length=16)] | None = None
    probe: Literal["convex", "linear", "phased", "unknown"] = "unknown"
    frame_times: tuple[Seconds, ...] = Field(min_length=1, max_length=100_000)
    spacing: Spacing | None = None
    sector: Sector | None = None
    tags: tuple[Annotated[str, Field(max_length=64)], ...] = Field(default=(), max_length=100)
    provenance: Provenance

    @model_validator(mode="after")
    def _times_rise(self) -> Self:
        if any(b <= a for a, b in pairwise(self.frame_times)):
            raise ValueError("frame_times must rise strictly")
        return self

    @property
    def frame_interval(self) -> float:
        """Mean time between frames in seconds; 1.0 for a single frame."""
        n = len(self.frame_times)
        return (self.frame_times[-1] - self.frame_times[0]) / (n - 1) if n > 1 else 1.0


class Imported(Strict):
    """Where planes that were not made here come from."""

    format: str = Field(min_length=1, max_length=40, description="of the file they came in")
    made_by: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="who or what made them, as far as is known"
    )


class Band(Strict):
    """Contours of a class that the panel's region lies between, as percents of the model.

    A region holds the pixels of the sector with at least that percent.
    """

    inner: Confidence | None = Field(description="lies in the panel's region; None: nothing does")
    outer: Confidence | None = Field(description="holds the panel's region; None: only the sector")


class Margin(Strict):
    """How far the panel's read-out of a clip may be from the model's."""

    half_width: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    unit: str = Field(min_length=1, max_length=10)


class Guarantee(Strict):
    """What a model promises of a patient that it has not seen, alike those it was measured on."""

    level: int = Field(ge=50, le=99, description="patients in a hundred that each promise holds in")
    allowed: int = Field(
        ge=0, le=50, description="percent of a region that may lie beyond its contour"
    )
    panel: tuple[Slug, ...] = Field(min_length=1, description="raters whose mean was the measure")
    threshold: Confidence = Field(description="mean confidence from which the panel marks a pixel")
    source: str = Field(min_length=1, max_length=200, description="where the patients are from")
    patients: int = Field(ge=1)
    bands: dict[Slug, Band] = Field(description="by class")
    margins: dict[str, Margin] = Field(description="by read-out of a clip")

    @property
    def terms(self) -> str:
        """What is promised, in a line: contours by class, and intervals of read-outs."""
        contours = [
            f"{name} inner {_from(b.inner, 'none')}, outer {_from(b.outer, 'all of it')}"
            for name, b in self.bands.items()
        ]
        intervals = [
            f"{name.replace('_', ' ')} \u00b1 {m.half_width:.1f} {m.unit}"
            for name, m in self.margins.items()
        ]
        return f"within the sector, {'; '.join([*contours, *intervals])}"

    def __str__(self) -> str:
        return (
            f"for {self.level} % of patients, measured on {self.patients} of {self.source} "
            f"against {', '.join(self.panel)} from {self.threshold} %"
        )


def _from(percent: int | None, otherwise: str) -> str:
    return otherwise if percent is None else f"from {percent} %"


class RaterMeta(Strict):
    """``attributes["confseg"]`` of a rater's group."""

    kind: RaterKind
    schema_version: Literal[11] = SCHEMA_VERSION
    label: str = Field(min_length=1, max_length=80)
    run: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="the run that made a model's planes"
    )
    run_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None, description="of what that run was told to do: names may be alike"
    )
    adjudicator: Annotated[str, Field(min_length=1, max_length=80)] | None = Field(
        default=None, description="who began to adjudicate; each decision says who made it"
    )
    imported: Imported | None = Field(
        default=None, description="for planes that came from a file; None for those made here"
    )
    guarantee: Guarantee | None = Field(
        default=None, description="what a model's planes come with, if it was measured"
    )
    created: Moment

    @model_validator(mode="after")
    def _says_where_from(self) -> Self:
        if self.kind == "imported" and self.imported is None:
            raise ValueError("a rater of kind 'imported' says where its planes come from")
        if self.guarantee is not None and self.kind != "model":
            raise ValueError(f"only a model's planes come with a guarantee, found {self.kind!r}")
        return self

    @property
    def learnt(self) -> bool:
        """Whether it is learnt from if nobody is named: what came from a file never is."""
        return RATER_KINDS[self.kind].learnt and self.imported is None

    @model_validator(mode="after")
    def _adjudicated_by_somebody(self) -> Self:
        if (self.kind == "adjudicated") is not (self.adjudicator is not None):
            raise ValueError(
                "an adjudicated rater, and no other, names its adjudicator; "
                f"found kind {self.kind!r} and adjudicator {self.adjudicator!r}"
            )
        return self
