"""M-mode: one beam of the open clip over time, sampled from the stored frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from psygnal import Signal
from scipy.ndimage import gaussian_filter1d, map_coordinates, zoom

from napari_confseg.annotate.links import Links, to_message
from napari_confseg.annotate.view import Tool
from napari_confseg.ingest.decoded import RATE_ASSUMED
from napari_confseg.store import EXCLUDED, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Literal

    from numpy.typing import NDArray

    from napari_confseg.annotate.session import Session
    from napari_confseg.readouts import Beams

PLEURA: Final = "pleura"
"""Name of the class whose marks say where the pleural line is."""

GUESSED: Final = "guessed, drag it"
"""Who says where the pleural line is, where nobody has said so."""

BATCH: Final = 16
"""Frames sampled between two checks of what is wanted now."""

MEMORY: Final = 256 * 2**20
"""Bytes of frames kept while the M-mode is open: a beam that is dragged reads them once."""

NARROW: Final = 0.01
"""Share of the sector's width that a beam keeps from its sides, whose pixels are cut by them."""


@dataclass(frozen=True, eq=False)
class Beam:
    """Points along one beam, about a pixel apart, from the face of the probe down.

    Attributes
    ----------
    y, x : ndarray of float (D,)
        Pixels, not rounded.
    depth : ndarray of float (D,)
        Distance from where the beam enters the sector, in `unit`.
    lateral : float
        As of :meth:`Beams.locate`: an angle in radians, or a distance in `unit`.
    unit : {"mm", "px"}
        Of depths.
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    depth: NDArray[np.float64]
    lateral: float
    unit: Literal["mm", "px"]

    @classmethod
    def through(cls, beams: Beams, point: tuple[float, float]) -> Beam:
        """Return the beam through a pixel (y, x), or the nearest one of the sector beside it."""
        inside = beams.inside
        lateral = beams.lateral[inside]
        low, high = float(lateral.min()), float(lateral.max())
        margin = NARROW * (high - low)
        wanted = float(beams.locate(*(np.asarray(v, float) for v in point))[1])
        wanted = min(max(wanted, low + margin), high - margin)
        depth = beams.depth[inside]
        z = np.arange(float(depth.min()), float(depth.max()) + min(beams.step), min(beams.step))
        y, x = (np.array(v) for v in beams.place(z, np.full_like(z, wanted)))
        rows, columns = np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)
        height, width = beams.shape
        seen = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        seen[seen] = inside[rows[seen], columns[seen]]
        at = np.flatnonzero(seen)
        # Two points at least: one alone has no length to be drawn.
        first, last = (int(at[0]), int(at[-1])) if at.size > 1 else (0, len(z) - 1)
        run = slice(first, last + 1)
        return cls(y[run], x[run], z[run] - z[first], wanted, beams.unit)

    def sample(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a frame ``uint8 (Y, X)`` along the beam, ``uint8 (D,)``, bilinear."""
        found = map_coordinates(frame, [self.y, self.x], order=1, mode="nearest", output=np.float32)
        return np.asarray(np.rint(found), np.uint8)


def coarse_to_fine(n: int, steps: int = 64) -> list[int]:
    """Return 0..n-1, every frame once, evenly spread from the first `steps` of them on."""
    stride = 1
    while n > steps * stride:
        stride *= 2
    order = list(range(0, n, stride))
    while stride > 1:
        order += range(stride // 2, n, stride)
        stride //= 2
    return order


@dataclass(eq=False)
class MPicture:
    """The columns sampled so far.

    Attributes
    ----------
    values : ndarray of uint8 (D, T)
        Grey values by depth and frame; 0 where not known.
    known : ndarray of bool (T,)
        Frames that are sampled.
    lost : set of int
        Frames that can't be read.
    """

    values: NDArray[np.uint8]
    known: NDArray[np.bool_]
    lost: set[int] = field(default_factory=set)

    @classmethod
    def blank(cls, n_depths: int, n_frames: int) -> MPicture:
        """Return a picture of which nothing is known."""
        return cls(np.zeros((n_depths, n_frames), np.uint8), np.zeros(n_frames, np.bool_))

    @property
    def complete(self) -> bool:
        """Whether every frame is sampled, or found to be unreadable."""
        return int(self.known.sum()) + len(self.lost) >= len(self.known)

    def columns(self, frames: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return the columns of `frames` (W,), the nearest known one for each, ``(D, W)``."""
        known = np.flatnonzero(self.known)
        if not known.size:
            return np.zeros((len(self.values), len(frames)), np.uint8)
        after = np.searchsorted(known, frames).clip(0, len(known) - 1)
        before = np.maximum(after - 1, 0)
        left = np.abs(frames - known[before]) < np.abs(known[after] - frames)
        return self.values[:, known[np.where(left, before, after)]]


def frames_of_pixels(times: Sequence[float], width: int) -> NDArray[np.intp]:
    """Return the frame that each of `width` pixels shows when time runs evenly, ``(width,)``.

    A frame lasts until the next; the last one as long as the mean.
    """
    edges = np.array([*times, times[-1] + _last(times)])
    at = edges[0] + (np.arange(width) + 0.5) / width * (edges[-1] - edges[0])
    found = np.searchsorted(edges, at, side="right") - 1
    return np.asarray(found.clip(0, len(times) - 1), np.intp)


def span(times: Sequence[float]) -> float:
    """Return how long a picture of these frames is, in seconds."""
    return times[-1] - times[0] + _last(times)


def _last(times: Sequence[float]) -> float:
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1.0


def ticks(high: float, most: int) -> list[float]:
    """Return at most `most` round numbers from 0 to `high`, evenly spaced by 1, 2 or 5 times 10^k.

    >>> ticks(43.0, 5)
    [0.0, 10.0, 20.0, 30.0, 40.0]
    """
    if high <= 0:
        return [0.0]
    power = int(np.floor(np.log10(high / max(most, 1))))
    steps = (factor * 10.0**p for p in range(power, power + 4) for factor in (1, 2, 5))
    step = next(s for s in steps if int(high / s + 1e-9) < max(most, 1))
    return [round(k * step, 9) for k in range(int(high / step + 1e-9) + 1)]


# ---- what changes beneath the pleural line ------------------------------------------------

LAG: Final = 0.4
"""Seconds between the two columns compared: a sliding lung has moved by more than its speckle."""

_LEAST_FRAMES: Final = 8
_MOST_PAIRS: Final = 400
_MM: Final = {"window": 6.0, "search": 1.2, "gap": 1.0, "reach": 20.0, "detail": 3.0}
_SHARES: Final = {"window": 0.07, "search": 0.014, "gap": 0.012, "reach": 0.25, "detail": 0.035}


@dataclass(frozen=True)
class TextureChange:
    """How much the texture along the beam changes within `LAG`, 0 (none) to 1 (wholly).

    Attributes
    ----------
    above, below : float
        Above the pleural line and below it; NaN where there is no room to look.
    """

    above: float
    below: float


def texture_change(
    values: NDArray[np.uint8], times: Sequence[float], beam: Beam, pleura: float
) -> TextureChange | None:
    """Return how much the texture changes above and below the pleural line; None if too short.

    One minus the correlation of a column with the one `LAG` seconds later, in windows of 6 mm,
    each at its best match within 1.2 mm up and down: a lung that is pushed as a whole does not
    count as changed, one that slides across the beam does.

    Parameters
    ----------
    values : ndarray of uint8 (D, T)
        The M-mode.
    times : sequence of float
        Of its frames, in seconds.
    beam : Beam
        Its beam.
    pleura : float
        Depth of the pleural line, in the beam's unit.
    """
    pairs = _pairs(times)
    if len(pairs) < _LEAST_FRAMES:
        return None
    extent = float(beam.depth[-1])
    of = _MM if beam.unit == "mm" else {name: share * extent for name, share in _SHARES.items()}
    step = extent / max(len(beam.depth) - 1, 1)
    fine = values.astype(np.float32)
    fine -= gaussian_filter1d(fine, of["detail"] / step, axis=0)
    above = (beam.depth > 0.1 * pleura) & (beam.depth < pleura - of["gap"])
    below = (beam.depth > pleura + of["gap"]) & (beam.depth < pleura + of["gap"] + of["reach"])
    window, search = round(2 * of["window"] / step), max(round(2 * of["search"] / step), 1)
    found = [_changed(fine[band], pairs, window, search) for band in (above, below)]
    return TextureChange(*found)


def _pairs(times: Sequence[float]) -> NDArray[np.intp]:
    """Return pairs of frames `LAG` apart, ``(N, 2)``, of very many an even choice."""
    at = np.asarray(times)
    later = np.searchsorted(at, at + LAG - 1e-9)
    first = np.flatnonzero(later < len(at))
    # A rate so low that the next frame comes much later says nothing of this lag.
    first = first[at[later[first]] - at[first] < 2 * LAG]
    if len(first) > _MOST_PAIRS:
        first = first[np.linspace(0, len(first) - 1, _MOST_PAIRS).astype(int)]
    return np.stack([first, later[first]], axis=1)


def _changed(band: NDArray[np.float32], pairs: NDArray[np.intp], window: int, search: int) -> float:
    if 2 * len(band) < window + 2 * search:
        return float("nan")
    band = zoom(band, (2, 1), order=1)  # matched to half a pixel
    same = []
    for top in range(search, len(band) - search - window + 1, window):
        a = band[top : top + window, pairs[:, 0]]
        best = np.full(len(pairs), -1.0)
        for by in range(-search, search + 1):
            b = band[top + by : top + by + window, pairs[:, 1]]
            best = np.maximum(best, _correlation(a, b))
        same.append(float(best.mean()))
    return float(np.clip(1 - np.mean(same), 0, 1))


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the correlation of the columns of `a` and `b`; two that are flat are the same."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    power = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    flat = power < 1e-6
    return np.where(flat, np.float32(1), (a * b).sum(axis=0) / np.where(flat, 1, power))


def brightest_line(values: NDArray[np.uint8], beam: Beam) -> float:
    """Return the depth of the line that is brightest all the time, between 8 % and 60 % of it."""
    profile = gaussian_filter1d(values.mean(axis=1, dtype=np.float64), 1.5)
    share = beam.depth / max(float(beam.depth[-1]), 1e-9)
    profile[(share < 0.08) | (share > 0.6)] = -1
    return float(beam.depth[int(profile.argmax())])


# ---- the session's M-mode -----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Sampling:
    """Frames to sample, away from the event loop; made by :meth:`MMode.task`."""

    beam: Beam
    frames: Any  # of the clip
    order: tuple[int, ...]
    kept: dict[int, NDArray[np.uint8]]

    def run(
        self,
        send: Callable[[tuple[tuple[int, ...], NDArray[np.uint8], tuple[int, ...]]], object],
        cancelled: Callable[[], bool],
    ) -> None:
        """Sample, and `send` (frames, columns ``(N, D)``, unreadable frames) of each batch."""
        for start in range(0, len(self.order), BATCH):
            if cancelled():
                return
            wanted = self.order[start : start + BATCH]
            found = self._read(wanted)
            there = tuple(t for t in wanted if t in found)
            columns = [self.beam.sample(found[t]) for t in there]
            shape = (len(there), len(self.beam.depth))
            send((there, np.array(columns, np.uint8).reshape(shape), tuple({*wanted} - {*there})))

    def _read(self, wanted: Sequence[int]) -> dict[int, NDArray[np.uint8]]:
        found = {t: self.kept[t] for t in wanted if t in self.kept}
        missing = [t for t in wanted if t not in found]
        if missing:
            try:
                read = dict(zip(missing, self.frames[missing], strict=True))
            except (StoreError, OSError):  # one of them: the others are shown all the same
                read = {t: frame for t in missing for frame in self._one(t)}
            found |= read
            room = MEMORY // max(int(np.prod(self.frames.shape[1:])), 1) - len(self.kept)
            self.kept.update(list(read.items())[: max(room, 0)])
        return found

    def _one(self, frame: int) -> list[NDArray[np.uint8]]:
        try:
            return [self.frames[frame]]
        except (StoreError, OSError):
            return []


class MMode:
    """The M-mode of a session's clip: its beam, and what was sampled of it.

    Nothing is stored. Whoever shows it asks for a :meth:`task`, runs it where it holds nobody up,
    and gives each part to :meth:`take`.

    Parameters
    ----------
    session : Session
        Whose clip.
    """

    changed: ClassVar[Signal] = Signal()
    """It was opened or left, or the beam is another one: all is to be sampled anew."""
    columns_changed: ClassVar[Signal] = Signal()
    """Frames were sampled."""
    pleura_changed: ClassVar[Signal] = Signal()
    """The pleural line may be elsewhere."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._tool = session.tool  # as last heard of
        self._before = Tool.BRUSH  # in hand before the beam
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._chosen: float | None = None  # depth of the pleural line as the person set it
        self.shown = False
        self.point: tuple[float, float] | None = None
        self.beam: Beam | None = None
        self.picture = MPicture.blank(0, 0)
        self._links = Links(
            (session.events.clip, self._on_clip),
            (session.sector_changed, self._on_sector),
            (session.events.tool, self._on_tool),
            (session.editor.edited, self._on_edited),
            failed=to_message(session),
        )

    # ---- opening and leaving --------------------------------------------------------------

    def toggle(self) -> None:
        """Take the beam in hand and show the M-mode; leave it if that is so already."""
        if self.shown and self._session.tool_in_hand is Tool.M_MODE:
            self.leave()
        else:
            self._session.toolkit.marker.take(Tool.M_MODE)

    def leave(self) -> None:
        """Show the M-mode no longer; the tool that was in hand before the beam is back."""
        session = self._session
        if session.tool_in_hand is Tool.M_MODE:
            session.hold_move(False)
            session.tool = self._before
        if self.shown:
            self.shown = False
            self._kept = {}
            self.picture = MPicture.blank(0, 0)
            self.changed.emit()

    @property
    def tool_beneath(self) -> Tool:
        """The tool in hand, or the one before it while that is the beam."""
        tool = self._session.tool_in_hand
        return self._before if tool is Tool.M_MODE else tool

    def _on_tool(self, tool: Tool, *_: object) -> None:
        old, self._tool = self._tool, tool
        if tool is not Tool.M_MODE:
            return
        if not self.shown or old is not Tool.PAN:  # else Space moved the picture
            self._before = old
        if self._session.clip is not None and not self.shown:
            self.shown = True
            self._session.message = "M-mode: click or drag on the picture to place the beam."
            self._aim()

    # ---- the beam -------------------------------------------------------------------------

    def place(self, y: float, x: float) -> None:
        """Lay the beam through a pixel (y, x), or as near as the sector allows."""
        if self.shown and self._session.clip is not None and (y, x) != self.point:
            self.point = (y, x)
            self._aim()

    def _aim(self) -> None:
        """Find the beam, and forget what was sampled of the one before."""
        session = self._session
        if session.clip is None:
            return
        beams = session.toolkit.marker.beams
        if self.point is None:
            rows, columns = np.nonzero(beams.inside)
            self.point = float(rows.mean()), float(columns.mean())
        self.beam = Beam.through(beams, self.point)
        self.picture = MPicture.blank(len(self.beam.depth), session.clip.shape[0])
        self.changed.emit()

    def _on_clip(self, *_: object) -> None:
        self._kept, self.point, self._chosen = {}, None, None
        self.beam, self.picture = None, MPicture.blank(0, 0)
        if self._session.clip is None:
            self.leave()
        elif self.shown or self._session.tool_in_hand is Tool.M_MODE:
            self.shown = True
            self._aim()

    def _on_sector(self) -> None:
        if self.shown:
            self._kept = {}  # what lies outside may be black now
            self._aim()

    # ---- sampling -------------------------------------------------------------------------

    def task(self) -> Sampling | None:
        """Return the frames to sample, coarsely first; None if there is nothing to show."""
        clip = self._session.clip
        if clip is None or self.beam is None or not self.shown:
            return None
        done = self.picture.known
        order = tuple(t for t in coarse_to_fine(clip.shape[0]) if not done[t])
        return Sampling(self.beam, clip.frames, order, self._kept)

    def take(
        self,
        sampling: Sampling,
        part: tuple[tuple[int, ...], NDArray[np.uint8], tuple[int, ...]],
    ) -> None:
        """Keep what was sampled, unless the beam has moved since."""
        if sampling.beam is not self.beam or not self.shown:
            return
        frames, columns, lost = part
        if frames:
            self.picture.values[:, list(frames)] = columns.T
            self.picture.known[list(frames)] = True
        self.picture.lost.update(lost)
        self.columns_changed.emit()

    # ---- times and the pleural line -------------------------------------------------------

    @property
    def times(self) -> tuple[float, ...]:
        """Of the clip's frames, in seconds; (0,) if none is open."""
        clip = self._session.clip
        return (0.0,) if clip is None else clip.meta.frame_times

    @property
    def times_known(self) -> bool:
        """Whether somebody knows the clip's frame rate."""
        clip = self._session.clip
        return clip is not None and RATE_ASSUMED not in clip.meta.tags and len(self.times) > 1

    def choose_pleura(self, depth: float | None) -> None:
        """Say how deep the pleural line is on this clip; None leaves it to marks and picture."""
        self._chosen = depth
        self.pleura_changed.emit()

    def pleura(self) -> tuple[float, str] | None:
        """Return the depth of the pleural line and who says so; None if nothing is known.

        That is the person, else their marks along the beam, else the brightest line.
        """
        beam = self.beam
        if beam is None or not self.picture.known.any():
            return None
        if self._chosen is not None:
            return min(self._chosen, float(beam.depth[-1])), "as you set it"
        marked = self._marked_pleura(beam)
        if marked is not None:
            return marked, "from your marks"
        return brightest_line(self.picture.values[:, self.picture.known], beam), GUESSED

    def change(self) -> TextureChange | None:
        """Return how much the texture changes above and below it; None if that can't be said."""
        found = self.pleura()
        if found is None or self.beam is None or not self.times_known:
            return None
        if not self.picture.complete or self.picture.lost:
            return None
        return texture_change(self.picture.values, self.times, self.beam, found[0])

    def _marked_pleura(self, beam: Beam) -> float | None:
        session = self._session
        if PLEURA not in session.planes:
            return None
        marked = np.flatnonzero(session.marked[:, session.class_index(PLEURA)])
        if len(marked) > 9:  # each is unpacked
            marked = marked[np.linspace(0, len(marked) - 1, 9).astype(int)]
        depths = []
        for t in marked.tolist():
            plane = session.planes[PLEURA][t]
            along = map_coordinates(plane, [beam.y, beam.x], order=0, mode="nearest")
            there = np.flatnonzero((along > 0) & (along != EXCLUDED))
            if there.size:
                depths.append(float(beam.depth[there].mean()))
        return float(np.median(depths)) if depths else None

    def _on_edited(self, *_: object) -> None:
        if self.shown and self._chosen is None:
            self.pleura_changed.emit()
