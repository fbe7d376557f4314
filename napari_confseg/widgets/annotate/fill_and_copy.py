"""The section Fill and copy: propagation, interpolation, copy, paste."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_confseg.annotate.links import links_of
from napari_confseg.annotate.tools.filling import run
from napari_confseg.annotate.tools.toolkit import ToolAction
from napari_confseg.widgets.common.buttons import button, label, with_key
from napari_confseg.widgets.common.jobs import BackgroundJob
from napari_confseg.widgets.common.section import StillWheel
from napari_confseg.widgets.common.slider_row import SliderRow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qtpy.QtWidgets import QToolButton

    from napari_confseg.annotate.session import Session
    from napari_confseg.annotate.tools.filling import Filled, Filling

UNDER_WAY: Final = "Frames are being filled in: wait for it, or stop it below."

_TIPS: Final = {
    "carry.back": "Carry this frame's marks back through the clip, along with the picture",
    "carry.previous": "Carry this frame's marks to the previous frame and go there",
    "carry.next": "Carry this frame's marks to the next frame and go there",
    "carry.on": "Carry this frame's marks on through the clip, along with the picture; "
    "confidence falls with every step and where the picture does not match",
    "interpolate": "Fill the frames between two that you painted; halfway the confidence is least",
    "copy": "Copy the marks of this frame",
    "paste": "Put what was copied onto this frame, in the same place",
    "clip-to-sector": "Take away what lies outside the sector, on every frame",
}
_DIRECTION: Final = {"carry.back": -1, "carry.previous": -1, "carry.next": 1, "carry.on": 1}
_WORDS: Final = {"propagate": "Carrying marks on …", "interpolate": "Filling the gap …"}


class FillAndCopy(QWidget):
    """Buttons for what :class:`~napari_confseg.annotate.tools.toolkit.Toolkit` does.

    What takes long runs beside the event loop. One can paint meanwhile: what was found is merged
    into the planes as they are then, as one stroke.

    Parameters
    ----------
    session : Session
        What it shows and works on.
    """

    busy = Signal(object, str)  # BackgroundJob, str: work began that takes a while

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._toolkit = session.toolkit
        self._job: BackgroundJob | None = None
        self._keys: Mapping[str, str] = {}
        self.buttons: dict[str, QToolButton] = {}
        self._make_carrying()
        self._make_rest()
        session_events = session.events
        heard = [
            session.editor.progress_changed,
            *(
                session_events[name]
                for name in (
                    "clip",
                    "frame",
                    "class_name",
                    "hidden",
                    "marks_shown",
                    "solo",
                    "locked",
                    "save_state",
                    "clipboard",
                    "every_class",
                    "reach",
                )
            ),
        ]
        self._links = links_of(self, *((signal, self.refresh) for signal in heard))
        self.refresh()

    def _make_carrying(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(3)
        row.addWidget(self._button("carry.back", "←", self.carry_through))
        row.addWidget(self._button("carry.previous", "← 1", self.carry_one))
        row.addWidget(self._button("carry.next", "1 →", self.carry_one))
        row.addWidget(self._button("carry.on", "→", self.carry_through))
        self.reach = SliderRow("Through", 2, 2, "fr.", "How far the outer arrows go, at most")
        self.reach.slider.installEventFilter(StillWheel(self))
        self.reach.wanted.connect(lambda n: setattr(self._session, "reach", n))
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)
        self._layout.addWidget(label("Carry marks on, along with the picture", role="note"))
        self._layout.addLayout(row)
        self._layout.addWidget(self.reach)

    def _make_rest(self) -> None:
        toolkit = self._toolkit
        row = QHBoxLayout()
        row.setSpacing(3)
        row.addWidget(self._button("interpolate", "Fill gap", lambda _d: self.interpolate()), 1)
        row.addWidget(self._button("copy", "Copy", lambda _d: toolkit.copy()), 1)
        row.addWidget(self._button("paste", "Paste", lambda _d: toolkit.paste()), 1)
        row.addWidget(
            self._button("clip-to-sector", "To sector", lambda _d: toolkit.clip_to_sector()), 1
        )
        self.every = QCheckBox("In every class that shows")
        self.every.setToolTip("Else in the class being painted; locked classes are left alone")
        self.every.clicked.connect(lambda on: setattr(self._session, "every_class", on))
        self._layout.addLayout(row)
        self._layout.addWidget(self.every)

    def _button(self, name: str, text: str, do: Callable[[int], object]) -> QToolButton:
        made = button(text, "")
        made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        made.clicked.connect(lambda _on=False: do(_DIRECTION.get(name, 0)))
        self.buttons[name] = made
        return made

    def close_part(self) -> None:
        """Listen no more, and stop what is under way."""
        self._links.cut()
        if self._job is not None:
            self._job.cancel()

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Name the keys in the tooltips."""
        self._keys = dict(keys)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Enable what can be done; tooltips have the reason where it can't."""
        session = self._session
        for name, made in self.buttons.items():
            action = ToolAction.PROPAGATE if name in _DIRECTION else ToolAction(name)
            why = self._toolkit.why_not(action, _DIRECTION.get(name, 0))
            if self._job is not None and action in (
                ToolAction.PROPAGATE,
                ToolAction.INTERPOLATE,
            ):
                why = UNDER_WAY
            made.setEnabled(not why)
            tip = with_key(_TIPS[name], self._keys.get(name))
            made.setToolTip(f"{tip}\n{why}" if why else tip)
        self.every.setChecked(session.every_class)
        self._show_reach()

    def _show_reach(self) -> None:
        most = max(len(self._session.status) - 1, 2)
        shown = min(max(self._session.reach, 2), most)
        self.reach.set_range(2, most)
        self.reach.set_value(shown)
        self.buttons["carry.back"].setText(f"← {shown}")
        self.buttons["carry.on"].setText(f"{shown} →")

    # ---- what takes a while ---------------------------------------------------------------

    def carry_one(self, direction: int) -> None:
        """Carry the marks to the next or the previous frame, and go there."""
        session = self._session
        at = session.view().frame
        if self._job is None and self._toolkit.propagate(1, direction) is not None:
            session.frame = at + direction

    def carry_through(self, direction: int) -> None:
        """Carry the marks on through the frames within reach."""
        if self._job is None:
            self._begin(self._toolkit.propagation(self._session.reach, direction))

    def interpolate(self) -> None:
        """Fill the gap about this frame."""
        if self._job is None:
            self._begin(self._toolkit.interpolation())

    def _begin(self, filling: Filling | None) -> None:
        if filling is None:
            return
        job = BackgroundJob(lambda c: run(filling, c.report, c.cancelled), self)
        self._job = job
        job.done.connect(lambda found: self._on_done(filling, found))
        job.failed.connect(self._on_failed)
        self.busy.emit(job, _WORDS[filling.tool])
        self.refresh()
        job.start()

    def _on_done(self, filling: Filling, found: list[Filled]) -> None:
        self._job = None
        if self._toolkit.land(filling, found) is not None:
            words = (self._toolkit.kept_words, _so_far(filling, found))
            self._session.message = " ".join(filter(None, words))
        self.refresh()

    def _on_failed(self, error: object) -> None:
        self._job = None
        self._session.message = str(error) or type(error).__name__
        self.refresh()


def _so_far(filling: Filling, found: list[Filled]) -> str:
    """Return in words how far marks were carried, where that is not as far as was asked."""
    last = found[-1]
    if filling.tool != "propagate" or (len(found) == filling.total and not last.lost):
        return ""
    if not last.lost:
        return f"Carried to frame {last.frame + 1} and no further: stopped, or out of sight."
    why = f"the picture matches by {100 * (last.match or 0):.0f} % there"
    return f"Carried as far as frame {last.frame + 1}, where nothing is left: {why}."
