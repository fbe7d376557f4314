"""Where the ultrasound is within the frame: found from what moves, proposed, never taken for sure.

Tissue flickers from frame to frame; letters, rulers and logos stand still. What is brighter than
the background *and* changes is live; the shape of the largest live region tells the probe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_confseg.ingest.decoded import IngestError
from napari_confseg.ingest.sector_evidence import (
    CHANGES,
    Evidence,
    edges_within,
    filled,
    support_of,
)
from napari_confseg.ingest.sector_fit import (
    Points,
    clip_to_frame,
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


class Survey:
    """Mean and spread of each pixel over time, gathered frame by frame.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the frames.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.n_frames = 0
        self._sum = np.zeros(shape, np.uint32)  # 100,000 frames of 255 fit
        self._squares = np.zeros(shape, np.uint64)

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Count one frame, ``uint8 (Y, X)``, in."""
        wide = frame.astype(np.uint16)
        self._sum += wide
        wide *= wide  # 255 * 255 fits
        self._squares += wide
        self.n_frames += 1

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean over time, (Y, X)."""
        return self._sum / max(self.n_frames, 1)

    @property
    def spread(self) -> NDArray[np.float64]:
        """Standard deviation over time, (Y, X)."""
        squares = self._squares / max(self.n_frames, 1)
        spread: NDArray[np.float64] = np.sqrt(np.maximum(squares - self.mean**2, 0))
        return spread


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


_CORNER = np.radians(14)  # an arc of 24 points turns by 4 degrees at each, a corner by far more
_MOST = 12
_ARC_POINTS = 24
_ROUNDEST = 0.45  # of the chord: an arc is less than half a circle
_CROWDED = 0.012  # of the sector's size: two handles this close cannot be told apart
_APART = 1.0  # pixels: of points closer than this the direction means nothing


@dataclass(frozen=True)
class Outline:
    """Corners, and how the edge from each to the next runs.

    Attributes
    ----------
    corners : tuple of (float, float)
        (y, x) in pixels.
    bulges : tuple of float or None
        For each edge the greatest distance of its arc from the straight line, in pixels to the
        right as one walks; None for an edge that is straight.
    """

    corners: tuple[tuple[float, float], ...]
    bulges: tuple[float | None, ...]

    def handles(self) -> Points:
        """Return what can be dragged: the corners, then the middle of each arc."""
        return [*self.corners, *(self._middle(i) for i in self._arcs())]

    def _arcs(self) -> list[int]:
        return [i for i, bulge in enumerate(self.bulges) if bulge is not None]

    def _edge(self, i: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        n = len(self.corners)
        return np.array(self.corners[i]), np.array(self.corners[(i + 1) % n])

    def _middle(self, i: int) -> tuple[float, float]:
        a, b = self._edge(i)
        y, x = (a + b) / 2 + (self.bulges[i] or 0.0) * _normal(a, b)
        return float(y), float(x)

    def dragged(self, handle: int, y: float, x: float, shape: tuple[int, int]) -> Outline:
        """Return the outline with handle `handle` at (y, x), or as near as the frame allows."""
        y, x = min(max(y, 0.0), float(shape[0])), min(max(x, 0.0), float(shape[1]))
        if handle < len(self.corners):
            corners = [*self.corners]
            corners[handle] = (y, x)
            return replace(self, corners=tuple(corners))
        edge = self._arcs()[handle - len(self.corners)]
        a, b = self._edge(edge)
        reach = _ROUNDEST * float(np.hypot(*(b - a)))
        bulge = float((np.array([y, x]) - (a + b) / 2) @ _normal(a, b))
        bulges = [*self.bulges]
        bulges[edge] = min(max(bulge, -reach), reach)
        return replace(self, bulges=tuple(bulges))

    def polygon(self, shape: tuple[int, int]) -> Points:
        """Return the outline as points, cut to a frame of `shape` (Y, X)."""
        points: Points = []
        for i, bulge in enumerate(self.bulges):
            points += _arc(*self._edge(i), bulge or 0.0)
        return clip_to_frame(points, shape)


def _normal(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    dy, dx = b - a
    length = float(np.hypot(dy, dx)) or 1.0
    return np.array([dx, -dy]) / length


def _arc(a: NDArray[np.float64], b: NDArray[np.float64], bulge: float) -> Points:
    """Return the points of the edge from `a` up to, and without, `b`."""
    chord = float(np.hypot(*(b - a)))
    reach = _ROUNDEST * chord
    bulge = min(max(bulge, -reach), reach)  # the corners may have come closer since
    if abs(bulge) < 1e-6:
        return [(float(a[0]), float(a[1]))]
    radius = (chord**2 / 4 + bulge**2) / (2 * bulge)  # signed, as the bulge
    half = np.arcsin(chord / 2 / radius)
    along, across = (b - a) / chord, _normal(a, b)
    angles = np.linspace(-half, half, _ARC_POINTS)[:-1, None]
    center = (a + b) / 2 + (bulge - radius) * across
    points = center + radius * (np.sin(angles) * along + np.cos(angles) * across)
    return [(float(y), float(x)) for y, x in points]


def outline_of(polygon: Points | tuple[tuple[float, float], ...]) -> Outline:
    """Return `polygon` by its corners; one without clear corners gets a few along its line."""
    points = _spread(np.array(polygon, float))
    before, after = points - np.roll(points, 1, 0), np.roll(points, -1, 0) - points
    turn = np.arctan2(
        before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0], (before * after).sum(axis=1)
    )
    at = np.flatnonzero(np.abs(turn) > _CORNER)
    if not 3 <= len(at) <= _MOST:
        return _simplified(points)
    at = _merged(points, at)
    corners = tuple((float(y), float(x)) for y, x in points[at])
    bulges = []
    for i, j in zip(at, np.roll(at, -1), strict=True):
        between = np.arange(i + 1, j if j > i else j + len(points)) % len(points)
        off = (points[between] - points[i]) @ _normal(points[i], points[j])
        bulge = float(off[np.abs(off).argmax()]) if len(off) else 0.0
        chord = float(np.hypot(*(points[j] - points[i])))
        bulges.append(bulge if abs(bulge) > max(0.5, 0.004 * chord) else None)
    return Outline(corners, tuple(bulges))


def _merged(points: NDArray[np.float64], at: NDArray[np.int_]) -> NDArray[np.int_]:
    """Return corners without those hardly apart from the one before, as at the tip of a fan."""
    near = _CROWDED * float(np.hypot(*np.ptp(points, axis=0)))
    gaps = np.hypot(*(points[at] - points[np.roll(at, 1)]).T)
    kept: NDArray[np.int_] = at[gaps >= near]
    return kept if len(kept) >= 3 else at


def _spread(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `points` without those that lie on the one before."""
    kept = [points[0]]
    for point in points[1:]:
        if np.hypot(*(point - kept[-1])) >= _APART:
            kept.append(point)
    if len(kept) > 3 and np.hypot(*(kept[0] - kept[-1])) < _APART:
        kept.pop()
    return np.array(kept)


def _simplified(points: NDArray[np.float64]) -> Outline:
    from skimage.measure import approximate_polygon

    closed = np.concatenate([points, points[:1]])
    tolerance = 0.5
    while len(few := approximate_polygon(closed, tolerance)) - 1 > _MOST:
        tolerance *= 1.5
    corners = tuple((float(y), float(x)) for y, x in few[:-1])
    if len(corners) < 3:
        corners = tuple((float(y), float(x)) for y, x in points)
    return Outline(corners, (None,) * len(corners))


def template(kind: Kind, box: tuple[float, float, float, float]) -> Outline:
    """Return a sector of `kind` that fills `box` (y0, x0, y1, x1), to begin dragging from."""
    y0, x0, y1, x1 = box
    high, wide = y1 - y0, x1 - x0
    if kind == "linear":
        return Outline(((y0, x0), (y0, x1), (y1, x1), (y1, x0)), (None,) * 4)
    bottom = y1 - 0.15 * high  # where the lower arc ends; its middle is at the bottom
    if kind == "phased":
        return Outline(
            ((y0, (x0 + x1) / 2), (bottom, x1), (bottom, x0)), (None, -0.15 * high, None)
        )
    top = ((y0, x0 + 0.3 * wide), (y0, x1 - 0.3 * wide))
    return Outline((*top, (bottom, x1), (bottom, x0)), (0.05 * high, None, -0.15 * high, None))


def crosses_itself(polygon: Points) -> bool:
    """Whether two edges of `polygon` that are no neighbours meet."""
    a = np.array(polygon)
    b = np.roll(a, -1, 0)
    i, j = np.triu_indices(len(a), 2)
    apart = (i > 0) | (j < len(a) - 1)  # the last edge is the first one's neighbour
    i, j = i[apart], j[apart]

    def side(p: NDArray[np.float64], q: NDArray[np.float64], r: NDArray[np.float64]) -> Any:
        return np.sign(
            (q[:, 0] - p[:, 0]) * (r[:, 1] - p[:, 1]) - (q[:, 1] - p[:, 1]) * (r[:, 0] - p[:, 0])
        )

    split = side(a[i], b[i], a[j]) * side(a[i], b[i], b[j]) < 0
    return bool((split & (side(a[j], b[j], a[i]) * side(a[j], b[j], b[i]) < 0)).any())
