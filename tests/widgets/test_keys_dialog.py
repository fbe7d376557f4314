"""The page of keys in a real window: looked up, changed, swapped, refused, taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_confseg.annotate.preferences import Memory
from napari_confseg.widgets.annotate.shortcuts_dialog import KeysDialog
from napari_confseg.widgets.demo.hand import press_key

if TYPE_CHECKING:
    from tests.widgets.desk_work import Desk


def page(desk: Desk) -> KeysDialog:
    desk.until(lambda: desk.hand.window.findChildren(KeysDialog))
    (found,) = desk.hand.window.findChildren(KeysDialog)
    return found


def choose(dialog: KeysDialog, action: str) -> None:
    items = dialog._items()
    dialog.tree.setCurrentItem(
        next(i for i in items if i.data(0, Qt.ItemDataRole.UserRole) == action)
    )


def press(dialog: KeysDialog, key: Qt.Key, held: Any = Qt.KeyboardModifier.NoModifier) -> None:
    dialog.change.click()
    QTest.keyClick(dialog, key, held)


def test_the_page_of_keys(desk: Desk) -> None:
    session, panel = desk.session, desk.panel
    desk.hand.key("F1")
    dialog = page(desk)
    listed = {i.text(0): i.text(1) for i in dialog._items()}
    assert listed["Mark B-line"] == "J"
    assert listed["Previous / next frame"] == "Left / Right"
    assert listed["Decide: the mean of all"] == "F7"  # also while its panel is not open

    dialog.search.setText("surer")
    assert [i.text(0) for i in dialog._items() if not i.isHidden()] == ["Surer by 5 %"]
    dialog.search.clear()

    choose(dialog, "surer")
    press(dialog, Qt.Key.Key_P)
    assert "napari's: Activate the paint brush" in dialog.saying.text()
    assert not dialog.swap.isVisible()
    press(dialog, Qt.Key.Key_F8)
    assert "F8 does this already: Decide: nothing there" in dialog.saying.text()
    press(dialog, Qt.Key.Key_Escape)
    assert dialog.isVisible()  # Esc left the key, not the page
    press(dialog, Qt.Key.Key_F12)
    assert Memory.load().keys == {"surer": "F12"}
    press(dialog, Qt.Key.Key_J)
    assert "Mark B-line" in dialog.saying.text()
    dialog.swap.click()
    assert Memory.load().keys == {"surer": "J", "class.b-line": "F12"}
    assert panel.palette_.rows["b-line"].toolTip() == "Mark B-line  (F12)"

    choose(dialog, "reviewed")
    press(
        dialog, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
    )
    assert "(Ctrl+Alt+R)" in panel.transport.reviewed.toolTip()
    choose(dialog, "play")
    dialog.clear.click()
    assert panel.transport.play.toolTip() == "Play or stop"
    dialog.reject()
    desk.until(lambda: not desk.hand.window.findChildren(KeysDialog))

    desk.hand.activate()
    session.class_name, session.confidence = "pleura", 60
    press_key(desk.hand.canvas, "F12")
    assert session.class_name == "b-line"
    press_key(desk.hand.canvas, "J")
    assert session.confidence == 65
    press_key(desk.hand.canvas, "W")  # the old key does nothing any more
    assert session.confidence == 65

    panel.bar.keys_wanted.emit()
    dialog = page(desk)
    dialog.all_default.click()
    assert Memory.load().keys == {}
    assert panel.palette_.rows["b-line"].toolTip() == "Mark B-line  (J)"
    dialog.reject()
    QApplication.processEvents()
