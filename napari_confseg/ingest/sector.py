"""Where the ultrasound is within the frame: found from what moves, proposed, never taken for sure.

Tissue flickers from frame to frame; letters, rulers and logos stand still. What is brighter than
the background *and* changes is live; the shape of the largest live region tells the probe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_confseg.ingest.decoded import IngestError
from napari_confseg.ingest.sector_evidence import (
    CHANGES,
    Evidence,
    Survey,
    edges_within,
    filled,
    support_of,
)
from napari_confseg.ingest.sector_fit import (
    Points,
    fit_shapes,
    frame_polygon,
    hull_polygon,
)
from napari_confseg.store.schema import Sector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.ingest.sector_evidence import Support
    from napari_confseg.ingest.sector_fit import Kind
    from napari_confseg.store import ClipMeta, Cohort


_ALIVE = 0.02  # of the frame: less that changes is a clock
_COVERS, _FILLS = 0.96, 0.25  # an outline holds that much of what is alive, and is not mostly dark
_LESS = 0.005  # of what is alive: so much may lie outside a wider outline instead
_PLAINLY = 0.1  # of the outline: so much more of the hull is shown where the shape is another
_CONTESTED = 0.65  # shown of a side: less, and a wider outline is as good
_SEEN = 0.5  # shown of an outline within the frame
_OPEN, _FULL = 0.5, 0.75  # cut by the frame, and alive: then the scan is larger than the frame
_GUESS = 0.3  # trust of what a still image's grain shows


def is_still(survey: Survey) -> bool:
    """Whether nothing moves: then what is tissue, and what a picture of letters, is a guess."""
    return bool((survey.spread > CHANGES).mean() < _ALIVE)


def find_sector(survey: Survey) -> Sector | None:
    """Return the sector that `survey` shows, to be confirmed by a person.

    Returns
    -------
    Sector or None
        Its polygon lies within the frame: (y, x) in pixels, an edge of the frame at 0 and at its
        height and width. None if nothing in the frame looks alive.
    """
    evidence = Evidence.of(survey)
    if evidence is None:
        return None
    found, trust = _choose(evidence)
    return Sector(kind=found.kind, polygon=tuple(found.polygon), trust=round(trust, 2))


@dataclass(frozen=True)
class _Found:
    """An outline, and how well it agrees with the evidence."""

    kind: Kind | Literal["unknown"]
    polygon: Points
    support: Support


def _choose(evidence: Evidence) -> tuple[_Found, float]:
    """Return the outline of the scan that `evidence` shows, and its trust."""
    found = _shapes(evidence)
    hull = hull_polygon(evidence.scan)
    around = _Found("unknown", hull, support_of(hull, evidence))
    if not found or max(f.support.shown for f in found) < around.support.shown - _PLAINLY:
        found = [around]
    least = found[0].support.cover - _LESS
    rivals = [f for f in found if f.support.cover >= least]
    best = rivals[0]
    for other in rivals[1:]:
        # A side that a shadow takes away is none: the wider outline is as good, and cuts less.
        wider, narrower = other.support, best.support
        if wider.inside.sum() > narrower.inside.sum() and (
            narrower.shown_inside(wider) < _CONTESTED or wider.cover > narrower.cover + _LESS
        ):
            best = other
    if best.support.cut.mean() >= _OPEN and best.support.shown_within < _SEEN:
        whole = frame_polygon(evidence.live.shape)
        frame = _Found("unknown", whole, support_of(whole, evidence))
        if frame.support.fill >= _FULL:  # it ends beyond the frame, or fades into the dark in it
            return frame, _trust(evidence, frame, [])
    return best, _trust(evidence, best, rivals)


def _shapes(evidence: Evidence) -> list[_Found]:
    """Return the shapes that cover what is alive; else those of its largest region."""
    for mask in (evidence.scan, evidence.largest):
        shapes = fit_shapes(mask, evidence.changing)
        found = [_Found(kind, p, support_of(p, evidence)) for kind, p in shapes]
        if kept := [f for f in found if _covers(f.support.inside, mask)]:
            return kept
    return []


def _covers(inside: NDArray[np.bool_], mask: NDArray[np.bool_]) -> bool:
    """Whether nearly all of `mask` lies `inside`, and fills a good part of that."""
    return bool((mask & inside).sum() > _COVERS * mask.sum() > _FILLS * inside.sum())


def _trust(evidence: Evidence, found: _Found, rivals: list[_Found]) -> float:
    """Return how far an outline can be trusted, 0..1: the product of what speaks for it."""
    support = found.support
    overlaps = [support.overlap(r.support) for r in rivals]
    shown = np.interp(support.shown, (0.6, 0.95), (0, 1))
    covered = np.interp(support.cover, (0.9, 0.99), (0, 1))
    alive = np.interp(support.fill, (0.4, 0.95), (0.3, 1))
    agreed = np.interp(min(overlaps, default=1.0), (0.6, 0.95), (0.3, 1))
    crossed = np.interp(edges_within(support, evidence), (0.03, 0.15), (1, 0.3))
    trust = float(shown * covered * alive * agreed * crossed) / (1 + evidence.rivals)
    return min(trust, _GUESS) if evidence.still else trust


def trust_words(sector: Sector) -> str:
    """Return in a few words how far a sector can be trusted; empty if a person has confirmed it."""
    if sector.confirmed or sector.trust is None:
        return ""
    return f"trust {sector.trust:.2f}{', doubtful' * sector.doubtful}"


def waiting_words(meta: ClipMeta) -> str:
    """Return in a sentence what was not done to a clip, and what to do; empty if nothing waits."""
    undone = [word for tag, word in _WAITING.items() if tag in meta.tags]
    if not undone or meta.sector is None:
        return ""
    done = f"not {' nor '.join(undone)}"
    if meta.sector.confirmed:
        return (
            f"{done} yet: its sector is confirmed now, black out what lies outside (confseg mask)"
        )
    trust = "" if meta.sector.trust is None else f" (trust {meta.sector.trust:.2f})"
    return (
        f"{done}, for its sector was doubtful{trust}: correct and confirm the sector, then black "
        "out what lies outside (confseg mask)"
    )


def moved(sector: Sector, dy: float, dx: float) -> Sector:
    """Return `sector` shifted by (dy, dx) pixels."""
    polygon = tuple((y + dy, x + dx) for y, x in sector.polygon)
    return sector.model_copy(update={"polygon": polygon})


def inside_mask(sector: Sector, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return 1 inside `sector` and 0 outside, ``uint8 (Y, X)``; its edge counts as inside."""
    return filled(sector.polygon, shape).astype(np.uint8)


def crop_box(sector: Sector, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the smallest box (y0, x0, y1, x1) of whole pixels that holds `sector`."""
    points = np.array(sector.polygon)
    y0, x0 = np.floor(points.min(axis=0)).astype(int).clip(0)
    y1, x1 = np.minimum(np.ceil(points.max(axis=0)).astype(int), shape)
    return int(y0), int(x0), int(y1), int(x1)


MASKED = "masked-outside-sector"
"""Tag of a clip that shows its sector and nothing else."""

CROP_WAITS, MASK_WAITS = "crop-waits-for-sector", "mask-waits-for-sector"
"""Tags of a clip that was to be cropped or masked by a sector that turned out doubtful."""

_WAITING = {CROP_WAITS: "cropped", MASK_WAITS: "masked"}


def mask_clip(cohort: Cohort, name: str) -> None:
    """Make every pixel of a clip outside its confirmed sector black, for good.

    Raises
    ------
    IngestError
        If no person has confirmed the sector: one that is merely found may cut off a dim edge, or
        take in a letter.
    """
    clip = cohort.clip(name)
    sector = clip.meta.sector
    if sector is None or not sector.confirmed:
        raise IngestError(
            f"the sector of {name} is not confirmed: open the clip, correct the outline, confirm it"
        )
    keep = inside_mask(sector, clip.shape[1:])
    cohort.clip(name).change_frames(lambda frames: frames * keep)
    done = (CROP_WAITS, MASK_WAITS, MASKED)
    clip.update_meta(tags=(*(t for t in clip.meta.tags if t not in done), MASKED))
