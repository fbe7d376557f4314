"""Widgets of the Annotate panel and their layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtWidgets import QPushButton, QStackedWidget, QVBoxLayout, QWidget

from napari_confseg.widgets.annotate.accept import AcceptForm
from napari_confseg.widgets.annotate.clip_head import ClipHead
from napari_confseg.widgets.annotate.clip_notes import ClipNotesForm
from napari_confseg.widgets.annotate.cohort_bar import CohortBar
from napari_confseg.widgets.annotate.confidence import ConfidenceDial, UsagePart
from napari_confseg.widgets.annotate.conflict import ConflictBanner
from napari_confseg.widgets.annotate.fill_and_copy import FillAndCopy
from napari_confseg.widgets.annotate.notices import Finished, ImportNotice
from napari_confseg.widgets.annotate.other_raters import OtherRaters
from napari_confseg.widgets.annotate.palette import ClassPalette
from napari_confseg.widgets.annotate.readouts import ReadoutsPart
from napari_confseg.widgets.annotate.save_state import SaveStateRow
from napari_confseg.widgets.annotate.sector import SectorPart
from napari_confseg.widgets.annotate.start_page import StartPage
from napari_confseg.widgets.annotate.suggest import SuggestPart
from napari_confseg.widgets.annotate.tools import StyleRow, ToolBox, ToolOptions
from napari_confseg.widgets.annotate.transport import Transport
from napari_confseg.widgets.common.buttons import label
from napari_confseg.widgets.common.jobs import ProgressRow
from napari_confseg.widgets.common.page import Page
from napari_confseg.widgets.common.section import Section, still_wheel
from napari_confseg.widgets.common.slider_row import SliderRow

if TYPE_CHECKING:
    import napari

    from napari_confseg.annotate.session import Session


_OUT_OF_REACH: Final = (
    "The study folder is out of reach: frames not seen yet are black. What you paint is kept on "
    "this computer; both come right by themselves when it is back."
)


class AnnotateForm(QWidget):
    """A page to start from and a page to work on, over a footer with the state of saving.

    Parameters
    ----------
    session : Session
        What the parts that follow it by themselves show.
    viewer : napari.Viewer
        Where the sector's corners are dragged.
    """

    def __init__(self, session: Session, viewer: napari.Viewer) -> None:
        super().__init__()
        self._make()
        self._make_parts(session, viewer)
        self._lay_out()
        self._add_parts()
        still_wheel(self)

    def _make(self) -> None:
        self.start, self.bar = StartPage(), CohortBar()
        self.palette_, self.dial, self.tools = ClassPalette(), ConfidenceDial(), ToolBox()
        self.others = OtherRaters()
        self.opacity = SliderRow("Opacity", 5, 100, "%", "How opaque a mark of full confidence is")
        self.threshold = SliderRow(
            "Show from", 0, 100, "%", "Hides marks below this confidence; nothing is changed"
        )
        self.no_clips = label("This study folder has no clips yet.", role="note")
        self.import_ = QPushButton("Import clips …")
        self.import_.setProperty("role", "primary")
        self.view_section = Section("View", self.opacity, self.threshold)
        self.confidence_section = Section("Confidence", self.dial)
        self.tools_section = Section("Tool", self.tools)
        self.suggest_section = Section("Suggest")
        self.fill_section = Section("Fill and copy")
        self.readouts_section = Section("Read-outs")
        self.readouts_section.open(False)  # computed while unfolded
        self.others_section = Section("Others on this clip", self.others)
        self.notes_section = Section("Clip notes")
        self.sector_section = Section("Sector")
        self.sector_section.open(False)  # looked at once a clip
        self.work_sections = [
            Section("Class", self.palette_),
            self.confidence_section,
            self.tools_section,
            self.suggest_section,
            self.fill_section,
            self.view_section,
            self.others_section,
            self.notes_section,
            self.sector_section,
            self.readouts_section,
        ]
        self.out_of_reach = label(_OUT_OF_REACH, role="caution")
        self.out_of_reach.hide()
        self.message, self.progress = label(role="caution"), ProgressRow()
        self.message.hide()
        self.save_state = SaveStateRow()

    def _make_parts(self, session: Session, viewer: napari.Viewer) -> None:
        """Make the widgets that follow the session by themselves."""
        self.head, self.notes = ClipHead(session), ClipNotesForm(session)
        self.usage, self.options = UsagePart(session), ToolOptions(session)
        self.accept, self.suggest = AcceptForm(session), SuggestPart(session)
        self.fill, self.style_row = FillAndCopy(session), StyleRow(session)
        self.sector, self.readouts = SectorPart(session, viewer), ReadoutsPart(session)
        self.finished, self.sheet = Finished(session), ImportNotice(session)
        self.conflict, self.transport = ConflictBanner(session), Transport(session)

    def _lay_out(self) -> None:
        work = QWidget()
        inside = QVBoxLayout(work)
        inside.setContentsMargins(8, 6, 8, 6)
        inside.setSpacing(2)
        for widget in (self.bar, self.head, self.no_clips, self.import_, *self.work_sections):
            inside.addWidget(widget)
        for section in self.work_sections:
            section.layout().setSpacing(1)
        inside.addStretch(1)
        self.pages = QStackedWidget()
        start = QWidget()
        QVBoxLayout(start).addWidget(self.start)
        for page in (start, work):
            self.pages.addWidget(Page(page))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.pages, 1)
        foot = QVBoxLayout()
        foot.setContentsMargins(8, 2, 8, 6)
        foot.setSpacing(4)
        # What changes its height comes first: what is pressed often does not move under the mouse.
        for widget in (
            self.sheet,
            self.finished,
            self.out_of_reach,
            self.message,
            self.progress,
            self.conflict,
            self.transport,
            self.save_state,
        ):
            foot.addWidget(widget)
        layout.addLayout(foot)

    def _add_parts(self) -> None:
        for section, part in (
            (self.confidence_section, self.usage),
            (self.tools_section, self.options),
            (self.suggest_section, self.suggest),
            (self.fill_section, self.fill),
            (self.view_section, self.style_row),
            (self.others_section, self.accept),
            (self.notes_section, self.notes),
            (self.sector_section, self.sector),
            (self.readouts_section, self.readouts),
        ):
            section.add(part)

    def close_parts(self) -> None:
        """Let the parts follow the session no longer."""
        for part in (
            self.head,
            self.notes,
            self.usage,
            self.options,
            self.fill,
            self.accept,
            self.suggest,
            self.style_row,
            self.sector,
            self.readouts,
            self.finished,
            self.sheet,
            self.conflict,
            self.transport,
        ):
            part.close_part()
