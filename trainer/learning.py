"""Learning while somebody paints: a light head on the features of a frozen network.

For each class that was painted, the log odds of the network get a linear correction of its
features, fitted to the marks of this clip. Without marks there is no correction, so the head is
the network itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE
from trainer.full_size import to_percent

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from trainer.features import SeenFrame
    from trainer.predict import Predictor

PIXELS: Final = 600
"""Pixels that are drawn of a plane's marks, and as many of what is not marked there."""

PLANE_WEIGHT: Final = 200.0
"""What a plane's marks weigh together, in independent pixels: neighbours say the same."""

RIDGE: Final = 2.0
"""Weight of the prior that the network is right, on standardised features."""

CALIBRATED_FROM: Final = 4
"""Painted frames of a class from which on its confidence is calibrated on held-out ones."""

PLACES: Final = 12
"""Smooth bumps along each axis of the frame, for where on it this clip shows a class."""

_SLOPE_RIDGE: Final = 10.0
_STEPS: Final = 6  # of Newton; the loss is convex, and hardly moves after four


@dataclass(frozen=True, eq=False)
class TaughtFrame:
    """A frame that was painted.

    Attributes
    ----------
    seen : SeenFrame
        Its features.
    planes : mapping of int to ndarray of uint8 (Y, X)
        Marks by the network's index of the class.
    reviewed : collection of int
        Classes of which all unmarked pixels are known to be absent.
    """

    seen: SeenFrame
    planes: Mapping[int, NDArray[np.uint8]]
    reviewed: Collection[int] = ()


@dataclass(frozen=True, eq=False)
class Correction:
    """What is added to one class's log odds: ``((features - mean) / std) @ weights + bias``.

    Attributes
    ----------
    mean, std, weights : ndarray of float (F + 2 * PLACES,)
        Of the network's features, then of the places along y and x.
    bias : float
        Added everywhere.
    scale : float or None
        Slope from log odds to those of the percent; None leaves it to the network's own.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: float
    scale: float | None = None


@dataclass(frozen=True, eq=False)
class LightHead:
    """Corrections by class index; none is the network itself."""

    corrections: Mapping[int, Correction] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Samples:
    """Pixels: features (n, F), the network's log odds, soft target, weight."""

    features: NDArray[np.float64]
    offset: NDArray[np.float64]
    target: NDArray[np.float64]
    weight: NDArray[np.float64]


def fit_head(taught: Sequence[TaughtFrame], n_classes: int) -> LightHead:
    """Return the head that fits the marks of some frames.

    Parameters
    ----------
    taught : sequence of TaughtFrame
        Frames of one clip.
    n_classes : int
        Of the network, whose log odds are the last features.
    """
    found = {}
    for c in range(n_classes):
        marked = [
            t
            for t in taught
            if c in t.planes and ((t.planes[c] > 0) & (t.planes[c] != EXCLUDED)).any()
        ]
        blank = [t for t in taught if c in t.reviewed and not (c in t.planes and t.planes[c].any())]
        both = marked + blank
        parts = [_samples(t, c, n_classes, len(both)) for t in both]
        if parts:
            found[c] = _correction(parts)
    return LightHead(found)


def _samples(taught: TaughtFrame, c: int, n_classes: int, n_taught: int) -> _Samples:
    """Draw pixels of one of n planes: marked ones with their confidence, others as absent."""
    plane = taught.planes.get(c)
    if plane is None:
        plane = np.zeros(taught.seen.shape, np.uint8)
    # The same pixels each time, so that the suggestion does not flicker.
    rng = np.random.default_rng(c)
    marked = np.flatnonzero((plane > 0) & (plane != EXCLUDED))
    absent = np.flatnonzero(plane == 0)
    n_marked, n_absent = len(marked), len(absent)
    marked = rng.choice(marked, min(PIXELS, len(marked)), replace=False)
    absent = rng.choice(absent, min(PIXELS, len(absent)), replace=False)
    at = np.concatenate([marked, absent])
    y, x = np.unravel_index(at, plane.shape)
    features = taught.seen.at(y, x).double().numpy()
    offset = features[:, features.shape[1] - n_classes + c]
    height, width = plane.shape
    features = np.column_stack([features, _bumps(y, height), _bumps(x, width)])
    # Until the frame is reviewed an unmarked pixel may be still to be marked: the likelier by the
    # network, the less its absence counts, and the fewer frames there are. Else the first piece of
    # a line would unteach the rest.
    expected = _sigmoid(offset[len(marked) :])
    known = (1 - expected) ** (0 if c in taught.reviewed else 1 + 1 / n_taught)
    # Marked and absent pixels weigh as many as there are, else marks would be made too readily.
    each = PLANE_WEIGHT / max(n_marked, n_absent / 100)
    weight = np.concatenate(
        [
            np.full(len(marked), each * n_marked / max(len(marked), 1)),
            known * (each * n_absent / max(len(absent), 1)),
        ]
    )
    target = plane.reshape(-1)[at] / MAX_CONFIDENCE
    return _Samples(features, offset, target, weight)


def _bumps(at: NDArray[np.integer], length: int) -> NDArray[np.float64]:
    """Return how near pixels (n,) of an axis are to places along it, (n, PLACES)."""
    away = (at[:, None] + 0.5) / length * PLACES - (np.arange(PLACES) + 0.5)
    near: NDArray[np.float64] = np.exp(-(away**2) / 2)
    return near


def _correction(parts: Sequence[_Samples]) -> Correction:
    made = _fit(parts)
    if len(parts) < CALIBRATED_FROM:
        return made
    # Every frame is predicted by what the others teach: half and half, which costs two fits.
    odds, targets, weights = [], [], []
    for side in (0, 1):
        half = _fit(parts[side::2])
        for part in parts[1 - side :: 2]:
            odds.append(_odds(half, part))
            targets.append(part.target)
            weights.append(part.weight)
    slope = _slope(np.concatenate(odds), np.concatenate(targets), np.concatenate(weights))
    return Correction(made.mean, made.std, made.weights, made.bias, slope)


def _fit(parts: Sequence[_Samples]) -> Correction:
    """Return the correction of least penalised cross-entropy, by Newton's steps."""
    features = np.concatenate([p.features for p in parts])
    offset = np.concatenate([p.offset for p in parts])
    target = np.concatenate([p.target for p in parts])
    weight = np.concatenate([p.weight for p in parts])
    mean, std = features.mean(0), features.std(0) + 1e-3
    design = np.column_stack([(features - mean) / std, np.ones(len(features))])
    penalty = np.full(design.shape[1], RIDGE)
    weights = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        p = _sigmoid(offset + design @ weights)
        curvature = weight * np.maximum(p * (1 - p), 1e-3)
        gradient = design.T @ (weight * (p - target)) + penalty * weights
        hessian = (design * curvature[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        # Far from the optimum a whole step may overshoot.
        weights -= step / max(1.0, np.abs(step).max() / 2)
    return Correction(mean, std, weights[:-1], float(weights[-1]))


def _odds(made: Correction, part: _Samples) -> NDArray[np.float64]:
    raised: NDArray[np.float64] = ((part.features - made.mean) / made.std) @ made.weights
    return part.offset + raised + made.bias


def _slope(
    odds: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64]
) -> float:
    """Return the slope that calibrates log odds, near 1 on little data.

    How sure, not where: with a shift beside it (Platt 1999) frames that are half painted moved
    the outline, and lost a whole pleural line on one clip.
    """
    slope = 1.0
    for _ in range(_STEPS):
        p = _sigmoid(odds * slope)
        curvature = weight * np.maximum(p * (1 - p), 1e-3)
        gradient = float(odds @ (weight * (p - target))) + _SLOPE_RIDGE * (slope - 1)
        slope -= gradient / (float(curvature @ odds**2) + _SLOPE_RIDGE)
    return float(np.clip(slope, 0.2, 2.0))


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    p: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(x, -30, 30)))
    return p


@torch.inference_mode()
def propose(head: LightHead, seen: SeenFrame, predictor: Predictor) -> NDArray[np.uint8]:
    """Return the percents of each class on a frame, ``uint8 (C, Y, X)``, after the head."""
    if not head.corrections:
        return seen.percent
    percent = seen.percent.copy()
    n_classes = len(percent)
    maps = seen.maps
    for c, made in head.corrections.items():
        scaled = made.weights / made.std
        bias = made.bias - float(made.mean @ scaled)
        of_maps, of_y, of_x = np.split(scaled, [len(maps), len(maps) + PLACES])
        raised = torch.tensordot(torch.from_numpy(of_maps).float(), maps, 1)
        odds = seen.to_frame((maps[len(maps) - n_classes + c] + raised)[None])
        height, width = seen.shape
        along_y = _bumps(np.arange(height), height) @ of_y + bias
        along_x = _bumps(np.arange(width), width) @ of_x
        odds = odds + torch.from_numpy(along_y[:, None] + along_x).float()
        if made.scale is not None:
            odds = odds * made.scale
        share = odds.sigmoid()
        if made.scale is None:
            every = share.expand(n_classes, *share.shape[1:])[None]  # as many as it scales
            share = predictor.contour(every)[0, c : c + 1]
        percent[c] = to_percent(share)[0]
    return percent
