"""Folders of images: natural order, one clip a folder, or one sentence."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_confseg.ingest.decoded import Head, IngestError, Source
from napari_confseg.ingest.images import read_images
from napari_confseg.ingest.sources import find_sources
from tests.ingest.films import moving


def decode(paths):
    head, *frames = read_images([str(p) for p in paths])
    assert isinstance(head, Head)
    return head, np.stack([f.pixels for f in frames])


def write(folder, frames, suffix, *, name="frame"):
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}{i}{suffix}" for i in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        Image.fromarray(frame).save(path)
    return paths


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff"])
def test_lossless_images_are_exact(tmp_path, suffix):
    frames = moving(3)
    head, pixels = decode(write(tmp_path, frames, suffix))
    np.testing.assert_array_equal(pixels, frames)
    assert head.n_frames == 3
    assert head.rate is None


def test_jpeg_equals_pillow_itself(tmp_path):
    paths = write(tmp_path, moving(2), ".jpg")
    _, pixels = decode(paths)
    np.testing.assert_array_equal(pixels, [np.asarray(Image.open(p)) for p in paths])


def test_frame_10_comes_after_frame_9(tmp_path):
    write(tmp_path / "shots", moving(12), ".png")
    found, refused = find_sources([tmp_path / "shots"])
    assert refused == []
    assert [p.rsplit("frame")[-1] for p in found[0].source.paths] == [f"{i}.png" for i in range(12)]


def test_a_folder_tree_becomes_sources_in_natural_order(tmp_path):
    write(tmp_path / "b2", moving(2), ".png")
    write(tmp_path / "b10", moving(2), ".jpg")
    (tmp_path / "b2" / "cine.mp4").write_bytes(b"x")
    (tmp_path / "b2" / "notes.txt").write_text("no")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "cine.mp4").write_bytes(b"x")
    stack = [Image.fromarray(f) for f in moving(4)]
    stack[0].save(tmp_path / "stack.tif", save_all=True, append_images=stack[1:])
    found, _ = find_sources([tmp_path])
    assert [(f.source.kind, f.path.relative_to(tmp_path).as_posix()) for f in found] == [
        ("images", "stack.tif"),
        ("video", "b2/cine.mp4"),
        ("images", "b2"),
        ("images", "b10"),
    ]
    assert [f.patient_folder for f in found] == [tmp_path, tmp_path / "b2", tmp_path, tmp_path]


def test_pages_of_a_tiff_are_frames(tmp_path):
    frames = moving(6)
    pages = [Image.fromarray(f) for f in frames]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    _, pixels = decode([tmp_path / "stack.tif"])
    np.testing.assert_array_equal(pixels, frames)


def test_deep_images_lose_low_bits_all_alike(tmp_path):
    deep = [f.astype(np.uint16) * 16 for f in moving(3)]  # 12 bits
    head, pixels = decode(write(tmp_path, deep, ".png"))
    np.testing.assert_array_equal(pixels, [d >> 4 for d in deep])
    assert "4 low bits dropped" in head.decoder


def test_colour_palette_bilevel_and_alpha_become_grey(tmp_path):
    grey = Image.fromarray(moving(1)[0])
    kinds = {
        "RGB": grey.convert("RGB"),
        "P": grey.convert("P"),
        "RGBA": grey.convert("RGBA"),
        "LA": grey.convert("LA"),
        "CMYK": grey.convert("CMYK"),
    }
    for name, image in kinds.items():
        path = tmp_path / f"{name}.tif"
        image.save(path)
        np.testing.assert_array_equal(decode([path])[1][0], np.asarray(grey), err_msg=name)
    grey.convert("1").save(tmp_path / "1.png")
    assert set(np.unique(decode([tmp_path / "1.png"])[1])) <= {0, 255}


def test_what_is_no_image_gets_one_sentence(tmp_path):
    good = write(tmp_path / "good", moving(2), ".png")
    cut = tmp_path / "cut.png"
    cut.write_bytes(good[0].read_bytes()[:-60])
    garbage = tmp_path / "garbage.png"
    garbage.write_bytes(b"garbage" * 40)
    other = write(tmp_path / "other", moving(1, (30, 30)), ".png")
    floats = tmp_path / "float.tif"
    Image.fromarray(np.ones((8, 8), np.float32)).save(floats)
    mixed = write(tmp_path / "deep", [np.full((48, 64), 4000, np.uint16)], ".png")
    for paths, words in (
        ([cut], "cut.png is cut short or damaged"),
        ([garbage], "garbage.png is no PNG"),
        ([good[0], other[0]], "is 30 x 30 pixels, those before are 48 x 64"),
        ([floats], "floating-point"),
        ([good[0], mixed[0]], "mixes images"),
        ([], "no images"),
    ):
        with pytest.raises(IngestError, match=words):
            decode(paths)


def test_a_bomb_is_not_decoded(tmp_path, decoder):
    """A 2 kB PNG of 60,000 x 60,000 pixels."""
    import struct
    import zlib

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 9999))
    path = tmp_path / "bomb.png"
    path.write_bytes(png + chunk(b"IEND", b""))
    with pytest.raises(IngestError, match="60000 x 60000 pixels"):
        list(decoder.read(Source("images", (str(path),))))


def test_what_is_transparent_is_black(tmp_path):
    """Whatever colour its writer left there: an editor's white, as a rule."""
    grey = moving(1)[0]
    alpha = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    rgba = np.dstack([grey, grey, grey, alpha])
    expected = np.floor(grey * (alpha / 255) + 0.5)
    for name, image in (
        ("RGBA", Image.fromarray(rgba)),
        ("LA", Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha)))),
    ):
        image.save(tmp_path / f"{name}.png")
        np.testing.assert_allclose(decode([tmp_path / f"{name}.png"])[1][0], expected, atol=1)
    Image.fromarray(grey).save(tmp_path / "key.png", transparency=200)  # one value is transparent
    shown = decode([tmp_path / "key.png"])[1][0]
    np.testing.assert_array_equal(shown, np.where(grey == 200, 0, grey))


@pytest.mark.parametrize("deep", [False, True])
def test_an_image_is_turned_as_its_exif_says(tmp_path, deep):
    frame = moving(1)[0].astype(np.uint16) * 16 if deep else moving(1)[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row is the right side
    Image.fromarray(frame).save(tmp_path / "turned.png", exif=exif)
    _, pixels = decode([tmp_path / "turned.png"])
    np.testing.assert_array_equal(pixels[0], np.rot90(frame >> 4 if deep else frame, -1))
