"""The timeline: it says of every plane what the record and the pixels say, and hides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_confseg.annotate.timeline import (
    CLOSEST,
    UNKNOWN,
    Timeline,
    Window,
    highest_of,
    lanes_of,
    review_state,
)
from napari_confseg.annotate.timeline_picture import Colors, Content, Rows, draw
from napari_confseg.annotate.tools.filling import Origin
from napari_confseg.store import EXCLUDED, Carrying, Edit
from tests.annotate.edits import paint, rectangle, sit_down
from tests.conftest import add_clip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Cohort

COLORS = Colors((1, 2, 3))
RED = (200, 0, 0)


def windows() -> st.SearchStrategy[Window]:
    """Any part of any clip."""
    return st.builds(
        Window, st.integers(1, 3000), st.floats(0, 3000), st.floats(1, 3000, allow_nan=False)
    )


@given(windows(), st.integers(1, 300))
def test_every_frame_in_sight_has_one_cell_and_every_pixel_too(window: Window, width: int) -> None:
    cells = window.cells(width)
    runs = [cells.frames(i) for i in range(len(cells))]
    assert [t for run in runs for t in run] == list(range(window.first, window.stop))
    assert cells.edges[0] == 0
    assert cells.edges[-1] == width
    assert len(cells.of_pixels()) == width
    whole = [all(window.holds(t) for t in run) for run in runs]
    assert (np.diff(cells.edges)[whole] >= 1).all()  # no frame vanishes
    pixels = cells.of_pixels()
    assert [cells.at(x + 0.5) for x in range(width)] == pixels.tolist()


@given(windows(), st.data())
def test_zoom_keeps_what_is_under_the_mouse_and_never_leaves_the_clip(
    window: Window, data: st.DataObject
) -> None:
    share = data.draw(st.floats(0, 1))
    closer = window.zoomed(data.draw(st.floats(0.1, 1)), share)
    assert closer.length <= window.length
    assert closer.length >= min(CLOSEST, window.n_frames)
    under = window.start + share * window.length
    assert closer.start + share * closer.length == pytest.approx(under, abs=1e-6)
    moved = closer.moved(data.draw(st.floats(-5000, 5000)))
    assert moved.length == pytest.approx(closer.length)
    for seen in (closer, moved, closer.zoomed(1e6, share)):
        assert seen.start >= 0
        assert seen.start + seen.length <= window.n_frames + 1e-6
    assert closer.zoomed(1e6, share).whole


@given(windows(), st.data())
def test_the_frame_on_show_comes_into_sight(window: Window, data: st.DataObject) -> None:
    frame = data.draw(st.integers(0, window.n_frames - 1))
    for page in (True, False):
        seen = window.with_frame(frame, page=page)
        assert seen.holds(frame)
        assert seen.length == pytest.approx(window.length)
        assert seen.frame_at(seen.share_of(frame + 0.5)) == frame
        assert (seen == window) == window.holds(frame)


def test_a_page_is_turned_the_way_one_goes() -> None:
    window = Window(1000, 100, 50)
    on, back = window.with_frame(150, page=True), window.with_frame(99, page=True)
    assert (on.start, back.start) == (145, 55)
    assert (window.with_frame(150).start, window.with_frame(99).start) == (101, 99)


@given(
    st.lists(st.sampled_from([0, 90, 256 + 40, 512 + 90, 768 + 10, 768 + 30]), min_size=1),
    st.integers(1, 12),
)
def test_of_several_frames_the_one_that_matters_most_is_seen(shown: list[int], width: int) -> None:
    """Painted before carried before filled; among these the surest; the open one of reviewed."""
    values = np.array(shown, np.uint16)[:, None]
    cells = Window(len(shown)).cells(width)
    runs = [shown[r.start : r.stop] for r in map(cells.frames, range(len(cells)))]
    assert cells.most(values)[:, 0].tolist() == [max(run) for run in runs]
    assert cells.least(values)[:, 0].tolist() == [min(run) for run in runs]


def test_lanes_are_bounded_and_the_class_in_hand_has_its_own() -> None:
    assert lanes_of(3, 1) == [(0,), (1,), (2,)]
    for active in range(20):
        lanes = lanes_of(20, active)
        assert len(lanes) == 12
        assert (active,) in lanes
        assert sorted(c for lane in lanes for c in lane) == list(range(20))
        assert Rows.of(len(lanes), 3).height <= 120
    assert Rows.of(12, 0).height == Rows.of(12, 11).height  # nothing moves when another is taken


def test_review_and_highest_confidence_in_numbers() -> None:
    status = np.array([[0, 0], [1, 2], [2, 2]], np.uint8)
    assert review_state(status).tolist() == [0, 1, 2]
    assert highest_of(np.array([[0, 30, EXCLUDED]], np.uint8)) == 30
    assert highest_of(np.array([[0, EXCLUDED]], np.uint8)) == 0
    assert highest_of(np.array([[0, 80]], np.uint8)) == 80


# ---- kept up with a session ----------------------------------------------------------------


def follow(session: Session) -> Timeline:
    """A timeline that hears of every edit."""
    made = Timeline(*session.status.shape)
    made.begin(session.strokes, session.marked)
    while made.read(session.editor.plane, budget=1):
        pass

    def heard(edit: Edit) -> None:
        where = {(p.frame, p.class_index) for p in edit.patches}
        made.update(where, session.editor.plane, session.strokes)

    session.editor.edited.connect(heard)
    return made


def assert_as_read_anew(session: Session, kept: Timeline) -> None:
    """What was kept up stroke by stroke is what a look at everything finds."""
    fresh = Timeline(*session.status.shape)
    fresh.begin(session.strokes, session.marked)
    assert not fresh.read(session.editor.plane, budget=2**31)
    for name in ("highest", "origin", "match", "lost"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(fresh, name), name)
    planes = np.stack([session.planes[c.name] for c in session.classes], axis=1)
    top = np.where(planes == EXCLUDED, 0, planes).max(axis=(2, 3))
    np.testing.assert_array_equal(kept.highest, top)


def carry(
    session: Session, frames: Iterable[int], matches: dict[int, int], lost: int | None = None
) -> None:
    """Commit what a propagation would."""
    edits = [rectangle(session, (4, 4, 9, 9), confidence=40, frame=t) for t in frames]
    patches = tuple(p for e in edits for p in e.patches)
    way = Carrying(matches=tuple(matches.items()), lost=lost)
    index = session.class_index()
    session.commit(Edit(patches, 40, "propagate", index, patches[0].frame, carrying=way))


def test_it_follows_strokes_undo_and_redo_and_opens_as_it_was_left(cohort: Cohort) -> None:
    session = sit_down(cohort)
    kept, c = follow(session), session.class_index()
    paint(session, (4, 4, 9, 9), confidence=90, frame=0)
    carry(session, (1, 2, 3), {1: 97, 2: 80, 3: 41, 4: 12}, lost=4)
    assert kept.origin[:, c].tolist() == [3, 2, 2, 2, 0, 0]
    assert kept.highest[:, c].tolist() == [90, 40, 40, 40, 0, 0]
    assert kept.grip(session.marked).tolist() == [UNKNOWN, 97, 80, 41, 12, UNKNOWN]
    assert kept.lost_frames(session.marked).tolist() == [False] * 4 + [True, False]
    paint(session, (1, 1, 3, 3), confidence=100, frame=2)  # corrected by hand
    paint(session, (1, 1, 3, 3), confidence=EXCLUDED, frame=5)
    assert kept.origin[2, c] == Origin.PAINTED
    assert kept.grip(session.marked)[2] == UNKNOWN
    assert (kept.highest[5, c], kept.shown(session.marked)[5, c]) == (0, 256 * Origin.PAINTED)
    session.progress.mark_reviewed(3)
    assert_as_read_anew(session, kept)
    ways = (*(session.undo,) * 4, session.redo, *(session.undo,) * 2, *(session.redo,) * 3)
    for do in ways:
        do()
        assert_as_read_anew(session, kept)
    paint(session, (4, 4, 9, 9), confidence=50, frame=4)  # what was lost is put right
    assert not kept.lost_frames(session.marked).any()
    assert_as_read_anew(session, kept)
    session.close_clip()
    again = sit_down(cohort)
    assert_as_read_anew(again, kept)
    again.close_clip()


def test_marks_without_strokes_count_as_painted(session: Session) -> None:
    made = Timeline(*session.status.shape)
    marked = np.zeros(session.status.shape, np.bool_)
    marked[2, 1] = True
    assert made.shown(marked).nonzero()[0].tolist() == [2]
    assert made.shown(marked)[2, 1] >> 8 == Origin.PAINTED


def test_a_real_propagation_keeps_its_match_and_says_where_it_was_lost(cohort: Cohort) -> None:
    """A clip of noise: nothing on it can be followed."""
    add_clip(cohort, "noise", n_frames=5, shape=(60, 80))
    session = sit_down(cohort, "noise")
    paint(session, (10, 10, 50, 60), confidence=100)
    stroke = session.toolkit.propagate(steps=4)
    if stroke is None:  # lost at once: nothing to keep
        assert "moves too much" in session.message
    else:
        assert stroke.carrying is not None
        frames = [t for t, _ in stroke.carrying.matches]
        assert frames == list(range(1, len(frames) + 1))
        assert {t for t, _ in stroke.planes} == set(frames) - {stroke.carrying.lost}
    session.close_clip()


# ---- as pixels -----------------------------------------------------------------------------


def drawn(origin: Origin, confidence: int, **more: int) -> np.ndarray:
    """The lane of one class on a clip of 10 frames, of 20 pixels each; only frame 4 is marked."""
    shown = np.zeros((10, 1), np.uint16)
    shown[4] = 256 * origin + confidence
    content = Content(
        shown,
        np.full(10, more.get("match", UNKNOWN), np.uint8),
        np.zeros(10, np.bool_),
        np.zeros(10, np.uint8),
    )
    rows = Rows.of(1, 0)
    return draw(content, Window(10).cells(200), rows, [RED], COLORS)


def red(pixels: np.ndarray) -> np.ndarray:
    """Where a lane is of its full colour, ``bool (height, 200)``."""
    rows = Rows.of(1, 0)
    found: np.ndarray = (pixels[slice(*rows.lanes[0]), :, :3] == RED).all(axis=2)
    return found


def test_painted_is_solid_carried_hollow_filled_hatched_and_height_is_confidence() -> None:
    height = red(drawn(Origin.PAINTED, 1)).shape[0]
    for confidence in (25, 50, 100):
        solid, hollow, hatched = (
            red(drawn(o, confidence)) for o in (Origin.PAINTED, Origin.CARRIED, Origin.INTERPOLATED)
        )
        tall = int(np.ceil(confidence / 100 * height))
        assert solid[height - tall :, 81:98].all()
        for found in (solid, hollow, hatched):
            assert not found[: height - tall].any()
            assert not found[:, :80].any()
            assert not found[:, 100:].any()
        assert hollow[height - tall, 80:99].all()  # its outline
        assert hollow[height - tall :, 80].all()
        assert not hollow[height - tall + 1 : height - 1, 82:96].any()
        assert 0.4 < hatched[height - tall :, 80:99].mean() < 0.6
    keys = [drawn(o, 60)[:9].any() for o in (Origin.PAINTED, Origin.CARRIED, Origin.INTERPOLATED)]
    assert keys == [True, False, False]  # a mark above where one painted


def test_one_painted_frame_and_one_open_frame_of_2000_are_seen() -> None:
    shown = np.full((2000, 1), 256 * Origin.CARRIED + 80, np.uint16)
    shown[1234] = 256 * Origin.PAINTED + 30
    review = np.full(2000, 2, np.uint8)
    review[777] = 0
    lost = np.zeros(2000, np.bool_)
    lost[1500] = True
    grip = np.full(2000, 90, np.uint8)
    grip[1600] = 20
    rows, cells = Rows.of(1, 0), Window(2000).cells(290)
    out = draw(Content(shown, grip, lost, review), cells, rows, [RED], COLORS)
    at: list[int] = cells.of_pixels().tolist()

    def pixel(frame: int) -> int:
        return int(at.index(cells.at(frame / 2000 * 290 + 1e-6)))

    lane = (out[slice(*rows.lanes[0]), :, :3] == RED).all(axis=2)
    assert lane[-5:, pixel(1234)].all()
    assert not lane[-5:, pixel(1234) - 1].all()
    assert np.flatnonzero(out[:9].any(axis=(0, 2))).tolist() == [pixel(1234)]
    band = out[slice(*rows.reviewed), :, :3]
    assert np.flatnonzero((band != COLORS.done).any(axis=(0, 2))).tolist() == [pixel(777)]
    match = (out[slice(*rows.match), :, :3] == COLORS.warn).all(axis=2)
    assert np.flatnonzero(match.any(axis=0)).tolist() == [pixel(1500), pixel(1600)]
    assert match[:, pixel(1500)].all()  # lost: the whole height
    assert not match[:, pixel(1600)].all()


def test_a_dense_screen_has_the_same_picture_of_more_pixels() -> None:
    shown = np.array([[768 + 50], [512 + 50], [256 + 50], [0]], np.uint16)
    content = Content(
        shown, np.full(4, 70, np.uint8), np.zeros(4, np.bool_), np.array([2, 1, 0, 2], np.uint8)
    )
    rows = Rows.of(1, 0)
    once = draw(content, Window(4).cells(80), rows, [RED], COLORS)
    twice = draw(content, Window(4).cells(160), rows.scaled(2), [RED], COLORS, ratio=2)
    assert twice.shape == (2 * once.shape[0], 160, 4)
    assert (once[9:, :, :3] == twice[18::2, ::2, :3]).all(axis=2).mean() > 0.9
