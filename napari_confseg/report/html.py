"""Self-contained HTML pages, rendered from the templates beside this module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from napari_confseg.numerals import number
from napari_confseg.store.durable import write_durably
from napari_confseg.store.errors import printable

if TYPE_CHECKING:
    from pathlib import Path


def _environment() -> Environment:
    # Autoescape always: names of raters, clips and patients come from people and files.
    made = Environment(
        loader=PackageLoader("napari_confseg.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        # Control characters would come through the escaping; figures are made here.
        finalize=lambda v: printable(v) if isinstance(v, str) and not isinstance(v, Markup) else v,
    )
    made.filters["number"] = number
    made.tests["nan"] = lambda value: bool(np.isnan(value))
    return made


def render(template: str, **context: object) -> str:
    """Return the page that `template` makes of `context`."""
    return _environment().get_template(template).render(context)


def write_page(path: Path, template: str, **context: object) -> None:
    """Render `template` and write it to `path`, whole or not at all."""
    write_durably(path, render(template, **context).encode())
