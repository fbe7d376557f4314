"""The clinical report: whether training at higher confidence helps to foretell outcomes."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.report.figures import svg
from napari_confseg.report.html import write_page
from napari_confseg.store.backend import write_durably
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

    from trainer.clinical.figures import Told
    from trainer.clinical.outcomes import Foretold, Outcome
    from trainer.clinical.sources import Source
    from trainer.clinical.table import Row

REPORT, NUMBERS = "report.html", "numbers.csv"
NAIVE = "threshold-50"


def write_report(
    folder: Path,
    rows: Sequence[Row],
    sources: Sequence[Source],
    told: Told,
    alone: Told,
    *,
    synthetic: bool,
) -> None:
    """Write ``numbers.csv`` and then ``report.html``.

    Parameters
    ----------
    folder : Path
        Where.
    rows : sequence of Row
        Of the table.
    sources : sequence of Source
        Whose findings.
    told, alone : mapping
        Outcome, then source: what all findings foretell, and what those of the day alone do;
        the latter is empty where everybody has one day.
    synthetic : bool
        Whether the truth is known; the page then warns.
    """
    write_numbers(sources, told, alone, folder / NUMBERS)
    outcomes = figures.told_outcomes(told)
    calibration = figures.calibration(told, ["age and sex", "truth", NAIVE, "threshold-60"])
    comparisons, verdicts = _verdicts(told)
    write_page(
        folder / REPORT,
        "clinical.html.j2",
        synthetic=synthetic,
        naive=NAIVE,
        by_threshold=_by_threshold(told, sources),
        comparisons=comparisons,
        verdicts=verdicts,
        sources=svg(figures.sources_plot(told)),
        all_findings=_against_naive(told),
        score_titles=["findings of"]
        + [t for o in outcomes for t in (f"{o.title}: {o.score}", f"gain over {NAIVE}")],
        day_alone=_against_the_day(told, alone) if alone else [],
        change_titles=["findings of"]
        + [
            t
            for o in outcomes
            for t in (f"{o.title}: {o.score}, the day alone", "gain by the change")
        ],
        calibration=svg(calibration) if calibration else "",
        **_counts(rows),
    )


def _by_threshold(told: Told, sources: Sequence[Source]) -> str:
    if all(trained_at(name) is None for name in told[OUTCOMES[0].name]):
        return ""
    uncut = (s.name for s in sources if s.kind == "model" and trained_at(s.name) is None)
    return svg(figures.by_threshold(told, ["age and sex", "truth", *uncut]))


def _verdicts(told: Told) -> tuple[int, list[dict[str, object]]]:
    """Return how many comparisons with the naive labels there are, and those beyond chance."""
    tests = []
    for outcome in figures.told_outcomes(told):
        here = {n: f for n, f in told[outcome.name].items() if f is not None}
        naive = here.get(NAIVE)
        if naive is None:
            continue
        for name, foretold in here.items():
            if name != NAIVE and (trained_at(name) is not None or name == "age and sex"):
                tests.append((outcome, name, gain(outcome, foretold, naive)))
    corrected = list(holm([_p(told, o.name, n) for o, n, _ in tests])) if tests else []
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


def _p(told: Told, outcome: str, name: str) -> float:
    """Return how rare no difference from the naive labels is."""
    which = next(o for o in OUTCOMES if o.name == outcome)
    mine, naive = told[outcome][name], told[outcome][NAIVE]
    assert mine is not None
    assert naive is not None
    return two_sided((replicates(which, mine) - replicates(which, naive))[1:])


def _against_naive(told: Told) -> list[dict[str, object]]:
    """Return for each source the score of each outcome, and its gain over the naive labels."""
    rows: list[dict[str, object]] = []
    for name in told[OUTCOMES[0].name]:
        pairs = []
        for outcome in figures.told_outcomes(told):
            foretold, naive = told[outcome.name][name], told[outcome.name].get(NAIVE)
            compared = naive if name != NAIVE else None
            pairs.append(None if foretold is None else _pair(outcome, foretold, foretold, compared))
        rows.append({"name": name, "pairs": pairs})
    return rows


def _against_the_day(told: Told, alone: Told) -> list[dict[str, object]]:
    """Return what the change between examinations adds to the findings of the day."""
    outcomes = figures.told_outcomes(told)
    rows: list[dict[str, object]] = []
    for name in alone[outcomes[0].name]:
        pairs = []
        for outcome in outcomes:
            both, day = told[outcome.name][name], alone[outcome.name][name]
            pairs.append(None if both is None or day is None else _pair(outcome, day, both, day))
        rows.append({"name": name, "pairs": pairs})
    return rows


def _pair(
    outcome: Outcome, shown: Foretold, better: Foretold, baseline: Foretold | None
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


ALONE = ", that day alone"
"""What follows a source's name in ``numbers.csv`` where the change is left out."""


def write_numbers(sources: Sequence[Source], told: Told, alone: Told, path: Path) -> None:
    """Write every score with its interval and where its findings come from."""
    where = {s.name: " ".join(s.where) for s in sources}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["outcome", "score", "findings", "value", "low", "high", "patients", "from"])
    for outcome in figures.told_outcomes(told):
        less = {name + ALONE: f for name, f in alone.get(outcome.name, {}).items()}
        for name, foretold in {**told[outcome.name], **less}.items():
            if foretold is None:
                continue
            i = interval(outcome, foretold)
            shown = ("" if np.isnan(v) else f"{v:.6g}" for v in (i.value, i.low, i.high))
            n = len(set(foretold.patients))
            writer.writerow(
                [
                    outcome.name,
                    outcome.score,
                    name,
                    *shown,
                    n,
                    where.get(name.removesuffix(ALONE), "the table"),
                ]
            )
    write_durably(path, out.getvalue().encode())
