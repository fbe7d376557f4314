"""Forms of the comparison: raters, classes, threshold, map and legend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.agreement.maps import MAPS
from napari_confseg.annotate.review.lines import DASHES
from napari_confseg.widgets.common.buttons import button, icon, with_key
from napari_confseg.widgets.common.choices import Chooser, TickBox
from napari_confseg.widgets.common.icons import line_icon, swatch
from napari_confseg.widgets.common.slider_row import SliderRow
from napari_confseg.widgets.layers.review_layers import map_colors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_confseg.annotate.review.state import RaterRow, ReviewState
    from napari_confseg.store import ClassSpec


BAR: Final = 12
"""Height of the coloured bar in pixels."""


def ticks(kind: str, raters: int) -> list[tuple[int, str]]:
    """Return (map value, words) at which a legend of this map is labelled."""
    if kind == "votes":
        return [(n, f"{n} of {raters}") for n in range(1, raters + 1)]
    if kind == "spread":
        return [(1, "same"), (50, "50 % apart"), (100, "100 %")]
    return [(1, "sure"), (100, "even chances")]


class MapLegend(QWidget):
    """A bar of the map's colours with a few words beneath."""

    def __init__(self) -> None:
        super().__init__()
        self._levels = 100
        self._ticks: Sequence[tuple[int, str]] = ()
        self._text = QColor("white")

    def set_text_color(self, color: str) -> None:
        """Write in `color`."""
        self._text = QColor(color)
        self.update()

    def set_map(self, kind: str, raters: int) -> None:
        """Explain this map of so many raters."""
        self._levels = raters if kind == "votes" else 100
        self._ticks = ticks(kind, raters) if kind else ()
        self.setVisible(bool(kind) and raters > 1)
        self.setAccessibleName("Legend: " + ", ".join(words for _, words in self._ticks))
        self.update()

    def sizeHint(self) -> QSize:
        """Return room for bar and words."""
        return QSize(200, BAR + 4 + self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        """Return the same height, and whatever width there is."""
        return QSize(80, self.sizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the bar, and the words beneath their colours."""
        painter = QPainter(self)
        table, n, wide = map_colors(self._levels), self._levels, self.width() / self._levels
        for value in range(1, n + 1):
            color = QColor.fromRgbF(*(float(v) for v in table[value]))
            painter.fillRect(QRectF((value - 1) * wide, 0, wide + 1, BAR), color)
        painter.setPen(self._text)
        for value, words in self._ticks:
            width = painter.fontMetrics().horizontalAdvance(words) + 2
            left = min(max((value - 0.5) * wide - width / 2, 0), self.width() - width)
            box = QRectF(left, BAR + 3, width, painter.fontMetrics().height())
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)
        painter.end()


class CompareForm(QWidget):
    """A box to tick for each rater and class; `edited` carries changed fields of the settings."""

    edited = Signal(dict)
    refresh_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.boxes: dict[str, QCheckBox] = {}
        self.eyes: dict[str, QToolButton] = {}
        self.class_boxes: dict[str, QCheckBox] = {}
        self._rows: tuple[RaterRow, ...] = ()
        self._specs: tuple[ClassSpec, ...] = ()
        self._colors = "#ffffff"
        self._raters, self._classes = QGridLayout(), QGridLayout()
        for grid in (self._raters, self._classes):
            grid.setVerticalSpacing(2)
        self._raters.setColumnStretch(0, 1)
        self.threshold = SliderRow(
            "Yes from", 1, 100, "%", "Confidence from which a rater counts as marking a pixel"
        )
        self.threshold.wanted.connect(lambda v: self.edited.emit({"threshold": v}))
        self.narrowest = SliderRow(
            "At least",
            1,
            15,
            "px",
            "Narrower regions need no decision: no two outlines by hand are the same. "
            "They get the mean.",
        )
        self.narrowest.wanted.connect(lambda v: self.edited.emit({"narrowest": v}))
        self.again = button("Read anew", "Read again what the raters have marked", flat=True)
        self.again.clicked.connect(self.refresh_wanted)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self._raters)
        layout.addSpacing(2)
        layout.addLayout(self._classes)
        layout.addWidget(self.threshold)
        last = QHBoxLayout()
        last.addWidget(self.narrowest, 1)
        last.addWidget(self.again)
        layout.addLayout(last)

    def set_icon_color(self, color: str) -> None:
        """Draw the eyes in `color`."""
        self._colors = color
        self._draw_eyes()

    def show_state(self, state: ReviewState, classes: tuple[ClassSpec, ...]) -> None:
        """Show who and what is compared, of all `classes`."""
        if [r.name for r in state.raters] != [r.name for r in self._rows]:
            self._rebuild_raters(state.raters)
        self._rows = state.raters
        if classes != self._specs:
            self._rebuild_classes(classes)
        for row in state.raters:
            _check(self.boxes[row.name], row.compared)
            self.eyes[row.name].setEnabled(row.compared)
            _check(self.eyes[row.name], row.shown)
        for name, box in self.class_boxes.items():
            _check(box, name in {c.name for c in state.classes})
        self._draw_eyes()
        self.threshold.set_value(state.settings.threshold)
        self.narrowest.set_value(state.settings.narrowest)

    def _draw_eyes(self) -> None:
        for eye in self.eyes.values():
            eye.setIcon(icon("visibility" if eye.isChecked() else "visibility_off", self._colors))

    def _rebuild_raters(self, rows: tuple[RaterRow, ...]) -> None:
        _empty(self._raters)
        self.boxes, self.eyes = {}, {}
        for i, row in enumerate(rows):
            box = TickBox(row.title)
            box.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            box.setIcon(line_icon(DASHES[row.style.direction], row.style.color))
            box.setIconSize(QSize(24, 14))
            box.setToolTip(f"Compare {row.title}")
            box.toggled.connect(self._on_rater)
            frames = QLabel(f"{row.frames} frames" if row.frames else "none reviewed")
            frames.setProperty("role", "note")
            eye = button("", f"Show the marks of {row.title}", flat=True, checkable=True)
            eye.setAccessibleName(f"Show {row.title}")
            eye.toggled.connect(self._on_eye)
            for column, widget in enumerate((box, frames, eye)):
                self._raters.addWidget(widget, i, column)
            self.boxes[row.name], self.eyes[row.name] = box, eye

    def _rebuild_classes(self, classes: tuple[ClassSpec, ...]) -> None:
        _empty(self._classes)
        self._specs, self.class_boxes = classes, {}
        for i, spec in enumerate(classes):
            box = QCheckBox(spec.label)
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            box.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            box.setIcon(swatch(spec.color))
            box.setToolTip(f"Compare {spec.label}")
            box.toggled.connect(self._on_class)
            self._classes.addWidget(box, i // 2, i % 2)
            self.class_boxes[spec.name] = box
        for column in (0, 1):  # as wide as their longest names ask for, in proportion
            names = list(self.class_boxes.values())[column::2]
            widest = max((box.sizeHint().width() for box in names), default=0)
            self._classes.setColumnStretch(column, widest)

    def _on_rater(self) -> None:
        self.edited.emit({"raters": frozenset(n for n, b in self.boxes.items() if b.isChecked())})

    def _on_eye(self) -> None:
        hidden = frozenset(n for n, e in self.eyes.items() if e.isEnabled() and not e.isChecked())
        self.edited.emit({"hidden": hidden})

    def _on_class(self) -> None:
        chosen = frozenset(n for n, b in self.class_boxes.items() if b.isChecked())
        self.edited.emit({"classes": chosen})


class CanvasForm(QWidget):
    """How what is compared is drawn: the raters' opacity, the map and its legend."""

    edited = Signal(dict)
    bands_wanted = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.map, self.legend = Chooser(), MapLegend()
        self.map.addItem("No map", "")
        for name, (words, _) in MAPS.items():
            self.map.addItem(words, name)
        self.map.setToolTip("Colours each pixel by how far the raters agree on it")
        self.map.activated.connect(lambda _: self.edited.emit({"map": self.map.currentData()}))
        self.opacity = SliderRow("Opacity", 0, 100, "%", "Of the raters' contours and hatching")
        self.filled = QCheckBox("Hatch the raters' marks")
        self.filled.setToolTip("Else they are outlined, and the texture beneath stays in sight")
        self.filled.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.filled.toggled.connect(lambda on: self.edited.emit({"filled": on}))
        self.opacity.wanted.connect(lambda v: self.edited.emit({"opacity": v / 100}))
        self.bands = QCheckBox("Guaranteed contours of models")
        self.bands.setToolTip(
            "Inner solid, outer dashed, of the class compared: the panel's region lies between them"
        )
        self.bands.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.bands.toggled.connect(self.bands_wanted)
        self.bands.hide()
        self.follow = QCheckBox("Zoom to each disagreement")
        self.follow.setToolTip("Else the picture moves only to what is out of sight")
        self.follow.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.follow.toggled.connect(lambda on: self.edited.emit({"follow": on}))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (
            self.filled,
            self.bands,
            self.follow,
            self.opacity,
            self.map,
            self.legend,
        ):
            layout.addWidget(widget)

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Name the key, by the id of the action, on the box."""
        self.filled.setText(with_key("Hatch the raters' marks", keys.get("review.fill")))
        self.bands.setText(with_key("Guaranteed contours of models", keys.get("bands")))

    def show_bands(self, on: bool, *, any_guaranteed: bool) -> None:
        """Show whether guaranteed contours are drawn, and offer them if there are any."""
        self.bands.setVisible(any_guaranteed)
        _check(self.bands, on)

    def show_state(self, state: ReviewState) -> None:
        """Show how it is drawn."""
        settings = state.settings
        self.map.setCurrentIndex(max(self.map.findData(settings.map), 0))
        self.legend.set_map(settings.map, len(state.compared))
        self.opacity.set_value(round(100 * settings.opacity))
        _check(self.follow, settings.follow)
        _check(self.filled, settings.filled)


def _check(box: QCheckBox | QToolButton, on: bool) -> None:
    box.blockSignals(True)
    box.setChecked(on)
    box.blockSignals(False)


def _empty(grid: QGridLayout) -> None:
    while (item := grid.takeAt(0)) is not None:
        item.widget().hide()
        item.widget().deleteLater()
