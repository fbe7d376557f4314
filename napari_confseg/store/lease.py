"""One writer for each (clip, rater): a file lock where there are files, and a lease everywhere.

The lock is the system's own and falls with the process, ``kill -9`` included. The lease is a
small object that names the holder; it is all there is in a bucket, and all that another machine
sees of us on a drive whose locks don't travel.
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

from napari_confseg.store.backend import local_root
from napari_confseg.store.durable import make_folders
from napari_confseg.store.errors import Problem, StoreError, field_problems
from napari_confseg.store.schema import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zarr.abc.store import Store

    from napari_confseg.store.backend import KeyValueStore


LEASE, LOCK = "lease.json", "lease.lock"
BEAT = timedelta(seconds=10)
EXPIRY = timedelta(seconds=30)
"""A lease of another machine is dead when its heartbeat is older than this."""

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
    """``lease.json``."""

    name: str = Field(max_length=200)
    host: str = Field(max_length=300)
    pid: int = Field(ge=0)
    since: datetime
    beat: datetime
    session: str = Field(pattern=r"^[0-9a-f]{32}$")

    @property
    def holder(self) -> Holder:
        """Who this names."""
        return Holder(self.name, self.host, self.pid, self.since)


class LeaseLostError(Exception):
    """Another writer has taken over; `holder` names it."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        super().__init__(f"{holder} has taken over")


def _account() -> str:
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
    """

    def __init__(self, keys: KeyValueStore, path: str) -> None:
        self.session = uuid4().hex
        self._keys = keys
        self._key = f"{path}/{LEASE}"
        root = local_root(keys.store)
        self._lock_path = None if root is None else root / path / LOCK
        self._lock: FileLock | None = None
        self._mine: LeaseFile | None = None
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
        """Return who the lease names, or someone unknown if it names nobody."""
        record = _parse(self._keys.get(self._key))
        return (
            record.holder
            if record
            else Holder("another program", socket.gethostname(), 0, datetime.now(UTC))
        )

    def _take_lock(self) -> bool:
        if self._lock_path is None:
            return True
        make_folders(self._lock_path.parent)
        lock = FileLock(self._lock_path, timeout=0, thread_local=False)
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
        data = self._keys.get(self._key)
        record = _parse(data)
        if record is not None and not self._is_dead(data or b"", record):
            return record.holder
        now = datetime.now(UTC)
        mine = LeaseFile(
            name=_account(),
            host=socket.gethostname(),
            pid=os.getpid(),
            since=now,
            beat=now,
            session=self.session,
        )
        if not self._keys.swap(self._key, data, _dump(mine)):
            return self.seen()
        self._mine = mine
        _live.add(self.session)
        return None

    def _is_dead(self, data: bytes, record: LeaseFile) -> bool:
        if record.host == socket.gethostname():
            if self._lock is not None or _process_is_gone(record.pid):
                return True  # having the lock proves that who held it here is gone
            if record.pid == os.getpid():
                return record.session not in _live
        # Clocks of two machines may differ, so what we have watched not to beat is dead as well.
        if self._watched is None or self._watched[0] != data:
            self._watched = (data, time.monotonic())
        unchanged = time.monotonic() - self._watched[1]
        return datetime.now(UTC) - record.beat > EXPIRY or unchanged > EXPIRY.total_seconds()

    def check(self) -> None:
        """Make sure that it is still ours, and let the heartbeat be seen.

        Raises
        ------
        LeaseLostError
            If another writer has taken over.
        OSError
            If the storage is away.
        """
        if self._mine is None:
            raise RuntimeError("the lease was never acquired")
        data = self._keys.get(self._key)
        record = _parse(data)
        if record is not None and record.session != self.session:
            self._let_go()
            raise LeaseLostError(record.holder)
        now = datetime.now(UTC)
        if record is None or now - record.beat > BEAT:
            mine = self._mine.model_copy(update={"beat": now})
            if not self._keys.swap(self._key, data, _dump(mine)):
                return self.check()  # someone was faster: see who
            self._mine = mine
        return None

    def release(self) -> None:
        """Let others write; leaves no lease behind unless the storage is away."""
        if self._mine is not None:
            with suppress(Exception):  # away: it expires by itself
                record = _parse(self._keys.get(self._key))
                if record is not None and record.session == self.session:
                    self._keys.delete(self._key)
        self._let_go()

    def _let_go(self) -> None:
        self._mine = None
        _live.discard(self.session)
        self._drop_lock()


def _dump(record: LeaseFile) -> bytes:
    return record.model_dump_json().encode()


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
    root = local_root(store)
    if root is None:
        yield
        return
    lock = FileLock(root / IMPORT_LOCK, timeout=0, thread_local=False)
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
