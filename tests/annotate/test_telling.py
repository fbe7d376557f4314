"""Words on a clip, time without idle time, and who may be seen: without any window."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_confseg.annotate.activity import IDLE, WORTH_KEEPING, ActivityTimer
from napari_confseg.annotate.blinding import BlindedError, Role, Standing
from napari_confseg.annotate.overlays import Overlay
from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.session import Session
from napari_confseg.store import ClipNotes, Cohort, validate
from tests.annotate.edits import paint, review_all, sit_down

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    made._clock = clock
    yield sit_down(cohort, session=made)
    made.close_clip()


def stored(session: Session, clip: str = "clip-1", rater: str = "dr-ada") -> ClipNotes:
    assert session.cohort is not None
    return Cohort.open(session.cohort.location).clip(clip).rater(rater).read_clip_notes()


# ---- words ------------------------------------------------------------------------------------


def test_words_are_kept_and_come_back(session: Session) -> None:
    told = []
    session.events.about.connect(told.append)
    assert session.describe(zone="R3", quality=4, pathology=("effusion",))
    assert session.describe(tags=("teaching",), note="apex")
    wanted = ClipNotes(
        zone="R3", quality=4, pathology=("effusion",), tags=("teaching",), note="apex"
    )
    assert told[-1] == session.about == wanted
    session.open_clip("clip-2")
    assert session.about == ClipNotes()
    session.open_clip("clip-1")
    assert session.about == wanted
    session.close_clip()
    assert session.about == ClipNotes()
    assert validate(session.cohort.location) == []


def test_words_that_break_a_rule_are_refused_with_a_reason(session: Session) -> None:
    session.describe(note="kept")
    assert not session.describe(note="x" * 4001)
    assert "note" in session.message
    assert session.about.note == "kept"


def test_who_may_only_look_may_not_describe(session: Session, cohort: Cohort) -> None:
    other = Session()
    other.open_cohort(cohort.location)
    other.open_clip("clip-1", "dr-ada")
    assert not other.describe(note="mine")
    assert "read-only" in other.message
    other.close_clip()


# ---- time -------------------------------------------------------------------------------------


def test_time_counts_for_the_frame_on_show_until_one_is_idle(clock: Clock) -> None:
    watch = ActivityTimer(5, {4: 2.0, 9: 1.0}, clock)
    clock.now += 10
    watch.turn_to(2)
    watch.stir()
    clock.now += IDLE + 100  # out for a coffee: only what follows the last sign counts
    watch.stir()
    clock.now += 5
    assert watch.seconds() == {0: 10.0, 2: IDLE + 5, 4: 2.0}
    clock.now += 1e6
    assert watch.seconds() == {0: 10.0, 2: 2 * IDLE, 4: 2.0}


def test_a_look_in_passing_is_not_worth_writing(clock: Clock) -> None:
    watch = ActivityTimer(3, clock=clock)
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
    watch = ActivityTimer(6, clock=clock)
    expected, frame, sign = np.zeros(6), 0, clock.now
    for pause, to, alive in steps:
        expected[frame] += max(min(pause, sign + IDLE - clock.now), 0)
        clock.now += pause
        frame = min(max(to, 0), 5)
        watch.turn_to(to)
        if alive:
            watch.stir()
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
    session.keep_time()
    assert session.flush()
    assert stored(session).seconds == session.about.seconds == {0: 4.0, 2: 40.0}
    session.open_clip("clip-2")
    assert stored(session).seconds == {0: 4.0, 2: 40.0}
    clock.now += 3
    session.open_clip("clip-1")
    clock.now += 6
    session.close_clip()
    assert stored(session).seconds == {0: 10.0, 2: 40.0}
    assert stored(session, "clip-2").seconds == {0: 3.0}


def test_a_clip_that_plays_alone_is_not_being_read(session: Session, clock: Clock) -> None:
    session.playing = True
    for second in range(100):
        session.frame = second % 6
        clock.now += 1
    session.playing = False
    session.close_clip()
    assert sum(stored(session).seconds.values()) == pytest.approx(IDLE)


def test_who_may_only_look_keeps_no_time(session: Session, cohort: Cohort, clock: Clock) -> None:
    other = Session()
    other._clock = clock
    other.open_cohort(cohort.location)
    other.open_clip("clip-1", "dr-ada")
    clock.now += 10
    other.keep_time()
    other.close_clip()
    assert stored(session) == ClipNotes()


# ---- who may be seen --------------------------------------------------------------------------


def test_blinding_is_a_table() -> None:
    kinds = ("human", "consensus", "truth", "model")

    def seen(**standing: object) -> str:
        return " ".join(k for k in kinds if Standing(**standing).sees(k))

    everybody = " ".join(kinds)
    assert seen() == everybody
    assert seen(rule="until-reviewed") == "model"
    assert seen(rule="until-reviewed", complete=True) == everybody
    assert seen(rule="always") == ""
    assert seen(rule="always", complete=True) == ""
    for rule in ("until-reviewed", "always"):
        assert seen(rule=rule, unblinded=True) == everybody
        assert seen(rule=rule, role=Role.REVIEWER) == everybody
        assert Standing(rule).why()
    assert Standing().why() == ""


@pytest.fixture
def blinded(session: Session, cohort: Cohort) -> Session:
    for kind, name in (("human", "bo"), ("model", "run-1"), ("consensus", "both")):
        for clip in ("clip-1", "clip-2"):
            rater = cohort.clip(clip).create_rater(name, kind=kind, label=name.title())
            rater.write_plane(0, 2, np.full(rater.shape[2:], 80, np.uint8))
    session.set_blinding("until-reviewed")
    return session


def test_a_blinded_reader_sees_the_others_once_their_own_clip_is_done(blinded: Session) -> None:
    session = blinded
    assert session.others() == [("run-1", "Run-1 (model)")]
    for name in ("bo", "both"):
        with pytest.raises(BlindedError, match="until you have reviewed"):
            session.show_rater(name)
    session.show_rater("run-1")
    assert stored(session).unblinded is None
    review_all(session)
    assert [n for n, _ in session.others()] == ["bo", "both", "run-1"]
    before = datetime.now(UTC)
    session.show_rater("bo")
    seen = session.about.unblinded
    assert (seen.by, seen.why) == ("Dr. Ada", "complete")
    assert before <= seen.at <= datetime.now(UTC)
    session.mark_reviewed(0, reviewed=False)  # what was seen stays seen
    session.show_rater("both")
    assert session.about.unblinded == seen
    assert session.flush()
    assert stored(session).unblinded == seen


def test_the_next_clip_hides_again_who_was_shown_on_this_one(blinded: Session) -> None:
    review_all(blinded)
    blinded.show_rater("bo")
    blinded.show_rater("run-1")
    blinded.open_clip("clip-2")
    assert [o.name for o in blinded.overlays] == ["run-1"]
    assert blinded.about.unblinded is None


def test_a_reviewer_sees_all_and_it_is_noted(blinded: Session) -> None:
    blinded.choose_role(Role.REVIEWER)
    blinded.show_rater("bo")
    assert blinded.about.unblinded.why == "reviewer"
    blinded.open_clip("clip-2")  # shown there too, so noted there too
    assert blinded.about.unblinded.why == "reviewer"
    blinded.choose_role(Role.READER)
    assert [o.name for o in blinded.overlays] == ["bo"]  # seen is seen


def test_the_role_is_remembered_for_each_reader(blinded: Session) -> None:
    blinded.choose_role(Role.REVIEWER)
    blinded.choose_reader("Bo")
    assert blinded.role is Role.READER
    blinded.choose_reader("Dr. Ada")
    assert blinded.role is Role.REVIEWER
    assert Preferences.load().roles == {"dr-ada": Role.REVIEWER}


def test_a_reviewer_lets_a_reader_see(blinded: Session) -> None:
    blinded.set_blinding("always")
    assert blinded.others() == []
    review_all(blinded)
    with pytest.raises(BlindedError, match="A reviewer can show them"):
        blinded.show_rater("run-1")
    assert not blinded.unblind("  ")
    assert "name" in blinded.message
    assert blinded.unblind("Prof. Cy")
    blinded.show_rater("bo")
    assert (blinded.about.unblinded.by, blinded.about.unblinded.why) == ("Prof. Cy", "allowed")


def test_a_rule_made_stricter_takes_out_of_sight_who_was_on_show(blinded: Session) -> None:
    told = []
    blinded.blinding_changed.connect(lambda: told.append(blinded.cohort.meta.blinding))
    blinded.set_blinding("none")
    blinded.show_rater("bo")
    blinded.show_rater("run-1")
    assert blinded.about.unblinded is None  # nobody was blinded
    blinded.set_blinding("until-reviewed")
    assert [o.name for o in blinded.overlays] == ["run-1"]
    assert told == ["none", "until-reviewed"]


def test_marks_that_no_rater_has_pass_the_same_gate(blinded: Session) -> None:
    plane = np.full(blinded.clip.shape, 80, np.uint8)
    preview = Overlay("preview", "mean, preview", "consensus", {"b-line": plane})
    with pytest.raises(BlindedError, match="until you have reviewed"):
        blinded.show_overlay(preview)
    assert blinded.overlays == ()
    assert "read blinded" in blinded.why_not_cohort()
    review_all(blinded)
    blinded.show_overlay(preview)
    blinded.show_overlay(preview)  # anew: in its place
    assert [o.name for o in blinded.overlays] == ["preview"]
    assert blinded.about.unblinded.why == "complete"
    assert "read blinded" in blinded.why_not_cohort()  # other clips are not done


def test_who_set_the_rule_and_when_is_in_the_cohort(blinded: Session) -> None:
    blinded.set_blinding("none")
    blinded.show_rater("bo")  # nobody is blinded, so nothing is noted with the reader ...
    assert blinded.about.unblinded is None
    blinded.set_blinding("until-reviewed")  # ... and the hour without the rule stands in the cohort
    changes = Cohort.open(blinded.cohort.location).meta.blinding_changes
    assert [(c.by, c.rule) for c in changes] == [
        ("Dr. Ada", "until-reviewed"),
        ("Dr. Ada", "none"),
        ("Dr. Ada", "until-reviewed"),
    ]
