"""The base of all panels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from napari.utils.theme import get_theme
from qtpy.QtCore import QEvent, QSize
from qtpy.QtWidgets import QMainWindow, QSizePolicy, QVBoxLayout, QWidget

from napari_confseg.annotate.links import links_of
from napari_confseg.store.errors import sentence
from napari_confseg.widgets.common.docking import notify_in_front, share_place
from napari_confseg.widgets.common.garbage import collect_in_main_thread
from napari_confseg.widgets.common.page import Page
from napari_confseg.widgets.common.problem_box import ProblemBox
from napari_confseg.widgets.common.theme import stylesheet
from napari_confseg.widgets.paint_strip import PaintStrip
from napari_confseg.widgets.shared import session_for

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari
    from qtpy.QtGui import QShowEvent


class Panel(QWidget):
    """A dock that shows the session of one viewer.

    A panel makes its widgets, then calls :meth:`listen`. When Qt is about to delete it, it stops
    listening, and lets go of what it holds (:meth:`let_go`).

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose session this is.
    """

    SIZE: ClassVar[tuple[int, int] | None] = None
    """Width that shows everything and height to begin with; what the widgets ask for, if None."""

    PLACE_OF_ITS_OWN: ClassVar[bool] = False
    """Whether it is seen beside the other panels, not as a tab among them."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        collect_in_main_thread()
        self._viewer = napari_viewer
        self._links = links_of(self)
        self._failed = ProblemBox()
        self._watches_sight = False
        self.paint_strip: PaintStrip | None = None
        self.session = session_for(napari_viewer)
        if not self.PLACE_OF_ITS_OWN:
            share_place(self)
        # Else napari adds an empty stretch below the panel, which takes half of its height.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def listen(self, *links: tuple[Any, Callable[..., object]]) -> None:
        """Let each psygnal signal call its slot, and wear the viewer's colours, until we go.

        What a slot raises is shown in this panel (:meth:`show_failure`); the session and the other
        panels go on.
        """
        layout = self.layout()
        if layout is not None:
            layout.insertWidget(0, self._failed)
        # First: failures of another cohort's handlers are shown after this, not before.
        self._links.add((self.session.events.cohort, self._forget_failure), *links)
        self._viewer.events.theme.connect(self._on_theme)
        self._on_theme()

    def show_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        self.setStyleSheet(stylesheet(theme))
        if self.paint_strip is not None:
            self.paint_strip.show_theme(theme)

    def show_failure(self, error: Exception) -> None:
        """Show that something raised while the panel was updated."""
        what = f"This panel could not show all: {type(error).__name__}: {sentence(error)}."
        self._failed.show_problem(
            what,
            "Nothing that was marked is lost. Open the study folder again; if it "
            "stays, report it with the terminal's output.",
        )

    def _forget_failure(self, *_: object) -> None:
        self._failed.show_problem("")

    def came_to_front(self) -> None:
        """Bring up to date what other panels may have changed; called when its tab is raised."""

    def showEvent(self, event: QShowEvent) -> None:
        """Notice from now on when the panel's tab comes to the front."""
        super().showEvent(event)
        if not self._watches_sight:  # there is no dock around it before
            notify_in_front(self, self._on_sight)
            self._watches_sight = True

    def _on_sight(self, in_front: bool) -> None:
        if in_front:
            self.came_to_front()

    def let_go(self) -> None:
        """Stop what would outlive the panel; the session itself stays with the viewer."""

    def scroll(self, body: QWidget) -> Page:
        """Fill the panel with `body`, which scrolls up and down."""
        page = Page(body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(page)
        return page

    def add_paint_strip(self, foot: QVBoxLayout) -> None:
        """Put class and confidence of the next stroke into `foot`: one paints here too."""
        self.paint_strip = PaintStrip(self.session)
        foot.addWidget(self.paint_strip)

    def main_window(self) -> QWidget:
        """Return the window we are docked in, also while the dock floats."""
        widget = self
        while widget is not None and not isinstance(widget, QMainWindow):
            widget = widget.parentWidget()
        return widget or self.window()

    def sizeHint(self) -> QSize:
        """Return the size to begin with."""
        return QSize(*self.SIZE) if self.SIZE else super().sizeHint()

    def event(self, event: QEvent) -> bool:
        """Let go when the panel goes."""
        if event.type() == QEvent.Type.DeferredDelete:
            self._links.cut()
            self._viewer.events.theme.disconnect(self._on_theme)
            if self.paint_strip is not None:
                self.paint_strip.close_part()
            self.let_go()
        return bool(super().event(event))

    def _on_theme(self, *_: object) -> None:
        self.show_theme(get_theme(self._viewer.theme))
