"""The work list in a dock of its own: the clips of a study folder, filters, order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QBoxLayout,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.confidence_words import QUALITY
from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.worklist import (
    DIFFER_BELOW,
    Facet,
    Sort,
    Which,
    WorkListSettings,
    choices,
    natural,
)
from napari_confseg.widgets.annotate.cohort_actions import CohortActions
from napari_confseg.widgets.annotate.worklist_table import ClipTable
from napari_confseg.widgets.annotate.zone_map import open_zone_map
from napari_confseg.widgets.clip_reading import RowReader
from napari_confseg.widgets.common.buttons import button, label, with_key
from napari_confseg.widgets.common.theme import BAD, GOOD
from napari_confseg.widgets.panel import Panel
from napari_confseg.widgets.shared import list_reader_for, work_list_for

if TYPE_CHECKING:
    import napari
    from qtpy.QtGui import QResizeEvent, QShowEvent

_SOON: Final = 50
"""Milliseconds in which several changes make one new list."""

_KEEP: Final = 500
"""Milliseconds after the last change until filter, order and widths are written down."""

_WIDE: Final = 860
"""Pixels from which on field and chips have room in one line."""

CHIPS: Final = {
    Which.ALL: ("All", "Every clip of the study folder"),
    Which.TO_DO: ("To do", "Clips with a frame that you have not reviewed in every class"),
    Which.BEGUN: ("Begun", "Clips that you have begun and not finished"),
    Which.DONE: ("Done", "Clips of which you have reviewed every frame in every class"),
    Which.PROBLEM: ("Problem", "Clips that can't be read"),
    Which.DIFFER: (
        "Differ",
        f"Clips whose readers differ: soft Dice below {DIFFER_BELOW} in a class",
    ),
}
NOTHING: Final = {
    Which.ALL: "No clip.",
    Which.TO_DO: "Nothing left to do here.",
    Which.BEGUN: "No clip is begun and not finished.",
    Which.DONE: "You have finished no clip yet.",
    Which.PROBLEM: "No clip has a problem.",
    Which.DIFFER: "No clip is known whose readers differ.",
}
FACETS: Final = {
    Facet.ZONE: "Zone",
    Facet.QUALITY: "Quality",
    Facet.PATHOLOGY: "Pathology",
    Facet.TAG: "Tag",
}


def value_in_words(facet: Facet, value: str) -> str:
    """Return what a value of a facet is called."""
    if facet is Facet.QUALITY:
        return f"quality {value}: {QUALITY[int(value)]}"
    return value.replace("-", " ") if facet is Facet.PATHOLOGY else value


class WorkListPanel(Panel):
    """The clips of the open study folder as the reader's work: find one, open it, go on.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose session this is.
    """

    PLACE_OF_ITS_OWN = True

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.cohort_actions = CohortActions(self.session, self)
        self.reader = list_reader_for(self._viewer)
        self.rows = RowReader(self.session, self.reader, self)
        self.clips = ClipTable(self.rows)
        self._dock = work_list_for(self._viewer)
        self._dock.prefer_bottom()
        self._make()
        self._lay_out()
        self._soon = self._timer(_SOON, self.show_now)
        self._keeping = self._timer(_KEEP, self._keep)
        work = self.session.worklist
        self.listen(
            (work.changed, self._on_changed),
            (self.session.events.clip, self.show_now),
            (self.session.events.cohort, self._on_cohort),
        )
        self.clips.set_widths(Preferences.load().work_list.widths)
        self.clips.widths_changed.connect(self._keeping.start)
        self.show_now()

    def _timer(self, milliseconds: int, call: Any) -> QTimer:
        made = QTimer(self)
        made.setSingleShot(True)
        made.setInterval(milliseconds)
        made.timeout.connect(call)
        return made

    def _make(self) -> None:
        self.find = QLineEdit()
        self.find.setPlaceholderText("Find patient, zone, clip, tag, note")
        self.find.setClearButtonEnabled(True)
        self.find.setMinimumWidth(150)
        self.find.textChanged.connect(lambda text: self._change(text=text))
        self.find.returnPressed.connect(self._on_return)
        for key, call in (("Esc", self._on_escape), ("Down", self._on_down)):
            shortcut = QShortcut(QKeySequence(key), self.find)
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
            shortcut.activated.connect(call)
        self.narrow: QToolButton = button("Narrow", "By zone, quality, pathology or tag")
        self.narrow.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu = QMenu(self)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.narrow.setMenu(self.menu)
        self.chips: dict[Which, QToolButton] = {}
        for which, (words, tip) in CHIPS.items():
            chip = button(words, tip, checkable=True)
            chip.clicked.connect(lambda _on=False, w=which: self._change(which=w))
            self.chips[which] = chip
        self.to_do: QToolButton = button(
            "Next to do", with_key("Open the next clip of this list with work left", "")
        )
        self.to_do.clicked.connect(lambda: self.cohort_actions.open_to_do())
        self.zones: QToolButton = button(
            "Zone map", "The chest of this clip's patient: what was found where, and its change"
        )
        self.zones.clicked.connect(self._on_zones)
        self.narrowed = label(role="note")
        self.widen: QToolButton = button("✕", "Narrow no longer", flat=True)
        self.widen.clicked.connect(lambda: self._change(facets=frozenset()))
        self.nothing = label(role="note")
        self.clear: QToolButton = button("Show all clips", "Drop words and filters")
        self.clear.clicked.connect(
            lambda: self._change(which=Which.ALL, text="", facets=frozenset())
        )
        self.clips.wanted.connect(self._on_wanted)
        self.clips.order_wanted.connect(self._on_order)
        self.clips.in_view_changed.connect(self._on_in_view)

    def _lay_out(self) -> None:
        def row(*widgets: QWidget, stretch: int = 0) -> QWidget:
            made = QWidget()
            inside = QHBoxLayout(made)
            inside.setContentsMargins(0, 0, 0, 0)
            inside.setSpacing(4)
            for widget in widgets:
                inside.addWidget(widget, 1 if widget is widgets[0] or stretch else 0)
            return made

        self._narrowed_row = row(self.narrowed, self.widen)
        self._nothing_row = row(self.nothing, self.clear)
        for chip in self.chips.values():
            chip.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._bar = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self._bar.setSpacing(4)
        self._bar.addWidget(row(self.find, self.narrow, self.to_do, self.zones), 2)
        self._bar.addWidget(row(*self.chips.values(), stretch=1), 3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(4)
        layout.addLayout(self._bar)
        layout.addWidget(self._narrowed_row)
        layout.addWidget(self.clips, 1)
        layout.addWidget(self._nothing_row)

    def show_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        super().show_theme(theme)
        ground = theme.foreground.as_hex()
        self.clips.set_colors(GOOD[theme.type], BAD[theme.type], ground)

    def showEvent(self, event: QShowEvent) -> None:
        """Take the place in the window that the list had last."""
        super().showEvent(event)
        self._dock.adopt(self)
        self.clips.setFocus()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put field and chips side by side where there is room."""
        super().resizeEvent(event)
        wide = self.width() >= _WIDE
        self._bar.setDirection(
            QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom
        )

    def let_go(self) -> None:
        """Write down how the list was left, and read nothing any more."""
        self._soon.stop()
        if self._keeping.isActive():
            self._keep()
        self._keeping.stop()
        self._dock.leave()
        self.rows.close_part()

    # ---- what is shown --------------------------------------------------------------------

    def _on_changed(self, *_: object) -> None:
        if not self._soon.isActive():
            self._soon.start()

    def _on_cohort(self, *_: object) -> None:
        self.show_now()
        self.clips.tell_soon()  # another folder may have clips of the same names

    def show_now(self, *_: object) -> None:
        """Show the list as it is."""
        session, work = self.session, self.session.worklist
        current = session.clip.name if session.clip else None
        names, settings = work.names(current), work.settings
        self.clips.show_clips(names, work.facts, current)
        self.clips.set_order(settings.sort, settings.falling)
        for which, n in work.counts().items():
            self.chips[which].setText(f"{CHIPS[which][0]} {n:,}")
            self.chips[which].setChecked(which is settings.which)
        facets = sorted(settings.facets, key=lambda f: (FACETS[f[0]], f[1]))
        self.narrowed.setText(f"Only {', '.join(value_in_words(*f) for f in facets)}")
        self._narrowed_row.setVisible(bool(facets))
        self._nothing_row.setVisible(not names)
        self.nothing.setText(self._why_nothing(settings))
        self.clear.setVisible(bool(work.facts))
        self.to_do.setEnabled(bool(names))
        self.zones.setEnabled(bool(work.facts))
        if self.find.text() != settings.text:
            with QSignalBlocker(self.find):
                self.find.setText(settings.text)

    def _why_nothing(self, settings: WorkListSettings) -> str:
        if self.session.cohort is None:
            return "Open a study folder in Annotate: its clips are listed here."
        if not self.session.worklist.facts:
            return "This study folder has no clips yet. Import some in Annotate."
        return "No clip matches." if settings.narrows else NOTHING[settings.which]

    def _on_in_view(self, names: tuple[str, ...]) -> None:
        self.reader.put_first(names)
        self.rows.look(names)

    def _fill_menu(self) -> None:
        work = self.session.worklist
        self.menu.clear()
        for facet, found in choices(work.facts.values()).items():
            submenu = self.menu.addMenu(FACETS[facet])
            submenu.setEnabled(bool(found))
            for value in sorted(found, key=natural):
                action = submenu.addAction(f"{value_in_words(facet, value)}  ({found[value]})")
                action.setCheckable(True)
                action.setChecked((facet, value) in work.settings.facets)
                action.triggered.connect(lambda on, f=(facet, value): self._on_facet(f, on))
        self.menu.addSeparator()
        self.menu.addAction("Read the list anew").triggered.connect(lambda: self.reader.read())

    # ---- requests -------------------------------------------------------------------------

    def _change(self, **changes: object) -> None:
        self.session.worklist.change(**changes)
        self._keeping.start()

    def _on_wanted(self, name: str) -> None:
        if not self.cohort_actions.open_clip(name):
            self.show_now()

    def _on_zones(self) -> None:
        facts = self.session.worklist.facts.get(self.clips.chosen() or "")
        open_zone_map(self._viewer, facts.patient if facts else "")

    def _on_facet(self, facet: tuple[Facet, str], on: bool) -> None:
        facets = self.session.worklist.settings.facets
        self._change(facets=facets | {facet} if on else facets - {facet})

    def _on_order(self, sort: Sort) -> None:
        settings = self.session.worklist.settings
        self._change(sort=sort, falling=settings.sort is sort and not settings.falling)

    def _on_return(self) -> None:
        names = self.session.worklist.names()
        if names:
            self._on_wanted(names[0])

    def _on_escape(self) -> None:
        self.find.clear()
        self.clips.setFocus()

    def _on_down(self) -> None:
        self.clips.setFocus()

    def _keep(self) -> None:
        """Write down order, filter and widths, for this person on this computer."""
        preferences, cohort = Preferences.load(), self.session.cohort
        kept = preferences.work_list
        if cohort is not None:
            settings = self.session.worklist.settings
            kept = kept.with_settings(cohort.meta.cohort_id, settings)
        kept = kept.model_copy(update={"widths": {**kept.widths, **self.clips.widths()}})
        if kept != preferences.work_list:
            preferences.model_copy(update={"work_list": kept}).save()
