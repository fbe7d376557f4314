"""Agreement as one HTML page that needs nothing else: worst disagreements first."""

from __future__ import annotations

from html import escape
from io import StringIO
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from napari_confseg.agreement.disagreement import worst_first
from napari_confseg.agreement.overlap import CURVE
from napari_confseg.report.render import PALETTE, data_url, disagreement_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from napari_confseg.agreement.agreement import Agreement
    from napari_confseg.agreement.intervals import Estimate
    from napari_confseg.agreement.reliability import Reliability
    from napari_confseg.agreement.summary import Learning, SoftSummary, Summary
    from napari_confseg.store import Cohort


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


_CSS = """
:root{--ink:#1d2733;--soft:#5b6876;--line:#e3e8ee;--accent:#0072b2}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);margin:0 auto;max-width:1080px;
padding:32px}
h1{font-size:28px;margin:0}h2{font-size:20px;margin:44px 0 8px;border-top:1px solid var(--line);
padding-top:20px}p.note{color:var(--soft);max-width:72ch;margin:4px 0 14px}
.facts{display:flex;gap:28px;margin:18px 0;flex-wrap:wrap}.facts b{display:block;font-size:22px}
.facts span{color:var(--soft)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13.5px;width:100%}
th{text-align:left;color:var(--soft);font-weight:600;border-bottom:2px solid var(--line)}
td,th{padding:5px 10px 5px 0;vertical-align:top}td{border-bottom:1px solid var(--line)}
td small{color:var(--soft);white-space:nowrap;display:block}
.gallery{display:grid;grid-template-columns:1fr 1fr;gap:22px}.gallery img{width:100%;
border-radius:4px;background:#000;max-height:300px;object-fit:contain}
figure{margin:0}figcaption{font-size:13px}figcaption span{color:var(--soft)}
.dot{display:inline-block;width:10px;height:10px;border-radius:50%;margin-right:6px}
.bar{display:inline-block;height:8px;border-radius:2px;background:var(--accent);opacity:.75}
svg{max-width:100%;height:auto}
@media(max-width:760px){.gallery{grid-template-columns:1fr}body{padding:16px}}
"""


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
    colors = {c.name: c.color for c in cohort.meta.classes}
    body = "\n".join(
        [
            _head(agreement),
            _worst(cohort, agreement, colors),
            _soft(summary, colors),
            _thresholds(summary, colors),
            _chance(summary, colors),
            _reliability(agreement, summary),
            _repeat(summary, colors),
            _learning(summary),
        ]
    )
    title = f"Agreement in {escape(agreement.cohort)}"
    path.write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_CSS}</style></head>'
        f"<body>{body}</body></html>\n",
        encoding="utf-8",
    )


def _head(agreement: Agreement) -> str:
    patients = len({c.patient for c in agreement.clips})
    frames = sum(max((s.frames for s in c.soft), default=0) for c in agreement.clips)
    facts = [
        (str(len(agreement.group)), "raters: " + ", ".join(agreement.group)),
        (str(len(agreement.clips)), "clips read by two or more"),
        (str(frames), "frames compared"),
        (str(patients), "patients"),
    ]
    items = "".join(f"<div><b>{escape(n)}</b><span>{escape(w)}</span></div>" for n, w in facts)
    return (
        f"<h1>Agreement in {escape(agreement.cohort)}</h1><div class='facts'>{items}</div>"
        "<p class='note'>Only frames that both raters marked as reviewed count; reviewed and "
        "unmarked means &ldquo;not there&rdquo;. Values in brackets are 95 % intervals from "
        "resampling patients. A dash stands where a score is "
        "undefined; n says how many clips it rests on.</p>"
    )


def _dot(class_name: str, colors: dict[str, str]) -> str:
    style = f"background:{colors.get(class_name, '#888')}"
    return f"<span class='dot' style='{style}'></span>{escape(class_name)}"


def _cell(value: Estimate | None, unit: str = "", digits: int = 2) -> str:
    if value is None:
        return "<td>–</td>"
    if np.isnan(value.value):
        return f"<td>–<small>n {value.n}</small></td>"
    interval = ""
    if not np.isnan(value.low):
        interval = f"<small>{value.low:.{digits}f} to {value.high:.{digits}f}, n {value.n}</small>"
    return f"<td>{value.value:.{digits}f}{unit}{interval}</td>"


def _table(header: Sequence[str], rows: Sequence[str]) -> str:
    """Return a table of rows of cells; a first cell that repeats the one above is left blank."""
    head = "".join(f"<th>{h}</th>" for h in header)
    first = [row.split("</td>", 1)[0] for row in rows]
    rows = [
        row if i == 0 or first[i] != first[i - 1] else row.replace(first[i], "<td>", 1)
        for i, row in enumerate(rows)
    ]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{r}</tr>' for r in rows)}</table>"


def _worst(cohort: Cohort, agreement: Agreement, colors: dict[str, str]) -> str:
    figures = []
    for row in worst_first(agreement):
        clip = cohort.clip(row.clip)
        frame = row.worst_frame
        if frame is None:
            continue
        index = cohort.meta.class_index(row.class_name)
        a, b = (clip.rater(n).read_plane(frame, index) for n in (row.a, row.b))
        picture = data_url(disagreement_image(clip.frames[frame], a, b, colors[row.class_name]))
        figures.append(
            f"<figure><img src='{picture}' alt='{escape(row.clip)} frame {frame}'><figcaption>"
            f"{_dot(row.class_name, colors)} in <b>{escape(row.clip)}</b>, frame {frame} "
            f"<span>frame alone · {escape(row.a)} · {escape(row.b)} · difference; "
            f"{row.worst_pixels:.0f} px apart, soft Dice of the clip "
            f"{'–' if np.isnan(row.soft_dice) else f'{row.soft_dice:.2f}'}</span>"
            "</figcaption></figure>"
        )
    if not figures:
        return "<h2>Worst disagreements</h2><p class='note'>There are none.</p>"
    return (
        "<h2>Worst disagreements</h2><p class='note'>The frames with the most difference in "
        "confidence, counted in pixels of 100 %. In the last picture orange is what only the "
        "first rater says, blue what only the second says.</p>"
        f"<div class='gallery'>{''.join(figures)}</div>"
    )


def _soft(summary: Summary, colors: dict[str, str]) -> str:
    rows = [
        f"<td>{_dot(s.class_name, colors)}</td><td>{escape(s.a)} – {escape(s.b)}</td>"
        f"{_cell(s.soft_dice)}<td>{_bar(s.soft_dice.value)}</td>{_cell(s.energy_distance)}"
        for s in summary.soft
        if not s.repeat
    ]
    header = ("class", "raters", "soft Dice", "", "energy distance")
    return (
        "<h2>Confidence against confidence</h2><p class='note'>Soft Dice compares the stated "
        "confidences themselves: 1 for equal ones. The generalised energy distance compares them "
        "as distributions of outlines: 0 for equal ones, at most 2. Means over clips.</p>"
        + _table(header, rows)
    )


def _bar(value: float) -> str:
    return "" if np.isnan(value) else f"<span class='bar' style='width:{90 * value:.0f}px'></span>"


def _thresholds(summary: Summary, colors: dict[str, str]) -> str:
    rows = [
        f"<td>{_dot(p.class_name, colors)}</td><td>{escape(p.a)} – {escape(p.b)}</td>"
        f"<td>≥ {p.threshold} %</td>{_cell(p.dice)}{_cell(p.iou)}{_cell(p.hd95, ' ' + p.unit, 1)}"
        for p in summary.pairs
        if not p.repeat
    ]
    header = ("class", "raters", "marked", "Dice", "IoU", "HD95")
    return (
        "<h2>At a threshold</h2><p class='note'>What is left when only marks of at least this "
        "confidence count. HD95 is the mean over frames that both marked.</p>"
        + threshold_figure([s for s in summary.soft if not s.repeat])
        + _table(header, rows)
    )


def _chance(summary: Summary, colors: dict[str, str]) -> str:
    rows = [
        f"<td>{_dot(c.class_name, colors)}</td>"
        f"<td>{'confidence' if c.threshold is None else f'≥ {c.threshold} %'}</td>"
        f"{_cell(c.presence_kappa)}{_cell(c.presence_alpha)}{_cell(c.pixel_alpha)}"
        for c in summary.chance
    ]
    header = ("class", "of", "presence: Fleiss κ", "presence: Krippendorff α", "pixels: α")
    return (
        "<h2>Beyond chance</h2><p class='note'>Presence asks for each frame whether the class is "
        "there at all; n counts frames (κ) or clips (α). 1 is perfect, 0 is chance.</p>"
        + _table(header, rows)
    )


def _reliability(agreement: Agreement, summary: Summary) -> str:
    if not summary.reliability:
        return ""
    rows = [
        f"<td>{escape(r.class_name)}</td><td>{escape(r.rater)}</td>"
        f"{_cell(r.error)}{_cell(r.correlation)}"
        for r in summary.reliability
    ]
    header = ("class", "rater", "calibration error", "correlation with others' agreement")
    return (
        "<h2>What a stated confidence is worth</h2><p class='note'>Of the pixels that a rater "
        "marked with some confidence, how many of the others&rsquo; votes (50 % or more) agree. "
        "Below the dashed line a rater is bolder than the others bear out, above it more "
        "cautious.</p>"
        + reliability_figure(summary.reliability, agreement.group)
        + _table(header, rows)
    )


def _repeat(summary: Summary, colors: dict[str, str]) -> str:
    rows = [
        f"<td>{_dot(s.class_name, colors)}</td><td>{escape(s.a)}</td>"
        f"{_cell(s.soft_dice)}{_cell(s.energy_distance)}"
        for s in summary.soft
        if s.repeat
    ]
    if not rows:
        return ""
    header = ("class", "rater", "soft Dice with themselves", "energy distance")
    return (
        "<h2>Repeatability</h2><p class='note'>The same rater reading a clip a second time, as "
        "rater <code>name-2</code>.</p>" + _table(header, rows)
    )


def _learning(summary: Summary) -> str:
    rows = [r for r in summary.learning if r.values]
    if not rows:
        return ""
    lines = [
        f"<td>{escape(r.rater)}</td><td>{len(r.values)}</td>"
        f"<td>{'–' if np.isnan(r.slope) else f'{r.slope:+.3f}'}</td>"
        f"<td>{'–' if np.isnan(r.rank_correlation) else f'{r.rank_correlation:+.2f}'}</td>"
        for r in rows
    ]
    header = ("rater", "clips", "soft Dice per ten clips", "rank correlation with order")
    return (
        "<h2>Over time</h2><p class='note'>Agreement with the others in the order in which each "
        "rater read the clips. A slope shows learning or drift; clips differ, so read it with "
        "care.</p>" + learning_figure(rows) + _table(header, lines)
    )
