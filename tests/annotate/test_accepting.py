"""Acceptance of another rater's marks: what is taken, what stays, what the record says."""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.annotate.accepting import ByHand, Which
from napari_confseg.annotate.tools.merging import Merge, merged
from napari_confseg.store import DEFAULT_CLASSES, Cohort, Status, validate
from tests.annotate.edits import as_stored, paint, sit_down
from tests.conftest import add_clip

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.annotate.session import Session

B_LINE, PLEURA = 2, 0
BOX, LOW = np.s_[10:20, 10:30], np.s_[30:34, 10:30]


@pytest.fixture
def model(session: Session, cohort: Cohort) -> str:
    """A run that marks B-lines at 80 % (and a little at 30 %) and pleura at 60 % on every frame."""
    rater = cohort.clip("clip-1").create_rater(
        "run-1", kind="model", label="Run 1", run="/somewhere/runs/threshold60-1123-1402"
    )
    for frame in range(6):
        plane = np.zeros(rater.shape[2:], np.uint8)
        plane[BOX], plane[LOW] = 80, 30
        plane[12, 12] = 255
        rater.write_plane(frame, B_LINE, plane)
        rater.write_plane(frame, PLEURA, np.where(plane == 80, 60, 0).astype(np.uint8))
    return "run-1"


def expected(session: Session) -> np.ndarray:
    plane = np.zeros(session.planes["b-line"].shape[1:], np.uint8)
    plane[BOX] = 80
    plane[12, 12] = 0
    return plane


@pytest.mark.usefixtures("model")
def test_all_classes_of_a_range_are_one_edit_that_says_from_whom(session: Session) -> None:
    acceptor = session.acceptor
    acceptor.configure(which=Which.RANGE, first=1, last=4)
    work = acceptor.work()
    assert work is not None
    stroke = acceptor.land(work, acceptor.run(work))
    assert stroke is not None
    for frame in range(6):
        taken = expected(session) if 1 <= frame <= 4 else np.zeros_like(expected(session))
        assert np.array_equal(session.planes["b-line"][frame], taken)
        assert np.array_equal(session.planes["pleura"][frame], np.minimum(taken, 60))
    # Nothing is reviewed by it, and one undo takes all of it back.
    assert set(np.unique(session.status[1:5, [PLEURA, B_LINE]])) == {Status.IN_PROGRESS}
    assert (session.status == Status.REVIEWED).sum() == 0
    assert stroke.tool == "accept"
    assert len(stroke.planes) == 8
    assert stroke.accepted is not None
    assert stroke.accepted.model_dump() == {
        "source": "run-1",
        "version": "threshold60-1123-1402",
        "threshold": 50,
        "own_confidence": True,
        "part": "whole",
    }
    assert session.flush()
    assert session.cohort is not None
    stored = session.cohort.clip("clip-1").rater("dr-ada").read_strokes()
    assert stored[-1].accepted == stroke.accepted
    assert np.array_equal(as_stored(session)["b-line"], session.planes["b-line"])
    assert validate(session.cohort.location) == []
    session.undo()
    assert not any(plane.any() for plane in session.planes.values())
    assert not session.status.any()


@pytest.mark.usefixtures("model")
def test_what_was_painted_by_hand_or_reviewed_stays(session: Session) -> None:
    paint(session, (10, 10, 12, 12), confidence=20, frame=1)
    session.progress.mark_reviewed(2, "b-line")
    session.acceptor.configure(which=Which.ALL, every_class=False)
    before = session.planes["b-line"][:]
    work = session.acceptor.work()
    assert work is not None
    session.acceptor.land(work, session.acceptor.run(work))
    for frame in range(6):
        wanted = before[frame] if frame in (1, 2) else expected(session)
        assert np.array_equal(session.planes["b-line"][frame], wanted)
    assert not session.planes["pleura"].any()
    assert "painted by hand: frame 2." in session.message
    assert "reviewed: frame 3." in session.message
    session.undo()

    session.frame = 1
    session.acceptor.configure(which=Which.THIS, by_hand=ByHand.ADD)
    session.acceptor.accept_here()
    added = expected(session)
    added[10:12, 10:12] = 20
    assert np.array_equal(session.planes["b-line"][1], added)
    session.undo()
    session.acceptor.configure(by_hand=ByHand.OVERWRITE)
    session.acceptor.accept_here()
    assert np.array_equal(session.planes["b-line"][1], expected(session))
    session.undo()
    # Reviewed, and on show: who asks for it there means it.
    session.frame = 2
    session.acceptor.configure(by_hand=ByHand.KEEP)
    assert session.acceptor.accept_here() is not None
    assert session.status[2, B_LINE] == Status.REVIEWED


@pytest.mark.usefixtures("model")
def test_threshold_confidence_locks_and_hidden_classes_hold(session: Session) -> None:
    acceptor = session.acceptor
    session.model_threshold = 81
    assert acceptor.accept_here() is None
    assert (
        session.message == "Nothing was accepted. Run 1 (model) marks nothing there from 81 % on."
    )
    session.model_threshold = 30
    session.hidden = frozenset({"pleura"})
    acceptor.configure(confidence=44)
    stroke = acceptor.accept_here()
    assert stroke is not None
    assert stroke.confidence == 44
    assert stroke.accepted is not None
    assert not stroke.accepted.own_confidence
    assert set(np.unique(session.planes["b-line"][0])) == {0, 44}
    assert (session.planes["b-line"][0][LOW] == 44).all()
    assert not session.planes["pleura"].any()
    session.undo()
    session.hidden, session.locked = frozenset(), frozenset({"b-line"})
    acceptor.accept_here()
    assert not session.planes["b-line"].any()
    assert session.planes["pleura"][0].any()
    # What is accepted is not painted by hand: it may be accepted anew, at another confidence.
    session.locked = frozenset()
    acceptor.configure(confidence=90)
    acceptor.accept_here()
    assert set(np.unique(session.planes["pleura"][0])) == {0, 90}


@pytest.mark.usefixtures("model")
def test_stopped_or_left_nothing_is_taken(session: Session) -> None:
    session.acceptor.configure(which=Which.ALL)
    work = session.acceptor.work()
    assert work is not None
    seen: list[int] = []
    stop = session.acceptor.run(work, lambda done, _n: seen.append(done), lambda: len(seen) > 2)
    assert stop is None
    assert session.acceptor.land(work, None) is None
    taken = session.acceptor.run(work)
    session.open_clip("clip-2")
    assert session.acceptor.land(work, taken) is None
    assert "closed meanwhile" in session.message
    assert not session.strokes


@pytest.mark.usefixtures("model")
def test_what_was_painted_meanwhile_stays(session: Session) -> None:
    session.acceptor.configure(which=Which.ALL)
    work = session.acceptor.work()
    assert work is not None
    taken = session.acceptor.run(work)
    paint(session, (10, 10, 12, 12), confidence=20, frame=1)
    mine = session.planes["b-line"][1].copy()
    assert session.acceptor.land(work, taken) is not None
    assert np.array_equal(session.planes["b-line"][1], mine)
    assert np.array_equal(session.planes["b-line"][2], expected(session))
    session.undo()
    assert np.array_equal(session.planes["b-line"][1], mine)
    assert not session.planes["b-line"][2].any()


@pytest.mark.usefixtures("model")
def test_what_was_undone_or_reviewed_meanwhile_is_taken_as_it_is_then(session: Session) -> None:
    paint(session, (10, 10, 12, 12), confidence=20, frame=1)
    session.acceptor.configure(which=Which.ALL)
    work = session.acceptor.work()
    assert work is not None
    taken = session.acceptor.run(work)
    session.undo()
    session.progress.mark_reviewed(4, "pleura")
    session.locked = frozenset({"b-line"})
    session.frame = 0
    assert session.acceptor.land(work, taken) is not None
    assert session.marked[:, PLEURA].tolist() == [True, True, True, True, False, True]
    assert not session.marked[:, B_LINE].any()  # locked meanwhile
    assert "reviewed: frame 5." in session.message


@pytest.mark.parametrize("rule", list(Merge))
def test_hundreds_of_planes_are_as_if_each_was_painted(
    tmp_path: Path, state_dir: Path, rule: Merge
) -> None:
    """Planes, what is marked, undo, journal and store, without anybody having looked at a frame."""
    n, rng = 50, np.random.default_rng(list(Merge).index(rule))
    cohort = Cohort.create(tmp_path / "long.zarr", name="long", classes=DEFAULT_CLASSES[:4])
    add_clip(cohort, "clip-1", n_frames=n, shape=(24, 32))
    values = np.array([0, 40, 60, 90, 255], np.uint8)
    theirs = np.kron(rng.choice(values, (n, 4, 6, 8)), np.ones((1, 1, 4, 4), np.uint8))
    mine = np.kron(rng.choice(values, (n, 4, 3, 4)), np.ones((1, 1, 8, 8), np.uint8))
    mine[rng.random((n, 4)) < 0.7] = 0
    model = cohort.clip("clip-1").create_rater("run-1", kind="model", label="Run 1", run="run-1")
    model.write_each((t, c, theirs[t, c]) for t in range(n) for c in range(4))
    ada = cohort.clip("clip-1").create_rater("dr-ada", kind="human", label="Dr. Ada")
    ada.write_each((t, c, mine[t, c]) for t in range(n) for c in range(4))
    ada.write_status(np.asarray(mine.any(axis=(2, 3)), np.uint8))
    wanted = np.where(theirs < 50, 0, np.where(theirs == 255, 0, theirs)).astype(np.uint8)
    wanted = merged(mine, wanted, rule)

    session = sit_down(cohort)
    session.merge = rule
    session.acceptor.configure(which=Which.ALL, by_hand=ByHand.OVERWRITE)
    work = session.acceptor.work()
    assert work is not None
    assert session.acceptor.land(work, session.acceptor.run(work)) is not None
    in_memory = {"mine": mine, "wanted": wanted}
    for turn, now in ((None, "wanted"), (session.undo, "mine"), (session.redo, "wanted")):
        if turn is not None:
            assert turn() is not None
        marked = in_memory[now].any(axis=(2, 3))
        assert np.array_equal(session.marked, marked)
    session.editor.abandon()  # the program ends here: the journal has it

    again = sit_down(cohort)
    while not again.writable and not again.handover.take_over():
        sleep(0.05)  # its thread is not stopped in the midst of a batch
    for c, spec in enumerate(again.classes):
        assert np.array_equal(again.planes[spec.name], wanted[:, c])
    assert again.undo() is not None
    for c, spec in enumerate(again.classes):
        assert np.array_equal(again.planes[spec.name], mine[:, c])
    assert again.flush()
    stored = as_stored(again)
    for c, spec in enumerate(again.classes):
        assert np.array_equal(stored[spec.name], mine[:, c])
    again.close_clip()
    assert validate(cohort.location) == []


def test_marks_that_no_stroke_made_are_somebody_s_own(session: Session, cohort: Cohort) -> None:
    rater = cohort.clip("clip-1").create_rater("cy", kind="human", label="Dr. Cy")
    plane = np.zeros(rater.shape[2:], np.uint8)
    plane[0:4, 0:4] = 70  # imported: no stroke says how
    rater.write_plane(0, B_LINE, plane)
    status = np.zeros(rater.shape[:2], np.uint8)
    status[0, B_LINE] = Status.IN_PROGRESS
    rater.write_status(status)
    session.open_clip("clip-1", "cy")
    theirs = np.full(plane.shape, 60, np.uint8)
    accept = session.acceptor.accept
    assert accept(lambda _t, _c: theirs, [B_LINE], [0], 50, "run-9") is None
    assert np.array_equal(session.planes["b-line"][0], plane)


def test_blinding_holds(session: Session, cohort: Cohort) -> None:
    for name, kind in (("bo", "human"), ("run-1", "model")):
        rater = cohort.clip("clip-1").create_rater(name, kind=kind, label=name)  # type: ignore[arg-type]
        rater.write_plane(0, B_LINE, np.full(rater.shape[2:], 70, np.uint8))
    session.acceptor.configure(source="bo")
    session.access.set_rule("until-reviewed")
    assert [name for name, _ in session.acceptor.sources()] == ["run-1"]
    stroke = session.acceptor.accept_here()  # bo is not to be seen: the model is taken
    assert stroke is not None
    assert stroke.accepted is not None
    assert stroke.accepted.source == "run-1"
    session.undo()
    session.access.set_rule("always")
    assert session.acceptor.accept_here() is None
    assert "read blinded" in session.message
    assert not session.planes["b-line"].any()


def test_a_run_is_named_wherever_it_lies() -> None:
    from napari_confseg.annotate.accepting import version_of

    assert version_of("C:\\runs\\soft-1") == version_of("/a/runs/soft-1") == "soft-1"
    assert version_of(None) == ""
