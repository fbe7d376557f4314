"""Write access to a rater's planes: a file lock where there are files, and a lease everywhere.

The lock is the system's own and falls with the process, ``kill -9`` included. A lease is a file
that one session creates, and only it ever writes: its number, the *epoch*, is the fencing token of
etcd. Who takes over creates one with the next number, so that of two who try exactly one succeeds,
locks or not; and whoever finds a higher number than its own has lost its right.

No clock of any machine is trusted: how old a heartbeat is, is told by the clock of the store, or
by watching it not change.
"""

from __future__ import annotations

import getpass
import os
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from filelock import FileLock, Timeout
from pydantic import Field, ValidationError

from napari_confseg.store.backend import KeyValueStore
from napari_confseg.store.errors import Problem, StoreError, field_problems
from napari_confseg.store.record import Record, lease_name
from napari_confseg.store.schema import Moment, Strict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zarr.abc.store import Store

    from napari_confseg.store.record import Names


LOCK = "lease.lock"
BEAT = timedelta(seconds=10)
EXPIRY = timedelta(seconds=30)
"""A lease of another machine is dead when its heartbeat is older than this."""
MAX_LEASE = 4096

_live: set[str] = set()
"""Sessions of this process: what tells a second opener here from a leftover with our pid."""


@dataclass(frozen=True)
class Holder:
    """Who writes now.

    Attributes
    ----------
    name, host : str
        The person's account, and the machine.
    pid : int
        The process there.
    since : datetime
        When it began.
    """

    name: str
    host: str
    pid: int
    since: datetime

    def __str__(self) -> str:
        return f"{self.name} on {self.host} since {self.since.astimezone():%H:%M}"

    @property
    def refusal(self) -> str:
        """Why others cannot write, as a sentence."""
        who, since = f"{self.name} on {self.host}", f"{self.since.astimezone():%H:%M}"
        return f"Read-only: {who} is editing this clip since {since}"


class LeaseFile(Strict):
    """``record/<epoch>.lease``."""

    name: str = Field(max_length=200)
    host: str = Field(max_length=300)
    pid: int = Field(ge=0)
    since: Moment
    session: str = Field(pattern=r"^[0-9a-f]{32}$")
    beats: int = Field(ge=0)

    @property
    def holder(self) -> Holder:
        """Who this names."""
        return Holder(self.name, self.host, self.pid, self.since)


class LeaseLostError(Exception):
    """Another writer has taken over; `holder` names it."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        super().__init__(f"{holder} has taken over")


def account() -> str:
    """Return the name of this person's account."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user in this container
        return "unknown"


def _process_is_gone(pid: int) -> bool:
    if os.name == "nt":  # os.kill would end the process: there the file lock has to tell
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


class Lease:
    """Write access to one rater's group.

    Parameters
    ----------
    keys : KeyValueStore
        The cohort's storage.
    path : str
        The rater's group.

    Attributes
    ----------
    session : str
        Our identity, to machines.
    epoch : int
        The number that we hold, or held last; 0 if none.
    """

    def __init__(self, keys: KeyValueStore, path: str) -> None:
        self.session = uuid4().hex
        self.epoch = 0
        self._keys = keys
        self._path = path
        self._record = Record(keys, path)
        self._lock: FileLock | None = None
        self._mine: LeaseFile | None = None
        self._beaten = 0.0
        self._watched: tuple[bytes, float] | None = None

    @property
    def held(self) -> bool:
        """Whether it is ours, as far as we know."""
        return self._mine is not None

    def acquire(self) -> Holder | None:
        """Try to become the writer, at once; return None, or who is it instead.

        Raises
        ------
        OSError
            If the storage can't be written.
        """
        if not self._take_lock():
            return self.seen()
        try:
            holder = self._take_lease()
        except BaseException:
            self._drop_lock()
            raise
        if holder is not None:
            self._drop_lock()
        return holder

    def seen(self) -> Holder:
        """Return who the newest lease names, or someone unknown if it names nobody."""
        return self._holder(self._record.names())

    def _holder(self, names: Names) -> Holder:
        found = None
        for epoch in names.leases[::-1]:
            if epoch != self.epoch:
                found = _parse(self._read(epoch))
                break
        return (
            found.holder
            if found
            else Holder("another program", socket.gethostname(), 0, datetime.now(UTC))
        )

    def _read(self, epoch: int) -> bytes | None:
        try:
            return self._keys.get(self._record.key(lease_name(epoch)), limit=MAX_LEASE)
        except StoreError:
            return b""  # too large, or no file at all: it names nobody

    def _take_lock(self) -> bool:
        path = self._keys.lock_file(f"{self._path}/{LOCK}")
        if path is None:
            return True
        lock = FileLock(path, timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            return False
        self._lock = lock
        return True

    def _drop_lock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _take_lease(self) -> Holder | None:
        names = self._record.names()
        if names.leases:
            newest = names.leases[-1]
            data = self._read(newest)
            there = _parse(data)
            if there is not None and not self._is_dead(newest, data or b"", there):
                return there.holder
        epoch = names.top + 1
        mine = LeaseFile(
            name=account(),
            host=socket.gethostname(),
            pid=os.getpid(),
            since=datetime.now(UTC),
            session=self.session,
            beats=0,
        )
        if not self._keys.create(self._record.key(lease_name(epoch)), _dump(mine)):
            return self.seen()  # someone was faster
        self._mine, self.epoch = mine, epoch
        self._beaten = time.monotonic()
        _live.add(self.session)
        # Two may have listed before either created, when locks don't travel: the higher one has
        # it, and the lower one finds out here or at its next check.
        with suppress(LeaseLostError):
            self.check()
            return None
        return self.seen()

    def _is_dead(self, epoch: int, data: bytes, there: LeaseFile) -> bool:
        if there.host == socket.gethostname():
            if self._lock is not None or _process_is_gone(there.pid):
                return True  # having the lock proves that who held it here is gone
            if there.pid == os.getpid():
                return there.session not in _live
        if self._watched is None or self._watched[0] != data:
            self._watched = (data, time.monotonic())
        if time.monotonic() - self._watched[1] > EXPIRY.total_seconds():
            return True
        return self._age(epoch) > EXPIRY

    def _age(self, epoch: int) -> timedelta:
        """Return how long ago a lease was last written, by the clock of the store alone."""
        probe = self._record.key(f"{self.session}.probe.partial")
        self._keys.set(probe, b"")
        try:
            now, then = (
                self._keys.modified(probe),
                self._keys.modified(self._record.key(lease_name(epoch))),
            )
        finally:
            self._keys.delete(probe)
        return timedelta(0) if now is None or then is None else now - then

    def check(self) -> Names:
        """Make sure that it is still ours, and let the heartbeat be seen; return what is there.

        Raises
        ------
        LeaseLostError
            If another writer has taken over.
        OSError
            If the storage is away.
        """
        if self._mine is None:
            raise RuntimeError("the lease was never acquired")
        names = self._record.names()
        if names.top > self.epoch or self.epoch not in names.leases:
            self._keys.check_there(self._path)  # else nobody has taken anything over
            holder = self._holder(names)
            self._let_go()
            raise LeaseLostError(holder)
        if time.monotonic() - self._beaten > BEAT.total_seconds():
            mine = self._mine.model_copy(update={"beats": self._mine.beats + 1})
            self._keys.set(self._record.key(lease_name(self.epoch)), _dump(mine))
            self._mine, self._beaten = mine, time.monotonic()
        return names

    def release(self) -> None:
        """Let others write; leaves no lease behind unless the storage is away."""
        if self._mine is not None:
            with suppress(Exception):  # away: it expires by itself
                self._tidy(self._record.names())
        self._let_go()

    def _tidy(self, names: Names) -> None:
        """Remove our lease, and dead ones below it.

        Those only if a file of ours keeps our number taken: else the next one to come would get
        the number of a lease whose owner sleeps and does not know yet that it has lost.
        """
        wrote = self.epoch in names.views or any(p[0] == self.epoch for p in names.packs)
        for epoch in names.leases:
            if epoch == self.epoch or (wrote and epoch < self.epoch):
                self._keys.delete(self._record.key(lease_name(epoch)))

    def _let_go(self) -> None:
        self._mine = None
        _live.discard(self.session)
        self._drop_lock()


class LeaseWatch:
    """Tells who writes raters' planes now, by reading alone.

    A lease of another machine counts as dead once it was watched for ``EXPIRY`` without a beat: ask
    every few seconds. One that has just been found counts as alive.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[bytes, float]] = {}  # a lease and since when it is the same

    def holder(self, keys: KeyValueStore, path: str) -> Holder | None:
        """Return who writes the rater's group at `path`; None if nobody does, or it is ourselves.

        Raises
        ------
        OSError
            If the storage is away.
        """
        record = Record(keys, path)
        leases = record.names().leases
        if not leases:
            return None
        try:
            data = keys.get(record.key(lease_name(leases[-1])), limit=MAX_LEASE)
        except StoreError:
            return None  # too large, or no file at all: it names nobody
        there = _parse(data)
        if there is None or there.session in _live:
            return None
        if there.host == socket.gethostname():
            gone = _process_is_gone(there.pid) or there.pid == os.getpid()
            return None if gone else there.holder
        key, now = f"{path}:{leases[-1]}", time.monotonic()
        before, since = self._seen.get(key, (None, now))
        if before != data:
            self._seen[key] = data or b"", now
            return there.holder
        return there.holder if now - since <= EXPIRY.total_seconds() else None


def _dump(there: LeaseFile) -> bytes:
    return there.model_dump_json().encode()


def _parse(data: bytes | None) -> LeaseFile | None:
    try:
        return None if data is None else LeaseFile.model_validate_json(data)
    except ValidationError:
        return None  # garbage names nobody and holds nothing


def read_lease(data: bytes, path: str) -> LeaseFile:
    """Return the lease in `data`.

    Raises
    ------
    StoreError
        If it breaks the contract.
    """
    try:
        return LeaseFile.model_validate_json(data)
    except ValidationError as error:
        hint = "Delete it when nobody has this clip open."
        raise StoreError(next(field_problems(error, "lease", path, hint))) from error


IMPORT_LOCK = "import.lock"


@contextmanager
def only_import(store: Store, location: str) -> Iterator[None]:
    """Keep other imports out of a cohort meanwhile; the system lets go when a program dies.

    Folders only: an object store has no such lock.

    Raises
    ------
    StoreError
        If another import is under way.
    """
    path = KeyValueStore(store).lock_file(IMPORT_LOCK)
    if path is None:
        yield
        return
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise StoreError(
            Problem(
                "held",
                location,
                "Another import into this cohort is under way",
                hint="Import again when it is done.",
            )
        ) from None
    try:
        yield
    finally:
        lock.release()
