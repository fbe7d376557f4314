"""Random lives of three machines on one rater, compared with a model after each step.

``CONFSEG_STEPS=20000 python -m tests.store.test_machines [SEED]`` goes on for that many steps.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from napari_confseg.store import (
    ClassSpec,
    Cohort,
    Edit,
    RaterWriter,
    Status,
    StatusChange,
    record,
    validate,
    write_behind,
)
from napari_confseg.store import writer as writers
from napari_confseg.store.backend import KeyValueStore
from napari_confseg.store.folder import DurableLocalStore
from napari_confseg.store.segments import EntryId
from tests.conftest import add_clip
from tests.store.model import Act, Model, Placed
from tests.store.painting import Painter, seen

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

SHAPE = (2, 2, 6, 7)
MACHINES = st.integers(0, 2)
CLASSES = tuple(
    ClassSpec(index=i, name=n, label=n, color=f"#{i:06x}") for i, n in enumerate(("line", "rib"))
)
counts: Counter[str] = Counter()
"""What was done, for a long run's summary."""


class DeadError(OSError):
    """The machine has no power."""


class Station(DurableLocalStore):
    """The share as one machine sees it: its writes can be held up, and fail for ever."""

    def __init__(self, root: Path | str, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self.dead = False
        self.left: int | None = None  # writes that still go through
        self.go = threading.Event()
        self.waits = False

    def _pass(self) -> None:
        if self.left is not None and threading.current_thread().name.startswith("save "):
            if self.left == 0:
                self.waits = True
                self.go.wait(30)
            elif not self.go.is_set():
                self.left -= 1
        if self.dead:
            raise DeadError("no power")

    def hold(self, n: int) -> None:
        """Let `n` more writes through, and hold up what comes then."""
        self.go.clear()
        self.left = n

    def release(self) -> None:
        """Let all writes through."""
        self.left, self.waits = None, False
        self.go.set()

    def set_sync(self, key: str, value: Any) -> None:
        self._pass()
        super().set_sync(key, value)

    def delete_sync(self, key: str) -> None:
        self._pass()
        super().delete_sync(key)

    def create(self, key: str, data: bytes) -> bool:
        self._pass()
        return super().create(key, data)

    def bulk(self) -> AbstractContextManager[Any]:
        self._pass()
        return super().bulk()


class Clock(datetime):
    """A wall clock that nobody can rely on."""

    told = datetime(2026, 1, 1, tzinfo=UTC)

    @classmethod
    def now(cls, tz: object = None) -> datetime:
        return cls.told


class Machine:
    """A machine: its journals, its view of the share, and who paints at it."""

    def __init__(self, number: int, folder: Path) -> None:
        self.number = number
        self.journals = folder / f"machine-{number}"
        self.location = folder / "cohort.zarr"
        self.store: Station
        self.writer: RaterWriter | None = None
        self.painter: Painter
        self.known: set[EntryId] = set()

    def open(self) -> None:
        self.store = Station(self.location)
        self.writer = RaterWriter.open(
            Cohort.open(self.store), "clip-1", "reader-a", journal_root=self.journals
        )
        self.load()

    def load(self) -> None:
        """Take everything from the writer, as the window does."""
        assert self.writer is not None
        self.painter = Painter(self.writer)
        self.known = seen(self.writer)

    @property
    def paints(self) -> bool:
        writer = self.writer
        return (
            writer is not None
            and writer._write_access.behind is not None
            and writer.conflict is None
        )

    @property
    def held(self) -> set[EntryId]:
        """What this machine has in its journal."""
        if self.writer is not None and self.writer._pending_edits._journal is not None:
            return {e.id for e in self.writer._pending_edits._journal.entries()}
        found: set[EntryId] = set()
        import sqlite3

        for path in self.journals.rglob("*.sqlite"):
            db = sqlite3.connect(path)
            found |= {EntryId(*row) for row in db.execute("SELECT session, number FROM entry")}
            db.close()
        return found

    def settle(self, *, away: bool = False) -> None:
        """Wait until its thread has done what it can do."""
        writer = self.writer
        deadline = time.monotonic() + 20
        while writer is not None and (behind := writer._write_access.behind) is not None:
            if behind.lost_to is not None or self.store.waits:
                return
            if behind.problem is not None and (away or self.store.dead):
                return
            if behind.flush(0.0) and behind._batches.started:
                return
            assert time.monotonic() < deadline, writer.state
            with writer._lock:
                behind._hurry = True
                writer._pending_edits.wake.notify_all()
            time.sleep(0.001)

    def die(self) -> None:
        """End as by a power cut: in the middle of whatever it did, its lease left behind."""
        assert self.writer is not None
        self.store.dead = True
        self.store.release()
        self.writer.abandon()
        self.writer = None


class Machines(RuleBasedStateMachine):
    """Three machines, no lock between them."""

    @initialize()
    def begin(self) -> None:
        self.here = 0
        self.patches = [
            patch.object(KeyValueStore, "lock_file", lambda self, key: None),
            patch("socket.gethostname", lambda: f"machine-{self.here}"),
            patch.object(writers, "datetime", Clock),
            patch.object(write_behind, "PACK_AFTER", 4),
            patch.object(record, "PACK_AFTER", 4),
            patch.object(write_behind, "SNAPSHOT_AFTER", 7),
        ]
        for p in self.patches:
            p.start()
        self.folder = Path(tempfile.mkdtemp(dir=os.environ.get("CONFSEG_SCRATCH")))
        self.share = self.folder / "cohort.zarr"
        made = Cohort.create(self.share, name="life", classes=CLASSES)
        add_clip(made, "clip-1", n_frames=SHAPE[0], shape=SHAPE[2:])
        self.model = Model(SHAPE)
        self.away = False
        self.machines = [Machine(i, self.folder) for i in range(3)]

    def at(self, number: int) -> Machine:
        counts["steps"] += 1
        self.here = number
        return self.machines[number]

    def acknowledged(self, machine: Machine, edit: Edit, kind: str, of: EntryId | None) -> None:
        """Tell the model what `machine` was just told is safe."""
        writer = machine.writer
        assert writer is not None
        assert writer.state.unsaved == 0
        pending = writer._pending_edits
        id_ = EntryId(pending._session, pending._count)
        paint: dict[tuple[int, int], Any] = {}
        for p in edit.patches:
            mask, values = np.zeros(SHAPE[2:], bool), np.zeros(SHAPE[2:], np.uint8)
            box = np.s_[p.y : p.y + p.after.shape[0], p.x : p.x + p.after.shape[1]]
            mask[box], values[box] = p.before != p.after, p.after
            paint[p.frame, p.class_index] = mask, values
        status = {(s.frame, s.class_index): s.after for s in edit.status}
        counts["acts"] += 1
        self.model.do(Act(id_, kind, of, paint, status, frozenset(machine.known)))
        machine.known.add(id_)
        machine.settle(away=self.away)

    # -- what people do

    @rule(
        number=MACHINES,
        frame=st.integers(0, 1),
        class_index=st.integers(0, 1),
        box=st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(1, 5), st.integers(1, 5)),
        value=st.sampled_from([0, 30, 60, 90, 255]),
        impatient=st.booleans(),
        held_up=st.sampled_from([None, None, None, 0, 1, 2, 3, 5]),
    )
    def act(
        self,
        number: int,
        frame: int,
        class_index: int,
        box: tuple[int, ...],
        value: int,
        impatient: bool,
        held_up: int | None,
    ) -> None:
        machine = self.at(number)
        if impatient and not machine.paints:
            self.leases_expire()
        self._open(machine)
        if machine.paints:
            if held_up is not None and not machine.store.waits:
                machine.store.hold(held_up)
            y, x, h, w = box
            edit = machine.painter.rectangle(frame, class_index, y, x, h, w, value)
            machine.writer.commit(edit)
            self.acknowledged(machine, edit, "edit", None)

    @rule(number=MACHINES, frame=st.integers(0, 1), class_index=st.integers(0, 1))
    def review(self, number: int, frame: int, class_index: int) -> None:
        machine = self.at(number)
        if machine.paints:
            before = int(machine.painter.status[frame, class_index])
            after = int(Status.REVIEWED) if before != Status.REVIEWED else 1
            change = StatusChange(frame, class_index, before, after)
            edit = Edit((), 0, "status", class_index, frame, (change,))
            machine.painter.apply(edit)
            machine.writer.commit(edit)
            self.acknowledged(machine, edit, "edit", None)

    @rule(number=MACHINES, kind=st.sampled_from(["undo", "redo"]))
    def turn(self, number: int, kind: str) -> None:
        machine = self.at(number)
        if machine.paints:
            history = machine.writer._pending_edits.history
            stack = history.done if kind == "undo" else history.undone
            of = stack[-1] if stack else None
            edit = machine.writer.undo() if kind == "undo" else machine.writer.redo()
            assert (edit is None) == (of is None)
            if edit is not None:
                machine.painter.apply(edit)
                self.acknowledged(machine, edit, kind, of)

    @rule(number=MACHINES, choice=st.sampled_from(["mine", "theirs", "both"]))
    def decide(self, number: int, choice: str) -> None:
        self._decide(self.at(number), choice)

    def _decide(self, machine: Machine, choice: str) -> None:
        writer = machine.writer
        if writer is None or self.away or machine.store.waits:
            return
        conflict = writer.conflict
        if conflict is not None and writer._write_access.behind is not None:
            counts[choice] += 1
            self.model.decide([e.id for e in conflict.entries if e.kind != "aside"], choice)
            writer.decide(choice)
            machine.settle()
            machine.load()

    # -- what happens to them

    def _open(self, machine: Machine) -> None:
        if machine.writer is None and not self.away:
            machine.open()
            machine.settle()
        elif machine.writer is not None and not machine.writer._write_access.held:
            self._retry(machine)

    def _retry(self, machine: Machine) -> None:
        if not self.away and not machine.store.waits and machine.writer.retry_lock():
            machine.settle()
            machine.load()

    @rule(number=MACHINES)
    def retry_lock(self, number: int) -> None:
        machine = self.at(number)
        if machine.writer is not None:
            self._retry(machine)

    @rule(number=MACHINES)
    def close(self, number: int) -> None:
        machine = self.at(number)
        if machine.writer is not None and not machine.store.waits:
            machine.writer.close(timeout=0.0 if self.away else 5.0)
            machine.writer = None

    @rule(number=MACHINES)
    def kill(self, number: int) -> None:
        machine = self.at(number)
        if machine.writer is not None:
            machine.die()

    @rule(number=MACHINES, writes=st.integers(0, 6))
    def hold(self, number: int, writes: int) -> None:
        """Let the machine stop in the middle of what it will write next."""
        machine = self.at(number)
        if machine.writer is not None and not machine.store.waits:
            machine.store.hold(writes)

    @rule(number=MACHINES)
    def go_on(self, number: int) -> None:
        machine = self.at(number)
        if machine.writer is not None and machine.store.left is not None:
            machine.store.release()
            machine.settle(away=self.away)

    @rule()
    def leases_expire(self) -> None:
        """Whoever holds it was not heard of for a minute."""
        if not self.away:
            for path in self.share.rglob("*.lease"):
                os.utime(path, (time.time() - 60,) * 2)

    @rule(number=MACHINES)
    def take_over(self, number: int) -> None:
        self.leases_expire()
        self._open(self.at(number))

    @rule()
    def share_goes_or_comes(self) -> None:
        moved = self.folder / "moved.zarr"
        if any(m.writer is not None and m.store.waits for m in self.machines):
            return
        if self.away:
            moved.rename(self.share)
        else:
            self.share.rename(moved)
        self.away = not self.away
        if not self.away:
            for i, machine in enumerate(self.machines):
                self.here = i
                machine.settle()

    @rule(minutes=st.integers(-5, 5))
    def clock(self, minutes: int) -> None:
        Clock.told += timedelta(minutes=minutes)

    @rule(pick=st.integers(0, 99), how=st.sampled_from(["lost", "cut", "foreign"]))
    def damage(self, pick: int, how: str) -> None:
        """Harm a file that follows from the record."""
        files = sorted(
            f
            for pattern in ("0/c/*/*/0/0", "status/c/*/*", "record/*.view")
            for f in self.share.glob(f"clip-1/raters/reader-a/{pattern}")
            if f.is_file()
        )
        # What no record tells of can't be made again: that opens when the hint was followed.
        if files and any(self.share.rglob("*.edits")):
            file = files[pick % len(files)]
            if how == "lost":
                file.unlink()
            else:
                file.write_bytes(
                    b"{" if how == "cut" else files[pick // 7 % len(files)].read_bytes()
                )

    # -- what must hold

    def line(self) -> tuple[list[Placed], set[EntryId]]:
        """Return the record as a fresh reader finds it, and what lies beside its line."""
        self.rater = Cohort.open(self.share, read_only=True).clip("clip-1").rater("reader-a")
        line = self.rater.record.read()
        return [Placed(e.id, e.kind) for e in line.entries()], {
            e.id for s in line.stranded for e in s.entries
        }

    @invariant()
    def the_store_is_what_the_model_says(self) -> None:
        if not hasattr(self, "model") or self.away or not self.model.acts:
            return
        order, beside = self.line()
        counts["seen beside the line"] += bool(beside)
        counts["seen in mid-batch"] += any(m.writer and m.store.waits for m in self.machines)
        kept = beside.union(*(m.held for m in self.machines))
        faults = self.model.faults(order, kept)
        assert not faults, faults
        out = self.model.outcome(order)
        planes = self.rater.read_classes(range(SHAPE[1])).swapaxes(0, 1)
        np.testing.assert_array_equal(planes, out.planes)
        np.testing.assert_array_equal(self.rater.read_status(), out.status)
        assert [s.undone for s in self.rater.read_strokes()] == list(out.undone.values())
        for machine in self.machines:
            writer = machine.writer
            if writer is None or not machine.paints or writer.state.read_only:
                continue
            if {i for i, _ in order} - machine.known:
                continue  # somebody has taken over, which it learns when it writes next
            with writer._lock:
                pending = writer._pending_edits
                mine = [Placed(e.id, e.kind) for e in pending.pending]
                stacks = list(pending.history.done), list(pending.history.undone)
            on = {i for i, _ in order}
            seen = self.model.outcome([*order, *(p for p in mine if p.id not in on)])
            np.testing.assert_array_equal(machine.painter.planes, seen.planes)
            np.testing.assert_array_equal(machine.painter.status, seen.status)
            assert stacks == (seen.done, seen.open)

    def teardown(self) -> None:
        if not hasattr(self, "model"):
            return
        try:
            self.the_end()
        finally:
            for machine in self.machines:
                if machine.writer is not None:
                    machine.die()
            for p in self.patches:
                p.stop()
            shutil.rmtree(self.folder)

    def the_end(self) -> None:
        """Everybody comes back and decides: then all acts are in the record, and all is sound."""
        if self.away:
            self.share_goes_or_comes()
        for i, machine in enumerate(self.machines):
            self.here = i
            if machine.writer is not None:
                machine.die()
        for _ in range(4):
            for i, machine in enumerate(self.machines):
                self.here = i
                self.leases_expire()
                machine.open()
                machine.settle()
                assert not machine.writer._write_access.holder, machine.writer.state
                self._decide(machine, ("mine", "theirs", "both")[i])
                machine.writer.close()
                machine.writer = None
        if self.model.acts:
            order, _ = self.line()
            faults = self.model.faults(order, ())
            assert not faults, faults
            self.the_store_is_what_the_model_says()
        assert [str(p) for p in validate(self.share)] == []


def lives(n: int, steps: int, *, shrink: bool = True) -> settings:
    return settings(
        max_examples=n,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if shrink else [])],
        database=None,
        print_blob=True,
    )


TestMachines = Machines.TestCase
TestMachines.settings = lives(12, 25)


if __name__ == "__main__":
    wanted, first = int(os.environ.get("CONFSEG_STEPS", "20000")), int((sys.argv[1:] or ["0"])[0])
    began = time.monotonic()
    while counts["steps"] < wanted:
        run_state_machine_as_test(
            seed(first)(Machines), settings=lives(20, 40, shrink="CONFSEG_SHRINK" in os.environ)
        )
        first += 1
        print(f"{time.monotonic() - began:.0f} s, seed {first}: {dict(counts)}", flush=True)
