"""The work list, what is said of a clip, and blinding: real windows, real keys and clicks."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QMessageBox

from napari_confseg.annotate.access import Role
from napari_confseg.annotate.session import Session
from napari_confseg.annotate.worklist import Facet, Sort, Which
from napari_confseg.store import ClipNotes, Cohort, validate
from napari_confseg.widgets.annotate.worklist import ALIKE, NAME, REVIEWED
from tests.annotate.edits import review_all
from tests.widgets.bench import SHAPE, Bench, make_cohort

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


def listed(bench: Bench) -> tuple[str, ...]:
    return tuple(bench.panel.form.queue.clips.rows.names)


def cell(bench: Bench, row: int, column: int) -> str:
    rows = bench.panel.form.queue.clips.rows
    return str(rows.data(rows.index(row, column)))


def click(widget: Any) -> None:
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def test_a_day_s_work_through_the_list(bench: Bench, cohort: Cohort) -> None:
    panel, session, queue, hand = bench.panel, bench.session, bench.panel.form.queue, bench.hand
    bench.until(lambda: queue.reader.wait(0) and cell(bench, 1, ALIKE) == "0.25")
    assert listed(bench) == CLIPS
    # One key goes on and back; the heading tells where.
    hand.activate()
    hand.key("Ctrl+PageDown")
    assert session.clip.name == "clip-2"
    assert "clip-2  (2 of 3)" in panel.form.clips_section.header.text()
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
    click(queue.chips[Which.TO_DO])
    review_all(session)
    bench.until(lambda: queue.chips[Which.TO_DO].text() == "To do 2")
    assert cell(bench, 0, REVIEWED) == "100 %"
    assert listed(bench) == CLIPS  # it stays while it is open
    click(panel.form.finished.go)
    assert session.clip.name == "clip-2"
    assert listed(bench) == ("clip-2", "clip-10")
    assert not panel.form.finished.isVisible()
    # What is being typed when one leaves belongs to the clip that is left.
    QTest.keyClicks(about.note, "in a hurry")
    hand.key("Ctrl+PageDown")
    assert session.clip.name == "clip-10"
    assert about.note.toPlainText() == ""
    assert session.worklist.facts["clip-2"].note == "in a hurry"
    # Words find; filters narrow; both can be dropped.
    panel.form.clips_section.open(True)  # a low window folds it when a clip is opened
    click(queue.chips[Which.ALL])
    QTest.keyClicks(queue.find, "teach")
    bench.until(lambda: listed(bench) == ("clip-1", "clip-10"))  # the open clip stays
    session.close_clip()
    bench.until(lambda: listed(bench) == ("clip-1",))
    session.worklist.change(text="nowhere")
    bench.until(lambda: queue.nothing.isVisible())
    assert queue.nothing.text() == "No clip matches."
    click(queue.clear)
    bench.until(lambda: listed(bench) == CLIPS)
    queue.menu.aboutToShow.emit()
    zones = queue.menu.actions()[0].menu().actions()
    assert [a.text() for a in zones] == ["R3  (1)"]
    zones[0].trigger()
    bench.until(lambda: listed(bench) == ("clip-1",))
    assert queue.narrowed.text() == "Only R3"
    click(queue.widen)
    queue.clips.header().sectionClicked.emit(ALIKE)
    bench.until(lambda: listed(bench)[0] == "clip-2")  # whose readers differ most
    assert queue.chips[Which.DIFFER].text() == "Differ 1"
    assert validate(cohort.location) == []


def test_all_of_it_survives_a_restart_and_a_second_viewer_may_look(
    unseen_bench: Bench, cohort: Cohort
) -> None:
    bench = unseen_bench
    first = Session()
    first.open_cohort(cohort.location)
    first.choose_reader("Dr. Ada")
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
    assert bench.session.take_over()
    assert about.isEnabled()
    assert "2.0 min" in bench.panel.form.notes_section.header.text()
    assert bench.panel.form.finished.isVisible()
    bench.session.close_cohort()
    assert bench.panel.cohort_actions.open(cohort.location)
    assert bench.session.clip.name == "clip-2"  # the first with work left


def test_a_blinded_reader_sees_nobody_until_the_clip_is_done(
    unseen_bench: Bench, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = unseen_bench
    cohort.update_meta(blinding="until-reviewed", by="Prof. Dee")
    bench.open(cohort, clip="clip-2")
    panel, session = bench.panel, bench.session
    bench.until(
        lambda: panel.form.queue.reader.wait(0) and session.worklist.facts["clip-2"].patient
    )
    assert panel.form.others.boxes == {}
    assert "until you have reviewed" in panel.form.others._note.text()
    assert panel.form.queue.clips.isColumnHidden(ALIKE)
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
    bench.until(lambda: not panel.form.queue.clips.isColumnHidden(ALIKE))
    assert cell(bench, 0, REVIEWED) == "100 %"  # the open clip is known at once
    panel.roles.show_now()
    panel.roles.rules["none"].trigger()
    assert Cohort.open(cohort.location).meta.blinding == "none"
    panel.cohort_actions.open_clip("clip-2")
    assert set(panel.form.others.boxes) == {"bo", "cy"}


def test_no_clips_unreadable_clips_and_a_zip(
    unseen_bench: Bench, cohort: Cohort, tmp_path: Path
) -> None:
    import shutil
    from pathlib import Path

    bench = unseen_bench
    empty = Cohort.create(tmp_path / "empty.zarr", name="empty")
    assert bench.panel.cohort_actions.open(empty.location, "Dr. Ada")
    assert not bench.panel.form.queue.isVisible()
    bench.panel.form.queue.step_wanted.emit(1)  # the key does no harm
    assert bench.session.clip is None
    packed = shutil.make_archive(str(tmp_path / "cohort"), "zip", cohort.location)
    (Path(cohort.location) / "clip-2/0/zarr.json").write_text("{")
    assert bench.panel.cohort_actions.open(cohort.location)
    bench.until(lambda: cell(bench, 1, REVIEWED) == "can't be read")
    bench.panel.form.queue.step_wanted.emit(1)
    assert bench.session.clip.name == "clip-10"  # passed over
    bench.panel.form.queue.wanted.emit("clip-2")
    assert "JSON" in bench.session.message
    assert bench.session.clip.name == "clip-10"
    bench.session.open_cohort(Cohort.open(packed, read_only=True))
    bench.panel.cohort_actions.open_first_clip()
    assert bench.session.clip.name == "clip-1"
    assert not bench.panel.form.notes.isEnabled()
    assert bench.session.clip_notes.current == ClipNotes()
    bench.until(lambda: bench.panel.form.queue.reader.wait(0) and cell(bench, 1, ALIKE) == "0.25")
    assert cell(bench, 2, NAME) == "clip-10"


def test_an_order_asked_for_twice_is_turned_round(unseen_bench: Bench, cohort: Cohort) -> None:
    bench = unseen_bench
    bench.open(cohort)
    header = bench.panel.form.queue.clips.header()
    header.sectionClicked.emit(NAME)
    assert bench.session.worklist.settings.falling
    bench.until(lambda: listed(bench) == CLIPS[::-1])
    header.sectionClicked.emit(REVIEWED)
    assert (bench.session.worklist.settings.sort, bench.session.worklist.settings.falling) == (
        Sort.REVIEWED,
        False,
    )
    bench.session.worklist.change(facets=frozenset({(Facet.QUALITY, "4")}))
    bench.panel.form.queue.show_now()
    assert bench.panel.form.queue.narrowed.text() == "Only quality 4: good"
