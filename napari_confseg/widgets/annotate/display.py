"""The session shown in the widgets of the Annotate panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_confseg.annotate.frames import rate
from napari_confseg.annotate.overlays import promise_in_words
from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.review_progress import painted
from napari_confseg.annotate.save_state import describe
from napari_confseg.store import Status
from napari_confseg.widgets.common.theme import CHOSEN

if TYPE_CHECKING:
    from napari_confseg.annotate.session import Session
    from napari_confseg.widgets.annotate.form import AnnotateForm


class SessionDisplay:
    """Shows each change of a session in a form; decides nothing and asks for nothing.

    Parameters
    ----------
    session : Session
        What is shown.
    form : AnnotateForm
        Where.
    """

    def __init__(self, session: Session, form: AnnotateForm) -> None:
        self._session = session
        self._form = form
        self._keys: dict[str, str] = {}

    def links(self) -> list[tuple[Any, Any]]:
        """Return which signal of the session is to call which method here."""
        session, events, form = self._session, self._session.events, self._form
        return [
            (events.clip, self._show_all),
            (events.rater, self._on_rater),
            (events.class_name, self._on_class),
            (events.confidence, form.dial.set_value),
            (events.tool, self._on_tool),
            (events.brush_size, self._on_size),
            (events.opacity, self.show_view),
            (events.threshold, self.show_view),
            (events.hidden, self.show_view),
            (events.marks_shown, self.show_view),
            (events.solo, self.show_view),
            (events.locked, self.show_view),
            (events.frame, self.show_frame),
            (events.playing, self._on_playing),
            (events.overlays, self.show_overlays),
            (events.bands, self.show_bands),
            (events.overlays_hidden, self.show_bands),
            (events.save_state, self._on_save_state),
            (session.clip_notes.changed, self._on_notes),
            (session.access.changed, self.show_overlays),
            (session.worklist.changed, self.show_clips),
            (session.editor.progress_changed, self._on_progress),
        ]

    def show_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        form = self._form
        text, ground = theme.text.as_hex(), theme.foreground.as_hex()
        self._theme, self._icon, self._chosen = theme, theme.icon.as_hex(), CHOSEN[theme.type]
        form.save_state.set_theme(theme.type, self._icon)
        form.conflict.set_theme(theme.type, self._icon)
        form.bar.set_icon_color(self._icon)
        form.transport.timeline.show_theme(theme)
        form.head.set_icon_color(self._icon)
        form.readouts.set_colors(text, ground)
        self._show_all()

    def show_cohort(self) -> None:
        """Show the cohort that is open, or the page to start from."""
        form = self._form
        cohort = self._session.cohort
        form.pages.setCurrentIndex(0 if cohort is None else 1)
        recent = Preferences.load().recent
        form.start.set_recent(recent)
        form.bar.set_recent(recent)
        if cohort is not None:
            form.bar.set_cohort(cohort.meta.name, cohort.location)
            form.readouts.set_colors(self._theme.text.as_hex(), self._theme.foreground.as_hex())
        self.show_clips()
        self._show_all()

    def show_keys(self, keys: dict[str, str]) -> None:
        """Name the keys, by the id of the action, wherever they are shown."""
        form = self._form
        self._keys = keys
        for part in (
            form.transport,
            form.tools,
            form.options,
            form.fill,
            form.accept,
            form.suggest,
            form.save_state,
            form.head,
            form.finished,
            form.bar,
        ):
            part.set_keys(keys)
        cohort = self._session.cohort
        if cohort is not None:
            classes, anchors = cohort.meta.classes, cohort.meta.anchors
            form.palette_.set_classes(classes, {c.name: keys[f"class.{c.name}"] for c in classes})
            form.dial.set_anchors(
                anchors, {a.value: keys[f"confidence.{a.value}"] for a in anchors}
            )
            self._show_all()

    def show_clips(self) -> None:
        """Show the cohort's clips, or the offer to import some."""
        form = self._form
        cohort = self._session.cohort
        empty = cohort is not None and not self._session.worklist.facts
        form.head.setVisible(not empty)
        form.no_clips.setVisible(empty)
        form.import_.setVisible(empty)

    def _show_all(self, *_: object) -> None:
        session, form = self._session, self._form
        for section in form.work_sections:
            section.setVisible(session.clip is not None)
        form.transport.setVisible(session.clip is not None)
        self._on_rater()
        self._on_class()
        form.dial.set_value(session.confidence)
        form.tools.size.set_value(session.brush_size)
        self._on_tool()
        self.show_view()
        self._on_progress()
        self.show_overlays()
        self._on_playing(session.playing)
        self._on_save_state()
        form.save_state.setVisible(session.cohort is not None)

    def _on_rater(self, *_: object) -> None:
        form = self._form
        adjudicator = self._session.adjudicator
        name = f"{adjudicator}, adjudicating" if adjudicator else Preferences.load().reader
        form.bar.set_reader(name or self._session.rater)

    def _on_class(self, *_: object) -> None:
        session, form = self._session, self._form
        color = next((c.color for c in session.classes if c.name == session.class_name), "#888888")
        form.palette_.set_chosen(session.class_name)
        form.dial.bar.set_colors(color, self._theme.text.as_hex(), self._theme.foreground.as_hex())
        form.usage.set_colors(color, self._theme.secondary.as_hex())
        self.show_frame()

    def _on_tool(self, *_: object) -> None:
        form = self._form
        tool = self._session.view().tool
        form.tools.set_tool(tool)
        form.tools.set_icons(self._icon, self._chosen)
        form.tools_section.header.setText(f"Tool  ·  {form.tools.name_of(tool)}")

    def _on_size(self, size: int, *_: object) -> None:
        self._form.tools.size.set_value(size)  # the size before comes along, and is no word

    def show_view(self, *_: object) -> None:
        """Show what is visible, and how."""
        session, form = self._session, self._form
        form.opacity.set_value(round(100 * session.opacity))
        low = session.threshold <= 1
        form.threshold.set_value(session.threshold, "all" if low else f"{session.threshold} %")
        everything = frozenset(c.name for c in session.classes)
        form.palette_.set_hidden(everything - session.view().visible, self._icon)
        form.palette_.set_locked(session.locked, self._icon)
        self._on_tool()

    def show_frame(self, *_: object) -> None:
        """Show which frame is on show, and whether it is reviewed."""
        session, form = self._session, self._form
        if session.clip is None:
            return
        frame = session.view().frame
        now = session.status[frame] == Status.REVIEWED
        index = session.class_index()
        times = session.clip.meta.frame_times
        form.transport.set_place(frame, len(session.status), rate(times))
        form.transport.set_reviewed(bool(now.all()), bool(now[index]), session.classes[index].label)
        form.transport.set_icons(self._icon, self._chosen)

    def _on_playing(self, playing: bool, *_: object) -> None:
        form = self._form
        form.transport.set_playing(playing)
        form.transport.set_icons(self._icon, self._chosen)

    def _on_progress(self) -> None:
        session, form = self._session, self._form
        if session.clip is None:
            return
        names = [c.name for c in session.classes]
        strokes = dict.fromkeys(names, 0)
        for stroke in painted(session.strokes):
            strokes[names[stroke.class_index]] += 1
        frames = dict(zip(names, session.marked.sum(axis=0).tolist(), strict=True))
        form.palette_.set_counts(frames, strokes)
        form.save_state.set_undo(session.editor.can_undo, session.editor.can_redo)
        self.show_frame()
        self._on_notes()

    def _on_notes(self, *_: object) -> None:
        form = self._form
        if form.others.why_hidden != self._session.access.visibility().why():
            self.show_overlays()

    def show_overlays(self, *_: object) -> None:
        """Show who else marked the clip, and who of them is shown."""
        session, form = self._session, self._form
        if session.clip is None:
            return
        shown = [o.name for o in session.overlays]
        others = session.access.others(session.clip, session.rater)
        why_hidden = session.access.visibility().why()
        form.others.set_raters(others, shown, self._icon, why_hidden)
        form.accept.set_sources(others)
        self.show_bands()

    def show_bands(self, *_: object) -> None:
        """Show whether guaranteed contours are drawn, and what they promise."""
        session = self._session
        promises = [
            promise_in_words(o.label, o.guarantee, session.classes)
            for o in session.overlays
            if o.guarantee is not None and o.name not in session.overlays_hidden
        ]
        self._form.others.set_bands(session.bands, promises, self._keys.get("bands", ""))

    def _on_save_state(self, *_: object) -> None:
        session, form = self._session, self._form
        form.save_state.set_description(describe(session.save_state))
        form.save_state.set_undo(session.editor.can_undo, session.editor.can_redo)
        form.tools.set_read_only(session.editor.why_read_only)
        form.transport.set_read_only(session.editor.why_read_only)
        self._on_tool()
