"""``confseg-train starter``: train the model that is shipped, from phantoms alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.cli.parsing import DONE, add_command, add_fields, fields_of, local_path
from trainer.starter.request import StarterRequest

if TYPE_CHECKING:
    import argparse

    from trainer.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "starter",
        run,
        purpose="train a starter model on simulated frames, or resume that if it was stopped",
        example="confseg-train starter --out runs/starter",
    )
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="FOLDER", help="folder of the run"
    )
    add_fields(parser, StarterRequest, *StarterRequest.model_fields)


def run(arguments: argparse.Namespace) -> int:
    """Make the phantoms and train."""
    from trainer.cli.terminal import report_events
    from trainer.starter.learn import learn_starter

    request = StarterRequest(**fields_of(arguments, StarterRequest))
    with report_events(as_json=arguments.json) as listen:
        learn_starter(arguments.out, request, listen)
    return DONE
