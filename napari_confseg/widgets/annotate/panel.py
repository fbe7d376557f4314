"""The Annotate panel: choose a clip, say what you see and how sure you are.

Shows the session that it shares with the Train panel, and passes requests on; it owns nothing but
its widgets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari.utils.theme import get_theme
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import (
    QMainWindow,
    QWidget,
)

from napari_confseg.annotate.blinding import BlindedError
from napari_confseg.annotate.playback import rate
from napari_confseg.annotate.remember import Memory
from napari_confseg.annotate.reviewing import painted
from napari_confseg.annotate.saving import say
from napari_confseg.annotate.view import Tool
from napari_confseg.store import Status, StoreError
from napari_confseg.widgets.annotate.about_clip import AboutClip
from napari_confseg.widgets.annotate.activity import Activity
from napari_confseg.widgets.annotate.clip_queue import ClipQueue
from napari_confseg.widgets.annotate.desk import Desk, account_name
from napari_confseg.widgets.annotate.finished import Finished
from napari_confseg.widgets.annotate.form import AnnotateForm
from napari_confseg.widgets.annotate.keys import Keys
from napari_confseg.widgets.annotate.keys_dialog import KeysDialog
from napari_confseg.widgets.annotate.readouts import ReadoutsPart
from napari_confseg.widgets.annotate.roles import Roles
from napari_confseg.widgets.annotate.save_work import SaveWork
from napari_confseg.widgets.annotate.sector import SectorPart
from napari_confseg.widgets.annotate.start_page import dropped_folder
from napari_confseg.widgets.annotate.style_row import StyleRow
from napari_confseg.widgets.annotate.tool_options import ToolOptions
from napari_confseg.widgets.annotate.usage_bars import UsagePart
from napari_confseg.widgets.canvas.player import Player
from napari_confseg.widgets.parts.docking import share_place
from napari_confseg.widgets.parts.look import CHOSEN, GOOD, stylesheet
from napari_confseg.widgets.readers import DropCatcher, one_of_ours
from napari_confseg.widgets.shared import close_with, session_for

if TYPE_CHECKING:
    import napari
    from qtpy.QtGui import QDragEnterEvent, QDropEvent, QShowEvent

    from napari_confseg.widgets.parts.chores import Chore

MESSAGE_SECONDS: Final = 12
LOW: Final = 760
"""Pixels of height beneath which the list of clips folds once a clip is open."""


class AnnotatePanel(AnnotateForm):
    """Mark what is seen on a clip, with a confidence, and see that it is saved.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose session this is.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.session = session_for(napari_viewer)
        share_place(self)
        self.desk = Desk(self.session, self)
        self.keys = Keys(self.session, self)
        self.player = Player(self.session, self)
        self.readouts = ReadoutsPart(self.session)
        self.readouts_section.add(self.readouts)
        self.sector = SectorPart(self.session, napari_viewer)
        self.sector_section.add(self.sector)
        self.options, self.saving = ToolOptions(self.session), SaveWork(self.session)
        self.tools_section.add(self.options)
        self.saving_section.add(self.saving)
        self.drops = DropCatcher(self, lambda p: self.desk.open_place(p, self._reader_typed()))
        self.usage = UsagePart(self.session)
        self.sure_section.add(self.usage)
        self.style_row = StyleRow(self.session)
        self.view_section.add(self.style_row)
        self.queue, self.about = ClipQueue(self.session), AboutClip(self.session)
        self.clips_section.add(self.queue)
        self.about_section.add(self.about)
        self.finished = Finished(self.session)
        self.foot.insertWidget(0, self.finished)
        self.roles = Roles(self.session, self.bar.menu, self)
        self.activity = Activity(self.session, self._viewer, self)
        self._message_timer = QTimer(self)
        self._message_timer.setSingleShot(True)
        self._message_timer.timeout.connect(lambda: self._on_message(""))
        self._links = list(self._wire_session())
        for signal, slot in self._links:
            signal.connect(slot)
        self._wire_widgets()
        self._viewer.events.theme.connect(self._on_theme)
        self._on_theme()
        self._on_cohort()

    # ---- what is connected ----------------------------------------------------------------

    def _wire_widgets(self) -> None:
        session, desk = self.session, self.desk
        self.start.reader.setText(Memory.load().reader or account_name())
        for page in (self.start, self.bar):
            page.open_wanted.connect(lambda: desk.ask_open(self._reader_typed()))
            page.create_wanted.connect(lambda: desk.ask_create(self._reader_typed()))
            page.sample_wanted.connect(lambda: desk.make_sample(self._reader_typed()))
            page.recent_wanted.connect(lambda at: desk.open(at, self._reader_typed()))
        self.bar.import_wanted.connect(desk.ask_import)
        self.bar.close_wanted.connect(desk.close_cohort)
        self.bar.reader_wanted.connect(desk.ask_reader)
        self.bar.classes_wanted.connect(self._on_classes_wanted)
        self.import_.clicked.connect(lambda: desk.ask_import())
        self.queue.wanted.connect(self._on_clip_wanted)
        self.queue.step_wanted.connect(desk.step)
        self.queue.titled.connect(self.clips_section.header.setText)
        self.about.titled.connect(self.about_section.header.setText)
        self.finished.wanted.connect(desk.open_to_do)
        self.palette_.chosen.connect(self._on_class_wanted)
        self.palette_.shown_wanted.connect(self._on_shown_wanted)
        self.dial.wanted.connect(lambda v: setattr(session, "confidence", v))
        self.palette_.lock_wanted.connect(self._on_lock_wanted)
        self.palette_.solo_wanted.connect(self._on_solo_wanted)
        self.tools.wanted.connect(lambda tool: self.saving.kit.take(Tool(tool)))
        self.tools.size_wanted.connect(lambda v: setattr(session, "brush_size", v))
        self.opacity.wanted.connect(lambda v: setattr(session, "opacity", v / 100))
        self.threshold.wanted.connect(lambda v: setattr(session, "threshold", v))
        self.transport.frame_wanted.connect(lambda t: setattr(session, "frame", t))
        self.transport.play_wanted.connect(lambda on: setattr(session, "playing", on))
        self.transport.open_frame_wanted.connect(session.next_unreviewed)
        self.transport.reviewed_wanted.connect(lambda on: self._on_reviewed_wanted(on, None))
        self.transport.class_reviewed_wanted.connect(
            lambda on: self._on_reviewed_wanted(on, session.class_name)
        )
        self.others.shown_wanted.connect(self._on_rater_wanted)
        self.others.accept_wanted.connect(self._on_accept_wanted)
        self.others.sight_wanted.connect(self.roles.ask_unblind)
        self.light.undo_wanted.connect(session.undo)
        self.light.redo_wanted.connect(session.redo)
        self.light.take_over_wanted.connect(self._on_take_over_wanted)
        self.keys.changed.connect(self._on_keys)
        for asked in (self.keys.page_wanted, self.bar.keys_wanted):
            asked.connect(self._on_keys_page)
        self.keys.work_wanted.connect(lambda name: self._on_key_asks(name))
        for worker in (desk, self.saving, self.sector):
            worker.busy.connect(self._on_busy)
        desk.clips_changed.connect(self._on_clips_changed)

    def _wire_session(self) -> list[tuple[Any, Any]]:
        events = self.session.events
        return [
            (events.cohort, self._on_cohort),
            (events.clip, self._on_clip),
            (events.rater, self._on_rater),
            (events.class_name, self._on_class),
            (events.confidence, self.dial.set_value),
            (events.tool, self._on_tool),
            (events.brush_size, self.tools.size.set_value),
            (events.opacity, self._on_view),
            (events.threshold, self._on_view),
            (events.hidden, self._on_view),
            (events.marks_shown, self._on_view),
            (events.solo, self._on_view),
            (events.locked, self._on_view),
            (events.frame, self._on_frame),
            (events.playing, self._on_playing),
            (events.overlays, self._on_overlays),
            (events.save_state, self._on_save_state),
            (events.message, self._on_message),
            (events.role, self._on_overlays),
            (events.about, self._on_sight),
            (self.session.blinding_changed, self._on_overlays),
            (self.session.progress_changed, self._on_progress),
        ]

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Bind the keys to the window we are docked in."""
        super().showEvent(event)
        self._bind_keys()

    def event(self, event: QEvent) -> bool:
        """Let go of the session when the panel goes; the clip stays open in the viewer."""
        if event.type() == QEvent.Type.DeferredDelete:
            self._let_go()
        return bool(super().event(event))

    def _let_go(self) -> None:
        self.keys.release()
        self.player.close()
        for part in (self.readouts, self.sector, self.usage, self.style_row, self.options,
                     self.saving,
                     self.queue, self.about, self.finished, self.activity):  # fmt: skip
            part.close_part()
        for signal, slot in self._links:
            signal.disconnect(slot, missing_ok=True)
        self._links = []
        self._viewer.events.theme.disconnect(self._on_theme)

    def main_window(self) -> QWidget:
        """Return the window we are docked in, also while the dock floats."""
        widget = self
        while widget is not None and not isinstance(widget, QMainWindow):
            widget = widget.parentWidget()
        return widget or self.window()

    def _bind_keys(self) -> None:
        window = self.main_window()
        close_with(window, self.session)
        self.drops.watch(window)
        self.keys.bind(window)

    # ---- what the session tells -----------------------------------------------------------

    def _on_theme(self, *_: object) -> None:
        theme = get_theme(self._viewer.theme)
        text, ground = theme.text.as_hex(), theme.foreground.as_hex()
        self.setStyleSheet(stylesheet(theme))
        self._theme, self._icon, self._chosen = theme, theme.icon.as_hex(), CHOSEN[theme.type]
        self.light.set_theme(theme.type, self._icon)
        self.transport.strip.set_colors(text, ground, GOOD[theme.type])
        self.queue.set_colors(GOOD[theme.type], ground, self._icon)
        self.readouts.set_colors(text, ground)
        self._show_all()

    def _on_cohort(self, *_: object) -> None:
        session = self.session
        cohort = session.cohort
        self.pages.setCurrentIndex(0 if cohort is None else 1)
        recent = Memory.load().recent
        self.start.set_recent(recent)
        self.bar.set_recent(recent)
        if cohort is not None:
            self.bar.set_cohort(cohort.meta.name, cohort.location)
            self._on_keys({b.id: b.key for b in self.keys.bindings()})
            self.transport.strip.set_classes([c.color for c in cohort.meta.classes])
            self.readouts.set_colors(self._theme.text.as_hex(), self._theme.foreground.as_hex())
        if self.isVisible():
            self._bind_keys()
        self._on_clips_changed()
        self._show_all()

    def _on_keys(self, keys: dict[str, str]) -> None:
        for part in (self.transport, self.tools, self.options, self.saving, self.light, self.queue):
            part.set_keys(keys)
        cohort = self.session.cohort
        if cohort is not None:
            classes, anchors = cohort.meta.classes, cohort.meta.anchors
            self.palette_.set_classes(classes, {c.name: keys[f"class.{c.name}"] for c in classes})
            self.dial.set_anchors(
                anchors, {a.value: keys[f"confidence.{a.value}"] for a in anchors}
            )
            self._show_all()

    def _on_classes_wanted(self) -> None:
        self.desk.ask_classes(self.keys.taken(), self.styleSheet())

    def _on_key_asks(self, name: str) -> None:
        (self.saving.buttons | self.queue.buttons)[name].click()

    def _on_keys_page(self) -> None:
        KeysDialog(self.keys, self.main_window(), self.styleSheet()).open()

    def _on_clips_changed(self) -> None:
        cohort = self.session.cohort
        names = cohort.clips() if cohort else []
        self.queue.set_clips(names)
        for widget, on in ((self.queue, names), (self.no_clips, not names),
                           (self.import_, not names)):  # fmt: skip
            widget.setVisible(bool(on))

    def _on_clip(self, *_: object) -> None:
        if self.session.clip is not None and self.height() < LOW:
            self.clips_section.open(False)  # its header names the clip; painting needs the room
        self._show_all()

    def _show_all(self) -> None:
        session = self.session
        for section in self.work_sections:
            section.setVisible(session.clip is not None)
        self._on_rater()
        self._on_class()
        self.dial.set_value(session.confidence)
        self.tools.size.set_value(session.brush_size)
        self._on_tool()
        self._on_view()
        self._on_progress()
        self._on_overlays()
        self._on_playing(session.playing)
        self._on_save_state()
        self.light.setVisible(session.cohort is not None)

    def _on_rater(self, *_: object) -> None:
        adjudicator = self.session.adjudicator
        name = f"{adjudicator}, adjudicating" if adjudicator else Memory.load().reader
        self.bar.set_reader(name or self.session.rater)

    def _on_class(self, *_: object) -> None:
        session = self.session
        color = next((c.color for c in session.classes if c.name == session.class_name), "#888888")
        self.palette_.set_chosen(session.class_name)
        self.dial.bar.set_colors(color, self._theme.text.as_hex(), self._theme.foreground.as_hex())
        self.usage.set_colors(color, self._theme.secondary.as_hex())
        self._on_frame()
        self._say_accept()

    def _on_tool(self, *_: object) -> None:
        tool = self.session.view().tool
        self.tools.set_tool(tool)
        self.tools.set_icons(self._icon, self._chosen)
        self.tools_section.header.setText(f"With  ·  {self.tools.name_of(tool)}")

    def _on_view(self, *_: object) -> None:
        session = self.session
        self.opacity.set_value(round(100 * session.opacity))
        low = session.threshold <= 1
        self.threshold.set_value(session.threshold, "all" if low else f"{session.threshold} %")
        everything = frozenset(c.name for c in session.classes)
        self.palette_.set_hidden(everything - session.view().visible, self._icon)
        self.palette_.set_locked(session.locked, self._icon)
        self._on_tool()

    def _on_frame(self, *_: object) -> None:
        session = self.session
        if session.clip is None:
            return
        frame = session.view().frame
        now = session.status[frame] == Status.REVIEWED
        index = session.class_index()
        times = session.clip.meta.frame_times
        self.transport.set_place(frame, len(session.status), rate(times))
        self.transport.set_reviewed(bool(now.all()), bool(now[index]), session.classes[index].label)
        self.transport.set_icons(self._icon, self._chosen)

    def _on_playing(self, playing: bool, *_: object) -> None:
        self.transport.set_playing(playing)
        self.transport.set_icons(self._icon, self._chosen)

    def _on_progress(self) -> None:
        session = self.session
        if session.clip is None:
            return
        names = [c.name for c in session.classes]
        strokes = dict.fromkeys(names, 0)
        for stroke in painted(session.strokes):
            strokes[names[stroke.class_index]] += 1
        frames = dict(zip(names, session.marked.sum(axis=0).tolist(), strict=True))
        self.palette_.set_counts(frames, strokes)
        self.transport.strip.set_progress(session.status, session.marked)
        self.light.set_undo(session.can_undo, session.can_redo)
        self._on_frame()
        self._on_sight()

    def _on_sight(self, *_: object) -> None:
        if self.others.why_hidden != self.session.standing.why():
            self._on_overlays()

    def _on_overlays(self, *_: object) -> None:
        session = self.session
        if session.clip is None:
            return
        shown = [o.name for o in session.overlays]
        self.others.set_raters(session.others(), shown, self._icon, session.standing.why())
        self._say_accept()

    def _say_accept(self) -> None:
        session = self.session
        if session.clip is not None:
            spec = session.classes[session.class_index()]
            self.others.set_accept(
                f"Take what this reader marked as {spec.label} on this frame as mine, "
                f"at {session.confidence} %. Undo takes it back.",
                session.writable,
            )

    def _on_save_state(self, *_: object) -> None:
        session = self.session
        self.light.set_saying(say(session.save_state))
        self.light.set_undo(session.can_undo, session.can_redo)
        self.tools.set_writable(session.writable)
        self.transport.set_writable(session.writable)
        self._on_tool()

    def _on_message(self, message: str, *_: object) -> None:
        self.message.setText(message)
        self.message.setVisible(bool(message))
        if message:
            self._message_timer.start(1000 * MESSAGE_SECONDS)
        else:
            self.session.message = ""

    # ---- requests -------------------------------------------------------------------------

    def _reader_typed(self) -> str:
        return str(self.start.reader.text()) if self.session.cohort is None else ""

    def _on_busy(self, chore: Chore, words: str) -> None:
        self.work_line.follow(chore, words)

    def _on_clip_wanted(self, name: str) -> None:
        if not self.desk.open_clip(name):
            self.queue.show_now()

    def _on_class_wanted(self, name: str) -> None:
        session = self.session
        session.class_name = name
        session.hidden -= {name}  # who marks a class wants to see it

    def _on_shown_wanted(self, name: str, shown: bool) -> None:
        session = self.session
        session.hidden = session.hidden - {name} if shown else session.hidden | {name}
        session.marks_shown, session.solo = True, False

    def _on_solo_wanted(self, name: str) -> None:
        session = self.session
        session.solo = not (session.solo and name == session.class_name)
        self._on_class_wanted(name)
        self._on_view()

    def _on_lock_wanted(self, name: str, locked: bool) -> None:
        session = self.session
        session.locked = session.locked | {name} if locked else session.locked - {name}

    def _on_reviewed_wanted(self, reviewed: bool, class_name: str | None) -> None:
        self.session.mark_reviewed(class_name=class_name, reviewed=reviewed)
        self._on_frame()

    def _on_rater_wanted(self, name: str, shown: bool) -> None:
        if not shown:
            self.session.hide_rater(name)
            return
        try:
            self.session.show_rater(name)
        except StoreError as error:
            self.session.message = str(error.problems[0])
        except BlindedError as error:
            self.session.message = str(error)
            self._on_overlays()

    def _on_accept_wanted(self, name: str) -> None:
        session = self.session
        if session.accept(name, session.class_name, session.frame, session.confidence) is None:
            session.message = "Nothing to take here: this reader marked nothing new of this class."

    def _on_take_over_wanted(self) -> None:
        if not self.session.take_over():
            self.session.message = "It is still held there. Close the clip there, then try again."

    # ---- drag and drop --------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Accept a cohort's folder, or videos once a cohort is open."""
        if dropped_folder(event.mimeData()) or (self.session.cohort and event.mimeData().hasUrls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Open the cohort, or import what else is dropped."""
        folder = dropped_folder(event.mimeData())
        if folder and (one_of_ours(event.mimeData()) or folder.endswith((".zarr", ".zip"))):
            self.desk.open_place(folder, self._reader_typed())
        elif self.session.cohort is not None:
            self.desk.ask_import([u.toLocalFile() for u in event.mimeData().urls()])
        event.acceptProposedAction()
