"""Consensus page: several raters become one more; preview it first, then write it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.agreement.consensus import ConsensusRequest
from napari_confseg.agreement.methods import METHODS
from napari_confseg.annotate.dataset.requests import learnt, rater_choices, raters_of_consensus
from napari_confseg.widgets.common.choices import Choices
from napari_confseg.widgets.common.icons import note
from napari_confseg.widgets.common.request_form import RequestForm, TickEditor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_confseg.agreement.consensus import ConsensusReport
    from napari_confseg.annotate.dataset.model import DatasetState
    from napari_confseg.store import ClassSpec


class ConsensusPage(QWidget):
    """Form of a consensus; `requested` carries the request whenever a person has changed it."""

    requested = Signal(object)
    preview_wanted = Signal()
    write_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._made: ConsensusReport | None = None
        self.raters = Choices("Consensus of")
        self._ticks = TickEditor(self.raters, "Tick at least one rater.")
        self.form = RequestForm(
            ConsensusRequest,
            ("method", "threshold", "least", "name"),
            editors={"raters": self._ticks},
            notes=("method",),
        )
        self.form.edited.connect(self._on_edited)
        self.method = self.form["method"]
        self.preview = QPushButton("&Preview on this clip")
        self.preview.setToolTip("Show it on the clip on screen; nothing is written")
        self.preview.clicked.connect(self.preview_wanted)
        self.write = QPushButton("&Write as rater")
        self.write.setProperty("role", "primary")
        self.write.setToolTip("Write it into the cohort, on every clip that enough have reviewed")
        self.write.clicked.connect(self.write_wanted)
        self.facts = note()
        self.fitted = QTreeWidget()
        self.fitted.setHeaderLabels(["Class, rater", "estimated"])
        self.fitted.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.fitted.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.fitted.setAccessibleName("What was estimated of the raters")
        self.fitted.setMinimumHeight(160)
        self._lay_out()

    def _on_edited(self) -> None:
        request = self.form.request()
        if request is None:
            self.preview.setEnabled(False)
            self.write.setEnabled(False)
        else:
            self.requested.emit(request)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.preview, 1)
        buttons.addWidget(self.write, 1)
        layout = QVBoxLayout(self)
        layout.addWidget(self.raters)
        layout.addWidget(self.form)
        layout.addLayout(buttons)
        layout.addWidget(self.facts)
        layout.addWidget(self.fitted)
        layout.addStretch(1)

    def show_state(
        self, state: DatasetState, classes: Sequence[ClassSpec], clip: str | None, *, busy: bool
    ) -> None:
        """Show the request, and what was written last; `clip` is the one on screen."""
        request = state.consensus
        chosen = raters_of_consensus(request, state.found)
        if self.form.valid:
            self._ticks.show_ticked(chosen, learnt(state.found))
            self.raters.show_choices(rater_choices(state.found, chosen))
        self.form.set_request(request)
        self.form.notes["method"].setText(METHODS[request.method].purpose)
        self.form.show_row("threshold", METHODS[request.method].threshold)
        name = self.form["name"]
        if isinstance(name, QLineEdit):
            name.setPlaceholderText(request.method)
        enough = len(chosen) >= request.least
        ready = self.form.valid and not busy and enough
        self.preview.setEnabled(ready and clip is not None)
        self.write.setEnabled(ready)
        self._show_made(state.made, classes)
        if not enough:
            self.facts.setText(f"Tick at least {request.least} raters, or ask for fewer.")

    def _show_made(self, made: ConsensusReport | None, classes: Sequence[ClassSpec]) -> None:
        self.fitted.setVisible(bool(made and made.fitted))
        self.facts.setText("" if made is None else _words(made))
        if made is self._made:
            return
        self._made = made
        self.fitted.clear()
        labels = {c.name: c.label for c in classes}
        for class_name, fitted in made.fitted.items() if made else ():
            parent = QTreeWidgetItem([labels.get(class_name, class_name)])
            for rater, words in _estimates(fitted["raters"]):
                parent.addChild(QTreeWidgetItem([rater, words]))
            self.fitted.addTopLevelItem(parent)
        self.fitted.expandAll()


def _words(made: ConsensusReport) -> str:
    who = ", ".join(made.raters)
    if not made.clips:
        return f"No clip was reviewed by enough of {who}: nothing was written."
    return (
        f"{made.rater} ({made.method} of {who}) is on {len(made.clips)} clips, {made.frames} "
        "planes (a plane is one class on one frame)."
    )


def _estimates(raters: dict[str, dict[str, float]]) -> Iterator[tuple[str, str]]:
    for name, found in raters.items():
        if "overlooked" in found:
            yield name, f"overlooks {100 * found['overlooked']:.0f} %"
        else:
            yield (
                name,
                (f"sensitivity {found['sensitivity']:.2f}, specificity {found['specificity']:.3f}"),
            )
