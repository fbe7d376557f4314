"""What the annotation lead has chosen, and the request that comes of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pydantic import ValidationError

from napari_confseg.annotate.train.next_run import Choice
from napari_confseg.dataset.manifest import BuildRequest, FramePolicy
from napari_confseg.store import RATER_KINDS, Problem, StoreError, kind_rank, rater_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.agreement.consensus import ConsensusMethod
    from napari_confseg.annotate.dataset.results import VersionLine
    from napari_confseg.store import RaterKind

PARTS: Final = ("train", "val", "test")

METHODS: Final[dict[ConsensusMethod, str]] = {
    "calibrated": "What each reader's confidence is worth is estimated along with the truth.",
    "mean": "The mean of the confidences.",
    "majority": "100 % where more than half of those who reviewed say yes.",
    "staple": "STAPLE's probability, from yes and no.",
    "weighted-staple": "STAPLE where 60 % counts as 0.6 of a yes.",
}
"""Name of each consensus, and what it does in one sentence; the one to take first comes first."""

FORMATS: Final = {
    "nnunet": ("nnU-Net v2", False),
    "monai": ("MONAI datalist", True),
    "coco": ("COCO", True),
    "png": ("PNG masks", True),
    "tiff": ("OME-TIFF masks", True),
    "nifti": ("NIfTI", True),
    "nrrd": ("NRRD for 3D Slicer", False),
    "dicom-seg": ("DICOM SEG", False),
    "webdataset": ("WebDataset", True),
    "ome-zarr": ("OME-Zarr", True),
}
"""Format -> what people read, and whether nothing in it is cut at a threshold."""


@dataclass(frozen=True)
class RaterFound:
    """A rater of the cohort: on how many clips, and frames reviewed for at least one class."""

    name: str
    label: str
    kind: RaterKind
    clips: int
    frames: int
    learnt: bool = False
    imported: bool = False

    @property
    def title(self) -> str:
        """What lists call it."""
        return rater_label(self.name, self.label, self.kind)


@dataclass(frozen=True)
class RaterChoice:
    """A rater to choose: slug, and what lists call it."""

    name: str
    title: str


@dataclass(frozen=True)
class ConsensusWish:
    """A consensus to make; `raters` None means every reader, an empty `name` the method's."""

    raters: frozenset[str] | None = None
    method: ConsensusMethod = "calibrated"
    name: str = ""
    threshold: int = 50
    least: int = 2


@dataclass(frozen=True)
class BuildWish:
    """A dataset to build.

    Attributes
    ----------
    raters, classes, clips : frozenset of str or None
        None where no choice was made: a consensus made here if there is one, else every reader;
        all classes; all clips.
    frames, n : str, int
        Which frames; `n` is the step of "every" and the number of "disagreement".
    size : tuple of int or None
        (Y, X) that all frames get.
    spacing : float or None
        Millimetres a pixel.
    shares : tuple of int
        Percent for training, validation and test; a part of 0 is left out.
    folds, seed : int
        As in the request.
    out : str
        Folder of the dataset.
    """

    raters: frozenset[str] | None = None
    classes: frozenset[str] | None = None
    clips: frozenset[str] | None = None
    frames: Literal["reviewed", "every", "disagreement"] = "reviewed"
    n: int = 5
    size: tuple[int, int] | None = None
    spacing: float | None = None
    shares: tuple[int, int, int] = (70, 15, 15)
    folds: int = 0
    seed: int = 0
    out: str = ""


@dataclass(frozen=True)
class ExportWish:
    """An export of a version; `version` None is the newest, `rater` None its first."""

    version: int | None = None
    format: str = "nnunet"
    rater: str | None = None
    threshold: int = 50
    band: tuple[int, int] | None = None
    out: str = ""


def compared(found: Sequence[RaterFound]) -> frozenset[str]:
    """Return who is compared if nobody is named: the readers who have reviewed anything."""
    return frozenset(r.name for r in found if RATER_KINDS[r.kind].compared and r.frames)


def learnt(found: Sequence[RaterFound]) -> frozenset[str]:
    """Return who is learnt from if nobody is named: readers, but not what came from a file."""
    return frozenset(r.name for r in found if r.learnt and r.frames)


def chosen_for_consensus(wish: ConsensusWish, found: Sequence[RaterFound]) -> frozenset[str]:
    """Return whose consensus it would be."""
    return learnt(found) if wish.raters is None else wish.raters


def chosen_for_build(wish: BuildWish, found: Sequence[RaterFound]) -> frozenset[str]:
    """Return whose marks would go into the dataset."""
    if wish.raters is not None:
        return wish.raters
    made = frozenset(r.name for r in found if r.kind == "consensus" and r.frames and not r.imported)
    return made or learnt(found)


def chosen_for_export(
    wish: ExportWish, versions: Sequence[VersionLine]
) -> tuple[VersionLine | None, str | None]:
    """Return the version to export and whose marks: what is wished, else the first there is."""
    newest = versions[0] if versions else None
    version = next((v for v in versions if v.number == wish.version), newest)
    names = [r.name for r in version.raters] if version else []
    return version, wish.rater if wish.rater in names else next(iter(names), None)


def rater_choices(found: Sequence[RaterFound], chosen: frozenset[str]) -> tuple[Choice, ...]:
    """Return the boxes to tick, people first."""
    rows = sorted(found, key=lambda r: (kind_rank(r.kind), r.name))
    return tuple(Choice(r.name, r.title, "", r.frames, r.name in chosen) for r in rows)


def request_of(wish: BuildWish, found: Sequence[RaterFound], name: str) -> BuildRequest:
    """Return the request for a dataset called `name`.

    Raises
    ------
    StoreError
        If the choices make no sense together; every problem is listed.
    """
    raters = sorted(chosen_for_build(wish, found))
    problems = []
    if not raters:
        problems.append(
            Problem("too-few-raters", "", "No rater is ticked", hint="Tick whose marks go in.")
        )
    if sum(wish.shares) != 100:
        problems.append(
            Problem.mismatch(
                "split",
                "",
                "shares that add up to 100 %",
                f"{sum(wish.shares)} %",
                "Change train, val or test.",
            )
        )
    for what, choice in (("classes", wish.classes), ("clips", wish.clips)):
        if choice is not None and not choice:
            problems.append(
                Problem(what, "", f"None of the {what} is ticked", hint="Tick at least one.")
            )
    if problems:
        raise StoreError(problems)
    parts = {p: s / 100 for p, s in zip(PARTS, wish.shares, strict=True) if s}
    try:
        return BuildRequest(
            name=name,
            raters=tuple(raters),
            classes=tuple(sorted(wish.classes or ())),
            clips=tuple(sorted(wish.clips or ())),
            size=wish.size,
            spacing=wish.spacing,
            frames=FramePolicy(kind=wish.frames, n=1 if wish.frames == "reviewed" else wish.n),
            parts=parts,
            folds=wish.folds,
            seed=wish.seed,
        )
    except ValidationError as error:
        raise StoreError(
            Problem("request", ".".join(map(str, e["loc"])), f"{e['msg']}, given {e['input']!r}")
            for e in error.errors()
        ) from error
