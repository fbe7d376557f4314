"""Findings of a model by each of its outputs, against those of the truth.

``python -m benchmarks.findings STUDY [--method relative-threshold] [--outcomes TABLE]``

STUDY is a study of models whose method has two outputs, such as ``FOLDER/clinical/models`` of
``benchmarks.study FOLDER --part clinical``. Each clip is marked by the fit that has not seen its
patient. Of every finding: how far those read from the contour, and from the probability, are from
the truth's (absolute error, and error with its sign), and the difference of the two; of A-lines,
which a clip has or not, the squared error, and the AUROC. Intervals (95 %) resample patients; fits
stay the same. With the clinical table, outcomes predicted from either, and from both as models are
read. Findings are kept in STUDY, so a second call takes seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from trainer.clinical.features import feature_sets
from trainer.clinical.outcomes import predict_all
from trainer.clinical.report import score_outcomes
from trainer.clinical.sources import Source
from trainer.clinical.table import read_table
from trainer.findings import (
    FINDINGS,
    FROM_CONTOUR,
    output_findings,
    rater_findings,
    read_findings,
    write_findings,
)
from trainer.predict import Percents, Predictor
from trainer.sources import opened
from trainer.study.compare import Interval
from trainer.study.pooled import draw
from trainer.study.request import RUNS, open_study, plan_fits
from trainer.study.scores import presence_auroc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.sources import AnyCohort

    Array = NDArray[np.float64]
    Read = dict[str, dict[str, float]]

OUTPUTS = Percents._fields


def gathered(folder: Path, method: str) -> tuple[dict[str, Read], dict[str, str]]:
    """Return the findings of truth and of each output, and the patient of each clip."""
    study = open_study(folder)
    source = opened(study.source)
    patients = {name: source.clip(name).meta.patient for name in source.clips()}
    kept = {name: folder / f"{method}-{name}.csv" for name in (*OUTPUTS, "truth")}
    if not all(path.exists() for path in kept.values()):
        classes = {c.name: i for i, c in enumerate(source.meta.classes)}
        found: dict[str, Read] = {name: {} for name in kept}
        for fit in plan_fits(study):
            if fit.method.name != method:
                continue
            predictor = Predictor.load(folder / RUNS / fit.name, "cpu")
            for name in (n for n, p in patients.items() if p in fit.held_out):
                clip = source.clip(name)
                found["truth"][name] = rater_findings(clip, "truth", classes)
                for output, of in output_findings(clip, predictor).items():
                    found[output][name] = of
        for name, path in kept.items():
            write_findings(found[name], path)
    return {name: read_findings([path]) for name, path in kept.items()}, patients


def compared(
    finding: str, read: dict[str, Read], clips: Sequence[str], weights: Array
) -> tuple[int, list[Array]]:
    """Return clips counted, and resampled: error and bias of each output, gain of probability.

    Of clips of which all three know the finding.
    """
    truth, *of = (np.array([read[name][c][finding] for c in clips]) for name in ("truth", *OUTPUTS))
    known = ~np.isnan([truth, *of]).any(0)
    w = weights[:, known] / weights[:, known].sum(1, keepdims=True)
    power = 2 if finding == "a_lines" else 1
    off = [(v - truth)[known] for v in of]
    errors = [w @ np.abs(d) ** power for d in off]
    return int(known.sum()), [*errors, *(w @ d for d in off), errors[0] - errors[1]]


def outcomes_table(read: dict[str, Read], table: Path, source: AnyCohort) -> Table:
    """Return how well outcomes are predicted from each output's findings, with age and sex."""
    rows, _ = read_table(table, source)
    read = read | {
        "as models are read": {
            clip: {f: read["contour" if f in FROM_CONTOUR else "probability"][clip][f] for f in of}
            for clip, of in read["truth"].items()
        }
    }
    predictions = predict_all(rows, feature_sets(rows, ("age", "sex"), read))
    sources = [Source(name, "model", of, ("",)) for name, of in read.items()]
    shown = Table("outcome", "score", "findings of", "value", "patients")
    for s in score_outcomes(sources, predictions, {}):
        value = f"{s.value:.3g} ({s.low:.3g} to {s.high:.3g})"
        shown.add_row(s.outcome, s.score, s.findings, value, str(s.patients))
    return shown


def _cell(values: Array) -> str:
    i = Interval.of(values)
    return f"{i.value:.3g} ({i.low:.3g} to {i.high:.3g})"


def main() -> None:
    """Read both outputs, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.findings", description=__doc__.splitlines()[0]
    )
    parser.add_argument("study", type=Path)
    parser.add_argument("--method", default="relative-threshold")
    parser.add_argument("--outcomes", type=Path, metavar="TABLE", help="the clinical table")
    arguments = parser.parse_args()
    read, patients = gathered(arguments.study, arguments.method)
    clips = sorted(read["truth"])
    names = sorted({patients[c] for c in clips})
    weights = draw(len(names))[:, [names.index(patients[c]) for c in clips]]
    table = Table("finding", "clips", "error by contour", "by probability", "bias by contour",
                  "by probability", "gain of probability")  # fmt: skip
    for finding in FINDINGS:
        n, values = compared(finding, read, clips, weights)
        table.add_row(finding, str(n), *map(_cell, values))
    there = np.array([read["truth"][c]["a_lines"] >= 0.5 for c in clips])
    aurocs = [
        presence_auroc(np.array([read[o][c]["a_lines"] for c in clips]), there, weights)
        for o in OUTPUTS
    ]
    console = Console(width=150)
    console.print(table)
    console.print(
        "A-lines, AUROC:", *(f"{o} {_cell(a)}" for o, a in zip(OUTPUTS, aurocs, strict=True))
    )
    console.print("gain of probability", _cell(aurocs[1] - aurocs[0]))
    if arguments.outcomes:
        source = opened(open_study(arguments.study).source)
        console.print(outcomes_table(read, arguments.outcomes, source))


if __name__ == "__main__":
    main()
