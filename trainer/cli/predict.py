"""``confseg-train predict``: predictions of a fitted model as planes of a cohort."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.job import PredictRequest
from trainer.cli.jobs import add_where, carry_out_new
from trainer.cli.parsing import (
    absolute,
    add_command,
    add_compute_options,
    add_fields,
    fields_of,
    local_path,
)

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from trainer.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "predict",
        run,
        purpose="let a fitted model mark clips of a cohort",
        example="confseg-train predict runs/first demo.zarr",
    )
    parser.add_argument("model", type=local_path, metavar="RUN", help="folder of a fit")
    parser.add_argument("cohort", metavar="COHORT")
    parser.add_argument("--rater", help="the model's name in the cohort; the run's if not given")
    add_fields(parser, PredictRequest, "clips", "draws", "replace")
    parser.add_argument(
        "--members",
        nargs="+",
        type=local_path,
        default=[],
        metavar="RUN",
        help=PredictRequest.model_fields["members"].description,
    )
    parser.add_argument(
        "--out",
        type=local_path,
        metavar="FOLDER",
        help="folder of this job; RUN/predictions/001 and so on",
    )
    add_compute_options(parser)
    add_where(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict into a job folder; refused if it fails."""
    given = fields_of(arguments, PredictRequest) | {
        "run": str(arguments.model.absolute()),
        "cohort": absolute(arguments.cohort),
        "rater": arguments.rater or arguments.model.absolute().name,
        "members": tuple(str(member.absolute()) for member in arguments.members),
    }
    request = PredictRequest(**given)
    folder = arguments.out or _unused(arguments.model / "predictions")
    return carry_out_new(folder, request, as_json=arguments.json, where=arguments.where)


def _unused(parent: Path) -> Path:
    """Return the first free one of PARENT/001, 002 and so on."""
    number = 1
    while (parent / f"{number:03d}").exists():
        number += 1
    return parent / f"{number:03d}"
