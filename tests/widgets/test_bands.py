"""Guaranteed contours of a model: drawn for the class in hand, inner solid and outer dashed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import ndimage

from napari_confseg.annotate.review.lines import LINE, GuaranteedContours, closed
from napari_confseg.store import (
    Band,
    Guarantee,
    Identity,
    Margin,
    ProgramWriter,
    Sector,
    Status,
)
from napari_confseg.widgets.demo.hand import wait
from napari_confseg.widgets.layers.layer_guard import layer_name
from napari_confseg.widgets.review.panel import ReviewPanel
from tests.annotate.review.planted import planted_cohort
from tests.widgets.bench import let_go

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.store import Cohort
    from tests.widgets.bench import Bench

A_LINE, B_LINE, SHAPE = 1, 2, (48, 64)
PROMISED = Guarantee(
    level=80,
    allowed=20,
    panel=("ann", "bob"),
    threshold=50,
    source="cohort ward",
    patients=24,
    bands={"b-line": Band(inner=90, outer=10), "pleura": Band(inner=80, outer=None)},
    margins={"b_line_count": Margin(half_width=1.5, unit="lines")},
)


def plane() -> np.ndarray:
    """A column of 95 % within one of 20 %."""
    made = np.zeros(SHAPE, np.uint8)
    made[4:44, 10:50], made[14:34, 25:35] = 20, 95
    return made


@pytest.fixture
def marked(cohort: Cohort) -> Cohort:
    """A clip that a model with a guarantee has marked, and reviewed in every class."""
    clip = cohort.clip("clip-1")
    with ProgramWriter(clip, "ward", Identity("model", run="r", guarantee=PROMISED)) as writer:
        writer.record_identity()
        with writer.bulk() as put:
            put(0, B_LINE, plane())
            put(0, A_LINE, plane())
        status = np.full(writer.rater.shape[:2], Status.UNTOUCHED, np.uint8)
        status[0] = Status.REVIEWED
        writer.write_status(status)
    return cohort


def names(bench: Bench) -> list[str]:
    return [layer.name for layer in bench.viewer.layers if "guaranteed" in layer.name]


def lines(data: Any, box: tuple[slice, slice]) -> int:
    """Pixels of lines of the first frame within a box of the clip."""
    fine = tuple(slice(s.start * data.fine, s.stop * data.fine) for s in box)
    return int((data.frame(0)[fine] == LINE).sum())


def test_the_inner_contour_is_whole_and_the_outer_one_has_gaps() -> None:
    stack = plane()[None]
    both = GuaranteedContours(stack, Band(inner=90, outer=10))
    inner = GuaranteedContours(stack, Band(inner=90, outer=None))
    none = GuaranteedContours(stack, Band(inner=None, outer=None))
    middle, outside = np.s_[10:40, 20:40], np.s_[0:48, 5:15]
    assert not none.frame(0).any()
    assert lines(inner, middle) == lines(both, middle) == pytest.approx(60 * both.fine**2, rel=0.1)
    assert lines(inner, outside) == 0
    assert 0.5 < lines(both, outside) / (50 * both.fine**2) < 0.8  # 5 of 8, and the ends' width


def test_an_outer_contour_is_smoothed_by_additions_alone() -> None:
    rng = np.random.default_rng(3)
    for shape in ((40, 300), (300, 300), (48, 64)):
        mask = ndimage.gaussian_filter(rng.random(shape), 1.5) > 0.5
        more = closed(mask)
        assert (more >= mask).all()
        assert np.array_equal(closed(more), more)
        assert more.any(where=~mask) == (max(shape) >= 100)
    holes = np.ones((300, 300), np.bool_)
    holes[50:55, 50:55] = holes[100:120, 100:120] = False
    assert closed(holes)[50:55, 50:55].all()
    assert not closed(holes)[105:115, 105:115].any()


def test_both_are_cut_to_the_sector() -> None:
    sector = Sector(kind="linear", polygon=((0, 0), (0, 29), (47, 29), (47, 0)))
    cut = GuaranteedContours(plane()[None], Band(inner=90, outer=10), sector)
    drawn = np.argwhere(cut.frame(0))
    assert drawn[:, 1].max() / cut.fine == pytest.approx(30, abs=1.5)  # it ends there
    assert lines(cut, np.s_[10:40, 28:31])  # and is closed along the sector's edge
    doubtful = sector.model_copy(update={"trust": 0.2})
    whole = GuaranteedContours(plane()[None], Band(inner=90, outer=10), doubtful)
    assert np.argwhere(whole.frame(0))[:, 1].max() / cut.fine == pytest.approx(50, abs=1.5)


def test_they_are_drawn_for_the_class_in_hand(marked: Cohort, unseen_bench: Bench) -> None:
    bench = unseen_bench
    bench.open(marked)
    session, others = bench.session, bench.panel.form.others
    bench.panel.form.others_section.header.click()
    wait(50)
    session.others.show("ward")
    assert others.bands.isVisibleTo(others)
    assert not names(bench)
    others.bands.click()
    assert names(bench) == ["ward · guaranteed"]
    assert "in 80\u00a0% of patients" in others._promised.text()
    assert "No outer contour holds for Pleural line." in others._promised.text()
    data = bench.layer("ward · guaranteed").data
    assert data.frame(0).any()
    assert not data.frame(1).any()
    session.class_name = "a-line"  # marked, but not guaranteed
    assert not names(bench)
    session.class_name = "pleura"  # guaranteed, but not marked
    assert not names(bench)
    session.class_name = "b-line"
    assert names(bench)
    layer = bench.layer("ward · guaranteed")
    data = layer.data
    half = Sector(kind="linear", polygon=((0, 0), (0, 29), (47, 29), (47, 0)), confirmed=True)
    assert session.clip is not None
    session.clip.update_meta(sector=half)
    session.sector_changed.emit()  # as when a person confirms it
    assert bench.layer("ward · guaranteed") is layer
    assert layer.data is not data
    assert np.argwhere(layer.data.frame(0))[:, 1].max() < 32 * layer.data.fine
    session.others.hide("ward")
    assert not names(bench)
    assert not others.bands.isVisibleTo(others)
    session.others.show("ward")
    bench.viewer.layers["ward · guaranteed"].visible = False
    assert not session.bands
    assert not names(bench)


def test_a_clips_read_out_has_the_guaranteed_interval(marked: Cohort, unseen_bench: Bench) -> None:
    bench = unseen_bench
    bench.open(marked)
    bench.session.others.show("ward")
    part = bench.panel.form.readouts
    bench.panel.form.readouts_section.header.click()
    part.live.choose("ward")
    part.of_clip.click()
    bench.until(lambda: part.live.clip is not None)
    assert part.live.clip is not None
    count = part.live.clip.b_line_count.mean.value
    assert count == 1
    assert part.intervals["b_line_count"].text() == "0.0 – 2.5"
    assert "B-lines: for 80 % of patients, measured on 24" in part.note.text()
    part.of_frame.click()
    bench.until(lambda: part.live.frame is not None)
    assert part.intervals["b_line_count"].text() != "0.0 – 2.5"


def test_review_draws_them_too(tmp_path: Path, state_dir: Path, unseen_bench: Bench) -> None:
    bench, cohort = unseen_bench, planted_cohort(tmp_path)
    cohort.clip("clip-1").rater("bo").update_meta(kind="model", guarantee=PROMISED)
    bench.open(cohort, reader="Dr. Lead")
    panel = ReviewPanel(bench.viewer)
    panel.show()
    try:
        review = panel.review
        bench.until(lambda: review.state.pending is None and not panel.jobs.busy)
        row = next(r for r in review.state.raters if r.name == "bo")
        review.configure(raters=frozenset(["ada", "bo"]))
        bench.until(lambda: review.state.pending is None and not panel.jobs.busy)
        title = layer_name(row.title, after=" · guaranteed")
        assert title not in bench.viewer.layers
        assert panel.canvas.bands.isVisibleTo(panel.canvas)
        panel.canvas.bands.click()
        assert bench.viewer.layers[title].visible
        data = bench.viewer.layers[title].data
        assert isinstance(data, GuaranteedContours)
        drawn = np.array([data.frame(t).any() for t in range(data.shape[0])])
        planes = cohort.clip("clip-1").rater("bo").read_planes(B_LINE)
        assert drawn.tolist() == (planes >= 10).any((1, 2)).tolist()
        bench.session.bands = False
        assert not bench.viewer.layers[title].visible
        assert not panel.canvas.bands.isChecked()
    finally:
        let_go(panel)
