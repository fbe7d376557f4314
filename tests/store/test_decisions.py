"""Adjudicated raters: a kind of their own, and decisions that survive journal, store and undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_confseg.store import (
    Cohort,
    DecidedRegion,
    Decision,
    Edit,
    RaterWriter,
    StoreError,
    validate,
)
from napari_confseg.store.edits import pack, unpack

if TYPE_CHECKING:
    from pathlib import Path

REGION = DecidedRegion(frame=1, anchor=(3, 4), box=(2, 3, 6, 7))
DECISION = Decision(
    verdict="accept",
    by="Dr. Lead",
    raters=("ada", "bo"),
    source="bo",
    threshold=60,
    narrowest=3,
    regions=(REGION,),
)
ACT = Edit((), 0, "adjudicate-accept", 2, 1, decision=DECISION)


def test_a_decision_is_kept_with_who_and_when_and_undone_as_one(
    cohort: Cohort, state_dir: Path
) -> None:
    with RaterWriter.open(cohort, "clip-1", "adjudicated", adjudicator="Dr. Lead") as writer:
        assert writer.commit(ACT).decision == DECISION
        writer.commit(ACT)
        writer.undo()
    rater = cohort.clip("clip-1").rater("adjudicated")
    assert (rater.meta.kind, rater.meta.adjudicator) == ("adjudicated", "Dr. Lead")
    assert [(s.decision, s.undone) for s in rater.read_strokes()] == [
        (DECISION, False),
        (DECISION, True),
    ]
    assert validate(cohort.location) == []
    with RaterWriter.open(cohort, "clip-1", "adjudicated", adjudicator="Dr. Else") as writer:
        redone = writer.redo()
    assert redone is not None
    assert redone.decision == DECISION


def test_the_journal_keeps_it(state_dir: Path) -> None:
    assert unpack(pack(ACT)) == ACT
    assert unpack(pack(ACT.inverted())).decision == DECISION


def test_readers_and_adjudicators_keep_apart(cohort: Cohort, state_dir: Path) -> None:
    RaterWriter.open(cohort, "clip-1", "ada").close()
    RaterWriter.open(cohort, "clip-1", "adjudicated", adjudicator="Dr. Lead").close()
    with pytest.raises(StoreError, match=r"'reader' .*'adjudicated' \[rater-kind"):
        RaterWriter.open(cohort, "clip-1", "ada", adjudicator="Dr. Lead")
    with pytest.raises(StoreError, match=r"'adjudicated' .*'reader' \[rater-kind"):
        RaterWriter.open(cohort, "clip-1", "adjudicated")
    with RaterWriter.open(cohort, "clip-1", "adjudicated", adjudicator="Dr. Lead") as writer:
        assert not writer.state.read_only  # the refused one holds nothing
