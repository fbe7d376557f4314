"""Pages of results: one HTML file that needs nothing else, and figures that are the same each time.

Figures are drawn without any screen, as SVG; equal numbers give equal bytes.
"""

from __future__ import annotations

from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# Okabe and Ito's palette: told apart by everybody.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
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
    "svg.hashsalt": "confseg",
    "svg.fonttype": "none",
}

_CSS = """
:root{--ink:#1d2733;--soft:#5b6876;--line:#e3e8ee}
body{font:15px/1.55 system-ui,sans-serif;color:var(--ink);margin:0 auto;max-width:1080px;
padding:32px}
h1{font-size:28px;margin:0 0 6px}h2{font-size:20px;margin:44px 0 8px;padding-top:20px;
border-top:1px solid var(--line)}p{max-width:76ch}p.note,figcaption{color:var(--soft);
max-width:76ch;margin:4px 0 14px;font-size:14px}
.warn{border-left:4px solid #e69f00;background:#fff7e6;padding:8px 14px;max-width:76ch}
figure{margin:18px 0}svg{max-width:100%;height:auto}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;
font-size:13.5px;width:100%}th{text-align:left;color:var(--soft);font-weight:600;
border-bottom:2px solid var(--line)}td,th{padding:5px 12px 5px 0;vertical-align:top}
td{border-bottom:1px solid var(--line)}td small{color:var(--soft);white-space:nowrap;display:block}
tr.mark td{background:#eef6fb}td.best{font-weight:700}code{font-size:13px}
"""


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """Yield a figure to draw on, in the pages' style."""
    with mpl.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def svg(figure: Figure) -> str:
    """Return the figure as SVG text for a page."""
    text = StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    whole = text.getvalue()
    return whole[whole.index("<svg") :]


def save_png(figure: Figure, path: Path) -> None:
    """Write the figure as a picture for the docs."""
    with mpl.rc_context(STYLE):
        figure.savefig(path, dpi=110, metadata={"Software": None}, facecolor="white")


def figure_html(figure: Figure, caption: str) -> str:
    """Return the figure with its caption (which may hold markup)."""
    return f"<figure>{svg(figure)}<figcaption>{caption}</figcaption></figure>"


def cell(value: float, low: float = np.nan, high: float = np.nan, digits: int = 3) -> str:
    """Return a table's cell: the value and, where known, its interval; a dash if undefined."""
    if np.isnan(value):
        return "<td>–</td>"
    sides = "" if np.isnan(low) else f"<small>{low:.{digits}f} to {high:.{digits}f}</small>"
    return f"<td>{value:.{digits}f}{sides}</td>"


def table(header: Sequence[str], rows: Sequence[str]) -> str:
    """Return a table; each row is its cells, or whole if it begins with ``<tr``."""
    head = "".join(f"<th>{escape(h)}</th>" for h in header)
    whole = "".join(r if r.startswith("<tr") else f"<tr>{r}</tr>" for r in rows)
    return f"<div class='wide'><table><tr>{head}</tr>{whole}</table></div>"


def write_page(title: str, body: Sequence[str], path: Path) -> None:
    """Write the page, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f'</title><meta name="viewport" content="width=device-width"><style>{_CSS}</style></head>'
        f"<body><h1>{escape(title)}</h1>{''.join(body)}</body></html>\n",
        encoding="utf-8",
    )
    partial.replace(path)
