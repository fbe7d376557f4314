"""The Dataset panel: from what raters marked to a frozen dataset and its exports."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QTimer, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QComboBox, QFileDialog, QTabWidget, QVBoxLayout

from napari_confseg.annotate.access import BlindedError
from napari_confseg.annotate.dataset.model import DatasetModel
from napari_confseg.annotate.dataset.results import PREVIEW
from napari_confseg.store import Problem, StoreError
from napari_confseg.widgets.common.buttons import breakable, label
from napari_confseg.widgets.common.jobs import ProgressRow
from napari_confseg.widgets.common.page import Page
from napari_confseg.widgets.common.problem_box import ProblemBox
from napari_confseg.widgets.common.request_form import narrow
from napari_confseg.widgets.common.section import still_wheel
from napari_confseg.widgets.dataset.agreement import AgreementPage
from napari_confseg.widgets.dataset.build import BuildPage
from napari_confseg.widgets.dataset.consensus import ConsensusPage
from napari_confseg.widgets.dataset.export import ExportPage
from napari_confseg.widgets.dataset.jobs import TaskRunner
from napari_confseg.widgets.dataset.versions import VersionsPage
from napari_confseg.widgets.panel import Panel

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

    from napari_confseg.annotate.dataset.model import DatasetState, Task
    from napari_confseg.annotate.dataset.results import Disagreement
    from napari_confseg.annotate.overlays import Overlay
    from napari_confseg.dataset.manifest import BuildRequest

FLUSH_SECONDS: Final = 5.0
"""How long a task waits for the latest strokes to reach the store, which it reads."""

COUNT_AFTER: Final = 400
"""Milliseconds without another choice after which a build is counted anew."""

_NO_READER: Final = Problem(
    "no-reader", "This viewer", "Nobody is reading", hint="Choose your name in the Annotate panel."
)


class DatasetPanel(Panel):
    """Compare raters, make a consensus, freeze datasets, export them.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose session this is.
    """

    SIZE = (380, 640)

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.model = DatasetModel()
        self._build()
        self._connect()
        events = self.session.events
        self.listen(
            (self.model.changed, self._on_model),
            (events.cohort, self._on_cohort),
            (events.clip, self._on_clip),
        )
        self._on_cohort()

    # ---- the widgets ----------------------------------------------------------------------

    def _build(self) -> None:
        self.cohort_name = label(role="title")
        self.agreement, self.consensus = AgreementPage(), ConsensusPage()
        self.build, self.export, self.versions = BuildPage(), ExportPage(), VersionsPage()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.setUsesScrollButtons(False)
        for name, page in (
            ("Agreement", self.agreement),
            ("Consensus", self.consensus),
            ("Build", self.build),
            ("Export", self.export),
            ("Versions", self.versions),
        ):
            page.layout().setContentsMargins(2, 8, 2, 4)  # the panel has margins of its own
            self.tabs.addTab(Page(page), name)
            for chooser in page.findChildren(QComboBox):
                if chooser.minimumContentsLength() == 0:
                    narrow(chooser)
        self.problem, self.line = ProblemBox(), ProgressRow()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        for widget in (self.cohort_name, self.problem):
            layout.addWidget(widget)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.line)
        still_wheel(self)
        self.tasks = TaskRunner(self.line, self)
        self._counting = QTimer(self)
        self._counting.setSingleShot(True)
        self._counting.setInterval(COUNT_AFTER)

    def _connect(self) -> None:
        model, tasks = self.model, self.tasks
        tasks.about_to_begin.connect(lambda: self.session.flush(FLUSH_SECONDS))
        tasks.begun.connect(lambda: self._on_model(model.state))
        tasks.failed.connect(model.fail)
        tasks.idle.connect(self._count_soon)
        self._counting.timeout.connect(self._count)
        self.tabs.currentChanged.connect(self._on_tab)
        self.agreement.raters_wanted.connect(
            lambda names: model.choose_raters(tuple(sorted(names)))
        )
        self.agreement.compare_wanted.connect(self._compare)
        self.agreement.report_wanted.connect(self._ask_report)
        self.agreement.frame_wanted.connect(self.show_disagreement)
        self.consensus.requested.connect(model.request_consensus)
        self.consensus.preview_wanted.connect(self._preview_consensus)
        self.consensus.write_wanted.connect(self._write_consensus)
        self.build.requested.connect(self._on_build_requested)
        self.build.build_wanted.connect(lambda: self.run(model.build_version))
        self.export.requested.connect(model.request_export)
        self.export.export_wanted.connect(lambda: self.run(model.export_version))
        self.versions.changes_wanted.connect(
            lambda a, b: self.run(lambda: model.compare_versions(a, b))
        )
        self.versions.check_wanted.connect(lambda v: self.run(lambda: model.check(v)))

    def let_go(self) -> None:
        """Ask the task that is on to stop."""
        self.tasks.drop()

    def show_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        super().show_theme(theme)
        self.agreement.set_theme(theme)

    # ---- what the session and the model tell -----------------------------------------------

    def _on_cohort(self, *_: object) -> None:
        cohort = self.session.cohort
        self.cohort_name.setText(
            breakable(cohort.meta.name)
            if cohort
            else "No study folder is open: open one in the Annotate panel."
        )
        self.tabs.setVisible(cohort is not None)
        self.tasks.drop()
        self.model.open(cohort)
        if cohort is not None:
            self._look()

    def _on_clip(self, *_: object) -> None:
        self._on_model(self.model.state)

    def came_to_front(self) -> None:
        """Look anew: people marked and reviewed elsewhere in the window meanwhile."""
        if self.session.cohort is not None and self.tasks.free:
            self._look()

    def _on_tab(self, _: int) -> None:
        if self.session.cohort is not None:
            self._look()

    def _on_model(self, state: DatasetState) -> None:
        busy = self.tasks.busy
        clip = self.session.clip
        classes = self.session.classes
        self.agreement.show_state(state, classes, busy=busy)
        self.consensus.show_state(state, classes, clip.name if clip else None, busy=busy)
        self.build.show_state(state, classes, busy=busy)
        place = state.export_folder or str(self.model.export_place())
        self.export.show_state(state, self.model.version_to_export(), place, busy=busy)
        self.versions.show_state(state, busy=busy)
        first = state.problems[0] if state.problems else None
        more = f" ({len(state.problems) - 1} more)" if len(state.problems) > 1 else ""
        words = f"{first.path or 'Cohort'}: {first.message}{more}." if first else ""
        self.problem.show_problem(words, first.hint if first else "")
        self._count_soon()

    def _wants_counting(self) -> bool:
        state = self.model.state
        building = self.tabs.currentWidget().widget() is self.build
        return (
            bool(state.found)
            and state.preview is None
            and building
            and self.tasks.free
            and not state.problems
        )

    # ---- work beside the window -----------------------------------------------------------

    def run(self, make: Callable[[], Task], then: Callable[[Any], None] | None = None) -> None:
        """Begin a task, or let it wait for the one that is on."""
        self.tasks.run(make, then=then)

    def _look(self) -> None:
        self.tasks.run(self.model.look, counting=True)

    def _count(self) -> None:
        if self._wants_counting():
            self.tasks.run(self.model.preview_build, counting=True)

    def _count_soon(self) -> None:
        if self._wants_counting():
            self._counting.start()

    def _on_build_requested(self, request: BuildRequest, folder: str) -> None:
        self.model.request_build(request, folder)
        self.tasks.stop_counting()
        self._counting.start()

    # ---- requests -------------------------------------------------------------------------

    def _ask_report(self) -> None:
        name = f"{self.session.cohort.meta.name}-agreement.html" if self.session.cohort else ""
        beside = Path(self.model.state.folder).parent / name
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Write the report", str(beside), "Web page (*.html)"
        )
        if chosen:
            self.write_report(Path(chosen))

    def write_report(self, path: Path) -> None:
        """Write the report, and open it in the browser."""
        url = QUrl.fromLocalFile(str(path))
        self.run(
            lambda: self.model.write_report(path), then=lambda _: QDesktopServices.openUrl(url)
        )

    def show_disagreement(self, shown: Disagreement) -> None:
        """Open the frame, and show what both said of it."""
        session, score = self.session, shown.score
        if not session.rater:
            self.model.fail(StoreError(_NO_READER))
            return
        try:
            if session.clip is None or session.clip.name != score.clip:
                session.open_clip(score.clip)
            for name in (score.a, score.b):
                if name != session.rater:
                    session.others.show(name)
        except (StoreError, ValueError, OSError) as error:
            self.model.fail(error)
            return
        self.model.forget_problems()
        session.class_name = score.class_name
        session.frame = shown.frame

    def _compare(self) -> None:
        """Compare, unless who reads blinded asks: the worst frames come with others' marks."""
        if why := self.session.access.cohort_visibility().why():
            self.model.fail(BlindedError(why))
        else:
            self.run(self.model.compare)

    def _preview_consensus(self) -> None:
        clip, standing = self.session.clip, self.session.access.visibility()
        if not standing.sees("consensus"):
            self.model.fail(BlindedError(standing.why()))
        elif clip is not None:
            self.run(
                lambda: self.model.preview_consensus(
                    clip.name, lambda overlay: self._show_preview(clip.name, overlay)
                )
            )

    def _show_preview(self, clip: str, overlay: Overlay) -> None:
        here = self.session.clip
        if here is not None and here.name == clip:  # a person may have gone on meanwhile
            with suppress(BlindedError):  # the rule was set meanwhile
                self.session.others.show_overlay(overlay)

    def _write_consensus(self) -> None:
        self.run(self.model.write_consensus, then=self._on_written)

    def _on_written(self, made: Any) -> None:
        session = self.session
        session.others.hide(PREVIEW)
        if session.clip is not None and session.clip.name in made.clips:
            with suppress(BlindedError):  # written all the same, for those who may see it
                session.others.show(made.rater)
        self._look()
