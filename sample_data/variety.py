"""Phantoms as different as what one meets: domain randomisation of probe, body and scanner.

The cohort of :mod:`sample_data.cohort` is what one careful hospital would record. A network that
is to work on anybody's clips has to have seen far more, and above all what shows *no* finding and
looks as if it did: haze between two ribs' shadows, comet tails that end early, liver, deep muscle,
lost contact, a bright lower rim, dark pictures. Everything is drawn from one generator, so the
same seed gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.special import expit

from napari_confseg.store import DEFAULT_CLASSES
from sample_data.anatomy import ALine, Anatomy, BLine, Comet, Ghost, Organ, Pose, Rib
from sample_data.disease import draw_anatomy
from sample_data.fields import Curve, Texture
from sample_data.findings import EFFUSION, findings, latent
from sample_data.imaging import Scanner, Settings, lost_contact
from sample_data.scan import Probe, Scan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Kind = Literal["healthy", "sick", "curtain", "organ", "muscle", "nothing"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SHARES = (0.41, 0.36, 0.08, 0.08, 0.04, 0.03)
"""How often each kind is drawn. But for ``sick``, none shows a B-line."""

REACHES = 0.85
"""Share of the way from the lung's surface to the lower rim that a B-line has to be seen on."""

KEEPS = 0.4
"""Share of its grey level near the surface that it has to keep until there."""

BLACK, SEEN = 3.0, 14.0
"""Grey levels, averaged over a few pixels: what is darker than the first shows nothing, and what
is brighter than the second shows all that there is."""


@dataclass(frozen=True)
class Phantom:
    """A body under a probe, and the settings it is looked at with.

    Attributes
    ----------
    kind : str
        What lies there; see :data:`KINDS`.
    scan : Scan
        Probe and picture.
    anatomy : Anatomy
    settings : Settings
    """

    kind: Kind
    scan: Scan
    anatomy: Anatomy
    settings: Settings

    @classmethod
    def draw(cls, rng: np.random.Generator, *, held_out: bool = False) -> Phantom:
        """Draw one; `held_out` asks for settings that no other phantom is looked at with."""
        kind = KINDS[int(rng.choice(len(KINDS), p=SHARES))]
        probe = draw_probe(rng)
        shape = int(rng.integers(190, 330)), int(rng.integers(190, 360))
        trim = 1.0 if rng.random() < 0.3 else float(rng.uniform(0, 1))
        scan = Scan.fit(probe, shape, float(rng.uniform(0.5, 1.05)), trim)
        settings = draw_settings(rng, held_out=held_out)
        anatomy = draw_body(rng, probe, kind)
        if kind == "nothing":
            loss = float(rng.uniform(30, 60))
            settings = replace(settings, lost=((-2.0, 2.0, loss),), noise=settings.noise - 6)
        if kind == "sick":  # else few of its B-lines would reach where they must
            settings = replace(settings, attenuation=0.6 * settings.attenuation)
            lines = tuple(_as_shown(line, anatomy, settings) for line in anatomy.b_lines)
            anatomy = replace(anatomy, b_lines=lines)
        return cls(kind, scan, anatomy, settings)

    def views(self, rng: np.random.Generator, n: int) -> Iterator[View]:
        """Yield `n` frames from anywhere in a breath, with the probability of each class."""
        scanner = Scanner(rng, self.scan, self.anatomy, self.settings, still=True)
        for _ in range(n):
            breath = float(rng.uniform(-1, 1))
            pose = Pose(
                slide=float(rng.uniform(1, 4)) * breath,
                descent=float(rng.uniform(0.3, 0.9)) * breath,
                jitter=float(rng.normal(0, 0.4)),
                breath=breath,
            )
            frame = scanner.frame(pose)
            yield View(frame, self._latent(pose, frame), self.scan.inside)

    def _latent(self, pose: Pose, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what there is to mark, in percent: nothing where the screen shows nothing."""
        scan, n_classes = self.scan, len(DEFAULT_CLASSES)
        z, u = scan.z[scan.inside], scan.u[scan.inside]
        if self.kind == "nothing":
            return np.zeros((n_classes, *scan.shape), np.uint8)
        p = latent(findings(self.anatomy, pose, z, u), (n_classes, z.size))
        around = uniform_filter(frame.astype(np.float32), 7)[scan.inside]
        shown = np.clip((around - BLACK) / (SEEN - BLACK), 0, 1)
        contact = expit((14 - lost_contact(self.settings, u / scan.probe.half_width)) / 2)
        for c in range(n_classes):
            # Fluid is black by nature.
            p[c] *= contact if c == EFFUSION else contact * shown
        return np.stack([scan.plane(np.rint(100 * plane).astype(np.uint8)) for plane in p])


@dataclass(frozen=True)
class View:
    """One frame of a phantom.

    Attributes
    ----------
    frame : ndarray of uint8, shape (Y, X)
        Grey values.
    percent : ndarray of uint8, shape (C, Y, X)
        Probability of each default class.
    inside : ndarray of bool, shape (Y, X)
        The sector.
    """

    frame: NDArray[np.uint8]
    percent: NDArray[np.uint8]
    inside: NDArray[np.bool_]


def draw_probe(rng: np.random.Generator) -> Probe:
    """Draw a probe of any kind: curved, small and curved, phased, flat."""
    kind = rng.choice(["convex", "micro", "phased", "linear"], p=[0.56, 0.1, 0.1, 0.24])
    if kind == "linear":
        return Probe("linear", float(rng.uniform(14, 26)), float(rng.uniform(28, 75)))
    radius, angle, depth = {
        "convex": (rng.uniform(38, 66), rng.uniform(0.4, 0.65), rng.uniform(60, 190)),
        "micro": (rng.uniform(12, 26), rng.uniform(0.5, 0.95), rng.uniform(50, 140)),
        "phased": (rng.uniform(7, 12), rng.uniform(0.6, 0.8), rng.uniform(80, 190)),
    }[str(kind)]
    return Probe("convex", float(radius * angle), float(depth), float(radius))


COARSE, NARROW = 1.6, 54.0
"""Speckle above the first under a dynamic range (dB) below the second: held out of training."""


def draw_settings(rng: np.random.Generator, *, held_out: bool = False) -> Settings:
    """Draw how the scanner is set and how the probe is held."""
    while True:
        settings = Settings(
            dynamic_range=float(rng.uniform(44, 78)),
            gain=float(rng.normal(0, 6)),
            attenuation=float(rng.uniform(0.0, 0.35)),
            noise=float(rng.uniform(-80, -54)),
            persistence=float(rng.uniform(0, 0.3)),
            gamma=float(np.exp(rng.normal(0, 0.2))),
            contact=float(rng.uniform(0.3, 6)),
            speckle=float(np.exp(rng.uniform(np.log(0.7), np.log(2.6)))),
            tgc=_tgc(rng),
            lost=_lost(rng),
            clutter=float(rng.uniform(-42, -16)) if rng.random() < 0.5 else -np.inf,
            clutter_depth=float(rng.uniform(3, 16)),
            reverberation=float(rng.normal(0, 4)),
            looks=int(rng.integers(1, 4)),
        )
        if is_held_out(settings) == held_out:
            return settings


def is_held_out(settings: Settings) -> bool:
    """Whether settings are of the part that training never sees."""
    return settings.speckle > COARSE and settings.dynamic_range < NARROW


def _tgc(rng: np.random.Generator) -> tuple[float, ...]:
    """Draw sliders: a tilt, uneven ones, and at times a lower rim turned up or the field down."""
    sliders = rng.normal(0, 1.5, 8) + np.linspace(-1, 1, 8) * rng.normal(0, 5)
    fate = rng.random()
    if fate < 0.15:
        sliders[-2:] += rng.uniform(4, 14)
    elif fate < 0.3:
        sliders[: int(rng.integers(1, 4))] -= rng.uniform(4, 14)
    elif fate < 0.5:  # dark from some depth on, as when it is set far too deep
        sliders += np.linspace(0, -rng.uniform(10, 45), 8)
    return tuple(float(s) for s in sliders)


def _lost(rng: np.random.Generator) -> tuple[tuple[float, float, float], ...]:
    """Draw beams without contact: at a side, at both, or in the middle of the face."""
    lost = []
    if rng.random() < 0.28:
        lost.append((-2.0, float(rng.uniform(-1, -0.3)), float(rng.uniform(8, 45))))
    if rng.random() < 0.28:
        lost.append((float(rng.uniform(0.3, 1)), 2.0, float(rng.uniform(8, 45))))
    for _ in range(rng.poisson(0.3)):  # dark stripes from the skin down
        middle, half = rng.uniform(-0.8, 0.8), rng.uniform(0.04, 0.25)
        lost.append((float(middle - half), float(middle + half), float(rng.uniform(6, 30))))
    return tuple(lost)


def _as_shown(line: BLine, anatomy: Anatomy, settings: Settings) -> BLine:
    """Return the line as likely as it is still seen far down: what fades away is no B-line."""
    way = anatomy.probe.depth - anatomy.pleura_depth
    below = way * np.array([0.1, REACHES])
    depth = anatomy.pleura_depth + below
    level = -17 + 24 * np.log10(line.strength) - 8.7 * below / line.fade
    level += settings.gain - settings.attenuation * depth
    if settings.tgc:
        sliders = np.linspace(0, anatomy.probe.depth, len(settings.tgc))
        level += np.interp(depth, sliders, settings.tgc)
    near, far = np.clip(1 + level / settings.dynamic_range, 0.01, 1) ** settings.gamma
    seen = expit((far - 0.16) / 0.03) * expit((far / near - KEEPS) / 0.05)
    likely = float(line.likely * seen)
    return replace(line, likely=likely, real=likely > 0.5)


def draw_body(rng: np.random.Generator, probe: Probe, kind: Kind) -> Anatomy:
    """Draw what lies under `probe`."""
    severity = float(rng.uniform(0.05, 1) ** 0.8) if kind == "sick" else 0.0
    a = draw_anatomy(rng, probe, severity, str(rng.choice(["R1", "R5"])))
    depth = _pleura_depth(rng, probe, kind)
    spread = 1 + depth / probe.radius if probe.kind == "convex" else 1.0
    ribs = _ribs(rng, probe, depth, spread)
    # Healthy lung may be as bright as a sick one's B-lines, between ribs above all.
    haze, fade = float(rng.normal(1, 6)), float(np.exp(rng.uniform(np.log(0.02), np.log(0.8))))
    if kind == "sick":
        haze, fade = haze - 2, 0.6 * fade
    if kind == "healthy" and rng.random() < 0.65:  # bright columns between shadows, fading away
        ribs = _ribs(rng, probe, depth, spread, least=2)
        haze = float(rng.uniform(4, 19))
        fade = float(rng.uniform(15, 40) / (rng.uniform(0.25, 1.1) * (probe.depth - depth)))
    a = replace(
        a,
        pleura_depth=depth,
        pleura_tilt=float(rng.normal(0, 0.1)) / spread,
        pleura_thickness=float(np.exp(rng.normal(np.log(1.9), 0.3)))
        * (1 if probe.kind == "convex" else 0.7),
        irregularity=a.irregularity * float(rng.uniform(0.5, 2)),
        ribs=ribs,
        haze=haze,
        haze_fade=fade,
        a_lines=_a_lines(rng, probe, depth, a.severity, (haze, fade)),
        comets=_comets(rng, probe, spread, kind),
        ghosts=_ghosts(rng, probe, depth),
        b_lines=(),
        consolidation=a.consolidation if kind == "sick" else None,
        effusion=a.effusion if kind == "sick" else None,
    )
    if kind == "sick":
        return replace(a, b_lines=_b_lines(rng, a, spread))
    if kind in ("curtain", "organ"):
        return replace(a, organ=_organ(rng, probe, depth, kind))
    return a


def _pleura_depth(rng: np.random.Generator, probe: Probe, kind: Kind) -> float:
    if kind == "muscle":  # all wall: the lung lies below the picture, or there is none
        return float(probe.depth * rng.uniform(1.05, 1.6))
    if probe.kind == "linear":
        return float(rng.uniform(8, max(9.0, 0.6 * probe.depth)))
    thick = np.exp(rng.normal(np.log(22), 0.35))
    return float(np.clip(thick, 9, 0.5 * probe.depth))


def _ribs(
    rng: np.random.Generator, probe: Probe, depth: float, spread: float, least: int = 0
) -> tuple[Rib, ...]:
    """Draw up to four ribs, cut squarely or slantwise, with anything from no shadow to a black one.

    Between two of them the lung is a bright column, which is no B-line.
    """
    number = max(least, int(rng.choice([0, 1, 2, 3, 4], p=[0.2, 0.25, 0.3, 0.17, 0.08])))
    ribs: list[Rib] = []
    u = -probe.half_width * rng.uniform(0.3, 1.0)
    for _ in range(number):
        half = rng.uniform(2.0, 8.0) / spread
        u += half
        lift = rng.uniform(1.5, 8) if probe.kind == "convex" else rng.uniform(1.5, 5)
        ribs.append(
            Rib(
                float(u),
                float(half),
                float(max(2.0, depth - lift)),
                float(rng.choice([rng.uniform(0.02, 0.2), rng.uniform(0.2, 0.6)])),
                Curve.draw(rng, 4.0),
                float(rng.choice([rng.uniform(-3, 4), rng.uniform(-20, -3)])),
            )
        )
        u += half + rng.uniform(5, 22) / spread
    return tuple(r for r in ribs if abs(r.u) < 1.1 * probe.half_width)


def _a_lines(
    rng: np.random.Generator,
    probe: Probe,
    depth: float,
    severity: float,
    haze: tuple[float, float],
) -> tuple[ALine, ...]:
    """Draw A-lines, as likely as they stand out from the haze (dB, dB per mm); a third has none."""
    first = rng.uniform(0.0, 1.1) * (1 - 0.8 * severity) * (rng.random() < 0.7)
    fading = rng.uniform(0.35, 0.85)
    lines = []
    for order in range(2, int(probe.depth // depth) + 1):
        strength = float(first * fading ** (order - 2))
        around = haze[0] - 34 + 5 * severity - haze[1] * (order - 1) * depth
        above = -14 + 26 * np.log10(strength + 1e-6) - around
        likely = float(min(expit((strength - 0.16) * 22), expit((above - 2) / 1.5)))
        if likely > 0.03:
            lines.append(ALine(order, strength, likely, real=likely > 0.5))
    return tuple(lines)


def _b_lines(rng: np.random.Generator, anatomy: Anatomy, spread: float) -> tuple[BLine, ...]:
    """Draw B-lines: thin rays, broad beams, or so many that they run together.

    One is as likely as it stands out from the haze, and as it reaches the lower rim.
    """
    probe, severity = anatomy.probe, anatomy.severity
    haze = anatomy.haze - 34 + 5 * severity
    lines = []
    for _ in range(1 + rng.poisson(0.3 + 6 * severity**1.2)):
        u = float(rng.uniform(-1.0, 1.0) * probe.half_width)
        if any(abs(u - rib.u) < rib.half_width for rib in anatomy.ribs):
            continue
        strength = float(np.clip(rng.beta(1.8 + 3 * severity, 1.7), 0.12, 1) * rng.uniform(1, 1.5))
        broad = rng.uniform(3, 9) if rng.random() < 0.25 else rng.uniform(0.7, 3.2)
        above = -17 + 24 * np.log10(strength) - haze
        likely = min(expit((strength - 0.3) * 13), expit((above - 3) / 1.2))
        lines.append(
            BLine(
                u=u,
                half_width=float(broad * 1.5 / max(1.5, spread)),
                strength=strength,
                fade=float(rng.uniform(0.45, 0.8 + 1.2 * strength) * probe.depth),
                likely=float(likely),
                real=bool(likely > 0.5),
            )
        )
    return tuple(lines)


def _comets(rng: np.random.Generator, probe: Probe, spread: float, kind: Kind) -> tuple[Comet, ...]:
    if rng.random() < (0.7 if kind == "sick" else 0.4):
        return ()
    return tuple(
        Comet(
            u=float(rng.uniform(-1, 1) * probe.half_width),
            half_width=float(rng.uniform(0.4, 2.5)) / spread,
            strength=float(rng.uniform(0.3, 1.3)),
            length=float(rng.uniform(0.015, 0.1) * probe.depth),
        )
        for _ in range(1 + rng.poisson(2))
    )


def _ghosts(rng: np.random.Generator, probe: Probe, depth: float) -> tuple[Ghost, ...]:
    if rng.random() < 0.5 or depth > 0.9 * probe.depth:
        return ()
    return tuple(
        Ghost(
            z=float(rng.uniform(depth, probe.depth)),
            u=float(rng.uniform(-1, 1) * probe.half_width),
            length=float(rng.uniform(0.1, 0.7) * probe.half_width),
            tilt=float(rng.normal(0, 0.2)),
            level=float(rng.uniform(-24, -6)),
        )
        for _ in range(1 + rng.poisson(1.5))
    )


def _organ(rng: np.random.Generator, probe: Probe, depth: float, kind: Kind) -> Organ:
    width = probe.half_width
    edge = rng.uniform(-0.6, 0.6) * width if kind == "curtain" else -3 * width
    below = probe.depth - depth
    vessels = tuple(
        (
            float(depth + rng.uniform(0.05, 1) * below),
            float(rng.uniform(-1, 1) * width),
            float(rng.uniform(0.6, 4)),
        )
        for _ in range(rng.poisson(5))
    )
    sheet = depth + rng.uniform(0.25, 1.0) * below if rng.random() < 0.6 else np.inf
    return Organ(
        u=float(edge),
        side=1.0 if kind == "organ" else float(rng.choice([-1, 1])),
        swing=float(rng.uniform(0, 0.25) * width),
        level=float(rng.uniform(-34, -18)),
        grain=Texture.draw(rng, (float(rng.uniform(1, 5)), float(rng.uniform(2, 7)))),
        vessels=vessels,
        diaphragm=float(sheet),
        beyond=float(rng.uniform(-46, -26)),
        shape=Curve.draw(rng, 14),
    )
