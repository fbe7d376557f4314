"""How every command is declared: purpose, example, ``--json``, exit codes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

DONE, REFUSED, WRONG_USAGE = 0, 1, 2
"""Exit codes: all done; something refused, which is listed; not called correctly."""

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
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog=f"example:\n  {example}\n\nexit code: 0 done, 1 refused (listed), 2 wrong usage",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="one JSON object, for machines")
    return parser


def slug(text: str) -> str:
    """Return `text` if it is a legal name of a patient or clip; for ``add_argument(type=...)``."""
    from napari_confseg.store.schema import check_slug

    try:
        return check_slug(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def positive(text: str) -> float:
    """Return `text` as a number above 0; for ``add_argument(type=...)``."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number
