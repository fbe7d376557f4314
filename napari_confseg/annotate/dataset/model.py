"""The model: what the Dataset panel shows and may ask for, without Qt.

Long work is a :class:`Task`: `work` runs beside the window and touches no state, `take` puts its
result into the state where the window lives. Who runs tasks is the panel's affair; a test calls
one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_confseg.agreement.consensus import ConsensusReport, make_consensus
from napari_confseg.annotate.blinding import BlindedError
from napari_confseg.annotate.dataset.requests import (
    FORMATS,
    BuildWish,
    ConsensusWish,
    ExportWish,
    RaterFound,
    chosen_for_consensus,
    chosen_for_export,
    compared,
    request_of,
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
from napari_confseg.dataset.diff import compare as compare_versions
from napari_confseg.dataset.frozen import Dataset
from napari_confseg.dataset.preview import Preview, Surveyor
from napari_confseg.extras import needed_for
from napari_confseg.formats.export import ExportStopped, Options, export
from napari_confseg.store import Problem, StoreError, check_slug
from napari_confseg.store.errors import needs_extra, sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.annotate.dataset.results import Cancelled, Report, VersionLine
    from napari_confseg.annotate.overlays import Overlay
    from napari_confseg.dataset.manifest import BuildRequest
    from napari_confseg.store import Cohort


@dataclass(frozen=True)
class Task:
    """Something that takes a while.

    Attributes
    ----------
    words : str
        What it is, for people.
    work : callable
        Called with (report, cancelled), beside the window.
    take : callable
        Called with what `work` returned, in the window's thread.
    """

    words: str
    work: Callable[[Report, Cancelled], Any]
    take: Callable[[Any], None]


@dataclass(frozen=True, eq=False)
class DatasetState:
    """All that the panel shows.

    Attributes
    ----------
    found : tuple of RaterFound
        Who is on the cohort's clips.
    clips : tuple of str
        All clips.
    to_compare : frozenset of str or None
        Whom to compare; None: every reader.
    compared : Compared or None
        How far they agree.
    consensus, made : ConsensusWish, ConsensusReport or None
        A consensus to make, and the last one that was written.
    build, preview : BuildWish, Preview or None
        A dataset to build, and what it would come to.
    waiting : str
        Words about a build that was stopped and can be resumed; empty if none.
    versions : tuple of VersionLine
        What has been frozen in the dataset's folder, newest first.
    export, exported : ExportWish, tuple of str
        An export to make, and what the last one said.
    told : tuple of str
        What a look at versions found: differences, changed sources, damaged files.
    problems : tuple of Problem
        Why the latest request was refused.
    """

    found: tuple[RaterFound, ...] = ()
    clips: tuple[str, ...] = ()
    to_compare: frozenset[str] | None = None
    compared: Compared | None = None
    consensus: ConsensusWish = field(default_factory=ConsensusWish)
    made: ConsensusReport | None = None
    build: BuildWish = field(default_factory=BuildWish)
    preview: Preview | None = None
    waiting: str = ""
    versions: tuple[VersionLine, ...] = ()
    export: ExportWish = field(default_factory=ExportWish)
    exported: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


class DatasetModel:
    """Agreement, consensus, datasets and exports of one cohort.

    Attributes
    ----------
    state : DatasetState
        What to show; `changed` fires with the new one whenever it differs.
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
        build_wish = BuildWish(out=str(datasets_folder(cohort)))
        self._set(
            DatasetState(
                clips=tuple(cohort.clips()),
                build=build_wish,
                versions=list_versions(Path(build_wish.out)),
            )
        )

    def choose_raters(self, names: frozenset[str]) -> None:
        """Compare these raters."""
        self._change(to_compare=names)

    def want_consensus(self, **changes: Any) -> None:
        """Change the wish for a consensus."""
        self._change(consensus=replace(self.state.consensus, **changes))

    def want_build(self, **changes: Any) -> None:
        """Change the wish for a dataset; what the old one would have come to is forgotten."""
        wish = replace(self.state.build, **changes)
        if wish == self.state.build:
            return
        versions = self.state.versions
        if "out" in changes:
            versions = list_versions(Path(wish.out).expanduser())
        self._change(build=wish, versions=versions, preview=None)

    def want_export(self, **changes: Any) -> None:
        """Change the wish for an export."""
        self._change(export=replace(self.state.export, **changes))

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
            self._change(waiting=f"Build {error}. Build again to go on where it stopped.")
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
        raters = tuple(sorted(self.state.to_compare or compared(self.state.found)))

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
        cohort, wish = self._open(), self.state.consensus
        raters = tuple(sorted(chosen_for_consensus(wish, self.state.found)))

        def take(overlay: Overlay | None) -> None:
            if overlay is not None:
                show(overlay)
            self._change()

        return Task(
            "Working out the consensus",
            lambda r, c: preview_consensus(cohort, wish, raters, clip, r, c),
            take,
        )

    def write_consensus(self) -> Task:
        """Write the consensus into the cohort, as a rater."""
        cohort, wish = self._open(), self.state.consensus
        raters = sorted(chosen_for_consensus(wish, self.state.found))
        name = wish.name.strip() or None
        if name is not None:
            try:
                check_slug(name)
            except ValueError as error:
                raise StoreError(
                    Problem("name", "consensus", f"The consensus cannot have this name: {error}")
                ) from error

        def work(report: Report, cancelled: Cancelled) -> ConsensusReport:
            return make_consensus(
                cohort,
                wish.method,
                name=name,
                raters=raters,
                threshold=wish.threshold,
                least=wish.least,
                progress=report,
                cancelled=cancelled,
            )

        return Task("Writing the consensus", work, lambda made: self._change(made=made))

    def preview_build(self) -> Task:
        """Find out what the build would come to."""
        surveyor, request = self._surveyor, self._request()
        assert surveyor is not None

        def take(preview: Preview | None) -> None:
            if preview is not None:
                self._change(preview=preview)

        return Task(
            "Counting", lambda r, c: surveyor.preview(request, progress=r, cancelled=c), take
        )

    def build_version(self) -> Task:
        """Freeze a version; stopped, it leaves what is finished for the next time."""
        cohort, request = self._open(), self._request()
        out = Path(self.state.build.out).expanduser()

        def take(dataset: Dataset) -> None:
            there = {v.number for v in self.state.versions}
            new = dataset.manifest.version not in there
            word = "Built" if new else "Nothing has changed since"
            self._change(
                versions=list_versions(out),
                waiting="",
                told=(f"{word} version {dataset.manifest.version}.",),
            )

        return Task(
            "Building", lambda r, c: build(cohort, request, out, progress=r, cancelled=c), take
        )

    def export_version(self) -> Task:
        """Write a version in another format."""
        wish = self.state.export
        version, rater = chosen_for_export(wish, self.state.versions)
        dataset = self.dataset(version.number if version else wish.version)
        out = Path(wish.out or str(self.export_place())).expanduser()
        band = wish.band if wish.format == "nnunet" else None
        options = Options(rater=rater, threshold=wish.threshold, band=band)

        def take(facts: dict[str, Any]) -> None:
            head = f"{facts['files']} files in {out}"
            self._change(exported=(head, *facts["notes"]))

        return Task(
            "Exporting",
            lambda r, c: export(dataset, wish.format, out, options, progress=r, cancelled=c),
            take,
        )

    def tell_changes(self, old: int, new: int) -> Task:
        """Compare two versions."""
        first, second = self.dataset(old), self.dataset(new)
        head = f"From version {old} to version {new}:"

        def take(lines: list[str]) -> None:
            self._change(told=(head, *(lines or ["Nothing has changed."])))

        return Task(
            "Comparing versions", lambda r, c: compare_versions(first, second).lines(), take
        )

    def check(self, version: int) -> Task:
        """Find out whether a version is whole, and what has changed in the cohort since."""
        cohort, dataset = self._open(), self.dataset(version)

        def work(report: Report, cancelled: Cancelled) -> list[str]:
            changed = changed_sources(cohort, dataset)
            return changed + [str(p) for p in dataset.verify()]

        def take(lines: list[str]) -> None:
            whole = f"Version {version} is whole, and its sources are as they were."
            self._change(told=tuple(lines) or (whole,))

        return Task("Checking", work, take)

    # ---- what follows ---------------------------------------------------------------------

    def dataset(self, version: int | None) -> Dataset:
        """Return a version, the newest if None.

        Raises
        ------
        StoreError
            If there is none.
        """
        return Dataset.open(Path(self.state.build.out).expanduser(), version)

    def export_place(self) -> Path:
        """Return the folder that an export goes to if none is named."""
        wish, out = self.state.export, Path(self.state.build.out).expanduser()
        number = wish.version or max((v.number for v in self.state.versions), default=1)
        cut = "" if FORMATS[wish.format][1] else f"-at{wish.threshold}"
        return out.parent / f"{out.name}-exports" / f"v{number}-{wish.format}{cut}"

    def _request(self) -> BuildRequest:
        name = Path(self.state.build.out).name
        try:
            check_slug(name)
        except ValueError as error:
            raise StoreError(
                Problem("name", self.state.build.out, f"The folder cannot have this name: {error}")
            ) from error
        return request_of(self.state.build, self.state.found, name)

    def _open(self) -> Cohort:
        if self.cohort is None:
            raise StoreError(
                Problem(
                    "no-cohort", "", "No cohort is open", hint="Open one in the Annotate panel."
                )
            )
        return self.cohort

    def _change(self, **changes: Any) -> None:
        self._set(replace(self.state, **({"problems": ()} | changes)))

    def _set(self, state: DatasetState) -> None:
        self.state = state
        self.changed.emit(state)
