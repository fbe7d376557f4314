"""Reviewing and adjudicating without a window, against planes written down by hand."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.annotate.access import Role
from napari_confseg.annotate.patches import patch_between
from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.review import model
from napari_confseg.annotate.review.cohort import ClipDue, find_due
from napari_confseg.annotate.review.comparison import ADJUDICATED
from napari_confseg.annotate.review.model import Review
from napari_confseg.annotate.review.state import PendingDecision
from napari_confseg.annotate.session import Session
from napari_confseg.store import Cohort, Edit, RaterWriter, Status, validate
from tests.annotate.review.planted import (
    AGREED,
    B_LINE,
    LARGE,
    MISSED,
    SHAPE,
    SMALL,
    begun_planes,
    finish,
    planted_cohort,
)
from tests.conftest import add_clip

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    return planted_cohort(tmp_path)


@pytest.fixture
def review(cohort: Cohort) -> Iterator[Review]:
    made = open_review(cohort)
    yield made
    made.close()
    made.session.close_clip()


def open_review(cohort: Cohort, *, adjudicate: bool = True) -> Review:
    session = Session()
    session.open_cohort(cohort.location)
    session.reader.choose("Dr. Lead")
    session.open_clip("clip-1")
    review = Review(session)
    finish(review)
    if adjudicate:
        review.begin("Dr. Lead")
        finish(review)
    return review


def stored(review: Review) -> np.ndarray:
    """The adjudicated planes ``(T, C, Y, X)`` of the clip as they are in the store."""
    session = review.session
    assert session.flush()
    assert session.cohort is not None
    assert session.clip is not None
    rater = Cohort.open(session.cohort.location).clip(session.clip.name).rater(ADJUDICATED)
    return np.stack([rater.read_planes(c) for c in range(3)], axis=1)


def status_of(review: Review) -> list[int]:
    return review.session.status[:, B_LINE].tolist()


def test_looking_needs_no_adjudicator(cohort: Cohort) -> None:
    review = open_review(cohort, adjudicate=False)
    state = review.state
    assert [(r.name, r.frames, r.compared) for r in state.raters] == [
        ("ada", 6, True),
        ("bo", 5, True),
    ]
    assert [i.event.frames for i in state.items] == [(1, 2, 3), (4,)]
    assert [i.event.presence for i in state.items] == [True, False]
    assert review.step()
    assert (review.session.class_name, review.session.frame) == ("b-line", 1)
    assert review.decide("reject") is None
    assert not review.session.strokes
    review.close()
    review.session.close_clip()


def test_what_all_agree_on_is_copied_first(review: Review) -> None:
    assert np.array_equal(stored(review), begun_planes())
    assert status_of(review) == [2, 1, 1, 1, 1, 0]
    assert review.session.status[:, 0].tolist() == [2, 2, 2, 2, 2, 0]
    assert review.session.clip is not None
    meta = review.session.clip.rater(ADJUDICATED).meta
    assert (meta.kind, meta.adjudicator) == ("adjudicated", "Dr. Lead")
    assert (review.state.decided, len(review.state.items)) == (0, 2)
    review.copy_agreed()
    finish(review)
    assert len(review.session.strokes) == 3  # once a class, and not again


def test_each_verdict_is_one_edit_that_undo_takes_back(review: Review) -> None:
    session, begun = review.session, begun_planes()
    verdicts = {
        ("accept", "ada"): 80,
        ("accept", "bo"): 0,
        ("mean", None): 40,
        ("reject", None): 0,
    }
    for (verdict, source), value in verdicts.items():
        review.go(0)
        stroke = review.decide(verdict, source)  # type: ignore[arg-type]
        assert stroke is not None
        assert stroke.decision is not None
        assert (stroke.tool, stroke.decision.by) == (f"adjudicate-{verdict}", "Dr. Lead")
        assert (stroke.decision.source, stroke.decision.raters) == (source, ("ada", "bo"))
        assert [r.frame for r in stroke.decision.regions] == [1, 2, 3]
        expected = begun.copy()
        for frame in (1, 2, 3):
            expected[frame, B_LINE][MISSED[frame]] = value
        assert np.array_equal(stored(review), expected)
        assert status_of(review) == [2, 2, 2, 2, 1, 0]
        assert review.state.current == 1  # on to the next
        assert review.state.decided == 1
        session.undo()
        assert np.array_equal(stored(review), begun)
        assert status_of(review) == [2, 1, 1, 1, 1, 0]
        assert review.state.current == 0  # what was undone is back on the bench
        assert review.state.decided == 0
    assert validate(Path(session.cohort.location)) == []  # type: ignore[union-attr]


@pytest.fixture
def slow(review: Review, monkeypatch: pytest.MonkeyPatch) -> Review:
    """A review in which three frames are many."""
    monkeypatch.setattr(model, "AT_ONCE", 2)
    review.go(0)
    return review


def expect_mean(review: Review) -> None:
    wanted = begun_planes()
    for frame in (1, 2, 3):
        wanted[frame, B_LINE][MISSED[frame]] = 40
    assert np.array_equal(stored(review), wanted)


def test_a_verdict_on_many_frames_is_worked_out_first(slow: Review) -> None:
    assert slow.decide("mean") is None
    assert isinstance(slow.state.pending, PendingDecision)
    assert not slow.state.can_decide  # one after the other
    assert slow.decide("reject") is None
    slow.configure(threshold=70)  # asked meanwhile: it waits
    said: list[tuple[int, int]] = []
    job, pending = slow.job(), slow.state.pending
    assert job is not None
    found = job(lambda *now: said.append(now), lambda: False)
    assert said == [(0, 3), (1, 3), (2, 3)]
    slow.finish_job(pending, found)
    expect_mean(slow)
    assert slow.session.strokes[-1].decision.threshold == 60  # as asked when it was given
    finish(slow)
    assert slow.state.decided == 1
    slow.session.undo()  # as one
    assert np.array_equal(stored(slow), begun_planes())


def test_a_verdict_can_be_stopped(slow: Review) -> None:
    before = len(slow.session.strokes)
    slow.decide("accept", "ada")
    job, pending = slow.job(), slow.state.pending
    assert job is not None
    slow.finish_job(pending, job(lambda *_: None, lambda: True))
    assert len(slow.session.strokes) == before
    assert "Stopped" in slow.session.message
    assert slow.state.can_decide
    assert slow.state.current == 0
    slow.decide("accept", "ada")
    slow.fail_job(slow.state.pending, OSError("the drive is gone"))
    assert "the drive is gone" in slow.session.message
    assert slow.state.pending is None


def test_who_leaves_the_clip_meanwhile_loses_no_verdict(slow: Review) -> None:
    slow.decide("mean")
    pending = slow.state.pending
    slow.open("clip-2")
    slow.finish_job(pending, [])  # what comes late is nobody's
    assert slow.session.clip.name == "clip-2"
    slow.open("clip-1")
    expect_mean(slow)


def test_an_edge_is_decided_within_its_region_alone(review: Review) -> None:
    review.go(1)
    assert review.decide("accept", "ada")
    expected = begun_planes()
    expected[4, B_LINE][LARGE] = 60
    expected[4, B_LINE][SMALL] = 80  # both say yes there: their mean, as before
    assert np.array_equal(stored(review), expected)


def test_a_frame_alone_may_be_decided_and_the_rest_stays_open(review: Review) -> None:
    review.configure(whole=False)
    review.go(0, 2)
    assert review.decide("accept", "ada")
    assert [r.frame for r in review.state.items[0].open] == [1, 3]
    assert (review.state.current, review.session.frame) == (0, 1)
    assert status_of(review) == [2, 1, 2, 1, 1, 0]
    expected = begun_planes()
    expected[2, B_LINE][MISSED[2]] = 80
    assert np.array_equal(stored(review), expected)
    review.session.frame = 0
    assert review.decide("reject") is None
    assert "other frames" in review.session.message


def paint(session: Session, frame: int, box: tuple[slice, slice], value: int) -> None:
    before = session.planes["b-line"][frame]
    after = before.copy()
    after[box] = value
    patch = patch_between(B_LINE, frame, before, after)
    assert patch is not None
    session.commit(Edit((patch,), value, "brush", B_LINE, frame))


def test_correcting_counts_once_something_was_painted(review: Review) -> None:
    session = review.session
    review.go(0)
    review.correct()
    assert review.state.correcting
    review.correct()
    assert not review.state.correcting
    assert "still open" in session.message
    review.correct()
    paint(session, 2, np.s_[40:50, 22:32], 70)
    assert review.step()
    decision = session.strokes[-1].decision
    assert decision is not None
    assert (decision.verdict, [r.frame for r in decision.regions]) == ("correct", [2])
    assert [r.frame for r in review.state.items[0].open] == [1, 3]
    expected = begun_planes()
    expected[2, B_LINE][40:50, 22:32] = 70
    assert np.array_equal(stored(review), expected)


def test_a_restart_goes_on_where_it_was(review: Review, cohort: Cohort) -> None:
    review.configure(threshold=50)
    finish(review)
    review.go(0)
    review.decide("reject")
    review.close()
    review.session.close_clip()
    again = open_review(cohort)
    assert again.settings.threshold == 60  # what was asked when this clip was begun
    assert again.state.decided == 1
    assert again.state.items[0].decided is not None
    again.session.undo()
    assert again.state.decided == 0
    again.close()
    again.session.close_clip()


def test_a_moved_threshold_keeps_what_is_decided(review: Review) -> None:
    review.go(0)
    review.decide("reject")
    for threshold, decided, left in ((75, 1, 3), (85, 0, 2), (60, 1, 2)):
        review.configure(threshold=threshold)
        finish(review)
        # At 75 bo's 70 says no where both agreed; at 85 nobody says yes to what was rejected.
        assert (review.state.decided, len(review.state.items)) == (decided, left)


def test_of_several_raters_who_has_not_reviewed_has_no_say(cohort: Cohort) -> None:
    clip = cohort.clip("clip-1")
    third = clip.create_rater("cy", kind="human")
    status = np.zeros((6, 3), np.uint8)
    status[2] = Status.REVIEWED
    third.write_status(status)
    review = open_review(cohort)
    review.go(0)
    assert review.decide("accept", "cy")
    assert [r.frame for r in review.state.items[0].open] == [1, 3]
    assert review.decide("accept", "cy") is None
    assert "has not reviewed" in review.session.message
    review.close()
    review.session.close_clip()


def test_who_is_gone_is_not_taken_for_unmarked(review: Review, cohort: Cohort) -> None:
    review.go(0)
    shutil.rmtree(Path(cohort.location, "clip-1", "raters", "ada"))
    assert review.decide("mean") is None
    assert "Dr. Ada is no longer on this clip" in review.session.message
    finish(review)
    assert [r.name for r in review.state.raters] == ["bo"]
    assert not review.state.items


def test_somebody_else_adjudicates(cohort: Cohort) -> None:
    other = RaterWriter.open(cohort, "clip-1", ADJUDICATED, adjudicator="Dr. Else")
    review = open_review(cohort)
    assert review.state.adjudicating
    assert "Read-only" in review.state.reason
    assert review.step()  # looking is free
    assert not review.state.can_decide
    assert review.decide("reject") is None
    other.close()
    assert review.session.handover.take_over()
    finish(review)
    assert review.state.reason == ""
    assert review.session.adjudicator == "Dr. Lead"
    review.close()
    review.session.close_clip()


def test_one_rater_no_common_frame_and_nothing_to_decide(cohort: Cohort) -> None:
    review = open_review(cohort, adjudicate=False)
    review.configure(raters=frozenset({"ada"}))
    finish(review)
    assert "at least two" in review.state.reason
    other = cohort.clip("clip-1").create_rater("cy", kind="human")
    other.write_status(np.array([[0] * 3] * 5 + [[2] * 3], np.uint8))
    review.refresh()
    review.configure(raters=frozenset({"bo", "cy"}))
    finish(review)
    assert "No frame" in review.state.reason
    assert review.state.items == ()
    review.configure(raters=None, classes=frozenset({"pleura"}))
    finish(review)
    assert (review.state.reason, review.state.items) == ("", ())
    assert not review.step()
    shutil.rmtree(Path(cohort.location, "clip-2", "raters", "ada"))
    review.configure(classes=None)
    review.session.open_clip("clip-2", "bo")
    finish(review)
    assert "Only Dr. Bo" in review.state.reason
    review.close()
    review.session.close_clip()


def test_another_clip_stays_in_the_adjudicator_s_hands(review: Review) -> None:
    session = review.session
    session.open_clip("clip-2")
    finish(review)
    assert (session.rater, session.adjudicator) == (ADJUDICATED, "Dr. Lead")
    assert not session.strokes  # nothing is copied before it is asked for
    review.end("dr-lead")
    assert (session.rater, session.adjudicator) == ("dr-lead", "")
    assert session.reader.choose("Dr. Ada") == "dr-ada"
    assert Preferences.load().reader == "Dr. Ada"


def test_the_cohort_s_worst_clip_comes_first(review: Review, cohort: Cohort) -> None:
    add_clip(cohort, "clip-3", shape=SHAPE, patient="p3")  # nobody has read it
    session, settings = review.session, review.settings
    review.go(0)
    review.decide("reject")
    session.flush()
    steps: list[tuple[int, int, str]] = []
    due = find_due(cohort, settings, progress=lambda *s: steps.append(s))
    whole = 3 * 200 * 0.8 + (900 - 196) * 0.6
    assert due == [
        ClipDue("clip-2", 2, 2, pytest.approx(whole)),
        ClipDue("clip-1", 2, 1, pytest.approx(704 * 0.6)),
    ]
    assert steps == [(0, 3, "clip-1"), (1, 3, "clip-2"), (2, 3, "clip-3")]
    assert find_due(cohort, settings, cancelled=lambda: True) == []
    review.take_due(due)
    session.undo()
    assert [d.open for d in review.queue.clips] == [2, 2]
    assert review.turn() == "clip-2"
    finish(review)
    assert session.rater == ADJUDICATED
    assert status_of(review) == [2, 1, 1, 1, 1, 0]  # what all agree on is copied here too
    for _ in range(2):
        review.step()
        assert review.decide("mean")
    assert review.turn() == "clip-1"
    finish(review)
    assert [(d.clip, d.open) for d in review.queue.clips] == [("clip-2", 0), ("clip-1", 2)]
    assert review.turn() is None
    assert "No other clip" in session.message


def test_who_reads_blinded_sees_nobody_until_a_reviewer(cohort: Cohort) -> None:
    cohort.update_meta(blinding="always", by="Prof. Dee")
    review = open_review(cohort, adjudicate=False)
    session = review.session
    assert review.state.raters == ()
    assert "read blinded" in review.state.reason
    assert "read blinded" in session.access.cohort_visibility().why()
    session.reader.choose_role(Role.REVIEWER)
    finish(review)
    assert [r.name for r in review.state.raters] == ["ada", "bo"]
    assert len(review.state.items) == 2
    assert session.access.cohort_visibility().why() == ""
    review.close()
    session.close_clip()


def test_the_agreed_box_is_where_it_was_planted() -> None:
    assert begun_planes()[0, B_LINE][AGREED].min() == 80


def test_adjudicating_begins_with_the_first_open_disagreement(review: Review) -> None:
    assert (review.state.current, review.session.frame) == (0, 1)
    assert review.decide("reject") is not None  # no stepping first
    review.decide("reject")
    review.open("clip-2")
    finish(review)
    assert review.state.current == 0


def test_verdicts_count_before_all_is_copied(cohort: Cohort) -> None:
    review = open_review(cohort, adjudicate=False)
    review.begin("Dr. Lead")  # nothing has been read or copied yet
    item = review.state.item
    assert item is not None
    assert item.event.frames == (1, 2, 3)
    assert review.state.can_decide
    assert review.decide("accept", "ada") is not None
    assert review.state.item is not None
    assert review.state.item.event.frames == (4,)
    review.correct()
    review.finish_correcting()
    finish(review)
    expected = begun_planes()
    for frame in (1, 2, 3):
        expected[frame, B_LINE][MISSED[frame]] = 80
    assert np.array_equal(stored(review), expected)
    assert review.state.decided == 1
    review.close()
    review.session.close_clip()


def test_nothing_flickers_while_one_begins_and_stops(cohort: Cohort) -> None:
    review = open_review(cohort, adjudicate=False)
    seen = []
    review.changed.connect(lambda s: seen.append((len(s.items), [r.name for r in s.compared])))
    review.begin("Dr. Lead")
    finish(review)
    review.decide("mean")
    decided = []
    review.changed.connect(lambda s: decided.append(s.decided))
    review.end("dr-lead")
    finish(review)
    assert {n for n, _ in seen} == {2}
    assert {tuple(names) for _, names in seen} == {("ada", "bo")}
    assert set(decided) == {1}
    item = review.state.item
    review.begin("Dr. Lead")  # goes on at the next that is open
    assert review.state.item is not None
    assert review.state.item.open
    assert item is None or item.open
    review.close()
    review.session.close_clip()


def test_a_verdict_with_nothing_in_view_brings_something_into_view(review: Review) -> None:
    review.comparison.current = None
    review.refresh()
    finish(review)
    assert review.state.item is None
    assert review.decide("reject") is None
    assert "first open disagreement" in review.session.message
    assert review.state.current == 0
    assert review.decide("reject") is not None


def test_what_was_decided_still_is_after_stopping(review: Review, cohort: Cohort) -> None:
    review.go(0)
    review.decide("accept", "ada")
    review.end("dr-lead")
    finish(review)
    assert not review.state.adjudicating
    assert (review.state.decided, len(review.state.items)) == (1, 2)
    review.close()
    review.session.close_clip()
    later = open_review(cohort, adjudicate=False)  # another day, without adjudicating
    assert later.state.decided == 1
    assert later.state.items[0].decided is not None
    later.close()
    later.session.close_clip()


def test_the_same_verdict_again_leaves_undo_its_effect(review: Review) -> None:
    review.go(0)
    assert review.decide("mean")
    before = stored(review)
    review.go(0)
    assert review.decide("mean") is None
    assert "already decided" in review.session.message
    assert np.array_equal(stored(review), before)
    review.session.undo()
    assert np.array_equal(stored(review), begun_planes())
    assert review.state.decided == 0
