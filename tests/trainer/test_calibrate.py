"""What raters' confidence is worth: found from frames that several marked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_confseg.store import EXCLUDED, Status
from tests.trainer.conftest import B_LINE, PLEURA, packed, run_folder
from trainer import calibrate as calibration
from trainer.calibrate import Calibration
from trainer.checkpoint import load_config
from trainer.run_job import execute
from trainer.samples import Samples

RATERS = ("bold", "fair", "shy")


def panel(n_frames: int = 40, raters: tuple[str, ...] = RATERS) -> Samples:
    """Frames of one class; each rater bends the same hidden probability in their own way."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.rand(n_frames, 16, 16, generator=generator)
    hidden[hidden < 0.5] = 0
    bends = {"bold": hidden**0.4, "fair": hidden, "shy": hidden**2.5}
    planes = torch.stack([bends[r] for r in raters], 1).mul(100).round().to(torch.uint8)
    return Samples(
        frames=torch.zeros(n_frames, 16, 16, dtype=torch.uint8),
        planes=planes.flatten(0, 1)[:, None],
        reviewed=torch.ones(n_frames * len(raters), 1).bool(),
        frame_of=torch.arange(n_frames).repeat_interleave(len(raters)),
        clips=("clip",) * n_frames * len(raters),
        times=tuple(range(n_frames * len(raters))),
        rater_of=torch.arange(len(raters)).repeat(n_frames),
        raters=raters,
    )


def calibrate(samples: Samples, train: list[int], classes: list[str]) -> Calibration:
    return calibration.calibrate(packed(samples), train, classes)


def relative_thresholds(samples: Samples, train: list[int], classes: list[str]) -> Calibration:
    return calibration.relative_thresholds(packed(samples), train, classes)


def apply(found: Calibration, samples: Samples, classes: list[str]) -> Samples:
    return calibration.apply(found, packed(samples), classes).unpacked(torch.device("cpu"))


def everything(samples: Samples) -> list[int]:
    return list(range(len(samples)))


def test_curves_rise_and_undo_how_a_rater_uses_the_scale():
    samples = panel()
    found = calibrate(samples, everything(samples), ["b-line"])
    assert found.frames == 40
    curves = found.curves["b-line"]
    for curve in curves.values():
        assert len(curve) == 101
        assert list(curve) == sorted(curve)
    assert curves["bold"][85] < curves["fair"][85] < curves["shy"][85]
    calibrated = apply(found, samples, ["b-line"]).planes[:, 0].float().view(40, 3, 16, 16)
    stated = samples.planes[:, 0].float().view(40, 3, 16, 16)
    spread = [(v[:, 0] - v[:, 2]).abs().mean() for v in (stated, calibrated)]
    assert spread[1] < 0.25 * spread[0]


def test_raters_who_are_sure_and_agree_are_taken_at_their_word():
    samples = panel()
    hard = replace(samples, planes=(samples.planes > 0).to(torch.uint8) * 100)
    hard = replace(hard, planes=hard.planes[::3].repeat_interleave(3, 0))
    found = calibrate(hard, everything(hard), ["b-line"])
    assert torch.equal(apply(found, hard, ["b-line"]).planes, hard.planes)


def test_what_is_held_out_has_no_say():
    samples = panel()
    train = everything(samples)[:60]
    planes = samples.planes.clone()
    planes[60:] = 100 - planes[60:]
    other = replace(samples, planes=planes)
    assert calibrate(samples, train, ["b-line"]) == calibrate(other, train, ["b-line"])
    assert calibrate(samples, train, ["b-line"]).frames == 20


def test_a_rater_alone_is_taken_at_their_word_and_that_is_said():
    samples = panel(raters=("bold",))
    found = calibrate(samples, everything(samples), ["b-line"])
    assert found == Calibration(frames=0, curves={})
    assert "no training frame is marked by two raters" in found.note
    assert torch.equal(apply(found, samples, ["b-line"]).planes, samples.planes)


def test_who_knows_one_value_says_no_more_by_it_than_that_something_is_there():
    samples = panel(raters=("bold",))
    planes = torch.where(samples.planes > 50, 80, 0).to(torch.uint8)
    planes[:, :, :2] = EXCLUDED
    one_value = replace(samples, planes=planes)
    for find in (calibrate, relative_thresholds):
        found = find(one_value, everything(one_value), ["b-line"])
        after = apply(found, one_value, ["b-line"]).planes
        assert torch.equal(after, torch.where(planes == 80, 100, planes))
        assert found.curves["b-line"]["bold"][40] == 50
    to_its_end = relative_thresholds(samples, everything(samples), ["b-line"])
    assert to_its_end.curves == {}
    assert "relative to the highest that they reach on one in ten" in to_its_end.note
    assert "two raters" not in to_its_end.note  # that was not looked at


def test_one_frame_at_the_end_of_the_scale_does_not_make_it_a_readers_own():
    samples = panel(raters=("shy",))
    planes = torch.where(samples.planes > 50, 60, 0).to(torch.uint8)
    planes[7, 0, 0, 0] = 100
    shy = replace(samples, planes=planes)
    found = relative_thresholds(shy, everything(shy), ["b-line"])
    assert found.curves["b-line"]["shy"][60] == 100
    planes[:4, 0, 0, 0] = 100  # one in ten of the 40, with the one above more than that
    often = replace(samples, planes=planes)
    assert relative_thresholds(often, everything(often), ["b-line"]).curves == {}
    assert found.few == ()


@pytest.mark.parametrize("n", [1, 2, 5, 10, 11, 100])
def test_the_usual_highest_is_reached_by_a_tenth_of_the_frames_and_no_higher_one_is(n):
    tops = np.random.default_rng(n).integers(1, 101, n).tolist()
    found = calibration.usual_highest(tops)
    at_least = sum(t >= found for t in tops)
    assert at_least >= n / 10
    assert sum(t > found for t in tops) <= n / 10 or n < 10


def test_a_scale_that_rests_on_few_frames_says_so():
    samples = panel(9, raters=("bold",))
    found = relative_thresholds(samples, everything(samples), ["b-line"])
    assert found.few == ("bold",)
    assert found.note.endswith("for bold that rests on fewer than 10 frames with marks")
    assert calibrate(samples, everything(samples), ["b-line"]).few == ("bold",)


def test_excluded_stays_excluded_and_a_class_that_one_reviewed_keeps_its_values():
    samples = panel()
    planes = samples.planes.repeat(1, 2, 1, 1)
    planes[:, :, :4] = EXCLUDED
    reviewed = samples.reviewed.repeat(1, 2)
    reviewed[:, 1] = samples.rater_of == 0
    two = replace(samples, planes=planes, reviewed=reviewed)
    classes = ["b-line", "rib"]
    found = calibrate(two, everything(two), classes)
    assert set(found.curves) == {"b-line"}
    after = apply(found, two, classes).planes
    assert torch.equal(after == EXCLUDED, planes == EXCLUDED)
    assert torch.equal(after[:, 1], planes[:, 1])


def test_a_fit_keeps_the_curves_and_says_where_they_come_from(tmp_path, toy):
    alone = run_folder(tmp_path / "alone", toy, steps=1, method={"name": "calibrated"})
    execute(alone)
    facts = next(e for e in alone.events()[0] if e.event == "started").facts
    assert "no rater can be calibrated" in facts["calibration"]
    for name in toy.clips():
        clip = toy.clip(name)
        first, second = clip.rater("reader-a"), clip.create_rater("reader-b", kind="human")
        for index in (PLEURA, B_LINE):
            for t in range(clip.shape[0]):
                second.write_plane(t, index, first.read_plane(t, index) // 2)
        status = first.read_status()
        second.write_status(status * (status == Status.REVIEWED))
    folder = run_folder(tmp_path / "run", toy, steps=1, method={"name": "calibrated"})
    execute(folder)
    facts = next(e for e in folder.events()[0] if e.event == "started").facts
    assert facts["calibration"] == "from 15 training frames that two or more raters marked"
    curves = load_config(folder.path).calibration.curves["b-line"]
    assert curves["reader-a"][90] == pytest.approx(curves["reader-b"][45], abs=3)
    assert curves["reader-a"][90] == pytest.approx(67, abs=5)
