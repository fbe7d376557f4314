"""``confseg-train starter``: train the model that is shipped, from phantoms alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from trainer.cli.parsing import DONE, add_command, add_fields, fields_of, local_path
from trainer.shipped import STARTER, run_folder
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
    parser.add_argument(
        "--ship",
        action="store_true",
        help="then make it the model that comes with the package; raise VERSION in "
        "trainer/shipped.py first, for weights that were shipped are never changed",
    )
    add_fields(parser, StarterRequest, *StarterRequest.model_fields)


def run(arguments: argparse.Namespace) -> int:
    """Make the phantoms and train; ship what was learnt if that is asked for."""
    from trainer.cli.terminal import report_events
    from trainer.starter.learn import learn_starter
    from trainer.starter.ship import refuse_shipped, ship

    request = StarterRequest(**fields_of(arguments, StarterRequest))
    out = run_folder(STARTER)
    if arguments.ship:
        refuse_shipped(out)  # before hours of work
    with report_events(as_json=arguments.json) as listen:
        result = learn_starter(arguments.out, request, listen)
    if arguments.ship and not result.stopped:
        size = ship(arguments.out, out)
        print(f"{size:,} bytes of weights in {out}", file=sys.stderr)
    return DONE
