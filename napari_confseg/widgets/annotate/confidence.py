"""The section Confidence: slider, anchor buttons, histogram of use."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_confseg.annotate.confidence_words import word_for
from napari_confseg.annotate.links import links_of
from napari_confseg.annotate.usage import BIN, WINDOW, Reminder, histogram, stated
from napari_confseg.widgets.common.buttons import button, label, with_key
from napari_confseg.widgets.confidence_bar import ConfidenceBar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Anchor


_BAR_MARGIN = 11
"""As the confidence bar's, so that each bar stands beneath its value."""


class UsageBars(QWidget):
    """A bar for every 5 % of confidence; the tallest is the commonest."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = [0] * (100 // BIN)
        self._color, self._ground = QColor("#888888"), QColor("#444444")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Confidences used")

    def sizeHint(self) -> QSize:
        """Return a low strip's height."""
        return QSize(200, 18)

    def set_counts(self, counts: Sequence[int], words: str) -> None:
        """Show these counts, and `words` for them in the tooltip."""
        self.counts = list(counts)
        self.setToolTip(words)
        self.setAccessibleDescription(words)
        self.update()

    def set_colors(self, color: str, ground: str) -> None:
        """Draw bars in the class's `color`, the line they stand on in `ground`."""
        self._color, self._ground = QColor(color), QColor(ground)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the bars."""
        painter = QPainter(self)
        painter.setPen(Qt.PenStyle.NoPen)
        width, height = self.width() - 2 * _BAR_MARGIN, self.height() - 3
        painter.fillRect(QRectF(_BAR_MARGIN, height, width, 1), self._ground)
        step, most = width / len(self.counts), max([*self.counts, 1])
        for i, count in enumerate(self.counts):
            if count:
                tall = max(height * count / most, 3.0)
                bar = QRectF(_BAR_MARGIN + i * step + 1, height - tall, max(step - 2, 1), tall)
                painter.fillRect(bar, self._color)


class UsagePart(QWidget):
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
        self._links = links_of(
            self,
            (events.clip, self._on_change),
            (events.class_name, self._on_change),
            (session.editor.progress_changed, self._on_change),
            (events.confidence, self._on_confidence),
        )
        self._on_change()

    def close_part(self) -> None:
        """Follow the session no longer."""
        self._links.cut()

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
        self.bars.set_counts(histogram(values), usage_text(values, session.classes[index].label))
        place = (session.clip.name, session.rater)
        one = self._reminder.update(place, session.strokes)
        if one is not None:
            self.words.setText(
                f"Your last {WINDOW} strokes all say {one} %. Where one was clearer or fainter "
                "than the others, say so: it is what is learnt from."
            )
            self.note.show()

    def _on_confidence(self, *_: object) -> None:
        self.note.hide()  # taken to heart


def usage_text(values: Sequence[int], class_label: str) -> str:
    """Return how often which confidence was used, in words."""
    if not values:
        return f"No stroke of {class_label} on this clip yet"
    often = ", ".join(f"{v} % × {n}" for v, n in Counter(values).most_common(5))
    n = len(values)
    return f"{n} stroke{'s' * (n != 1)} of {class_label} on this clip: {often}"


class ConfidenceDial(QWidget):
    """Percent and word, the bar, and a button for each of the cohort's anchors."""

    wanted = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._anchors: tuple[Anchor, ...] = ()
        self.percent, self.word = QLabel(), QLabel()
        self.percent.setProperty("role", "percent")
        self.word.setProperty("role", "word")
        self.bar = ConfidenceBar()
        self.bar.wanted.connect(self.wanted)
        self.anchor_buttons: dict[int, QToolButton] = {}
        top = QHBoxLayout()
        top.setSpacing(8)
        top.addWidget(self.percent)
        top.addWidget(self.word, 1, Qt.AlignmentFlag.AlignBaseline)
        self._buttons = QHBoxLayout()
        self._buttons.setSpacing(4)
        self.example = label(role="note")
        self.example.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(top)
        layout.addWidget(self.bar)
        layout.addLayout(self._buttons)
        layout.addWidget(self.example)

    def set_anchors(self, anchors: Sequence[Anchor], keys: Mapping[int, str]) -> None:
        """Offer these anchors, with their keys by value."""
        for old in self.anchor_buttons.values():
            self._buttons.removeWidget(old)
            old.deleteLater()
        self._anchors, self.anchor_buttons = tuple(anchors), {}
        self.bar.set_anchors([a.value for a in anchors])
        for anchor in anchors:
            key = keys.get(anchor.value, "")
            tip = with_key(f"{anchor.value} %", key)
            made = button(anchor.word, tip, checkable=True)
            if anchor.example:
                made.setToolTip(f"{tip}\n{anchor.example}")
            made.setText(f"{anchor.word}  {key}" if key else anchor.word)
            made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            made.clicked.connect(lambda _on=False, v=anchor.value: self._on_anchor(v))
            self.anchor_buttons[anchor.value] = made
            self._buttons.addWidget(made)

    def _on_anchor(self, value: int) -> None:
        self.wanted.emit(value)
        self.anchor_buttons[value].setChecked(True)  # also where it was lit already

    def set_value(self, value: int) -> None:
        """Show `value`, 1..100."""
        self.percent.setText(f"{value} %")
        self.word.setText(word_for(value, self._anchors) if self._anchors else "")
        self.bar.set_value(value)
        reached = [a for a in self._anchors if a.value <= value]
        example = (reached[-1].example or "") if reached else ""
        self.example.setText(example)
        self.example.setVisible(bool(example))
        for anchor, made in self.anchor_buttons.items():
            made.setChecked(anchor == value)
