"""Notes on a clip: kept, refused with a reason, empty where no clip is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.annotate.clip_notes import NotesEditor
from napari_confseg.annotate.session import Session
from napari_confseg.store import ClipNotes, RaterWriter, validate

if TYPE_CHECKING:
    from napari_confseg.store import Cohort


def test_an_editor_alone_keeps_notes_of_the_writer_it_is_given(cohort: Cohort) -> None:
    notes, changed, refused = NotesEditor(), [], []
    notes.changed.connect(changed.append)
    notes.refused.connect(refused.append)
    assert notes.current == ClipNotes()
    assert not notes.update(note="nowhere to keep it")
    with RaterWriter.open(cohort, "clip-1", "ada") as writer:
        notes.open(writer)
        assert notes.update(zone="L2")
        notes.keep_seconds({1: 2.5})
        assert not notes.update(zone="L9")
        assert notes.current == ClipNotes(zone="L2", seconds={1: 2.5})
        notes.close()
    assert notes.current == ClipNotes()
    assert changed == [ClipNotes(zone="L2"), ClipNotes(zone="L2", seconds={1: 2.5})]
    assert ["Open a clip" in refused[0], "zone" in refused[1]] == [True, True]
    stored = cohort.clip("clip-1").rater("ada").read_clip_notes()
    assert stored == ClipNotes(zone="L2", seconds={1: 2.5})


def test_words_are_kept_and_come_back(session: Session) -> None:
    changed = []
    session.clip_notes.changed.connect(changed.append)
    assert session.describe(zone="R3", quality=4, pathology=("effusion",))
    assert session.describe(tags=("teaching",), note="apex")
    wanted = ClipNotes(
        zone="R3", quality=4, pathology=("effusion",), tags=("teaching",), note="apex"
    )
    assert changed[-1] == session.clip_notes.current == wanted
    session.open_clip("clip-2")
    assert session.clip_notes.current == ClipNotes()
    session.open_clip("clip-1")
    assert session.clip_notes.current == wanted
    session.close_clip()
    assert session.clip_notes.current == ClipNotes()
    assert validate(session.cohort.location) == []


def test_words_that_break_a_rule_are_refused_with_a_reason(session: Session) -> None:
    session.describe(note="kept")
    assert not session.describe(note="x" * 4001)
    assert "note" in session.message
    assert session.clip_notes.current.note == "kept"


def test_who_may_only_look_may_not_describe(session: Session, cohort: Cohort) -> None:
    other = Session()
    other.open_cohort(cohort.location)
    other.open_clip("clip-1", "dr-ada")
    assert not other.describe(note="mine")
    assert "read-only" in other.message
    other.close_clip()
