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
from napari_confseg.store.errors import printable, sentence, without_secrets
from napari_confseg.subcommands import unexpected
from trainer.cli import (
    activate,
    clinical,
    compare,
    evaluate,
    export,
    fit,
    guarantee,
    predict,
    rank,
    run,
    serve,
    starter,
    study,
    worker,
)
from trainer.cli.parsing import REFUSED, WRONG_USAGE
from trainer.errors import TrainError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (
    fit,
    predict,
    evaluate,
    guarantee,
    compare,
    activate,
    rank,
    export,
    study,
    clinical,
    starter,
    run,
    serve,
    worker,
)


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
        return _tell(str(error))
    except ImportError as error:
        return _tell(str(missing(error, "this command") or unexpected(error)))
    except ValidationError as error:
        for problem in error.errors():
            field = ".".join(map(str, problem["loc"]))
            message = problem["msg"].removeprefix("Value error, ")
            where = f"{field}: " if field else ""
            _tell(f"{where}{message}")
        return WRONG_USAGE
    except ValueError as error:
        _tell(str(error))
        return WRONG_USAGE
    except OSError as error:  # a full disk, a folder that may not be written
        return _tell(f"The disk refused: {sentence(error)} ({error.filename or 'no name'})")
    except KeyboardInterrupt:
        return _tell("stopped; what was done by then stays")
    except Exception as error:  # of any kind: people get a sentence
        return _tell(str(unexpected(error)))
    return code


def _tell(text: str) -> int:
    print(f"confseg-train: {printable(without_secrets(text))}", file=sys.stderr)
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
