"""Model of the Train panel: the runs of one cohort, the one on show, and the next one, without Qt.

It follows requests of the panel, looks at the runs from time to time (`poll`), and emits signals of
what changed, all from the thread that polls.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from psygnal import Signal

from napari_confseg.annotate.train.activation import Activation, ActiveModelKeeper
from napari_confseg.annotate.train.inventory import (
    FrozenVersion,
    LabelInventory,
    Reviewed,
    frozen_versions,
    survey,
    survey_dataset,
)
from napari_confseg.annotate.train.next_run import (
    SHIPPED,
    WORKER_DEVICES,
    Context,
    NextRun,
    RunSettings,
    StartFrom,
    find_devices,
    next_run,
)
from napari_confseg.annotate.train.run_monitor import RunMonitor, found_runs, run_name
from napari_confseg.annotate.train.runs import Phase
from napari_confseg.job import FitRequest, PredictRequest, RunFolder, runs_folder
from napari_confseg.job.scheduler import where_problem
from napari_confseg.launcher import trainer_problem
from napari_confseg.store.backend import local_root

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_confseg.annotate.train.runs import RunState
    from napari_confseg.store import Cohort

PREDICTIONS: Final = "predictions"
"""Folder in a run's own, that holds its prediction jobs."""

LOOK_FOR_NEW_RUNS: Final = 20
"""Polls between two looks for runs that somebody else has begun."""


@dataclass(frozen=True)
class TrainingState:
    """All that the panel shows."""

    settings: RunSettings = field(default_factory=RunSettings)
    next_run: NextRun = field(default_factory=NextRun)
    datasets: tuple[tuple[str, str], ...] = ()  # frozen versions: location, what people read
    bases: tuple[StartFrom, ...] = ()  # what the next run may start from instead of from scratch
    # What this computer can train on, or a worker if the next run goes elsewhere.
    devices: tuple[tuple[str, str], ...] = (("auto", "Automatic"), ("cpu", "CPU"))
    runs: tuple[RunState, ...] = ()  # of this cohort, newest first
    watched: RunState | None = None  # the run on show
    predicting: RunState | None = None  # its latest prediction job, if this viewer began it
    # Whether what the run on show marks is to be seen on the clip on screen. Only once a person
    # has asked the model for something: readers are not to be led by what they did not ask for.
    shown: bool = False
    problem: str = ""  # why the latest request was refused
    activation: Activation = field(default_factory=Activation)  # the cohort's active model


class Training:
    """The runs of one cohort.

    Attributes
    ----------
    state : TrainingState
        What to show; `changed` fires with the new one whenever it differs.
    marked : Signal of (str, str)
        A run has marked a clip: (rater, clip). Fires for each new preview and prediction of the
        run on show.
    """

    changed = Signal(object)
    marked = Signal(str, str)

    def __init__(self) -> None:
        self.state = TrainingState()
        self._cohort: Cohort | None = None
        self._clip: str | None = None
        self._inventory: LabelInventory | None = None
        self._latest: Reviewed | None = None
        self._trainer_problem = trainer_problem()
        self._monitors: dict[str, RunMonitor] = {}
        self._predictions: dict[str, RunMonitor] = {}
        self._watched: str | None = None
        self._reported: dict[str, Mapping[str, int]] = {}
        self._polls = 0
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="confseg-survey")
        self._surveying: Future[LabelInventory] | None = None
        self._frozen: FrozenVersion | None = None
        self._surveying_dataset: Future[FrozenVersion] | None = None
        self._finding: Future[tuple[tuple[str, str], ...]] | None = None
        self._devices = self.state.devices
        self._active: ActiveModelKeeper | None = None
        self._runs_at = ""

    # ---- what is open ---------------------------------------------------------------------

    def open(self, cohort: Cohort | None) -> None:
        """Show the runs of `cohort`; a choice of data, classes, raters belongs to the old one."""
        self._cohort = cohort
        if self._active is not None:
            self._active.close()
        self._active = ActiveModelKeeper(cohort) if cohort is not None else None
        self._inventory = self._surveying = self._frozen = self._surveying_dataset = None
        self._monitors, self._predictions, self._reported = {}, {}, {}
        self._watched = self._clip = self._latest = None
        settings = replace(self.state.settings, dataset=None, base=None, classes=None, raters=None)
        self.state = replace(self.state, settings=settings, datasets=(), shown=False, problem="")
        self._runs_at = ""
        if cohort is not None:
            if self._finding is None:
                self._finding = self._executor.submit(find_devices)
            self.survey()
            self._look_for_runs()
            self.state = replace(self.state, datasets=frozen_versions(cohort))
            self._watched = next(iter(self._monitors), None)
            self._take_its_where()
            root = runs_folder(cohort)
            if local_root(cohort.store) is None:
                self._runs_at = str(root)
        self._settle()

    def survey(self) -> None:
        """Count anew what has been reviewed, beside the window."""
        if self._cohort is not None and self._surveying is None:
            self._surveying = self._executor.submit(survey, self._cohort)

    def note_reviewed(self, entry: Reviewed) -> None:
        """Take in what the reader has just reviewed, before it is even in the store."""
        self._latest = entry
        if self._inventory is not None:
            self._inventory = self._inventory.replaced(entry)
            self._settle()

    def show_clip(self, clip: str | None) -> None:
        """Say which clip is on screen: that is the one a run at work previews from now on."""
        if clip == self._clip:
            return
        self._clip = clip
        watch = self._watch
        if clip is not None and watch is not None and watch.state.phase.live:
            with suppress(OSError):  # it goes on previewing the other clip
                watch.folder.show(clip)

    def close(self) -> None:
        """Let go of the threads; runs go on."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._active is not None:
            self._active.close()

    # ---- requests -------------------------------------------------------------------------

    def change_settings(self, **changes: Any) -> None:
        """Change some fields of the settings of the next run."""
        if "dataset" in changes and changes["dataset"] != self.state.settings.dataset:
            # Classes and raters were chosen of the other data.
            changes = {"classes": None, "raters": None} | changes
            self._frozen = self._surveying_dataset = None
            if changes["dataset"] is not None:
                self._surveying_dataset = self._executor.submit(survey_dataset, changes["dataset"])
        if "where" in changes and bool(changes["where"]) != bool(self.state.settings.where):
            changes["device"] = "auto"  # the devices are those of another machine
        self.state = replace(self.state, settings=replace(self.state.settings, **changes))
        self._settle(force=True)

    def watch(self, name: str | None) -> None:
        """Put the run called `name` on show."""
        self._watched = name if name in self._monitors else None
        self._take_its_where()
        self._settle()
        if self._watch is not None and self._watch.state.phase.live and self._clip:
            clip, self._clip = self._clip, None
            self.show_clip(clip)

    def _take_its_where(self) -> None:
        """Let what is asked of a run that was sent elsewhere be asked there, unless changed."""
        watch = self._watch
        if watch is not None and watch.state.where:
            settings = replace(self.state.settings, where=watch.state.where, device="auto")
            self.state = replace(self.state, settings=settings)

    def show(self, on: bool) -> None:
        """Say whether the model's marks are to be seen."""
        self._settle(shown=on)

    def start(self) -> str | None:
        """Start the planned run and put it on show; return its name, None if refused."""
        request = self.state.next_run.request
        if self._cohort is None or request is None:
            return None
        root = runs_folder(self._cohort)
        name = run_name(request.method, datetime.now().astimezone(), self._taken(root))
        request = request.model_copy(update={"rater": name, "preview_clip": self._clip})
        try:
            watch = RunMonitor(RunFolder.create(root / name, request))
            watch.launch(self.state.settings.where)
        except OSError as error:
            self._refuse(f"The run cannot start in {root}: {error.strerror or error}.")
            return None
        self._monitors = {name: watch, **self._monitors}
        self._watched = name
        self._settle(problem="", shown=True)
        return name

    def stop(self) -> None:
        """Ask the run on show to stop after its step; its best checkpoint is kept."""
        if self._watch is not None and self._watch.state.phase.live:
            self._watch.folder.cancel()
            self.poll()

    def resume(self) -> None:
        """Go on with the run on show from its last saved step."""
        watch = self._watch
        if watch is None or watch.state.phase.live or watch.state.phase is Phase.FINISHED:
            return
        if self._refused():
            return
        try:
            if self._clip is not None:
                watch.folder.show(self._clip)
            watch.launch(self.state.settings.where)
        except OSError as error:
            self._refuse(f"The run cannot be resumed: {error.strerror or error}.")
            return
        self._settle(problem="", shown=True)

    def predict(self, clips: tuple[str, ...]) -> None:
        """Let the run on show mark `clips`; all clips of the cohort if empty."""
        watch, cohort = self._watch, self._cohort
        if watch is None or cohort is None or not isinstance(watch.state.request, FitRequest):
            return
        if self._refused():
            return
        fit = watch.state.request
        root = watch.folder.path / PREDICTIONS
        request = PredictRequest(
            run=str(watch.folder.path),
            cohort=cohort.location,
            rater=fit.rater,
            clips=clips,
            device=fit.device,
            threads=fit.threads,
        )
        stem = f"{datetime.now().astimezone():%m%d-%H%M%S}"
        name = next(n for i in range(1, 1000) if not (root / (n := f"{stem}-{i}")).exists())
        try:
            job = RunMonitor(RunFolder.create(root / name, request))
            job.launch(self.state.settings.where)
        except OSError as error:
            self._refuse(f"The prediction cannot start: {error.strerror or error}.")
            return
        self._predictions[watch.folder.path.name] = job
        self._settle(problem="", shown=True)

    def make_active(self, by: str, *, insist: str = "") -> None:
        """Let the run on show become the cohort's active model; see :class:`ActiveModelKeeper`."""
        if self._active is not None and self._watch is not None:
            self._active.make_active(self._watch.folder.path, by, insist=insist)
            self._settle()

    def go_back(self, by: str) -> None:
        """Take back the latest change of the cohort's active model."""
        if self._active is not None:
            self._active.go_back(by)
            self._settle()

    def _refused(self) -> bool:
        """Whether nothing can be started, which is said then."""
        problem = f"{self._trainer_problem}." if self._trainer_problem else ""
        problem = problem or where_problem(self.state.settings.where)
        if problem:
            self._refuse(problem)
        return bool(problem)

    def _refuse(self, problem: str) -> None:
        self._settle(problem=problem)

    def _taken(self, root: Path) -> set[str]:
        there = {p.name for p in root.iterdir()} if root.is_dir() else set()
        return there | set(self._monitors)

    # ---- looking --------------------------------------------------------------------------

    @property
    def _watch(self) -> RunMonitor | None:
        return self._monitors.get(self._watched) if self._watched else None

    @property
    def counting(self) -> bool:
        """Whether reviewed frames or devices are still being counted beside the window."""
        return any(f is not None for f in (self._surveying, self._finding, self._surveying_dataset))

    @property
    def read_only(self) -> bool:
        """Whether the open cohort can only be read."""
        return self._cohort is not None and self._cohort.store.read_only

    @property
    def live(self) -> bool:
        """Whether anything is going on that is worth looking at often."""
        jobs = [*self._monitors.values(), *self._predictions.values()]
        changing = self._active is not None and self._active.busy
        return self.counting or changing or any(w.state.phase.live for w in jobs)

    def poll(self) -> None:
        """Look at what runs, surveys and other viewers have done since."""
        self._polls += 1
        if self._polls % LOOK_FOR_NEW_RUNS == 0:
            self._look_for_runs()
            self.look_for_datasets()
            if self._active is not None:
                self._active.look()
        if self._active is not None:
            self._active.poll()
        for watch in [*self._monitors.values(), *self._predictions.values()]:
            if watch.state.phase.live or watch is self._watch:
                watch.poll()
        if self._surveying is not None and self._surveying.done():
            surveying, self._surveying = self._surveying, None
            self._inventory = surveying.result()
            if self._latest is not None:  # reviewed while the survey read the store
                self._inventory = self._inventory.replaced(self._latest)
        if self._surveying_dataset is not None and self._surveying_dataset.done():
            surveyed, self._surveying_dataset = self._surveying_dataset, None
            self._frozen = surveyed.result()
        if self._finding is not None and self._finding.done():
            self._devices = self._finding.result()
            self._finding = None
            self._settle(force=True)
        self._settle()

    def _look_for_runs(self) -> None:
        if self._cohort is not None:
            self._monitors = found_runs(runs_folder(self._cohort), self._monitors)

    def look_for_datasets(self) -> None:
        """List what has been frozen beside the cohort by now."""
        if self._cohort is not None:
            found = frozen_versions(self._cohort)
            if found != self.state.datasets:
                self._settle(datasets=found)

    def _settle(self, *, force: bool = False, **changes: Any) -> None:
        """Work out the state anew, with fields changed, and tell of it if it differs."""
        runs = tuple(w.state for w in self._monitors.values())
        settings, bases = self.state.settings, bases_among(runs)
        if settings.base not in (None, *(b.location for b in bases)):  # it has been removed
            settings = replace(settings, base=None)
        context = Context(
            cohort=self._cohort.meta if self._cohort else None,
            location=self._cohort.location if self._cohort else "",
            runs_at=self._runs_at,
            read_only=self._cohort.store.read_only if self._cohort else False,
            inventory=self._inventory,
            frozen=self._frozen,
            bases=bases,
            busy=next((r.name for r in runs if r.phase.live), ""),
            trainer_problem=self._trainer_problem,
        )
        job = self._predictions.get(self._watched or "")
        state = replace(
            self.state,
            settings=settings,
            next_run=next_run(settings, context),
            bases=bases,
            devices=WORKER_DEVICES if settings.where else self._devices,
            runs=runs,
            watched=self._watch.state if self._watch else None,
            predicting=job.state if job else None,
            activation=self._active.state if self._active is not None else Activation(),
            **changes,
        )
        if force or state != self.state:
            self.state = state
            self.changed.emit(state)
        self._emit_marked()

    def _emit_marked(self) -> None:
        """Fire `marked` for what the run on show and its predictions have marked since."""
        for state in (self.state.watched, self.state.predicting):
            if state is None:
                continue
            key = str(state.folder.path)
            known = self._reported.setdefault(key, {})
            self._reported[key] = state.record.previews
            for clip, step in state.record.previews.items():
                if known.get(clip) != step:
                    self.marked.emit(state.request.rater, clip)


def bases_among(runs: Sequence[RunState]) -> tuple[StartFrom, ...]:
    """Return what a run may start from: the shipped model, and each run with a model, newest first.

    >>> [base.label for base in bases_among(())]
    ['The starter model']
    """
    return (
        SHIPPED,
        *(
            StartFrom(str(run.folder.path), run.name, run.request.classes)
            for run in runs
            if run.checkpoint and not run.phase.live and isinstance(run.request, FitRequest)
        ),
    )
