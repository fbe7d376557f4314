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
from pathlib import Path

import numpy as np

from napari_confseg.store import Cohort, Edit, RaterWriter, lease, validate
from napari_confseg.store.backend import KeyValueStore, Location
from tests.conftest import add_clip
from tests.store.bucket import Bucket
from tests.store.nemesis.proxy import FaultyProxy
from tests.store.painting import Painter

MACHINES = 3


def be(machine: str) -> None:
    """Let this process be `machine`: no lock of another is seen, and leases expire soon."""
    socket.gethostname = lambda: machine
    KeyValueStore.lock_file = lambda self, key: None  # type: ignore[method-assign]
    lease.EXPIRY, lease.BEAT = lease.EXPIRY / 60, lease.BEAT / 60


def paint(location: Location, journals: Path, machine: str, seed: int) -> None:
    """Paint for ever; a line for each act that was acknowledged."""
    be(machine)
    rng = np.random.default_rng(seed)
    writer = None
    while writer is None:
        try:
            writer = RaterWriter.open(
                Cohort.open(location), "clip-1", "reader-a", journal_root=journals
            )
        except Exception:  # the share is away
            time.sleep(0.05)
    painter = Painter(writer)
    while True:
        time.sleep(rng.uniform(0, 0.02))
        if writer.state.read_only:
            try:
                if writer.conflict is not None:
                    ids = [list(e.id) for e in writer.conflict.entries]
                    print(json.dumps({"told": ids}), flush=True)
                    writer.decide(str(rng.choice(["mine", "theirs", "both"])))  # type: ignore[arg-type]
                elif not writer.retry_lock():
                    time.sleep(0.05)
                    continue
                painter = Painter(writer)
            except Exception:  # the share is away
                time.sleep(0.05)
            continue
        kind = rng.choice(["edit", "edit", "edit", "undo", "redo"])
        edit: Edit | None
        if kind == "edit":
            writer.commit(painter.random(rng))
        else:
            edit = writer.undo() if kind == "undo" else writer.redo()
            if edit is None:
                continue
            painter.apply(edit)
        pending = writer._pending_edits
        print(json.dumps({"safe": [pending._session, pending._count]}), flush=True)


def age_leases(location: Location) -> None:
    """Let all heartbeats be old: whoever made them is dead."""
    if isinstance(location, str):
        time.sleep(2.1)  # a bucket tells whole seconds, and nobody can set them
        return
    for path in Path(location).rglob("*.lease"):
        os.utime(path, (time.time() - 60,) * 2)


def judge(location: Location, folder: Path, acts: set[tuple[str, int]], seed: int) -> list[str]:
    """Open from every machine, decide, and return what is wrong."""
    rng = np.random.default_rng(seed)
    for _ in range(2):
        for number in range(MACHINES):
            age_leases(location)
            cohort = Cohort.open(location)
            with RaterWriter.open(
                cohort, "clip-1", "reader-a", journal_root=folder / f"machine-{number}"
            ) as writer:
                if writer.conflict is not None:
                    writer.decide(str(rng.choice(["mine", "theirs", "both"])))  # type: ignore[arg-type]
                if not writer.flush(30):
                    return [f"machine {number} can't save: {writer.state}"]
    line = Cohort.open(location).clip("clip-1").rater("reader-a").read_line()
    found = [f"lost: {act}" for act in sorted(acts - {tuple(e.id) for e in line.entries()})]
    # A kill while "both" makes the second rater leaves files that say what to do with them.
    return found + [str(p) for p in validate(location) if p.code != "stray-partial"]


def one_round(
    folder: Path, location: Location, seed: int, proxy: FaultyProxy | None = None
) -> set[tuple[str, int]]:
    """Let all paint, and harm them; return what was acknowledged."""
    rng = np.random.default_rng(seed)
    outs = [folder / f"said-{n}" for n in range(MACHINES)]
    painters = []
    for n, out in enumerate(outs):
        with out.open("wb") as f:
            command = [sys.executable, "-m", __spec__.name, str(folder), "--paint", str(n)]
            command += ["--seed", str(seed * 10 + n), "--at", str(location)]
            environment = dict(os.environ)
            if proxy is not None:
                environment["AWS_ENDPOINT_URL"] = proxy.url
            painters.append(subprocess.Popen(command, stdout=f, env=environment))
    moved = folder / "moved.zarr"
    time.sleep(float(os.environ.get("CONFSEG_START", "2")))
    try:
        for _ in range(int(rng.integers(2, 6))):
            victim = painters[int(rng.integers(MACHINES))]
            how = rng.choice(["stop", "away", "wait"])
            if how == "stop":
                victim.send_signal(signal.SIGSTOP)
                time.sleep(rng.uniform(0.3, 1.2))
                victim.send_signal(signal.SIGCONT)
            elif how == "away" and proxy is not None:
                proxy.down = True
                time.sleep(rng.uniform(0, 1.5))
                proxy.down = False
            elif how == "away":
                Path(location).rename(moved)
                time.sleep(rng.uniform(0, 0.5))
                moved.rename(location)
            time.sleep(rng.uniform(0, 0.3 if proxy is None else 2))
    finally:
        for painter in painters:
            painter.kill()
            painter.wait()
    acts = set()
    for out in outs:
        for line in out.read_text().splitlines():
            try:
                said = json.loads(line)
            except ValueError:
                continue  # cut by the kill
            if "safe" in said:
                acts.add((said["safe"][0], said["safe"][1]))
    return acts


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
        go(given, given.folder / "cohort.zarr", None)
        return
    server = Bucket(given.folder)
    proxy = FaultyProxy(server.port, 0.05, given.seed)
    try:
        go(given, make_bucket(server.url), proxy)
    finally:
        print(json.dumps(proxy.harmed), file=sys.stderr)
        proxy.close()
        server.close()


def make_bucket(url: str) -> str:
    """Make a bucket and return where the cohort will be."""
    import boto3

    os.environ |= {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    boto3.client("s3").create_bucket(Bucket="nemesis")
    return "s3://nemesis/cohort.zarr"


def go(given: argparse.Namespace, location: Location, proxy: FaultyProxy | None) -> None:
    """Go through the rounds."""
    add_clip(Cohort.create(location, name="nemesis"), n_frames=3, shape=(20, 24))
    acts: set[tuple[str, int]] = set()
    for n in range(given.rounds):
        acts |= one_round(given.folder, location, given.seed + n, proxy)
        faults = judge(location, given.folder, acts, given.seed + n)
        if faults:
            sys.exit(f"round {n}:\n" + "\n".join(faults[:20]))
        print(f"round {n}: {len(acts)} acts", file=sys.stderr, flush=True)
    print(json.dumps({"rounds": given.rounds, "acts": len(acts), "lost": 0}))


if __name__ == "__main__":
    main()
