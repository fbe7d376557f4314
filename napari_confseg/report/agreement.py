"""The agreement report: one HTML page, worst disagreements first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from matplotlib.lines import Line2D

from napari_confseg.agreement.disagreement import worst_first
from napari_confseg.agreement.overlap import CURVE
from napari_confseg.report.figures import PALETTE, drawing, grid, svg
from napari_confseg.report.html import write_page
from napari_confseg.report.render import data_url, disagreement_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_confseg.agreement.agreement import Agreement
    from napari_confseg.agreement.reliability import Reliability
    from napari_confseg.agreement.summary import Learning, SoftSummary, Summary
    from napari_confseg.store import Cohort, Guarantee


def _drawing(n: int, height: float) -> AbstractContextManager[Figure]:
    """Return a drawing with room for `n` small plots of `height` inches, three in a row."""
    return drawing(3.1 * min(3, n), height * -(-n // 3))


def reliability_figure(rows: Sequence[Reliability], raters: Sequence[str]) -> Markup:
    """Return the curves of the raters, one small plot a class, as SVG."""
    classes = list(dict.fromkeys(r.class_name for r in rows))
    with _drawing(len(classes), 2.9) as figure:
        axes = grid(figure, classes)
        for ax, class_name in zip(axes, classes, strict=False):
            _reliability_axes(ax, [r for r in rows if r.class_name == class_name], raters)
        for ax in axes[::3]:
            ax.set_ylabel("others agree")
        figure.supxlabel("stated confidence", fontsize=9)
        lines = axes[0].get_legend_handles_labels()
        figure.legend(*lines, frameon=False, ncols=len(raters), loc="outside upper left")
        return svg(figure)


def threshold_figure(rows: Sequence[SoftSummary]) -> Markup:
    """Return Dice against the threshold of each pair, one small plot a class, as SVG."""
    rows = [r for r in rows if not np.isnan(r.dice_curve).all()]
    classes = list(dict.fromkeys(r.class_name for r in rows))
    if not classes:
        return Markup()
    pairs = list(dict.fromkeys((r.a, r.b) for r in rows))
    with _drawing(len(classes), 2.3) as figure:
        axes = grid(figure, classes)
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
        return svg(figure)


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


def learning_figure(rows: Sequence[Learning]) -> Markup:
    """Return each rater's agreement with the others, clip after clip, as SVG."""
    with drawing(7.5, 2.8) as figure:
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
        return svg(figure)


def write_report(cohort: Cohort, agreement: Agreement, summary: Summary, path: Path) -> None:
    """Write the page.

    Parameters
    ----------
    cohort : Cohort
        For the pictures: frames and planes of the worst disagreements are read again.
    agreement, summary : Agreement, Summary
        What to show.
    path : Path
        The ``.html`` file; replaced if it is there.
    """
    learning = [r for r in summary.learning if r.values]
    first_readings = [s for s in summary.soft if not s.repeat]
    write_page(
        path,
        "agreement.html.j2",
        cohort=agreement.cohort,
        colors={c.name: c.color for c in cohort.meta.classes},
        facts=_facts(agreement),
        worst=_worst(cohort, agreement),
        soft=first_readings,
        threshold_figure=threshold_figure(first_readings),
        pairs=[p for p in summary.pairs if not p.repeat],
        chance=summary.chance,
        reliability=summary.reliability,
        reliability_figure=reliability_figure(summary.reliability, agreement.group)
        if summary.reliability
        else "",
        guarantees=_guarantees(cohort, agreement),
        repeated=[s for s in summary.soft if s.repeat],
        learning=learning,
        learning_figure=learning_figure(learning) if learning else "",
    )


def _facts(agreement: Agreement) -> list[tuple[str, str]]:
    patients = len({c.patient for c in agreement.clips})
    frames = sum(max((s.frames for s in c.soft), default=0) for c in agreement.clips)
    return [
        (str(len(agreement.group)), "raters: " + ", ".join(agreement.group)),
        (str(len(agreement.clips)), "clips read by two or more"),
        (str(frames), "frames compared"),
        (str(patients), "patients"),
    ]


def _guarantees(cohort: Cohort, agreement: Agreement) -> list[tuple[str, Guarantee]]:
    """Return each rater compared that is a model with a guarantee, and what it promises."""
    found: list[tuple[str, Guarantee]] = []
    for clip in (cohort.clip(c.clip) for c in agreement.clips):
        for name in sorted(set(clip.raters()) & set(agreement.group)):
            promised = clip.rater(name).meta.guarantee
            if promised is not None and (name, promised) not in found:
                found.append((name, promised))
    return found


def _worst(cohort: Cohort, agreement: Agreement) -> list[dict[str, object]]:
    colors = {c.name: c.color for c in cohort.meta.classes}
    found: list[dict[str, object]] = []
    for row in worst_first(agreement):
        clip, frame = cohort.clip(row.clip), row.worst_frame
        if frame is None:
            continue
        index = cohort.meta.class_index(row.class_name)
        a, b = (clip.rater(n).read_plane(frame, index) for n in (row.a, row.b))
        image = disagreement_image(clip.frames[frame], a, b, colors[row.class_name])
        found.append(
            {
                "clip": row.clip,
                "frame": frame,
                "class_name": row.class_name,
                "a": row.a,
                "b": row.b,
                "picture": data_url(image),
                "pixels": row.worst_pixels,
                "soft_dice": row.soft_dice,
            }
        )
    return found
