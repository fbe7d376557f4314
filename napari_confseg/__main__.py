"""The ``confseg`` command: one subcommand a module of :mod:`napari_confseg.cli`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from napari_confseg import __version__
from napari_confseg.cli import (
    agree,
    blinding,
    build,
    consensus,
    demo,
    export,
    history,
    import_,
    import_labels,
    import_raters,
    mask,
    open_,
    readouts,
    sectors,
    series,
    status,
    validate,
    withhold,
    zones,
)
from napari_confseg.cli.parsing import REFUSED, CommandParser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.store import StoreError

COMMANDS = (
    open_,
    import_,
    series,
    import_labels,
    import_raters,
    sectors,
    mask,
    status,
    validate,
    history,
    blinding,
    withhold,
    agree,
    readouts,
    consensus,
    zones,
    build,
    export,
    demo,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 refused, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="confseg", description="Label lung-ultrasound clips with a confidence per stroke."
    )
    parser.add_argument("--version", action="version", version=f"confseg {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=CommandParser)
    for command in COMMANDS:
        command.add(commands)
    arguments = parser.parse_args(argv)
    return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    from napari_confseg.extras import missing
    from napari_confseg.store import StoreError  # takes a second: not for --help
    from napari_confseg.store.errors import needs_extra
    from napari_confseg.subcommands import unexpected

    try:
        code: int = arguments.run(arguments)
    except StoreError as error:
        return _refuse(arguments, error)
    except ImportError as error:
        found = missing(error, "this command")
        refusal = needs_extra("confseg")(found) if found else StoreError(unexpected(error))
        return _refuse(arguments, refusal)
    except OSError as error:  # a full disk, a folder that may not be written
        return _refuse(arguments, _disk(error))
    except KeyboardInterrupt:
        print("confseg: stopped; what was done by then stays", file=sys.stderr)
        return REFUSED
    except Exception as error:  # of any kind: people get a sentence
        return _refuse(arguments, StoreError(unexpected(error)))
    return code


def _disk(error: OSError) -> StoreError:
    from napari_confseg.store import Problem, StoreError

    if error.errno is None:  # raised by a library, such as a time limit: not the disk's fault
        return StoreError(Problem("failed", str(error.filename or ""), str(error) or repr(error)))
    found = error.strerror or type(error).__name__
    return StoreError(
        Problem(
            "disk",
            str(error.filename or ""),
            f"The disk refused: {found.lower()}",
            hint="Free some space or choose another place; what is finished stays.",
        )
    )


def _refuse(arguments: argparse.Namespace, error: StoreError) -> int:
    if arguments.json:
        from napari_confseg.cli.terminal import print_json

        print_json({"problems": [p.as_dict() for p in error.problems]})
    else:
        for line in str(error).splitlines():  # of very many problems the first, and their number
            print(f"confseg: {line}", file=sys.stderr)
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
