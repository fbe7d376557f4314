"""The section with other raters on this clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QToolButton, QVBoxLayout, QWidget

from napari_confseg.widgets.common.buttons import button, label, with_key
from napari_confseg.widgets.common.choices import TickBox
from napari_confseg.widgets.common.icons import hatch_icon

if TYPE_CHECKING:
    from collections.abc import Sequence

BANDS_TIP: Final = (
    "Draws the contours of the class in hand that a model on show guarantees, inner solid, outer "
    "dashed: the panel's region lies between them, in the share of patients named below"
)


class OtherRaters(QWidget):
    """A box to tick for each other rater; how their marks are taken is asked beneath."""

    shown_wanted = Signal(str, bool)
    bands_wanted = Signal(bool)
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
        self.bands = TickBox("Guaranteed contours")
        self.bands.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.bands.toggled.connect(self.bands_wanted)
        self.bands.hide()
        self._layout.addWidget(self.bands)
        self._promised = label(role="note")
        self._promised.hide()
        self._layout.addWidget(self._promised)
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
            # Above the box of contours, which are of those ticked.
            self._layout.insertWidget(self._layout.indexOf(self.bands), box)
            self.boxes[name] = box

    def set_bands(self, on: bool, promises: Sequence[str], key: str) -> None:
        """Show whether guaranteed contours are drawn, and what raters on show promise.

        Parameters
        ----------
        on : bool
            Whether they are drawn.
        promises : sequence of str
            A sentence for each rater on show that has a guarantee; without any, nothing is offered.
        key : str
            Draws them, or none.
        """
        self.bands.setChecked(on)
        self.bands.setVisible(bool(promises))
        self.bands.setToolTip(with_key(BANDS_TIP, key))
        self._promised.setText("\n".join(promises))
        self._promised.setVisible(on and bool(promises))
