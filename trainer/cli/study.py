"""``confseg-train study``: comparison of methods and rater groups."""

from __future__ import annotations

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


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "study",
        run,
        purpose="fit every method to every rater group, and compare",
        example="confseg-train study lung.zarr --out studies/first --methods threshold soft "
        "--folds 3",
    )
    parser.add_argument("data", metavar="DATA", help=DATA)
    parser.add_argument(
        "--out",
        type=local_path,
        required=True,
        metavar="STUDY",
        help="folder of the study; resumed if it exists",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        default=["threshold", "soft"],
        metavar="METHOD",
        help="as in fit; 'threshold' alone: all of --thresholds",
    )
    parser.add_argument(
        "--thresholds",
        default="10:90:10",
        metavar="FIRST:LAST:STEP",
        help="training thresholds, percent; default: %(default)s",
    )
    parser.add_argument(
        "--groups",
        nargs="+",
        default=[],
        metavar="NAME=RATER,...",
        help="rater groups, each learnt from on its own; all readers if not given",
    )
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="[GROUP=]RATER,...",
        help="raters or rater groups to compare with, for one rater group or for all: the mean of "
        "their confidences, without those learnt from; if not given, the truth where it is known, "
        "else the readers learnt from",
    )
    parser.add_argument(
        "--domains",
        nargs="+",
        default=[],
        metavar="TAG",
        help="hold out the clips with each tag in turn, instead of folds",
    )
    parser.add_argument(
        "--classes", nargs="+", default=[], help="classes to learn; all if not given"
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        help="repetitions, with other initial weights; a verdict takes two or more",
    )
    add_fits_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do the remaining fits and write the page; 1 if stopped."""
    from trainer.cli.studies import (
        all_classes,
        folds_of,
        parse_against,
        parse_groups,
        parse_methods,
        parse_range,
        run_remaining,
    )
    from trainer.sources import located, open_source
    from trainer.study.request import StudyRequest

    source = open_source(arguments.data)
    groups = parse_groups(arguments.groups, source)
    request = StudyRequest(
        source=located(source, absolute(arguments.data)),
        classes=tuple(arguments.classes) or all_classes(source),
        groups=groups,
        methods=parse_methods(arguments.methods, parse_range(arguments.thresholds)),
        folds=len(arguments.domains) or folds_of(source, arguments.folds),
        domains=tuple(arguments.domains),
        against=parse_against(arguments.against, groups),
        seeds=arguments.seeds,
        size=arguments.size,
        steps=arguments.steps,
    )
    return DONE if run_remaining(arguments.out, request, arguments) else REFUSED
