"""Where things lie, what is true, and how well probability and truth agree."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from sample_data.anatomy import Anatomy, Pose
from sample_data.disease import draw_anatomy
from sample_data.findings import (
    A_LINE,
    B_LINE,
    PLEURA,
    REACH,
    clearance,
    findings,
    latent,
    truth,
)
from sample_data.scan import Probe

PROBES = [Probe("convex", 30.0, 100.0, 52.0), Probe("linear", 20.0, 45.0)]
POSE = Pose(slide=1.0, descent=0.4, jitter=0.2, breath=0.5)
N_CLASSES = 6


def coordinates(probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """A fine grid along the beams: rows of equal depth, columns of beams."""
    z = np.linspace(0, probe.depth, 800, dtype=np.float32)
    u = np.linspace(-probe.half_width, probe.half_width, 160, dtype=np.float32)
    return np.broadcast_arrays(z[:, None], u[None])


def cases(severity: float) -> list[Anatomy]:
    return [
        draw_anatomy(np.random.default_rng(seed), PROBES[seed % 2], severity, "R5")
        for seed in range(12)
    ]


def masks(anatomy: Anatomy) -> np.ndarray:
    z, u = coordinates(anatomy.probe)
    found = findings(anatomy, POSE, z, u)
    return truth(anatomy, found, POSE, z, u).reshape(N_CLASSES, *z.shape)


def test_a_lines_stand_at_multiples_of_the_pleuras_depth() -> None:
    centred = []
    for anatomy in cases(0.1):
        z, u = coordinates(anatomy.probe)
        pleura = anatomy.pleura(u[:1], POSE)[0]
        mask = masks(anatomy)[A_LINE]
        orders = np.rint(z / pleura)
        assert not (mask & (orders < 2)).any()
        # Within half the line's thickness, and what the edge may be off.
        off = np.abs(z - orders * pleura)[mask]
        assert (off <= anatomy.pleura_thickness / 2 + 0.45 * REACH).all()
        if off.size:
            centred.append((z - orders * pleura)[mask].mean())
    assert len(centred) >= 5
    assert abs(np.mean(centred)) < 0.08


def test_b_lines_run_from_the_pleura_to_the_bottom() -> None:
    seen = 0
    for anatomy in cases(0.7):
        z, u = coordinates(anatomy.probe)
        surface = anatomy.surface(u[:1], POSE)[0]
        mask = masks(anatomy)[B_LINE]
        assert not mask[z < surface - 1e-3].any()
        step = z[1, 0] - z[0, 0]
        for line in (b for b in anatomy.b_lines if b.real):
            column = int(np.abs(u[0] - line.u - POSE.slide).argmin())
            free = clearance(anatomy, u[0], POSE)[column] > 0.8 * REACH
            if abs(line.u + POSE.slide) < anatomy.probe.half_width and free:
                marked = z[mask[:, column], column]
                assert marked.min() - surface[column] <= step
                assert marked.max() == pytest.approx(anatomy.probe.depth)
                assert len(marked) == pytest.approx((z[:, column] >= surface[column]).sum(), abs=1)
                seen += 1
    assert seen > 15


def test_the_pleural_line_is_where_it_is_said_to_be() -> None:
    for anatomy in cases(0.3):
        z, u = coordinates(anatomy.probe)
        mask = masks(anatomy)[PLEURA]
        off = (z - anatomy.pleura(u[:1], POSE))[mask]
        assert abs(off.mean()) < 0.25


def test_what_is_not_real_is_not_in_the_truth() -> None:
    for anatomy in cases(0.8):
        z, u = coordinates(anatomy.probe)
        found = [f for f in findings(anatomy, POSE, z, u) if not f.real]
        assert not truth(anatomy, found, POSE, z, u).any()


def test_latent_is_the_frequency_of_truth() -> None:
    """Of the pixels with latent probability p, a share p is true: over many patients."""
    hits, total = np.zeros(10), np.zeros(10)
    for seed in range(150):
        rng = np.random.default_rng(seed)
        probe = PROBES[seed % 2]
        z, u = (c[::20, ::4] for c in coordinates(probe))
        anatomy = draw_anatomy(rng, probe, rng.random(), "R5")
        found = findings(anatomy, POSE, z, u)
        p = latent(found, (N_CLASSES, z.size))
        true = truth(anatomy, found, POSE, z, u)
        level = np.minimum((p * 10).astype(int), 9)
        total += np.bincount(level.ravel(), minlength=10)
        hits += np.bincount(level.ravel(), weights=true.ravel(), minlength=10)
    middle = (np.arange(10) + 0.5) / 10
    assert np.abs(hits / total - middle)[1:9].max() < 0.1
    assert hits[0] / total[0] < 0.01


def test_margins_give_the_latent_probability_of_one_finding() -> None:
    anatomy = cases(0.2)[0]
    z, u = coordinates(anatomy.probe)
    (pleura,) = (f for f in findings(anatomy, POSE, z, u) if f.class_index == PLEURA)
    p = latent([pleura], (N_CLASSES, z.size))[PLEURA]
    assert p[pleura.pixels] == pytest.approx(pleura.likely * ndtr(pleura.margin), abs=1e-6)
    assert not np.delete(p, pleura.pixels).any()
