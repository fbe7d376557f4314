"""The clinical page: whether training at higher confidence helps to foretell outcomes."""

from __future__ import annotations

import csv
import io
from html import escape
from typing import TYPE_CHECKING

import numpy as np

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
from trainer.page import cell, figure_html, table, write_page
from trainer.study.compare import holm, two_sided
from trainer.study.figures import trained_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainer.clinical.figures import Told
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
    uncut = (s.name for s in sources if s.kind == "model" and trained_at(s.name) is None)
    others = ["age and sex", "truth", *uncut]
    body = [
        _head(rows, synthetic=synthetic),
        _question(told, others),
        _all(told),
        _table(told),
        _over_time(told, alone),
        _calibrated(told),
        _method(rows),
    ]
    write_page("Does confidence reach the bedside?", body, folder / REPORT)


def _head(rows: Sequence[Row], *, synthetic: bool) -> str:
    warning = (
        "<p class='warn'>The cohort is <b>synthetic</b>: patients, findings and outcomes follow "
        "equations. The figures show that the path works and what it can resolve; they say nothing "
        "about patients.</p>"
        if synthetic
        else ""
    )
    return f"<p>{len({r.patient for r in rows})} patients, {len(rows)} days.</p>{warning}"


def _question(told: Told, others: Sequence[str]) -> str:
    if all(trained_at(name) is None for name in told[OUTCOMES[0].name]):
        return ""
    return figure_html(
        figures.by_threshold(told, others),
        "How well findings from models foretell, by the confidence at which the models' labels "
        "were cut; the band is the 95 % interval over patients. Level lines: baselines and methods "
        "that cut nothing. Findings of models are out of fold.",
    ) + _answer(told)


def _answer(told: Told) -> str:
    """Say whether any training threshold beats the naive one, after correction."""
    lines, tests = [], []
    for outcome in figures.told_outcomes(told):
        here = {n: f for n, f in told[outcome.name].items() if f is not None}
        naive = here.get(NAIVE)
        if naive is None:
            continue
        for name, foretold in here.items():
            if name != NAIVE and (trained_at(name) is not None or name == "age and sex"):
                tests.append((outcome, name, gain(outcome, foretold, naive)))
    if not tests:
        return ""
    p = holm([_p(told, o.name, n) for o, n, _ in tests])
    for (outcome, name, g), corrected in zip(tests, p, strict=True):
        if corrected < 0.05:
            word = "better" if g.value > 0 else "worse"
            lines.append(
                f"<li>{escape(outcome.title)}: <b>{escape(name)}</b> is {word} than {NAIVE} by "
                f"{abs(g.value):.3g} ({g.low:.3g} to {g.high:.3g})</li>"
            )
    said = "".join(lines) or "<li>No training threshold differs by more than chance.</li>"
    return (
        f"<p>Against labels cut at 50 %, corrected for {len(tests)} comparisons:</p><ul>{said}</ul>"
    )


def _p(told: Told, outcome: str, name: str) -> float:
    """Return how rare no difference from the naive labels is."""
    which = next(o for o in OUTCOMES if o.name == outcome)
    mine, naive = told[outcome][name], told[outcome][NAIVE]
    assert mine is not None
    assert naive is not None
    return two_sided((replicates(which, mine) - replicates(which, naive))[1:])


def _all(told: Told) -> str:
    return "<h2>Whose findings?</h2>" + figure_html(
        figures.sources_plot(told),
        "Grey: age and sex alone. Blue: findings of truth, readers and methods that cut nothing, "
        "with age and sex. Black: models trained on labels cut at a threshold.",
    )


def _table(told: Told) -> str:
    header = ["findings of"]
    for outcome in figures.told_outcomes(told):
        header += [f"{outcome.title}: {outcome.score}", f"gain over {NAIVE}"]
    rows = []
    for name in told[OUTCOMES[0].name]:
        cells = [f"<td>{escape(name)}</td>"]
        for outcome in figures.told_outcomes(told):
            foretold, naive = told[outcome.name][name], told[outcome.name].get(NAIVE)
            if foretold is None:
                cells.append("<td>too few</td><td>–</td>")
                continue
            digits = 1 if outcome.kind == "number" else 3
            i = interval(outcome, foretold)
            cells.append(cell(i.value, i.low, i.high, digits))
            if naive is None or name == NAIVE:
                cells.append("<td>–</td>")
            else:
                g = gain(outcome, foretold, naive)
                cells.append(cell(g.value, g.low, g.high, digits))
        rows.append("".join(cells))
    return "<h2>In figures</h2>" + table(header, rows)


def _over_time(told: Told, alone: Told) -> str:
    """Say what the change between examinations adds to the findings of the day."""
    if not alone:
        return ""
    outcomes = figures.told_outcomes(told)
    rows = []
    for name in alone[outcomes[0].name]:
        cells = [f"<td>{escape(name)}</td>"]
        for outcome in outcomes:
            both = told[outcome.name][name], alone[outcome.name][name]
            if both[0] is None or both[1] is None:
                cells.append("<td>too few</td><td>–</td>")
                continue
            digits = 1 if outcome.kind == "number" else 3
            day, g = interval(outcome, both[1]), gain(outcome, both[0], both[1])
            cells += [
                cell(day.value, day.low, day.high, digits),
                cell(g.value, g.low, g.high, digits),
            ]
        rows.append("".join(cells))
    header = ["findings of"]
    for outcome in outcomes:
        header += [f"{outcome.title}: {outcome.score}, the day alone", "gain by the change"]
    return (
        "<h2>Does the change between examinations add?</h2><p>Findings of the day alone, and what "
        "is gained by their change since the patient's examination before.</p>"
        + table(header, rows)
    )


def _calibrated(told: Told) -> str:
    names = ["age and sex", "truth", NAIVE, "threshold-60"]
    figure = figures.calibration(told, names)
    if figure is None:
        return ""
    return "<h2>Can the risk be taken at its word?</h2>" + figure_html(
        figure, "Readmission: foretold risk and observed share in fifths of the patients."
    )


def _method(rows: Sequence[Row]) -> str:
    counts = sum(r.sf_counts for r in rows)
    estimated = sum(r.fio2_estimated for r in rows)
    changes = [c for r in rows if (c := sf_change(r)) is not None]
    worse, same, better = (changes.count(float(i)) for i in range(3))
    followed = len(rows) - len({r.patient for r in rows})
    readmitted = sum(r.readmitted_30d for r in rows)
    return f"""<h2>How it was done</h2>
<p>S/F is SpO<sub>2</sub> / FiO<sub>2</sub>, used where SpO<sub>2</sub> is at most {MOST_SPO2} %:
{counts} of {len(rows)} days. FiO<sub>2</sub> is estimated from a flow on {estimated} days. Change:
better or worse by {100 * CHANGED:.0f} % at follow-up ({worse} worse, {same} the same, {better}
better); the limit is ours. {followed} days have an examination before them: the change since then
counts where SpO<sub>2</sub> is at most {MOST_SPO2} % on both. {readmitted} days are of patients
who were readmitted.</p>
<p>Findings are expected values of the read-outs over each clip's reviewed frames; a patient's are
the mean and the largest over the day's clips, and their change since the day before where there is
one, beside age and sex. Models are fitted on other patients than those whose clips they read.
Ridge and logistic regression; imputation, scaling and strength of regularisation are learnt in
{INNER} inner folds of each of {OUTER} outer ones, patients whole, {REPEATS} times. Intervals
resample patients with the models fixed, and so leave out what another training set would do.</p>"""


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
    path.write_text(out.getvalue(), encoding="utf-8")
