"""The section Clips: the work list, filters, order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QRectF, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QKeySequence, QPainter, QShortcut
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.confidence_words import QUALITY
from napari_confseg.annotate.links import links_of
from napari_confseg.annotate.worklist import (
    DIFFER_BELOW,
    ClipFacts,
    Facet,
    Sort,
    Which,
    WorkListSettings,
    choices,
    natural,
)
from napari_confseg.widgets.annotate.worklist_reader import ListReader
from napari_confseg.widgets.common.buttons import button, icon, label, with_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_confseg.annotate.session import Session


_SHARE: Final = Qt.ItemDataRole.UserRole
_ROWS: Final = 6
NAME, REVIEWED, MINUTES, ALIKE = range(4)

_HEADERS: Final = (
    ("Clip", "Click to order by name"),
    ("Reviewed", "Share of frames and classes that you have reviewed; click to order by it"),
    ("min", "Minutes that you were active on the clip; idle time does not count"),
    ("Alike", f"Soft Dice of its readers where they differ most; low: below {DIFFER_BELOW}"),
)
SORTS: Final = (Sort.NAME, Sort.REVIEWED, Sort.MINUTES, Sort.ALIKE)


def minutes(seconds: float) -> str:
    """Return seconds as minutes in as few characters as a narrow column asks for."""
    if not seconds:
        return ""
    return f"{seconds / 60:.1f}" if seconds < 600 else f"{seconds / 60:.0f}"


def tip(f: ClipFacts) -> str:
    """Return all that the list knows of a clip."""
    if f.trouble:
        return f"{f.clip} can't be read:\n{f.trouble}"
    made = f"{f.strokes} stroke{'s' * (f.strokes != 1)} of yours" if f.strokes else ""
    lines = [f.clip, f"patient {f.patient}" if f.patient else "", made]
    parts = [f.zone, QUALITY.get(f.quality, ""), *f.pathology, *f.tags]
    return "\n".join(line for line in (*lines, ", ".join(filter(None, parts)), f.note) if line)


class ClipModel(QAbstractTableModel):
    """Facts as a table, in the order given."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self.names: tuple[str, ...] = ()
        self._facts: Mapping[str, ClipFacts] = {}

    def show(self, names: Sequence[str], facts: Mapping[str, ClipFacts]) -> bool:
        """Show these clips; return whether the rows are others than before."""
        other = tuple(names) != self.names
        self._facts = facts
        if other:
            self.beginResetModel()
            self.names = tuple(names)
            self.endResetModel()
        elif names:
            self.dataChanged.emit(self.index(0, 0), self.index(len(names) - 1, ALIKE))
        return other

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many clips are listed."""
        return 0 if parent is not None and parent.isValid() else len(self.names)

    def columnCount(self, _parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return len(_HEADERS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return a column's heading, or what it means."""
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return _HEADERS[section][0]
            if role == Qt.ItemDataRole.ToolTipRole:
                return _HEADERS[section][1]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        facts = self._facts.get(self.names[index.row()])
        if facts is None:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(facts, index.column())
        if role == Qt.ItemDataRole.ToolTipRole:
            return tip(facts)
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() != NAME:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == _SHARE and index.column() == REVIEWED and facts.patient:
            return facts.reviewed
        return None

    @staticmethod
    def text(f: ClipFacts, column: int) -> str:
        """Return the text of a cell."""
        if column == NAME:
            return f.clip
        if column == REVIEWED:
            if f.trouble:
                return "can't be read"
            return (
                f"{int(100 * f.reviewed)} %" if f.patient else ""
            )  # 100 % when all is, not before
        if column == MINUTES:
            return minutes(f.seconds)
        return "" if f.alike is None else f"{f.alike:.2f}"


class ShareBar(QStyledItemDelegate):
    """Draws a share as a bar with its percents."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self.done, self.ground = QColor("#5fd38d"), QColor("#414851")

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Draw one cell."""
        share = index.data(_SHARE)
        super().paint(painter, option, index)
        if share is None:
            return
        room = QRectF(option.rect).adjusted(2, 0, -44, 0)
        bar = QRectF(room.left(), room.center().y() - 3, room.width(), 6)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.ground)
        painter.drawRoundedRect(bar, 3, 3)
        if share > 0:
            painter.setBrush(self.done)
            bar.setWidth(max(bar.width() * share, 6.0))
            painter.drawRoundedRect(bar, 3, 3)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """Return a comfortable row's height."""
        size = super().sizeHint(option, index)
        return QSize(size.width(), max(size.height(), 21))


class ClipList(QTreeView):
    """One row a clip; click one to open it, a heading to order by it."""

    wanted = Signal(str)
    order_wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.rows = ClipModel(self)
        self.setModel(self.rows)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)  # or Qt measures each of 2,000 rows
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionsMovable(False)
        header.setSectionsClickable(True)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        for column, width in ((REVIEWED, 86), (MINUTES, 38), (ALIKE, 42)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            header.resizeSection(column, width)
        header.sectionClicked.connect(lambda column: self.order_wanted.emit(SORTS[column]))
        self.bars = ShareBar(self)
        self.setItemDelegateForColumn(REVIEWED, self.bars)
        self._showing = False
        self.selectionModel().currentChanged.connect(self._on_current)

    def show_clips(
        self, names: Sequence[str], facts: Mapping[str, ClipFacts], current: str | None
    ) -> None:
        """Show these clips in this order, the open one chosen."""
        self._showing = True
        at = self.verticalScrollBar().value()
        if self.rows.show(names, facts):
            self.verticalScrollBar().setValue(at)
        index = self.rows.index(names.index(current), NAME) if current in names else QModelIndex()
        if index != self.currentIndex():
            self.setCurrentIndex(index)
        self._showing = False
        self._set_height(len(names))
        self.setColumnHidden(ALIKE, all(f.alike is None for f in facts.values()))

    def set_order(self, sort: Sort, falling: bool) -> None:
        """Show by which column the list is ordered."""
        order = Qt.SortOrder.DescendingOrder if falling else Qt.SortOrder.AscendingOrder
        self.header().setSortIndicatorShown(sort is not Sort.NAME or falling)
        self.header().setSortIndicator(SORTS.index(sort), order)

    def _set_height(self, n: int) -> None:
        """Be high enough for `n` clips, or for as many as a panel has room for."""
        rows = min(max(n, 2), _ROWS)
        row_height = max(self.sizeHintForRow(0), 21)
        self.setFixedHeight(self.header().sizeHint().height() + row_height * rows + 2)

    def set_colors(self, done: str, ground: str) -> None:
        """Draw bars in `done` on `ground`."""
        self.bars.done, self.bars.ground = QColor(done), QColor(ground)
        self.viewport().update()

    def _on_current(self, index: QModelIndex, _old: object) -> None:
        if index.isValid() and not self._showing:
            self.wanted.emit(self.rows.names[index.row()])


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


def shortened(name: str, longest: int) -> str:
    """Return `name` with its middle left out if it is longer than `longest` letters."""
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"


class ClipQueue(QWidget):
    """The session's work list with its filters and order."""

    wanted = Signal(str)  # a clip is to be opened
    step_wanted = Signal(int)  # the next (1) or the previous (-1) clip is to be opened
    titled = Signal(str)  # the section's new title

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
        self._links = links_of(
            self,
            (session.worklist.changed, self._on_changed),
            (session.events.clip, self.show_now),
            (session.events.rater, self._on_reader),
            (session.access.changed, self._on_reader),
        )

    def _make(self) -> None:
        work = self._session.worklist
        self.find = QLineEdit()
        self.find.setPlaceholderText("Find clip, patient, tag, note")
        self.find.setClearButtonEnabled(True)
        self.find.textChanged.connect(lambda text: work.change(text=text))
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
            chip.clicked.connect(lambda _on=False, w=which: work.change(which=w))
            self.chips[which] = chip
        self.narrowed = label(role="note")
        self.widen: QToolButton = button("✕", "Narrow no longer", flat=True)
        self.widen.clicked.connect(lambda: work.change(facets=frozenset()))
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
        for made in (
            row(self.find, self.narrow, self.previous, self.next),
            row(*self.chips.values(), stretch=1),
            self._narrowed_row,
            self.clips,
            self._nothing_row,
        ):
            layout.addWidget(made)

    def close_part(self) -> None:
        """Let go of the session."""
        self.reader.stop()
        self._soon.stop()
        self._links.cut()

    def set_clips(self, names: list[str], *, forget: bool = True) -> None:
        """List these clips, and find out how far they are."""
        self._session.worklist.set_clips(names, forget=forget)
        self._session.update_worklist()
        self.show_now()
        self.reader.read()

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Show the keys in the tooltips."""
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
        names, settings = work.names(current), work.settings
        self.clips.show_clips(names, work.facts, current)
        self.clips.set_order(settings.sort, settings.falling)
        for which, n in work.counts().items():
            self.chips[which].setText(f"{CHIPS[which][0]} {n}")
            self.chips[which].setChecked(which is settings.which)
        parts = [
            value_in_words(*f) for f in sorted(settings.facets, key=lambda f: (FACETS[f[0]], f[1]))
        ]
        self.narrowed.setText(f"Only {', '.join(parts)}")
        self._narrowed_row.setVisible(bool(parts))
        self.clips.setVisible(bool(names))
        self._nothing_row.setVisible(bool(work.facts) and not names)
        self.nothing.setText(self._why_nothing(settings))
        if self.find.text() != settings.text:
            self.find.setText(settings.text)
        place = f"({names.index(current) + 1} of {len(names)})" if current in names else ""
        name = shortened(current or "", LONGEST)
        self.titled.emit(f"Clips  ·  {name}  {place}" if place else "Clips")

    @staticmethod
    def _why_nothing(settings: WorkListSettings) -> str:
        if settings.narrows:
            return "No clip matches."
        return NOTHING[settings.which]

    def _fill_menu(self) -> None:
        work = self._session.worklist
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

    def _on_facet(self, facet: tuple[Facet, str], on: bool) -> None:
        facets = self._session.worklist.settings.facets
        self._session.worklist.change(facets=facets | {facet} if on else facets - {facet})

    def _on_order(self, sort: Sort) -> None:
        settings = self._session.worklist.settings
        self._session.worklist.change(
            sort=sort, falling=settings.sort is sort and not settings.falling
        )

    def _on_clear(self) -> None:
        self._session.worklist.change(which=Which.ALL, text="", facets=frozenset())

    def _on_return(self) -> None:
        names = self._session.worklist.names()
        if names:
            self.wanted.emit(names[0])

    def _on_escape(self) -> None:
        self.find.clear()
        self.find.clearFocus()
