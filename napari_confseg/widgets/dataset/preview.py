"""What a build would come to: counts, balance, split, leakage, problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from napari_confseg.widgets.dataset.plots import ClassBars
from napari_confseg.widgets.parts.problem_box import ProblemBox
from napari_confseg.widgets.parts.signs import note

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        for policy in (self.split.setHorizontalScrollBarPolicy,
                       self.split.setVerticalScrollBarPolicy):  # fmt: skip
            policy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)  # its height is that of its rows
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        for widget in (self.facts, self.bars, self.split, self.fairness, self.warning,
                       self.problem):  # fmt: skip
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
        more = f" And {len(preview.problems) - 1} more." if first and preview and len(
            preview.problems) > 1 else ""  # fmt: skip
        self.problem.say(f"{first.path or 'This'}: expected {first.expected}, found {first.found}."
                         f"{more}" if first else "", first.hint if first else "")  # fmt: skip
        self.facts.setText("Not counted yet." if preview is None else _facts(preview))
        warnings = [*_leaks(preview), *_sizes(preview), *([waiting] if waiting else [])]
        self.warning.setText("\n".join(warnings))
        self.warning.setVisible(bool(warnings))
        if preview is not None and preview.split is not None:
            self._show_split(preview, classes)

    def _show_split(self, preview: Preview, classes: Sequence[ClassSpec]) -> None:
        assert preview.split is not None
        counts = {c.name: preview.count(c.name) for c in classes
                  if c.name in preview.request.classes}  # fmt: skip
        self.bars.show_counts([(c, counts[c.name].marked, counts[c.name].reviewed)
                               for c in classes if c.name in counts])  # fmt: skip
        self.split.clear()
        for part in preview.split.names:
            clips = [c for c in preview.clips if preview.split.of_clip[c.clip] == part]
            numbers = (len({c.patient for c in clips}), len(clips),
                       sum(len(c.frames) for c in clips))  # fmt: skip
            row = QTreeWidgetItem([part, *map(str, numbers)])
            shares = preview.split.prevalence[part]
            row.setToolTip(0, "Share of clips with each class:\n" + "\n".join(
                f"{name}: {'–' if v is None else f'{v:.0%}'}" for name, v in shares.items()
            ))  # fmt: skip
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
        lines.append(f"{len(leakage.frames)} pairs of frames in different parts look alike, "
                     f"first {first.a} and {first.b}.")  # fmt: skip
    return lines
