"""Prediction: frames of any size through a fitted network, as contour and probability."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from napari_confseg.dataset.resample import Resampler
from napari_confseg.job import PROBABILITY
from trainer.checkpoint import RunConfig, load_checkpoint, load_config
from trainer.compute import autocast, choose_device
from trainer.errors import TrainError
from trainer.full_size import percent_table, to_frame_size, to_percent
from trainer.shipped import run_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from trainer.full_size import PercentTable
    from trainer.network import Segmenter


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
        learnt = to_frame_size(self._on_canvas(fitted, draw), fitted.shape)
        return self.network.probability(learnt) if self._two else learnt

    def prepare(self, frames: NDArray[np.uint8]) -> Fitted:
        """Return frames (T, Y, X) on the network's canvas; needs no network, may run beside one."""
        shape = frames.shape[1], frames.shape[2]
        return Fitted(shape, Resampler.into(shape, self.config.canvas).frames(frames))

    @torch.inference_mode()
    def _on_canvas(self, fitted: Fitted, draw: int | None = None) -> Tensor:
        """Return each class's probability, as it was learnt, on the canvas, (T, C, H, W)."""
        self.network.drop(draw is not None)
        if draw is not None:
            torch.manual_seed(draw)
        images = torch.from_numpy(fitted.canvases).to(self.device)[:, None].float() / 255
        with autocast(self.device, self.config.precision):
            return self.network.learnt(images.contiguous(memory_format=torch.channels_last))

    def percent(
        self, frames: NDArray[np.uint8], inside: NDArray[np.bool_] | None = None
    ) -> NDArray[np.uint8]:
        """Return the contour output of each class in percent, ``uint8 (T, C, Y, X)``.

        Parameters
        ----------
        frames : ndarray of uint8, shape (T, Y, X) or (Y, X)
            Grey values; of one frame, ``uint8 (C, Y, X)`` is returned.
        inside : ndarray of bool, shape (Y, X), or None
            As :meth:`percents` takes it.

        Raises
        ------
        TrainError
            If the frames are of another type or shape.
        """
        return replace(self, both=False).percents(frames, inside).contour

    def percents(
        self, frames: NDArray[np.uint8], inside: NDArray[np.bool_] | None = None
    ) -> Percents:
        """Return contour and probability in percent.

        They are the same array unless the predictor gives `both` and its method has two outputs.

        Parameters
        ----------
        frames : ndarray of uint8, shape (T, Y, X) or (Y, X)
            Grey values; one frame or several.
        inside : ndarray of bool, shape (Y, X), or None
            Where marks can be: both outputs are 0 elsewhere. A clip's is
            :func:`napari_confseg.readouts.insonated`. None cuts nothing off.

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
            return Percents(*(percent[0] for percent in self.percents(frames[None], inside)))
        n, *shape = frames.shape
        made = {name: np.empty((n, len(self._places), *shape), np.uint8) for name in self.names}
        for plane in self.planes(self.prepare(frames)):
            made[plane.name][plane.frame, plane.place] = plane.make()
        if inside is not None:
            for percent in made.values():
                np.multiply(percent, inside, out=percent)
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
    def sha256(self) -> str:
        """Hash of what its run was told to do."""
        return self.config.sha256

    @property
    def _two(self) -> bool:
        return self.config.method.written_as == "overlap"

    def planes(self, fitted: Fitted) -> Iterator[Plane]:
        """Run the network on `fitted`, and yield the plane of each frame and class, to be made."""
        learnt = self._on_canvas(fitted)
        n = len(learnt)
        each = list(product(self.names, range(n), enumerate(self._places)))
        if self.device.type != "cpu":  # which has arithmetic to spare, and no tables
            whole = to_frame_size(learnt, fitted.shape)
            probability = self.network.probability(whole) if self._two else whole
            percent = {"": to_percent(self.contour(probability))}
            if PROBABILITY in self.names:
                percent[PROBABILITY] = to_percent(probability)
            for name, t, (place, c) in each:
                yield Plane(name, t, place, partial(np.asarray, percent[name][t, c]))
            return
        y, x = Resampler.into(fitted.shape, self.config.canvas).inside
        images = learnt[:, :, y, x].contiguous().numpy()
        tables = self._tables()
        for name, t, (place, c) in each:
            make = partial(tables[name][c].plane, images[t, c], fitted.shape)
            yield Plane(name, t, place, make)

    @property
    def _places(self) -> list[int]:
        """Place of each class that is given among those that were learnt."""
        learnt = self.config.classes
        return [learnt.index(c) for c in self.chosen or learnt]

    def _tables(self) -> dict[str, list[PercentTable]]:
        """Return the table from what was learnt to percents, of each output and class."""
        if not self._two:
            return {"": [percent_table(None, None)] * len(self.config.classes)}
        probability, contour = (
            [percent_table(*of) for of in torch.stack(output, 1).tolist()]
            for output in self.network.outputs
        )
        return {"": contour, PROBABILITY: probability}


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
