"""``confseg consensus``: the consensus of several raters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.cli.parsing import DONE, add_command, add_fields, request_from

if TYPE_CHECKING:
    import argparse

    from napari_confseg.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    add_command(
        commands,
        "consensus",
        run,
        purpose="write the consensus of several raters into the cohort, as one more rater",
        example="confseg consensus study.zarr --method calibrated",
        declare=_declare,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    from napari_confseg.agreement.consensus import ConsensusRequest

    parser.add_argument("cohort", metavar="COHORT", help="folder or s3:// address")
    add_fields(parser, ConsensusRequest, "method", "name", "raters", "classes", "clips")
    add_fields(parser, ConsensusRequest, "least", threshold="--at")


def run(arguments: argparse.Namespace) -> int:
    """Make the consensus; refused if a name is taken or a class unknown."""
    from dataclasses import asdict

    from napari_confseg.agreement.consensus import ConsensusRequest, make_consensus
    from napari_confseg.agreement.rater_view import rater_titles
    from napari_confseg.cli.terminal import console, print_json, progress_bar
    from napari_confseg.store import Cohort

    cohort = Cohort.open(arguments.cohort)
    request = request_from(arguments, ConsensusRequest)
    with progress_bar(quiet=arguments.json) as progress:
        report = make_consensus(cohort, request, progress=progress)
    if arguments.json:
        print_json(asdict(report))
    else:
        console().print(
            f"Written as rater {report.rater!r}: {report.method} consensus of "
            f"{', '.join(rater_titles(cohort, report.raters))}, on {len(report.clips)} clips, "
            f"{report.frames} planes (a plane is one class on one frame)."
        )
    return DONE
