"""How one's own marks are drawn: filled, or as lines that read without colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolButton, QWidget

from napari_confseg.annotate.remember import Memory
from napari_confseg.annotate.view import Style
from napari_confseg.widgets.parts.look import button

if TYPE_CHECKING:
    from napari_confseg.annotate.session import Session

_STYLES: Final = {
    Style.FILL: ("Fill", "The surer, the more opaque"),
    Style.CONTOURS: (
        "Contours",
        "Reads without colour: the surer, the more lines; dotted below the first word",
    ),
    Style.HATCHING: ("Hatching", "Reads without colour: the surer, the denser the lines"),
}  # fmt: skip


class StyleRow(QWidget):  # type: ignore[misc]
    """Three buttons, one of them down; remembered for the person."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.buttons: dict[Style, QToolButton] = {}
        title = QLabel("Marks as")
        title.setMinimumWidth(title.fontMetrics().horizontalAdvance("Show from  x"))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(3)
        row.addWidget(title)
        for style, (name, tip) in _STYLES.items():
            made = button(name, tip, checkable=True)
            made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            made.clicked.connect(lambda _on=False, s=style: setattr(session, "style", s))
            self.buttons[style] = made
            row.addWidget(made)
        session.events.style.connect(self._on_style)
        self._show()

    def close_part(self) -> None:
        """Hear no more of the session."""
        self._session.events.style.disconnect(self._on_style, missing_ok=True)

    def _on_style(self, style: Style, *_: object) -> None:
        Memory.load().model_copy(update={"style": style}).save()
        self._show()

    def _show(self) -> None:
        for style, made in self.buttons.items():
            made.setChecked(style is self._session.style)
