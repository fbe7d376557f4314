"""The clinical report: prediction of outcomes by source of findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from napari_confseg.report.figures import svg
from napari_confseg.report.html import write_page
from napari_confseg.store.durable import write_csv
from trainer.clinical import figures
from trainer.clinical.outcomes import (
    CHANGED,
    FARTHEST,
    INNER,
    OUTCOMES,
    OUTER,
    REPEATS,
    f1_interval,
    f1_name,
    f1_of_all,
    gain,
    interval,
    replicates,
    sf_change,
)
from trainer.clinical.table import MOST_SPO2
from trainer.study.compare import holm, two_sided
from trainer.study.figures import trained_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
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
    by_zone: Predictions,
    *,
    zones: Sequence[str],
    unscaled: int,
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
    predictions, same_day, by_zone : mapping
        Outcome, then source: predictions from the findings of the whole chest and their change;
        from those of the day alone, empty where nobody was examined twice; and from those of each
        zone, too, empty where there are not several.
    zones : sequence of str
        Zones with findings of their own.
    unscaled : int
        Clips whose lengths and areas are unknown.
    synthetic : bool
        Whether the truth is known; the page then warns.
    """
    scores = score_outcomes(sources, predictions, {SAME_DAY: same_day, BY_ZONE: by_zone})
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
        score_titles=_titles(outcomes, f"gain over {NAIVE}"),
        yes_to_all=_yes_to_all(predictions),
        day_alone=_compared(same_day, predictions, same_day),
        change_titles=_titles(outcomes, "gain by the change", f1=False),
        zones=zones,
        zone_by_zone=_compared(by_zone, by_zone, predictions),
        zone_titles=_titles(outcomes, "gain over the whole chest"),
        calibration=svg(calibration) if calibration else "",
        unscaled=unscaled,
        clips=sum(len(r.clips) for r in rows),
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


def _titles(outcomes: Sequence[Outcome], gained: str, *, f1: bool = True) -> list[str]:
    titles = ["findings of"]
    for o in outcomes:
        titles.append(f"{o.title}: {o.score}")
        if f1 and o.kind == "class":
            titles.append(f1_name(o))
        titles.append(gained)
    return titles


def _yes_to_all(predictions: Predictions) -> list[tuple[str, float]]:
    """Return for each outcome the F1 of who says yes to everybody."""
    found = []
    for outcome in figures.predicted_outcomes(predictions):
        there = [p for p in predictions[outcome.name].values() if p is not None]
        if outcome.kind == "class" and there:
            found.append((outcome.title, f1_of_all(there[0])))
    return found


def _against_naive(predictions: Predictions) -> list[dict[str, object]]:
    """Return for each source the scores of each outcome, and the gain over the naive labels."""
    rows: list[dict[str, object]] = []
    for name in predictions[OUTCOMES[0].name]:
        cells: list[dict[str, object] | None] = []
        for outcome in figures.predicted_outcomes(predictions):
            predicted, naive = predictions[outcome.name][name], predictions[outcome.name].get(NAIVE)
            compared = naive if name != NAIVE else None
            cells += _cells(outcome, predicted, predicted, compared)
        rows.append({"name": name, "cells": cells})
    return rows


def _compared(
    shown: Predictions, better: Predictions, baseline: Predictions
) -> list[dict[str, object]]:
    """Return the scores of `shown`, without F1 if it is the baseline, and what is gained."""
    if not shown:
        return []
    outcomes = figures.predicted_outcomes(shown)
    rows: list[dict[str, object]] = []
    for name in shown[outcomes[0].name]:
        cells: list[dict[str, object] | None] = []
        for outcome in outcomes:
            parts = (p[outcome.name][name] for p in (shown, better, baseline))
            cells += _cells(outcome, *parts, f1=shown is not baseline)
        rows.append({"name": name, "cells": cells})
    return rows


def _cells(
    outcome: Outcome,
    shown: Prediction | None,
    better: Prediction | None,
    baseline: Prediction | None,
    *,
    f1: bool = True,
) -> list[dict[str, object] | None]:
    """Return score, F1 of a class, and gain; None where there is none, its word where too few."""
    digits = 1 if outcome.kind == "number" else 3
    f1 = f1 and outcome.kind == "class"
    if shown is None:
        return [{"word": "too few"}, *([None] * f1), None]
    cells: list[dict[str, object] | None] = [
        {"interval": interval(outcome, shown), "digits": digits}
    ]
    if f1:
        cells.append({"interval": f1_interval(shown), "digits": digits})
    if better is None or baseline is None:
        return [*cells, None]
    return [*cells, {"interval": gain(outcome, better, baseline), "digits": digits}]


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
        "farthest": FARTHEST,
        "inner": INNER,
        "outer": OUTER,
        "repeats": REPEATS,
    }


SAME_DAY, BY_ZONE = ", that day alone", ", zone by zone"
"""Suffixes of a source's name in ``numbers.csv`` where the change is left out, or where zones
have findings of their own."""


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
    sources: Sequence[Source], predictions: Predictions, others: Mapping[str, Predictions]
) -> tuple[OutcomeScore, ...]:
    """Return the scores of every outcome and source; without those that had too few patients.

    `others` are predictions from other findings of the same sources, by suffix.
    """
    where = {s.name: " ".join(s.where) for s in sources}
    scores = []
    for outcome in figures.predicted_outcomes(predictions):
        named = [(name, name, p) for name, p in predictions[outcome.name].items()]
        for suffix, more in others.items():
            named += [(n + suffix, n, p) for n, p in more.get(outcome.name, {}).items()]
        for name, source, predicted in named:
            if predicted is None:
                continue
            measured = [(outcome.score, interval(outcome, predicted))]
            if outcome.kind == "class":
                measured.append((f1_name(outcome), f1_interval(predicted)))
            scores += [
                OutcomeScore(
                    outcome=outcome.name,
                    score=score,
                    findings=name,
                    value=i.value,
                    low=i.low,
                    high=i.high,
                    patients=len(set(predicted.patients)),
                    made_from=where.get(source, "the table"),
                )
                for score, i in measured
            ]
    return tuple(scores)


def write_numbers(scores: Sequence[OutcomeScore], path: Path) -> None:
    """Write every score with its interval and where its findings come from."""
    columns = ("outcome", "score", "findings", "value", "low", "high", "patients", "from")
    rows = (
        (s.outcome, s.score, s.findings, s.value, s.low, s.high, s.patients, s.made_from)
        for s in scores
    )
    write_csv(path, columns, rows)
