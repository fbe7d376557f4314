"""Build page: the form of a dataset, and a preview of counts, balance, split and leakage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSpinBox,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.dataset.requests import rater_choices, raters_of_build
from napari_confseg.annotate.train.next_run import Choice
from napari_confseg.dataset.manifest import BuildRequest, FramePolicy
from napari_confseg.numerals import percent
from napari_confseg.widgets.common.choices import Choices, Chooser, TickList
from napari_confseg.widgets.common.folder_field import FolderField
from napari_confseg.widgets.common.icons import note
from napari_confseg.widgets.common.problem_box import ProblemBox
from napari_confseg.widgets.common.request_form import (
    FieldEditor,
    RequestForm,
    TickEditor,
    narrow,
    put,
    without_buttons,
)
from napari_confseg.widgets.common.section import Section
from napari_confseg.widgets.dataset.plots import ClassBars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.annotate.dataset.model import DatasetState
    from napari_confseg.dataset.preview import Preview
    from napari_confseg.store import ClassSpec


FAR = 0.1
"""Difference from a share asked for that is worth a warning."""
_FAR_WORDS = (
    "The parts are far from the shares asked for: with so few patients, parts of those sizes "
    "would hold too different classes."
)


class PreviewView(QWidget):
    """Shows a preview, or that one is being counted."""

    def __init__(self) -> None:
        super().__init__()
        self.facts, self.fairness, self.warning = note(), note(), note()
        self.warning.setProperty("role", "caution")
        self.bars, self.problem = ClassBars(), ProblemBox()
        self.split = QTreeWidget()
        self.split.setHeaderLabels(["Part", "patients", "clips", "frames"])
        self.split.setRootIsDecorated(False)
        self.split.setSelectionMode(QTreeWidget.SelectionMode.NoSelection)
        self.split.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.split.header().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.split.setAccessibleName("Parts of the split")
        for policy in (
            self.split.setHorizontalScrollBarPolicy,
            self.split.setVerticalScrollBarPolicy,
        ):
            policy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)  # its height is that of its rows
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        for widget in (
            self.facts,
            self.bars,
            self.split,
            self.fairness,
            self.warning,
            self.problem,
        ):
            layout.addWidget(widget)

    def show_preview(
        self, preview: Preview | None, classes: Sequence[ClassSpec], *, resumable: str
    ) -> None:
        """Show a preview; `resumable` is a sentence about a build that was stopped."""
        whole = preview is not None and preview.split is not None
        self.bars.setVisible(whole)
        self.split.setVisible(whole)
        self.fairness.setVisible(whole)
        first = preview.problems[0] if preview and preview.problems else None
        more = (
            f" And {len(preview.problems) - 1} more."
            if first and preview and len(preview.problems) > 1
            else ""
        )
        self.problem.show_problem(
            f"{first.path or 'This'}: {first.message}.{more}" if first else "",
            first.hint if first else "",
        )
        self.facts.setText("Not counted yet." if preview is None else _facts(preview))
        warnings = [*_leaks(preview), *_sizes(preview), *([resumable] if resumable else [])]
        self.warning.setText("\n".join(warnings))
        self.warning.setVisible(bool(warnings))
        if preview is not None and preview.split is not None:
            self._show_split(preview, classes)

    def _show_split(self, preview: Preview, classes: Sequence[ClassSpec]) -> None:
        assert preview.split is not None
        counts = {
            c.name: preview.count(c.name) for c in classes if c.name in preview.request.classes
        }
        self.bars.show_counts(
            [
                (c, counts[c.name].marked, counts[c.name].reviewed)
                for c in classes
                if c.name in counts
            ]
        )
        self.split.clear()
        for part in preview.split.names:
            clips = [c for c in preview.clips if preview.split.of_clip[c.clip] == part]
            numbers = (
                len({c.patient for c in clips}),
                len(clips),
                sum(len(c.frames) for c in clips),
            )
            row = QTreeWidgetItem([part, *map(str, numbers)])
            shares = preview.split.prevalence[part]
            row.setToolTip(
                0,
                "Share of clips with each class:\n"
                + "\n".join(f"{name}: {percent(v)}" for name, v in shares.items()),
            )
            self.split.addTopLevelItem(row)
        height = self.split.header().sizeHint().height() + 10
        self.split.setFixedHeight(height + len(preview.split.names) * self.split.sizeHintForRow(0))
        self.fairness.setText(
            "No patient is in two parts. Worst difference of a class's share of clips: "
            f"{100 * preview.split.worst_prevalence_deviation:.0f} %; of a part's size: "
            f"{100 * preview.split.worst_size_deviation:.0f} %."
        )


def _facts(preview: Preview) -> str:
    if not preview.clips:
        return ""
    return f"{len(preview.clips)} clips of {preview.patients} patients, {preview.frames} frames."


def _sizes(preview: Preview | None) -> list[str]:
    split = preview.split if preview else None
    if split is None or split.worst_size_deviation <= FAR:
        return []
    return [_FAR_WORDS]


def _leaks(preview: Preview | None) -> list[str]:
    if preview is None or not preview.leakage:
        return []
    leakage = preview.leakage
    lines = [f"One video is in two parts, as {', '.join(v)}." for v in leakage.videos[:3]]
    if leakage.frames:
        first = leakage.frames[0]
        lines.append(
            f"{len(leakage.frames)} pairs of frames in different parts look alike, "
            f"first {first.a} and {first.b}."
        )
    return lines


FRAMES = {
    "reviewed": "all that are reviewed",
    "every": "every so many",
    "disagreement": "where raters differ most",
}
"""Kind of a frame policy -> what people read."""

PARTS = ("train", "val", "test")


class FramesEditor(FieldEditor):
    """Editor of a frame policy: its kind, and its number unless all frames are taken."""

    def __init__(self) -> None:
        super().__init__(QWidget())
        self.kind, self.n = Chooser(), QSpinBox()
        for name, text in FRAMES.items():
            self.kind.addItem(text, name)
        narrow(self.kind)
        self.kind.setMinimumContentsLength(3)  # numbers may stand beside it
        self.kind.setToolTip("Which of the reviewed frames go in")
        self.kind.setAccessibleName("Frames")
        self.kind.activated.connect(self._on_kind)
        self.n.setRange(1, 1000)
        self.n.setValue(5)
        self.n.setToolTip("Every so many frames, or so many of each clip")
        self.n.setAccessibleName("Number of frames")
        without_buttons(self.n)
        self.n.valueChanged.connect(lambda _: self.edited.emit())
        _row(self.native, self.kind, self.n)
        self._show_number()

    def _on_kind(self, _: int) -> None:
        self._show_number()
        self.edited.emit()

    def _show_number(self) -> None:
        kind = self.kind.currentData()
        self.n.setVisible(kind != "reviewed")
        self.n.setPrefix("every " if kind == "every" else "")
        self.n.setSuffix(" frames" if kind == "every" else " a clip")

    def value(self) -> FramePolicy:
        """Return the policy."""
        kind = self.kind.currentData()
        return FramePolicy(kind=kind, n=1 if kind == "reviewed" else self.n.value())

    def set_value(self, value: FramePolicy) -> None:
        """Show a policy."""
        self.kind.setCurrentIndex(self.kind.findData(value.kind))
        if value.kind != "reviewed":
            put(self.n, value.n)
        self._show_number()


SIZES = {
    "": "as recorded",
    "study": "of a study's networks",
    "quick": "of quick networks",
    "normal": "of normal networks",
    "own": "fit into",
}
"""Choice of a size -> what people read."""


class SizeEditor(FieldEditor):
    """Editor of the frames' size: as they are, a network's, or height and width."""

    def __init__(self) -> None:
        super().__init__(QWidget())
        self.kind, self.sides = Chooser(), (QSpinBox(), QSpinBox())
        for name, text in SIZES.items():
            self.kind.addItem(text, name)
        narrow(self.kind)
        self.kind.setMinimumContentsLength(3)  # numbers may stand beside it
        self.kind.setAccessibleName("Size")
        self.kind.setToolTip("Size that all frames get: scaled to fit, and padded with black")
        self.kind.activated.connect(self._on_kind)
        for spin, name, value in zip(self.sides, ("Height", "Width"), (256, 320), strict=True):
            spin.setRange(8, 8192)
            spin.setValue(value)
            spin.setSingleStep(16)
            without_buttons(spin)
            spin.setToolTip(f"{name} in pixels")
            spin.setAccessibleName(f"{name} in pixels")
            spin.valueChanged.connect(lambda _: self.edited.emit())
        self._times = QLabel("×")
        _row(self.native, self.kind, self.sides[0], self._times, self.sides[1])
        self._show_sides()

    def _on_kind(self, _: int) -> None:
        self._show_sides()
        self.edited.emit()

    def _show_sides(self) -> None:
        for widget in (*self.sides, self._times):
            widget.setVisible(self.kind.currentData() == "own")

    def value(self) -> tuple[int, int] | str | None:
        """Return height and width, the name of a network's size, or None."""
        kind = self.kind.currentData()
        return (self.sides[0].value(), self.sides[1].value()) if kind == "own" else kind or None

    def set_value(self, value: tuple[int, int] | str | None) -> None:
        """Show a size."""
        kind = value if isinstance(value, str) else "own" if value else ""
        self.kind.setCurrentIndex(self.kind.findData(kind))
        if isinstance(value, tuple):
            for spin, side in zip(self.sides, value, strict=True):
                put(spin, side)
        self._show_sides()


class SharesEditor(FieldEditor):
    """Editor of the split: percent of training, validation and test; a part of 0 is left out."""

    def __init__(self) -> None:
        super().__init__(QWidget())
        self.spins = {part: QSpinBox() for part in PARTS}
        widgets: list[QWidget] = []
        for part, spin in self.spins.items():
            spin.setRange(0, 100)
            without_buttons(spin)
            spin.setToolTip(f"Share of {part} in percent; 0 for none")
            spin.setAccessibleName(f"Share of {part}")
            spin.valueChanged.connect(lambda _: self.edited.emit())
            widgets += [spin] if part == "train" else [QLabel(part), spin]
        _row(self.native, *widgets)

    def value(self) -> dict[str, float]:
        """Return the shares 0..1 of the parts that are not empty."""
        shares = {part: spin.value() for part, spin in self.spins.items()}
        if sum(shares.values()) != 100:
            raise ValueError(f"The shares must add up to 100 %; now {sum(shares.values())} %.")
        return {part: share / 100 for part, share in shares.items() if share}

    def set_value(self, value: dict[str, float]) -> None:
        """Show shares."""
        for part, spin in self.spins.items():
            put(spin, round(100 * value.get(part, 0)))


class FolderEditor(FieldEditor):
    """Editor of the dataset's folder, whose last part is the dataset's name."""

    def __init__(self) -> None:
        self.field = FolderField("Folder of the dataset; versions become v1, v2, ... in it")
        super().__init__(self.field)
        self.folder = ""
        self.field.chosen.connect(self._on_chosen)

    def _on_chosen(self, folder: str) -> None:
        self.folder = folder
        self.edited.emit()

    def show_folder(self, folder: str) -> None:
        """Show a folder."""
        self.folder = folder
        self.field.show_place(folder)

    def value(self) -> str:
        """Return the dataset's name."""
        return Path(self.folder).name

    def set_value(self, value: str) -> None:
        """Do nothing: the name follows from the folder."""


class BuildPage(QWidget):
    """Form of a dataset; `requested` carries request and folder when a person has changed it."""

    requested = Signal(object, str)
    build_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.raters, self.classes = Choices("Marks of"), Choices("Class")
        self.clips = TickList("Clips")
        self._ticks = {
            "raters": TickEditor(self.raters, "Tick whose marks go in."),
            "classes": TickEditor(self.classes, "Tick at least one class."),
            "clips": TickEditor(self.clips, "Tick at least one clip."),
        }
        self.frames, self.shares, self.place = FramesEditor(), SharesEditor(), FolderEditor()
        editors = {
            **self._ticks,
            "frames": self.frames,
            "size": SizeEditor(),
            "parts": self.shares,
            "name": self.place,
        }
        self.form = RequestForm(
            BuildRequest,
            ("frames", "size", "spacing", "parts", "folds", "seed", "name"),
            editors=editors,
            labels={"parts": "Train %", "name": "Folder"},
        )
        self.form.edited.connect(self._on_edited)
        self.preview = PreviewView()
        self.build = QPushButton("&Build")
        self.build.setProperty("role", "primary")
        self.build.setToolTip(
            "Freeze this as the next version; the same inputs give the same bytes"
        )
        self.build.clicked.connect(self.build_wanted)
        self._lay_out()

    def _on_edited(self) -> None:
        request = self.form.request()
        if request is None:
            self.build.setEnabled(False)
        else:
            self.requested.emit(request, self.place.folder)

    def _lay_out(self) -> None:
        self.clip_section = Section("Clips", self.clips)
        self.clip_section.open(False)
        layout = QVBoxLayout(self)
        layout.addWidget(QLabel("Marks of"))
        layout.addWidget(self.raters)
        layout.addWidget(QLabel("Classes"))
        layout.addWidget(self.classes)
        layout.addWidget(self.clip_section)
        layout.addWidget(self.form)
        layout.addWidget(self.preview)
        layout.addWidget(self.build)
        layout.addStretch(1)

    def show_state(self, state: DatasetState, classes: Sequence[ClassSpec], *, busy: bool) -> None:
        """Show the request and what it would come to."""
        if self.form.valid:
            self._show_ticks(state, classes)
            self.place.show_folder(state.folder)
        self.form.set_request(state.build)
        self.preview.show_preview(state.preview, classes, resumable=state.resumable)
        number = max((v.number for v in state.versions), default=0) + 1
        word = "Resume building" if state.resumable else "&Build"
        self.build.setText(f"{word} version {number}")
        counted = state.preview is not None and not state.preview.problems
        self.build.setEnabled(self.form.valid and not busy and counted)

    def _show_ticks(self, state: DatasetState, classes: Sequence[ClassSpec]) -> None:
        request = state.build
        chosen = raters_of_build(request, state.found)
        default = raters_of_build(request.model_copy(update={"raters": ()}), state.found)
        self._ticks["raters"].show_ticked(chosen, default)
        self.raters.show_choices(rater_choices(state.found, chosen))
        names = [c.name for c in classes]
        ticked = [n for n in names if not request.classes or n in request.classes]
        self._ticks["classes"].show_ticked(ticked, names)
        self.classes.show_choices(
            [Choice(c.name, c.label, c.color, 0, c.name in ticked) for c in classes],
            counted=False,
        )
        taken = [n for n in state.clips if not request.clips or n in request.clips]
        self._ticks["clips"].show_ticked(taken, state.clips)
        self.clips.show_names(state.clips, taken)
        self.clip_section.header.setText(f"Clips ({len(taken)} of {len(state.clips)})")


def _row(parent: QWidget, *widgets: QWidget) -> None:
    layout = QHBoxLayout(parent)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for widget in widgets:
        layout.addWidget(widget, 0 if isinstance(widget, QLabel) else 1)
