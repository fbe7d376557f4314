"""The Annotate panel's widgets showing a session: what each event of it means for them.

Nothing is decided here and nothing asked for: the panel does that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari_confseg.annotate.frames import rate
from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.review_progress import painted
from napari_confseg.annotate.save_state import say
from napari_confseg.store import Status
from napari_confseg.widgets.annotate.clip_notes import ClipNotesForm
from napari_confseg.widgets.annotate.confidence import UsagePart
from napari_confseg.widgets.annotate.fill_and_copy import FillAndCopy
from napari_confseg.widgets.annotate.form import AnnotateForm
from napari_confseg.widgets.annotate.notices import Finished, ImportNotice
from napari_confseg.widgets.annotate.readouts import ReadoutsPart
from napari_confseg.widgets.annotate.sector import SectorPart
from napari_confseg.widgets.annotate.tools import StyleRow, ToolOptions
from napari_confseg.widgets.annotate.worklist import ClipQueue
from napari_confseg.widgets.common.theme import CHOSEN, GOOD

if TYPE_CHECKING:
    import napari

LOW: Final = 760
"""Pixels of height beneath which the list of clips folds once a clip is open."""


class ShownSession(AnnotateForm):
    """The form, with the parts that follow the session by themselves put into its sections.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose session is shown, and where the sector's corners are dragged.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        session = self.session
        self.queue, self.about = ClipQueue(session), ClipNotesForm(session)
        self.usage, self.options = UsagePart(session), ToolOptions(session)
        self.saving, self.style_row = FillAndCopy(session), StyleRow(session)
        self.sector, self.readouts = SectorPart(session, napari_viewer), ReadoutsPart(session)
        self.finished = Finished(session)
        self.sheet = ImportNotice(session)
        for section, part in (
            (self.clips_section, self.queue),
            (self.sure_section, self.usage),
            (self.tools_section, self.options),
            (self.saving_section, self.saving),
            (self.view_section, self.style_row),
            (self.about_section, self.about),
            (self.sector_section, self.sector),
            (self.readouts_section, self.readouts),
        ):
            section.add(part)
        self.foot.insertWidget(0, self.finished)
        self.foot.insertWidget(0, self.sheet)

    def close_parts(self) -> None:
        """Let the parts follow the session no longer."""
        for part in (
            self.queue,
            self.about,
            self.usage,
            self.options,
            self.saving,
            self.style_row,
            self.sector,
            self.readouts,
            self.finished,
            self.sheet,
        ):
            part.close_part()

    def show_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        text, ground = theme.text.as_hex(), theme.foreground.as_hex()
        super().show_theme(theme)
        self._theme, self._icon, self._chosen = theme, theme.icon.as_hex(), CHOSEN[theme.type]
        self.light.set_theme(theme.type, self._icon)
        self.transport.strip.set_colors(text, ground, GOOD[theme.type])
        self.queue.set_colors(GOOD[theme.type], ground, self._icon)
        self.readouts.set_colors(text, ground)
        self._show_all()

    def show_cohort(self) -> None:
        """Show the cohort that is open, or the page to start from."""
        cohort = self.session.cohort
        self.pages.setCurrentIndex(0 if cohort is None else 1)
        recent = Preferences.load().recent
        self.start.set_recent(recent)
        self.bar.set_recent(recent)
        if cohort is not None:
            self.bar.set_cohort(cohort.meta.name, cohort.location)
            self.transport.strip.set_classes([c.color for c in cohort.meta.classes])
            self.readouts.set_colors(self._theme.text.as_hex(), self._theme.foreground.as_hex())
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

    def _on_clips_changed(self) -> None:
        cohort = self.session.cohort
        names = cohort.clips() if cohort else []
        self.queue.set_clips(names)
        for widget, on in (
            (self.queue, names),
            (self.no_clips, not names),
            (self.import_, not names),
        ):
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
        name = f"{adjudicator}, adjudicating" if adjudicator else Preferences.load().reader
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
