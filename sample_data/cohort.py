"""How a clip moves: breathing slides the lung and lowers the pleura, the hand trembles."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d
from zarr.storage import LocalStore

from napari_confseg.store import (
    DEFAULT_CLASSES,
    ClipMeta,
    Cohort,
    Provenance,
    Sector,
    Spacing,
    Status,
    Stroke,
)
from sample_data.anatomy import Pose
from sample_data.disease import draw_anatomy, draw_breaks
from sample_data.findings import findings, latent, truth
from sample_data.imaging import Scanner, Settings
from sample_data.readers import READERS, Reader
from sample_data.scan import Probe, Scan
from sample_data.ward import ZONES, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import Clip, Location, Rater
    from sample_data.anatomy import Anatomy
    from sample_data.findings import Finding
    from sample_data.readers import Mark
    from sample_data.ward import ClipPlan


def draw_motion(
    rng: np.random.Generator, probe: Probe, n_frames: int, fps: float, severity: float
) -> list[Pose]:
    """Draw the poses of a clip.

    Breathing has a rate of 14 to 28 a minute that rises with `severity`, a rounded in-phase and
    a longer out-phase; the slide is several millimetres, less in a sick lung. The hand's tremor
    is a smooth random walk of some tenths of a millimetre.
    """
    rate = rng.uniform(14, 19) + 9 * severity
    slide = rng.uniform(2.0, 4.0) * (1 - 0.5 * severity)
    if probe.kind == "convex":  # along the face; the lung lies where the beams have spread
        slide *= probe.radius / (probe.radius + 25)
    sink = rng.uniform(0.3, 0.9)
    phase = 2 * np.pi * (rng.random() + np.arange(n_frames) / fps * rate / 60)
    breath = np.sin(phase + 0.35 * np.sin(phase))
    tremor = gaussian_filter1d(rng.standard_normal(n_frames + 40), 5)[20 : 20 + n_frames] * 0.9
    drift = np.cumsum(tremor) * 0.03
    return [
        Pose(float(slide * b), float(sink * b), float(0.4 * s + d), float(b))
        for b, s, d in zip(breath, tremor, drift, strict=True)
    ]


if TYPE_CHECKING:
    Write = Callable[[int, int, NDArray[np.uint8]], None]

FPS = 15.0
READ_EVERY = 2
"""Readers mark every second frame, as people do who label; the others stay unreviewed."""
EPOCH = datetime(2024, 1, 1, 9, 0, tzinfo=UTC)
"""When simulated readers began: a fixed time, for the same seed must give the same bytes."""
N_CLASSES = len(DEFAULT_CLASSES)
DEFAULT_READERS = ("calibrated", "over-inclusive", "over-confident")


def make_cohort(
    location: Location,
    *,
    patients: int = 8,
    seed: int = 0,
    clips_per_patient: int = 2,
    days: int = 1,
    frames: int = 24,
    size: tuple[int, int] = (256, 320),
    readers: Sequence[str] = DEFAULT_READERS,
    breaks: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Cohort:
    """Make a synthetic lung-ultrasound cohort and return it; the same seed gives the same bytes.

    Beside ``NAME.zarr`` a clinical table ``NAME-clinical.csv`` is written.

    Parameters
    ----------
    location : str or Path
        A folder that does not exist yet or is empty.
    patients, clips_per_patient, frames : int
        How many; at most 12 clips a patient and day (one a lung zone).
    days : int
        On how many days each patient is examined, at the same zones, with three days between:
        the lung gets worse, stays or gets better, and findings and S/F follow. 1 is one visit.
    seed : int
        What everything is drawn from.
    size : tuple of int
        (Y, X) of the frames.
    readers : sequence of str
        Kinds of reader (``READERS``); they become raters ``reader-a``, ``reader-b``, ...
    breaks : bool
        Whether the pleural line is broken where the lung is sick; all else is drawn as without.
    progress : callable, optional
        Called with (clips done, clips in all, what is being done).

    Returns
    -------
    Cohort
        With raters ``truth`` (0 or 100), ``latent`` (the probability that was there to be seen,
        in percent) and the readers.

    Raises
    ------
    ValueError
        If a number is out of range or a kind of reader is unknown.
    StoreError
        If something is at `location` already.
    """
    _check(patients, clips_per_patient, days, frames, size, readers)
    path = Path(location).expanduser()
    slug = "synthetic"
    asked = (seed, patients, clips_per_patient, frames, size, tuple(readers))
    more = ((days,) if days > 1 else ()) + (("breaks",) if breaks else ())
    digest = hashlib.sha256(repr((*asked, *more)).encode())
    # zarr's own local store: not synced to disk, as what is made can be made again.
    cohort = Cohort.create(LocalStore(path), name=slug, cohort_id=digest.hexdigest()[:32])
    plans, table = plan(patients, clips_per_patient, seed, days)
    for done, clip_plan in enumerate(plans):
        if progress:
            progress(done, len(plans), clip_plan.name)
        make_clip(cohort, clip_plan, frames, size, readers, breaks=breaks)
    if progress:
        progress(len(plans), len(plans), "clinical table")
    clinical_path(path).write_text(table, encoding="utf-8", newline="\n")
    return Cohort.open(path)


def clinical_path(location: Location) -> Path:
    """Return where the clinical table of the cohort at `location` lies: beside it."""
    path = Path(location).expanduser()
    return path.with_name(f"{path.stem}-clinical.csv")


def _check(
    patients: int, clips: int, days: int, frames: int, size: tuple[int, int], readers: Sequence[str]
) -> None:
    for name, value, low, high in (
        ("patients", patients, 1, 999),
        ("clips_per_patient", clips, 1, len(ZONES)),
        ("days", days, 1, 30),
        ("frames", frames, 1, 10_000),
        ("height", size[0], 64, 2048),
        ("width", size[1], 64, 2048),
        ("number of readers", len(readers), 0, 26),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name} must be {low} to {high}, found {value}")
    for kind in readers:
        if kind not in READERS:
            raise ValueError(f"no kind of reader {kind!r}; there are {', '.join(READERS)}")


def draw_scan(rng: np.random.Generator, size: tuple[int, int]) -> Scan:
    """Draw a probe, how deep it is set, and how its sector lies in a picture of `size`."""
    if rng.random() < 0.3:
        flat = Probe("linear", float(rng.uniform(18, 23)), float(rng.uniform(38, 52)))
        return Scan.fit(flat, size)
    radius, angle = rng.uniform(45, 60), rng.uniform(0.5, 0.6)
    probe = Probe("convex", float(radius * angle), float(rng.uniform(75, 115)), float(radius))
    return Scan.fit(probe, size, float(rng.uniform(0.6, 0.85)), float(rng.uniform(0, 1)))


def make_clip(
    cohort: Cohort,
    plan: ClipPlan,
    n_frames: int,
    size: tuple[int, int],
    readers: Sequence[str],
    *,
    breaks: bool = False,
) -> None:
    """Make one clip with its raters and write it to `cohort`."""
    image_seed, *reader_seeds = plan.seed.spawn(1 + len(readers))
    rng = np.random.default_rng(plan.body)
    scan = draw_scan(rng, size)
    anatomy = draw_anatomy(rng, scan.probe, plan.severity, plan.zone)
    if breaks:
        # A stream of its own: nothing else is drawn otherwise. The same on every day, as the body.
        own = np.random.SeedSequence(plan.body.entropy, spawn_key=(*plan.body.spawn_key, 1))
        found = draw_breaks(np.random.default_rng(own), scan.probe, plan.severity)
        anatomy = replace(anatomy, breaks=found)
    poses = draw_motion(rng, scan.probe, n_frames, FPS, plan.severity)
    image_rng = np.random.default_rng(image_seed)
    scanner = Scanner(image_rng, scan, anatomy, Settings.draw(image_rng))
    digest = hashlib.sha256()
    with cohort.new_clip(plan.name, shape=size) as new:
        for pose in poses:
            frame = scanner.frame(pose)
            digest.update(frame.tobytes())
            new.append(frame)
        new.finish(_meta(plan, scan, n_frames, digest.hexdigest()))
    simulated = [
        Reader(np.random.default_rng(s), READERS[kind])
        for s, kind in zip(reader_seeds, readers, strict=True)
    ]
    mark_clip(cohort.clip(plan.name), anatomy, poses, scan, simulated)


def mark_clip(
    clip: Clip, anatomy: Anatomy, poses: list[Pose], scan: Scan, simulated: list[Reader]
) -> None:
    """Write truth, latent probability and the planes of the readers of one clip."""
    exact = clip.create_rater("truth", kind="truth", label="Exact truth", created=EPOCH)
    likely = clip.create_rater("latent", kind="truth", label="Latent probability", created=EPOCH)
    raters = [
        SimulatedRater(clip, f"reader-{chr(97 + i)}", reader, scan)
        for i, reader in enumerate(simulated)
    ]
    z, u = scan.z[scan.inside], scan.u[scan.inside]
    with ExitStack() as stack:
        write_exact, write_likely = (stack.enter_context(r.bulk()) for r in (exact, likely))
        at_work = [(rater, stack.enter_context(rater.rater.bulk())) for rater in raters]
        for t, pose in enumerate(poses):
            found = findings(anatomy, pose, z, u)
            true = truth(anatomy, found, pose, z, u)
            p = latent(found, (N_CLASSES, z.size))
            for c in range(N_CLASSES):
                write_exact(t, c, scan.plane(true[c] * np.uint8(100)))
                write_likely(t, c, scan.plane(np.rint(100 * p[c]).astype(np.uint8)))
            if t % READ_EVERY == 0:
                for rater, write in at_work:
                    rater.read(write, t, found, z, u)
    everything = np.full((len(poses), N_CLASSES), Status.REVIEWED, np.uint8)
    exact.write_status(everything)
    likely.write_status(everything)
    for rater in raters:
        rater.close()


class SimulatedRater:
    """A simulated reader at work on a clip: planes, status and record of strokes."""

    def __init__(self, clip: Clip, name: str, reader: Reader, scan: Scan) -> None:
        self._reader, self._scan = reader, scan
        self.rater: Rater = clip.create_rater(
            name, kind="human", label=reader.kind.label, created=EPOCH
        )
        self._status = np.zeros(self.rater.shape[:2], np.uint8)
        self._strokes: list[Stroke] = []

    def read(
        self,
        write: Write,
        t: int,
        found: list[Finding],
        z: NDArray[np.float32],
        u: NDArray[np.float32],
    ) -> None:
        """Mark frame `t` by `write`, unless this reader passes over it."""
        if not self._reader.reviews():
            return
        values = np.zeros((N_CLASSES, z.size), np.uint8)
        for mark in self._reader.marks(found, z, u):
            changed = mark.pixels[values[mark.class_index, mark.pixels] < mark.confidence]
            if len(changed):
                values[mark.class_index, changed] = mark.confidence
                self._record(t, mark, changed)
        for c in np.flatnonzero(values.any(1)):
            write(t, int(c), self._scan.plane(values[c]))
        self._status[t] = Status.REVIEWED

    def _record(self, t: int, mark: Mark, changed: NDArray[np.int64]) -> None:
        seq = len(self._strokes) + 1
        self._strokes.append(
            Stroke(
                seq=seq,
                time=EPOCH + timedelta(seconds=4 * seq),
                class_index=mark.class_index,
                frame=t,
                confidence=mark.confidence,
                tool="polygon",
                box=self._scan.box(changed),
                pixels=len(changed),
            )
        )

    def close(self) -> None:
        """Write status and record."""
        self.rater.write_status(self._status)
        self.rater.write_strokes(self._strokes)


def _meta(plan: ClipPlan, scan: Scan, n_frames: int, sha256: str) -> ClipMeta:
    return ClipMeta(
        patient=plan.patient,
        zone=plan.zone,
        probe=scan.probe.kind,
        frame_times=tuple(round(i / FPS, 6) for i in range(n_frames)),
        spacing=Spacing(y=scan.spacing, x=scan.spacing, source="synthetic"),
        sector=Sector(
            kind="curved" if scan.probe.kind == "convex" else "linear",
            polygon=scan.polygon(),
            confirmed=True,
        ),
        tags=("synthetic",) if plan.day is None else ("synthetic", f"day {plan.day}"),
        provenance=Provenance(source_sha256=sha256, decoder="sample_data"),
    )
