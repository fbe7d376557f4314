"""The zone map: a patient's chest with what was found in each zone, and its change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QByteArray, QPointF, QRectF, QSignalBlocker, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QImage, QPainter
from qtpy.QtSvg import QSvgRenderer
from qtpy.QtWidgets import (
    QDockWidget,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.zone_map import ZoneMap
from napari_confseg.readouts.zones import QUANTITIES, SCHEMES
from napari_confseg.report.chest import DARK, LIGHT, Colors, Drawing, draw_chest, places_in_words
from napari_confseg.report.zones import chest_title
from napari_confseg.store.durable import write_durably
from napari_confseg.widgets.annotate.cohort_actions import CohortActions
from napari_confseg.widgets.common.buttons import button, label
from napari_confseg.widgets.common.choices import Chooser
from napari_confseg.widgets.common.jobs import LatestJob, ProgressRow
from napari_confseg.widgets.common.page import Page
from napari_confseg.widgets.common.section import still_wheel
from napari_confseg.widgets.panel import Panel

if TYPE_CHECKING:
    import napari
    from qtpy.QtGui import QMouseEvent, QPaintEvent, QResizeEvent

    from napari_confseg.annotate.zone_map import Found, Task
    from napari_confseg.readouts.zones import ZoneReading

NAME: Final = "Zone map (napari-confseg)"
"""As napari calls the dock that its Plugins menu opens."""

_SOON: Final = 150
"""Milliseconds in which several changes are read once."""

_WIDE: Final = 640
"""Pixels from which on the views have room side by side."""

_LARGEST: Final = 1.5
_NO_COHORT: Final = "Open a study folder in Annotate: its patients are shown here."
_NO_READER: Final = "Choose a reader in Annotate: the findings are theirs."
_ONE_DAY: Final = "Clips tagged “day 0”, “day 3” (Clip notes, Tags) are shown by examination."


class ChestView(QWidget):
    """The chest, scaled to the width there is; a click on a zone asks for it."""

    zone_wanted = Signal(str)
    redraw_wanted = Signal()  # there is room for another layout

    def __init__(self) -> None:
        super().__init__()
        self._drawing: Drawing | None = None
        self._renderer = QSvgRenderer(self)
        self._words: dict[str, str] = {}
        self.tall = True
        self.setMouseTracking(True)
        self.setAccessibleName("Chest by zone")
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setSizePolicy(policy)
        self.setMinimumWidth(240)

    def show_drawing(self, drawing: Drawing, words: dict[str, str]) -> None:
        """Show `drawing`, with `words` on each zone under the mouse."""
        self._drawing, self._words = drawing, words
        self._renderer.load(QByteArray(drawing.svg.encode()))
        self._give_height()
        self.update()

    @property
    def scale(self) -> float:
        """Pixels to a unit of the drawing."""
        if self._drawing is None:
            return 1.0
        return float(min(self.width() / self._drawing.width, _LARGEST))

    def zone_at(self, at: QPointF) -> str:
        """Return the zone at a place of the widget; empty if there is none."""
        boxes = self._drawing.boxes if self._drawing else {}
        x, y = at.x() / self.scale, at.y() / self.scale
        for zone, (left, top, width, height) in boxes.items():
            if left <= x < left + width and top <= y < top + height:
                return zone
        return ""

    def center_of(self, zone: str) -> QPointF:
        """Return the middle of a zone in the widget."""
        assert self._drawing is not None
        left, top, width, height = self._drawing.boxes[zone]
        return QPointF((left + width / 2) * self.scale, (top + height / 2) * self.scale)

    def _give_height(self) -> None:
        if self._drawing is not None:
            self.setFixedHeight(max(round(self._drawing.height * self.scale), 40))

    def sizeHint(self) -> QSize:
        """Return room for the tall layout."""
        return QSize(330, 560)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Take the layout that fits, and the height that it needs."""
        super().resizeEvent(event)
        if event.size().width() == event.oldSize().width():
            return
        tall = self.width() < _WIDE
        if tall != self.tall:
            self.tall = tall
            self.redraw_wanted.emit()
        self._give_height()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the chest."""
        if self._drawing is None:
            return
        painter = QPainter(self)
        size = self._drawing.width * self.scale, self._drawing.height * self.scale
        self._renderer.render(painter, QRectF(0, 0, *size))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Say what was found under the mouse."""
        zone = self.zone_at(event.position())
        self.setToolTip(self._words.get(zone, ""))
        hand = Qt.CursorShape.PointingHandCursor if zone else Qt.CursorShape.ArrowCursor
        self.setCursor(hand)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Ask for the zone there."""
        zone = self.zone_at(event.position())
        if zone and event.button() == Qt.MouseButton.LeftButton:
            self.zone_wanted.emit(zone)


class ZoneMapPanel(Panel):
    """What was found in each zone of a patient's chest; a click opens the clip.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose session this is.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.model = ZoneMap(self.session)
        self.cohort_actions = CohortActions(self.session, self)
        self._colors = DARK
        self._make()
        self._lay_out()
        self._latest = LatestJob(self, row=self.progress)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SOON)
        self._soon.timeout.connect(self._read)
        self.listen(
            (self.model.changed, self.show_now),
            (self.model.wanted, self._read_soon),
        )
        still_wheel(self)

    def _make(self) -> None:
        self.patients, self.examinations, self.raters, self.schemes = (Chooser() for _ in range(4))
        for chooser, name in (
            (self.patients, "Patient"),
            (self.examinations, "Examination"),
            (self.raters, "Whose findings"),
            (self.schemes, "Zones of the chest"),
        ):
            chooser.setToolTip(name)
            chooser.setAccessibleName(name)
            chooser.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.schemes.addItem("As named", 0)
        for n in SCHEMES:
            self.schemes.addItem(f"{n} zones", n)
        self.patients.activated.connect(
            lambda i: self.model.choose_patient(self.patients.itemData(i))
        )
        self.examinations.activated.connect(self.model.choose_examination)
        self.raters.activated.connect(lambda i: self.model.choose_rater(self.raters.itemData(i)))
        self.schemes.activated.connect(lambda i: self.model.choose_scheme(self.schemes.itemData(i)))
        self.chest = ChestView()
        self.chest.zone_wanted.connect(self._on_zone)
        self.chest.redraw_wanted.connect(self._draw)
        self.note, self.progress = label(role="note"), ProgressRow()
        self.save = button("Save picture …", "Save the chest as SVG or PNG")
        self.anew = button("Read anew", "Read the patient's clips again")
        self.save.clicked.connect(self._ask_save)
        self.anew.clicked.connect(self._read)

    def _lay_out(self) -> None:
        head = QGridLayout()
        head.setSpacing(4)
        head.addWidget(self.patients, 0, 0)
        head.addWidget(self.examinations, 0, 1)
        head.addWidget(self.raters, 1, 0)
        head.addWidget(self.schemes, 1, 1)
        head.setColumnStretch(0, 4)
        head.setColumnStretch(1, 5)
        body = QWidget()
        inside = QVBoxLayout(body)
        inside.setContentsMargins(0, 0, 4, 0)
        inside.addWidget(self.chest)
        inside.addWidget(self.note)
        inside.addStretch(1)
        foot = QHBoxLayout()
        foot.addWidget(self.save)
        foot.addWidget(self.anew)
        foot.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.setSpacing(4)
        layout.addLayout(head)
        page = Page(body)
        # Always there: the picture's height follows its width, which a bar that comes and goes with
        # the height would change back and forth for ever.
        page.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        layout.addWidget(page, 1)
        layout.addWidget(self.progress)
        layout.addLayout(foot)

    def show_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        super().show_theme(theme)
        known = DARK if theme.type == "dark" else LIGHT
        self._colors = Colors(
            theme.background.as_hex(),
            theme.text.as_hex(),
            known.soft,
            theme.foreground.as_hex(),
            known.line,
            known.current,
        )
        self.show_now()

    def came_to_front(self) -> None:
        """Read what was marked meanwhile."""
        self._soon.start()

    def let_go(self) -> None:
        """Read and follow no more."""
        self._soon.stop()
        self._latest.drop()
        self.model.close()

    # ---- reading --------------------------------------------------------------------------

    def _read_soon(self) -> None:
        self._soon.start()

    def _read(self) -> None:
        if not self.isVisible():
            return
        task = self.model.task()
        if task is None:
            self._latest.drop()
            return
        words = f"Reading the clips of {task.patient} …"
        self._latest.run(
            lambda job: task.run(job.cancelled, job.report),
            lambda found: self._on_read(task, found),
            failed=self._on_failed,
            words=words,
        )

    def _on_read(self, task: Task, found: Found | None) -> None:
        self.model.take(task, found)

    def _on_failed(self, error: Exception) -> None:
        self.note.setText(f"The clips could not be read: {error}")

    # ---- showing --------------------------------------------------------------------------

    def show_now(self) -> None:
        """Show what the model says."""
        model = self.model
        _fill(self.patients, [(p, p) for p in model.patients()], model.patient)
        found = model.examinations
        titles = [(i, e.title[0].upper() + e.title[1:]) for i, e in enumerate(found)]
        _fill(self.examinations, titles, model.index)
        _fill(self.raters, model.raters(), model.rater)
        self.schemes.setItemText(0, f"{model.zones}, as named")
        self.schemes.setCurrentIndex(max(self.schemes.findData(model.scheme), 0))
        for chooser in (self.patients, self.examinations, self.raters):
            chooser.setEnabled(chooser.count() > 0)
        self.save.setEnabled(model.shown is not None)
        self.note.setText(self._text())
        self._draw()

    def _draw(self) -> None:
        model = self.model
        drawing = draw_chest(
            model.zones,
            model.shown,
            model.changes(),
            colors=self._colors,
            tall=self.chest.tall,
            current=model.current,
        )
        self.chest.show_drawing(drawing, {zone: self._words(zone) for zone in drawing.boxes})

    def _words(self, zone: str) -> str:
        """Return what is known of a zone, for the mouse."""
        model = self.model
        lines = [f"{zone}: {places_in_words(SCHEMES[model.zones][zone])}"]
        shown = model.shown
        if shown is None:
            return lines[0]
        several = shown.zones.get(zone, ())
        for reading in several:
            lines += ["", reading.clip, *_in_words(reading)]
        if not several:
            return "\n".join([*lines, "No clip of this zone."])
        change = model.changes().get(zone)
        if change is not None:
            doubt = "" if change.sure else ", within the intervals of both"
            same = "the same" if not change.direction else change.words
            lines += ["", f"Since the examination before: {same}{doubt}"]
        return "\n".join([*lines, "", "Click: open the clip"])

    def _text(self) -> str:
        model, session = self.model, self.session
        if session.cohort is None:
            return _NO_COHORT
        if not session.rater:
            return _NO_READER
        shown = model.shown
        if shown is None:
            return "" if not model.known else "This patient has no clip that can be read."
        parts = [f"{len(shown.zones)} of {model.zones} zones have a clip."]
        if shown.elsewhere:
            named = ", ".join(f"{r.clip} ({r.zone or 'no zone'})" for r in shown.elsewhere)
            parts.append(f"Not on this chest: {named}.")
        if len(model.examinations) == 1 and shown.day is None:
            parts.append(_ONE_DAY)
        return " ".join([*parts, *model.problems])

    # ---- requests -------------------------------------------------------------------------

    def _on_zone(self, zone: str) -> None:
        clip = self.model.clip_of(zone)
        if clip is None:
            self.session.message = f"There is no clip of zone {zone}."
        else:
            self.cohort_actions.open_clip(clip)

    def _ask_save(self) -> None:
        shown = self.model.shown
        if shown is None:
            return
        day = "" if shown.day is None else f"-day-{shown.day}"
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the chest", f"{shown.patient}{day}-zones.svg", "SVG (*.svg);;PNG (*.png)"
        )
        if path:
            self.save_to(path)

    def save_to(self, path: str) -> None:
        """Write the chest on show, side by side on white, to an SVG or PNG file."""
        model, shown = self.model, self.model.shown
        if shown is None:
            return
        rater = dict(model.raters())[model.rater] if model.rater else self.session.rater
        title = chest_title(shown, model.before, rater)
        drawing = draw_chest(model.zones, shown, model.changes(), title=title)
        try:
            if path.lower().endswith(".png"):
                done = _png(drawing).save(path, "PNG")
            else:
                path = path if path.lower().endswith(".svg") else f"{path}.svg"
                write_durably(Path(path), drawing.svg.encode())
                done = True
        except OSError:
            done = False
        self.session.message = (
            f"Saved: {path}"
            if done
            else f"Not saved: {path} can't be written. Choose another place."
        )


def _png(drawing: Drawing) -> QImage:
    """Return a drawing at twice its size."""
    image = QImage(round(2 * drawing.width), round(2 * drawing.height), QImage.Format.Format_RGB32)
    painter = QPainter(image)
    QSvgRenderer(QByteArray(drawing.svg.encode())).render(painter)
    painter.end()
    return image


def _in_words(reading: ZoneReading) -> list[str]:
    if reading.hidden:
        return ["Hidden: this study is read blinded."]
    if not reading.values:
        return ["No frame is reviewed in every class."]
    lines = []
    for name, words in QUANTITIES.items():
        found = reading.values[name]
        between = found.interval()
        lines.append(f"{words}: {found}{f' ({between})' if between else ''}")
    return [*lines, f"Mean over {reading.frames} reviewed frame{'s' * (reading.frames != 1)}"]


def _fill(chooser: Chooser, entries: list[tuple[Any, str]], chosen: object) -> None:
    """Show `entries` of (data, words), made anew only if there are others."""
    with QSignalBlocker(chooser):
        if [(chooser.itemData(i), chooser.itemText(i)) for i in range(chooser.count())] != entries:
            chooser.clear()
            for data, words in entries:
                chooser.addItem(words, data)
        chooser.setCurrentIndex(chooser.findData(chosen))


def open_zone_map(viewer: Any, patient: str) -> ZoneMapPanel | None:
    """Show the zone map of `patient` in a viewer's window; None if it has no window."""
    window = getattr(viewer, "window", None)
    if window is None:
        return None
    panels = window._qt_window.findChildren(ZoneMapPanel)
    panel: ZoneMapPanel = panels[0] if panels else ZoneMapPanel(viewer)
    if not panels:
        window.add_dock_widget(panel, name=NAME, area="right")
    dock: QWidget | None = panel
    while dock is not None and not isinstance(dock, QDockWidget):
        dock = dock.parentWidget()
    if dock is not None:
        dock.show()
        dock.raise_()
    if patient:
        panel.model.choose_patient(patient)
    return panel
