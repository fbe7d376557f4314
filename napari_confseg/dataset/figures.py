"""Pictures of a report: small PNG and SVG texts that stand inside an HTML page."""

from __future__ import annotations

import base64
from io import BytesIO, StringIO
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from skimage.segmentation import find_boundaries

from napari_confseg.store import EXCLUDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from napari_confseg.dataset.summary import Learning, Reliability

# Okabe and Ito's palette, for raters; classes have colours of their own.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
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


def _png(image: NDArray[np.uint8]) -> str:
    from matplotlib.image import imsave

    data = BytesIO()
    imsave(data, image, format="png", metadata={"Software": None})  # type: ignore[dict-item]
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def reliability_figure(rows: Sequence[Reliability], raters: Sequence[str]) -> str:
    """Return the curves of the raters, one small plot a class, as SVG text."""
    classes = list(dict.fromkeys(r.class_name for r in rows))
    columns = min(3, len(classes))
    rows_of_plots = -(-len(classes) // columns)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(3.1 * columns, 2.9 * rows_of_plots), layout="constrained")
        axes = np.atleast_1d(
            figure.subplots(rows_of_plots, columns, sharex=True, sharey=True)
        ).ravel()
        for ax in axes[len(classes) :]:
            ax.set_visible(False)
        for ax, class_name in zip(axes, classes, strict=False):
            _reliability_axes(ax, [r for r in rows if r.class_name == class_name], raters)
            ax.set_title(class_name)
        for ax in axes[::columns]:
            ax.set_ylabel("others agree")
        figure.supxlabel("stated confidence", fontsize=9)
        lines = axes[0].get_legend_handles_labels()
        figure.legend(*lines, frameon=False, ncols=len(raters), loc="outside upper left")
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


def disagreement_picture(
    frame: NDArray[np.uint8],
    a: NDArray[np.uint8],
    b: NDArray[np.uint8],
    color: str,
    *,
    margin: float = 0.35,
) -> str:
    """Return the frame, both raters' marks and their difference side by side, as a data URL.

    Parameters
    ----------
    frame, a, b : NDArray
        ``uint8 (Y, X)``: picture and the two planes.
    color : str
        Of the class, ``#rrggbb``. In the difference orange is what only `a` says, blue only `b`.
    margin : float
        How much around the marks is shown, in parts of their size.
    """
    a, b = (np.where(p == EXCLUDED, np.uint8(0), p) for p in (a, b))
    box = _around((a > 0) | (b > 0), margin)
    frame, a, b = frame[box], a[box], b[box]
    zoom = max(1, round(280 / max(frame.shape)))
    frame, a, b = (p.repeat(zoom, 0).repeat(zoom, 1) for p in (frame, a, b))
    grey = np.repeat(frame[..., None], 3, 2)
    gap = (a.astype(float) - b) / 100
    apart = _tint(_tint(grey, np.maximum(gap, 0), PALETTE[1]), np.maximum(-gap, 0), PALETTE[0])
    strip = np.full((frame.shape[0], 4, 3), 255, np.uint8)
    shown = [grey, strip, _marks(grey, a, color), strip, _marks(grey, b, color), strip, apart]
    return _png(np.concatenate(shown, 1))


def _around(marked: NDArray[np.bool_], margin: float) -> tuple[slice, slice]:
    slices = []
    for axis in (1, 0):
        where = np.flatnonzero(marked.any(axis))
        length = marked.shape[1 - axis]
        low, high = (int(where[0]), int(where[-1]) + 1) if where.size else (0, length)
        extra = max(int((high - low) * margin), 24)
        slices.append(slice(max(0, low - extra), min(length, high + extra)))
    return slices[0], slices[1]


def _tint(grey: NDArray[np.uint8], alpha: NDArray[np.float64], color: str) -> NDArray[np.uint8]:
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    weight = 0.75 * alpha[..., None]
    out: NDArray[np.uint8] = (grey * (1 - weight) + rgb * weight).astype(np.uint8)
    return out


def _marks(grey: NDArray[np.uint8], plane: NDArray[np.uint8], color: str) -> NDArray[np.uint8]:
    tinted = _tint(grey, plane / 100, color)
    tinted[find_boundaries(plane > 0, mode="inner")] = [
        int(color[i : i + 2], 16) for i in (1, 3, 5)
    ]
    return tinted
