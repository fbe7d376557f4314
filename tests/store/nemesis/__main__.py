"""Rounds of painting, kills, stops and a share that goes away; after each, a judge."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import numpy as np

from napari_confseg.store import Cohort, RaterWriter, lease, pending, validate, write_behind
from napari_confseg.store import writer as writers
from napari_confseg.store.backend import KeyValueStore, Location
from napari_confseg.store.repair import repair
from napari_confseg.store.segments import EntryId
from tests.conftest import add_clip
from tests.store.bucket import Bucket
from tests.store.nemesis.judge import Judge, told
from tests.store.nemesis.proxy import FaultyProxy
from tests.store.painting import Painter, seen

MACHINES = 3


SKEW = {"machine-0": -86_400, "machine-1": 0, "machine-2": 40_000_000, "judge": 3_600}
"""By how many seconds the clock of each machine is wrong."""
FRESH = 25
"""Rounds on one clip: what the judge has to do grows with the square of the strokes."""


def be(machine: str) -> None:
    """Let this process be `machine`.

    No lock of another is seen, leases expire soon, packs and snapshots come early, its clock is
    wrong, and the store's clock tells even seconds only, as on a FAT drive.
    """
    socket.gethostname = lambda: machine
    KeyValueStore.lock_file = lambda self, key: None  # type: ignore[method-assign]
    lease.EXPIRY, lease.BEAT = lease.EXPIRY / 60, lease.BEAT / 60
    write_behind.SNAPSHOT_AFTER = 200

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(seconds=SKEW[machine])

    for module in (lease, pending, write_behind, writers):
        module.datetime = Clock  # type: ignore[attr-defined]
    exact = KeyValueStore.modified

    def even(self: KeyValueStore, key: str) -> datetime | None:
        at = exact(self, key)
        return at and at.replace(second=at.second // 2 * 2, microsecond=0)

    KeyValueStore.modified = even  # type: ignore[method-assign]


def say(**what: object) -> None:
    """Print a line for the judge."""
    print(json.dumps(what), flush=True)


class Person:
    """Paints for ever at one machine, and says each act before it is done and after it is safe."""

    def __init__(self, writer: RaterWriter) -> None:
        self.writer = writer
        self.said: set[EntryId] = set()
        self.looked = False
        self.look()

    def look(self) -> None:
        """Take everything from the writer, as the window does."""
        self.looked = False  # until all of it is here: the share may go away in between
        self.painter = Painter(self.writer)
        known = seen(self.writer)
        say(known=sorted(known - self.said))
        self.said |= known
        self.looked = True

    def act(self, rng: np.random.Generator) -> None:
        """Paint, undo or redo."""
        kind = str(rng.choice(["edit", "edit", "edit", "undo", "redo"]))
        pending = self.writer._pending_edits
        id_ = EntryId(pending._session, pending._count + 1)
        edit, of = None, None
        if kind == "edit":
            edit = self.painter.random(rng)
        else:
            stack = pending.history.done if kind == "undo" else pending.history.undone
            if not stack:
                return
            of = stack[-1]
        what: dict[str, object] = {"id": id_, "kind": kind, "of": of}
        say(**{"try": what | told(edit) if edit else what})
        if edit is not None:
            self.writer.commit(edit)
        else:
            edit = self.writer.undo() if kind == "undo" else self.writer.redo()
            self.painter.apply(edit)
        self.said.add(id_)
        if edit is not None and pending._count == id_.number:
            say(safe=what | told(edit))

    def wait(self, rng: np.random.Generator) -> None:
        """Decide what there is to decide, or ask for the lease."""
        if self.writer.conflict is not None:
            choice = str(rng.choice(["mine", "theirs", "both"]))
            say(told=[e.id for e in self.writer.conflict.entries], choice=choice)
            self.writer.decide(choice)  # type: ignore[arg-type]
        elif not self.writer.retry_lock():
            time.sleep(0.05)
            return
        self.look()


def paint(location: Location, journals: Path, machine: str, seed: int) -> None:
    """Paint for ever."""
    be(machine)
    rng = np.random.default_rng(seed)
    person = None
    while True:
        try:
            if person is None:
                cohort = Cohort.open(location)
                person = Person(
                    RaterWriter.open(cohort, "clip-1", "reader-a", journal_root=journals)
                )
            if person.writer.state.read_only:
                person.wait(rng)
                continue
            if not person.looked:
                person.look()
        except Exception:  # the share is away
            time.sleep(0.05)
            continue
        time.sleep(rng.uniform(0, 0.02))
        person.act(rng)


def age_leases(location: Location) -> None:
    """Let all heartbeats be old: whoever made them is dead."""
    if isinstance(location, str):
        time.sleep(2.1)  # a bucket tells whole seconds, and nobody can set them
        return
    for path in Path(location).rglob("*.lease"):
        os.utime(path, (time.time() - 60,) * 2)


def judge(location: Location, folder: Path, known: Judge, seed: int) -> list[str]:
    """Open from every machine, decide, and return what is wrong."""
    rng = np.random.default_rng(seed)
    for _ in range(2):
        for number in range(MACHINES):
            age_leases(location)
            cohort = Cohort.open(location)
            with RaterWriter.open(
                cohort, "clip-1", "reader-a", journal_root=folder / f"machine-{number}"
            ) as writer:
                until = time.monotonic() + 30
                while not writer.retry_lock() and time.monotonic() < until:
                    time.sleep(0.2)  # a bucket that is slow keeps the one before us
                if writer.conflict is not None:
                    choice = str(rng.choice(["mine", "theirs", "both"]))
                    known.decide([e.id for e in writer.conflict.entries], choice)
                    writer.decide(choice)  # type: ignore[arg-type]
                if not writer.flush(30):
                    return [f"machine {number} can't save: {writer.state}"]
    found = known.faults(Cohort.open(location).clip("clip-1").rater("reader-a"))
    problems = validate(location)
    if problems and {p.code for p in problems} <= {"orphan", "stray-partial"}:
        # A kill while "both" makes the second rater leaves what the repair removes.
        age_leases(location)
        repair(location)
        problems = validate(location)
    return found + [str(p) for p in problems]


def one_round(
    folder: Path, location: Location, seed: int, known: Judge, proxy: FaultyProxy | None = None
) -> None:
    """Let all paint, and harm them; `known` hears what they said."""
    rng = np.random.default_rng(seed)
    environment = dict(os.environ)
    if proxy is not None:
        environment["AWS_ENDPOINT_URL"] = proxy.url
    outs: list[Path] = []
    newest: dict[int, Path] = {}

    def start(machine: int) -> subprocess.Popen[bytes]:
        outs.append(folder / f"said-{seed}-{len(outs)}")
        command = [sys.executable, "-m", __spec__.name, str(folder), "--paint", str(machine)]
        command += ["--seed", str(seed * 100 + len(outs)), "--at", str(location)]
        newest[machine] = outs[-1]
        with outs[-1].open("wb") as f:
            return subprocess.Popen(command, stdout=f, env=environment)

    painters = [start(n) for n in range(MACHINES)]
    moved = folder / "moved.zarr"
    until = time.monotonic() + 30
    while not all(out.stat().st_size for out in outs) and time.monotonic() < until:
        time.sleep(0.05)  # they start
    time.sleep(rng.uniform(0.3, 1))
    try:
        for _ in range(int(rng.integers(3, 8))):
            n = int(rng.integers(MACHINES))
            if rng.random() < 0.7:  # mostly who paints now
                n = max(range(MACHINES), key=lambda k: newest[k].stat().st_mtime)
            how = rng.choice(["kill", "stop", "stop", "away", "wait"])
            if how == "kill":
                painters[n].kill()
                painters[n].wait()
                painters[n] = start(n)
            elif how == "stop":
                painters[n].send_signal(signal.SIGSTOP)
                time.sleep(rng.uniform(0.3, 1.5))
                painters[n].send_signal(signal.SIGCONT)
            elif how == "away" and proxy is not None:
                proxy.down = True
                time.sleep(rng.uniform(0, 1.5))
                proxy.down = False
            elif how == "away":
                Path(location).rename(moved)
                time.sleep(rng.uniform(0, 0.5))
                moved.rename(location)
            time.sleep(rng.uniform(0, 0.6 if proxy is None else 2))
    finally:
        for painter in painters:
            painter.kill()
            painter.wait()
    known.hear(outs)


def main() -> None:
    """Go through the rounds and print how it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.store.nemesis")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bucket", action="store_true", help="in a bucket whose answers fail")
    parser.add_argument("--paint", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--at", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.paint is not None:
        name = f"machine-{given.paint}"
        at = given.at if given.at.startswith("s3://") else Path(given.at)
        paint(at, given.folder / name, name, given.seed)
    be("judge")
    if not given.bucket:
        go(given, given.folder, None)
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    server = Bucket(given.folder)
    proxy = FaultyProxy(server.port, 0.05, given.seed)
    try:
        go(given, make_bucket(server.url), proxy)
    finally:
        print(json.dumps(proxy.harmed), file=sys.stderr)
        proxy.close()
        server.close()


def make_bucket(url: str) -> str:
    """Make a bucket and return where cohorts will be."""
    import boto3

    os.environ |= {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    boto3.client("s3").create_bucket(Bucket="nemesis")
    return "s3://nemesis"


def go(given: argparse.Namespace, location: Location, proxy: FaultyProxy | None) -> None:
    """Go through the rounds, on a fresh clip now and then."""
    acts = n_decided = 0
    for n in range(given.rounds):
        if n % FRESH == 0:
            folder = given.folder / f"part-{n // FRESH}"
            folder.mkdir(parents=True)
            at = f"{location}/{folder.name}.zarr" if proxy else folder / "cohort.zarr"
            add_clip(Cohort.create(at, name="nemesis"), n_frames=3, shape=(20, 24))
            known = Judge((3, len(Cohort.open(at).meta.classes), 20, 24))
        one_round(folder, at, given.seed + n, known, proxy)
        faults = judge(at, folder, known, given.seed + n)
        if faults:
            sys.exit(f"round {n}, {at}:\n" + "\n".join(faults[:20]))
        print(f"round {n}: {len(known.safe)} acts", file=sys.stderr, flush=True)
        if (n + 1) % FRESH == 0 or n + 1 == given.rounds:
            acts, n_decided = acts + len(known.safe), n_decided + known.n_decided
    print(json.dumps({"rounds": given.rounds, "acts": acts, "decisions": n_decided, "faults": 0}))


if __name__ == "__main__":
    main()
