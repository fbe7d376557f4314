"""``confseg series``: what a DICOMDIR lists, to pick from."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_confseg.cli.parsing import DONE, add_command

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from napari_confseg.cli.parsing import Subparsers


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "series",
        run,
        purpose="list the series of a DICOMDIR, for confseg import --series",
        example="confseg series /media/disc",
    )
    parser.add_argument("source", metavar="DICOMDIR", help="DICOMDIR, or a folder that holds one")


def run(arguments: argparse.Namespace) -> int:
    """List them."""
    from napari_confseg.cli.terminal import print_json, print_table
    from napari_confseg.ingest.sources import list_series, the_index

    with unreadable(arguments.source):
        series = list_series(the_index(arguments.source))
    if arguments.json:
        print_json(
            {
                "series": [
                    {
                        "number": s.number,
                        "patient": s.patient,
                        "study": s.study,
                        "day": s.day,
                        "modality": s.modality,
                        "frames": [n for _, n in s.clips],
                    }
                    for s in series
                ]
            }
        )
        return DONE
    rows = [
        (
            str(s.number),
            str(s.patient),
            str(s.study),
            "" if s.day is None else str(s.day),
            s.modality,
            str(len(s.clips)),
            ", ".join(str(n or "?") for _, n in s.clips),
        )
        for s in series
    ]
    headings = (">series", ">patient", ">study", ">day", "modality", ">clips", "frames")
    print_table(f"Listed in {arguments.source}", headings, rows)
    return DONE


@contextmanager
def unreadable(source: str) -> Iterator[None]:
    """Say of a DICOMDIR that cannot be used what the command line says of a cohort."""
    from napari_confseg.ingest import IngestError
    from napari_confseg.store import Problem, StoreError

    try:
        yield
    except IngestError as error:
        raise StoreError(
            Problem(
                "dicomdir",
                source,
                str(error),
                hint="Give one DICOMDIR, or a folder that holds one.",
            )
        ) from error
