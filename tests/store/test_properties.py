"""Random lives of a rater against plain numpy, and round trips of what is written as text."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from napari_confseg.store import (
    Anchor,
    Carrying,
    ClassSpec,
    ClipMeta,
    Cohort,
    Edit,
    Patch,
    Provenance,
    RaterMeta,
    RaterWriter,
    Sector,
    Spacing,
    StatusChange,
    StoreError,
    Stroke,
    validate,
)
from napari_confseg.store.edits import pack, unpack
from napari_confseg.store.schema import CohortMeta
from napari_confseg.store.segments import Entry, EntryId, Position, Segment, parse_segments
from tests.conftest import add_clip

SHAPE = (3, 6, 8, 9)
VALUES = st.sampled_from([0, 1, 30, 60, 90, 100, 255])


class LifeOfARater(RuleBasedStateMachine):
    """Edits, undo, redo, reopening and kills in any order; oracle: a list of numpy states."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.cohort = Cohort.create(self.folder / "cohort.zarr", name="life")
        add_clip(self.cohort, "clip-1", n_frames=SHAPE[0], shape=SHAPE[2:])
        self.writer = self._open()
        self.states = [(np.zeros(SHAPE, np.uint8), np.zeros(SHAPE[:2], np.uint8))]
        self.position = 0
        self.undone: list[bool] = []
        self.stack: list[int] = []

    def _open(self) -> RaterWriter:
        return RaterWriter.open(
            self.cohort, "clip-1", "reader-a", journal_root=self.folder / "state"
        )

    @rule(
        frame=st.integers(0, 2),
        class_index=st.integers(0, 5),
        box=st.tuples(st.integers(0, 7), st.integers(0, 8), st.integers(1, 8), st.integers(1, 9)),
        value=VALUES,
        status=st.integers(0, 2),
    )
    def edit(
        self, frame: int, class_index: int, box: tuple[int, int, int, int], value: int, status: int
    ) -> None:
        planes, marks = (a.copy() for a in self.states[self.position])
        y, x, h, w = box
        region = planes[frame, class_index, y : y + h, x : x + w]
        before = region.copy()
        region[:] = value
        change = StatusChange(frame, class_index, int(marks[frame, class_index]), status)
        marks[frame, class_index] = status
        patch = Patch(class_index, frame, y, x, before, region.copy())
        stroke = self.writer.commit(Edit((patch,), value, "brush", class_index, frame, (change,)))
        self.undone.append(False)
        assert stroke.seq == len(self.undone)
        del self.states[self.position + 1 :], self.stack[self.position :]
        self.states.append((planes, marks))
        self.stack.append(stroke.seq)
        self.position += 1

    @rule()
    def undo(self) -> None:
        assert (self.writer.undo() is not None) == (self.position > 0)
        if self.position:
            self.position -= 1
            self.undone[self.stack[self.position] - 1] = True

    @rule()
    def redo(self) -> None:
        assert (self.writer.redo() is not None) == (self.position < len(self.stack))
        if self.position < len(self.stack):
            self.undone[self.stack[self.position] - 1] = False
            self.position += 1

    @rule()
    def reopen(self) -> None:
        self.writer.close()
        self.writer = self._open()

    @rule()
    def die(self) -> None:
        self.writer.abandon()  # what waits stays in the journal
        self.writer = self._open()

    @rule()
    def look_at_the_store(self) -> None:
        assert self.writer.flush(30)
        stored = self.cohort.clip("clip-1").rater("reader-a")
        planes, marks = self.states[self.position]
        np.testing.assert_array_equal(stored.read_classes(range(6)).swapaxes(0, 1), planes)
        np.testing.assert_array_equal(stored.read_status(), marks)
        assert [s.undone for s in stored.read_strokes()] == self.undone
        assert [s.seq for s in stored.read_strokes()] == list(range(1, len(self.undone) + 1))

    @invariant()
    def what_is_loaded_is_what_was_painted(self) -> None:
        if not hasattr(self, "writer"):
            return
        planes, marks = self.states[self.position]
        for c in range(SHAPE[1]):
            np.testing.assert_array_equal(self.writer.load_planes(c), planes[:, c])
        np.testing.assert_array_equal(self.writer.load_status(), marks)
        assert self.writer.can_undo == (self.position > 0)
        assert self.writer.can_redo == (self.position < len(self.stack))

    def teardown(self) -> None:
        if hasattr(self, "writer"):
            self.writer.close()
            assert {p.code for p in validate(self.folder / "cohort.zarr")} == set()
            shutil.rmtree(self.folder)


TestLifeOfARater = LifeOfARater.TestCase
TestLifeOfARater.settings = settings(
    max_examples=20,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

SLUGS = st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,10}\Z").filter(
    lambda s: s not in {"con", "prn", "aux", "nul"} and s[:3] not in {"com", "lpt"}
)
TEXT = st.text(min_size=1, max_size=40)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC))
POSITIVE = st.floats(1e-6, 1e4)
CLASSES = st.lists(st.tuples(SLUGS, TEXT), min_size=1, max_size=8, unique_by=lambda c: c[0]).map(
    lambda cs: tuple(
        ClassSpec(index=i, name=n, label=t, color=f"#{i:06x}") for i, (n, t) in enumerate(cs)
    )
)
ANCHORS = st.lists(st.integers(1, 100), min_size=1, max_size=5, unique=True).map(
    lambda vs: tuple(Anchor(value=v, word=f"w{v}") for v in sorted(vs))
)
STROKES = st.builds(
    Stroke,
    seq=st.integers(1, 10**6),
    time=TIMES,
    class_index=st.integers(0, 63),
    frame=st.integers(0, 10**5),
    confidence=VALUES,
    tool=st.from_regex(r"\A[a-z][a-z-]{0,8}\Z"),
    box=st.tuples(*[st.integers(0, 10**4)] * 4),
    pixels=st.integers(0, 10**8),
    status=st.none() | st.integers(0, 2),
    also=st.lists(
        st.tuples(st.integers(0, 99), st.integers(0, 63), st.integers(0, 2)), max_size=3
    ).map(tuple),
    undone=st.booleans(),
)


@given(st.lists(st.tuples(STROKES, st.binary(max_size=40)), max_size=8))
def test_a_segment_comes_back(given: list[tuple[Stroke, bytes]]) -> None:
    entries = tuple(
        Entry(EntryId("0" * 32, i), "edit", stroke, data) for i, (stroke, data) in enumerate(given)
    )
    now = datetime.now(UTC)
    segment = Segment(Position(2, 3), Position(1, 9), "0" * 32, "ann", "here", now, entries)
    assert parse_segments(segment.data + segment.data, "record") == [segment, segment]


@given(CLASSES, ANCHORS, SLUGS)
@settings(deadline=None, max_examples=40)
def test_cohort_attributes_come_back(
    classes: tuple[ClassSpec, ...], anchors: tuple[Anchor, ...], name: str
) -> None:
    from zarr.storage import MemoryStore

    store = MemoryStore()
    made = Cohort.create(store, name=name, classes=classes, anchors=anchors)
    assert Cohort.open(store).meta == made.meta
    assert CohortMeta.model_validate_json(made.meta.model_dump_json()) == made.meta


@given(
    times=st.lists(st.floats(0, 1e5), min_size=1, max_size=9, unique=True).map(sorted),
    spacing=st.none() | st.builds(Spacing, y=POSITIVE, x=POSITIVE, source=st.just("manual")),
    sector=st.none()
    | st.builds(
        Sector,
        kind=st.sampled_from(["linear", "curved", "phased", "unknown"]),
        polygon=st.lists(
            st.tuples(st.floats(-10, 1e4), st.floats(-10, 1e4)), min_size=3, max_size=6
        ).map(tuple),
    ),
    tags=st.lists(st.text(max_size=20), max_size=3).map(tuple),
    patient=SLUGS,
)
def test_clip_attributes_come_back(
    times: list[float],
    spacing: Spacing | None,
    sector: Sector | None,
    tags: tuple[str, ...],
    patient: str,
) -> None:
    meta = ClipMeta(
        patient=patient,
        frame_times=tuple(times),
        spacing=spacing,
        sector=sector,
        tags=tags,
        provenance=Provenance(source_sha256="0" * 64, decoder="test"),
    )
    assert ClipMeta.model_validate_json(meta.model_dump_json()) == meta


@given(TEXT, TIMES)
def test_rater_attributes_come_back(label: str, created: datetime) -> None:
    meta = RaterMeta(kind="human", label=label, created=created)
    assert RaterMeta.model_validate_json(meta.model_dump_json()) == meta


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=VALUES),
    st.data(),
    st.lists(st.tuples(*[st.integers(0, 2)] * 4), max_size=3),
)
def test_a_packed_edit_comes_back(
    before: np.ndarray, data: st.DataObject, status: list[tuple[int, int, int, int]]
) -> None:
    after = data.draw(arrays(np.uint8, before.shape, elements=VALUES))
    changes = tuple(StatusChange(*s) for s in status)
    way = data.draw(st.none() | st.just(Carrying(matches=((3, 90), (4, 12)), lost=4)))
    patches = (Patch(1, 2, 3, 4, before, after),) * 2
    edit = Edit(patches, 60, "brush", 1, 2, changes, carrying=way)
    back = unpack(pack(edit))
    assert back.carrying == way
    assert back.status == changes
    assert (back.confidence, back.tool, back.class_index, back.frame) == (60, "brush", 1, 2)
    for a, b in zip(edit.patches, back.patches, strict=True):
        assert (a.class_index, a.frame, a.y, a.x) == (b.class_index, b.frame, b.y, b.x)
        np.testing.assert_array_equal(a.before, b.before)
        np.testing.assert_array_equal(a.after, b.after)
        np.testing.assert_array_equal(a.after, b.inverted().before)
        assert (
            a.gain
            == b.gain
            == -b.inverted().gain
            == np.count_nonzero(after) - np.count_nonzero(before)
        )
        assert a.changes == b.changes == a.packed().changes
        assert a.inverted().changes == b.inverted().changes == a.packed().inverted().changes
    assert pack(back) == pack(edit)
    assert pack(back.inverted()) == pack(edit.inverted())


@given(st.integers(0, 10**6), st.integers(1, 255))
@example(24, 2)
def test_a_flipped_bit_is_found_when_an_edit_is_read(at: int, flip: int) -> None:
    """Before anything of it is shown: boxes are decoded much later."""
    before = np.zeros((20, 30), np.uint8)
    after = np.arange(600, dtype=np.uint8).reshape(20, 30) % 100
    whole = pack(Edit((Patch(1, 2, 3, 4, before, after),) * 3, 60, "accept", 1, 2))
    data = bytearray(whole)
    data[at % len(data)] ^= flip
    try:
        found = pack(unpack(bytes(data)))
    except StoreError as error:
        found = error.problems[0].code
    # A few bits of zstd's say nothing: its checksum is of what they come to.
    assert found in ("record-corrupt", whole)


@given(arrays(np.uint8, (5, 6)), arrays(np.uint8, (5, 6)), arrays(np.uint8, (5, 6)))
def test_replaying_from_any_earlier_point_comes_to_the_same(
    a: np.ndarray, b: np.ndarray, c: np.ndarray
) -> None:
    first, second = Patch(0, 0, 0, 0, a, b), Patch(0, 0, 0, 0, b, c)
    for edits in ([first, second], [first, second, first, second], [second, first, second]):
        plane = a.copy()
        for patch in edits:
            patch.apply(plane)
        np.testing.assert_array_equal(plane, c)
    second.inverted().apply(plane)
    np.testing.assert_array_equal(plane, b)
