"""The cohort's clips: how far each is reviewed, and how many strokes are mine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QModelIndex, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeWidget,
    QTreeWidgetItem,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_confseg.annotate.reviewing import ClipProgress

_SHARE: Final = Qt.ItemDataRole.UserRole
_ROWS: Final = 5


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
        room = QRectF(option.rect).adjusted(2, 0, -38, 0)
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


class ClipList(QTreeWidget):  # type: ignore[misc]
    """One row a clip; click one to open it."""

    wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setHeaderLabels(["Clip", "Reviewed", "Strokes"])
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionsMovable(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, width in ((1, 94), (2, 56)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            header.resizeSection(column, width)
        self.bars = ShareBar(self)
        self.setItemDelegateForColumn(1, self.bars)
        self._rows: dict[str, QTreeWidgetItem] = {}
        self._showing = False
        self.currentItemChanged.connect(self._on_current)

    def set_clips(self, names: Sequence[str]) -> None:
        """Show these clips, their progress not known yet."""
        self._showing = True
        self.clear()
        self._rows = {}
        for name in names:
            row = QTreeWidgetItem([name, "", ""])
            row.setToolTip(0, name)
            row.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            row.setTextAlignment(2, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.addTopLevelItem(row)
            self._rows[name] = row
        self._showing = False
        rows = min(max(len(names), 2), _ROWS)
        row_height = max(self.sizeHintForRow(0), 18)
        self.setFixedHeight(self.header().sizeHint().height() + row_height * rows + 2)

    def set_progress(self, progress: Iterable[ClipProgress]) -> None:
        """Show how far these clips are."""
        for one in progress:
            row = self._rows.get(one.clip)
            if row is not None:
                row.setData(1, _SHARE, one.reviewed)
                row.setText(1, f"{round(100 * one.reviewed)} %")
                row.setText(2, str(one.strokes) if one.strokes else "–")

    def set_current(self, name: str | None) -> None:
        """Show which clip is open."""
        self._showing = True
        self.setCurrentItem(self._rows.get(name or ""))
        self._showing = False

    def current_number(self) -> int:
        """Return which row is the clip that is open, from 1; 0 if none is."""
        return int(self.indexOfTopLevelItem(self.currentItem())) + 1 if self.currentItem() else 0

    def set_colors(self, done: str, ground: str) -> None:
        """Draw bars in `done` on `ground`."""
        self.bars.done, self.bars.ground = QColor(done), QColor(ground)
        self.viewport().update()

    def _on_current(self, item: QTreeWidgetItem | None, _old: object) -> None:
        if item is not None and not self._showing:
            self.wanted.emit(item.text(0))
