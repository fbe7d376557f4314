"""Joint histograms of a model and its references on held-out clips."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.agreement.overlap import N_VALUES as VALUES
from napari_confseg.agreement.overlap import Outlines, joint_histogram
from napari_confseg.readouts import insonated
from napari_confseg.store import EXCLUDED, Status, StoreError
from napari_confseg.store.durable import write_csv, write_durably
from napari_confseg.store.files import check_zip
from trainer.data import class_indices, read_frames
from trainer.errors import TrainError
from trainer.evaluate import DECISION
from trainer.sources import opened
from trainer.study.scores import SCORES, THRESHOLDS, dice_by_threshold

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.predict import Predictor
    from trainer.sources import AnyCohort
    from trainer.study.scores import Output

TABLES, TABLE_CSV = "tables.npz", "scores.csv"
AGAINST = "(against)"
"""Name of the reference that a study asked for: no rater can be called so."""
SMALLEST = 10
"""Pixels of a frame that must reach a probability for it to count as the lesion's presence."""


_LARGEST = 4 * 2**30  # bytes of the tables of a fit, unpacked


@dataclass(frozen=True)
class Measured:
    """Measurements of one model on the clips held out from it.

    Attributes
    ----------
    clips, patients : tuple of str
        The clips, and whose they are.
    classes, references : tuple of str
        Axes of the arrays.
    tables, probabilities : int64 (clips, classes, references, 101, 101)
        Pixels by the percent of the model's contour output, or of its probability output, and the
        reference's confidence, over reviewed frames.
    distances : float (clips, classes, references, 2)
        Sum of HD95 in pixels at 50 % over the frames that both mark, and the number of these.
    presence : float (clips, classes)
        Highest probability, in percent, that ``SMALLEST`` pixels of some frame reach.
    """

    clips: tuple[str, ...]
    patients: tuple[str, ...]
    classes: tuple[str, ...]
    references: tuple[str, ...]
    tables: NDArray[np.int64]
    probabilities: NDArray[np.int64]
    distances: NDArray[np.float64]
    presence: NDArray[np.float64]

    def save(self, path: Path) -> None:
        """Write ``tables.npz``; equal contents give equal bytes."""
        data = io.BytesIO()
        np.savez_compressed(
            data,
            clips=self.clips,
            patients=self.patients,
            classes=self.classes,
            references=self.references,
            tables=self.tables.astype(np.uint32),
            probabilities=self.probabilities.astype(np.uint32),
            distances=self.distances,
            presence=self.presence,
        )
        write_durably(path, data.getvalue())

    @classmethod
    def load(cls, path: Path) -> Measured:
        """Read what :meth:`save` wrote.

        Raises
        ------
        TrainError
            If it is damaged.
        """
        try:
            check_zip(path, _LARGEST)
            with np.load(path, allow_pickle=False) as f:
                names = {
                    k: tuple(f[k].tolist()) for k in ("clips", "patients", "classes", "references")
                }
                return cls(
                    **names,
                    tables=f["tables"].astype(np.int64),
                    probabilities=f["probabilities"].astype(np.int64),
                    distances=f["distances"],
                    presence=f["presence"],
                )
        except (StoreError, OSError, ValueError, KeyError, TypeError, MemoryError) as error:
            raise TrainError(
                f"{path} is damaged: {error}", "Remove the folder of its run, and run it again."
            ) from error

    def reference(
        self, name: str, group: Sequence[str], output: Output = "contour"
    ) -> NDArray[np.int64]:
        """Return the tables (clips, classes, 101, 101) of an output against a reference.

        What the study asked for comes first. Where that is nothing and nobody knows the truth,
        the readers of the `group` stand in for it, all together.
        """
        of = self.tables if output == "contour" else self.probabilities
        tables: NDArray[np.int64] = of[:, :, self._which(name, group)].sum(2)
        return tables

    def distance(self, name: str, group: Sequence[str]) -> NDArray[np.float64]:
        """Return the distances (clips, classes, 2); see :meth:`reference`."""
        distances: NDArray[np.float64] = self.distances[:, :, self._which(name, group)].sum(2)
        return distances

    def _which(self, name: str, group: Sequence[str]) -> list[int]:
        asked = AGAINST if AGAINST in self.references else name
        names = (asked,) if asked in self.references else group
        return [self.references.index(n) for n in names]


def measure(
    predictor: Predictor,
    source: AnyCohort,
    clips: Sequence[str],
    references: Mapping[str, tuple[str, ...]],
) -> Measured:
    """Predict the clips and compare, in the frames' own pixels, with each reference's planes.

    Parameters
    ----------
    predictor : Predictor
        The model.
    source : Cohort or FrozenCohort
        Where the clips are.
    clips : sequence of str
        What to predict.
    references : mapping of str to tuple of str
        Name of a reference -> the raters whose mean it is, on the frames that these have reviewed.
    """
    predictor = replace(predictor, both=True)
    classes = predictor.config.classes
    indices = tuple(class_indices(source, classes))
    shape = (len(clips), len(classes), len(references))
    tables, probabilities = np.zeros((2, *shape, VALUES, VALUES), np.int64)
    distances, presence = np.zeros((*shape, 2)), np.zeros(shape[:2])
    for i, name in enumerate(clips):
        clip = source.clip(name)
        marks = {
            r: read_share(source.location, name, there, indices)
            for r, raters in enumerate(references.values())
            if (there := tuple(rater for rater in raters if rater in clip.raters()))
        }
        seen = np.zeros(clip.shape[0], np.bool_)
        for _, reviewed in marks.values():
            seen |= reviewed.any(1)
        frames = np.flatnonzero(seen).tolist()
        inside = insonated(clip.meta.sector, clip.shape[1:])
        times = iter(frames)
        for block in read_frames(clip, frames):
            percents = predictor.percents(block, inside)
            for contour, probability, t in zip(*percents, times, strict=False):
                pixels = probability.reshape(len(classes), -1)
                reached = np.partition(pixels, -SMALLEST, 1)[:, -SMALLEST]
                presence[i] = np.maximum(presence[i], reached)
                for r, (planes, reviewed) in marks.items():
                    for c in np.flatnonzero(reviewed[t]):
                        tables[i, c, r] += joint_histogram(contour[c], planes[t, c])
                        probabilities[i, c, r] += joint_histogram(probability[c], planes[t, c])
                        distances[i, c, r] += _distance(contour[c], planes[t, c])
    patients = tuple(source.clip(name).meta.patient for name in clips)
    return Measured(
        tuple(clips),
        patients,
        classes,
        tuple(references),
        tables,
        probabilities,
        distances,
        presence,
    )


@lru_cache(maxsize=1024)
def read_marks(
    location: str, clip: str, rater: str, indices: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a rater's planes (T, C, Y, X) and what they reviewed (T, C)."""
    # Cached: a worker measures many fits on the same few clips.
    read = opened(location).clip(clip).rater(rater)
    planes = np.stack([read.read_planes(index) for index in indices], 1)
    return planes, read.read_status()[:, indices] == Status.REVIEWED


@lru_cache(maxsize=256)
def read_share(
    location: str, clip: str, raters: tuple[str, ...], indices: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the mean of raters' planes (T, C, Y, X) and what any of them reviewed (T, C).

    Of each frame and class, the mean of those who have reviewed it, in whole percent; what one of
    these excludes is excluded.
    """
    if len(raters) == 1:
        return read_marks(location, clip, raters[0], indices)
    read = [read_marks(location, clip, rater, indices) for rater in raters]
    count = np.sum([reviewed for _, reviewed in read], 0, np.uint16)
    total = np.zeros(read[0][0].shape, np.uint16)
    excluded = np.zeros(total.shape, np.bool_)
    for planes, reviewed in read:
        said = reviewed[:, :, None, None]
        total += np.where(said & (planes != EXCLUDED), planes, 0).astype(np.uint16)
        excluded[said & (planes == EXCLUDED)] = True
    mean = np.rint(total / np.maximum(count, 1)[:, :, None, None]).astype(np.uint8)
    mean[excluded] = EXCLUDED
    known: NDArray[np.bool_] = np.asarray(count > 0)
    return mean, known


def _distance(percent: NDArray[np.uint8], plane: NDArray[np.uint8]) -> tuple[float, int]:
    known = plane != EXCLUDED
    masks = {"model": (percent >= DECISION) & known, "reference": (plane >= DECISION) & known}
    distance = Outlines(masks).hausdorff95("model", "reference")
    return (0.0, 0) if math.isnan(distance) else (distance, 1)


def write_scores(measured: Measured, path: Path) -> None:
    """Write one line per clip, class and reference: the run's scores, for people and tables."""
    score_names = [*SCORES, *(f"dice_{u}" for u in THRESHOLDS), "hd95_px", "presence"]
    write_csv(path, ("clip", "patient", "class", "reference", *score_names), _rows(measured))


def _rows(measured: Measured) -> Iterator[tuple[object, ...]]:
    for i, clip in enumerate(measured.clips):
        for c, class_name in enumerate(measured.classes):
            for r, reference in enumerate(measured.references):
                table = measured.tables[i, c, r]
                of = {"contour": table, "probability": measured.probabilities[i, c, r]}
                if not table.any():
                    continue
                total, n = measured.distances[i, c, r]
                values = [float(s.value(s.sums(of[s.output]))) for s in SCORES.values()]
                values += dice_by_threshold(SCORES["threshold_dice"].sums(table)).tolist()
                values += [total / n if n else math.nan, measured.presence[i, c]]
                yield clip, measured.patients[i], class_name, reference, *values
