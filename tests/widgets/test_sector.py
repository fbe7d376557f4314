"""The sector corrected with a real mouse: corners dragged, keys, what stays when cancelled."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtWidgets import QScrollArea

from napari_confseg.annotate.view import Tool
from napari_confseg.ingest.sector import MASK_WAITS, MASKED
from napari_confseg.store import DEFAULT_CLASSES, Cohort, Sector
from napari_confseg.widgets.layers.sector_handles import HANDLES, OUTLINE
from tests.annotate.edits import paint
from tests.conftest import add_clip
from tests.widgets.bench import SHAPE, Bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FOUND = Sector(kind="curved", polygon=((10, 40), (10, 90), (80, 120), (80, 10)), trust=0.2)


@pytest.fixture
def window(
    make_napari_viewer: Callable[..., Any], tmp_path: Path, state_dir: Path
) -> Iterator[Bench]:
    cohort = Cohort.create(tmp_path / "cohort.zarr", name="toy", classes=DEFAULT_CLASSES[:3])
    add_clip(cohort, "clip-1", shape=SHAPE)
    cohort.clip("clip-1").update_meta(sector=FOUND, tags=(MASK_WAITS,))
    made = Bench(make_napari_viewer(show=True))
    made.open(cohort)
    made.panel.form.sector_section.open(True)
    yield made
    made.close()


def test_corners_are_dragged_confirmed_and_blacked_out(window: Bench) -> None:
    panel, session, hand = window.panel, window.session, window.hand
    part, editor = panel.form.sector, panel.form.sector.editor
    stroke = paint(session, (20, 45, 30, 60), confidence=80)
    assert stroke is not None
    assert panel.form.sector_section.header.text() == "Sector  ·  look at it"
    assert part.state.text() == "Curved, found by itself, not confirmed (trust 0.20, doubtful)"
    assert part.note.text().startswith("This clip was not masked, for its sector was doubtful")
    assert not part.note.isHidden()
    assert part.confirm.isEnabled()  # it may be right all the same
    if shots := os.environ.get("CONFSEG_SHOTS"):
        window.viewer.window._qt_window.resize(1280, 720)
        hand.wait(300)
        area = part.parent()
        while not isinstance(area, QScrollArea):
            area = area.parent()
        area.ensureWidgetVisible(part)
        hand.wait(300)
        window.viewer.window._qt_window.grab().save(f"{shots}/sector.png")
    part.correct.click()
    hand.wait(100)
    assert session.tool is Tool.PAN  # nothing is painted by dragging
    names = [layer.name for layer in window.viewer.layers]
    assert names[-2:] == [OUTLINE, HANDLES]

    hand.stroke([(9.5, 39.5), (5, 30), (4.5, 29.5)])  # the first corner
    (y, x), *rest = editor.handles
    assert (y, x) == pytest.approx((5, 30), abs=1.5)
    assert np.allclose(rest, [(10, 90), (80, 120), (80, 10)], atol=0.01)
    window.viewer.layers[HANDLES].selected_data = {1}
    window.viewer.layers[HANDLES].remove_selected()  # Delete on a corner: it comes back
    assert len(window.viewer.layers[HANDLES].data) == 4

    hand.key("Escape")
    assert not editor.active
    assert window.viewer.layers[-1].name not in (OUTLINE, HANDLES)
    assert session.tool is Tool.BRUSH
    assert session.class_name == "b-line"
    assert session.cohort.clip("clip-1").meta.sector == FOUND

    part.correct.click()
    hand.wait(50)
    hand.stroke([(9.5, 39.5), (20, 50)])
    hand.stroke([(79.5, 119.5), (110, 150)])  # beyond the frame: as far as its corner
    assert editor.handles[2] == (SHAPE[0], SHAPE[1])
    hand.key("Return")
    stored = session.cohort.clip("clip-1").meta.sector
    assert stored.confirmed
    assert stored.polygon[0] == pytest.approx((20.5, 50.5), abs=1.5)
    assert "confirmed" in part.state.text()
    assert not part.correct.isHidden()

    part.black_out()
    window.until(lambda: "black outside" in part.state.text())
    shown = window.viewer.layers["clip-1"].data[2]
    assert shown[0].max() == 0
    assert shown[60, 60] > 0
    assert session.planes["b-line"][0, 25, 50] == 80  # marks stay
    assert not part.black.isEnabled()
    assert panel.form.sector_section.header.text() == "Sector"
    assert session.cohort.clip("clip-1").meta.tags == (MASKED,)
