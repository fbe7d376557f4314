"""The Annotate panel: choose a clip, mark findings with a confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout

from napari_confseg.annotate.access import BlindedError
from napari_confseg.annotate.preferences import Preferences, account_name
from napari_confseg.annotate.view import Tool
from napari_confseg.store import StoreError
from napari_confseg.widgets.annotate.activity import Activity
from napari_confseg.widgets.annotate.cohort_actions import CohortActions
from napari_confseg.widgets.annotate.display import SessionDisplay
from napari_confseg.widgets.annotate.form import AnnotateForm
from napari_confseg.widgets.annotate.m_mode import MModeDock
from napari_confseg.widgets.annotate.pen import Pen
from napari_confseg.widgets.annotate.roles import Roles
from napari_confseg.widgets.annotate.shortcuts import ShortcutManager
from napari_confseg.widgets.annotate.shortcuts_dialog import ShortcutsDialog
from napari_confseg.widgets.annotate.start_page import dropped_folder
from napari_confseg.widgets.annotate.worklist import WorkListPanel
from napari_confseg.widgets.layers.player import Player
from napari_confseg.widgets.panel import Panel
from napari_confseg.widgets.readers import DropCatcher, one_of_ours
from napari_confseg.widgets.shared import (
    close_with,
    follower_for,
    layers_for,
    list_reader_for,
    reading_for,
    work_list_for,
)

if TYPE_CHECKING:
    import napari
    from qtpy.QtGui import QDragEnterEvent, QDropEvent, QShowEvent

    from napari_confseg.widgets.common.jobs import BackgroundJob

MESSAGE_SECONDS: Final = 12


class AnnotatePanel(Panel):
    """Mark what is seen on a clip, with a confidence, and see that it is saved.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose session this is.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.setAcceptDrops(True)
        self.form = AnnotateForm(self.session, napari_viewer)
        self.display = SessionDisplay(self.session, self.form)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.form)
        self.cohort_actions = CohortActions(self.session, self)
        self.keys = ShortcutManager(self.session, self)
        self.player = Player(self.session, self)
        self.drops = DropCatcher(
            self,
            lambda p: self.cohort_actions.open_place(p, self._reader_typed()),
            lambda paths: self.cohort_actions.take_videos(paths, self._reader_typed()),
        )
        self.reading = reading_for(self._viewer)
        self.follower = follower_for(self._viewer)
        self.reader, self.work_list = list_reader_for(self._viewer), work_list_for(self._viewer)
        self.roles = Roles(self.session, self.form.bar.menu, self)
        self.activity = Activity(self.session, self._viewer, self)
        self.m_mode = MModeDock(self.session, self._viewer, self)
        self.pen = Pen(self.session, self._viewer, self.form.bar.menu, self)
        self._message_timer = QTimer(self)
        self._message_timer.setSingleShot(True)
        self._message_timer.timeout.connect(lambda: self._on_message(""))
        self._wire_widgets()
        self.listen(
            (self.session.events.cohort, self._on_cohort),
            (self.session.events.message, self._on_message),
            (self.session.events.clip, self._on_clip),
            (self.reading.changed, self._on_reading),
            (self.work_list.changed, self.form.head.set_list_shown),
            (self.follower.clips_changed, self.reader.read),
            (self.follower.raters_changed, self.display.show_overlays),
            (self.follower.reach_changed, self._on_reach),
            *self.display.links(),
        )
        self.form.bar.reading.setChecked(self.reading.on)
        self.form.head.set_list_shown(self.work_list.shown)
        self._on_cohort()

    # ---- what is connected ----------------------------------------------------------------

    def _wire_widgets(self) -> None:
        session, form, cohort_actions = self.session, self.form, self.cohort_actions
        form.start.reader.setText(Preferences.load().reader or account_name())
        for page in (form.start, form.bar):
            page.open_wanted.connect(lambda: cohort_actions.ask_open(self._reader_typed()))
            page.zip_wanted.connect(lambda: cohort_actions.ask_open_zip(self._reader_typed()))
            page.create_wanted.connect(lambda: cohort_actions.ask_new(self._reader_typed()))
            page.sample_wanted.connect(lambda: cohort_actions.make_sample(self._reader_typed()))
            page.recent_wanted.connect(lambda at: cohort_actions.open(at, self._reader_typed()))
        form.bar.import_wanted.connect(cohort_actions.ask_import)
        form.bar.close_wanted.connect(cohort_actions.close_cohort)
        form.bar.reader_wanted.connect(cohort_actions.ask_reader)
        form.bar.classes_wanted.connect(self._on_classes_wanted)
        form.import_.clicked.connect(lambda: cohort_actions.ask_import())
        form.head.step_wanted.connect(cohort_actions.step)
        form.head.to_do_wanted.connect(cohort_actions.open_to_do)
        form.head.list_wanted.connect(self._on_list_wanted)
        form.notes.titled.connect(form.notes_section.header.setText)
        form.sector.titled.connect(form.sector_section.header.setText)
        form.finished.wanted.connect(cohort_actions.open_to_do)
        form.palette_.chosen.connect(self._on_class_wanted)
        form.palette_.shown_wanted.connect(self._on_shown_wanted)
        form.dial.wanted.connect(lambda v: setattr(session, "confidence", v))
        form.palette_.lock_wanted.connect(self._on_lock_wanted)
        form.palette_.solo_wanted.connect(self._on_solo_wanted)
        form.tools.wanted.connect(lambda tool: session.toolkit.marker.take(Tool(tool)))
        form.tools.size_wanted.connect(lambda v: setattr(session, "brush_size", v))
        form.opacity.wanted.connect(lambda v: setattr(session, "opacity", v / 100))
        form.threshold.wanted.connect(lambda v: setattr(session, "threshold", v))
        form.transport.frame_wanted.connect(lambda t: setattr(session, "frame", t))
        form.transport.play_wanted.connect(lambda on: setattr(session, "playing", on))
        form.transport.open_frame_wanted.connect(session.progress.next_unreviewed)
        form.transport.reviewed_wanted.connect(lambda on: self._on_reviewed_wanted(on, None))
        form.transport.class_reviewed_wanted.connect(
            lambda on: self._on_reviewed_wanted(on, session.class_name)
        )
        form.transport.on_wanted.connect(session.progress.review_and_go_on)
        form.transport.timeline.range_wanted.connect(session.progress.review_range)
        form.bar.reading_wanted.connect(self.reading.toggle)
        form.others.shown_wanted.connect(self._on_rater_wanted)
        form.others.bands_wanted.connect(lambda on: setattr(session, "bands", on))
        form.others.sight_wanted.connect(self.roles.ask_unblind)
        form.save_state.undo_wanted.connect(session.undo)
        form.save_state.redo_wanted.connect(session.redo)
        form.save_state.take_over_wanted.connect(self._on_take_over_wanted)
        self.keys.changed.connect(self.display.show_keys)
        for asked in (self.keys.page_wanted, form.bar.keys_wanted):
            asked.connect(self._on_keys_page)
        self.keys.work_wanted.connect(lambda name: self._on_key_asks(name))
        for worker in (
            cohort_actions,
            form.fill,
            form.accept,
            form.sector,
            form.sheet,
            form.conflict,
        ):
            worker.busy.connect(self._on_busy)
        cohort_actions.clips_changed.connect(lambda: self.reader.read(forget=True))
        cohort_actions.imported.connect(form.sheet.offer)

    def show_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        super().show_theme(theme)
        self.display.show_theme(theme)
        self.m_mode.show_theme(theme)

    def showEvent(self, event: QShowEvent) -> None:
        """Bind the keys to the window we are docked in."""
        super().showEvent(event)
        self._bind_keys()

    def let_go(self) -> None:
        """Free the keys, stop playing; the clip stays open in the viewer."""
        self.keys.close_part()
        self.player.close()
        self.activity.close_part()
        self.pen.close_part()
        self.m_mode.close_part()
        self.form.close_parts()

    def _bind_keys(self) -> None:
        window = self.main_window()
        close_with(window, self.session)
        self.drops.watch(window)
        self.keys.bind(window)

    # ---- what changes more than the form --------------------------------------------------

    def _on_cohort(self, *_: object) -> None:
        if self.session.cohort is not None:
            self.display.show_keys({b.id: b.key for b in self.keys.bindings()})
        if self.isVisible():
            self._bind_keys()
        self.display.show_cohort()

    def _on_clip(self, *_: object) -> None:
        if self.session.clip is not None:
            self.reading.restore()

    def _on_reach(self, in_reach: bool) -> None:
        self.form.out_of_reach.setVisible(not in_reach)
        if in_reach:
            layers_for(self._viewer).read_frames_anew()  # some may have been read as black

    def _on_reading(self, on: bool) -> None:
        self.form.bar.reading.setChecked(on)

    def _on_message(self, message: str, *_: object) -> None:
        self.form.message.setText(message)
        self.form.message.setVisible(bool(message))
        if message:
            self._message_timer.start(1000 * MESSAGE_SECONDS)
        else:
            self.session.message = ""

    # ---- requests -------------------------------------------------------------------------

    def _reader_typed(self) -> str:
        return str(self.form.start.reader.text()) if self.session.cohort is None else ""

    def _on_classes_wanted(self) -> None:
        self.cohort_actions.ask_classes(self.keys.taken(), self.styleSheet())

    def _on_key_asks(self, name: str) -> None:
        zooms = self.form.transport.timeline.zooms
        if name in zooms:
            zooms[name]()
            return
        buttons = self.form.fill.buttons | self.form.head.buttons
        buttons.get(name, self.form.bar.reading).click()

    def _on_keys_page(self) -> None:
        ShortcutsDialog(self.keys, self.main_window(), self.styleSheet()).open()

    def _on_busy(self, job: BackgroundJob, words: str) -> None:
        self.form.progress.follow(job, words)

    def _on_list_wanted(self) -> None:
        self.work_list.toggle(lambda: WorkListPanel(self._viewer))
        self.form.head.set_list_shown(self.work_list.shown)

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
        self.display.show_view()

    def _on_lock_wanted(self, name: str, locked: bool) -> None:
        session = self.session
        session.locked = session.locked | {name} if locked else session.locked - {name}

    def _on_reviewed_wanted(self, reviewed: bool, class_name: str | None) -> None:
        self.session.progress.mark_reviewed(class_name=class_name, reviewed=reviewed)
        self.display.show_frame()

    def _on_rater_wanted(self, name: str, shown: bool) -> None:
        if not shown:
            self.session.others.hide(name)
            return
        try:
            self.session.others.show(name)
        except StoreError as error:
            self.session.message = str(error.problems[0])
        except BlindedError as error:
            self.session.message = str(error)
            self.display.show_overlays()

    def _on_take_over_wanted(self) -> None:
        try:
            done = self.session.handover.take_over()
        except StoreError as error:
            self.session.message = str(error.problems[0])
            return
        if not done:
            editor = self.session.editor
            held = editor.save_state is not None and editor.save_state.holder is not None
            self.session.message = (
                "It is still held there. Close the clip there, then try again."
                if held
                else editor.why_read_only
            )

    # ---- drag and drop --------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept a cohort's folder, or what can be imported."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open the cohort, or import what else is dropped."""
        folder = dropped_folder(event.mimeData())
        if folder and (one_of_ours(event.mimeData()) or folder.endswith((".zarr", ".zip"))):
            self.cohort_actions.open_place(folder, self._reader_typed())
        else:
            paths = [u.toLocalFile() for u in event.mimeData().urls()]
            self.cohort_actions.take_videos(paths, self._reader_typed())
        event.acceptProposedAction()
