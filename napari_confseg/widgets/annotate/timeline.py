"""The timeline: what the clip's frames hold, at a glance, to go there and to mark them reviewed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_confseg.annotate.links import links_of
from napari_confseg.annotate.review_progress import next_unreviewed
from napari_confseg.annotate.timeline import UNKNOWN, Timeline, Window, lanes_of, review_state
from napari_confseg.annotate.timeline_picture import KEYS, Colors, Content, Rows, draw
from napari_confseg.annotate.tools.filling import Origin
from napari_confseg.store import Status

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qtpy.QtGui import QMouseEvent, QPaintEvent, QWheelEvent

    from napari_confseg.annotate.session import Session
    from napari_confseg.annotate.timeline import Cells
    from napari_confseg.store import Edit

_SIDE: Final = 5
"""Pixels left and right of the first and the last frame: room for half the playhead."""

_STEP: Final = 0.8
"""Share of the frames that stay in sight with one notch of the wheel."""

TURNS_UNSEEN: Final = 8
"""Turns of reading planes after which what they hold is drawn: to draw takes longer."""

_WORDS: Final = {
    Origin.PAINTED: "painted",
    Origin.CARRIED: "carried",
    Origin.INTERPOLATED: "filled between painted frames",
}

_HOW: Final = (
    "Click: go there. Shift and drag: mark reviewed.\nWheel: closer; double click: the whole clip."
)


class TimelineView(QWidget):
    """A lane for each class, over how well the picture matched and what is reviewed.

    Bars are as high as the highest confidence on the frame: solid where painted by hand, with a
    mark above, hollow where carried, hatched where interpolated. It follows the session by itself.

    Parameters
    ----------
    session : Session
        What is shown.
    """

    wanted = Signal(int)  # a frame
    range_wanted = Signal(object)  # a range of frames, to be marked reviewed

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.model = Timeline()
        self.in_sight: Window = Window(0)
        self._rows = Rows.of(1, 0)
        self._lanes: list[tuple[int, ...]] = []
        self._image: QImage | None = None
        self._pressed: int | None = None  # pixel at which a drag began
        self._moved = False
        self._reviewing: range | None = None  # frames being chosen by a drag with Shift
        self._panning: float | None = None  # frames from the window's start to the mouse
        self._colors = Colors((255, 255, 255))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName("Timeline")
        self.zooms = {
            "timeline.closer": lambda: self.zoom(_STEP**2),
            "timeline.wider": lambda: self.zoom(_STEP**-2),
            "timeline.whole": self.show_whole,
        }
        """What its keys do, by the id of the action."""
        self._turns = 0
        self._reader = QTimer(self)
        self._reader.setInterval(0)
        self._reader.timeout.connect(self._read_on)
        events, editor = session.events, session.editor
        self._links = links_of(
            self,
            (events.clip, self._on_clip),
            (events.cohort, self._on_class),
            (events.class_name, self._on_class),
            (events.frame, self._on_frame),
            (editor.edited, self._on_edited),
            (editor.planes_changed, self._on_planes),
            (editor.progress_changed, self._redraw),
        )
        self._on_clip()

    def close_part(self) -> None:
        """Follow the session no longer."""
        self._reader.stop()
        self._links.cut()

    def show_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        self._colors = Colors(_rgb(theme.text.as_hex()))
        self._redraw()

    # ---- following the session ------------------------------------------------------------

    def _on_clip(self, *_: object) -> None:
        session = self._session
        n = len(session.status)
        kept = self.in_sight if n == self.in_sight.n_frames else Window(n)  # as on reading anew
        self.in_sight = kept
        self.model = Timeline(n, session.status.shape[1])
        self._reviewing = self._pressed = self._panning = None
        if n:
            self.model.begin(session.strokes, session.marked)
            if self.model.read(session.editor.peek):
                self._reader.start()
        self._on_class()

    def _read_on(self) -> None:
        if not self.model.read(self._session.editor.peek):
            self._reader.stop()
        self._turns += 1
        if not self._reader.isActive() or self._turns % TURNS_UNSEEN == 0:
            self._redraw()

    def _on_class(self, *_: object) -> None:
        session = self._session
        names = [c.name for c in session.classes]
        active = names.index(session.class_name) if session.class_name in names else 0
        self._lanes = lanes_of(len(names), active)
        tall = next((i for i, lane in enumerate(self._lanes) if active in lane), 0)
        before = self._rows.height
        self._rows = Rows.of(len(self._lanes), tall)
        if self._rows.height != before:
            self.updateGeometry()
        self._redraw()

    def _on_edited(self, edit: Edit) -> None:
        session = self._session
        where = {(p.frame, p.class_index) for p in edit.patches}
        if self.model.update(where, session.editor.peek, session.strokes):
            self._reader.start()
        self._redraw()

    def _on_planes(self, changed: tuple[tuple[str, int], ...]) -> None:
        session = self._session
        where = [(t, session.class_index(name)) for name, t in changed]
        if self.model.look_again(where, session.editor.peek):
            self._reader.start()
        self._redraw()

    def _on_frame(self, *_: object) -> None:
        if self.model.n_frames:
            held = self._pressed is not None
            self._show_window(self.in_sight.with_frame(self.frame, page=not held))
        self.update()

    def _redraw(self, *_: object) -> None:
        self._image = None
        self.update()

    @property
    def frame(self) -> int:
        """The frame on show."""
        return min(self._session.frame, max(self.model.n_frames - 1, 0))

    # ---- the window of frames in sight ----------------------------------------------------

    def _show_window(self, window: Window) -> None:
        if window != self.in_sight:
            self.in_sight = window
            self._redraw()

    def show_whole(self) -> None:
        """Show all frames."""
        self._show_window(Window(self.model.n_frames))

    def zoom(self, factor: float, share: float | None = None) -> None:
        """Show `factor` times as many frames, about what is at `share` of the width.

        About the frame on show if that is not given.
        """
        if not self.model.n_frames:
            return
        if share is None:
            window = self.in_sight.with_frame(self.frame)
            self._show_window(window.zoomed(factor, window.share_of(self.frame + 0.5)))
        else:
            self._show_window(self.in_sight.zoomed(factor, share))

    def _share(self, x: float) -> float:
        return (x - _SIDE) / self._inner

    @property
    def _inner(self) -> int:
        """Pixels that the frames have."""
        return max(int(self.width()) - 2 * _SIDE, 1)

    def _x_at(self, frame: float) -> float:
        return _SIDE + self.in_sight.share_of(frame) * self._inner

    def x_of(self, frame: int) -> float:
        """Return the middle of `frame`, in pixels from the left."""
        return self._x_at(frame + 0.5)

    def frame_at(self, x: float) -> int:
        """Return the frame at `x` pixels from the left, the nearest in sight if outside."""
        return self.in_sight.frame_at(self._share(x))

    def _cells(self) -> Cells:
        return self.in_sight.cells(self._inner)

    # ---- painting -------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        """Return room for every row."""
        return QSize(200, self._rows.height)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the rows, the playhead and what is being chosen."""
        if not self.model.n_frames or not self._lanes:
            return
        ratio = self.devicePixelRatioF()  # another one on another screen
        width = max(round(self._inner * ratio), 1)
        if self._image is None or self._image.width() != width:
            self._image = self._drawn(width, ratio)
        painter = QPainter(self)
        painter.drawImage(QPointF(_SIDE, 0), self._image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_overview(painter)
        self._paint_chosen(painter)
        self._paint_next(painter)
        self._paint_playhead(painter)

    def _drawn(self, width: int, ratio: float) -> QImage:
        session = self._session
        shown, marked = self.model.shown(session.marked), session.marked
        # Of classes that share a lane, the one with most to show.
        of_lanes = np.stack([shown[:, lane].max(axis=1) for lane in self._lanes], axis=1)
        content = Content(
            of_lanes,
            self.model.grip(marked),
            self.model.lost_frames(marked),
            review_state(session.status),
        )
        cells = self.in_sight.cells(width)
        colors = [
            _rgb(session.classes[lane[0]].color) if len(lane) == 1 else (136, 136, 136)
            for lane in self._lanes
        ]
        pixels = np.ascontiguousarray(
            draw(content, cells, self._rows.scaled(ratio), colors, self._colors, ratio=ratio)
        )
        image = QImage(pixels.data, width, len(pixels), 4 * width, QImage.Format.Format_RGBA8888)
        image = image.copy()  # of its own: the array goes
        image.setDevicePixelRatio(ratio)
        return image

    def _paint_overview(self, painter: QPainter) -> None:
        if self.in_sight.whole:
            return
        top, bottom = self._rows.overview
        inner, n = self._inner, self.in_sight.n_frames
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(*self._colors.ground))
        painter.drawRoundedRect(QRectF(_SIDE, top, inner, bottom - top), 2, 2)
        left = _SIDE + self.in_sight.start / n * inner
        width = max(self.in_sight.length / n * inner, 8.0)
        left = min(left, _SIDE + inner - width)
        painter.setBrush(QColor(*self._colors.text))
        painter.drawRoundedRect(QRectF(left, top, width, bottom - top), 2, 2)
        x = _SIDE + (self.frame + 0.5) / n * inner
        painter.fillRect(QRectF(x - 1, top, 2, bottom - top), QColor(*self._colors.warn))

    def _paint_chosen(self, painter: QPainter) -> None:
        if self._reviewing is None:
            return
        shade = QColor(*self._colors.done)
        shade.setAlpha(100)
        left, right = (
            min(max(self._x_at(t), 0.0), float(self.width()))
            for t in (self._reviewing.start, self._reviewing.stop)
        )
        bottom = self._rows.reviewed[1]
        painter.fillRect(QRectF(left, 0, right - left, bottom), shade)
        painter.setPen(QPen(QColor(*self._colors.done), 1.5))
        painter.drawLine(QPointF(left, 0), QPointF(left, bottom))
        painter.drawLine(QPointF(right, 0), QPointF(right, bottom))

    def _paint_next(self, painter: QPainter) -> None:
        """Draw an arrow in the band of review at the next frame with work left."""
        found = next_unreviewed(self._session.status, self.frame)
        if found is None or found == self.frame:
            return
        top, bottom = self._rows.reviewed
        x = min(max(self.x_of(found), _SIDE + 2), self.width() - _SIDE - 2)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(*self._colors.text))
        painter.drawPolygon(
            QPolygonF([QPointF(x - 4, bottom + 1), QPointF(x + 4, bottom + 1), QPointF(x, top + 1)])
        )

    def _paint_playhead(self, painter: QPainter) -> None:
        x, bottom = self.x_of(self.frame), self._rows.reviewed[1]
        # A rim of the ground keeps it apart from the bars, whatever their colour.
        painter.setPen(QPen(QColor(*self._colors.ground), 3))
        painter.drawLine(QPointF(x, KEYS), QPointF(x, bottom))
        painter.setPen(QPen(QColor(*self._colors.text), 1.2))
        painter.drawLine(QPointF(x, KEYS), QPointF(x, bottom))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(*self._colors.panel))
        painter.drawPolygon(QPolygonF([QPointF(x - 4, 0), QPointF(x + 4, 0), QPointF(x, KEYS)]))

    # ---- the mouse ------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the frame there; with Shift, begin to choose; on the overview, take hold of it."""
        if event.button() != Qt.MouseButton.LeftButton or not self.model.n_frames:
            return
        x, y = event.position().x(), event.position().y()
        if y >= self._rows.overview[0] - 1 and not self.in_sight.whole:
            self._take_overview(x)
            return
        self._pressed, self._moved = round(x), False
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._choose(x)
        else:
            self.wanted.emit(self._notable(x, y))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go along with the mouse held, choose more frames, or move what is in sight."""
        if not event.buttons() & Qt.MouseButton.LeftButton or not self.model.n_frames:
            return
        x = event.position().x()
        if self._panning is not None:
            self._pan_to(x)
        elif self._pressed is None or (not self._moved and round(x) == self._pressed):
            return  # a hand that trembles while it clicks
        elif self._reviewing is not None:
            self._moved = True
            self._scroll_to(x)
            self._choose(x)
            words = f"Frames {self._reviewing.start + 1} to {self._reviewing.stop}"
            above = self.mapToGlobal(QPoint(round(x), -60))  # the frames stay in sight
            QToolTip.showText(above, words, self)
        else:
            self._moved = True
            self.wanted.emit(self._beyond(x))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Ask for the frames that were chosen to be marked."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        chosen, self._reviewing = self._reviewing, None
        self._pressed = self._panning = None
        self.update()
        if chosen is not None:
            QToolTip.hideText()
            self.range_wanted.emit(chosen)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Show the whole clip."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.show_whole()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Show fewer or more frames about the mouse; sideways, or with Shift, go along the clip."""
        event.accept()
        if not self.model.n_frames:
            return
        turned = event.angleDelta()
        sideways = turned.x()
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            sideways = sideways or turned.y()
        if sideways:
            self._show_window(self.in_sight.moved(-sideways / 120 * 0.15 * self.in_sight.length))
        elif turned.y():
            self.zoom(_STEP ** (turned.y() / 120), self._share(event.position().x()))

    def _beyond(self, x: float) -> int:
        """Return the frame at `x`, also out of sight."""
        frame = int(np.floor(self.in_sight.start + self._share(x) * self.in_sight.length))
        return min(max(frame, 0), self.model.n_frames - 1)

    def _scroll_to(self, x: float) -> None:
        if not 0 <= self._share(x) <= 1:
            self._show_window(self.in_sight.with_frame(self._beyond(x)))

    def _choose(self, x: float) -> None:
        """Choose frames: from the one on show to the click, or those passed over by a drag."""
        cells = self._cells()
        here = cells.frames(cells.at(x - _SIDE))
        if not self._moved:
            self._began = here
            here = range(min(here.start, self.frame), max(here.stop, self.frame + 1))
        else:
            began = self._began
            here = range(min(here.start, began.start), max(here.stop, began.stop))
        self._reviewing = here
        self.update()

    def _notable(self, x: float, y: float) -> int:
        """Return the frame that a click is for: of several on a pixel, the one that shows there."""
        cells = self._cells()
        frames = cells.frames(cells.at(x - _SIDE))
        if len(frames) == 1:
            return frames.start
        session, here = self._session, slice(frames.start, frames.stop)
        if y >= self._rows.reviewed[0]:
            return frames[int(np.argmin(review_state(session.status)[here]))]
        if y >= self._rows.match[0]:
            return frames[int(np.argmin(self.model.grip(session.marked)[here]))]
        shown = self.model.shown(session.marked)[here]
        lanes = [
            lane for lane, row in zip(self._lanes, self._rows.lanes, strict=True) if y <= row[1]
        ]
        of_lane = shown[:, lanes[0]] if lanes and y >= self._rows.lanes[0][0] else shown
        return frames[int(np.argmax(of_lane.max(axis=1)))]

    def _take_overview(self, x: float) -> None:
        at = self._share(x) * self.in_sight.n_frames
        inside = 0 <= at - self.in_sight.start <= self.in_sight.length
        self._panning = at - self.in_sight.start if inside else self.in_sight.length / 2
        self._pan_to(x)

    def _pan_to(self, x: float) -> None:
        at = self._share(x) * self.in_sight.n_frames
        assert self._panning is not None
        self._show_window(Window(self.model.n_frames, at - self._panning, self.in_sight.length))

    # ---- words ----------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """Say what is under the mouse."""
        if event.type() == QEvent.Type.ToolTip and self.model.n_frames:
            QToolTip.showText(event.globalPos(), self.words_at(event.pos().x()), self)
            return True
        return bool(super().event(event))

    def words_at(self, x: float) -> str:
        """Return in words what there is at `x` pixels from the left, and what the mouse does."""
        cells = self._cells()
        frames = cells.frames(cells.at(x - _SIDE))
        session = self._session
        n = self.model.n_frames
        if len(frames) > 1:
            lines = [f"Frames {frames.start + 1} to {frames.stop} of {n}"]
        else:
            lines = [f"Frame {frames.start + 1} of {n}"]
        here = slice(frames.start, frames.stop)
        marked = session.marked[here]
        shown = self.model.shown(session.marked)[here]
        for spec in session.classes:
            if marked[:, spec.index].any():
                lines.append(f"{spec.label}: {self._words_of(frames, spec.index, shown)}")
        if not marked.any():
            lines.append("Nothing is marked")
        if self.model.lost_frames(session.marked)[here].any():
            grip = self.model.grip(session.marked)[here].min()
            lines.append(f"Carried marks were lost: the picture matches by {grip} %")
        lines.append(self._review_words(session.status[here]))
        return "\n".join([*lines, "", _HOW])

    def _words_of(self, frames: range, c: int, shown: NDArray[np.uint16]) -> str:
        best = int(np.argmax(shown[:, c]))
        origin, confidence = Origin(int(shown[best, c]) >> 8), int(shown[best, c]) & 255
        sure = f"{confidence} %" if confidence else "excluded"
        words = f"{sure}, {_WORDS[origin]}"
        match = int(self.model.match[frames[best], c])
        if origin is Origin.CARRIED and match != UNKNOWN:
            words += f"; the picture matches by {match} %"
        return words

    def _review_words(self, status: NDArray[np.uint8]) -> str:
        done = status == Status.REVIEWED
        if done.all():
            return "Reviewed"
        if not done.any():
            return "Not reviewed"
        if len(done) > 1:
            return f"Reviewed: {int(done.all(axis=1).sum())} of these {len(done)} frames"
        labels = [c.label for c in self._session.classes if done[0, c.index]]
        return f"Reviewed: {', '.join(labels)}"


def _rgb(color: str) -> tuple[int, int, int]:
    found = QColor(color)
    return found.red(), found.green(), found.blue()
