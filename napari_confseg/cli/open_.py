"""``confseg open``: a cohort in napari, ready to be read."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from napari_confseg.cli.parsing import REFUSED, add_command
from napari_confseg.extras import absent

if TYPE_CHECKING:
    import argparse

    from napari_confseg.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "open",
        run,
        purpose="open napari on a cohort, at the first clip with work left or the one named",
        example="confseg open study.zarr clip-10a2924a --reader 'Dr. Ada'",
    )
    parser.add_argument("cohort", metavar="COHORT", help="folder, zip or s3:// address")
    parser.add_argument("clip", nargs="?", metavar="CLIP", help="the clip to open")
    parser.add_argument(
        "--reader", default="", metavar="NAME", help="who reads (default: as the last time)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Open the window and return when it is closed."""
    problem = absent("viewer", "the window")
    if problem:
        print(f"confseg: {problem}", file=sys.stderr)
        return REFUSED
    from napari_confseg.store import Cohort

    cohort = Cohort.open(arguments.cohort)  # what is wrong with it is told here, not in a window
    if arguments.clip:
        cohort.clip(arguments.clip)
    from napari_confseg.widgets.window import run_window

    return run_window(arguments.cohort, arguments.clip, arguments.reader)
