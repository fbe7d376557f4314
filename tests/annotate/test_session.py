"""The session without any window: what is open, painted, undone, reviewed, saved."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from psygnal import emit_queued

from napari_confseg.annotate.session import Session
from napari_confseg.annotate.view import Tool
from napari_confseg.store import ClassSpec, Cohort, Edit, Patch, Status, StoreError
from tests.annotate.edits import as_stored, paint, rectangle

if TYPE_CHECKING:
    from napari_confseg.store import Clip

BOX = (4, 5, 10, 15)


def other_opinion(cohort: Cohort, name: str = "run-1", *, clip: str = "clip-1") -> None:
    rater = cohort.clip(clip).create_rater(name, kind="model", label="Run 1")
    plane = np.zeros(rater.shape[2:], np.uint8)
    plane[10:20, 10:30] = np.arange(20, dtype=np.uint8) * 5 + 1
    plane[12, 12] = 255
    rater.write_plane(0, 2, plane)


def test_opening_needs_a_cohort_and_a_reader(cohort: Cohort) -> None:
    session = Session()
    with pytest.raises(ValueError, match="open a cohort"):
        session.open_clip("clip-1")
    session.open_cohort(cohort.location)
    with pytest.raises(ValueError, match="choose a reader"):
        session.open_clip("clip-1")
    with pytest.raises(StoreError):
        session.open_cohort(cohort.location + "-no")
    assert session.cohort is not None


def test_all_is_in_place_when_the_clip_s_event_fires(cohort: Cohort) -> None:
    session = Session(rater="ada")
    session.open_cohort(cohort.location)
    seen = []

    def look(clip: Clip) -> None:
        in_place = session.status.shape == (6, 6) and session.save_state is not None
        seen.append((clip.name, session.rater, len(session.planes), in_place))

    session.events.clip.connect(look)
    session.open_clip("clip-1", "bo")
    assert seen == [("clip-1", "bo", 6, True)]
    session.frame = 3
    session.open_clip("clip-2")
    assert [s[0] for s in seen] == ["clip-1", "clip-2"]  # no "none" in between
    assert session.frame == 0
    session.events.clip.disconnect(look)
    session.close_clip()


def test_only_a_class_of_the_cohort_can_be_painted(session: Session, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no class is called 'cyst'; there are pleura, a-line, b"):
        session.class_name = "cyst"
    assert session.class_name == "b-line"
    other = Cohort.create(
        tmp_path / "other.zarr",
        name="other",
        classes=[ClassSpec(index=0, name="cyst", label="Cyst", color="#d55e00")],
    )
    heard: list[str] = []
    session.events.cohort.connect(lambda: heard.append(session.class_name))
    session.open_cohort(other)
    assert heard == ["cyst"]
    session.close_cohort()
    session.class_name = "b-line"  # nothing is known of what is opened next


def test_a_clip_that_is_not_there_leaves_the_open_one(session: Session) -> None:
    with pytest.raises(StoreError):
        session.open_clip("clip-9")
    assert session.clip is not None
    assert paint(session, BOX)


def test_a_stroke_reaches_store_and_record(session: Session) -> None:
    stroke = paint(session, BOX, confidence=90, frame=2)
    assert stroke is not None
    assert (stroke.confidence, stroke.frame, stroke.class_index) == (90, 2, 2)
    assert session.flush()
    stored = as_stored(session)
    assert (stored["b-line"][2, 4:10, 5:15] == 90).all()
    for name, plane in session.planes.items():
        assert np.array_equal(plane, stored[name])
    assert session.strokes == [stroke]
    assert session.marked.sum() == 1
    assert session.marked[2, 2]


def test_the_first_mark_begins_a_plane_and_undo_takes_that_back(session: Session) -> None:
    paint(session, BOX)
    assert session.status[0, 2] == Status.IN_PROGRESS
    paint(session, (20, 20, 22, 22), confidence=30)
    session.undo()
    assert session.status[0, 2] == Status.IN_PROGRESS
    session.undo()
    assert session.status[0, 2] == Status.UNTOUCHED
    assert not session.marked.any()
    assert not session.planes["b-line"].any()


def test_painting_on_a_reviewed_frame_leaves_it_reviewed(session: Session) -> None:
    session.progress.mark_reviewed()
    paint(session, BOX)
    assert (session.status[0] == Status.REVIEWED).all()


def test_undo_and_redo_survive_closing_and_bring_the_place_into_view(session: Session) -> None:
    paint(session, BOX, confidence=90, frame=4)
    paint(session, BOX, confidence=30, frame=4)
    session.undo()
    session.close_clip()
    assert not session.editor.can_undo
    session.open_clip("clip-1")
    session.class_name, session.frame = "rib", 0
    assert session.editor.can_undo
    assert session.editor.can_redo
    session.redo()
    assert (session.planes["b-line"][4, 4:10, 5:15] == 30).all()
    assert (session.class_name, session.frame) == ("b-line", 4)
    session.undo()
    session.undo()
    assert not session.planes["b-line"].any()
    assert session.undo() is None
    assert [s.undone for s in session.strokes] == [True, True]


def test_a_stroke_under_way_holds_undo_back(session: Session) -> None:
    paint(session, BOX)
    stroking = True
    session.editor.refuse_undo_while(lambda: stroking)
    assert session.undo() is None
    stroking = False
    assert session.undo() is not None


def test_reviewing(session: Session) -> None:
    paint(session, BOX)
    session.progress.mark_reviewed(class_name="rib")
    assert session.status[0].tolist() == [0, 0, 1, 0, 0, 2]
    session.progress.toggle_reviewed()
    assert (session.status[0] == 2).all()
    assert session.progress.next_unreviewed() == 1
    session.frame = 0
    session.progress.toggle_reviewed()
    assert session.status[0].tolist() == [0, 0, 1, 0, 0, 0]
    session.undo()
    assert (session.status[0] == 2).all()
    for frame in range(1, 6):
        session.progress.mark_reviewed(frame)
    assert session.progress.next_unreviewed() is None
    assert "reviewed" in session.message
    assert session.flush()
    assert (
        Cohort.open(session.cohort.location).clip("clip-1").rater("dr-ada").read_status() == 2
    ).all()


def test_reviewing_what_is_reviewed_is_no_edit(session: Session) -> None:
    session.progress.mark_reviewed()
    n = len(session.strokes)
    assert session.progress.mark_reviewed() is None
    assert len(session.strokes) == n


def test_a_second_reader_of_the_same_name_may_look_only(session: Session, cohort: Cohort) -> None:
    paint(session, BOX)
    other = Session()
    other.open_cohort(cohort.location)
    other.open_clip("clip-1", "dr-ada")
    assert not other.writable
    assert other.save_state.holder is not None
    assert other.view().tool is Tool.PAN
    assert paint(other, BOX, confidence=10) is None
    assert other.progress.mark_reviewed() is None
    assert "read-only" in other.message
    assert not other.handover.take_over()
    session.close_clip()
    assert other.handover.take_over()
    assert (other.planes["b-line"][0, 4:10, 5:15] == 60).all()
    assert paint(other, (0, 0, 2, 2))
    other.close_clip()


def test_a_stroke_painted_where_one_may_not_is_taken_back(session: Session, cohort: Cohort) -> None:
    other = Session()
    other.open_cohort(cohort.location)
    other.open_clip("clip-1", "dr-ada")
    edit = rectangle(other, BOX, class_name="b-line")
    other.planes["b-line"].apply(edit.patches[0])  # as a view does, before it commits
    changed = []
    other.editor.planes_changed.connect(changed.append)
    assert other.commit(edit, painted=True) is None
    assert not other.planes["b-line"].any()
    assert changed == [(("b-line", 0),)]
    other.close_clip()


def test_changing_the_reader_keeps_clip_and_frame(session: Session) -> None:
    paint(session, BOX)
    session.frame = 3
    assert session.reader.choose("Bo") == "bo"
    assert (session.clip.name, session.frame, session.rater) == ("clip-1", 3, "bo")
    assert not session.planes["b-line"].any()
    session.reader.choose("Dr. Ada")
    assert session.planes["b-line"].any()
    assert session.clip.rater("dr-ada").meta.label == "Dr. Ada"


def test_other_raters_are_shown_and_stay_out_of_mine(session: Session, cohort: Cohort) -> None:
    other_opinion(cohort)
    with pytest.raises(StoreError):
        session.others.show("nobody")
    session.others.show("run-1")
    (overlay,) = session.overlays
    assert (overlay.label, overlay.kind, set(overlay.planes)) == ("Run 1", "model", {"b-line"})
    assert session.view().overlays == {("run-1", "b-line")}
    with pytest.raises(ValueError, match="read-only"):
        overlay.planes["b-line"][0] = 1
    session.others.hide("run-1")
    assert session.overlays == ()


def test_raters_on_show_stay_on_show_in_the_next_clip(session: Session, cohort: Cohort) -> None:
    other_opinion(cohort)
    other_opinion(cohort, clip="clip-2")
    other_opinion(cohort, "run-2")
    session.others.show("run-1")
    session.others.show("run-2")
    session.open_clip("clip-2")
    assert [o.name for o in session.overlays] == ["run-1"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("confidence", 0),
        ("confidence", 101),
        ("threshold", 101),
        ("frame", -1),
        ("opacity", 2.0),
        ("brush_size", 0),
        ("tool", "hammer"),
    ],
)
def test_settings_are_checked(field: str, value: object) -> None:
    session = Session()
    before = getattr(session, field)
    with pytest.raises(ValueError, match=field):
        setattr(session, field, value)
    assert getattr(session, field) == before


def test_closing_the_cohort_closes_all(session: Session) -> None:
    session.close_cohort()
    assert session.cohort is None
    assert session.clip is None
    assert session.view().active is None
    assert session.planes == {}


def test_a_session_dropped_with_news_on_its_way_is_no_error(cohort: Cohort) -> None:
    session = Session(rater="dr-ada")
    session.open_cohort(cohort.location)
    session.open_clip("clip-1")
    paint(session, (0, 0, 4, 4))
    session.flush()
    session.close_clip()
    del session
    gc.collect()
    emit_queued()  # raises if a call finds its owner gone


def test_a_clip_that_cannot_be_read_is_free_for_others(cohort: Cohort) -> None:
    session = Session(rater="dr-ada")
    session.open_cohort(cohort.location)
    session.open_clip("clip-1")
    paint(session, (0, 0, 4, 4))
    session.close_clip()
    (chunk,) = Path(cohort.location).glob("clip-1/raters/dr-ada/record/*.edits")
    whole = chunk.read_bytes()
    chunk.write_bytes(b"garbage")
    with pytest.raises(StoreError):
        session.open_clip("clip-1")
    chunk.write_bytes(whole)
    other = Session(rater="dr-ada")
    other.open_cohort(cohort.location)
    other.open_clip("clip-1")
    assert other.writable
    other.close_clip()


def test_what_changes_nothing_is_not_stored(session: Session) -> None:
    assert paint(session, (2, 2, 6, 6), confidence=40)
    assert paint(session, (2, 2, 6, 6), confidence=40) is None
    assert "Nothing changed" in session.message
    patch = session.planes[session.class_name][0, 2:6, 2:6]
    same = Patch(session.class_index(), 0, 2, 2, patch.copy(), patch.copy())
    assert session.commit(Edit((same,), 40, "brush", session.class_index(), 0)) is None
    assert len(session.strokes) == 1
    session.undo()
    assert not session.planes[session.class_name].any()


def test_a_mark_below_the_threshold_is_brought_into_sight(session: Session) -> None:
    session.threshold = 51
    paint(session, (2, 2, 6, 6), confidence=30)
    assert session.threshold == 30
    assert "30 %" in session.message
    session.threshold = 51
    paint(session, (2, 2, 6, 6), confidence=0)
    assert session.threshold == 51
