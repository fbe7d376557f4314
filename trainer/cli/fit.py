"""``confseg-train fit``: fit a model to a cohort or a frozen dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.job import FitRequest
from napari_confseg.methods import LEVELS, LOSSES, METHODS, Method
from napari_confseg.store import Cohort
from trainer.cli.jobs import carry_out_new, carry_out_together, is_shared
from trainer.cli.parsing import DATA, absolute, add_command, add_compute_options, local_path

if TYPE_CHECKING:
    import argparse

    from trainer.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "fit",
        run,
        purpose="fit a model to a cohort or dataset, or resume that fit if it was stopped",
        example="confseg-train fit demo.zarr --out runs/first --method threshold:t=60",
    )
    parser.add_argument("data", metavar="DATA", help=DATA)
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="RUN", help="folder of the run"
    )
    parser.add_argument(
        "--rater", help="the model's name in the cohort; the run's name if not given"
    )
    parser.add_argument(
        "--classes", nargs="+", default=[], help="classes to learn; all if not given"
    )
    parser.add_argument(
        "--raters",
        nargs="+",
        default=[],
        help="whom to learn from; default: all readers of a cohort, all raters of a dataset",
    )
    parser.add_argument(
        "--held-out",
        nargs="+",
        default=[],
        metavar="PATIENT",
        help="patients kept for a test: not learnt from, not validated on",
    )
    parser.add_argument(
        "--fold",
        type=int,
        metavar="K",
        help="fold of a dataset, from 0, kept for a test; if not given, its parts "
        "train, val and test decide",
    )
    parser.add_argument(
        "--method",
        default="relative-threshold",
        help="NAME[:PARAMETER=NUMBER,...][+LOSS][+OUTPUT], e.g. soft, "
        f"threshold:t=60, soft+semimetric. NAME is {', '.join(METHODS)}. LOSS is "
        f"{', '.join(LOSSES)}. OUTPUT is {' or '.join(LEVELS)}.",
    )
    parser.add_argument("--size", choices=("study", "quick", "normal"), default="quick")
    parser.add_argument("--steps", type=int, help="optimiser steps; the size's own number")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--dropout",
        type=float,
        default=0,
        help="share of units dropped, e.g. 0.1; for predict --draws",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        default="auto",
        help="of the network's arithmetic; default: what is fastest here. Name one "
        "where fits on several machines must equal each other",
    )
    parser.add_argument("--compile", action="store_true", help="compile the network (minutes)")
    parser.add_argument("--preview-clip", metavar="CLIP", help="mark this clip at each improvement")
    add_compute_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Fit, in one process or as one of several."""
    request = _request(arguments)
    if is_shared():
        return carry_out_together(arguments.out, request, as_json=arguments.json)
    return carry_out_new(arguments.out, request, as_json=arguments.json)


def _request(arguments: argparse.Namespace) -> FitRequest:
    from trainer.sources import located, open_source

    source = open_source(arguments.data)
    frozen = not isinstance(source, Cohort)
    classes = arguments.classes or [c.name for c in source.meta.classes]
    return FitRequest(
        cohort=None if frozen else absolute(arguments.data),
        # The version, not the dataset: a newer one must not change what a resumed fit reads.
        dataset=located(source, arguments.data) if frozen else None,
        fold=arguments.fold,
        rater=arguments.rater or arguments.out.name,
        classes=tuple(classes),
        raters=tuple(arguments.raters),
        method=Method.parse(arguments.method),
        size=arguments.size,
        device=arguments.device,
        seed=arguments.seed,
        steps=arguments.steps,
        threads=arguments.threads,
        dropout=arguments.dropout,
        precision=arguments.precision,
        compile=arguments.compile,
        preview_clip=arguments.preview_clip,
        held_out=tuple(arguments.held_out),
    )
