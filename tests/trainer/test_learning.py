"""The light head: nothing taught is the network itself; what is taught is learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from tests.trainer.conftest import run_folder
from trainer.features import SeenFrame, see
from trainer.learning import CALIBRATED_FROM, LightHead, TaughtFrame, fit_head, propose
from trainer.predict import Predictor
from trainer.run_job import execute

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.store import Cohort

SHAPE = (40, 56)
CLASSES = 2


@pytest.fixture(scope="module")
def predictor(shared_toy: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A network that has learnt nothing, to be taught a disc."""
    folder = run_folder(
        tmp_path_factory.mktemp("learning") / "run", shared_toy, size="study", steps=4
    )
    execute(folder)
    return Predictor.load(folder.path, "cpu")


def picture(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A bright disc in noise, and where it is."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    cy, cx = rng.uniform(10, 30), rng.uniform(12, 44)
    disc = np.hypot(y - cy, x - cx) < 7
    frame = rng.normal(60, 12, SHAPE) + 110 * disc
    return frame.clip(0, 255).astype(np.uint8), disc


def taught(predictor: Predictor, seed: int, confidence: int = 90) -> TaughtFrame:
    frame, disc = picture(seed)
    plane = (disc * np.uint8(confidence)).astype(np.uint8)
    return TaughtFrame(see(predictor, frame), {1: plane}, {1})


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_without_marks_it_is_the_network(predictor: Predictor) -> None:
    frame, _ = picture(0)
    seen = see(predictor, frame)
    assert np.array_equal(propose(LightHead(), seen, predictor), predictor.percent(frame))
    nothing = TaughtFrame(seen, {1: np.zeros(SHAPE, np.uint8)})
    assert not fit_head([nothing], CLASSES).corrections


def test_one_painted_frame_teaches_the_next(predictor: Predictor) -> None:
    frame, disc = picture(1)
    seen = see(predictor, frame)
    before = propose(LightHead(), seen, predictor)
    head = fit_head([taught(predictor, 0)], CLASSES)
    after = propose(head, seen, predictor)
    assert dice(after[1] >= 50, disc) > 0.8
    assert dice(after[1] >= 50, disc) > dice(before[1] >= 50, disc)
    assert np.array_equal(after[0], before[0])  # the class that nobody marked


def test_a_reviewed_frame_without_marks_teaches_that_nothing_is_there(
    predictor: Predictor,
) -> None:
    marked = taught(predictor, 0)
    frame, _ = picture(1)
    empty = TaughtFrame(see(predictor, frame), {}, {1})
    both = propose(fit_head([marked, empty], CLASSES), empty.seen, predictor)
    alone = propose(fit_head([marked], CLASSES), empty.seen, predictor)
    assert both[1].mean() < alone[1].mean()


def test_the_first_piece_of_a_line_does_not_unteach_the_rest(predictor: Predictor) -> None:
    """The network expects a line; its left half is marked, and the frame reviewed or not yet."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    line, left = np.abs(y - 20) < 3, x < SHAPE[1] // 2
    odds = np.where(line, 3.0, -6.0)
    grey = np.random.default_rng(0).uniform(0, 1, SHAPE)
    maps = torch.from_numpy(np.stack([line, grey, np.full(SHAPE, -6.0), odds])).float()
    percent = np.stack([np.zeros(SHAPE), 95.0 * line]).astype(np.uint8)
    seen = SeenFrame(percent, maps, SHAPE)
    half = {1: ((line & left) * np.uint8(90)).astype(np.uint8)}
    begun = propose(fit_head([TaughtFrame(seen, half)], CLASSES), seen, predictor)[1]
    done = propose(fit_head([TaughtFrame(seen, half, {1})], CLASSES), seen, predictor)[1]
    assert begun[line & ~left].mean() > 60
    assert done[line & ~left].mean() < 30
    assert min(p[line & left].mean() for p in (begun, done)) > 70


@pytest.mark.parametrize("confidence", [60, 90])
def test_confidence_is_the_reader_s_once_calibrated(predictor: Predictor, confidence: int) -> None:
    head = fit_head([taught(predictor, s, confidence) for s in range(2 * CALIBRATED_FROM)], CLASSES)
    assert head.corrections[1].scale is not None
    inside = []
    for seed in range(20, 24):
        frame, disc = picture(seed)
        inside.append(propose(head, see(predictor, frame), predictor)[1][disc].mean())
    assert np.mean(inside) == pytest.approx(confidence, abs=12)


def test_the_same_marks_give_the_same_head(predictor: Predictor) -> None:
    frames = [taught(predictor, s) for s in range(3)]
    one, other = (fit_head(frames, CLASSES).corrections[1] for _ in range(2))
    assert np.array_equal(one.weights, other.weights)
    assert one.bias == other.bias
