"""``confseg-train evaluate``: scores of a fitted model against raters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.cli.parsing import (
    DATA,
    DONE,
    add_command,
    add_compute_options,
    local_path,
    model_folder,
)

if TYPE_CHECKING:
    import argparse

    from trainer.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "evaluate",
        run,
        purpose="score a fitted model against raters, clip by clip",
        example="confseg-train evaluate runs/first demo.zarr --against truth --thresholds 50 60",
    )
    parser.add_argument(
        "model",
        type=model_folder,
        metavar="RUN",
        help="folder of a fit, or starter; or of a study, whose models are each scored on the "
        "patients held out from it",
    )
    parser.add_argument("data", metavar="DATA", help=DATA)
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="RATER",
        help="raters to compare with; those learnt from if not given",
    )
    parser.add_argument(
        "--thresholds",
        nargs="+",
        type=int,
        default=[50],
        metavar="PERCENT",
        help="confidence from which a rater's pixel counts as present",
    )
    parser.add_argument(
        "--clips",
        nargs="+",
        default=[],
        help="clips to score; if not given, those kept for a test "
        "(a dataset's part test), else those held out",
    )
    parser.add_argument("--group", metavar="NAME", help="of a study, the rater group learnt from")
    parser.add_argument(
        "--method", metavar="NAME", help="of a study, the method as its page calls it: threshold-50"
    )
    parser.add_argument("--csv", type=local_path, metavar="FILE", help="write one line per case")
    add_compute_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score it, and show or write the scores."""
    from trainer.cli.terminal import print_evaluation, print_json, progress_bar
    from trainer.compute import set_threads
    from trainer.errors import TrainError
    from trainer.evaluate import evaluate
    from trainer.sources import open_source
    from trainer.study.holdouts import evaluate_study, is_study

    set_threads(arguments.threads)
    of_study = is_study(arguments.model)
    which = {"group": arguments.group, "method": arguments.method}
    if of_study and arguments.clips:
        raise TrainError("The clips of a study are those held out", "Leave --clips out.")
    if not of_study and any(which.values()):
        raise TrainError(
            f"{arguments.model} is no study", "Leave --group and --method out, or name a study."
        )
    with progress_bar("Scoring", quiet=arguments.json) as update:
        common = {
            "against": arguments.against,
            "thresholds": arguments.thresholds,
            "device": arguments.device,
            "on_progress": update,
        }
        source = open_source(arguments.data)
        evaluation = (
            evaluate_study(arguments.model, source, **which, **common)
            if of_study
            else evaluate(arguments.model, source, clips=arguments.clips, **common)
        )
    if arguments.csv:
        evaluation.write_csv(arguments.csv)
    if arguments.json:
        print_json(evaluation)
    else:
        print_evaluation(evaluation)
    return DONE
