"""The parts of a review, each by itself: state, comparison, adjudication, queue of clips."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.annotate.review.adjudication import Adjudication
from napari_confseg.annotate.review.cohort import ClipDue, ClipQueue
from napari_confseg.annotate.review.comparison import (
    ADJUDICATED,
    Comparison,
    compare,
    read_raters,
)
from napari_confseg.annotate.review.decisions import DecisionBasis
from napari_confseg.annotate.review.state import (
    CompareRequest,
    Context,
    PendingDecision,
    Prefill,
    RaterFacts,
    ReadRaters,
    ReviewSettings,
    rater_style,
    resolve,
)
from napari_confseg.annotate.session import Session
from napari_confseg.store import DEFAULT_CLASSES, Cohort
from tests.annotate.review.planted import B_LINE, MISSED, begun_planes, planted_cohort

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUEST = CompareRequest("clip-1", ("ada", "bo"), (0, 1, 2), 60, 3)
BASIS = DecisionBasis("Dr. Lead", ("ada", "bo"), 60, 3)


def rater(number: int, name: str, kind: str = "human", frames: int = 5) -> RaterFacts:
    return RaterFacts(name, f"Dr. {name}", kind, rater_style(number), frames)  # type: ignore[arg-type]


READ = Context(
    clip="clip-1",
    classes=DEFAULT_CLASSES[:3],
    raters=(rater(0, "ada"), rater(1, "bo"), rater(2, "net", "model")),
    revision=4,
    raters_read=True,
)


def test_resolve_is_pure_and_asks_for_one_job_at_a_time() -> None:
    settings = ReviewSettings(hidden=frozenset({"bo"}))
    unread = replace(READ, raters=(), raters_read=False)
    assert resolve(settings, unread).pending == ReadRaters(4)
    state = resolve(settings, READ)
    assert state == resolve(settings, READ)
    assert state.pending == REQUEST
    assert [(r.name, r.compared, r.shown) for r in state.raters] == [
        ("ada", True, True),
        ("bo", True, False),
        ("net", False, False),  # a model only where people are fewer than two
    ]
    answered = replace(READ, answered=REQUEST)
    assert resolve(settings, answered).pending is None
    assert "Stopped" in resolve(settings, answered).reason
    wanted = replace(answered, prefill=True, untouched=2)
    assert resolve(settings, wanted).pending == Prefill(REQUEST)
    assert resolve(settings, replace(answered, prefill_left=2)).pending == Prefill(REQUEST, 2)


def test_resolve_says_why_there_is_nothing() -> None:
    settings = ReviewSettings()
    blinded = resolve(settings, replace(READ, hindrance="You read blinded."))
    assert (blinded.pending, blinded.reason) == (None, "You read blinded.")
    alone = resolve(settings, replace(READ, raters=READ.raters[:1]))
    assert "Only Dr. ada" in alone.reason
    assert alone.pending is None
    nobody = resolve(settings, replace(READ, raters=()))
    assert "Nobody has reviewed" in nobody.reason
    none = resolve(replace(settings, classes=frozenset()), READ)
    assert "at least one class" in none.reason


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    return planted_cohort(tmp_path, clips=1)


def compared(cohort: Cohort) -> Comparison:
    clip = cohort.clip("clip-1")
    made = Comparison()
    made.open_clip("clip-1")
    made.set_views(read_raters(clip, None, lambda: False).views)
    made.set_disagreements(REQUEST, compare(clip, REQUEST, lambda *_: None, lambda: False))
    return made


def test_a_comparison_needs_no_session(cohort: Cohort) -> None:
    comparison = compared(cohort)
    assert [(r.name, r.frames) for r in comparison.raters()] == [("ada", 6), ("bo", 5)]
    assert [i.event.frames for i in comparison.items] == [(1, 2, 3), (4,)]
    assert [comparison.next_open(by) for by in (1, -1)] == [0, 1]
    comparison.current = 1
    assert comparison.next_open() == 0  # round and round
    worst = comparison.items[1].event.worst
    assert comparison.index_of(B_LINE, worst) == 1
    assert comparison.index_of(0, worst) is None
    comparison.current = 0
    # At 75 % there is one more, and what is in view stays in view.
    request = replace(REQUEST, threshold=75)
    clip = cohort.clip("clip-1")
    found = compare(clip, request, lambda *_: None, lambda: False)
    comparison.set_disagreements(request, found)
    assert comparison.current is not None
    assert comparison.items[comparison.current].event.frames == (1, 2, 3)
    assert len(comparison.items) == 3
    revision = comparison.revision
    comparison.open_clip("clip-1")
    assert (comparison.revision, comparison.raters_read) == (revision + 1, False)
    assert sorted(comparison.views) == ["ada", "bo"]  # of the same clip: nothing flickers
    comparison.leave_out("bo")
    assert sorted(comparison.views) == ["ada"]
    assert comparison.items
    comparison.open_clip("clip-2")
    assert (comparison.items, comparison.current, comparison.answered) == ((), None, None)


def test_of_whom_cannot_be_read_it_is_said_why(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "cohort.zarr/clip-1/raters/bo/status/zarr.json").write_text("{")
    found = read_raters(cohort.clip("clip-1"), None, lambda: False)
    assert list(found.views) == ["ada"]
    assert list(found.problems) == ["bo"]
    assert read_raters(cohort.clip("clip-1"), None, lambda: True).views == {}


@pytest.fixture
def session(cohort: Cohort) -> Iterator[Session]:
    made = Session()
    made.open_cohort(cohort.location)
    made.reader.choose("Dr. Lead")
    made.open_clip("clip-1", ADJUDICATED, adjudicator="Dr. Lead")
    yield made
    made.close_clip()


def test_an_adjudication_needs_no_review(session: Session, cohort: Cohort) -> None:
    comparison = compared(cohort)
    adjudication = Adjudication(session, comparison)
    assert adjudication.untouched().sum() == 15  # five frames of three classes
    edits = adjudication.prefill_job(BASIS)(lambda *_: None, lambda: False)
    adjudication.store_prefill(edits)
    while adjudication.parts:
        adjudication.store_prefill(adjudication.parts)
    assert not adjudication.untouched().any()
    expected = begun_planes()[:, B_LINE]
    assert np.array_equal(session.planes["b-line"], expected)
    event = comparison.items[0].event
    pending = PendingDecision("accept", "ada", event, event.regions, BASIS)
    assert adjudication.store(pending, adjudication.resolve_now(pending)) is not None
    for frame in (1, 2, 3):
        expected[frame][MISSED[frame]] = 80
    assert np.array_equal(session.planes["b-line"], expected)
    adjudication.decision = PendingDecision("reject", None, event, event.regions, BASIS)
    adjudication.store_before_leaving()
    assert adjudication.decision is None
    assert np.array_equal(session.planes["b-line"], begun_planes()[:, B_LINE])


def test_a_verdict_that_changes_nothing_is_not_stored(session: Session, cohort: Cohort) -> None:
    comparison = compared(cohort)
    adjudication = Adjudication(session, comparison)
    event = comparison.items[0].event

    def decide(verdict: str, source: str | None = None) -> bool:
        pending = PendingDecision(verdict, source, event, event.regions, BASIS)  # type: ignore[arg-type]
        return adjudication.store(pending, adjudication.resolve_now(pending)) is not None

    assert decide("reject")  # nothing was there, but now it is decided
    before = len(session.strokes)
    assert not decide("reject")
    assert "already decided" in session.message
    assert len(session.strokes) == before
    assert decide("accept", "bo")  # no pixel of it is another, but the verdict is
    assert not decide("accept", "bo")
    session.undo()
    comparison.set_decisions(session.strokes)
    decided = comparison.items[0].decided
    assert decided is not None
    assert decided.decision is not None
    assert decided.decision.verdict == "reject"


def test_the_queue_of_clips() -> None:
    queue = ClipQueue()
    every = ["clip-1", "clip-2", "clip-3"]
    assert queue.others("clip-2", every) == ["clip-3", "clip-1"]
    assert queue.others("clip-2", every, -1) == ["clip-1", "clip-3"]
    assert queue.others(None, every) == every
    queue.clips = (ClipDue("clip-3", 4, 4, 9.0), ClipDue("clip-1", 2, 1, 3.0))
    assert queue.others("clip-3", every) == ["clip-1"]
    queue.update("clip-1", [])
    assert queue.clips[1] == ClipDue("clip-1", 0, 0, 0)
    assert queue.others("clip-3", every) == []
