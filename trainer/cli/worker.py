"""``confseg-train worker``: carry out runs of others."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from trainer.cli.parsing import DONE, add_command, scheduler_address

if TYPE_CHECKING:
    import argparse

    from trainer.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "worker",
        run,
        purpose="carry out runs of a dask scheduler on this machine, until interrupted",
        example="confseg-train worker tcp://gpu-server:8786",
    )
    parser.add_argument(
        "scheduler",
        type=scheduler_address,
        metavar="ADDRESS",
        help="of the scheduler: tcp://HOST:PORT",
    )


def run(arguments: argparse.Namespace) -> int:
    """Work until interrupted."""
    import torch

    from trainer.remote import serve

    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    serve(arguments.scheduler, torch.cuda.device_count(), tell)
    return DONE
