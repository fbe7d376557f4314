"""The import dialog with a DICOMDIR to tick, and the sheet that is offered after an import."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt

from napari_confseg.store import DEFAULT_CLASSES, Cohort
from napari_confseg.widgets.annotate.import_dialog import ImportDialog
from tests.ingest.films import film, moving
from tests.ingest.test_dicomdir import disc  # noqa: F401 (a fixture)
from tests.widgets.desk_work import Desk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_disc_is_ticked_imported_and_looked_at(
    make_napari_viewer: Callable[..., Any],
    disc: Path,  # noqa: F811
    tmp_path: Path,
    state_dir: Path,
) -> None:
    cohort = Cohort.create(tmp_path / "study.zarr", name="study", classes=DEFAULT_CLASSES[:1])
    film(disc / "extra.avi", moving(5))
    desk = Desk(make_napari_viewer(), shown=False)
    panel = desk.panel
    assert panel.desk.open(cohort.location, "Dr. Ada")
    dialog = ImportDialog(panel, [str(disc)])
    words = [dialog.list.itemFromIndex(i).text(0) for i in _all(dialog.list)]
    assert [w for w in words if w[:7] in ("Patient", "Study 1", "Study 2")] == [
        "Patient 1", "Study 1, day 0", "Study 2, day 12", "Patient 2", "Study 1, day 0"
    ]  # fmt: skip
    assert not any("MUSTER" in w for w in words)
    assert len(dialog.sources()) == 5  # four of ultrasound and the video; no radiograph
    patient = dialog.list.topLevelItem(0).child(0)
    patient.setCheckState(0, Qt.CheckState.Unchecked)
    assert [s.rsplit("/")[-1] for s in dialog.sources()][-1] == "extra.avi"
    assert len(dialog.sources()) == 2
    if shots := os.environ.get("CONFSEG_SHOTS"):
        dialog.show()
        desk.hand.wait(100)
        dialog.grab().save(f"{shots}/dialog.png")

    assert panel.sheet.isHidden()
    panel.desk.import_clips(dialog.sources())
    desk.until(lambda: not panel.sheet.isHidden())
    assert "2 new clips" in panel.sheet.words.text()
    if shots:
        panel.grab().save(f"{shots}/panel.png")
    panel.sheet.look.click()
    desk.until(lambda: panel.sheet.dialog is not None)
    sheet = np.asarray(panel.sheet.dialog.sheet)
    assert sheet.shape[1] == 640  # two tiles
    assert panel.sheet.isHidden()
    if shots:
        desk.hand.wait(100)
        panel.sheet.dialog.grab().save(f"{shots}/sheet.png")
    panel.sheet.dialog.close()
    dialog.deleteLater()
    desk.close()


def _all(tree: Any) -> list[Any]:
    found, todo = [], [tree.model().index(i, 0) for i in range(tree.topLevelItemCount())]
    while todo:
        index = todo.pop(0)
        found.append(index)
        todo = [tree.model().index(i, 0, index) for i in range(tree.model().rowCount(index))] + todo
    return found
