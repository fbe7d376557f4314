"""One resampler for dataset and trainer: what it keeps, and what an oracle makes of the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.transform import downscale_local_mean, resize

from napari_confseg.dataset.resample import Resampler, choose_canvas
from napari_confseg.store import EXCLUDED


def exact_area(frame: np.ndarray, inner: tuple[int, int]) -> np.ndarray:
    """The mean over each new pixel's area: both grids refined until they share their lines."""
    fine = frame.astype(float).repeat(inner[0], 0).repeat(inner[1], 1)
    return downscale_local_mean(fine, frame.shape)


def rounded(values: np.ndarray) -> np.ndarray:
    return np.floor(values + 0.5 + 1e-9)


@given(
    frame=hnp.arrays(np.uint8, st.tuples(st.integers(7, 40), st.integers(7, 40))),
    inner=st.tuples(st.integers(1, 7), st.integers(1, 7)),
)
def test_frames_are_averaged_over_the_area_of_each_new_pixel(frame, inner):
    small = Resampler(frame.shape, inner, inner).frame(frame)
    assert np.array_equal(small, rounded(exact_area(frame, inner)))


@pytest.mark.parametrize(("shape", "inner"), [((24, 40), (31, 55)), ((17, 9), (64, 33))])
def test_frames_that_grow_are_interpolated_between_pixel_centres(shape, inner):
    frame = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    large = Resampler(shape, inner, inner).frame(frame)
    oracle = resize(frame, inner, order=1, mode="edge", preserve_range=True, anti_aliasing=False)
    assert np.abs(large - oracle).max() <= 0.5 + 1e-6


def test_a_batch_has_the_bits_of_each_frame_and_grey_stays_grey():
    frames = np.random.default_rng(1).integers(0, 256, (5, 61, 83), dtype=np.uint8)
    resampler = Resampler.into((61, 83), (32, 48))
    together = resampler.frames(frames)
    assert all(np.array_equal(t, resampler.frame(f)) for t, f in zip(together, frames, strict=True))
    for grey in (0, 7, 255):
        flat = resampler.frame(np.full((61, 83), grey, np.uint8))
        assert (flat[resampler.inside] == grey).all()


def test_large_frames_do_not_overflow():
    resampler = Resampler.into((3000, 4000), (96, 128))
    assert (resampler.frame(np.full((3000, 4000), 255, np.uint8)) == 255).all()
    grown = Resampler.into((90, 120), (1800, 2400))
    assert (grown.frame(np.full((90, 120), 255, np.uint8)) == 255).all()


@given(
    plane=hnp.arrays(np.uint8, (37, 50), elements=st.sampled_from([0, 30, 60, 90, 255])),
    canvas=st.sampled_from([(16, 32), (64, 48), (32, 32), (128, 128)]),
)
def test_planes_keep_to_the_values_stated_and_the_margin_is_excluded(plane, canvas):
    resampler = Resampler.into((37, 50), canvas)
    fitted = resampler.plane(plane)
    assert fitted.shape == canvas
    outside = np.ones(canvas, bool)
    outside[resampler.inside] = False
    assert (fitted[outside] == EXCLUDED).all()
    assert set(np.unique(fitted[resampler.inside])) <= set(np.unique(plane))


@pytest.mark.parametrize("canvas", [(16, 32), (48, 48), (128, 128)])
def test_planes_are_sampled_as_torch_samples_nearest_exact(canvas):
    torch = pytest.importorskip("torch")
    plane = np.random.default_rng(0).integers(0, 101, (37, 50), dtype=np.uint8)
    resampler = Resampler.into((37, 50), canvas)
    oracle = torch.nn.functional.interpolate(
        torch.from_numpy(plane)[None, None], resampler.inner, mode="nearest-exact"
    )
    assert np.array_equal(resampler.plane(plane)[resampler.inside], oracle[0, 0])


def test_what_does_not_fit_is_cut_off_evenly():
    frame = np.arange(6 * 8, dtype=np.uint8).reshape(6, 8)
    cut = Resampler((6, 8), (6, 8), (4, 10))
    assert cut.offset == (-1, 1)
    assert np.array_equal(cut.frame(frame)[:, 1:9], frame[1:5])
    assert not cut.frame(frame)[:, [0, 9]].any()


def test_the_canvas_is_no_larger_than_needed():
    assert choose_canvas([(480, 640)], 128) == (96, 128)
    assert choose_canvas([(480, 640), (600, 400)], 128) == (128, 128)
    assert choose_canvas([(30, 50)], 128) == (32, 64)


@given(
    shapes=st.lists(st.tuples(st.integers(8, 900), st.integers(8, 900)), min_size=1, max_size=4),
    longest=st.sampled_from([96, 128, 256]),
)
def test_what_was_brought_to_a_canvas_is_not_resampled_again(shapes, longest):
    """So a dataset frozen at a network's size is learnt from as it is."""
    canvas = choose_canvas(shapes, longest)
    once = [Resampler.into(shape, canvas).inner for shape in shapes]
    assert choose_canvas(once, longest) == canvas
    assert [Resampler.into(inner, canvas).inner for inner in once] == once
