"""Model of the Dataset panel: agreement, consensus, datasets and exports of a cohort, without Qt.

Long work is a :class:`Task`: `work` runs beside the window and touches no state, `take` puts its
result into the state in the window's thread. The panel runs tasks; a test calls `work` and `take`
one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_confseg.agreement.consensus import (
    ConsensusReport,
    ConsensusRequest,
    make_consensus,
)
from napari_confseg.annotate.access import BlindedError
from napari_confseg.annotate.dataset.requests import (
    RaterFound,
    compared,
    rater_of_export,
    raters_of_build,
    raters_of_consensus,
)
from napari_confseg.annotate.dataset.results import (
    Compared,
    compare,
    find_raters,
    list_versions,
    preview_consensus,
)
from napari_confseg.annotate.train.inventory import datasets_folder
from napari_confseg.dataset.build import BuildStopped, build, changed_sources
from napari_confseg.dataset.diff import compare as diff
from napari_confseg.dataset.frozen import Dataset
from napari_confseg.dataset.manifest import BuildRequest
from napari_confseg.dataset.preview import Preview, Surveyor
from napari_confseg.extras import needed_for
from napari_confseg.formats import FORMATS, WRITTEN
from napari_confseg.formats.export import ExportRequest, ExportStopped, export
from napari_confseg.store import Problem, StoreError
from napari_confseg.store.errors import needs_extra, sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.annotate.dataset.results import Cancelled, Report, VersionLine
    from napari_confseg.annotate.overlays import Overlay
    from napari_confseg.store import Cohort


@dataclass(frozen=True)
class Task:
    """Work that takes a while.

    Parameters
    ----------
    title : str
        What is being done, for people.
    work : callable
        Called with (report, cancelled), beside the window.
    take : callable
        Called with what `work` returned, in the window's thread.
    """

    title: str
    work: Callable[[Report, Cancelled], Any]
    take: Callable[[Any], None]


@dataclass(frozen=True, eq=False)
class DatasetState:
    """All that the panel shows.

    `build` and `consensus` name no raters, and `export` none, where no choice was made; the panel
    shows and the model takes those of :mod:`~napari_confseg.annotate.dataset.requests`.
    """

    found: tuple[RaterFound, ...] = ()
    clips: tuple[str, ...] = ()
    to_compare: tuple[str, ...] | None = None  # None: every human
    compared: Compared | None = None
    consensus: ConsensusRequest = field(default_factory=ConsensusRequest)
    made: ConsensusReport | None = None  # the consensus that was written last
    build: BuildRequest = field(default_factory=lambda: BuildRequest(name="dataset"))
    folder: str = ""  # of the dataset, with its versions
    preview: Preview | None = None
    resumable: str = ""  # a sentence about a build that was stopped
    versions: tuple[VersionLine, ...] = ()  # newest first
    export: ExportRequest = field(default_factory=lambda: ExportRequest(format=WRITTEN[0]))
    export_version: int | None = None  # None: the newest
    export_folder: str = ""  # empty: beside the dataset
    exported: tuple[str, ...] = ()  # what the last export was
    findings: tuple[str, ...] = ()  # about versions: built, differences, damaged files
    problems: tuple[Problem, ...] = ()  # why the latest request was refused


class DatasetModel:
    """Agreement, consensus, datasets and exports of one cohort.

    `changed` is emitted with the new state whenever it differs.
    """

    changed = Signal(object)

    def __init__(self) -> None:
        self.state = DatasetState()
        self.cohort: Cohort | None = None
        self._surveyor: Surveyor | None = None

    # ---- what is open and chosen ----------------------------------------------------------

    def open(self, cohort: Cohort | None) -> None:
        """Begin anew with `cohort`; its dataset's folder is beside it unless another is named."""
        self.cohort = cohort
        self._surveyor = Surveyor(cohort) if cohort else None
        if cohort is None:
            self._set(DatasetState())
            return
        folder = datasets_folder(cohort)
        self._set(
            DatasetState(
                clips=tuple(cohort.clips()),
                build=BuildRequest(name=folder.name[:64]),
                folder=str(folder),
                versions=list_versions(folder),
            )
        )

    def choose_raters(self, names: tuple[str, ...]) -> None:
        """Compare these raters."""
        self._change(to_compare=names, compared=None)

    def request_consensus(self, request: ConsensusRequest) -> None:
        """Take another request for a consensus; what the last one came to is forgotten."""
        if request != self.state.consensus:
            self._change(consensus=request, made=None)

    def request_build(self, request: BuildRequest, folder: str | None = None) -> None:
        """Take another request for a dataset; what the old one would have come to is forgotten."""
        state = self.state
        folder = state.folder if folder is None else folder
        if (request, folder) == (state.build, state.folder):
            return
        versions = state.versions
        if folder != state.folder:
            versions = list_versions(Path(folder).expanduser())
        self._change(build=request, folder=folder, versions=versions, preview=None, findings=())

    def request_export(
        self, request: ExportRequest, version: int | None = None, folder: str = ""
    ) -> None:
        """Take another request for an export; what the last one came to is forgotten."""
        self._change(export=request, export_version=version, export_folder=folder, exported=())

    def forget_problems(self) -> None:
        """Say no longer why an earlier request was refused."""
        if self.state.problems:
            self._change()

    def fail(self, error: BaseException) -> None:
        """Say why a task came to nothing."""
        if isinstance(error, BlindedError):
            self._change(
                problems=(
                    Problem(
                        "blinded",
                        "",
                        "Readers who read blinded cannot see what others marked",
                        hint=str(error),
                    ),
                )
            )
        elif isinstance(error, BuildStopped):
            self._change(resumable=f"Build {error}. Build again to resume.")
        elif isinstance(error, ExportStopped):
            self._change(exported=(f"Export {error}: nothing of it is left.",))
        elif isinstance(error, StoreError):
            self._change(problems=error.problems)
        elif isinstance(error, OSError):
            where = str(error.filename or "")
            full = Problem(
                "disk",
                where,
                f"The disk refused: {sentence(error)}",
                hint="Free some space or choose another place.",
            )
            self._change(problems=(full,))
        else:
            self._change(problems=(Problem("failed", "", sentence(error)),))

    # ---- tasks ----------------------------------------------------------------------------

    def look(self) -> Task:
        """Find out who is on the clips."""
        cohort = self._open()
        clips = tuple(cohort.clips())

        def take(found: tuple[RaterFound, ...] | None) -> None:
            if found is not None and (found, clips) != (self.state.found, self.state.clips):
                self._change(found=found, clips=clips, preview=None)

        return Task("Looking who has marked what", lambda r, c: find_raters(cohort, r, c), take)

    def compare(self) -> Task:
        """Compare the chosen raters."""
        cohort = self._open()
        chosen = self.state.to_compare
        raters = compared(self.state.found) if chosen is None else chosen
        self._change(compared=None)

        def take(result: Compared | None) -> None:
            if result is not None:
                self._change(compared=result)

        return Task("Comparing", lambda r, c: compare(cohort, raters, r, c), take)

    def write_report(self, path: Path) -> Task:
        """Write the page about the last comparison."""
        cohort, last = self._open(), self.state.compared
        if last is None:
            raise StoreError(
                Problem(
                    "nothing-compared", "", "No raters were compared", hint="Compare raters first."
                )
            )

        def work(report: Report, cancelled: Cancelled) -> None:
            with needed_for("the report", needs_extra(str(path))):
                # matplotlib takes a second
                from napari_confseg.report.agreement import write_report
            write_report(cohort, last.agreement, last.summary, path)

        return Task("Writing the report", work, lambda _: self._change())

    def preview_consensus(self, clip: str, show: Callable[[Overlay], None]) -> Task:
        """Work out the consensus on a clip, and hand it to `show`."""
        cohort, request = self._open(), self._consensus()

        def take(overlay: Overlay | None) -> None:
            if overlay is not None:
                show(overlay)
            self._change()

        return Task(
            "Working out the consensus",
            lambda r, c: preview_consensus(cohort, request, clip, r, c),
            take,
        )

    def write_consensus(self) -> Task:
        """Write the consensus into the cohort, as a rater."""
        cohort, request = self._open(), self._consensus()
        self._change(made=None)

        def work(report: Report, cancelled: Cancelled) -> ConsensusReport:
            return make_consensus(cohort, request, progress=report, cancelled=cancelled)

        return Task("Writing the consensus", work, lambda made: self._change(made=made))

    def preview_build(self) -> Task:
        """Find out what the build would come to."""
        surveyor, request = self._surveyor, self._build()
        assert surveyor is not None

        def take(preview: Preview | None) -> None:
            if preview is not None:
                self._change(preview=preview)

        return Task(
            "Counting", lambda r, c: surveyor.preview(request, progress=r, cancelled=c), take
        )

    def build_version(self) -> Task:
        """Freeze a version; stopped, it leaves what is finished for the next time."""
        cohort, request = self._open(), self._build()
        out = Path(self.state.folder).expanduser()
        self._change(findings=())

        def take(dataset: Dataset) -> None:
            there = {v.number for v in self.state.versions}
            new = dataset.manifest.version not in there
            word = "Built" if new else "Nothing has changed since"
            self._change(
                versions=list_versions(out),
                resumable="",
                findings=(f"{word} version {dataset.manifest.version}.",),
            )

        return Task(
            "Building", lambda r, c: build(cohort, request, out, progress=r, cancelled=c), take
        )

    def export_version(self) -> Task:
        """Write a version in another format."""
        state = self.state
        dataset = self.dataset(state.export_version)
        version = self.version_to_export()
        rater = rater_of_export(state.export, version.raters if version else ())
        request = state.export.model_copy(update={"rater": rater})
        out = Path(state.export_folder or str(self.export_place())).expanduser()
        self._change(exported=())

        def take(facts: dict[str, Any]) -> None:
            head = f"{facts['files']} files in {out}"
            self._change(exported=(head, *facts["notes"]))

        return Task(
            "Exporting",
            lambda r, c: export(dataset, request, out, progress=r, cancelled=c),
            take,
        )

    def compare_versions(self, old: int, new: int) -> Task:
        """Compare two versions."""
        first, second = self.dataset(old), self.dataset(new)
        self._change(findings=())
        head = f"From version {old} to version {new}:"

        def take(lines: list[str]) -> None:
            self._change(findings=(head, *(lines or ["Nothing has changed."])))

        return Task("Comparing versions", lambda r, c: diff(first, second).lines(), take)

    def check(self, version: int) -> Task:
        """Find out whether a version is whole, and what has changed in the cohort since."""
        cohort, dataset = self._open(), self.dataset(version)
        self._change(findings=())

        def work(report: Report, cancelled: Cancelled) -> list[str]:
            changed = changed_sources(cohort, dataset)
            return changed + [str(p) for p in dataset.verify()]

        def take(lines: list[str]) -> None:
            whole = f"Version {version} is whole, and its sources are as they were."
            self._change(findings=tuple(lines) or (whole,))

        return Task("Checking", work, take)

    # ---- what follows ---------------------------------------------------------------------

    def dataset(self, version: int | None) -> Dataset:
        """Return a version, the newest if None.

        Raises
        ------
        StoreError
            If there is none.
        """
        return Dataset.open(Path(self.state.folder).expanduser(), version)

    def version_to_export(self) -> VersionLine | None:
        """Return the version that is chosen for an export, the newest if none is."""
        versions, number = self.state.versions, self.state.export_version
        chosen = next((v for v in versions if v.number == number), None)
        return chosen or (versions[0] if versions else None)

    def export_place(self) -> Path:
        """Return the folder that an export goes to if none is named."""
        request, folder = self.state.export, Path(self.state.folder).expanduser()
        version = self.version_to_export()
        exact = FORMATS[request.format].keeps_confidence
        cut = "" if exact else f"-at{request.threshold}"
        name = f"v{version.number if version else 1}-{request.format}{cut}"
        return folder.parent / f"{folder.name}-exports" / name

    def _consensus(self) -> ConsensusRequest:
        request = self.state.consensus
        raters = raters_of_consensus(request, self.state.found)
        return request.model_copy(update={"raters": raters})

    def _build(self) -> BuildRequest:
        request = self.state.build
        raters = raters_of_build(request, self.state.found)
        if not raters:
            raise StoreError(
                Problem("too-few-raters", "", "No rater is ticked", hint="Tick whose marks go in.")
            )
        return request.model_copy(update={"raters": raters})

    def _open(self) -> Cohort:
        if self.cohort is None:
            raise StoreError(
                Problem(
                    "no-cohort",
                    "",
                    "No study folder is open",
                    hint="Open one in the Annotate panel.",
                )
            )
        return self.cohort

    def _change(self, **changes: Any) -> None:
        self._set(replace(self.state, **({"problems": ()} | changes)))

    def _set(self, state: DatasetState) -> None:
        self.state = state
        self.changed.emit(state)
