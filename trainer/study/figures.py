"""The figures of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.report.figures import INK, LINE, PALETTE, SOFT, drawing
from trainer.evaluate import BINS
from trainer.study.compare import Interval
from trainer.study.pooled import HIGHER, TITLES
from trainer.study.scores import PRIMARY, THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from trainer.study.compare import Difference
    from trainer.study.pooled import Cell, Pooled

COLUMNS = 3


def trained_at(method: str) -> int | None:
    """Return the training threshold of a method's slug; None if it has none."""
    name, _, t = method.partition("-")
    return int(t) if name == "threshold" and t.isdigit() else None


def _small_multiples(n: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    columns = 2 if n == 4 else min(COLUMNS, n)
    rows = -(-n // columns)
    with drawing(width * columns, height * rows) as figure:
        axes = np.atleast_1d(figure.subplots(rows, columns, sharex=True)).ravel()
    for ax in axes[n:]:
        ax.set_visible(False)
    for ax in axes[max(0, n - columns) : n]:  # also where there is nothing beneath
        ax.xaxis.set_tick_params(labelbottom=True)
    return figure, list(axes[:n])


def threshold_curves(pooled: Pooled, score: str = PRIMARY, others: Sequence[str] = ()) -> Figure:
    """Draw a score by training threshold, one small plot a group; `others` as level lines."""
    groups = list(pooled.study.groups)
    figure, axes = _small_multiples(len(groups), 3.4, 2.7)
    for ax, group in zip(axes, groups, strict=True):
        cells = {c.method: c for c in pooled.of(group)}
        cut = {
            t: Interval.of(c.mean(score))
            for m, c in cells.items()
            if (t := trained_at(m)) is not None
        }
        at = sorted(cut)
        middle, low, high = (
            np.array([getattr(cut[t], f) for t in at]) for f in ("value", "low", "high")
        )
        ax.fill_between(at, low, high, color=SOFT, alpha=0.18, lw=0)
        ax.plot(at, middle, "o-", color=INK, ms=3.5, lw=1.3, label="threshold(t)")
        for i, name in enumerate(n for n in others if n in cells):
            ax.axhline(
                cells[name].mean(score)[0], color=PALETTE[i % len(PALETTE)], lw=1.4, label=name
            )
        ax.set_title(group)
        # What fails altogether would squeeze all else into one line: it is off the plot.
        worth = [v for v in (low.min(), *low) if v > 0.6 * np.nanmax(middle)]
        lines = [cells[n].mean(score)[0] for n in others if n in cells]
        if worth and score in HIGHER:
            ax.set_ylim(min([*worth, *lines]) - 0.01, max([*high, *lines]) + 0.01)
        ax.set_xticks(range(10, 100, 20))
        ax.grid(axis="y", color=LINE, lw=0.6)
    for ax in axes[::COLUMNS]:
        ax.set_ylabel(TITLES[score])
    figure.supxlabel("training threshold t, percent", fontsize=9)
    figure.legend(
        *axes[0].get_legend_handles_labels(), frameon=False, ncols=5, loc="outside upper left"
    )
    return figure


def matrices(pooled: Pooled) -> Figure | None:
    """Draw Dice of the mask of a model trained at t with the reference cut at u; None without t."""
    groups = list(pooled.study.groups)
    cut = {
        p: {t: c.matrix for c in pooled.of(p) if (t := trained_at(c.method)) is not None}
        for p in groups
    }
    if not all(cut.values()):
        return None
    highest = max(float(np.nanmax(m)) for rows in cut.values() for m in rows.values())
    figure, axes = _small_multiples(len(groups), 3.2, 2.9)
    images = []
    for ax, group in zip(axes, groups, strict=True):
        rows = cut[group]
        at = sorted(rows)
        grid = np.stack([rows[t] for t in at])
        images.append(
            ax.imshow(grid, origin="lower", aspect="auto", cmap="viridis", vmin=0, vmax=highest)
        )
        best = grid.argmax(0)
        ax.plot(range(len(THRESHOLDS)), best, "o", color="white", ms=4, mec="black", mew=0.5)
        ax.set_xticks(range(0, len(THRESHOLDS), 2), [str(u) for u in THRESHOLDS[::2]])
        ax.set_yticks(range(len(at)), [str(t) for t in at])
        ax.set_title(group)
    for ax in axes[::COLUMNS]:
        ax.set_ylabel("trained at t")
    figure.supxlabel("tested at u", fontsize=9)
    figure.colorbar(images[0], ax=axes, shrink=0.8, label="Dice")
    return figure


def cut_matrices(pooled: Pooled, methods: Sequence[str]) -> Figure:
    """Draw Dice of each model cut at s with the reference cut at u, a row a group."""
    groups = list(pooled.study.groups)
    with drawing(1.0 + 2.2 * len(methods), 0.5 + 2.2 * len(groups)) as figure:
        axes = np.atleast_2d(figure.subplots(len(groups), len(methods), squeeze=False))
    grids = {(c.group, c.method): c.cuts for c in pooled.cells if c.method in methods}
    highest = max(float(np.nanmax(grid)) for grid in grids.values())
    ticks = range(0, len(THRESHOLDS), 2)
    for row, group in enumerate(groups):
        for column, method in enumerate(methods):
            ax, grid = axes[row, column], grids[group, method]
            image = ax.imshow(grid, origin="lower", cmap="viridis", vmin=0, vmax=highest)
            best = np.where(np.isnan(grid).all(0), np.nan, np.nan_to_num(grid, nan=-1).argmax(0))
            ax.plot(range(len(THRESHOLDS)), best, "o", color="white", ms=4, mec="black", mew=0.5)
            ax.plot([-0.5, 8.5], [-0.5, 8.5], color="white", lw=0.7, ls=":")
            ax.set_xticks(ticks, [str(THRESHOLDS[i]) for i in ticks])
            ax.set_yticks(ticks, [str(THRESHOLDS[i]) for i in ticks])
            ax.set_title(method if row == 0 else "", fontsize=9)
        axes[row, 0].set_ylabel(f"{group}\nmodel cut at s")
    figure.supxlabel("reference cut at u", fontsize=9)
    figure.colorbar(image, ax=axes.ravel().tolist(), shrink=0.8, label="Dice")
    return figure


def forest(found: Sequence[Difference], title: str) -> Figure:
    """Draw gains over a baseline as points with intervals, one row a method, a plot a group."""
    groups = list(dict.fromkeys(d.group for d in found))
    methods = list(dict.fromkeys(d.method for d in found))
    columns = min(4, len(groups))
    rows = -(-len(groups) // columns)
    with drawing(1.2 + 2.3 * columns, 0.6 + rows * (0.5 + 0.19 * len(methods))) as figure:
        axes = np.atleast_1d(figure.subplots(rows, columns, sharey=True, sharex=True)).ravel()
    for ax in axes[len(groups) :]:
        ax.set_visible(False)
    for ax, group in zip(axes, groups, strict=False):
        ax.axvline(0, color=SOFT, lw=0.8)
        for d in (d for d in found if d.group == group):
            y, sure = methods.index(d.method), d.corrected < 0.05
            color = SOFT if not sure else PALETTE[2] if d.gain.value > 0 else PALETTE[1]
            ax.plot([d.gain.low, d.gain.high], [y, y], color=color, lw=1.6)
            ax.plot(d.gain.value, y, "o", color=color, ms=4)
        ax.set_title(group)
        ax.grid(axis="x", color=LINE, lw=0.6)
        ax.set_yticks(range(len(methods)), methods)
    axes[0].invert_yaxis()
    # As above: what is far off leaves the others their room.
    reach = 1.5 * float(np.quantile([abs(d.gain.value) for d in found], 0.85)) + 0.02
    axes[0].set_xlim(-reach, reach)
    for ax, group in zip(axes, groups, strict=False):
        for d in (d for d in found if d.group == group and abs(d.gain.value) > reach):
            up = d.gain.value > 0
            ax.annotate(
                f"{d.gain.value:+.2f}",
                (reach if up else -reach, methods.index(d.method)),
                (-4 if up else 4, 0),
                textcoords="offset points",
                fontsize=7,
                va="center",
                color=PALETTE[2 if up else 1],
                ha="right" if up else "left",
            )
    figure.supxlabel(title, fontsize=9)
    return figure


def rank_plot(ranks: dict[str, Interval]) -> Figure:
    """Draw each method's mean rank with its interval, the best on top."""
    order = sorted(ranks, key=lambda m: ranks[m].value)
    with drawing(6.4, 0.7 + 0.22 * len(order)) as figure:
        ax = figure.subplots()
    for y, method in enumerate(order):
        r = ranks[method]
        color = INK if trained_at(method) is not None else PALETTE[0]
        ax.plot([r.low, r.high], [y, y], color=color, lw=1.6)
        ax.plot(r.value, y, "o", color=color, ms=5)
    ax.set_yticks(range(len(order)), order)
    ax.invert_yaxis()
    ax.set_xlabel("rank, mean over groups (1 is best)")
    ax.grid(axis="x", color=LINE, lw=0.6)
    return figure


def reliability(pooled: Pooled, methods: Sequence[str]) -> Figure:
    """Draw how often what a model gives a probability is really there, one small plot a group."""
    groups = list(pooled.study.groups)
    figure, axes = _small_multiples(len(groups), 3.0, 2.9)
    for ax, group in zip(axes, groups, strict=True):
        ax.plot([0, 1], [0, 1], color=LINE, lw=1, ls="--")
        cells: dict[str, Cell] = {c.method: c for c in pooled.of(group)}
        for i, name in enumerate(m for m in methods if m in cells):
            stated, truly, pixels = cells[name].calibration
            known = pixels > 0
            ax.plot(
                stated[known] / pixels[known],
                truly[known] / pixels[known],
                "o-",
                ms=3,
                lw=1.2,
                color=PALETTE[i % len(PALETTE)],
                label=name,
            )
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=group)
    for ax in axes[::COLUMNS]:
        ax.set_ylabel("share that is there")
    figure.supxlabel(f"model's probability, in {BINS} bins", fontsize=9)
    figure.legend(
        *axes[0].get_legend_handles_labels(), frameon=False, ncols=5, loc="outside upper left"
    )
    return figure


def better(score: str) -> str:
    """Return which way is better, in words."""
    return "more is better" if score in HIGHER else "less is better"
