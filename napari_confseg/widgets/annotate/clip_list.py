"""The rows of the work list: how far each clip is, how long it took, how alike its readers are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeView,
)

from napari_confseg.annotate.queue import DIFFER_BELOW, ClipFacts, Sort
from napari_confseg.annotate.words import QUALITY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHARE: Final = Qt.ItemDataRole.UserRole
_ROWS: Final = 6
NAME, REVIEWED, MINUTES, ALIKE = range(4)

_HEADERS: Final = (
    ("Clip", "Click to order by name"),
    ("Reviewed", "Share of frames and classes that you have reviewed; click to order by it"),
    ("min", "Minutes that you were active on the clip; idle time does not count"),
    ("Alike", f"Soft Dice of its readers where they differ most; low: below {DIFFER_BELOW}"),
)  # fmt: skip
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
    said = [f.zone, QUALITY.get(f.quality, ""), *f.pathology, *f.tags]
    return "\n".join(line for line in (*lines, ", ".join(filter(None, said)), f.note) if line)


class ClipModel(QAbstractTableModel):  # type: ignore[misc]
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

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return how many clips are listed."""
        return 0 if parent is not None and parent.isValid() else len(self.names)

    def columnCount(self, _parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of columns."""
        return len(_HEADERS)

    def headerData(  # noqa: N802
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


class ShareBar(QStyledItemDelegate):  # type: ignore[misc]
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

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:  # noqa: N802
        """Return a comfortable row's height."""
        size = super().sizeHint(option, index)
        return QSize(size.width(), max(size.height(), 21))


class ClipList(QTreeView):  # type: ignore[misc]
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
