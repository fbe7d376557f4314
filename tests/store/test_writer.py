"""The writer: what is committed is safe, in order, undoable after a restart, and one writes."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from napari_confseg.store import (
    Cohort,
    Edit,
    Patch,
    RaterWriter,
    SaveState,
    StatusChange,
    StoreError,
)
from tests.store.painting import Painter


def open_a(cohort: Cohort) -> RaterWriter:
    return RaterWriter.open(cohort, "clip-1", "reader-a")


def test_a_stroke_reaches_journal_then_store(cohort: Cohort) -> None:
    with open_a(cohort) as writer:
        assert writer.state == SaveState()
        states: list[SaveState] = []
        writer.changed.connect(states.append)
        painter = Painter(writer)
        stroke = writer.commit(painter.rectangle(2, 1, 4, 5, 6, 7, 60))
        assert (stroke.seq, stroke.box, stroke.pixels) == (1, (4, 5, 10, 12), 42)
        assert (stroke.confidence, stroke.frame, stroke.class_index) == (60, 2, 1)
        assert stroke.status == 1
        assert writer.state.saved_at is not None
        assert writer.flush(10)
        painter.assert_stored(cohort, "clip-1", "reader-a")
    assert states[0].waiting == 1
    assert states[-1].waiting == 0
    assert states[-1].saved_at == states[0].saved_at


def test_box_and_pixels_count_only_what_changed(cohort: Cohort) -> None:
    with open_a(cohort) as writer:
        before = np.zeros((4, 4), np.uint8)
        after = before.copy()
        after[1, 2] = after[2, 1] = 30
        stroke = writer.commit(Edit((Patch(0, 0, 10, 20, before, after),), 30, "brush", 0, 0))
    assert (stroke.box, stroke.pixels) == ((11, 21, 13, 23), 2)


def test_undo_and_redo_survive_a_restart(cohort: Cohort) -> None:
    rng = np.random.default_rng(1)
    with open_a(cohort) as writer:
        painter = Painter(writer)
        states = [painter.planes.copy()]
        for _ in range(5):
            writer.commit(painter.random(rng))
            states.append(painter.planes.copy())
        painter.apply(writer.undo())
    for k in (3, 2, 1, 0):
        with open_a(cohort) as writer:
            painter = Painter(writer)
            np.testing.assert_array_equal(painter.planes, states[k + 1])
            assert writer.can_undo
            assert writer.can_redo
            painter.apply(writer.undo())
            np.testing.assert_array_equal(painter.planes, states[k])
            writer.flush(10)
            painter.assert_stored(cohort, "clip-1", "reader-a")
    with open_a(cohort) as writer:
        assert not writer.can_undo
        assert writer.undo() is None
        painter = Painter(writer)
        for k in range(1, 6):
            painter.apply(writer.redo())
            np.testing.assert_array_equal(painter.planes, states[k])
        assert not writer.can_redo
        assert [s.undone for s in writer.strokes()] == [False] * 5


def test_a_new_edit_drops_what_could_be_redone_but_the_record_keeps_it(cohort: Cohort) -> None:
    with open_a(cohort) as writer:
        painter = Painter(writer)
        writer.commit(painter.rectangle(0, 0, 0, 0, 4, 4, 30))
        painter.apply(writer.undo())
        writer.commit(painter.rectangle(0, 0, 2, 2, 4, 4, 90))
        assert not writer.can_redo
        assert [(s.seq, s.undone) for s in writer.strokes()] == [(1, True), (2, False)]
    painter.assert_stored(cohort, "clip-1", "reader-a")


def test_an_edit_of_status_alone_over_several_classes(cohort: Cohort) -> None:
    with open_a(cohort) as writer:
        painter = Painter(writer)
        changes = tuple(StatusChange(3, c, 0, 2) for c in range(6))
        edit = Edit((), 0, "status", 0, 3, changes)
        stroke = writer.commit(edit)
        painter.apply(edit)
        assert stroke.status == 2
        assert stroke.also == tuple((3, c, 2) for c in range(1, 6))
        writer.flush(10)
        painter.assert_stored(cohort, "clip-1", "reader-a")
        painter.apply(writer.undo())
        assert not painter.status.any()
    painter.assert_stored(cohort, "clip-1", "reader-a")


def test_an_edit_that_does_not_fit_is_refused_with_every_reason(cohort: Cohort) -> None:
    zero = np.zeros((4, 4), np.uint8)
    edits = [
        Edit((Patch(0, 99, 0, 0, zero, zero),), 1, "brush", 0, 99),
        Edit((Patch(9, 0, 0, 0, zero, zero),), 1, "brush", 9, 0),
        Edit((Patch(0, 0, 46, 0, zero, zero),), 1, "brush", 0, 0),
        Edit((Patch(0, 0, 0, -1, zero, zero),), 1, "brush", 0, 0),
        Edit((Patch(0, 0, 0, 0, zero, zero + 101),), 1, "brush", 0, 0),
        Edit((Patch(0, 0, 0, 0, zero, zero[:2]),), 1, "brush", 0, 0),
        Edit((), 0, "status", 0, 0, (StatusChange(0, 0, 0, 3),)),
    ]
    with open_a(cohort) as writer:
        for edit in edits:
            with pytest.raises(StoreError, match="edit"):
                writer.commit(edit)
        assert writer.strokes() == []


def test_second_opener_is_read_only_at_once_and_names_the_holder(cohort: Cohort) -> None:
    with open_a(cohort) as first, open_a(cohort) as second:
        assert not first.state.read_only
        assert second.state.read_only
        assert second.state.holder is not None
        assert second.state.holder.pid == os.getpid()
        assert not second.can_undo
        with pytest.raises(StoreError, match=r"Read-only: .* is editing this clip since \d\d:\d\d"):
            second.commit(Edit((), 0, "status", 0, 0, ()))
        assert not second.retry_lock()
        painter = Painter(first)
        first.commit(painter.rectangle(0, 0, 0, 0, 4, 4, 30))
        first.close()
        assert second.retry_lock()
        assert second.state.holder is None
        assert second.can_undo
        np.testing.assert_array_equal(Painter(second).planes, painter.planes)


def test_second_opener_with_a_state_folder_of_its_own(cohort: Cohort, tmp_path: Path) -> None:
    """Another account on this machine: the journal's lock says nothing, the store's does."""
    with open_a(cohort) as first:
        second = RaterWriter.open(
            cohort, "clip-1", "reader-a", journal_root=tmp_path / "another-account"
        )
        with second:
            assert second.state.read_only
            assert second.state.holder is not None
            first.close()
            assert second.retry_lock()


def _hold_and_paint(location: str, acknowledged: object) -> None:
    writer = open_a(Cohort.open(location))
    painter = Painter(writer)
    for k in range(3):
        writer.commit(painter.rectangle(k, 0, k, k, 5, 5, 10 + k))
        acknowledged.put(k)  # type: ignore[attr-defined]
    time.sleep(60)


def test_takeover_after_kill_9(cohort: Cohort) -> None:
    context = multiprocessing.get_context("spawn")
    acknowledged = context.Queue()
    child = context.Process(target=_hold_and_paint, args=(cohort.location, acknowledged))
    child.start()
    assert [acknowledged.get(timeout=60) for _ in range(3)] == [0, 1, 2]
    with open_a(cohort) as second:
        assert second.state.read_only
        assert second.state.holder is not None
        assert second.state.holder.pid == child.pid
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert second.retry_lock()
        assert [s.confidence for s in second.strokes()] == [10, 11, 12]
        planes = second.load_planes(0)
        assert [int(planes[k, k, k]) for k in range(3)] == [10, 11, 12]


def _lease(cohort: Cohort, host: str, age: float, session: str = "a" * 32) -> Path:
    """Claim the next number for a writer of another machine that was seen `age` seconds ago."""
    folder = Path(cohort.location) / "clip-1/raters/reader-a/record"
    folder.mkdir(parents=True, exist_ok=True)
    taken = [int(p.name.split(".")[0].split("-")[0]) for p in folder.iterdir()]
    path = folder / f"{max(taken, default=0) + 1:06d}.lease"
    _write_lease(path, host, session)
    _beat(path, age)
    return path


def _write_lease(path: Path, host: str, session: str) -> None:
    # Far in the future by the clock of that machine, which nobody trusts.
    since = datetime.now(UTC) + timedelta(days=1)
    told = {"name": "ann", "host": host, "pid": 1, "since": since.isoformat()}
    new = path.with_name("new.partial")  # whole or not at all, as a writer would
    new.write_text(json.dumps(told | {"session": session, "beats": 0}))
    new.replace(path)


def _beat(path: Path, age: float) -> None:
    """Let the clock of the store say that the lease was written `age` seconds ago."""
    os.utime(path, (time.time() - age,) * 2)


def test_a_lease_of_another_machine_holds_until_its_heartbeat_is_old(cohort: Cohort) -> None:
    open_a(cohort).close()
    lease = _lease(cohort, "elsewhere", age=5)
    with open_a(cohort) as writer:
        assert writer.state.read_only
        assert str(writer.state.holder).startswith("ann on elsewhere since ")
        _beat(lease, age=31)
        assert writer.retry_lock()


def test_garbage_in_the_lease_holds_nobody_off(cohort: Cohort) -> None:
    _lease(cohort, "elsewhere", age=0).write_bytes(b"\xff garbage")
    with open_a(cohort) as writer:
        assert not writer.state.read_only


def test_a_writer_that_was_taken_over_stops_and_loses_nothing(cohort: Cohort) -> None:
    """A machine that slept for an hour wakes up and finds someone else painting."""
    writer = open_a(cohort)
    painter = Painter(writer)
    writer.commit(painter.rectangle(0, 0, 0, 0, 4, 4, 30))
    assert writer.flush(10)
    lease = _lease(cohort, "elsewhere", age=0)
    writer.commit(painter.rectangle(1, 0, 0, 0, 4, 4, 60))
    deadline = time.monotonic() + 30
    while writer.state.holder is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert writer.state.read_only
    assert writer.state.holder is not None
    assert writer.state.holder.host == "elsewhere"
    writer.commit(painter.rectangle(2, 0, 0, 0, 4, 4, 90))
    assert writer.state.waiting == 2
    assert len(cohort.clip("clip-1").rater("reader-a").read_strokes()) == 1
    lease.unlink()
    assert writer.retry_lock()
    assert writer.flush(10)
    painter.assert_stored(cohort, "clip-1", "reader-a")
    writer.close()


def test_what_waited_goes_behind_what_another_machine_wrote(cohort: Cohort, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    writer = RaterWriter.open(cohort, "clip-1", "reader-a", journal_root=here)
    painter = Painter(writer)
    writer.commit(painter.rectangle(0, 0, 0, 0, 4, 4, 30))
    assert writer.flush(10)
    lease = _lease(cohort, "elsewhere", age=0)  # the drive goes away, so to speak
    writer.commit(painter.rectangle(1, 0, 0, 0, 4, 4, 60))
    painter.apply(writer.undo())
    writer.commit(painter.rectangle(2, 0, 0, 0, 4, 4, 90))
    writer.abandon()
    lease.unlink()
    with RaterWriter.open(cohort, "clip-1", "reader-a", journal_root=there) as other:
        assert other.can_undo  # the record is the history, wherever it is opened
        theirs = Painter(other)
        other.commit(theirs.rectangle(3, 3, 8, 8, 4, 4, 100))
        other.commit(theirs.rectangle(3, 3, 9, 9, 4, 4, 50))
    with RaterWriter.open(cohort, "clip-1", "reader-a", journal_root=here) as again:
        assert again.flush(10)
        said = [(s.seq, s.confidence, s.undone) for s in again.strokes()]
        assert said == [
            (1, 30, False),
            (2, 100, False),
            (3, 50, False),
            (4, 60, True),
            (5, 90, False),
        ]
        theirs.apply(Edit((), 0, "status", 0, 0, (StatusChange(2, 0, 0, 1),)))
        theirs.planes[2, 0, :4, :4] = 90
        theirs.writer = again
        theirs.assert_stored(cohort, "clip-1", "reader-a")
        for _ in range(4):  # and all of it can be taken back, theirs too
            theirs.apply(again.undo())
        assert not again.can_undo
        again.flush(10)
        theirs.assert_stored(cohort, "clip-1", "reader-a")
        assert not theirs.planes.any()


def test_each_session_that_writes_takes_a_number_and_looking_does_not(cohort: Cohort) -> None:
    for epoch in (1, 2):
        with open_a(cohort) as writer:
            writer.commit(Painter(writer).rectangle(0, 0, epoch, 0, 4, 4, 30))
        Cohort.open(cohort.location, read_only=True).clip("clip-1").rater("reader-a").read_status()
        names = cohort.clip("clip-1").rater("reader-a").record.names()
        assert names.tip is not None
        assert names.tip.epoch == epoch


def test_nothing_of_the_writer_stays_but_the_lock_file(cohort: Cohort) -> None:
    with open_a(cohort) as writer:
        painter = Painter(writer)
        writer.commit(painter.rectangle(0, 0, 0, 0, 4, 4, 30))
        painter.apply(writer.undo())
    folder = Path(cohort.location) / "clip-1/raters/reader-a"
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    edits = {name for name in files if name.endswith(".edits")}  # in one segment or a pack of two
    assert len(edits) == 1
    assert files - edits - {"status/c/0/0"} == {
        "zarr.json",
        "0/zarr.json",
        "status/zarr.json",
        "record/000001.view",
        "lease.lock",
    }


def test_partial_files_of_a_crash_are_swept(cohort: Cohort) -> None:
    open_a(cohort).close()
    stray = Path(cohort.location) / "clip-1/raters/reader-a/0/c/0/0/0.abc.partial"
    stray.parent.mkdir(parents=True)
    stray.touch()
    with open_a(cohort) as writer:
        writer.commit(Painter(writer).rectangle(0, 1, 0, 0, 4, 4, 30))
        assert writer.flush(10)
        assert not stray.exists()


def test_a_read_only_cohort_is_only_looked_at(cohort: Cohort) -> None:
    looking = Cohort.open(cohort.location, read_only=True)
    with RaterWriter.open(looking, "clip-1", "new") as writer:
        assert writer.state.read_only
        assert "reading only" in (writer.state.problem or "")
        assert not writer.load_planes(0).any()
    assert cohort.clip("clip-1").raters() == []


def test_an_unknown_clip_is_refused_and_holds_nothing(cohort: Cohort) -> None:
    with pytest.raises(StoreError, match="missing"):
        RaterWriter.open(cohort, "no-such", "reader-a")


def test_a_journal_that_is_no_database_is_set_aside(cohort: Cohort, state_dir: Path) -> None:
    with open_a(cohort) as writer:
        writer.commit(Painter(writer).rectangle(0, 0, 0, 0, 4, 4, 30))
    path = next(state_dir.rglob("*.sqlite"))
    path.write_bytes(b"not a database at all" * 100)
    with open_a(cohort) as writer:
        assert not writer.state.read_only
        assert "it is kept as" in (writer.state.problem or "")
        writer.commit(Painter(writer).rectangle(1, 0, 0, 0, 4, 4, 30))
        assert writer.flush(10)
        assert [s.seq for s in writer.strokes()] == [1, 2]
    assert list(state_dir.rglob("*.unreadable-*"))


def test_a_copy_of_a_cohort_does_not_take_what_waits_for_the_original(
    cohort: Cohort, tmp_path: Path
) -> None:
    with open_a(cohort) as writer:
        painter = Painter(writer)
        writer.commit(painter.rectangle(0, 0, 0, 0, 4, 4, 30))
    shutil.copytree(cohort.location, tmp_path / "copy.zarr")
    with open_a(cohort) as writer:
        painter = Painter(writer)
        lease = _lease(cohort, "elsewhere", age=0)  # keeps the edit from reaching the store
        writer.commit(painter.rectangle(1, 0, 0, 0, 4, 4, 60))
        writer.abandon()
        lease.unlink()
    with open_a(Cohort.open(tmp_path / "copy.zarr")) as there:
        assert [s.confidence for s in there.strokes()] == [30, 60]
        assert there.can_undo
    with open_a(cohort) as writer:
        assert writer.flush(10)
        painter.assert_stored(cohort, "clip-1", "reader-a")


def test_a_cohort_that_was_moved_takes_its_journal_along(cohort: Cohort, tmp_path: Path) -> None:
    with open_a(cohort) as writer:
        painter = Painter(writer)
        writer.commit(painter.rectangle(0, 0, 0, 0, 4, 4, 30))
        painter.apply(writer.undo())
        writer.abandon()
    shutil.move(cohort.location, tmp_path / "moved.zarr")
    moved = Cohort.open(tmp_path / "moved.zarr")
    with open_a(moved) as writer:
        assert writer.can_redo
        assert writer.flush(10)
        painter.writer = writer
        painter.assert_stored(moved, "clip-1", "reader-a")
