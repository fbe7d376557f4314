"""A conflict in the session: nothing is applied or painted until a person has decided."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import psygnal
import pytest

from napari_confseg.annotate.conflict import describe_conflict
from napari_confseg.annotate.save_state import SaveCondition, describe
from napari_confseg.annotate.view import Tool
from napari_confseg.store import Conflict, Edit, Holder, SaveState, Status, StoreError, write_behind
from tests.annotate.edits import paint, rectangle, sit_down
from tests.other_machine import OtherMachine, stored, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Choice, Cohort

FIRST, MINE, THEIRS = (2, 2, 8, 8), (10, 10, 20, 20), (15, 15, 25, 25)
WHEN = datetime(2026, 11, 29, 13, 40, tzinfo=UTC)


def class_index(cohort: Cohort) -> int:
    """Of the class that Dr. Ada paints."""
    return cohort.meta.class_index("b-line")


@pytest.fixture
def other(cohort: Cohort, tmp_path: Path) -> OtherMachine:
    """Where somebody else works under Dr. Ada's name."""
    return OtherMachine(cohort, "clip-1", "dr-ada", tmp_path / "other-machine")


def settle(session: Session) -> None:
    """Let all reach the store; its thread looks once more, before anybody else takes over."""
    assert session.flush()
    time.sleep(0.2)


def lose(session: Session, other: OtherMachine) -> None:
    """Store a stroke, lose the clip to the other machine, and notice with the next stroke."""
    paint(session, FIRST, confidence=30)
    settle(session)
    other.take_over()
    assert paint(session, MINE, confidence=80)
    wait_for(lambda: session.editor.save_state.holder is not None)
    psygnal.emit_queued()


def meet(session: Session, other: OtherMachine, cohort: Cohort, *, reviewed: bool = False) -> None:
    """Let both paint over each other on frame 1, then come back."""
    lose(session, other)
    other.paint(0, THEIRS, 50, class_index(cohort), reviewed=reviewed)
    assert session.handover.take_over()


def test_losing_the_clip_is_noticed_with_the_next_stroke(
    session: Session, other: OtherMachine, cohort: Cohort
) -> None:
    lose(session, other)
    state = session.save_state
    assert state.taken_over
    assert state.waiting == 1
    described = describe(state)
    assert described.condition is SaveCondition.LOCKED
    assert described.line.startswith("ann on ward-7 has taken over, since ")
    assert described.detail.startswith("1 stroke of yours waits safely on this computer. ")
    assert session.view().tool is Tool.PAN
    assert paint(session, (0, 0, 2, 2)) is None
    assert "ann on ward-7 has been painting it since" in session.message
    assert not session.handover.take_over()  # not yet
    other.leave()
    assert session.handover.take_over()
    assert session.writable
    assert (session.planes["b-line"][0, 10:20, 10:20] == 80).all()
    assert session.flush()
    assert (stored(cohort, "clip-1", "dr-ada", 0, class_index(cohort))[10:20, 10:20] == 80).all()


def test_nothing_can_be_painted_until_it_is_decided(
    session: Session, other: OtherMachine, cohort: Cohort
) -> None:
    session.frame = 0
    meet(session, other, cohort)
    conflict = session.conflict.current
    assert (conflict.strokes, conflict.theirs, conflict.frames) == (1, 1, (0,))
    assert not session.writable
    assert describe(session.save_state).condition is SaveCondition.CONTESTED
    assert session.view().tool is Tool.PAN
    plane = session.planes["b-line"][0]
    assert (plane[15:25, 15:25] == 50).all()
    assert not plane[10:15, 10:15].any()
    for refused in (
        lambda: paint(session, (0, 0, 2, 2)),
        session.progress.mark_reviewed,
        session.undo,
        lambda: session.describe(note="no") or None,
    ):
        assert refused() is None
    assert session.message.startswith("Decide first which strokes to keep")
    assert (stored(cohort, "clip-1", "dr-ada", 0, class_index(cohort)) == plane).all()


def test_mine_is_shown_for_a_look_and_changes_nothing(
    session: Session, other: OtherMachine, cohort: Cohort
) -> None:
    meet(session, other, cohort, reviewed=True)
    theirs, status = session.planes["b-line"][:], session.status.copy()
    changed = []
    session.editor.planes_changed.connect(changed.append)
    session.conflict.show_mine(True)
    assert session.conflict.showing_mine
    assert (session.planes["b-line"][0, 10:20, 10:20] == 80).all()
    assert (session.planes["b-line"][0, 20:25, 20:25] == 50).all()
    assert session.planes["b-line"][0].sum() > theirs[0].sum()
    assert changed == [(("b-line", 0),)]
    np.testing.assert_array_equal(session.status, status)
    np.testing.assert_array_equal(
        stored(cohort, "clip-1", "dr-ada", 0, class_index(cohort)), theirs[0]
    )
    assert not session.writable
    session.conflict.show_mine(False)
    np.testing.assert_array_equal(session.planes["b-line"], theirs)
    assert not session.conflict.showing_mine


@pytest.mark.parametrize("looked", [False, True])
@pytest.mark.parametrize("choice", ["mine", "theirs", "both"])
def test_each_decision_loads_everything_anew_and_painting_goes_on(
    session: Session, other: OtherMachine, cohort: Cohort, choice: Choice, looked: bool
) -> None:
    meet(session, other, cohort)
    theirs = session.planes["b-line"][:]
    session.conflict.show_mine(True)
    mine = session.planes["b-line"][:]
    session.conflict.show_mine(looked)
    clips = []
    session.events.clip.connect(clips.append)
    session.handover.decide(choice)
    assert len(clips) == 1  # whoever shows planes takes the new ones
    assert session.conflict.current is None
    assert not session.conflict.showing_mine
    assert session.message.startswith(f"Kept {choice}")
    expected = mine if choice == "mine" else theirs
    np.testing.assert_array_equal(session.planes["b-line"], expected)
    assert [s.confidence for s in session.strokes] == [30, 50, 80][: 3 if choice == "mine" else 2]
    assert session.editor.can_undo
    session.undo()
    assert session.planes["b-line"][0, 16, 16] == (50 if choice == "mine" else 0)
    session.redo()
    assert paint(session, (30, 30, 34, 34), confidence=70)
    assert session.flush()
    expected[0, 30:34, 30:34] = 70
    index = class_index(cohort)
    np.testing.assert_array_equal(stored(cohort, "clip-1", "dr-ada", 0, index), expected[0])
    assert cohort.clip("clip-1").raters() == ["dr-ada", "dr-ada-2"][: 1 + (choice == "both")]
    if choice == "both":
        np.testing.assert_array_equal(stored(cohort, "clip-1", "dr-ada-2", 0, index), mine[0])


def test_a_conflict_stays_over_closing_and_is_shown_at_the_next_opening(
    session: Session, other: OtherMachine, cohort: Cohort
) -> None:
    meet(session, other, cohort)
    session.conflict.show_mine(True)
    session.close_clip()
    assert session.conflict.current is None
    assert not session.conflict.showing_mine
    sit_down(cohort, session=session)
    assert session.conflict.current.strokes == 1
    session.handover.decide("mine")
    assert (session.planes["b-line"][0, 10:20, 10:20] == 80).all()


def test_who_loses_the_clip_while_deciding_sees_what_is_stored_again(
    session: Session, other: OtherMachine, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_behind, "BEAT", timedelta(seconds=0.1))
    meet(session, other, cohort)
    theirs = session.planes["b-line"][:]
    session.conflict.show_mine(True)
    other.take_over()
    wait_for(lambda: session.editor.save_state.holder is not None)
    psygnal.emit_queued()
    assert not session.conflict.showing_mine
    assert session.conflict.current is None
    np.testing.assert_array_equal(session.planes["b-line"], theirs)
    with pytest.raises(StoreError, match="ann on ward-7 is editing this clip"):
        session.handover.decide("mine")
    other.leave()
    assert session.handover.take_over()
    assert session.conflict.current.strokes == 1


def test_there_is_nothing_to_decide_without_a_conflict(session: Session) -> None:
    session.conflict.show_mine(True)
    assert not session.conflict.showing_mine
    assert session.conflict.beside(0, 1) is None
    with pytest.raises(StoreError, match="nothing to decide"):
        session.handover.decide("mine")


def test_steps_lead_round_the_contested_frames(
    session: Session, other: OtherMachine, cohort: Cohort
) -> None:
    index = class_index(cohort)
    for frame in (1, 3):
        paint(session, FIRST, confidence=30, frame=frame)
    settle(session)
    other.take_over()
    patches = [rectangle(session, MINE, frame=frame).patches[0] for frame in (1, 3)]
    assert session.commit(Edit(tuple(patches), 60, "brush", index, 1))
    wait_for(lambda: session.editor.save_state.holder is not None)
    for frame in (1, 3):
        other.paint(frame, THEIRS, 50, index)
    assert session.handover.take_over()
    model = session.conflict
    assert model.frames == (1, 3)
    assert [model.beside(f, 1) for f in range(5)] == [1, 3, 3, 1, 1]
    assert [model.beside(f, -1) for f in range(5)] == [3, 3, 1, 1, 3]


def test_a_difference_of_review_alone_is_told(
    session: Session, other: OtherMachine, cohort: Cohort
) -> None:
    paint(session, FIRST, confidence=30)
    settle(session)
    other.take_over()
    assert session.progress.mark_reviewed(0, "b-line")
    wait_for(lambda: session.editor.save_state.holder is not None)
    other.paint(0, THEIRS, 50, class_index(cohort))
    assert session.handover.take_over()
    session.conflict.show_mine(True)
    assert session.conflict.status_frames == (0,)
    session.handover.decide("mine")
    assert session.status[0, class_index(cohort)] == Status.REVIEWED


CONFLICT = Conflict((), 3, tuple(range(9)), "ann on ward-7", WHEN, WHEN, 2)


def test_the_description_names_count_frames_and_whose() -> None:
    described = describe_conflict(CONFLICT)
    assert described.title == "Two versions of 9 frames"
    assert describe_conflict(replace(CONFLICT, frames=(4,))).title == "Two versions of frame 5"
    assert described.detail.startswith("3 strokes from 29 Nov ")
    assert "2 newer ones of ann on ward-7 on frames 1, 2, 3, 4, 5, 6 and 3 more" in described.detail
    assert described.outcomes.keys() == {"mine", "theirs", "both"}
    assert all("ann on ward-7" in text for text in described.outcomes.values())


def test_somebody_who_writes_comes_before_what_is_to_be_decided() -> None:
    holder = Holder("ada", "ward-3", 7, WHEN)
    state = SaveState(read_only=True, holder=holder, conflict=CONFLICT)
    described = describe(state)
    assert described.condition is SaveCondition.LOCKED
    assert "3 strokes of yours wait safely on this computer." in described.detail
