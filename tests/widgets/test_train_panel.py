"""The Train panel in a real window: every state it can show, and a real run from end to end."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QInputDialog,
    QSlider,
)

from napari_confseg.annotate.train.activation import Activation
from napari_confseg.annotate.train.inventory import datasets_folder
from napari_confseg.annotate.train.runs import Phase
from napari_confseg.dataset.build import build
from napari_confseg.dataset.manifest import BuildRequest
from napari_confseg.job import (
    ActiveModel,
    Cancelled,
    Failed,
    Finished,
    FitRequest,
    Metrics,
    Preview,
    Progress,
    Result,
    RunFolder,
    Started,
    runs_folder,
    set_active,
)
from napari_confseg.methods import LEVELS, LOSSES, METHODS
from napari_confseg.store import Cohort, Status
from napari_confseg.widgets.shared import session_for
from napari_confseg.widgets.train.panel import TrainPanel
from tests.widgets import trainable_cohort
from tests.widgets.bench import let_go

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def trainable(tmp_path: Path, state_dir: Path) -> Cohort:
    return trainable_cohort.make(tmp_path / "toy.zarr", shape=(48, 64))


@pytest.fixture
def panel(qapp: object, state_dir: Path) -> Iterator[TrainPanel]:
    """The panel as a window of its own: most of what it does needs no canvas to be drawn."""
    made = TrainPanel(ViewerModel())
    made.resize(340, 900)
    made.show()
    yield made
    made.session.close_clip()
    let_go(made)


@pytest.fixture
def docked(make_napari_viewer: Callable[..., Any], state_dir: Path) -> Iterator[TrainPanel]:
    """The panel in napari's real window."""
    viewer = make_napari_viewer(show=True)
    made = TrainPanel(viewer)
    viewer.window.add_dock_widget(made, name="Train", area="right")
    yield made
    made.session.close_clip()


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        QTest.qWait(20)


def opened(panel: TrainPanel, cohort: Cohort, clip: str | None = None) -> None:
    panel.session.open_cohort(cohort)
    panel.session.reader.choose("Me")
    if clip:
        panel.session.open_clip(clip)
    until(lambda: not panel.training.counting)


def phase(panel: TrainPanel) -> Phase | None:
    run = panel.training.state.watched
    return run.phase if run else None


def write_run(cohort: Cohort, name: str = "m1", **changes: Any) -> RunFolder:
    """Make a run folder as Start does; the test plays the trainer, by the real protocol."""
    request = FitRequest(cohort=cohort.location, rater=name, classes=("pleura", "b-line"))
    return RunFolder.create(runs_folder(cohort) / name, request.model_copy(update=changes))


def learn(run: RunFolder, steps: range) -> None:
    for step in steps:
        run.append(Progress(current=step, maximum=20, message="Learning", seconds_left=90))
        values = {
            "loss": 1 / step,
            "val_loss": 1.2 / step,
            "val_dice": step / 25,
            "val_dice/pleura": step / 20,
            "val_dice/b-line": step / 30,
        }
        run.append(Metrics(step=step, values=values))


def model_marks(cohort: Cohort, clip: str, run: str, disc_at: int) -> None:
    """Write a model's planes as the trainer does: the left half is B-line."""
    there = cohort.clip(clip)
    rater = (
        there.rater(run)
        if run in there.raters()
        else there.create_rater(run, kind="model", run=run)
    )
    plane = np.zeros(there.shape[1:], np.uint8)
    plane[:, : plane.shape[1] // 2] = disc_at
    for t in range(there.shape[0]):
        rater.write_plane(t, cohort.meta.class_index("b-line"), plane)


# ---- states -------------------------------------------------------------------------------


def test_with_nothing_open_it_says_what_to_do(panel: TrainPanel) -> None:
    assert panel.reason.isVisibleTo(panel)
    assert "Open a study folder" in panel.reason.text()
    assert not panel.start.isVisibleTo(panel)
    assert not panel.run_section.isVisibleTo(panel)


def test_with_nothing_reviewed_it_says_so_until_something_is(
    panel: TrainPanel, cohort: Cohort
) -> None:
    opened(panel, cohort, "clip-1")
    assert "Mark frames as reviewed first" in panel.reason.text()
    assert not panel.start.isEnabled()
    assert "no frame reviewed" in panel.counts.text()
    panel.session.progress.mark_reviewed(0)
    assert panel.start.isEnabled()
    assert not panel.reason.isVisibleTo(panel)
    assert "Only one patient" in panel.caution.text()
    assert panel.form.raters.boxes["me"].isChecked()


def test_what_was_reviewed_is_ticked_and_a_choice_changes_the_request(
    panel: TrainPanel, trainable: Cohort
) -> None:
    opened(panel, trainable)
    form = panel.form
    ticked = {n for n, box in form.classes.boxes.items() if box.isChecked()}
    assert ticked == {"pleura", "b-line"}
    assert not form.classes.boxes["rib"].isEnabled()
    QTest.mouseClick(
        form.classes.boxes["pleura"],
        Qt.MouseButton.LeftButton,
        pos=QPoint(8, form.classes.boxes["pleura"].height() // 2),
    )
    assert form.method.chooser.currentData() == "relative-threshold"
    panel.training.change_settings(method="threshold")
    form.method.params["t"].setValue(75)
    request = panel.training.state.next_run.request
    assert request is not None
    assert request.classes == ("b-line",)
    assert request.method.params == {"t": 75}
    assert "75 %" in form.method.note.text()
    form.method.chooser.setFocus()
    QTest.keyClick(form.method.chooser, Qt.Key.Key_Down)
    assert panel.training.state.next_run.request is not None
    assert str(panel.training.state.next_run.request.method) == "soft"
    assert not form.method.params["t"].isVisibleTo(panel)
    assert "confidence itself" in form.method.note.text()


def test_an_address_is_typed_and_remembered(panel: TrainPanel, trainable: Cohort) -> None:
    opened(panel, trainable)
    form, training = panel.form, panel.training
    where = form.where
    assert where.currentText() == "This computer"
    where.setFocus()
    where.lineEdit().selectAll()
    QTest.keyClicks(where, "gpu-ser")
    training.change_settings(params={"t": 70})  # whatever is shown anew meanwhile
    assert where.currentText() == "gpu-ser"
    QTest.keyClicks(where, "ver")
    QTest.keyClick(where, Qt.Key.Key_Return)
    assert where.currentText() == training.state.settings.where == "tcp://gpu-server:8786"
    assert [form.device.itemText(i) for i in range(form.device.count())] == [
        "Automatic",
        "CPU",
        "GPU",
    ]
    assert panel.start.isEnabled()
    where.lineEdit().selectAll()
    QTest.keyClicks(where, "no address")
    QTest.keyClick(where, Qt.Key.Key_Return)
    assert "no address:8786 is no address of a dask scheduler" in panel.reason.text()
    assert not panel.start.isEnabled()
    where.offer(("tcp://gpu-server:8786",))
    where.setFocus()
    QTest.keyClick(where, Qt.Key.Key_Down)  # from what is not in the list to its first
    assert where.currentText() == "This computer"
    assert training.state.settings.where == ""
    assert panel.start.isEnabled()
    QTest.keyClick(where, Qt.Key.Key_Down)
    assert training.state.settings.where == "tcp://gpu-server:8786"


def test_every_number_of_a_method_has_a_name_and_the_loss_is_a_choice(
    panel: TrainPanel, trainable: Cohort
) -> None:
    opened(panel, trainable)
    rows, training = panel.form.method, panel.training
    for name, about in METHODS.items():
        training.change_settings(method=name)
        shown = {p: rows.labels[p].text() for p, b in rows.params.items() if b.isVisibleTo(panel)}
        assert shown == {p: v.label for p, v in about.parameters.items()}
        assert all(rows.labels[p].isVisibleTo(panel) for p in shown)
        assert all(rows.params[p].suffix().strip() == v.unit for p, v in about.parameters.items())
        assert rows.loss.currentText() == "The method's own"
        assert LOSSES[about.loss] in rows.loss.toolTip()
        assert not rows.loss_note.isVisibleTo(panel)
    rows.loss.setFocus()
    for _ in range(3):
        QTest.keyClick(rows.loss, Qt.Key.Key_Down)
    assert rows.loss_note.text() == f"{LOSSES['semimetric']}."
    assert rows.loss_note.isVisibleTo(panel)
    request = training.state.next_run.request
    assert request is not None
    assert request.method.loss == "semimetric"
    training.change_settings(loss=None)
    assert rows.loss.currentIndex() == 0
    rows.levels.setFocus()
    QTest.keyClick(rows.levels, Qt.Key.Key_Down)
    assert rows.levels_note.text() == f"{LEVELS['stated']}."
    training.change_settings(levels=None)


def test_a_run_at_work_elsewhere_is_followed_through_all_its_states(
    panel: TrainPanel, trainable: Cohort
) -> None:
    run = write_run(trainable)
    with run.hold():
        opened(panel, trainable)
        assert phase(panel) is Phase.STARTING
        assert panel.run.bar.maximum() == 0  # busy: nobody knows yet how long
        run.append(Started())
        learn(run, range(1, 11))
        until(lambda: phase(panel) is Phase.RUNNING)
        assert panel.run.bar.value() == 500
        assert "step 10 of 20" in panel.run.message.text()
        assert "about 2 min left" in panel.run.message.text()
        assert panel.run.stop.isVisibleTo(panel)
        assert not panel.start.isEnabled()
        _assert_curves(panel, trainable, best=10)
        QTest.mouseClick(panel.run.stop, Qt.MouseButton.LeftButton)
        assert run.cancelled()
        assert phase(panel) is Phase.STOPPING
        assert not panel.run.stop.isEnabled()
        run.finish(Result(stopped=True, steps=10, best_step=8, scores={"val_dice": 0.32}))
        run.append(Cancelled())
    until(lambda: phase(panel) is Phase.STOPPED)
    assert panel.run.resume.isVisibleTo(panel)
    assert panel.start.isEnabled()
    assert panel.runs.topLevelItem(0).text(2) == "0.32"


def _assert_curves(panel: TrainPanel, cohort: Cohort, best: int) -> None:
    curves = panel.run.curves
    assert curves.isVisibleTo(panel)
    colors = {c.name: c.color for c in cohort.meta.classes}
    for name in ("pleura", "b-line"):
        item, plot = curves._lines[f"val_dice/{name}"]
        assert plot is curves.dice
        assert len(item.xData) == best
        assert item.opts["pen"].color().name() == colors[name]
    star = curves._star.getData()
    assert star[0][0] == best
    assert f"{best / 25:.2f}" in curves.legend.text()


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (
            [Started(), Failed(error="The disk is full.", hint="Free some space.")],
            ["The disk is full.", "Free some space."],
        ),
        ([Started()], ["ended unexpectedly", "Resume goes on"]),
    ],
    ids=["failed", "ended"],
)
def test_what_went_wrong_is_a_sentence_and_a_hint(
    panel: TrainPanel, trainable: Cohort, events: list[Any], words: list[str]
) -> None:
    run = write_run(trainable)
    for event in events:
        run.append(event)
    opened(panel, trainable)
    box = panel.run.problem
    assert box.isVisibleTo(panel)
    said = f"{box._error.text()} {box._hint.text()}"
    assert all(w in said for w in words)
    assert "Traceback" not in said
    assert panel.run.resume.isVisibleTo(panel)


def test_earlier_runs_can_be_watched_again(panel: TrainPanel, trainable: Cohort) -> None:
    for i, name in enumerate(("first", "second")):
        run = write_run(trainable, name)
        run.append(Started())
        learn(run, range(1, 5 + i))
        run.finish(Result(steps=20, best_step=3, scores={"val_dice": 0.5}))
        run.append(Finished())
        os.utime(run.path / "job.json", (1e9 + i,) * 2)
    opened(panel, trainable, "clip-1")
    items = [panel.runs.topLevelItem(i) for i in range(panel.runs.topLevelItemCount())]
    assert [i.text(0) for i in items] == ["second", "first"]
    assert all("finished" in i.text(1) for i in items)
    assert panel.run.name.text() == "second"
    panel.runs.setFocus()
    QTest.keyClick(panel.runs, Qt.Key.Key_Down)
    assert panel.run.name.text() == "first"
    assert len(panel.run.curves._lines["loss"][0].xData) == 4
    assert panel.session.overlays == ()  # nobody asked to be led by a model


def test_marks_appear_as_they_improve_and_are_accepted_and_taken_back(
    panel: TrainPanel, trainable: Cohort
) -> None:
    session, b_line = panel.session, trainable.meta.class_index("b-line")
    run = write_run(trainable)
    with run.hold():
        opened(panel, trainable, "clip-1")
        run.append(Started())
        learn(run, range(1, 3))
        model_marks(trainable, "clip-1", "m1", 40)
        run.append(Preview(step=2, clip="clip-1", rater="m1"))
        until(lambda: panel.training.state.watched.record.previews)  # type: ignore[union-attr]
        assert session.overlays == ()
        QTest.mouseClick(panel.model.show, Qt.MouseButton.LeftButton, pos=QPoint(8, 8))
        assert [o.name for o in session.overlays] == ["m1"]
        assert "nothing" in panel.model.state.text()  # 40 % is below the threshold
        model_marks(trainable, "clip-1", "m1", 80)
        run.append(Preview(step=3, clip="clip-1", rater="m1"))
        until(lambda: "As of step 3" in panel.model.state.text())
        until(lambda: int(session.overlays[0].planes["b-line"][:].max()) == 80)
        assert "B\N{NON-BREAKING HYPHEN}line" in panel.model.state.text()
        layer = next(la for la in panel._viewer.layers if "m1" in la.name)
        panel.model.opacity.setValue(30)
        panel.model.threshold.setValue(85)
        assert layer.opacity == 0.3
        assert "nothing" in panel.model.state.text()
        panel.model.threshold.setValue(60)

        session.frame = 2
        panel.model.choose_class("b-line")
        panel.model.accept_confidence.setValue(70)
        QTest.mouseClick(panel.model.accept_button, Qt.MouseButton.LeftButton)
        mine = session.planes["b-line"][:]
        width = mine.shape[2]
        assert (mine[2, :, : width // 2] == 70).all()
        assert mine.sum() == 70 * mine[2, :, : width // 2].size  # this frame alone
        assert "frame 3 is yours at 70 %" in panel.model.accepted.text()
        assert session.flush()
        stored = trainable.clip("clip-1").rater("me")
        assert (stored.read_plane(2, b_line) == mine[2]).all()
        assert stored.read_strokes()[-1].tool == "accept"
        QTest.mouseClick(panel.model.undo, Qt.MouseButton.LeftButton)
        assert not session.planes["b-line"].any()

        # Another clip: the trainer is told, and what was shown here goes.
        session.open_clip("clip-2")
        assert run.preview_clip() == "clip-2"
        assert "has not marked this clip yet" in panel.model.state.text()
        assert not panel.model.accept.isVisibleTo(panel)
        model_marks(trainable, "clip-2", "m1", 90)
        run.append(Preview(step=3, clip="clip-2", rater="m1"))
        until(lambda: [o.name for o in session.overlays] == ["m1"])


# ---- manners ------------------------------------------------------------------------------


def test_everything_is_reached_by_keyboard_and_explains_itself(
    panel: TrainPanel, trainable: Cohort
) -> None:
    run = write_run(trainable)
    run.append(Started())
    learn(run, range(1, 3))
    run.append(Cancelled())
    opened(panel, trainable)
    for kind in (QAbstractButton, QComboBox, QAbstractSpinBox, QSlider):
        for widget in panel.page.widget().findChildren(kind):
            inner = isinstance(widget.parent(), (QComboBox, QAbstractSpinBox))
            if inner or not widget.isVisibleTo(panel):
                continue
            assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus, widget
            assert widget.toolTip(), getattr(widget, "text", lambda: "")() or widget
            if isinstance(widget, (QComboBox, QAbstractSpinBox, QSlider)):
                label = widget.accessibleName() or widget.toolTip()
                assert label


def test_the_wheel_scrolls_and_changes_nothing(panel: TrainPanel, trainable: Cohort) -> None:
    opened(panel, trainable)
    panel.training.change_settings(method="ordinal")
    panel.training.change_settings(method="ordinal")
    box = panel.form.method.params["n"]
    before, at = box.value(), QPointF(box.rect().center())
    event = QWheelEvent(
        at,
        box.mapToGlobal(at),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(box, event)
    assert box.value() == before


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_narrow_window_cuts_nothing_off(panel: TrainPanel, trainable: Cohort, theme: str) -> None:
    panel._viewer.theme = theme
    run = write_run(trainable, "threshold60-1123-1402-as-long-as-the-name-of-a-run-ever-gets-999")
    run.append(Started())
    learn(run, range(1, 12))
    run.append(Failed(error="Something long went wrong here. " * 3, hint="Do this. " * 9))
    model_marks(trainable, "clip-1", run.path.name, 80)
    opened(panel, trainable, "clip-1")
    panel.training.show(True)
    assert panel.model.accept.isVisibleTo(panel)
    body = panel.page.widget()
    bar = panel.page.verticalScrollBar().sizeHint().width()
    assert body.minimumSizeHint().width() <= panel.minimumWidth() - bar


def test_closing_the_panel_lets_go_of_the_session(qapp: object, trainable: Cohort) -> None:
    viewer = ViewerModel()
    panel = TrainPanel(viewer)
    opened(panel, trainable, "clip-1")
    session, timer = session_for(viewer), panel.follower._timer
    stopped: list[object] = []
    panel.training.changed.connect(stopped.append)
    panel.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert not isalive(timer)
    session.frame = 3  # would raise in a deleted widget
    session.progress.mark_reviewed(3)
    session.class_name = "rib"
    assert stopped == []
    session.close_clip()


# ---- the real thing -----------------------------------------------------------------------


def test_a_frozen_dataset_is_chosen_and_learnt_from(
    panel: TrainPanel, trainable: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Cohort.open(trainable.location, read_only=True)
    asked = BuildRequest(
        name="toy", classes=("pleura", "b-line"), parts={"train": 0.5, "val": 0.25, "test": 0.25}
    )
    frozen = build(source, asked, datasets_folder(trainable))
    opened(panel, trainable, "clip-1")
    data, training = panel.form.data, panel.training
    assert [data.itemText(i) for i in range(data.count())] == [
        "This cohort, as it is now",
        "toy-dataset v1",
    ]
    QTest.keyClick(data, Qt.Key.Key_Down)
    until(lambda: not training.counting and panel.start.isEnabled())
    assert panel.counts.text() == "toy/v1: 4 patients, clips by part: train 2, val 1, test 1"

    # A folder that is no dataset says so; leaving the question leaves the choice.
    picked = [str(trainable.location), ""]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: picked.pop(0))
    for _ in range(2):
        panel.form.other_data.click()
        until(lambda: not training.counting)
        assert "manifest.json" in panel.reason.text()
        assert data.currentText() == trainable.location
    data.activated.emit(1)
    training.change_settings(steps=4, size="study")
    until(lambda: not training.counting and panel.start.isEnabled())
    QTest.mouseClick(panel.start, Qt.MouseButton.LeftButton)
    until(lambda: phase(panel) is Phase.FINISHED)
    (run,) = runs_folder(trainable).iterdir()
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert config["origin"]["sha256"] == frozen.manifest.content_sha256
    assert config["split"]["test_name"] == "part test"
    assert run.name in trainable.clip("clip-1").raters()  # the clip on screen was marked


def test_a_refused_run_may_be_insisted_on_with_a_reason(
    panel: TrainPanel, trainable: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(trainable)
    (run.path / "checkpoint.safetensors").touch()
    run.append(Finished())
    run.finish(Result(steps=20, best_step=20, scores={"val_dice": 0.8}))
    opened(panel, trainable)
    until(lambda: panel.training.state.activation.model is not None)
    state, view = panel.training.state, panel.active
    refused = replace(state.activation, problem="m1 is worse than m0.", refused=run.path)
    view.show_activation(refused, state.watched, read_only=False)
    assert view.insist.isVisibleTo(view)
    asked: list[str] = []
    view.activate_wanted.disconnect()
    view.activate_wanted.connect(asked.append)
    for answer in (("", True), ("seen on screen", False), ("seen on screen ", True)):
        monkeypatch.setattr(QInputDialog, "getText", lambda *_, answer=answer: answer)
        view.insist.click()
    assert asked == ["seen on screen"]
    view.show_activation(refused, state.watched, read_only=True)
    assert not (view.insist.isVisibleTo(view))
    assert not (view.activate.isEnabled())
    gone = ActiveModel(problem="The active model, m0, is missing: there are no weights in x")
    view.show_activation(Activation(gone), None, read_only=False)
    assert view.problem.isVisibleTo(view)
    assert not view.insist.isVisibleTo(view)


def test_an_active_model_that_is_gone_is_told_when_it_was_the_only_run(
    panel: TrainPanel, trainable: Cohort
) -> None:
    run = write_run(trainable)
    (run.path / "checkpoint.safetensors").touch()
    set_active(trainable, run.path, by="Dr. Lead", why="the only one")
    shutil.rmtree(run.path)
    opened(panel, trainable)
    until(lambda: panel.active.problem.isVisibleTo(panel))
    assert not panel.runs.isVisibleTo(panel)
    QTest.mouseClick(panel.active.back, Qt.MouseButton.LeftButton)
    until(lambda: panel.active.text.text() == "Active model: the starter model")
    assert not panel.active.problem.isVisibleTo(panel)


def test_a_real_run_from_start_to_prediction(docked: TrainPanel, trainable: Cohort) -> None:
    panel = docked
    session, training = panel.session, panel.training
    opened(panel, trainable, "clip-1")
    training.change_settings(steps=120)
    QTest.mouseClick(panel.start, Qt.MouseButton.LeftButton)
    name = training.state.runs[0].name
    assert name.startswith("relative-threshold50-")

    def run() -> Any:
        return training.state.watched

    # The curve moves, and what it has learnt appears on the clip, unasked for once started.
    until(lambda: len(run().record.curves.get("loss", ())) >= 2)
    moved = len(panel.run.curves._lines["loss"][0].xData)
    until(lambda: len(panel.run.curves._lines["loss"][0].xData) > moved)
    until(lambda: [o.name for o in session.overlays] == [name])

    # Stop: the best is kept, and what stands on disk is a checkpoint.
    QTest.mouseClick(panel.run.stop, Qt.MouseButton.LeftButton)
    until(lambda: phase(panel) is Phase.STOPPED)
    assert (runs_folder(trainable) / name / "checkpoint.safetensors").exists()
    stopped_at = run().result.steps
    assert 0 < stopped_at < 120
    assert panel.run.curves._star.getData()[0][0] == run().result.best_step

    # One class of one frame becomes mine, and is given back.
    overlay = session.overlays[0]
    assert overlay.kind == "model"
    panel.model.threshold.setValue(1)
    session.frame = 1
    class_name = next(iter(overlay.planes))
    panel.accept(class_name, 60)
    mine, theirs = session.planes[class_name][1], overlay.planes[class_name][1]
    assert theirs.any()
    assert (mine == np.where(theirs >= 1, 60, 0)).all()
    panel.undo()
    assert not session.planes[class_name].any()

    # Resume: it goes on from there to its end, and then marks every clip.
    QTest.mouseClick(panel.run.resume, Qt.MouseButton.LeftButton)
    until(lambda: phase(panel) is Phase.FINISHED)
    assert run().record.last.event == "finished"
    assert [step for step, _ in run().record.curves["loss"]][-1] == 120
    QTest.mouseClick(panel.model.predict_all, Qt.MouseButton.LeftButton)
    until(lambda: training.state.predicting.phase is Phase.FINISHED)  # type: ignore[union-attr]
    assert all(name in trainable.clip(c).raters() for c in trainable.clips())
    assert trainable.clip("clip-1").rater("ann").read_status().max() == Status.REVIEWED

    # It becomes the active model, which is taken back; and the next run may start from it.
    active = panel.active
    assert active.text.text() == "Active model: the starter model"
    assert not active.back.isEnabled()
    QTest.mouseClick(active.activate, Qt.MouseButton.LeftButton)
    until(lambda: active.text.text() == f"Active model: {name}")
    why = "Made active by Me: the first model that was made active in this cohort; "
    assert active.why.text().startswith(why)
    assert panel.runs.topLevelItem(0).text(1) == "★ active"
    assert not active.activate.isEnabled()
    QTest.mouseClick(active.back, Qt.MouseButton.LeftButton)
    until(lambda: active.text.text() == "Active model: the starter model")
    assert panel.runs.topLevelItem(0).text(1) == "✔ finished"
    assert [c.back for c in Cohort.open(trainable.location).meta.active_models] == [False, True]
    base = panel.form.base
    assert [base.itemText(i) for i in range(base.count())] == ["Scratch", "The starter model", name]
    base.setCurrentIndex(2)
    base.activated.emit(2)
    assert training.state.next_run.request is not None
    assert training.state.next_run.request.base == str(runs_folder(trainable) / name)
    assert training.state.next_run.request.size is None
    assert not panel.form.size.isVisibleTo(panel.form)

    # The panel closes; another one, later, knows all of it.
    viewer, curves = panel._viewer, run().record.curves
    session.close_clip()
    viewer.window.remove_dock_widget(panel)
    again = TrainPanel(viewer)
    viewer.window.add_dock_widget(again, name="Train again", area="right")
    opened(again, trainable, "clip-1")
    assert again.run.name.text() == name
    assert again.training.state.watched is not None
    assert again.training.state.watched.record.curves == curves
    assert again.model.predict_clip.isEnabled()
