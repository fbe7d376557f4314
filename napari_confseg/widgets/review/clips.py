"""List of clips with undecided disagreements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QSizePolicy,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.review.cohort import find_due
from napari_confseg.widgets.common.buttons import button
from napari_confseg.widgets.common.jobs import LatestJob, ProgressRow

if TYPE_CHECKING:
    from napari_confseg.annotate.review.model import Review


class ClipsDue(QWidget):
    """Lists what is due on the clips of the cohort; a click opens one.

    Parameters
    ----------
    review : Review
        Takes what was found.
    """

    turn_wanted = Signal(int)
    clip_wanted = Signal(str)

    def __init__(self, review: Review) -> None:
        super().__init__()
        self._review = review
        self.previous = button("Previous clip", "Open the clip before this")
        self.next = button("Next clip", "Open the next clip that several have reviewed")
        self.look = button("Look through all clips", "Count what is to be decided on every clip")
        self.progress = ProgressRow()
        self._job = LatestJob(self, row=self.progress)
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(["Clip", "Open", "Size"])
        self.tree.setRootIsDecorated(False)
        self.tree.setMinimumHeight(90)
        self.tree.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.tree.header().setStretchLastSection(False)
        self.tree.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.tree.itemClicked.connect(lambda row: self.clip_wanted.emit(row.text(0)))
        self.tree.hide()
        self.previous.clicked.connect(lambda: self.turn_wanted.emit(-1))
        self.next.clicked.connect(lambda: self.turn_wanted.emit(1))
        self.look.clicked.connect(self._begin)
        row = QHBoxLayout()
        row.addWidget(self.previous, 1)
        row.addWidget(self.next, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        for made in (self.previous, self.next, self.look):
            made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for widget in (self.look, self.progress, self.tree):
            layout.addWidget(widget)

    def show_due(self) -> None:
        """List what is due on the clips."""
        due = self._review.queue.clips
        here = self._review.session.clip
        wanted = [(d.clip, f"{d.open} of {d.events}", f"{d.size:,.0f}") for d in due]
        rows = [self.tree.topLevelItem(i) for i in range(self.tree.topLevelItemCount())]
        if [tuple(r.text(c) for c in range(3)) for r in rows] != wanted:
            self.tree.clear()
            self.tree.addTopLevelItems([QTreeWidgetItem(list(words)) for words in wanted])
        for i, entry in enumerate(due):
            if here is not None and entry.clip == here.name:
                self.tree.setCurrentItem(self.tree.topLevelItem(i))
        self.tree.setVisible(bool(due))

    def close_down(self) -> None:
        """Drop the job."""
        self._job.drop()

    def _begin(self) -> None:
        session, settings = self._review.session, self._review.settings
        cohort = session.cohort
        if cohort is None or self._job.busy:
            return
        if why := session.access.cohort_visibility().why():
            session.message = why
            return
        session.flush(2)  # what was decided just now counts
        self._job.run(
            lambda job: find_due(cohort, settings, progress=job.report, cancelled=job.cancelled),
            self._review.take_due,
            failed=self._on_failed,
            words="Looking through all clips …",
        )

    def _on_failed(self, error: object) -> None:
        self._review.session.message = f"Looking through the clips failed: {error}"
