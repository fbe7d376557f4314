"""The Read-outs section: what is painted shows up as findings, beside the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.widgets.demo.hand import wait
from tests.annotate.edits import paint

if TYPE_CHECKING:
    from napari_confseg.store import Cohort
    from tests.widgets.desk_work import Desk

PLEURA, B_LINE = (10, 5, 13, 55), (13, 20, 48, 26)


def test_painting_is_read_out(cohort: Cohort, unseen_desk: Desk) -> None:
    desk = unseen_desk
    desk.open(cohort)
    session, part = desk.session, desk.panel.readouts
    paint(session, PLEURA, class_name="pleura", confidence=100)
    paint(session, B_LINE, class_name="b-line", confidence=100)
    wait(300)
    assert part.live.frame is None  # folded away: nothing is computed
    desk.panel.readouts_section.header.click()
    desk.until(lambda: part.live.frame is not None)
    assert part.values["b_line_count"].text() == "1"
    assert part.values["pleura_percentage"].text() == "12 %"  # 6 of 50 columns
    part.of_clip.click()
    assert part.values["b_line_count"].text() == "–"
    assert "No frame is reviewed" in part.note.text()
    session.mark_reviewed(0)
    desk.until(lambda: part.live.clip is not None)
    assert part.values["pleura_percentage"].text() == "12 %"
    assert part.note.text() == "Mean over 1 reviewed frame."
    session.undo()  # the review
    session.undo()  # the B-line
    part.of_frame.click()
    desk.until(lambda: part.values["b_line_count"].text() == "0")
