"""``confseg withhold``: on how many frames readers get no suggestions."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from napari_confseg.cli.parsing import DONE, add_command

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
    parser.add_argument("cohort", metavar="COHORT", help="folder, zip or s3:// address")
    parser.add_argument(
        "percent",
        metavar="PERCENT",
        nargs="?",
        type=_percent,
        help="share of the frames, 0 to 100; which they are is drawn once, the same for everybody",
    )
    parser.add_argument(
        "--by", metavar="NAME", help="who sets it, for the record; default: the reader here"
    )


def _percent(text: str) -> int:
    if not text.isdecimal() or int(text) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage from 0 to 100")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Show it, or set it."""
    from napari_confseg.annotate.preferences import Preferences, account_name
    from napari_confseg.cli.terminal import console, print_json
    from napari_confseg.store import Cohort

    cohort = Cohort.open(arguments.cohort, read_only=arguments.percent is None)
    if arguments.percent is not None:
        by = arguments.by or Preferences.load().reader or account_name()
        cohort.update_meta(withheld=arguments.percent, by=by)
    meta = cohort.meta
    if arguments.json:
        changes = meta.model_dump(mode="json")["withheld_changes"]
        print_json({"cohort": meta.name, "withheld": meta.withheld, "changes": changes})
        return DONE
    console().print(f"{meta.name}: nothing is suggested on {meta.withheld} % of the frames")
    for change in meta.withheld_changes:
        line = f"  {change.at:%Y-%m-%d %H:%M} {change.by}: {change.percent} %"
        console().print(line, markup=False)
    return DONE
