"""Videos: decoded once, in order. Never a seek: seeking lands on wrong frames in many files."""

from __future__ import annotations

import re
import struct
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import av.logging
import numpy as np
from av.video.stream import VideoStream

from napari_confseg.ingest.containers import check_whole, dropped_chunks
from napari_confseg.ingest.decoded import (
    Frame,
    Head,
    IngestError,
    check_shape,
    full_range,
    luma,
    on_black,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from av.container import InputContainer
    from numpy.typing import NDArray

# A text file called cine.mp4 may be a playlist that names other files or addresses: only these
# containers are opened, and only from the disk.
_CONTAINERS = {
    "format_whitelist": "avi,gif,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegvideo,mpegts,matroska,webm,asf,"
    "h264,hevc,m4v,mjpeg,ogg"
}
_FROM_DISK = {"protocol_whitelist": "file"}
# A codec's stream without a container: FFmpeg makes up times, 25 frames a second.
_BARE = frozenset(["h264", "hevc", "m4v", "mjpeg", "mpegvideo"])
# Metadata that are no UTF-8 matter to nobody here. PyAV 19 took the option away and reads them.
_ANY_METADATA: dict[str, Any] = (
    {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
)
_PLANAR_LUMA = frozenset(
    ["gray", "nv12", "nv21", "yuv410p", "yuv411p", "yuv420p", "yuv422p", "yuv440p", "yuv444p"]
)
_FULL_RANGE_LUMA = frozenset(["yuvj411p", "yuvj420p", "yuvj422p", "yuvj440p", "yuvj444p"])
_JPEG_RANGE = 2  # AVCOL_RANGE_JPEG: 0..255; unspecified (0) means video range for YUV
# FFmpeg reports damage as an error, patches it, and flags neither packet nor frame. These lines of
# the same rank tell of no lost picture.
_HARMLESS = re.compile(
    r"APP field|chapter|co located POCs|display matrix|edit list|exif|\bicc\b|id3|metadata|mmco"
    r"|reference frames .* exceeds|side data|xmp",
    re.IGNORECASE,
)


def read_video(source: str | bytes) -> Iterator[Head | Frame]:
    """Decode a video, a file's path or its bytes: a head, then frames in the order they are shown.

    Raises
    ------
    IngestError
        If it is no video, holds no frame, or any part of it is missing or damaged.
    """
    with _opened(source) as container:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream):
            raise IngestError("it holds no video")
        if not stream.codec_context:  # its stub denies that
            raise IngestError("its frames are stored in a way that cannot be decoded here")
        dropped = _dropped(source, container, stream)
        bare = container.format.name in _BARE
        count = 0
        shape: tuple[int, int] | None = None
        for frame in _frames(container, stream, dropped):
            to_grey, how = grey_of(frame)
            pixels = upright(to_grey(frame), _display_matrix(frame))
            if shape is None:
                shape = check_shape((pixels.shape[0], pixels.shape[1]))
                yield _head(container, stream, shape, how, dropped)
            if pixels.shape != shape:
                raise IngestError(
                    f"its frame {count} is {pixels.shape[0]} x {pixels.shape[1]} pixels, those "
                    f"before are {shape[0]} x {shape[1]}; save each size as a file of its own"
                )
            yield Frame(pixels, None if bare else _seconds(frame))
            count += 1
        if count == 0:
            raise IngestError("it holds no frames")


@contextmanager
def _opened(source: str | bytes) -> Iterator[InputContainer]:
    options = _CONTAINERS | (_FROM_DISK if isinstance(source, str) else {})
    try:
        container = av.open(
            BytesIO(source) if isinstance(source, bytes) else source,
            # Not options=, which are for streams too: before PyAV 17.1 these crash on containers
            # that have none when they are opened, as MPEG has.
            container_options=options,
            **_ANY_METADATA,
        )
    except (av.FFmpegError, ValueError) as error:
        raise IngestError(
            "it is no video that can be read: garbage, cut short, or an unknown format"
        ) from error
    with container:
        yield cast("InputContainer", container)


def _dropped(source: str | bytes, container: InputContainer, stream: VideoStream) -> int:
    """Return how many frames the writer left out on purpose; refuse what is not whole."""
    name = container.format.name
    with Path(source).open("rb") if isinstance(source, str) else BytesIO(source) as file:
        check_whole(file, name)
        return dropped_chunks(file, stream.index) if name == "avi" else 0


@contextmanager
def _told() -> Iterator[list[tuple[int, str, str]]]:
    """Gather what FFmpeg says is wrong; by itself PyAV throws it away."""
    before = av.logging.get_level()
    repeated = av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # the same fault in the file before is another one
    try:
        with av.logging.Capture(local=False) as lines:  # decoders work in threads
            yield lines
    finally:
        av.logging.set_level(before)
        av.logging.set_skip_repeated(repeated)


def _frames(
    container: InputContainer, stream: VideoStream, dropped: int
) -> Iterator[av.VideoFrame]:
    """Yield all frames, refusing what a decoder would quietly make up or leave out."""
    packets = count = 0
    times: list[float | None] = []
    speakers = (container.format.name, stream.codec_context.name)
    try:
        with _told() as lines:
            for packet in container.demux(stream):
                if packet.is_corrupt:
                    raise IngestError(f"it is cut short or damaged after frame {count}; {_AGAIN}")
                empty = not packet.size and packet.dts is not None
                packets += bool(packet.size) or empty
                for frame in () if empty else packet.decode():  # to a decoder, nothing is the end
                    if frame.is_corrupt:
                        raise IngestError(f"its frame {count} is damaged; {_AGAIN}")
                    _check(lines, speakers, count)
                    yield frame
                    times.append(_seconds(frame))
                    count += 1
            _check(lines, speakers, count)
    except av.FFmpegError as error:
        raise IngestError(f"it cannot be decoded after frame {count}; {_AGAIN}") from error
    if packets + dropped < stream.frames:
        raise IngestError(
            f"it is cut short: {stream.frames} frames are announced, {packets + dropped} are "
            f"there; {_AGAIN}"
        )
    if container.format.name == "asf" and len(container.streams) == 1 and container.duration:
        _check_duration(times, container.duration / av.time_base)


def _check_duration(times: list[float | None], stated: float) -> None:
    """Refuse frames that end long before the time `stated` in seconds: a demuxer lost its way."""
    known = [t for t in times if t is not None]
    longest = max((after - before for before, after in pairwise(known)), default=0.2)
    lasted = known[-1] - known[0] + longest if known else 0
    if lasted < stated - 2 * longest:
        raise IngestError(
            f"it is cut short or damaged: its frames last {lasted:.2f} of {stated:.2f} s; {_AGAIN}"
        )


def _check(lines: list[tuple[int, str, str]], speakers: tuple[str, ...], count: int) -> None:
    for level, who, text in lines:
        if level <= av.logging.ERROR and who in speakers and not _HARMLESS.search(text):
            raise IngestError(f"it is damaged near frame {count} ({text.strip()[:60]}); {_AGAIN}")
    lines.clear()


_AGAIN = "copy or export it again"


def _head(
    container: InputContainer, stream: VideoStream, shape: tuple[int, int], how: str, dropped: int
) -> Head:
    codec = stream.codec_context
    tags = []
    aspect = stream.sample_aspect_ratio
    if aspect and aspect != 1:
        tags.append(f"pixel-aspect-{aspect.numerator}:{aspect.denominator}")
    name = container.format.name
    if name in _BARE:
        tags.append("length-not-stated")  # nothing marks the end of such a stream
    rate = codec.framerate if name in _BARE else stream.average_rate
    return Head(
        shape=shape,
        decoder=f"PyAV {av.__version__} (FFmpeg {av.ffmpeg_version_info}) {codec.name}, {how}",
        n_frames=stream.frames - dropped if stream.frames else None,
        rate=float(rate) if rate else None,
        tags=tuple(tags),
    )


def _seconds(frame: av.VideoFrame) -> float | None:
    if frame.pts is None or frame.time_base is None:
        return None
    return float(frame.pts * Fraction(frame.time_base))


def grey_of(frame: av.VideoFrame) -> tuple[Callable[[av.VideoFrame], NDArray[np.uint8]], str]:
    """Return how `frame` becomes ``uint8 (Y, X)``, and that in words.

    The luma plane where the format has one of 8 bits, stretched from video range to 0..255;
    BT.601 luma of red, green and blue otherwise, on black where it is transparent.
    """
    name = frame.format.name
    if name in _FULL_RANGE_LUMA or (name in _PLANAR_LUMA and frame.color_range == _JPEG_RANGE):
        return _plane, f"luma plane of {name}"
    if name == "gray":
        return _plane, "grey as it is"
    if name in _PLANAR_LUMA:
        return _stretched, f"luma plane of {name}, 16..235 to 0..255"
    if any(part.is_alpha for part in frame.format.components):
        return _mixed_on_black, f"BT.601 luma of {name} on black"
    return _mixed, f"BT.601 luma of {name}"


def _plane(frame: av.VideoFrame) -> NDArray[np.uint8]:
    plane: Any = frame.planes[0]  # a buffer, though its stub does not say so
    rows: NDArray[np.uint8] = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width].copy()  # lines are padded


def _stretched(frame: av.VideoFrame) -> NDArray[np.uint8]:
    return full_range(_plane(frame))


def _mixed(frame: av.VideoFrame) -> NDArray[np.uint8]:
    rgb: Any = frame.to_ndarray(format="rgb24")  # uint8 in this format
    return luma(rgb)


def _mixed_on_black(frame: av.VideoFrame) -> NDArray[np.uint8]:
    rgba: Any = frame.to_ndarray(format="rgba")
    return on_black(luma(rgba[..., :3]), rgba[..., 3])


def _display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """Return a, b, c, d of the matrix by which `frame` is to be shown, None if it has none."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
    return a, b, c, d


def upright(
    pixels: NDArray[np.uint8], matrix: tuple[int, int, int, int] | None
) -> NDArray[np.uint8]:
    """Return `pixels` as a player shows them: turned and mirrored by their display matrix.

    Phones and tablets write their position beside the frames, front cameras that they mirror.

    Parameters
    ----------
    pixels : ndarray
        ``uint8 (Y, X)``.
    matrix : tuple of int or None
        a, b, c, d in x' = a x + c y, y' = b x + d y (ISO/IEC 14496-12, 6.2.2).

    Raises
    ------
    IngestError
        If it is to be shown at an angle that is not a multiple of 90 degrees.
    """
    if matrix is None or not any(matrix):
        return pixels
    a, b, c, d = matrix
    if abs(b) + abs(c) <= _NEARLY * (abs(a) + abs(d)):
        to_left, to_top = a < 0, d < 0
    elif abs(a) + abs(d) <= _NEARLY * (abs(b) + abs(c)):
        pixels, to_left, to_top = pixels.T, c < 0, b < 0
    else:
        raise IngestError("it is to be shown at an angle; export it as it is to be seen")
    return np.ascontiguousarray(pixels[:: -1 if to_top else 1, :: -1 if to_left else 1])


_NEARLY = 0.01
