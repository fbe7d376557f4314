"""Scores of a fitted model against raters, per clip and averaged over clips.

The pixels of the model's contour output are present from 50 % on, a rater's from the requested
threshold; Brier score and calibration error are of its probability output. All scores but the
surface distance follow from two tables per clip and class: the joint histograms of each output's
percent and the rater's confidence.
"""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_confseg.agreement.overlap import Outlines, dice, iou, joint_histogram, survival
from napari_confseg.dataset.as_cohort import FrozenCohort
from napari_confseg.readouts import insonated
from napari_confseg.store import EXCLUDED
from napari_confseg.store.rater_kinds import RaterKind
from trainer.data import class_indices, find_sources, read_frames
from trainer.errors import TrainError
from trainer.predict import Percents, Predictor
from trainer.sources import called, test_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.checkpoint import RunConfig
    from trainer.sources import AnyClip, AnyCohort, Source

DECISION = 50
"""Percent of the contour output from which the model's pixels count as present."""
BINS = 10
"""Bins of the calibration error: probability in tenths."""
VALIDATION = "validation"
SCORES = ("dice", "iou", "hd95_mm", "hd95_px", "brier", "calibration_error")


class Case(BaseModel):
    """One clip, one rater, one class, one threshold.

    Attributes
    ----------
    clip, patient, against, class_name : str
        What was compared; `against` is the rater's slug.
    label, kind : str
        What people call that rater, and its kind.
    threshold : int
        Confidence in percent from which the rater's pixels count as present.
    frames : int
        Frames of the clip that the rater has reviewed for the class.
    overlap, marked, meant : int
        Pixels, over all these frames together: present by both, by the model, by the rater.
    dice, iou : float
        Over all these frames together; NaN if neither marks anything.
    hd95_mm, hd95_px : float
        95th percentile Hausdorff distance, mean over the frames that both mark; NaN if there are
        none. Millimetres if the clip's spacing is known, else pixels; the other is NaN.
    brier, calibration_error : float
        Over all pixels: mean squared error of the probability output, and the mean over tenths of
        probability, weighted by pixels, of |mean probability - share present|. Most pixels are
        background, so both are small by nature: compare models, not classes.
    """

    model_config = ConfigDict(frozen=True)
    clip: str
    patient: str
    against: str
    label: str
    kind: RaterKind
    class_name: str
    threshold: int
    frames: int
    overlap: int
    marked: int
    meant: int
    dice: float
    iou: float
    hd95_mm: float
    hd95_px: float
    brier: float
    calibration_error: float


class Mean(BaseModel):
    """Mean over clips of the cases of one rater, class and threshold.

    Attributes
    ----------
    values : dict
        Score -> mean over the cases where it is defined; NaN if there are none.
    defined : dict
        Score -> how many these are.
    """

    model_config = ConfigDict(frozen=True)
    against: str
    label: str
    kind: RaterKind
    class_name: str
    threshold: int
    values: dict[str, float]
    defined: dict[str, int]


class Evaluation(BaseModel):
    """The scores of one model on a cohort or dataset.

    Attributes
    ----------
    run, data : str
        Names of what was scored, and where.
    part : str
        Which clips: e.g. ``"part test"``, ``"fold 2"``, ``"validation"``.
    note : str
        A caution about the scores.
    cases, means : tuple
        One clip each; and the means over clips.
    """

    columns: ClassVar[tuple[str, ...]] = SCORES
    model_config = ConfigDict(frozen=True)
    run: str
    data: str
    part: str
    note: str
    cases: tuple[Case, ...]
    means: tuple[Mean, ...]

    @property
    def title(self) -> str:
        """Heading of the scores."""
        what = f"{self.run} on {self.data}, {self.part}"
        return f"{what}: mean over clips (number of clips where defined)"

    def write_csv(self, path: Path) -> None:
        """Write one line per case; what is undefined stays empty."""
        with path.open("w", newline="", encoding="utf-8") as f:
            writer = csv.writer(f)
            writer.writerow(Case.model_fields)
            for case in self.cases:
                values = case.model_dump().values()
                writer.writerow(
                    ["" if isinstance(v, float) and math.isnan(v) else v for v in values]
                )


def evaluate(
    run: Path,
    source: AnyCohort,
    *,
    against: Sequence[str] = (),
    thresholds: Sequence[int] = (50,),
    clips: Sequence[str] = (),
    classes: Sequence[str] = (),
    device: str = "auto",
    on_progress: Callable[[int, int, str], None] = lambda *_: None,
) -> Evaluation:
    """Score the model of the run folder `run`.

    Parameters
    ----------
    run : Path
        Folder of a fit.
    source : Cohort or FrozenCohort
        Where the clips are.
    against : sequence of str
        Raters to compare with; those learnt from if empty, or in another cohort or dataset those
        that would be learnt from there.
    thresholds : sequence of int
        Confidences in percent, 1..100, from which a rater's pixels count as present.
    clips : sequence of str
        Clips to score. If empty: those that the run kept for a test, else those it validated on;
        of a dataset that it did not learn from, the part that is neither learnt from nor validated
        on; all of another cohort.
    classes : sequence of str
        Classes to score; all that the model knows if empty.
    device : str
        Where to compute.
    on_progress : callable
        Called with (clips done, clips, message).

    Raises
    ------
    TrainError
        If there is no model, or nothing that it could be compared with.
    """
    if not thresholds or not all(1 <= t <= 100 for t in thresholds):
        raise TrainError(f"Thresholds {list(thresholds)} can't be used", "Give some of 1 to 100.")
    predictor = replace(Predictor.load(run, device), both=True)
    config = predictor.config
    same = source.meta.cohort_id == config.origin.cohort_id
    against = tuple(against) or (config.raters if same else ())
    part, wanted = ("chosen clips", tuple(clips)) if clips else _part(config, source, same=same)
    classes = tuple(classes) or config.classes
    indices = class_indices(source, classes)
    sources = find_sources(source, classes, against, wanted)
    cases: list[Case] = []
    for done, found in enumerate(sources):
        on_progress(done, len(sources), f"Scoring {found.clip.name}")
        cases += _score_clip(
            predictor, found, classes, indices, thresholds, late=part == VALIDATION
        )
    on_progress(len(sources), len(sources), "Scored")
    return Evaluation(
        run=run.name,
        data=called(source),
        part=part,
        cases=tuple(cases),
        means=mean_cases(cases),
        note=_note(config, part, [s.clip for s in sources], same=same),
    )


def _part(config: RunConfig, source: AnyCohort, *, same: bool) -> tuple[str, tuple[str, ...]]:
    """Return which part of `source` is scored unless clips are named, and its clips."""
    frozen = source if isinstance(source, FrozenCohort) else None
    foreign = frozen is not None and frozen.sha256 != config.origin.sha256
    if frozen and foreign and (parts := test_parts(frozen)):
        return "part " + " and ".join(dict.fromkeys(parts.values())), tuple(parts)
    if not same:
        return "all clips", ()
    if config.split.test:
        return config.split.test_name, config.split.test
    return VALIDATION, config.split.validation


def _score_clip(
    predictor: Predictor,
    source: Source,
    classes: Sequence[str],
    indices: Sequence[int],
    thresholds: Sequence[int],
    *,
    late: bool,
) -> list[Case]:
    config, clip = predictor.config, source.clip
    learnt_as = [config.classes.index(c) for c in classes]
    frames = [t for t in source.frames() if not late or config.split.is_validation(clip.name, t)]
    spacing = clip.meta.spacing
    counters = {
        (r, c): _Counter(thresholds, (spacing.y, spacing.x) if spacing else (1.0, 1.0))
        for r in range(len(source.raters))
        for c in range(len(indices))
    }
    inside = insonated(clip.meta.sector, clip.shape[1:])
    times = iter(frames)
    for block in read_frames(clip, frames):
        percents = predictor.percents(block, inside)
        for contour, probability, t in zip(*percents, times, strict=False):
            for (r, c), counter in counters.items():
                if source.reviewed[r, t, c]:
                    plane, at = source.raters[r].read_plane(t, indices[c]), learnt_as[c]
                    counter.add(Percents(contour[at], probability[at]), plane)
    return [
        Case(
            clip=clip.name,
            patient=clip.meta.patient,
            against=source.raters[r].name,
            label=source.raters[r].meta.label,
            kind=source.raters[r].meta.kind,
            class_name=classes[c],
            **counter.scores(t, in_mm=spacing is not None),
        )
        for (r, c), counter in counters.items()
        if counter.frames
        for t in thresholds
    ]


class _Counter:
    """Sums of one clip, rater and class over frames."""

    def __init__(self, thresholds: Sequence[int], spacing: tuple[float, float]) -> None:
        self.frames = 0
        self._spacing = spacing
        self._contour, self._probability = np.zeros((2, 101, 101), np.int64)
        self._distances: dict[int, list[float]] = {t: [] for t in thresholds}

    def add(self, model_output: Percents, plane: NDArray[np.uint8]) -> None:
        self.frames += 1
        self._contour += joint_histogram(model_output.contour, plane)
        self._probability += joint_histogram(model_output.probability, plane)
        known = plane != EXCLUDED
        model = (model_output.contour >= DECISION) & known
        for t, distances in self._distances.items():
            masks = {"model": model, "rater": (plane >= t) & known}
            distance = Outlines(masks, self._spacing).hausdorff95("model", "rater")
            if not math.isnan(distance):
                distances.append(distance)

    def scores(self, t: int, *, in_mm: bool) -> dict[str, float | int]:
        overlaps = survival(self._contour)
        both, mine, theirs = (int(overlaps[at]) for at in ((DECISION, t), (DECISION, 0), (0, t)))
        distances = self._distances[t]
        hd95 = sum(distances) / len(distances) if distances else math.nan
        brier, calibration = probability_scores(self._probability, t)
        return {
            "threshold": t,
            "frames": self.frames,
            "overlap": both,
            "marked": mine,
            "meant": theirs,
            "dice": dice(both, mine, theirs),
            "iou": iou(both, mine, theirs),
            "hd95_mm": hd95 if in_mm else math.nan,
            "hd95_px": math.nan if in_mm else hd95,
            "brier": brier,
            "calibration_error": calibration,
        }


def probability_scores(table: NDArray[np.int64], threshold: int) -> tuple[float, float]:
    """Return Brier score and expected calibration error; NaN without any pixel.

    Parameters
    ----------
    table : ndarray of int64, shape (101, 101)
        Pixels by the model's percent (row) and the rater's confidence (column).
    threshold : int
        Confidence from which the rater's pixels count as present.
    """
    pixels, yes = table.sum(1), table[:, threshold:].sum(1)
    total = int(pixels.sum())
    if not total:
        return math.nan, math.nan
    p = np.arange(101) / 100
    brier = float((yes * (1 - p) ** 2 + (pixels - yes) * p**2).sum() / total)
    bins = np.minimum(np.arange(101) * BINS // 100, BINS - 1)
    gaps = np.abs(np.bincount(bins, p * pixels - yes, minlength=BINS))
    return brier, float(gaps.sum() / total)


def mean_cases(cases: Sequence[Case]) -> tuple[Mean, ...]:
    """Return the means over clips, by rater, class and threshold."""
    groups: dict[tuple[str, str, int], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.against, case.class_name, case.threshold), []).append(case)
    means = []
    for (against, class_name, threshold), members in groups.items():
        values, defined = {}, {}
        for score in SCORES:
            known = [v for m in members if not math.isnan(v := getattr(m, score))]
            defined[score] = len(known)
            values[score] = sum(known) / len(known) if known else math.nan
        means.append(
            Mean(
                against=against,
                label=members[0].label,
                kind=members[0].kind,
                class_name=class_name,
                threshold=threshold,
                values=values,
                defined=defined,
            )
        )
    return tuple(means)


def _note(config: RunConfig, part: str, clips: Sequence[AnyClip], *, same: bool) -> str:
    split = config.split
    if not same:
        return "Another cohort than the model learnt from."
    if part == VALIDATION:
        chosen = "The checkpoint was chosen on these frames, so scores are a little optimistic."
        held = f"Held-out patients: {', '.join(split.validation_patients)}."
        return f"{split.warning or held} {chosen}"
    if learnt := sum(c.name in config.learnt for c in clips):
        return f"The model has learnt from {learnt} of these {len(clips)} clips."
    if chosen_by := sum(c.name in split.validation for c in clips):
        return f"The checkpoint was chosen on {chosen_by} of these {len(clips)} clips."
    patients = sorted({c.meta.patient for c in clips})
    return f"Patients that took no part in the fit: {', '.join(patients)}."
