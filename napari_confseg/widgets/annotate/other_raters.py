"""The section with other raters on this clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QToolButton, QVBoxLayout, QWidget

from napari_confseg.widgets.common.buttons import button, label
from napari_confseg.widgets.common.choices import TickBox
from napari_confseg.widgets.common.icons import hatch_icon

if TYPE_CHECKING:
    from collections.abc import Sequence


class OtherRaters(QWidget):
    """A box to tick for each other rater; how their marks are taken is asked beneath."""

    shown_wanted = Signal(str, bool)
    sight_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.boxes: dict[str, QCheckBox] = {}
        self.why_hidden = ""
        self._note = label("Nobody else has marked this clip.", role="note")
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self._layout.addWidget(self._note)
        self.let: QToolButton = button(
            "A reviewer lets me see …", "Asks who, and notes it", flat=True
        )
        self.let.clicked.connect(self.sight_wanted)
        self._layout.addWidget(self.let)

    def set_raters(
        self, raters: Sequence[tuple[str, str]], shown: Sequence[str], color: str, hidden: str = ""
    ) -> None:
        """Offer these raters (slug, label); those in `shown` are on show, in that order.

        `hidden` is why some may not be offered; it is shown whether there are any or not, or
        their number would show.
        """
        for old in self.boxes.values():
            self._layout.removeWidget(old)
            old.deleteLater()
        self.boxes = {}
        self.why_hidden = hidden
        self._note.setText(hidden or "Nobody else has marked this clip.")
        self._note.setVisible(bool(hidden) or not raters)
        self.let.setVisible(bool(hidden))
        for name, words in raters:
            box = TickBox(words)
            box.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            box.setChecked(name in shown)
            box.setToolTip(f"Show what {words} marked, hatched, beneath your own marks")
            box.toggled.connect(lambda on, n=name: self.shown_wanted.emit(n, on))
            if name in shown:
                box.setIcon(hatch_icon(list(shown).index(name), color))
            self._layout.addWidget(box)
            self.boxes[name] = box
