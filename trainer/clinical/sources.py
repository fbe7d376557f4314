"""Sources of findings: truth, readers, and models out of fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trainer.findings import FINDINGS_CSV, rater_findings, read_findings, write_findings
from trainer.study.request import RUNS, plan_fits, slug

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from trainer.clinical.table import Row
    from trainer.sources import AnyCohort
    from trainer.study.request import StudyRequest

MODELS, RATERS = "models", "raters"
"""Folders of the runs, and of the raters' findings."""


@dataclass(frozen=True)
class Source:
    """A source of findings: a rater or a method.

    Attributes
    ----------
    name : str
        A rater or a method.
    kind : {"rater", "model"}
        Which.
    findings : mapping
        Of each clip; a model's are from the fit that did not see the patient.
    where : tuple of str
        Files or run folders they come from.
    """

    name: str
    kind: Literal["rater", "model"]
    findings: Mapping[str, Mapping[str, float]]
    where: tuple[str, ...]


def all_raters(cohort: AnyCohort) -> set[str]:
    """Return the names of all raters."""
    return {r for name in cohort.clips() for r in cohort.clip(name).raters()}


def people(cohort: AnyCohort) -> tuple[str, ...]:
    """Return the readers of the cohort, but nobody whose marks were imported."""
    clips = [cohort.clip(name) for name in cohort.clips()]
    found = {r for c in clips for r in c.raters() if c.rater(r).meta.learnt}
    return tuple(sorted(found))


def unscaled(cohort: AnyCohort, rows: Sequence[Row]) -> int:
    """Return the number of clips whose lengths and areas nobody knows, for want of a spacing."""
    return sum(cohort.clip(c).meta.spacing is None for row in rows for c in row.clips)


def rater_sources(
    out: Path, cohort: AnyCohort, rows: Sequence[Row], on_progress: Callable[[int, int, str], None]
) -> list[Source]:
    """Return the findings of truth and people, made once and kept beside the runs."""
    classes = {c.name: i for i, c in enumerate(cohort.meta.classes)}
    clips = [c for row in rows for c in row.clips]
    (out / RATERS).mkdir(parents=True, exist_ok=True)
    sources = []
    for rater in [*(t for t in ("truth", "latent") if t in all_raters(cohort)), *people(cohort)]:
        path = out / RATERS / f"{rater}-{FINDINGS_CSV}"
        if not path.exists():
            found = {
                name: rater_findings(cohort.clip(name), rater, classes)
                for name in clips
                if rater in cohort.clip(name).raters()
            }
            write_findings(found, path)
        on_progress(0, 0, f"Findings of {rater}")
        sources.append(Source(rater, "rater", read_findings([path]), (f"{RATERS}/{path.name}",)))
    return sources


def model_sources(out: Path, request: StudyRequest) -> list[Source]:
    """Return the findings of each method, of each patient from the fit that did not see them."""
    sources = []
    fits = plan_fits(request)
    for method in request.methods:
        runs = [f.name for f in fits if f.method == method]
        paths = [out / MODELS / RUNS / run / FINDINGS_CSV for run in runs]
        where = tuple(f"{MODELS}/{RUNS}/{run}" for run in runs)
        sources.append(Source(slug(method), "model", read_findings(paths), where))
    return sources
