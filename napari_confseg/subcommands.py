"""Declaration of a subcommand, for both command lines: purpose, example, options, exit codes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeAlias, Union, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from napari_confseg.store import Problem

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What :func:`add_command` adds to."""

DONE, REFUSED, WRONG_USAGE = 0, 1, 2
"""Exit codes: all done; something refused, which is listed; not called correctly."""

Run: TypeAlias = Callable[[argparse.Namespace], int]
Declare: TypeAlias = Callable[[argparse.ArgumentParser], None]


class CommandParser(argparse.ArgumentParser):
    """Parser of one subcommand, which declares its options only when it is called.

    Options made from requests need the requests, which take a second to import: too long for the
    help of another command.
    """

    declare: Declare | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Declare the options, and parse."""
        declare, self.declare = self.declare, None
        if declare is not None:
            declare(self)
        return super().parse_known_args(args, namespace)


def local_path(text: str) -> Path:
    """Return `text` as a path on this machine; for ``add_argument(type=...)``.

    An address such as s3://... would become a folder called ``s3:`` in the working folder.
    """
    if "://" in text:
        raise argparse.ArgumentTypeError(
            f"{text} is an address, and this has to be a file or folder on this machine"
        )
    return Path(text)


def add_command(
    commands: Subparsers,
    name: str,
    run: Run,
    *,
    purpose: str,
    example: str,
    declare: Declare | None = None,
) -> argparse.ArgumentParser:
    """Declare a command.

    Parameters
    ----------
    commands : argparse subparsers
        Where it is added.
    name : str
        What people type.
    run : callable
        Carries it out, and returns the exit code.
    purpose : str
        A sentence without capital and full stop.
    example : str
        A whole command line.
    declare : callable, optional
        Adds the options, when the command is called.
    """
    parser = commands.add_parser(
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog=f"example:\n  {example}\n\nexit code: 0 done, 1 refused (listed), 2 wrong usage",
        formatter_class=_Help,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="JSON for machines, and nothing else")
    if isinstance(parser, CommandParser):
        parser.declare = declare
    elif declare is not None:
        declare(parser)
    return parser


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help texts whose names with a hyphen stay whole, so that they can be copied."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        from textwrap import wrap

        return wrap(" ".join(text.split()), width, break_on_hyphens=False)


_LONGEST_IN_BRACES = 40
"""Letters of an option's choices beyond which they are listed in its help, which is wrapped."""


def unexpected(error: BaseException) -> Problem:
    """Return the problem that an error nobody has foreseen is told as.

    For the developer, its traceback is kept in a file of the state folder.
    """
    import traceback
    from contextlib import suppress

    from napari_confseg.store.durable import write_private
    from napari_confseg.store.errors import Problem, printable, sentence, without_secrets
    from napari_confseg.store.journal import journal_folder

    if isinstance(error, MemoryError):
        return Problem("memory", "", "Memory ran out", hint="Close what else uses it.")
    log = journal_folder() / "unexpected.log"
    hint = ""
    with suppress(OSError):
        text = "".join(traceback.format_exception(error))
        write_private(log, printable(without_secrets(text)).encode())
        hint = f"This is a fault of the program, or a file is damaged; {log} says where."
    return Problem("unexpected", "", f"{type(error).__name__}: {sentence(error)}", hint=hint)


def add_fields(
    parser: argparse.ArgumentParser, model: type[BaseModel], *names: str, **flags: str
) -> None:
    """Add an option for each of some fields of a request.

    Help text, limits, choices and default are those of the field; a value that the field does not
    allow is wrong usage. :func:`request_from` makes the request of what was given.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Gets the options.
    model : type of BaseModel
        The request.
    *names : str
        Fields; ``line_width`` becomes ``--line-width``.
    **flags : str
        Fields whose options have another name, e.g. ``threshold="--at"``.
    """
    for name in (*names, *flags):
        field = model.model_fields[name]
        flag = flags.get(name) or f"--{name.replace('_', '-')}"
        parser.add_argument(flag, dest=name, **_argument(field))


def fields_of(arguments: argparse.Namespace, model: type[BaseModel]) -> dict[str, Any]:
    """Return what was given for fields of a request."""
    return {n: v for n, v in vars(arguments).items() if n in model.model_fields}


def request_from(arguments: argparse.Namespace, model: type[BaseModel], **more: Any) -> Any:
    """Return the request that was asked for; fields in `more` were worked out otherwise.

    Raises
    ------
    StoreError
        If the fields make no sense together.
    """
    from pydantic import ValidationError

    from napari_confseg.request_fields import errors_of
    from napari_confseg.store import Problem, StoreError

    given = fields_of(arguments, model) | more
    try:
        return model(**given)
    except ValidationError as error:
        raise StoreError(
            Problem("request", name, f"{text}, given {given.get(name)!r}")
            for name, text in errors_of(error, model).items()
        ) from error


def _argument(field: FieldInfo) -> dict[str, Any]:
    """Return the keywords of ``add_argument`` for a field."""
    from napari_confseg.request_fields import choices_of, unit_of

    kind = _without_none(field.annotation)
    text = (field.description or "").replace("%", "%%")
    if kind is bool:
        return {"action": "store_true", "default": field.default, "help": text}
    choices = choices_of(field)
    listed = sum(map(len, choices)) > _LONGEST_IN_BRACES
    text += f": {', '.join(choices)}" if listed else ""
    made: dict[str, Any] = {"help": text + _default(field), "default": field.default}
    made["required"] = field.is_required()
    if made["required"]:
        del made["default"]
    if choices:
        named = {"metavar": (field.title or "").upper()} if listed else {}
        return made | named | {"choices": tuple(choices)}
    parts = get_args(kind) if get_origin(kind) is tuple else ()
    if parts and parts[-1] is not Ellipsis:
        return made | {"nargs": len(parts), "type": int, "metavar": ("LOW", "HIGH")}
    if parts:
        return made | {"nargs": "+", "type": _checked(parts[0], ())}
    if kind is Path:
        return made | {"type": local_path, "metavar": "FILE"}
    unit = unit_of(field)
    metavar = {"%": "PERCENT", "frames/s": "N", "raters": "N", "mm/pixel": "MM"}.get(unit)
    metavar = metavar or (unit.upper() or None)
    return made | {"type": _checked(kind, field.metadata), "metavar": metavar}


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (Union, UnionType):
        kinds = [k for k in get_args(kind) if k is not NoneType]
        return kinds[0] if len(kinds) == 1 else Union[tuple(kinds)]  # noqa: UP007
    return kind


def _default(field: FieldInfo) -> str:
    from napari_confseg.request_fields import unit_of

    if field.is_required() or field.default is None or field.default in ((), False):
        return ""
    return f" (default: {field.default} {unit_of(field)}".replace("%", "%%").rstrip() + ")"


def _checked(kind: Any, limits: Sequence[Any]) -> Callable[[str], Any]:
    """Return what reads a word of the command line as pydantic would."""
    from pydantic import TypeAdapter, ValidationError

    annotated = kind
    for limit in limits:
        from typing import Annotated

        annotated = Annotated[annotated, limit]
    adapter = TypeAdapter(annotated)

    def read(text: str) -> Any:
        try:
            return adapter.validate_python(text)
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise argparse.ArgumentTypeError(f"{text!r}: {message}") from error

    return read
