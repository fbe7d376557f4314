"""The calibration exercise: which frames, how sure against how right, left and gone on with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.agreement.exercise import (
    choose_frames,
    curve,
    describe_curve,
    references,
    score,
)
from napari_confseg.annotate.calibration import CalibrationSession
from napari_confseg.annotate.session import Session
from napari_confseg.store import Status
from tests.annotate.edits import paint
from tests.conftest import add_clip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_confseg.store import Cohort

BOX = np.s_[10:30, 10:40]


@pytest.fixture
def known(cohort: Cohort) -> Cohort:
    """Three clips with a truth: B-lines on frames 0 to 3 of 6, all reviewed."""
    add_clip(cohort, "clip-3")
    for name in cohort.clips():
        truth = cohort.clip(name).create_rater("truth", kind="truth", label="The truth")
        plane = np.zeros(truth.shape[2:], np.uint8)
        plane[BOX] = 100
        for t in range(4):
            truth.write_plane(t, 2, plane)
        truth.write_status(np.full(truth.shape[:2], Status.REVIEWED, np.uint8))
    return cohort


@pytest.fixture
def session(known: Cohort) -> Iterator[Session]:
    made = Session()
    made.reader.choose("Ada")
    made.open_cohort(known.location)
    yield made
    made.close_cohort()


def test_frames_are_dealt_from_all_clips_and_new_to_the_reader(known: Cohort) -> None:
    chosen = choose_frames(known, "truth", "ada", 10, seed=1)
    assert chosen == choose_frames(known, "truth", "ada", 10, seed=1)
    assert chosen != choose_frames(known, "truth", "ada", 10, seed=2)
    assert len(set(chosen)) == 10
    assert {c for c, _ in chosen} == {"clip-1", "clip-2", "clip-3"}
    assert sum(t < 4 for _, t in chosen) == 8
    assert len(choose_frames(known, "truth", "ada", 99, seed=1)) == 18  # all there are
    assert choose_frames(known, "nobody", "ada", 10, seed=1) == []
    rater = known.clip("clip-1").create_rater("ada", kind="human")
    status = np.zeros(rater.shape[:2], np.uint8)
    status[:, 0] = Status.IN_PROGRESS
    rater.write_status(status)
    assert {c for c, _ in choose_frames(known, "truth", "ada", 99, seed=1)} == {"clip-2", "clip-3"}
    (found,) = references(known, "ada")
    assert (found.name, found.label, found.frames) == ("truth", "The truth", 12)


def test_only_what_both_reviewed_counts(known: Cohort) -> None:
    rater = known.clip("clip-1").create_rater("ada", kind="human")
    mine = np.zeros(rater.shape[2:], np.uint8)
    mine[10:30, 10:25], mine[10:30, 40:55], mine[0, 0] = 80, 80, 255
    rater.write_plane(0, 2, mine)
    rater.write_plane(1, 2, mine)
    status = np.zeros(rater.shape[:2], np.uint8)
    status[0] = Status.REVIEWED
    rater.write_status(status)
    sums = score(known, "truth", "ada", [("clip-1", 0), ("clip-1", 1), ("clip-2", 0)])
    asked, right = sums["b-line"]
    assert (asked[80], right[80]) == (600, 300)
    assert (asked[0], right[0]) == (48 * 64 - 600 - 1, 300)
    assert sums["a-line"][0].sum() == 48 * 64
    found = curve(sums["b-line"])
    assert (found.error, found.missed) == (pytest.approx(0.3), 0.5)
    assert describe_curve(found) == (
        "Of what you marked at 80 %, 50 % is there: overconfident. 50 % of what is there is not "
        "marked. All marks lie within one step of 10 %: use more of the scale to learn more."
    )


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        ({}, "You marked nothing, and nothing was there."),
        ({0: (1000, 200)}, "You marked nothing of it."),
        ({60: (50, 20)}, "too few for a curve"),
        ({60: (1000, 900), 30: (900, 280)}, "is there: underconfident."),
        ({60: (1000, 900), 90: (1000, 500)}, "overconfident. Of what you marked at 60 %"),
        ({60: (1000, 620), 30: (900, 280)}, "Your confidence is well calibrated."),
    ],
)
def test_describe_curve(marks: dict[int, tuple[int, int]], words: str) -> None:
    sums = np.zeros((2, 101), np.int64)
    for level, pair in marks.items():
        sums[:, level] = pair
    assert words in describe_curve(curve(sums))


def read(session: Session, frames: int, confidence: int = 80) -> None:
    """Mark half of what is there on frames asked, and review them."""
    calibration = CalibrationSession(session)
    for _ in range(frames):
        calibration.go(calibration.next_open())
        if session.frame < 4:
            paint(session, (10, 10, 30, 25), class_name="b-line", confidence=confidence)
        session.progress.mark_reviewed()
    calibration.close()


def test_an_exercise_from_begin_to_end_over_a_restart(session: Session, known: Cohort) -> None:
    session.open_clip("clip-1")
    session.others.show("truth")
    calibration = CalibrationSession(session)
    heard: list[None] = []
    calibration.changed.connect(lambda: heard.append(None))
    with pytest.raises(ValueError, match="no unfinished exercise"):
        calibration.finish()
    calibration.begin("truth", 5, seed=3)
    assert heard
    assert calibration.position() == 0
    assert session.overlays == ()  # the answer is hidden
    assert "exercise" in session.access.visibility().why()
    with pytest.raises(ValueError, match="exercise"):
        session.others.show("truth")
    with pytest.raises(ValueError, match="is unfinished"):
        calibration.begin("truth", 5)
    with pytest.raises(ValueError, match="at least one frame"):
        calibration.finish()
    calibration.close()
    assert session.access.visibility().why() == ""

    read(session, 2)
    session.flush()
    session.close_cohort()
    later = Session()  # another day
    later.reader.choose("Ada")
    later.open_cohort(known.location)
    calibration = CalibrationSession(later)
    assert calibration.current is not None
    assert sum(calibration.done()) == 2
    assert calibration.position() is None
    calibration.go(calibration.next_open())
    assert not calibration.done()[calibration.position()]
    later.progress.mark_reviewed()
    assert sum(calibration.done()) == 3
    result = calibration.finish()  # stopped early: what is done counts
    assert len(result.frames) == 3
    assert calibration.current is None
    assert not later.access.in_exercise
    assert result.sums("b-line")[0, 80] == result.sums()[0, 80] > 0
    assert curve(result.sums("b-line")).present[7] == 1.0
    assert [e.begun for e in CalibrationSession(later).finished] == [result.begun]
    second = calibration.begin("truth", 99)
    assert not set(second.frames) & set(result.frames)  # new ones
    calibration.discard()
    assert len(calibration.finished) == 1
    later.reader.choose("Bo")
    assert calibration.finished == []
    calibration.close()
    later.close_cohort()


def test_nothing_to_ask_is_said(session: Session, cohort: Cohort) -> None:
    calibration = CalibrationSession(session)
    with pytest.raises(ValueError, match="none is left"):
        calibration.begin("nobody", 5)
    session.adjudicator = "Prof. Dee"
    with pytest.raises(ValueError, match="You are adjudicating"):
        calibration.begin("truth", 5)
    session.close_cohort()
    assert calibration.references() == []
    with pytest.raises(ValueError, match="Open a study folder"):
        calibration.begin("truth", 5)
    calibration.close()


def test_a_spoilt_record_counts_as_none(session: Session) -> None:
    calibration = CalibrationSession(session)
    calibration.begin("truth", 3)
    file = calibration._file
    assert file is not None
    file.write_text('{"exercises": [{"begun": "yesterday"}]}')
    assert CalibrationSession(session).current is None
