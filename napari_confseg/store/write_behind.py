"""Write-behind: what is committed is brought to the store, in order, again until it is there."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store.errors import sentence
from napari_confseg.store.lease import BEAT, LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.store.clip_notes import ClipNotes
    from napari_confseg.store.journal import Entry
    from napari_confseg.store.lease import Holder, Lease
    from napari_confseg.store.pending import PendingEdits
    from napari_confseg.store.rater import Rater

BATCH = 64
"""Entries brought to the store at a time: of many strokes each plane is written once."""
SLOW = 0.8
"""Seconds after which a store that hasn't answered is said to be away."""
LONGEST_PAUSE = 2.0
"""Seconds between two attempts at a store that is away."""
PLANES_KEPT = 16
"""Planes (of one frame and class) kept from one batch to the next: people paint where they are."""


class BatchWriter:
    """Applies entries to one rater's group.

    Planes first, then status, then the record of strokes, each durable before the next. A batch
    that fails half-way is applied again from its beginning, which comes to the same.

    Parameters
    ----------
    rater : Rater
        The group; this is its only writer.
    """

    def __init__(self, rater: Rater) -> None:
        self._rater = rater
        self._planes: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self.status = rater.read_status()
        self.record = {s.seq: s for s in rater.read_strokes()}

    def sweep(self) -> None:
        """Remove what a crash left half-written."""
        self._rater.sweep()

    def announce(self, session: str) -> None:
        """Write down once that `session` is the rater's writer from here on."""
        if self._rater.meta.session != session:
            self._rater.update_meta(epoch=self._rater.meta.epoch + 1, session=session)

    def write_notes(self, notes: ClipNotes) -> None:
        """Bring the reader's notes on the clip to the store."""
        self._rater.write_clip_notes(notes)

    def apply(self, entries: Sequence[Entry]) -> None:
        """Bring `entries` to the store; when this returns they are durable there.

        Raises
        ------
        StoreError, OSError
            If the store refuses or is away; nothing is half-remembered here then.
        """
        planes: dict[tuple[int, int], NDArray[np.uint8]] = {}
        status = self.status.copy()
        record = dict(self.record)
        for entry in entries:
            edit = entry.effect()
            for patch in edit.patches:
                key = patch.frame, patch.class_index
                if key not in planes:
                    planes[key] = self._plane(key).copy()
                patch.apply(planes[key])
            for change in edit.status:
                status[change.frame, change.class_index] = change.after
            record[entry.stroke.seq] = entry.record()
        for (frame, class_index), plane in planes.items():
            self._rater.write_plane(frame, class_index, plane)
        if not np.array_equal(status, self.status):
            self._rater.write_status(status)
        self._rater.write_strokes(record[seq] for seq in sorted(record))
        self._keep(planes)
        self.status, self.record = status, record

    def _plane(self, key: tuple[int, int]) -> NDArray[np.uint8]:
        kept = self._planes.get(key)
        return self._rater.read_plane(*key) if kept is None else kept

    def _keep(self, planes: dict[tuple[int, int], NDArray[np.uint8]]) -> None:
        for key, plane in planes.items():
            self._planes[key] = plane
            self._planes.move_to_end(key)
        while len(self._planes) > PLANES_KEPT:
            self._planes.popitem(last=False)


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
        self._applier = BatchWriter(rater)
        self._stop = self._hurry = self._swept = False
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
            batch = list(islice(self._pending_edits.pending, BATCH))
        self._began = time.monotonic()
        watch = threading.Timer(SLOW + 0.05, self._emit_state)
        watch.daemon = True
        watch.start()
        problem = self._attempt(lambda: self._write(batch))
        with self._pending_edits.lock:
            if problem is None and batch:
                self._pending_edits.applied(batch, self._lease.session)
            found = self._pending_edits.unsaved_notes
        if problem is None and found is not None:
            number, notes = found
            problem = self._attempt(lambda: self._applier.write_notes(notes))
        watch.cancel()
        with self._pending_edits.lock:
            self._began, self.problem = None, problem
            if problem is None and found is not None:
                self._pending_edits.notes_saved(number)
            self._pending_edits.wake.notify_all()
        return problem is None

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

    def _write(self, batch: Sequence[Entry]) -> None:
        self._lease.check()
        if not self._swept:
            self._applier.sweep()
            self._swept = True
        if batch:
            self._applier.announce(self._lease.session)
            self._applier.apply(batch)

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
