"""Options that several subcommands of ``confseg-train`` share."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_confseg.job import CONFIG
from napari_confseg.job.scheduler import PORT, address_of, where_problem
from napari_confseg.subcommands import (
    DONE,
    REFUSED,
    WRONG_USAGE,
    Subparsers,
    add_command,
    add_fields,
    fields_of,
    local_path,
)
from trainer.shipped import STARTER, run_folder

__all__ = [
    "DATA",
    "DONE",
    "REFUSED",
    "WRONG_USAGE",
    "Subparsers",
    "absolute",
    "add_command",
    "add_compute_options",
    "add_fields",
    "add_fits_options",
    "fields_of",
    "local_path",
    "model_folder",
    "scheduler_address",
]

DATA = "a cohort (folder or s3:// address), or a frozen dataset (folder that confseg build made)"


def add_compute_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the device and its threads."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves it to torch")


def add_fits_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands that make many fits."""
    parser.add_argument("--folds", type=int, metavar="K", help="default: 5, or a dataset's own")
    parser.add_argument("--size", choices=("study", "quick", "normal"), default="study")
    parser.add_argument("--steps", type=int, help="optimiser steps of each fit")
    parser.add_argument("--jobs", type=int, default=2, help="fits side by side; default: 2")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a dask cluster, instead of jobs")


def model_folder(text: str) -> Path:
    """Return the folder of a run, or of the shipped model; for ``add_argument(type=...)``."""
    if text != STARTER:
        return local_path(text)
    if (Path(text) / CONFIG).exists():
        raise argparse.ArgumentTypeError(
            f"{text} is the model that comes with the package, and there is a run of that name "
            f"here: write ./{text} for the run, or rename it"
        )
    return run_folder(text)


def scheduler_address(text: str) -> str:
    """Return a dask scheduler's address; for ``add_argument(type=...)``."""
    address = address_of(text)
    if not address or where_problem(address):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no address of a dask scheduler, as tcp://gpu-server:{PORT} is"
        )
    return address


def absolute(location: str) -> str:
    """Return `location` as one that is valid in any working folder."""
    return location if "://" in location else str(Path(location).expanduser().absolute())
