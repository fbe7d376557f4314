"""Scores of a whole study, pooled over patients and resampled."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.study.measure import TABLES, Measured
from trainer.study.request import RUNS, plan_fits, slug
from trainer.study.scores import (
    SCORES,
    Score,
    cut_dice,
    dice_by_threshold,
    mean_defined,
    presence_auroc,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.study.request import StudyRequest
    from trainer.study.scores import Floats

RESAMPLES = 10_000
"""So many that the rarest p-value, 2 / 10,001, survives correction for some hundred comparisons."""
HD95, AUROC = "hd95_px", "presence_auroc"
TITLES = {name: s.title for name, s in SCORES.items()} | {
    HD95: "HD95, pixels",
    AUROC: "Presence, AUROC",
}
HIGHER = {name for name, s in SCORES.items() if s.better == "higher"} | {AUROC}
"""Scores of which more is better."""


@dataclass(frozen=True)
class Cell:
    """Scores of one rater group and method.

    Attributes
    ----------
    group, method : str
        Which; the method by its slug.
    runs : tuple of str
        Names of the run folders that all numbers here come from.
    values : dict
        Score -> float (1 + RESAMPLES, classes): the value over all patients, then over each
        resampling of patients; mean over seeds.
    matrix : float (U,)
        Dice of the model's mask with the reference cut at each of ``THRESHOLDS``, mean over
        classes.
    curve : float (1 + RESAMPLES, U)
        Dice at each threshold on both sides, mean over classes.
    calibration : float (3, bins)
        By tenths of the model's probability, all classes: sums of it, of the truth, pixels.
    cuts : float (U, U)
        Dice of the model cut at one of ``THRESHOLDS`` with the reference cut at another, mean over
        classes.
    """

    group: str
    method: str
    runs: tuple[str, ...]
    values: dict[str, Floats]
    matrix: Floats
    curve: Floats
    calibration: Floats
    cuts: Floats

    def mean(self, score: str) -> Floats:
        """Return a score's mean over the classes where it is defined, (1 + RESAMPLES,)."""
        return mean_defined(self.values[score])


@dataclass(frozen=True)
class Pooled:
    """A whole study.

    Attributes
    ----------
    study : StudyRequest
        The request.
    patients : tuple of str
        Patients that were resampled.
    known : bool
        Whether models are compared with what is known to be true, and not with readers.
    cells : tuple of Cell
        Panel by group, the methods in the order of the request.
    """

    study: StudyRequest
    patients: tuple[str, ...]
    known: bool
    cells: tuple[Cell, ...]

    def of(self, group: str) -> list[Cell]:
        """Return the cells of one group."""
        return [c for c in self.cells if c.group == group]


def pool(folder: Path, study: StudyRequest) -> Pooled:
    """Read the tables of all runs and pool them over patients."""
    runs: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for fit in plan_fits(study):
        runs[fit.group, slug(fit.method)].append((fit.seed, fit.name))
    first = {
        name: Measured.load(folder / RUNS / name / TABLES) for _, name in next(iter(runs.values()))
    }
    patients = tuple(sorted({p for m in first.values() for p in m.patients}))
    known = all(s.reference in next(iter(first.values())).references for s in SCORES.values())
    weights = draw(len(patients))
    cells = []
    for group, raters in study.groups.items():
        for method in study.methods:
            by_seed: dict[int, list[Measured]] = defaultdict(list)
            members = runs[group, slug(method)]
            for seed, name in members:
                by_seed[seed].append(Measured.load(folder / RUNS / name / TABLES))
            names = tuple(name for _, name in members)
            parts = [_cell(m, raters, patients, weights) for m in by_seed.values()]
            cells.append(_average(group, slug(method), names, parts))
    return Pooled(study, patients, known, tuple(cells))


def draw(n: int, *, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Return how often each of `n` patients counts: once, then by chance, (1 + resamples, n)."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    return np.concatenate([np.ones((1, n)), drawn])


def seed_weights(n: int, *, resamples: int = RESAMPLES) -> Floats:
    """Return the weights of `n` seeds in their mean: equal, then by chance, (1 + resamples, n).

    The same for all methods, so differences are paired. Drawn with replacement, a mean of few
    varies too little, by a factor of n / (n - 1) in its variance; the weights make up for that.
    """
    drawn = draw(n, resamples=resamples, seed=1) / n
    weights: Floats = 1 / n + np.sqrt(n / max(n - 1, 1)) * (drawn - 1 / n)
    return weights


_Part = tuple[dict[str, "Floats"], "Floats", "Floats", "Floats", "Floats"]


def _cell(
    measured: Sequence[Measured], group: Sequence[str], patients: Sequence[str], weights: Floats
) -> _Part:
    """Return values, matrix, curve, calibration and cuts of one seed, from its folds."""
    whose = np.array([patients.index(p) for m in measured for p in m.patients])
    sums = {
        name: _sums(measured, score, group, whose, len(patients)) for name, score in SCORES.items()
    }
    drawn = {name: np.tensordot(weights, s, 1) for name, s in sums.items()}
    values = {name: score.value(drawn[name]) for name, score in SCORES.items()}
    distances = np.concatenate([m.distance("latent", group) for m in measured])
    total = np.tensordot(weights, _by_patient(distances, whose, len(patients)), 1)
    values[HD95] = np.divide(
        total[..., 0], total[..., 1], out=np.full(total.shape[:2], np.nan), where=total[..., 1] > 0
    )
    values[AUROC] = _presence(measured, group, weights[:, whose])
    matrix = mean_defined(dice_by_threshold(drawn["mask_dice"][0]).T)
    curve = mean_defined(np.moveaxis(dice_by_threshold(drawn["threshold_dice"]), -1, -2))
    calibration = drawn["calibration_error"][0].sum(0).reshape(3, -1)
    whole = np.sum([m.reference("latent", group).sum(0) for m in measured], 0)  # (classes, ...)
    cuts = mean_defined(np.moveaxis(cut_dice(whole), 0, -1))
    return values, matrix, curve, calibration, cuts


def _sums(
    measured: Sequence[Measured],
    score: Score,
    group: Sequence[str],
    whose: NDArray[np.intp],
    n: int,
) -> Floats:
    """Return a score's sums by patient, (patients, classes, K)."""
    tables = np.concatenate([m.reference(score.reference, group, score.output) for m in measured])
    return _by_patient(score.sums(tables), whose, n)


def _by_patient(cases: Floats, whose: NDArray[np.intp], n: int) -> Floats:
    total = np.zeros((n, *cases.shape[1:]))
    np.add.at(total, whose, cases)
    return total


def _presence(measured: Sequence[Measured], group: Sequence[str], weights: Floats) -> Floats:
    """Return the AUROC of each class over clips, (B, classes)."""
    tables = np.concatenate([m.reference("truth", group) for m in measured])
    present = tables[..., 50:].sum((2, 3)) > 0
    score = np.concatenate([m.presence for m in measured])
    each = [presence_auroc(score[:, c], present[:, c], weights) for c in range(score.shape[1])]
    return np.stack(each, 1)


def _average(group: str, method: str, runs: tuple[str, ...], parts: Sequence[_Part]) -> Cell:
    """Return the mean over seeds; in a resampling seeds are drawn, too, as patients are."""
    values, matrix, curve, calibration, cuts = zip(*parts, strict=True)
    weights = seed_weights(len(parts))
    mean = {
        name: sum(weights[:, s, None] * v[name] for s, v in enumerate(values)) for name in values[0]
    }
    return Cell(
        group,
        method,
        runs,
        mean,
        np.mean(matrix, 0),
        np.mean(curve, 0),
        np.sum(calibration, 0),
        np.mean(cuts, 0),
    )
