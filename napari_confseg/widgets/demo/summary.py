"""The demonstration's one page: what was painted, stored and learnt, and how long it took."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em;
       color: #1d2129; }
img { width: 100%; border: 1px solid #ccd; border-radius: 6px; }
figure { margin: 1.5em 0; } figcaption { color: #556; }
table { border-collapse: collapse; } td, th { padding: .2em 1.2em .2em 0; text-align: left; }
.ok { color: #006b4d; font-weight: 600; } .bad { color: #a03000; font-weight: 600; }
"""


@dataclass(frozen=True)
class Shot:
    """A picture and what it shows."""

    file: str
    words: str


@dataclass
class Facts:
    """What the demonstration saw. Pixels are counted by class over the whole clip.

    Attributes
    ----------
    strokes : list of str
        The record, a line a stroke.
    painted, stored : dict
        Marked pixels in the window, and in the store read with plain zarr.
    levels : list of int
        Confidences that the store holds.
    run : str
        The run.
    best : float or None
        Best mean Dice on held-out patients, against the readers' confidences.
    accepted : str
        What was taken over from the model.
    seconds : dict
        How long each stage took.
    """

    strokes: list[str] = field(default_factory=list)
    painted: dict[str, int] = field(default_factory=dict)
    stored: dict[str, int] = field(default_factory=dict)
    levels: list[int] = field(default_factory=list)
    run: str = ""
    best: float | None = None
    accepted: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    shots: list[Shot] = field(default_factory=list)

    @property
    def painted_is_stored(self) -> bool:
        """Whether the store holds just what the window showed."""
        return bool(self.stored) and self.painted == self.stored


def _rows(pairs: Iterable[tuple[object, ...]]) -> str:
    cells = ("".join(f"<td>{escape(str(c))}</td>" for c in pair) for pair in pairs)
    return "\n".join(f"<tr>{row}</tr>" for row in cells)


def write_summary(out: Path, facts: Facts) -> Path:
    """Write ``summary.html`` beside the pictures and return its path."""
    same = facts.painted_is_stored
    verdict = (
        '<span class="ok">the store holds exactly what was painted</span>'
        if same
        else '<span class="bad">the store differs from what was painted</span>'
    )
    marked = [
        (c, facts.painted[c], facts.stored.get(c, 0))
        for c in facts.painted
        if facts.painted[c] or facts.stored.get(c)
    ]
    best = "undefined" if facts.best is None else f"{facts.best:.2f}"
    levels = ", ".join(f"{v} %" for v in facts.levels)
    figures = "\n".join(
        f'<figure><img src="{escape(s.file)}" alt="{escape(s.words)}">'
        f"<figcaption>{escape(s.words)}</figcaption></figure>"
        for s in facts.shots
    )
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>napari-confseg: the whole job</title>
<style>{_STYLE}</style>
<h1>The whole job</h1>
<h2>Painted</h2>
<table>{_rows((s,) for s in facts.strokes)}</table>
<h2>Stored</h2>
<p>Read back with plain zarr: {verdict}; confidences {levels}.</p>
<table><tr><th>class</th><th>pixels painted</th><th>pixels stored</th></tr>{_rows(marked)}</table>
<h2>Learnt</h2>
<p>Run <b>{escape(facts.run)}</b>: mean Dice {best} on patients held out from training, against the
readers' confidences. The cohort it learnt from is synthetic but for one clip.
Accepted from the model: {escape(facts.accepted or "nothing")}.</p>
<h2>How long</h2>
<table>{_rows((name, f"{s:.0f} s") for name, s in facts.seconds.items())}</table>
{figures}
<p>The real clip comes from the public POCUS collection, CC BY 4.0; see
<code>sample_data/clips/ATTRIBUTION.md</code>.</p>
</html>
"""
    path = out / "summary.html"
    path.write_text(page, encoding="utf-8")
    return path
