"""How commands are declared, and the options that several of them take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

DONE, REFUSED, WRONG_USAGE = 0, 1, 2
"""Exit codes: all done; something refused, which is told; not called correctly."""

Run = Callable[[argparse.Namespace], int]


def add_command(
    commands: Subparsers, name: str, run: Run, *, purpose: str, example: str
) -> argparse.ArgumentParser:
    """Declare a command.

    Parameters
    ----------
    commands : argparse subparsers
        Where it is added.
    name : str
        What people type.
    run : callable
        Does it, and returns the exit code.
    purpose : str
        A sentence without capital and full stop.
    example : str
        A whole command line.
    """
    parser = commands.add_parser(
        name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".",
        epilog=f"example: {example}",
    )  # fmt: skip
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for machines")
    return parser


def add_compute_options(parser: argparse.ArgumentParser) -> None:
    """Let a command be told where it computes."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves it to torch")


def add_fits_options(parser: argparse.ArgumentParser) -> None:
    """Let a command be told how it makes its many fits."""
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--size", choices=("study", "quick", "normal"), default="study")
    parser.add_argument("--steps", type=int, help="optimiser steps of each fit")
    parser.add_argument("--jobs", type=int, default=2, help="fits side by side; default: 2")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a dask cluster, instead of jobs")


def absolute(location: str) -> str:
    """Return an address that holds in another working folder, too."""
    return location if "://" in location else str(Path(location).expanduser().absolute())
