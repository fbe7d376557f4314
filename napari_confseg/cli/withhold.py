"""``confseg withhold``: on how many frames readers get no suggestions."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from napari_confseg.cli.cohort_rule import add_arguments, show_or_set
from napari_confseg.cli.parsing import add_command

if TYPE_CHECKING:
    from napari_confseg.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "withhold",
        run,
        purpose="show or set on how many frames models suggest nothing, against anchoring",
        example="confseg withhold study.zarr 20",
    )
    add_arguments(
        parser,
        "percent",
        type=_percent,
        help="share of the frames, 0 to 100; which they are is drawn once, the same for everybody",
    )


def _percent(text: str) -> int:
    if not text.isdecimal() or int(text) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage from 0 to 100")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Show it, or set it."""
    return show_or_set(
        arguments,
        "withheld",
        arguments.percent,
        lambda change: f"{change.percent} %",
        "nothing is suggested on {} % of the frames",
    )
