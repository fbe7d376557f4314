"""What ``confseg blinding`` and ``withhold`` share: a rule of a cohort, and who set it when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_confseg.cli.parsing import DONE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def add_arguments(parser: argparse.ArgumentParser, name: str, **value: Any) -> None:
    """Declare cohort, the new value of the rule (shown if not given), and who sets it."""
    parser.add_argument("cohort", metavar="COHORT", help="folder, zip or s3:// address")
    parser.add_argument(name, metavar=name.upper(), nargs="?", **value)
    parser.add_argument(
        "--by", metavar="NAME", help="who sets it, for the record; default: the reader here"
    )


def show_or_set(
    arguments: argparse.Namespace,
    field: str,
    value: Any,
    in_words: Callable[[Any], str],
    sentence: str = "{}",
) -> int:
    """Set a rule unless `value` is None; then print it with its history.

    Parameters
    ----------
    arguments : Namespace
        As :func:`add_arguments` declares them.
    field : str
        Of the cohort's attributes; its history is in ``FIELD_changes``.
    value : object
        The new value, None to leave it.
    in_words : callable
        Returns what a change set, for people.
    sentence : str
        What the rule in words is put into.
    """
    from napari_confseg.annotate.preferences import Preferences, account_name
    from napari_confseg.cli.terminal import console, print_json
    from napari_confseg.store import Cohort

    cohort = Cohort.open(arguments.cohort, read_only=value is None)
    if value is not None:
        by = arguments.by or Preferences.load().reader or account_name()
        cohort.update_meta(by=by, **{field: value})
    meta, history = cohort.meta, f"{field}_changes"
    if arguments.json:
        changes = meta.model_dump(mode="json")[history]
        print_json({"cohort": meta.name, field: getattr(meta, field), "changes": changes})
        return DONE
    rule = sentence.format(getattr(meta, field))
    console().print(f"{meta.name}: {rule}", markup=False)
    for change in getattr(meta, history):
        line = f"  {change.at:%Y-%m-%d %H:%M} {change.by}: {in_words(change)}"
        console().print(line, markup=False)
    return DONE
