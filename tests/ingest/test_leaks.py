"""No planted name, number or date survives import: not in the store, the journal or any export."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from napari_confseg.__main__ import main
from napari_confseg.annotate.session import Session
from napari_confseg.dataset.build import build
from napari_confseg.dataset.manifest import BuildRequest
from napari_confseg.formats import WRITTEN
from napari_confseg.formats.export import ExportRequest, export
from napari_confseg.ingest import IngestError, import_sources
from napari_confseg.ingest.dicom import read_dicom
from napari_confseg.store import Cohort
from tests.annotate.edits import mark_clips, review_all
from tests.ingest.dicoms import save, with_pixels, wrap
from tests.ingest.films import moving
from tests.ingest.test_dicom import GREY, SECRETS, planted

if TYPE_CHECKING:
    from pathlib import Path

WORDS = {w for s in SECRETS.values() for w in s.replace("^", " ").split() if len(w) > 5}
# No mere four digits: random UIDs and hashes hold any of those by chance.
WORDS |= {"MUSTER", "Erika", "KIS-4711", "SOZ-998877", "19640812", "20210304", "1.2.3.4711"}


TOLD = "MUSTER Erika KIS-4711 19640812"


def videos(folder: Path) -> list[Path]:
    """Write videos and images that tell who the patient is, wherever their format has room."""
    made = []
    for name, rate in (("Erika 19640812.mp4", 20), ("MUSTER.mkv", 25), ("KIS-4711.wmv", 30)):
        path = folder / name
        codec = "wmv2" if path.suffix == ".wmv" else "mpeg4"
        options = {"movflags": "use_metadata_tags"} if path.suffix == ".mp4" else {}
        with av.open(str(path), "w", options=options) as out:
            out.metadata.update(dict.fromkeys(("title", "artist", "comment", "copyright"), TOLD))
            stream = out.add_stream(codec, rate=rate)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.metadata.update(title=TOLD, handler_name=TOLD)
            for pixels in moving(3):
                frame = av.VideoFrame.from_ndarray(pixels, "gray").reformat(format="yuv420p")
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        made.append(path)
    images = [Image.fromarray(f) for f in moving(4)]
    made.append(folder / "Erika.gif")
    images[0].save(
        made[-1], save_all=True, append_images=images[1:], duration=40, comment=TOLD.encode()
    )
    stills = folder / "Erika Stills"
    stills.mkdir()
    text, exif = PngInfo(), Image.Exif()
    text.add_text("Patient", TOLD)
    text.add_itxt("Description", TOLD, zip=False)
    exif[0x010E] = exif[0x9286] = TOLD
    images[1].save(stills / "MUSTER 1.png", pnginfo=text, exif=exif)
    images[2].save(stills / "MUSTER 2.jpg", comment=TOLD.encode(), exif=exif)
    images[3].save(stills / "MUSTER 3.tif", tiffinfo={270: TOLD, 315: TOLD})
    return [*made, *stills.iterdir()]


def video_within(path: Path, video: Path) -> None:
    """Write DICOM whose header and whose video both tell who the patient is."""
    ds = planted(path.parent)
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102.1"
    samples = np.zeros((3, 48, 64, 3), np.uint8)
    save(with_pixels(ds, samples, "YBR_PARTIAL_420", wrap([video.read_bytes()])), path)


@pytest.fixture
def places(tmp_path: Path, state_dir: Path) -> list[Path]:
    """Everything that is written between a hospital's files and every format of export."""
    source = tmp_path / "MUSTER ERIKA"
    source.mkdir()
    for i in range(3):
        number = f"KIS-4711-0{i}"
        save(planted(tmp_path, patient=number, frames=GREY + i), source / f"Erika_4711_{i}.dcm")
    told = videos(source)
    for path in told:
        content = path.read_bytes()
        assert b"MUSTER" in content or "MUSTER".encode("utf-16-le") in content, path
    video_within(source / "Erika_video.dcm", told[0])
    (source / "MUSTER kaputt.mp4").write_bytes(told[0].read_bytes()[:-900])
    (source / "Erika Brief.txt").write_text(TOLD)
    cohort = Cohort.create(tmp_path / "study.zarr", name="study")
    report = import_sources([source], cohort)
    assert len(report.imported) == 9, report.refused
    assert len(report.refused) == 1
    mark_clips(cohort, report.imported, (2, 2, 8, 8))
    classes = tuple(c.name for c in cohort.meta.classes)
    parts = {"train": 0.4, "val": 0.3, "test": 0.3}
    dataset = build(
        cohort, BuildRequest(name="toy", classes=classes, folds=2, parts=parts), tmp_path / "toy"
    )
    for name in WRITTEN:
        export(dataset, ExportRequest(format=name), tmp_path / "out" / name)
    second = Session(rater="bob")
    second.open_cohort(cohort)
    second.open_clip(report.imported[0])
    review_all(second)
    second.flush()
    second.close_cohort()
    (tmp_path / "report").mkdir()
    page, table = (str(tmp_path / "report" / name) for name in ("agreement.html", "scores.csv"))
    assert main(["agree", cohort.location, "--report", page, "--per-clip", table]) == 0
    assert main(["sectors", cohort.location, "--out", str(tmp_path / "out" / "sheet.png")]) == 0
    assert main(["import", str(source / "Erika.gif"), "--cohort", cohort.location]) == 1
    found = ("study.zarr", "toy", "out", "report")
    return [*(tmp_path / name for name in found), state_dir]


def test_no_planted_word_is_left_anywhere(places: list[Path]) -> None:
    files = [p for place in places for p in place.rglob("*") if p.is_file()]
    assert len({p.parent for p in files}) > 20
    for path in files:
        name, content = str(path.relative_to(places[0].parent)).lower(), path.read_bytes().lower()
        for word in WORDS:
            assert word.lower() not in name, (word, path)
            assert word.lower().encode() not in content, (word, path)
            assert word.lower().encode("utf-16-le") not in content, (word, path)


def test_nothing_of_a_header_is_printed_or_quoted(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    """Libraries quote what they stumble over, in warnings, logs and errors."""
    ds = planted(tmp_path)
    ds.add_new("FrameTime", "UI", "MUSTER Erika")
    ds.add_new("NumberOfFrames", "UI", "KIS-4711 MUSTER")
    path = save(ds, tmp_path / "x.dcm")
    recwarn.clear()
    caplog.clear()
    capfd.readouterr()
    with pytest.raises(IngestError) as refused:
        list(read_dicom(str(path)))
    told = [*capfd.readouterr(), caplog.text, str(refused.value)]
    told += [str(w.message) for w in recwarn]
    assert "MUSTER" not in "".join(told)
