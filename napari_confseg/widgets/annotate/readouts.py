"""The section of read-outs, with intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from qtpy.QtCore import QRectF, QSize, Qt, QTimer
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.links import links_of
from napari_confseg.annotate.live_readouts import LiveReadouts
from napari_confseg.readouts import COUNTS, Finding, OverClip, Presence
from napari_confseg.widgets.common.buttons import button, label
from napari_confseg.widgets.common.choices import Chooser
from napari_confseg.widgets.common.jobs import BackgroundJob
from napari_confseg.widgets.common.section import StillWheel

if TYPE_CHECKING:
    from qtpy.QtGui import QHideEvent, QShowEvent

    from napari_confseg.annotate.live_readouts import Computed, Task
    from napari_confseg.annotate.session import Session
    from napari_confseg.readouts import ClipReadouts, FrameReadouts

PAUSE_MS: Final = 120
"""A moved slider or a quick hand is let go on before anything is computed."""


class Row(NamedTuple):
    """A read-out as people read it.

    Attributes
    ----------
    title : str
    class_name : str
        Whose colour its bar takes.
    tip : str
        What it is.
    end : float
        Least end of the scale that its bar is drawn on, in its own unit.
    """

    title: str
    class_name: str
    tip: str
    end: float = 1.0


ROWS: Final = {
    "pleura_percentage": Row(
        "Pleura with B-lines",
        "b-line",
        "Share of the pleural line's extent with B-lines beneath it",
        100,
    ),
    "b_line_count": Row("B-lines", "b-line", "Separate B-lines; those that merge count as one", 6),
    "artefact_score": Row(
        "Artefact score",
        "b-line",
        "Share of the space beneath the pleura, ribs left out, that B-lines fill",
        100,
    ),
    "a_lines": Row("A-lines", "a-line", "How sure it is that there is an A-line"),
    "pleura_thickness": Row(
        "Pleural thickness",
        "pleura",
        "Median along the line, square to it; in mm where the pixel's size is known",
        6,
    ),
    "pleura_thickness_p90": Row(
        "Its 90th percentile", "pleura", "Nine tenths of the line are no thicker than this", 6
    ),
    "pleura_breaks": Row(
        "Pleural breaks",
        "pleura",
        "Gaps of 1 mm or more between the line's ends; none behind a rib or an excluded area",
        6,
    ),
    "pleura_interrupted": Row(
        "Interrupted", "pleura", "Share of the line's extent that its breaks take up", 100
    ),
    "pleura_irregularity": Row(
        "Irregularity",
        "pleura",
        "How far the line's middle departs from a smooth curve: root mean square",
        2,
    ),
    "pleura_indentations": Row(
        "Indentations", "pleura", "Places where the line dips 1 mm or more below a smooth curve", 6
    ),
    "consolidation": Row(
        "Consolidation",
        "consolidation",
        "Area within the sector; in mm² where the pixel's size is known",
    ),
    "effusion": Row(
        "Effusion",
        "effusion",
        "Area within the sector; in mm² where the pixel's size is known",
    ),
}
"""Field of the read-outs -> how it is shown."""

INTERVAL_TIP: Final = (
    "In brackets and as a bar: what holds 95 % of the belief that the confidences express.\n"
    "A mark at 100 % leaves no doubt, one at 40 % is not there in 60 of 100 cases."
)


def extent(value: Finding | Presence, end: float) -> tuple[float, float, float, float]:
    """Return low, value, high and the end of the scale, `end` or more; NaN if undefined."""
    if isinstance(value, Presence):
        return value.low, value.probability, value.high, end
    return value.low, value.value, value.high, max(value.high, end)


def in_words(value: Finding | Presence) -> tuple[str, str]:
    """Return value and interval in as few characters as a narrow panel asks for."""
    low, middle, high, _ = extent(value, 0)
    if math.isnan(middle):
        return "–", ""
    if isinstance(value, Presence):
        word = "present" if value.present else "absent"
        return f"{word}, {100 * middle:.0f} %", f"{100 * low:.0f} – {100 * high:.0f}"
    counted = value.unit in COUNTS
    unit = "" if counted else f" {value.unit}"
    whole = all(v == round(v) for v in (low, middle, high))
    digits = _DIGITS.get(value.unit, 0) if not counted else int(not whole)
    # Outwards: what is shown of an interval promises no more than it holds.
    step = 10**digits
    low, high = math.floor(low * step + 1e-6) / step, math.ceil(high * step - 1e-6) / step
    return f"{middle:.{digits}f}{unit}", f"{low:.{digits}f} – {high:.{digits}f}"


_DIGITS: Final = {"mm": 2, "px": 1}


def told_of_line(found: FrameReadouts | ClipReadouts) -> str:
    """Return what of the pleural line was measured in part only; empty if all of it was."""
    doubled, hidden, specks = (
        extent(_value(found, f"pleura_{name}"), 0)[1] for name in ("doubled", "hidden", "specks")
    )
    told = []
    if doubled >= 0.5:
        told.append(f"doubled on {doubled:.0f} % of it (the upper line is measured)")
    if hidden >= 0.5:
        told.append(f"{hidden:.0f} % behind ribs or excluded (no break)")
    if specks >= 0.5:
        told.append("pieces shorter than 2 mm left out")
    return f"Pleural line: {', '.join(told)}." if told else ""


class IntervalBar(QWidget):
    """A scale from nothing to all, the interval on it, and a tick for the value."""

    def __init__(self) -> None:
        super().__init__()
        self._extent = (math.nan, math.nan, math.nan, 1.0)
        self._color, self._text, self._ground = QColor("gray"), QColor("white"), QColor("#414851")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Return room for the bar."""
        return QSize(80, 9)

    def set_colors(self, color: str, text: str, ground: str) -> None:
        """Draw the interval in `color`, the tick in `text`, the scale in `ground`."""
        self._color, self._text, self._ground = QColor(color), QColor(text), QColor(ground)
        self.update()

    def set_extent(self, low: float, value: float, high: float, end: float) -> None:
        """Show `value` between `low` and `high` on a scale from 0 to `end`; NaN shows none."""
        self._extent = low, value, high, end
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        wide, high = self.width() - 2.0, float(self.height())
        painter.setBrush(self._ground)
        painter.drawRoundedRect(QRectF(1, high / 2 - 2, wide, 4), 2, 2)
        low, value, top, end = self._extent
        if math.isnan(value):
            return
        left, right = (1 + wide * min(v / end, 1) for v in (low, top))
        painter.setBrush(self._color)
        painter.drawRoundedRect(QRectF(left, high / 2 - 2.5, max(right - left, 2), 5), 2, 2)
        painter.setBrush(self._text)
        painter.drawRect(QRectF(min(1 + wide * min(value / end, 1), wide) - 1, 0, 2.5, high))


class ReadoutsPart(QWidget):
    """Read-outs of the frame or the clip, of me or of a rater on show, as work goes on.

    Computes only while it is in sight.

    Parameters
    ----------
    session : Session
        What is read out.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.live = LiveReadouts(session)
        self._job: BackgroundJob | None = None
        self._over_clip = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._compute)
        self.sources = Chooser()
        self.sources.setToolTip("Whose marks are read out: yours, or those of a rater on show")
        self.sources.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.sources.installEventFilter(StillWheel(self))
        self.of_frame = button("Frame", "Read-outs of the frame on show", checkable=True)
        self.of_clip = button(
            "Clip", "Mean over the frames reviewed in every class", checkable=True
        )
        self.values: dict[str, QLabel] = {}
        self.bars: dict[str, IntervalBar] = {}
        self.intervals: dict[str, QLabel] = {}
        self.note = label(role="note")
        self._lay_out()
        self.sources.activated.connect(lambda i: self.live.choose(self.sources.itemData(i)))
        self.of_frame.clicked.connect(lambda: self.show_clip(False))
        self.of_clip.clicked.connect(lambda: self.show_clip(True))
        self._links = links_of(self, (self.live.wanted, self._on_wanted))
        self.show_clip(False)

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.addWidget(self.sources, 1)
        head.addWidget(self.of_frame)
        head.addWidget(self.of_clip)
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(0)
        for i, (name, row) in enumerate(ROWS.items()):
            title, value, bar = QLabel(row.title), QLabel("–"), IntervalBar()
            value.setAlignment(Qt.AlignmentFlag.AlignRight)
            for widget in (title, value, bar):
                widget.setToolTip(f"{row.tip}.\n{INTERVAL_TIP}")
            bar.setAccessibleName(row.title)
            grid.addWidget(title, 2 * i, 0)
            grid.addWidget(value, 2 * i, 1)
            between = label(role="note")
            between.setWordWrap(False)
            between.setAlignment(Qt.AlignmentFlag.AlignRight)
            grid.addWidget(bar, 2 * i + 1, 0)
            grid.addWidget(between, 2 * i + 1, 1)
            self.values[name], self.bars[name], self.intervals[name] = value, bar, between
        grid.setColumnStretch(0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(head)
        layout.addLayout(grid)
        layout.addWidget(self.note)

    def close_part(self) -> None:
        """Follow the session no longer."""
        self._timer.stop()
        if self._job is not None:
            self._job.drop()
        self._links.cut()
        self.live.close()

    def set_colors(self, text: str, ground: str) -> None:
        """Draw in a theme's colours, and each bar in its class's."""
        colors = {c.name: c.color for c in self._session.classes}
        for name, row in ROWS.items():
            self.bars[name].set_colors(colors.get(row.class_name, "#888888"), text, ground)

    def show_clip(self, on: bool) -> None:
        """Show the read-outs of the clip, or of the frame."""
        self._over_clip = on
        self.of_clip.setChecked(on)
        self.of_frame.setChecked(not on)
        self._show()

    # ---- computing ------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        """Compute what was left while out of sight."""
        super().showEvent(event)
        self._on_wanted()

    def hideEvent(self, event: QHideEvent) -> None:
        """Compute no more."""
        super().hideEvent(event)
        self._timer.stop()
        if self._job is not None:
            self._job.cancel()

    def _on_wanted(self) -> None:
        self._list_sources()
        self._show()
        if self.isVisible() and not self._session.playing:
            self._timer.start(PAUSE_MS)

    def _compute(self) -> None:
        if self._job is not None or not self.isVisible():
            return
        task = self.live.task()
        if task is None:
            return
        self._job = BackgroundJob(lambda job: task.run(job.cancelled), self)
        self._job.done.connect(lambda computed: self._on_done(task, computed))
        self._job.failed.connect(self._on_failed)
        self._job.start()

    def _on_done(self, task: Task, computed: Computed | None) -> None:
        self._job = None
        self.live.take(task, computed)
        self._show()
        self._compute()

    def _on_failed(self, error: Exception) -> None:
        self._job = None
        self.note.setText(f"The read-outs could not be computed: {error}")

    # ---- showing --------------------------------------------------------------------------

    def _list_sources(self) -> None:
        there = self.live.sources()
        if [
            (self.sources.itemData(i), self.sources.itemText(i))
            for i in range(self.sources.count())
        ] != there:
            self.sources.clear()
            for slug, words in there:
                self.sources.addItem(words, slug)
        self.sources.setCurrentIndex(max(self.sources.findData(self.live.source), 0))

    def _show(self) -> None:
        found = self.live.clip if self._over_clip else self.live.frame
        promised = self.live.guarantee if self._over_clip else None
        # No reviewed frame, nothing to wait for: a dash rather than dots.
        dots = "–" if self._over_clip and not self.live.reviewed else "…"
        for name, row in ROWS.items():
            value = None if found is None else _value(found, name)
            margin = promised.margins.get(name) if promised else None
            if margin and isinstance(value, Finding) and value.unit == margin.unit:
                value = value.within(margin.half_width)
            words, between = (dots, "") if value is None else in_words(value)
            self.values[name].setText(words)
            self.intervals[name].setText(between)
            self.bars[name].set_extent(
                *((math.nan, math.nan, math.nan, 1.0) if value is None else extent(value, row.end))
            )
        told = "" if found is None else told_of_line(found)
        self.note.setText("\n".join(filter(None, (self._text(), told))))
        self.note.setVisible(bool(self.note.text()))

    def _text(self) -> str:
        n, missing = len(self.live.reviewed), self.live.missing
        self.of_clip.setText(f"Clip ({n})")
        if not self._over_clip:
            return ""
        if not n:
            return (
                "No frame is reviewed in every class yet. Only reviewed frames count: "
                "elsewhere unmarked means unknown."
            )
        if missing:
            return f"Computing: {n - missing} of {n} reviewed frames."
        said = f"Mean over {n} reviewed frame{'s' * (n != 1)}."
        promised = self.live.guarantee
        if promised is not None and promised.margins:
            names = ", ".join(ROWS[name][0] for name in ROWS if name in promised.margins)
            said += f" Intervals of {names}: {promised}."
        return said


def _value(found: FrameReadouts | ClipReadouts, name: str) -> Finding | Presence:
    value = getattr(found, name)
    return value.mean if isinstance(value, OverClip) else value
