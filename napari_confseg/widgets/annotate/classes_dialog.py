"""The dialog for a cohort's classes and confidence words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.cohort_draft import (
    PALETTES,
    AnchorRow,
    ClassRow,
    Draft,
    drafted,
    next_color,
    rows_of,
)
from napari_confseg.widgets.common.buttons import label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_confseg.store import CohortMeta

_COLOR, _LABEL, _KEY, _NAME = range(4)
_VALUE, _WORD, _WORD_KEY, _EXAMPLE = range(4)


class ClassesDialog(QDialog):
    """Edits a draft; can be accepted when nothing stands against it.

    Parameters
    ----------
    parent : QWidget
        Above which it shows.
    meta : CohortMeta
        The cohort as it is.
    taken : mapping of str to str
        Keys that cannot be had, and what they do.
    refusal : str
        Why nothing can be changed; empty if it can.
    style : str
        The panel's style sheet.
    """

    def __init__(
        self, parent: QWidget, meta: CohortMeta, taken: Mapping[str, str], refusal: str, style: str
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Classes and words of confidence: {meta.name}")
        self.setStyleSheet(style)
        self.resize(640, 520)
        self._meta, self._taken, self._refusal = meta, taken, refusal
        self._filling = False
        self.draft = Draft(meta)
        self.classes = _table(["Colour", "Label", "Key", "Short name"], _LABEL)
        self.anchors = _table(
            ["%", "Word", "Key", "Example: what such a mark looks like"], _EXAMPLE
        )
        self.note = label(role="caution")
        self._lay_out()
        class_rows, anchor_rows = rows_of(meta)
        self.set_classes(class_rows)
        self.set_anchors(anchor_rows)
        for table in (self.classes, self.anchors):
            table.itemChanged.connect(lambda *_: self._check())
            table.setEnabled(not refusal)
        self.classes.cellDoubleClicked.connect(self._on_cell)

    def _lay_out(self) -> None:
        self.palettes = QComboBox()
        for palette in PALETTES:
            self.palettes.addItem(palette.name)
            index = self.palettes.count() - 1
            self.palettes.setItemData(index, palette.source, Qt.ItemDataRole.ToolTipRole)
        self.palettes.currentIndexChanged.connect(self._on_palette)
        self.source = label(PALETTES[0].source, role="note")
        self.add_class, self.drop_class = QPushButton("Add class"), QPushButton("Remove new class")
        self.add_anchor, self.drop_anchor = QPushButton("Add word"), QPushButton("Remove word")
        take = QPushButton("Use these colours")
        take.setToolTip("Gives the classes, in order, the colours of this palette")
        take.clicked.connect(self.use_palette)
        self.add_class.clicked.connect(self._on_add_class)
        self.drop_class.clicked.connect(lambda: self._drop(self.classes, len(self._meta.classes)))
        self.add_anchor.clicked.connect(self._on_add_anchor)
        self.drop_anchor.clicked.connect(lambda: self._drop(self.anchors, 0))
        self.tabs = QTabWidget()
        class_note = label(
            "Double click changes a cell or colour. Classes stay in place, for marks are kept "
            "under their numbers; new ones come last. Without a key the next free one is taken.",
            role="note",
        )
        anchor_note = label(
            "Agree on what each word means: readers see the example beneath the slider.",
            role="note",
        )
        colours = _row(QLabel("Colours"), self.palettes, take)
        self.tabs.addTab(
            _page(
                class_note,
                self.classes,
                _row(self.add_class, self.drop_class),
                colours,
                self.source,
            ),
            "Classes",
        )
        self.tabs.addTab(
            _page(anchor_note, self.anchors, _row(self.add_anchor, self.drop_anchor)),
            "Words of confidence",
        )
        kinds = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(kinds.Save | kinds.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        for made in (*self.findChildren(QPushButton), take, self.add_class, self.drop_class):
            made.setAutoDefault(False)
        layout = QVBoxLayout(self)
        layout.addWidget(label("For everyone who reads in this study folder.", role="title"))
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.note)
        layout.addWidget(self.buttons)

    # ---- rows -----------------------------------------------------------------------------

    def set_classes(self, rows: Sequence[ClassRow]) -> None:
        """Show these classes."""
        cells = [(r.color, r.label, r.key, r.name) for r in rows]
        self._fill(self.classes, cells)

    def set_anchors(self, rows: Sequence[AnchorRow]) -> None:
        """Show these words."""
        self._fill(self.anchors, [(r.value, r.word, r.key, r.example) for r in rows])

    def _fill(self, table: QTableWidget, rows: Sequence[tuple[str, ...]]) -> None:
        self._filling = True
        table.setRowCount(len(rows))
        for y, cells in enumerate(rows):
            for x, text in enumerate(cells):
                table.setItem(y, x, QTableWidgetItem(text))
            if table is self.classes:
                name = table.item(y, _NAME)
                name.setFlags(Qt.ItemFlag.ItemIsSelectable)
                name.setToolTip("Follows from the label, once" if not cells[_NAME] else "")
        self._filling = False
        self._check()

    def class_rows(self) -> list[ClassRow]:
        """Return the classes as typed."""
        return [
            ClassRow(label=c[_LABEL], color=c[_COLOR], key=c[_KEY], name=c[_NAME])
            for c in _cells(self.classes)
        ]

    def anchor_rows(self) -> list[AnchorRow]:
        """Return the words as typed."""
        return [AnchorRow(*cells) for cells in _cells(self.anchors)]

    def _check(self) -> None:
        if self._filling:
            return
        self._filling = True
        for y, (color, *_) in enumerate(_cells(self.classes)):
            item = self.classes.item(y, _COLOR)
            if QColor(color).isValid():
                item.setBackground(QColor(color))
                light = QColor(color).lightness() > 120
                item.setForeground(QColor("black" if light else "white"))
        self._filling = False
        self.draft = drafted(self._meta, self.class_rows(), self.anchor_rows(), self._taken)
        lines = [self._refusal] if self._refusal else [*self.draft.problems, *self.draft.warnings]
        self.note.setText("\n".join(lines[:4]))
        save = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        save.setEnabled(not self._refusal and self.draft.meta not in (None, self._meta))

    # ---- edits -----------------------------------------------------------------------------

    def _on_cell(self, y: int, x: int) -> None:
        if x == _COLOR:
            before = QColor(self.classes.item(y, x).text())
            chosen = QColorDialog.getColor(before, self, "Colour of the class")
            if chosen.isValid():
                self.classes.item(y, x).setText(chosen.name())

    def _on_palette(self, index: int) -> None:
        self.source.setText(PALETTES[index].source)

    def use_palette(self) -> None:
        """Give the classes the colours of the chosen palette, then others unlike them."""
        colors: list[str] = []
        for y in range(self.classes.rowCount()):
            colors.append(next_color(colors, PALETTES[self.palettes.currentIndex()]))
            self.classes.item(y, _COLOR).setText(colors[y])

    def _on_add_class(self) -> None:
        rows = self.class_rows()
        color = next_color([r.color for r in rows], PALETTES[self.palettes.currentIndex()])
        self.set_classes([*rows, ClassRow("New class", color)])
        self.classes.editItem(self.classes.item(len(rows), _LABEL))

    def _on_add_anchor(self) -> None:
        rows = self.anchor_rows()
        used = {r.value for r in rows}
        value = next(str(v) for v in (50, 75, 20, 40, 80, 10, *range(1, 101)) if str(v) not in used)
        self.set_anchors([*rows, AnchorRow(value, "new word")])
        self.anchors.editItem(self.anchors.item(len(rows), _WORD))

    def _drop(self, table: QTableWidget, kept: int) -> None:
        if table.currentRow() >= kept:
            table.removeRow(table.currentRow())
            self._check()


def _table(heads: list[str], wide: int) -> QTableWidget:
    table = QTableWidget(0, len(heads))
    table.setHorizontalHeaderLabels(heads)
    table.verticalHeader().hide()
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    for x in range(len(heads)):
        kinds = QHeaderView.ResizeMode
        mode = kinds.Stretch if x == wide else kinds.ResizeToContents
        table.horizontalHeader().setSectionResizeMode(x, mode)
    table.setWordWrap(True)
    return table


def _cells(table: QTableWidget) -> list[tuple[str, ...]]:
    def text(y: int, x: int) -> str:
        item = table.item(y, x)
        return str(item.text()) if item else ""

    columns = range(table.columnCount())
    return [tuple(text(y, x) for x in columns) for y in range(table.rowCount())]


def _row(*widgets: QWidget) -> QWidget:
    made = QWidget()
    row = QHBoxLayout(made)
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget)
    row.addStretch(1)
    return made


def _page(*widgets: QWidget) -> QWidget:
    made = QWidget()
    column = QVBoxLayout(made)
    for widget in widgets:
        column.addWidget(widget)
    return made
