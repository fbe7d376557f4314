"""The cohort's active model: which it is, the run on show in its place, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QInputDialog, QPushButton, QVBoxLayout, QWidget

from napari_confseg.annotate.model_words import model_words
from napari_confseg.widgets.common.icons import note
from napari_confseg.widgets.common.problem_box import ProblemBox

if TYPE_CHECKING:
    from napari_confseg.annotate.train.activation import Activation
    from napari_confseg.annotate.train.runs import RunState


class ActiveModelView(QWidget):
    """One line on the active model, with buttons.

    Signals
    -------
    activate_wanted : str
        A person's reason to do it without a comparison; empty to compare first.
    back_wanted
    """

    activate_wanted = Signal(str)
    back_wanted = Signal()

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.text, self.why = note(), note()
        self.activate = QPushButton("Make a&ctive")
        self.activate.setToolTip(
            "Let this run suggest and rank in this cohort, if it is not worse than the active "
            "model on clips that neither has learnt from"
        )
        self.activate.clicked.connect(lambda: self.activate_wanted.emit(""))
        self.back = QPushButton("&Back")
        self.back.setToolTip("Take back the latest change of the active model")
        self.back.clicked.connect(self.back_wanted)
        self.problem = ProblemBox()
        self.insist = QPushButton("Make active all the same…")
        self.insist.setToolTip("Asks for your reason, which is kept in the cohort")
        self.insist.clicked.connect(self._ask_for_reason)
        buttons = QHBoxLayout()
        buttons.addWidget(self.activate, 1)
        buttons.addWidget(self.back, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.text)
        layout.addWidget(self.why)
        layout.addLayout(buttons)
        layout.addWidget(self.problem)
        layout.addWidget(self.insist)

    def show_activation(
        self, activation: Activation, run: RunState | None, *, read_only: bool
    ) -> None:
        """Show the active model, and what can be done with the run on show."""
        model, busy = activation.model, activation.busy
        chosen = model.chosen if model is not None else None
        self.text.setText(in_words(activation))
        self.why.setText(f"Made active by {chosen.by}: {chosen.why}." if chosen is not None else "")
        self.why.setVisible(chosen is not None and not busy)
        is_active = run is not None and model is not None and model.location == str(run.folder.path)
        usable = run is not None and run.checkpoint and not run.phase.live
        self.activate.setEnabled(usable and not is_active and not busy and not read_only)
        self.back.setEnabled(activation.can_go_back and not busy and not read_only)
        missing = model.problem if model is not None else ""
        self.problem.show_problem(
            "" if busy else activation.problem or (f"{missing}." if missing else "")
        )
        refused = run is not None and activation.refused == run.folder.path
        self.insist.setVisible(refused and not busy and not read_only)

    def _ask_for_reason(self) -> None:
        reason, ok = QInputDialog.getText(
            self, "Make active all the same", "Why, for the cohort's record:"
        )
        if ok and reason.strip():
            self.activate_wanted.emit(reason.strip())


def in_words(activation: Activation) -> str:
    """Return which model is active, or what is being done."""
    if activation.busy:
        return activation.busy
    if activation.model is None:
        return ""
    return f"Active model: {model_words(activation.model.name)}"
