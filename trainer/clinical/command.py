"""``confseg-train clinical``: models out of fold, findings, outcomes, one page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from napari_confseg.store import Cohort
from trainer.clinical.features import covariates, patient_findings
from trainer.clinical.outcomes import OUTCOMES, foretell
from trainer.clinical.report import REPORT, Source, write_report
from trainer.clinical.table import check_covariates, read_table
from trainer.findings import FINDINGS_CSV, rater_findings, read_findings, write_findings
from trainer.study.command import all_classes, carry_on, parse_methods, parse_range
from trainer.study.request import RUNS, StudyRequest, plan, slug
from trainer.terminal import waiting

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from trainer.clinical.table import Row

MODELS, RATERS = "models", "raters"


def clinical(arguments: argparse.Namespace, cohort: str) -> int:
    """Carry out the command; 0 if done, 1 if it was stopped."""
    opened = Cohort.open(cohort, read_only=True)
    rows = read_table(arguments.table, opened)
    names = check_covariates(tuple(arguments.covariates))
    request = StudyRequest(
        cohort=cohort,
        classes=all_classes(cohort),
        panels={"panel": tuple(arguments.raters) or people(opened)},
        methods=parse_methods(arguments.methods, parse_range(arguments.thresholds)),
        folds=arguments.folds,
        size=arguments.size,
        steps=arguments.steps,
        findings=True,
    )
    try:
        carry_on(arguments.out / MODELS, request, arguments)
    except KeyboardInterrupt:
        Console(stderr=True).print("Stopped. The same command goes on from here.")
        return 1
    with waiting("Findings", quiet=arguments.json) as tell:
        sources = [*_raters(arguments.out, opened, rows, tell), *_models(arguments.out, request)]
    fixed = covariates(rows, names)
    told = {outcome.name: {"age and sex" if names else "nothing": foretell(outcome, rows, fixed)}
            for outcome in OUTCOMES}  # fmt: skip
    for source in sources:
        known = np.hstack([fixed, patient_findings(rows, source.findings)])
        for outcome in OUTCOMES:
            told[outcome.name][source.name] = foretell(outcome, rows, known)
    write_report(arguments.out, rows, sources, told, synthetic="truth" in opened_raters(opened))
    if not arguments.json:
        Console().print(f"The page: {arguments.out / REPORT}")
    return 0


def opened_raters(cohort: Cohort) -> set[str]:
    """Return the names of all raters of the cohort."""
    return {r for name in cohort.clips() for r in cohort.clip(name).raters()}


def people(cohort: Cohort) -> tuple[str, ...]:
    """Return the human raters of the cohort."""
    clips = map(cohort.clip, cohort.clips())
    found = {r for c in clips for r in c.raters() if c.rater(r).meta.kind == "human"}
    return tuple(sorted(found))


def _raters(out: Path, cohort: Cohort, rows: list[Row], tell: object) -> list[Source]:
    """Return the findings of truth and people, made once and kept beside the runs."""
    classes = {c.name: i for i, c in enumerate(cohort.meta.classes)}
    clips = [c for row in rows for c in row.clips]
    (out / RATERS).mkdir(parents=True, exist_ok=True)
    sources = []
    for rater in [*(t for t in ("truth", "latent") if t in opened_raters(cohort)), *people(cohort)]:
        path = out / RATERS / f"{rater}-{FINDINGS_CSV}"
        if not path.exists():
            found = {name: rater_findings(cohort.clip(name), rater, classes)
                     for name in clips if rater in cohort.clip(name).raters()}  # fmt: skip
            write_findings(found, path)
        tell(0, 0, f"Findings of {rater}")  # type: ignore[operator]
        sources.append(Source(rater, "rater", read_findings([path]), (f"{RATERS}/{path.name}",)))
    return sources


def _models(out: Path, request: StudyRequest) -> list[Source]:
    sources = []
    fits = plan(request)
    for method in request.methods:
        runs = [f.name for f in fits if f.method == method]
        paths = [out / MODELS / RUNS / run / FINDINGS_CSV for run in runs]
        where = tuple(f"{MODELS}/{RUNS}/{run}" for run in runs)
        sources.append(Source(slug(method), "model", read_findings(paths), where))
    return sources
