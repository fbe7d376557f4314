"""A DICOMDIR as a work list: numbered, not named; what is ticked is imported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.fileset import FileSet

from napari_confseg.__main__ import main
from napari_confseg.ingest import IngestError, import_sources
from napari_confseg.ingest.sources import (
    files_of,
    indexes_under,
    list_series,
    the_index,
    unlisted,
)
from napari_confseg.store import Cohort
from napari_confseg.store.validate import validate
from tests.ingest.dicoms import dataset, save, with_pixels
from tests.ingest.films import SHIPPED, film, moving

STUDIES = [
    ("MUSTER^ERIKA", "1.2.3", "20210304"),
    ("MUSTER^ERIKA", "1.2.4", "20210316"),
    ("BEISPIEL^MAX", "1.2.5", "20200101"),
]


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    """Two patients, three studies, four series, of which one is a radiograph; five clips."""
    files = FileSet()
    for n, (name, study, date) in enumerate(STUDIES):
        for series in range(2 if n == 0 else 1):
            for clip in range(2 if (n, series) == (0, 0) else 1):
                ds = dataset(
                    PatientName=name,
                    StudyInstanceUID=study,
                    StudyDate=date,
                    StudyTime="1200",
                    StudyID="7",
                    SeriesNumber=series,
                    SeriesInstanceUID=f"{study}.{series}",
                    InstanceNumber=clip,
                    Modality="DX" if (n, series) == (0, 1) else "US",
                    PatientID=name[:3],
                    FrameTime="40",
                    AccessionNumber="",
                )
                frames = np.stack(moving(3)) + np.uint8(10 * n + 4 * series + clip)
                ds.SOPInstanceUID = f"{study}.{series}.{clip}"
                ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
                files.add(with_pixels(ds, frames, "MONOCHROME2"))
    files.write(tmp_path / "disc")
    files._stage["t"].cleanup()  # pydicom leaves its temporary folder to chance
    return tmp_path / "disc"


def test_it_is_listed_by_number_and_day(disc: Path) -> None:
    index = the_index(disc)
    assert index == the_index(disc / "DICOMDIR") == disc / "DICOMDIR"
    listed = list_series(index)
    assert [(s.number, s.patient, s.study, s.day, s.modality) for s in listed] == [
        (1, 1, 1, 0, "US"),
        (2, 1, 1, 0, "DX"),
        (3, 1, 2, 12, "US"),
        (4, 2, 1, 0, "US"),
    ]
    assert [[n for _, n in s.clips] for s in listed] == [[3, 3], [3], [3], [3]]
    assert "MUSTER" not in repr(listed)
    assert "2021" not in repr(listed).replace(str(disc), "")


def test_what_is_picked_is_imported(disc: Path, empty: Cohort) -> None:
    report = import_sources(files_of([str(disc)], [1, 4]), empty)
    assert report.refused == []
    assert len(report.imported) == 3
    assert len(set(report.patients.values())) == 2
    with pytest.raises(IngestError, match="no series 5: DICOMDIR lists 1 to 4"):
        files_of([str(disc)], [5])
    with pytest.raises(IngestError, match="no DICOMDIR, neither in it nor below"):
        files_of([str(SHIPPED[0])], [1])
    with pytest.raises(IngestError, match="name just it"):
        files_of([str(disc), str(SHIPPED[0])], [1])


def test_files_gone_or_elsewhere_are_left_out(disc: Path, tmp_path: Path) -> None:
    (first, _), *_ = list_series(disc / "DICOMDIR")[0].clips
    first.rename(tmp_path / "elsewhere.dcm")
    first.symlink_to(tmp_path / "elsewhere.dcm")
    (second, _) = list_series(disc / "DICOMDIR")[2].clips[0]
    second.unlink()
    assert [len(s.clips) for s in list_series(disc / "DICOMDIR")] == [1, 1, 1]
    (disc / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 50)
    with pytest.raises(IngestError, match="damaged or no DICOMDIR"):
        list_series(disc / "DICOMDIR")


def test_what_lies_beside_it_is_found(disc: Path) -> None:
    film(disc / "extra.avi", moving(5))
    (disc / "viewer.png").write_bytes(b"an icon")
    (disc / "AUTORUN.INF").write_text("[autorun]")
    index = disc / "DICOMDIR"
    assert unlisted(disc, [index], list_series(index)) == [disc / "extra.avi"]
    # Above the disc a folder of images is a clip like any other.
    stills = disc.parent / "stills"
    stills.mkdir()
    (stills / "1.png").write_bytes(b"a picture")
    assert unlisted(disc.parent, [index], list_series(index)) == [disc / "extra.avi", stills]


def test_pydicoms_own_discs_are_found_from_above() -> None:
    """Two of them, one within the other's folder; as pydicom's own reader lists them."""
    above = Path(get_testdata_file("test-SR.dcm")).parent
    indexes = indexes_under(above)
    assert [i.relative_to(above).parts[-2:] for i in indexes] == [
        ("dicomdirtests", "DICOMDIR"),
        ("TINY_ALPHA", "DICOMDIR"),
    ]
    for index in indexes:
        listed = {path for one in list_series(index) for path, _ in one.clips}
        files = FileSet(index)
        assert listed == {Path(instance.path) for instance in files}
        files._stage["t"].cleanup()
    with pytest.raises(IngestError, match=r"more than one DICOMDIR, in .*TINY_ALPHA: name one"):
        the_index(above)
    with pytest.raises(IngestError, match="no DICOMDIR, neither in it nor below"):
        the_index(above / "dicomdirtests" / "98892001")
    one = files_of([str(indexes[1].parent.parent / "TINY_ALPHA")], [1])
    assert len(one) == 50


@pytest.mark.parametrize("kind", ["bigEnd", "implicit", "reordered", "nooffset", "nopatient"])
def test_pydicoms_odd_ones_are_listed_or_refused_in_words(kind: str) -> None:
    here = Path(get_testdata_file("DICOMDIR")).parent
    odd = here / f"DICOMDIR-{kind}"
    if kind == "nooffset":
        with pytest.raises(IngestError, match="DICOMDIR-nooffset is damaged or no DICOMDIR"):
            list_series(odd)
    elif kind == "nopatient":
        assert [(s.patient, s.modality) for s in list_series(odd)] == [(1, "?")]
    else:
        assert list_series(odd) == list_series(here / "DICOMDIR")


def test_the_command_line(disc: Path, tmp_path: Path, state_dir: Path, capsys) -> None:
    assert main(["series", str(disc)]) == 0
    said = capsys.readouterr().out
    assert "DX" in said
    assert "MUSTER" not in said
    assert main(["series", str(disc.parent), "--json"]) == 0  # from above: it is the only one
    assert len(json.loads(capsys.readouterr().out)["series"]) == 4
    at = str(tmp_path / "c.zarr")
    assert main(["import", str(disc), "--series", "3", "4", "--cohort", at, "--create"]) == 0
    assert len(Cohort.open(at).clips()) == 2
    assert main(["import", str(disc), "--series", "9", "--cohort", at]) == 1
    assert "no series 9" in capsys.readouterr().err
    sheet = tmp_path / "sheet.png"
    assert main(["sectors", at, "--out", str(sheet)]) == 0
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_sixty_mixed_files_with_junk(tmp_path: Path, empty: Cohort) -> None:
    """DICOM, videos and junk in folders with names of every kind: what is a clip becomes one."""
    kinds = ("Ärztin", "患者", "пациент", "a b'c")
    for i in range(60):
        folder = tmp_path / "mixed" / kinds[i % 4]
        folder.mkdir(parents=True, exist_ok=True)
        name = folder / f"Schleife №{i}"
        frames = [f + np.uint8(i) for f in moving(3)]
        if i % 3 == 0:
            who = kinds[i % 4]
            ds = dataset(SpecificCharacterSet="ISO_IR 192", PatientID=who, FrameTime="40")
            save(with_pixels(ds, np.stack(frames), "MONOCHROME2"), name)  # without an ending
        elif i % 3 == 1:
            film(name.with_suffix(".avi"), frames)
        else:
            junk = name.with_suffix((".txt", ".exe", ".xml", ".pdf")[i // 3 % 4])
            junk.write_bytes(b"\0junk" * 9)
    (tmp_path / "mixed" / kinds[0] / "broken.mp4").write_bytes(b"no film")
    report = import_sources([tmp_path / "mixed"], empty)
    assert len(report.imported) == 40
    assert [name.rsplit("/", 1)[-1] for name, _ in report.refused] == ["broken.mp4"]
    assert validate(empty.location) == []
