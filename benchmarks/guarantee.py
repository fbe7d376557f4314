"""Guarantees on patients that were not used: what was asked for, and what came.

``python -m benchmarks.guarantee FOLDER [--run starter] [--patients 160] [--allow 20]``

A model marks frames of a synthetic cohort once, of one clip a patient; the panel is the mean of
three simulated readers. All else are splits of what was counted then: patients are drawn at random
to measure on, and what they guarantee is tried on the others (`SPLITS` times). Then one kind of
probe guarantees for the other, which no theorem covers, and few patients are asked too much.
What was counted is kept in FOLDER, so that a second call takes seconds.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from rich.console import Console
from rich.table import Table

from napari_confseg.agreement.conformal import (
    NOTHING,
    bound,
    inner_score,
    needed,
    outer_score,
    share_of,
)
from napari_confseg.store import Cohort
from sample_data import make_cohort
from trainer.guarantee import ALLOWED
from trainer.predict import Predictor
from trainer.shipped import run_folder
from trainer.unseen import Counts, Evidence, gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEVELS, SPLITS, MEASURED = (80, 90), 1000, 60
FEW = (9, 19, 39, 79)
PROBES = ("convex", "linear")


@dataclass(frozen=True)
class Scores:
    """Scores of patients for one promise; the promise holds where the bound is not exceeded.

    Attributes
    ----------
    name, side : str
        Class or read-out; ``"inner"``, ``"outer"`` or ``"read-out"``.
    values : dict
        Patient -> score.
    vacuous : float
        A bound from here on promises nothing.
    """

    name: str
    side: str
    values: dict[str, float]
    vacuous: float

    @property
    def sides(self) -> int:
        """Among how many promises what may fail is divided."""
        return 1 if self.side == "read-out" else 2


@dataclass(frozen=True)
class Outcome:
    """What some splits came to: mean share held, its 5 and 95 % quantiles, and emptiness.

    Attributes
    ----------
    held, low, high : float
        Share of the patients not used that the promise holds in.
    promised : float
        Share of the splits that promise anything.
    bound : float
        Median of the bounds.
    """

    held: float
    low: float
    high: float
    promised: float
    bound: float


def counted(folder: Path, run: str, patients: int) -> tuple[Evidence, dict[str, str]]:
    """Return what the patients tell, and each one's probe; counted once, then read."""
    kept = folder / f"counted-{run_folder(run).name}.json"
    if kept.exists():
        found = json.loads(kept.read_text())
        counts = {
            c: {p: Counts(np.array(i), np.array(o)) for p, (i, o) in of.items()}
            for c, of in found["counts"].items()
        }
        residuals = {r: {p: float(v) for p, v in of.items()} for r, of in found["away"].items()}
        return Evidence(counts, residuals, found["units"]), found["probes"]
    place = folder / "cohort.zarr"
    if not place.exists():
        make_cohort(
            place, patients=patients, seed=1, clips_per_patient=1, frames=4, size=(192, 240)
        )
    cohort = Cohort.open(place, read_only=True)
    evidence, _ = gather(Predictor.load(run_folder(run), "cpu"), cohort, tuple(cohort.clips()))
    metas = [cohort.clip(name).meta for name in cohort.clips()]
    probes = {m.patient: str(m.probe) for m in metas}
    data = {
        "counts": {
            c: {p: [v.inside.tolist(), v.outside.tolist()] for p, v in of.items()}
            for c, of in evidence.counts.items()
        },
        "away": evidence.residuals,
        "units": evidence.units,
        "probes": probes,
    }
    kept.write_text(json.dumps(data))
    return evidence, probes


def scores_of(evidence: Evidence, allowed: int) -> list[Scores]:
    """Return every promise's scores: both contours of each class, and each read-out."""
    found = []
    for name, of in evidence.counts.items():
        inner = {p: inner_score(v.inside, v.outside, allowed / 100) for p, v in of.items()}
        outer = {p: outer_score(v.inside, allowed / 100) for p, v in of.items() if v.inside.any()}
        found.append(Scores(name, "inner", {p: float(s) for p, s in inner.items()}, NOTHING))
        found.append(Scores(name, "outer", {p: -float(s) for p, s in outer.items()}, 0))
    found += [
        Scores(name.replace("_", " "), "read-out", of, math.inf)
        for name, of in evidence.residuals.items()
    ]
    return found


Split: TypeAlias = "tuple[Sequence[str], Sequence[str]]"


def tried(scores: Scores, level: int, splits: Sequence[Split]) -> Outcome | None:
    """Return what splits into (measured on, tried on) come to; None if one is refused."""
    share = share_of(level, scores.sides)
    held, bounds = [], []
    for used, others in splits:
        given = np.array([scores.values[p] for p in used if p in scores.values])
        if len(given) < needed(share):
            return None
        limit = bound(given, share)
        new = [scores.values[p] <= limit for p in others if p in scores.values]
        held.append(float(np.mean(new)) if new else math.nan)
        bounds.append(limit)
    low, high = np.nanquantile(held, [0.05, 0.95])
    said = [b < scores.vacuous for b in bounds]
    return Outcome(
        float(np.nanmean(held)),
        float(low),
        float(high),
        float(np.mean(said)),
        float(np.median(bounds)),
    )


def both(
    inner: Scores, outer: Scores, level: int, splits: Sequence[Split]
) -> NDArray[np.float64] | None:
    """Return the share of patients not used in whom both contours hold, for each split."""
    share = share_of(level, sides=2)
    found = []
    for used, others in splits:
        limits = []
        for s in (inner, outer):
            given = np.array([s.values[p] for p in used if p in s.values])
            if len(given) < needed(share):
                return None
            limits.append(bound(given, share))
        found.append(
            np.mean(
                [
                    inner.values[p] <= limits[0] and outer.values.get(p, -math.inf) <= limits[1]
                    for p in others
                ]
            )
        )
    return np.array(found)


def at_random(patients: Sequence[str], n: int, seed: int) -> list[Split]:
    """Return `SPLITS` random splits of `patients`, `n` of them to measure on."""
    rng = np.random.default_rng(seed)
    drawn = (rng.permutation(patients) for _ in range(SPLITS))
    return [(order[:n].tolist(), order[n:].tolist()) for order in drawn]


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"


def _limit(scores: Scores, outcome: Outcome) -> str:
    if outcome.bound >= scores.vacuous:
        return "none" if scores.side == "inner" else "sector"
    if scores.side == "read-out":
        return f"± {outcome.bound:.1f}"
    return f"{abs(outcome.bound):.0f} %"


def _cells(outcome: Outcome | None) -> list[str]:
    if outcome is None:
        return ["refused", "", ""]
    ends = f"{_share(outcome.low)} to {_share(outcome.high)}"
    return [_share(outcome.held), ends, _share(outcome.promised)]


def random_table(evidence: Evidence, patients: Sequence[str], allowed: int) -> Table:
    """Return coverage on random splits, with `MEASURED` patients to measure on."""
    table = Table(title=f"{MEASURED} patients measured on, tried on {len(patients) - MEASURED}")
    heads = ("of", "contour", "asked %", "got %", "5 to 95 % of splits", "promises %", "median")
    for head in heads:
        table.add_column(head, no_wrap=True)
    splits = at_random(patients, MEASURED, 0)
    everything = scores_of(evidence, allowed)
    for level in LEVELS:
        for i, scores in enumerate(everything):
            found = tried(scores, level, splits)
            asked = f"{100 * float(share_of(level, scores.sides)):g}"
            end = _limit(scores, found) if found else ""
            table.add_row(scores.name, scores.side, asked, *_cells(found), end)
            if scores.side == "outer":
                joint = both(everything[i - 1], scores, level, splits)
                cells = ["refused", ""]
                if joint is not None:
                    low, high = np.quantile(joint, [0.05, 0.95])
                    cells = [_share(float(joint.mean())), f"{_share(low)} to {_share(high)}"]
                table.add_row(scores.name, "both", f"{level}", *cells, "", "")
    return table


def few_table(evidence: Evidence, patients: Sequence[str], allowed: int) -> Table:
    """Return coverage of contours of the pleura and of its share with few patients, or refusal."""
    table = Table(title="few patients, 90 %")
    heads = ("of", "contour", "patients", "asked %", "got %", "5 to 95 % of splits", "promises %")
    for head in heads:
        table.add_column(head, no_wrap=True)
    for scores in scores_of(evidence, allowed):
        if scores.name not in ("pleura", "pleura percentage"):
            continue
        asked = f"{100 * float(share_of(90, scores.sides)):g}"
        for n in (needed(share_of(90, scores.sides)) - 1, *FEW):
            found = tried(scores, 90, at_random(patients, n, n))
            table.add_row(scores.name, scores.side, str(n), asked, *_cells(found))
    return table


def shift_table(evidence: Evidence, probes: dict[str, str], allowed: int) -> Table:
    """Return coverage where one kind of probe guarantees for the other, and for its own."""
    table = Table(title="measured on one kind of probe, tried on another, at 90 %")
    table.add_column("of", no_wrap=True)
    table.add_column("contour", no_wrap=True)
    table.add_column("asked %")
    for a in PROBES:
        for b in PROBES:
            table.add_column(f"{a} for {b}", no_wrap=True)
    of = {kind: [p for p, v in probes.items() if v == kind] for kind in PROBES}
    n = min(len(v) for v in of.values()) * 3 // 4
    for scores in scores_of(evidence, allowed):
        cells = []
        for a in PROBES:
            for b in PROBES:
                splits: list[Split] = at_random(of[a], n, 1)
                if a != b:
                    splits = [(used, of[b]) for used, _ in splits]
                found = tried(scores, 90, splits)
                cells.append("refused" if found is None else _share(found.held))
        asked = f"{100 * float(share_of(90, scores.sides)):g}"
        table.add_row(scores.name, scores.side, asked, *cells)
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """Count, try, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guarantee", description=__doc__)
    parser.add_argument("folder", type=Path, help="where cohort and counts are kept")
    parser.add_argument("--run", default="starter", help="folder of a run; default: starter")
    parser.add_argument("--patients", type=int, default=160)
    parser.add_argument("--allow", type=int, default=ALLOWED, metavar="PERCENT")
    args = parser.parse_args(argv)
    args.folder.mkdir(parents=True, exist_ok=True)
    evidence, probes = counted(args.folder, args.run, args.patients)
    patients = sorted(probes)
    console = Console(width=120)
    console.print(random_table(evidence, patients, args.allow))
    console.print(few_table(evidence, patients, args.allow))
    console.print(shift_table(evidence, probes, args.allow))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
