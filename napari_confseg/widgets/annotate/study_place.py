"""Where a new study folder is to lie."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

ENDING: Final = ".zarr"


def free_place(folder: Path, name: str = "study") -> Path:
    """Return a place in `folder` where nothing is yet."""
    place, number = folder / f"{name}{ENDING}", 2
    while place.exists():
        place, number = folder / f"{name}-{number}{ENDING}", number + 1
    return place


class StudyPlace(QWidget):
    """A line for the place of a new study folder, with a button that asks for one.

    Parameters
    ----------
    place : Path
        What is shown first.
    """

    changed = Signal()

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.line = QLineEdit(str(place))
        self.line.setAccessibleName("New study folder")
        self.line.setToolTip(
            "A folder that is made now, for clips and marks; its name ends in .zarr"
        )
        self.line.textChanged.connect(lambda _text: self.changed.emit())
        self.pick = QPushButton("…")
        self.pick.setFixedWidth(32)
        self.pick.setToolTip("Choose where the study folder is to lie")
        self.pick.setAccessibleName(self.pick.toolTip())
        self.pick.clicked.connect(self._ask)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self.pick)

    def place(self) -> Path:
        """Return the place, its ending added where it was left out."""
        place = Path(self.line.text().strip()).expanduser()
        return place if place.suffix == ENDING else place.with_name(place.name + ENDING)

    def problem(self) -> str:
        """Return why no study folder can be made there, in a sentence; empty if one can."""
        if not Path(self.line.text().strip()).name:
            return "Say where the new study folder is to lie."
        place = self.place()
        if place.exists():
            return f"{place.name} is there already: open it, or choose another name."
        if not place.parent.is_dir():
            return f"There is no folder {place.parent}."
        return ""

    def _ask(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(
            self, "New study folder", str(self.place()), f"Study folder (*{ENDING})"
        )
        if chosen:
            self.line.setText(chosen)
