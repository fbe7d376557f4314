"""How both command lines declare a subcommand: purpose, example, ``--json``, exit codes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What :func:`add_command` adds to."""

DONE, REFUSED, WRONG_USAGE = 0, 1, 2
"""Exit codes: all done; something refused, which is listed; not called correctly."""

Run: TypeAlias = Callable[[argparse.Namespace], int]


def local_path(text: str) -> Path:
    """Return `text` as a path on this machine; for ``add_argument(type=...)``.

    An address such as s3://... would become a folder called ``s3:`` in the working folder.
    """
    if "://" in text:
        raise argparse.ArgumentTypeError(
            f"{text} is an address, and this has to be a file or folder on this machine"
        )
    return Path(text)


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
    parser.add_argument("--json", action="store_true", help="JSON for machines, and nothing else")
    return parser
