"""Pictures of the rows of a list of disagreements, made when the rows come into sight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtGui import QIcon, QImage, QPixmap

from napari_confseg.annotate.review.pictures import picture_of
from napari_confseg.widgets.common.jobs import LatestJob

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from qtpy.QtCore import QSize
    from qtpy.QtWidgets import QTreeWidget

    from napari_confseg.agreement.disagreement import Event
    from napari_confseg.annotate.review.model import Review
    from napari_confseg.widgets.common.jobs import BackgroundJob

PAUSE: Final = 60
"""Milliseconds for which the list stands still before pictures are made: scrolling passes many."""


class RowPictures(QObject):
    """Gives each row in sight its picture, in place of the place on the frame.

    Parameters
    ----------
    review : Review
        Has the disagreements, in the order of the rows.
    tree : QTreeWidget
        The list.
    size : QSize
        Of a picture.
    """

    def __init__(self, review: Review, tree: QTreeWidget, size: QSize) -> None:
        super().__init__(tree)
        self._review, self._tree, self._size = review, tree, size
        self._made: dict[Event, QIcon] = {}
        self._job = LatestJob(self)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE)
        self._timer.timeout.connect(self._begin)
        tree.verticalScrollBar().valueChanged.connect(lambda _: self._timer.start())
        tree.viewport().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: D102
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Show):
            self._timer.start()
        return False

    def follow(self) -> None:
        """Forget pictures of what is no longer listed, and make those that are missing."""
        listed = {i.event for i in self._review.state.items}
        self._made = {e: icon for e, icon in self._made.items() if e in listed}
        self._timer.start()

    def close_down(self) -> None:
        """Make no more."""
        self._timer.stop()
        self._job.drop()

    @property
    def made(self) -> int:
        """How many rows have a picture."""
        return len(self._made)

    def _in_sight(self) -> list[int]:
        tree, n = self._tree, len(self._review.state.items)
        if not tree.isVisible() or tree.topLevelItemCount() != n:
            return []
        found, item = [], tree.itemAt(1, 1)
        while item is not None and tree.visualItemRect(item).top() < tree.viewport().height():
            found.append(tree.indexOfTopLevelItem(item))
            item = tree.itemBelow(item)
        return found

    def _begin(self) -> None:
        """Show what is made, and make what is missing of the rows in sight."""
        review, state = self._review, self._review.state
        clip, missing = review.session.clip, []
        for rank in self._in_sight():
            event = state.items[rank].event
            if event in self._made:
                self._tree.topLevelItem(rank).setIcon(0, self._made[event])
            else:
                missing.append(event)
        raters = [(review.views[r.name], r.style.color) for r in state.compared]
        if not missing or clip is None:
            return
        size = self._size.height(), self._size.width()
        classes, threshold = review.session.classes, state.settings.threshold

        def make(event: Event) -> object:
            color = classes[event.class_index].color
            return picture_of(clip, event, raters, threshold, color, size)

        self._job.run(
            lambda job: _make_all(job, missing, make),
            lambda _: None,
            failed=lambda _: None,  # a frame that can't be read says so on the canvas
            parted=self._take,
        )

    def _take(self, part: tuple[Event, NDArray[np.uint8]]) -> None:
        event, picture = part
        height, width = picture.shape[:2]
        image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
        self._made[event] = QIcon(QPixmap.fromImage(image))
        for rank, item in enumerate(self._review.state.items):
            if item.event is event and rank < self._tree.topLevelItemCount():
                self._tree.topLevelItem(rank).setIcon(0, self._made[event])


def _make_all(job: BackgroundJob, events: Sequence[Event], make: Callable[[Event], object]) -> None:
    for event in events:
        if job.cancelled():
            return
        job.send((event, make(event)))
