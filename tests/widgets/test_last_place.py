"""A reader comes back to the frame they left, with what they had in hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from napari_confseg.annotate.preferences import state_folder
from napari_confseg.annotate.session import Session
from napari_confseg.annotate.view import Tool
from napari_confseg.store import Cohort
from tests.widgets.bench import Bench, make_cohort

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    return make_cohort(tmp_path / "cohort.zarr", "clip-1", "clip-2", "clip-3")


def in_hand(bench: Bench) -> tuple[Any, ...]:
    s = bench.session
    name = s.clip.name if s.clip else None
    return (name, s.frame, s.class_name, s.tool, s.confidence, s.brush_size)


@pytest.mark.parametrize("way", ["by hand", "by code"])
def test_after_the_window_was_closed(
    make_napari_viewer: Callable[..., Any], cohort: Cohort, way: str
) -> None:
    bench = Bench(make_napari_viewer(show=True))
    assert bench.panel.cohort_actions.open(cohort.location, "Dr. Ada")
    hand = bench.hand
    assert in_hand(bench)[:2] == ("clip-1", 0)  # nothing is known yet: the first to do
    hand.activate()
    for _ in range(4):
        hand.key("Right")
    hand.key("Ctrl+PageDown")
    for key in ("Right", "Right", "J", "0", "3", *("BracketRight",) * 3):
        hand.key(key)
    left = ("clip-2", 2, "b-line", Tool.POLYGON, 90, 15)
    assert in_hand(bench) == left
    session = bench.session
    if way == "by code":
        bench.viewer.close()
    else:  # as when the program ends
        session.release()
    assert session.clip is None
    if way == "by hand":
        bench.close()
    del bench, hand, session

    bench = Bench(make_napari_viewer(show=True))
    assert bench.panel.cohort_actions.open(cohort.location)
    assert in_hand(bench) == left
    assert bench.viewer.dims.current_step[0] == 2
    # What is shown is what is in hand.
    form = bench.panel.form
    assert form.tools_section.header.text() == "Tool  ·  Polygon"
    assert form.palette_.rows["b-line"].property("chosen") == "true"
    bench.hand.activate()
    bench.hand.key("Ctrl+PageUp")
    assert in_hand(bench) == ("clip-1", 4, *left[2:])  # each clip at its own frame
    bench.close()


def test_each_cohort_and_each_reader_has_a_place(
    unseen_bench: Bench, cohort: Cohort, tmp_path: Path
) -> None:
    bench, session = unseen_bench, unseen_bench.session
    other = make_cohort(tmp_path / "other.zarr", "x-1", "x-2")
    bench.open(cohort, clip="clip-3")
    session.frame, session.tool, session.confidence = 5, Tool.FILL, 30
    bench.open(other, clip="x-2")
    session.frame, session.tool, session.confidence = 1, Tool.ERASE, 70
    assert bench.panel.cohort_actions.open(cohort.location)
    assert in_hand(bench) == ("clip-3", 5, "b-line", Tool.FILL, 30, 8)
    # Somebody else at the same computer begins at the beginning, with what is in hand.
    session.close_cohort()
    assert bench.panel.cohort_actions.open(cohort.location, "Dr. Bo")
    assert in_hand(bench)[:2] == ("clip-1", 0)
    session.close_cohort()
    assert bench.panel.cohort_actions.open(cohort.location, "Dr. Ada")
    assert in_hand(bench) == ("clip-3", 5, "b-line", Tool.FILL, 30, 8)
    # Of what is not there any more, the nearest.
    session.close_cohort()
    Cohort.open(cohort.location).remove_clip("clip-3")
    assert bench.panel.cohort_actions.open(cohort.location)
    assert in_hand(bench)[:2] == ("clip-1", 0)


def test_a_crash_costs_a_minute_of_it_and_moving_the_picture_nothing(
    cohort: Cohort,
) -> None:
    def come_back() -> tuple[str, int, Tool]:
        session = Session()
        session.open_cohort(cohort.location)
        session.reader.choose("Dr. Ada")
        name = session.places.last_clip(cohort, session.rater) or "clip-1"
        session.open_clip(name)
        place = (name, session.frame, session.tool)
        session.editor.abandon()  # nothing more is written down
        return place

    running = Session()
    running.open_cohort(cohort.location)
    running.reader.choose("Dr. Ada")
    running.open_clip("clip-2")
    running.frame, running.tool = 3, Tool.POLYGON
    running.hold_move(True)
    running.save_activity()  # each minute
    running.frame = 4
    assert come_back() == ("clip-2", 3, Tool.POLYGON)
    (place,) = (state_folder() / "places").iterdir()
    place.write_text("{")  # what can't be read counts as nothing
    assert come_back() == ("clip-1", 0, Tool.BRUSH)
    running.close_clip()
