"""The rule of 60 %: cuts of people's maps, and of models, at 60 against 50 %.

Without a model, a map of readers is cut at t and compared with the share of other people, cut at u
(:mod:`benchmarks.worth` makes the maps). With one, models trained at 60 and at 50 are compared from
the tables of a study. Both by size of what is outlined, in thirds of the pictures.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.report.figures import drawing
from trainer.study.compare import Interval
from trainer.study.measure import TABLES, Measured
from trainer.study.pooled import draw
from trainer.study.request import RUNS, open_study, plan_fits, slug
from trainer.study.scores import THRESHOLDS, cut_dice, mask_sums, threshold_dice, threshold_sums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from benchmarks.worth import Tally
    from trainer.study.scores import Floats

FORMS = {
    "exact": "the share of two people,\ntwo readings each",
    "six": "the share of three people,\ntwo readings each",
    "twice": "one person's\ntwo readings",
    "edge": "one outline,\ndoubtful by distance",
}
SCALES = (1.0, 0.8, 0.6)
"""Highest confidence that somebody states, who states the share times this."""
RESAMPLES = 2000
SIZES = ("all", "small", "middle", "large")


def size_of(areas: Floats) -> dict[str, NDArray[np.bool_]]:
    """Return which pictures are of each size: thirds by the area that is outlined."""
    low, high = np.quantile(areas, [1 / 3, 2 / 3])
    return {
        "all": np.ones(len(areas), np.bool_),
        "small": areas <= low,
        "middle": (areas > low) & (areas <= high),
        "large": areas > high,
    }


def outlined(tables: NDArray[np.int64]) -> Floats:
    """Return the share of pixels that the reference marks at 50 % or more, (units,)."""
    whole = tables.sum((1, 2, 3))
    share: Floats = tables[..., 50:].sum((1, 2, 3)) / whole
    return share


def of_maps(tally: Tally) -> dict[tuple[str, float], dict[str, Interval]]:
    """Return the gain of a cut at 60 over one at 50, by form of the map, scale and size."""
    sizes = size_of(outlined(tally.tables["1"]))
    found = {}
    for form in FORMS:
        for scale in SCALES:
            # Who states 0.8 of the share reaches 60 where the share reaches 75.
            cuts = [min(int(np.ceil(t / scale - 1e-9)), 101) for t in (60, 50)]
            sums = [_at(tally.tables[form], cut) for cut in cuts]
            found[form, scale] = {n: _gain(sums, who) for n, who in sizes.items()}
    return found


def _at(tables: NDArray[np.int64], cut: int) -> Floats:
    if cut > 100:  # nothing is stated so high
        nothing = np.zeros_like(tables)
        nothing[..., 0, :] = tables.sum(-2)
        return mask_sums(nothing)
    return mask_sums(tables, cut)


def of_models(folder: Path) -> dict[str, dict[str, Interval]]:
    """Return the gain of training at 60 over training at 50 in a study, by group and size."""
    study = open_study(folder)
    by_method: dict[tuple[str, str], dict[str, NDArray[np.int64]]] = defaultdict(dict)
    for fit in plan_fits(study):
        if slug(fit.method) not in ("threshold-50", "threshold-60"):
            continue
        measured = Measured.load(folder / RUNS / fit.name / TABLES)
        tables = measured.reference("latent", fit.raters)
        of_group = by_method[fit.group, slug(fit.method)]
        for i, clip in enumerate(measured.clips):  # seeds are added up: each counts the same
            of_group[clip] = of_group.get(clip, 0) + tables[i]
    found = {}
    for group in study.groups:
        both = [by_method[group, f"threshold-{t}"] for t in (60, 50)]
        clips = sorted(both[0])
        stacked = [np.stack([tables[c] for c in clips]) for tables in both]
        sizes = size_of(outlined(stacked[0]))
        sums = [threshold_sums(t) for t in stacked]
        found[group] = {name: _gain(sums, who) for name, who in sizes.items()}
    return found


def _gain(sums: Sequence[Floats], who: NDArray[np.bool_]) -> Interval:
    """Return how much better the first of two is on some pictures."""
    weights = draw(int(who.sum()), resamples=RESAMPLES)
    scores = [threshold_dice(np.tensordot(weights, s[who], 1)).mean(1) for s in sums]
    return Interval.of(scores[0] - scores[1])


def matrices(tally: Tally) -> Figure:
    """Draw Dice of each map cut at t with the share of the others cut at u."""
    with drawing(1.0 + 2.3 * len(FORMS), 2.7) as figure:
        axes = figure.subplots(1, len(FORMS), sharey=True)
    grids = {form: cut_dice(tally.tables[form].sum((0, 1))) for form in FORMS}
    low = min(float(np.nanmin(g)) for g in grids.values())
    ticks = range(0, len(THRESHOLDS), 2)
    for ax, (form, grid) in zip(axes, grids.items(), strict=True):
        image = ax.imshow(grid, origin="lower", cmap="viridis", vmin=low, vmax=1)
        for column in range(len(THRESHOLDS)):  # a map of few values has several best cuts
            best = np.flatnonzero(grid[:, column] >= grid[:, column].max() - 1e-9)
            ax.plot([column, column], [best[0], best[-1]], "-o", color="white", ms=3, lw=1)
        ax.set_title(FORMS[form], fontsize=8)
        ax.set_xticks(ticks, [str(THRESHOLDS[i]) for i in ticks])
        ax.set_yticks(ticks, [str(THRESHOLDS[i]) for i in ticks])
    axes[0].set_ylabel("map cut at t")
    figure.supxlabel("share of the other people, cut at u", fontsize=9)
    figure.colorbar(image, ax=list(axes), shrink=0.8, label="Dice")
    return figure


def rows(found: Mapping[Any, Mapping[str, Interval]]) -> Sequence[str]:
    """Return a line of text for each entry."""
    lines = []
    for key, sizes in found.items():
        shown = (f"{n} {i.value:+.4f} ({i.low:+.4f} to {i.high:+.4f})" for n, i in sizes.items())
        lines.append(f"  {key}: {'; '.join(shown)}")
    return lines
