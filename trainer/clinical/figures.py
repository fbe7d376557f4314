"""Figures of the clinical report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.report.figures import INK, LINE, PALETTE, SOFT, drawing
from trainer.clinical.outcomes import LOWER, OUTCOMES, interval
from trainer.study.figures import trained_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from trainer.clinical.outcomes import Outcome, Prediction

    Predictions = Mapping[str, Mapping[str, Prediction | None]]


def predicted_outcomes(predictions: Predictions) -> list[Outcome]:
    """Return the outcomes that could be predicted, in their order."""
    return [o for o in OUTCOMES if o.name in predictions]


def by_threshold(predictions: Predictions, others: Sequence[str]) -> Figure:
    """Draw each outcome's score by the threshold that the model was trained at."""
    outcomes = predicted_outcomes(predictions)
    with drawing(3.4 * len(outcomes), 3.3) as figure:
        axes = np.atleast_1d(figure.subplots(1, len(outcomes)))
    for ax, outcome in zip(axes, outcomes, strict=True):
        here = {
            n: interval(outcome, f) for n, f in predictions[outcome.name].items() if f is not None
        }
        cut = sorted((t, i) for n, i in here.items() if (t := trained_at(n)) is not None)
        at = [t for t, _ in cut]
        ax.fill_between(
            at, [i.low for _, i in cut], [i.high for _, i in cut], color=SOFT, alpha=0.18, lw=0
        )
        ax.plot(at, [i.value for _, i in cut], "o-", color=INK, ms=4, lw=1.3, label="threshold(t)")
        for i, name in enumerate(n for n in others if n in here):
            ax.axhline(here[name].value, color=PALETTE[i % len(PALETTE)], lw=1.4, label=name)
        ax.set_title(outcome.title)
        ax.set_ylabel(f"{outcome.score} ({'less' if outcome.score in LOWER else 'more'} is better)")
        ax.grid(axis="y", color=LINE, lw=0.6)
    figure.supxlabel("training threshold t, percent", fontsize=9)
    figure.legend(
        *axes[-1].get_legend_handles_labels(), frameon=False, ncols=6, loc="outside upper left"
    )
    return figure


def sources_plot(predictions: Predictions) -> Figure:
    """Draw the score of every source of findings, with intervals, one plot an outcome."""
    outcomes = predicted_outcomes(predictions)
    names = list(predictions[outcomes[0].name])
    with drawing(3.5 * len(outcomes), 0.9 + 0.22 * len(names)) as figure:
        axes = np.atleast_1d(figure.subplots(1, len(outcomes), sharey=True))
    for ax, outcome in zip(axes, outcomes, strict=True):
        for y, name in enumerate(names):
            predicted = predictions[outcome.name][name]
            if predicted is None:
                continue
            i = interval(outcome, predicted)
            color = INK if trained_at(name) is not None else PALETTE[0] if y else SOFT
            ax.plot([i.low, i.high], [y, y], color=color, lw=1.6)
            ax.plot(i.value, y, "o", color=color, ms=4)
        ax.set_title(outcome.title)
        ax.set_xlabel(outcome.score)
        ax.grid(axis="x", color=LINE, lw=0.6)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    return figure


def calibration(predictions: Predictions, names: Sequence[str], bins: int = 5) -> Figure | None:
    """Draw predicted against observed readmission in equal groups of patients; None without."""
    predicted = predictions["readmission"]
    there = [n for n in names if predicted.get(n) is not None]
    if not there:
        return None
    with drawing(4.2, 4.0) as figure:
        ax = figure.subplots()
    ax.plot([0, 1], [0, 1], color=LINE, lw=1, ls="--")
    for i, name in enumerate(there):
        f = predicted[name]
        assert f is not None
        parts = np.array_split(np.argsort(f.predicted[:, 1], kind="stable"), bins)
        ax.plot(
            [f.predicted[p, 1].mean() for p in parts],
            [f.y[p].mean() for p in parts],
            "o-",
            ms=4,
            lw=1.2,
            color=PALETTE[i % len(PALETTE)],
            label=name,
        )
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="predicted", ylabel="readmitted")
    ax.legend(frameon=False, fontsize=8)
    return figure
