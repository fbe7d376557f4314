"""The one writer of a rater's planes: commits at once, writes behind, undoes after a restart."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np
from psygnal import Signal

from napari_confseg.store.acts import Act, pack
from napari_confseg.store.backend import Keys
from napari_confseg.store.behind import Applier
from napari_confseg.store.history import History
from napari_confseg.store.journal import Entry, Journal, JournalHeldError, journal_folder
from napari_confseg.store.lease import BEAT, Holder, Lease, LeaseLostError
from napari_confseg.store.problems import Problem, StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.store.cohort import Cohort
    from napari_confseg.store.rater import Rater
    from napari_confseg.store.strokes import Stroke

BATCH = 64
"""Entries brought to the store at a time: a backlog writes each plane once for many strokes."""
SLOW = 0.8
"""Seconds after which a store that hasn't answered is said to be away."""


@dataclass(frozen=True)
class SaveState:
    """What is safe, and where.

    Attributes
    ----------
    saved_at : datetime or None
        When the last act became safe.
    waiting : int
        Acts, undos and redos that are safe in the journal and not yet in the store.
    problem : str or None
        Why the store or the journal can't be reached, in one sentence.
    unsaved : int
        Acts that neither journal nor store could take yet: lost if the program ends now.
    read_only : bool
        Whether commits are refused, or wait until another writer is done.
    holder : Holder or None
        Who writes instead of us.
    """

    saved_at: datetime | None = None
    waiting: int = 0
    problem: str | None = None
    unsaved: int = 0
    read_only: bool = False
    holder: Holder | None = None


class RaterWriter:
    """Writes one rater's planes, status and record on one clip. Use :meth:`open`.

    Acts are committed to the journal on the local disk; a thread brings them to the store.

    Attributes
    ----------
    changed : psygnal.Signal
        Emitted with the new :class:`SaveState`, **also from the write-behind thread**: connect
        with ``thread="main"`` or through a queued Qt signal, and never block in it.
    """

    changed = Signal(SaveState)

    def __init__(self, cohort: Cohort, clip: str, rater: str, *, label: str | None,
                 journal_path: Path) -> None:  # fmt: skip
        self._clip = cohort.clip(clip)
        self._name, self._label = rater, label
        self._path = f"{clip}/raters/{rater}"
        self._place = cohort.location
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)
        self._pending: deque[Entry] = deque()
        self._unsaved: list[Entry] = []
        self._history = History()
        self._rater: Rater | None = None
        self._applier: Applier | None = None
        self._thread: threading.Thread | None = None
        self._closing = self._hurry = self._fenced = False
        self._store_problem: str | None = None
        self._journal_problem: str | None = None
        self._holder: Holder | None = None
        self._saved_at: datetime | None = None
        self._push_began: float | None = None
        self._last_state = SaveState()
        self._journal_path = journal_path
        self._journal: Journal | None = None
        self._lease = Lease(Keys(cohort.store), self._path)
        self._cohort = cohort

    @classmethod
    def open(
        cls,
        cohort: Cohort,
        clip: str,
        rater: str,
        *,
        label: str | None = None,
        journal_root: Path | None = None,
    ) -> Self:
        """Open `rater` on `clip` for writing; never waits for another writer.

        Makes the rater if there is none, and brings to the store what the journal has beyond it.
        If another writer has it, the result is read-only and its state names the holder.

        Parameters
        ----------
        cohort : Cohort
            Where.
        clip, rater : str
            Slugs of an existing clip and of the rater, made as a human if missing.
        label : str, optional
            What people read as the name of a new rater.
        journal_root : Path, optional
            Where journals live; :func:`journal_folder` if not given.

        Raises
        ------
        StoreError
            If there is no such clip, or something in the store breaks the contract.
        """
        root = journal_root or journal_folder()
        path = root / "journals" / cohort.meta.cohort_id / clip / f"{rater}.sqlite"
        writer = cls(cohort, clip, rater, label=label, journal_path=path)
        try:
            writer.retry_lock()
        except BaseException:
            writer.abandon()
            raise
        return writer

    # -- becoming the writer

    def retry_lock(self) -> bool:
        """Try to become the writer; return whether it is so now.

        On success the planes, status and strokes may have changed: load them again.
        """
        with self._lock:
            if self._lease.held:
                return True
            self._holder = self._store_problem = None
            self._save_journal()
            if not self._unsaved:
                self._try_to_hold()
            if self._lease.held:
                self._start()
        self._tell()
        return self._lease.held

    def _try_to_hold(self) -> None:
        if self._cohort.store.read_only:
            self._store_problem = f"{self._place} was opened for reading only"
        else:
            self._open_journal()
        try:
            if self._holder is None and self._store_problem is None:
                self._holder = self._lease.acquire()
            self._load_rater(create=self._lease.held)
        except StoreError:
            self._lease.release()
            raise
        # Whatever a store may raise when it can't be written: we are a reader then, and say why.
        except Exception as error:
            self._lease.release()
            self._store_problem = f"{self._place} can't be written: {_sentence(error)}"
            self._load_rater(create=False)

    def _open_journal(self) -> None:
        if self._journal is not None:
            return
        try:
            self._journal = Journal(self._journal_path)
        except JournalHeldError:  # another program of this account has it, and so the rater
            self._holder = self._lease.seen()
        except (OSError, sqlite3.Error) as error:
            self._journal_problem = f"the journal can't be opened: {_sentence(error)}"

    def _load_rater(self, *, create: bool) -> None:
        clip = self._clip
        if self._name in clip.raters():
            self._rater = clip.rater(self._name)
        elif create:
            self._rater = clip.create_rater(self._name, kind="human", label=self._label)
        else:
            self._rater = None
        record = [] if self._rater is None else self._rater.read_strokes()
        session = None if self._rater is None else self._rater.meta.session
        self._history, waiting = History.load(
            self._journal, record, session, become=self._lease.session if create else None
        )
        self._pending = deque(waiting)
        self._saved_at = max((s.time for s in self._history.strokes.values()), default=None)

    def _start(self) -> None:
        assert self._rater is not None
        self._applier = Applier(self._rater)
        self._fenced = False
        self._thread = threading.Thread(target=self._run, name=f"save {self._path}", daemon=True)
        self._thread.start()

    # -- what is shown

    @property
    def state(self) -> SaveState:
        """What is safe now."""
        with self._lock:
            problem = self._store_problem or self._journal_problem
            slow = self._push_began is not None and time.monotonic() - self._push_began > SLOW
            if slow and problem is None:
                problem = f"{self._place} does not answer"
            first = self._pending[0].id if self._pending else self._history.next_id
            unsaved = [e for e in self._unsaved if e.id >= first]
            return SaveState(
                saved_at=self._saved_at,
                waiting=len(self._pending) - len(unsaved),
                problem=problem,
                unsaved=len(unsaved),
                read_only=not self._lease.held,
                holder=self._holder,
            )

    def _tell(self) -> None:
        state = self.state
        if state != self._last_state:
            self._last_state = state
            self.changed.emit(state)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T, C, Y, X)."""
        t, y, x = self._clip.shape
        return t, len(self._cohort.meta.classes), y, x

    def load_planes(self, class_index: int) -> NDArray[np.uint8]:
        """Return the planes of a class, ``uint8 (T, Y, X)``: the store's and what still waits."""
        with self._lock:  # before reading: what reaches the store meanwhile is applied twice
            waiting = list(self._pending)
        t, _, y, x = self.shape
        planes = (
            np.zeros((t, y, x), np.uint8)
            if self._rater is None
            else self._rater.read_planes(class_index)
        )
        for entry in waiting:
            for patch in entry.effect().patches:
                if patch.class_index == class_index:
                    patch.apply(planes[patch.frame])
        return planes

    def load_status(self) -> NDArray[np.uint8]:
        """Return the status, ``uint8 (T, C)``: the store's and what still waits."""
        with self._lock:
            waiting = list(self._pending)
        t, c, *_ = self.shape
        status = np.zeros((t, c), np.uint8) if self._rater is None else self._rater.read_status()
        for entry in waiting:
            for change in entry.effect().status:
                status[change.frame, change.class_index] = change.after
        return status

    def strokes(self) -> list[Stroke]:
        """Return the record of strokes, oldest first, undone ones included."""
        with self._lock:
            return [self._history.strokes[seq] for seq in sorted(self._history.strokes)]

    # -- acts

    def commit(self, act: Act) -> Stroke:
        """Make `act` safe; return its line in the record.

        It is in the journal when this returns, unless ``state.unsaved`` counts it: then the
        journal's disk has refused, and it is kept in memory and tried again.

        Raises
        ------
        StoreError
            If another writer has this rater, or `act` does not fit the planes.
        """
        with self._lock:
            self._check_writable()
            act.check(self.shape)
            stroke = act.stroke(self._history.next_seq, datetime.now(UTC))
            i = self._history.next_id
            self._log(Entry(i, "act", i, stroke, pack(act)))
        self._tell()
        return stroke

    @property
    def can_undo(self) -> bool:
        """Whether there is an act to undo."""
        with self._lock:
            return self._applier is not None and bool(self._history.done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone act to redo."""
        with self._lock:
            return self._applier is not None and bool(self._history.undone)

    def undo(self) -> Act | None:
        """Undo the last act; return what to apply to planes and status in memory, or None."""
        return self._turn("undo")

    def redo(self) -> Act | None:
        """Redo the act undone last; return what to apply to planes and status, or None."""
        return self._turn("redo")

    def _turn(self, kind: str) -> Act | None:
        with self._lock:
            stack = self._history.done if kind == "undo" else self._history.undone
            if not stack or self._applier is None:
                return None
            of = self._find(stack[-1])
            entry = Entry(self._history.next_id, "undo" if kind == "undo" else "redo", of.act_id,
                          of.stroke, of.data)  # fmt: skip
            self._log(entry)
        self._tell()
        return entry.effect()

    def _find(self, act_id: int) -> Entry:
        for entry in self._unsaved:
            if entry.id == act_id:
                return entry
        if self._journal is None:
            raise KeyError(act_id)
        return self._journal.act(act_id)

    def _check_writable(self) -> None:
        # Having been the writer is enough: should another have taken over since, the journal
        # still keeps the act until this one writes again.
        if self._applier is None:
            holder = f"held by {self._holder}" if self._holder else self._store_problem or "closed"
            raise StoreError(
                Problem("read-only", self._path, "the right to write", holder,
                        "Wait until it is free, or paint under another name.")
            )  # fmt: skip

    def _log(self, entry: Entry) -> None:
        self._history.add(entry)
        self._pending.append(entry)
        self._unsaved.append(entry)
        self._save_journal()
        self._wake.notify_all()

    def _save_journal(self) -> None:
        """Try to get what is unsaved into the journal."""
        if not self._unsaved:
            return
        try:
            if self._journal is None:
                self._journal = self._late_journal()
            self._journal.append(self._unsaved)
        except (OSError, sqlite3.Error, JournalHeldError) as error:
            self._journal_problem = f"the journal can't be written: {_sentence(error)}"
            return
        self._unsaved.clear()
        self._journal_problem = None
        self._saved_at = datetime.now(UTC)

    def _late_journal(self) -> Journal:
        """Open a journal that couldn't be opened in the beginning."""
        journal = Journal(self._journal_path)
        if journal.outline():
            journal.close()
            raise OSError("it holds strokes of an earlier time: open this clip anew")
        journal.rewrite(next_session=self._lease.session)
        return journal

    # -- write-behind

    def _run(self) -> None:
        pause = 0.0
        while True:
            with self._lock:
                rest = 1.0 if self._unsaved else BEAT.total_seconds()
                self._wake.wait_for(partial(self._due, pause), pause or rest)
                if self._closing and not (self._pending and self._hurry):
                    return
                self._hurry = False
            pause = 0.0 if self._push() else min(max(2 * pause, 0.25), 5.0)
            self._tell()
            if self._fenced:
                return

    def _due(self, pause: float) -> bool:
        return self._closing or self._hurry or (not pause and bool(self._pending))

    def _push(self) -> bool:
        """Bring a batch to the store; return whether all went well."""
        applier = self._applier
        assert applier is not None
        with self._lock:
            self._save_journal()
            batch = [self._pending[i] for i in range(min(BATCH, len(self._pending)))]
            self._push_began = time.monotonic()
        watch = threading.Timer(SLOW + 0.05, self._tell)
        watch.daemon = True
        watch.start()
        problem = None
        try:
            self._lease.check()
            if batch:
                applier.announce(self._lease.session)
                applier.apply(batch)
        except LeaseLostError as error:
            problem, self._holder, self._fenced = str(error), error.holder, True
        # Whatever a store may raise (OSError, zarr, object stores): say it, keep the acts, retry.
        except Exception as error:
            problem = f"{self._place} can't be written: {_sentence(error)}"
        finally:
            watch.cancel()
        with self._lock:
            self._push_began, self._store_problem = None, problem
            if problem is None and batch:
                self._applied(batch)
            self._wake.notify_all()
            return problem is None

    def _applied(self, batch: list[Entry]) -> None:
        for _ in batch:
            self._pending.popleft()
        if self._unsaved and self._unsaved[-1].id <= batch[-1].id:
            self._saved_at = datetime.now(UTC)  # safe in the store if not in the journal
        if self._journal is not None:
            # Not noted, they are applied once more at the next opening, which changes nothing.
            with suppress(OSError, sqlite3.Error):
                self._journal.mark_applied(batch[-1].id, self._lease.session)

    def flush(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until nothing waits; return whether that came true."""
        deadline = time.monotonic() + timeout
        with self._lock:
            while self._pending:
                left = deadline - time.monotonic()
                if left <= 0 or self._thread is None or not self._thread.is_alive():
                    break
                self._hurry = True
                self._wake.notify_all()
                self._wake.wait(min(left, 0.25))
            return not self._pending

    def close(self, timeout: float = 5.0) -> None:
        """Bring what waits to the store, if it answers in time, and let others write.

        What still waits then stays in the journal for the next opening.

        Raises
        ------
        StoreError
            If there are acts that neither journal nor store could take; the writer stays open.
        """
        self.flush(timeout)
        with self._lock:
            if self.state.unsaved:
                raise StoreError(
                    Problem("unsaved", self._path, "a journal or store that can be written",
                            self._journal_problem or "none",
                            "Free some disk space and close again.")
                )  # fmt: skip
        self.abandon()

    def abandon(self) -> None:
        """Stop at once and let others write; what is in the journal stays there."""
        with self._lock:
            self._closing = True
            self._wake.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)
        with self._lock:
            self._lease.release()
            self._applier = None
            if self._journal is not None:
                self._journal.close()
                self._journal = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()


def _sentence(error: BaseException) -> str:
    """Return one line that says what an error says."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
