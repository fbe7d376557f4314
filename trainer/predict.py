"""Prediction: a fitted network's probabilities as planes of a rater."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch

from napari_confseg.dataset.frozen import is_dataset
from napari_confseg.dataset.resample import Resampler
from napari_confseg.job import EPISTEMIC, PROBABILITY, Result
from napari_confseg.store import (
    Cohort,
    Identity,
    Problem,
    ProgramWriter,
    Status,
    StoreError,
)
from napari_confseg.store.threads import map_bounded
from trainer.checkpoint import RunConfig, load_checkpoint, load_config
from trainer.compute import autocast, choose_device, set_threads
from trainer.data import class_indices
from trainer.errors import TrainError
from trainer.full_size import percent_table, to_frame_size, to_percent
from trainer.guarantee import load_guarantee
from trainer.prefetch import Prefetch
from trainer.shipped import is_shipped, run_folder
from trainer.uncertainty import epistemic_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_confseg.job import PredictRequest, RunFolder
    from napari_confseg.store import Clip, Guarantee
    from trainer.network import Segmenter
    from trainer.progress import Reporter

BLOCK = 8
"""Frames at a time: a batch of full-size probabilities stays below 100 MB."""
_AHEAD = 200  # planes that wait to be made and written while the network works


class Fitted(NamedTuple):
    """Frames on the network's canvas, ``uint8 (T, H, W)``, and the (Y, X) they came from."""

    shape: tuple[int, int]
    canvases: NDArray[np.uint8]


class Percents(NamedTuple):
    """A model's two outputs in percent, each ``uint8 (T, C, Y, X)``.

    Attributes
    ----------
    contour : ndarray of uint8
        What is marked: 50 % is where overlap should be best.
    probability : ndarray of uint8
        How likely it is that a reader marks the pixel.
    """

    contour: NDArray[np.uint8]
    probability: NDArray[np.uint8]


class Plane(NamedTuple):
    """A plane in percent that is still to be made, which any thread may do.

    Attributes
    ----------
    name : str
        Suffix of the rater's name.
    frame, place : int
        Frame among those given, and place of the class among the model's.
    make : callable
        Returns it, ``uint8 (Y, X)``.
    """

    name: str
    frame: int
    place: int
    make: Callable[[], NDArray[np.uint8]]


@dataclass(frozen=True)
class Predictor:
    """A fitted network that predicts frames of any size.

    Names of runs are those of :func:`trainer.shipped.run_folder`: ``"starter"`` is the shipped
    model.

    Examples
    --------
    >>> import numpy as np
    >>> from trainer.predict import Predictor
    >>> predictor = Predictor.load("runs/first", device="cpu")
    >>> predictor.config.classes
    ('pleura', 'b-line')
    >>> frames = np.zeros((4, 32, 48), np.uint8)  # grey values of a clip
    >>> percent = predictor.percent(frames)
    >>> percent.dtype, percent.shape
    (dtype('uint8'), (4, 2, 32, 48))
    >>> predictor.percent(frames[0]).shape  # of one frame
    (2, 32, 48)
    >>> predictor.percent(frames / 255)
    Traceback (most recent call last):
    trainer.errors.TrainError: Frames must be uint8, grey values of 0 to 255, not float64. ...

    Attributes
    ----------
    network : Segmenter
        In evaluation mode, on `device`.
    config : RunConfig
        Of its run.
    device : torch.device
        Where it computes.
    chosen : tuple of str
        Classes that it gives the percent of, in their order; by default all that it learnt.
    both : bool
        Whether the probability is written beside the contour, where the two differ.
    """

    network: Segmenter
    config: RunConfig
    device: torch.device
    chosen: tuple[str, ...] = ()
    both: bool = False

    @classmethod
    def load(cls, run: str | Path, device: str = "auto") -> Predictor:
        """Return the best network of a run.

        Parameters
        ----------
        run : str or Path
            Folder of the run, or ``"starter"``.
        device : str
            ``"auto"`` (a GPU if there is one), ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

        Raises
        ------
        TrainError
            If there is no such run, or it has no network yet.
        """
        run = run_folder(run)
        config = load_config(run)
        place = choose_device(device)
        network, _ = load_checkpoint(run, config)
        return cls(network.place(place), config, place)

    def probability(self, frames: NDArray[np.uint8], draw: int | None = None) -> Tensor:
        """Return the probability of each class, float (T, C, Y, X); of one frame (C, Y, X).

        Parameters
        ----------
        frames : ndarray of uint8, shape (T, Y, X) or (Y, X)
            Grey values.
        draw : int or None
            Drop units at random as in training, by this seed; None drops none.

        Raises
        ------
        TrainError
            If the frames are of another type or shape.
        """
        check_frames(frames)
        if frames.ndim == 2:
            one: Tensor = self.probability(frames[None], draw)[0]
            return one
        fitted = self.prepare(frames)
        return to_frame_size(self._on_canvas(fitted, draw), fitted.shape)

    def prepare(self, frames: NDArray[np.uint8]) -> Fitted:
        """Return frames (T, Y, X) on the network's canvas; needs no network, may run beside one."""
        shape = frames.shape[1], frames.shape[2]
        return Fitted(shape, Resampler.into(shape, self.config.canvas).frames(frames))

    @torch.inference_mode()
    def _on_canvas(self, fitted: Fitted, draw: int | None = None) -> Tensor:
        """Return the probability of each class on the canvas, (T, C, H, W)."""
        self.network.drop(draw is not None)
        if draw is not None:
            torch.manual_seed(draw)
        images = torch.from_numpy(fitted.canvases).to(self.device)[:, None].float() / 255
        with autocast(self.device, self.config.precision):
            return self.network.probability(images.contiguous(memory_format=torch.channels_last))

    def percent(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the contour output of each class in percent, ``uint8 (T, C, Y, X)``.

        Takes what :meth:`probability` takes; of one frame ``uint8 (C, Y, X)``.
        """
        return replace(self, both=False).percents(frames).contour

    def percents(self, frames: NDArray[np.uint8]) -> Percents:
        """Return contour and probability in percent.

        They are the same array unless the predictor gives `both` and its method has two outputs.

        Parameters
        ----------
        frames : ndarray of uint8, shape (T, Y, X) or (Y, X)
            Grey values; one frame or several.

        Returns
        -------
        Percents
            Two arrays of uint8, shape (T, C, Y, X) or (C, Y, X), in 0 to 100.

        Raises
        ------
        TrainError
            If the frames are of another type or shape.
        """
        check_frames(frames)
        if frames.ndim == 2:
            return Percents(*(percent[0] for percent in self.percents(frames[None])))
        n, *shape = frames.shape
        made = {name: np.empty((n, len(self._places), *shape), np.uint8) for name in self.names}
        for plane in self.planes(self.prepare(frames)):
            made[plane.name][plane.frame, plane.place] = plane.make()
        return Percents(made[""], made.get(PROBABILITY, made[""]))

    def contour(self, probability: Tensor) -> Tensor:
        """Return the contour output of probabilities.

        Parameters
        ----------
        probability : Tensor, shape (T, C, Y, X)
            In 0 to 1, as :meth:`probability` returns it.

        Returns
        -------
        Tensor, shape (T, C, Y, X)
            In 0 to 1; 0.5 is the outline of best overlap.
        """
        return self.network.contour(probability) if self._two else probability

    @property
    def names(self) -> tuple[str, ...]:
        """Ends of the names of the raters that it writes as."""
        return ("", PROBABILITY) if self.both and self._two else ("",)

    @property
    def _two(self) -> bool:
        return self.config.method.written_as == "overlap"

    def planes(self, fitted: Fitted) -> Iterator[Plane]:
        """Run the network on `fitted`, and yield the plane of each frame and class, to be made."""
        probability = self._on_canvas(fitted)
        n = len(probability)
        each = list(product(self.names, range(n), enumerate(self._places)))
        if self.device.type != "cpu":  # which has arithmetic to spare, and no tables
            whole = to_frame_size(probability, fitted.shape)
            percent = {"": to_percent(self.contour(whole))}
            if PROBABILITY in self.names:
                percent[PROBABILITY] = to_percent(whole)
            for name, t, (place, c) in each:
                yield Plane(name, t, place, partial(np.asarray, percent[name][t, c]))
            return
        y, x = Resampler.into(fitted.shape, self.config.canvas).inside
        images = probability[:, :, y, x].contiguous().numpy()
        plain = [percent_table(None, None)] * len(self.config.classes)
        tables = {"": [percent_table(*of) for of in self._of_odds()], PROBABILITY: plain}
        for name, t, (place, c) in each:
            make = partial(tables[name][c].plane, images[t, c], fitted.shape)
            yield Plane(name, t, place, make)

    @property
    def _places(self) -> list[int]:
        """Place of each class that is given among those that were learnt."""
        learnt = self.config.classes
        return [learnt.index(c) for c in self.chosen or learnt]

    def _of_odds(self) -> list[tuple[float | None, float | None]]:
        """Return slope and shift from log odds to the contour's; None where they are the same."""
        if not self._two:
            return [(None, None)] * len(self.config.classes)
        slope = self.network.contour_slope.flatten()
        shift = self.network.contour_shift.flatten()
        return list(zip(slope.tolist(), shift.tolist(), strict=True))


def check_frames(frames: NDArray[np.uint8]) -> None:
    """Refuse anything but an array of grey frames.

    Raises
    ------
    TrainError
        If `frames` is not uint8, or neither (T, Y, X) nor (Y, X).
    """
    if frames.dtype != np.uint8:
        raise TrainError(
            f"Frames must be uint8, grey values of 0 to 255, not {frames.dtype}",
            "Scale them to 0..255, round, and convert with astype(numpy.uint8).",
        )
    if frames.ndim not in (2, 3) or not frames.size:
        raise TrainError(
            f"Frames must have the shape (T, Y, X), or (Y, X) for one, not {frames.shape}",
            "Turn colours into grey first, and leave no axis empty.",
        )


@dataclass(frozen=True)
class Ensemble:
    """Several models, or one with dropout, that predict with a map of what they have not seen.

    Attributes
    ----------
    members : tuple of Predictor
        One per run; the first gives the rater its name.
    draws : int
        Passes of each member with units dropped at random; 0 is one pass with none dropped.
    """

    members: tuple[Predictor, ...]
    draws: int = 0

    @classmethod
    def load(cls, runs: Sequence[Path], draws: int = 0, device: str = "auto") -> Ensemble:
        """Return the best networks of the run folders `runs`.

        Raises
        ------
        TrainError
            If one can't be used, learnt other classes, or has no units to drop.
        """
        members = tuple(Predictor.load(run, device) for run in runs)
        classes = members[0].config.classes
        for run, member in zip(runs, members, strict=True):
            if set(member.config.classes) != set(classes):
                raise TrainError(
                    f"{run.name} learnt {', '.join(member.config.classes)}, and {runs[0].name} "
                    f"{', '.join(classes)}",
                    "Name runs that learnt the same classes.",
                )
            if draws and not member.config.dropout:
                raise TrainError(
                    f"{run.name} was fitted without dropout, so every pass would be the same",
                    "Fit with --dropout 0.1, or name several runs with --members.",
                )
        return cls(members, draws)

    @property
    def names(self) -> tuple[str, ...]:
        """Ends of the names of the raters that it writes as."""
        two = any(PROBABILITY in replace(m, both=True).names for m in self.members)
        return ("", PROBABILITY, EPISTEMIC) if two else ("", EPISTEMIC)

    def maps(self, frames: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
        """Return the planes of each of :attr:`names` in percent, each ``uint8 (T, C, Y, X)``.

        Means of the members' contours and probabilities, and the epistemic share of the entropy of
        the latter. Of one frame (Y, X), each ``uint8 (C, Y, X)``.
        """
        check_frames(frames)
        if frames.ndim == 2:
            return {name: planes[0] for name, planes in self.maps(frames[None]).items()}
        contour = torch.tensor(0.0)

        def probabilities() -> Iterator[Tensor]:
            nonlocal contour
            for n, (probability, of) in enumerate(self._member_outputs(frames), 1):
                contour = contour + (of - contour) / n
                yield probability

        mean, share = epistemic_map(probabilities())
        made = {"": contour, PROBABILITY: mean, EPISTEMIC: share}
        return {name: to_percent(made[name]) for name in self.names}

    def prepare(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the frames: members may have canvases of their own."""
        return frames

    def planes(self, frames: NDArray[np.uint8]) -> Iterator[Plane]:
        """Run the networks, and yield the planes of :meth:`maps`."""
        for name, percent in self.maps(frames).items():
            for t, c in np.ndindex(percent.shape[:2]):
                yield Plane(name, t, c, partial(np.asarray, percent[t, c]))

    def _member_outputs(self, frames: NDArray[np.uint8]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each member's probability and contour."""
        classes = self.members[0].config.classes
        for member in self.members:
            order = [member.config.classes.index(c) for c in classes]
            for draw in range(self.draws) if self.draws else [None]:
                probability = member.probability(frames, draw)
                yield probability[:, order], member.contour(probability)[:, order]


class PlaneMaker(Protocol):
    """A source of planes for frames: one network, or several."""

    @property
    def names(self) -> tuple[str, ...]:
        """Suffixes of the raters' names that it writes as."""

    def prepare(self, frames: NDArray[np.uint8]) -> Any:
        """Return what :meth:`planes` takes, without the network: in another thread."""

    def planes(self, prepared: Any) -> Iterator[Plane]:
        """Run the network, and yield the plane of each frame and class, to be made."""


def check_same_run(clip: Clip, name: str, run: str) -> None:
    """Refuse to overwrite the planes of another run on `clip`.

    Raises
    ------
    StoreError
        If rater `name` holds planes that are not of `run`.
    """
    if name not in clip.raters():
        return
    rater = clip.rater(name)
    made_here = rater.meta.run == run and rater.meta.imported is None
    if not made_here and (rater.stored_chunks() or rater.read_status().any()):
        other = f"run {rater.meta.run!r}" if rater.meta.run else "another program"
        raise StoreError(
            Problem(
                "other-run",
                rater.path,
                f"Its planes come from {other}, not from run {run!r}",
                hint="Choose another name with --rater, or replace them with --replace.",
            )
        )


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
            check_same_run(clip, rater_name + name, run)
    with ExitStack() as stack:
        me = Identity("model", run=run, guarantee=guarantee)
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
            write[plane.name](first + plane.frame, indices[plane.place], plane.make())

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


def _known(cohort: Cohort, classes: Sequence[str]) -> tuple[str, ...]:
    """Return those of `classes` that the cohort has: it was not made for the shipped model.

    Raises
    ------
    TrainError
        If it has none of them.
    """
    there = {c.name for c in cohort.meta.classes}
    known = tuple(c for c in classes if c in there)
    if not known:
        raise TrainError(
            f"The starter model knows {', '.join(classes)}, and {cohort.location} has none of them",
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
    classes = predictor.config.classes
    if is_shipped(request.run) and not request.maps:
        classes = _known(cohort, classes)
        predictor = replace(predictor, chosen=classes)
    maker: PlaneMaker = replace(predictor, both=True)
    if request.maps:
        runs = (run, *map(run_folder, request.members))
        maker = Ensemble.load(runs, request.draws, request.device)
    indices = class_indices(cohort, classes)
    # It was measured on one network that drops nothing: several are another model.
    guarantee = None if request.maps else load_guarantee(run)
    clips = [cohort.clip(name) for name in request.clips or cohort.clips()]
    for end in maker.names:  # before hours of work: refuse a name that is taken
        cohort.check_name(request.rater + end, "model")
        for clip in clips if not request.replace else ():
            check_same_run(clip, request.rater + end, run.name)
    total = sum(clip.shape[0] for clip in clips)
    report.started(
        device=str(predictor.device),
        classes=", ".join(classes),
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
