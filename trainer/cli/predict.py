"""``confseg-train predict``: predictions of a fitted model as planes of a cohort."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.job import PredictRequest
from napari_confseg.store.journal import journal_folder
from trainer.cli.jobs import add_where, carry_out_new
from trainer.cli.parsing import (
    absolute,
    add_command,
    add_compute_options,
    add_fields,
    fields_of,
    local_path,
    model_folder,
)
from trainer.shipped import STARTER, is_shipped

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
    parser.add_argument(
        "model",
        type=model_folder,
        metavar="RUN",
        help=f"folder of a fit, or {STARTER}: the model that comes with the package "
        f"(a folder of that name is ./{STARTER})",
    )
    parser.add_argument("cohort", metavar="COHORT")
    parser.add_argument("--rater", help="the model's name in the cohort; the run's if not given")
    add_fields(parser, PredictRequest, "clips", "draws", "replace")
    parser.add_argument(
        "--members",
        nargs="+",
        type=model_folder,
        default=[],
        metavar="RUN",
        help=PredictRequest.model_fields["members"].description,
    )
    parser.add_argument(
        "--out",
        type=local_path,
        metavar="FOLDER",
        help="folder of this job; RUN/predictions/001 and so on, of the shipped model in the "
        "user's state folder",
    )
    add_compute_options(parser)
    add_where(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict into a job folder; refused if it fails."""
    shipped = is_shipped(arguments.model)
    model = arguments.model.absolute()
    given = fields_of(arguments, PredictRequest) | {
        # By its name, which means the same on another machine.
        "run": STARTER if shipped else str(model),
        "cohort": absolute(arguments.cohort),
        "rater": arguments.rater or (STARTER if shipped else model.name),
        "members": tuple(
            STARTER if is_shipped(member) else str(member.absolute())
            for member in arguments.members
        ),
    }
    request = PredictRequest(**given)
    # The package's own folder may belong to somebody else.
    home = journal_folder() / STARTER if shipped else model
    folder = arguments.out or _unused(home / "predictions")
    return carry_out_new(folder, request, as_json=arguments.json, where=arguments.where)


def _unused(parent: Path) -> Path:
    """Return the first free one of PARENT/001, 002 and so on."""
    number = 1
    while (parent / f"{number:03d}").exists():
        number += 1
    return parent / f"{number:03d}"
