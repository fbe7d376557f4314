"""Suggestions in a real window, by a real model process: accept, region, paint over, dismiss."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QEnterEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_confseg.annotate.suggestions import OVERLAY, RESTARTED
from napari_confseg.job import set_active
from napari_confseg.store import Cohort, Status
from napari_confseg.suggest.client import ModelProcess, SuggestError
from napari_confseg.suggest.protocol import Suggest
from napari_confseg.suggest.withholding import is_withheld
from napari_confseg.widgets.annotate import suggest
from napari_confseg.widgets.demo.hand import wait
from tests import fitted_run
from tests.widgets import trainable_cohort
from tests.widgets.bench import Bench, planes_by_plain_zarr

if TYPE_CHECKING:
    from collections.abc import Iterator

BAR, DISC = (19, 60), (60, 30)
"""A pixel of clip 1's bright bar (pleura) and disc (B-line) on its first frame."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fitted run."""
    return fitted_run.fit(tmp_path_factory.mktemp("model"))


class KeptProcess(ModelProcess):
    """One that outlives the panel that it is given to: to start one takes seconds."""

    def close(self) -> None:
        """Do nothing, see :meth:`end`."""

    def end(self) -> None:
        """End the process."""
        super().close()


@pytest.fixture(scope="module")
def kept_process() -> Iterator[KeptProcess]:
    made = KeptProcess()
    yield made
    made.end()


@pytest.fixture
def own_process() -> None:
    """The panel of this test starts a process of its own, as it does in the program."""


@pytest.fixture(autouse=True)
def given_process(
    request: pytest.FixtureRequest, kept_process: KeptProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "own_process" not in request.fixturenames:
        monkeypatch.setattr(suggest, "ModelProcess", lambda: kept_process)


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    return trainable_cohort.make(tmp_path / "cohort.zarr", patients=1, shape=fitted_run.SHAPE)


@pytest.fixture
def suggesting(bench: Bench, model: Path) -> Bench:
    """The first frame of a clip, with the model's suggestion on it."""
    bench.session.suggestions.model = str(model)
    bench.hand.key("Ctrl+J")
    bench.until(lambda: bench.session.suggestions.here())
    return bench


@pytest.fixture
def seated(unseen_bench: Bench, cohort: Cohort, model: Path) -> Bench:
    """The first frame of a clip, the panel without a canvas, suggestions still off."""
    unseen_bench.session.suggestions.model = str(model)
    unseen_bench.open(cohort)
    return unseen_bench


def proposed(bench: Bench, name: str) -> Any:
    """What the overlay's layer shows of a class on the frame on show."""
    overlay = next(o for o in bench.session.overlays if o.name == OVERLAY)
    return overlay.planes[name][bench.session.frame]


def test_one_key_proposes_and_one_accepts(suggesting: Bench, cohort: Cohort, model: Path) -> None:
    session, panel = suggesting.session, suggesting.panel
    here = session.suggestions.here()
    assert here.keys() == {"pleura", "b-line"}
    assert here["pleura"][BAR] >= 50
    assert here["b-line"][DISC] >= 50
    layer = suggesting.viewer.layers["B-line · Suggestion"]
    drawn = layer.data[0]  # hatched and outlined
    assert drawn.any()
    assert not np.array_equal(drawn > 0, here["b-line"] > 0)
    assert suggesting.viewer.layers.selection.active is suggesting.layer()  # one goes on painting
    assert not any(session.planes[c.name].any() for c in session.classes)  # nothing is mine yet
    assert "On this frame: Pleural line, B-line." in panel.form.suggest.note.text()
    assert panel.form.suggest.note.text().startswith("By tiny-run. ")

    suggesting.hand.key("Shift+Y")
    for name, percent in here.items():
        expected = np.where(percent >= 50, percent, 0)
        assert np.array_equal(session.planes[name][0], expected)
    assert not session.suggestions.here()
    assert not proposed(suggesting, "b-line").any()
    assert (session.status[0] != Status.REVIEWED).all()  # no frame is reviewed by it
    (stroke,) = session.strokes
    assert stroke.accepted is not None
    assert (stroke.tool, stroke.accepted.source, stroke.accepted.part) == (
        "accept",
        "tiny-run",
        "whole",
    )
    assert (stroke.accepted.threshold, stroke.accepted.own_confidence) == (50, True)
    offer = session.clip_notes.current.offers[0]
    assert (offer.model, offer.version, offer.outcome) == (
        "tiny-run",
        stroke.accepted.version,
        "accepted",
    )

    suggesting.hand.key("Ctrl+Z")  # one undo
    assert not any(session.planes[c.name].any() for c in session.classes)
    assert session.suggestions.here().keys() == {"pleura", "b-line"}  # proposed again
    suggesting.hand.key("Ctrl+Shift+Z")
    assert not session.suggestions.here()
    assert session.flush()
    stored = planes_by_plain_zarr(cohort, "clip-1", session.rater)
    for c in session.classes:
        assert np.array_equal(stored[:, c.index], session.planes[c.name])
    rater = cohort.clip("clip-1").rater(session.rater)
    assert [s.accepted for s in rater.read_strokes()] == [stroke.accepted]


def test_what_one_paints_wins_and_the_rest_is_accepted(suggesting: Bench) -> None:
    session = suggesting.session
    before = session.suggestions.here()["b-line"].copy()
    session.class_name, session.confidence = "b-line", 30
    suggesting.hand.stroke([(DISC[0], DISC[1] - 5), (DISC[0], DISC[1] + 5)])
    mine = session.planes["b-line"][0] == 30
    assert mine.any()
    assert not session.suggestions.here()["b-line"][mine].any()  # dropped there
    suggesting.hand.key("Shift+Y")
    plane = session.planes["b-line"][0]
    assert (plane[mine] == 30).all()
    rest = (before >= 50) & ~mine
    assert rest.any()
    assert np.array_equal(plane[rest], before[rest])
    assert session.strokes[-1].accepted.part == "rest"


def test_what_one_erases_is_not_proposed_again(suggesting: Bench) -> None:
    session = suggesting.session
    session.class_name, session.confidence = "b-line", 30
    place = [(DISC[0], DISC[1] - 3), (DISC[0], DISC[1] + 3)]
    suggesting.hand.stroke(place)
    suggesting.hand.key("1")
    suggesting.hand.stroke(place)
    assert session.planes["b-line"][0][DISC] == 0
    suggesting.until(lambda: "b-line" in session.suggestions.here())  # the rest of the disc
    assert session.suggestions.here()["b-line"][DISC] == 0


def test_it_learns_from_what_one_paints(suggesting: Bench) -> None:
    session, hand = suggesting.session, suggesting.hand
    suggestions = session.suggestions
    hand.key("Right")
    suggesting.until(lambda: suggestions.here())
    at = (62, 42)  # the middle of the second frame's disc
    assert proposed(suggesting, "pleura")[at] < 50
    hand.key("Left")
    session.class_name, session.confidence, session.brush_size = "pleura", 90, 20
    hand.stroke([DISC, (DISC[0] + 1, DISC[1])])  # this reader calls the disc pleura
    suggesting.until(lambda: suggestions.title.endswith("taught by 1 stroke"))
    hand.key("Right")
    suggesting.until(lambda: proposed(suggesting, "pleura")[at] >= 50)
    hand.key("Shift+Y")
    assert session.strokes[-1].accepted.version.endswith("+1")
    assert session.clip_notes.current.offers[0].version.count("+") == 0  # first seen before
    suggesting.panel.form.suggest.learn.click()
    hand.key("Left")
    suggesting.until(lambda: "taught" not in suggestions.title)  # the model as it was fitted


def test_the_active_model_is_asked_and_its_absence_is_told(
    seated: Bench, cohort: Cohort, model: Path, tmp_path: Path
) -> None:
    session = seated.session
    session.suggestions.model = ""
    run = shutil.copytree(model, tmp_path / "tiny-run")
    set_active(session.cohort, run, by="Dr. Lead", why="the only one")
    session.suggestions.toggle()
    seated.until(lambda: session.suggestions.here())
    assert session.suggestions.title == "tiny-run"
    shutil.rmtree(run)
    session.frame = 3
    seated.until(lambda: session.suggestions.title == "the starter model, version 1")
    assert "The active model, tiny-run, is missing" in session.message
    assert "Suggestions come from the starter model, version 1." in session.message


def test_one_region_by_key_and_by_click(suggesting: Bench) -> None:
    session, hand = suggesting.session, suggesting.hand
    percent = session.suggestions.here()["pleura"].copy()
    hand.move(*BAR)
    hand.key("Ctrl+Shift+Y")
    assert session.planes["pleura"][0][BAR] == percent[BAR]
    assert not session.planes["b-line"].any()
    assert session.strokes[-1].accepted.part == "region"
    assert session.suggestions.here().keys() == {"b-line"}  # the rest is still proposed
    hand.move(5, 5)
    hand.key("Ctrl+Shift+Y")
    assert "Nothing is suggested there" in session.message
    hand.key("Ctrl+Z")
    assert session.suggestions.here().keys() == {"pleura", "b-line"}
    hand.move(*DISC)
    QTest.mouseClick(
        hand.canvas,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.ShiftModifier,
        hand.at(*DISC),
    )
    hand.wait(50)
    assert session.strokes[-1].accepted.part == "region"
    assert session.suggestions.here().keys() == {"pleura"}
    assert session.planes["b-line"][0][DISC] != session.confidence  # the brush did nothing


def test_dismissed_is_recorded_and_shown_once_more_on_request(suggesting: Bench) -> None:
    session = suggesting.session
    suggesting.hand.key("Shift+Z")
    assert not session.suggestions.here()
    assert not session.strokes
    assert session.clip_notes.current.offers[0].outcome == "dismissed"
    assert "Decided" in suggesting.panel.form.suggest.note.text()
    suggesting.hand.key("Shift+Y")
    assert "Decided on this frame" in session.message
    suggesting.hand.key("Right")
    suggesting.until(lambda: session.suggestions.here())  # it goes on on the next frame
    suggesting.hand.key("Left")
    assert not session.suggestions.here()
    suggesting.hand.key("Ctrl+J")
    assert session.suggestions.here()
    suggesting.hand.key("Ctrl+J")  # and off
    assert not session.suggestions.on
    assert not any(o.name == OVERLAY for o in session.overlays)


def test_a_class_that_is_reviewed_locked_or_hidden_is_left_alone(seated: Bench) -> None:
    session = seated.session
    session.suggestions.toggle()
    seated.until(lambda: session.suggestions.here())
    session.progress.mark_reviewed(class_name="pleura")
    assert session.suggestions.here().keys() == {"b-line"}
    session.locked = frozenset({"b-line"})
    assert not session.suggestions.here()
    session.locked, session.hidden = frozenset(), frozenset({"b-line"})
    assert not session.suggestions.here()
    session.hidden = frozenset()
    session.progress.mark_reviewed()
    assert "reviewed" in session.suggestions.note


def test_who_may_see_no_model_gets_no_suggestion(seated: Bench) -> None:
    session = seated.session
    session.access.set_rule("always")
    session.suggestions.toggle()
    assert not session.suggestions.on
    assert "read blinded" in session.message
    session.access.set_rule("until-reviewed")  # of models that rule says nothing
    session.access.begin_exercise()
    session.suggestions.toggle()
    assert not session.suggestions.on
    assert "exercise" in session.message
    session.access.begin_exercise(False)
    session.suggestions.toggle()
    seated.until(lambda: session.suggestions.here())
    session.access.begin_exercise()  # under way: it goes at once
    assert not session.suggestions.here()
    assert not any(o.name == OVERLAY for o in session.overlays)
    assert seated.panel.form.suggest.process.pid  # one process all the time


def test_frames_on_which_suggestions_are_withheld(seated: Bench) -> None:
    session = seated.session
    session.cohort.update_meta(withheld=50, by="Prof. Dee")
    held = [is_withheld(session.cohort.meta, "clip-1", t) for t in range(6)]
    session.suggestions.toggle()
    for t, without in enumerate(held):
        session.frame = t
        if without:
            wait(50)
            assert not session.suggestions.here()
            assert "withheld" in seated.panel.form.suggest.note.text()
            session.suggestions.accept()
            assert "withheld" in session.message
        else:
            seated.until(lambda: session.suggestions.here())
    offers = session.clip_notes.current.offers
    assert [offers[t].outcome == "withheld" for t in range(6)] == held
    assert not session.strokes
    assert session.flush()
    stored = Cohort.open(session.cohort.location).clip("clip-1").rater(session.rater)
    assert stored.read_clip_notes().offers == offers


def test_a_killed_process_is_started_again(seated: Bench) -> None:
    session, process = seated.session, seated.panel.form.suggest.process
    session.suggestions.toggle()
    seated.until(lambda: session.suggestions.here())
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    session.frame += 1
    seated.until(lambda: session.message == RESTARTED)
    seated.until(lambda: session.suggestions.here())
    assert process.pid not in (None, first)
    session.message = ""
    session.frame += 1
    seated.until(lambda: session.suggestions.here())
    assert not session.message  # it is said once


def test_a_model_that_cannot_be_read_is_said(seated: Bench, tmp_path: Path) -> None:
    seated.session.suggestions.model = str(tmp_path / "nothing")
    seated.session.suggestions.toggle()
    seated.until(lambda: not seated.session.suggestions.on)
    assert "holds no fitted model" in seated.panel.form.suggest.note.text()


def test_the_first_wait_is_explained(own_process: None, seated: Bench) -> None:
    session = seated.session
    session.suggestions.toggle()
    seated.until(lambda: session.message == suggest.STARTING)
    seated.until(lambda: session.suggestions.here())
    assert not session.message


def test_it_is_ready_before_it_is_asked_and_ends_with_the_panel(
    own_process: None, cohort: Cohort, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggest, "WARM_AFTER_MS", 50)
    bench = Bench()
    session, part = bench.session, bench.panel.form.suggest
    session.suggestions.model = str(model)
    cohort.update_meta(blinding="always", by="Prof. Dee")  # who sees no model gets none ready
    bench.open(cohort)
    wait(200)
    point_at(part.buttons["suggest"])
    assert part.process.pid is None
    session.access.set_rule("none")
    session.frame = 1
    bench.until(lambda: part.process.pid)
    pid = part.process.pid
    assert pid is not None
    assert not session.suggestions.on
    session.suggestions.toggle()
    bench.until(lambda: session.suggestions.here())
    assert part.process.pid == pid
    part.close_part()
    assert part.process.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert part.process.ask(Suggest(model="x")) is None  # closed: nothing is started any more
    bench.close()


def test_the_mouse_at_the_button_gets_it_ready(own_process: None, seated: Bench) -> None:
    part = seated.panel.form.suggest
    wait(100)
    assert part.process.pid is None
    point_at(part.buttons["suggest"])
    seated.until(lambda: part.process.pid)
    part.close_part()  # in the midst of it
    assert part.process.pid is None


def point_at(widget: QWidget) -> None:
    """Let the mouse enter a widget."""
    at = QPointF(widget.rect().center())
    QApplication.sendEvent(widget, QEnterEvent(at, at, QPointF(widget.mapToGlobal(at))))


VIEWER = """
import sys
from napari_confseg.suggest.client import ModelProcess
process = ModelProcess()
process.warm(sys.argv[1])
print(process.pid, flush=True)
sys.stdin.read()
"""


def test_the_process_ends_when_its_viewer_is_killed(model: Path) -> None:
    viewer = subprocess.Popen(
        [sys.executable, "-c", VIEWER, str(model)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert viewer.stdout is not None
    assert viewer.stdin is not None
    pid = int(viewer.stdout.readline())
    viewer.kill()
    viewer.wait()
    try:
        while True:  # the test's own limit ends it
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break
    except (ProcessLookupError, FileNotFoundError):
        pass
    viewer.stdout.close()
    viewer.stdin.close()


def test_a_command_that_ends_at_once_is_told_with_its_last_words() -> None:
    process = ModelProcess([sys.executable, "-c", "import sys; sys.exit('no such thing.')"])
    with pytest.raises(SuggestError, match=r"ends before it answers: no such thing\.$"):
        process.warm("x")
    process.close()
