"""Faults that were found in the field of several machines, each by its case."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_confseg.store import (
    Cohort,
    Edit,
    Identity,
    Patch,
    ProgramWriter,
    RaterWriter,
    Status,
    StatusChange,
    StoreError,
    validate,
)
from napari_confseg.store import writer as writers
from napari_confseg.store.backend import KeyValueStore
from napari_confseg.store.conflict import rebased
from napari_confseg.store.edits import pack
from napari_confseg.store.record import Record
from napari_confseg.store.reflog import past_strokes
from napari_confseg.store.segments import Entry, EntryId
from napari_confseg.store.view import State
from tests.store.painting import Painter, on_machine

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


def as_machine(name: str) -> None:
    """Let this process be a machine of that name, to whose locks no other listens."""
    socket.gethostname = lambda: name
    KeyValueStore.lock_file = lambda self, key: None  # type: ignore[method-assign]


def expire(cohort: Cohort) -> None:
    """Let the clock of the store say that no lease was heard of for a minute."""
    for path in Path(cohort.location).rglob("*.lease"):
        old = path.stat().st_mtime - 60
        os.utime(path, (old, old))


def _stopped_in_a_batch(location: str, journals: Path, talk: Connection, late: bool) -> None:
    """Paint; stop before or after the segment of the second stroke is created; go on."""
    as_machine("first")
    writer = RaterWriter.open(Cohort.open(location), "clip-1", "reader-a", journal_root=journals)
    painter = Painter(writer)
    writer.commit(painter.rectangle(0, 0, 0, 0, 4, 4, 20))
    assert writer.flush(20)
    append, safe = Record.append, threading.Event()

    def stopped(self: Record, segment: Any) -> bool:
        safe.wait(30)  # the thread that writes may be here before the other one has said so
        if late:
            os.kill(os.getpid(), signal.SIGSTOP)
            return append(self, segment)
        done = append(self, segment)
        os.kill(os.getpid(), signal.SIGSTOP)
        return done

    Record.append = stopped  # type: ignore[method-assign]
    lost = threading.Event()
    writer.changed.connect(lambda state: lost.set() if state.holder is not None else None)
    writer.commit(painter.rectangle(1, 0, 2, 2, 6, 6, 60))
    talk.send("safe")
    safe.set()
    told = lost.wait(30)
    talk.send((told, str(writer.state.problem or ""), writer.state.waiting))
    Record.append = append  # type: ignore[method-assign]
    writer.abandon()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
@pytest.mark.parametrize("late", [True, False], ids=["before it is there", "after"])
def test_a_writer_that_slept_in_a_batch_overwrites_nothing(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """It checked its lease, stopped, and goes on after another has taken over and painted."""
    monkeypatch.setattr(KeyValueStore, "lock_file", lambda self, key: None)
    context = multiprocessing.get_context("spawn")
    talk, theirs = context.Pipe()
    child = context.Process(
        target=_stopped_in_a_batch, args=(cohort.location, tmp_path / "first", theirs, late)
    )
    child.start()
    assert talk.recv() == "safe"
    assert child.pid is not None
    os.waitpid(child.pid, os.WUNTRACED)
    expire(cohort)
    with on_machine(cohort, tmp_path / "second") as second:
        assert not second.state.read_only
        painter = Painter(second)
        second.commit(painter.rectangle(1, 0, 4, 4, 6, 6, 90))
        done = StatusChange(1, 0, 1, int(Status.REVIEWED))
        edit = Edit((), 0, "status", 0, 1, (done,))
        painter.apply(edit)
        second.commit(edit)
        assert second.flush(20)
        assert second.state.waiting == 0
        os.kill(child.pid, signal.SIGCONT)
        told, said, waiting = talk.recv()
        assert told
        assert "has taken over" in said
        assert waiting == 1  # its journal still has it
    child.join(30)
    stored = cohort.clip("clip-1").rater("reader-a")
    planes = stored.read_classes(range(stored.shape[1])).swapaxes(0, 1)
    np.testing.assert_array_equal(planes, painter.planes)
    np.testing.assert_array_equal(stored.read_status(), painter.status)
    with on_machine(cohort, tmp_path / "first") as first:
        if late:  # it came too late: both are there, and a person decides
            assert first.conflict is not None
            assert (first.conflict.strokes, first.conflict.frames) == (1, (1,))
            first.decide("theirs")
        assert first.conflict is None
        assert first.flush(20)
        np.testing.assert_array_equal(Painter(first).planes, painter.planes)
    kept = [p.standing for p in past_strokes(stored.record.read())]
    assert kept == (["in force"] * 3 + ["set aside"] if late else ["in force"] * 4)
    assert validate(cohort.location) == []


def test_undo_and_redo_while_the_share_was_away_keep_the_stroke(
    cohort: Cohort, tmp_path: Path
) -> None:
    """Though another machine wrote before they came back."""
    writer = on_machine(cohort, tmp_path / "here")
    painter = Painter(writer)
    writer.commit(painter.rectangle(0, 0, 0, 0, 4, 4, 30))
    assert writer.flush(20)
    root, moved = Path(cohort.location), tmp_path / "moved.zarr"
    root.rename(moved)
    assert writer.undo() is not None
    assert writer.redo() is not None
    writer.abandon()
    moved.rename(root)
    expire(cohort)
    for path in root.rglob("*.lease"):
        path.unlink()
    with on_machine(cohort, tmp_path / "there") as other:
        theirs = Painter(other)
        other.commit(theirs.rectangle(3, 1, 5, 5, 4, 4, 90))
    with on_machine(cohort, tmp_path / "here") as again:
        assert again.flush(20)
        np.testing.assert_array_equal(Painter(again).planes, theirs.planes)
        assert [s.undone for s in again.strokes()] == [False, False]
        assert again.can_undo
        assert not again.can_redo
    theirs.writer = again
    theirs.assert_stored(cohort, "clip-1", "reader-a")
    assert validate(cohort.location) == []


class _OneInstant(datetime):
    """A clock whose ticks are longer than a life."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


def test_strokes_of_one_instant_are_told_apart(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "datetime", _OneInstant)
    writer = on_machine(cohort, tmp_path / "here")
    painter = Painter(writer)
    root, moved = Path(cohort.location), tmp_path / "moved.zarr"
    assert writer.flush(20)
    root.rename(moved)
    for frame in range(4):
        writer.commit(painter.rectangle(frame, 0, 1, 1, 4, 4, 30))
    writer.abandon()
    moved.rename(root)
    for path in root.rglob("*.lease"):
        path.unlink()
    with on_machine(cohort, tmp_path / "there") as other:
        theirs = Painter(other)
        other.commit(theirs.rectangle(4, 0, 1, 1, 4, 4, 30))
    with on_machine(cohort, tmp_path / "here") as again:
        assert again.flush(20)
        painter.planes[4, 0, 1:5, 1:5] = 30
        np.testing.assert_array_equal(Painter(again).planes, painter.planes)
        assert len(again.strokes()) == 5


def test_an_undo_takes_back_what_the_edit_has_become() -> None:
    """Edit and undo, decided to go on top of what others painted: that is there again."""
    state = State((1, 1, 4, 4))
    state.plane(0, 0)[:] = 90
    painted = State((1, 1, 4, 4))
    box = np.zeros((2, 2), np.uint8)
    edit = Edit((Patch(0, 0, 1, 1, box, box + np.uint8(30)),), 30, "brush", 0, 0)
    stroke = edit.stroke(1, datetime.now(UTC))
    one, two, three = (EntryId("a", n) for n in (1, 2, 3))
    entries = [
        Entry(one, "edit", stroke, pack(edit)),
        Entry(two, "undo", stroke, pack(edit), one),
        Entry(three, "aside", stroke, pack(edit)),
    ]
    made = rebased(entries, state)
    assert (state.plane(0, 0) == 90).all()
    assert [e.kind for e in made] == ["edit", "undo", "aside"]
    painted.plane(0, 0)[:] = 90
    painted.follow(made)
    assert (painted.plane(0, 0) == 90).all()


def test_packing_goes_on_after_the_share_went_away_in_it(cohort: Cohort, tmp_path: Path) -> None:
    with on_machine(cohort, tmp_path / "one") as writer:
        painter = Painter(writer)
        for frame in range(4):
            writer.commit(painter.rectangle(frame, 0, 1, 1, 4, 4, 30))
            assert writer.flush(20)
        writer._write_access.behind._batches._loose = 0  # leave them as they are
    record = cohort.clip("clip-1").rater("reader-a").record
    names = record.names()
    assert len(names.packs) > 2
    record.read(names)
    delete = KeyValueStore.delete
    deleted: list[str] = []

    def away(self: KeyValueStore, key: str) -> None:
        if deleted:
            raise OSError("the share is away")
        deleted.append(key)
        delete(self, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeyValueStore, "delete", away)
        with pytest.raises(OSError, match="away"):
            record.pack(1, names)
    record.pack(1, names)  # again, by what was listed before
    record.pack(1, record.names())  # and what the crash left beside the whole one is removed
    assert len(record.names().packs) == 1
    painter.assert_stored(cohort, "clip-1", "reader-a")


def test_journals_can_be_read_by_this_account_alone(cohort: Cohort, tmp_path: Path) -> None:
    with on_machine(cohort, tmp_path / "here") as writer:
        writer.commit(Painter(writer).rectangle(0, 0, 0, 0, 4, 4, 30))
        for path in (tmp_path / "here/journals").rglob("*"):
            wanted = 0o700 if path.is_dir() else 0o600
            if path.suffix != ".lock":  # holds nothing
                assert path.stat().st_mode & 0o777 == wanted, path


def _journal_with_pending(cohort: Cohort, root: Path, folder: Path) -> Path:
    """Leave strokes in a journal as a kill leaves them: most of it in the write-ahead log."""
    away = root.with_name("away.zarr")
    with RaterWriter.open(cohort, "clip-1", "reader-a", journal_root=folder / "first") as writer:
        painter = Painter(writer)
        assert writer.flush(10)
        root.rename(away)
        for k in range(5):
            writer.commit(painter.rectangle(k % 3, 0, k, k, 5, 5, 30 + k))
        shutil.copytree(folder / "first", folder / "killed")
        away.rename(root)
        assert writer.flush(30)
    return next((folder / "killed").rglob("*.sqlite"))


@pytest.mark.parametrize("at", [0, 100, 4200])
def test_what_can_be_read_of_a_damaged_journal_is_rescued(
    cohort: Cohort, tmp_path: Path, at: int
) -> None:
    """S10: nothing is deleted, database and log are set aside together, and read once more."""
    root = Path(cohort.location)
    kept = tmp_path / "kept.zarr"
    shutil.copytree(root, kept)
    journal = _journal_with_pending(cohort, root, tmp_path)
    shutil.rmtree(root)
    kept.rename(root)  # as if the five had never come there
    wal = journal.with_name(journal.name + "-wal")
    assert wal.stat().st_size > 1000
    before = wal.read_bytes()
    data = bytearray(journal.read_bytes())
    data[at : at + 64] = b"?" * 64
    journal.write_bytes(data)
    with RaterWriter.open(
        Cohort.open(root), "clip-1", "reader-a", journal_root=tmp_path / "killed"
    ) as writer:
        assert writer.flush(10)
        assert [s.confidence for s in writer.strokes()] == [30, 31, 32, 33, 34]
        said = writer.state.problem
    aside = list(journal.parent.glob("*.unreadable-*"))
    if aside:  # SQLite may read past it where the log holds the page
        assert "5 strokes were rescued" in (said or "")
        assert {p.name.rpartition("-")[2] for p in aside if p.name.endswith("wal")} == {"wal"}
        assert any(p.read_bytes() == before for p in aside)


def test_a_program_waits_for_the_lease_like_a_person(cohort: Cohort) -> None:
    """S4: what writes planes takes the lease, and kinds keep to their names."""
    clip = cohort.clip("clip-1")
    with (
        ProgramWriter(clip, "both", Identity("consensus")),
        pytest.raises(StoreError, match="read-only"),
        ProgramWriter(cohort.clip("clip-1"), "both", Identity("consensus")),
    ):
        pass
    with pytest.raises(StoreError, match="rater-kind"):
        RaterWriter.open(cohort, "clip-1", "both")
    with RaterWriter.open(cohort, "clip-1", "reader-a"), pytest.raises(StoreError, match="kind"):
        ProgramWriter(clip, "reader-a", Identity("consensus")).__enter__()
