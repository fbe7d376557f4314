"""The table of the work list: columns, their texts and colours, rows that open clips."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QRectF, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QFont, QFontMetrics, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeView,
)

from napari_confseg.annotate.clip_facts import State
from napari_confseg.annotate.confidence_words import QUALITY
from napari_confseg.annotate.worklist import DIFFER_BELOW, Sort
from napari_confseg.widgets.clip_reading import PICTURE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from qtpy.QtGui import QKeyEvent

    from napari_confseg.annotate.clip_facts import ClipFacts
    from napari_confseg.widgets.clip_reading import RowReader

_SHARE: Final = Qt.ItemDataRole.UserRole
_STILL: Final = 40
"""Milliseconds that the list stands still before what is in view is read."""


def minutes(seconds: float) -> str:
    """Return seconds as minutes in as few characters as a narrow column asks for."""
    if not seconds:
        return ""
    return f"{seconds / 60:.1f}" if seconds < 600 else f"{seconds / 60:.0f}"


def state_in_words(f: ClipFacts) -> str:
    """Return how far a reader is with a clip; empty until it is read."""
    if f.state is State.PROBLEM:
        return "⚠ problem"
    if f.state is State.DONE:
        return "✓ done"
    if f.state is State.BEGUN:  # 100 % when all is, not before
        return f"begun {int(100 * f.reviewed)} %"
    return f.state.value if f.state else ""


def others_in_words(f: ClipFacts, editor: str) -> str:
    """Return who else has marked a clip, and who edits it now."""
    parts = [f"✎ {editor}"] if editor else []
    return "; ".join([*parts, *(o.title for o in f.others)])


def alike_in_words(f: ClipFacts) -> str:
    """Return how alike its readers are; empty if that is not known."""
    return "" if f.alike is None else f"{f.alike:.2f}"


def place_in_words(f: ClipFacts) -> str:
    """Return its place in the order of what is most to learn from; empty if it has none."""
    return "" if f.to_learn is None else str(f.to_learn)


def day_in_words(day: date | None) -> str:
    """Return a day, with its year unless that is this one."""
    if day is None:
        return ""
    return f"{day:%d %b}" if day.year == datetime.now().astimezone().year else f"{day:%d %b %Y}"


_ZONE: Final = "Where the probe was: as you noted it, else as the importer did"
_DAY: Final = (
    "When you last marked or reviewed something here.\n"
    "The day of the examination is not kept: it would help to identify the patient."
)
_STATE: Final = "How much you have reviewed, of all frames and classes"
_MINUTES: Final = "Minutes that you were active on the clip; idle time does not count"
_ALIKE: Final = f"Soft Dice of its readers where they differ most; low: below {DIFFER_BELOW}"
_TO_LEARN: Final = (
    "Most to learn: the place of the clip in the trainer's order of what to annotate next\n"
    "(confseg-train rank)"
)
_OTHERS: Final = "Who else has marked it, as far as you may see, and who edits it now (✎)"


def untinted(picture: QPixmap) -> QIcon:
    """Return an icon that looks the same on a row in hand: a tint would change what it shows."""
    made = QIcon(picture)
    made.addPixmap(picture, QIcon.Mode.Selected)
    return made


@dataclass(frozen=True)
class Column:
    """A column of the list."""

    id: str  # its width is remembered under this
    heading: str
    tip: str
    sort: Sort
    width: int  # to begin with
    text: Callable[[ClipFacts], str]
    right: bool = False  # numbers stand at the right


COLUMNS: Final = (
    Column("picture", "", "The clip's middle frame", Sort.NAME, PICTURE.width() + 8, lambda f: ""),
    Column("clip", "Clip", "Click to order by name", Sort.NAME, 96, lambda f: f.clip),
    Column("patient", "Patient", "Code of the patient", Sort.PATIENT, 64, lambda f: f.patient),
    Column("zone", "Zone", _ZONE, Sort.ZONE, 46, lambda f: f.zone),
    Column("day", "Day", _DAY, Sort.DAY, 56, lambda f: day_in_words(f.day)),
    Column("state", "State", _STATE, Sort.STATE, 142, state_in_words),
    Column("minutes", "min", _MINUTES, Sort.MINUTES, 42, lambda f: minutes(f.seconds), right=True),
    Column("alike", "Alike", _ALIKE, Sort.ALIKE, 46, alike_in_words, right=True),
    Column("to-learn", "Learn", _TO_LEARN, Sort.TO_LEARN, 46, place_in_words, right=True),
    Column("others", "Who else", _OTHERS, Sort.OTHERS, 160, lambda f: ""),
)
PICTURES, CLIP, PATIENT, ZONE, DAY, STATE, MINUTES, ALIKE, TO_LEARN, OTHERS = range(len(COLUMNS))


def tip(f: ClipFacts, editor: str) -> str:
    """Return all that the list knows of a clip."""
    if f.trouble:
        return f"{f.clip} can't be read:\n{f.trouble}"
    made = f"{f.strokes} stroke{'s' * (f.strokes != 1)} of yours" if f.strokes else ""
    lines = [f.clip, f"patient {f.patient}" if f.patient else "", made]
    parts = [f.zone, QUALITY.get(f.quality, ""), *f.pathology, *f.tags]
    others = ", ".join(o.title for o in f.others)
    more = [f"also marked by {others}" if others else "", f"edited by {editor}" if editor else ""]
    lines += [", ".join(filter(None, parts)), f.note, *more]
    return "\n".join(line for line in lines if line)


class ClipModel(QAbstractTableModel):
    """Facts as a table, in the order given.

    The order is the work list's own (:func:`~napari_confseg.annotate.worklist.ordered`), by which
    *Next* goes too. A QSortFilterProxyModel would be a second owner of it, and asks Python
    twice for each of 40,000 comparisons where that sorts 2,000 clips with one call for each.

    Parameters
    ----------
    rows : RowReader
        Has pictures and editors.
    parent : QObject
        Owner.
    """

    def __init__(self, rows: RowReader, parent: Any) -> None:
        super().__init__(parent)
        self.names: tuple[str, ...] = ()
        self.open_clip: str | None = None
        self._colors: dict[State | None, QColor] = {}
        self._places: dict[str, int] = {}
        self._facts: Mapping[str, ClipFacts] = {}
        self._rows = rows
        self._blank = QPixmap(PICTURE)
        self._blank.fill(QColor(0, 0, 0, 0))
        self._bold = QFont()
        self._bold.setBold(True)

    def show(
        self, names: Sequence[str], facts: Mapping[str, ClipFacts], open_clip: str | None
    ) -> bool:
        """Show these clips; return whether the rows are others than before."""
        other = tuple(names) != self.names
        self._facts, self.open_clip = facts, open_clip
        if other:
            self.beginResetModel()
            self.names = tuple(names)
            self._places = {name: row for row, name in enumerate(names)}
            self.endResetModel()
        elif names:
            self.dataChanged.emit(self.index(0, 0), self.index(len(names) - 1, OTHERS))
        return other

    def set_colors(self, done: QColor, bad: QColor) -> None:
        """Write what is done in `done`, problems in `bad`."""
        self._colors = {State.DONE: done, State.PROBLEM: bad}

    def place(self, clip: str | None) -> int | None:
        """Return the row of a clip; None if it is not listed."""
        return None if clip is None else self._places.get(clip)

    def show_row(self, clip: str) -> None:
        """Show anew what is known of a clip."""
        row = self.place(clip)
        if row is not None:
            self.dataChanged.emit(self.index(row, 0), self.index(row, OTHERS))

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many clips are listed."""
        return 0 if parent is not None and parent.isValid() else len(self.names)

    def columnCount(self, _parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return len(COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return a column's heading, or what it means."""
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return COLUMNS[section].heading
            if role == Qt.ItemDataRole.ToolTipRole:
                return COLUMNS[section].tip
            if role == Qt.ItemDataRole.TextAlignmentRole:
                return Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        facts = self._facts.get(self.names[index.row()])
        if facts is None:
            return None
        column = index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(facts, column)
        if role == Qt.ItemDataRole.DecorationRole and column == PICTURES:
            picture = self._rows.picture(facts.clip)
            return untinted(QPixmap.fromImage(picture)) if picture is not None else self._blank
        if role == Qt.ItemDataRole.FontRole:
            return self._bold if facts.clip == self.open_clip else None
        if role == Qt.ItemDataRole.ForegroundRole and column == STATE:
            return self._colors.get(facts.state)
        if role == Qt.ItemDataRole.TextAlignmentRole and COLUMNS[column].right:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ToolTipRole:
            return tip(facts, self._rows.editor(facts.clip))
        if role == _SHARE and column == STATE and facts.state is State.BEGUN:
            return facts.reviewed
        return None

    def text(self, f: ClipFacts, column: int) -> str:
        """Return the text of a cell."""
        if column == OTHERS:
            return others_in_words(f, self._rows.editor(f.clip))
        return COLUMNS[column].text(f)


class ShareBar(QStyledItemDelegate):
    """Draws a share as a bar after its words."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self.done, self.ground = QColor("#5fd38d"), QColor("#414851")
        self._bold = QFont()
        self._bold.setBold(True)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Draw one cell."""
        super().paint(painter, option, index)
        share = index.data(_SHARE)
        words = QFontMetrics(self._bold).horizontalAdvance("begun 100 % ")
        room = QRectF(option.rect).adjusted(words + 4, 0, -6, 0)
        if share is None or room.width() < 12:
            return
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


class ClipTable(QTreeView):
    """One row a clip: a click or Return opens it, a click on a heading orders by it."""

    wanted = Signal(str)
    order_wanted = Signal(object)
    in_view_changed = Signal(object)  # names of the clips in view, a page around them included
    widths_changed = Signal()

    def __init__(self, rows: RowReader) -> None:
        super().__init__()
        self.rows = ClipModel(rows, self)
        self.setModel(self.rows)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)  # or Qt measures each of 2,000 rows
        self.setAllColumnsShowFocus(True)
        self.setIconSize(PICTURE)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setMinimumHeight(90)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header = self.header()
        header.setSectionsMovable(False)
        header.setSectionsClickable(True)
        header.setMinimumSectionSize(28)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(PICTURES, QHeaderView.ResizeMode.Fixed)
        for number, column in enumerate(COLUMNS):
            header.resizeSection(number, column.width)
        header.setStretchLastSection(True)
        header.sectionClicked.connect(lambda column: self.order_wanted.emit(COLUMNS[column].sort))
        header.sectionResized.connect(lambda *_: self.widths_changed.emit())
        self.bars = ShareBar(self)
        self.setItemDelegateForColumn(STATE, self.bars)
        self.clicked.connect(self._on_asked)
        self._still = QTimer(self)
        self._still.setSingleShot(True)
        self._still.setInterval(_STILL)
        self._still.timeout.connect(self.tell_in_view)
        self.verticalScrollBar().valueChanged.connect(lambda _: self.tell_soon())

    def show_clips(
        self, names: Sequence[str], facts: Mapping[str, ClipFacts], current: str | None
    ) -> None:
        """Show these clips in this order; the row in hand stays in hand, and in its place."""
        opened = current != self.rows.open_clip
        chosen, at = self.chosen(), self.verticalScrollBar().value()
        if self.rows.show(names, facts, current):
            self.verticalScrollBar().setValue(at)
            self.tell_soon()
        row = self.rows.place(current if opened or chosen is None else chosen)
        if row is not None and row != self.currentIndex().row():
            self.setCurrentIndex(self.rows.index(row, CLIP))
        self.setColumnHidden(ALIKE, all(f.alike is None for f in facts.values()))
        self.setColumnHidden(TO_LEARN, all(f.to_learn is None for f in facts.values()))

    def chosen(self) -> str | None:
        """Return the clip whose row is in hand."""
        index = self.currentIndex()
        return self.rows.names[index.row()] if index.isValid() else None

    def set_order(self, sort: Sort, falling: bool) -> None:
        """Show by which column the list is ordered."""
        order = Qt.SortOrder.DescendingOrder if falling else Qt.SortOrder.AscendingOrder
        column = next((i for i, c in enumerate(COLUMNS) if i and c.sort is sort), -1)
        self.header().setSortIndicatorShown(True)
        self.header().setSortIndicator(column, order)

    def widths(self) -> dict[str, int]:
        """Return how wide each column is, but for the last, which takes what is left."""
        header = self.header()
        return {
            c.id: header.sectionSize(i)
            for i, c in enumerate(COLUMNS[:OTHERS])
            if i != PICTURES and not self.isColumnHidden(i)
        }

    def set_widths(self, widths: Mapping[str, int]) -> None:
        """Make columns as wide as they were."""
        for number, column in enumerate(COLUMNS[:OTHERS]):
            if column.id in widths:
                self.header().resizeSection(number, widths[column.id])

    def set_colors(self, done: str, bad: str, ground: str) -> None:
        """Draw what is done in `done`, problems in `bad`, bars on `ground`."""
        self.bars.done, self.bars.ground = QColor(done), QColor(ground)
        self.rows.set_colors(QColor(done), QColor(bad))
        self.viewport().update()

    def tell_soon(self) -> None:
        """Tell which clips are in view, once the list stands still."""
        self._still.start()

    def tell_in_view(self) -> None:
        """Tell which clips are in view, those a little below and above too."""
        names = self.rows.names
        if not self.isVisible() or not names:
            self.in_view_changed.emit(())
            return
        first = self.indexAt(self.viewport().rect().topLeft()).row()
        last = self.indexAt(self.viewport().rect().bottomLeft()).row()
        last = len(names) - 1 if last < 0 else last
        seen = names[max(first, 0) : last + 1]
        self.in_view_changed.emit((*seen, *names[last + 1 : last + 1 + len(seen) // 2]))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Open the clip in hand on Return; letters are no search here, they are keys."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._on_asked(self.currentIndex())
            return
        super().keyPressEvent(event)

    def keyboardSearch(self, search: str) -> None:
        """Find nothing by typing: letters choose classes and tools."""

    def resizeEvent(self, event: Any) -> None:
        """Read what comes into view."""
        super().resizeEvent(event)
        self.tell_soon()

    def showEvent(self, event: Any) -> None:
        """Read what comes into view."""
        super().showEvent(event)
        self.tell_soon()

    def hideEvent(self, event: Any) -> None:
        """Read nothing any more."""
        super().hideEvent(event)
        self.tell_soon()

    def sizeHint(self) -> QSize:
        """Return room for a few rows."""
        return QSize(640, 190)

    def _on_asked(self, index: QModelIndex) -> None:
        if index.isValid():
            self.wanted.emit(self.rows.names[index.row()])
