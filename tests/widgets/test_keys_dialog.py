"""The page of keys in a real window: looked up, changed, swapped, refused, taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_confseg.annotate.preferences import Preferences
from napari_confseg.widgets.annotate.shortcuts_dialog import ShortcutsDialog
from napari_confseg.widgets.demo.hand import press_key

if TYPE_CHECKING:
    from tests.widgets.bench import Bench


def page(bench: Bench) -> ShortcutsDialog:
    bench.until(lambda: bench.hand.window.findChildren(ShortcutsDialog))
    (found,) = bench.hand.window.findChildren(ShortcutsDialog)
    return found


def choose(dialog: ShortcutsDialog, action: str) -> None:
    items = dialog._items()
    dialog.tree.setCurrentItem(
        next(i for i in items if i.data(0, Qt.ItemDataRole.UserRole) == action)
    )


def press(dialog: ShortcutsDialog, key: Qt.Key, held: Any = Qt.KeyboardModifier.NoModifier) -> None:
    dialog.change.click()
    QTest.keyClick(dialog, key, held)


def test_the_page_of_keys(bench: Bench) -> None:
    session, panel = bench.session, bench.panel
    bench.hand.key("F1")
    dialog = page(bench)
    listed = {i.text(0): i.text(1) for i in dialog._items()}
    assert listed["Mark B-line"] == "J"
    assert listed["Next frame"] == "Right"
    assert listed["Move the picture"] == "Space, held"
    assert listed["Decide: the mean of all"] == "F7"  # also while its panel is not open

    dialog.search.setText("surer")
    assert [i.text(0) for i in dialog._items() if not i.isHidden()] == ["Surer by 5 %"]
    dialog.search.clear()

    choose(dialog, "surer")
    press(dialog, Qt.Key.Key_P)
    assert "napari's: Activate the paint brush" in dialog.note.text()
    assert not dialog.swap.isVisible()
    press(dialog, Qt.Key.Key_F8)
    assert "F8 does this already: Decide: nothing there" in dialog.note.text()
    press(dialog, Qt.Key.Key_Escape)
    assert dialog.isVisible()  # Esc left the key, not the page
    press(dialog, Qt.Key.Key_F13)
    assert Preferences.load().keys == {"surer": "F13"}
    press(dialog, Qt.Key.Key_J)
    assert "Mark B-line" in dialog.note.text()
    dialog.swap.click()
    assert Preferences.load().keys == {"surer": "J", "class.b-line": "F13"}
    assert panel.form.palette_.rows["b-line"].toolTip() == "Mark B-line  (F13)"

    choose(dialog, "reviewed")
    press(
        dialog, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
    )
    assert "(Ctrl+Alt+R)" in panel.form.transport.reviewed.toolTip()
    choose(dialog, "play")
    dialog.clear.click()
    assert panel.form.transport.play.toolTip() == "Play or stop"
    dialog.reject()
    bench.until(lambda: not bench.hand.window.findChildren(ShortcutsDialog))

    bench.hand.activate()
    session.class_name, session.confidence = "pleura", 60
    press_key(bench.hand.canvas, "F13")
    assert session.class_name == "b-line"
    press_key(bench.hand.canvas, "J")
    assert session.confidence == 65
    press_key(bench.hand.canvas, "W")  # the old key does nothing any more
    assert session.confidence == 65

    panel.form.bar.keys_wanted.emit()
    dialog = page(bench)
    dialog.all_default.click()
    assert Preferences.load().keys == {}
    assert panel.form.palette_.rows["b-line"].toolTip() == "Mark B-line  (J)"
    dialog.reject()
    QApplication.processEvents()
