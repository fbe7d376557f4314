"""Which confidences this reader used of the chosen class on this clip, as small bars."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_confseg.annotate.usage import BIN, WINDOW, Reminder, histogram, stated
from napari_confseg.widgets.parts.look import button, label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.annotate.session import Session

_MARGIN = 11
"""As the confidence bar's, so that each bar stands beneath its value."""


class UsageBars(QWidget):  # type: ignore[misc]
    """A bar for every 5 % of confidence; the tallest is the commonest."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = [0] * (100 // BIN)
        self._color, self._ground = QColor("#888888"), QColor("#444444")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Confidences used")

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a low strip's height."""
        return QSize(200, 24)

    def set_counts(self, counts: Sequence[int], words: str) -> None:
        """Show these counts, and say them in `words`."""
        self.counts = list(counts)
        self.setToolTip(words)
        self.setAccessibleDescription(words)
        self.update()

    def set_colors(self, color: str, ground: str) -> None:
        """Draw bars in the class's `color`, the line they stand on in `ground`."""
        self._color, self._ground = QColor(color), QColor(ground)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the bars."""
        painter = QPainter(self)
        painter.setPen(Qt.PenStyle.NoPen)
        width, height = self.width() - 2 * _MARGIN, self.height() - 3
        painter.fillRect(QRectF(_MARGIN, height, width, 1), self._ground)
        step, most = width / len(self.counts), max([*self.counts, 1])
        for i, count in enumerate(self.counts):
            if count:
                tall = max(height * count / most, 3.0)
                bar = QRectF(_MARGIN + i * step + 1, height - tall, max(step - 2, 1), tall)
                painter.fillRect(bar, self._color)


class UsagePart(QWidget):  # type: ignore[misc]
    """The bars of the class being marked, and a gentle word to who only ever uses one value."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._reminder = Reminder()
        self.bars, self.note, self.words = UsageBars(), QWidget(), label(role="caution")
        self.dismiss: QToolButton = button("×", "Do not show this now", flat=True)
        self.dismiss.clicked.connect(lambda: self.note.hide())
        row = QHBoxLayout(self.note)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.words, 1)
        row.addWidget(self.dismiss, 0, Qt.AlignmentFlag.AlignTop)
        self.note.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.bars)
        layout.addWidget(self.note)
        events = session.events
        self._links = [(s, self._on_change) for s in
                       (events.clip, events.class_name, session.progress_changed)]  # fmt: skip
        self._links.append((events.confidence, self._on_confidence))
        for signal, slot in self._links:
            signal.connect(slot)
        self._on_change()

    def close_part(self) -> None:
        """Hear no more of the session."""
        for signal, slot in self._links:
            signal.disconnect(slot, missing_ok=True)
        self._links = []

    def set_colors(self, color: str, ground: str) -> None:
        """Draw bars in the class's `color`, on a line of `ground`."""
        self.bars.set_colors(color, ground)

    def _on_change(self, *_: object) -> None:
        session = self._session
        if session.clip is None or not session.classes:
            self.note.hide()
            return
        index = session.class_index()
        values = stated(session.strokes, index)
        self.bars.set_counts(histogram(values), said(values, session.classes[index].label))
        place = (session.clip.name, session.rater)
        one = self._reminder.hear(place, session.strokes)
        if one is not None:
            self.words.setText(
                f"Your last {WINDOW} strokes all say {one} %. Where one was clearer or fainter "
                "than the others, say so: it is what is learnt from."
            )
            self.note.show()

    def _on_confidence(self, *_: object) -> None:
        self.note.hide()  # taken to heart


def said(values: Sequence[int], class_label: str) -> str:
    """Return how often which confidence was used, in words."""
    if not values:
        return f"No stroke of {class_label} on this clip yet"
    often = ", ".join(f"{v} % × {n}" for v, n in Counter(values).most_common(5))
    n = len(values)
    return f"{n} stroke{'s' * (n != 1)} of {class_label} on this clip: {often}"
