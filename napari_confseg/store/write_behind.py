"""Write-behind: what is committed is brought to the store, in order, again until it is there."""

from __future__ import annotations

import socket
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate, islice
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store.clip_notes import ClipNotes, parse_changes
from napari_confseg.store.edits import MAX_EDIT
from napari_confseg.store.errors import sentence
from napari_confseg.store.lease import BEAT, LeaseLostError, account
from napari_confseg.store.mending import mend, put_snapshot
from napari_confseg.store.record import PACK_AFTER
from napari_confseg.store.segments import Position, Segment
from napari_confseg.store.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_confseg.store.edits import Patch
    from napari_confseg.store.lease import Holder, Lease
    from napari_confseg.store.pending import PendingEdits
    from napari_confseg.store.rater import Rater
    from napari_confseg.store.record import Line
    from napari_confseg.store.segments import Entry

BATCH = 64
"""Entries brought to the store at a time: of many strokes each plane is written once."""
SLOW = 0.8
"""Seconds after which a store that hasn't answered is said to be away."""
LONGEST_PAUSE = 2.0
"""Seconds between two attempts at a store that is away."""
SNAPSHOT_AFTER = 1000
"""Entries after which planes are kept whole once more: what a replay takes at most."""
PLANES_KEPT = 16
"""Planes (of one frame and class) kept from one batch to the next: people paint where they are."""


@dataclass
class Unfinished:
    """A segment that is on its way to the store.

    Attributes
    ----------
    segment : Segment
        What is written, again and again until it is there: always the same bytes.
    entries : int
        How many pending entries it takes along.
    notes : int or None
        The number of the notes that it takes along.
    """

    segment: Segment
    entries: int
    notes: int | None


class BatchWriter:
    """Appends entries to one rater's record, and lets planes, status and notes follow.

    The record first, then what follows from it, each durable before the next. A batch that fails
    half-way is done again from its beginning, which comes to the same.

    Parameters
    ----------
    rater : Rater
        The group.
    lease : Lease
        Held: its epoch is ours.
    line : Line
        The record as it was when we became the writer.
    """

    def __init__(self, rater: Rater, lease: Lease, line: Line) -> None:
        self._rater, self._lease = rater, lease
        self._epoch = lease.epoch
        self._seen = {p for p in line.names.packs if p[0] < self._epoch}
        self._parent, self._number = line.tip, 0
        self._line = line
        self._planes: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self._view = View.empty(rater.shape[:2])
        self._status = np.zeros(rater.shape[:2], np.uint8)
        self._notes = ClipNotes()
        self._since_snapshot = 0
        self._loose = 0
        self.started = False

    def start(self) -> None:
        """Mend what a crash or somebody else has left behind."""
        rater = self._rater
        rater.sweep()
        rater.bring_in_step()
        mend(rater, self._epoch, self._lease.session)
        now = rater.files.view()
        self._status, self._notes = rater.read_status(), rater.read_clip_notes()
        self._view = replace(now, session=self._lease.session)
        self._since_snapshot = _entries_since_snapshot(self._line)
        # Planes that no edit tells of: from here on the record must be able to.
        unrecorded = now.planes.any() and (not self._line.segments or not self._line.whole)
        if unrecorded and not self._line.names.snapshots:
            put_snapshot(rater, Position(self._epoch, 0))
            self._since_snapshot = 0
        for epoch in sorted({p[0] for p in self._line.names.packs if p[0] < self._epoch}):
            rater.record.pack(epoch, self._line.names)
        self.started = True

    def check(self) -> None:
        """Make sure that nobody else may write, and that nobody else has.

        Raises
        ------
        LeaseLostError
            If another writer has taken over, or one that had lost its right has written late: what
            it wrote is to be looked at before anything goes on.
        """
        names = self._lease.check()
        late = [
            p
            for p in names.packs
            if p[0] < self._epoch
            and not any(q[0] == p[0] and q[1] <= p[1] and p[2] <= q[2] for q in self._seen)
            and not any(q[0] == p[0] and p[1] <= q[1] <= p[2] for q in self._seen)
        ]
        if late:
            holder = self._lease.seen()
            self._lease.release()
            raise LeaseLostError(holder)

    def segment(self, entries: Sequence[Entry]) -> Segment:
        """Return the segment that would bring `entries` to the record."""
        return Segment(
            Position(self._epoch, self._number + 1),
            self._parent,
            self._lease.session,
            account(),
            socket.gethostname(),
            datetime.now(UTC),
            tuple(entries),
        )

    def write(self, segment: Segment) -> None:
        """Bring `segment` to the store; when this returns it is durable there and was read back.

        Raises
        ------
        LeaseLostError
            If another writer has taken over.
        StoreError, OSError
            If the store refuses or is away; nothing is half-remembered here then.
        """
        if not self._rater.record.append(segment):
            raise LeaseLostError(self._lease.seen())  # another one writes under our number
        patches: dict[tuple[int, int], list[Patch]] = {}
        status, notes, strokes = self._status.copy(), self._notes, self._view.strokes
        for entry in segment.entries:
            if entry.kind == "notes":
                notes = notes.changed(parse_changes(entry.data.decode()))
                continue
            strokes += {"edit": 1, "redo": 1, "undo": -1}.get(entry.kind, 0)
            effect = entry.effect()
            if effect is None:
                continue
            for patch in effect.patches:
                patches.setdefault((patch.frame, patch.class_index), []).append(patch)
            for change in effect.status:
                status[change.frame, change.class_index] = change.after
        self._follow(segment, patches, status, notes, strokes)

    def _follow(
        self,
        segment: Segment,
        patches: dict[tuple[int, int], list[Patch]],
        status: NDArray[np.uint8],
        notes: ClipNotes,
        strokes: int,
    ) -> None:
        """Write what follows from `segment`."""
        rater = self._rater
        view = replace(
            self._view, tip=segment.position, strokes=strokes, planes=self._view.planes.copy()
        )
        newest: deque[tuple[tuple[int, int], NDArray[np.uint8]]] = deque(maxlen=PLANES_KEPT)

        def changed() -> Iterator[tuple[tuple[int, int], NDArray[np.uint8]]]:
            # One after the other: an edit may change thousands, which no memory holds.
            for key, those in patches.items():
                plane = self._plane(key).copy()
                for patch in those:
                    patch.apply(plane)
                newest.append((key, plane))
                yield key, plane

        for key, value in rater.put_planes(changed()).items():
            view.planes[key] = value
        if not view.status or not np.array_equal(status, self._status):
            view = replace(view, status=rater.put_status(status))
        if notes != self._notes:
            view = replace(view, notes=rater.put_notes(notes))
        rater.files.put_view(view, self._epoch)
        self._keep(patches.keys(), newest)
        self._view, self._status, self._notes = view, status, notes
        self._parent, self._number = segment.position, segment.position.number
        self._since_snapshot += len(segment.entries)
        self._loose += 1

    def tidy(self, *, leaving: bool = False) -> None:
        """Keep folder and replay small: snapshots and packs, and views of earlier sessions."""
        record = self._rater.record
        if self._number and self._since_snapshot >= SNAPSHOT_AFTER:
            put_snapshot(self._rater, Position(self._epoch, self._number))
            self._since_snapshot = 0
        if self._loose >= PACK_AFTER or (leaving and self._loose > 1):
            names = record.names()
            record.pack(self._epoch, names)
            self._loose = 0
            record.drop_views(names, self._epoch)

    def _plane(self, key: tuple[int, int]) -> NDArray[np.uint8]:
        kept = self._planes.get(key)
        return self._rater.read_plane(*key) if kept is None else kept

    def _keep(
        self,
        changed: Iterable[tuple[int, int]],
        newest: Iterable[tuple[tuple[int, int], NDArray[np.uint8]]],
    ) -> None:
        for key in changed:
            self._planes.pop(key, None)  # as it was
        for key, plane in newest:
            self._planes[key] = plane
        while len(self._planes) > PLANES_KEPT:
            self._planes.popitem(last=False)


def _entries_since_snapshot(line: Line) -> int:
    """Return how many entries a replay would go through."""
    newest = max(line.names.snapshots, default=None)
    return sum(len(s.entries) for s in line.segments if newest is None or s.position > newest)


class WriteBehind:
    """The thread that empties a pending_edits into the store, and keeps the lease alive.

    Parameters
    ----------
    pending_edits : PendingEdits
        What to bring there.
    lease : Lease
        Held; checked before each batch.
    rater : Rater
        Where to.
    line : Line
        The rater's record as we found it.
    place : str
        What people call the store.
    emit_state : callable
        Called from this thread whenever something may have changed.

    Attributes
    ----------
    problem : str or None
        Why the store can't be written, in one sentence.
    lost_to : Holder or None
        Who has taken over; the thread has ended then.
    """

    def __init__(
        self,
        pending_edits: PendingEdits,
        lease: Lease,
        rater: Rater,
        line: Line,
        place: str,
        emit_state: Callable[[], None],
    ) -> None:
        self.problem: str | None = None
        self.lost_to: Holder | None = None
        self._pending_edits, self._lease, self._place, self._emit_state = (
            pending_edits,
            lease,
            place,
            emit_state,
        )
        self._batches = BatchWriter(rater, lease, line)
        self._unfinished: Unfinished | None = None
        self._stop = self._hurry = False
        self._began: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"save {rater.path}", daemon=True)
        self._thread.start()

    @property
    def silence(self) -> str | None:
        """What to say of a store that hasn't answered for a while."""
        began = self._began
        if began is None or time.monotonic() - began < SLOW:
            return None
        return f"{self._place} does not answer"

    def _run(self) -> None:
        try:
            self._loop()
            if self.lost_to is None:
                self._attempt(lambda: self._batches.tidy(leaving=True))
        finally:
            self._lease.release()  # here, where it is certain that nothing is written any more

    def _loop(self) -> None:
        pause = 0.0
        while True:
            # At once the first time: it sweeps, and what the last crash left waiting goes out.
            pause = 0.0 if self._push() else min(max(2 * pause, 0.25), LONGEST_PAUSE)
            self._emit_state()
            if self.lost_to is not None:
                return
            with self._pending_edits.lock:
                rest = 1.0 if self._pending_edits.lags else BEAT.total_seconds()
                self._pending_edits.wake.wait_for(partial(self._due, pause), pause or rest)
                if self._stop:
                    return
                self._hurry = False

    def _due(self, pause: float) -> bool:
        return self._stop or self._hurry or (not pause and not self._pending_edits.idle)

    def _push(self) -> bool:
        """Bring a batch to the store; return whether all went well."""
        with self._pending_edits.lock:
            self._pending_edits.save()
            if self._unfinished is None:
                self._unfinished = self._next()
            unfinished = self._unfinished
        self._began = time.monotonic()
        watch = threading.Timer(SLOW + 0.05, self._emit_state)
        watch.daemon = True
        watch.start()
        problem = self._attempt(lambda: self._write(unfinished))
        watch.cancel()
        with self._pending_edits.lock:
            self._began, self.problem = None, problem
            if problem is None and unfinished is not None:
                self._unfinished = None
                self._pending_edits.applied(unfinished.entries, unfinished.segment.position)
                if unfinished.notes is not None:
                    self._pending_edits.notes_saved(unfinished.notes)
            self._pending_edits.wake.notify_all()
        if problem is None:
            # Housekeeping: what can't be done now is done another time.
            self._attempt(self._batches.tidy)
        return problem is None

    def _next(self) -> Unfinished | None:
        """Return what comes next; None if nothing waits."""
        entries = list(islice(self._pending_edits.pending, BATCH))
        sizes = accumulate(len(entry.data) for entry in entries)
        # The first goes whatever its size: none is larger than a file of the record may be.
        entries = entries[: max(sum(size <= MAX_EDIT for size in sizes), 1)]
        notes = self._pending_edits.unsaved_notes
        taken = [*entries, notes[1]] if notes is not None else entries
        if not taken:
            return None
        number = None if notes is None else notes[0]
        return Unfinished(self._batches.segment(taken), len(entries), number)

    def _attempt(self, action: Callable[[], None]) -> str | None:
        """Do it; return in one sentence why it failed, None if it did not."""
        try:
            action()
        except LeaseLostError as error:
            self.lost_to = error.holder
            return str(error)
        # Whatever a store may raise (OSError, zarr, object stores): say it, keep the edits, retry.
        except Exception as error:
            return f"{self._place} can't be written: {sentence(error)}"
        return None

    def _write(self, unfinished: Unfinished | None) -> None:
        self._batches.check()
        if not self._batches.started:
            self._batches.start()
        if unfinished is not None:
            self._batches.write(unfinished.segment)
            # Once more: only then may the journal forget. Whoever takes over claims a number
            # first and looks for segments then, so either it has seen ours or we see its claim.
            self._batches.check()

    def flush(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until nothing waits; return whether that came true."""
        deadline = time.monotonic() + timeout
        with self._pending_edits.lock:
            while not self._pending_edits.idle and self._thread.is_alive():
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._hurry = True
                self._pending_edits.wake.notify_all()
                self._pending_edits.wake.wait(min(left, 0.25))
            self._hurry = False
            return self._pending_edits.idle

    def stop(self) -> None:
        """End the thread, which gives up the lease; a store that hangs keeps both for longer."""
        with self._pending_edits.lock:
            self._stop = True
            self._pending_edits.wake.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)
