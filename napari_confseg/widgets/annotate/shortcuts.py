"""Keys bound to a window of napari.

They work wherever the focus is in the window but in a text field, and whichever layer is selected.
Those that are napari's too go before napari's own while a clip is open.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Final

from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QAction, QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
)

from napari_confseg.annotate.links import links_of
from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.shortcuts import REVIEW, Binding, assign_keys, bindings
from napari_confseg.widgets.annotate.palette import ClassRow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qtpy.QtWidgets import QWidget

    from napari_confseg.annotate.review.model import Review
    from napari_confseg.annotate.session import Session


def napari_keys() -> dict[str, str]:
    """Return what napari does with its keys now, whatever layer or tool is active."""
    found: dict[str, list[str]] = {}
    for name, keys in get_settings().shortcuts.shortcuts.items():
        action = action_manager._actions.get(name)
        words = action.description.splitlines()[0] if action else name.removeprefix("napari:")
        for key in keys:
            found.setdefault(normal(str(key)), []).append(words)
    return {key: "; ".join(dict.fromkeys(words)) for key, words in found.items()}


def menu_keys(window: QWidget) -> dict[str, str]:
    """Return what the menus of napari's window do with their keys."""
    actions = [a for a in window.findChildren(QAction) if not a.shortcut().isEmpty()]
    return {a.shortcut().toString(): f"menu, {a.text().replace('&', '')}" for a in actions}


def normal(key: str) -> str:
    """Return `key` as Qt writes it, so that two spellings of one key are equal."""
    spelled = key.replace("PageDown", "PgDown").replace("PageUp", "PgUp").replace("Enter", "Return")
    return str(QKeySequence(spelled).toString())


def assigned_bindings(
    session: Session,
    ask: Callable[[str], object] = lambda _name: None,
    review: Review | None = None,
) -> list[Binding]:
    """Return every action with the key it has for this person, cohort and napari.

    One assignment for this panel and Review, so that no key does two things where both are open.

    Parameters
    ----------
    session, ask, review
        See :func:`~napari_confseg.annotate.shortcuts.bindings`.
    """
    made = bindings(session, ask, review, normal)
    return assign_keys(made, Preferences.load().keys, napari_keys())


class ShortcutManager(QObject):
    """Binds the keys to a window and a panel in it.

    Parameters
    ----------
    session : Session
        What they act on.
    panel : QWidget
        A panel in the window; it owns this object.
    """

    page_wanted = Signal()  # the page of keys is asked for
    work_wanted = Signal(str)  # an action that takes long is asked for, by its id
    changed = Signal(object)  # {id: key} of every action, when they were bound anew

    def __init__(self, session: Session, panel: QWidget) -> None:
        super().__init__(panel)
        # Weakly: a key must not keep a closed window alive.
        self._window: weakref.ref[QWidget] | None = None
        self._session = session
        self._panel = panel
        self._shortcuts: list[QShortcut] = []
        self._while_open: list[QShortcut] = []  # napari's own keys
        self._space = HeldSpace(session, panel)
        self._links = links_of(self, (session.events.clip, self._on_clip))

    def bindings(self) -> list[Binding]:
        """Return every action with the key it has for this person and cohort."""
        weak = weakref.ref(self)  # shortcuts keep their actions

        def ask(name: str) -> None:
            alive = weak()
            if alive is None:
                return
            if name == "keys":
                alive.page_wanted.emit()
            else:
                alive.work_wanted.emit(name)

        return assigned_bindings(self._session, ask)

    def taken(self) -> dict[str, str]:
        """Return the keys that no class or word of a cohort can have, and what they do."""
        fixed = {b.key: b.words for b in self.bindings() if not b.pool and b.key}
        return {**fixed, **napari_keys()}

    def keep(self, own: Mapping[str, str]) -> None:
        """Remember the person's own keys, by id, and bind them."""
        Preferences.load().model_copy(update={"keys": dict(own)}).save()
        window = self._window() if self._window else None
        if window is not None:
            self.bind(window)
        self._session.keys_changed.emit()

    def bind(self, window: QWidget) -> None:
        """Bind the keys of the open cohort, in place of those bound before."""
        self.release()
        self._window = weakref.ref(window)
        made = self.bindings()
        for binding in made:
            if not binding.key or binding.group == REVIEW:  # which that panel binds
                continue
            keys = _all_keys(binding) if binding.napari_too else [binding.key]
            for key in keys:
                shortcut = QShortcut(QKeySequence(key), window)
                shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
                shortcut.activated.connect(binding.do)
                self._shortcuts.append(shortcut)
                if binding.napari_too:
                    self._while_open.append(shortcut)
        self._on_clip()
        self._space.watch(window)
        self.changed.emit({b.id: b.key for b in made})

    def _on_clip(self, *_: object) -> None:
        for shortcut in self._while_open:
            shortcut.setEnabled(self._session.clip is not None)

    def release(self) -> None:
        """Bind nothing any more."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts, self._while_open = [], []

    def close_part(self) -> None:
        """Bind nothing and follow nothing any more."""
        self.release()
        self._links.cut()
        self._space.close()


_NAPARI_NAMES: Final = {
    "tool.erase": "activate_labels_erase_mode",
    "tool.brush": "activate_labels_paint_mode",
    "tool.polygon": "activate_labels_polygon_mode",
    "tool.fill": "activate_labels_fill_mode",
    "tool.pan": "activate_labels_pan_zoom_mode",
    "pick": "activate_labels_picker_mode",
    "swap": "swap_selected_and_background_labels",
    "one-more": "increase_label_id",
    "one-less": "decrease_label_id",
    "smaller-brush": "decrease_brush_size",
    "larger-brush": "increase_brush_size",
    "previous-frame": "increment_dims_left",
    "next-frame": "increment_dims_right",
}
"""napari's action that does the same, for one layer: its keys in napari's settings do ours too."""


def _all_keys(binding: Binding) -> list[str]:
    theirs = get_settings().shortcuts.shortcuts.get(f"napari:{_NAPARI_NAMES.get(binding.id)}", ())
    return list(dict.fromkeys([binding.key, *(normal(str(key)) for key in theirs)]))


class HeldSpace(QObject):
    """Moves the picture while Space is held, wherever the focus is in a window.

    Not in a text field, and not where Tab has led to: there Space presses, ticks and opens, as
    those who use no mouse need it.

    Parameters
    ----------
    session : Session
        Whose tool it changes.
    parent : QObject
        Owner.
    """

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._window: weakref.ref[QWidget] | None = None
        self._watched: weakref.ref[QWidget] | None = None
        self._by_mouse = True

    def watch(self, window: QWidget) -> None:
        """Follow the focus in `window` from now on."""
        self.close()
        self._window = weakref.ref(window)
        app = QApplication.instance()
        app.focusChanged.connect(self._on_focus)
        self._on_focus(None, QApplication.focusWidget())

    def close(self) -> None:
        """Follow it no more."""
        if self._window is not None:
            QApplication.instance().focusChanged.disconnect(self._on_focus)
            self._let_go()
            self._window = None

    def _let_go(self) -> None:
        watched = self._watched() if self._watched else None
        self._watched = None
        if watched is not None and isalive(watched):
            watched.removeEventFilter(self)

    def _on_focus(self, _old: QWidget | None, now: QWidget | None) -> None:
        self._let_go()
        window = self._window() if self._window else None
        if now is None or window is None or not _belongs(now, window):
            self._session.hold_move(False)  # the key may be let go elsewhere
            return
        self._by_mouse = QApplication.mouseButtons() != Qt.MouseButton.NoButton
        self._watched = weakref.ref(now)
        now.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take Space before the widget with the focus does."""
        kinds = (QEvent.Type.KeyPress, QEvent.Type.KeyRelease)
        if event.type() not in kinds or event.key() != Qt.Key.Key_Space:
            return False
        if event.modifiers() != Qt.KeyboardModifier.NoModifier or self._session.clip is None:
            return False
        if _is_text(watched) or (isinstance(watched, _PRESSED) and not self._by_mouse):
            return False
        if not event.isAutoRepeat():
            self._session.hold_move(event.type() == QEvent.Type.KeyPress)
        return True


_PRESSED: Final = (QAbstractButton, ClassRow, QComboBox, QAbstractItemView)
"""What Space presses, opens or ticks when Tab has led there."""


def _is_text(widget: QObject) -> bool:
    texts = (QLineEdit, QTextEdit, QPlainTextEdit, QAbstractSpinBox)
    return isinstance(widget, texts) or (isinstance(widget, QComboBox) and widget.isEditable())


def _belongs(widget: QWidget, window: QWidget) -> bool:
    """Whether `widget` is in `window` or in a dock of it that floats."""
    top = widget.window()
    floating = top.windowType() == Qt.WindowType.Tool and top.parentWidget() is not None
    return top is window or (floating and top.parentWidget().window() is window)
