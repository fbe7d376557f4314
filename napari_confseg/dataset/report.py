"""Agreement as one HTML page that needs nothing else: worst disagreements first."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.dataset.figures import (
    learning_figure,
    reliability_figure,
    threshold_figure,
)
from napari_confseg.dataset.pictures import data_url, disagreement_image
from napari_confseg.dataset.worst import worst_first

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_confseg.dataset.intervals import Estimate
    from napari_confseg.dataset.scores import Agreement
    from napari_confseg.dataset.summary import Summary
    from napari_confseg.store import Cohort

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
        (str(len(agreement.panel)), "raters: " + ", ".join(agreement.panel)),
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
        "cautious.</p>" + reliability_figure(summary.reliability, agreement.panel)
        + _table(header, rows)
    )  # fmt: skip


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
