"""Key bindings of the Review panel."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut

from napari_confseg.annotate.links import links_of
from napari_confseg.annotate.shortcuts import REVIEW
from napari_confseg.widgets.annotate.shortcuts import assigned_bindings

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_confseg.annotate.review.model import Review
    from napari_confseg.annotate.shortcuts import Binding


def review_bindings(review: Review) -> list[Binding]:
    """Return every action of the panel with the key it gets beside all others."""
    made = assigned_bindings(review.session, review=review)
    return [b for b in made if b.group == REVIEW]


class ReviewKeys(QObject):
    """Binds the keys to the window, and anew when the person gives them others.

    Parameters
    ----------
    review : Review
        What they act on.
    panel : QWidget
        Owner.

    Attributes
    ----------
    changed : Signal of dict of str to str
        The key of every action, by id, when they were bound anew.
    """

    changed = Signal(object)

    def __init__(self, review: Review, panel: QWidget) -> None:
        super().__init__(panel)
        self._review = review
        self._window: weakref.ref[QWidget] | None = None
        self._shortcuts: list[QShortcut] = []
        self._links = links_of(self, (review.session.keys_changed, self._on_keys_changed))

    def bind(self, window: QWidget) -> None:
        """Bind the keys in place of those bound before."""
        self._unbind()
        self._window = weakref.ref(window)
        made = review_bindings(self._review)
        for binding in made:
            if binding.key:
                shortcut = QShortcut(QKeySequence(binding.key), window)
                shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
                shortcut.activated.connect(binding.do)
                self._shortcuts.append(shortcut)
        self.changed.emit({b.id: b.key for b in made})

    def _on_keys_changed(self) -> None:
        window = self._window() if self._window else None
        if window is not None:
            self.bind(window)

    def release(self) -> None:
        """Bind nothing any more."""
        self._links.cut()
        self._unbind()

    def _unbind(self) -> None:
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts = []
