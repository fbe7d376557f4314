"""Opening, making and filling cohorts on behalf of the Annotate panel."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QFileDialog, QInputDialog, QLineEdit, QWidget

from napari_confseg.annotate.clip_facts import read_facts
from napari_confseg.annotate.preferences import Preferences, account_name, slug_of, state_folder
from napari_confseg.annotate.worklist import natural
from napari_confseg.extras import foreign
from napari_confseg.store import Cohort, Problem, StoreError, kind_at
from napari_confseg.widgets.annotate.classes_dialog import ClassesDialog
from napari_confseg.widgets.annotate.import_dialog import ImportDialog
from napari_confseg.widgets.annotate.study_place import free_place
from napari_confseg.widgets.common.jobs import BackgroundJob

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_confseg.annotate.session import Session
    from napari_confseg.ingest.options import ImportOptions
    from napari_confseg.store import CohortMeta

SAMPLE_PATIENTS = 4
"""One clip each: made in a dozen seconds, and enough to split for training."""


LOOKED_AT = 25
"""Clips in which the first with work left is looked for while the person waits."""


class StoppedError(Exception):
    """The person stopped the work."""


def sample_location() -> Path:
    """Return where the sample cohort lies, or will."""
    return state_folder() / "samples" / "lung-ultrasound.zarr"


def make_sample(job: BackgroundJob | None = None) -> Path:
    """Make the sample cohort unless it is there; return its folder.

    Raises
    ------
    StoppedError
        If `job` was cancelled; nothing is left behind.
    StoreError
        If another package has taken the place of the one that makes it.
    """
    problem = foreign("sample_data")
    if problem:
        raise StoreError(Problem("foreign-package", "sample_data", problem))
    from sample_data import make_cohort

    place = sample_location()
    if (place / "zarr.json").is_file():
        return place
    # Made under another name: what bears the right one is whole.
    partial = place.with_name("making.zarr")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)

    def progress(current: int, total: int, words: str) -> None:
        if job is not None:
            if job.cancelled():
                raise StoppedError
            job.report(current, total, f"Making the sample: {words}")

    try:
        make_cohort(partial, patients=SAMPLE_PATIENTS, clips_per_patient=1, progress=progress)
        partial.replace(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return place


class CohortActions(QObject):
    """Opens, makes and fills cohorts; what goes wrong is the session's message."""

    busy = Signal(object, str)  # BackgroundJob, str: work began that takes a while
    clips_changed = Signal()  # the cohort has other clips than before
    imported = Signal(object)

    def __init__(self, session: Session, window: QWidget) -> None:
        super().__init__(window)
        self._session = session
        self._window = window

    # ---- cohorts --------------------------------------------------------------------------

    def open(self, location: str | Path, reader: str = "") -> bool:
        """Open a cohort and the first clip with work left; return whether that worked."""
        session = self._session
        name = reader.strip() or Preferences.load().reader or account_name()
        try:
            slug_of(name)  # before what is open is closed
            session.open_cohort(str(location))
            self._read_as(name)
        except (StoreError, ValueError, OSError) as error:
            self._show_problem(error)
            return False
        self.open_first_clip()
        return True

    def _read_as(self, name: str) -> None:
        """Read as `name` in the cohort just opened; close it if there that is a program's name."""
        try:
            self._session.reader.choose(name)
        except StoreError:
            self._session.close_cohort()
            raise

    def open_place(self, path: str | Path, reader: str = "") -> bool:
        """Open a cohort, or a clip in its cohort; return whether that worked."""
        if kind_at(path) != "clip":
            return self.open(path, reader)
        clip = Path(path).absolute()
        cohort = self._session.cohort
        there = cohort is not None and Path(cohort.location).absolute() == clip.parent
        return (there or self.open(clip.parent, reader)) and self.open_clip(clip.name)

    def open_first_clip(self) -> None:
        """Open the clip that the reader left; else the first one with work left, if soon found."""
        session = self._session
        cohort, work = session.cohort, session.worklist
        # What is narrowed to nothing, as far as is known yet, must not open an empty canvas.
        names = work.names() or tuple(sorted(work.facts, key=natural))
        if cohort is None or not names:
            return
        left = session.places.last_clip(cohort, session.rater)
        if left in work.facts and self.open_clip(left):
            return
        seen = (read_facts(cohort, n, session.rater) for n in names[:LOOKED_AT])
        found = next((f.clip for f in seen if not f.done and not f.trouble), names[0])
        self.open_clip(found)

    def step(self, step: int) -> None:
        """Open the next (1) or the previous (-1) clip of the work list."""
        self._try(lambda: self._session.open_next(step))

    def open_to_do(self) -> None:
        """Open the next clip of the work list with work left."""
        self._try(self._session.open_to_do)

    def _try(self, do: Callable[[], object]) -> None:
        try:
            do()
        except (StoreError, ValueError, OSError) as error:
            self._show_problem(error)

    def open_clip(self, name: str) -> bool:
        """Open a clip of the cohort; return whether that worked."""
        if self._session.clip is not None and self._session.clip.name == name:
            return True
        try:
            self._session.open_clip(name)
        except (StoreError, ValueError, OSError) as error:
            self._show_problem(error)
            return False
        return True

    def ask_open(self, reader: str = "") -> None:
        """Let the person choose a cohort's folder, and open it."""
        chosen = QFileDialog.getExistingDirectory(
            self._window, "Open a study folder (its name ends in .zarr)"
        )
        if chosen:
            self.open(chosen, reader)

    def ask_open_zip(self, reader: str = "") -> None:
        """Let the person choose a zipped cohort, and open it to read."""
        chosen, _ = QFileDialog.getOpenFileName(
            self._window, "Open a zipped study folder", "", "Zipped study folder (*.zip)"
        )
        if chosen:
            self.open(chosen, reader)

    def ask_new(self, reader: str = "", sources: Sequence[str] = ()) -> None:
        """Ask where a new study folder shall lie and what goes into it; make it and import."""
        dialog = ImportDialog(self._window, sources, free_place(Path.home()))
        place = dialog.place
        if dialog.exec() and place is not None and self.create(str(place.place()), reader):
            self.import_clips(dialog.sources(), dialog.options())
        dialog.deleteLater()

    def create(self, location: str, reader: str = "") -> bool:
        """Make an empty cohort at `location` and open it; return whether that worked."""
        place = Path(location)
        if place.suffix != ".zarr":
            place = place.with_name(place.name + ".zarr")
        try:
            Cohort.create(place, name=slug_of(place.stem))
        except (StoreError, ValueError, OSError) as error:
            self._show_problem(error)
            return False
        return self.open(place, reader)

    def make_sample(self, reader: str = "") -> None:
        """Make the sample cohort, unless it is there, and open it."""
        job = BackgroundJob(make_sample, self)
        job.done.connect(lambda place: self.open(place, reader))
        job.failed.connect(self._show_problem)
        self.busy.emit(job, "Making the sample …")
        job.start()

    def close_cohort(self) -> None:
        """Close clip and cohort."""
        try:
            self._session.close_cohort()
        except StoreError as error:
            self._show_problem(error)

    def ask_reader(self) -> None:
        """Let the person change who reads."""
        name, ok = QInputDialog.getText(
            self._window,
            "Who reads?",
            "Your strokes are kept under this name:",
            QLineEdit.EchoMode.Normal,
            Preferences.load().reader,
        )
        if ok:
            try:
                self._session.reader.choose(name)
            except (StoreError, ValueError) as error:
                self._show_problem(error)

    # ---- classes and words ----------------------------------------------------------------

    def ask_classes(self, taken: Mapping[str, str], style: str) -> None:
        """Let the person change the cohort's classes and words of confidence."""
        cohort = self._session.cohort
        if cohort is None:
            return
        refusal = (
            "This study folder was opened for reading only: unpack the zip, or copy it."
            if cohort.store.read_only
            else ""
        )
        dialog = ClassesDialog(self._window, cohort.meta, taken, refusal, style)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(lambda: self.change_cohort(dialog.draft.meta))
        dialog.open()

    def change_cohort(self, meta: CohortMeta | None) -> None:
        """Give the cohort other classes and words, and open it again where we were."""
        session, cohort = self._session, self._session.cohort
        if cohort is None or meta is None:
            return
        place = session.clip.name if session.clip else None, session.frame, session.class_name
        try:
            session.close_clip()  # its planes get a class more
        except StoreError as error:
            self._show_problem(error)
            return

        def work(job: BackgroundJob) -> list[str]:
            same = meta.classes == cohort.meta.classes
            return cohort.update_meta(
                classes=None if same else meta.classes, anchors=meta.anchors, progress=job.report
            )

        job = BackgroundJob(work, self)
        job.done.connect(lambda held: self._on_changed(cohort.location, place, held))
        job.failed.connect(lambda error: self._on_changed(cohort.location, place, [], error))
        self.busy.emit(job, "Changing the study folder …")
        job.start()

    def _on_changed(
        self,
        location: str,
        place: tuple[str | None, int, str],
        held: Sequence[str],
        error: object = None,
    ) -> None:
        clip, frame, class_name = place
        session = self._session
        session.class_name = class_name
        if self._reopen(location, clip):
            session.frame = frame
        if error is not None:
            self._show_problem(error)
        elif held:
            session.message = (
                f"Changed. {', '.join(held[:3])}: open elsewhere now, follows with "
                "the next stroke there."
            )

    def _reopen(self, location: str, clip: str | None) -> bool:
        try:
            self._session.open_cohort(location)
        except (StoreError, OSError) as error:
            self._show_problem(error)
            return False
        return clip is not None and self.open_clip(clip)

    # ---- clips ----------------------------------------------------------------------------

    def ask_import(self, sources: Sequence[str] = ()) -> None:
        """Let the person choose what to import, and import it."""
        dialog = ImportDialog(self._window, sources)
        if dialog.exec():
            self.import_clips(dialog.sources(), dialog.options())
        dialog.deleteLater()

    def take_videos(self, paths: Sequence[str], reader: str = "") -> None:
        """Import what was dropped; without an open cohort, into a new one."""
        if self._session.cohort is None:
            self.ask_new(reader, paths)
        else:
            self.ask_import(paths)

    def import_clips(self, sources: Sequence[str], options: ImportOptions | None = None) -> None:
        """Import files and folders into the open cohort, beside the event loop."""
        cohort = self._session.cohort
        if cohort is None or not sources:
            return

        def work(job: BackgroundJob) -> Any:
            from napari_confseg.ingest import import_sources  # loads decoders: only when needed

            return import_sources(
                [Path(s) for s in sources],
                cohort,
                options,
                progress=job.report,
                cancelled=job.cancelled,
            )

        job = BackgroundJob(work, self)
        job.done.connect(self._on_imported)
        job.failed.connect(self._show_problem)
        self.busy.emit(job, f"Importing {len(sources)} …")
        job.start()

    def _on_imported(self, report: Any) -> None:
        self.clips_changed.emit()
        self.imported.emit(report)
        if self._session.clip is None:
            self.open_first_clip()

    def _show_problem(self, error: object) -> None:
        if isinstance(error, StoppedError):
            self._session.message = "Stopped."
        elif isinstance(error, StoreError):
            self._session.message = str(error.problems[0])
        else:
            self._session.message = str(error) or type(error).__name__
