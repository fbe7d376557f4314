"""The import dialog with a DICOMDIR to tick, and the sheet that is offered after an import."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.data import get_testdata_file
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialogButtonBox, QWidget

from napari_confseg.ingest.options import ImportOptions
from napari_confseg.ingest.sector import MASKED
from napari_confseg.store import DEFAULT_CLASSES, Cohort
from napari_confseg.widgets.annotate.import_dialog import ImportDialog
from napari_confseg.widgets.demo.hand import wait
from tests.ingest.films import SHIPPED, film, moving
from tests.ingest.test_dicomdir import disc  # noqa: F401 (a fixture)

if TYPE_CHECKING:
    import pytest
    from pytestqt.qtbot import QtBot

    from tests.widgets.bench import Bench


def test_a_disc_is_ticked_imported_and_looked_at(
    unseen_bench: Bench,
    disc: Path,  # noqa: F811
    tmp_path: Path,
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cohort = Cohort.create(tmp_path / "study.zarr", name="study", classes=DEFAULT_CLASSES[:1])
    film(disc / "extra.avi", moving(5))
    bench = unseen_bench
    panel = bench.panel
    assert panel.cohort_actions.open(cohort.location, "Dr. Ada")
    dialog = ImportDialog(panel, [str(disc)])
    words = [dialog.list.itemFromIndex(i).text(0) for i in _all(dialog.list)]
    assert [w for w in words if w[:7] in ("Patient", "Study 1", "Study 2")] == [
        "Patient 1",
        "Study 1, day 0",
        "Study 2, day 12",
        "Patient 2",
        "Study 1, day 0",
    ]
    assert not any("MUSTER" in w for w in words)
    assert len(dialog.sources()) == 5  # four of ultrasound and the video; no radiograph
    patient = dialog.list.topLevelItem(0).child(0)
    patient.setCheckState(0, Qt.CheckState.Unchecked)
    assert [s.rsplit("/")[-1] for s in dialog.sources()][-1] == "extra.avi"
    assert len(dialog.sources()) == 2
    if shots := os.environ.get("CONFSEG_SHOTS"):
        dialog.show()
        wait(100)
        dialog.grab().save(f"{shots}/dialog.png")

    dialog.look.click()
    bench.until(lambda: dialog.sheet is not None)
    assert np.asarray(dialog.sheet.sheet).shape[1] == 640  # two tiles
    assert cohort.clips() == []  # nothing is written yet
    dialog.sheet.close()

    assert panel.form.sheet.isHidden()
    panel.cohort_actions.import_clips(dialog.sources())
    bench.until(lambda: not panel.form.sheet.isHidden())
    assert "2 new clips" in panel.form.sheet.words.text()
    if shots:
        panel.grab().save(f"{shots}/panel.png")
    panel.form.sheet.open_sheet.click()
    bench.until(lambda: panel.form.sheet.dialog is not None)
    sheet = np.asarray(panel.form.sheet.dialog.sheet)
    assert sheet.shape[1] == 640  # two tiles
    assert panel.form.sheet.open_sheet.isHidden()  # the result itself stays
    assert not panel.form.sheet.isHidden()
    if shots:
        wait(100)
        panel.form.sheet.dialog.grab().save(f"{shots}/sheet.png")
    panel.form.sheet.dialog.close()
    dialog.deleteLater()

    def ticks_masking(dialog: ImportDialog) -> bool:
        assert dialog.options() == ImportOptions()  # as on the command line
        dialog.form["mask"].click()
        return True

    monkeypatch.setattr(ImportDialog, "exec", ticks_masking)
    before = set(cohort.clips())
    panel.cohort_actions.ask_import([str(SHIPPED[0])])
    bench.until(lambda: len(cohort.clips()) > len(before))
    (name,) = set(cohort.clips()) - before
    assert MASKED in cohort.clip(name).meta.tags


def test_from_a_scan_to_the_first_frame_in_one_dialog(
    unseen_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = unseen_bench
    panel = bench.panel
    film(tmp_path / "mine.avi", moving(5))
    (tmp_path / "study.zarr").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    seen: list[str] = []

    def accepts(dialog: ImportDialog) -> bool:
        ok = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)
        place = dialog.place
        assert place is not None
        assert place.line.text() == str(tmp_path / "study-2.zarr")  # the first name is taken
        place.line.setText(str(tmp_path / "study"))
        assert "there already" in dialog.problem.text()
        assert not ok.isEnabled()
        place.line.setText(str(tmp_path / "nowhere" / "study"))
        assert "There is no folder" in dialog.problem.text()
        place.line.setText("")
        assert "Say where" in dialog.problem.text()
        place.line.setText(str(tmp_path / f"own-{len(seen)}"))
        assert ok.isEnabled()
        seen.append(ok.text())
        return True

    monkeypatch.setattr(ImportDialog, "exec", accepts)
    panel.cohort_actions.take_videos([str(tmp_path / "mine.avi")], "Dr. Ada")
    bench.until(lambda: bench.session.clip is not None)
    assert bench.session.clip.shape[0] == 5
    assert bench.session.cohort.location == str(tmp_path / "own-0.zarr")
    bench.session.close_cohort()
    panel.form.start.create.click()  # without scans: an empty one
    assert seen == ["Import", "Make it, empty"]


def test_discs_below_a_folder_are_a_list_each(qtbot: QtBot, tmp_path: Path) -> None:
    """pydicom's own: two DICOMDIR, one below the other, and a hundred files besides."""
    above = Path(get_testdata_file("DICOMDIR")).parent
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = ImportDialog(parent, [str(above)])
    roots = [dialog.list.topLevelItem(i).text(0) for i in range(dialog.list.topLevelItemCount())]
    assert roots == [
        f"DICOMDIR of {above}",
        f"DICOMDIR of {above / 'TINY_ALPHA'}",
        "Not listed in a DICOMDIR",
    ]
    ok = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)
    assert ok.isEnabled()  # what is in no list is ticked, and nothing else: none is ultrasound
    assert not any("TINY_ALPHA" in s or "98892001" in s for s in dialog.sources())
    dialog.list.topLevelItem(2).setCheckState(0, Qt.CheckState.Unchecked)
    assert not ok.isEnabled()
    assert "Nothing is ticked" in dialog.problem.text()
    dialog.list.topLevelItem(1).setCheckState(0, Qt.CheckState.Checked)
    assert len(dialog.sources()) == 50
    dialog.add([str(above / "TINY_ALPHA")])  # it is there already
    assert len(dialog.sources()) == 50
    (tmp_path / "disc").mkdir()
    (tmp_path / "disc" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 50)
    dialog.add([str(tmp_path)])
    assert f"{tmp_path / 'disc'}: DICOMDIR is damaged" in dialog.problem.text()
    assert dialog.sources()[-1] == str(tmp_path)
    if shots := os.environ.get("CONFSEG_SHOTS"):
        dialog.show()
        qtbot.wait(100)
        dialog.grab().save(f"{shots}/discs.png")


def test_options_are_those_of_the_command_line(qtbot: QtBot, tmp_path: Path) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    (tmp_path / "a.mp4").touch()
    dialog = ImportDialog(parent, [str(tmp_path / "a.mp4")])
    ok = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)
    qtbot.keyClicks(dialog.form["patient"], "P 7")
    assert not ok.isEnabled()
    assert "not a legal name" in dialog.form.errors["patient"].text()
    dialog.form["patient"].clear()
    assert ok.isEnabled()
    qtbot.keyClick(dialog.form["patient_per"], Qt.Key.Key_Down)
    qtbot.keyClick(dialog.form["crop"], Qt.Key.Key_Down)
    dialog.form["fps"].setValue(30)
    assert dialog.options() == ImportOptions(patient_per="file", crop="sector", fps=30)


def test_files_and_patients_are_counted_before_anything_is_written(
    qtbot: QtBot, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for i in range(8):
        film(tmp_path / "in" / f"LUS{i // 2}_{i}.avi", moving(2))
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = ImportDialog(parent, [str(tmp_path / "in")])
    ok = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)

    def comes_to(words: str) -> None:
        qtbot.waitUntil(lambda: dialog.comes_to.text() == words)

    comes_to("8 files of 1 patient, told by folder.")
    assert "All 8 files come to one patient" in dialog.problem.text()
    if shots := os.environ.get("CONFSEG_SHOTS"):
        dialog.show()
        wait(200)
        dialog.grab().save(f"{shots}/census.png")
    qtbot.keyClick(dialog.form["patient_per"], Qt.Key.Key_Down)
    comes_to("8 files of 8 patients, told by file.")
    assert dialog.problem.isHidden()
    qtbot.keyClicks(dialog.form["patient_pattern"], "(LUS")
    assert "no regular expression" in dialog.form.errors["patient_pattern"].text()
    assert not ok.isEnabled()
    assert dialog.comes_to.isHidden()
    qtbot.keyClicks(dialog.form["patient_pattern"], "[0-9])_")
    comes_to("8 files of 4 patients, told by the pattern.")
    assert dialog.comes_to.toolTip().startswith("1: 2 files (LUS0_0.avi, LUS0_1.avi)")
    assert ok.isEnabled()
    assert dialog.options() == ImportOptions(
        patient_per="file", patient_pattern="(LUS[0-9])_", patient_table=None
    )
    (tmp_path / "whose.csv").write_text("name,patient\n")
    dialog.form.editors["patient_table"].widget.value = tmp_path / "whose.csv"
    qtbot.waitUntil(lambda: "expected columns file and patient" in dialog.problem.text())
    assert not ok.isEnabled()
    qtbot.keyClicks(dialog.form["patient"], "p7")
    comes_to("8 files of 1 patient, told as you named the patient.")


def _all(tree: Any) -> list[Any]:
    found, todo = [], [tree.model().index(i, 0) for i in range(tree.topLevelItemCount())]
    while todo:
        index = todo.pop(0)
        found.append(index)
        todo = [tree.model().index(i, 0, index) for i in range(tree.model().rowCount(index))] + todo
    return found
