"""The Review panel's keys: one for each verdict, none of napari's nor of the Annotate panel's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QKeySequence, QShortcut

from napari_confseg.annotate.keymap import Binding, settled
from napari_confseg.annotate.remember import Memory
from napari_confseg.widgets.annotate.keys import bindings, napari_keys

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_confseg.annotate.review.model import Review

ACCEPT_KEYS: Final = ("F2", "F3", "F4", "F5", "F6")
"""Accept the first rater compared, the second, ..."""

GROUP: Final = "Review"


def review_bindings(review: Review) -> list[Binding]:
    """Return every action of the panel with the key it gets beside all others."""

    def accept(number: int) -> None:
        compared = review.state.compared
        if number <= len(compared):
            review.decide("accept", compared[number - 1].name)

    made = [
        Binding("review.next", GROUP, "Next disagreement that is open", ".", review.step),
        Binding("review.previous", GROUP, "Previous disagreement that is open", ",",
                lambda: review.step(-1)),
        Binding("review.mean", GROUP, "Decide: the mean of all", "F7",
                lambda: review.decide("mean")),
        Binding("review.reject", GROUP, "Decide: nothing there", "F8",
                lambda: review.decide("reject")),
        Binding("review.correct", GROUP, "Paint it by hand; again when done", "F9",
                review.correct),
        Binding("review.scope", GROUP, "Decide for all frames, or for the frame on show", "F10",
                lambda: review.want(whole=not review.state.wish.whole)),
    ]  # fmt: skip
    made += [
        Binding(f"review.accept-{n}", GROUP, f"Decide: accept rater {n}", key,
                lambda n=n: accept(n))  # type: ignore[misc]
        for n, key in enumerate(ACCEPT_KEYS, 1)
    ]  # fmt: skip
    own = Memory.load().keys
    annotating = {b.key for b in bindings(review.session, own)} - {""}
    return settled(made, own, {*napari_keys(), *annotating})


class ReviewKeys(QObject):  # type: ignore[misc]
    """Binds the keys to the window.

    Parameters
    ----------
    review : Review
        What they act on.
    panel : QWidget
        Owner.
    """

    def __init__(self, review: Review, panel: QWidget) -> None:
        super().__init__(panel)
        self._review = review
        self._shortcuts: list[QShortcut] = []

    def bind(self, window: QWidget) -> dict[str, str]:
        """Bind the keys in place of those bound before; return them by the id of the action."""
        self.release()
        made = review_bindings(self._review)
        for binding in made:
            if binding.key:
                shortcut = QShortcut(QKeySequence(binding.key), window)
                shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
                shortcut.activated.connect(binding.do)
                self._shortcuts.append(shortcut)
        return {b.id: b.key for b in made}

    def release(self) -> None:
        """Bind nothing any more."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts = []
