"""Summary of agreement over a cohort: means, kappas, curves, with intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime  # noqa: TC003  (pydantic reads a remembered summary by it)
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.agreement.intervals import Estimate, estimate, mean_estimate
from napari_confseg.agreement.kappa import alpha_from_sums, interval_distance, presence_kappa
from napari_confseg.agreement.overlap import N_VALUES
from napari_confseg.agreement.rater_view import first_reading
from napari_confseg.agreement.reliability import Reliability, reliability
from napari_confseg.store.durable import write_csv

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.agreement.agreement import Agreement
    from napari_confseg.agreement.scores import ClipAgreement


@dataclass(frozen=True)
class PairSummary:
    """One class and pair of raters at one threshold; means over the clips where defined.

    `repeat` is true for a rater with their own second reading; `unit` is that of `hd95`: if some
    clips know their spacing only these count.
    """

    class_name: str
    a: str
    b: str
    repeat: bool
    threshold: int
    dice: Estimate
    iou: Estimate
    hd95: Estimate
    unit: str


@dataclass(frozen=True)
class SoftSummary:
    """One class and pair of raters; means over the clips where defined.

    `dice_curve` is Dice at each threshold of :data:`~napari_confseg.agreement.overlap.CURVE`.
    """

    class_name: str
    a: str
    b: str
    repeat: bool
    soft_dice: Estimate
    energy_distance: Estimate
    dice_curve: tuple[float, ...]


@dataclass(frozen=True)
class ChanceSummary:
    """One class: agreement of the whole group beyond chance.

    `presence_kappa` (Fleiss, frames all reviewed), `presence_alpha` (Krippendorff, frames two or
    more reviewed) and `pixel_alpha` are of yes or no at `threshold`; with `threshold` None,
    `pixel_alpha` is of the confidences themselves (interval metric).
    """

    class_name: str
    threshold: int | None
    presence_kappa: Estimate | None
    presence_alpha: Estimate | None
    pixel_alpha: Estimate


@dataclass(frozen=True)
class Learning:
    """One rater over time, clips in the order they were read.

    Parameters
    ----------
    times : tuple of datetime
        Last stroke on each clip.
    values : tuple of float
        Mean soft Dice with the rest of the group over the classes defined.
    slope : float
        Least squares, soft Dice per ten clips; NaN below three clips.
    rank_correlation : float
        Spearman's of order and value; NaN below three clips.
    """

    rater: str
    times: tuple[datetime, ...]
    clips: tuple[str, ...]
    values: tuple[float, ...]
    slope: float
    rank_correlation: float


@dataclass(frozen=True)
class Summary:
    """All of it; what a report shows."""

    pairs: tuple[PairSummary, ...]
    soft: tuple[SoftSummary, ...]
    chance: tuple[ChanceSummary, ...]
    reliability: tuple[Reliability, ...]
    learning: tuple[Learning, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON: NaN becomes None, times ISO text."""
        plain = _plain(asdict(self))
        assert isinstance(plain, dict)
        return plain


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return None if np.isnan(value) else float(value)
    return value.isoformat() if hasattr(value, "isoformat") else value


def summarise(agreement: Agreement) -> Summary:
    """Return means, chance-corrected agreement, reliability and learning of a cohort.

    Intervals are 95 %, by resampling patients; NaN with a single patient.
    """
    return Summary(
        tuple(_pairs(agreement)),
        tuple(_soft(agreement)),
        tuple(_chance(agreement)),
        tuple(reliability(agreement)),
        tuple(_learning(agreement)),
    )


def _pairs(agreement: Agreement) -> list[PairSummary]:
    rows = [row for clip in agreement.clips for row in clip.pairs]
    summaries = []
    for class_name in agreement.classes:
        for a, b in agreement.pairs():
            for t in agreement.thresholds:
                mine = [
                    r
                    for r in rows
                    if (r.class_name, r.a, r.b, r.threshold) == (class_name, a, b, t)
                ]
                if not mine:
                    continue
                unit = "mm" if any(r.unit == "mm" for r in mine) else "px"
                patients = [r.patient for r in mine]
                hd95 = [r.hd95 if r.unit == unit else np.nan for r in mine]
                summaries.append(
                    PairSummary(
                        class_name,
                        a,
                        b,
                        first_reading(b, agreement.raters) == a,
                        t,
                        mean_estimate([r.dice for r in mine], patients),
                        mean_estimate([r.iou for r in mine], patients),
                        mean_estimate(hd95, patients),
                        unit,
                    )
                )
    return summaries


def _soft(agreement: Agreement) -> list[SoftSummary]:
    rows = [row for clip in agreement.clips for row in clip.soft]
    summaries = []
    for class_name in agreement.classes:
        for a, b in agreement.pairs():
            mine = [r for r in rows if (r.class_name, r.a, r.b) == (class_name, a, b)]
            if mine:
                patients = [r.patient for r in mine]
                summaries.append(
                    SoftSummary(
                        class_name,
                        a,
                        b,
                        first_reading(b, agreement.raters) == a,
                        mean_estimate([r.soft_dice for r in mine], patients),
                        mean_estimate([r.energy_distance for r in mine], patients),
                        _mean_curve([r.dice_curve for r in mine]),
                    )
                )
    return summaries


def _mean_curve(curves: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Return the means over the clips where defined, NaN where there is none."""
    values = np.array(curves)
    known = ~np.isnan(values)
    sums = np.where(known, values, 0).sum(0)
    means = np.divide(sums, known.sum(0), out=np.full(len(sums), np.nan), where=known.any(0))
    return tuple(means.tolist())


def _chance(agreement: Agreement) -> list[ChanceSummary]:
    summaries = []
    for class_name in agreement.classes:
        clips = [c for c in agreement.clips if class_name in c.pixels]
        patients = [c.patient for c in clips]
        if not clips:
            continue
        sums = np.array(
            [[c.pixels[class_name].disagreement, *c.pixels[class_name].marginal] for c in clips]
        )
        alpha = estimate(sums, patients, _interval_alpha, n=len(clips))
        summaries.append(ChanceSummary(class_name, None, None, None, alpha))
        for t in agreement.thresholds:
            presence = [c.presence[class_name, t] for c in clips]
            tally = np.array([p.tally for p in presence], float)
            pairs = np.array([p.coincidences.ravel() for p in presence])
            pixels = np.array([c.pixels[class_name].binary[t].ravel() for c in clips])
            summaries.append(
                ChanceSummary(
                    class_name,
                    t,
                    estimate(tally, patients, presence_kappa, n=int(tally.sum())),
                    estimate(pairs, patients, _binary_alpha, n=len(clips)),
                    estimate(pixels, patients, _binary_alpha, n=len(clips)),
                )
            )
    return summaries


def _interval_alpha(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return alpha_from_sums(sums[:, 0], sums[:, 1:], interval_distance(N_VALUES))


def _binary_alpha(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = sums.reshape(-1, 2, 2)
    return alpha_from_sums(matrix[:, 0, 1] + matrix[:, 1, 0], matrix.sum(2), 1 - np.eye(2))


def _learning(agreement: Agreement) -> list[Learning]:
    found = []
    for rater in agreement.group:
        points = [
            (clip.read_at[rater], clip.clip, _with_others(clip, rater, agreement.group))
            for clip in agreement.clips
            if rater in clip.read_at
        ]
        points = sorted(p for p in points if not np.isnan(p[2]))
        values = [p[2] for p in points]
        slope = rank = float("nan")
        if len(values) > 2:
            slope = 10 * float(np.polyfit(np.arange(len(values)), values, 1)[0])
            if len(set(values)) > 1:
                rank = float(np.corrcoef(np.arange(len(values)), _ranks(values))[0, 1])
        found.append(
            Learning(
                rater,
                tuple(p[0] for p in points),
                tuple(p[1] for p in points),
                tuple(values),
                slope,
                rank,
            )
        )
    return found


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Return the rank of each value; those alike share the mean of theirs, as Spearman has it."""
    # scipy.stats takes longer to import than everything else that `confseg agree` does.
    _, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[at]
    return ranks


def _with_others(clip: ClipAgreement, rater: str, group: Sequence[str]) -> float:
    values = [
        s.soft_dice for s in clip.soft if rater in (s.a, s.b) and s.a in group and s.b in group
    ]
    defined = [v for v in values if not np.isnan(v)]
    return float(np.mean(defined)) if defined else float("nan")


COLUMNS = ("clip", "patient", "class", "a", "b", "threshold", "frames", "score", "value", "unit")


def write_per_clip(agreement: Agreement, path: Path) -> None:
    """Write one line for each clip, class, pair, threshold and score; undefined ones are empty.

    Of `agreement`, as CSV, to the file at `path`. Soft Dice and energy distance have no threshold.
    The unit of HD95 is that of the clip.
    """
    write_csv(path, COLUMNS, _rows(agreement))


def _rows(agreement: Agreement) -> Iterator[tuple[object, ...]]:
    for clip in agreement.clips:
        for p in clip.pairs:
            key = (p.clip, p.patient, p.class_name, p.a, p.b, p.threshold)
            yield *key, p.frames, "dice", p.dice, ""
            yield *key, p.frames, "iou", p.iou, ""
            yield *key, p.hd95_frames, "hd95", p.hd95, p.unit
        for s in clip.soft:
            soft = (s.clip, s.patient, s.class_name, s.a, s.b, "", s.frames)
            yield *soft, "soft-dice", s.soft_dice, ""
            yield *soft, "energy-distance", s.energy_distance, ""
