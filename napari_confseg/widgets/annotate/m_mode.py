"""The M-mode in a dock of its own: one beam over time, beside the cine."""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.utils.theme import get_theme
from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QImage, QKeySequence, QPainter, QPen, QShortcut
from qtpy.QtWidgets import (
    QDockWidget,
    QFileDialog,
    QHBoxLayout,
    QMainWindow,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.links import links_of
from napari_confseg.annotate.m_mode import LAG, frames_of_pixels, span, ticks
from napari_confseg.numerals import percent
from napari_confseg.widgets.common.buttons import button, label, with_key
from napari_confseg.widgets.common.jobs import BackgroundJob
from napari_confseg.widgets.common.theme import stylesheet

if TYPE_CHECKING:
    from qtpy.QtGui import QMouseEvent, QPaintEvent

    from napari_confseg.annotate.m_mode import TextureChange
    from napari_confseg.annotate.session import Session

NAME: Final = "M-mode (napari-confseg)"
HEIGHT: Final = 250
_NEAR: Final = 5
"""Pixels from the pleural line within which the mouse takes hold of it."""

_SETTLED: Final = 120
"""Milliseconds after the last change until the texture is compared."""

_BEAM, _PLEURA, _RIM = QColor("#ffd24a"), QColor("#56b4e9"), QColor("#000000")


class MModeView(QWidget):
    """Depth downwards against time to the right, a line at the frame on show.

    Parameters
    ----------
    session : Session
        Whose M-mode.
    """

    frame_wanted = Signal(int)
    pleura_wanted = Signal(float)  # a depth

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session, self._mode = session, session.m_mode
        self._text, self._ground = QColor("#f0f1f2"), QColor("#262930")
        self._image: QImage | None = None
        self._holds_pleura = False
        self.pleura: tuple[float, str] | None = None
        self.setMouseTracking(True)
        self.setAccessibleName("M-mode")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(90)

    def sizeHint(self) -> QSize:
        """Return room for a picture that reads well."""
        return QSize(480, HEIGHT - 60)

    def set_colors(self, text: str, ground: str) -> None:
        """Write the ticks in `text` on `ground`."""
        self._text, self._ground = QColor(text), QColor(ground)
        self.update()

    def show_new(self) -> None:
        """Draw anew what was sampled."""
        self._image = None
        self.update()

    # ---- where things are -----------------------------------------------------------------

    def picture_rect(self) -> QRectF:
        """Return where the picture is, without its axes."""
        metrics = self.fontMetrics()
        left = metrics.horizontalAdvance("0000") + 10
        bottom = metrics.height() + 8
        return QRectF(left, 6, max(self.width() - left - 12, 1), max(self.height() - bottom - 6, 1))

    def frame_at(self, x: float) -> int:
        """Return the frame at `x` pixels from the left, the nearest if beside the picture."""
        box = self.picture_rect()
        frames = frames_of_pixels(self._mode.times, max(round(box.width()), 1))
        return int(frames[min(max(int(x - box.left()), 0), len(frames) - 1)])

    def x_of(self, frame: int) -> float:
        """Return the middle of `frame`, in pixels from the left."""
        times, box = self._mode.times, self.picture_rect()
        frame = min(frame, len(times) - 1)
        end = times[frame + 1] if frame + 1 < len(times) else times[0] + span(times)
        middle = (times[frame] + end) / 2 - times[0]
        return float(box.left() + middle / span(times) * box.width())

    def depth_at(self, y: float) -> float:
        """Return the depth at `y` pixels from the top."""
        box = self.picture_rect()
        return float(min(max((y - box.top()) / box.height(), 0.0), 1.0) * self._extent)

    def y_of(self, depth: float) -> float:
        """Return where a depth is, in pixels from the top."""
        box = self.picture_rect()
        return float(box.top() + depth / max(self._extent, 1e-9) * box.height())

    @property
    def _extent(self) -> float:
        beam = self._mode.beam
        return 0.0 if beam is None else float(beam.depth[-1])

    # ---- painting -------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the picture, its axes, the pleural line and the frame on show."""
        painter = QPainter(self)
        self.draw(painter)

    def draw(self, painter: QPainter) -> None:
        """Draw everything with `painter`."""
        painter.fillRect(self.rect(), self._ground)
        box = self.picture_rect()
        painter.fillRect(box, _RIM)
        if self._mode.beam is None:
            return
        if self._image is None or self._image.width() != round(box.width()):
            self._image = self._sampled(round(box.width()))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(box, self._image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._draw_depths(painter, box)
        self._draw_times(painter, box)
        if self.pleura is not None:
            y = self.y_of(self.pleura[0])
            self._line(painter, QPointF(box.left(), y), QPointF(box.right(), y), _PLEURA, True)
            self._draw_pleura_words(painter, box, y)
        x = self.x_of(self._session.frame)
        self._line(painter, QPointF(x, box.top()), QPointF(x, box.bottom()), _BEAM, False)

    def _sampled(self, width: int) -> QImage:
        frames = frames_of_pixels(self._mode.times, max(width, 1))
        pixels = np.ascontiguousarray(self._mode.picture.columns(frames))
        height, width = pixels.shape
        image = QImage(pixels.data, width, height, width, QImage.Format.Format_Grayscale8)
        return image.copy()  # of its own: the array goes

    def _line(
        self, painter: QPainter, start: QPointF, end: QPointF, color: QColor, dashed: bool
    ) -> None:
        painter.setPen(QPen(_RIM, 3.5))
        painter.drawLine(start, end)
        pen = QPen(color, 1.6)
        if dashed:
            pen.setDashPattern([5, 4])
        painter.setPen(pen)
        painter.drawLine(start, end)

    def _draw_pleura_words(self, painter: QPainter, box: QRectF, y: float) -> None:
        """Say beside the pleural line what it is, and where that is known from."""
        metrics = self.fontMetrics()
        words = f"pleural line: {self.pleura[1]}" if self.pleura else ""
        wide, high = metrics.horizontalAdvance(words) + 8, metrics.height()
        above = y - high - 3
        top = above if above > box.top() else y + 3
        where = QRectF(box.right() - wide - 4, top, wide, high)
        painter.fillRect(where, QColor(0, 0, 0, 170))
        painter.setPen(_PLEURA)
        painter.drawText(where, Qt.AlignmentFlag.AlignCenter, words)

    def _draw_depths(self, painter: QPainter, box: QRectF) -> None:
        metrics = self.fontMetrics()
        painter.setPen(self._text)
        unit = self._mode.beam.unit if self._mode.beam else ""
        for depth in ticks(self._extent, max(int(box.height() // (2.2 * metrics.height())), 2)):
            y = self.y_of(depth)
            painter.drawLine(QPointF(box.left() - 5, y), QPointF(box.left(), y))
            words = unit if depth == 0 else f"{depth:g}"
            middle = min(max(y, metrics.height() / 2), self.height() - metrics.height() / 2)
            where = QRectF(0, middle - metrics.height() / 2, box.left() - 7, metrics.height())
            painter.drawText(
                where, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words
            )

    def _draw_times(self, painter: QPainter, box: QRectF) -> None:
        metrics = self.fontMetrics()
        times, known = self._mode.times, self._mode.times_known
        whole = span(times) if known else float(len(times))
        unit = " s" if known else " frames"
        room = metrics.horizontalAdvance(f"000.0{unit}") + 24
        found = ticks(whole, max(int(box.width() // room), 2))
        for i, tick in enumerate(found):
            x = box.left() + tick / whole * box.width()
            painter.setPen(self._text)
            painter.drawLine(QPointF(x, box.bottom()), QPointF(x, box.bottom() + 4))
            words = f"{tick:g}{unit if i == len(found) - 1 else ''}"
            wide = metrics.horizontalAdvance(words) + 2
            left = min(max(x - wide / 2, 0), self.width() - wide)
            where = QRectF(left, box.bottom() + 5, wide, metrics.height())
            painter.drawText(where, Qt.AlignmentFlag.AlignCenter, words)

    # ---- the mouse ------------------------------------------------------------------------

    def _on_pleura(self, y: float) -> bool:
        return self.pleura is not None and abs(y - self.y_of(self.pleura[0])) <= _NEAR

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the frame there, or take hold of the pleural line."""
        if event.button() != Qt.MouseButton.LeftButton or self._mode.beam is None:
            return
        x, y = event.position().x(), event.position().y()
        self._holds_pleura = self._on_pleura(y)
        if not self._holds_pleura:
            self.frame_wanted.emit(self.frame_at(x))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go along with the mouse held, or move the pleural line."""
        x, y = event.position().x(), event.position().y()
        held = bool(event.buttons() & Qt.MouseButton.LeftButton)
        shape = Qt.CursorShape.SizeVerCursor if self._on_pleura(y) else Qt.CursorShape.CrossCursor
        self.setCursor(Qt.CursorShape.SizeVerCursor if self._holds_pleura else shape)
        if held and self._holds_pleura:
            self.pleura_wanted.emit(self.depth_at(y))
        elif held and self._mode.beam is not None:
            self.frame_wanted.emit(self.frame_at(x))
        if self._mode.beam is not None:
            self.setToolTip(self.words_at(x, y))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let the pleural line be."""
        self._holds_pleura = False

    def words_at(self, x: float, y: float) -> str:
        """Return in words what is at a place of the picture, and what the mouse does."""
        frame, times = self.frame_at(x), self._mode.times
        unit = self._mode.beam.unit if self._mode.beam else ""
        when = f", {times[frame] - times[0]:.2f} s" if self._mode.times_known else ""
        return (
            f"Frame {frame + 1} of {len(times)}{when}\n{self.depth_at(y):.1f} {unit} deep\n\n"
            "Click: go there. Drag the dashed line to the pleural line."
        )


class MModePanel(QWidget):
    """The M-mode with its words and buttons; samples the beam in the background.

    Parameters
    ----------
    session : Session
        Whose M-mode.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session, self._mode = session, session.m_mode
        self._job: BackgroundJob | None = None
        self._again = False  # the beam moved while a job was sampling
        self.view = MModeView(session)
        self.words = label(role="note")
        self.words.setWordWrap(False)
        self.measure = label(role="note")
        self.measure.setWordWrap(False)
        # In a narrow window the texture goes first: the beam's place is all that says which it is.
        self.measure.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.measure.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.save = button("Save …", "Save what is shown as a PNG file")
        self.close_ = button("Close", with_key("Leave the M-mode", "Esc"))
        self.save.clicked.connect(self._ask_save)
        self.close_.clicked.connect(self._mode.leave)
        self.view.frame_wanted.connect(self._on_frame_wanted)
        self.view.pleura_wanted.connect(self._mode.choose_pleura)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.words)
        row.addWidget(self.measure, 1)
        row.addWidget(self.save)
        row.addWidget(self.close_)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.view, 1)
        leave = QShortcut(QKeySequence("Esc"), self)
        leave.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        leave.activated.connect(self._mode.leave)
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(_SETTLED)
        self._settled.timeout.connect(self._compare)
        self._links = links_of(
            self,
            (self._mode.changed, self._on_beam),
            (self._mode.columns_changed, self._on_columns),
            (self._mode.pleura_changed, self._on_pleura),
            (session.events.frame, lambda *_: self.view.update()),
        )
        self._on_beam()

    def close_part(self) -> None:
        """Sample and follow no more."""
        self._links.cut()
        self._settled.stop()
        self._again = False
        if self._job is not None:
            self._job.drop()
            self._job = None

    def show_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        self.setStyleSheet(stylesheet(theme))
        self.view.set_colors(theme.text.as_hex(), theme.background.as_hex())

    # ---- sampling -------------------------------------------------------------------------

    def _on_beam(self) -> None:
        self._on_columns()
        if self._job is not None:  # it ends with its batch, and the next one begins
            self._again = True
            self._job.cancel()
        else:
            self._sample()

    def _sample(self) -> None:
        sampling = self._mode.task()
        if sampling is None or not sampling.order:
            return
        job = BackgroundJob(lambda job: sampling.run(job.send, job.cancelled), self)
        job.parted.connect(lambda part: self._mode.take(sampling, part))
        job.done.connect(lambda _: self._on_sampled(job))
        job.failed.connect(lambda error: self._on_failed(job, error))
        self._job = job.start()

    def _on_sampled(self, job: BackgroundJob) -> None:
        if job is self._job:
            self._job = None
            if self._again:
                self._again = False
                self._sample()

    def _on_failed(self, job: BackgroundJob, error: Exception) -> None:
        self._session.message = f"The M-mode can't be made: {error}"
        self._on_sampled(job)

    # ---- showing --------------------------------------------------------------------------

    def _on_columns(self) -> None:
        self._show_pleura()
        self.view.show_new()
        self.words.setText(self._text())
        self.measure.setText("")
        self._settled.start()

    def _on_pleura(self) -> None:
        self._show_pleura()
        self.view.update()
        self._settled.start()

    def _show_pleura(self) -> None:
        self.view.pleura = self._mode.pleura()

    def _compare(self) -> None:
        found = self._mode.change()
        self.measure.setText("" if found is None else in_words(found))
        self.measure.setToolTip(_meaning())

    def _text(self) -> str:
        mode = self._mode
        if mode.beam is None:
            return "No clip is open."
        words = f"Beam {place_in_words(self._session)}"
        n, known, lost = (
            len(mode.picture.known),
            int(mode.picture.known.sum()),
            len(mode.picture.lost),
        )
        if lost:
            return f"{words} · {lost} of {n} frames can't be read"
        return words if known == n else f"{words} · {known} of {n} frames"

    def _on_frame_wanted(self, frame: int) -> None:
        self._session.playing = False
        self._session.frame = frame

    # ---- saving ---------------------------------------------------------------------------

    def _ask_save(self) -> None:
        clip = self._session.clip
        if clip is None:
            return
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the M-mode", f"{clip.name}-m-mode.png", "Pictures (*.png)"
        )
        if path:
            self.save_to(path if path.lower().endswith(".png") else f"{path}.png")

    def save_to(self, path: str) -> None:
        """Write what is shown to a PNG file, at twice its size on the screen."""
        image = QImage(2 * self.view.size(), QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(2)
        painter = QPainter(image)
        self.view.draw(painter)
        painter.end()
        done = image.save(path, "PNG")
        self._session.message = (
            f"Saved: {path}"
            if done
            else f"Not saved: {path} can't be written. Choose another place."
        )


def place_in_words(session: Session) -> str:
    """Return where the session's beam is.

    Degrees from the vertical in sectors that fan out, else the distance from the left border.
    """
    beam = session.m_mode.beam
    if beam is None:
        return ""
    if session.toolkit.marker.beams.apex is None:
        return f"{beam.lateral:.0f} {beam.unit} from the left"
    degrees = round(math.degrees(beam.lateral))
    return (
        "straight down" if not degrees else f"{abs(degrees)}° {'right' if degrees > 0 else 'left'}"
    )


def in_words(found: TextureChange) -> str:
    """Return how much the texture changes, in a few words."""
    return f"Texture change {percent(found.below)} below, {percent(found.above)} above"


def _meaning() -> str:
    return (
        "How much the speckle along the beam, below and above the pleural line, differs from that\n"
        f"{LAG:g} s later, at its best match within 1.2 mm:\n"
        "0 % stands still (straight lines), 100 % is another one (sand).\n"
        "It says nothing of why: a moving probe changes it, too.\n"
        "Drag the dashed line to the pleural line."
    )


class MModeDock(QObject):
    """Shows the M-mode beneath the picture while the session has one.

    Parameters
    ----------
    session : Session
        Whose M-mode.
    viewer : napari.Viewer
        In whose window; one without a window shows none.
    parent : QObject
        Owner.
    """

    def __init__(self, session: Session, viewer: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._viewer_ref = weakref.ref(getattr(viewer, "__wrapped__", viewer))
        self.panel: MModePanel | None = None
        self._links = links_of(self, (session.m_mode.changed, self._follow))
        self._follow()

    def close_part(self) -> None:
        """Leave the M-mode and follow no more."""
        self._session.m_mode.leave()
        self._links.cut()
        self._remove()

    def show_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        if self.panel is not None:
            self.panel.show_theme(theme)

    def _follow(self) -> None:
        shown = self._session.m_mode.shown
        if shown and self.panel is None:
            self._add()
        elif not shown:
            self._remove()

    def _add(self) -> None:
        viewer = self._viewer_ref()
        window = getattr(viewer, "window", None)
        if viewer is None or window is None:
            return
        self.panel = MModePanel(self._session)
        self.panel.show_theme(get_theme(viewer.theme))
        dock = window.add_dock_widget(self.panel, name=NAME, area="bottom")
        self.panel.installEventFilter(self)
        dock.visibilityChanged.connect(lambda _seen: self._on_sight(dock))
        QTimer.singleShot(0, lambda: _place(dock, self._viewer_ref))

    def _remove(self) -> None:
        panel, self.panel = self.panel, None
        if panel is None:
            return
        panel.removeEventFilter(self)
        panel.close_part()
        viewer = self._viewer_ref()
        window = getattr(viewer, "window", None)
        if window is not None and isinstance(panel.parentWidget(), QDockWidget):
            window.remove_dock_widget(panel)
            QTimer.singleShot(0, lambda: _fit(self._viewer_ref))
        panel.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Leave the M-mode when its dock is closed: napari takes the panel out of it."""
        if event.type() == QEvent.Type.ParentChange and watched is self.panel:
            QTimer.singleShot(0, self._on_moved)
        return False

    def _on_sight(self, dock: QDockWidget) -> None:
        if self.panel is not None and dock.isHidden():  # a tab behind another is not
            self._session.m_mode.leave()

    def _on_moved(self) -> None:
        if self.panel is not None and not isinstance(self.panel.parentWidget(), QDockWidget):
            self._session.m_mode.leave()


def _place(dock: QDockWidget, viewer_ref: weakref.ref[Any]) -> None:
    """Give the dock its height, beneath the picture alone: the panels keep that of the window."""
    window = dock.parentWidget()
    if not isinstance(window, QMainWindow):
        return
    window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
    window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
    beside = [
        other
        for other in window.findChildren(QDockWidget)
        if other is not dock
        and other.isVisible()
        and not other.isFloating()
        and window.dockWidgetArea(other) == Qt.DockWidgetArea.BottomDockWidgetArea
        and other.objectName().endswith("(napari-confseg)")
    ]
    if beside:
        window.tabifyDockWidget(beside[0], dock)
        dock.raise_()
    window.resizeDocks([dock], [HEIGHT], Qt.Orientation.Vertical)
    QTimer.singleShot(0, lambda: _fit(viewer_ref))


def _fit(viewer_ref: weakref.ref[Any]) -> None:
    """Show the whole picture: its canvas has another height now."""
    viewer = viewer_ref()
    if viewer is not None and viewer.layers:
        viewer.reset_view()
