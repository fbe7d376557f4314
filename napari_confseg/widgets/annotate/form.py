"""The widgets of the Annotate panel, laid out; what they mean is the panel's business."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QPushButton, QStackedWidget, QVBoxLayout, QWidget

from napari_confseg.widgets.annotate.cohort_bar import CohortBar
from napari_confseg.widgets.annotate.confidence import ConfidenceDial
from napari_confseg.widgets.annotate.other_raters import OtherRaters
from napari_confseg.widgets.annotate.palette import ClassPalette
from napari_confseg.widgets.annotate.save_state import SaveLight
from napari_confseg.widgets.annotate.start_page import StartPage
from napari_confseg.widgets.annotate.tools import ToolBox
from napari_confseg.widgets.annotate.transport import Transport
from napari_confseg.widgets.common.buttons import label
from napari_confseg.widgets.common.jobs import ProgressRow
from napari_confseg.widgets.common.page import Page
from napari_confseg.widgets.common.section import Section, still_wheel
from napari_confseg.widgets.common.slider_row import SliderRow
from napari_confseg.widgets.panel import Panel

if TYPE_CHECKING:
    import napari


class AnnotateForm(Panel):
    """A page to start from and a page to work on, over a foot that says how saving stands."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.setAcceptDrops(True)
        self._make()
        self._lay_out()
        still_wheel(self)

    def _make(self) -> None:
        self.start, self.bar = StartPage(), CohortBar()
        self.palette_, self.dial, self.tools = ClassPalette(), ConfidenceDial(), ToolBox()
        self.transport, self.others = Transport(), OtherRaters()
        self.opacity = SliderRow("Opacity", 5, 100, "%", "How opaque a mark of full confidence is")
        self.threshold = SliderRow(
            "Show from", 0, 100, "%", "Hides marks below this confidence; nothing is changed"
        )
        self.no_clips = label("This cohort has no clips yet.", role="note")
        self.import_ = QPushButton("Import clips …")
        self.import_.setProperty("role", "primary")
        self.clips_section = Section("Clips", self.no_clips, self.import_)
        self.view_section = Section("View", self.opacity, self.threshold)
        self.sure_section = Section("How sure", self.dial)
        self.tools_section = Section("With", self.tools)
        self.saving_section = Section("Save work")
        self.readouts_section = Section("Read-outs")
        self.readouts_section.open(False)  # computed while unfolded
        self.about_section = Section("About this clip")
        self.sector_section = Section("Sector")
        self.sector_section.open(False)  # looked at once a clip
        self.work_sections = [
            Section("What", self.palette_),
            self.sure_section,
            self.tools_section,
            self.saving_section,
            Section("Frames", self.transport),
            self.view_section,
            Section("Others on this clip", self.others),
            self.about_section,
            self.sector_section,
            self.readouts_section,
        ]
        self.message, self.work_line, self.light = label(role="caution"), ProgressRow(), SaveLight()

    def _lay_out(self) -> None:
        work = QWidget()
        inside = QVBoxLayout(work)
        inside.setContentsMargins(8, 6, 8, 6)
        inside.setSpacing(2)
        for widget in (self.bar, self.clips_section, *self.work_sections):
            inside.addWidget(widget)
        for section in (self.clips_section, *self.work_sections):
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
        self.foot = foot = QVBoxLayout()
        foot.setContentsMargins(8, 2, 8, 6)
        foot.setSpacing(4)
        for widget in (self.message, self.work_line, self.light):
            foot.addWidget(widget)
        layout.addLayout(foot)
