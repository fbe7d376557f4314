"""Blinding: who may be seen on the open clip, and what is noted of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.annotate.access import Access, BlindedError, Role, Visibility
from napari_confseg.annotate.clip_editor import ClipEditor
from napari_confseg.annotate.clip_notes import NotesEditor
from napari_confseg.annotate.overlays import Overlay
from napari_confseg.annotate.preferences import Preferences
from napari_confseg.store import Cohort, RaterWriter
from tests.annotate.edits import review_all, stored_notes

if TYPE_CHECKING:
    from napari_confseg.annotate.session import Session


def test_access_alone_follows_rule_review_and_role(cohort: Cohort) -> None:
    editor, notes = ClipEditor(), NotesEditor()
    access = Access(editor, notes, lambda: "Dr. Ada")
    changes = []
    access.changed.connect(lambda: changes.append(access.rule))
    assert not access.visibility().blinded
    with pytest.raises(ValueError, match="open a cohort"):
        access.set_rule("always")
    access.cohort = cohort
    access.set_rule("until-reviewed")
    with RaterWriter.open(cohort, "clip-1", "ada") as writer:
        editor.open(writer, cohort.meta.classes)
        notes.open(writer)
        with pytest.raises(BlindedError):
            access.admit("human")
        for frame in range(len(editor.status)):
            editor.mark_reviewed(frame)
        access.admit("human")
        assert (notes.current.unblinded.by, notes.current.unblinded.why) == ("Dr. Ada", "complete")
        access.begin_exercise()
        assert not access.visibility().sees("human")
        access.begin_exercise(False)
        editor.close()
    assert access.cohort_visibility().blinded
    access.set_role(Role.REVIEWER)
    assert not access.cohort_visibility().blinded
    assert changes == 4 * ["until-reviewed"]


def test_blinding_is_a_table() -> None:
    kinds = ("human", "consensus", "truth", "model")

    def seen(**fields: object) -> str:
        return " ".join(k for k in kinds if Visibility(**fields).sees(k))

    everybody = " ".join(kinds)
    assert seen() == everybody
    assert seen(rule="until-reviewed") == "model"
    assert seen(rule="until-reviewed", complete=True) == everybody
    assert seen(rule="always") == ""
    assert seen(rule="always", complete=True) == ""
    for rule in ("until-reviewed", "always"):
        assert seen(rule=rule, unblinded=True) == everybody
        assert seen(rule=rule, role=Role.REVIEWER) == everybody
        assert Visibility(rule).why()
    assert Visibility().why() == ""


@pytest.fixture
def blinded(session: Session, cohort: Cohort) -> Session:
    for kind, name in (("human", "bo"), ("model", "run-1"), ("consensus", "both")):
        for clip in ("clip-1", "clip-2"):
            rater = cohort.clip(clip).create_rater(name, kind=kind, label=name.title())
            rater.write_plane(0, 2, np.full(rater.shape[2:], 80, np.uint8))
    session.access.set_rule("until-reviewed")
    return session


def test_a_blinded_reader_sees_the_others_once_their_own_clip_is_done(blinded: Session) -> None:
    session = blinded
    assert session.access.others(session.clip, "dr-ada") == [("run-1", "Run-1 (model)")]
    for name in ("bo", "both"):
        with pytest.raises(BlindedError, match="until you have reviewed"):
            session.others.show(name)
    session.others.show("run-1")
    assert stored_notes(session).unblinded is None
    review_all(session)
    assert [n for n, _ in session.access.others(session.clip, "dr-ada")] == [
        "bo",
        "both",
        "run-1",
    ]
    before = datetime.now(UTC)
    session.others.show("bo")
    seen = session.clip_notes.current.unblinded
    assert (seen.by, seen.why) == ("Dr. Ada", "complete")
    assert before <= seen.at <= datetime.now(UTC)
    session.progress.mark_reviewed(0, reviewed=False)  # what was seen stays seen
    session.others.show("both")
    assert session.clip_notes.current.unblinded == seen
    assert session.flush()
    assert stored_notes(session).unblinded == seen


def test_the_next_clip_hides_again_who_was_shown_on_this_one(blinded: Session) -> None:
    review_all(blinded)
    blinded.others.show("bo")
    blinded.others.show("run-1")
    blinded.open_clip("clip-2")
    assert [o.name for o in blinded.overlays] == ["run-1"]
    assert blinded.clip_notes.current.unblinded is None


def test_a_reviewer_sees_all_and_it_is_noted(blinded: Session) -> None:
    blinded.reader.choose_role(Role.REVIEWER)
    blinded.others.show("bo")
    assert blinded.clip_notes.current.unblinded.why == "reviewer"
    blinded.open_clip("clip-2")  # shown there too, so noted there too
    assert blinded.clip_notes.current.unblinded.why == "reviewer"
    blinded.reader.choose_role(Role.READER)
    assert [o.name for o in blinded.overlays] == ["bo"]  # seen is seen


def test_the_role_is_remembered_for_each_reader(blinded: Session) -> None:
    blinded.reader.choose_role(Role.REVIEWER)
    blinded.reader.choose("Bo")
    assert blinded.access.role is Role.READER
    blinded.reader.choose("Dr. Ada")
    assert blinded.access.role is Role.REVIEWER
    assert Preferences.load().roles == {"dr-ada": Role.REVIEWER}


def test_a_reviewer_lets_a_reader_see(blinded: Session) -> None:
    blinded.access.set_rule("always")
    assert blinded.access.others(blinded.clip, blinded.rater) == []
    review_all(blinded)
    with pytest.raises(BlindedError, match="A reviewer can show them"):
        blinded.others.show("run-1")
    assert not blinded.access.unblind("  ")
    assert "name" in blinded.message
    assert blinded.access.unblind("Prof. Cy")
    blinded.others.show("bo")
    assert (blinded.clip_notes.current.unblinded.by, blinded.clip_notes.current.unblinded.why) == (
        "Prof. Cy",
        "allowed",
    )


def test_a_rule_made_stricter_takes_out_of_sight_who_was_on_show(blinded: Session) -> None:
    rules = []
    blinded.access.changed.connect(lambda: rules.append(blinded.cohort.meta.blinding))
    blinded.access.set_rule("none")
    blinded.others.show("bo")
    blinded.others.show("run-1")
    assert blinded.clip_notes.current.unblinded is None  # nobody was blinded
    blinded.access.set_rule("until-reviewed")
    assert [o.name for o in blinded.overlays] == ["run-1"]
    assert rules == ["none", "until-reviewed"]


def test_marks_that_no_rater_has_pass_the_same_gate(blinded: Session) -> None:
    plane = np.full(blinded.clip.shape, 80, np.uint8)
    preview = Overlay("preview", "mean, preview", "consensus", {"b-line": plane})
    with pytest.raises(BlindedError, match="until you have reviewed"):
        blinded.others.show_overlay(preview)
    assert blinded.overlays == ()
    assert "read blinded" in blinded.access.cohort_visibility().why()
    review_all(blinded)
    blinded.others.show_overlay(preview)
    blinded.others.show_overlay(preview)  # anew: in its place
    assert [o.name for o in blinded.overlays] == ["preview"]
    assert blinded.clip_notes.current.unblinded.why == "complete"
    assert "read blinded" in blinded.access.cohort_visibility().why()  # other clips are not done


def test_who_set_the_rule_and_when_is_in_the_cohort(blinded: Session) -> None:
    blinded.access.set_rule("none")
    blinded.others.show("bo")  # nobody is blinded, so nothing is noted with the reader ...
    assert blinded.clip_notes.current.unblinded is None
    blinded.access.set_rule(
        "until-reviewed"
    )  # ... and the hour without the rule stands in the cohort
    changes = Cohort.open(blinded.cohort.location).meta.blinding_changes
    assert [(c.by, c.rule) for c in changes] == [
        ("Dr. Ada", "until-reviewed"),
        ("Dr. Ada", "none"),
        ("Dr. Ada", "until-reviewed"),
    ]
