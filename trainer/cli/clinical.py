"""``confseg-train clinical``: findings of raters and models, and outcomes predicted from them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from trainer.cli.parsing import (
    DATA,
    DONE,
    REFUSED,
    absolute,
    add_command,
    add_fits_options,
    local_path,
)

if TYPE_CHECKING:
    import argparse

    from trainer.cli.parsing import Subparsers
    from trainer.sources import AnyCohort
    from trainer.study.request import StudyRequest


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "clinical",
        run,
        purpose="derive findings from planes and predict outcomes of patients",
        example="confseg-train clinical lung.zarr --table lung-clinical.csv --out clinical/first",
    )
    parser.add_argument("data", metavar="DATA", help=DATA)
    parser.add_argument(
        "--table",
        type=local_path,
        required=True,
        metavar="CSV",
        help="one line per patient and day, as sample data has it",
    )
    parser.add_argument(
        "--out",
        type=local_path,
        required=True,
        metavar="FOLDER",
        help="for models, findings and report; resumed if it exists",
    )
    parser.add_argument(
        "--methods", nargs="+", default=["threshold", "soft"], metavar="METHOD", help="as in study"
    )
    parser.add_argument(
        "--thresholds",
        default="30:90:20",
        metavar="FIRST:LAST:STEP",
        help="training thresholds, percent; default: %(default)s",
    )
    parser.add_argument(
        "--raters",
        nargs="+",
        default=[],
        help="raters to learn from; all readers, but nobody imported, by default",
    )
    parser.add_argument(
        "--no-models",
        action="store_true",
        help="fit nothing: predict from the findings of the raters alone",
    )
    parser.add_argument(
        "--covariates",
        nargs="*",
        default=["age", "sex"],
        metavar="COLUMN",
        help="predictors beside the findings; default: age sex",
    )
    add_fits_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do the remaining work and write the report; 1 if stopped."""
    from rich.console import Console

    from trainer.cli.studies import run_remaining
    from trainer.cli.terminal import print_json, progress_bar
    from trainer.clinical.features import common_zones, feature_sets, repeated
    from trainer.clinical.outcomes import predict_all
    from trainer.clinical.report import write_report
    from trainer.clinical.sources import (
        MODELS,
        all_raters,
        model_sources,
        rater_sources,
        unscaled,
    )
    from trainer.clinical.table import check_covariates, read_table
    from trainer.sources import open_source

    source = open_source(arguments.data)
    rows, left_out = read_table(arguments.table, source)
    if left_out:
        what = "Lines of the table left out, of clips that are not frozen"
        print(f"{what}: {left_out}", file=sys.stderr)
    names = check_covariates(tuple(arguments.covariates))
    request = None if arguments.no_models else _request(arguments, source)
    if request and not run_remaining(arguments.out / MODELS, request, arguments):
        return REFUSED
    with progress_bar("Findings", quiet=arguments.json) as update:
        sources = rater_sources(arguments.out, source, rows, update)
        sources += model_sources(arguments.out, request) if request else []
        findings = {s.name: s.findings for s in sources}
        update(0, 0, "Predicting outcomes")
        predictions = predict_all(rows, feature_sets(rows, names, findings))
        same_day, by_zone, zones = {}, {}, common_zones(rows)
        if repeated(rows):
            today = feature_sets(rows, names, findings, over_time=False)
            same_day = predict_all(rows, {name: today[name] for name in findings})
        if len(zones) > 1:
            each = feature_sets(rows, names, findings, by_zone=True)
            by_zone = predict_all(rows, {name: each[name] for name in findings})
    result = write_report(
        arguments.out,
        rows,
        sources,
        predictions,
        same_day,
        by_zone,
        zones=zones,
        unscaled=unscaled(source, rows),
        synthetic="truth" in all_raters(source),
    )
    if arguments.json:
        print_json(result)
    else:
        Console().print(f"Report: {result.report}")
    return DONE


def _request(arguments: argparse.Namespace, source: AnyCohort) -> StudyRequest:
    from trainer.cli.studies import (
        all_classes,
        all_teachers,
        folds_of,
        parse_methods,
        parse_range,
    )
    from trainer.sources import located
    from trainer.study.request import StudyRequest

    return StudyRequest(
        source=located(source, absolute(arguments.data)),
        classes=all_classes(source),
        groups={"everybody": tuple(arguments.raters) or all_teachers(source)},
        methods=parse_methods(arguments.methods, parse_range(arguments.thresholds)),
        folds=folds_of(source, arguments.folds),
        size=arguments.size,
        steps=arguments.steps,
        findings=True,
    )
