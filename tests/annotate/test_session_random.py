"""Random sittings against a model that is a handful of numpy arrays and a list."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from napari_confseg.annotate.session import Session
from napari_confseg.store import Cohort
from tests.annotate.edits import as_stored, paint
from tests.conftest import add_clip

N_FRAMES, SHAPE = 3, (16, 20)
boxes = st.tuples(st.integers(0, 15), st.integers(0, 19), st.integers(1, 16), st.integers(1, 20))


class Sitting(RuleBasedStateMachine):
    """What a reader may do, in any order; closing and opening among it."""

    @initialize()
    def open(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.saved_env = os.environ.get("CONFSEG_STATE_DIR")
        os.environ["CONFSEG_STATE_DIR"] = str(self.root / "state")
        cohort = Cohort.create(self.root / "c.zarr", name="toy")
        add_clip(cohort, n_frames=N_FRAMES, shape=SHAPE)
        self.session = Session()
        self.session.open_cohort(cohort.location)
        self.session.reader.choose("Ada")
        self.session.open_clip("clip-1")
        self.planes = np.zeros((6, N_FRAMES, *SHAPE), np.uint8)
        self.status = np.zeros((N_FRAMES, 6), np.uint8)
        self.done: list[tuple[np.ndarray, np.ndarray]] = []
        self.undone: list[tuple[np.ndarray, np.ndarray]] = []

    def teardown(self) -> None:
        if not hasattr(self, "session"):
            return
        self.session.flush()
        stored = as_stored(self.session)
        for c, spec in enumerate(self.session.classes):
            assert np.array_equal(stored[spec.name], self.planes[c])
        self.session.close_clip()
        if self.saved_env is None:
            del os.environ["CONFSEG_STATE_DIR"]
        else:
            os.environ["CONFSEG_STATE_DIR"] = self.saved_env
        shutil.rmtree(self.root)

    def _remember(self) -> None:
        self.done.append((self.planes.copy(), self.status.copy()))
        self.undone = []

    @rule(box=boxes, confidence=st.integers(0, 100), c=st.integers(0, 5), t=st.integers(0, 2))
    def stroke(self, box: tuple[int, int, int, int], confidence: int, c: int, t: int) -> None:
        y0, x0, y1, x1 = box
        region = self.planes[c, t, y0:y1, x0:x1]
        if not (region != confidence).any():
            return
        self._remember()
        self.planes[c, t, y0:y1, x0:x1] = confidence
        self.status[t, c] = max(self.status[t, c], 1)
        name = self.session.classes[c].name
        assert paint(
            self.session, (y0, x0, y1, x1), confidence=confidence, class_name=name, frame=t
        )

    @rule(t=st.integers(0, 2), c=st.one_of(st.none(), st.integers(0, 5)))
    def review(self, t: int, c: int | None) -> None:
        where = np.s_[t, :] if c is None else np.s_[t, c]
        if not (self.status[where] != 2).any():
            return
        self._remember()
        self.status[where] = 2
        self.session.progress.mark_reviewed(t, None if c is None else self.session.classes[c].name)

    @rule()
    def undo(self) -> None:
        assert self.session.editor.can_undo == bool(self.done)
        if self.session.undo() is not None:
            self.undone.append((self.planes, self.status))
            self.planes, self.status = self.done.pop()

    @rule()
    def redo(self) -> None:
        assert self.session.editor.can_redo == bool(self.undone)
        if self.session.redo() is not None:
            self.done.append((self.planes, self.status))
            self.planes, self.status = self.undone.pop()

    @rule()
    def close_and_open(self) -> None:
        self.session.close_clip()
        self.session.open_clip("clip-1")

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "session"):
            return
        for c, spec in enumerate(self.session.classes):
            assert np.array_equal(self.session.planes[spec.name], self.planes[c])
        assert np.array_equal(self.session.status, self.status)
        assert np.array_equal(self.session.marked, self.planes.any(axis=(2, 3)).T)


Sitting.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestSitting = Sitting.TestCase
