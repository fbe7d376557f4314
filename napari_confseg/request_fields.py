"""Fields of requests, declared once for the command line, the forms of the panels and scripts.

A request is a frozen pydantic model. Each field has a title (its label in a form), a description
(help text and tooltip), limits, and, by :func:`setting`, a unit and labels of its choices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import Field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel, ValidationError
    from pydantic.fields import FieldInfo


def setting(
    default: Any,
    title: str,
    description: str,
    *,
    unit: str = "",
    none: str = "not given",
    choices: Mapping[str, str] | None = None,
    **limits: Any,
) -> Any:
    """Return a pydantic field that a person sets.

    Parameters
    ----------
    default : object
        Its value if nothing is said; ``...`` if it must be given.
    title : str
        Label in a form.
    description : str
        What it does, as a help text: no capital, no full stop.
    unit : str
        Of a number, e.g. ``"%"``.
    none : str
        What a form shows for None.
    choices : mapping of str to str, optional
        Each legal value with the label that people read.
    **limits
        ``ge``, ``gt``, ``le``, ``lt``, ``min_length`` and the like, as for ``pydantic.Field``.
    """
    extra: dict[str, Any] = {"unit": unit, "none": none, "choices": dict(choices or {})}
    return Field(default, title=title, description=description, json_schema_extra=extra, **limits)


def unit_of(field: FieldInfo) -> str:
    """Return the unit of a field; empty if it has none."""
    return str(_extra(field).get("unit", ""))


def none_of(field: FieldInfo) -> str:
    """Return what a form shows where the field is None."""
    return str(_extra(field).get("none", "not given"))


def choices_of(field: FieldInfo) -> dict[str, str]:
    """Return the legal values of a field with their labels; empty if it is free."""
    named: dict[str, str] = _extra(field).get("choices") or {}
    if not named and get_origin(field.annotation) is Literal:
        return {str(v): str(v).capitalize() for v in get_args(field.annotation)}
    return named


def _extra(field: FieldInfo) -> dict[str, Any]:
    extra = field.json_schema_extra
    return extra if isinstance(extra, dict) else {}


def errors_of(error: ValidationError, model: type[BaseModel]) -> dict[str, str]:
    """Return a sentence for each field that a request was refused for.

    What concerns several fields stands under the empty name.
    """
    found: dict[str, str] = {}
    for one in error.errors():
        name = str(one["loc"][0]) if one["loc"] else ""
        text = one["msg"].removeprefix("Value error, ")
        title = model.model_fields[name].title if name in model.model_fields else None
        sentence = f"{text[0].upper()}{text[1:]}."
        found.setdefault(name, f"{title}: {text}." if title else sentence)
    return found
