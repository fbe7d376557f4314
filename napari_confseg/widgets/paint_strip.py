"""A strip with class and confidence of the next stroke, for panels in which one paints too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_confseg.annotate.confidence_words import word_for
from napari_confseg.annotate.links import links_of
from napari_confseg.widgets.common.buttons import button
from napari_confseg.widgets.common.icons import swatch
from napari_confseg.widgets.confidence_bar import ConfidenceBar

if TYPE_CHECKING:
    from qtpy.QtWidgets import QToolButton

    from napari_confseg.annotate.session import Session

IN_A_ROW: Final = 8
"""Classes side by side: their buttons stay large enough to hit in the narrowest panel."""


class PaintStrip(QWidget):
    """Class and confidence of the next stroke; follows the session by itself.

    Parameters
    ----------
    session : Session
        What is shown and set.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._theme: Any = None
        self.classes: dict[str, QToolButton] = {}
        self.words, self.percent = QElidingLabel(), QLabel()
        self.words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.percent.setMinimumWidth(self.percent.fontMetrics().horizontalAdvance("100 %"))
        self.bar = ConfidenceBar()
        self.bar.wanted.connect(lambda value: setattr(session, "confidence", value))
        self._grid = QGridLayout()
        self._grid.setSpacing(3)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.words, 2)
        row.addWidget(self.percent)
        row.addWidget(self.bar, 3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(self._grid)
        layout.addLayout(row)
        events = session.events
        self._links = links_of(
            self,
            (events.cohort, self._on_cohort),
            (events.clip, self._show),
            (events.class_name, self._show),
            (events.confidence, self._show),
        )
        self._on_cohort()

    def close_part(self) -> None:
        """Follow the session no longer."""
        self._links.cut()

    def show_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        self._theme = theme
        self._show()

    def _on_cohort(self, *_: object) -> None:
        for old in self.classes.values():
            self._grid.removeWidget(old)
            old.hide()
            old.deleteLater()
        self.classes = {}
        for i, spec in enumerate(self._session.classes):
            made = button("", f"Mark {spec.label}", checkable=True)
            made.setIcon(swatch(spec.color))
            made.setIconSize(QSize(14, 14))
            made.setAccessibleName(spec.label)
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
            made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            made.clicked.connect(lambda _on=False, n=spec.name: self._on_class(n))
            self._grid.addWidget(made, i // IN_A_ROW, i % IN_A_ROW)
            self.classes[spec.name] = made
        self.bar.set_anchors(
            [a.value for a in self._session.cohort.meta.anchors] if self._session.cohort else []
        )
        self._show()

    def _on_class(self, name: str) -> None:
        session = self._session
        session.class_name = name
        session.hidden -= {name}  # who marks a class wants to see it
        self._show()

    def _show(self, *_: object) -> None:
        session = self._session
        self.setVisible(session.clip is not None)
        spec = next((c for c in session.classes if c.name == session.class_name), None)
        if spec is None or session.cohort is None:
            return
        for name, made in self.classes.items():
            made.setChecked(name == spec.name)
        word = word_for(session.confidence, session.cohort.meta.anchors)
        self.words.setText(spec.label)
        self.percent.setText(f"{session.confidence} %")
        self.words.setToolTip(f"The next stroke: {spec.label}, {session.confidence} %, {word}")
        self.bar.set_value(session.confidence)
        if self._theme is not None:
            self.bar.set_colors(
                spec.color, self._theme.text.as_hex(), self._theme.foreground.as_hex()
            )
