"""What a reader says of a clip: safe like a stroke, never at a stroke's cost."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_confseg.store import (
    PATHOLOGIES,
    ZONES,
    ClipNotes,
    Cohort,
    RaterWriter,
    StoreError,
    Unblinded,
    validate,
)
from napari_confseg.store.clip_notes import dump_notes, parse_changes, parse_notes
from napari_confseg.store.journal import Journal
from tests.store.painting import Painter

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = st.dictionaries(st.integers(0, 99), st.floats(0, 1e6), max_size=5)
ABOUTS = st.builds(
    ClipNotes,
    zone=st.none() | st.sampled_from(ZONES),
    quality=st.none() | st.integers(1, 5),
    pathology=st.lists(st.sampled_from(PATHOLOGIES), max_size=3).map(tuple),
    tags=st.lists(st.text(min_size=1, max_size=20), max_size=3).map(tuple),
    note=st.text(max_size=50),
    seconds=SECONDS,
    unblinded=st.none()
    | st.builds(
        Unblinded,
        at=st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC)),
        by=st.just("Ada"),
        why=st.sampled_from(["complete", "reviewer", "allowed"]),
    ),
)


@given(ABOUTS)
def test_words_come_back(notes: ClipNotes) -> None:
    assert parse_notes(dump_notes(notes), "notes") == notes
    assert parse_notes(b"{}", "notes") == ClipNotes()
    some = {"note", "seconds"}
    assert parse_changes(notes.excerpt(some)) == {"note": notes.note, "seconds": notes.seconds}


@given(SECONDS, SECONDS, SECONDS)
def test_time_is_never_taken_back(a: Any, b: Any, c: Any) -> None:
    """Whatever comes twice or in another order: each frame has the longest time said."""
    start = ClipNotes(seconds=a)
    one = start.changed({"seconds": b}).changed({"seconds": c}).changed({"seconds": b})
    other = start.changed({"seconds": c}).changed({"seconds": b})
    assert one == other
    assert one.seconds == {f: max(s.get(f, 0) for s in (a, b, c)) for f in {*a, *b, *c}}


def stored(cohort: Cohort, rater: str = "ann") -> ClipNotes:
    return Cohort.open(cohort.location).clip("clip-1").rater(rater).read_clip_notes()


def test_words_reach_the_store_beside_the_strokes(cohort: Cohort) -> None:
    with RaterWriter.open(cohort, "clip-1", "ann") as writer:
        assert writer.clip_notes == ClipNotes()
        painter = Painter(writer)
        writer.change_notes(zone="R3", note="rib shadow")
        writer.commit(painter.rectangle(0, 0, 2, 2, 8, 8, 60))
        writer.change_notes(quality=4, seconds={0: 2.0})
        writer.change_notes(seconds={1: 1.0, 0: 1.5})
        assert writer.flush(30)
        wanted = ClipNotes(zone="R3", note="rib shadow", quality=4, seconds={0: 2.0, 1: 1.0})
        assert writer.clip_notes == stored(cohort) == wanted
        painter.assert_stored(cohort, "clip-1", "ann")
        with pytest.raises(ValueError, match="quality"):
            writer.change_notes(quality=9)
        assert writer.clip_notes == wanted
    with RaterWriter.open(cohort, "clip-1", "ann") as again:
        assert again.clip_notes == wanted
    assert validate(cohort.location) == []


def test_who_has_nothing_to_say_leaves_no_file(cohort: Cohort) -> None:
    with RaterWriter.open(cohort, "clip-1", "ann") as writer:
        writer.commit(Painter(writer).rectangle(0, 0, 2, 2, 8, 8, 60))
    assert not list(Path(cohort.location).rglob("notes.json"))


def test_a_second_opener_may_not_tell(cohort: Cohort) -> None:
    with RaterWriter.open(cohort, "clip-1", "ann") as writer:
        writer.change_notes(note="mine")
        assert writer.flush(30)
        other = RaterWriter.open(cohort, "clip-1", "ann")
        assert other.clip_notes.note == "mine"
        with pytest.raises(StoreError):
            other.change_notes(note="theirs")
        other.close()
    assert stored(cohort).note == "mine"


def _away(location: str) -> Callable[[], None]:
    """Take the cohort away; return what brings it back."""
    place = Path(location)
    away = place.with_name("away")
    place.rename(away)
    place.write_text("not a folder")

    def back() -> None:
        place.unlink()
        away.rename(place)

    return back


def test_words_wait_in_the_journal_while_the_store_is_away(cohort: Cohort) -> None:
    writer = RaterWriter.open(cohort, "clip-1", "ann")
    writer.change_notes(note="before", quality=2)
    assert writer.flush(30)
    back = _away(cohort.location)
    writer.change_notes(note="while away", seconds={3: 7.0})
    assert not writer.flush(0.3)
    writer.abandon()  # the program is killed: nothing more is written
    back()
    assert stored(cohort).note == "before"
    with RaterWriter.open(cohort, "clip-1", "ann") as again:
        assert again.clip_notes == ClipNotes(note="while away", quality=2, seconds={3: 7.0})
        assert again.flush(30)
    assert stored(cohort) == ClipNotes(note="while away", quality=2, seconds={3: 7.0})


def test_what_waited_is_told_after_somebody_else_wrote(cohort: Cohort, tmp_path: Path) -> None:
    """Only the fields that were changed here are: the rest is as the other left it."""
    writer = RaterWriter.open(cohort, "clip-1", "ann")
    assert writer.flush(30)
    back = _away(cohort.location)
    writer.change_notes(note="mine", seconds={0: 5.0})
    writer.abandon()
    back()
    elsewhere = tmp_path / "elsewhere"
    with RaterWriter.open(cohort, "clip-1", "ann", journal_root=elsewhere) as other:
        other.change_notes(note="theirs", zone="L1", seconds={0: 2.0, 1: 9.0})
    with RaterWriter.open(cohort, "clip-1", "ann") as again:
        assert again.flush(30)
    assert stored(cohort) == ClipNotes(note="mine", zone="L1", seconds={0: 5.0, 1: 9.0})


def test_a_journal_that_refuses_words_costs_no_stroke(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RaterWriter.open(cohort, "clip-1", "ann") as writer:
        painter = Painter(writer)

        def refuse(self: Journal, *args: object, **facts: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(Journal, "note", refuse)
        writer.change_notes(note="kept in memory")
        assert writer.commit(painter.rectangle(0, 0, 2, 2, 8, 8, 60)).seq == 1
        assert writer.flush(30)
        assert (writer.state.unsaved, writer.state.problem) == (0, None)
    assert stored(cohort).note == "kept in memory"
    painter.assert_stored(cohort, "clip-1", "ann")


def test_damaged_words_are_made_again_from_the_record(cohort: Cohort) -> None:
    with RaterWriter.open(cohort, "clip-1", "ann") as writer:
        writer.change_notes(note="dear")
    file = Path(cohort.location) / "clip-1/raters/ann/notes.json"
    file.write_text(json.dumps({"note": "dear", "quality": 7}))
    assert [p.code for p in validate(cohort.location)] == ["notes"]
    assert stored(cohort) == ClipNotes(note="dear")
    with RaterWriter.open(cohort, "clip-1", "ann") as again:
        assert again.clip_notes == ClipNotes(note="dear")
        again.change_notes(quality=3)
    assert json.loads(file.read_text()) == {"note": "dear", "quality": 3}
    assert validate(cohort.location) == []


def test_the_cohort_s_rule_can_be_changed(cohort: Cohort) -> None:
    assert cohort.meta.blinding == "none"
    before = datetime.now(UTC)
    cohort.update_meta(blinding="until-reviewed", by="Prof. Dee")
    again = Cohort.open(cohort.location)
    assert (again.meta.blinding, again.meta.name) == ("until-reviewed", "toy")
    for rule, by in (("perhaps", "Prof. Dee"), ("none", "")):  # no such rule; nobody sets it
        with pytest.raises(StoreError, match="blinding"):
            again.update_meta(blinding=rule, by=by)  # type: ignore[arg-type]
    again.update_meta(blinding="until-reviewed", by="Dr. Ada")  # as it is: nothing was set
    again.update_meta(blinding="none", by="Dr. Ada")
    changes = Cohort.open(cohort.location).meta.blinding_changes
    assert [(c.by, c.rule) for c in changes] == [
        ("Prof. Dee", "until-reviewed"),
        ("Dr. Ada", "none"),
    ]
    assert before <= changes[0].at <= changes[1].at <= datetime.now(UTC)
