"""Keys bound to a window of napari, none of them napari's.

Keys work wherever the focus is in the window but in a text field.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtGui import QAction, QKeySequence, QShortcut

from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.shortcuts import REVIEW, Binding, assign_keys, bindings

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
        Keys that are napari's too work while this has the focus; it owns this object.

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
            home = self._panel if binding.napari_too else window
            shortcut = QShortcut(QKeySequence(binding.key), home)
            shortcut.setContext(
                Qt.ShortcutContext.WidgetWithChildrenShortcut
                if binding.napari_too
                else Qt.ShortcutContext.WindowShortcut
            )
            shortcut.activated.connect(binding.do)
            self._shortcuts.append(shortcut)
        self.changed.emit({b.id: b.key for b in made})

    def release(self) -> None:
        """Bind nothing any more."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts = []
