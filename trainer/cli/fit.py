"""``confseg-train fit``: fit a model to a cohort or a frozen dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.job import STARTER, FitRequest
from napari_confseg.methods import DEFAULT, LEVELS, LOSSES, METHODS, Method
from napari_confseg.store import Cohort
from trainer.cli.jobs import add_where, carry_out_new, carry_out_together, is_shared
from trainer.cli.parsing import (
    DATA,
    absolute,
    add_command,
    add_compute_options,
    add_fields,
    fields_of,
    local_path,
    model_folder,
)
from trainer.shipped import is_shipped

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
    add_fields(parser, FitRequest, "raters", "held_out", "fold")
    parser.add_argument(
        "--method",
        default=DEFAULT,
        help=f"{FitRequest.model_fields['method'].description}. NAME is {', '.join(METHODS)}. "
        f"LOSS is {', '.join(LOSSES)}. LEVELS is {' or '.join(LEVELS)}.",
    )
    parser.add_argument(
        "--from",
        dest="base",
        metavar="RUN",
        type=model_folder,
        help=FitRequest.model_fields["base"].description,
    )
    add_fields(parser, FitRequest, "size", "steps", "seed", "dropout", "precision", "compile")
    add_fields(parser, FitRequest, "preview_clip")
    add_compute_options(parser)
    add_where(parser)


def run(arguments: argparse.Namespace) -> int:
    """Fit, in one process or as one of several."""
    request = _request(arguments)
    if is_shared():
        return carry_out_together(arguments.out, request, as_json=arguments.json)
    return carry_out_new(arguments.out, request, as_json=arguments.json, where=arguments.where)


def _request(arguments: argparse.Namespace) -> FitRequest:
    from trainer.sources import located, open_source

    source = open_source(arguments.data)
    frozen = not isinstance(source, Cohort)
    base = arguments.base
    classes = arguments.classes or [c.name for c in source.meta.classes]
    given = fields_of(arguments, FitRequest) | {
        "cohort": None if frozen else absolute(arguments.data),
        # The version, not the dataset: a newer one must not change what a resumed fit reads.
        "dataset": located(source, arguments.data) if frozen else None,
        "rater": arguments.rater or arguments.out.name,
        "classes": tuple(classes),
        # The shipped model by its name, which means the same on another machine.
        "base": base and (STARTER if is_shipped(base) else absolute(str(base))),
        "method": Method.parse(arguments.method),
    }
    return FitRequest(**given)
