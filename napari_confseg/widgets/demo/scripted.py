"""The demonstration: the whole job in one window, by hand or by a simulated hand."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.resources import as_file, files
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import zarr

from napari_confseg.ingest.options import ImportOptions
from napari_confseg.widgets.demo.summary import Facts, Shot, write_summary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_confseg.widgets.annotate.panel import AnnotatePanel
    from napari_confseg.widgets.train.panel import TrainPanel

PATIENTS: Final = 6
FRAMES: Final = 16
READER: Final = "Dr Demo"
# Seconds that a busy machine is given; what fails says so long before.
PATIENCE: Final = 240.0
FIT_TIMEOUT: Final = 900.0

CLIP: Final = "lung-convex.mpeg"
# Where a hand can go on the clip that is shipped, in shares of its height and width: along the
# pleural line, down a bright streak below it, and on below where it is hard to say.
STROKES: Final = (
    ("pleura", 90, ((0.270, 0.30), (0.218, 0.47), (0.200, 0.58), (0.158, 0.71))),
    ("b-line", 60, ((0.25, 0.51), (0.42, 0.56), (0.56, 0.61))),
    ("b-line", 30, ((0.59, 0.62), (0.80, 0.67))),
)
SLIP: Final = ("b-line", 30, ((0.50, 0.80), (0.55, 0.84)))


def say(words: str) -> None:
    """Tell the person at the terminal what goes on."""
    print(words, flush=True)


def make_cohort(out: Path) -> Path:
    """Make the synthetic cohort in `out` unless it is there; return its folder."""
    from sample_data import make_cohort as make

    place = out / "cohort.zarr"
    if not (place / "zarr.json").is_file():
        say("Making the synthetic cohort ...")
        shutil.rmtree(place, ignore_errors=True)
        make(place, patients=PATIENTS, frames=FRAMES)
    return place


def open_window(cohort: Path) -> tuple[Any, AnnotatePanel, TrainPanel]:
    """Open napari with both panels on `cohort`; return viewer and panels."""
    import napari

    viewer = napari.Viewer(title="napari-confseg")
    viewer.window.resize(1560, 960)
    # The panels by way of the manifest, as a person opens them from the Plugins menu.
    _, train = viewer.window.add_plugin_dock_widget("napari-confseg", "Train")
    dock, annotate = viewer.window.add_plugin_dock_widget("napari-confseg", "Annotate", tabify=True)
    annotate.cohort_actions.open(cohort, READER)
    dock.raise_()
    return viewer, annotate, train


def run_demo(out: Path, *, scripted: bool = False) -> int:
    """Run the demonstration and return the exit code.

    Parameters
    ----------
    out : Path
        Where cohort, pictures and summary go.
    scripted : bool
        Do the whole job with a simulated hand and end; else leave the window to the person.
    """
    out.mkdir(parents=True, exist_ok=True)
    if not scripted:
        import napari

        open_window(make_cohort(out))
        napari.run()
        return 0
    for old in ("cohort.zarr", "cohort-runs", "state"):
        shutil.rmtree(out / old, ignore_errors=True)
    # Not among the person's own settings and journals.
    os.environ["CONFSEG_STATE_DIR"] = str((out / "state").resolve())
    try:
        return ScriptedDemo(out).run()
    except StageError as error:
        print(f"confseg: {error}", file=sys.stderr)
        return 1


class StageError(RuntimeError):
    """A stage of the demonstration came to nothing; says which and why."""


class ScriptedDemo:
    """The whole job by a simulated hand, with a picture of each stage.

    Parameters
    ----------
    out : Path
        Where cohort, pictures and summary go.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.facts = Facts()
        self._begun = monotonic()

    def run(self) -> int:
        """Do it; return 0, or 1 if something did not come out as it should."""
        from napari_confseg.widgets.demo.hand import Hand

        place = self._stage("make the synthetic cohort", lambda: make_cohort(self.out))
        self.viewer, self.annotate, self.train = open_window(place)
        self.session = self.annotate.session
        self.hand = Hand(self.viewer)
        self.hand.wait(500)
        try:
            self._stage("import a real clip", self._import)
            self._stage("paint", self._paint)
            self._stage("train", self._train)
            self._stage("predict an unseen clip and accept", self._predict)
        except StageError as error:
            if not self.session.message:
                raise
            raise StageError(f"{error}. The window says: {self.session.message}") from error
        finally:
            self.session.close_clip()
            self.viewer.close()
        self._look_into_the_store(place)
        page = write_summary(self.out, self.facts)
        say(f"Done in {monotonic() - self._begun:.0f} s. Look at {page}")
        return 0 if self.facts.painted_is_stored else 1

    def _stage(self, name: str, do: Callable[[], Any]) -> Any:
        say(f"- {name}")
        begin = monotonic()
        try:
            result = do()
        except RuntimeError as error:
            raise StageError(f"could not {name}: {error}") from error
        self.facts.seconds[name] = monotonic() - begin
        return result

    def _picture(self, name: str, words: str) -> None:
        self.hand.wait(300)
        path = self.out / f"{len(self.facts.shots) + 1}-{name}.png"
        self.hand.window.grab().save(str(path))
        self.facts.shots.append(Shot(path.name, words))

    def _raise(self, panel: AnnotatePanel | TrainPanel) -> None:
        dock: Any = panel
        while dock is not None and dock.metaObject().className() != "QtViewerDockWidget":
            dock = dock.parentWidget()
        if dock is not None:
            dock.raise_()
        self.hand.wait(200)

    # ---- the stages -----------------------------------------------------------------------

    def _import(self) -> None:
        cohort = self.session.cohort
        assert cohort is not None
        reports: list[Any] = []
        self.annotate.cohort_actions.imported.connect(reports.append)
        with as_file(files("sample_data") / "clips" / CLIP) as source:
            self.annotate.cohort_actions.import_clips(
                [str(source)], ImportOptions(patient="real-1")
            )
            self.hand.wait_until(lambda: bool(reports), PATIENCE)
        if not reports[0].imported:
            raise RuntimeError("; ".join(reason for _, reason in reports[0].refused))
        self.clip = reports[0].imported[0]
        self._open(self.clip)

    def _open(self, clip: str) -> None:
        if not self.annotate.cohort_actions.open_clip(clip):
            raise RuntimeError(self.session.message)
        self.hand.wait(300)

    def _stroke(
        self, class_name: str, confidence: int, way: tuple[tuple[float, float], ...]
    ) -> None:
        height, width = self.session.planes[class_name].shape[1:]
        self.annotate.form.palette_.rows[class_name].setFocus()
        self.session.class_name = class_name
        self.session.confidence = confidence
        self.session.brush_size = max(6, width // 40)
        n = len(self.session.strokes)
        self.hand.stroke([(y * height, x * width) for y, x in way])
        self.hand.wait_until(lambda: len(self.session.strokes) > n, PATIENCE)

    def _paint(self) -> None:
        for stroke in STROKES:
            self._stroke(*stroke)
        self._stroke(*SLIP)
        self.hand.key("Ctrl+Z")
        self.hand.wait_until(lambda: self.session.strokes[-1].undone, PATIENCE)
        self.session.progress.mark_reviewed()
        self.session.flush()
        self.facts.strokes = [
            f"{s.tool} · {self.session.classes[s.class_index].label} · {s.confidence} % · "
            f"{s.pixels} pixels" + (" · undone" if s.undone else "")
            for s in self.session.strokes
            if s.tool != "status"
        ]
        planes = self.session.planes
        self.facts.painted = {c: int(np.count_nonzero(planes[c])) for c in planes}
        self._picture("painted", "A real clip, painted at 90, 60 and 30 %; one stroke undone.")

    def _train(self) -> None:
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        self._raise(self.train)
        self.hand.wait_until(self.train.start.isEnabled, PATIENCE)
        QTest.mouseClick(self.train.start, Qt.MouseButton.LeftButton)
        self.hand.wait_until(lambda: self.train.training.state.watched is not None, PATIENCE)
        self.hand.wait_until(lambda: bool(self._run.record.previews), FIT_TIMEOUT)
        self._picture("training", "Learning, in a process of its own; the first marks are back.")
        self.hand.wait_until(lambda: not self._run.phase.live, FIT_TIMEOUT)
        if self._run.phase.name != "FINISHED":
            raise RuntimeError(f"the run ended as {self._run.phase.name.lower()}: {self._run}")
        best = self._run.best
        self.facts.run = self._run.name
        self.facts.best = None if best is None else best[1]

    @property
    def _run(self) -> Any:
        return self.train.training.state.watched

    def _predict(self) -> None:
        unseen = self._unseen_clip()
        self._open(unseen)
        self.train.predict(everything=False)
        self.hand.wait_until(self._predicted, PATIENCE)
        self.session.frame = len(self.session.status) // 2
        self._picture("predicted", "What the model marks on a patient that it has not learnt from.")
        overlay = next(o for o in self.session.overlays if o.name == self._run.name)
        sizes = {c: int((p[self.session.frame] >= 50).sum()) for c, p in overlay.planes.items()}
        most = max(sizes, key=lambda c: sizes[c])
        if sizes[most]:
            self.session.class_name = most
            self.train.accept(most, 60)
            self.facts.accepted = f"{most} on frame {self.session.frame + 1} of {unseen}, at 60 %"
        self._raise(self.annotate)
        self._picture("accepted", "Accepted as the reader's own at 60 %, and undoable.")

    def _predicted(self) -> bool:
        job = self.train.training.state.predicting
        shown = any(o.name == self._run.name and o.planes for o in self.session.overlays)
        return job is not None and not job.phase.live and shown

    def _unseen_clip(self) -> str:
        """Return a clip of a patient held out from training, by the run's own record."""
        import json

        config = json.loads((self._run.folder.path / "config.json").read_text())
        return str(sorted(config["split"]["validation"])[0])

    def _look_into_the_store(self, place: Path) -> None:
        """Read what was painted with nothing but zarr."""
        array = zarr.open_array(place / self.clip / "raters" / self.session.rater / "0", mode="r")
        levels: set[int] = set()
        for index, name in enumerate(self.facts.painted):
            plane = np.asarray(array[:, index])
            self.facts.stored[name] = int(np.count_nonzero(plane))
            levels |= set(np.unique(plane).tolist()) - {0}
        self.facts.levels = sorted(levels)
