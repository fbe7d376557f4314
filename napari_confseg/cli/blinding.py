"""``confseg blinding``: whether a cohort's readers see each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.cli.cohort_rule import add_arguments, show_or_set
from napari_confseg.cli.parsing import add_command

if TYPE_CHECKING:
    import argparse

    from napari_confseg.cli.parsing import Subparsers

RULES = ("none", "until-reviewed", "always")


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "blinding",
        run,
        purpose="show or set whether readers see each other",
        example="confseg blinding study.zarr until-reviewed",
    )
    add_arguments(
        parser,
        "rule",
        choices=RULES,
        help="none; until-reviewed: once their own clip is; always: only if a reviewer lets them",
    )


def run(arguments: argparse.Namespace) -> int:
    """Show it, or set it."""
    return show_or_set(arguments, "blinding", arguments.rule, lambda change: str(change.rule))
