"""Accepting a model's marks on a whole long clip: for how long the window stands still.

``python -m benchmarks.accepting [--frames 2000] [--classes 1] [--json]``

The Annotate panel shows a clip of 1024 x 768 that a model has marked on every frame. All of it is
accepted, undone and done again, each as one step. A timer of 5 ms runs meanwhile: where it comes
more than 50 ms late, the window stood still.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication
from rich.console import Console
from rich.table import Table

from napari_confseg.annotate.accepting import Which
from napari_confseg.store import DEFAULT_CLASSES, ClipMeta, Cohort, Provenance
from napari_confseg.widgets.annotate.panel import AnnotatePanel

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPE = (768, 1024)
TICK, LATE = 5, 50  # milliseconds
AFTERWARDS = 0.5  # seconds in which panels and counts follow


def make_cohort(place: Path, n_frames: int, n_classes: int) -> None:
    """Make a clip, and a model that marks a slanted band of uneven confidence on each frame."""
    cohort = Cohort.create(place, name="bench", classes=DEFAULT_CLASSES)
    with cohort.new_clip("clip", shape=SHAPE) as new:
        for t in range(n_frames):
            new.append(np.full(SHAPE, t % 250, np.uint8))
        times = tuple(t / 30 for t in range(n_frames))
        provenance = Provenance(source_sha256="0" * 64, decoder="benchmark")
        new.finish(ClipMeta(patient="p", frame_times=times, provenance=provenance))
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 20, (SHAPE[0] // 8, SHAPE[1] // 8), dtype=np.uint8)
    uneven = np.kron(coarse, np.ones((8, 8), np.uint8))

    def band(t: int, c: int) -> np.ndarray:
        away = np.abs(x - y // 4 - 150 - 80 * c - t % 200)
        return np.where((away < 40) & (y > 200), 60 + uneven + away // 4, 0).astype(np.uint8)

    rater = cohort.clip("clip").create_rater("run-1", kind="model", label="Run 1", run="run-1")
    rater.write_each((t, c, band(t, c)) for t in range(n_frames) for c in range(n_classes))


class Ticks:
    """When a timer's calls came too late."""

    def __init__(self) -> None:
        self._timer = QTimer(interval=TICK)
        self._timer.timeout.connect(self._on_tick)
        self._last = 0.0
        self._late: list[float] = []

    def during(self, act: Callable[[], object], until: Callable[[], bool]) -> dict[str, float]:
        """Return what `act` took until `until()` was true, and a little after that."""
        app: Any = QApplication.instance()
        self._late, self._last = [], time.perf_counter()
        begun, self._over = self._last, 0.0
        self._timer.start()
        QTimer.singleShot(0, act)
        while not self._over or time.perf_counter() < self._over + AFTERWARDS:
            app.processEvents()
            time.sleep(0.001)
            if not self._over and until():
                self._over = time.perf_counter()
        self._timer.stop()
        return {
            "seconds": self._over - begun,
            "stood still, ms": sum(self._late),
            "longest, ms": max(self._late, default=0.0),
        }

    def _on_tick(self) -> None:
        now = time.perf_counter()
        late = 1000 * (now - self._last) - TICK
        if late > LATE:
            self._late.append(late)
        self._last = now


def measure(place: Path) -> dict[str, dict[str, float]]:
    """Accept, undo and redo; return what each took."""
    import napari

    viewer = napari.components.ViewerModel()
    panel = AnnotatePanel(viewer)
    panel.resize(340, 900)
    panel.show()
    session = panel.session
    assert panel.cohort_actions.open(place, "ada")
    session.acceptor.configure(which=Which.ALL)
    ticks, found = Ticks(), {}
    found["idle"] = ticks.during(lambda: None, lambda: True)
    found["accept"] = ticks.during(panel.form.accept.begin, lambda: bool(session.strokes))
    marked = int(session.marked.sum())
    assert marked, session.message
    found["stored"] = ticks.during(
        lambda: None, lambda: not getattr(session.save_state, "waiting", 1)
    )
    found["undo"] = ticks.during(session.undo, lambda: not session.marked.any())
    found["redo"] = ticks.during(session.redo, lambda: int(session.marked.sum()) == marked)
    session.flush(120)
    session.release()
    panel.close()
    found["memory"] = {"peak, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}
    return found


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--classes", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CONFSEG_STATE_DIR"] = os.environ["CONFSEG_CACHE_DIR"] = folder
        app = QApplication.instance() or QApplication([])
        make_cohort(Path(folder) / "c.zarr", options.frames, options.classes)
        found = measure(Path(folder) / "c.zarr")
        del app
    if options.json:
        print(json.dumps(found))
        return 0
    console = Console()
    table = Table("", "seconds", "stood still, ms", "longest, ms")
    for name, took in found.items():
        if name != "memory":
            table.add_row(name, *(f"{v:.0f}" if v > 10 else f"{v:.2f}" for v in took.values()))
    console.print(table)
    console.print(f"peak memory {found['memory']['peak, MB']:.0f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
