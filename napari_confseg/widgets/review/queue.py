"""List of disagreements with decisions and progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QProgressBar,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.review.pictures import area_in_words
from napari_confseg.annotate.review.state import describe_item
from napari_confseg.widgets.common.buttons import button, icon, label, with_key
from napari_confseg.widgets.common.icons import place_icon

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qtpy.QtGui import QResizeEvent

    from napari_confseg.annotate.review.decisions import Item
    from napari_confseg.annotate.review.state import ReviewState
    from napari_confseg.store import ClassSpec, Clip, Stroke

PICTURE: Final = QSize(48, 36)
"""Size of the picture of a disagreement."""

_RANK: Final = Qt.ItemDataRole.UserRole
_VERDICTS: Final = {
    "accept": "{}",
    "mean": "mean of all",
    "reject": "nothing there",
    "correct": "by hand",
}


def frames_in_words(frames: tuple[int, ...]) -> str:
    """Return frames as people count them: ``"3"``, ``"3–7"``."""
    first, last = frames[0] + 1, frames[-1] + 1
    return str(first) if first == last else f"{first}–{last}"


def verdict_in_words(stroke: Stroke, labels: Mapping[str, str]) -> str:
    """Return what was decided in a few words."""
    decision = stroke.decision
    assert decision is not None
    source = decision.source or ""
    return _VERDICTS[decision.verdict].format(labels.get(source, source))


def who_and_when(stroke: Stroke) -> str:
    """Return who decided, and when."""
    assert stroke.decision is not None
    return f"{stroke.decision.by}, {stroke.time.astimezone():%d %b %H:%M}"


class _Rows(QTreeWidget):
    """Rows whose class and decision share what room the frames leave, cut with dots."""

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the room anew."""
        super().resizeEvent(event)
        self.share_room()

    def share_room(self) -> None:
        """Give the class what it needs, but not the half that a long decision is in need of."""
        room = self.viewport().width() - self.columnWidth(1)
        decision = max(self.sizeHintForColumn(2), self.header().sectionSizeHint(2))
        self.setColumnWidth(0, min(self.sizeHintForColumn(0), max(room - decision, room // 2)))


class DisagreementList(QWidget):
    """Disagreements, worst first; a click brings one into view."""

    picked = Signal(int)
    step_wanted = Signal(int)
    shown = Signal()  # what is listed, or which rows are

    def __init__(self) -> None:
        super().__init__()
        self._items: tuple[Item, ...] = ()
        self.bar = QProgressBar()
        self.bar.setFormat("%v of %m decided")
        self.open_only = QCheckBox("To do")
        self.open_only.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.open_only.setToolTip("Leave out what is decided")
        self.open_only.toggled.connect(self._on_open_only)
        self.tree = _Rows()
        self.tree.setHeaderLabels(["Class", "Frames", "Decision"])
        self.tree.setRootIsDecorated(False)
        self.tree.setUniformRowHeights(True)
        self.tree.setIconSize(PICTURE)
        self.tree.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.tree.setMinimumHeight(110)
        self.tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.tree.headerItem().setToolTip(
            1,
            "Frames, and beneath them the area on the frame where it is largest. The list is "
            "sorted by area times gap: the sum over all pixels of (highest - lowest confidence) "
            "/ 100",
        )
        header = self.tree.header()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        header.setStretchLastSection(False)  # that has a least width of its own
        self.tree.itemClicked.connect(lambda row: self.picked.emit(row.data(0, _RANK)))
        self.about = label(role="note")
        # Room for four lines always: else the buttons beneath move under the mouse.
        self.about.setMinimumHeight(4 * self.about.fontMetrics().lineSpacing())
        self.about.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.previous, self.next = button("", ""), button("", "")
        for made, words in ((self.previous, "Previous disagreement"), (self.next, "Next")):
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
            made.setAccessibleName(words)
        self.previous.clicked.connect(lambda: self.step_wanted.emit(-1))
        self.next.clicked.connect(lambda: self.step_wanted.emit(1))
        top = QHBoxLayout()
        top.addWidget(self.previous)
        top.addWidget(self.bar, 1)
        top.addWidget(self.next)
        top.addWidget(self.open_only)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self.tree)
        layout.addWidget(self.about)

    def set_icon_color(self, color: str) -> None:
        """Draw the arrows in `color`."""
        self.previous.setIcon(icon("previous", color))
        self.next.setIcon(icon("next", color))

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Name the keys, by the id of the action, in the tooltips."""
        for made, words, action in (
            (self.previous, "The one before that is open", "previous"),
            (self.next, "The next that is open", "next"),
        ):
            made.setToolTip(with_key(words, keys.get(f"review.{action}")))

    def show_state(
        self, state: ReviewState, classes: tuple[ClassSpec, ...], clip: Clip | None
    ) -> None:
        """Show the disagreements on `clip`, and how they stand."""
        labels = {r.name: r.title for r in state.raters}
        if [i.event for i in state.items] != [i.event for i in self._items]:
            self._rebuild(state, classes, clip)
        self._items = state.items
        for rank, item in enumerate(state.items):
            words = verdict_in_words(item.decided, labels) if item.decided else ""
            if item.open and item.decided:
                words = f"{len(item.event.regions) - len(item.open)} of {len(item.event.regions)}"
            row = self.tree.topLevelItem(rank)
            if row.text(2) != words:
                row.setText(2, words)
                when = who_and_when(item.decided) if item.decided else ""
                row.setToolTip(2, f"{words} · {when}" if when else "")
        self._filter()
        self.tree.share_room()
        self.shown.emit()
        n = len(state.items)
        self.bar.setRange(0, max(n, 1))
        self.bar.setValue(state.decided)
        self.bar.setFormat("%v of %m decided" if n else "No disagreement")
        for made in (self.previous, self.next):
            made.setEnabled(n > 0)
        self._show_current(state, labels)

    def _show_current(self, state: ReviewState, labels: Mapping[str, str]) -> None:
        self.about.setVisible(bool(state.items))
        if state.item is None:
            self.tree.clearSelection()
            self.about.clear()
            return
        row = self.tree.topLevelItem(state.current)
        if self.tree.currentItem() is not row or not row.isSelected():
            self.tree.setCurrentItem(row)
            self.tree.scrollToItem(row)
        item = state.item
        words = describe_item(item, dict(labels), state.settings.threshold)
        if item.decided is not None:
            words += f"\n{verdict_in_words(item.decided, labels)} · {who_and_when(item.decided)}"
        self.about.setText(words)

    def _rebuild(
        self, state: ReviewState, classes: tuple[ClassSpec, ...], clip: Clip | None
    ) -> None:
        labels = {r.name: r.title for r in state.raters}
        self.tree.clear()
        rows = []
        for rank, item in enumerate(state.items):
            spec = classes[item.event.class_index]
            size = area_in_words(item.event, clip.meta.spacing if clip else None)
            row = QTreeWidgetItem([spec.label, f"{frames_in_words(item.event.frames)}\n{size}", ""])
            largest = max(item.event.regions, key=lambda r: r.size)
            row.setIcon(
                0,
                place_icon(
                    spec.color, largest.box, clip.shape[1:] if clip else (1, 1), PICTURE.width()
                ),
            )
            row.setToolTip(0, describe_item(item, labels, state.settings.threshold))
            row.setData(0, _RANK, rank)
            rows.append(row)
        self.tree.addTopLevelItems(rows)

    def _on_open_only(self) -> None:
        self._filter()
        self.shown.emit()

    def _filter(self) -> None:
        for rank, item in enumerate(self._items):
            row = self.tree.topLevelItem(rank)
            hidden = self.open_only.isChecked() and not item.open
            if row is not None and row.isHidden() != hidden:
                row.setHidden(hidden)
