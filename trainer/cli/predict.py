"""``confseg-train predict``: predictions of a fitted model as planes of a cohort."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.job import PredictRequest
from trainer.cli.jobs import carry_out_new
from trainer.cli.parsing import absolute, add_command, add_compute_options, local_path

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
    parser.add_argument("--clips", nargs="+", default=[], help="clips to mark; all if not given")
    parser.add_argument(
        "--members",
        nargs="+",
        type=local_path,
        default=[],
        metavar="RUN",
        help="more runs: writes their mean, and their uncertainty as "
        "RATER-aleatoric and RATER-epistemic",
    )
    parser.add_argument(
        "--draws", type=int, default=0, help="passes with dropout, which serve as members do"
    )
    parser.add_argument(
        "--replace", action="store_true", help="overwrite what another run marked under that name"
    )
    parser.add_argument(
        "--out",
        type=local_path,
        metavar="FOLDER",
        help="folder of this job; RUN/predictions/001 and so on",
    )
    add_compute_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict, with a job folder of its own."""
    request = PredictRequest(
        run=str(arguments.model.absolute()),
        cohort=absolute(arguments.cohort),
        rater=arguments.rater or arguments.model.absolute().name,
        clips=tuple(arguments.clips),
        members=tuple(str(member.absolute()) for member in arguments.members),
        draws=arguments.draws,
        replace=arguments.replace,
        device=arguments.device,
        threads=arguments.threads,
    )
    folder = arguments.out or _unused(arguments.model / "predictions")
    return carry_out_new(folder, request, as_json=arguments.json)


def _unused(parent: Path) -> Path:
    """Return the first free one of PARENT/001, 002 and so on."""
    number = 1
    while (parent / f"{number:03d}").exists():
        number += 1
    return parent / f"{number:03d}"
