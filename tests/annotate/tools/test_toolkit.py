"""The toolkit on a session: what pure functions return, as one edit, within the rules."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.annotate.session import Session
from napari_confseg.annotate.tools.bands import b_line_band, pleura_band
from napari_confseg.annotate.tools.filling import filled_only, gap_around, run
from napari_confseg.annotate.tools.interpolation import between
from napari_confseg.annotate.tools.merging import Merge, merged
from napari_confseg.annotate.tools.propagation import carried
from napari_confseg.annotate.tools.snapping import region_of, snapped
from napari_confseg.annotate.tools.toolkit import ToolAction, Toolkit
from napari_confseg.annotate.view import Tool
from napari_confseg.readouts import Beams
from napari_confseg.store import EXCLUDED, Cohort, Sector, Spacing, Status
from tests.annotate.edits import as_stored, paint, rectangle, sit_down
from tests.annotate.tools.pictures import texture
from tests.conftest import add_clip, clip_meta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SHAPE, N = (80, 100), 8
SECTOR = Sector(kind="curved", polygon=((6, 38), (6, 62), (60, 92), (74, 50), (60, 8)))


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    """A clip whose picture slides to the right by 1 pixel a frame, one plain, one of noise."""
    made = Cohort.create(tmp_path / "cohort.zarr", name="toy")
    wide = texture((SHAPE[0], SHAPE[1] + N))
    for name, calibrated in (("sliding", True), ("plain", False)):
        with made.new_clip(name, shape=SHAPE) as new:
            for t in range(N):
                new.append(np.ascontiguousarray(wide[:, N - t : N - t + SHAPE[1]]))
            meta = clip_meta(N)
            known = {"sector": SECTOR, "spacing": Spacing(y=0.5, x=0.5, source="manual")}
            new.finish(meta.model_copy(update=known if calibrated else {}))
    add_clip(made, "other-size")
    return made


@pytest.fixture
def session(cohort: Cohort) -> Iterator[Session]:
    made = sit_down(cohort, "sliding")
    yield made
    made.close_clip()


@pytest.fixture
def kit(session: Session) -> Toolkit:
    return session.toolkit


BOX = (30, 40, 40, 52)


def planes(session: Session) -> np.ndarray:
    return np.stack([session.planes[c.name] for c in session.classes])


def check_one_edit(session: Session, before: np.ndarray) -> None:
    """One undo takes all back, one redo brings it again, and the store has what is seen."""
    after = planes(session)
    assert not np.array_equal(after, before)
    stroke = session.strokes[-1]
    changed = {(t, c) for c, t in np.argwhere((after != before).any(axis=(2, 3))).tolist()}
    assert set(stroke.touched) == changed
    assert stroke.pixels == (after != before).sum()
    session.undo()
    assert np.array_equal(planes(session), before)
    session.redo()
    assert np.array_equal(planes(session), after)
    assert session.flush()
    assert np.array_equal(np.stack(list(as_stored(session).values())), after)


def test_a_b_line_is_the_band_of_the_pure_function(session: Session, kit: Toolkit) -> None:
    paint(session, (20, 40, 70, 44), confidence=EXCLUDED)
    before = planes(session)
    beams = Beams.of(session.clip.meta, session.clip.shape)  # type: ignore[union-attr]
    stroke = kit.marker.b_line((20, 46), (20, 54))
    assert stroke is not None
    assert (stroke.tool, stroke.confidence, stroke.frame) == ("b-line", 60, 0)
    band = b_line_band(beams, (20, 46), (20, 54), width=3.0, confidence=60)
    assert np.array_equal(session.planes["b-line"][0], merged(before[2, 0], band))
    assert (session.planes["b-line"][0][before[2, 0] == EXCLUDED] == EXCLUDED).all()
    check_one_edit(session, before)


def test_widths_are_in_millimetres_where_they_are_known(session: Session, kit: Toolkit) -> None:
    session.band_widths = session.band_widths.changed("b-line", "mm", 8).changed("b-line", "px", 5)
    kit.marker.b_line((20, 50), (20, 50))
    row = session.planes["b-line"][0][21]
    session.open_clip("plain")
    kit.marker.b_line((20, 50), (20, 50))
    assert (session.planes["b-line"][0] > 0).sum(axis=1).max() == 5
    assert 13 <= (row > 0).sum() <= 18  # 8 mm of half a millimetre a pixel
    with pytest.raises(ValueError, match="above 0 mm"):
        session.band_widths.changed("pleura", "mm", 0)


def test_the_pleura_tool_follows_the_picture_unless_told(session: Session, kit: Toolkit) -> None:
    session.class_name = "pleura"
    beams, ends = kit.marker.beams, ((26, 36), (26, 64))
    for straight, picture in ((False, kit.marker.picture), (True, None)):
        kit.marker.pleura(*ends, straight=straight)
        band = pleura_band(beams, *ends, width=1.5, confidence=60, frame=picture)
        assert np.array_equal(session.planes["pleura"][0], band)
        session.undo()
    session.follow_bright = False
    kit.marker.pleura(*ends)
    assert np.array_equal(session.planes["pleura"][0], band)
    check_one_edit(session, np.zeros_like(planes(session)))


def test_a_smart_edge_is_the_snapped_polygon(session: Session, kit: Toolkit) -> None:
    corners = [(30, 35), (30, 60), (52, 60), (52, 35)]
    assert kit.marker.snap(corners[:2]) is None
    assert "3 corners" in session.message
    stroke = kit.marker.snap(corners)
    assert stroke is not None
    assert stroke.tool == "smart-edge"
    expected = snapped(
        kit.marker.picture,
        region_of(corners, SHAPE),
        band=3.0,
        confidence=60,
        inside=kit.marker.beams.inside,
    )
    assert np.array_equal(session.planes["b-line"][0], expected)
    check_one_edit(session, np.zeros_like(planes(session)))


def test_propagation_is_what_the_pure_function_carries(session: Session, kit: Toolkit) -> None:
    session.frame = 2
    paint(session, BOX, confidence=90)
    before = planes(session)
    frames = session.clip.frames[:]  # type: ignore[union-attr]
    stroke = kit.propagate(steps=3)
    assert stroke is not None
    assert (stroke.tool, stroke.confidence, stroke.frame) == ("propagate", 90, 2)
    assert stroke.planes == ((3, 2), (4, 2), (5, 2))
    steps = carried(frames, {2: before[2, 2]}, 2, steps=3, inside=kit.marker.beams.inside)
    for step in steps:
        assert np.array_equal(session.planes["b-line"][step.frame], step.proposals[2])
    assert session.status[:, 2].tolist() == [0, 0, 1, 1, 1, 1, 0, 0]
    check_one_edit(session, before)
    session.undo()
    kit.propagate(steps=50, direction=-1)
    assert session.marked[:, 2].tolist() == [True] * 3 + [False] * 5


def test_propagating_anew_replaces_what_was_carried_and_leaves_what_was_painted(
    session: Session, kit: Toolkit
) -> None:
    paint(session, BOX, confidence=90)
    kit.propagate(steps=4)
    session.undo()
    session.undo()
    paint(session, (30, 60, 40, 70), confidence=90)
    kit.propagate(steps=4)
    alone = session.planes["b-line"][:]
    session.undo()
    session.undo()

    paint(session, BOX, confidence=90)
    kit.propagate(steps=4)
    paint(session, (50, 45, 54, 50), confidence=40, frame=3)  # corrected by hand
    by_hand = session.planes["b-line"][3].copy()
    paint(session, BOX, confidence=0)
    paint(session, (30, 60, 40, 70), confidence=90)
    kit.propagate(steps=4)
    assert session.message == "Stays as it was, painted by hand: frame 4."
    now = session.planes["b-line"]
    for t in (1, 2, 4):
        assert np.array_equal(now[t], alone[t])
    assert np.array_equal(now[3], by_hand)


def test_marks_that_were_imported_stay(cohort: Cohort) -> None:
    rater = cohort.clip("sliding").create_rater("dr-ada", kind="human", label="Dr. Ada")
    plane = np.zeros(SHAPE, np.uint8)
    plane[60:70, 10:20] = 70
    rater.write_plane(2, 2, plane)
    status = np.zeros((N, len(cohort.meta.classes)), np.uint8)
    status[2, 2] = Status.IN_PROGRESS
    rater.write_status(status)
    session = sit_down(cohort, "sliding")
    paint(session, BOX, confidence=90, frame=1)
    session.frame = 1
    session.toolkit.propagate(steps=2)
    assert session.message == "Stays as it was, painted by hand: frame 3."
    assert np.array_equal(session.planes["b-line"][2], plane)
    assert session.planes["b-line"][3].any()
    session.close_clip()


def test_interpolation_fills_the_gap_and_refines_it(session: Session, kit: Toolkit) -> None:
    paint(session, BOX, confidence=90, frame=1)
    assert "two frames" in kit.why_not(ToolAction.INTERPOLATE)
    paint(session, (30, 46, 40, 58), confidence=60, frame=6)
    session.frame = 4
    before = planes(session)
    stroke = kit.interpolate()
    assert stroke is not None
    assert (stroke.tool, stroke.confidence, stroke.frame) == ("interpolate", 90, 4)
    first, last = before[2, 1], before[2, 6]
    proposals = between(first, last, 5, inside=kit.marker.beams.inside)
    for t, proposal in enumerate(proposals, 2):
        assert np.array_equal(session.planes["b-line"][t], proposal)
    assert session.planes["b-line"][3].max() < 90  # lower confidence halfway
    check_one_edit(session, before)

    # A frame corrected by hand becomes an end, and what is between is filled anew, not added.
    session.frame = 3
    paint(session, (0, 0, 80, 100), confidence=0)
    paint(session, (50, 50, 60, 60), confidence=80)
    kit.interpolate()
    (expected,) = between(first, session.planes["b-line"][3], 2, inside=kit.marker.beams.inside)
    assert np.array_equal(session.planes["b-line"][2], expected)


def test_gaps_are_found_about_the_frame() -> None:
    keys = [2, 6, 7, 12]
    assert gap_around(keys, 4) == (2, 6)
    assert gap_around(keys, 6) == (2, 6)
    assert gap_around(keys, 2) == (2, 6)
    assert gap_around(keys, 7) == (7, 12)
    assert gap_around(keys, 12) == (7, 12)
    assert gap_around(keys, 1) is gap_around(keys, 13) is gap_around([4, 5], 4) is None


def test_copy_and_paste_between_frames_and_clips(session: Session, kit: Toolkit) -> None:
    assert not kit.copy()
    assert session.message == kit.why_not(ToolAction.COPY) == "Nothing is marked on this frame."
    assert kit.paste() is None
    assert "copied yet" in session.message
    paint(session, BOX, confidence=70)
    paint(session, (10, 48, 14, 52), confidence=EXCLUDED)
    paint(session, (50, 40, 60, 50), confidence=30, class_name="rib")
    session.every_class = True
    assert kit.copy()
    session.frame = 5
    before = planes(session)
    stroke = kit.paste()
    assert stroke is not None
    assert (stroke.tool, stroke.confidence, stroke.planes) == ("paste", 70, ((5, 2), (5, 5)))
    expected = np.where(before[:, 0] == EXCLUDED, 0, before[:, 0])
    assert np.array_equal(planes(session)[:, 5], expected)
    check_one_edit(session, before)
    session.open_clip("plain")
    assert kit.paste() is not None
    session.open_clip("other-size")
    assert kit.paste() is None
    assert session.message == (
        "Copied on frames of 100 x 80 pixels; those of this clip are 64 x 48."
    )


def test_keeping_to_the_sector(session: Session, kit: Toolkit) -> None:
    paint(session, (30, 2, 40, 98), confidence=70, frame=1)
    paint(session, (0, 0, 20, 20), confidence=EXCLUDED, frame=1)
    paint(session, (30, 2, 40, 98), confidence=70, frame=4)
    paint(session, (30, 2, 40, 98), confidence=70, frame=6)
    session.progress.mark_reviewed(6)
    before = planes(session)
    stroke = kit.clip_to_sector()
    assert stroke is not None
    assert (stroke.tool, stroke.confidence) == ("clip-to-sector", 0)
    inside, now = kit.marker.beams.inside, planes(session)
    for t in (1, 4):
        outside = ~inside & (before[2, t] != EXCLUDED)
        assert not now[2, t][outside].any()
        assert np.array_equal(now[2, t][~outside], before[2, t][~outside])
    assert np.array_equal(now[2, 6], before[2, 6])  # reviewed, and not on show
    check_one_edit(session, before)
    assert kit.clip_to_sector() is None
    session.open_clip("plain")
    paint(session, BOX)
    assert kit.clip_to_sector() is None
    assert session.message == "The sector of this clip is not known."


def test_a_doubtful_sector_bounds_no_tool(session: Session, kit: Toolkit) -> None:
    clip = session.clip
    assert clip is not None
    assert clip.meta.sector is not None
    doubtful = clip.meta.sector.model_copy(update={"confirmed": False, "trust": 0.2})
    outside = ~kit.marker.beams.inside
    clip.update_meta(sector=doubtful)
    y, x = np.argwhere(outside)[0].tolist()
    paint(session, (y, x, y + 1, x + 1), confidence=30)
    assert kit.marker.fill((y, x), 0, "b-line", 80) is not None
    assert session.planes["b-line"][0, y, x] == 80
    y, x = np.argwhere(session.planes["b-line"][0] == 0)[0].tolist()
    assert kit.marker.fill((y, x), 0, "b-line", 80) is None
    assert "of the picture is open there" in session.message
    assert kit.clip_to_sector() is None
    assert "doubtful" in session.message


@pytest.mark.parametrize("rule", Merge)
def test_the_merge_rule_holds_for_every_tool(session: Session, kit: Toolkit, rule: Merge) -> None:
    paint(session, (0, 0, 80, 50), confidence=30, frame=1)
    paint(session, (0, 50, 80, 60), confidence=EXCLUDED, frame=1)
    paint(session, (30, 40, 60, 70), confidence=90)
    kit.copy()
    session.frame, session.merge = 1, rule
    actions: list[tuple[Callable[[], object], np.ndarray]] = [
        (kit.paste, session.planes["b-line"][0].copy()),
        (
            lambda: kit.marker.b_line((20, 46), (20, 54)),
            kit.marker.band(Tool.B_LINE, (20, 46), (20, 54), straight=True),
        ),
    ]
    for action, proposal in actions:
        before = session.planes["b-line"][1].copy()
        action()
        assert np.array_equal(session.planes["b-line"][1], merged(before, proposal, rule))
    session.frame = 0
    before = session.planes["b-line"][1].copy()
    assert kit.propagate() is None  # whatever the rule: that frame was painted by hand
    assert "painted by hand: frame 2" in session.message
    assert np.array_equal(session.planes["b-line"][1], before)


def test_carrying_back_and_filling_leave_what_the_hand_painted(
    session: Session, kit: Toolkit
) -> None:
    paint(session, BOX, confidence=90, frame=3)
    session.frame = 3
    kit.propagate(steps=4)
    paint(session, BOX, confidence=84, frame=6)
    paint(session, (0, 0, 80, 100), confidence=0, frame=5)  # looked at: nothing there
    by_hand = {t: session.planes["b-line"][t].copy() for t in (3, 5, 6)}
    session.progress.mark_reviewed(4, "b-line")
    session.frame = 6
    for rule in Merge:
        session.merge = rule
        kit.propagate(steps=10, direction=-1)
        assert session.message.endswith(
            "Stays as it was, painted by hand: frames 4, 6. Stays as it was, reviewed: frame 5."
        )
        kit.interpolate()
        assert "painted by hand: frame 6." in session.message
        for t, plane in by_hand.items():
            assert np.array_equal(session.planes["b-line"][t], plane)


def test_what_is_excluded_by_hand_stops_no_carrying(session: Session, kit: Toolkit) -> None:
    excluded = rectangle(session, (0, 0, 20, 20), confidence=EXCLUDED, frame=1)
    session.commit(replace(excluded, tool="exclude"))
    paint(session, BOX, confidence=90)
    assert kit.propagate(steps=1) is not None
    assert (session.planes["b-line"][1][:20, :20] == EXCLUDED).all()


def test_locked_hidden_and_reviewed_planes_stay(session: Session, kit: Toolkit) -> None:
    paint(session, BOX, confidence=70)
    paint(session, (30, 55, 40, 60), confidence=70, class_name="rib")
    kit.copy()
    session.locked = frozenset({"b-line"})
    assert session.view().tool is Tool.BRUSH  # in hand, and it says why it does nothing
    assert "locked" in session.view().blocked
    before = planes(session)
    for action in (
        kit.paste,
        kit.propagate,
        kit.interpolate,
        kit.clip_to_sector,
        lambda: kit.marker.b_line((20, 46), (20, 54)),
        lambda: kit.marker.snap([(30, 35), (30, 60), (52, 60)]),
        lambda: paint(session, (0, 0, 5, 5)),
    ):
        session.message = ""
        assert action() is None
        assert "locked" in session.message
    assert np.array_equal(planes(session), before)
    assert kit.copy()  # looking is free
    session.every_class = True
    session.progress.mark_reviewed(2, "rib")
    kit.propagate(steps=3)
    assert session.strokes[-1].planes == ((1, 5), (3, 5))
    session.hidden, session.locked = frozenset({"rib"}), frozenset()
    kit.propagate(steps=1)
    assert session.strokes[-1].planes == ((1, 2),)
    session.undo()
    session.locked = frozenset({"b-line", "rib"})
    session.undo()  # what was done can be taken back, locked or not
    assert np.array_equal(planes(session), before)


def test_what_is_impossible_says_why(session: Session, kit: Toolkit, cohort: Cohort) -> None:
    paint(session, BOX, confidence=70, frame=N - 1)
    session.frame, session.playing = N - 1, True
    assert kit.propagate() is None
    assert session.message == kit.why_not(ToolAction.PROPAGATE, 1) == "This is the last frame."
    assert not session.playing
    assert kit.why_not(ToolAction.PROPAGATE, -1) == kit.why_not(ToolAction.PROPAGATE) == ""
    assert kit.marker.b_line((0, 0), (0, 0)) is None
    assert "outside the sector" in session.message
    other = Session()
    other.open_cohort(cohort.location)
    other.reader.choose("Dr. Ada")
    other.open_clip("sliding")
    other.class_name, other.frame = "b-line", N - 1
    theirs = other.toolkit
    for action in (theirs.propagate, theirs.paste, theirs.clip_to_sector):
        assert action() is None
        assert other.message.startswith("This clip is read-only here: ")
    assert theirs.marker.b_line((20, 46), (20, 54)) is None
    other.close_clip()
    assert theirs.why_not(ToolAction.COPY) == "Open a clip first."


def test_painting_meanwhile_is_safe(session: Session, kit: Toolkit) -> None:
    paint(session, BOX, confidence=90)
    work = kit.propagation(steps=5)
    assert work is not None
    told: list[tuple[int, int]] = []
    found = run(work, lambda k, n, _: told.append((k, n)), lambda: len(told) == 4)
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5)]  # stopped: what is finished stays
    paint(session, BOX, confidence=0)  # neither the source nor where it goes stands still
    paint(session, (0, 0, 80, 100), confidence=EXCLUDED, frame=1)
    paint(session, (0, 0, 80, 100), confidence=20, frame=2)
    session.frame = 7
    assert kit.land(work, found) is not None
    now = session.planes["b-line"]
    assert (now[1] == EXCLUDED).all()
    assert set(np.unique(now[2])) == {20}
    assert now[3].any()
    assert session.marked[:, 2].tolist() == [False] + [True] * 4 + [False] * 3
    session.undo()
    assert session.frame == 0
    session.open_clip("plain")
    assert kit.land(work, found) is None
    assert "closed meanwhile" in session.message


def test_filled_planes_are_known_from_the_record(session: Session, kit: Toolkit) -> None:
    paint(session, BOX, confidence=90)
    kit.propagate(steps=3)
    paint(session, (50, 45, 54, 50), confidence=40, frame=2)
    filled = filled_only(session.strokes, session.status.shape)
    assert np.argwhere(filled).tolist() == [[1, 2], [3, 2]]
    session.undo()
    session.close_clip()
    session.open_clip("sliding")  # and across sittings
    filled = filled_only(session.strokes, session.status.shape)
    assert np.argwhere(filled).tolist() == [[1, 2], [2, 2], [3, 2]]


def test_taking_a_band_tool_takes_its_class(session: Session, kit: Toolkit) -> None:
    kit.marker.take(Tool.PLEURA)
    assert (session.tool, session.class_name) == (Tool.PLEURA, "pleura")
    session.class_name = "a-line"  # and another one, if one likes
    assert session.view().tool is Tool.PLEURA
    kit.marker.take(Tool.SMART_EDGE)
    assert session.class_name == "a-line"


def test_solo_shows_the_class_to_paint_alone(session: Session) -> None:
    session.hidden = frozenset({"rib"})
    session.solo = True
    assert session.view().visible == {"b-line"}
    session.class_name = "pleura"
    assert session.view().visible == {"pleura"}
    session.class_name = "rib"
    assert session.view().editable == {"rib"}
    session.solo = False
    assert "rib" not in session.view().visible


def test_fill_stops_at_the_sector_and_says_so(session: Session, kit: Toolkit) -> None:
    inside, index = kit.marker.beams.inside, session.class_index()
    plane = session.planes["b-line"][0]
    edge = int(np.flatnonzero(inside[40])[0])
    paint(session, (36, max(edge - 6, 0), 46, edge + 10), confidence=30)
    marked = plane == 30
    assert (marked & ~inside).any()
    assert kit.marker.fill((40, edge - 2), 0, "b-line", 80) is None
    assert session.message == "Nothing was filled: that lies outside the sector."
    stroke = kit.marker.fill((40, edge + 5), 0, "b-line", 80)
    assert stroke is not None
    assert (stroke.tool, stroke.class_index) == ("fill", index)
    assert session.message == "Filled to the edge of the sector, and no further."
    assert np.array_equal(session.planes["b-line"][0] == 80, marked & inside)
    assert np.array_equal(session.planes["b-line"][0] == 30, marked & ~inside)
    untouched = session.planes["b-line"][:]
    y, x = np.argwhere(inside & (session.planes["b-line"][0] == 0))[0].tolist()
    assert kit.marker.fill((y, x), 0, "b-line", 80) is None
    assert "of the sector is open there, and one fill covers 25 % at most" in session.message
    assert np.array_equal(session.planes["b-line"], untouched)
