"""``confseg consensus``: the consensus of several raters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.agreement.methods import DEFAULT, METHODS
from napari_confseg.cli.parsing import DONE, add_command, slug

if TYPE_CHECKING:
    import argparse

    from napari_confseg.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "consensus",
        run,
        purpose="write the consensus of several raters into the cohort, as one more rater",
        example="confseg consensus study.zarr --method calibrated",
    )
    parser.add_argument("cohort", metavar="COHORT", help="folder or s3:// address")
    parser.add_argument("--method", choices=METHODS, default=DEFAULT, help=f"default: {DEFAULT}")
    parser.add_argument("--name", type=slug, help="of the new rater (default: the method)")
    parser.add_argument(
        "--raters",
        nargs="+",
        type=slug,
        default=[],
        metavar="R",
        help="raters to combine (default: every reader, but nothing imported)",
    )
    parser.add_argument(
        "--classes", nargs="+", type=slug, default=[], metavar="C", help="default: all"
    )
    parser.add_argument("--clips", nargs="+", type=slug, default=[], help="default: all")
    parser.add_argument(
        "--at",
        type=int,
        default=50,
        metavar="PERCENT",
        help="confidence that counts as marked: majority and staple (default: 50)",
    )
    parser.add_argument(
        "--least",
        type=int,
        default=2,
        metavar="N",
        help="raters who must have reviewed a frame (default: 2)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the consensus; refused if a name is taken or a class unknown."""
    from dataclasses import asdict

    from napari_confseg.agreement.consensus import make_consensus
    from napari_confseg.agreement.rater_view import rater_titles
    from napari_confseg.cli.terminal import console, print_json, progress_bar
    from napari_confseg.store import Cohort

    cohort = Cohort.open(arguments.cohort)
    with progress_bar(quiet=arguments.json) as progress:
        report = make_consensus(
            cohort,
            arguments.method,
            name=arguments.name,
            raters=arguments.raters,
            classes=arguments.classes,
            clips=arguments.clips,
            threshold=arguments.at,
            least=arguments.least,
            progress=progress,
        )
    if arguments.json:
        print_json(asdict(report))
    else:
        console().print(
            f"{report.method} of {', '.join(rater_titles(cohort, report.raters))} stands as rater "
            f"{report.rater!r} on "
            f"{len(report.clips)} clips ({report.frames} frames and classes)."
        )
    return DONE
