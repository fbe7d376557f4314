"""What a build would come to: counts, balance, split, leakage, problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
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

from napari_confseg.annotate.dataset.requests import PARTS, chosen_for_build, rater_choices
from napari_confseg.annotate.train.next_run import Choice
from napari_confseg.widgets.common.choices import Choices, TickList
from napari_confseg.widgets.common.folder_field import FolderField
from napari_confseg.widgets.common.icons import note
from napari_confseg.widgets.common.problem_box import ProblemBox
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


class PreviewView(QWidget):  # type: ignore[misc]
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
        self, preview: Preview | None, classes: Sequence[ClassSpec], *, waiting: str
    ) -> None:
        """Show it; `waiting` tells of a build that can be resumed."""
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
        self.problem.say(
            f"{first.path or 'This'}: {first.message}.{more}" if first else "",
            first.hint if first else "",
        )
        self.facts.setText("Not counted yet." if preview is None else _facts(preview))
        warnings = [*_leaks(preview), *_sizes(preview), *([waiting] if waiting else [])]
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
                + "\n".join(
                    f"{name}: {'–' if v is None else f'{v:.0%}'}" for name, v in shares.items()
                ),
            )
            self.split.addTopLevelItem(row)
        height = self.split.header().sizeHint().height() + 10
        self.split.setFixedHeight(height + len(preview.split.names) * self.split.sizeHintForRow(0))
        self.fairness.setText(
            "No patient is in two parts. Worst difference of a class's share of clips: "
            f"{preview.split.worst_prevalence_deviation:.0%}; of a part's size: "
            f"{preview.split.worst_size_deviation:.0%}."
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


class BuildPage(QWidget):  # type: ignore[misc]
    """Shows a wish for a dataset and asks for its changes: `wished` carries changed fields."""

    wished = Signal(dict)
    build_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.raters, self.classes = Choices("Marks of"), Choices("Class")
        self.clips = TickList("Clips")
        for field, choices in (
            ("raters", self.raters),
            ("classes", self.classes),
            ("clips", self.clips),
        ):
            choices.chosen.connect(lambda names, field=field: self.wished.emit({field: names}))
        self.frames, self.n = QComboBox(), QSpinBox()
        for name, text in FRAMES.items():
            self.frames.addItem(text, name)
        self.frames.activated.connect(
            lambda _: self.wished.emit({"frames": self.frames.currentData()})
        )
        self.n.setRange(1, 1000)
        self.n.setAccessibleName("Every so many frames, or so many of each clip")
        self.n.valueChanged.connect(lambda value: self.wished.emit({"n": value}))
        self._make_size()
        self._make_split()
        self.place = FolderField("Folder of the dataset; versions become v1, v2, ... in it")
        self.place.chosen.connect(lambda text: self.wished.emit({"out": text}))
        self.preview = PreviewView()
        self.build = QPushButton("&Build")
        self.build.setProperty("role", "primary")
        self.build.setToolTip(
            "Freeze this as the next version; the same inputs give the same bytes"
        )
        self.build.clicked.connect(self.build_wanted)
        self._lay_out()

    def _make_size(self) -> None:
        self.resize_frames, self.height_px, self.width_px = QCheckBox("to"), *_sides()
        self.rescale, self.spacing = QCheckBox("to"), QDoubleSpinBox()
        self.spacing.setRange(0.01, 5)
        self.spacing.setDecimals(3)
        self.spacing.setSingleStep(0.05)
        self.spacing.setValue(0.2)
        self.spacing.setSuffix(" mm a pixel")
        self.resize_frames.setToolTip("Fit all frames into this size, and pad with black")
        self.rescale.setToolTip("Bring all to this spacing; refused where a clip has none")
        self.resize_frames.clicked.connect(self._on_size)
        self.rescale.clicked.connect(self._on_size)
        for spin in (self.height_px, self.width_px, self.spacing):
            spin.valueChanged.connect(self._on_size)

    def _on_size(self, *_: object) -> None:
        size = (self.height_px.value(), self.width_px.value())
        self.wished.emit(
            {
                "size": size if self.resize_frames.isChecked() else None,
                "spacing": round(self.spacing.value(), 3) if self.rescale.isChecked() else None,
            }
        )

    def _make_split(self) -> None:
        self.shares = [QSpinBox() for _ in PARTS]
        for spin, part in zip(self.shares, PARTS, strict=True):
            spin.setRange(0, 100)
            spin.setProperty("role", "narrow")
            spin.setToolTip(f"Share of {part} in percent; 0 for none")
            spin.setAccessibleName(f"Share of {part}")
            spin.valueChanged.connect(self._on_shares)
        self.folds, self.seed = QSpinBox(), QSpinBox()
        self.folds.setRange(0, 20)
        self.folds.setSpecialValueText("none")
        self.folds.setToolTip("Folds over all clips, by patient")
        self.seed.setRange(0, 10**6)
        for spin in (self.folds, self.seed):
            spin.setProperty("role", "narrow")
        self.seed.setToolTip("Another seed, another split as fair")
        # One fold is no fold.
        self.folds.valueChanged.connect(lambda v: self.wished.emit({"folds": 2 if v == 1 else v}))
        self.seed.valueChanged.connect(lambda v: self.wished.emit({"seed": v}))

    def _on_shares(self, *_: object) -> None:
        self.wished.emit({"shares": tuple(s.value() for s in self.shares)})

    def _lay_out(self) -> None:
        choices = QFormLayout()
        choices.setContentsMargins(0, 0, 0, 0)
        choices.addRow("Frames", _row(self.frames, self.n))
        choices.addRow("Size", _row(self.resize_frames, self.height_px, QLabel("×"), self.width_px))
        choices.addRow("Spacing", _row(self.rescale, self.spacing))
        train, val, test = self.shares
        choices.addRow("Train %", _row(train, QLabel("val"), val, QLabel("test"), test))
        choices.addRow("Folds", _row(self.folds, QLabel("Seed"), self.seed))
        choices.addRow("Folder", self.place)
        what = QWidget()
        form = QVBoxLayout(what)
        form.setContentsMargins(0, 0, 0, 0)
        form.addLayout(choices)
        self.clip_section = Section("Clips", self.clips)
        self.clip_section.open(False)
        layout = QVBoxLayout(self)
        layout.addWidget(QLabel("Marks of"))
        layout.addWidget(self.raters)
        layout.addWidget(QLabel("Classes"))
        layout.addWidget(self.classes)
        layout.addWidget(self.clip_section)
        layout.addWidget(what)
        layout.addWidget(self.preview)
        layout.addWidget(self.build)
        layout.addStretch(1)

    def show_state(self, state: DatasetState, classes: Sequence[ClassSpec], *, busy: bool) -> None:
        """Show the wish and what it would come to."""
        wish, preview = state.build, state.preview
        chosen = chosen_for_build(wish, state.found)
        self.raters.show_choices(rater_choices(state.found, chosen))
        self.classes.show_choices(
            [
                Choice(c.name, c.label, c.color, 0, wish.classes is None or c.name in wish.classes)
                for c in classes
            ],
            counted=False,
        )
        names = state.clips
        taken = [n for n in names if wish.clips is None or n in wish.clips]
        self.clips.show_names(names, taken)
        self.clip_section.header.setText(f"Clips ({len(taken)} of {len(names)})")
        self.frames.setCurrentIndex(self.frames.findData(wish.frames))
        self.n.setVisible(wish.frames != "reviewed")
        self.n.setPrefix("every " if wish.frames == "every" else "")
        self.n.setSuffix(" frames" if wish.frames == "every" else " a clip")
        self._show_numbers(state)
        self.place.show_place(wish.out)
        self.preview.show_preview(preview, classes, waiting=state.waiting)
        number = max((v.number for v in state.versions), default=0) + 1
        word = "Resume building" if state.waiting else "&Build"
        self.build.setText(f"{word} version {number}")
        self.build.setEnabled(not busy and preview is not None and not preview.problems)

    def _show_numbers(self, state: DatasetState) -> None:
        wish = state.build
        values = [
            (self.n, wish.n),
            (self.folds, wish.folds),
            (self.seed, wish.seed),
            *zip(self.shares, wish.shares, strict=True),
        ]
        if wish.size is not None:
            values += [(self.height_px, wish.size[0]), (self.width_px, wish.size[1])]
        for spin, value in values:
            spin.blockSignals(True)
            spin.setValue(value)
            spin.blockSignals(False)
        for box, on, spins in (
            (self.resize_frames, wish.size is not None, (self.height_px, self.width_px)),
            (self.rescale, wish.spacing is not None, (self.spacing,)),
        ):
            box.setChecked(on)
            for spin in spins:
                spin.setEnabled(on)


def _sides() -> tuple[QSpinBox, QSpinBox]:
    made = []
    for name, value in (("Height", 256), ("Width", 320)):
        spin = QSpinBox()
        spin.setRange(8, 8192)
        spin.setValue(value)
        spin.setSingleStep(16)
        spin.setProperty("role", "narrow")
        spin.setToolTip(f"{name} in pixels")
        spin.setAccessibleName(f"{name} in pixels")
        made.append(spin)
    return made[0], made[1]


def _row(*widgets: QWidget) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for widget in widgets:
        still = isinstance(widget, QLabel | QCheckBox)
        layout.addWidget(widget, 0 if still else 1)
    return row
