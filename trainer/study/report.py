"""The report of a study: one HTML page, and every number with its runs as CSV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.report.figures import svg
from napari_confseg.report.html import write_page
from napari_confseg.store.durable import write_csv
from trainer.calibrate import FEW_FRAMES
from trainer.checkpoint import load_config
from trainer.study import figures
from trainer.study.compare import BASELINES, EVERYBODY, Interval, differences, ranks
from trainer.study.pooled import HIGHER, RESAMPLES, TITLES, pool
from trainer.study.request import NUMBERS, REPORT, RUNS, StudyRequest, open_study, plan_fits
from trainer.study.scores import PRIMARY, THRESHOLDS
from trainer.study.work import is_synthetic, truths
from trainer.targets import RECIPES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainer.study.compare import Difference
    from trainer.study.pooled import Cell, Pooled

SURE = 0.05
"""Corrected p below which a difference is called one."""


@dataclass(frozen=True)
class Verdict:
    """Methods that differ from a baseline on a group by more than chance, the clearest first."""

    group: str
    baseline: str
    better: list[Difference]
    worse: list[Difference]


def write_report(folder: Path) -> Pooled:
    """Write ``numbers.csv`` and then ``report.html`` of the complete study in `folder`."""
    pooled = pool(folder, open_study(folder))
    found = differences(pooled)
    write_numbers(pooled, folder / NUMBERS)
    study, matrix = pooled.study, figures.matrices(pooled)
    there = {c.method for c in pooled.cells}
    told = [m for m in (*BASELINES, *best_others(pooled, 3)) if m in there] or sorted(there)[:4]
    write_page(
        folder / REPORT,
        "study.html.j2",
        study=study,
        fits=len(study.groups) * len(study.methods) * study.folds * study.seeds,
        patients=len(pooled.patients),
        known=pooled.known,
        resamples=RESAMPLES,
        titles=TITLES,
        primary=PRIMARY,
        thresholds=THRESHOLDS,
        runs=RUNS,
        numbers=NUMBERS,
        comparisons=len(found),
        synthetic=is_synthetic(study.source),
        truths=truths(study.source),
        few=_few_frames(folder, study),
        few_frames=FEW_FRAMES,
        verdicts=_verdicts(pooled, found) if study.seeds > 1 else [],
        curves=_curves(pooled),
        rule=_rule(pooled, found),
        score_titles=[f"{t}{' ↑' if s in HIGHER else ' ↓'}" for s, t in TITLES.items()],
        groups=[_group(pooled, group) for group in study.groups],
        gains=_gains(found),
        matrix=svg(matrix) if matrix else "",
        cuts=svg(figures.cut_matrices(pooled, told)),
        rank_figure=svg(figures.rank_plot(ranks(pooled))),
        by_class=_by_class(pooled),
        reliability=svg(figures.reliability(pooled, told)),
    )
    return pooled


def best_others(pooled: Pooled, number: int = 4) -> list[str]:
    """Return the methods other than thresholds with the best mean score over groups."""
    order = {m: r.value for m, r in ranks(pooled).items() if figures.trained_at(m) is None}
    return sorted(order, key=lambda m: order[m])[:number]


def verdict(found: list[Difference], group: str, baseline: str) -> Verdict:
    """Return which methods beat a baseline on a group by more than chance, and which lose."""
    here = [d for d in found if (d.group, d.baseline) == (group, baseline)]
    sure = [d for d in here if d.corrected < SURE]
    return Verdict(
        group,
        baseline,
        better=sorted((d for d in sure if d.gain.value > 0), key=lambda d: -d.gain.value),
        worse=sorted((d for d in sure if d.gain.value < 0), key=lambda d: d.gain.value),
    )


def _verdicts(pooled: Pooled, found: list[Difference]) -> list[Verdict]:
    groups = [EVERYBODY] if len(pooled.study.groups) > 1 else list(pooled.study.groups)
    compared = {d.baseline for d in found}
    return [verdict(found, p, b) for p in groups for b in BASELINES if b in compared]


def _curves(pooled: Pooled) -> str:
    if all(figures.trained_at(c.method) is None for c in pooled.cells):
        return ""
    return svg(figures.threshold_curves(pooled, others=best_others(pooled)))


def _rule(pooled: Pooled, found: list[Difference]) -> list[dict[str, object]]:
    """Return for each group what the rule of 60 % gains over 50 %, and what does best."""
    rows: list[dict[str, object]] = []
    for d in (d for d in found if (d.method, d.baseline) == (BASELINES[1], BASELINES[0])):
        means = {c.method: c.mean(PRIMARY)[0] for c in pooled.of(d.group)}
        best = max(means, key=lambda m: means[m]) if means else ""
        word = "wins" if d.gain.value > 0 else "loses"
        rows.append(
            {
                "group": d.group,
                "gain": d.gain,
                "verdict": "one seed: no verdict"
                if np.isnan(d.corrected)
                else word
                if d.corrected < SURE
                else "no difference beyond chance",
                "best": f"{best}, {means[best]:.3f}" if means else "",
            }
        )
    return rows


def _group(pooled: Pooled, group: str) -> dict[str, object]:
    cells = pooled.of(group)
    best = {s: _best(cells, s) for s in TITLES}
    rows = [
        {
            "method": c.method,
            "scores": [
                {
                    "interval": Interval.of(c.mean(s)),
                    "digits": 2 if s == "hd95_px" else 4 if s not in HIGHER else 3,
                    "best": c.method == best[s],
                }
                for s in TITLES
            ],
        }
        for c in cells
    ]
    study = pooled.study
    reference = study.reference(group)
    return {"name": group, "readers": study.groups[group], "against": reference, "rows": rows}


def _few_frames(folder: Path, study: StudyRequest) -> list[str]:
    """Return the raters whose scale rests on few frames in some fit, where a method asks for it."""
    found: set[str] = set()
    for fit in plan_fits(study):
        if RECIPES[fit.method.name].calibrates is not None:
            calibration = load_config(folder / RUNS / fit.name).calibration
            found.update(calibration.few if calibration else ())
    return sorted(found)


def _best(cells: list[Cell], score: str) -> str:
    values = {c.method: c.mean(score)[0] for c in cells if not np.isnan(c.mean(score)[0])}
    pick = max if score in HIGHER else min
    return pick(values, key=lambda m: values[m]) if values else ""


def _gains(found: list[Difference]) -> list[dict[str, str]]:
    title = TITLES[PRIMARY].lower()
    by_baseline = {b: [d for d in found if d.baseline == b] for b in BASELINES}
    return [
        {"baseline": b, "figure": svg(figures.forest(here, f"gain over {b} in {title}"))}
        for b, here in by_baseline.items()
        if here
    ]


def _by_class(pooled: Pooled) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for group in pooled.study.groups:
        for c in pooled.of(group):
            values = c.values[PRIMARY]
            intervals = [Interval.of(values[:, i]) for i in range(len(pooled.study.classes))]
            rows.append({"group": group, "method": c.method, "intervals": intervals})
    return rows


def write_numbers(pooled: Pooled, path: Path) -> None:
    """Write every score of every group, method and class, with its interval and its runs."""
    columns = ("group", "method", "score", "class", "value", "low", "high", "runs")
    write_csv(path, columns, _rows(pooled))


def _rows(pooled: Pooled) -> Iterator[tuple[object, ...]]:
    for c in pooled.cells:
        for score, values in c.values.items():
            columns = [("mean", c.mean(score))]
            columns += [(n, values[:, i]) for i, n in enumerate(pooled.study.classes)]
            for name, column in columns:
                i = Interval.of(column)
                yield c.group, c.method, score, name, i.value, i.low, i.high, " ".join(c.runs)
