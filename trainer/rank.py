"""What to annotate next: frames by what a model has not seen, readers' disagreement, diversity.

Of each clip some frames are looked at, evenly spaced: neighbours are near copies. Three things
speak for a frame:

- **unseen**: the epistemic share of the model's uncertainty (:mod:`trainer.uncertainty`), over
  several runs, over draws of one that has dropout, or else over changed views of the frame;
- **differ**: how far readers differ on it, or on other frames of its clip;
- **apart**: the distance of what the network sees in it to the nearest frame that is reviewed or
  ranked already.

The frame with the highest product of weight and distance comes next, where the weight is the mean
rank of *unseen* and *differ* among all frames. This is greedy k-centre (Sener and Savarese, ICLR
2018) with weights: so of five alike only one comes early.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import rankdata

from napari_confseg.agreement.maps import gap
from napari_confseg.agreement.rater_view import planes_of, rater_views
from napari_confseg.dataset.resample import Resampler
from napari_confseg.job.learning_order import FrameToLearn, LearningOrder
from napari_confseg.store import EXCLUDED, RATER_KINDS
from trainer.data import clips_of, read_frames
from trainer.errors import TrainError
from trainer.uncertainty import decompose, entropy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_confseg.agreement.rater_view import RaterView
    from napari_confseg.store import Clip, Cohort
    from trainer.predict import Predictor

    Floats = NDArray[np.float64]

PER_CLIP = 8
"""Frames of a clip that are looked at."""
DRAWS = 8
"""Passes of a model with dropout."""
NUMBER = 200
"""Frames that are ranked, at most."""
_VIEWS = ((False, 1.0), (True, 1.0), (False, 0.8), (False, 1.25), (True, 0.8), (True, 1.25))
"""Views of a frame for a model by itself: whether mirrored, and the gain."""


@dataclass(frozen=True)
class Look:
    """What is known of one frame.

    Attributes
    ----------
    clip, frame : str, int
        Which.
    reviewed : bool
        Whether a reader has reviewed it for all classes of the model.
    unseen : float
        Epistemic share, 0..1.
    differ : float
        How far readers differ on it, 0..1; NaN if fewer than two have reviewed it.
    features : ndarray of float
        Mean and spread of each feature map.
    """

    clip: str
    frame: int
    reviewed: bool
    unseen: float
    differ: float
    features: Floats


def rank(
    cohort: Cohort,
    members: Sequence[Predictor],
    *,
    model: str,
    sha256: str,
    per_clip: int = PER_CLIP,
    number: int = NUMBER,
    on_progress: Callable[[int, int, str], None] = lambda *_: None,
) -> LearningOrder:
    """Rank the frames of a cohort that nobody has reviewed.

    Parameters
    ----------
    cohort : Cohort
        What is annotated.
    members : sequence of Predictor
        The model; with more than one, models that learnt the same classes.
    model, sha256 : str
        What the first is called, and the hash of its weights, for the record.
    per_clip : int
        Frames of each clip that are looked at.
    number : int
        Frames to rank, at most.
    on_progress : callable
        Called with (clips done, clips, message).

    Raises
    ------
    TrainError
        If the cohort has none of the model's classes or no clips, or no frame is left to review.
    """
    classes = [c for c in members[0].config.classes if c in {k.name for k in cohort.meta.classes}]
    if not classes:
        raise TrainError(
            f"{model} knows {', '.join(members[0].config.classes)}, and cohort {cohort.meta.name} "
            "has none of these classes",
            "Name another model with --model.",
        )
    looks: list[Look] = []
    names = clips_of(cohort)
    for done, name in enumerate(names):
        on_progress(done, len(names), f"Looking at {name}")
        looks += look_at(cohort.clip(name), members, classes, per_clip)
    on_progress(len(names), len(names), "Ranking")
    # Readers who may not see each other are not to be led to where others differ.
    frames = ordered(looks, number, compare=cohort.meta.blinding == "none")
    if not frames:
        raise TrainError(
            f"Every frame of {cohort.meta.name} that was looked at is reviewed already",
            "Import more clips, or look at more frames of each with --frames.",
        )
    return LearningOrder(
        cohort_id=cohort.meta.cohort_id,
        made_at=datetime.now(UTC),
        model=model,
        sha256=sha256,
        looked_at=len(looks),
        frames=frames,
    )


def look_at(
    clip: Clip, members: Sequence[Predictor], classes: Sequence[str], per_clip: int
) -> list[Look]:
    """Return what is known of some frames of a clip, evenly spaced."""
    learnt = members[0].config.classes
    index_of = {c.name: c.index for c in clip.classes}
    indices = [index_of[c] for c in classes]
    people = [n for n in clip.raters() if RATER_KINDS[clip.rater(n).meta.kind].compared]
    views = rater_views(clip, people)
    complete = np.zeros(clip.shape[0], bool)
    for view in views:
        complete |= view.reviewed[:, indices].all(1)
    spaced = np.unique(np.linspace(0, clip.shape[0] - 1, min(per_clip, clip.shape[0])).round())
    wanted = spaced.astype(int).tolist()
    pixels = np.concatenate(list(read_frames(clip, wanted)))
    unseen = epistemic_share(members, pixels, [learnt.index(c) for c in classes])
    features = features_of(members[0], pixels)
    return [
        Look(
            clip.name,
            t,
            bool(complete[t]),
            float(unseen[i]),
            differ_on(views, t, indices, clip.shape[1:]),
            features[i],
        )
        for i, t in enumerate(wanted)
    ]


def epistemic_share(
    members: Sequence[Predictor], frames: NDArray[np.uint8], classes: Sequence[int]
) -> Floats:
    """Return the epistemic share of the uncertainty of each frame (T, Y, X), over `classes`."""
    mean, _, epistemic = decompose(p[:, list(classes)] for p in _passes(members, frames))
    total = entropy(mean).sum((1, 2, 3)).clamp_min(1e-9)
    share: Floats = (epistemic.sum((1, 2, 3)) / total).clamp(0, 1).numpy()
    return share


def _passes(members: Sequence[Predictor], frames: NDArray[np.uint8]) -> Iterator[torch.Tensor]:
    """Yield probabilities (T, C, Y, X) that would all be one if there was nothing to learn."""
    first = members[0].config.classes
    if len(members) > 1:
        for member in members:
            order = [member.config.classes.index(c) for c in first]
            yield member.probability(frames)[:, order].cpu()
    elif members[0].config.dropout:
        for draw in range(DRAWS):
            yield members[0].probability(frames, draw).cpu()
    else:
        for mirrored, gain in _VIEWS:
            seen = np.clip(np.rint(frames * gain), 0, 255).astype(np.uint8)
            seen = np.ascontiguousarray(seen[..., ::-1]) if mirrored else seen
            probability = members[0].probability(seen).cpu()
            yield probability.flip(-1) if mirrored else probability


@torch.inference_mode()
def features_of(predictor: Predictor, frames: NDArray[np.uint8]) -> Floats:
    """Return mean and spread of each feature map of frames (T, Y, X), (T, 2 F)."""
    canvas, network = predictor.config.canvas, predictor.network
    resampler = Resampler.into((frames.shape[1], frames.shape[2]), canvas)
    small = np.stack([resampler.frame(frame) for frame in frames])
    images = torch.from_numpy(small)[:, None].to(predictor.device).float() / 255
    maps = network.net.features((images - network.mean) / network.std).flatten(2)
    found: Floats = torch.cat([maps.mean(2), maps.std(2)], 1).double().cpu().numpy()
    return found


def differ_on(
    views: Sequence[RaterView], frame: int, classes: Sequence[int], shape: tuple[int, int]
) -> float:
    """Return how far readers differ on a frame, 0..1; NaN if fewer than two have reviewed it.

    Sum of the gap between highest and lowest confidence over the sum of the highest: soft
    intersection over union, taken from 1.
    """
    apart = highest = 0.0
    compared = False
    for c in classes:
        planes = list(planes_of(views, frame, c, shape).values())
        if len(planes) < 2:
            continue
        compared = True
        stacked = np.stack(planes)
        known = (stacked != EXCLUDED).all(0)
        apart += float(gap(stacked)[known].sum())
        highest += float(stacked.max(0)[known].sum())
    if not compared:
        return float("nan")
    return apart / highest if highest else 0.0


def ordered(
    looks: Sequence[Look], number: int, *, compare: bool = True
) -> tuple[FrameToLearn, ...]:
    """Return the frames that are not reviewed, most to learn first. Pure.

    Parameters
    ----------
    looks : sequence of Look
        All frames that were looked at, those reviewed among them.
    number : int
        How many to return, at most.
    compare : bool
        Whether readers' disagreement counts.
    """
    waiting = [look for look in looks if not look.reviewed]
    if not waiting:
        return ()
    features = _scaled(np.stack([look.features for look in looks]))
    differ = _by_clip(looks, waiting) if compare else np.full(len(waiting), np.nan)
    unseen = np.array([look.unseen for look in waiting])
    higher = _ranks(unseen)
    known = ~np.isnan(differ)
    weight = np.where(known, (higher + _ranks(np.where(known, differ, 0))) / 2, higher)
    mine = features[[not look.reviewed for look in looks]]
    seen = features[[look.reviewed for look in looks]]
    usual = _usual(features)
    distance = np.full(len(waiting), np.inf)
    for other in seen:
        distance = np.minimum(distance, np.linalg.norm(mine - other, axis=1) / usual)
    if not len(seen):  # nothing to be apart from: as far as the middle of all
        distance = np.linalg.norm(mine - features.mean(0), axis=1) / usual
    found: list[FrameToLearn] = []
    left = np.ones(len(waiting), bool)
    for _ in range(min(number, len(waiting))):
        score = np.where(left, weight * distance, -1)
        # Copies of what is there have no distance left: by weight then.
        i = int(np.argmax(score)) if score.max() > 0 else int(np.argmax(np.where(left, weight, -1)))
        look, gone = waiting[i], differ[i]
        found.append(
            FrameToLearn(
                clip=look.clip,
                frame=look.frame,
                unseen=round(look.unseen, 4),
                differ=None if np.isnan(gone) else round(float(gone), 4),
                apart=round(float(distance[i]), 4),
                why=_why(higher[i], gone, distance[i]),
            )
        )
        left[i] = False
        distance = np.minimum(distance, np.linalg.norm(mine - mine[i], axis=1) / usual)
    return tuple(found)


def _scaled(features: Floats) -> Floats:
    """Return features of mean 0 and spread 1; what is the same everywhere says nothing."""
    spread = features.std(0)
    scaled: Floats = (features - features.mean(0)) / np.where(spread > 0, spread, 1)
    return scaled


def _usual(features: Floats) -> float:
    """Return the usual distance between two frames: of their scaled features' mean square."""
    usual = float(np.sqrt(2 * features.var(0).sum()))
    return usual or 1.0


def _ranks(values: Floats) -> Floats:
    """Return the share of values that each is above, ties half; 0..1."""
    ranks: Floats = (rankdata(values) - 0.5) / len(values)
    return ranks


def _by_clip(looks: Sequence[Look], waiting: Sequence[Look]) -> Floats:
    """Return how far readers differ on each waiting frame, else on average on its clip."""
    of_clip: dict[str, list[float]] = {}
    for look in looks:
        if not np.isnan(look.differ):
            of_clip.setdefault(look.clip, []).append(look.differ)
    return np.array(
        [
            w.differ
            if not np.isnan(w.differ)
            else float(np.mean(of_clip[w.clip]))
            if w.clip in of_clip
            else np.nan
            for w in waiting
        ]
    )


def _why(higher: float, differ: float, apart: float) -> str:
    said = [f"newer to the model than {100 * higher:.0f} % of the frames"]
    if not np.isnan(differ):
        said.append(f"readers differ by {100 * differ:.0f} % here or in this clip")
    said.append(f"{apart:.1f} times as far as usual from what is reviewed or ranked higher")
    return "; ".join(said)
