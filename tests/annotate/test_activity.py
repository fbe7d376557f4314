"""Active reading time: idle time and looks in passing do not count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_confseg.annotate.activity import IDLE, WORTH_KEEPING, ActivityTimer
from napari_confseg.annotate.session import Session
from napari_confseg.store import ClipNotes
from tests.annotate.edits import paint, sit_down, stored_notes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_confseg.store import Cohort

BOX = (4, 5, 10, 15)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def session(cohort: Cohort, clock: Clock) -> Iterator[Session]:
    made = Session()
    made.activity.clock = clock
    yield sit_down(cohort, session=made)
    made.close_clip()


def timer(clock: Clock, n_frames: int, before: dict[int, float] | None = None) -> ActivityTimer:
    made = ActivityTimer(clock)
    made.begin(n_frames, before)
    return made


def test_without_a_clip_nothing_is_counted(clock: Clock) -> None:
    watch = ActivityTimer(clock)
    for _ in range(2):
        watch.turn_to(3)
        watch.note()
        clock.now += 20
        assert watch.seconds() == {}
        assert watch.due() is None
        watch.begin(5)
        clock.now += 20
        watch.end()


def test_time_counts_for_the_frame_on_show_until_one_is_idle(clock: Clock) -> None:
    watch = timer(clock, 5, {4: 2.0, 9: 1.0})
    clock.now += 10
    watch.turn_to(2)
    watch.note()
    clock.now += IDLE + 100  # out for a coffee: only what follows the last sign counts
    watch.note()
    clock.now += 5
    assert watch.seconds() == {0: 10.0, 2: IDLE + 5, 4: 2.0}
    clock.now += 1e6
    assert watch.seconds() == {0: 10.0, 2: 2 * IDLE, 4: 2.0}


def test_a_look_in_passing_is_not_worth_writing(clock: Clock) -> None:
    watch = timer(clock, 3)
    clock.now += WORTH_KEEPING / 2
    assert watch.due() is None
    clock.now += WORTH_KEEPING
    assert watch.due() == {0: 1.5 * WORTH_KEEPING}
    assert watch.due() is None


STEPS = st.lists(st.tuples(st.floats(0, 100), st.integers(-1, 6), st.booleans()), max_size=30)


@given(STEPS)
def test_no_time_is_counted_twice_nor_made_up(steps: list[tuple[float, int, bool]]) -> None:
    """Against a plain sum over the moments between signs."""
    clock = Clock()
    watch = timer(clock, 6)
    expected, frame, sign = np.zeros(6), 0, clock.now
    for pause, to, alive in steps:
        expected[frame] += max(min(pause, sign + IDLE - clock.now), 0)
        clock.now += pause
        frame = min(max(to, 0), 5)
        watch.turn_to(to)
        if alive:
            watch.note()
            sign = clock.now
    for f, seconds in watch.seconds().items():
        assert seconds == pytest.approx(expected[f], abs=0.06)
    assert sum(watch.seconds().values()) == pytest.approx(expected.sum(), abs=0.5)


def test_a_session_keeps_time_over_sittings(session: Session, clock: Clock) -> None:
    clock.now += 4
    session.frame = 2
    clock.now += 20
    paint(session, BOX)  # a sign of activity: the clock goes on
    clock.now += 20
    session.save_activity()
    assert session.flush()
    assert stored_notes(session).seconds == session.clip_notes.current.seconds == {0: 4.0, 2: 40.0}
    session.open_clip("clip-2")
    assert stored_notes(session).seconds == {0: 4.0, 2: 40.0}
    clock.now += 3
    session.open_clip("clip-1")
    clock.now += 6
    session.close_clip()
    assert stored_notes(session).seconds == {0: 4.0, 2: 46.0}  # back at the frame that was left
    assert stored_notes(session, "clip-2").seconds == {0: 3.0}


def test_a_clip_that_plays_alone_is_not_being_read(session: Session, clock: Clock) -> None:
    session.playing = True
    for second in range(100):
        session.frame = second % 6
        clock.now += 1
    session.playing = False
    session.close_clip()
    assert sum(stored_notes(session).seconds.values()) == pytest.approx(IDLE)


def test_who_may_only_look_keeps_no_time(session: Session, cohort: Cohort, clock: Clock) -> None:
    other = Session()
    other.activity.clock = clock
    other.open_cohort(cohort.location)
    other.open_clip("clip-1", "dr-ada")
    clock.now += 10
    other.save_activity()
    other.close_clip()
    assert stored_notes(session) == ClipNotes()
