"""What the annotation lead has chosen, and the request that comes of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pydantic import ValidationError

from napari_confseg.annotate.train.next_run import Choice
from napari_confseg.dataset.manifest import BuildRequest, FramePolicy
from napari_confseg.store import Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.agreement.methods import ConsensusMethod

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
    kind: str
    clips: int
    frames: int


@dataclass(frozen=True)
class ConsensusWish:
    """A consensus to make; `raters` None means every human, an empty `name` the method's."""

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
        None where no choice was made: a consensus if there is one, else every human; all classes;
        all clips.
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
    """An export of a version; `version` None is the newest, `rater` None the only one."""

    version: int | None = None
    format: str = "nnunet"
    rater: str | None = None
    threshold: int = 50
    band: tuple[int, int] | None = None
    out: str = ""


def people(found: Sequence[RaterFound]) -> frozenset[str]:
    """Return the humans who have reviewed anything."""
    return _of_kind(found, "human")


def _of_kind(found: Sequence[RaterFound], kind: str) -> frozenset[str]:
    return frozenset(r.name for r in found if r.kind == kind and r.frames)


def chosen_for_consensus(wish: ConsensusWish, found: Sequence[RaterFound]) -> frozenset[str]:
    """Return whose consensus it would be."""
    return people(found) if wish.raters is None else wish.raters


def chosen_for_build(wish: BuildWish, found: Sequence[RaterFound]) -> frozenset[str]:
    """Return whose marks would go into the dataset."""
    if wish.raters is not None:
        return wish.raters
    return _of_kind(found, "consensus") or people(found)


def rater_choices(found: Sequence[RaterFound], chosen: frozenset[str]) -> tuple[Choice, ...]:
    """Return the boxes to tick, people first."""
    order = {"human": 0, "consensus": 1, "model": 2, "truth": 3}
    rows = sorted(found, key=lambda r: (order[r.kind], r.name))
    return tuple(Choice(r.name, _label(r), "", r.frames, r.name in chosen) for r in rows)


def _label(rater: RaterFound) -> str:
    """Return what people read, with the name that scores and files use where it differs."""
    if rater.kind == "consensus":
        return f"{rater.name} (consensus)"
    own = rater.label.lower().replace(".", "").replace(" ", "-") == rater.name
    label = rater.label if own else f"{rater.name}: {rater.label}"
    return label if rater.kind == "human" else f"{label} ({rater.kind})"


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
            Problem("too-few-raters", "", "at least one rater", "none", "Tick whose marks go in.")
        )
    if sum(wish.shares) != 100:
        problems.append(
            Problem(
                "split",
                "",
                "shares that add up to 100 %",
                f"{sum(wish.shares)} %",
                "Change train, val or test.",
            )
        )
    for what, choice in (("classes", wish.classes), ("clips", wish.clips)):
        if choice is not None and not choice:
            problems.append(Problem(what, "", f"at least one of the {what}", "none"))
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
            Problem("request", ".".join(map(str, e["loc"])), e["msg"], repr(e["input"]))
            for e in error.errors()
        ) from error
