"""Classes, words, examples: edited in a real window while a clip is open; bars and reminder."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QDialogButtonBox

from napari_confseg.annotate.usage import WINDOW
from napari_confseg.store import Cohort
from napari_confseg.widgets.annotate.classes_dialog import ClassesDialog
from tests.annotate.edits import paint

if TYPE_CHECKING:
    from pathlib import Path

    from tests.widgets.bench import Bench


def dialog_of(bench: Bench) -> ClassesDialog:
    bench.panel.form.bar.classes_wanted.emit()
    return [d for d in bench.panel.findChildren(ClassesDialog) if d.isVisible()][-1]


def save(dialog: ClassesDialog) -> Any:
    return dialog.buttons.button(QDialogButtonBox.StandardButton.Save)


def test_classes_words_and_what_is_used(
    unseen_bench: Bench, cohort: Cohort, tmp_path: Path
) -> None:
    bench = unseen_bench
    bench.open(cohort)
    panel, session = bench.panel, bench.session
    paint(session, (4, 4, 12, 12), confidence=60)
    session.frame = 3

    dialog = dialog_of(bench)
    assert not save(dialog).isEnabled()  # nothing to save yet
    dialog.add_class.click()
    dialog.classes.item(6, 1).setText("Cyst")
    dialog.classes.item(2, 0).setText("#2ca02c")
    assert "look alike" in dialog.note.text()
    dialog.anchors.item(1, 3).setText("Seen from its beginning, lost on the way down.")
    dialog.anchors.item(0, 0).setText("60")
    assert "Two words stand for 60 %" in dialog.note.text()
    assert not save(dialog).isEnabled()
    dialog.anchors.item(0, 0).setText("20")
    save(dialog).click()
    bench.until(lambda: session.clip is not None and len(session.classes) == 7)
    assert session.frame == 3
    assert session.class_name == "b-line"
    assert (session.planes["b-line"][3] == 0).all()
    assert (session.planes["b-line"][0, 4:12, 4:12] == 60).all()
    assert [a.value for a in session.cohort.meta.anchors] == [20, 60, 90]
    assert panel.form.dial.example.text().startswith("Seen from its beginning")
    assert panel.form.dial.example.isVisible()
    assert "Seen from" in panel.form.dial.anchor_buttons[60].toolTip()
    session.confidence = 95
    assert not panel.form.dial.example.isVisible()
    assert Cohort.open(cohort.location).meta.classes[6].name == "cyst"
    layer = bench.layer("B-line")
    assert np.allclose(layer.get_color(100)[:3], np.array([0x2C, 0xA0, 0x2C]) / 255, atol=0.01)
    session.class_name = "cyst"
    paint(session, (20, 20, 30, 30), confidence=35)
    assert session.flush()
    assert (cohort.clip("clip-2").raters()) == []

    # what is used: of the class being marked, on this clip
    bars = panel.form.usage.bars
    assert sum(bars.counts) == bars.counts[6] == 1
    assert bars.toolTip() == "1 stroke of Cyst on this clip: 35 % × 1"
    session.class_name = "b-line"
    assert bars.counts[11] == 1
    for i in range(WINDOW):
        assert not panel.form.usage.note.isVisible()
        paint(session, (0, i, 3, i + 3), confidence=80, frame=1)
    assert panel.form.usage.note.isVisible()
    assert "80 %" in panel.form.usage.words.text()
    panel.form.usage.dismiss.click()
    paint(session, (20, 1, 23, 5), confidence=80, frame=1)
    assert not panel.form.usage.note.isVisible()

    # a zip is for reading: the dialog shows it, and says why nothing can be changed
    session.close_cohort()
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", cohort.location)
    session.open_cohort(Cohort.open(packed, read_only=True))
    dialog = dialog_of(bench)
    assert "unpack the zip" in dialog.note.text()
    assert not save(dialog).isEnabled()
    dialog.reject()
    session.close_cohort()
