"""What painting costs beside napari's own Labels layers: one run, two viewers, turn about.

``python -m benchmarks.painting [--json]``

Both viewers show the same 8 planes over the same frames: one as plain napari layers, one through
the session. Mouse moves, releases and frame changes alternate between them and are timed within
napari's own handlers, in this thread's processor time where nothing waits (whatever else the
machine does then decides nothing), in wall time where a disk does. Panels are told of a stroke
after it was drawn: the row "release and the 100 ms after it" has that too.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import defaultdict
from functools import wraps
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from napari._vispy.canvas import VispyCanvas
from qtpy.QtWidgets import QApplication
from rich.console import Console
from rich.table import Table

from napari_confseg.store import ClassSpec, ClipMeta, Cohort, Provenance
from napari_confseg.widgets.annotate.panel import AnnotatePanel
from napari_confseg.widgets.demo.hand import Hand

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPE, N_FRAMES, N_CLASSES = (480, 640), 40, 8
AFTERWARDS = 100  # milliseconds
COLORS = ("#f0e442", "#56b4e9", "#d55e00", "#cc79a7", "#009e73", "#0072b2", "#e69f00", "#999999")


class ActivityTimer:
    """Times some of napari's mouse handlers, by canvas and handler."""

    def __init__(self) -> None:
        self.cpu: dict[tuple[int, str], list[float]] = defaultdict(list)
        self.wall: dict[tuple[int, str], list[float]] = defaultdict(list)
        for name in ("_on_mouse_move", "_on_mouse_press", "_on_mouse_release"):
            setattr(VispyCanvas, name, self._timed(name, getattr(VispyCanvas, name)))

    def _timed(self, name: str, handler: Callable[..., None]) -> Callable[..., None]:
        @wraps(handler)  # vispy remembers handlers by their names
        def timed(canvas: Any, event: Any) -> None:
            wall, cpu = time.perf_counter(), time.thread_time()
            handler(canvas, event)
            self.cpu[id(canvas), name].append(time.thread_time() - cpu)
            self.wall[id(canvas), name].append(time.perf_counter() - wall)

        return timed


def make_cohort(folder: Path) -> Cohort:
    """Return a cohort of one clip, all 8 classes marked on each of its frames."""
    rng = np.random.default_rng(0)
    classes = [
        ClassSpec(index=i, name=f"c{i}", label=f"Class {i}", color=c) for i, c in enumerate(COLORS)
    ]
    cohort = Cohort.create(folder / "c.zarr", name="bench", classes=classes)
    with cohort.new_clip("clip", shape=SHAPE) as new:
        for _ in range(N_FRAMES):
            new.append(rng.integers(0, 255, SHAPE, dtype=np.uint8))
        times = tuple(i / 20 for i in range(N_FRAMES))
        provenance = Provenance(source_sha256="0" * 64, decoder="benchmark")
        new.finish(ClipMeta(patient="p", frame_times=times, provenance=provenance))
    rater = cohort.clip("clip").create_rater("ada", kind="human")
    status = np.ones((N_FRAMES, N_CLASSES), np.uint8)
    for t in range(N_FRAMES):
        for c in range(N_CLASSES):
            plane = np.zeros(SHAPE, np.uint8)
            plane[20 + 50 * c : 50 + 50 * c, 100:500] = 30 + 10 * (t % 7)
            rater.write_plane(t, c, plane)
    rater.write_status(status)
    return cohort


def plain_viewer(cohort: Cohort) -> Any:
    """Return a viewer with the clip and its planes as napari's own layers."""
    viewer = napari.Viewer()
    clip = cohort.clip("clip")
    viewer.add_image(clip.frames[:], contrast_limits=(0, 255))
    for c in range(N_CLASSES):
        layer = viewer.add_labels(clip.rater("ada").read_planes(c))
        layer.n_edit_dimensions = 2
        layer.brush_size = 12
    layer.mode = "paint"
    return viewer


def our_viewer(cohort: Cohort) -> tuple[Any, AnnotatePanel]:
    """Return a viewer with the clip in the Annotate panel."""
    viewer = napari.Viewer()
    panel = AnnotatePanel(viewer)
    viewer.window.add_dock_widget(panel, name="Annotate", area="right")
    panel.cohort_actions.open(cohort.location, "ada")
    panel.session.class_name = f"c{N_CLASSES - 1}"
    panel.session.brush_size = 12
    return viewer, panel


def measure(strokes: int, changes: int) -> dict[str, dict[str, float]]:
    """Return milliseconds of each action, plain and ours."""
    watch = ActivityTimer()
    with tempfile.TemporaryDirectory() as name:
        os.environ["CONFSEG_STATE_DIR"] = str(Path(name, "state"))
        cohort = make_cohort(Path(name))
        plain = plain_viewer(cohort)
        ours, panel = our_viewer(cohort)
        hands = {"plain": Hand(plain), "ours": Hand(ours)}
        for hand in hands.values():
            hand.window.resize(1200, 800)
            hand.wait(500)
        followed = paint(hands, panel, strokes)
        cpu, wall = watch.cpu, watch.wall
        rows = {
            "mouse move, CPU ms": _both(cpu, hands, "_on_mouse_move"),
            "press, CPU ms": _both(cpu, hands, "_on_mouse_press"),
            "release, CPU ms": _both(cpu, hands, "_on_mouse_release"),
            "release with saving, wall ms": _both(wall, hands, "_on_mouse_release"),
            f"release and the {AFTERWARDS} ms after it, CPU ms": followed,
            f"frame change, {N_CLASSES} classes, CPU ms": change_frames(hands, changes),
        }
        panel.session.close_clip()
        for viewer in (plain, ours):
            viewer.close()
    return rows


def paint(hands: dict[str, Hand], panel: AnnotatePanel, strokes: int) -> dict[str, float]:
    """Drag the same strokes in both viewers, turn about.

    Returns
    -------
    dict of str to float
        Milliseconds from the release of a stroke on, with what was put off until it was shown.
    """
    took: dict[str, list[float]] = {name: [] for name in hands}
    for i in range(strokes):
        panel.session.confidence = 1 + i
        hands["plain"]._viewer.layers[-1].selected_label = 1 + i
        for name, hand in hands.items():
            y = 60 + 8 * (i % 40)
            hand.press(y, 100)
            for part in range(1, 21):
                hand.move(y + part, 100 + 20 * part)
            hand.wait(AFTERWARDS)  # what the moves have asked to be drawn is drawn
            began = time.thread_time()
            hand.release(y + 20, 500)
            hand.wait(AFTERWARDS)
            took[name].append(time.thread_time() - began)
    return {name: 1000 * median(times) for name, times in took.items()}


def change_frames(hands: dict[str, Hand], changes: int) -> dict[str, float]:
    """Return milliseconds to slice and draw another frame."""
    app = QApplication.instance()
    took: dict[str, list[float]] = {name: [] for name in hands}
    for i in range(changes):
        for name, hand in hands.items():
            began = time.thread_time()
            hand._viewer.dims.set_current_step(0, (i + 1) % N_FRAMES)
            hand.canvas.repaint()
            app.processEvents()
            took[name].append(time.thread_time() - began)
    return {name: 1000 * median(times) for name, times in took.items()}


def _both(
    times: dict[tuple[int, str], list[float]], hands: dict[str, Hand], name: str
) -> dict[str, float]:
    canvases = {key: id(hand._viewer.window._qt_viewer.canvas) for key, hand in hands.items()}
    return {key: 1000 * median(times[canvas, name]) for key, canvas in canvases.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON and no table")
    parser.add_argument("--strokes", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--changes", type=int, default=40, help="default: %(default)s")
    args = parser.parse_args()
    rows = measure(args.strokes, args.changes)
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("", "plain napari", "ours", "ratio", title="Medians of one run")
    for name, row in rows.items():
        table.add_row(
            name, *(f"{row[k]:.2f}" for k in ("plain", "ours")), f"{row['ours'] / row['plain']:.2f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
