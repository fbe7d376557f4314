"""What a file is by the end of its name, and by its first bytes."""

from __future__ import annotations

_VIDEOS = """
    264 265 3g2 3gp asf avc avi divx gif h264 h265 hevc m1v m2p m2t m2ts m2v m4v mj2 mjpeg mjpg mkv
    mod mov mp2v mp4 mpe mpeg mpg mpv mts ogg ogm ogv qt tod ts vob webm wmv
"""
_OTHER_IMAGES = "avif heic heif j2c j2k jp2 jxl jxr pcx psd raw tga webp"
_OTHER_VIDEOS = "dv dvr-ms f4v flv mxf rm rmvb swf wtv y4m"
_ARCHIVES = "7z bz2 gz iso rar tar tgz xz zip"


def _ends(words: str) -> list[str]:
    return [f".{word}" for word in words.split()]


VIDEOS = frozenset(_ends(_VIDEOS))
DICOMS = frozenset([".dcm", ".dic", ".dicom", ".ima"])
IMAGES = frozenset([".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff"])
NOT_READ = {
    **dict.fromkeys(
        _ends(_OTHER_IMAGES), "images of this kind are not read; save them as PNG or TIFF"
    ),
    **dict.fromkeys(
        _ends(_OTHER_VIDEOS),
        "videos of this kind are not read, as nothing tells whether they are whole; export as MP4",
    ),
    **dict.fromkeys(_ends(_ARCHIVES), "it is an archive; unpack it first"),
}
"""What holds pictures and is not read, and why; by the end of its name."""

_IMAGE_STARTS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}
_VIDEO_STARTS = (
    b"GIF87a",
    b"GIF89a",
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"OggS",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # Windows Media
    b"\0\0\x01\xba",  # MPEG program stream
    b"\0\0\x01\xb3",  # MPEG video by itself
)
_TS_PACKET = 188


def image_kind(start: bytes) -> str | None:
    """Return PNG, JPEG or TIFF for a file that begins with `start`, None for others."""
    return next((kind for magic, kind in _IMAGE_STARTS.items() if start.startswith(magic)), None)


def is_video(start: bytes) -> bool:
    """Whether a file that begins with `start` is of a kind that holds video."""
    if start.startswith(_VIDEO_STARTS) or start[4:8] in (b"ftyp", b"moov", b"mdat"):
        return True
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return True
    return len(start) > 3 * _TS_PACKET and set(start[: 3 * _TS_PACKET + 1 : _TS_PACKET]) == {0x47}
