"""Random sittings with all tools: planes, journal and record never fall out of step.

What a tool proposes is the pure functions' to say and is tested with them. What becomes of it is
worked out here a second time, with numpy and lists alone: rules, locks, review, undo, the record.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import zarr
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from napari_confseg.annotate.accepting import ByHand
from napari_confseg.annotate.session import Session
from napari_confseg.annotate.tools.bands import b_line_band, pleura_band
from napari_confseg.annotate.tools.interpolation import between
from napari_confseg.annotate.tools.marking import SNAP_REACH
from napari_confseg.annotate.tools.merging import Merge
from napari_confseg.annotate.tools.propagation import carried
from napari_confseg.annotate.tools.snapping import region_of, snapped
from napari_confseg.readouts import Beams
from napari_confseg.store import DEFAULT_CLASSES, Cohort, Sector
from tests.annotate.edits import paint
from tests.annotate.tools.pictures import texture
from tests.conftest import clip_meta

N, SHAPE, C = 4, (24, 30), 2
SECTOR = Sector(kind="linear", polygon=((2, 3), (2, 26), (21, 26), (21, 3)))
ys, xs = st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1)
points = st.tuples(ys, xs)
BELOW, FILLED = ("status", "clip-to-sector"), ("propagate", "interpolate")


@dataclass
class Line:
    """What the record should say of an edit."""

    tool: str
    touched: frozenset[tuple[int, int]]
    pixels: int
    undone: bool = False


@dataclass
class Model:
    """The sitting as arrays and lists."""

    planes: np.ndarray = field(default_factory=lambda: np.zeros((C, N, *SHAPE), np.uint8))
    status: np.ndarray = field(default_factory=lambda: np.zeros((N, C), np.uint8))
    record: list[Line] = field(default_factory=list)
    done: list[tuple[np.ndarray, np.ndarray, int]] = field(default_factory=list)
    undone: list[tuple[np.ndarray, np.ndarray, int]] = field(default_factory=list)

    def edit(self, tool: str, planes: np.ndarray, status: np.ndarray | None = None) -> bool:
        """Note an edit that leads to `planes`; False if it changes nothing."""
        after = self.status.copy() if status is None else status
        changed = planes != self.planes
        touched = frozenset((int(t), int(c)) for c, t in np.argwhere(changed.any(axis=(2, 3))))
        for t, c in touched:
            after[t, c] = max(after[t, c], 1)
        if not touched and np.array_equal(after, self.status):
            return False
        self.done.append((self.planes, self.status, len(self.record)))
        self.undone = []
        self.record.append(Line(tool, touched, int(changed.sum())))
        self.planes, self.status = planes, after
        return True

    def turn(self, take: list, give: list, *, undone: bool) -> bool:
        """Undo or redo."""
        if not take:
            return False
        planes, status, line = take.pop()
        give.append((self.planes, self.status, line))
        self.planes, self.status = planes, status
        self.record[line] = replace(self.record[line], undone=undone)
        return True

    def filled(self) -> set[tuple[int, int]]:
        """Planes that only propagation and interpolation touched."""
        standing = [line for line in self.record if not line.undone]
        derived = {p for line in standing if line.tool in FILLED for p in line.touched}
        return derived - self.by_hand()

    def by_hand(self) -> set[tuple[int, int]]:
        """Planes that the person painted."""
        standing = [line for line in self.record if not line.undone]
        own = (line for line in standing if line.tool not in (*BELOW, *FILLED))
        return {p for line in own for p in line.touched}


def joined(plane: np.ndarray, proposal: np.ndarray, rule: Merge) -> np.ndarray:
    """Merge pixel by pixel, as a person would by hand."""
    out = plane.copy()
    for y, x in np.argwhere(proposal > 0):
        old, new = int(plane[y, x]), int(proposal[y, x])
        if old != 255:
            out[y, x] = {
                Merge.REPLACE: new,
                Merge.RAISE: max(old, new),
                Merge.LOWER: min(old, new),
            }[rule]
    return out


class Sitting(RuleBasedStateMachine):
    """What a reader may do, in any order; closing and opening among it."""

    @initialize()
    def open(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.saved_env = os.environ.get("CONFSEG_STATE_DIR")
        os.environ["CONFSEG_STATE_DIR"] = str(self.root / "state")
        cohort = Cohort.create(self.root / "c.zarr", name="toy", classes=DEFAULT_CLASSES[:C])
        wide = texture((SHAPE[0], SHAPE[1] + N), grain=2.0)
        with cohort.new_clip("clip-1", shape=SHAPE) as new:
            for t in range(N):
                new.append(np.ascontiguousarray(wide[:, N - t : N - t + SHAPE[1]]))
            new.finish(clip_meta(N).model_copy(update={"sector": SECTOR}))
        clip = cohort.clip("clip-1")
        other = clip.create_rater("run-1", kind="model")
        self.theirs = np.zeros(SHAPE, np.uint8)
        self.theirs[4:12, 5:20] = np.arange(15) * 6 + 5
        for t in range(N):
            other.write_plane(t, 0, self.theirs)
        self.frames, self.beams = clip.frames[:], Beams.of(clip.meta, clip.shape)
        self.model = Model()
        self.session = Session()
        self.session.open_cohort(cohort.location)
        self.session.reader.choose("Ada")
        self.session.open_clip("clip-1")
        self.session.others.show("run-1")
        self.toolkit = self.session.toolkit
        self.copied: dict[int, np.ndarray] = {}
        self.session.class_name = self.session.classes[0].name
        self.brush((8, 8), (15, 18), 80)  # something to carry on

    def teardown(self) -> None:
        if not hasattr(self, "session"):
            return
        assert self.session.flush()
        group = self.root / "c.zarr" / "clip-1" / "raters" / "ada"
        stored = zarr.open_array(f"{group}/0", mode="r")[:]
        assert np.array_equal(stored.swapaxes(0, 1), self.model.planes)
        assert np.array_equal(zarr.open_array(f"{group}/status", mode="r")[:], self.model.status)
        strokes = Cohort.open(self.root / "c.zarr").clip("clip-1").rater("ada").read_strokes()
        lines = [s.model_dump(mode="json") for s in strokes]
        assert [s["seq"] for s in lines] == list(range(1, len(lines) + 1))
        told = [
            Line(
                s["tool"],
                frozenset(
                    map(
                        tuple,
                        s["planes"] or ([[s["frame"], s["class_index"]]] if s["pixels"] else []),
                    )
                ),
                s["pixels"],
                s["undone"],
            )
            for s in lines
        ]
        assert told == self.model.record
        self.session.close_clip()
        if self.saved_env is None:
            del os.environ["CONFSEG_STATE_DIR"]
        else:
            os.environ["CONFSEG_STATE_DIR"] = self.saved_env
        shutil.rmtree(self.root)

    # ---- what the model makes of proposals ----

    @property
    def _at(self) -> tuple[int, int]:
        return self.session.class_index(), self.session.frame

    def _open(self, c: int) -> bool:
        return self.session.classes[c].name not in self.session.locked

    def _classes(self) -> list[int]:
        return list(range(C)) if self.session.every_class else [self.session.class_index()]

    def _merge(self, tool: str, proposals: dict[tuple[int, int], np.ndarray]) -> bool:
        after, filled = self.model.planes.copy(), self.model.filled()
        by_hand = self.model.by_hand()
        for (c, t), proposal in proposals.items():
            plane = after[c, t]
            if tool in FILLED and (not self._open(c) or self.model.status[t, c] == 2):
                continue
            if tool in FILLED and (t, c) in by_hand:
                continue  # hand-painted wins, whatever the rule
            if tool in FILLED and self.session.merge is Merge.REPLACE and (t, c) in filled:
                plane = np.where(plane == 255, plane, 0).astype(np.uint8)
            after[c, t] = joined(plane, proposal, self.session.merge)
        return self.model.edit(tool, after)

    # ---- settings ----

    @rule(t=st.integers(0, N - 1), c=st.integers(0, C - 1))
    def go(self, t: int, c: int) -> None:
        self.session.frame, self.session.class_name = t, self.session.classes[c].name

    @rule(merge=st.sampled_from(Merge), every=st.booleans(), confidence=st.integers(1, 100))
    def configure(self, merge: Merge, every: bool, confidence: int) -> None:
        self.session.merge, self.session.every_class = merge, every
        self.session.confidence = confidence

    @rule(locked=st.sampled_from([(), (), (0,), (1,)]))
    def lock(self, locked: tuple[int, ...]) -> None:
        self.session.locked = frozenset(self.session.classes[c].name for c in locked)

    # ---- edits ----

    @rule(a=points, b=points, confidence=st.one_of(st.integers(0, 100), st.just(255)))
    def brush(self, a: tuple[int, int], b: tuple[int, int], confidence: int) -> None:
        c, t = self._at
        (y0, y1), (x0, x1) = (sorted(p) for p in zip(a, b, strict=True))
        after = self.model.planes.copy()
        after[c, t, y0 : y1 + 1, x0 : x1 + 1] = confidence
        if np.array_equal(after, self.model.planes):
            return
        expected = self._open(c) and self.model.edit("brush", after)
        made = paint(self.session, (y0, x0, y1 + 1, x1 + 1), confidence=confidence)
        assert (made is not None) == expected

    @rule(a=points, b=points, b_line=st.booleans())
    def band(self, a: tuple[int, int], b: tuple[int, int], b_line: bool) -> None:
        c, t = self._at
        sure, widths = self.session.confidence, self.session.band_widths
        if b_line:
            made = b_line_band(self.beams, a, b, width=widths.b_line_px, confidence=sure)
        else:
            made = pleura_band(
                self.beams, a, b, width=widths.pleura_px, confidence=sure, frame=self.frames[t]
            )
        name = "b-line" if b_line else "pleura"
        expected = self._open(c) and self._merge(name, {(c, t): made})
        assert (getattr(self.toolkit.marker, name.replace("-", "_"))(a, b) is not None) == expected

    @rule(corners=st.lists(points, min_size=3, max_size=5, unique=True))
    def smart_edge(self, corners: list[tuple[int, int]]) -> None:
        c, t = self._at
        made = snapped(
            self.frames[t],
            region_of(corners, SHAPE),
            band=max(SNAP_REACH * min(SHAPE), 3.0),
            confidence=self.session.confidence,
            inside=self.beams.inside,
        )
        expected = self._open(c) and self._merge("smart-edge", {(c, t): made})
        assert (self.toolkit.marker.snap(corners) is not None) == expected

    def _go_to_marks(self, pick: int) -> None:
        """Most places are empty: tools that need marks begin where there are some."""
        places = np.argwhere(self.model.planes.any(axis=(2, 3))).tolist()
        if places:
            c, t = places[pick % len(places)]
            self.session.frame, self.session.class_name = t, self.session.classes[c].name

    @rule(pick=st.integers(0, 99), steps=st.integers(1, N), direction=st.sampled_from([1, -1]))
    def propagate(self, pick: int, steps: int, direction: int) -> None:
        self._go_to_marks(pick)
        t = self.session.frame
        planes = {
            c: self.model.planes[c, t]
            for c in self._classes()
            if self._open(c) and self.model.planes[c, t].any()
        }
        proposals = {}
        if planes:
            for step in carried(
                self.frames, planes, t, steps=steps, direction=direction, inside=self.beams.inside
            ):
                if not step.lost:
                    proposals |= {(c, step.frame): p for c, p in step.proposals.items()}
        expected = self._merge("propagate", proposals)
        assert (self.toolkit.propagate(steps, direction) is not None) == expected

    @rule(pick=st.integers(0, 99), direction=st.sampled_from([1, -1]))
    def propagate_over_a_reviewed_frame(self, pick: int, direction: int) -> None:
        """Left to chance, what must not be filled seldom stands in the way."""
        self._go_to_marks(pick)
        self.review((self.session.frame + direction) % N, None)
        self.propagate(pick, N - 1, direction)

    @rule(pick=st.integers(0, 99))
    def interpolate(self, pick: int) -> None:
        self._go_to_marks(pick)
        t, filled, proposals = self.session.frame, self.model.filled(), {}
        for c in self._classes():
            keys = [k for k in range(N) if self.model.planes[c, k].any() and (k, c) not in filled]
            gaps = [(a, b) for a, b in pairwise(keys) if b > a + 1]
            about = (
                [g for g in gaps if g[0] < t < g[1]]
                or [g for g in gaps if g[1] == t]
                or [g for g in gaps if g[0] == t]
            )
            if about and self._open(c):
                (a, b), first = about[0], self.model.planes[c]
                made = between(first[a], first[b], b - a, inside=self.beams.inside)
                proposals |= {(c, a + 1 + k): p for k, p in enumerate(made)}
        expected = self._merge("interpolate", proposals)
        assert (self.toolkit.interpolate() is not None) == expected

    @rule(pick=st.integers(0, 99))
    def copy(self, pick: int) -> None:
        self._go_to_marks(pick)
        t = self.session.frame
        found = {
            c: np.where(p == 255, 0, p).astype(np.uint8)
            for c in self._classes()
            for p in [self.model.planes[c, t]]
        }
        found = {c: p for c, p in found.items() if p.any()}
        assert self.toolkit.copy() == bool(found)
        self.copied = found or self.copied

    @rule()
    def paste(self) -> None:
        t = self.session.frame
        made = {(c, t): p for c, p in self.copied.items() if self._open(c)}
        expected = self._merge("paste", made)
        assert (self.toolkit.paste() is not None) == expected

    @rule()
    def clip_to_sector(self) -> None:
        after = self.model.planes.copy()
        for c in self._classes():
            for t in range(N):
                if self._open(c) and (t == self.session.frame or self.model.status[t, c] != 2):
                    after[c, t][~self.beams.inside & (after[c, t] != 255)] = 0
        expected = self.model.edit("clip-to-sector", after)
        assert (self.toolkit.clip_to_sector() is not None) == expected

    @rule(threshold=st.integers(1, 100))
    def accept(self, threshold: int) -> None:
        c, t = 0, self.session.frame
        sure = self.session.confidence
        region = np.where(self.theirs >= threshold, sure, 0)
        expected = self._open(c) and self._merge("accept", {(c, t): region})
        made = self.session.acceptor.accept(
            lambda _t, _c: self.theirs,
            [c],
            [t],
            threshold,
            "run-1",
            confidence=sure,
            by_hand=ByHand.OVERWRITE,
        )
        assert (made is not None) == expected

    @rule(t=st.integers(0, N - 1), c=st.one_of(st.none(), st.integers(0, C - 1)))
    def review(self, t: int, c: int | None) -> None:
        status = self.model.status.copy()
        status[t, slice(None) if c is None else c] = 2
        self.model.edit("status", self.model.planes, status)
        self.session.progress.mark_reviewed(t, None if c is None else self.session.classes[c].name)

    @rule()
    def undo(self) -> None:
        expected = self.model.turn(self.model.done, self.model.undone, undone=True)
        assert (self.session.undo() is not None) == expected

    @rule()
    def redo(self) -> None:
        expected = self.model.turn(self.model.undone, self.model.done, undone=False)
        assert (self.session.redo() is not None) == expected

    @rule()
    def close_and_open(self) -> None:
        frame = self.session.frame
        self.session.close_clip()
        self.session.open_clip("clip-1")
        self.session.frame = frame

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "session"):
            return
        for c, spec in enumerate(self.session.classes):
            assert np.array_equal(self.session.planes[spec.name], self.model.planes[c])
        assert np.array_equal(self.session.status, self.model.status)
        assert np.array_equal(self.session.marked, self.model.planes.any(axis=(2, 3)).T)
        assert [s.tool for s in self.session.strokes] == [line.tool for line in self.model.record]


Sitting.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestToolsSitting = Sitting.TestCase
