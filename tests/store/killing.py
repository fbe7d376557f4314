"""kill -9 at random moments: ``python -m tests.store.killing FOLDER ROUNDS SEED`` prints a summary.

A process of its own that never starts a thread, so that it may fork: each round forks a painter,
kills it, then forks a judge, who opens what is left.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store import Cohort, Edit, Patch, RaterWriter, StatusChange, validate
from tests.conftest import add_clip

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SHAPE = (4, 6, 40, 50)
CLIP = "clip-1"
ROUNDS_PER_COHORT = 25  # each round validates all of it
OPENED, SAVED = b"o", b"."


@dataclass
class Script:
    """A reader's endless afternoon, the same for the same seed; also the oracle of what it left."""

    planes: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(SHAPE, np.uint8))
    status: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(SHAPE[:2], np.uint8))
    done: list[tuple[int, Edit]] = field(default_factory=list)
    undone: list[tuple[int, Edit]] = field(default_factory=list)
    flags: list[bool] = field(default_factory=list)

    def step(self, rng: np.random.Generator, writer: RaterWriter | None) -> None:
        """Do the next thing, through `writer` if there is one."""
        kind = rng.choice(["edit", "edit", "edit", "undo", "redo"])
        if kind == "undo" and self.done:
            seq, edit = self.done.pop()
            self._apply(edit.inverted())
            self.undone.append((seq, edit))
            self.flags[seq - 1] = True
            if writer is not None:
                writer.undo()
        elif kind == "redo" and self.undone:
            seq, edit = self.undone.pop()
            self._apply(edit)
            self.done.append((seq, edit))
            self.flags[seq - 1] = False
            if writer is not None:
                writer.redo()
        else:
            edit = self._edit(rng)
            self._apply(edit)
            self.flags.append(False)
            self.done.append((len(self.flags), edit))
            self.undone.clear()
            if writer is not None:
                writer.commit(edit)

    def _edit(self, rng: np.random.Generator) -> Edit:
        t, c = int(rng.integers(SHAPE[0])), int(rng.integers(SHAPE[1]))
        y, x = int(rng.integers(SHAPE[2] - 5)), int(rng.integers(SHAPE[3] - 5))
        h, w = rng.integers(1, 20, 2)
        value = int(rng.choice([0, 30, 60, 90, 100, 255]))
        before = self.planes[t, c, y : y + h, x : x + w].copy()
        change = StatusChange(t, c, int(self.status[t, c]), int(rng.integers(3)))
        patch = Patch(c, t, y, x, before, np.full_like(before, value))
        return Edit((patch,), value, "brush", c, t, (change,))

    def _apply(self, edit: Edit) -> None:
        for p in edit.patches:
            p.apply(self.planes[p.frame, p.class_index])
        for s in edit.status:
            self.status[s.frame, s.class_index] = s.after

    def is_in(self, writer: RaterWriter) -> bool:
        """Whether the writer, opened anew, has exactly this."""
        planes = np.stack([writer.load_planes(c) for c in range(SHAPE[1])], axis=1)
        return (
            bool((planes == self.planes).all())
            and bool((writer.load_status() == self.status).all())
            and [s.undone for s in writer.strokes()] == self.flags
        )


def paint(script_file: Path, location: Path, seed: int, said: int) -> None:
    """Paint for ever; one byte down the pipe for each edit that was acknowledged."""
    script: Script = pickle.loads(script_file.read_bytes())
    writer = RaterWriter.open(Cohort.open(location), CLIP, "reader-a")
    assert not writer.state.read_only, writer.state
    os.write(said, OPENED)
    rng = np.random.default_rng(seed)
    while True:
        script.step(rng, writer)
        assert not writer.state.unsaved
        os.write(said, SAVED)


def judge(script_file: Path, location: Path, seed: int, acknowledged: int) -> None:
    """Open what is left: every acknowledged edit is there, and at most the one after."""
    script: Script = pickle.loads(script_file.read_bytes())
    cohort = Cohort.open(location)
    writer = RaterWriter.open(cohort, CLIP, "reader-a")
    assert not writer.state.read_only, "a dead writer still holds it"
    rng = np.random.default_rng(seed)
    for _ in range(acknowledged):
        script.step(rng, None)
    if not script.is_in(writer):
        script.step(rng, None)
        assert script.is_in(writer), f"after {acknowledged} acknowledged edits"
    assert writer.flush(60), writer.state
    writer.close()
    stored = cohort.clip(CLIP).rater("reader-a")
    assert (stored.read_classes(range(SHAPE[1])).swapaxes(0, 1) == script.planes).all()
    assert (stored.read_status() == script.status).all()
    assert [s.undone for s in stored.read_strokes()] == script.flags
    assert [s.seq for s in stored.read_strokes()] == list(range(1, len(script.flags) + 1))
    problems = validate(location)
    assert problems == [], "\n".join(map(str, problems))
    script_file.write_bytes(pickle.dumps(script))


def in_child(work: Callable[[], None]) -> int:
    """Fork; the child does `work` and ends. Return its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def succeeded(pid: int) -> bool:
    """Wait for a child; return whether it ended well."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def make(location: Path) -> None:
    """Make a cohort to be killed over."""
    add_clip(Cohort.create(location, name="kill"), CLIP, n_frames=SHAPE[0], shape=SHAPE[2:])


def one_round(script_file: Path, location: Path, seed: int, rng: np.random.Generator) -> int:
    """Paint, kill at a random moment, return how many edits were acknowledged."""
    listen, said = os.pipe()
    pid = in_child(lambda: paint(script_file, location, seed, said))
    os.close(said)
    heard = b""
    if rng.random() < 0.8:  # the others die while they open
        heard = os.read(listen, 1)
    time.sleep(rng.uniform(0, 0.08))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while data := os.read(listen, 65536):
        heard += data
    os.close(listen)
    return heard.count(SAVED)


def main(folder: str, rounds: str, seed: str) -> None:
    """Kill `rounds` painters and print how it went."""
    root, n = Path(folder), int(rounds)
    os.environ["CONFSEG_STATE_DIR"] = str(root / "state")
    rng = np.random.default_rng(int(seed))
    script_file = root / "script"
    kills = edits = failures = early = 0
    for i in range(n):
        location = root / f"cohort-{i // ROUNDS_PER_COHORT}.zarr"
        if i % ROUNDS_PER_COHORT == 0:
            script_file.write_bytes(pickle.dumps(Script()))
            assert succeeded(in_child(partial(make, location)))
        acknowledged = one_round(script_file, location, i, rng)
        kills, edits, early = kills + 1, edits + acknowledged, early + (acknowledged == 0)
        pid = in_child(partial(judge, script_file, location, i, acknowledged))
        if not succeeded(pid):
            failures += 1
            break
    print(json.dumps({"kills": kills, "edits": edits, "early": early, "failures": failures}))


if __name__ == "__main__":
    main(*sys.argv[1:])
