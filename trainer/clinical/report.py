"""The clinical report: prediction of outcomes by source of findings."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

from napari_confseg.report.figures import svg
from napari_confseg.report.html import write_page
from napari_confseg.store.durable import write_durably
from trainer.clinical import figures
from trainer.clinical.outcomes import (
    CHANGED,
    INNER,
    OUTCOMES,
    OUTER,
    REPEATS,
    gain,
    interval,
    replicates,
    sf_change,
)
from trainer.clinical.table import MOST_SPO2
from trainer.study.compare import holm, two_sided
from trainer.study.figures import trained_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainer.clinical.figures import Predictions
    from trainer.clinical.outcomes import Outcome, Prediction
    from trainer.clinical.sources import Source
    from trainer.clinical.table import Row

REPORT, NUMBERS = "report.html", "numbers.csv"
NAIVE = "threshold-50"


def write_report(
    folder: Path,
    rows: Sequence[Row],
    sources: Sequence[Source],
    predictions: Predictions,
    same_day: Predictions,
    *,
    synthetic: bool,
) -> ClinicalResult:
    """Write ``numbers.csv`` and then ``report.html``, and return what is in them.

    Parameters
    ----------
    folder : Path
        Where.
    rows : sequence of Row
        Of the table.
    sources : sequence of Source
        Whose findings.
    predictions, same_day : mapping
        Outcome, then source: predictions from all findings, and from those of the day alone;
        the latter is empty where everybody has one day.
    synthetic : bool
        Whether the truth is known; the page then warns.
    """
    scores = score_outcomes(sources, predictions, same_day)
    write_numbers(scores, folder / NUMBERS)
    outcomes = figures.predicted_outcomes(predictions)
    calibration = figures.calibration(predictions, ["age and sex", "truth", NAIVE, "threshold-60"])
    comparisons, verdicts = _verdicts(predictions)
    write_page(
        folder / REPORT,
        "clinical.html.j2",
        synthetic=synthetic,
        naive=NAIVE,
        by_threshold=_by_threshold(predictions, sources),
        comparisons=comparisons,
        verdicts=verdicts,
        sources=svg(figures.sources_plot(predictions)),
        all_findings=_against_naive(predictions),
        score_titles=["findings of"]
        + [t for o in outcomes for t in (f"{o.title}: {o.score}", f"gain over {NAIVE}")],
        day_alone=_against_the_day(predictions, same_day) if same_day else [],
        change_titles=["findings of"]
        + [
            t
            for o in outcomes
            for t in (f"{o.title}: {o.score}, the day alone", "gain by the change")
        ],
        calibration=svg(calibration) if calibration else "",
        **_counts(rows),
    )
    return ClinicalResult(report=str(folder / REPORT), numbers=str(folder / NUMBERS), scores=scores)


def _by_threshold(predictions: Predictions, sources: Sequence[Source]) -> str:
    if all(trained_at(name) is None for name in predictions[OUTCOMES[0].name]):
        return ""
    uncut = (s.name for s in sources if s.kind == "model" and trained_at(s.name) is None)
    return svg(figures.by_threshold(predictions, ["age and sex", "truth", *uncut]))


def _verdicts(predictions: Predictions) -> tuple[int, list[dict[str, object]]]:
    """Return how many comparisons with the naive labels there are, and those beyond chance."""
    tests = []
    for outcome in figures.predicted_outcomes(predictions):
        here = {n: f for n, f in predictions[outcome.name].items() if f is not None}
        naive = here.get(NAIVE)
        if naive is None:
            continue
        for name, predicted in here.items():
            if name != NAIVE and (trained_at(name) is not None or name == "age and sex"):
                tests.append((outcome, name, gain(outcome, predicted, naive)))
    corrected = list(holm([_p(predictions, o.name, n) for o, n, _ in tests])) if tests else []
    return len(tests), [
        {
            "outcome": outcome.title,
            "name": name,
            "word": "better" if g.value > 0 else "worse",
            "gain": g,
        }
        for (outcome, name, g), p in zip(tests, corrected, strict=True)
        if p < 0.05
    ]


def _p(predictions: Predictions, outcome: str, name: str) -> float:
    """Return how rare no difference from the naive labels is."""
    which = next(o for o in OUTCOMES if o.name == outcome)
    mine, naive = predictions[outcome][name], predictions[outcome][NAIVE]
    assert mine is not None
    assert naive is not None
    return two_sided((replicates(which, mine) - replicates(which, naive))[1:])


def _against_naive(predictions: Predictions) -> list[dict[str, object]]:
    """Return for each source the score of each outcome, and its gain over the naive labels."""
    rows: list[dict[str, object]] = []
    for name in predictions[OUTCOMES[0].name]:
        pairs = []
        for outcome in figures.predicted_outcomes(predictions):
            predicted, naive = predictions[outcome.name][name], predictions[outcome.name].get(NAIVE)
            compared = naive if name != NAIVE else None
            pairs.append(
                None if predicted is None else _pair(outcome, predicted, predicted, compared)
            )
        rows.append({"name": name, "pairs": pairs})
    return rows


def _against_the_day(predictions: Predictions, same_day: Predictions) -> list[dict[str, object]]:
    """Return what the change between examinations adds to the findings of the day."""
    outcomes = figures.predicted_outcomes(predictions)
    rows: list[dict[str, object]] = []
    for name in same_day[outcomes[0].name]:
        pairs = []
        for outcome in outcomes:
            both, day = predictions[outcome.name][name], same_day[outcome.name][name]
            pairs.append(None if both is None or day is None else _pair(outcome, day, both, day))
        rows.append({"name": name, "pairs": pairs})
    return rows


def _pair(
    outcome: Outcome, shown: Prediction, better: Prediction, baseline: Prediction | None
) -> dict[str, object]:
    return {
        "score": interval(outcome, shown),
        "gain": None if baseline is None else gain(outcome, better, baseline),
        "digits": 1 if outcome.kind == "number" else 3,
    }


def _counts(rows: Sequence[Row]) -> dict[str, object]:
    changes = [c for r in rows if (c := sf_change(r)) is not None]
    worse, same, better = (changes.count(float(i)) for i in range(3))
    patients = len({r.patient for r in rows})
    return {
        "patients": patients,
        "days": len(rows),
        "most_spo2": MOST_SPO2,
        "counts": sum(r.sf_counts for r in rows),
        "estimated": sum(r.fio2_estimated for r in rows),
        "changed": 100 * CHANGED,
        "worse": worse,
        "same": same,
        "better": better,
        "followed": len(rows) - patients,
        "readmitted": sum(r.readmitted_30d for r in rows),
        "inner": INNER,
        "outer": OUTER,
        "repeats": REPEATS,
    }


SAME_DAY = ", that day alone"
"""Suffix of a source's name in ``numbers.csv`` where the change is left out."""


class OutcomeScore(BaseModel):
    """Score of one outcome predicted from one source of findings.

    Attributes
    ----------
    value, low, high : float
        The score with its 95 % interval over patients.
    made_from : str
        Files or run folders of the findings.
    """

    outcome: str
    score: str
    findings: str
    value: float
    low: float
    high: float
    patients: int
    made_from: str


class ClinicalResult(BaseModel):
    """Files of a clinical analysis, and all its scores."""

    report: str
    numbers: str
    scores: tuple[OutcomeScore, ...]


def score_outcomes(
    sources: Sequence[Source], predictions: Predictions, same_day: Predictions
) -> tuple[OutcomeScore, ...]:
    """Return the score of every outcome and source; without those that had too few patients."""
    where = {s.name: " ".join(s.where) for s in sources}
    scores = []
    for outcome in figures.predicted_outcomes(predictions):
        less = {name + SAME_DAY: p for name, p in same_day.get(outcome.name, {}).items()}
        for name, predicted in {**predictions[outcome.name], **less}.items():
            if predicted is None:
                continue
            i = interval(outcome, predicted)
            scores.append(
                OutcomeScore(
                    outcome=outcome.name,
                    score=outcome.score,
                    findings=name,
                    value=i.value,
                    low=i.low,
                    high=i.high,
                    patients=len(set(predicted.patients)),
                    made_from=where.get(name.removesuffix(SAME_DAY), "the table"),
                )
            )
    return tuple(scores)


def write_numbers(scores: Sequence[OutcomeScore], path: Path) -> None:
    """Write every score with its interval and where its findings come from."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["outcome", "score", "findings", "value", "low", "high", "patients", "from"])
    for s in scores:
        shown = ("" if np.isnan(v) else f"{v:.6g}" for v in (s.value, s.low, s.high))
        writer.writerow([s.outcome, s.score, s.findings, *shown, s.patients, s.made_from])
    write_durably(path, out.getvalue().encode())
