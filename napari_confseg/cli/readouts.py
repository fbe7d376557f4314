"""``confseg readouts``: what raters' marks say of the lung, clip by clip."""

from __future__ import annotations

from dataclasses import asdict
from math import isnan
from typing import TYPE_CHECKING, Any

from napari_confseg.cli.parsing import DONE, REFUSED, add_command, local_path, slug

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from napari_confseg.cli.parsing import Subparsers
    from napari_confseg.readouts.table import Line
    from napari_confseg.store import Problem

MOST_ROWS = 60
"""Lines that are printed; a file holds them all."""


def add(commands: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        commands,
        "readouts",
        run,
        purpose="read pleural line, B-lines and areas off the marks of each clip",
        example="confseg readouts study.zarr --raters anna --out readouts.csv",
    )
    parser.add_argument("cohort", metavar="COHORT", help="folder, zip or s3:// address")
    parser.add_argument(
        "--raters", nargs="+", type=slug, default=[], metavar="R", help="default: all"
    )
    parser.add_argument("--clips", nargs="+", type=slug, default=[], help="default: all")
    parser.add_argument(
        "--out",
        type=local_path,
        metavar="CSV",
        help="write one line a clip, rater and read-out",
    )


def run(arguments: argparse.Namespace) -> int:
    """Read out; 1 if a rater is unknown, nobody reviewed a frame, or a clip can't be read."""
    from napari_confseg.cli.terminal import console, print_json, print_problems, progress_bar
    from napari_confseg.readouts.table import clip_lines, write_lines
    from napari_confseg.store import Cohort, Problem, StoreError

    cohort = Cohort.open(arguments.cohort, read_only=True)
    lines: list[Line] = []
    problems: list[Problem] = []
    found: set[str] = set()
    names = arguments.clips or list(cohort.clips())
    with progress_bar(quiet=arguments.json) as progress:
        for done, name in enumerate(names):
            progress(done, len(names), name)
            try:
                clip = cohort.clip(name)
                found |= set(clip.raters())
                lines += clip_lines(clip, arguments.raters)
            except StoreError as error:
                problems += error.problems
    for rater in sorted(set(arguments.raters) - found):
        problems.append(Problem("rater-unknown", cohort.location, f"There is no rater {rater}"))
    if not lines and not problems:
        problems.append(
            Problem(
                "nothing-reviewed",
                cohort.location,
                "Nobody has reviewed a frame in every class",
                hint="mark frames reviewed: elsewhere what is not marked is unknown, not absent",
            )
        )
    if arguments.out:
        write_lines(lines, arguments.out)
    if arguments.json:
        print_json(_facts(lines, problems))
        return REFUSED if problems else DONE
    _print(lines)
    if arguments.out:
        console().print(f"Read-outs: {arguments.out}")
    if problems:
        print_problems(problems)
    return REFUSED if problems else DONE


def _facts(lines: Sequence[Line], problems: Sequence[Problem]) -> dict[str, Any]:
    """Return the lines as plain data; what is undefined is None."""
    rows = [
        {k: None if isinstance(v, float) and isnan(v) else v for k, v in asdict(line).items()}
        for line in lines
    ]
    return {"readouts": rows, "problems": [p.as_dict() for p in problems]}


def _print(lines: Sequence[Line]) -> None:
    from napari_confseg.cli.terminal import console, print_table

    shown = [line for line in lines if not isnan(line.value)]
    rows = [
        (
            line.clip,
            line.rater,
            line.readout.replace("_", " "),
            _short(line.value),
            f"{_short(line.low)} to {_short(line.high)}",
            line.unit,
        )
        for line in shown[:MOST_ROWS]
    ]
    headings = ("clip", "rater", "read-out", ">mean over frames", "interval", "unit")
    print_table("Read-outs", headings, rows)
    if len(shown) > MOST_ROWS:
        console().print(f"{len(shown) - MOST_ROWS} more: write them all with --out.")


def _short(value: float) -> str:
    """Return three digits, and no exponent where they are more."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
