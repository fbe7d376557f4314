"""What the subcommands of ``confseg`` are made with; and arguments that are checked when read."""

from __future__ import annotations

import argparse

from napari_confseg.subcommands import (
    DONE,
    REFUSED,
    WRONG_USAGE,
    Subparsers,
    add_command,
    local_path,
)

__all__ = [
    "DONE",
    "REFUSED",
    "WRONG_USAGE",
    "Subparsers",
    "add_command",
    "local_path",
    "positive",
    "slug",
]


def slug(text: str) -> str:
    """Return `text` if it is a legal name of a patient or clip; for ``add_argument(type=...)``."""
    from napari_confseg.store.schema import check_slug

    try:
        return check_slug(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def positive(text: str) -> float:
    """Return `text` as a number above 0; for ``add_argument(type=...)``."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number
