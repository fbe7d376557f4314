"""Plots of a report: small SVG texts that stand inside an HTML page."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from napari_confseg.dataset.overlap import CURVE
from napari_confseg.dataset.pictures import PALETTE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from napari_confseg.dataset.reliability import Reliability
    from napari_confseg.dataset.summary import Learning, SoftSummary

_STYLE = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "svg.hashsalt": "confseg",  # same figures, same bytes
    "svg.fonttype": "none",
}


def _svg(figure: Figure) -> str:
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def _grid(classes: Sequence[str], height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with one small plot a class, titled, on common axes."""
    columns = min(3, len(classes))
    rows = -(-len(classes) // columns)
    figure = Figure(figsize=(3.1 * columns, height * rows), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=True)).ravel()
    for ax in axes[len(classes) :]:
        ax.set_visible(False)
    for ax, class_name in zip(axes, classes, strict=False):
        ax.set_title(class_name)
    return figure, list(axes)


def reliability_figure(rows: Sequence[Reliability], raters: Sequence[str]) -> str:
    """Return the curves of the raters, one small plot a class, as SVG text."""
    classes = list(dict.fromkeys(r.class_name for r in rows))
    with mpl.rc_context(_STYLE):
        figure, axes = _grid(classes, 2.9)
        for ax, class_name in zip(axes, classes, strict=False):
            _reliability_axes(ax, [r for r in rows if r.class_name == class_name], raters)
        for ax in axes[::3]:
            ax.set_ylabel("others agree")
        figure.supxlabel("stated confidence", fontsize=9)
        lines = axes[0].get_legend_handles_labels()
        figure.legend(*lines, frameon=False, ncols=len(raters), loc="outside upper left")
        return _svg(figure)


def threshold_figure(rows: Sequence[SoftSummary]) -> str:
    """Return Dice against the threshold of each pair, one small plot a class, as SVG text."""
    rows = [r for r in rows if not np.isnan(r.dice_curve).all()]
    classes = list(dict.fromkeys(r.class_name for r in rows))
    if not classes:
        return ""
    pairs = list(dict.fromkeys((r.a, r.b) for r in rows))
    with mpl.rc_context(_STYLE):
        figure, axes = _grid(classes, 2.3)
        for ax, class_name in zip(axes, classes, strict=False):
            for row in (r for r in rows if r.class_name == class_name):
                color = PALETTE[pairs.index((row.a, row.b)) % len(PALETTE)]
                ax.plot(CURVE, row.dice_curve, color=color, lw=1.5)
            ax.set(xlim=(0, 100), ylim=(0, 1))
        for ax in axes[::3]:
            ax.set_ylabel("Dice")
        figure.supxlabel("marks of at least … % count", fontsize=9)
        lines = [Line2D([], [], color=PALETTE[i % len(PALETTE)]) for i in range(len(pairs))]
        names = [f"{a} – {b}" for a, b in pairs]
        figure.legend(lines, names, frameon=False, ncols=4, loc="outside upper left")
        return _svg(figure)


def _reliability_axes(ax: Axes, rows: Sequence[Reliability], raters: Sequence[str]) -> None:
    ax.plot([0, 1], [0, 1], color="#bbbbbb", lw=1, ls="--")
    for row in rows:
        color = PALETTE[list(raters).index(row.rater) % len(PALETTE)]
        known = np.array(row.votes) > 0
        stated, agreed = np.array(row.stated)[known], np.array(row.agreed)[known]
        area = 60 * np.sqrt(np.array(row.votes)[known] / max(row.votes))
        ax.plot(stated, agreed, color=color, lw=1.3, label=row.rater)
        ax.scatter(stated, agreed, s=area, color=color, alpha=0.8, lw=0)
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")


def learning_figure(rows: Sequence[Learning]) -> str:
    """Return each rater's agreement with the others, clip after clip, as SVG text."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.5, 2.8), layout="constrained")
        ax = figure.subplots()
        for i, row in enumerate(rows):
            color = PALETTE[i % len(PALETTE)]
            order = np.arange(1, len(row.values) + 1)
            ax.plot(order, row.values, "o", ms=3, color=color, alpha=0.5)
            if len(row.values) > 2:
                trend = np.polyval(np.polyfit(order, row.values, 1), order)
                ax.plot(order, trend, color=color, lw=1.5, label=row.rater)
        ax.set(xlabel="clips in the order they were read", ylabel="soft Dice with others")
        ax.set_ylim(0, 1)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(frameon=False, fontsize=8, loc="lower right")
        return _svg(figure)
