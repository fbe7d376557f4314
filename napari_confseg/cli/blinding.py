"""``confseg blinding``: whether a cohort's readers see each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.cli.parsing import DONE, add_command

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
    parser.add_argument("cohort", metavar="COHORT", help="folder, zip or s3:// address")
    parser.add_argument(
        "rule",
        metavar="RULE",
        nargs="?",
        choices=RULES,
        help="none; until-reviewed: once their own clip is; always: only if a reviewer lets them",
    )
    parser.add_argument(
        "--by", metavar="NAME", help="who sets it, for the record; default: the reader here"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show it, or set it."""
    from napari_confseg.annotate.preferences import Preferences, account_name
    from napari_confseg.cli.terminal import console, print_json
    from napari_confseg.store import Cohort

    cohort = Cohort.open(arguments.cohort, read_only=arguments.rule is None)
    if arguments.rule is not None:
        by = arguments.by or Preferences.load().reader or account_name()
        cohort.update_meta(blinding=arguments.rule, by=by)
    meta = cohort.meta
    if arguments.json:
        changes = meta.model_dump(mode="json")["blinding_changes"]
        print_json({"cohort": meta.name, "blinding": meta.blinding, "changes": changes})
        return DONE
    console().print(f"{meta.name}: {meta.blinding}")
    for change in meta.blinding_changes:
        console().print(f"  {change.at:%Y-%m-%d %H:%M} {change.by}: {change.rule}", markup=False)
    return DONE
