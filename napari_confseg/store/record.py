"""The record of a rater on a clip: whole edits in files that are only ever created.

The record is the truth, and planes, status and notes are a view of it (as etcd and Git have it).
A session of a writer claims a number of its own, its *epoch*, and creates numbered segments under
it; nobody writes into a file of another's, so a writer that has lost its right and wakes up late
can add to the record, which is seen, but destroy nothing.

Each segment but the first names its parent, the segment that it follows. The line that holds is
walked back from the newest segment of the highest epoch. What is not on it is *stranded*: kept,
listed, and offered for a decision.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from napari_confseg.store.backend import local_root
from napari_confseg.store.durable import PARTIAL
from napari_confseg.store.segments import Position, Segment, damaged, parse_segments
from napari_confseg.store.threads import map_bounded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_confseg.store.backend import KeyValueStore
    from napari_confseg.store.segments import Entry, EntryId


RECORD = "record"
"""Folder of a rater that holds its segments, packs, snapshots, views and leases."""
MAX_FILE = 256 * 2**20
"""Bytes; a file of a record that is larger is refused unread."""
PACK_AFTER = 128
"""Segments of one session that are put together into one file: folders stay small."""

_NAME = re.compile(r"(\d{6,9})-(\d{6,9})-(\d{6,9})\.edits")
_SNAPSHOT = re.compile(r"(\d{6,9})-(\d{6,9})\.planes")
_OTHER = re.compile(r"(\d{6,9})\.(lease|view)")


@dataclass(frozen=True)
class Names:
    """The files of a record, by name alone: nothing has been read.

    Attributes
    ----------
    packs : tuple of (int, int, int)
        Epoch, first and last number of each file of segments.
    snapshots : tuple of Position
        The positions that a snapshot was made at.
    leases, views : tuple of int
        Epochs that have one.
    strange : tuple of str
        Names that belong to nothing of the contract.
    """

    packs: tuple[tuple[int, int, int], ...] = ()
    snapshots: tuple[Position, ...] = ()
    leases: tuple[int, ...] = ()
    views: tuple[int, ...] = ()
    strange: tuple[str, ...] = ()

    @classmethod
    def sort(cls, names: Iterable[str]) -> Names:
        """Return `names` sorted out."""
        packs: list[tuple[int, int, int]] = []
        snapshots: list[Position] = []
        leases: list[int] = []
        views: list[int] = []
        strange: list[str] = []
        for name in names:
            if m := _NAME.fullmatch(name):
                packs.append((int(m[1]), int(m[2]), int(m[3])))
            elif m := _SNAPSHOT.fullmatch(name):
                snapshots.append(Position(int(m[1]), int(m[2])))
            elif m := _OTHER.fullmatch(name):
                (leases if m[2] == "lease" else views).append(int(m[1]))
            else:
                strange.append(name)
        return cls(
            tuple(sorted(packs)),
            tuple(sorted(snapshots)),
            tuple(sorted(leases)),
            tuple(sorted(views)),
            tuple(strange),
        )

    @property
    def tip(self) -> Position | None:
        """The newest segment of the highest epoch; None if there is no segment."""
        return max((Position(e, last) for e, _, last in self.packs), default=None)

    @property
    def top(self) -> int:
        """The highest epoch that was ever claimed, as far as any file tells; 0 if none was."""
        epochs = (*(e for e, _, _ in self.packs), *self.leases, *self.views)
        return max((*epochs, *(p.epoch for p in self.snapshots)), default=0)


@dataclass
class Line:
    """The segments that hold, in order, and those that were left behind.

    Attributes
    ----------
    segments : list of Segment
        From the first to the newest.
    stranded : list of Segment
        Written by sessions that had lost their right; what a person has decided since, or what
        reached the line by another way, is not among them.
    missing : Position or None
        A segment that is named as a parent and is not there.
    names : Names
        What the folder held.
    """

    segments: list[Segment] = field(default_factory=list)
    stranded: list[Segment] = field(default_factory=list)
    missing: Position | None = None
    names: Names = field(default_factory=Names)

    @property
    def tip(self) -> Position | None:
        """The newest segment."""
        return self.segments[-1].position if self.segments else None

    def entries(self, after: Position | None = None) -> list[Entry]:
        """Return the entries of the line in order; only those after a segment, if it is given."""
        found: list[Entry] = []
        on = after is None
        for segment in self.segments:
            if on:
                found += segment.entries
            on = on or segment.position == after
        return found

    @property
    def ids(self) -> set[EntryId]:
        """Identities of all entries on the line."""
        return {e.id for segment in self.segments for e in segment.entries}

    @property
    def whole(self) -> bool:
        """Whether every edit has its pixels, so that planes can be made of it from nothing."""
        return self.missing is None and all(
            e.data for s in self.segments for e in s.entries if e.kind != "notes"
        )


class Record:
    """Files of one rater's record.

    Parameters
    ----------
    keys : KeyValueStore
        The cohort's storage.
    path : str
        The rater's group.
    """

    def __init__(self, keys: KeyValueStore, path: str) -> None:
        self._keys = keys
        self.path = f"{path}/{RECORD}"
        self._known: dict[str, list[Segment]] = {}

    def key(self, name: str) -> str:
        """Return the key of a file called `name`."""
        return f"{self.path}/{name}"

    def names(self) -> Names:
        """Return what files there are."""
        prefix = f"{self.path}/"
        return Names.sort(
            key.removeprefix(prefix)
            for key in self._keys.under(self.path)
            if key.startswith(prefix) and not key.endswith(PARTIAL)
        )

    def read(self, names: Names | None = None) -> Line:
        """Return the line, read whole; files that were read before are not read again.

        Raises
        ------
        StoreError
            If a file is damaged.
        """
        for attempt in range(3):
            found = names or self.names()
            try:
                return _walk(self._segments(found), found)
            except FileNotFoundError:  # put into a pack since it was listed: look again
                if attempt == 2:
                    raise
                names = None
        raise AssertionError("not reached")

    def _segments(self, names: Names) -> dict[Position, Segment]:
        files = [pack_name(*pack) for pack in _widest(names.packs)]
        found: dict[Position, Segment] = {}
        for segments in map_bounded(self._file, files):
            found |= {s.position: s for s in segments}
        return found

    def _file(self, name: str) -> list[Segment]:
        known = self._known.get(name)
        if known is None:
            data = self.fetch(name)
            if data is None:
                raise FileNotFoundError(self.key(name))
            known = parse_segments(data, self.key(name))
            if [s.position for s in known] != positions_in(name):
                raise damaged(self.key(name), "it does not hold the segments of its name")
            # Files of a record never change, so what was read once is known for ever.
            self._known[name] = known
        return known

    def learn(self, other: Record) -> None:
        """Take over what another has read of the same record, so that it is not read again."""
        self._known |= other._known

    def fetch(self, name: str) -> bytes | None:
        """Return what is in the file called `name`, or None."""
        return self._keys.get(self.key(name), limit=MAX_FILE)

    def append(self, segment: Segment) -> bool:
        """Create a segment, durably, and read it back; return False if another is there.

        Raises
        ------
        OSError
            If what is read back differs from what was written.
        """
        key = self.key(pack_name(*segment.position, segment.position.number))
        if not self._keys.create(key, segment.data):
            return False
        if self._keys.get(key, limit=MAX_FILE) != segment.data:
            raise OSError(f"{key} reads back other than it was written")
        return True

    def put_snapshot(self, position: Position, data: bytes) -> None:
        """Create the snapshot at `position`, unless there is one."""
        self._keys.create(self.key(snapshot_name(position)), data)

    def pack(self, epoch: int, names: Names) -> None:
        """Put the segments of a session into one file, if there are several.

        The whole one is there, durably, before the parts are removed; a crash in between leaves
        both, which say the same.
        """
        mine = [p for p in names.packs if p[0] == epoch]
        numbers = _widest(mine)
        for p in set(mine) - set(numbers):  # a crash left it beside the whole one
            self._keys.delete(self.key(pack_name(*p)))
        loose = [p for p in numbers if p[2] - p[1] < PACK_AFTER - 1]
        run: list[tuple[int, int, int]] = []
        for p in loose:
            if run and run[-1][2] + 1 != p[1]:
                break
            run.append(p)
        if len(run) < 2:
            return
        parts = [pack_name(*p) for p in run]
        try:
            held = [self._file(name) for name in parts]
        except FileNotFoundError:
            return  # put together since `names` were listed, perhaps by us before an error
        sizes = accumulate(sum(len(s.data) for s in segments) for segments in held)
        n = sum(size <= MAX_FILE for size in sizes)  # what is larger could not be read again
        if n < 2:
            return
        parts, segments = parts[:n], [s for segments in held[:n] for s in segments]
        whole = pack_name(epoch, run[0][1], run[n - 1][2])
        data = b"".join(s.data for s in segments)
        if self._keys.create(self.key(whole), data):
            self._known[whole] = segments
            for name in parts:
                self._keys.delete(self.key(name))
                self._known.pop(name, None)

    def drop_views(self, names: Names, epoch: int) -> None:
        """Remove views of sessions before `epoch`, which has one of its own."""
        if epoch in names.views:
            for older in names.views:
                if older < epoch:
                    self._keys.delete(self.key(view_name(older)))


def pack_name(epoch: int, first: int, last: int) -> str:
    """Return the name of the file that holds segments `first` to `last` of a session."""
    return f"{epoch:06d}-{first:06d}-{last:06d}.edits"


def positions_in(name: str) -> list[Position]:
    """Return the segments that a file called `name` holds."""
    epoch, first, last = map(int, name.removesuffix(".edits").split("-"))
    return [Position(epoch, number) for number in range(first, last + 1)]


def snapshot_name(position: Position) -> str:
    """Return the name of the snapshot at `position`."""
    return f"{position.epoch:06d}-{position.number:06d}.planes"


def lease_name(epoch: int) -> str:
    """Return the name of the lease of a session."""
    return f"{epoch:06d}.lease"


def view_name(epoch: int) -> str:
    """Return the name of the file in which a session says what planes and status should be."""
    return f"{epoch:06d}.view"


def _widest(packs: Iterable[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Return the files that are needed: none that another one holds whole."""
    kept: list[tuple[int, int, int]] = []
    for epoch, first, last in sorted(packs, key=lambda p: (p[0], p[1], -p[2])):
        if not (kept and kept[-1][0] == epoch and last <= kept[-1][2]):
            kept.append((epoch, first, last))
    return kept


def _walk(segments: dict[Position, Segment], names: Names) -> Line:
    """Return the line that ends at the newest segment of the highest epoch."""
    back: list[Segment] = []
    at, missing = max(segments, default=None), None
    while at is not None:
        segment = segments.get(at)
        if segment is None or segment in back[-1:]:
            missing = at
            break
        back.append(segment)
        following = segment.parent
        # Epochs and numbers only ever grow along the line: a loop is damage.
        if following is not None and following >= at:
            missing = following
            break
        at = following
    line = Line(back[::-1], missing=missing, names=names)
    if missing is not None:
        return line  # what is before the gap is cut off, not left behind
    on, ids = {s.position for s in line.segments}, line.ids
    line.stranded = [
        s
        for p, s in sorted(segments.items())
        if p not in on and any(e.id not in ids for e in s.entries)
    ]
    return line


def sweep_partials(keys: KeyValueStore, path: str) -> None:
    """Remove files of the rater at `path` that a crash left; the caller is its only writer."""
    # A bucket has none that are half-written, but a lease may have asked it for the time.
    prefix = f"{path}/{RECORD}/" if local_root(keys.store) is None else path
    for key in keys.under(prefix):
        if key.endswith(PARTIAL):
            keys.delete(key)
