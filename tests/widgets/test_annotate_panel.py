"""The Annotate panel in a real window: every state that it can show, every request it can make."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from app_model.types import Action, KeyBinding
from napari._qt._qapp_model import qactions
from PIL import Image
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QAction, QDragEnterEvent, QDropEvent, QKeySequence
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QLineEdit

from napari_confseg.annotate import shortcuts
from napari_confseg.annotate.session import Session
from napari_confseg.annotate.shortcuts import assign_keys, bindings
from napari_confseg.annotate.view import Tool
from napari_confseg.ingest.options import ImportOptions
from napari_confseg.store import DEFAULT_CLASSES, Anchor, ClassSpec, Cohort, Status
from napari_confseg.widgets.annotate.shortcuts import assigned_bindings, napari_keys, normal
from napari_confseg.widgets.demo.hand import press_key, wait
from napari_confseg.widgets.layers.player import Player
from tests.annotate.edits import paint
from tests.widgets.bench import SHAPE, Bench, make_cohort, planes_by_plain_zarr

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytestqt.qtbot import QtBot


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    return make_cohort(tmp_path / "cohort.zarr", "clip-1", "clip-2")


@pytest.fixture
def open_bench(unseen_bench: Bench, cohort: Cohort) -> Bench:
    """The panel as a window of its own, a clip open."""
    unseen_bench.open(cohort)
    return unseen_bench


def test_a_newcomer_is_told_what_to_do(unseen_bench: Bench, cohort: Cohort, tmp_path: Path) -> None:
    panel = unseen_bench.panel
    assert panel.form.start.isVisible()
    assert panel.form.start.reader.text()  # a first guess at the name
    assert not panel.form.save_state.isVisible()
    panel.cohort_actions.open(tmp_path / "nothing.zarr")
    assert "There is no such folder" in panel.form.message.text()
    panel.window().activateWindow()
    QTest.mouseClick(panel.form.start.reader, Qt.MouseButton.LeftButton)
    unseen_bench.until(panel.form.start.reader.hasSelectedText)
    QTest.keyClicks(panel.form.start.reader, "Dr. Bo")
    assert panel.form.start.reader.text() == "Dr. Bo"  # not after the guess
    panel.form.start.recent_wanted.emit(cohort.location)  # one click: open
    assert panel.session.rater == "dr-bo"
    assert panel.session.clip.name == "clip-1"
    assert panel.session.view().tool is Tool.BRUSH  # and paint
    assert panel.form.head.name.text() == "clip-1"
    panel.cohort_actions.close_cohort()
    assert panel.form.start.isVisible()
    assert [b.toolTip() for b in panel.form.start.recent_buttons] == [cohort.location]


def test_an_empty_cohort_asks_for_clips_and_imports_them(
    unseen_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = unseen_bench.panel
    assert panel.cohort_actions.create(str(tmp_path / "new"), "Ada")
    assert panel.form.import_.isVisible()
    assert not panel.form.head.isVisible()
    assert (tmp_path / "new.zarr").is_dir()
    frames = [Image.fromarray(np.full((64, 80), 20 * i, np.uint8)) for i in range(1, 5)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50)
    (tmp_path / "b.mp4").write_bytes(b"no video at all")
    panel.cohort_actions.import_clips(
        [str(tmp_path / "a.gif"), str(tmp_path / "b.mp4")], ImportOptions(patient="p7")
    )
    assert panel.form.progress.busy
    unseen_bench.until(lambda: panel.session.clip is not None, 60)
    assert panel.session.clip.meta.patient == "p7"
    assert panel.session.clip.shape == (4, 64, 80)
    sheet = panel.form.sheet
    assert "1 new clip of 1 patient, 1 refused." in sheet.words.text()
    refused = sheet.result.list.topLevelItem(0)
    assert (refused.text(0), refused.child(0).text(0)) == ("Refused (1)", "b.mp4")
    assert refused.child(0).text(1)
    panel.session.message = "Something else."
    assert sheet.isVisible()  # the result stays, whatever is said next
    assert not panel.form.import_.isVisible()
    assert not panel.form.progress.busy


def test_a_folder_dropped_opens(unseen_bench: Bench, cohort: Cohort) -> None:
    panel = unseen_bench.panel
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(cohort.location)])
    copy, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPointF(9, 9).toPoint(), copy, data, Qt.MouseButton.LeftButton, none)
    panel.dragEnterEvent(enter)
    assert enter.isAccepted()
    panel.dropEvent(QDropEvent(QPointF(9, 9), copy, data, Qt.MouseButton.LeftButton, none))
    assert panel.session.cohort.location == cohort.location


def test_the_panel_shows_what_was_done(open_bench: Bench) -> None:
    bench = open_bench
    panel, session = bench.panel, bench.session
    paint(session, (4, 4, 9, 9), confidence=90)
    paint(session, (20, 20, 30, 30), confidence=60, frame=2)
    row = panel.form.palette_.rows["b-line"]
    assert row.count.text() == "2 fr."
    assert "2 strokes" in row.count.toolTip()
    assert panel.form.save_state.line.text().startswith("Saved ")
    assert panel.form.save_state.undo.isEnabled()
    assert not panel.form.save_state.redo.isEnabled()
    panel.form.save_state.undo.click()
    assert row.count.text() == "1 fr."
    assert panel.form.save_state.redo.isEnabled()
    panel.form.save_state.redo.click()
    session.frame = 0
    panel.form.transport.class_reviewed.click()
    assert session.status[0].tolist() == [0, 0, 2]
    panel.form.transport.reviewed.click()
    assert (session.status[0] == Status.REVIEWED).all()
    assert panel.form.transport.reviewed.text() == "Reviewed"
    panel.form.transport.next.click()
    assert session.frame == 1
    assert panel.form.transport.where.text() == "2 / 6"
    assert bench.viewer.dims.current_step[0] == 1
    facts = session.worklist.facts["clip-1"]
    assert (f"{facts.reviewed:.3f}", facts.strokes) == (f"{1 / 6:.3f}", 2)
    strip = panel.form.transport.timeline
    assert [strip.frame_at(strip.x_of(t)) for t in range(6)] == list(range(6))


def test_confidence_shows_in_words_and_is_set_by_bar_and_buttons(open_bench: Bench) -> None:
    bench = open_bench
    panel, session = bench.panel, bench.session
    panel.form.dial.anchor_buttons[90].click()
    assert (session.confidence, panel.form.dial.word.text()) == (90, "certain")
    bar = panel.form.dial.bar
    assert [bar.value_at(bar.x_of(v)) for v in range(1, 101)] == list(range(1, 101))
    bar.wanted.emit(42)
    assert (panel.form.dial.percent.text(), panel.form.dial.word.text()) == ("42 %", "possible")
    assert not any(level.isChecked() for level in panel.form.dial.anchor_buttons.values())
    assert bench.layer().selected_label == 42


def test_threshold_hides_what_is_less_sure_and_changes_nothing(bench: Bench) -> None:
    session = bench.session
    paint(session, (10, 10, 40, 40), confidence=30)
    paint(session, (10, 60, 40, 90), confidence=90)
    before = session.planes["b-line"][:]
    layer = bench.layer()

    def shown() -> list[bool]:
        return [bool(layer.get_color(v)[3] > 0) for v in (30, 90)]

    assert shown() == [True, True]
    full = bench.viewer.screenshot(canvas_only=True, flash=False)
    bench.panel.form.threshold.slider.setValue(60)
    assert shown() == [False, True]
    assert bench.panel.form.threshold.value.text() == "60 %"
    less = bench.viewer.screenshot(canvas_only=True, flash=False)
    where = [bench.hand.at(25, 25), bench.hand.at(25, 75)]
    changed = [bool((full[p.y(), p.x()] != less[p.y(), p.x()]).any()) for p in where]
    assert changed == [True, False]
    bench.panel.form.threshold.slider.setValue(0)
    assert bench.panel.form.threshold.value.text() == "all"
    assert shown() == [True, True]
    assert np.array_equal(session.planes["b-line"], before)


def test_who_comes_second_may_look_and_later_take_over(bench: Bench, cohort: Cohort) -> None:
    panel, session, hand = bench.panel, bench.session, bench.hand
    first = Session()
    first.open_cohort(cohort.location)
    first.open_clip("clip-2", "dr-ada")
    paint(first, (4, 4, 9, 9), class_name="b-line")
    assert panel.cohort_actions.open_clip("clip-2")
    assert "Read-only: " in panel.form.save_state.line.text()
    assert "since" in panel.form.save_state.line.text()
    assert panel.form.save_state.take_over.isVisible()
    assert not panel.form.tools.buttons[Tool.BRUSH].isEnabled()
    before = session.planes["b-line"][:]
    hand.stroke([(40, 30), (40, 60)])
    assert np.array_equal(session.planes["b-line"], before)
    panel.form.save_state.take_over.click()
    assert "still held" in panel.form.message.text()
    first.close_clip()
    panel.form.save_state.take_over.click()
    assert not panel.form.save_state.take_over.isVisible()
    assert (session.planes["b-line"][0, 4:9, 4:9] == 60).all()
    hand.stroke([(40, 30), (40, 60)])
    bench.until(lambda: len(session.strokes) == 2)


def test_a_store_that_goes_away_is_said_and_catches_up(bench: Bench, cohort: Cohort) -> None:
    panel, session = bench.panel, bench.session
    paint(session, (4, 4, 9, 9))
    assert session.flush()
    from pathlib import Path

    place = Path(cohort.location)
    away = place.with_name("away")
    place.rename(away)
    place.write_text("not a folder")  # so that nobody makes a new one
    bench.hand.stroke([(40, 30), (40, 60)])
    bench.until(lambda: "waiting" in panel.form.save_state.line.text())
    assert "1 stroke waiting: " in panel.form.save_state.line.text()
    assert panel.form.save_state.detail.isVisible()
    bench.hand.stroke([(60, 30), (60, 60)])  # painting goes on
    bench.until(lambda: "2 strokes waiting" in panel.form.save_state.line.text())
    place.unlink()
    away.rename(place)
    bench.until(lambda: panel.form.save_state.line.text().startswith("Saved"), 30)
    assert session.flush()
    stored = planes_by_plain_zarr(cohort, "clip-1", "dr-ada")
    assert np.array_equal(stored[:, 2], session.planes["b-line"])


def test_others_show_hatched_and_can_be_taken_as_mine(bench: Bench, cohort: Cohort) -> None:
    panel, session = bench.panel, bench.session
    rater = cohort.clip("clip-1").create_rater("bo", kind="human", label="Dr. Bo")
    plane = np.zeros(SHAPE, np.uint8)
    plane[20:50, 20:60] = 80
    rater.write_plane(0, 2, plane)
    panel.cohort_actions.open_clip("clip-2")
    panel.cohort_actions.open_clip("clip-1")
    panel.form.others.boxes["bo"].click()
    layer = bench.layer("B-line · Dr. Bo")
    assert not layer.editable
    drawn = np.asarray(layer.data[0])
    assert 0.1 < (drawn[21:49, 21:59] > 0).mean() < 0.5  # hatched
    assert (drawn[20, 20:60] == 100).all()  # and outlined
    assert bench.viewer.layers.index(layer) < bench.viewer.layers.index(bench.layer())
    assert bench.viewer.layers.selection.active is bench.layer()  # what one paints stays so
    session.class_name = "b-line"
    bench.hand.key("Shift+T")
    assert np.array_equal(session.planes["b-line"][0], plane)
    bench.hand.key("Shift+T")
    assert "Nothing was accepted" in panel.form.message.text()
    bench.hand.key("Ctrl+Z")
    assert not session.planes["b-line"].any()
    panel.form.palette_.rows["b-line"].eye.click()
    assert not layer.visible
    panel.form.others.boxes["bo"].click()
    assert layer not in bench.viewer.layers


def test_a_long_name_does_not_widen_the_panel(open_bench: Bench, cohort: Cohort) -> None:
    bench = open_bench
    before = bench.panel.minimumSizeHint().width()
    name = "A registrar whose name goes on for longer than any panel is wide"
    cohort.clip("clip-1").create_rater("long", kind="human", label=name)
    bench.panel.cohort_actions.open_clip("clip-2")
    bench.panel.cohort_actions.open_clip("clip-1")
    bench.panel.form.others.boxes["long"].click()
    wait(50)
    assert bench.panel.minimumSizeHint().width() == before
    page = bench.panel.form.pages.currentWidget()
    assert page.viewport().width() >= page.widget().minimumSizeHint().width()  # nothing is cut
    assert name in bench.panel.form.others.boxes["long"].toolTip()
    bench.session.close_cohort()
    label = "Subpleural consolidation with air bronchograms"
    Cohort.open(cohort.location).update_meta(
        classes=[c.model_copy(update={"label": label}) for c in cohort.meta.classes[:1]]
        + list(cohort.meta.classes[1:])
    )
    assert bench.panel.cohort_actions.open(cohort.location)
    wait(50)
    assert bench.panel.minimumSizeHint().width() <= before
    row = bench.panel.form.palette_.rows["pleura"]
    assert row.title.shown().startswith("Subpleural")
    assert row.title.shown().endswith("…")
    assert label in row.toolTip()


def test_both_themes(open_bench: Bench) -> None:
    bench = open_bench
    sheets = set()
    for theme in ("light", "dark"):
        bench.viewer.theme = theme
        wait(50)
        sheets.add(bench.panel.styleSheet())
    assert len(sheets) == 2


# ---- keys -------------------------------------------------------------------------------------


def _menu_keys() -> Iterator[str]:
    """Keys of napari's menus, which tests are given without keys."""
    for info in pkgutil.iter_modules(qactions.__path__):
        module = importlib.import_module(f"{qactions.__name__}.{info.name}")
        lists = [v for v in vars(module).values() if isinstance(v, list)]
        for action in (a for found in lists for a in found if isinstance(a, Action)):
            for rule in action.keybindings or ():
                yield normal(str(KeyBinding.from_int(rule._bind_to_current_platform())))


def test_no_key_is_napari_s(bench: Bench) -> None:
    from napari.layers import Image, Labels, Points, Shapes, Surface, Tracks, Vectors

    theirs = set(napari_keys())
    for kind in (Image, Labels, Points, Shapes, Surface, Tracks, Vectors, type(bench.viewer)):
        theirs |= {normal(str(k)) for k in kind.class_keymap}
    window = bench.hand.window
    theirs |= {a.shortcut().toString() for a in window.findChildren(QAction)} - {""}
    theirs |= set(_menu_keys())
    assert {"P", "Ctrl+Z", "Space", "Ctrl+O"} <= theirs  # the test sees what it should
    made = assigned_bindings(bench.session)
    ours = [normal(b.key) for b in made if not b.napari_too]
    assert ours == [b.key for b in made if not b.napari_too]  # as Qt writes them
    assert len(ours) == len(set(ours)) == 3 + 3 + 18 + 16 + 4 + 16
    assert not set(ours) & theirs
    # Keys that are napari's as well do the same as there, and are left to it on the canvas.
    assert {normal(b.key) for b in made if b.napari_too} <= theirs
    assert all(not QKeySequence(b.key).isEmpty() for b in made)


def test_a_cohort_s_own_keys_give_way_to_napari_s(state_dir: Path, tmp_path: Path) -> None:
    classes = [
        ClassSpec(index=0, name="a", label="A", color="#ffffff", key="P"),  # napari's brush
        ClassSpec(index=1, name="b", label="B", color="#ffffff", key="Q"),  # ours: less sure
        ClassSpec(index=2, name="c", label="C", color="#ffffff", key="Ctrl+M"),
        ClassSpec(index=3, name="d", label="D", color="#ffffff", key="Ctrl+M"),
    ]
    anchors = [Anchor(value=50, word="so", key="E"), Anchor(value=70, word="very", key="Ctrl+K")]
    session = Session()

    def keys_of(kind: str, own: dict[str, str] | None = None) -> dict[str, str]:
        assigned = assign_keys(bindings(session, normal=normal), own or {}, napari_keys())
        made = {b.id: b.key for b in assigned if b.key}
        assert len(made) == len(set(made.values()))
        return {k.removeprefix(kind): v for k, v in made.items() if k.startswith(kind)}

    session.open_cohort(Cohort.create(tmp_path / "a", name="a", classes=classes, anchors=anchors))
    assert keys_of("class.") == {"a": "G", "b": "H", "c": "Ctrl+M", "d": "J"}
    assert keys_of("confidence.") == {"50": "8", "70": "Ctrl+K"}
    # The person's own choice goes before the cohort's; one that is napari's does not count.
    assert keys_of("class.", {"surer": "Ctrl+M", "class.d": "P"}) == {
        "a": "G",
        "b": "H",
        "c": "J",
        "d": "K",
    }
    many = [ClassSpec(index=i, name=f"c{i}", label="x", color="#ffffff") for i in range(20)]
    session.open_cohort(Cohort.create(tmp_path / "b", name="b", classes=many))
    assert len(keys_of("class.")) == len(shortcuts.CLASS_KEYS)


def test_keys_work_from_canvas_and_panel_but_not_while_one_types(bench: Bench) -> None:
    session, hand, panel = bench.session, bench.hand, bench.panel
    hand.activate()
    for widget in (bench.hand.canvas, panel, panel.form.threshold.slider, panel.form.head.next):
        session.class_name, session.confidence = "pleura", 60
        press_key(widget, "J")
        assert session.class_name == "b-line"
        press_key(widget, "0")
        assert session.confidence == 90
        press_key(widget, "Q")
        press_key(widget, "Q")
        assert session.confidence == 80
    press_key(panel, "3")  # napari's key, answered by the panel when it has the focus
    assert session.tool is Tool.POLYGON
    press_key(panel, "Shift+Return")
    assert (session.status[0] == Status.REVIEWED).all()
    press_key(panel, "Ctrl+Z")
    assert not (session.status[0] == Status.REVIEWED).any()
    field = QLineEdit(hand.window)
    field.show()
    press_key(field, "H")
    press_key(field, "8")
    assert field.text().lower() == "h8"
    assert (session.class_name, session.confidence) == ("b-line", 80)
    field.deleteLater()


def test_a_click_leaves_the_focus_on_the_canvas(bench: Bench) -> None:
    bench.hand.activate()
    bench.hand.canvas.setFocus()
    bench.panel.form.dial.anchor_buttons[30].click()
    bench.panel.form.tools.buttons[Tool.FILL].click()
    assert bench.hand.canvas.hasFocus()
    hidden = bench.hand
    hidden.key("Shift+W")
    assert not bench.layer().visible
    hidden.key("Shift+W")
    assert bench.layer().visible


# ---- playing ----------------------------------------------------------------------------------


def test_playing_keeps_the_clip_s_rate_and_drops_frames(
    qtbot: QtBot, cohort: Cohort, qapp: Any
) -> None:
    session = Session()
    session.open_cohort(cohort.location)
    session.reader.choose("Ada")
    session.open_clip("clip-1")  # 6 frames, 20 a second
    now = 100.0
    from qtpy.QtCore import QObject

    owner = QObject()
    player = Player(session, owner, clock=lambda: now)
    session.frame = 2
    session.playing = True
    shown = []
    for late in (0.0, 0.01, 0.051, 0.101, 0.26, 0.301, 3.001):
        now = 100.0 + late
        player.tick()
        shown.append(session.frame)
    assert shown == [2, 2, 3, 4, 1, 2, 2]
    session.frame = 5  # a person moves: go on from there
    now += 10.02
    player.tick()
    now += 0.051
    player.tick()
    assert session.frame == 0
    session.playing = False
    player.close()
    session.close_clip()
    owner.deleteLater()


def test_the_window_plays(bench: Bench) -> None:
    seen = []
    bench.session.events.frame.connect(seen.append)
    bench.panel.form.transport.play.click()
    bench.until(lambda: len(set(seen)) >= 4)
    assert bench.session.playing
    bench.hand.press(40, 40)  # to paint is to stop
    assert not bench.session.playing
    bench.hand.release(40, 40)
    assert not bench.panel.form.transport.play.isChecked()


def test_closing_the_panel_leaves_the_clip_and_frees_the_keys(bench: Bench) -> None:
    bench.viewer.window.remove_dock_widget("all")
    bench.panel.deleteLater()
    bench.until(lambda: not bench.panel_alive())
    assert bench.session.clip is not None
    bench.session.confidence = 60
    bench.hand.key("0")
    assert bench.session.confidence == 60


def test_default_classes_can_be_told_apart_by_the_colour_blind() -> None:
    # Okabe and Ito's set, told apart under every common kind of colour blindness.
    safe = {"#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"}
    assert {c.color for c in DEFAULT_CLASSES} <= safe


def test_the_keys_are_documented() -> None:
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "reference" / "keys.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| `(\S+)` \| ([^|]+) \|$", text, re.MULTILINE))
    made = assigned_bindings(Session())
    assert listed.items() >= {b.key: b.words for b in made}.items()
    documented = set(re.findall(r"`([^`]+)`", text))
    assert set(shortcuts.CLASS_KEYS[:6]) | set(shortcuts.ANCHOR_KEYS[:3]) <= documented


def test_a_zipped_cohort_is_chosen_in_the_window(
    unseen_bench: Bench, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", cohort.location)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (packed, ""))
    unseen_bench.panel.form.start.zip.click()
    assert unseen_bench.session.cohort is not None, unseen_bench.session.message
    assert unseen_bench.session.cohort.clips() == cohort.clips()
    assert unseen_bench.session.cohort.location == packed
