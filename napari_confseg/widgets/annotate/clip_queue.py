"""The work list in the panel: four lists, words to find, ways to narrow, next and previous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.queue import (
    DIFFER_BELOW,
    Facet,
    QueueWish,
    Sort,
    Which,
    choices,
    natural,
)
from napari_confseg.annotate.words import QUALITY
from napari_confseg.widgets.annotate.clip_list import ClipList
from napari_confseg.widgets.annotate.list_reader import ListReader
from napari_confseg.widgets.parts.look import button, icon, label, with_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_confseg.annotate.session import Session

LONGEST: Final = 17
"""Letters of a clip's name that the section's heading has room for."""

_SOON: Final = 50
"""Milliseconds in which several changes make one new list."""

CHIPS: Final = {
    Which.ALL: ("All", "Every clip of the cohort"),
    Which.TO_DO: ("To do", "Clips with a frame that you have not reviewed in every class"),
    Which.MINE: ("Mine", "Clips that you have begun: marked, reviewed or described"),
    Which.DIFFER: (
        "Differ",
        f"Clips whose readers differ: soft Dice below {DIFFER_BELOW} in a class",
    ),
}
NOTHING: Final = {
    Which.ALL: "No clip.",
    Which.TO_DO: "Nothing left to do here.",
    Which.MINE: "You have begun no clip yet.",
    Which.DIFFER: "No clip is known whose readers differ.",
}
FACETS: Final = {Facet.ZONE: "Zone", Facet.QUALITY: "Quality", Facet.PATHOLOGY: "Pathology",
                 Facet.TAG: "Tag"}  # fmt: skip


def value_in_words(facet: Facet, value: str) -> str:
    """Return what a value of a facet is called."""
    if facet is Facet.QUALITY:
        return f"quality {value}: {QUALITY[int(value)]}"
    return value.replace("-", " ") if facet is Facet.PATHOLOGY else value


def shortened(name: str, longest: int) -> str:
    """Return `name` with its middle left out if it is longer than `longest` letters."""
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"


class ClipQueue(QWidget):  # type: ignore[misc]
    """The session's work list, and how it is asked for another.

    Attributes
    ----------
    wanted : Signal of str
        A clip is to be opened.
    step_wanted : Signal of int
        The next (1) or the previous (-1) clip is to be opened.
    titled : Signal of str
        What the section should be called.
    """

    wanted = Signal(str)
    step_wanted = Signal(int)
    titled = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.clips = ClipList()
        self.reader = ListReader(session, self)
        self._make()
        self._lay_out()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SOON)
        self._soon.timeout.connect(self.show_now)
        self._links = [
            (session.worklist.changed, self._on_changed),
            (session.events.clip, self.show_now),
            (session.events.rater, self._on_reader),
            (session.events.role, self._on_reader),
            (session.blinding_changed, self._on_reader),
        ]
        for signal, slot in self._links:
            signal.connect(slot)

    def _make(self) -> None:
        work = self._session.worklist
        self.find = QLineEdit()
        self.find.setPlaceholderText("Find clip, patient, tag, note")
        self.find.setClearButtonEnabled(True)
        self.find.textChanged.connect(lambda text: work.ask(text=text))
        self.find.returnPressed.connect(self._on_return)
        escape = QShortcut(QKeySequence("Esc"), self.find)
        escape.setContext(Qt.ShortcutContext.WidgetShortcut)
        escape.activated.connect(self._on_escape)
        self.narrow: QToolButton = button("Narrow", "By zone, quality, pathology or tag")
        self.narrow.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu = QMenu(self)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.narrow.setMenu(self.menu)
        self.previous: QToolButton = button("", "")
        self.previous.clicked.connect(lambda: self.step_wanted.emit(-1))
        self.next: QToolButton = button("", "")
        self.next.clicked.connect(lambda: self.step_wanted.emit(1))
        self.buttons = {"next-clip": self.next, "previous-clip": self.previous}
        self.set_keys({})
        self.chips: dict[Which, QToolButton] = {}
        for which, (words, tip) in CHIPS.items():
            chip = button(words, tip, checkable=True)
            chip.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            chip.clicked.connect(lambda _on=False, w=which: work.ask(which=w))
            self.chips[which] = chip
        self.narrowed = label(role="note")
        self.widen: QToolButton = button("✕", "Narrow no longer", flat=True)
        self.widen.clicked.connect(lambda: work.ask(facets=frozenset()))
        self.nothing = label(role="note")
        self.clear: QToolButton = button("Show all clips", "Drop words and filters")
        self.clear.clicked.connect(self._on_clear)
        self.clips.wanted.connect(self.wanted)
        self.clips.order_wanted.connect(self._on_order)

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
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for made in (row(self.find, self.narrow, self.previous, self.next),
                     row(*self.chips.values(), stretch=1), self._narrowed_row, self.clips,
                     self._nothing_row):  # fmt: skip
            layout.addWidget(made)

    def close_part(self) -> None:
        """Let go of the session."""
        self.reader.stop()
        self._soon.stop()
        for signal, slot in self._links:
            signal.disconnect(slot, missing_ok=True)
        self._links = []

    def set_clips(self, names: list[str], *, forget: bool = True) -> None:
        """List these clips, and find out how far they are."""
        self._session.worklist.set_clips(names, forget=forget)
        self._session.note_facts()
        self.show_now()
        self.reader.read()

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Say which keys do what the buttons do."""
        self.previous.setToolTip(with_key("Previous clip of this list", keys.get("previous-clip")))
        self.next.setToolTip(with_key("Next clip of this list", keys.get("next-clip")))

    def set_colors(self, done: str, ground: str, icons: str) -> None:
        """Draw bars in `done` on `ground`, and icons in their colour."""
        self.clips.set_colors(done, ground)
        self.previous.setIcon(icon("previous", icons))
        self.next.setIcon(icon("next", icons))

    # ---- what is shown --------------------------------------------------------------------

    def _on_changed(self, *_: object) -> None:
        if not self._soon.isActive():
            self._soon.start()

    def _on_reader(self, *_: object) -> None:
        """Somebody else reads, or may see more or less: all facts are others."""
        self.set_clips(list(self._session.worklist.facts))

    def show_now(self, *_: object) -> None:
        """Show the list as it is."""
        work, clip = self._session.worklist, self._session.clip
        current = clip.name if clip else None
        names, wish = work.names(current), work.wish
        self.clips.show_clips(names, work.facts, current)
        self.clips.set_order(wish.sort, wish.falling)
        for which, n in work.counts().items():
            self.chips[which].setText(f"{CHIPS[which][0]} {n}")
            self.chips[which].setChecked(which is wish.which)
        said = [value_in_words(*f) for f in sorted(wish.facets, key=lambda f: (FACETS[f[0]], f[1]))]
        self.narrowed.setText(f"Only {', '.join(said)}")
        self._narrowed_row.setVisible(bool(said))
        self.clips.setVisible(bool(names))
        self._nothing_row.setVisible(bool(work.facts) and not names)
        self.nothing.setText(self._why_nothing(wish))
        if self.find.text() != wish.text:
            self.find.setText(wish.text)
        place = f"({names.index(current) + 1} of {len(names)})" if current in names else ""
        name = shortened(current or "", LONGEST)
        self.titled.emit(f"Clips  ·  {name}  {place}" if place else "Clips")

    @staticmethod
    def _why_nothing(wish: QueueWish) -> str:
        if wish.narrows:
            return "No clip matches."
        return NOTHING[wish.which]

    def _fill_menu(self) -> None:
        work = self._session.worklist
        self.menu.clear()
        for facet, found in choices(work.facts.values()).items():
            submenu = self.menu.addMenu(FACETS[facet])
            submenu.setEnabled(bool(found))
            for value in sorted(found, key=natural):
                action = submenu.addAction(f"{value_in_words(facet, value)}  ({found[value]})")
                action.setCheckable(True)
                action.setChecked((facet, value) in work.wish.facets)
                action.triggered.connect(lambda on, f=(facet, value): self._on_facet(f, on))
        self.menu.addSeparator()
        self.menu.addAction("Read the list anew").triggered.connect(lambda: self.reader.read())

    # ---- requests -------------------------------------------------------------------------

    def _on_facet(self, facet: tuple[Facet, str], on: bool) -> None:
        facets = self._session.worklist.wish.facets
        self._session.worklist.ask(facets=facets | {facet} if on else facets - {facet})

    def _on_order(self, sort: Sort) -> None:
        wish = self._session.worklist.wish
        self._session.worklist.ask(sort=sort, falling=wish.sort is sort and not wish.falling)

    def _on_clear(self) -> None:
        self._session.worklist.ask(which=Which.ALL, text="", facets=frozenset())

    def _on_return(self) -> None:
        names = self._session.worklist.names()
        if names:
            self.wanted.emit(names[0])

    def _on_escape(self) -> None:
        self.find.clear()
        self.find.clearFocus()
