"""Matplotlib figures in one style: the same numbers give the same bytes, without a screen."""

from __future__ import annotations

from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from napari_confseg.report.render import PALETTE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes

__all__ = ["INK", "LINE", "PALETTE", "SOFT", "drawing", "grid", "save_png", "svg"]

INK, SOFT, LINE = "#1d2733", "#5b6876", "#d5dce4"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "svg.hashsalt": "confseg",  # ids in the file do not differ between runs
    "svg.fonttype": "none",
}


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """Yield a figure of `width` by `height` inches, drawn in the style of the reports."""
    with mpl.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def grid(
    figure: Figure, titles: list[str], columns: int = 3, *, share_y: bool = True
) -> list[Axes]:
    """Return small plots with common axes on `figure`, one for each title."""
    columns = min(columns, len(titles))
    rows = -(-len(titles) // columns)
    axes = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=share_y)).ravel()
    for ax in axes[len(titles) :]:
        ax.set_visible(False)
    for ax, title in zip(axes, titles, strict=False):
        ax.set_title(title)
    return list(axes[: len(titles)])


def svg(figure: Figure) -> Markup:
    """Return the figure as SVG markup for a page."""
    text = StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    whole = text.getvalue()
    return Markup(whole[whole.index("<svg") :])


def save_png(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG file for the documentation."""
    with mpl.rc_context(STYLE):
        figure.savefig(path, dpi=110, metadata={"Software": None}, facecolor="white")
