"""Output scaling: a model's two outputs, fitted on held-out frames.

**Probability**: how likely a reader marks the pixel. A network that has learnt from few patients
says too much or too little; a line through its log odds (Platt 1999), fitted to the confidences
that readers stated on frames it has not learnt from, puts that right. All classes have the same:
four or five patients are too few for one each.

**Contour**: what is marked. An uncertain model overlaps poorly when cut at 50 % of its
probability: what it is unsure of, for want of frames or because a reader left it out, stays below
50 % although most of it is there. The cut that is best for Dice is half of the best Dice (Lipton,
Elkan and Naryanaswamy, *Optimal thresholding of classifiers to maximize F1 measure*, ECML 2014),
and a model knows from its own probabilities what Dice to expect. Neither truth nor marks are
needed to find it, so a few frames will do. But a network that is too sure of what it marks expects
too much. Where the calibrated probability asks for a higher cut, the contour goes half of the way
to it, since a few frames tell the calibration roughly. How steep the contour is at its other levels
follows from the readers' marks.

Both keep the order of the pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import torch

from napari_confseg.store import MAX_CONFIDENCE

if TYPE_CHECKING:
    from torch import Tensor

SLOPES: Final = (1.0, 1.15, 1.3, 1.45, 1.6)
"""Of the contour, on log odds. Marks of one value ask for ever steeper ones, for all levels of such
a reader are the same; of real people the shares at 10 and 90 % are not."""

LOWEST: Final = 0.1
"""Lowest cut, so that a class that the model hardly ever expects is not made of noise."""

HIGHEST: Final = 0.6
"""Highest cut, so that no class is lost because it was marked otherwise on a few frames."""

FLATTEST: Final = 0.2
"""Least slope of the probability: on frames where nothing fits, it would be one value."""

PRIOR: Final = 50.0
"""Weight, in pixels, of the line that changes nothing: enough where a class was never marked."""

LEVELS: Final = tuple(range(10, 100, 10))
"""Percents at which the contour is to overlap with what readers state."""

_FARTHEST, _PER_UNIT = 9, 20
_BINS = 2 * _FARTHEST * _PER_UNIT
_STEPS = 25  # of Newton; the loss is convex


class OutputScaling(NamedTuple):
    """Map of each class's log odds: ``slope * log odds + shift``, each of shape (C,)."""

    slope: Tensor
    shift: Tensor

    def then(self, other: OutputScaling) -> OutputScaling:
        """Return this map followed by another."""
        return OutputScaling(self.slope * other.slope, self.shift * other.slope + other.shift)

    def inverse(self) -> OutputScaling:
        """Return the map that takes this one back."""
        return OutputScaling(1 / self.slope, -self.shift / self.slope)


class HeldOutCounts:
    """Pixels by what was learnt (log odds) and by stated confidence, over any number of frames.

    Parameters
    ----------
    n_classes : int
        Classes.
    """

    def __init__(self, n_classes: int) -> None:
        shape = (n_classes, _BINS, MAX_CONFIDENCE + 1)
        self._pixels = torch.zeros(shape, dtype=torch.float64)
        middles = (torch.arange(_BINS, dtype=torch.float64) + 0.5) / _PER_UNIT - _FARTHEST
        self._odds, self._p = middles, middles.sigmoid()

    def add(self, probability: Tensor, planes: Tensor, known: Tensor) -> None:
        """Count some frames.

        Parameters
        ----------
        probability : float tensor, shape (N, C, H, W)
            As learnt.
        planes : uint8 tensor, shape (N, C, H, W)
            Confidence in percent.
        known : bool tensor, shape (N, C, H, W)
            Which pixels count.
        """
        n_classes, _, n_values = self._pixels.shape
        odds = torch.logit(probability.float(), eps=1e-6)
        bins = ((odds + _FARTHEST) * _PER_UNIT).long().clamp(0, _BINS - 1)
        c = torch.arange(n_classes, device=bins.device)[:, None, None]
        at = ((c * _BINS + bins) * n_values + planes)[known]
        found = torch.bincount(at, minlength=self._pixels.numel())
        self._pixels += found.cpu().view(self._pixels.shape)

    def expected_dice(self, scaling: OutputScaling | None = None) -> Tensor:
        """Return the Dice that the model expects of its best cut, per class, float64 (C,).

        Of all pixels at or above a cut, 2 * (sum of their probability) / (their number + the sum
        of all probability): the ratio of the expectations.

        Parameters
        ----------
        scaling : OutputScaling or None
            From log odds to those of the probability that is meant; None for what was learnt.
        """
        pixels, p = self._pixels.sum(2), self._p
        if scaling is not None:
            p = (self._odds * scaling.slope[:, None] + scaling.shift[:, None]).sigmoid()
        above, expected = (part.flip(1).cumsum(1) for part in (pixels, pixels * p))
        return (2 * expected / (above + expected[:, -1:]).clamp_min(1e-12)).amax(1)

    def probability(self) -> OutputScaling:
        """Return the line of least cross-entropy with stated confidence, mean over classes.

        A class that is marked nowhere asks for no change.
        """
        slopes, shifts = torch.stack([self._line(pixels) for pixels in self._pixels], 1)
        slope, shift = slopes.log().mean().exp(), shifts.mean()
        return OutputScaling(slope.expand_as(slopes).clone(), shift.expand_as(shifts).clone())

    def best_cut(self) -> Tensor:
        """Return the probability, as learnt, from which each class is marked, float64 (C,).

        Half of the Dice that is expected. Where the calibrated probability asks for a higher cut,
        half-way to that in log odds, at most :data:`HIGHEST`.
        """
        line = self.probability()
        own, calibrated = (
            (self.expected_dice(scaling) / 2).clamp(LOWEST, 0.5) for scaling in (None, line)
        )
        odds = torch.logit(own)
        asked = (torch.logit(calibrated) - line.shift) / line.slope
        return (odds + (asked - odds).clamp_min(0) / 2).sigmoid().clamp(max=HIGHEST)

    def contour(self) -> OutputScaling:
        """Return the map from what was learnt that moves each class's best cut to 50 %."""
        cut = self.best_cut()
        scores = torch.stack([self.level_dice(_contour(s, cut)) for s in SLOPES])
        # The last of equals: without marks, the steepest.
        best = len(SLOPES) - 1 - scores.nan_to_num(0).flip(0).argmax(0)
        return _contour(torch.tensor(SLOPES, dtype=torch.float64)[best], cut)

    def level_dice(self, scaling: OutputScaling) -> Tensor:
        """Return the mean over :data:`LEVELS` of Dice with the readers' marks, per class (C,).

        NaN where nothing is marked.
        """
        found = []
        for level in LEVELS:
            # From which log odds on the scaled percent reaches the level.
            odds = (torch.logit(torch.tensor(level / 100, dtype=torch.float64)) - scaling.shift) / (
                scaling.slope
            )
            mine = (self._odds >= odds[:, None]).double()
            theirs = self._pixels[:, :, level:].sum(2)
            marked = (self._pixels.sum(2) * mine).sum(1)
            total = marked + theirs.sum(1)
            dice = 2 * (theirs * mine).sum(1) / total.clamp_min(1e-12)
            found.append(torch.where(theirs.sum(1) > 0, dice, torch.nan))
        return torch.stack(found).nanmean(0)

    def _line(self, pixels: Tensor) -> Tensor:
        """Return slope and shift, by Newton's steps, for one class's pixels (BINS, 101)."""
        weight = pixels.sum(1)
        stated = torch.arange(pixels.shape[1], dtype=torch.float64) / MAX_CONFIDENCE
        design = torch.stack([self._odds, torch.ones_like(self._odds)], 1)
        line = unchanged = torch.tensor([1.0, 0.0], dtype=torch.float64)
        if not (pixels[:, 1:].any() and weight.any()):
            return unchanged  # never marked: how seldom it is, a few frames can't say
        for _ in range(_STEPS):
            p = (design @ line).sigmoid()
            curvature = weight * (p * (1 - p)).clamp_min(1e-9)
            gradient = design.T @ (weight * p - pixels @ stated) + PRIOR * (line - unchanged)
            hessian = (design * curvature[:, None]).T @ design + PRIOR * torch.eye(2).double()
            step = torch.linalg.solve(hessian, gradient)
            line = line - step / step.abs().max().clamp_min(1)  # far off, a whole one overshoots
        return torch.stack([line[0].clamp_min(FLATTEST), line[1]])


def _contour(slope: float | Tensor, cut: Tensor) -> OutputScaling:
    slope = torch.as_tensor(slope, dtype=torch.float64).expand_as(cut)
    return OutputScaling(slope, -slope * torch.logit(cut))
