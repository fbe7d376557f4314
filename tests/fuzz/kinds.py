"""What is fuzzed: for each kind, whole small files to begin with, and all that reads them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.store import Cohort, RaterWriter, StoreError

if TYPE_CHECKING:
    from random import Random

    from numpy.typing import NDArray

GIB = 2**30
Attempt = Callable[[Path, "Random", Path], str]


@dataclass(frozen=True)
class Kind:
    """One kind of thing that is read.

    Attributes
    ----------
    make : callable
        Makes the seeds in a folder and returns them.
    attempt : callable
        Reads a damaged one, (case, random, place for files), and returns why it was refused; empty
        if it was read. What it raises is a fault.
    memory : int
        Bytes of address space.
    slack : float
        Seconds beyond the limit, where a library takes long to be imported.
    prepare : callable
        Makes damage harder to see, e.g. by correcting checksums.
    close : callable
        Ends what `attempt` keeps running.
    """

    make: Callable[[Path], list[Path]]
    attempt: Attempt
    memory: int = 3 * GIB
    slack: float = 0
    prepare: Callable[[Path, Random], None] = lambda case, rng: None
    close: Callable[[], None] = lambda: None

    def seeds(self, folder: Path) -> list[Path]:
        """Return the seeds, made once for all processes that use the folder."""
        done = folder / "seeds.json"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            done.write_text(json.dumps([str(p) for p in self.make(folder)]))
        return [Path(p) for p in json.loads(done.read_text())]


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


# ---- stores ---------------------------------------------------------------------------------


def _make_stores(folder: Path) -> list[Path]:
    from tests.store.defects import make_good

    store = make_good(folder, folder / "journal")
    shutil.make_archive(str(folder / "cohort"), "zip", store)
    return [store, store, store, folder / "cohort.zip"]


def _read_store(case: Path, rng: Random, place: Path) -> str:
    from napari_confseg.store.validate import validate

    problems = validate(case)
    try:
        cohort = Cohort.open(case, read_only=True)
        for name in cohort.clips():
            clip = cohort.clip(name)
            np.asarray(clip.frames[: min(len(clip.frames), 50)])
            for rater_name in clip.raters():
                rater = clip.rater(rater_name)
                rater.read_status()
                rater.read_planes(0)
                rater.read_clip_notes()
                rater.read_strokes()
                rater.stored_chunks()
                rater.stamp()
    except StoreError as error:
        return str(error)
    return str(problems[0]) if problems else ""


def _write_store(case: Path, rng: Random, place: Path) -> str:
    from tests.store.painting import Painter

    journals = case.parent / "journals"
    try:
        cohort = Cohort.open(case)
        names = cohort.clips()
        if not names:
            return "no clip"
        writer = RaterWriter.open(
            cohort, names[0], rng.choice(("ann", "ben")), journal_root=journals
        )
        try:
            if writer.state.read_only:
                return "read-only"
            writer.commit(Painter(writer).rectangle(0, 0, 1, 1, 4, 4, 40))
            writer.flush(2)
        finally:
            writer.abandon()
    except StoreError as error:
        return str(error)
    return ""


# ---- labels ---------------------------------------------------------------------------------


def _label_cohort(folder: Path) -> Cohort:
    from tests.agreement.opinions import read_clip
    from tests.conftest import add_clip

    cohort = Cohort.create(folder / "study.zarr", name="study")
    for i in range(2):
        add_clip(cohort, f"c{i}", patient=f"p{i}", n_frames=3)
        read_clip(cohort, f"c{i}", {"anna": (1.0, 0.5)}, seed=i, classes=3)
    add_clip(cohort, "clip-979ce062", n_frames=24, shape=(120, 160), patient="p9")
    return cohort


def _dataset(cohort: Cohort, out: Path) -> Path:
    from napari_confseg.dataset.build import build
    from napari_confseg.dataset.manifest import BuildRequest

    request = BuildRequest(
        name="toy",
        classes=("pleura", "a-line", "b-line"),
        clips=("c0", "c1"),
        folds=2,
        parts={"train": 0.5, "test": 0.5},
    )
    return build(cohort, request, out).folder


_OUR_EXPORTS = (
    *("nnunet", "coco", "nrrd", "png", "tiff", "nifti"),
    *("dicom-seg", "ome-zarr", "annotate-ultrasound"),
)


def _make_labels(folder: Path) -> list[Path]:
    import nibabel

    from napari_confseg.dataset.frozen import Dataset
    from napari_confseg.formats.export import ExportRequest, export
    from tests.formats.test_labels import PAINTED, lines

    cohort = _label_cohort(folder)
    dataset = Dataset(_dataset(cohort, folder / "toy"))
    made = []
    for name in _OUR_EXPORTS:
        export(dataset, ExportRequest(format=name), folder / name)
        for pictures in (folder / name).rglob("images*"):
            shutil.rmtree(pictures, ignore_errors=True)
        made += [folder / name] * 2
    (folder / "lines").mkdir()
    (folder / "lines" / "c0.tom.json").write_text(json.dumps(lines(PAINTED)))
    volume = folder / "volume"
    volume.mkdir()
    about = {"labels": {"background": 0, "pleura": 1}, "file_ending": ".nii.gz"}
    (volume / "dataset.json").write_text(json.dumps(about))
    marks = (np.random.default_rng(0).random((64, 48, 3)) > 0.9).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(marks, np.eye(4)), volume / "c0.nii.gz")
    made += [folder / "lines", volume]
    cases = Path(__file__).parents[1] / "formats" / "cases"
    for case in sorted(p for p in cases.iterdir() if p.is_dir()):
        made += [Path(shutil.copytree(case, folder / "tools" / case.name))] * 2
    shared = Path(__file__).parent / "seeds"
    for path in sorted(shared.iterdir()):
        copied = folder / "shared" / path.name
        (shutil.copytree if path.is_dir() else _copy)(path, copied)
        made.append(copied)
    return made


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    shutil.copy(source, target)


def _read_labels(case: Path, rng: Random, place: Path) -> str:
    from napari_confseg.formats.labels import LabelImportRequest, detect, import_labels
    from napari_confseg.formats.origin import recorded_origin

    write = rng.random() < 0.1
    location = place / "seeds" / "study.zarr"
    if write:
        location = case.parent / "study.zarr"
        shutil.copytree(place / "seeds" / "study.zarr", location)
    request = LabelImportRequest(
        rater="peer",
        classes={"BLine": "b-line", "x": ""},
        clips={"clip-1": "c0"},
        reviewed=rng.choice(("marked", "all")),
    )
    try:
        recorded_origin(case, detect(case))
        cohort = Cohort.open(location, read_only=not write)
        report = import_labels(cohort, case, request, dry_run=not write)
    except StoreError as error:
        return str(error)
    return str(report.problems[0]) if report.problems else ""


# ---- media ----------------------------------------------------------------------------------


def _make_media(folder: Path) -> list[Path]:
    from PIL import Image
    from pydicom import uid

    from tests.ingest import dicoms, films

    frames = films.moving(8)
    made = [
        films.film(folder / f"v{suffix}", frames) for suffix in (".mp4", ".avi", ".mpeg", ".mov")
    ]
    made.append(films.film(folder / "v.mkv", frames, codec="ffv1"))
    others = {".webm": "libvpx", ".ogv": "libvpx", ".wmv": "wmv2", ".mts": "libx264"}
    others |= {".vob": "mpeg2video", ".h264": "libx264", ".m2v": "mpeg2video"}
    made += [films.film(folder / f"w{end}", frames, codec=codec) for end, codec in others.items()]
    made.append(films.gif(folder / "v.gif", frames, milliseconds=[40] * 8))
    Image.fromarray(frames[0]).save(folder / "still.png")
    Image.fromarray(frames[0]).save(folder / "still.jpg")
    Image.fromarray(frames[0]).save(folder / "still.bmp")
    pages = [Image.fromarray(f) for f in frames]
    pages[0].save(
        folder / "stack.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw"
    )
    made += [folder / f"still.{e}" for e in ("png", "jpg", "bmp")] + [folder / "stack.tif"]
    grey = np.stack(frames)
    rgb = np.repeat(grey[..., None], 3, 3)
    region = dicoms.region(0, 0, 63, 47, mm=(0.2, 0.2))
    plain = dicoms.dataset(FrameTime="40", SequenceOfUltrasoundRegions=[region])
    dicoms.save(dicoms.with_pixels(plain, grey, "MONOCHROME2"), folder / "plain.dcm")
    wrapped = dicoms.wrap(dicoms.jpegs(rgb))
    jpeg = dicoms.with_pixels(dicoms.dataset(uid.JPEGBaseline8Bit), rgb, "YBR_FULL_422", wrapped)
    dicoms.save(jpeg, folder / "jpeg.dcm")
    run_length = dicoms.with_pixels(dicoms.dataset(), grey, "MONOCHROME2")
    run_length.compress(uid.RLELossless, encoding_plugin="pydicom")
    dicoms.save(run_length, folder / "rle.dcm")
    deflated = dicoms.dataset(uid.DeflatedExplicitVRLittleEndian)
    dicoms.save(dicoms.with_pixels(deflated, grey, "MONOCHROME2"), folder / "deflated.dcm")
    video = (folder / "v.mp4").read_bytes()
    within = dicoms.dataset("1.2.840.10008.1.2.4.102", FrameTime="40")
    packed = dicoms.with_pixels(within, rgb, "YBR_PARTIAL_420", dicoms.wrap([video]))
    dicoms.save(packed, folder / "video.dcm")
    _more_dicom(folder, grey)
    colours = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)
    table = dicoms.with_pixels(dicoms.dataset(), grey, "PALETTE COLOR")
    dicoms.save(dicoms.palette(table, colours, bits=16), folder / "palette.dcm")
    made += sorted(folder.glob("*.dcm"))
    return made


def _more_dicom(folder: Path, grey: NDArray[np.uint8]) -> None:
    """Write deep samples, JPEG 2000, lossless JPEG, fragments, and a file without preamble."""
    from pydicom import uid

    from tests.ingest import dicoms

    deep = grey.astype(np.uint16) * 16
    window = dicoms.dataset(WindowCenter=1000, WindowWidth=800)
    ds = dicoms.with_pixels(window, deep, "MONOCHROME2", BitsStored=12)
    dicoms.save(ds, folder / "deep.dcm")
    ds.compress(uid.JPEG2000Lossless, generate_instance_uid=False)
    dicoms.save(ds, folder / "j2k.dcm")
    lossless = dicoms.wrap([dicoms.lossless_jpeg(f, 12) for f in deep])
    ds = dicoms.dataset(uid.JPEGLosslessSV1)
    ds = dicoms.with_pixels(ds, deep, "MONOCHROME2", lossless, BitsStored=12)
    dicoms.save(ds, folder / "lossless.dcm")
    bare = (folder / "plain.dcm").read_bytes()
    start = 144 + int.from_bytes(bare[140:144], "little")
    (folder / "without.dcm").write_bytes(bare[start:])
    stream = (folder / "w.h264").read_bytes()
    ds = dicoms.dataset("1.2.840.10008.1.2.4.102.1", FrameTime="40")
    half = len(stream) // 4 * 2
    parts = dicoms.wrap([stream[:half], stream[half:]])
    samples = np.zeros((*grey.shape, 3), np.uint8)
    ds = dicoms.with_pixels(ds, samples, "YBR_PARTIAL_420", parts)
    dicoms.save(ds, folder / "fragments.dcm")


class _Media:
    """Reads media with a decoder that goes on from case to case."""

    def __init__(self) -> None:
        self._decoder: Any = None

    def __call__(self, case: Path, rng: Random, place: Path) -> str:
        from napari_confseg.ingest.decoded import Head, IngestError
        from napari_confseg.ingest.pipeline import frame_times, import_sources
        from napari_confseg.ingest.pseudonyms import source_sha256
        from napari_confseg.ingest.sector import find_sector
        from napari_confseg.ingest.sector_evidence import Survey
        from napari_confseg.ingest.sources import find_sources
        from napari_confseg.ingest.worker import Decoder

        if rng.random() < 0.04:
            cohort = Cohort.create(case.parent / "new.zarr", name="new")
            report = import_sources([case], cohort)
            return report.refused[0][1] if report.refused else ""
        if self._decoder is None:
            self._decoder = Decoder(patience=8).__enter__()
        found, refused = find_sources([case])
        try:
            for one in found:
                source_sha256(one.source.paths)
                head, survey, seconds = None, None, []
                for part in self._decoder.read(one.source):
                    if isinstance(part, Head):
                        head, survey = part, Survey(part.shape)
                        continue
                    seconds.append(part.seconds)
                    survey.add(part.pixels)
                frame_times(seconds, head.rate)
                find_sector(survey)
        except (IngestError, StoreError) as error:
            return _told(error)
        return refused[0][1] if refused else ""

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.__exit__()


MEDIA = _Media()

# ---- tables ---------------------------------------------------------------------------------


def _make_tables(folder: Path) -> list[Path]:
    from tests.conftest import add_clip
    from tests.trainer.clinical.test_table import GOOD, write
    from trainer.findings import FINDINGS

    cohort = Cohort.create(folder / "ward.zarr", name="ward")
    for i, patient in enumerate(("p0", "p0", "p1")):
        add_clip(cohort, f"clip-{i}", n_frames=1, shape=(8, 8), patient=patient)
    clinical = write(folder / "clinical.csv", GOOD)
    findings = folder / "findings.csv"
    findings.write_text(f"clip,{','.join(FINDINGS)}\nclip-0,{','.join('1' for _ in FINDINGS)}\n")
    metrics = folder / "metrics.csv"
    metrics.write_text("step,loss\n10,0.5\n20,0.25\n")
    return [clinical, clinical, clinical, findings, metrics]


def _read_table(case: Path, rng: Random, place: Path) -> str:
    from trainer.clinical.table import read_table, rows_before
    from trainer.errors import TrainError
    from trainer.findings import read_findings
    from trainer.metrics_log import MetricsLog

    try:
        if case.name == "findings.csv":
            read_findings([case])
        elif case.name == "metrics.csv":
            MetricsLog(case.parent, ["loss"], 20).add(30, {"loss": 0.1})
        else:
            rows_before(read_table(case, Cohort.open(place / "seeds" / "ward.zarr"))[0])
    except (StoreError, TrainError) as error:
        return _told(error)
    return ""


# ---- runs -----------------------------------------------------------------------------------


def _make_runs(folder: Path) -> list[Path]:
    from napari_confseg.job import RunFolder
    from tests.trainer.conftest import add_toy_clip, request
    from trainer.run_job import execute

    cohort = Cohort.create(folder / "toy.zarr", name="toy")
    for i in range(3):
        add_toy_clip(cohort, f"clip-{i}", f"p{i}", n_frames=2)
    run = RunFolder.create(folder / "m1", request(cohort, steps=3, size="study"))
    assert execute(run) is not None
    (run.path / "lock").unlink(missing_ok=True)
    return [run.path]


def _read_run(case: Path, rng: Random, place: Path) -> str:
    import torch

    from napari_confseg.annotate.train.run_monitor import found_runs
    from napari_confseg.job import JobError, RunFolder
    from trainer.checkpoint import load_checkpoint, load_config, load_state
    from trainer.errors import TrainError
    from trainer.run_job import execute

    torch.set_num_threads(1)
    for monitor in found_runs(case.parent, {}).values():
        monitor.poll()
    folder, told = RunFolder(case), ""

    def tried(read: Callable[[], object]) -> None:
        nonlocal told
        try:
            read()
        except (JobError, TrainError, StoreError) as error:
            told = told or _told(error)

    for read in (folder.request, folder.events, folder.result, folder.preview_clip):
        tried(read)
    tried(lambda: load_checkpoint(case, load_config(case)))
    tried(lambda: load_state(case, torch.device("cpu")))
    if rng.random() < 0.3:  # goes on from where it stands
        with_result = case / "result.json"
        if with_result.is_file() and rng.random() < 0.7:
            with_result.unlink()
        tried(lambda: execute(folder))
    return told


# ---- datasets -------------------------------------------------------------------------------


def _make_datasets(folder: Path) -> list[Path]:
    return [_dataset(_label_cohort(folder), folder / "toy")]


def reseal(case: Path, rng: Random) -> None:
    """Make hashes fit what is there, as somebody who damages a dataset on purpose would."""
    from napari_confseg.dataset.manifest import Manifest, content_digest

    path = case / "manifest.json"
    usable = path.is_file() and not path.is_symlink() and path.stat().st_size < 2**24
    if rng.random() < 0.25 or not usable:
        return
    try:
        tree = json.loads(path.read_bytes())
        for clip in tree["clips"]:
            for name in clip["files"]:
                file = case / name
                if file.is_file() and not file.is_symlink() and file.stat().st_size < 2**24:
                    clip["files"][name] = hashlib.sha256(file.read_bytes()).hexdigest()
        m = Manifest.model_validate_json(json.dumps(tree))
        tree["content_sha256"] = content_digest(m.clips, m.request, m.split, m.folds)
        path.write_text(json.dumps(tree))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return


def _read_dataset(case: Path, rng: Random, place: Path) -> str:
    from napari_confseg.dataset.as_cohort import FrozenCohort
    from napari_confseg.dataset.diff import compare
    from napari_confseg.dataset.frozen import Dataset, versions
    from napari_confseg.formats.export import ExportRequest, export

    versions(case.parent)
    try:
        dataset = Dataset.open(case)
        problems = dataset.verify()
        compare(Dataset(place / "seeds" / "toy" / "v1"), dataset)
        for clip in dataset.clips():
            dataset.frames(clip)
            for rater in dataset.manifest.raters:
                dataset.planes(clip, rater)
                dataset.status(clip, rater)
                dataset.marked(clip, rater)
        source = FrozenCohort(dataset)
        for name in source.clips():
            frozen = source.clip(name)
            list(frozen.read_frames(frozen.numbers))
            for rater in frozen.raters():
                frozen.rater(rater).read_status()
                frozen.rater(rater).read_planes(0)
        if rng.random() < 0.2:
            name = rng.choice(_OUR_EXPORTS)
            export(dataset, ExportRequest(format=name), case.parent / "out")
    except StoreError as error:
        return str(error)
    return str(problems[0]) if problems else ""


KINDS = {
    "stores": Kind(_make_stores, _read_store),
    "writing": Kind(lambda folder: _make_stores(folder)[:1], _write_store, slack=5),
    "labels": Kind(_make_labels, _read_labels),
    "media": Kind(_make_media, MEDIA, memory=6 * GIB, slack=5, close=MEDIA.close),
    "tables": Kind(_make_tables, _read_table),
    "runs": Kind(_make_runs, _read_run, memory=12 * GIB, slack=20),
    "datasets": Kind(_make_datasets, _read_dataset, prepare=reseal),
}
