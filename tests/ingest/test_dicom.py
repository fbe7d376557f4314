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
from pydicom.encaps import encapsulate

from napari_confseg.ingest import ImportOptions, import_sources
from napari_confseg.ingest.codestreams import jpeg2000_frame
from napari_confseg.ingest.decoded import Head, IngestError, Source
from napari_confseg.ingest.dicom_file import ALLOWED, items_of
from napari_confseg.ingest.dicom_pixels import grey_of_jpeg
from napari_confseg.ingest.pipeline import frame_times
from napari_confseg.ingest.worker import Decoder
from napari_confseg.store import Cohort
from napari_confseg.store.validate import validate
from tests.ingest.dicoms import (
    US_MULTIFRAME,
    dataset,
    jpegs,
    lossless_jpeg,
    palette,
    region,
    save,
    with_components,
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


DEEP = RNG.integers(0, 4096, (2, 40, 64), dtype=np.uint16)  # 12 bits


def by_window(values, low, high):
    return np.floor(
        ((values.astype(float) - low) * 255.0 / (high - low)).clip(0, 255) + 0.5
    ).astype(int)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless])
def test_the_highest_bit_says_where_samples_are(decoder, tmp_path, syntax):
    """12 bits at the top of their 16; and 12 at the bottom with something else above them."""
    for stored, high in ((DEEP << 4, 15), (DEEP | 0x5000, 11)):
        ds = with_pixels(dataset(), stored, "MONOCHROME2", BitsStored=12)
        ds.HighBit = high
        if syntax == uid.RLELossless:
            ds.compress(syntax, generate_instance_uid=False)
        check(decoder, tmp_path, ds, DEEP >> 4)


def test_a_highest_bit_that_cannot_be_is_refused(decoder, tmp_path):
    for high in (10, 16):
        ds = with_pixels(dataset(), DEEP, "MONOCHROME2", BitsStored=12)
        ds.HighBit = high
        with pytest.raises(IngestError, match="contradicts itself: 12 bits up to bit"):
            decode(decoder, save(ds, tmp_path / "us.dcm"))


@pytest.mark.parametrize(
    ("elements", "low", "high"),
    [
        ({"WindowCenter": 128, "WindowWidth": 256}, 0, 255),
        ({"WindowCenter": [2048, 40], "WindowWidth": [4096, 80]}, 0, 4095),  # the first of several
        ({"WindowCenter": 1000, "WindowWidth": 401}, 799.5, 1199.5),
        (
            {"WindowCenter": 1000, "WindowWidth": 400, "VOILUTFunction": "LINEAR_EXACT"},
            800,
            1200,
        ),
        (
            {
                "WindowCenter": 0,
                "WindowWidth": 2001,
                "RescaleSlope": 2,
                "RescaleIntercept": -1000,
            },
            -0.25,
            999.75,
        ),
    ],
)
def test_deep_grey_is_shown_by_its_window(decoder, tmp_path, elements, low, high):
    for photometric, invert in (("MONOCHROME2", False), ("MONOCHROME1", True)):
        ds = with_pixels(dataset(**elements), DEEP, photometric, BitsStored=16)
        head, pixels, _ = decode(decoder, save(ds, tmp_path / "us.dcm"))
        expected = by_window(DEEP, low, high)
        assert np.abs(pixels - (255 - expected if invert else expected)).max() <= 1
        assert f"window {low:g} to {high:g}" in head.decoder


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"WindowCenter": 60_000, "WindowWidth": 100},  # nothing of the picture is in it
        {"WindowCenter": 128, "WindowWidth": 256, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 128},
    ],
)
def test_deep_grey_without_a_window_is_shown_by_the_range_it_uses(decoder, tmp_path, elements):
    """The same number of bits over the whole clip, whatever the header says could be there."""
    for values, shift in ((DEEP, 4), (DEEP >> 4, 0), (DEEP // 30, 0)):
        ds = with_pixels(dataset(**elements), values, "MONOCHROME2", BitsStored=16)
        check(decoder, tmp_path, ds, values >> shift)


def test_six_bits_are_as_bright_as_eight(decoder, tmp_path):
    ds = with_pixels(dataset(), GREY >> 2, "MONOCHROME2", BitsStored=6)
    check(decoder, tmp_path, ds, GREY & 0xFC)


# -- a header that contradicts its pixels

PAIRS = COLOR[..., :2].copy()


@pytest.mark.parametrize(
    ("samples", "photometric", "elements"),
    [
        (COLOR, "YBR_FULL_422", {}),  # 4:4:4
        (COLOR, "YBR_PARTIAL_422", {}),
        (PAIRS, "RGB", {"SamplesPerPixel": 3}),  # 4:2:2
        (PAIRS, "YBR_FULL", {"SamplesPerPixel": 3}),
        (COLOR, "MONOCHROME2", {}),
        (COLOR, "MONOCHROME2", {"SamplesPerPixel": 1}),
        (GREY, "RGB", {}),
        (GREY, "RGB", {"SamplesPerPixel": 3}),
        (GREY, "MONOCHROME2", {"NumberOfFrames": 2}),
        (GREY, "MONOCHROME2", {"NumberOfFrames": 4}),
        (GREY, "MONOCHROME2", {"Columns": 63}),
        (GREY, "MONOCHROME2", {"Rows": 96}),
        (GREY, "MONOCHROME2", {"BitsAllocated": 16, "BitsStored": 16}),
        (DEEP, "MONOCHROME2", {"BitsAllocated": 8, "BitsStored": 8}),
    ],
)
def test_pixels_must_fill_what_the_header_says(decoder, tmp_path, samples, photometric, elements):
    ds = with_pixels(dataset(), samples, photometric, samples.tobytes())
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    ds.HighBit = ds.BitsStored - 1
    ds["PixelData"].VR = "OW"
    with pytest.raises(IngestError, match=r"contradicts|is cut short, or not"):
        decode(decoder, save(ds, tmp_path / "us.dcm"))


@pytest.mark.parametrize("stated", [0, None])
def test_frames_that_nobody_counted_are_there(decoder, tmp_path, stated):
    for syntax in (uid.ExplicitVRLittleEndian, uid.RLELossless):
        ds = with_pixels(dataset(FrameTime=40), GREY, "MONOCHROME2")
        if syntax == uid.RLELossless:
            ds.compress(syntax, generate_instance_uid=False)
        ds.NumberOfFrames = stated
        if stated is None:
            del ds.NumberOfFrames
        check(decoder, tmp_path, ds, GREY)


def test_padding_is_no_frame(decoder, tmp_path):
    data = GREY.tobytes()
    check(decoder, tmp_path, with_pixels(dataset(), GREY, "MONOCHROME2", data + bytes(20)), GREY)
    for more in (b"\1" * 20, bytes(GREY[0].size)):
        ds = with_pixels(dataset(), GREY, "MONOCHROME2", data + more)
        with pytest.raises(IngestError, match="3 frames of MONOCHROME2 take 9216 bytes"):
            decode(decoder, save(ds, tmp_path / "us.dcm"))


@pytest.mark.parametrize("said", ["YBR_RCT", "YBR_ICT", "RGB", "YBR_FULL"])
@pytest.mark.parametrize("mixed", [True, False])
def test_the_stream_tells_the_colours_of_jpeg_2000(decoder, tmp_path, mixed, said):
    """Encoders mix colours and say so in the stream; some leave the header as it was."""
    ds = with_pixels(dataset(), COLOR, "YBR_RCT" if mixed else "RGB")
    ds.compress(uid.JPEG2000Lossless, generate_instance_uid=False)
    assert jpeg2000_frame(items_of(ds.PixelData)[0]).transformed == mixed
    ds.PhotometricInterpretation = said
    if said.endswith("CT") and not mixed:
        with pytest.raises(IngestError, match="stream was not transformed"):
            decode(decoder, save(ds, tmp_path / "us.dcm"))
    else:
        luma_first = said == "YBR_FULL" and not mixed
        check(decoder, tmp_path, ds, COLOR[..., 0] if luma_first else luma(COLOR))


@pytest.mark.parametrize(
    ("syntax", "elements", "words"),
    [
        (uid.JPEG2000Lossless, {"BitsStored": 10}, "10 bits a sample are announced, 12"),
        (uid.JPEG2000Lossless, {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "3 uns"),
        (uid.RLELossless, {"BitsAllocated": 8, "BitsStored": 8}, "1 bytes a pixel are announced"),
        (uid.RLELossless, {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "6 bytes a"),
    ],
)
def test_a_compressed_frame_must_be_what_the_header_says(
    decoder, tmp_path, syntax, elements, words
):
    ds = with_pixels(dataset(), DEEP, "MONOCHROME2", BitsStored=12)
    ds.compress(syntax, generate_instance_uid=False)
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    ds.HighBit, ds.PlanarConfiguration = ds.BitsStored - 1, 0
    with pytest.raises(IngestError, match=words):
        decode(decoder, save(ds, tmp_path / "us.dcm"))


def test_signed_jpeg_2000_under_an_unsigned_header_is_refused(decoder, tmp_path):
    ds = pydicom.dcmread(get_testdata_file("JPEG2000.dcm"))
    ds.Modality, ds.SOPClassUID = "US", US_MULTIFRAME
    ds.PixelRepresentation = 0
    with pytest.raises(IngestError, match="signed ones are there"):
        decode(decoder, save(ds, tmp_path / "us.dcm"))


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


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_deep_lossless_jpeg_is_exact(decoder, tmp_path, bits):
    """FFmpeg hands over its samples at the top of 16 bits."""
    deep = RNG.integers(0, 1 << min(bits, 14), (2, 20, 30), dtype=np.uint16)
    data = wrap([lossless_jpeg(f, min(bits, 14)) for f in deep])
    ds = with_pixels(dataset(uid.JPEGLossless), deep, "MONOCHROME2", data, BitsStored=bits)
    check(decoder, tmp_path, ds, deep >> (min(bits, 14) - 8))


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda s: uid.UID(s).name)
def test_deep_lossless_compression_is_exact(decoder, tmp_path, syntax):
    ds = with_pixels(dataset(), DEEP, "MONOCHROME2", BitsStored=12)
    ds.compress(syntax, generate_instance_uid=False)
    check(decoder, tmp_path, ds, DEEP >> 4)


def test_lossless_jpeg_rgb_equals_the_same_picture_under_rle(decoder):
    expected = luma(pydicom.dcmread(get_testdata_file("SC_rgb_rle.dcm")).pixel_array)
    _, pixels, _ = decode(decoder, get_testdata_file("SC_rgb_jpeg_gdcm.dcm"))
    np.testing.assert_array_equal(pixels[0], expected)


def by_ffmpeg(encoded, all_planes=False):
    """Decode JPEGs with another library: the first of their samples, or all three as they are."""
    frames = []
    for one in encoded:
        codec = av.CodecContext.create("mjpeg", "r")
        frame = [*codec.decode(av.Packet(one)), *codec.decode(None)][0]
        planes = [
            np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[: frame.height, : frame.width]
            for p in frame.planes
        ]
        frames.append(np.stack(planes, -1) if all_planes else planes[0])
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


ONE_TWO_THREE, R_G_B, FROM_ZERO = (1, 2, 3), (82, 71, 66), (0, 1, 2)


@pytest.mark.parametrize(
    ("components", "subsampling", "markers", "header", "is_rgb"),
    [
        (ONE_TWO_THREE, 0, True, "RGB", False),  # a JFIF stream is YCbCr whatever the header says
        (ONE_TWO_THREE, 0, False, "RGB", False),
        (ONE_TWO_THREE, 2, False, "RGB", False),
        (FROM_ZERO, 2, False, "RGB", False),  # chroma is shared, colours never are
        (FROM_ZERO, 0, False, "RGB", True),  # nothing but the header tells
        (FROM_ZERO, 0, False, "YBR_FULL", False),
        (R_G_B, 0, False, "YBR_FULL_422", True),
        (R_G_B, 0, True, "RGB", True),
    ],
)
def test_the_stream_tells_the_colours_of_jpeg(
    decoder, tmp_path, components, subsampling, markers, header, is_rgb
):
    smooth = np.stack([np.stack([f, f // 2 + 60, 200 - f // 2], -1) for f in GREY])
    encoded = jpegs(smooth, subsampling=subsampling)
    planes = by_ffmpeg(encoded, all_planes=is_rgb)
    if not markers:
        encoded = [without_markers(e) for e in encoded]
    encoded = [with_components(e, components) for e in encoded]
    ds = with_pixels(dataset(uid.JPEGBaseline8Bit), smooth, header, wrap(encoded))
    _, pixels, _ = decode(decoder, save(ds, tmp_path / "us.dcm"))
    expected = luma(planes) if is_rgb else planes.astype(int)
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_jpeg_of_colours_that_were_not_transformed(decoder):
    """Written by others: components 0, 1, 2; only the header says that they are RGB."""
    name = get_testdata_file("SC_jpeg_no_color_transform.dcm")
    encoded = next(pydicom.encaps.generate_frames(pydicom.dcmread(name).PixelData))
    expected = luma(by_ffmpeg([encoded], all_planes=True)).astype(int)
    assert np.abs(decode(decoder, name)[1] - expected).max() <= 1


def test_grey_jpeg_the_other_way_round(decoder, tmp_path):
    encoded = jpegs(GREY)
    ds = with_pixels(dataset(uid.JPEGBaseline8Bit), GREY, "MONOCHROME1", wrap(encoded))
    _, pixels, _ = decode(decoder, save(ds, tmp_path / "us.dcm"))
    assert np.abs(255 - pixels.astype(int) - by_ffmpeg(encoded)).max() <= 1


def test_jpeg_of_twelve_bits_is_refused_by_its_depth():
    encoded = pydicom.dcmread(get_testdata_file("JPGExtended.dcm")).PixelData
    with pytest.raises(IngestError, match="of 12 bits"):
        grey_of_jpeg(items_of(encoded)[0], "MONOCHROME2")


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


MPEG_2, H_264 = "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.102"


def cine(tmp_path, suffix=".mp4", syntax=H_264, frames=20, parts=1, **elements):
    """Return 20 frames of video within DICOM, and the path of the video."""
    codec = "mpeg2video" if syntax.startswith(MPEG_2) else "libx264"
    path = film(tmp_path / f"cine{suffix}", moving(20), codec=codec)
    data = path.read_bytes() + b"\0" * (path.stat().st_size % 2)
    step = -(-len(data) // parts // 2) * 2
    ds = with_pixels(
        dataset(syntax, **elements),
        np.zeros((frames, 48, 64, 3), np.uint8),
        "YBR_PARTIAL_420",
        encapsulate([data[i : i + step] for i in range(0, len(data), step)], has_bot=False),
    )
    return ds, path


@pytest.mark.parametrize(
    ("suffix", "syntax", "parts"),
    [
        (".mp4", H_264, 1),
        (".h264", H_264, 1),  # an elementary stream
        (".m2v", MPEG_2, 1),
        (".ts", H_264, 1),
        (".mp4", f"{H_264}.1", 3),  # fragmentable
        (".m2v", f"{MPEG_2}.1", 4),
    ],
)
def test_video_within_dicom(decoder, tmp_path, suffix, syntax, parts):
    ds, path = cine(tmp_path, suffix, syntax, parts=parts, FrameTime=50, BurnedInAnnotation="YES")
    head, pixels, seconds = decode(decoder, save(ds, tmp_path / "us.dcm"))
    _, *plain = decoder.read(Source("video", (str(path),)))
    np.testing.assert_array_equal(pixels, [f.pixels for f in plain])
    assert head.decoder.startswith("DICOM, PyAV")
    assert "burned-in-annotation" in head.tags
    assert "frame-rate-differs-in-video" in head.tags  # 25 a second there
    assert "length-not-stated" not in head.tags
    assert head.n_frames == 20
    times, tags = frame_times(seconds, head.rate)
    np.testing.assert_allclose(times, 0.05 * np.arange(20))
    assert tags == ()


@pytest.mark.parametrize("suffix", [".mp4", ".h264"])
@pytest.mark.parametrize("stated", [19, 21, 40])
def test_video_must_have_as_many_frames_as_its_header_says(decoder, tmp_path, suffix, stated):
    ds, _ = cine(tmp_path, suffix, frames=stated, FrameTime=50)
    with pytest.raises(IngestError, match=f"{stated} frames are announced, its video holds"):
        decode(decoder, save(ds, tmp_path / "us.dcm"))


@pytest.mark.parametrize(
    ("suffix", "elements", "step", "tags"),
    [
        (".h264", {"FrameTimeVector": [0] + [60] * 19}, 0.06, ()),
        (".h264", {"CineRate": 20}, 0.05, ("frame-times-from-rate",)),
        (".mp4", {"CineRate": 25}, 0.04, ()),  # the video has a time for each frame
        (".h264", {}, 0.04, ("frame-times-from-rate",)),  # its codec states a rate
        (".mp4", {}, 0.04, ()),
    ],
)
def test_times_of_video_within_dicom(decoder, tmp_path, suffix, elements, step, tags):
    ds, _ = cine(tmp_path, suffix, **elements)
    head, _, seconds = decode(decoder, save(ds, tmp_path / "us.dcm"))
    times, told = frame_times(seconds, head.rate)
    np.testing.assert_allclose(times, step * np.arange(20), atol=1e-6)
    assert told == tags


def test_a_video_of_nobody_knows_how_many_frames_says_so(decoder, tmp_path):
    ds, _ = cine(tmp_path, ".h264", FrameTime=40)
    del ds.NumberOfFrames
    head, pixels, seconds = decode(decoder, save(ds, tmp_path / "us.dcm"))
    assert "length-not-stated" in head.tags
    assert len(pixels) == 20
    assert frame_times(seconds, head.rate)[0][1] == pytest.approx(0.04)


# -- size, time, probe


def head_of(decoder, tmp_path, **elements):
    ds = with_pixels(dataset(**elements), GREY, "MONOCHROME2")
    head, _, seconds = decode(decoder, save(ds, tmp_path / "us.dcm"))
    return head, frame_times(seconds, head.rate)


BOTH = {"FrameTime": 100, "FrameTimeVector": [0, 40, 70]}
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
        (BOTH | {"FrameIncrementPointer": 0x00181063}, (0, 0.1, 0.2), ()),
        (BOTH | {"FrameIncrementPointer": 0x00181065}, (0, 0.04, 0.11), ()),
        (BOTH | {"FrameIncrementPointer": [0x00181063, 0x00181065]}, (0, 0.04, 0.11), ()),
        (BOTH, (0, 0.04, 0.11), ()),
        (
            {"FrameTimeVector": [0, 40], "FrameTime": 100},
            (0, 0.1, 0.2),
            ("frame-times-from-rate",),
        ),
        ({}, (0, 0.04, 0.08), ("frame-rate-assumed",)),
    ],
)
def test_times(decoder, tmp_path, elements, times, tags):
    assert head_of(decoder, tmp_path, **elements)[1] == (times, tags)


def test_probe_and_burned_in_text_are_noted(decoder, tmp_path):
    head, _ = head_of(decoder, tmp_path, TransducerType="CURVED LINEAR", BurnedInAnnotation="YES")
    assert head.probe == "convex"
    assert head.tags == ("burned-in-annotation",)


# -- as a file


def packed(frames=GREY, **elements):
    """Return a cine of JPEG frames, and these."""
    encoded = jpegs(frames)
    ds = with_pixels(dataset(uid.JPEGBaseline8Bit, FrameTime=40, **elements), frames, "MONOCHROME2")
    return ds, [e + b"\0" * (len(e) % 2) for e in encoded]


def item(data):
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(data)) + data


END = b"\xfe\xff\xdd\xe0\0\0\0\0"


@pytest.mark.parametrize("kind", ["no table", "wrong table", "in parts", "short table"])
def test_frames_are_told_by_how_they_begin(decoder, tmp_path, kind):
    """Tables of offsets and the number of fragments are often wrong."""
    ds, encoded = packed()
    table = {"wrong table": bytes(12), "short table": struct.pack("<I", 0)}.get(kind, b"")
    parts = encoded
    if kind == "in parts":
        parts = [p for e in encoded for p in (e[:200], e[200:])]
    ds.PixelData = item(table) + b"".join(item(p) for p in parts)
    ds["PixelData"].is_undefined_length = True
    _, pixels, _ = decode(decoder, save(ds, tmp_path / "us.dcm"))
    assert np.abs(pixels.astype(int) - by_ffmpeg(encoded)).max() <= 1


@pytest.mark.parametrize("stated", [2, 4])
def test_a_wrong_number_of_compressed_frames_is_refused(decoder, tmp_path, stated):
    ds, encoded = packed()
    ds.PixelData, ds.NumberOfFrames = wrap(encoded), stated
    with pytest.raises(IngestError, match=f"{stated} frames are announced, 3 are there"):
        decode(decoder, save(ds, tmp_path / "us.dcm"))


def test_pixels_that_nothing_ends_are_read_if_they_are_whole(decoder, tmp_path):
    ds, encoded = packed()
    ds.PixelData = wrap(encoded)
    ds["PixelData"].is_undefined_length = True
    path = save(ds, tmp_path / "us.dcm")
    data = path.read_bytes()
    assert data.endswith(END)
    path.write_bytes(data[: -len(END)])
    _, pixels, _ = decode(decoder, path)
    assert np.abs(pixels.astype(int) - by_ffmpeg(encoded)).max() <= 1
    for missing, words in (
        (len(END) + 10, "last frame is not whole"),
        (len(END) + 8 + len(encoded[-1]), "3 frames are announced, 2 are there"),
    ):
        path.write_bytes(data[:-missing])
        with pytest.raises(IngestError, match=words):
            decode(decoder, path)


@pytest.mark.parametrize("syntax", RAW[:3], ids=lambda s: uid.UID(s).name)
def test_a_file_without_preamble_says_by_its_first_element_how_it_is_stored(
    empty, tmp_path, syntax
):
    ds = with_pixels(dataset(syntax, FrameTime=50), GREY, "MONOCHROME2")
    whole = save(ds, tmp_path / "whole").read_bytes()
    meta = 132 + 12 + struct.unpack("<I", whole[140:144])[0]
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "IM1").write_bytes(whole[meta:])
    (folder / "a.dcm").write_bytes(whole[132:])  # with what tells the syntax
    (folder / "notes.bin").write_bytes(b"\x08\0\0\0" + RNG.bytes(300))
    report = import_sources([folder], empty)
    assert report.passed_over == [(str(folder / "notes.bin"), ".bin")]
    assert len(report.imported) == 2, report.refused
    for name in report.imported:
        np.testing.assert_array_equal(empty.clip(name).frames[:], GREY)
        assert empty.clip(name).meta.frame_times == (0, 0.05, 0.1)


def test_compressed_pixels_of_a_file_that_does_not_say_how_are_refused(decoder, tmp_path):
    ds, encoded = packed()
    ds.PixelData = wrap(encoded)
    ds["PixelData"].is_undefined_length = True
    whole = save(ds, tmp_path / "whole").read_bytes()
    path = tmp_path / "us.dcm"
    path.write_bytes(whole[132 + 12 + struct.unpack("<I", whole[140:144])[0] :])
    with pytest.raises(IngestError, match="doesn't say how its pixels are compressed"):
        decode(decoder, path)


@pytest.mark.parametrize("name", ["ExplVR_BigEndNoMeta.dcm", "MR_truncated.dcm"])
def test_files_of_others_without_meta_or_cut_are_named_truly(decoder, name):
    with pytest.raises(IngestError, match=r"no ultrasound but of another kind \((RT|MR)"):
        decode(decoder, get_testdata_file(name))


# -- what it is


@pytest.mark.parametrize(
    ("modality", "sop_class"),
    [
        ("US", US_MULTIFRAME),
        ("IVUS", US_MULTIFRAME),
        ("US", "1.2.840.10008.5.1.4.1.1.77.1.4.1"),  # a video photographic image
        ("OT", "1.2.840.10008.5.1.4.1.1.7.4"),  # a secondary capture of several frames
        ("", "1.2.840.10008.5.1.4.1.1.7"),
        ("", ""),
        ("US", "1.2.3.4"),  # a private class
    ],
)
def test_ultrasound_and_grabbed_screens_become_clips(decoder, tmp_path, modality, sop_class):
    check(decoder, tmp_path, of_kind(modality, sop_class), GREY)


def of_kind(modality, sop_class):
    ds = with_pixels(dataset(Modality=modality), GREY, "MONOCHROME2")
    ds.SOPClassUID = sop_class
    return ds


@pytest.mark.parametrize(
    ("modality", "sop_class", "words"),
    [
        ("CT", "1.2.840.10008.5.1.4.1.1.2", "CT Image Storage, modality CT"),
        ("SEG", "1.2.840.10008.5.1.4.1.1.66.4", "Segmentation Storage, modality SEG"),
        ("US", "1.2.840.10008.5.1.4.1.1.66.4", "Segmentation Storage"),
        ("US", "1.2.840.10008.5.1.4.1.1.30", "Parametric Map Storage"),
        ("MR", "1.2.840.10008.5.1.4.1.1.7", "modality MR"),
        ("OT", "1.2.840.10008.5.1.4.1.1.1", "Computed Radiography"),
        ("", "1.2.840.10008.5.1.4.1.1.128", "Positron Emission"),
        ("DOC", "1.2.840.10008.5.1.4.1.1.104.1", "Encapsulated PDF"),
    ],
)
def test_what_is_no_ultrasound_is_refused_by_name(decoder, tmp_path, modality, sop_class, words):
    with pytest.raises(IngestError, match=f"no ultrasound but of another kind .*{words}"):
        decode(decoder, save(of_kind(modality, sop_class), tmp_path / "x.dcm"))


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
        ("garbage", "holds no pixels"),
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
