"""Patients that a run has not seen, and what they tell of its output beside a panel's marks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.agreement.conformal import NOTHING
from napari_confseg.readouts import Beams, Finding, frame_readouts, insonated, sum_up
from napari_confseg.store import EXCLUDED
from trainer.data import class_indices, find_sources, read_frames
from trainer.errors import TrainError
from trainer.sources import called

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_confseg.readouts import ClipReadouts, FrameReadouts
    from trainer.checkpoint import RunConfig
    from trainer.predict import Predictor
    from trainer.sources import AnyCohort, Source

READOUTS = ("pleura_percentage", "b_line_count", "artefact_score", "consolidation", "effusion")
"""Read-outs of a clip that are numbers: means over its frames."""


@dataclass
class Counts:
    """Pixels of the sector, of one patient and class, by the model's percent.

    In and out of the panel's region.
    """

    inside: NDArray[np.int64] = field(default_factory=lambda: np.zeros(NOTHING, np.int64))
    outside: NDArray[np.int64] = field(default_factory=lambda: np.zeros(NOTHING, np.int64))

    def add(self, percent: NDArray[np.uint8], region: NDArray[np.bool_]) -> None:
        """Count pixels: their percents, and whether each is in the region."""
        self.inside += np.bincount(percent[region], minlength=NOTHING)
        self.outside += np.bincount(percent[~region], minlength=NOTHING)


@dataclass
class Evidence:
    """What patients tell, before any level is chosen.

    Attributes
    ----------
    counts : dict
        Class -> patient -> pixels, of the frames that the panel has reviewed.
    residuals : dict
        Read-out -> patient -> the largest difference between model and panel on any of the
        patient's clips; infinite where the model gives no value.
    units : dict
        Read-out -> unit.
    """

    counts: dict[str, dict[str, Counts]] = field(default_factory=dict)
    residuals: dict[str, dict[str, float]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)

    @property
    def patients(self) -> set[str]:
        """All that tell anything."""
        return {p for of in self.counts.values() for p in of}

    def only(self, patients: Iterable[str]) -> Evidence:
        """Return what some of the patients tell."""
        kept = set(patients)

        def part(of: Mapping[str, dict[str, float]] | Mapping[str, dict[str, Counts]]) -> dict:  # type: ignore[type-arg]
            return {k: {p: v for p, v in by.items() if p in kept} for k, by in of.items()}

        return Evidence(part(self.counts), part(self.residuals), self.units)


def seen_patients(source: AnyCohort, config: RunConfig) -> set[str]:
    """Return the patients of `source` that a run was fitted to, or its checkpoint chosen on."""
    clips: set[str] = set()
    patients: set[str] = set()
    if config.origin.cohort_id == source.meta.cohort_id:
        clips |= {*config.learnt, *config.split.validation}
        patients |= set(config.split.validation_patients)
    if config.base is not None and config.base.cohort_id == source.meta.cohort_id:
        clips |= set(config.base.learnt)
    return patients | {source.clip(c).meta.patient for c in clips & set(source.clips())}


def unseen_clips(
    source: AnyCohort, config: RunConfig, patients: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the clips of patients that a run has not seen; of the given ones if there are any.

    Raises
    ------
    TrainError
        If a given patient is unknown or was seen, or there is none that was not.
    """
    seen = seen_patients(source, config)
    of_clip = {c: source.clip(c).meta.patient for c in source.clips()}
    if unknown := sorted(set(patients) - set(of_clip.values())):
        raise TrainError(f"{called(source).capitalize()} has no patient {', '.join(unknown)}")
    if known := sorted(set(patients) & seen):
        raise TrainError(
            f"The run was fitted to {', '.join(known)}, or its checkpoint was chosen on them",
            "Name other patients: on these it is better than on any that it has not seen.",
        )
    clips = tuple(c for c, p in of_clip.items() if (p in patients if patients else p not in seen))
    if not clips:
        raise TrainError(
            f"The run has seen every patient of {called(source)}",
            "Fit with --held-out, or name a cohort or dataset of other patients.",
        )
    return clips


def gather(
    predictor: Predictor,
    source: AnyCohort,
    clips: Sequence[str],
    *,
    panel: Sequence[str] = (),
    threshold: int = 50,
    on_progress: Callable[[int, int, str], None] = lambda *_: None,
) -> tuple[Evidence, tuple[str, ...]]:
    """Return what the patients of some clips tell, and the raters of the panel.

    Parameters
    ----------
    predictor : Predictor
        The model.
    source : Cohort or FrozenCohort
        Where the clips are.
    clips : sequence of str
        Their names.
    panel : sequence of str
        Raters; if empty, those that would be learnt from.
    threshold : int
        Mean confidence of the panel, 1..100, from which it marks a pixel.
    on_progress : callable
        Called with (clips done, clips, message).

    Raises
    ------
    TrainError
        If a class or rater is unknown, a rater is a model, or nobody has reviewed anything.
    """
    there = {c.name for c in source.meta.classes}
    classes = [c for c in predictor.config.classes if c in there]
    indices = class_indices(source, classes)
    sources = find_sources(source, classes, panel, clips)
    if models := sorted({r.name for s in sources for r in s.raters if r.meta.kind == "model"}):
        raise TrainError(
            f"{', '.join(models)} is a model, and a panel is of readers",
            "Name the readers, or their consensus, with --against.",
        )
    found = Evidence({c: {} for c in classes}, {name: {} for name in READOUTS})
    for done, one in enumerate(sources):
        on_progress(done, len(sources), f"Measuring {one.clip.name}")
        _add_clip(found, predictor, one, classes, indices, threshold)
    on_progress(len(sources), len(sources), "Measured")
    return found, tuple(sorted({r.name for s in sources for r in s.raters}))


def _add_clip(
    found: Evidence,
    predictor: Predictor,
    source: Source,
    classes: Sequence[str],
    indices: Sequence[int],
    threshold: int,
) -> None:
    clip, patient = source.clip, source.clip.meta.patient
    beams = Beams.fit(clip.meta.sector, clip.meta.spacing, clip.shape[1:])
    inside = insonated(clip.meta.sector, clip.shape[1:])
    places = [predictor.config.classes.index(c) for c in classes]
    frames = source.frames()
    mine: list[FrameReadouts] = []
    theirs: list[list[FrameReadouts]] = [[] for _ in source.raters]
    times = iter(frames)
    for block in read_frames(clip, frames):
        for percent, t in zip(predictor.percent(block, inside)[:, places], times, strict=False):
            planes = {
                (r, c): rater.read_plane(t, index)
                for r, rater in enumerate(source.raters)
                for c, index in enumerate(indices)
                if source.reviewed[r, t, c]
            }
            for c, name in enumerate(classes):
                given = [planes[r, c] for r in range(len(source.raters)) if (r, c) in planes]
                if given:
                    counts = found.counts[name].setdefault(patient, Counts())
                    _count(counts, percent[c], np.stack(given), threshold, inside)
            if source.reviewed[:, t].all():  # unmarked is absent only where everybody looked
                mine.append(frame_readouts(dict(zip(classes, percent, strict=True)), beams))
                for r, of in enumerate(theirs):
                    of.append(
                        frame_readouts({n: planes[r, c] for c, n in enumerate(classes)}, beams)
                    )
    if mine:
        _add_readouts(found, patient, sum_up(mine), [sum_up(of) for of in theirs])


def _count(
    counts: Counts,
    percent: NDArray[np.uint8],
    planes: NDArray[np.uint8],
    threshold: int,
    inside: NDArray[np.bool_],
) -> None:
    # Outside the sector nothing was scanned, so no mark exists there, the panel's or the model's,
    # and contours are drawn cut to it. That costs no coverage. The cut depends on the clip alone,
    # not on marks, so scores of cut regions are exchangeable whenever patients are, which is all
    # that the quantile needs. Nor does a panel that marks within the sector lose by a cut that it
    # was not measured with: what an outer contour misses of it lies inside and stays the same, and
    # an inner one keeps what is right and loses what is false, at every threshold.
    known = inside & (planes != EXCLUDED).all(0)
    region = planes.sum(0, dtype=np.int64) >= threshold * len(planes)
    counts.add(percent[known], region[known])


def _add_readouts(
    found: Evidence, patient: str, mine: ClipReadouts, theirs: Sequence[ClipReadouts]
) -> None:
    for name in READOUTS:
        said: list[Finding] = [getattr(r, name).mean for r in theirs]
        values = [f.value for f in said if not np.isnan(f.value)]
        if not values:
            continue
        model: Finding = getattr(mine, name).mean
        if found.units.setdefault(name, model.unit) != model.unit:
            raise TrainError(
                f"Areas of some clips are in {found.units[name]}, of others in {model.unit}",
                "Give every clip its spacing, or name patients whose clips have one.",
            )
        away = abs(model.value - sum(values) / len(values))
        residual = float("inf") if np.isnan(away) else away
        of = found.residuals[name]
        of[patient] = max(of.get(patient, 0.0), residual)
