"""Prediction of outcomes from findings by nested cross-validation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, make_scorer, precision_recall_curve
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedGroupKFold,
    cross_val_predict,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits

from trainer.clinical.table import rows_before
from trainer.study.compare import Interval
from trainer.study.pooled import draw
from trainer.study.scores import presence_auroc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from trainer.clinical.table import Row

    Floats = NDArray[np.float64]

OUTER, INNER, REPEATS = 5, 4, 3
STRENGTHS = np.logspace(-1, 3, 5)
"""Of regularisation, chosen in the inner folds."""
FARTHEST = 5.0
"""Standard deviations of the training part beyond which a feature counts as that far off."""
CHANGED = 0.10
"""Share by which S/F must change to count as better or worse; ours, nobody's standard."""


@dataclass(frozen=True)
class Outcome:
    """An outcome to predict.

    Attributes
    ----------
    name, title, unit : str
        What people read.
    kind : {"number", "class"}
        Which pipeline.
    of : callable
        The outcome of a row and the patient's row before it, if any; None where undefined.
    score : str
        What is reported of it, and with :data:`BETTER` which way is better.
    """

    name: str
    title: str
    kind: Literal["number", "class"]
    of: Callable[[Row, Row | None], float | None]
    score: str


def sf_change(row: Row, _: Row | None = None) -> float | None:
    """Return 0 for worse, 1 for about the same, 2 for better at follow-up."""
    return _three_way(row.sf, row.sf_followup) if row.sf_counts else None


def sf_since(row: Row, before: Row | None) -> float | None:
    """Return 0 for worse, 1 for about the same, 2 for better than at the last examination."""
    if before is None or not (row.sf_counts and before.sf_counts):
        return None
    return _three_way(before.sf, row.sf)


def _three_way(sf: float, later: float) -> float:
    ratio = later / sf
    return 2.0 if ratio >= 1 + CHANGED else 0.0 if ratio <= 1 - CHANGED else 1.0


OUTCOMES = (
    Outcome(
        "sf",
        "S/F value",
        "number",
        lambda r, _: r.sf if r.sf_counts else None,
        "mean absolute error",
    ),
    Outcome("sf-since", "S/F change since the last", "class", sf_since, "AUROC, one against rest"),
    Outcome("sf-change", "S/F change at follow-up", "class", sf_change, "AUROC, one against rest"),
    Outcome(
        "readmission",
        "Readmission within 30 days",
        "class",
        lambda r, _: float(r.readmitted_30d),
        "AUROC",
    ),
)
LOWER = {"mean absolute error"}


def predictable(rows: Sequence[Row]) -> tuple[Outcome, ...]:
    """Return the outcomes that the table holds: a change needs an examination before it."""
    followed = any(before is not None for before in rows_before(rows))
    return tuple(o for o in OUTCOMES if followed or o.of is not sf_since)


@dataclass(frozen=True)
class Prediction:
    """Out-of-fold predictions of one outcome.

    Attributes
    ----------
    y : float (n,)
        The observed outcomes.
    predicted : float (n,) or (n, classes)
        A number, or a probability of each class; mean over repeats.
    patients : tuple of str
        Whose.
    decided : bool (repeats, n, classes)
        Whether each class is said to be so: its probability reaches the threshold that gives
        the best F1 within the training part. No repeats for a number.
    """

    y: Floats
    predicted: Floats
    patients: tuple[str, ...]
    decided: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0, 0), np.bool_))


def predict(outcome: Outcome, rows: Sequence[Row], features: Floats) -> Prediction | None:
    """Predict an outcome by nested, patient-grouped cross-validation.

    The strength of regularisation is chosen within each training part; imputation and scaling are
    learnt there, too. None if there are too few rows, or patients of a class, for the folds.

    Parameters
    ----------
    outcome : Outcome
        The outcome to predict.
    rows : sequence of Row
        Of the table.
    features : float (rows, columns)
        What is known on the day.
    """
    before = [None if i is None else rows[i] for i in rows_before(rows)]
    observed = [outcome.of(*pair) for pair in zip(rows, before, strict=True)]
    use = [i for i, y in enumerate(observed) if y is not None]
    y = np.array([observed[i] for i in use], float)
    groups = np.array([rows[i].patient for i in use])
    if len(set(groups)) < 4 * OUTER:
        return None
    if outcome.kind == "class":
        counts = [len(set(groups[y == c])) for c in np.unique(y)]
        if len(counts) < 2 or min(counts) < 2 * OUTER:
            return None
    x = features[use]
    with threadpool_limits(1):  # matrices this small are five times slower on two threads
        repeats = [_once(outcome, x, y, groups, repeat) for repeat in range(REPEATS)]
    predicted, decided = zip(*repeats, strict=True)
    return Prediction(y, np.mean(predicted, 0), tuple(groups), np.array(decided))


def predict_all(
    rows: Sequence[Row], features: Mapping[str, Floats]
) -> dict[str, dict[str, Prediction | None]]:
    """Predict every outcome from each set of features; by outcome, then by set."""
    return {
        o.name: {name: predict(o, rows, x) for name, x in features.items()}
        for o in predictable(rows)
    }


def _once(
    outcome: Outcome, x: Floats, y: Floats, groups: NDArray[np.str_], repeat: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return predictions and decisions of one repeat, each of the fold that was left out."""
    classes = np.unique(y)
    predicted = np.zeros(len(y) if outcome.kind == "number" else (len(y), len(classes)))
    decided = np.zeros((len(y), 0 if outcome.kind == "number" else len(classes)), np.bool_)
    search = _search(outcome, classes, repeat)
    for train, test in _folds(outcome, OUTER, repeat).split(x, y, groups):
        search.fit(x[train], y[train], groups=groups[train])
        if outcome.kind == "number":
            predicted[test] = search.predict(x[test])
            continue
        predicted[test] = search.predict_proba(x[test])
        known = cross_val_predict(
            search.best_estimator_,
            x[train],
            y[train],
            groups=groups[train],
            cv=_folds(outcome, INNER, repeat),
            method="predict_proba",
        )
        cuts = [best_cut(y[train] == c, known[:, i]) for i, c in enumerate(classes)]
        decided[test] = predicted[test] >= cuts
    return predicted, decided


def best_cut(there: NDArray[np.bool_], probability: Floats) -> float:
    """Return the probability at or above which saying yes gives the highest F1."""
    precision, recall, cuts = precision_recall_curve(there, probability)
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    return float(cuts[np.argmax(f1[:-1])])


def _folds(outcome: Outcome, parts: int, repeat: int) -> GroupKFold | StratifiedGroupKFold:
    """Keep patients whole and classes in their share: a part without one teaches none of it."""
    kind = GroupKFold if outcome.kind == "number" else StratifiedGroupKFold
    return kind(parts, shuffle=True, random_state=repeat)


def _search(outcome: Outcome, classes: Floats, repeat: int) -> GridSearchCV:
    if outcome.kind == "number":
        last, grid, scoring = Ridge(), {"ridge__alpha": STRENGTHS}, "neg_mean_absolute_error"
    else:
        last, grid = LogisticRegression(max_iter=2000), {"logisticregression__C": 1 / STRENGTHS}
        scoring = make_scorer(
            log_loss, greater_is_better=False, labels=classes, response_method="predict_proba"
        )
    steps = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        # What hardly varies in the training part is far off when it does: a zone seldom examined.
        FunctionTransformer(np.clip, kw_args={"a_min": -FARTHEST, "a_max": FARTHEST}),
        last,
    )
    return GridSearchCV(steps, grid, scoring=scoring, cv=_folds(outcome, INNER, repeat))


def _weights(prediction: Prediction) -> Floats:
    """Return how often each row counts, once and in each resampling of patients, (B, n)."""
    names, whose = np.unique(prediction.patients, return_inverse=True)
    return _drawn(len(names))[:, whose]


# The tables of a page ask for the same few again and again.
_drawn = lru_cache(maxsize=2)(draw)


def replicates(outcome: Outcome, prediction: Prediction) -> Floats:
    """Return the outcome's score over all patients, then over resamplings of patients."""
    weights = _weights(prediction)
    if outcome.kind == "number":
        error = np.abs(prediction.predicted - prediction.y)
        return np.asarray(weights @ error / weights.sum(1))
    classes = np.unique(prediction.y)
    if len(classes) == 2:
        return presence_auroc(prediction.predicted[:, 1], prediction.y == classes[1], weights)
    each = [
        presence_auroc(prediction.predicted[:, i], prediction.y == c, weights)
        for i, c in enumerate(classes)
    ]
    return np.asarray(np.mean(each, 0))


def interval(outcome: Outcome, prediction: Prediction) -> Interval:
    """Return the outcome's score with its interval."""
    return Interval.of(replicates(outcome, prediction))


def gain(outcome: Outcome, prediction: Prediction, baseline: Prediction) -> Interval:
    """Return how much better than `baseline`, on the same patients."""
    sign = -1 if outcome.score in LOWER else 1
    return Interval.of(sign * (replicates(outcome, prediction) - replicates(outcome, baseline)))


def f1_name(outcome: Outcome) -> str:
    """Return what F1 is called; as AUROC, of several classes it is their mean."""
    return outcome.score.replace("AUROC", "F1")


def f1_replicates(prediction: Prediction) -> Floats:
    """Return F1 over all patients, then over resamplings of patients; mean over repeats.

    F1 = 2 TP / (2 TP + FP + FN), of two classes that of the second, of more their mean.
    """
    classes = np.unique(prediction.y)
    which = [1] if len(classes) == 2 else range(len(classes))
    return np.asarray(
        np.mean(
            [
                _f1(prediction, prediction.y == classes[i], prediction.decided[..., i])
                for i in which
            ],
            axis=0,
        )
    )


def _f1(prediction: Prediction, there: NDArray[np.bool_], said: NDArray[np.bool_]) -> Floats:
    """Return F1 of one class, for each weighting; `said` is (repeats, n)."""
    weights = _weights(prediction)
    hits = weights @ (said & there).T.astype(float)  # (B, repeats)
    either = weights @ said.T.astype(float) + (weights @ there)[:, None]
    f1 = np.divide(2 * hits, either, out=np.full_like(hits, np.nan), where=either > 0)
    return np.asarray(f1.mean(axis=1))


def f1_interval(prediction: Prediction) -> Interval:
    """Return F1 with its interval."""
    return Interval.of(f1_replicates(prediction))


def f1_of_all(prediction: Prediction) -> float:
    """Return the F1 of who says yes to everybody: what any other has to beat."""
    everybody = np.ones((1, len(prediction.y), len(np.unique(prediction.y))), np.bool_)
    return float(f1_replicates(replace(prediction, decided=everybody))[0])
