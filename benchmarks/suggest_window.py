"""Suggestions in a real window: how soon the first and the next one are drawn, and the brush.

``python -m benchmarks.suggest_window [--strokes N]``

A clip of the sample cohort is open in the Annotate panel, with the model that comes with the
package, the hand is a simulated one on the canvas.

- first suggestion: from the key press to the canvas drawing it, once with no process, once with
  one that was started in advance;
- next suggestion: from the release of a stroke to the canvas drawing what was learnt from it,
  the hand waiting for each; two other frames were painted before, whose marks are carried to it;
- the brush: from a mouse move to the event loop being free again after all that it caused was
  drawn, while strokes follow each other with the model learning from each, and with suggestions
  off; the same strokes, turn about, so that the ratio holds on a busy machine too.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
import numpy as np

from napari_confseg.suggest.client import ModelProcess
from napari_confseg.widgets.annotate.panel import AnnotatePanel
from napari_confseg.widgets.demo.hand import Hand
from sample_data.cohort import make_cohort

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.store import Cohort

MOVES = 20
FRAMES = 24
APART = 4
"""Frames between the one that is painted and those that were painted before."""


class Window:
    """A viewer with a clip open, and when its canvas drew last."""

    def __init__(self, cohort: Cohort) -> None:
        self.viewer = napari.Viewer()
        self.panel = AnnotatePanel(self.viewer)
        self.panel.form.suggest._idle.setInterval(10**8)  # when it is started is measured here
        self.viewer.window.add_dock_widget(self.panel, name="Annotate", area="right")
        self.hand = Hand(self.viewer)
        self.hand.window.resize(1200, 800)
        self.panel.cohort_actions.open(cohort.location, "Ada")
        self.panel.cohort_actions.open_clip(cohort.clips()[0])
        self.session = self.panel.session
        self.session.class_name, self.session.brush_size = "b-line", 8
        self.drawn = 0.0
        canvas = self.viewer.window._qt_viewer.canvas._scene_canvas
        canvas.events.draw.connect(self._on_draw)
        self.hand.wait(1000)

    def _on_draw(self, _: object) -> None:
        self.drawn = time.perf_counter()

    def drawn_after(self, there: Callable[[], object]) -> float:
        """Return when the canvas drew first after `there()` held."""
        self.hand.wait_until(lambda: bool(there()), 120)
        began = time.perf_counter()
        # What changed was asked to be drawn before anybody could see that it had.
        self.hand.wait_until(lambda: self.drawn > began - 0.05, 2)
        return self.drawn

    def first(self) -> float:
        """Return seconds from the key to the first suggestion."""
        self.session.suggestions._proposals.clear()
        began = time.perf_counter()
        self.hand.key("Ctrl+J")
        return self.drawn_after(lambda: self.session.suggestions.title) - began

    def stroke(self, i: int) -> list[float]:
        """Drag a short stroke, of another place each time; return seconds of its moves."""
        assert self.session.clip is not None
        height, width = self.session.clip.shape[1:]
        y, x = 0.35 * height + 3 * (i % 20), 0.3 * width + 5 * (i % 24)
        self.hand.press(y, x)
        took = []
        for part in range(MOVES):
            began = time.perf_counter()
            self.hand.move(y + part / 2, x + part)
            took.append(time.perf_counter() - began)
        self.hand.release(y + MOVES / 2, x + MOVES)
        return took

    def close(self) -> None:
        """Close the clip and the window."""
        self.session.close_clip()
        self.viewer.close()


def next_ones(window: Window, strokes: int) -> list[float]:
    """Return seconds from each release to the suggestion that knows of the stroke."""
    suggestions, took = window.session.suggestions, []
    for i in range(strokes):
        landed: list[float] = []

        def land(landed: list[float] = landed) -> None:
            proposal = suggestions._proposals.get(window.session.frame)
            if proposal is not None and proposal.edits == suggestions._edits:
                landed.append(time.perf_counter())

        window.stroke(i)
        released = time.perf_counter() - window.hand._pause / 1000
        suggestions.redrawn.connect(land)
        land()
        window.hand.wait_until(lambda landed=landed: bool(landed), 60)  # type: ignore[misc]
        window.hand.wait_until(lambda landed=landed: window.drawn >= landed[0], 5)  # type: ignore[misc]
        suggestions.redrawn.disconnect(land)
        took.append(window.drawn - released)
    return took


def paint_beside(window: Window) -> None:
    """Paint on frames before and after the middle one, and come back when all was answered."""
    suggestions = window.session.suggestions
    for frame in (FRAMES // 2 - APART, FRAMES // 2 + APART, FRAMES // 2):
        window.session.frame = frame
        if frame != FRAMES // 2:
            window.stroke(frame)
        window.hand.wait_until(lambda: suggestions.work() is None, 120)


def brush(window: Window, strokes: int) -> dict[str, list[float]]:
    """Return seconds of moves, with the model learning beside them and with suggestions off."""
    took: dict[str, list[float]] = {"learning": [], "off": []}
    for i in range(2 * strokes):
        way = ("learning", "off")[i % 2]
        window.session.suggestions.set_on(way == "learning")
        if way == "learning":
            window.stroke(100 + i)  # what is learnt from while the next one is painted
        took[way] += window.stroke(i)
        if way == "learning":
            window.hand.wait(300)
    return took


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return median and 95th percentile in milliseconds."""
    p50, p95 = np.percentile(np.array(seconds) * 1000, [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}


def memory(pid: int | None) -> float | None:
    """Return MiB that a process holds; None where that is not told."""
    status = Path(f"/proc/{pid}/status")
    if pid is None or not status.exists():
        return None
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 0)


def measure(strokes: int) -> dict[str, Any]:
    """Return what was measured."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CONFSEG_STATE_DIR"] = str(Path(folder, "state"))
        cohort = make_cohort(Path(folder) / "c.zarr", patients=1, frames=FRAMES, seed=11)
        window = Window(cohort)
        part, suggestions = window.panel.form.suggest, window.session.suggestions
        cold = window.first()
        suggestions.set_on(False)
        part.process.close()
        part.process = ModelProcess()
        part.warm()
        window.hand.wait_until(lambda: part.process.pid is not None and not part.process.busy)
        window.session.frame = FRAMES // 2
        window.hand.wait(500)
        warm = window.first()
        paint_beside(window)
        latency = next_ones(window, strokes)
        moves = brush(window, strokes)
        found = {
            "load": round(os.getloadavg()[0], 1),
            "first_suggestion_s": {"cold": round(cold, 2), "in advance": round(warm, 2)},
            "process_MiB": memory(part.process.pid),
            "release_to_picture_ms": percentiles(latency),
            "move_ms": {way: percentiles(took) for way, took in moves.items()},
            "move_ratio": {
                p: round(percentiles(moves["learning"])[p] / percentiles(moves["off"])[p], 2)
                for p in ("p50", "p95")
            },
        }
        window.close()
    return found


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--strokes", type=int, default=20)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.strokes), indent=1))


if __name__ == "__main__":
    main()
