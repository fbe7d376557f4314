"""Marking of clips by a model: its planes are written as those of a rater."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_confseg.dataset.frozen import is_dataset
from napari_confseg.job import Result
from napari_confseg.readouts import insonated
from napari_confseg.store import (
    Cohort,
    Identity,
    Problem,
    ProgramWriter,
    Status,
    StoreError,
)
from napari_confseg.store.threads import map_bounded
from trainer.compute import set_threads
from trainer.data import class_indices, clips_of
from trainer.ensemble import Ensemble
from trainer.errors import TrainError
from trainer.guarantee import load_guarantee
from trainer.predict import Predictor
from trainer.prefetch import Prefetch
from trainer.shipped import is_shipped, run_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_confseg.job import PredictRequest, RunFolder
    from napari_confseg.store import Clip, Guarantee
    from trainer.predict import Plane
    from trainer.progress import Reporter

BLOCK = 8
"""Frames at a time: a batch of full-size probabilities stays below 100 MB."""
_AHEAD = 200  # planes that wait to be made and written while the network works


class PlaneMaker(Protocol):
    """A source of planes for frames: one network, or several."""

    @property
    def names(self) -> tuple[str, ...]:
        """Suffixes of the raters' names that it writes as."""

    @property
    def sha256(self) -> str:
        """Hash of what its runs were told to do, which tells it from others of their names."""

    def prepare(self, frames: NDArray[np.uint8]) -> Any:
        """Return what :meth:`planes` takes, without the network: in another thread."""

    def planes(self, prepared: Any) -> Iterator[Plane]:
        """Run the network, and yield the plane of each frame and class, to be made."""


def check_same_run(
    clip: Clip, name: str, run: str, sha256: str | None, *, can_replace: bool = True
) -> None:
    """Refuse to overwrite the planes of another run on `clip`.

    Parameters
    ----------
    clip : Clip
        Where it is to write.
    name, run : str
        The rater, and the name of the run.
    sha256 : str or None
        Hash of what that run was told to do; None if it has not decided yet, and so can't have
        made any planes.
    can_replace : bool
        Whether whoever asks may say that they are to be replaced.

    Raises
    ------
    StoreError
        If rater `name` holds planes that are not of this run.
    """
    if name not in clip.raters():
        return
    rater = clip.rater(name)
    meta = rater.meta
    made_here = sha256 is not None and (meta.run, meta.run_sha256) == (run, sha256)
    if (made_here and meta.imported is None) or not (
        rater.stored_chunks() or rater.read_status().any()
    ):
        return
    found = f"Its planes come from another run that is called {run!r} as well"
    if meta.run != run:
        other = f"run {meta.run!r}" if meta.run else "another program"
        found = f"Its planes come from {other}, not from run {run!r}"
    hint = "Choose another name with --rater"
    hint += ", or replace them with --replace." if can_replace else "."
    raise StoreError(Problem("other-run", rater.path, found, hint=hint))


def predict_clip(
    maker: PlaneMaker,
    clip: Clip,
    rater_name: str,
    run: str,
    indices: list[int],
    *,
    replace: bool = False,
    guarantee: Guarantee | None = None,
    keep_going: Callable[[int], bool] = lambda _: True,
) -> bool:
    """Write the model's planes for every frame of `clip`; an earlier prediction is replaced.

    Nothing is marked outside the sector, where nothing was scanned; if the sector is doubtful and
    not confirmed, the whole frame counts.

    Parameters
    ----------
    maker : PlaneMaker
        The network, or several.
    clip : Clip
        The clip to mark.
    rater_name, run : str
        The rater to write as, and the run that made it.
    indices : list of int
        Index in the cohort of each class of the network. All other classes stay untouched.
    replace : bool
        Overwrite what another run marked under that name.
    guarantee : Guarantee or None
        What the planes come with, for the rater's record.
    keep_going : callable
        Asked after each block with the frames done; False stops, leaving the clip's status at
        'in progress' on what has been written.

    Returns
    -------
    bool
        Whether the clip was finished.

    Raises
    ------
    StoreError
        If a name is that of another kind of rater, another run marked under it, or somebody
        writes it now.
    """
    if not replace:
        for name in maker.names:
            check_same_run(clip, rater_name + name, run, maker.sha256)
    with ExitStack() as stack:
        me = Identity("model", run=run, run_sha256=maker.sha256, guarantee=guarantee)
        raters = {
            name: stack.enter_context(ProgramWriter(clip, rater_name + name, me))
            for name in maker.names
        }
        return _write_clip(maker, clip, raters, indices, keep_going)


def _write_clip(
    maker: PlaneMaker,
    clip: Clip,
    raters: Mapping[str, ProgramWriter],
    indices: list[int],
    keep_going: Callable[[int], bool],
) -> bool:
    fresh = np.full(raters[""].rater.shape[:2], Status.UNTOUCHED, np.uint8)
    fresh[:, indices] = Status.IN_PROGRESS
    for rater in raters.values():
        rater.rater.sweep()  # what a killed prediction left half-written
        rater.write_status(fresh)
        rater.record_identity()
    n_frames, stopped = clip.shape[0], False
    inside = insonated(clip.meta.sector, clip.shape[1:]).astype(np.uint8)

    def read(block: int) -> Any:
        return maker.prepare(np.asarray(clip.frames[block * BLOCK : (block + 1) * BLOCK]))

    def planes() -> Iterator[tuple[int, Plane]]:
        nonlocal stopped
        with Prefetch(read, 0, -(-n_frames // BLOCK)) as blocks:
            for first in range(0, n_frames, BLOCK):
                for plane in maker.planes(blocks.take()):
                    yield first, plane
                if not keep_going(min(first + BLOCK, n_frames)):
                    stopped = True
                    return

    with ExitStack() as stack:
        write = {name: stack.enter_context(rater.bulk()) for name, rater in raters.items()}

        def finish(item: tuple[int, Plane]) -> None:
            first, plane = item
            marks = plane.make()
            # In place: a new array for each plane costs several times the arithmetic.
            np.multiply(marks, inside, out=marks)
            write[plane.name](first + plane.frame, indices[plane.place], marks)

        # The network runs in this thread; frames are read and planes made and written in others.
        for _ in map_bounded(finish, planes(), ahead=_AHEAD):
            pass
    if stopped:
        return False
    # Last: a crash half-way must not leave half a prediction that counts as whole.
    fresh[:, indices] = Status.REVIEWED
    for rater in raters.values():
        rater.write_status(fresh)
    return True


def _known(cohort: Cohort, model: str, classes: Sequence[str]) -> tuple[str, ...]:
    """Return those of `classes` that the cohort has: it may not be the one that was learnt from.

    Raises
    ------
    TrainError
        If it has none of them.
    """
    there = {c.name for c in cohort.meta.classes}
    known = tuple(c for c in classes if c in there)
    if not known:
        raise TrainError(
            f"{model} knows {', '.join(classes)}, and {cohort.location} has none of them",
            "Fit a model of your own, or add one of these classes.",
        )
    return known


def predict(folder: RunFolder, request: PredictRequest, report: Reporter) -> Result:
    """Execute `request`: predict its clips, or all.

    Raises
    ------
    TrainError, StoreError
        If the model or the cohort can't be used as asked.
    """
    set_threads(request.threads)
    if "://" not in request.cohort and is_dataset(request.cohort):
        raise TrainError(
            f"{request.cohort} is a frozen dataset: a model's marks can't be written into it",
            "Name the cohort that it was built from, or score the model on it with evaluate.",
        )
    cohort = Cohort.open(request.cohort)
    run = run_folder(request.run)
    predictor = Predictor.load(run, request.device)
    learnt = classes = predictor.config.classes
    if not request.maps:
        name = "The starter model" if is_shipped(request.run) else run.name
        classes = _known(cohort, name, learnt)
        predictor = replace(predictor, chosen=classes)
    left_out = [name for name in learnt if name not in classes]
    maker: PlaneMaker = replace(predictor, both=True)
    if request.maps:
        runs = (run, *map(run_folder, request.members))
        maker = Ensemble.load(runs, request.draws, request.device)
    indices = class_indices(cohort, classes)
    # It was measured on one network that drops nothing: several are another model.
    guarantee = None if request.maps else load_guarantee(run)
    clips = [cohort.clip(name) for name in request.clips or clips_of(cohort)]
    for end in maker.names:  # before hours of work: refuse a name that is taken
        cohort.check_name(request.rater + end, "model")
        for clip in clips if not request.replace else ():
            check_same_run(clip, request.rater + end, run.name, maker.sha256)
    total = sum(clip.shape[0] for clip in clips)
    report.started(
        device=str(predictor.device),
        classes=", ".join(classes),
        **({"not in this cohort": ", ".join(left_out)} if left_out else {}),
        clips=len(clips),
        frames=total,
        **({"guarantee": str(guarantee)} if guarantee else {}),
    )
    done: list[str] = []
    before = 0
    for clip in clips:

        def keep_going(frames: int, clip: Clip = clip, before: int = before) -> bool:
            report.progress(before + frames, total, f"Marking {clip.name}")
            return not folder.cancelled()

        if not predict_clip(
            maker,
            clip,
            request.rater,
            run.name,
            indices,
            replace=request.replace,
            guarantee=guarantee,
            keep_going=keep_going,
        ):
            return Result(stopped=True, clips=tuple(done))
        before += clip.shape[0]
        done.append(clip.name)
        report.preview(0, clip.name, request.rater)
        if folder.cancelled() and len(done) < len(clips):
            return Result(stopped=True, clips=tuple(done))
    return Result(clips=tuple(done))
