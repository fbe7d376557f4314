"""Videos: decoded once, in order. Never a seek: seeking lands on wrong frames in many files."""

from __future__ import annotations

from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import av
import numpy as np
from av.video.stream import VideoStream

from napari_confseg.ingest.decoded import Frame, Head, IngestError, check_shape, full_range, luma

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from av.container import InputContainer
    from numpy.typing import NDArray

# A text file called cine.mp4 may be a playlist that names other files or addresses: only these
# containers are opened, and only from the disk.
_CONTAINERS = {
    "format_whitelist": "avi,gif,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegvideo,mpegts,matroska,webm,asf,"
    "h264,hevc"
}
_FROM_DISK = {"protocol_whitelist": "file"}
# Metadata that are no UTF-8 matter to nobody here. PyAV 19 took the option away and reads them.
_ANY_METADATA: dict[str, Any] = (
    {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
)
_PLANAR_LUMA = frozenset(
    ["gray", "nv12", "nv21", "yuv410p", "yuv411p", "yuv420p", "yuv422p", "yuv440p", "yuv444p"]
)
_FULL_RANGE_LUMA = frozenset(["yuvj411p", "yuvj420p", "yuvj422p", "yuvj440p", "yuvj444p"])
_JPEG_RANGE = 2  # AVCOL_RANGE_JPEG: 0..255; unspecified (0) means video range for YUV


def read_video(source: str | BinaryIO) -> Iterator[Head | Frame]:
    """Decode a video file or stream: a head, then its frames in the order they are shown.

    Raises
    ------
    IngestError
        If it is no video, holds no frame, or any part of it is missing or damaged.
    """
    with _opened(source) as container:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream):
            raise IngestError("it holds no video")
        count = 0
        shape: tuple[int, int] | None = None
        for frame in _frames(container, stream):
            to_grey, how = grey_of(frame)
            pixels = _upright(to_grey(frame), frame.rotation)
            if shape is None:
                shape = check_shape((pixels.shape[0], pixels.shape[1]))
                yield _head(stream, shape, how)
            if pixels.shape != shape:
                raise IngestError(
                    f"its frame {count} is {pixels.shape[0]} x {pixels.shape[1]} pixels, those "
                    f"before are {shape[0]} x {shape[1]}; save each size as a file of its own"
                )
            yield Frame(pixels, _seconds(frame))
            count += 1
        if count == 0:
            raise IngestError("it holds no frames")


@contextmanager
def _opened(source: str | BinaryIO) -> Iterator[InputContainer]:
    options = _CONTAINERS | (_FROM_DISK if isinstance(source, str) else {})
    try:
        container = av.open(source, options=options, **_ANY_METADATA)
    except (av.FFmpegError, ValueError) as error:
        raise IngestError(
            "it is no video that can be read: garbage, cut short, or an unknown format"
        ) from error
    with container:
        yield cast("InputContainer", container)


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Yield all frames, refusing what a decoder would quietly make up or leave out."""
    packets = count = 0
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise IngestError(f"it is cut short or damaged after frame {count}; {_AGAIN}")
            packets += bool(packet.size)
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise IngestError(f"its frame {count} is damaged; {_AGAIN}")
                yield frame
                count += 1
    except av.FFmpegError as error:
        raise IngestError(f"it cannot be decoded after frame {count}; {_AGAIN}") from error
    if packets < stream.frames:
        raise IngestError(
            f"it is cut short: {stream.frames} frames are announced, {packets} are there; {_AGAIN}"
        )


_AGAIN = "copy or export it again"


def _head(stream: VideoStream, shape: tuple[int, int], how: str) -> Head:
    codec = stream.codec_context.name
    tags = []
    aspect = stream.sample_aspect_ratio
    if aspect and aspect != 1:
        tags.append(f"pixel-aspect-{aspect.numerator}:{aspect.denominator}")
    return Head(
        shape=shape,
        decoder=f"PyAV {av.__version__} (FFmpeg {av.ffmpeg_version_info}) {codec}, {how}",
        n_frames=stream.frames or None,
        rate=float(stream.average_rate) if stream.average_rate else None,
        tags=tuple(tags),
    )


def _seconds(frame: av.VideoFrame) -> float | None:
    if frame.pts is None or frame.time_base is None:
        return None
    return float(frame.pts * Fraction(frame.time_base))


def grey_of(frame: av.VideoFrame) -> tuple[Callable[[av.VideoFrame], NDArray[np.uint8]], str]:
    """Return how `frame` becomes ``uint8 (Y, X)``, and that in words.

    The luma plane where the format has one of 8 bits, stretched from video range to 0..255;
    BT.601 luma of red, green and blue otherwise.
    """
    name = frame.format.name
    if name in _FULL_RANGE_LUMA or (name in _PLANAR_LUMA and frame.color_range == _JPEG_RANGE):
        return _plane, f"luma plane of {name}"
    if name == "gray":
        return _plane, "grey as it is"
    if name in _PLANAR_LUMA:
        return _stretched, f"luma plane of {name}, 16..235 to 0..255"
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


def _upright(pixels: NDArray[np.uint8], rotation: int) -> NDArray[np.uint8]:
    """Turn as a player does; phones and tablets write their position beside the frames."""
    return np.ascontiguousarray(np.rot90(pixels, round(rotation / 90)))
