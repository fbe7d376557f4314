"""Input that is made to harm: looked at before it is read, refused in a sentence."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import stat
import sys
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_confseg.__main__ import main
from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.train.run_monitor import RunMonitor
from napari_confseg.annotate.train.runs import Phase
from napari_confseg.cli.terminal import console, print_table
from napari_confseg.dataset.build import pack_once
from napari_confseg.dataset.frozen import Dataset
from napari_confseg.formats.labels import LabelImportRequest, detect, import_labels
from napari_confseg.ingest.pseudonyms import Pseudonyms
from napari_confseg.job import EVENTS, RESULT, FitRequest, JobError, RunFolder
from napari_confseg.report.html import _environment
from napari_confseg.store import Cohort, Problem, StoreError
from napari_confseg.store.attributes import parse_attributes
from napari_confseg.store.errors import MOST_PROBLEMS
from napari_confseg.store.files import MIB, check_zip, read_csv, read_file, read_json
from napari_confseg.store.schema import CohortMeta, RaterMeta
from tests.fuzz.kinds import _dataset, _label_cohort
from tests.small_disk import disk_of, needs_mount
from trainer.__main__ import main as train
from trainer.checkpoint import STATE, load_state
from trainer.clinical.table import read_table
from trainer.errors import TrainError

if TYPE_CHECKING:
    from collections.abc import Callable

SEEDS = Path(__file__).parent / "fuzz" / "seeds"
ESCAPE = "\x1b]0;owned\x07\x1b[31m\x9b"
LINUX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes among its files")
GIB = 2**30


def codes(refused: pytest.ExceptionInfo[StoreError]) -> set[str]:
    return {p.code for p in refused.value.problems}


# ---- kind and size of a file come before its content ------------------------------------------


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 3 * GIB)


READERS: dict[str, Callable[[Path], object]] = {
    "file": lambda path: read_file(path, MIB),
    "json": lambda path: read_json(path, MIB),
    "csv": lambda path: read_csv(path, MIB),
    "key": lambda path: Pseudonyms("0" * 32, path),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("make", "code"),
    [
        pytest.param(sparse, "file-size", id="3 GB"),
        pytest.param(os.mkdir, "file-kind", id="folder"),
        pytest.param(getattr(os, "mkfifo", None), "file-kind", id="pipe", marks=LINUX),
        pytest.param(lambda p: p.symlink_to("/dev/zero"), "file-kind", id="device", marks=LINUX),
    ],
)
def test_no_byte_is_read_of_what_is_no_file_or_too_large(
    tmp_path: Path, reader: str, make: Callable[[Path], object], code: str
) -> None:
    make(tmp_path / "x")
    with pytest.raises(StoreError) as refused:
        READERS[reader](tmp_path / "x")
    assert codes(refused) == {code}


def test_what_a_zip_says_of_its_members_comes_before_unpacking_them(tmp_path: Path) -> None:
    path = tmp_path / STATE
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(64 * MIB))
    assert path.stat().st_size < MIB
    with pytest.raises(StoreError) as refused:
        check_zip(path, MIB)
    assert codes(refused) == {"zip-size"}
    with pytest.raises(TrainError, match="bytes once unpacked"):
        load_state(tmp_path, "cpu")


def test_of_very_many_problems_the_first_and_their_number_are_told() -> None:
    fields = CohortMeta(name="x").model_dump(mode="json")
    with pytest.raises(StoreError) as refused:
        parse_attributes(fields | {f"k{i}": i for i in range(30_000)}, "", CohortMeta)
    assert len(refused.value.problems) == MOST_PROBLEMS + 1
    assert "29,900 more" in refused.value.problems[-1].message
    many = StoreError(Problem("x", f"p{i}", "Wrong") for i in range(5000))
    assert len(str(many).splitlines()) == MOST_PROBLEMS + 1


# ---- what is shown -----------------------------------------------------------------------------


def test_no_control_character_reaches_a_terminal_or_a_page(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(f"t{ESCAPE}", [f"h{ESCAPE}"], [[f"c{ESCAPE}"]])
    console().print(f"line{ESCAPE}")
    shown = capsys.readouterr().out + str(Problem("x", f"p{ESCAPE}", f"m{ESCAPE}", hint=ESCAPE))
    page = _environment().from_string("<p>{{ text }}</p>").render(text=f"{ESCAPE}<b>")
    for text in (shown, page):
        assert not {"\x1b", "\x07", "\x9b"} & set(text)
        assert "\\x1b]0;owned\\x07" in text


def test_no_password_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, state_dir: Path
) -> None:
    problem = Problem("x", "http://ann:pa@ss@minio:9000/", "No answer from https://ann:pass@h/")
    assert "pass" not in f"{problem} {problem.as_dict()}"
    assert "ss@" not in problem.path
    # Nobody listens there; what the library says of it is told without the password.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://ann:sesame@127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert main(["validate", "s3://ward/study.zarr"]) == 1
    assert main(["blinding", "s3://ward/study.zarr"]) == 1
    told = "".join(capsys.readouterr())
    assert "Traceback" not in told
    assert told.strip()
    assert "sesame" not in told
    assert not any(b"sesame" in p.read_bytes() for p in state_dir.rglob("*") if p.is_file())


# ---- private from the first byte ---------------------------------------------------------------


@LINUX
def test_keys_and_preferences_are_for_their_owner_alone(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    opened = os.open

    def spy(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        fd = opened(path, flags, mode, **more)
        if flags & os.O_CREAT:
            modes.append(stat.S_IMODE(os.fstat(fd).st_mode))
        return fd

    before = os.umask(0)
    try:
        monkeypatch.setattr(os, "open", spy)
        Pseudonyms("0" * 32).code("folder", "/x")
        Preferences(reader="Ada").save()
    finally:
        os.umask(before)
    assert len(modes) == 2
    for path in (state_dir, *state_dir.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert set(modes) == {0o600}


@pytest.mark.parametrize(
    "text", ["", "00", "ab" * 15, "0" * 64, "12" * 32, "no hex" * 20, "é" * 64]
)
def test_a_key_that_can_be_guessed_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ward.key"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StoreError) as refused:
        Pseudonyms("0" * 32, path)
    assert codes(refused) == {"patient-key"}
    assert path.read_text(encoding="utf-8") == text


# ---- every door answers in a sentence ----------------------------------------------------------


@pytest.mark.parametrize(
    "when", ["2024-05-01T12:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"]
)
def test_times_have_a_zone_and_a_century(when: str) -> None:
    fields = {"kind": "human", "label": "Ada", "created": when}
    with pytest.raises(StoreError) as refused:
        parse_attributes(fields, "c/raters/ada", RaterMeta)
    assert codes(refused) == {"attributes"}


@pytest.mark.parametrize(
    ("where", "value", "code"),
    [
        (("chunk_grid", "configuration"), [1, 2], "chunk-grid"),
        (("codecs", 0, "configuration"), "x", "chunk-grid"),
        (("codecs", 0, "configuration", "codecs", 1), {"name": ["zstd"]}, "codec"),
        (("codecs", 0, "configuration", "codecs", 1, "configuration"), 7, "checksum-off"),
        (("chunk_key_encoding", "configuration"), "x", None),
    ],
)
def test_odd_metadata_of_an_array_are_named(
    cohort: Cohort, where: tuple[str | int, ...], value: object, code: str | None
) -> None:
    path = Path(cohort.location) / "clip-1" / "0" / "zarr.json"
    tree = json.loads(path.read_bytes())
    node = tree
    for key in where[:-1]:
        node = node[key]
    node[where[-1]] = value
    path.write_text(json.dumps(tree))
    if code is None:
        cohort.clip("clip-1")
        return
    with pytest.raises(StoreError) as refused:
        cohort.clip("clip-1")
    assert code in codes(refused)


def test_a_folder_with_an_illegal_name_is_no_rater(cohort: Cohort) -> None:
    clip = cohort.clip("clip-1")
    clip.create_rater("ann", kind="human")
    raters = Path(cohort.location) / "clip-1" / "raters"
    for name in ("con", "A b"):
        shutil.copytree(raters / "ann", raters / name)
    assert clip.raters() == ["ann"]
    with pytest.raises(StoreError) as refused:
        clip.rater("con")
    assert codes(refused) == {"name"}


def told(cohort: Cohort, source: Path) -> set[str]:
    report = import_labels(cohort, source, LabelImportRequest(rater="peer"), dry_run=True)
    assert report.clips == []
    return {p.code for p in report.problems}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return _label_cohort(tmp_path_factory.mktemp("study"))


@pytest.mark.parametrize("name", ["nan.json", "rle_neg.json", "oddpoly.json", "rle_as_poly.json"])
def test_segmentations_that_would_lead_a_library_astray_are_refused(
    study: Cohort, name: str
) -> None:
    assert told(study, SEEDS / name) == {"segmentation"}


def nrrd(path: Path, *lines: str, data: bytes) -> Path:
    head = ["NRRD0004", "dimension: 4", "type: uchar", "encoding: gzip", *lines]
    path.write_bytes("\n".join(head).encode() + b"\n\n" + data)
    return path


def test_volumes_are_measured_before_they_are_unpacked(study: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c0_confidence.nrrd"
    bomb = gzip.compress(bytes(100 * MIB), 1)
    assert told(study, nrrd(path, "sizes: 3 64 48 3", data=bomb)) == {"unpacked-size"}
    assert told(study, nrrd(path, "sizes: 99999 64 48 3", data=bomb)) == {"image-size"}
    elsewhere = nrrd(path, "sizes: 3 64 48 3", "data file: /etc/passwd", data=b"")
    assert told(study, elsewhere) == {"header"}
    path.write_bytes(b"NRRD0004\n" + b"x" * 2 * MIB)
    assert told(study, path) == {"header"}


def test_a_file_ending_leads_nowhere_else(study: Cohort, tmp_path: Path) -> None:
    (tmp_path / "labelsTr").mkdir()
    about = {"labels": {"pleura": 1}, "file_ending": "/../../secret.png"}
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    assert told(study, tmp_path) == {"file-ending"}
    assert detect(tmp_path) == "nnunet"


def test_a_dataset_names_no_file_outside_of_it(study: Cohort, tmp_path: Path) -> None:
    folder = _dataset(study, tmp_path / "toy")
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["clips"][0]["files"]["../../../etc/passwd"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="leads out of the dataset"):
        Dataset(folder)
    (folder / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(StoreError) as refused:
        Dataset(folder)
    assert codes(refused) == {"manifest"}


def test_a_damaged_record_of_a_build_is_made_again(study: Cohort, tmp_path: Path) -> None:
    request = Dataset(_dataset(study, tmp_path / "toy")).manifest.request
    record = pack_once(study, request, "c0", tmp_path / "place")
    (tmp_path / "place" / "records" / "c0.json").write_text('{"clip": "c0"')
    assert pack_once(study, request, "c0", tmp_path / "place") == record


def test_a_cell_longer_than_any_is_told(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("patient,day\n" + "x" * 200_000 + ",1\n")
    with pytest.raises(TrainError, match="no CSV table: field larger than"):
        read_table(tmp_path / "t.csv", cohort)


FIT = FitRequest(cohort="/c.zarr", rater="m1", classes=("b-line",))


def test_a_damaged_result_is_told_by_command_and_panel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder.create(tmp_path / "m1", FIT)
    (run.path / RESULT).write_text('{"steps": "many"')
    with pytest.raises(JobError, match="is damaged"):
        run.result()
    assert train(["run", str(run.path)]) == 1
    assert "result.json is damaged" in "".join(capsys.readouterr())
    monitor = RunMonitor(run)
    os.utime(run.path / "job.json", (0, 0))
    monitor = RunMonitor(run)
    assert monitor.state.phase is Phase.FAILED
    assert "result.json is damaged" in monitor.state.error


@LINUX
def test_a_run_folder_does_not_write_where_a_link_leads(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    run = RunFolder.create(tmp_path / "m1", FIT)
    (run.path / EVENTS).symlink_to(mine)
    assert train(["run", str(run.path)]) == 1
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x05\x06" + bytes(18)])
def test_a_damaged_state_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STATE).write_bytes(content)
    with pytest.raises(TrainError, match="Remove it to begin this fit anew"):
        load_state(tmp_path, "cpu")


@needs_mount
def test_a_fit_on_a_full_disk_ends_in_a_sentence(
    cohort: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.trainer.conftest import add_toy_clip

    for i in range(2, 4):
        add_toy_clip(cohort, f"toy-{i}", f"q{i}")
    with disk_of(tmp_path / "small", 40) as disk:
        options = ["--steps", "3", "--size", "study", "--device", "cpu", "--classes", "b-line"]
        code = train(["fit", cohort.location, "--out", str(disk / "m1"), *options])
    said = "".join(capsys.readouterr())
    assert code == 1
    assert "The disk refused: no space left on device" in said
    assert "Traceback" not in said


def test_what_nobody_has_foreseen_is_told_and_kept_for_the_developer(
    cohort: Cohort,
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from napari_confseg.cli import status

    def fails(_: object) -> int:
        raise AssertionError("of all things")

    monkeypatch.setattr(status, "run", fails)
    assert main(["status", cohort.location]) == 1
    said = capsys.readouterr().err
    assert "AssertionError: of all things" in said
    assert "Traceback" not in said
    log = state_dir / "unexpected.log"
    assert "Traceback" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600 or sys.platform == "win32"


def test_compressed_runs_are_read_as_pycocotools_reads_them() -> None:
    from pycocotools import mask as rle

    from napari_confseg.formats.coco_segmentation import from_counts, unpacked

    rng = np.random.default_rng(0)
    for share in (0, 0.01, 0.5, 0.99, 1):
        mask = rng.random((37, 53)) < share
        coded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
        found = from_counts(unpacked(coded["counts"].decode()), mask.shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # its own, of numpy 2
            expected = rle.decode(coded) == 1
        np.testing.assert_array_equal(found, expected)
