"""Suggestions without a window: what a model's answer becomes, and what the record says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.annotate.model_words import model_words
from napari_confseg.annotate.suggestion_work import SmallFrames
from napari_confseg.motion import small
from napari_confseg.store import Cohort, Sector
from napari_confseg.suggest.client import Answer
from napari_confseg.suggest.protocol import Suggested
from tests.annotate.edits import paint, sit_down

if TYPE_CHECKING:
    from napari_confseg.annotate.session import Session

SECTOR = Sector(kind="linear", polygon=((0, 10), (0, 50), (40, 50), (40, 10)))


def propose(session: Session, box: tuple[int, int, int, int], frame: int = 0) -> None:
    """Let a model answer that a box (y0, x0, y1, x1) is a B-line."""
    session.frame = frame
    suggestions = session.suggestions
    suggestions.set_on(True)
    work = suggestions.work()
    assert work is not None
    percent = np.zeros((len(work.frames), 1, *work.clip.shape[1:]), np.uint8)
    percent[:, 0, box[0] : box[2], box[1] : box[3]] = 80
    message = Suggested(name="tiny", version="a" * 32, classes=("b-line",))
    suggestions.land(work, Answer(message, {"percent": percent}, restarted=False))


def outcome(session: Session, frame: int = 0) -> str:
    return session.clip_notes.current.offers[frame].outcome


def test_nothing_is_proposed_outside_the_sector(cohort: Cohort) -> None:
    cohort.clip("clip-1").update_meta(sector=SECTOR)
    session = sit_down(cohort)
    propose(session, (20, 0, 48, 20))
    here = session.suggestions.here()["b-line"]
    inside = session.toolkit.marker.beams.inside
    assert np.array_equal(here > 0, inside & (np.indices(inside.shape)[0] >= 20) & (here > 0))
    assert here[30, 15] == 80
    assert here[30, 5] == here[45, 15] == 0
    stroke = session.suggestions.accept()
    assert stroke is not None
    assert session.message.startswith("Accepted from tiny: B-line on frame 1, ")  # and no hash
    assert stroke.accepted is not None
    assert stroke.accepted.version == "a" * 32
    assert stroke.accepted.part == "whole"  # of what was shown
    assert session.planes["b-line"][0].sum() == here.sum()
    session.close_clip()


def test_a_doubtful_sector_cuts_nothing_off(cohort: Cohort) -> None:
    doubtful = SECTOR.model_copy(update={"confirmed": False, "trust": 0.2})
    cohort.clip("clip-1").update_meta(sector=doubtful)
    session = sit_down(cohort)
    propose(session, (20, 0, 48, 20))
    assert (session.suggestions.here()["b-line"][20:48, :20] == 80).all()
    session.close_clip()


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("starter", "", "the starter model"),
        ("starter-1", "c24c", "the starter model, version 1"),
        (
            "starter-12",
            "c24c+6",
            "the starter model, version 12, taught by 6 strokes",
        ),
        ("ward", "c24c+1", "ward, taught by 1 stroke"),
        ("starter-b", "c24c", "starter-b"),
    ],
)
def test_a_model_is_called_by_words(name: str, version: str, words: str) -> None:
    assert model_words(name, version) == words


def test_another_sector_is_proposed_in_anew(session: Session) -> None:
    propose(session, (20, 0, 48, 20))
    assert session.suggestions.here()["b-line"][30, 5] == 80
    asked: list[object] = []
    session.suggestions.wanted.connect(lambda: asked.append(1))
    session.sector_changed.emit()
    assert asked


def test_accepted_whole_and_then_painted_over_is_changed(session: Session, cohort: Cohort) -> None:
    propose(session, (20, 10, 40, 30))
    assert outcome(session) == "shown"
    session.suggestions.accept()
    assert outcome(session) == "accepted"
    paint(session, (0, 0, 4, 4), class_name="pleura")  # of another class
    paint(session, (20, 10, 22, 12), frame=1)  # on another frame
    assert outcome(session) == "accepted"
    paint(session, (20, 10, 22, 12), confidence=0)
    assert outcome(session) == "changed"
    session.undo()
    assert outcome(session) == "accepted"
    for _ in range(3):
        session.undo()
    assert outcome(session) == "shown"
    for _ in range(4):
        session.redo()
    assert outcome(session) == "changed"
    session.undo()
    assert session.flush()
    session.close_clip()

    again = sit_down(cohort)  # in a later sitting, with the suggestions off
    assert not again.suggestions.on
    assert outcome(again) == "accepted"
    paint(again, (30, 20, 44, 24), confidence=100)
    assert outcome(again) == "changed"
    assert again.flush()
    again.close_clip()
    stored = cohort.clip("clip-1").rater(again.rater).read_clip_notes()
    assert stored.offers[0].outcome == "changed"
    assert (stored.offers[0].model, stored.offers[0].version) == ("tiny", "a" * 32)


def test_what_is_taken_in_part_is_changed_and_a_dismissal_stays(session: Session) -> None:
    propose(session, (20, 10, 40, 30))
    paint(session, (20, 10, 22, 12))
    assert outcome(session) == "shown"  # nothing was taken yet
    session.suggestions.accept()
    assert outcome(session) == "changed"
    propose(session, (20, 10, 40, 30), frame=1)
    session.suggestions.accept_region((25, 15))
    assert outcome(session, 1) == "changed"
    propose(session, (20, 10, 40, 30), frame=2)
    session.suggestions.dismiss()
    paint(session, (20, 10, 22, 12))
    assert outcome(session, 2) == "dismissed"
    session.suggestions.toggle()  # once more
    session.suggestions.accept()
    assert outcome(session, 2) == "changed"


def test_what_the_model_goes_on_with_is_asked_again_and_drawn_when_it_is_news(
    session: Session,
) -> None:
    suggestions = session.suggestions
    drawn: list[int] = []
    suggestions.redrawn.connect(lambda: drawn.append(1))

    def land(value: int, *, partial: bool) -> tuple[int, ...] | None:
        """Answer the question about the frame on show; return what is asked next."""
        work = suggestions.work()
        assert work is not None
        percent = np.full((len(work.frames), 1, *work.clip.shape[1:]), value, np.uint8)
        message = Suggested(name="tiny", version="a+1", classes=("b-line",), partial=partial)
        suggestions.land(work, Answer(message, {"percent": percent}, restarted=False))
        following = suggestions.work()
        return None if following is None else following.frames

    session.frame = 1
    suggestions.set_on(True)
    assert land(70, partial=True) == (1,)
    n = len(drawn)
    assert land(70, partial=True) == (1,)
    assert len(drawn) == n
    beside = land(80, partial=False)
    assert len(drawn) == n + 1
    assert beside is not None
    assert 1 not in beside
    assert (suggestions.here()["b-line"][session.toolkit.marker.beams.inside] == 80).all()


def test_another_model_is_named_where_it_proposed_and_asked_about_the_rest(
    session: Session,
) -> None:
    suggestions = session.suggestions
    suggestions.set_on(True)

    def land(name: str, version: str) -> None:
        work = suggestions.work()
        assert work is not None
        percent = np.full((len(work.frames), 1, *work.clip.shape[1:]), 80, np.uint8)
        message = Suggested(name=name, version=version, classes=("b-line",))
        suggestions.land(work, Answer(message, {"percent": percent}, restarted=False))

    land("first", "a" * 32)
    assert suggestions.title == "first"
    session.frame = 2  # and by now another model is the active one
    assert suggestions.title == ""
    land("second", "b" * 32)
    assert suggestions.title == "second"
    session.frame = 0
    assert suggestions.title == "first"  # until the answer is here
    stroke = suggestions.accept_region((25, 15))
    assert stroke is not None
    assert stroke.accepted is not None
    assert stroke.accepted.source == "first"
    assert session.message.startswith("Accepted from first: ")
    land("second", "b" * 32)
    assert suggestions.title == "second"
    land("second", "b" * 32)  # on the frame beside it
    assert suggestions.work() is None  # and that was all


def test_frames_on_the_way_are_made_small_and_remembered(session: Session) -> None:
    assert session.clip is not None
    smalls = SmallFrames(session.clip)
    wanted = [2, 1, 0]
    found = smalls.take(wanted)
    assert list(found) == wanted
    expected, factor = small(np.asarray(session.clip.frames[1]))
    assert np.array_equal(found[1], expected)
    assert smalls.factor == factor
    assert smalls.take([1])[1] is found[1]
