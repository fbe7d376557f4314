"""The Read-outs section: what is painted shows up as findings, beside the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.widgets.demo.hand import wait
from tests.annotate.edits import paint

if TYPE_CHECKING:
    from napari_confseg.store import Cohort
    from tests.widgets.bench import Bench

PLEURA, B_LINE = (10, 5, 13, 55), (13, 20, 48, 26)


def test_painting_is_read_out(cohort: Cohort, unseen_bench: Bench) -> None:
    bench = unseen_bench
    bench.open(cohort)
    session, part = bench.session, bench.panel.form.readouts
    paint(session, PLEURA, class_name="pleura", confidence=100)
    paint(session, B_LINE, class_name="b-line", confidence=100)
    wait(300)
    assert part.live.frame is None  # folded away: nothing is computed
    bench.panel.form.readouts_section.header.click()
    bench.until(lambda: part.live.frame is not None)
    assert part.values["b_line_count"].text() == "1"
    assert part.values["pleura_percentage"].text() == "12 %"  # 6 of 50 columns
    part.of_clip.click()
    assert part.values["b_line_count"].text() == "–"
    assert "No frame is reviewed" in part.note.text()
    session.progress.mark_reviewed(0)
    bench.until(lambda: part.live.clip is not None)
    assert part.values["pleura_percentage"].text() == "12 %"
    assert part.note.text() == "Mean over 1 reviewed frame."
    session.undo()  # the review
    session.undo()  # the B-line
    part.of_frame.click()
    bench.until(lambda: part.values["b_line_count"].text() == "0")


def test_the_pleural_line_is_read_out_and_told(cohort: Cohort, unseen_bench: Bench) -> None:
    bench = unseen_bench
    bench.open(cohort)
    session, part = bench.session, bench.panel.form.readouts
    bench.panel.form.readouts_section.header.click()
    for left, right in ((5, 25), (31, 55)):
        paint(session, (10, left, 13, right), class_name="pleura", confidence=100)
    paint(session, (20, 10, 23, 20), class_name="pleura", confidence=100)  # a second line
    bench.until(lambda: part.values["pleura_breaks"].text() == "1")
    assert part.values["pleura_interrupted"].text() == "12 %"  # 6 of 50 columns
    assert part.values["pleura_thickness"].text() == "3.0 px"
    assert part.bars["pleura_thickness"].toolTip().startswith("Median along the line")
    assert part.note.text() == (
        "Pleural line: doubled on 23 % of it (the upper line is measured)."  # 10 of 44
    )
