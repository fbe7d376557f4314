"""The page of a study: the figure first, the method after; and every number with its runs."""

from __future__ import annotations

import csv
import io
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from trainer.page import cell, figure_html, table, write_page
from trainer.study import figures
from trainer.study.compare import BASELINES, EVERYBODY, Interval, differences, ranks
from trainer.study.pooled import HIGHER, RESAMPLES, TITLES, pool
from trainer.study.request import NUMBERS, REPORT, RUNS, open_study
from trainer.study.scores import LEVELS, PRIMARY

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.study.compare import Difference
    from trainer.study.pooled import Cell, Pooled

SURE = 0.05


def write_report(folder: Path) -> Pooled:
    """Write ``numbers.csv`` and then ``report.html`` of the complete study in `folder`."""
    pooled = pool(folder, open_study(folder))
    found = differences(pooled)
    write_numbers(pooled, folder / NUMBERS)
    body = [
        _head(pooled),
        _verdict(pooled, found),
        _curves(pooled),
        _rule(pooled, found),
        _table(pooled),
        _gains(found),
        _matrix(pooled),
        _ranks(pooled),
        _classes(pooled),
        _reliability(pooled),
        _method(pooled),
    ]
    write_page("What is confidence worth?", body, folder / REPORT)
    return pooled


def best_others(pooled: Pooled, number: int = 4) -> list[str]:
    """Return the methods other than thresholds with the best mean score over panels."""
    order = {m: r.value for m, r in ranks(pooled).items() if figures.trained_at(m) is None}
    return sorted(order, key=lambda m: order[m])[:number]


def _head(pooled: Pooled) -> str:
    study = pooled.study
    fits = len(study.panels) * len(study.methods) * study.folds * study.seeds
    truth = (
        "<p class='warn'>The cohort is <b>synthetic</b> and its readers are simulated: figures "
        "tell how methods behave when readers differ in known ways. They say nothing about "
        "patients.</p>"
        if pooled.known
        else "<p class='warn'>Nobody knows the truth of this cohort: scores compare with the "
        "readers of each panel themselves, and favour whoever repeats them.</p>"
    )
    return (
        f"<p>{fits} fits: {len(study.methods)} methods, {len(study.panels)} panels of readers, "
        f"{study.folds} folds of {len(pooled.patients)} patients, {study.seeds} seed"
        f"{'s' if study.seeds > 1 else ''}. Values in small print are 95 % intervals from "
        f"resampling patients {RESAMPLES:,} times.</p>{truth}"
    )


def sentence(found: list[Difference], panel: str, baseline: str) -> str:
    """Say which methods beat a baseline in a panel for certain, and which lose to it."""
    here = [d for d in found if (d.panel, d.baseline) == (panel, baseline)]
    sure = [d for d in here if d.corrected < SURE]
    above = sorted((d for d in sure if d.gain.value > 0), key=lambda d: -d.gain.value)
    below = sorted((d for d in sure if d.gain.value < 0), key=lambda d: d.gain.value)
    parts = [
        f"{words} {', '.join(f'<b>{escape(d.method)}</b> ({d.gain.value:+.3f})' for d in some)}"
        for words, some in (("better:", above), ("worse:", below))
        if some
    ]
    told = "; ".join(parts) or "no method differs by more than chance"
    return f"<li><b>{escape(panel)}</b> against {escape(baseline)}: {told}</li>"


def _verdict(pooled: Pooled, found: list[Difference]) -> str:
    panels = list(pooled.study.panels)
    if len(panels) > 1:
        panels = [EVERYBODY]
    lines = [
        sentence(found, p, b)
        for p in panels
        for b in BASELINES
        if any(d.baseline == b for d in found)
    ]
    return (
        f"<p>In {TITLES[PRIMARY].lower()}, after correction for {len(found)} comparisons:</p>"
        f"<ul>{''.join(lines)}</ul>"
        if lines
        else ""
    )


def _rule(pooled: Pooled, found: list[Difference]) -> str:
    """Show for each panel what the rule of 60 % gains over 50 %, and what does best."""
    rows = []
    for d in (d for d in found if (d.method, d.baseline) == (BASELINES[1], BASELINES[0])):
        means = {c.method: c.mean(PRIMARY)[0] for c in pooled.of(d.panel)}
        best = max(means, key=lambda m: means[m]) if means else ""
        top = f"{escape(best)}, {means[best]:.3f}" if means else ""
        word = "wins" if d.gain.value > 0 else "loses"
        verdict = word if d.corrected < SURE else "no difference beyond chance"
        rows.append(
            f"<td>{escape(d.panel)}</td>{cell(d.gain.value, d.gain.low, d.gain.high)}"
            f"<td>{verdict}</td><td>{top}</td>"
        )
    if not rows:
        return ""
    return "<h2>60 % against 50 %</h2>" + table(
        ["panel", "gain of 60 % over 50 %", "after correction", "best method"], rows
    )


def _curves(pooled: Pooled) -> str:
    if all(figures.trained_at(c.method) is None for c in pooled.cells):
        return ""
    figure = figures.threshold_curves(pooled, others=best_others(pooled))
    return "<h2>The threshold curve</h2>" + figure_html(
        figure,
        f"{TITLES[PRIMARY]} by the threshold at which readers' confidence was cut for training; "
        "the band is the interval. Level lines: the best methods that cut nothing. What fails "
        "altogether is off the plot; the table has it. "
        + ("Synthetic cohort." if pooled.known else ""),
    )


def _table(pooled: Pooled) -> str:
    parts = [
        (
            f"<h2>Methods</h2><p class='note'>Means over classes. Bold: the best of the panel. "
            f"Runs are in <code>{RUNS}/</code>.</p>"
        )
    ]
    for panel in pooled.study.panels:
        cells = pooled.of(panel)
        best = {s: _best(cells, s) for s in TITLES}
        rows = [
            f"<td>{escape(c.method)}</td>"
            + "".join(_score_cell(c, s, bold=c.method == best[s]) for s in TITLES)
            + f"<td><code>{escape(panel)}-{escape(c.method)}-*</code></td>"
            for c in cells
        ]
        header = [
            "method",
            *(f"{t}{' ↑' if s in HIGHER else ' ↓'}" for s, t in TITLES.items()),
            "runs",
        ]
        who = ", ".join(pooled.study.panels[panel])
        parts.append(
            f"<h3>{escape(panel)} <small>({escape(who)})</small></h3>" + table(header, rows)
        )
    return "".join(parts)


def _score_cell(c: Cell, score: str, *, bold: bool) -> str:
    i = Interval.of(c.mean(score))
    digits = 2 if score == "hd95_px" else 4 if score not in HIGHER else 3
    text = cell(i.value, i.low, i.high, digits)
    return text.replace("<td>", "<td class='best'>") if bold else text


def _best(cells: list[Cell], score: str) -> str:
    values = {c.method: c.mean(score)[0] for c in cells if not np.isnan(c.mean(score)[0])}
    pick = max if score in HIGHER else min
    return pick(values, key=lambda m: values[m]) if values else ""


def _gains(found: list[Difference]) -> str:
    parts = []
    for baseline in BASELINES:
        here = [d for d in found if d.baseline == baseline]
        if not here:
            continue
        figure = figures.forest(here, f"gain over {baseline} in {TITLES[PRIMARY].lower()}")
        parts.append(
            figure_html(
                figure,
                (
                    f"Gain over <b>{baseline}</b> on the same patients, with its interval. Green: "
                    "better, orange: worse, after Holm's correction for all comparisons of this "
                    "study; grey: may be chance."
                ),
            )
        )
    return "<h2>Against the rules</h2>" + "".join(parts) if parts else ""


def _matrix(pooled: Pooled) -> str:
    figure = figures.matrices(pooled)
    if figure is None:
        return ""
    return "<h2>Trained at t, tested at u</h2>" + figure_html(
        figure,
        "Dice of the model's mask (at 50 % of its own probability) with the reference cut at u. "
        "A dot marks the best training threshold for each u: were the rule t = 60 a law, dots "
        "would lie on one row.",
    )


def _ranks(pooled: Pooled) -> str:
    return "<h2>Ranks</h2>" + figure_html(
        figures.rank_plot(ranks(pooled)),
        f"Rank in {TITLES[PRIMARY].lower()}, mean over panels; the line is the middle 95 % over "
        "resamplings of patients. Black: thresholds; blue: methods that cut nothing.",
    )


def _classes(pooled: Pooled) -> str:
    names = pooled.study.classes
    rows = []
    for panel in pooled.study.panels:
        for c in pooled.of(panel):
            values = c.values[PRIMARY]
            each = (Interval.of(values[:, i]) for i in range(len(names)))
            rows.append(
                f"<td>{escape(panel)}</td><td>{escape(c.method)}</td>"
                + "".join(cell(i.value, i.low, i.high) for i in each)
            )
    return f"<h2>By class</h2><p class='note'>{TITLES[PRIMARY]}.</p>" + table(
        ["panel", "method", *names], rows
    )


def _reliability(pooled: Pooled) -> str:
    there = {c.method for c in pooled.cells}
    chosen = [m for m in (*BASELINES, *best_others(pooled, 3)) if m in there]
    return "<h2>Is the probability one?</h2>" + figure_html(
        figures.reliability(pooled, chosen),
        "Of the pixels to which a model gives a probability, the share that truly shows the "
        "class; all classes together. On the dashed line the model can be taken at its word.",
    )


def _method(pooled: Pooled) -> str:
    study = pooled.study
    latent = (
        "the latent probability that was there to be seen"
        if pooled.known
        else "the readers of the panel"
    )
    return f"""<h2>How it was done</h2>
<p>Patients are dealt into {study.folds} folds, every class in its share. For each fold, panel and
method one network of size <code>{escape(study.size)}</code> learns from the other patients
(a quarter of these choose the checkpoint) with the same number of steps, and predicts the fold's
patients. Model and reference are compared in the frames' own pixels.</p>
<p><b>{TITLES["level_dice"]}</b>: mean over u = {LEVELS[0]}, ..., {LEVELS[-1]} % of the Dice of
{{model ≥ u}} and {{reference ≥ u}}, as in QUBIQ; the reference is {latent}. <b>One mask</b>: the
same, the model cut at 50 % whatever u. <b>Soft Dice</b>: 2 Σ min / Σ sum. <b>Squared error</b>: of
the model's probability from the reference's. <b>Brier score</b>, <b>calibration error</b> (tenths)
and <b>Dice against truth</b>: with the exact truth. <b>HD95</b>: at 50 %, mean over frames that
both mark. <b>Presence</b>: whether a clip shows the class at all, by the highest probability that
ten pixels of a frame reach.</p>
<p>Sums over pixels are pooled over patients before a score is formed; then the mean over classes
is taken, then over seeds. Intervals resample patients with all their clips, and seeds if there are
several; differences use the same resampling for both sides. p-values come from the resamplings
and are corrected by Holm's method. <code>{NUMBERS}</code> names for every number here the folders
in <code>{RUNS}/</code> that it comes from; each holds its <code>tables.npz</code>,
<code>scores.csv</code> and checkpoint.</p>
"""


def write_numbers(pooled: Pooled, path: Path) -> None:
    """Write every score of every panel, method and class, with its interval and its runs."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["panel", "method", "score", "class", "value", "low", "high", "runs"])
    for c in pooled.cells:
        for score, values in c.values.items():
            columns = [("mean", c.mean(score))]
            columns += [(n, values[:, i]) for i, n in enumerate(pooled.study.classes)]
            for name, column in columns:
                i = Interval.of(column)
                shown = ("" if np.isnan(v) else f"{v:.6g}" for v in (i.value, i.low, i.high))
                writer.writerow([c.panel, c.method, score, name, *shown, " ".join(c.runs)])
    path.write_text(out.getvalue(), encoding="utf-8")
