"""DICOM ultrasound: right pixels whatever the storage, true sizes and times or none."""

from __future__ import annotations

import struct
import zlib

import av
import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.data import get_testdata_file

from napari_confseg.ingest import ImportOptions, import_sources
from napari_confseg.ingest.decoded import Head, IngestError, Source
from napari_confseg.ingest.pipeline import frame_times
from napari_confseg.ingest.worker import Decoder
from napari_confseg.store import Cohort
from napari_confseg.store.validate import validate
from tests.ingest.dicoms import (
    dataset,
    jpegs,
    lossless_jpeg,
    palette,
    region,
    save,
    with_pixels,
    without_markers,
    wrap,
)
from tests.ingest.films import SHIPPED, film, moving
from tests.ingest.screens import HEIGHT, NAME, SCREENS, WIDTH

WEIGHTS = np.array([77, 150, 29])
RNG = np.random.default_rng(0)
GREY = np.stack(moving(3))  # (3, 48, 64)
COLOR = RNG.integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)


def luma(rgb):
    return ((rgb.astype(int) @ WEIGHTS + 128) >> 8).astype(np.uint8)


def decode(decoder, path):
    head, *frames = decoder.read(Source("dicom", (str(path),)))
    assert isinstance(head, Head)
    return head, np.stack([f.pixels for f in frames]), [f.seconds for f in frames]


def check(decoder, tmp_path, ds, expected):
    _, pixels, _ = decode(decoder, save(ds, tmp_path / "us.dcm"))
    np.testing.assert_array_equal(pixels, expected)


RAW = [
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
]
LOSSLESS = [uid.RLELossless, uid.JPEG2000Lossless]


# -- photometric interpretations, stored as they are


@pytest.mark.parametrize("syntax", RAW, ids=lambda s: uid.UID(s).name)
def test_grey_and_rgb_raw(decoder, tmp_path, syntax):
    check(decoder, tmp_path, with_pixels(dataset(syntax), GREY, "MONOCHROME2"), GREY)
    check(decoder, tmp_path, with_pixels(dataset(syntax), COLOR, "RGB"), luma(COLOR))


def test_grey_the_other_way_round(decoder, tmp_path):
    check(decoder, tmp_path, with_pixels(dataset(), GREY, "MONOCHROME1"), 255 - GREY)


def test_rgb_by_planes(decoder, tmp_path):
    data = np.moveaxis(COLOR, -1, 1).tobytes()
    ds = with_pixels(dataset(), COLOR, "RGB", data, PlanarConfiguration=1)
    check(decoder, tmp_path, ds, luma(COLOR))


@pytest.mark.parametrize(("bits", "first"), [(8, 0), (16, 0), (16, 20)])
def test_palette(decoder, tmp_path, bits, first):
    colors = RNG.integers(0, 256, (200, 3), dtype=np.uint8)
    indices = RNG.integers(0, 256, (2, 30, 40), dtype=np.uint8)
    ds = palette(with_pixels(dataset(), indices, "PALETTE COLOR"), colors, bits=bits, first=first)
    shown = colors[np.clip(indices.astype(int) - first, 0, 199)]  # PS3.3 C.7.6.3.1.5
    check(decoder, tmp_path, ds, luma(shown))


def test_ybr_full_is_its_luma(decoder, tmp_path):
    check(decoder, tmp_path, with_pixels(dataset(), COLOR, "YBR_FULL"), COLOR[..., 0])


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_PARTIAL_422"])
def test_ybr_with_shared_chroma(decoder, tmp_path, photometric):
    """Two pixels are stored as Y Y Cb Cr."""
    y = COLOR[..., 0]
    pairs = np.stack([y[..., 0::2], y[..., 1::2], COLOR[:, :, ::2, 1], COLOR[:, :, ::2, 2]], -1)
    ds = with_pixels(dataset(), COLOR, photometric, pairs.tobytes())
    full = np.floor(((y - 16.0) * 255 / 219).clip(0, 255) + 0.5).astype(np.uint8)
    check(decoder, tmp_path, ds, y if photometric == "YBR_FULL_422" else full)


def test_deep_grey_loses_low_bits(decoder, tmp_path):
    deep = RNG.integers(0, 4096, (2, 20, 30), dtype=np.uint16)
    check(decoder, tmp_path, with_pixels(dataset(), deep, "MONOCHROME2", BitsStored=12), deep >> 4)


# -- compressed


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda s: uid.UID(s).name)
def test_lossless_compression_is_exact(decoder, tmp_path, syntax):
    for samples, photometric, expected in (
        (GREY, "MONOCHROME2", GREY),
        (COLOR, "RGB", luma(COLOR)),
        (COLOR, "YBR_FULL", COLOR[..., 0]),
    ):
        ds = with_pixels(dataset(), samples, photometric)
        ds.compress(syntax, generate_instance_uid=False)
        check(decoder, tmp_path, ds, expected)


def test_palette_under_rle(decoder, tmp_path):
    colors = RNG.integers(0, 256, (256, 3), dtype=np.uint8)
    ds = palette(with_pixels(dataset(), GREY, "PALETTE COLOR"), colors, bits=8)
    ds.compress(uid.RLELossless, generate_instance_uid=False)
    check(decoder, tmp_path, ds, luma(colors[GREY]))


@pytest.mark.parametrize("syntax", [uid.JPEGLossless, uid.JPEGLosslessSV1])
def test_lossless_jpeg_grey_is_exact(decoder, tmp_path, syntax):
    data = wrap([lossless_jpeg(f) for f in GREY])
    check(decoder, tmp_path, with_pixels(dataset(syntax), GREY, "MONOCHROME2", data), GREY)


def test_lossless_jpeg_rgb_equals_the_same_picture_under_rle(decoder):
    expected = luma(pydicom.dcmread(get_testdata_file("SC_rgb_rle.dcm")).pixel_array)
    _, pixels, _ = decode(decoder, get_testdata_file("SC_rgb_jpeg_gdcm.dcm"))
    np.testing.assert_array_equal(pixels[0], expected)


def by_ffmpeg(encoded):
    """Decode JPEGs to luma with another library."""
    frames = []
    for one in encoded:
        codec = av.CodecContext.create("mjpeg", "r")
        frame = [*codec.decode(av.Packet(one)), *codec.decode(None)][0]
        rows = np.frombuffer(frame.planes[0], np.uint8).reshape(-1, frame.planes[0].line_size)
        frames.append(rows[: frame.height, : frame.width])
    return np.stack(frames)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_colour_is_its_luma(decoder, tmp_path, subsampling):
    smooth = np.stack([np.stack([f, f // 2, 255 - f], -1) for f in GREY])
    encoded = jpegs(smooth, subsampling=subsampling)
    ds = with_pixels(dataset(uid.JPEGBaseline8Bit), smooth, "YBR_FULL_422", wrap(encoded))
    _, pixels, _ = decode(decoder, save(ds, tmp_path / "us.dcm"))
    difference = np.abs(pixels.astype(int) - by_ffmpeg(encoded))
    assert difference.max() <= 1  # inverse transforms may round differently
    assert difference.mean() < 0.01


def test_jpeg_grey(decoder, tmp_path):
    encoded = jpegs(GREY)
    ds = with_pixels(dataset(uid.JPEGBaseline8Bit), GREY, "MONOCHROME2", wrap(encoded))
    _, pixels, _ = decode(decoder, save(ds, tmp_path / "us.dcm"))
    assert np.abs(pixels.astype(int) - by_ffmpeg(encoded)).max() <= 1


@pytest.mark.parametrize("markers", [True, False])
def test_jpeg_that_says_rgb_is_believed_only_without_markers(decoder, tmp_path, markers):
    """A JFIF stream is YCbCr whatever the header says; a bare one is what the header says."""
    smooth = np.stack([np.stack([f, f // 2 + 60, 200 - f // 2], -1) for f in GREY])
    encoded = jpegs(smooth, subsampling=0)
    if not markers:
        encoded = [without_markers(e) for e in encoded]
    ds = with_pixels(dataset(uid.JPEGBaseline8Bit), smooth, "RGB", wrap(encoded))
    _, pixels, _ = decode(decoder, save(ds, tmp_path / "us.dcm"))
    y = by_ffmpeg(encoded).astype(int)  # FFmpeg: without markers, YCbCr: the first sample
    if markers:
        assert np.abs(pixels - y).max() <= 1
    else:
        assert np.abs(pixels - y).max() > 10


SAME_PICTURE = [
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_dcmtk_+eb+cy+n1.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_dcmtk_+eb+cy+np.dcm",
    "SC_rgb_dcmtk_+eb+cy+s2.dcm",
    "SC_rgb_gdcm_KY.dcm",
    "SC_rgb_jpeg_lossy_gdcm.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
]


@pytest.mark.parametrize("name", SAME_PICTURE)
def test_one_picture_by_many_writers_is_one_grey(decoder, name):
    expected = luma(pydicom.dcmread(get_testdata_file("SC_rgb_rle.dcm")).pixel_array)
    _, pixels, _ = decode(decoder, get_testdata_file(name))
    assert np.abs(pixels[0].astype(int) - expected).mean() < 0.5


def test_pydicoms_own_ultrasound(decoder):
    cine = pydicom.dcmread(get_testdata_file("examples_ybr_color.dcm"))
    encoded = list(pydicom.encaps.generate_frames(cine.PixelData, number_of_frames=30))
    head, pixels, seconds = decode(decoder, get_testdata_file("examples_ybr_color.dcm"))
    assert np.abs(pixels.astype(int) - by_ffmpeg(encoded)).max() <= 1
    assert head.n_frames == 30
    # Its calibration is of another picture: beyond its own rows and columns.
    assert head.spacing is None
    assert head.tags == ("spacing-region-outside-frame",)
    times, _ = frame_times(seconds, head.rate)
    np.testing.assert_allclose(np.diff(times), float(cine.FrameTime) / 1000)

    shown = pydicom.dcmread(get_testdata_file("examples_palette.dcm"))
    rgb = pydicom.pixels.apply_color_lut(shown.pixel_array, shown)
    _, pixels, _ = decode(decoder, get_testdata_file("examples_palette.dcm"))
    np.testing.assert_array_equal(pixels[0], luma(rgb >> 8))

    rgb = pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm")).pixel_array
    _, pixels, _ = decode(decoder, get_testdata_file("examples_rgb_color.dcm"))
    np.testing.assert_array_equal(pixels[0], luma(rgb))

    packed = pydicom.dcmread(get_testdata_file("examples_jpeg2k.dcm"))
    rgb = next(pydicom.pixels.iter_pixels(packed, decoding_plugin="pillow"))
    _, pixels, _ = decode(decoder, get_testdata_file("examples_jpeg2k.dcm"))
    np.testing.assert_array_equal(pixels[0], luma(rgb))


def test_video_within_dicom(decoder, tmp_path):
    path = film(tmp_path / "cine.mp4", moving(20))
    ds = with_pixels(
        dataset("1.2.840.10008.1.2.4.102"),
        np.zeros((20, 48, 64, 3), np.uint8),
        "YBR_PARTIAL_420",
        wrap([path.read_bytes()]),
    )
    head, pixels, _ = decode(decoder, save(ds, tmp_path / "us.dcm"))
    _, *plain = decoder.read(Source("video", (str(path),)))
    np.testing.assert_array_equal(pixels, [f.pixels for f in plain])
    assert head.decoder.startswith("DICOM, PyAV")


# -- size, time, probe


def head_of(decoder, tmp_path, **elements):
    ds = with_pixels(dataset(**elements), GREY, "MONOCHROME2")
    head, _, seconds = decode(decoder, save(ds, tmp_path / "us.dcm"))
    return head, frame_times(seconds, head.rate)


INSIDE = region(4, 2, 60, 46, mm=(0.3, 0.25))


@pytest.mark.parametrize(
    ("regions", "spacing", "tags"),
    [
        ([], None, ()),
        ([INSIDE], (0.3, 0.25), ()),
        ([INSIDE, region(0, 0, 20, 20, mm=(0.3, 0.25))], (0.3, 0.25), ()),
        ([INSIDE, region(0, 0, 20, 20, mm=(0.4, 0.25))], None, ("spacing-differs-by-region",)),
        ([region(4, 2, 65, 46, mm=(0.3, 0.25))], None, ("spacing-region-outside-frame",)),
        ([region(4, 2, 60, 46, mm=(0.3, 0.25), RegionSpatialFormat=3)], None, ()),
        ([region(4, 2, 60, 46, mm=(0.3, 0.25), PhysicalUnitsXDirection=4)], None, ()),
        ([region(4, 2, 60, 46, mm=(-0.3, 0.25))], (0.3, 0.25), ()),
        ([region(4, 2, 60, 46, mm=(0, 0.25))], None, ()),
    ],
)
def test_spacing(decoder, tmp_path, regions, spacing, tags):
    head, _ = head_of(decoder, tmp_path, SequenceOfUltrasoundRegions=regions)
    assert head.tags == tags
    assert head.spacing == (pytest.approx(spacing) if spacing else None)


@pytest.mark.parametrize(
    ("elements", "times", "tags"),
    [
        ({"FrameTime": 50}, (0, 0.05, 0.1), ()),
        ({"FrameTimeVector": [0, 40, 70]}, (0, 0.04, 0.11), ()),
        ({"FrameTimeVector": [0, 40], "CineRate": 20}, (0, 0.05, 0.1), ("frame-times-from-rate",)),
        (
            {"FrameTimeVector": [0, 40, 0], "CineRate": 20},
            (0, 0.05, 0.1),
            ("frame-times-from-rate",),
        ),
        ({"CineRate": 20}, (0, 0.05, 0.1), ("frame-times-from-rate",)),
        ({"RecommendedDisplayFrameRate": 10}, (0, 0.1, 0.2), ("frame-times-from-rate",)),
        ({"FrameTime": 0}, (0, 0.04, 0.08), ("frame-rate-assumed",)),
        ({}, (0, 0.04, 0.08), ("frame-rate-assumed",)),
    ],
)
def test_times(decoder, tmp_path, elements, times, tags):
    assert head_of(decoder, tmp_path, **elements)[1] == (times, tags)


def test_probe_and_burned_in_text_are_noted(decoder, tmp_path):
    head, _ = head_of(decoder, tmp_path, TransducerType="CURVED LINEAR", BurnedInAnnotation="YES")
    assert head.probe == "convex"
    assert head.tags == ("burned-in-annotation",)


# -- what is refused


def broken(name, tmp_path):
    ds = with_pixels(dataset(), GREY, "MONOCHROME2")
    whole = save(ds, tmp_path / "whole.dcm").read_bytes()
    ds = with_pixels(dataset(), GREY, "MONOCHROME2")
    if name == "garbage":
        return b"\0" * 128 + b"DICM" + b"garbage" * 90
    if name == "cut":
        return whole[:-4000]
    if name == "no pixels":
        del ds.PixelData
    elif name == "jpeg-ls":
        ds = with_pixels(dataset(uid.JPEGLSLossless), GREY, "MONOCHROME2", wrap([b"abcd"] * 3))
    elif name == "signed":
        ds.PixelRepresentation = 1
    elif name == "hsv":
        ds = with_pixels(dataset(), COLOR, "HSV")
    elif name == "huge":
        ds.Rows = ds.Columns = 60_000
    elif name == "many":
        ds.NumberOfFrames = 2_000_000
    elif name == "bad jpeg":
        data = wrap([jpegs(GREY)[0][:300]] * 3)
        ds = with_pixels(dataset(uid.JPEGBaseline8Bit), GREY, "MONOCHROME2", data)
    elif name == "inflates":
        ds = with_pixels(dataset(uid.DeflatedExplicitVRLittleEndian), GREY, "MONOCHROME2")
        plain = save(ds, tmp_path / "d.dcm").read_bytes()
        packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        meta = 132 + 12 + struct.unpack("<I", plain[140:144])[0]
        megabyte = packer.compress(b"\0" * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
        return plain[:meta] + megabyte * 1100  # after a full flush, a block stands by itself
    return save(ds, tmp_path / "x.dcm").read_bytes()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("garbage", "stored as nothing"),
        ("cut", "cut short"),
        ("no pixels", "holds no pixels"),
        ("jpeg-ls", "stored as JPEG-LS"),
        ("signed", "signed"),
        ("hsv", "HSV"),
        ("huge", "60000 x 60000"),
        ("many", "announces 2000000 frames"),
        ("bad jpeg", "damaged"),
        ("inflates", "inflates to more than 1024 MB"),
    ],
)
def test_what_cannot_be_used_gets_one_sentence(decoder, tmp_path, name, words):
    path = tmp_path / "broken.dcm"
    path.write_bytes(broken(name, tmp_path))
    with pytest.raises(IngestError, match=words) as caught:
        decode(decoder, path)
    assert "\n" not in str(caught.value)


def test_a_deeply_nested_file_ends_soon(tmp_path):
    item = b""
    for _ in range(3000):  # sequences of undefined length within one another
        item = (
            b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
            + item
            + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
        )
    whole = save(with_pixels(dataset(), GREY, "MONOCHROME2"), tmp_path / "w.dcm").read_bytes()
    meta = 132 + 12 + struct.unpack("<I", whole[140:144])[0]
    path = tmp_path / "nested.dcm"
    path.write_bytes(whole[:meta] + item + whole[meta:])
    with Decoder(patience=8) as decoder, pytest.raises(IngestError, match=r"nested|hung|damaged"):
        decode(decoder, path)


def test_mutated_files_give_frames_or_a_sentence(decoder, tmp_path):
    rng = np.random.default_rng(7)
    ds = with_pixels(dataset(FrameTime=40), GREY, "MONOCHROME2")
    packed = with_pixels(dataset(FrameTime=40), COLOR, "RGB")
    packed.compress(uid.RLELossless, generate_instance_uid=False)
    wholes = [save(d, tmp_path / "w.dcm").read_bytes() for d in (ds, packed)]
    path = tmp_path / "mutated.dcm"
    outcomes = set()
    for i in range(120):
        data = bytearray(wholes[i % 2])
        for _ in range(4):
            data[rng.integers(128, 128 + 900)] = rng.integers(256)
        path.write_bytes(data[: rng.integers(200, len(data))] if i % 3 == 0 else data)
        try:
            outcomes.add(len(decode(decoder, path)[1]))
        except IngestError as error:
            outcomes.add("refused")
            text = str(error)
            if not text or "\n" in text:
                raise
    assert {"refused", 3} <= outcomes


# -- whose it is stays here

SECRETS = {
    "PatientName": "MUSTER^ERIKA",
    "PatientID": "KIS-4711-08",
    "PatientBirthDate": "19640812",
    "OtherPatientIDs": "SOZ-998877",
    "PatientAddress": "Hauptstr. 5",
    "PatientComments": "Tante Hedwig",
    "InstitutionName": "Klinikum Nirgendwo",
    "InstitutionAddress": "Nirgendwo 7",
    "ReferringPhysicianName": "QUACK^ALBERT",
    "PerformingPhysicianName": "SCHALL^URSULA",
    "OperatorsName": "PIEPER^JO",
    "StationName": "US-RAUM-3",
    "AccessionNumber": "ACC31337",
    "StudyID": "STU-77",
    "StudyDate": "20210304",
    "SeriesDate": "20210305",
    "AcquisitionDateTime": "20210306112233",
    "StudyDescription": "Lunge Erika M",
    "SeriesDescription": "Hinten links Erika",
    "DeviceSerialNumber": "SN-0815",
    "StudyInstanceUID": "1.2.3.4711.1",
    "SeriesInstanceUID": "1.2.3.4711.2",
    "ImageComments": "Fr. Muster, 56 J.",
    "RequestedProcedureDescription": "Erika M Thorax",
}


def planted(tmp_path, patient="KIS-4711-08", frames=None):
    ds = dataset(FrameTime=40, SequenceOfUltrasoundRegions=[INSIDE], **SECRETS)
    ds.PatientID = patient
    block = ds.private_block(0x0029, "MUSTER PRIVATE", create=True)
    block.add_new(1, "LO", "Erika privat")
    nested = dataset()
    nested.PatientName = "NESTED^NAME"
    ds.ReferencedPatientSequence = [nested]
    ds.is_little_endian_checked = None
    frames = GREY if frames is None else frames
    return with_pixels(ds, frames, "MONOCHROME2")


def test_no_planted_name_or_number_reaches_the_store(empty, tmp_path):
    folder = tmp_path / "MUSTER ERIKA"
    folder.mkdir()
    for i in range(2):
        save(planted(tmp_path, frames=GREY + np.uint8(i)), folder / f"Erika{i}")
    report = import_sources([folder], empty)
    assert report.refused == []
    assert len(set(report.patients.values())) == 1
    stored = [p for p in (tmp_path / "study.zarr").rglob("*") if p.is_file()]
    words = [w for s in SECRETS.values() for w in s.replace("^", " ").split() if len(w) > 3]
    words += ["Erika", "privat", "NESTED", "4711", "1964", "2021"]
    for word in words:
        assert not any(word.lower() in str(p.relative_to(tmp_path)).lower() for p in stored), word
        for path in stored:
            if path.suffix == ".json":
                assert word.lower() not in path.read_text().lower(), (word, path)
    assert validate(empty.location) == []


def test_the_header_is_not_even_read(tmp_path):
    """By construction: only what is on the list is taken from the file."""
    from napari_confseg.ingest.dicom import ALLOWED

    path = save(planted(tmp_path), tmp_path / "us.dcm")
    read = pydicom.dcmread(path, specific_tags=list(ALLOWED))
    who = {"PatientID", "PatientName", "StudyInstanceUID"}
    assert {e.keyword for e in read} & set(SECRETS) == who
    assert not any(e.tag.is_private for e in read)


def test_patients_by_their_number_not_by_folder(empty, tmp_path):
    for i, patient in enumerate(("A-1", "B-2", "A-1")):
        folder = tmp_path / f"in{i % 2}"
        folder.mkdir(exist_ok=True)
        save(planted(tmp_path, patient, GREY + np.uint8(i)), folder / f"{i}.dcm")
    report = import_sources([tmp_path / "in0", tmp_path / "in1"], empty)
    first, third, second = (report.patients[n] for n in report.imported)
    assert first == third != second

    other = Cohort.create(tmp_path / "other.zarr", name="other")
    elsewhere = import_sources([tmp_path / "in0"], other)
    assert set(elsewhere.patients.values()).isdisjoint(report.patients.values())  # another key


def test_a_dicomdir_and_videos_in_one_work_list(empty, tmp_path):
    disc = tmp_path / "disc"
    (disc / "IMAGES").mkdir(parents=True)
    (disc / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM an index")
    save(planted(tmp_path), disc / "IMAGES" / "I0001")
    (disc / "IMAGES" / "cine.mp4").write_bytes(SHIPPED[1].read_bytes())
    (disc / "README.TXT").write_text("viewer")
    report = import_sources([disc / "DICOMDIR"], empty)
    assert report.refused == []
    assert [empty.clip(n).shape[0] for n in report.imported] == [137, 3]
    clip = empty.clip(report.imported[1])
    assert (clip.meta.spacing.y, clip.meta.spacing.source) == (pytest.approx(0.3), "dicom-region")


def test_masking_takes_out_burned_in_names(empty, tmp_path):
    screen = SCREENS["curved"]
    frames = np.stack(list(screen.frames(10)))
    save(planted(tmp_path, frames=frames), tmp_path / "us.dcm")
    report = import_sources([tmp_path / "us.dcm"], empty, ImportOptions(mask=True))
    clip = empty.clip(report.imported[0])
    stored = clip.frames[:]
    truth = screen.truth()
    overlay = screen._overlay(3) > 0
    assert not stored[:, overlay & ~truth].any()
    assert (stored[:, truth] == frames[:, truth]).mean() > 0.99
    assert clip.shape[1:] == (HEIGHT, WIDTH)
    assert "masked-outside-sector" in clip.meta.tags
    assert NAME  # what stood in the corner that is black now


def test_masking_a_still_is_refused(empty, tmp_path):
    frames = np.stack(list(SCREENS["curved"].frames(1)) * 2)
    save(planted(tmp_path, frames=frames), tmp_path / "us.dcm")
    report = import_sources([tmp_path / "us.dcm"], empty, ImportOptions(mask=True))
    assert "nothing moves in it" in report.refused[0][1]
    assert empty.clips() == []


def test_masking_waits_for_a_person(empty, tmp_path, capsys):
    """Found sectors are proposals; what a person has confirmed is masked for good."""
    from napari_confseg.__main__ import main

    screen = SCREENS["linear"]
    frames = np.stack(list(screen.frames(40)))  # more than one file of frames
    save(planted(tmp_path, frames=frames), tmp_path / "us.dcm")
    name = import_sources([tmp_path / "us.dcm"], empty).imported[0]
    assert main(["mask", empty.location]) == 1
    assert "is not confirmed" in capsys.readouterr().out
    np.testing.assert_array_equal(empty.clip(name).frames[:], frames)

    y0, x0, y1, x1 = screen.slab
    corners = ((y0, x0), (y0, x1), (y1, x1), (y1, x0))
    sector = {"kind": "linear", "polygon": corners, "confirmed": True}
    empty.clip(name).update_meta(sector=sector)
    for _ in range(2):  # twice is as good as once
        assert main(["mask", empty.location, name]) == 0
        np.testing.assert_array_equal(empty.clip(name).frames[:], frames * screen.truth())
    assert empty.clip(name).meta.tags == ("masked-outside-sector",)
    assert validate(empty.location) == []
