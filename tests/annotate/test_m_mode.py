"""M-mode: the beam, its samples, and a sliding lung told from a still one on synthetic clips."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_confseg.annotate.m_mode import (
    Beam,
    MPicture,
    coarse_to_fine,
    frames_of_pixels,
    span,
    texture_change,
    ticks,
)
from napari_confseg.annotate.session import Session
from napari_confseg.annotate.view import Context, Tool, resolve
from napari_confseg.readouts import Beams
from napari_confseg.store import Sector, Spacing
from sample_data.cohort import draw_motion
from sample_data.disease import draw_anatomy
from sample_data.imaging import SLIDES, STANDS, Scanner, Settings
from sample_data.scan import Probe, Scan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.store import Cohort

CONVEX = Probe("convex", 28.0, 80.0, 52.0)
LINEAR = Probe("linear", 20.0, 45.0)
SIZE = (150, 180)
FPS = 15.0
FRAMES = 22


def beams_of(scan: Scan) -> Beams:
    kind = "curved" if scan.probe.kind == "convex" else "linear"
    sector = Sector.model_validate({"kind": kind, "polygon": scan.polygon()})
    spacing = Spacing(y=scan.spacing, x=scan.spacing, source="synthetic")
    return Beams.fit(sector, spacing, scan.shape)


# ---- the beam -----------------------------------------------------------------------------


@pytest.mark.parametrize("at", [(100.0, 60.0), (60.0, 110.0), (120.0, 90.0)])
def test_in_a_fan_the_beam_runs_through_the_apex_and_the_point(at: tuple[float, float]) -> None:
    scan = Scan.fit(CONVEX, SIZE)
    beam = Beam.through(beams_of(scan), at)
    apex = np.array([scan.origin[0] - CONVEX.radius / scan.spacing, scan.origin[1]])
    along = np.stack([beam.y, beam.x], 1) - apex
    to_point = np.array(at) - apex
    angles = np.degrees(np.arctan2(along[:, 1], along[:, 0]))
    assert angles == pytest.approx(np.degrees(np.arctan2(to_point[1], to_point[0])), abs=0.5)
    # Depth is counted from the probe's face, in millimetres.
    assert beam.depth[0] == 0
    from_face = np.hypot(*along.T) * scan.spacing - CONVEX.radius
    assert beam.depth == pytest.approx(from_face, abs=1.5)
    assert beam.depth[-1] == pytest.approx(CONVEX.depth, abs=2)


def test_under_a_flat_probe_it_is_a_column_and_keeps_to_the_sector() -> None:
    scan = Scan.fit(LINEAR, SIZE)
    beams = beams_of(scan)
    beam = Beam.through(beams, (70.0, 71.0))
    assert np.ptp(beam.x) == 0
    assert beam.x[0] == pytest.approx(71)
    frame = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)
    rows = np.rint(beam.y).astype(int)
    assert np.array_equal(beam.sample(frame), frame[rows, 71])
    beside = Beam.through(beams, (70.0, -500.0))
    column = np.flatnonzero(beams.inside.any(axis=0))[0]
    assert beside.x[0] == pytest.approx(column, abs=2)


def test_samples_are_bilinear() -> None:
    beam = Beam.through(beams_of(Scan.fit(CONVEX, SIZE)), (100.0, 60.0))
    frame = np.random.default_rng(1).integers(0, 256, SIZE, np.uint8)
    y0, x0 = np.floor(beam.y).astype(int), np.floor(beam.x).astype(int)
    fy, fx = beam.y - y0, beam.x - x0
    y1, x1 = np.minimum(y0 + 1, SIZE[0] - 1), np.minimum(x0 + 1, SIZE[1] - 1)
    f = frame.astype(float)
    above = f[y0, x0] * (1 - fx) + f[y0, x1] * fx
    below = f[y1, x0] * (1 - fx) + f[y1, x1] * fx
    expected = above * (1 - fy) + below * fy
    assert np.abs(beam.sample(frame) - expected).max() <= 0.51


@given(st.integers(1, 2500))
def test_every_frame_comes_once_and_the_first_ones_are_spread(n: int) -> None:
    order = coarse_to_fine(n)
    assert sorted(order) == list(range(n))
    first = np.sort(order[:64])
    assert np.diff([*first, n]).max(initial=0) <= 4 * -(-n // 64)


def test_pixels_show_the_frame_of_their_time() -> None:
    times = (0.0, 1.0, 1.5, 3.0)  # the last one lasts a mean second
    assert span(times) == 4.0
    assert frames_of_pixels(times, 8).tolist() == [0, 0, 1, 2, 2, 2, 3, 3]


@given(st.floats(1e-3, 1e5), st.integers(2, 12))
def test_ticks_are_few_round_and_fill_the_axis(high: float, most: int) -> None:
    found = ticks(high, most)
    assert len(found) <= most
    assert found[-1] <= high * (1 + 1e-6)
    if len(found) > 1:
        assert f"{found[1]:.6e}"[0] in "125"


def test_of_columns_not_known_yet_the_nearest_is_shown() -> None:
    picture = MPicture.blank(2, 6)
    picture.values[:, [1, 5]] = [[10, 50], [11, 51]]
    picture.known[[1, 5]] = True
    assert picture.columns(np.arange(6))[0].tolist() == [10, 10, 10, 50, 50, 50]
    assert not picture.complete


# ---- sliding ------------------------------------------------------------------------------


def film(probe: Probe, *, slides: bool) -> tuple[Scan, NDArray[np.uint8], float]:
    """A healthy lung; its frames, and the depth of its pleura in mm."""
    rng = np.random.default_rng(4)
    scan = Scan.fit(probe, SIZE)
    anatomy = draw_anatomy(rng, probe, 0.1, "L1")
    poses = draw_motion(rng, probe, FRAMES, FPS, 0.1)
    if not slides:
        poses = [replace(p, slide=0.0, descent=0.0) for p in poses]
    seeds = np.random.default_rng(5)
    keeps = SLIDES if slides else STANDS
    scanner = Scanner(seeds, scan, anatomy, Settings.draw(seeds), lung_keeps=keeps)
    frames = np.stack([scanner.frame(p) for p in poses])
    depth = float(anatomy.pleura(np.zeros(1, np.float32), poses[0])[0])
    return scan, frames, depth


def change(scan: Scan, frames: NDArray[np.uint8], x: float, pleura: float) -> float:
    beam = Beam.through(beams_of(scan), (SIZE[0] * 0.6, x))
    values = np.stack([beam.sample(f) for f in frames], axis=1)
    found = texture_change(values, tuple(i / FPS for i in range(len(frames))), beam, pleura)
    assert found is not None
    assert found.above < 0.05  # the wall stands still
    return found.below


@pytest.mark.parametrize("probe", [CONVEX, LINEAR])
def test_a_sliding_lung_is_told_from_a_still_one_and_the_lung_point_is_found(probe: Probe) -> None:
    scan, sliding, pleura = film(probe, slides=True)
    _, still, _ = film(probe, slides=False)
    middle = (SIZE[1] - 1) / 2
    slides, stands = (change(scan, f, middle, pleura) for f in (sliding, still))
    assert slides > 0.2
    assert stands < 0.06
    # One side of the picture slides, the other does not: each beam tells where it is.
    both = np.where(np.arange(SIZE[1]) < middle, sliding, still)
    shares = (0.35, 0.44, 0.56, 0.65)
    found = [change(scan, both, share * SIZE[1], pleura) for share in shares]
    assert [f > 0.15 for f in found] == [True, True, False, False], found
    # The lung comes under the beam in the midst of the clip: the halves of the M-mode differ.
    beam = Beam.through(beams_of(scan), (SIZE[0] * 0.6, middle))
    film_of_both = np.concatenate([sliding, still])
    values = np.stack([beam.sample(f) for f in film_of_both], axis=1)
    times = tuple(i / FPS for i in range(FRAMES))
    halves = [
        texture_change(half, times, beam, pleura)
        for half in (values[:, :FRAMES], values[:, FRAMES:])
    ]
    assert halves[0] is not None
    assert halves[1] is not None
    assert halves[0].below > 3 * halves[1].below


def test_a_clip_too_short_to_compare_says_nothing() -> None:
    beam = Beam.through(beams_of(Scan.fit(LINEAR, SIZE)), (70.0, 90.0))
    values = np.zeros((len(beam.depth), 10), np.uint8)
    assert texture_change(values, tuple(i / 20 for i in range(10)), beam, 15.0) is None
    slow = tuple(float(i) for i in range(10))  # a frame a second
    assert texture_change(values, slow, beam, 15.0) is None


# ---- of a session -------------------------------------------------------------------------


def test_the_beam_may_be_taken_where_nothing_may_be_marked() -> None:
    session = Session(tool=Tool.M_MODE, class_name="b-line", hidden=frozenset({"b-line"}))
    for context in (
        Context(classes=("b-line",), n_frames=3, writable=False),
        Context(classes=("b-line",), n_frames=3),  # the class is hidden
    ):
        state = resolve(session, context)
        assert (state.tool, state.editable, state.blocked) == (Tool.M_MODE, frozenset(), "")
    assert resolve(session, Context()).tool is Tool.PAN  # no clip, no beam


def test_the_session_takes_samples_and_leaves(cohort: Cohort, state_dir: object) -> None:
    session = Session(rater="ada")
    session.open_cohort(cohort)
    clip = session.open_clip(cohort.clips()[0])
    mode = session.m_mode
    session.tool = Tool.POLYGON
    mode.toggle()
    assert mode.shown
    assert session.view().tool is Tool.M_MODE
    mode.place(10.0, 7.0)
    sampling = mode.task()
    assert sampling is not None
    parts: list[Any] = []
    sampling.run(parts.append, lambda: False)
    for part in parts:
        mode.take(sampling, part)
    assert mode.picture.complete
    assert mode.beam is not None
    column = clip.frames[:, :, 7]  # no sector: beams are columns
    assert np.array_equal(mode.picture.values, column[:, np.rint(mode.beam.y).astype(int)].T)

    mode.place(10.0, 9.0)  # what was sampled of another beam is not taken
    mode.take(sampling, parts[0])
    assert not mode.picture.known.any()
    session.save_activity()
    assert session.places._place.tool is Tool.POLYGON  # the beam is no place to come back to
    session.hold_move(True)
    session.hold_move(False)
    mode.toggle()
    assert (session.tool, mode.shown, mode.task()) == (Tool.POLYGON, False, None)
    mode.toggle()
    session.close_clip()
    assert (session.tool, mode.shown) == (Tool.POLYGON, False)
