"""``confseg-train serve``: a model kept warm for the viewer."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from trainer.cli.parsing import DONE, add_command

if TYPE_CHECKING:
    import argparse

    from trainer.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    add_command(
        commands,
        "serve",
        run,
        purpose="answer the viewer's requests for suggestions until stdin ends; it starts this",
        example="confseg-train serve",
    )


def run(arguments: argparse.Namespace) -> int:
    """Answer on stdin and stdout."""
    if hasattr(os, "nice"):
        os.nice(5)  # the brush goes first
    # Whatever prints must not get between the messages: it goes where errors go.
    outgoing = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    from trainer.compute import set_threads
    from trainer.serve import serve

    set_threads(max((os.cpu_count() or 1) - 1, 1))  # one is the viewer's
    serve(sys.stdin.buffer, outgoing)
    return DONE
