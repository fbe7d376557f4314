"""Older strokes that meet newer ones are shown, decided by a person, and never lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_confseg.__main__ import main
from napari_confseg.store import (
    Cohort,
    Edit,
    Patch,
    ProgramWriter,
    Status,
    StatusChange,
    StoreError,
    validate,
)
from napari_confseg.store.edits import pack
from napari_confseg.store.reflog import past_strokes
from napari_confseg.store.segments import Entry, EntryId, Position
from tests.store.painting import Painter, on_machine


@pytest.fixture
def here(cohort: Cohort, tmp_path: Path) -> Path:
    """A machine whose strokes 30 and 60 wait for the store, where another has painted since."""
    here = tmp_path / "here"
    with on_machine(cohort, here) as writer:
        painter = Painter(writer)
        writer.commit(painter.rectangle(0, 0, 0, 0, 4, 4, 20))
    away = Cohort.open(cohort.location)
    writer = on_machine(away, here)
    assert writer.flush(10)
    moved = tmp_path / "away.zarr"
    root = tmp_path / cohort.location
    root.rename(moved)
    painter.writer = writer
    writer.commit(painter.rectangle(1, 0, 2, 2, 6, 6, 30))
    writer.commit(painter.rectangle(2, 0, 2, 2, 6, 6, 60))
    writer.abandon()
    moved.rename(root)
    for lease in root.rglob("*.lease"):
        lease.unlink()
    return here


def paint_there(cohort: Cohort, folder: Path, frame: int, value: int = 90) -> Painter:
    with on_machine(cohort, folder) as other:
        theirs = Painter(other)
        other.commit(theirs.rectangle(frame, 0, 4, 4, 6, 6, value))
        done = StatusChange(frame, 0, 1, int(Status.REVIEWED))
        other.commit(Edit((), 0, "status", 0, frame, (done,)))
        theirs.status[frame, 0] = Status.REVIEWED
        assert other.flush(10)
    return theirs


def test_strokes_that_meet_nothing_newer_are_appended(
    cohort: Cohort, here: Path, tmp_path: Path
) -> None:
    theirs = paint_there(cohort, tmp_path / "there", frame=3)
    with on_machine(cohort, here) as writer:
        assert writer.conflict is None
        assert [s.confidence for s in writer.strokes()] == [20, 90, 0, 30, 60]
        assert writer.flush(10)
        expected = theirs.planes.copy()
        expected[1, 0, 2:8, 2:8], expected[2, 0, 2:8, 2:8] = 30, 60
        np.testing.assert_array_equal(Painter(writer).planes, expected)
    assert validate(cohort.location) == []


def test_nothing_is_applied_before_somebody_decides(
    cohort: Cohort, here: Path, tmp_path: Path
) -> None:
    theirs = paint_there(cohort, tmp_path / "there", frame=2)
    with on_machine(cohort, here) as writer:
        conflict = writer.conflict
        assert conflict is not None
        assert (conflict.strokes, conflict.frames, conflict.theirs) == (2, (2,), 2)
        assert "2 strokes" in conflict.sentence
        assert "frame 3" in conflict.sentence
        assert writer.state.read_only
        assert writer.flush(10)
        theirs.assert_stored(cohort, "clip-1", "reader-a")
        with pytest.raises(StoreError, match="met 2 newer ones"):
            writer.commit(Painter(writer).rectangle(0, 0, 0, 0, 4, 4, 50))
        assert writer.undo() is None
        mine = writer.load_contested()
        assert mine.planes[2, 0][2:8, 2:8].tolist() == [[60] * 6] * 6
        assert mine.planes[2, 0][9, 9] == 90  # theirs beside mine
    with on_machine(cohort, here) as again:  # asked again until it is decided
        assert again.conflict is not None


@pytest.mark.parametrize("choice", ["mine", "theirs", "both"])
def test_each_decision_keeps_both_versions(
    cohort: Cohort, here: Path, tmp_path: Path, choice: str
) -> None:
    theirs = paint_there(cohort, tmp_path / "there", frame=2)
    with on_machine(cohort, here) as writer:
        contested = writer.load_contested()
        writer.decide(choice)  # type: ignore[arg-type]
        assert writer.conflict is None
        assert not writer.state.read_only
        assert writer.flush(10)
        expected = theirs.planes.copy()
        if choice == "mine":
            for (t, c), plane in contested.planes.items():
                expected[t, c] = plane
        np.testing.assert_array_equal(Painter(writer).planes, expected)
        clip = cohort.clip("clip-1")
        if choice == "both":
            second = clip.rater("reader-a-2")
            np.testing.assert_array_equal(second.read_plane(2, 0), contested.planes[2, 0])
            assert (second.meta.kind, second.meta.label) == ("human", "reader-a (2)")
        standing = [p.standing for p in past_strokes(clip.rater("reader-a").record.read())]
        kept = "in force" if choice == "mine" else "set aside"
        assert standing == ["in force"] * 3 + [kept] * 2
        if choice == "mine":  # undone exactly: what the other painted comes back
            writer.undo()
            writer.undo()
            np.testing.assert_array_equal(Painter(writer).planes, theirs.planes)
    assert validate(cohort.location) == []
    with on_machine(cohort, here) as again:
        assert again.conflict is None


@pytest.mark.parametrize("step", ["bulk", "write_status"])
def test_a_crash_while_both_are_kept_makes_no_third_rater(
    cohort: Cohort, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def crash(*_: object) -> None:
        raise OSError("no power")

    paint_there(cohort, tmp_path / "there", frame=2)
    with on_machine(cohort, here) as writer, monkeypatch.context() as m:
        m.setattr(ProgramWriter, step, crash)
        with pytest.raises(OSError, match="no power"):
            writer.decide("both")
    half = Path(cohort.location, "clip-1/raters/reader-a-2/0/c/2/0/0/0.1.partial")
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(b"half")
    with on_machine(cohort, here) as again:
        contested = again.load_contested()
        again.decide("both")
        assert again.flush(10)
    clip = cohort.clip("clip-1")
    assert clip.raters() == ["reader-a", "reader-a-2"]
    second = clip.rater("reader-a-2")
    np.testing.assert_array_equal(second.read_plane(2, 0), contested.planes[2, 0])
    np.testing.assert_array_equal(second.read_status(), contested.status)
    assert validate(cohort.location) == []


def leave_behind(cohort: Cohort, frame: int) -> None:
    """Add the segment of a writer that slept between its check and its write."""
    rater = cohort.clip("clip-1").rater("reader-a")
    first = rater.record.read().segments[0]
    box = np.zeros((6, 6), np.uint8)
    edit = Edit((Patch(0, frame, 2, 2, box, box + np.uint8(60)),), 60, "brush", 0, frame)
    entry = Entry(EntryId(first.session, 99), "edit", edit.stroke(2, first.time), pack(edit))
    position = Position(first.position.epoch, first.position.number + 50)
    assert rater.record.append(
        replace(first, position=position, parent=first.position, entries=(entry,))
    )


@pytest.mark.parametrize("choice", ["mine", "theirs"])
def test_what_a_late_writer_leaves_behind_is_offered_to_whoever_opens_next(
    cohort: Cohort, tmp_path: Path, choice: str
) -> None:
    with on_machine(cohort, tmp_path / "one") as first:
        first.commit(Painter(first).rectangle(0, 0, 0, 0, 4, 4, 20))
    theirs = paint_there(cohort, tmp_path / "two", frame=1)
    leave_behind(cohort, frame=1)
    theirs.assert_stored(cohort, "clip-1", "reader-a")  # it has no effect
    assert [p.code for p in validate(cohort.location)] == ["stranded"]
    with on_machine(cohort, tmp_path / "three") as writer:
        assert writer.conflict is not None
        assert (writer.conflict.strokes, writer.conflict.frames) == (1, (1,))
        writer.decide(choice)  # type: ignore[arg-type]
        assert writer.flush(10)
        if choice == "mine":
            theirs.planes[1, 0, 2:8, 2:8] = 60
        np.testing.assert_array_equal(Painter(writer).planes, theirs.planes)
    assert validate(cohort.location) == []


def test_what_a_late_writer_leaves_behind_is_taken_up_if_it_meets_nothing(
    cohort: Cohort, tmp_path: Path
) -> None:
    with on_machine(cohort, tmp_path / "one") as first:
        first.commit(Painter(first).rectangle(0, 0, 0, 0, 4, 4, 20))
    theirs = paint_there(cohort, tmp_path / "two", frame=1)
    leave_behind(cohort, frame=3)
    with on_machine(cohort, tmp_path / "three") as writer:
        assert writer.conflict is None
        assert writer.flush(10)
        theirs.planes[3, 0, 2:8, 2:8] = 60
        np.testing.assert_array_equal(Painter(writer).planes, theirs.planes)
    assert validate(cohort.location) == []


def test_what_was_set_aside_can_be_listed_and_restored(
    cohort: Cohort,
    here: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paint_there(cohort, tmp_path / "there", frame=2)
    with on_machine(cohort, here) as writer:
        writer.decide("theirs")
    monkeypatch.setenv("CONFSEG_STATE_DIR", str(here))
    where = [cohort.location, "clip-1", "reader-a"]
    assert main(["history", *where, "--lost", "--json"]) == 0
    lost = json.loads(capsys.readouterr().out)["strokes"]
    assert [(s["confidence"], s["standing"]) for s in lost] == [
        (30, "set aside"),
        (60, "set aside"),
    ]
    assert main(["history", *where]) == 0
    assert "set aside" in capsys.readouterr().out
    assert main(["history", *where, "--restore", "9-9.9"]) == 1
    assert "no stroke '9-9.9'" in capsys.readouterr().err
    assert main(["history", *where, "--restore", lost[1]["name"]]) == 0
    rater = cohort.clip("clip-1").rater("reader-a")
    assert (rater.read_plane(2, 0)[2:8, 2:8] == 60).all()
    assert rater.read_plane(2, 0)[9, 9] == 90
    assert not rater.read_plane(1, 0).any()
    assert validate(cohort.location) == []
