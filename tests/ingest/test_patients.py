"""Whose a file is: every way to tell it, the count before an import, and nothing of it kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydantic import ValidationError

from napari_confseg.ingest import ImportOptions, import_sources
from napari_confseg.ingest.patients import CensusTaker
from napari_confseg.store import Cohort, StoreError
from tests.ingest.dicoms import dataset, save, with_pixels
from tests.ingest.films import film, moving

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = ("LUS0301", "LUS0301", "LUS0302", "KIS-77")
PATTERN = r"(?P<patient>LUS\d+|KIS-\d+)_"


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Four videos of three patients in one folder; two more of one of them as DICOM."""
    folder = tmp_path / "Muster"
    folder.mkdir()
    for i, number in enumerate(NUMBERS):
        film(folder / f"{number}_{i}.mp4", moving(3 + i))
    for i in range(2):
        frames = np.stack(moving(3)) + np.uint8(i + 1)
        ds = dataset(PatientID="LUS0302", PatientName="MUSTER^ERIKA", FrameTime="40")
        save(with_pixels(ds, frames, "MONOCHROME2"), folder / f"scan-{i}.dcm")
    return folder


def groups(report, cohort):
    """Return the sizes of the patients of what was imported, in the order of the files."""
    patients = [cohort.clip(name).meta.patient for name in report.imported]
    return [patients.index(p) for p in patients]


def test_a_pattern_tells_patients_as_dicom_does(scans: Path, empty: Cohort, state_dir: Path):
    options = ImportOptions(patient_pattern=PATTERN)
    census = CensusTaker().count([scans], options)
    assert census.words() == "6 files of 3 patients, told by the pattern and by DICOM."
    assert census.warning() == ""
    assert not any((state_dir / "keys").glob("*"))  # counting makes no key
    report = import_sources([scans], empty, options)
    assert report.refused == []
    # KIS-77, LUS0301 twice, LUS0302; the header's number is the one in the name: one patient.
    assert groups(report, empty) == [0, 1, 1, 3, 3, 3]
    assert len(set(report.patients.values())) == len(census.patients)
    kept = [*(empty_files(empty)), *(p for p in state_dir.rglob("*") if p.is_file())]
    assert len(kept) > 10
    for path in kept:
        for word in (b"LUS03", b"KIS-77", b"Muster", b"MUSTER"):
            assert word not in path.read_bytes(), path


def empty_files(cohort: Cohort) -> list[Path]:
    from pathlib import Path

    return [p for p in Path(cohort.location).rglob("*") if p.is_file()]


def test_what_the_pattern_misses_is_refused_before_it_joins_a_patient(scans: Path, empty: Cohort):
    (scans / "KIS-77_3.mp4").rename(scans / "other.mp4")
    options = ImportOptions(patient_pattern=r"(LUS\d+)_")
    reason = "it cannot be told whose it is: its name does not match the pattern of patients"
    census = CensusTaker().count([scans], options)
    assert census.refused == ((str(scans / "other.mp4"), reason),)
    assert "1 file would be refused: other.mp4: it cannot be told" in census.words()
    report = import_sources([scans], empty, options)
    assert tuple(report.refused) == census.refused
    assert len(report.imported) == census.files == 5


def test_a_table_tells_patients(scans: Path, empty: Cohort, tmp_path: Path):
    table = tmp_path / "whose.csv"
    table.write_text(
        "\ufeffPatient,File,note\n"
        "a,LUS0301_0.mp4,\n"
        "b,Muster\\LUS0301_1.mp4,as Windows writes it\n"
        "a,somewhere/else/LUS0302_2.mp4,\n"
        f"b,{scans / 'LUS0302_2.mp4'},\n"
        ",,\n"
    )
    options = ImportOptions(patient_table=table)
    census = CensusTaker().count([scans], options)
    assert census.files == 5  # DICOM tells the two that the table has not
    assert "told by the table and by DICOM" in census.words()
    assert "1 row of the table name none" in census.words()
    assert [reason for _, reason in census.refused] == [
        "it cannot be told whose it is: it is not in the table of patients"
    ]
    report = import_sources([scans], empty, options)
    assert groups(report, empty) == [0, 1, 1, 3, 3]
    assert {len(p) for p in report.patients.values()} == {12}  # codes, not a and b


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file;patient\na.mp4;x\n", "expected columns file and patient, found file;patient"),
        ("file,patient\na.mp4,\n", "whose.csv:2: the patient is missing"),
        ("file,patient\n,x\n", "whose.csv:2: the file is missing"),
        ("file,patient\na.mp4,x\na.mp4,y\n", "whose.csv:3: the same file stands above with"),
    ],
)
def test_a_wrong_table_is_refused_before_anything(
    empty: Cohort, tmp_path: Path, text: str, sentence: str
):
    table = tmp_path / "whose.csv"
    table.write_text(text)
    with pytest.raises(StoreError) as caught:
        import_sources([tmp_path], empty, ImportOptions(patient_table=table))
    assert sentence in str(caught.value.problems[0])


def test_one_folder_of_many_patients_is_warned_of(scans: Path):
    """The fault: eight clips of eight people became one patient without a word."""
    taker = CensusTaker()
    for path in scans.glob("*.dcm"):
        path.unlink()
    by_folder = taker.count([scans], ImportOptions())
    assert by_folder.words() == "4 files of 1 patient, told by folder."
    assert by_folder.warning().startswith(
        "All 4 files come to one patient, since they lie in one folder: none of them can be held"
    )
    by_file = taker.count([scans], ImportOptions(patient_per="file"))
    assert by_file.words() == "4 files of 4 patients, told by file."
    assert by_file.warning() == ""
    (scans / "b").mkdir()
    (scans / "LUS0301_0.mp4").rename(scans / "b" / "LUS0301_0.mp4")
    two = taker.count([scans], ImportOptions())
    assert two.warning().startswith("3 files count as one patient with the others of their folder.")
    assert taker.count([scans / "b"], ImportOptions()).warning() == ""
    assert taker.count([scans], ImportOptions(), cancelled=lambda: True) is None


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [("LUS", "put what tells the patient into parentheses"), ("(", "no regular expression")],
)
def test_a_wrong_pattern_is_refused(pattern: str, sentence: str):
    with pytest.raises(ValidationError, match=sentence):
        ImportOptions(patient_pattern=pattern)
