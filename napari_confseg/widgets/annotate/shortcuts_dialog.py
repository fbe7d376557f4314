"""The page of keys: every action with its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.shortcuts import (
    CLASS,
    CLIPS,
    CONFIDENCE,
    FILL,
    FRAMES,
    HELP,
    ON_CANVAS,
    REVIEW,
    SUGGEST,
    TOOLS,
    VIEW,
    Clash,
    clash,
)
from napari_confseg.widgets.annotate.shortcuts import menu_keys, napari_keys, normal
from napari_confseg.widgets.common.buttons import label

if TYPE_CHECKING:
    from qtpy.QtGui import QKeyEvent

    from napari_confseg.annotate.shortcuts import Binding
    from napari_confseg.widgets.annotate.shortcuts import ShortcutManager

_MODIFIERS = (
    Qt.Key.Key_Shift,
    Qt.Key.Key_Control,
    Qt.Key.Key_Alt,
    Qt.Key.Key_Meta,
    Qt.Key.Key_AltGr,
    Qt.Key.Key_CapsLock,
    Qt.Key.Key_unknown,
)
_ORDER = (CLASS, CONFIDENCE, TOOLS, FILL, SUGGEST, FRAMES, CLIPS, VIEW, REVIEW, HELP)
_ID = Qt.ItemDataRole.UserRole


class ShortcutsDialog(QDialog):
    """Lists keys by group; one is chosen, a new key pressed, a clash refused or swapped.

    Changes hold at once and are remembered for this person.

    Parameters
    ----------
    keys : ShortcutManager
        Whose keys these are.
    window : QWidget
        napari's main window; its menus have keys too.
    style : str
        The panel's style sheet.
    """

    _catching = ""  # on the class: Qt asks for it before there is anything else

    def __init__(self, keys: ShortcutManager, window: QWidget, style: str) -> None:
        super().__init__(window)
        self.setWindowTitle("Keys")
        self.setStyleSheet(style)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(520, 620)
        self._keys = keys
        self._napari = {**menu_keys(window), **napari_keys()}
        self._pressed: tuple[str, str, str] | None = None
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search for an action or a key")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.tree = QTreeWidget()
        self.tree.setColumnCount(2)
        self.tree.setHeaderLabels(["Action", "Key"])
        self.tree.header().setStretchLastSection(False)
        self.tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.tree.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.tree.itemDoubleClicked.connect(lambda *_: self.catch())
        self.tree.currentItemChanged.connect(lambda *_: self._on_chosen())
        self.note = label(role="caution")
        self.change = QPushButton("New key …")
        self.clear = QPushButton("No key")
        self.default = QPushButton("Default")
        self.all_default = QPushButton("All to default")
        self.swap = QPushButton("Swap the two")
        self.change.clicked.connect(self.catch)
        self.clear.clicked.connect(lambda: self._give(self._chosen(), ""))
        self.default.clicked.connect(self._on_default)
        self.all_default.clicked.connect(lambda: self._keep({}))
        self.swap.clicked.connect(self._on_swap)
        self._lay_out()
        self._show()

    def _lay_out(self) -> None:
        row, end = QHBoxLayout(), QHBoxLayout()
        for made in (self.change, self.clear, self.default, self.all_default):
            made.setAutoDefault(False)
            row.addWidget(made)
        close = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        close.rejected.connect(self.reject)
        end.addWidget(self.note, 1)
        end.addWidget(self.swap)
        layout = QVBoxLayout(self)
        for part in (self.search, self.tree, end, row, close):
            layout.addLayout(part) if isinstance(part, QHBoxLayout) else layout.addWidget(part)

    # ---- what is listed -------------------------------------------------------------------

    def _show(self) -> None:
        chosen, self._made = self._chosen(), self._keys.bindings()
        self.tree.clear()
        for group in sorted({b.group for b in self._made}, key=_ORDER.index):
            self._group(group, [(b.words, b.key, b.id) for b in self._made if b.group == group])
        self._group("While a key is held, or given up", [(w, k, "") for k, w in ON_CANVAS])
        self.tree.expandAll()
        for item in self._items():
            if item.data(0, _ID) == chosen and chosen:
                self.tree.setCurrentItem(item)
        self._filter()
        self._on_chosen()

    def _group(self, name: str, rows: list[tuple[str, str, str]]) -> None:
        head = QTreeWidgetItem([name])
        head.setFlags(Qt.ItemFlag.ItemIsEnabled)
        font = head.font(0)
        font.setBold(True)
        head.setFont(0, font)
        self.tree.addTopLevelItem(head)
        for words, key, action in rows:
            item = QTreeWidgetItem([words, key or "–"])
            item.setData(0, _ID, action)
            item.setToolTip(0, words)
            head.addChild(item)

    def _items(self) -> list[QTreeWidgetItem]:
        heads = [self.tree.topLevelItem(i) for i in range(self.tree.topLevelItemCount())]
        return [head.child(i) for head in heads for i in range(head.childCount())]

    def _filter(self) -> None:
        wanted = self.search.text().strip().lower()
        for item in self._items():
            words = f"{item.parent().text(0)} {item.text(0)} {item.text(1)}".lower()
            item.setHidden(wanted not in words)
        for i in range(self.tree.topLevelItemCount()):
            head = self.tree.topLevelItem(i)
            head.setHidden(all(head.child(j).isHidden() for j in range(head.childCount())))

    def _chosen(self) -> str:
        item = self.tree.currentItem()
        return (item.data(0, _ID) or "") if item is not None else ""

    def _binding(self, action: str) -> Binding:
        return next(b for b in self._made if b.id == action)

    def _on_chosen(self) -> None:
        chosen, own = self._chosen(), Preferences.load().keys
        self._stop_catching()
        self.change.setEnabled(bool(chosen))
        self.clear.setEnabled(bool(chosen) and bool(self._binding(chosen).key))
        self.default.setEnabled(chosen in own)
        self.all_default.setEnabled(bool(own))

    # ---- a new key ------------------------------------------------------------------------

    def catch(self) -> None:
        """Wait for the key that the chosen action is to get."""
        self._catching = self._chosen()
        if self._catching:
            self._show_note(
                f"Press the new key for “{self._binding(self._catching).words}”. Esc leaves it."
            )
            self.setFocus()

    def _stop_catching(self, words: str = "") -> None:
        self._catching, self._pressed = "", None
        self._show_note(words)

    def _show_note(self, words: str, *, swap: bool = False) -> None:
        self.note.setText(words)
        self.swap.setVisible(swap)

    def event(self, event: QEvent) -> bool:
        """Take the next key whatever it means elsewhere, if we wait for one."""
        if self._catching and event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        if self._catching and event.type() == QEvent.Type.KeyPress:
            self._on_key(event)
            return True
        return bool(super().event(event))

    def _on_key(self, event: QKeyEvent) -> None:
        if event.key() in _MODIFIERS:
            return
        if event.key() == Qt.Key.Key_Escape:
            self._stop_catching()
            return
        key = normal(QKeySequence(event.keyCombination()).toString())
        wanting = self._catching
        self._stop_catching()
        found = clash(self._made, wanting, key, self._napari)
        if found is None:
            self._give(wanting, key)
        else:
            self._on_clash(found, wanting, key)

    def _on_clash(self, found: Clash, wanting: str, key: str) -> None:
        if found.other is not None:
            self._pressed = wanting, key, found.other
        self._show_note(found.words, swap=found.other is not None)

    def _on_swap(self) -> None:
        if self._pressed is not None:
            wanting, key, other = self._pressed
            self._keep({**Preferences.load().keys, wanting: key, other: self._binding(wanting).key})

    def _give(self, action: str, key: str) -> None:
        if action:
            self._keep({**Preferences.load().keys, action: key})

    def _on_default(self) -> None:
        chosen = self._chosen()
        self._keep({k: v for k, v in Preferences.load().keys.items() if k != chosen})
        if not self._binding(chosen).key:
            self._show_note("Its default key does something else now. Give that another key first.")

    def _keep(self, own: dict[str, str]) -> None:
        self._keys.keep(own)
        self._show()
