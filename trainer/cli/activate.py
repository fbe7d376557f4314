"""``confseg-train activate``: which model of a cohort is the active one."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from napari_confseg.job import STARTER
from trainer.cli.compare import add_part_options
from trainer.cli.parsing import DONE, add_command, add_compute_options, model_folder

if TYPE_CHECKING:
    import argparse

    from napari_confseg.store import Cohort
    from trainer.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "activate",
        run,
        purpose="make a run the active model of a cohort unless it is worse, go back, or show it",
        example="confseg-train activate runs/second demo.zarr --on demo-ds --part test",
    )
    parser.add_argument(
        "model",
        nargs="?",
        type=model_folder,
        metavar="RUN",
        help=f"folder of a fit, or {STARTER}; left out with --back, or to see which is active",
    )
    parser.add_argument("cohort", metavar="COHORT")
    add_part_options(parser, required=False)
    parser.add_argument(
        "--insist", metavar="REASON", help="make it active without a comparison, for this reason"
    )
    parser.add_argument("--back", action="store_true", help="take back the latest change")
    parser.add_argument(
        "--by", metavar="NAME", help="who decides, for the record; default: the account's name"
    )
    add_compute_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Change the active model, or show it with its history."""
    from napari_confseg.job import go_back
    from napari_confseg.store import Cohort

    chosen = arguments.model
    if (chosen and arguments.back) or (arguments.insist is not None and not chosen):
        raise ValueError("name a run and a cohort, or a cohort alone to go back or to look")
    if arguments.insist is not None and not arguments.insist.strip():
        raise ValueError("give a reason with --insist: it is kept in the cohort")
    cohort = Cohort.open(arguments.cohort, read_only=not (chosen or arguments.back))
    by = arguments.by or getpass.getuser()
    if arguments.back:
        go_back(cohort, by=by)
    elif chosen:
        _activate(cohort, by, arguments)
    _show(cohort, as_json=arguments.json)
    return DONE


def _activate(cohort: Cohort, by: str, arguments: argparse.Namespace) -> None:
    from trainer.champion import activate
    from trainer.cli.terminal import progress_bar
    from trainer.compute import set_threads
    from trainer.sources import open_source

    set_threads(arguments.threads)
    with progress_bar("Scoring", quiet=arguments.json) as update:
        activate(
            cohort,
            arguments.model,
            by=by,
            on=open_source(arguments.on) if arguments.on else None,
            part=arguments.part,
            insist=arguments.insist or "",
            device=arguments.device,
            on_progress=update,
        )


def _show(cohort: Cohort, *, as_json: bool) -> None:
    import json

    from rich.console import Console

    from napari_confseg.job import active_model
    from napari_confseg.store.errors import printable

    active = active_model(cohort)
    history = cohort.meta.model_dump(mode="json")["active_models"]
    if as_json:
        shown = {"location": active.location, "name": active.name, "problem": active.problem}
        print(json.dumps({"cohort": cohort.meta.name, "active": shown, "history": history}))
        return
    console = Console()

    def say(text: str) -> None:
        console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    say(f"{cohort.meta.name}: the active model is {active.name}")
    if active.problem:
        say(f"{active.problem}.")
    for change in cohort.meta.active_models:
        insisted = ", insisted" if change.insisted else ""
        say(f"  {change.at:%Y-%m-%d %H:%M} {change.by}{insisted}: {change.name}, {change.why}")
