"""Findings of a model with two outputs: each is read from the one that it is better read from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_confseg.methods import Method
from napari_confseg.readouts import Beams, clip_readouts
from napari_confseg.store import Cohort
from sample_data import make_cohort
from trainer.findings import FINDINGS, FROM_CONTOUR, in_tens, model_findings, output_findings
from trainer.predict import Predictor


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A synthetic clip of one frame, with A-lines, B-lines and a consolidation to be seen."""
    place = tmp_path_factory.mktemp("lung") / "lung.zarr"
    make_cohort(
        place, patients=1, clips_per_patient=1, seed=3, frames=1, size=(96, 128), readers=()
    )
    cohort = Cohort.open(place)
    return cohort.clip(cohort.clips()[0])


@pytest.fixture(scope="module")
def two_outputs():
    """The model that comes with the package, with an output scaling that makes contours wider."""
    predictor = Predictor.load("starter", "cpu")
    with torch.no_grad():
        predictor.network.contour_slope.fill_(1.5)
        predictor.network.contour_shift.fill_(1.0)
    method = Method(name="soft", levels="overlap")
    config = predictor.config.model_copy(update={"method": method})
    return replace(predictor, config=config, both=True)


def test_areas_and_presence_are_those_of_the_probability(clip, two_outputs):
    found = model_findings(clip, two_outputs)
    outputs = two_outputs.percents(np.asarray(clip.frames[:]))
    assert (outputs.contour != outputs.probability).any()
    beams = Beams.of(clip.meta, clip.shape)
    percent = dict(
        zip(two_outputs.config.classes, in_tens(outputs.probability)[0] * beams.inside, strict=True)
    )
    assert percent["consolidation"].any()
    for name in ("consolidation", "effusion"):  # a confidence of c is there with c in 100
        expected = percent[name].sum() / 100 * beams.pixel_area
        assert found[name] == pytest.approx(expected, rel=0.02, abs=1e-9)
    labels, n = ndimage.label(percent["a-line"], np.ones((3, 3)))
    peaks = ndimage.maximum(percent["a-line"], labels, range(1, n + 1))
    assert n
    assert found["a_lines"] == pytest.approx(1 - np.prod(1 - np.asarray(peaks) / 100))


def test_breaks_and_shares_are_those_of_the_contour(clip, two_outputs):
    found = model_findings(clip, two_outputs)
    outputs = two_outputs.percents(np.asarray(clip.frames[:]))
    read = {}
    for output, percent in outputs._asdict().items():
        planes = dict(zip(two_outputs.config.classes, in_tens(percent).swapaxes(0, 1), strict=True))
        of = clip_readouts(planes, Beams.of(clip.meta, clip.shape), range(1))
        names = [n for n in FINDINGS if n != "a_lines"]
        read[output] = {n: getattr(of, n).mean.expected for n in names}
    for name in read["contour"]:
        of = "contour" if name in FROM_CONTOUR else "probability"
        assert found[name] == pytest.approx(read[of][name], nan_ok=True)
    assert found["pleura_percentage"] != read["probability"]["pleura_percentage"]
    assert found["pleura_thickness"] != read["contour"]["pleura_thickness"]


def test_of_one_output_all_are_the_same(clip):
    found = output_findings(clip, Predictor.load("starter", "cpu"))
    assert found["contour"] == pytest.approx(found["probability"], nan_ok=True)
