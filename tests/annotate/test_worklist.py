"""The work list of a session: it follows what is done, and knows how alike readers are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.agreement.agreement import agree
from napari_confseg.agreement.overlap import soft_dice_by_class
from napari_confseg.annotate import alike
from napari_confseg.annotate.access import Role, Visibility
from napari_confseg.annotate.alike import Scores, may_compare
from napari_confseg.annotate.clip_facts import State, read_facts
from napari_confseg.annotate.worklist import Which
from tests.annotate.edits import paint, review_all
from tests.conftest import add_clip

if TYPE_CHECKING:
    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Clip, Cohort

BOX = (4, 5, 10, 15)


def test_the_list_follows_what_is_done(session: Session, cohort: Cohort) -> None:
    work = session.worklist
    work.set_clips(cohort.clips())
    work.put(read_facts(cohort, name, "dr-ada") for name in cohort.clips())
    assert [f.begun for f in work.facts.values()] == [False, False]
    paint(session, BOX)
    session.describe(zone="L2", tags=("film",))
    mine = work.facts["clip-1"]
    assert (mine.begun, mine.strokes, mine.zone, mine.tags) == (True, 1, "L2", ("film",))
    session.flush()
    assert read_facts(cohort, "clip-1", "dr-ada") == mine
    assert mine.day == session.strokes[-1].time.astimezone().date()
    assert work.counts()[Which.BEGUN] == 1
    work.change(which=Which.TO_DO)
    review_all(session)
    assert work.facts["clip-1"].done
    assert work.names("clip-1") == ("clip-1", "clip-2")  # it stays until it is left
    assert session.open_to_do().name == "clip-2"
    assert work.names("clip-2") == ("clip-2",)
    assert session.open_to_do() is None
    assert "finished" in session.message


def test_the_next_clip_is_one_call_away_and_skips_what_cannot_be_read(
    session: Session, cohort: Cohort
) -> None:
    add_clip(cohort, "clip-3")
    add_clip(cohort, "clip-4")
    (Path(cohort.location) / "clip-3/0/zarr.json").unlink()
    session.worklist.set_clips(cohort.clips())
    session.worklist.put(read_facts(cohort, name, "dr-ada") for name in cohort.clips())
    assert "zarr.json" in session.worklist.facts["clip-3"].trouble
    assert [session.open_next().name for _ in range(2)] == ["clip-2", "clip-4"]
    assert session.open_next() is None
    assert "last clip" in session.message
    assert session.open_next(-1).name == "clip-2"
    session.worklist.change(text="nothing like it")
    assert session.worklist.names() == ()


def test_words_of_an_importer_stand_until_the_reader_has_their_own(
    session: Session, cohort: Cohort
) -> None:
    cohort.clip("clip-2").update_meta(zone="R5", tags=("synthetic",))
    session.open_clip("clip-2")
    facts = session.worklist
    facts.set_clips(cohort.clips())
    facts.put([read_facts(cohort, "clip-2", "dr-ada")])
    assert (facts.facts["clip-2"].zone, facts.facts["clip-2"].begun) == ("R5", False)
    session.describe(zone="R6", tags=("film", "synthetic"))
    assert facts.facts["clip-2"].zone == "R6"
    assert facts.facts["clip-2"].tags == ("film", "synthetic")


def two_readers(cohort: Cohort, clip: str, *, apart: int) -> None:
    """Let two readers review a clip and mark the same square, `apart` pixels from each other."""
    for name, shift in (("bo", 0), ("cy", apart)):
        rater = cohort.clip(clip).create_rater(name, kind="human")
        plane = np.zeros(rater.shape[2:], np.uint8)
        plane[10:20, 10 + shift : 20 + shift] = 80
        rater.write_plane(1, 2, plane)
        status = np.zeros(rater.shape[:2], np.uint8)
        status[:2] = 2
        rater.write_status(status)


def test_how_alike_readers_are_is_compared_once(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_readers(cohort, "clip-1", apart=5)
    two_readers(cohort, "clip-2", apart=0)
    scores = Scores.load(cohort)
    assert scores.of(cohort, "clip-1") == pytest.approx(0.5)
    assert scores.of(cohort, "clip-2") == 1.0
    scores.save(cohort)
    again = Scores.load(cohort)
    compared = []

    def comparing_noted(clip: Clip, *rest: object, **more: object) -> dict[int, float] | None:
        compared.append(clip.name)
        return soft_dice_by_class(clip, *rest, **more)

    monkeypatch.setattr(alike, "soft_dice_by_class", comparing_noted)
    assert again.of(cohort, "clip-1") == pytest.approx(0.5)
    assert compared == []
    status = cohort.clip("clip-1").rater("cy").read_status()
    status[1] = 0  # no longer reviewed: nothing in common is marked
    cohort.clip("clip-1").rater("cy").write_status(status)
    assert again.of(cohort, "clip-1") is None
    assert compared == ["clip-1"]


def test_a_class_that_only_one_marks_is_the_largest_disagreement(cohort: Cohort) -> None:
    two_readers(cohort, "clip-1", apart=0)
    rater = cohort.clip("clip-1").rater("cy")
    rater.write_plane(0, 4, np.full(rater.shape[2:], 60, np.uint8))
    assert soft_dice_by_class(cohort.clip("clip-1"), ["bo", "cy"]) == {2: 1.0, 4: 0.0}
    assert Scores().of(cohort, "clip-1") == 0.0
    assert Scores().of(cohort, "clip-2") is None  # nobody
    assert soft_dice_by_class(cohort.clip("clip-1"), ["bo", "cy"], cancelled=lambda: True) is None


def test_the_score_agrees_with_the_agreement_report(cohort: Cohort) -> None:
    """Against `agree`, which compares the same planes for another purpose."""
    rng = np.random.default_rng(3)
    for name in ("bo", "cy"):
        rater = cohort.clip("clip-1").create_rater(name, kind="human")
        for frame in range(4):
            plane = rng.integers(0, 101, rater.shape[2:]).astype(np.uint8)
            plane[rng.random(plane.shape) < 0.1] = 255
            rater.write_plane(frame, 2, plane)
        rater.write_status(np.full(rater.shape[:2], 2, np.uint8))
    (clip,) = agree(cohort, raters=["bo", "cy"], clips=["clip-1"], classes=["b-line"]).clips
    assert soft_dice_by_class(cohort.clip("clip-1"), ["bo", "cy"])[2] == pytest.approx(
        clip.soft[0].soft_dice
    )


def test_who_is_blinded_may_not_know_how_alike_the_others_are(
    session: Session,
) -> None:
    session.access.set_rule("until-reviewed")
    cohort = session.cohort

    def may(role: Role = Role.READER) -> list[bool]:
        return [may_compare(cohort, name, "dr-ada", role) for name in cohort.clips()]

    assert may() == [False, False]
    assert may(Role.REVIEWER) == [True, True]
    review_all(session)
    session.flush()
    assert may() == [True, False]
    session.access.set_rule("none")
    assert may() == [True, True]


def test_who_else_read_a_clip_is_told_as_far_as_one_may_see(
    session: Session, cohort: Cohort
) -> None:
    two_readers(cohort, "clip-1", apart=0)
    cohort.clip("clip-1").create_rater("net", kind="model")

    def others(seen: Visibility | None) -> list[str]:
        return [o.title for o in read_facts(cohort, "clip-1", "dr-ada", seen).others]

    everybody = ["bo (reader)", "cy (reader)", "net (model)"]
    until, always = Visibility("until-reviewed"), Visibility("always")
    assert others(None) == []
    assert others(Visibility()) == everybody
    assert others(until) == ["net (model)"]  # as Others on this clip has it
    assert others(always) == []
    assert others(Visibility("always", Role.REVIEWER)) == everybody
    assert others(Visibility(in_exercise=True)) == []
    review_all(session)
    session.flush()
    assert read_facts(cohort, "clip-1", "dr-ada", until).state is State.DONE
    assert others(until) == everybody
    assert others(always) == []


def test_of_the_open_clip_nobody_is_shown_whom_the_session_hides(
    session: Session, cohort: Cohort
) -> None:
    two_readers(cohort, "clip-1", apart=0)
    work = session.worklist
    work.set_clips(cohort.clips())
    work.put([read_facts(cohort, "clip-1", "dr-ada", Visibility())])
    assert len(work.facts["clip-1"].others) == 2
    session.access.set_rule("always")
    paint(session, BOX)
    assert work.facts["clip-1"].others == ()
