"""Phantoms under drawn conditions: each knob moves what it says, and nothing is marked unseen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sample_data.anatomy import Anatomy, BLine, Comet, Ghost, Pose
from sample_data.disease import draw_anatomy
from sample_data.echoes import Lung, organ_share
from sample_data.findings import A_LINE, B_LINE, PLEURA, RIB
from sample_data.imaging import Scanner, Settings
from sample_data.scan import Probe, Scan
from sample_data.screens import compressed, cropped, framed, marked, on_screen
from sample_data.variety import (
    KINDS,
    SHARES,
    Phantom,
    View,
    draw_body,
    draw_probe,
    draw_settings,
    is_held_out,
)

PROBE = Probe("linear", 20.0, 50.0)
SCAN = Scan.fit(PROBE, (160, 140))
PLAIN = Settings(60.0, 0.0, 0.1, -70.0, 0.0, 1.0, 0.5)
POSE = Pose(0.0, 0.0, 0.0, 0.0)


def body(**changes: object) -> Anatomy:
    """A healthy lung without ribs under 15 mm of wall."""
    drawn = draw_anatomy(np.random.default_rng(4), PROBE, 0.0, "R1")
    fixed = {"ribs": (), "b_lines": (), "pleura_depth": 15.0, "pleura_tilt": 0.0}
    return replace(drawn, **(fixed | changes))  # type: ignore[arg-type]


def picture(settings: Settings = PLAIN, anatomy: Anatomy | None = None) -> np.ndarray:
    scanner = Scanner(np.random.default_rng(1), SCAN, anatomy or body(), settings)
    return scanner.frame(POSE).astype(float)


def mean(
    frame: np.ndarray, *, z: tuple[float, float] = (0, 50), u: tuple[float, float] = (-20, 20)
):
    where = SCAN.inside & (SCAN.z >= z[0]) & (SCAN.z < z[1]) & (SCAN.u >= u[0]) & (SCAN.u < u[1])
    return float(frame[where].mean())


def phantom(kind: str, first: int = 0) -> tuple[Phantom, np.random.Generator]:
    """The first phantom of a kind, and the generator to look at it with."""
    for seed in range(first, first + 400):
        rng = np.random.default_rng([7, seed])
        drawn = Phantom.draw(rng)
        if drawn.kind == kind:
            return drawn, rng
    raise AssertionError(kind)


@pytest.mark.parametrize("seed", [0, 3])
def test_the_same_seed_gives_the_same_bytes(seed: int) -> None:
    def made() -> list[bytes]:
        rng = np.random.default_rng(seed)
        views = [on_screen(rng, view) for view in Phantom.draw(rng).views(rng, 2)]
        return [part.tobytes() for v in views for part in (v.frame, v.percent, v.inside)]

    assert made() == made()
    rng = np.random.default_rng(seed + 1)
    assert next(Phantom.draw(rng).views(rng, 1)).frame.tobytes() not in made()


def test_more_than_half_of_the_phantoms_have_no_b_line() -> None:
    assert sum(SHARES) == pytest.approx(1)
    assert 1 - SHARES[KINDS.index("sick")] > 0.5
    for seed in range(60):
        drawn = Phantom.draw(np.random.default_rng(seed))
        if drawn.kind != "sick":
            assert drawn.anatomy.b_lines == ()
            assert drawn.anatomy.consolidation is None
            assert drawn.anatomy.effusion is None


def test_settings_held_out_are_never_learnt_from() -> None:
    rng = np.random.default_rng(0)
    assert not any(is_held_out(draw_settings(rng)) for _ in range(200))
    assert all(is_held_out(draw_settings(rng, held_out=True)) for _ in range(20))


def test_gain_raises_everything_and_dynamic_range_the_contrast() -> None:
    plain = picture()
    inside = SCAN.inside & (plain > 40) & (plain < 200)
    louder = picture(replace(PLAIN, gain=6.0))
    assert (louder - plain)[inside].mean() == pytest.approx(6 / 60 * 255, abs=2)
    # The same dB span more grey levels in a narrower range; both end at the same white.
    narrow = picture(replace(PLAIN, dynamic_range=45.0))
    assert narrow[inside].std() > 1.2 * plain[inside].std()


def test_time_gain_compensation_acts_at_its_depth() -> None:
    rim = picture(replace(PLAIN, tgc=(0.0, 0.0, 0.0, 0.0, 12.0)))
    plain = picture()
    assert mean(rim, z=(0, 35)) == pytest.approx(mean(plain, z=(0, 35)), abs=1e-6)
    assert mean(rim, z=(46, 50)) > mean(plain, z=(46, 50)) + 25


def test_lost_contact_darkens_its_beams_alone() -> None:
    lost = picture(replace(PLAIN, lost=((-2.0, -0.4, 40.0),)))
    plain = picture()
    assert mean(lost, u=(-20, -10)) < 0.2 * mean(plain, u=(-20, -10))
    assert mean(lost, u=(0, 20)) == pytest.approx(mean(plain, u=(0, 20)), abs=0.5)


def test_clutter_lies_over_the_near_field() -> None:
    dark = replace(PLAIN, gain=-25.0)
    hazy = picture(replace(dark, clutter=-12.0, clutter_depth=4.0))
    assert mean(hazy, z=(0, 5)) > mean(picture(dark), z=(0, 5)) + 20
    assert mean(hazy, z=(30, 50)) == pytest.approx(mean(picture(dark), z=(30, 50)), abs=1)


def test_speckle_of_a_lower_frequency_is_coarser() -> None:
    def width(settings: Settings) -> float:
        frame = picture(settings, body(haze=20.0, haze_fade=0.0, a_lines=()))
        patch = frame[100:150, 30:110]
        patch = patch - patch.mean()
        return float((patch[:, :-2] * patch[:, 2:]).mean() / (patch**2).mean())

    assert width(replace(PLAIN, speckle=2.5)) > width(PLAIN) + 0.15


def test_reverberation_shows_the_wall_again_below_the_pleura() -> None:
    again = picture(replace(PLAIN, reverberation=12.0), body(a_lines=()))
    plain = picture(PLAIN, body(a_lines=()))
    assert mean(again, z=(0, 14)) == pytest.approx(mean(plain, z=(0, 14)), abs=1)
    assert mean(again, z=(18, 28)) > mean(plain, z=(18, 28)) + 5


def test_haze_is_as_bright_and_fades_as_fast_as_drawn() -> None:
    bright, fading = body(haze=12.0, haze_fade=0.0), body(haze=12.0, haze_fade=1.0)
    assert mean(picture(PLAIN, bright), z=(30, 50)) > mean(picture(), z=(30, 50)) + 20
    assert mean(picture(PLAIN, fading), z=(40, 50)) < mean(picture(PLAIN, bright), z=(40, 50)) - 40


def test_a_comet_ends_and_leaves_the_a_lines_and_a_b_line_does_neither() -> None:
    line = BLine(0.0, 2.0, 1.0, 60.0, 0.99, True)
    comet = Comet(0.0, 2.0, 1.0, 4.0)
    z, u = np.arange(16, 50, 0.5, np.float32)[:, None], np.zeros((1, 1), np.float32)
    echoes = {}
    for name, anatomy in {"b": body(b_lines=(line,)), "c": body(comets=(comet,))}.items():
        lung = Lung.draw(np.random.default_rng(0), anatomy)
        echoes[name] = lung.b_lines(z, u, POSE)
    (b, b_left), (c, c_left) = echoes["b"], echoes["c"]
    below = z[:, 0] - float(body().surface(u, POSE)[0, 0])
    assert c[:20, 0] == pytest.approx(b[:20, 0] * np.exp(below / 60 - below / 4)[:20], rel=0.02)
    assert c[-1] < 0.01 * b[-1]
    assert (c_left == 1).all()
    assert (b_left < 0.1).all()


def test_a_ghost_is_bright_where_it_lies_and_is_nothing_to_mark() -> None:
    ghost = Ghost(35.0, 5.0, 8.0, 0.0, -8.0)
    plain, with_one = picture(), picture(PLAIN, body(ghosts=(ghost,)))
    assert mean(with_one, z=(34, 36), u=(3, 7)) > mean(plain, z=(34, 36), u=(3, 7)) + 40
    one = Phantom("healthy", SCAN, body(ghosts=(ghost,)), PLAIN)
    none = replace(one, anatomy=body())
    white = np.full(SCAN.shape, 255, np.uint8)
    assert np.array_equal(one._latent(POSE, white), none._latent(POSE, white))


def test_an_organ_takes_the_lungs_place() -> None:
    drawn, rng = phantom("organ")
    for view in drawn.views(rng, 2):
        assert not np.delete(view.percent, RIB, 0).any()
    drawn, _ = phantom("curtain")
    scan = drawn.scan
    share = organ_share(drawn.anatomy, scan.z, scan.u, POSE)
    marks = drawn._latent(POSE, np.full(scan.shape, 255, np.uint8))
    assert not marks[[PLEURA, A_LINE, B_LINE]][:, share > 0.999].any()
    assert marks[PLEURA].any()


def test_what_the_screen_shows_as_black_is_nothing_to_mark() -> None:
    for kind in ("nothing", "sick"):
        drawn, rng = phantom(kind)
        view = next(drawn.views(rng, 1))
        assert view.percent.any() == (kind == "sick")
        assert not drawn._latent(POSE, np.zeros_like(view.frame))[[PLEURA, A_LINE, B_LINE]].any()
        assert not view.percent[:, ~view.inside].any()


def test_probes_and_bodies_of_each_kind_can_be_drawn() -> None:
    kinds = set()
    for seed in range(80):
        rng = np.random.default_rng(seed)
        probe = draw_probe(rng)
        kinds.add((probe.kind, probe.radius < 12))
        for kind in KINDS:
            drawn = draw_body(rng, probe, kind)
            assert (drawn.organ is not None) == (kind in ("curtain", "organ"))
            assert (drawn.pleura_depth > probe.depth) == (kind == "muscle")
    assert kinds == {("convex", False), ("convex", True), ("linear", True)}


def view() -> View:
    drawn, rng = phantom("sick")
    return next(drawn.views(rng, 1))


def test_a_crop_is_a_part_of_the_frame_with_its_marks() -> None:
    whole = view()
    y, x = np.indices(whole.frame.shape)
    places = np.stack([y % 256, y // 256, x % 256, x // 256]).astype(np.uint8)
    for seed in range(20):
        part = cropped(np.random.default_rng(seed), replace(whole, percent=places))
        low_y, high_y, low_x, high_x = part.percent.astype(int)
        from_y, from_x = low_y + 256 * high_y, low_x + 256 * high_x
        assert np.array_equal(whole.frame[from_y, from_x], part.frame)
        assert np.array_equal(whole.inside[from_y, from_x], part.inside)
        assert (np.diff(from_y, axis=0) == 1).all()
        assert (np.diff(from_x, axis=1) == 1).all()
        assert part.inside.sum() > 0.4 * whole.inside.sum()


def test_a_screen_is_around_the_sector_and_not_over_it() -> None:
    whole = view()
    for seed in range(20):
        screen = framed(np.random.default_rng(seed), whole)
        assert np.array_equal(screen.frame[screen.inside], whole.frame[whole.inside])
        for shown, drawn in zip(screen.percent, whole.percent, strict=True):
            assert np.array_equal(shown[screen.inside], drawn[whole.inside])
            assert not shown[~screen.inside].any()


def test_marks_on_the_picture_and_compression_keep_its_size() -> None:
    whole = view()
    changed = [marked(np.random.default_rng(seed), whole.frame) for seed in range(10)]
    assert all(c.shape == whole.frame.shape and c.dtype == np.uint8 for c in changed)
    assert any((c != whole.frame).any() for c in changed)
    packed = [compressed(np.random.default_rng(seed), whole.frame) for seed in range(10)]
    assert all(p.shape == whole.frame.shape and p.dtype == np.uint8 for p in packed)
    for p in packed:
        assert np.corrcoef(p.ravel(), whole.frame.ravel())[0, 1] > 0.9
