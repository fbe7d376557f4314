"""The work list, what is said of a clip, and blinding: real windows, real keys and clicks."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QMessageBox

from napari_confseg.annotate.access import Role
from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.session import Session
from napari_confseg.annotate.worklist import Facet, Sort, Which
from napari_confseg.job import FrameToLearn, LearningOrder
from napari_confseg.job.learning_order import write_order
from napari_confseg.store import ClipNotes, Cohort, RaterWriter, validate
from napari_confseg.widgets.annotate.worklist import WorkListPanel
from napari_confseg.widgets.annotate.worklist_table import (
    ALIKE,
    CLIP,
    DAY,
    MINUTES,
    OTHERS,
    PATIENT,
    STATE,
    TO_LEARN,
    ZONE,
)
from napari_confseg.widgets.demo.hand import press_key, wait
from tests.annotate.edits import review_all
from tests.widgets.bench import SHAPE, Bench, let_go, make_cohort

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLIPS = ("clip-1", "clip-2", "clip-10")


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    made = make_cohort(tmp_path / "cohort.zarr", *CLIPS, n_frames=2)
    for name, shift in (("bo", 0), ("cy", 30)):
        rater = made.clip("clip-2").create_rater(name, kind="human", label=name.title())
        plane = np.zeros(SHAPE, np.uint8)
        plane[20:60, 20 + shift : 60 + shift] = 80
        rater.write_plane(0, 2, plane)
        rater.write_status(np.full((2, 3), 2, np.uint8))
    return made


def list_of(bench: Bench) -> WorkListPanel:
    """The work list; without a window, one of its own."""
    if bench.shown:
        if not bench.panel.work_list.shown:
            click(bench.panel.form.head.list)
        return bench.hand.window.findChildren(WorkListPanel)[0]
    made = WorkListPanel(bench.viewer)
    made.resize(900, 400)
    made.show()
    return made


def listed(work: WorkListPanel) -> tuple[str, ...]:
    return tuple(work.clips.rows.names)


def cell(work: WorkListPanel, row: int, column: int) -> str:
    rows = work.clips.rows
    return str(rows.data(rows.index(row, column)))


def test_what_there_is_most_to_learn_from(unseen_bench: Bench, cohort: Cohort) -> None:
    frames = [
        FrameToLearn(clip=clip, frame=0, unseen=0.5, differ=None, apart=1, why="unlike the others")
        for clip in ("clip-10", "clip-1")
    ]
    order = LearningOrder(
        cohort_id=cohort.meta.cohort_id,
        made_at=datetime.now(UTC),
        model="starter",
        sha256="0" * 64,
        looked_at=2,
        frames=tuple(frames),
    )
    bench = unseen_bench
    work = list_of(bench)
    bench.open(cohort)
    bench.until(lambda: work.reader.wait(0) and bool(listed(work)))
    assert work.clips.isColumnHidden(TO_LEARN)
    write_order(cohort, order)
    work.reader.read()
    bench.until(lambda: not work.clips.isColumnHidden(TO_LEARN))
    wait(50)  # the heading finds its place
    click_heading(work, TO_LEARN)
    bench.until(lambda: listed(work) == ("clip-10", "clip-1", "clip-2"))
    assert [cell(work, row, TO_LEARN) for row in range(3)] == ["1", "2", ""]
    bench.session.worklist.put([replace(bench.session.worklist.facts["clip-10"], strokes=4)])
    wait(100)
    assert cell(work, 0, TO_LEARN) == "1"  # stays, whatever else is learnt of the clip


def click_row(work: WorkListPanel, row: int, column: int = CLIP) -> None:
    table = work.clips
    at = table.visualRect(table.rows.index(row, column)).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=at)


def click_heading(work: WorkListPanel, column: int) -> None:
    header = work.clips.header()
    at = QPoint(header.sectionViewportPosition(column) + 8, header.height() // 2)
    QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=at)


def click(widget: Any) -> None:
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def test_a_day_s_work_through_the_list(bench: Bench, cohort: Cohort) -> None:
    panel, session, hand = bench.panel, bench.session, bench.hand
    work, head = list_of(bench), panel.form.head
    bench.until(lambda: work.reader.wait(0) and cell(work, 1, ALIKE) == "0.25")
    assert listed(work) == CLIPS
    # One key goes on and back; the head of the panel tells where.
    hand.activate()
    hand.key("Ctrl+PageDown")
    assert session.clip.name == "clip-2"
    assert (head.name.text(), head.place.text()) == ("clip-2", "2 of 3")
    hand.key("Ctrl+PageUp")
    hand.key("Ctrl+PageUp")
    assert session.clip.name == "clip-1"
    assert "first clip" in session.message
    # The mouse over the picture is a sign of activity, after however long a pause.
    watch = session.activity
    watch._until = 0.0
    places = itertools.cycle([(50, 50), (60, 60)])

    def moved() -> bool:
        hand.move(*next(places))  # one move alone may be dropped on a busy machine
        return watch._until > 0

    bench.until(moved)
    # What is said is kept as it is clicked and typed.
    about = panel.form.notes
    panel.form.notes_section.open(True)
    click(about.zones["R3"])
    click(about.quality[4])
    click(about.pathology["effusion"])
    QTest.keyClicks(about.tags, "film, teaching")
    QTest.keyClicks(about.note, "rib 8 shadow")
    bench.until(lambda: session.clip_notes.current.note == "rib 8 shadow")
    said = {"zone": "R3", "quality": 4, "pathology": ("effusion",), "tags": ("film", "teaching")}
    assert session.clip_notes.current.model_dump(include=set(said)) == said
    assert (session.class_name, session.confidence) == ("b-line", 60)  # letters were letters
    click(about.quality[4])  # again: taken back
    assert session.clip_notes.current.quality is None
    # A clip that is finished says so and leads on.
    assert not panel.form.finished.isVisible()
    click(work.chips[Which.TO_DO])
    review_all(session)
    bench.until(lambda: work.chips[Which.TO_DO].text() == "To do 2")
    assert cell(work, 0, STATE) == "✓ done"
    assert listed(work) == CLIPS  # it stays while it is open
    click(panel.form.finished.go)
    assert session.clip.name == "clip-2"
    assert listed(work) == ("clip-2", "clip-10")
    assert not panel.form.finished.isVisible()
    # What is being typed when one leaves belongs to the clip that is left.
    QTest.keyClicks(about.note, "in a hurry")
    hand.key("Ctrl+PageDown")
    assert session.clip.name == "clip-10"
    assert about.note.toPlainText() == ""
    assert session.worklist.facts["clip-2"].note == "in a hurry"
    # Words find; filters narrow; both can be dropped.
    click(work.chips[Which.ALL])
    QTest.keyClicks(work.find, "teach")
    bench.until(lambda: listed(work) == ("clip-1", "clip-10"))  # the open clip stays
    session.close_clip()
    bench.until(lambda: listed(work) == ("clip-1",))
    session.worklist.change(text="nowhere")
    bench.until(lambda: work.nothing.isVisible())
    assert work.nothing.text() == "No clip matches."
    click(work.clear)
    bench.until(lambda: listed(work) == CLIPS)
    work.menu.aboutToShow.emit()
    zones = work.menu.actions()[0].menu().actions()
    assert [a.text() for a in zones] == ["R3  (1)"]
    zones[0].trigger()
    bench.until(lambda: listed(work) == ("clip-1",))
    assert work.narrowed.text() == "Only R3"
    click(work.widen)
    click_heading(work, ALIKE)
    bench.until(lambda: listed(work)[0] == "clip-2")  # whose readers differ most
    assert work.chips[Which.DIFFER].text() == "Differ 1"
    assert validate(cohort.location) == []


def test_all_of_it_survives_a_restart_and_a_second_viewer_may_look(
    unseen_bench: Bench, cohort: Cohort
) -> None:
    bench = unseen_bench
    first = Session()
    first.open_cohort(cohort.location)
    first.reader.choose("Dr. Ada")
    first.open_clip("clip-1")
    first.describe(zone="L2", note="of an earlier day", seconds={0: 120.0})
    review_all(first)
    bench.open(cohort)  # the same reader, elsewhere
    about = bench.panel.form.notes
    assert (about.note.toPlainText(), about.zones["L2"].isChecked()) == ("of an earlier day", True)
    assert not about.isEnabled()
    about.hand_in()
    assert not bench.session.describe(note="refused")
    assert "read-only" in bench.session.message
    first.close_clip()
    assert bench.session.handover.take_over()
    assert about.isEnabled()
    assert "2.0 min" in bench.panel.form.notes_section.header.text()
    assert bench.panel.form.finished.isVisible()
    bench.session.close_cohort()
    assert bench.panel.cohort_actions.open(cohort.location)
    assert bench.session.clip.name == "clip-1"  # the one they left
    click(bench.panel.form.finished.go)
    assert bench.session.clip.name == "clip-2"  # the first with work left


def test_a_blinded_reader_sees_nobody_until_the_clip_is_done(
    unseen_bench: Bench, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = unseen_bench
    cohort.update_meta(blinding="until-reviewed", by="Prof. Dee")
    bench.open(cohort, clip="clip-2")
    panel, session, work = bench.panel, bench.session, list_of(bench)
    bench.until(lambda: work.reader.wait(0) and session.worklist.facts["clip-2"].patient)
    bench.until(lambda: work.rows.wait(0) and work.rows.picture("clip-2") is not None)
    assert [cell(work, row, OTHERS) for row in range(3)] == ["", "", ""]
    assert panel.form.others.boxes == {}
    assert "until you have reviewed" in panel.form.others._note.text()
    assert work.clips.isColumnHidden(ALIKE)
    panel.roles.show_now()
    assert not any(a.isEnabled() for a in panel.roles.rules.values())  # a reader keeps the rule
    monkeypatch.setattr(
        "napari_confseg.widgets.annotate.roles.QInputDialog.getText",
        lambda *_a, **_k: ("Prof. Dee", True),
    )
    panel.form.others.let.click()
    assert (session.clip_notes.current.unblinded.by, session.clip_notes.current.unblinded.why) == (
        "Prof. Dee",
        "allowed",
    )
    assert set(panel.form.others.boxes) == {"bo", "cy"}
    work.rows.look(CLIPS)
    bench.until(lambda: cell(work, 1, OTHERS) == "Bo (reader); Cy (reader)")
    panel.cohort_actions.open_clip("clip-1")
    assert panel.form.others.boxes == {}
    review_all(session)
    assert "Nobody else" in panel.form.others._note.text()
    # A reviewer sees all, and may change the rule.
    asked: list[str] = []

    def answer(yes: bool) -> Callable[..., object]:
        button = QMessageBox.StandardButton.Yes if yes else QMessageBox.StandardButton.No
        return lambda _parent, _title, words, *_: asked.append(words) or button

    monkeypatch.setattr(QMessageBox, "question", answer(False))
    panel.roles.roles[Role.REVIEWER].trigger()
    assert session.access.role is Role.READER
    assert panel.roles.roles[Role.READER].isChecked()
    assert "read blinded" in asked[0]
    monkeypatch.setattr(QMessageBox, "question", answer(True))
    panel.roles.roles[Role.REVIEWER].trigger()
    bench.until(lambda: not work.clips.isColumnHidden(ALIKE))
    assert cell(work, 0, STATE) == "✓ done"  # the open clip is known at once
    panel.roles.show_now()
    panel.roles.rules["none"].trigger()
    assert Cohort.open(cohort.location).meta.blinding == "none"
    panel.cohort_actions.open_clip("clip-2")
    assert set(panel.form.others.boxes) == {"bo", "cy"}
    let_go(work)


def test_no_clips_unreadable_clips_and_a_zip(
    unseen_bench: Bench, cohort: Cohort, tmp_path: Path
) -> None:
    import shutil
    from pathlib import Path

    bench = unseen_bench
    empty = Cohort.create(tmp_path / "empty.zarr", name="empty")
    assert bench.panel.cohort_actions.open(empty.location, "Dr. Ada")
    work = list_of(bench)
    assert not bench.panel.form.head.isVisible()
    assert "has no clips yet" in work.nothing.text()
    bench.panel.form.head.step_wanted.emit(1)  # the key does no harm
    assert bench.session.clip is None
    packed = shutil.make_archive(str(tmp_path / "cohort"), "zip", cohort.location)
    (Path(cohort.location) / "clip-2/0/zarr.json").write_text("{")
    assert bench.panel.cohort_actions.open(cohort.location)
    bench.until(lambda: cell(work, 1, STATE) == "⚠ problem")
    bench.until(lambda: work.chips[Which.PROBLEM].text() == "Problem 1")
    bench.panel.form.head.step_wanted.emit(1)
    assert bench.session.clip.name == "clip-10"  # passed over
    click_row(work, 1)
    assert "JSON" in bench.session.message
    assert bench.session.clip.name == "clip-10"
    bench.session.open_cohort(Cohort.open(packed, read_only=True))
    bench.panel.cohort_actions.open_first_clip()
    assert bench.session.clip.name == "clip-10"  # the one left, in the same cohort
    assert not bench.panel.form.notes.isEnabled()
    assert bench.session.clip_notes.current == ClipNotes()
    bench.until(lambda: work.reader.wait(0) and cell(work, 1, ALIKE) == "0.25")
    bench.until(lambda: work.rows.picture("clip-10") is not None)
    assert cell(work, 2, CLIP) == "clip-10"
    let_go(work)


def test_every_column_orders_and_the_list_is_left_as_it_was(
    unseen_bench: Bench, cohort: Cohort
) -> None:
    bench = unseen_bench
    cohort.clip("clip-2").update_meta(patient="p9", zone="L1")
    cohort.clip("clip-10").update_meta(patient="p10", zone="R2")
    bench.open(cohort)
    work, settings = list_of(bench), lambda: bench.session.worklist.settings
    bench.until(lambda: work.reader.wait(0) and cell(work, 2, PATIENT) == "p10")
    review_all(bench.session)
    orders = {
        CLIP: ("clip-10", "clip-2", "clip-1"),  # in hand already: turned round
        PATIENT: ("clip-1", "clip-2", "clip-10"),  # p1, p9, p10
        ZONE: ("clip-2", "clip-10", "clip-1"),  # unknown comes last
        STATE: ("clip-2", "clip-10", "clip-1"),
        DAY: ("clip-1", "clip-2", "clip-10"),
        MINUTES: ("clip-2", "clip-10", "clip-1"),
        ALIKE: ("clip-2", "clip-1", "clip-10"),
        OTHERS: ("clip-2", "clip-1", "clip-10"),
    }
    bench.session.describe(seconds={0: 60.0})
    for column, names in orders.items():
        click_heading(work, column)
        bench.until(lambda names=names: listed(work) == names)
    assert cell(work, 0, OTHERS) == "Bo (reader); Cy (reader)"
    click_heading(work, ZONE)
    click_heading(work, ZONE)
    bench.until(lambda: listed(work) == ("clip-10", "clip-2", "clip-1"))
    click(work.chips[Which.TO_DO])
    QTest.keyClicks(work.find, "clip")
    work.clips.header().resizeSection(PATIENT, 133)
    let_go(work)
    assert bench.panel.cohort_actions.open(cohort.location)
    again = list_of(bench)
    assert (settings().sort, settings().falling) == (Sort.ZONE, True)
    assert (settings().which, again.find.text()) == (Which.TO_DO, "clip")
    assert again.clips.header().sectionSize(PATIENT) == 133
    bench.session.worklist.change(facets=frozenset({(Facet.QUALITY, "4")}))
    again.show_now()
    assert again.narrowed.text() == "Only quality 4: good"
    let_go(again)


def test_another_folder_is_not_narrowed_by_the_words_for_this_one(
    unseen_bench: Bench, cohort: Cohort, tmp_path: Path
) -> None:
    bench = unseen_bench
    bench.open(cohort)
    work = list_of(bench)
    QTest.keyClicks(work.find, "clip-2")
    click(work.chips[Which.TO_DO])
    bench.until(lambda: Preferences.load().work_list.text == "clip-2")
    other = make_cohort(tmp_path / "other.zarr", "x-1")
    assert bench.panel.cohort_actions.open(other.location)
    assert (work.find.text(), listed(work)) == ("", ("x-1",))
    assert bench.session.worklist.settings.which is Which.TO_DO
    let_go(work)


def test_the_list_is_walked_by_keys_and_floats_where_it_was(bench: Bench, cohort: Cohort) -> None:
    session, hand = bench.session, bench.hand
    hand.activate()
    hand.key("F12")
    work = list_of(bench)
    assert bench.panel.form.head.list.isChecked()
    assert work.height() > 100
    # Beneath the picture alone: the panel keeps its height.
    left = bench.panel.mapTo(hand.window, QPoint()).x()
    bench.until(lambda: work.mapTo(hand.window, QPoint(work.width(), 0)).x() <= left)
    table = work.clips
    bench.until(table.hasFocus)
    press_key(table, "Down")
    press_key(table, "Down")
    assert (session.clip.name, table.chosen()) == ("clip-1", "clip-10")
    session.worklist.changed.emit()
    work.show_now()
    assert table.chosen() == "clip-10"  # the row in hand stays in hand
    press_key(table, "Return")
    assert session.clip.name == "clip-10"
    press_key(table, "Up")
    press_key(table, "J")  # a key of ours, no search by letters
    assert (session.class_name, table.chosen()) == ("b-line", "clip-2")
    click_row(work, 0)
    assert session.clip.name == "clip-1"
    press_key(table, "Ctrl+Shift+PageDown")
    assert session.clip.name == "clip-2"
    # As a window of its own keys go on working, and it comes back where it was.
    dock = work.parentWidget()
    dock.setFloating(True)
    dock.setGeometry(QRect(70, 60, 700, 300))
    bench.until(lambda: dock.geometry() == QRect(70, 60, 700, 300))
    press_key(table, "Ctrl+PageDown")
    assert session.clip.name == "clip-10"
    press_key(table, "F12")
    assert not work.isVisible()
    assert not bench.panel.form.head.list.isChecked()
    bench.viewer.window.remove_dock_widget(dock)
    hand.key("F12")
    bench.until(lambda: bench.panel.work_list.shown)
    again = next(w for w in hand.window.findChildren(WorkListPanel) if w.isVisible())
    bench.until(lambda: again.parentWidget().isFloating())
    bench.until(lambda: again.parentWidget().geometry() == QRect(70, 60, 700, 300))


def test_who_edits_a_clip_now_is_shown(
    unseen_bench: Bench, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = unseen_bench
    bench.open(cohort)
    work = list_of(bench)
    monkeypatch.setattr("napari_confseg.store.lease.socket.gethostname", lambda: "ward-3")
    elsewhere = RaterWriter.open(cohort, "clip-2", "bo")
    monkeypatch.undo()
    monkeypatch.setattr("napari_confseg.store.lease._live", set())  # as in another process
    bench.until(lambda: work.rows.wait(0))
    work.rows.look(CLIPS)
    bench.until(lambda: cell(work, 1, OTHERS).startswith("✎ Bo (reader) on ward-3 since "))
    monkeypatch.undo()
    elsewhere.close()
    work.rows.look(CLIPS)
    bench.until(lambda: cell(work, 1, OTHERS) == "Bo (reader); Cy (reader)")
    let_go(work)
