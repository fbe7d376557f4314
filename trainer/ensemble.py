"""Several networks, or one with dropout, and a map of what they have not seen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_confseg.job import EPISTEMIC, PROBABILITY
from trainer.errors import TrainError
from trainer.full_size import to_percent
from trainer.predict import Plane, Predictor, check_frames
from trainer.uncertainty import epistemic_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor


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

    @property
    def sha256(self) -> str:
        """Hash of what its runs were told to do, and of the draws."""
        told = [*(member.sha256 for member in self.members), str(self.draws)]
        return hashlib.sha256(" ".join(told).encode()).hexdigest()

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
