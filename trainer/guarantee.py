"""What a run guarantees of patients that it has not seen, measured on such patients.

For each class an inner and an outer contour that the panel's region lies between, and for each
read-out of a clip how far the panel's value may be from the model's: by split conformal
prediction over whole patients (:mod:`napari_confseg.agreement.conformal`).
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_confseg.agreement.conformal import (
    NOTHING,
    bound,
    inner_score,
    left_out,
    needed,
    outer_score,
    share_of,
)
from napari_confseg.job import STARTER, weights_sha256
from napari_confseg.store import Band, Guarantee, Margin, Problem, StoreError
from napari_confseg.store.durable import write_durably
from napari_confseg.store.errors import field_problems
from napari_confseg.store.files import MIB, read_file
from napari_confseg.store.journal import journal_folder
from trainer.errors import TrainError
from trainer.shipped import is_shipped
from trainer.sources import called
from trainer.unseen import gather, unseen_clips

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.checkpoint import RunConfig
    from trainer.predict import Predictor
    from trainer.sources import AnyCohort
    from trainer.unseen import Counts, Evidence

GUARANTEE = "guarantee.json"
LEVEL, ALLOWED = 90, 20
_MOST = 16 * MIB


class ClassRow(BaseModel):
    """What came of one class.

    Attributes
    ----------
    patients, marked : int
        How many the panel has reviewed for it, and in how many of them it marks any.
    needed : int
        How many each of both must be.
    band : Band or None
        None with fewer.
    inner_held, outer_held, held : float
        Share of patients whose inner contour, outer contour, or both hold if the contours are
        those that all other patients give; None with too few.
    scores : dict
        Patient -> the lowest percent of an inner contour that holds for this patient, and the
        highest of an outer one, which is None where the panel marks nothing.
    """

    model_config = ConfigDict(frozen=True)
    class_name: str
    patients: int
    marked: int
    needed: int
    band: Band | None
    inner_held: float | None
    outer_held: float | None
    held: float | None
    scores: dict[str, tuple[int, int | None]]


class ReadoutRow(BaseModel):
    """What came of one read-out; `residuals` has each patient's, None where infinite."""

    model_config = ConfigDict(frozen=True)
    readout: str
    unit: str
    patients: int
    needed: int
    half_width: float | None
    held: float | None
    residuals: dict[str, float | None]


class Measured(BaseModel):
    """A guarantee with what it rests on; ``guarantee.json`` in the folder of a run.

    Attributes
    ----------
    run : str
        Its name.
    sha256 : str
        Of the weights that were measured.
    guarantee : Guarantee
        What is promised.
    classes, readouts : tuple
        How it came about.
    note : str
        Cautions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    run: str
    sha256: str
    guarantee: Guarantee
    classes: tuple[ClassRow, ...]
    readouts: tuple[ReadoutRow, ...]
    note: str


def class_row(class_name: str, counts: Mapping[str, Counts], level: int, allowed: int) -> ClassRow:
    """Return the contours of a class.

    The panel's region has to lie between both, so what may fail is shared by the two.

    Parameters
    ----------
    class_name : str
        Its name.
    counts : mapping
        Patient -> pixels.
    level, allowed : int
        Patients in a hundred, and percent of a region, as in :class:`Guarantee`.
    """
    share, part = share_of(level, sides=2), allowed / 100
    marked = [p for p, v in counts.items() if v.inside.any()]
    # A patient without the class has no region to miss; whatever is marked there is false.
    inner = {p: inner_score(v.inside, v.outside, part) for p, v in counts.items()}
    outer = {p: outer_score(counts[p].inside, part) for p in marked}
    least = needed(share)
    up = np.array(list(inner.values()), float)
    down = -np.array(list(outer.values()), float)
    held_in, held_out = left_out(up, share), left_out(down, share)
    at = dict(zip(outer, held_out, strict=True))
    both = np.array([ok and at.get(p, True) for p, ok in zip(inner, held_in, strict=True)])
    enough = min(len(up), len(down)) >= least
    return ClassRow(
        class_name=class_name,
        patients=len(up),
        marked=len(marked),
        needed=least,
        band=_band(bound(up, share), -bound(down, share)) if enough else None,
        inner_held=_mean(held_in, least),
        outer_held=_mean(held_out, least),
        held=_mean(both, least) if len(down) > least else None,
        scores={p: (s, outer.get(p)) for p, s in inner.items()},
    )


def _band(inner: float, outer: float) -> Band:
    return Band(
        inner=int(inner) if inner < NOTHING else None, outer=int(outer) if outer > 0 else None
    )


def _mean(held: NDArray[np.bool_], least: int) -> float | None:
    """Return the share of patients covered by the others, None if those are too few."""
    return float(held.mean()) if len(held) > least else None


def readout_row(name: str, residuals: Mapping[str, float], unit: str, level: int) -> ReadoutRow:
    """Return the interval of a read-out; parameters as of :func:`class_row`."""
    share = share_of(level)
    scores = np.array(list(residuals.values()), float)
    width = bound(scores, share)
    return ReadoutRow(
        readout=name,
        unit=unit,
        patients=len(scores),
        needed=needed(share),
        # Upwards, for it is shown with one decimal.
        half_width=ceil(10 * width - 1e-6) / 10 if np.isfinite(width) else None,
        held=_mean(left_out(scores, share), needed(share)),
        residuals={p: r if np.isfinite(r) else None for p, r in residuals.items()},
    )


def rows(
    found: Evidence, level: int, allowed: int
) -> tuple[tuple[ClassRow, ...], tuple[ReadoutRow, ...]]:
    """Return what comes of every class, and of every read-out that the panel gives."""
    return (
        tuple(class_row(name, of, level, allowed) for name, of in found.counts.items()),
        tuple(
            readout_row(name, of, found.units[name], level)
            for name, of in found.residuals.items()
            if of
        ),
    )


def measure(
    predictor: Predictor,
    run: Path,
    source: AnyCohort,
    *,
    panel: Sequence[str] = (),
    patients: Sequence[str] = (),
    level: int = LEVEL,
    allowed: int = ALLOWED,
    threshold: int = 50,
    on_progress: Callable[[int, int, str], None] = lambda *_: None,
) -> Measured:
    """Measure what the run in folder `run` can guarantee, and write it there.

    Parameters
    ----------
    predictor : Predictor
        Its network.
    run : Path
        Folder of a finished fit, or of the shipped model, whose guarantee is kept in the user's
        state folder.
    source : Cohort or FrozenCohort
        Where reviewed patients are that the run has not seen.
    panel : sequence of str
        Raters whose mean is the measure; if empty, those that would be learnt from.
    patients : sequence of str
        Whom to measure on; all that were not seen if empty.
    level, allowed, threshold : int
        As in :class:`Guarantee`.
    on_progress : callable
        Called with (clips done, clips, message).

    Raises
    ------
    TrainError
        If a patient was seen, or there are too few for any promise; says how many are needed.
    """
    for name, value, low, high in (
        ("level", level, 50, 99),
        ("allowed share", allowed, 0, 50),
        ("threshold", threshold, 1, 100),
    ):
        if not low <= value <= high:
            raise TrainError(f"The {name} of {value} % can't be used", f"Give {low} to {high}.")
    clips = unseen_clips(source, predictor.config, patients)
    found, raters = gather(
        predictor, source, clips, panel=panel, threshold=threshold, on_progress=on_progress
    )
    classes, readouts = rows(found, level, allowed)
    bands = {r.class_name: r.band for r in classes if r.band is not None}
    margins = {
        r.readout: Margin(half_width=r.half_width, unit=r.unit)
        for r in readouts
        if r.half_width is not None
    }
    if not bands and not margins:
        raise _too_few(classes, readouts, level)
    made = Measured(
        run=run.name,
        sha256=weights_sha256(run),
        guarantee=Guarantee(
            level=level,
            allowed=allowed,
            panel=raters,
            threshold=threshold,
            source=called(source),
            patients=len(found.patients),
            bands=bands,
            margins=margins,
        ),
        classes=classes,
        readouts=readouts,
        note=_note(source, predictor.config, classes, readouts),
    )
    write_durably(guarantee_path(run), made.model_dump_json(indent=2).encode())
    return made


def _too_few(classes: Sequence[ClassRow], readouts: Sequence[ReadoutRow], level: int) -> TrainError:
    have = max((min(r.patients, r.marked) for r in classes), default=0)
    several = max((r.patients for r in readouts), default=0)
    one, two = needed(share_of(level)), needed(share_of(level, sides=2))
    return TrainError(
        f"Too few patients for {level} %: the panel has reviewed at most {have} with one class, "
        f"where both contours need {two}, and gives read-outs of {several}, where an interval "
        f"needs {one}",
        "Review more patients that the run has not seen, or choose a lower level.",
    )


def _note(
    source: AnyCohort,
    config: RunConfig,
    classes: Sequence[ClassRow],
    readouts: Sequence[ReadoutRow],
) -> str:
    said = []
    if config.origin.kind != "phantoms" and config.origin.cohort_id != source.meta.cohort_id:
        said.append(
            "Another cohort than the run was fitted to: nobody can tell here whether it has seen "
            "the same patients there."
        )
    for row in classes:
        if row.band is None:
            said.append(
                f"{row.class_name}: reviewed in {row.patients} patients and marked in "
                f"{row.marked}, both contours need {row.needed} of each."
            )
    for readout in readouts:
        if readout.half_width is None:
            said.append(
                f"{readout.readout}: {readout.patients} patients, {readout.needed} are needed."
                if readout.patients < readout.needed
                else f"{readout.readout}: the model gives no value in too many patients."
            )
    said.append(
        "Holds for patients alike those measured on: the same probes, settings and wards, frames "
        "chosen in the same way, and the same panel."
    )
    return " ".join(said)


# ---- the file -----------------------------------------------------------------------------


def guarantee_path(run: Path) -> Path:
    """Return where the guarantee of a run is kept: in its folder."""
    # The package's own folder may belong to somebody else.
    return (journal_folder() / STARTER if is_shipped(run) else run) / GUARANTEE


def load_guarantee(run: Path) -> Guarantee | None:
    """Return the guarantee of the run in folder `run`; None if none was measured.

    Raises
    ------
    TrainError
        If it is of other weights than the run has now.
    StoreError
        If the file is damaged.
    """
    path = guarantee_path(run)
    try:
        measured = Measured.model_validate_json(read_file(path, _MOST))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        problem = next(field_problems(error, "guarantee", str(path)))
        hint = "Remove it, and measure again with confseg-train guarantee."
        raise StoreError(Problem(problem.code, str(path), problem.message, hint=hint)) from error
    if measured.sha256 != weights_sha256(run):
        raise TrainError(
            f"{path} was measured on other weights than {run.name} has now",
            "Measure again with confseg-train guarantee, or remove the file.",
        )
    return measured.guarantee
