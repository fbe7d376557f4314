"""The report of the demonstration: painted, stored and trained, with durations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_confseg.report.html import write_page

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Shot:
    """A picture and its caption."""

    file: str
    caption: str


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


def write_summary(out: Path, facts: Facts) -> Path:
    """Write ``summary.html`` beside the pictures and return its path."""
    marked = [
        (c, facts.painted[c], facts.stored.get(c, 0))
        for c in facts.painted
        if facts.painted[c] or facts.stored.get(c)
    ]
    path = out / "summary.html"
    write_page(path, "demo.html.j2", facts=facts, marked=marked)
    return path
