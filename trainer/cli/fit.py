"""``confseg-train fit``: a model learns from a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_confseg.job import FitRequest, RunFolder
from napari_confseg.methods import LEVELS, LOSSES, METHODS, Method
from napari_confseg.store import Cohort
from trainer.cli.jobs import carry_out, carry_out_together, is_shared
from trainer.cli.parsing import absolute, add_command, add_compute_options

if TYPE_CHECKING:
    import argparse

    from trainer.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "fit",
        run,
        purpose="fit a model to a cohort",
        example="confseg-train fit demo.zarr --out runs/first --method threshold:t=60",
    )
    parser.add_argument("cohort", metavar="COHORT", help="folder or s3:// address of a cohort")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
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
        help="whom to learn from; all readers, but nobody imported",
    )
    parser.add_argument(
        "--method",
        default="relative-threshold",
        help="NAME[:PARAMETER=NUMBER,...][+LOSS][+LEVELS], e.g. soft, "
        f"threshold:t=60, soft+semimetric. NAME is {', '.join(METHODS)}. LOSS is "
        f"{', '.join(LOSSES)}. LEVELS is {' or '.join(LEVELS)}.",
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
    """Fit, alone or as one of several processes; refused if it fails."""
    classes = arguments.classes or [c.name for c in Cohort.open(arguments.cohort).meta.classes]
    request = FitRequest(
        cohort=absolute(arguments.cohort),
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
    )
    if is_shared():
        return carry_out_together(arguments.out, request, as_json=arguments.json)
    return carry_out(RunFolder.create(arguments.out, request), as_json=arguments.json)
