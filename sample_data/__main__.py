"""Command line: ``python -m sample_data OUT.zarr``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from napari_confseg.store import StoreError
from sample_data.cohort import DEFAULT_READERS, clinical_path, make_cohort
from sample_data.readers import READERS

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLE = """example:
  python -m sample_data lung.zarr --patients 8 --seed 0
  python -m sample_data small.zarr --patients 4 --clips 1 --frames 8 --size 128x160
  python -m sample_data followed.zarr --patients 20 --days 3
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    p = argparse.ArgumentParser(
        prog="python -m sample_data",
        description="Make a synthetic lung-ultrasound cohort whose truth is known. "
        "The same seed gives the same bytes.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("out", metavar="OUT.zarr", help="folder to make; must not exist or be empty")
    p.add_argument("--patients", type=int, default=8, help="default: %(default)s")
    p.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    p.add_argument(
        "--clips", type=int, default=2, help="clips a patient and day; default: %(default)s"
    )
    p.add_argument(
        "--days",
        type=int,
        default=1,
        help="days that each patient is examined on; default: %(default)s",
    )
    p.add_argument("--frames", type=int, default=24, help="frames a clip; default: %(default)s")
    p.add_argument(
        "--size",
        type=_size,
        default=(256, 320),
        metavar="YxX",
        help="height and width in pixels; default: 256x320",
    )
    p.add_argument(
        "--readers",
        nargs="*",
        choices=sorted(READERS),
        default=DEFAULT_READERS,
        help=f"kinds of reader; default: {' '.join(DEFAULT_READERS)}",
    )
    p.add_argument(
        "--breaks", action="store_true", help="break the pleural line where the lung is sick"
    )
    p.add_argument("--json", action="store_true", help="print a JSON object, and no progress")
    return p


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected e.g. 256x320, found {text!r}") from None
    return height, width


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0 if done, 1 if refused (argparse exits with 2 on wrong usage)."""
    args = parser().parse_args(argv)
    console = Console(stderr=True, quiet=args.json)
    try:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
        ) as bar:
            task = bar.add_task("planning", total=None)
            cohort = make_cohort(
                args.out,
                patients=args.patients,
                seed=args.seed,
                clips_per_patient=args.clips,
                days=args.days,
                frames=args.frames,
                size=args.size,
                readers=args.readers,
                breaks=args.breaks,
                progress=lambda done, total, what: bar.update(
                    task, completed=done, total=total, description=what
                ),
            )
    except (StoreError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    clips = cohort.clips()
    table = clinical_path(args.out)
    if args.json:
        print(json.dumps({"cohort": args.out, "clips": clips, "clinical": str(table)}))
    else:
        console.print(f"{len(clips)} clips in {args.out}, clinical table in {table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
