"""Videos frame by frame: exact, in order, at their times; or one sentence."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from napari_confseg.ingest.decoded import (
    RATE_ASSUMED,
    Frame,
    Head,
    IngestError,
    Source,
    full_range,
    luma,
)
from napari_confseg.ingest.pipeline import NOT_FROM_SOURCE, frame_times
from napari_confseg.ingest.video import read_video
from tests.ingest.films import SHIPPED, film, gif, independent, moving


def decode(path):
    parts = list(read_video(str(path)))
    head = parts[0]
    assert isinstance(head, Head)
    assert all(isinstance(p, Frame) for p in parts[1:])
    return head, np.stack([p.pixels for p in parts[1:]]), [p.seconds for p in parts[1:]]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_real_clips_equal_an_independent_decode(path):
    head, pixels, seconds = decode(path)
    expected, times = independent(path)
    np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_allclose(frame_times(seconds, head.rate)[0], times, atol=1e-6)
    assert head.shape == pixels.shape[1:]
    assert "luma plane of yuv420p, 16..235 to 0..255" in head.decoder
    assert av.__version__ in head.decoder


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".avi", ".mpeg"])
def test_every_container_keeps_all_frames_in_order(tmp_path, suffix):
    frames = moving(40)
    _, pixels, _ = decode(film(tmp_path / f"cine{suffix}", frames))
    expected = np.stack(frames).astype(int)
    assert pixels.shape == expected.shape
    # Lossy codecs: each frame is nearest to itself.
    distance = np.abs(pixels[:, None].astype(int) - expected[None]).mean(axis=(2, 3))
    assert distance.argmin(axis=1).tolist() == list(range(40))


def test_a_lossless_grey_video_is_exact(tmp_path):
    frames = moving(12)
    path = film(tmp_path / "grey.avi", frames, codec="ffv1", pix_fmt="gray")
    head, pixels, _ = decode(path)
    np.testing.assert_array_equal(pixels, frames)
    assert "grey as it is" in head.decoder


def test_a_lossless_colour_video_becomes_its_luma(tmp_path):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (32, 48, 3), dtype=np.uint8) for _ in range(3)]
    _, pixels, _ = decode(film(tmp_path / "rgb.avi", frames, codec="ffv1", pix_fmt="bgr0"))
    weights = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(pixels, np.stack(frames) @ weights, atol=1)


def test_a_gif_keeps_grey_values_and_each_duration(tmp_path):
    frames = moving(5)
    path = gif(tmp_path / "cine.gif", frames, milliseconds=[40, 120, 40, 200, 40])
    head, pixels, seconds = decode(path)
    np.testing.assert_array_equal(pixels, frames)
    times, tags = frame_times(seconds, head.rate)
    assert times == (0, 0.04, 0.16, 0.2, 0.4)
    assert tags == ()


def test_a_variable_rate_is_kept(tmp_path):
    times = np.cumsum([0, 0.04, 0.04, 0.2, 0.033, 0.5, 0.04, 0.1])
    path = film(tmp_path / "variable.mp4", moving(8), times=times)
    head, _, seconds = decode(path)
    np.testing.assert_allclose(frame_times(seconds, head.rate)[0], times, atol=1e-3)


@pytest.mark.parametrize(
    ("stated", "rate", "requested", "times", "tags"),
    [
        ([5.0, 5.1, 5.3], 25, None, (0, 0.1, 0.3), ()),
        ([5.0, 5.1, 5.1], 20, None, (0, 0.05, 0.1), (NOT_FROM_SOURCE,)),
        ([None, 5.1, 5.2], 20, None, (0, 0.05, 0.1), (NOT_FROM_SOURCE,)),
        ([None, None], None, None, (0, 0.04), (RATE_ASSUMED,)),
        ([None, None], None, 10, (0, 0.1), ()),
        ([7.0], 25, None, (0,), ()),
    ],
)
def test_frame_times(stated, rate, requested, times, tags):
    assert frame_times(stated, rate, requested) == (times, tags)


CASES = Path(__file__).parent / "cases"


def test_what_is_transparent_is_black():
    """Players show what lies below; FFmpeg gives the colour that the writer left there."""
    _, pixels, _ = decode(CASES / "alpha.gif")
    with Image.open(CASES / "alpha.gif") as image:
        for shown, page in zip(pixels, ImageSequence.Iterator(image), strict=True):
            over = Image.new("RGBA", page.size, "black")
            over.alpha_composite(page.convert("RGBA"))
            np.testing.assert_array_equal(shown, luma(np.asarray(over)[..., :3]))
    assert 30 < pixels.mean() < 60


@pytest.mark.parametrize("pix_fmt", ["bgra", "yuva420p"])
def test_half_transparent_is_half_as_bright(tmp_path, pix_fmt):
    rgba = np.full((32, 48, 4), 200, np.uint8)
    rgba[..., 3] = np.arange(48, dtype=np.uint8) * 5
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, pix_fmt
        frame = av.VideoFrame.from_ndarray(rgba, "rgba").reformat(format=pix_fmt)
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    _, pixels, _ = decode(path)
    np.testing.assert_allclose(pixels[0], 200.0 * rgba[..., 3] / 255, atol=3)


def turned(path, matrix):
    """Write `matrix` (a, b, c, d) into an MP4's only track header."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (round(65_536 * m) for m in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("a", [-1, 1])
@pytest.mark.parametrize("b", [-1, 1])
@pytest.mark.parametrize("across", [False, True])
def test_a_video_is_turned_and_mirrored_as_players_do(tmp_path, a, b, across):
    path = film(tmp_path / "cine.mp4", moving(2))
    _, plain, _ = decode(path)
    matrix = (0, a, b, 0) if across else (a, 0, 0, b)
    y, x = np.indices(plain.shape[1:])
    to_x, to_y = matrix[0] * x + matrix[2] * y, matrix[1] * x + matrix[3] * y
    to_x, to_y = to_x - to_x.min(), to_y - to_y.min()
    expected = np.empty((2, to_y.max() + 1, to_x.max() + 1), np.uint8)
    expected[:, to_y, to_x] = plain
    np.testing.assert_array_equal(decode(turned(path, matrix))[1], expected)


def test_a_video_at_an_angle_is_refused(tmp_path):
    path = turned(film(tmp_path / "cine.mp4", moving(2)), (0.8, 0.6, -0.6, 0.8))
    with pytest.raises(IngestError, match="at an angle"):
        decode(path)


def test_frames_that_the_recorder_dropped_leave_a_gap_in_time(tmp_path):
    """AVI writes a chunk without data for each; the last two as well."""
    slots = [0, 1, 2, 5, 6, 7, 9]
    path = tmp_path / "dropped.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=20)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for slot, pixels in zip(slots, moving(len(slots)), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, "gray").reformat(format="yuvj420p")
            frame.pts, frame.time_base = slot, Fraction(1, 20)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    head, pixels, seconds = decode(path)
    assert len(pixels) == head.n_frames == len(slots)
    times, tags = frame_times(seconds, head.rate)
    assert times == tuple(slot / 20 for slot in slots)
    assert tags == ()


@pytest.mark.parametrize(("suffix", "codec"), [(".h264", "libx264"), (".m2v", "mpeg2video")])
def test_a_bare_stream_has_the_rate_that_its_codec_states(tmp_path, suffix, codec):
    head, pixels, seconds = decode(
        film(
            tmp_path / f"s{suffix}", moving(12), rate=20 if codec == "libx264" else 30, codec=codec
        )
    )
    assert len(pixels) == 12
    assert head.rate == (20 if codec == "libx264" else 30)
    assert "length-not-stated" in head.tags
    assert frame_times(seconds, head.rate)[0][1] == pytest.approx(1 / head.rate)


def test_grey_pixels_keep_their_value():
    grey = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(luma(np.stack([grey] * 3, -1)), grey)
    assert full_range(np.array([0, 16, 126, 235, 255], np.uint8)).tolist() == [0, 0, 128, 255, 255]


# -- what is refused

SENTENCES = {
    "empty": "no video that can be read",
    "garbage": "no video that can be read",
    "text": "no video that can be read",
    "half": "no video that can be read",
    "half, header first": "cut short",
    "half of a stream": "cut short or damaged",
    "no frames": "holds no frames",
    "sound only": "it holds no video",
    "nothing at all": "it holds no video",
    "playlist": "no video that can be read",
    "two sizes": "pixels, those before are",
    "flipped bits": "is damaged",
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """One file for each sentence."""
    folder = tmp_path_factory.mktemp("broken")
    stream, whole = (p.read_bytes() for p in SHIPPED)
    rng = np.random.default_rng(3)
    flipped = bytearray(whole)
    for at in rng.integers(50_000, 150_000, 10):
        flipped[at] ^= 0x55
    content = {
        "empty": b"",
        "garbage": rng.bytes(50_000),
        "text": b"Patient: see folder 7\n" * 200,
        "half": whole[: len(whole) // 2],
        "half, header first": _header_first(folder),
        "half of a stream": stream[: len(stream) // 2],
        "no frames": _without_frames(folder, "avi"),
        "nothing at all": _without_frames(folder, "mp4"),
        "sound only": _sound(folder),
        "playlist": f"#EXTM3U\n#EXTINF:1,\nfile://{SHIPPED[0]}\n#EXT-X-ENDLIST".encode(),
        "two sizes": _two_sizes(folder),
        "flipped bits": bytes(flipped),
    }
    paths = {}
    for name, data in content.items():
        paths[name] = folder / f"{name}.mp4"
        paths[name].write_bytes(data)
    return paths


def _header_first(folder):
    path = folder / "fast.mp4"
    with (
        av.open(str(SHIPPED[1])) as source,
        av.open(str(path), "w", options={"movflags": "faststart"}) as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    return path.read_bytes()[:100_000]


def _without_frames(folder, suffix):
    path = folder / f"none.{suffix}"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        out.start_encoding()
    return path.read_bytes()


def _sound(folder):
    path = folder / "sound.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16_000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path.read_bytes()


def _two_sizes(folder):
    parts = [
        film(folder / f"{n}.mpeg", moving(10, s)).read_bytes()
        for n, s in (("a", (48, 64)), ("b", (64, 96)))
    ]
    return b"".join(parts)


@pytest.mark.parametrize("name", SENTENCES)
def test_what_is_no_whole_video_gets_one_sentence(broken, name):
    with pytest.raises(IngestError) as caught:
        decode(broken[name])
    assert SENTENCES[name] in str(caught.value)
    check_sentence(caught.value)


KINDS = {
    ".mp4": "libx264",
    ".mov": "mpeg4",
    ".avi": "mjpeg",
    ".mkv": "libx264",
    ".webm": "libvpx",
    ".wmv": "wmv2",
    ".ogv": "libvpx",
    ".mts": "libx264",
}


def made(path):
    """Write a cine of noise, whose end no demuxer can guess."""
    rng = np.random.default_rng(0)
    frames = [f // 2 + rng.integers(0, 90, f.shape, np.uint8) for f in moving(12)]
    if path.suffix == ".gif":
        return gif(path, frames, milliseconds=[40] * 12)
    codec = KINDS[path.suffix]
    return film(path, frames, codec=codec, pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p")


@pytest.mark.parametrize("suffix", [*KINDS, ".gif"])
def test_a_container_that_ends_too_early_is_refused_wherever_it_was_cut(tmp_path, suffix):
    path = made(tmp_path / f"cine{suffix}")
    data = path.read_bytes()
    assert len(decode(path)[1]) == 12
    for part in (0.4, 0.6, 0.8, 0.97):
        path.write_bytes(data[: int(part * len(data))])
        with pytest.raises(IngestError) as caught:
            decode(path)
        check_sentence(caught.value)


FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}


@pytest.mark.parametrize(
    ("suffix", "codec", "encoder", "muxer"),
    [
        (".avi", "mpeg4", {"bf": "2"}, {}),  # frames out of order in a container without times
        (".vob", "mpeg2video", {"bf": "2", "flags": "+ildct+ilme"}, {}),  # interlaced
        (".mts", "libx264", {"bf": "3"}, {}),
        (".mp4", "libx264", {"bf": "2"}, FRAGMENTED),
        (".webm", "libvpx-vp9", {}, {"live": "1"}),  # without sizes
        (".h264", "libx264", {"bf": "2"}, {}),
    ],
)
def test_nothing_whole_is_taken_for_damaged(tmp_path, suffix, codec, encoder, muxer):
    path = tmp_path / f"cine{suffix}"
    frames = moving(30)
    film(path, frames, codec=codec, encoder=encoder, muxer=muxer)
    _, pixels, _ = decode(path)
    distance = np.abs(pixels[:, None].astype(int) - np.stack(frames)[None]).mean(axis=(2, 3))
    assert distance.argmin(axis=1).tolist() == list(range(30))


@pytest.mark.parametrize("suffix", [".mkv", ".ogv"])
def test_a_wrong_checksum_is_refused(tmp_path, suffix):
    """FFmpeg prints that it patched the frame, or left out the page; it flags neither."""
    path = tmp_path / f"cine{suffix}"
    if suffix == ".mkv":
        film(path, moving(12), codec="ffv1")
    else:
        made(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    for _ in range(2):  # FFmpeg's second report of the same fault counts as well
        with pytest.raises(IngestError, match=r"CRC|checksum"):
            decode(path)


def test_a_page_that_is_missing_is_refused(tmp_path):
    path = made(tmp_path / "cine.ogv")
    pages = path.read_bytes().split(b"OggS")
    path.write_bytes(b"OggS".join(pages[:5] + pages[6:]))
    with pytest.raises(IngestError, match="a page is missing"):
        decode(path)


def check_sentence(error):
    assert 0 < len(str(error)) < 200
    assert "\n" not in str(error)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Short videos to be mutated."""
    folder = tmp_path_factory.mktemp("small")
    paths = [film(folder / f"s{s}", moving(8)) for s in (".mp4", ".avi", ".mpeg")]
    paths.append(gif(folder / "s.gif", moving(8), milliseconds=[40] * 8))
    return [p.read_bytes() for p in paths]


mutations = st.lists(
    st.tuples(
        st.sampled_from(["set", "cut", "repeat", "insert"]),
        st.floats(0, 1),
        st.binary(min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=4,
)


def mutate(data, changes):
    for how, where, value in changes:
        at = int(where * max(len(data) - 1, 0))
        if how == "set":
            data = data[:at] + value + data[at + len(value) :]
        elif how == "cut":
            data = data[:at]
        elif how == "repeat":
            data += data[at : at + 400]
        else:
            data = data[:at] + value + data[at:]
    return data


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(which=st.integers(0, 3), changes=mutations)
def test_mutated_files_give_frames_or_a_sentence(small, decoder, tmp_path, which, changes):
    path = tmp_path / "mutated.mp4"
    path.write_bytes(mutate(small[which], changes))
    try:
        parts = list(decoder.read(Source("video", (str(path),))))
    except IngestError as error:
        check_sentence(error)
    else:
        head, *frames = parts
        assert frames
        assert {f.pixels.shape for f in frames} == {head.shape}
