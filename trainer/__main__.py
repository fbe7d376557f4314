"""The ``confseg-train`` command: its subcommands are modules of :mod:`trainer.cli`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from pydantic import ValidationError

from napari_confseg import __version__
from napari_confseg.extras import missing
from napari_confseg.job import JobError
from napari_confseg.store import StoreError
from trainer.cli import clinical, evaluate, fit, predict, run, study
from trainer.cli.parsing import REFUSED, WRONG_USAGE
from trainer.errors import TrainError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (fit, predict, evaluate, study, clinical, run)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 refused, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="confseg-train", description="Train from confidence, predict, score."
    )
    parser.add_argument("--version", action="version", version=f"confseg-train {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    arguments = parser.parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except (TrainError, StoreError, JobError) as error:
        print(f"confseg-train: {error}", file=sys.stderr)
        return REFUSED
    except ImportError as error:
        found = missing(error, "this command")
        if found is None:
            raise
        print(f"confseg-train: {found}", file=sys.stderr)
        return REFUSED
    except ValidationError as error:
        for problem in error.errors():
            field = ".".join(map(str, problem["loc"]))
            message = problem["msg"].removeprefix("Value error, ")
            where = f"{field}: " if field else ""
            print(f"confseg-train: {where}{message}", file=sys.stderr)
        return WRONG_USAGE
    except ValueError as error:
        print(f"confseg-train: {error}", file=sys.stderr)
        return WRONG_USAGE
    return code


if __name__ == "__main__":
    sys.exit(main())
