"""The Calibrate panel in a window: nothing to do, an exercise from end to end, the plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.utils.theme import get_theme

from napari_confseg.store import Cohort, Status
from napari_confseg.widgets.calibrate.panel import CalibratePanel
from tests.annotate.edits import paint
from tests.conftest import add_clip
from tests.widgets.bench import Bench, let_go

if TYPE_CHECKING:
    from pathlib import Path


def with_truth(cohort: Cohort) -> None:
    for name in cohort.clips():
        truth = cohort.clip(name).create_rater("truth", kind="truth", label="The truth")
        plane = np.zeros(truth.shape[2:], np.uint8)
        plane[10:30, 10:40] = 100
        truth.write_plane(0, 2, plane)
        truth.write_status(np.full(truth.shape[:2], Status.REVIEWED, np.uint8))


def test_an_exercise(unseen_bench: Bench, cohort: Cohort, tmp_path: Path) -> None:
    bench = unseen_bench
    panel = CalibratePanel(bench.viewer)
    panel.resize(320, 800)
    panel.show()
    assert "Open a study folder" in panel.note.text()
    assert not panel.new.isVisible()
    bench.open(cohort)
    session = bench.session
    bench.until(lambda: "no reference yet" in panel.note.text())
    assert not panel.begin.isEnabled()

    known = Cohort.create(tmp_path / "known.zarr", name="known")
    add_clip(known, "clip-1")
    add_clip(known, "clip-2")
    with_truth(known)
    assert bench.panel.cohort_actions.open(known.location)
    bench.until(panel.begin.isEnabled)
    assert panel.reference.currentText() == "The truth · 12 new frames"
    session.others.show("truth")
    panel.frames.setValue(3)
    panel.begin.click()
    assert session.overlays == ()
    assert panel.under_way.isVisible()
    assert not panel.new.isVisible()
    assert not panel.finish.isEnabled()
    assert panel.where.text() == "Frame 1 of 3  ·  0 reviewed"
    for k in range(3):
        if session.frame == 0:
            paint(session, (10, 10, 30, 40), class_name="b-line", confidence=60)
            paint(session, (10, 44, 30, 50), class_name="b-line", confidence=90)
        if k == 1:
            panel.forth.click()
            panel.back.click()
            session.frame = 5 if session.frame != 5 else 4
        panel.reviewed.click()
        if k == 1 and panel.bar.value() == 1:
            panel.reviewed.click()  # it led back to the exercise first
        assert panel.bar.value() == k + 1
    assert panel.finish.text() == "Show result"
    panel.finish.click()
    bench.until(lambda: panel.result_section.isVisible())
    text = panel.result.words.text().replace("&nbsp;", " ")
    assert "Of what you marked at 90 %, 0 % is there: overconfident." in text
    assert "Of what you marked at 60 %, 100 % is there: underconfident." in text
    assert "A-line" not in panel.result.words.text()  # neither marked nor there
    x, y = panel.result.plot.points.getData()
    assert dict(zip(x.tolist(), y.tolist(), strict=True)) == {60.0: 100.0, 90.0: 0.0}
    large, small = panel.result.plot.points.data["size"]
    assert large > small  # the more pixels, the larger
    panel.result.class_name.setCurrentIndex(panel.result.class_name.findData("a-line"))
    assert len(panel.result.plot.points.getData()[0]) == 0
    assert "nothing marked" in panel.result.history.text()
    for theme in ("light", "dark"):
        panel.result.set_theme(get_theme(theme))
    bench.until(panel.begin.isEnabled)

    panel.frames.setValue(50)
    panel.begin.click()
    assert panel.bar.maximum() == 9  # all that is left
    panel.discard.click()
    assert panel.result_section.isVisible()
    let_go(panel)
    assert not session.access.in_exercise
