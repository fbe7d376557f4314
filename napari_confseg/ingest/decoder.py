"""The decoder process: ``python -m napari_confseg.ingest.decoder``.

Decoders are C code that meets files from anywhere. They run here, so that a crash, a hang or a
bomb costs this process and not the viewer. Requests come as JSON lines on standard input; the
answer to each is a line of JSON for every head and frame, a frame's followed by its pixels, and at
last a line ``done`` or ``refused``.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, BinaryIO

from napari_confseg.ingest.decoded import Frame, Head, IngestError, Source

if TYPE_CHECKING:
    from collections.abc import Iterator


def read(source: Source) -> Iterator[Head | Frame]:
    """Decode `source` in this process: a head, then its frames.

    Raises
    ------
    IngestError
        If it cannot become a clip; says why.
    """
    if source.kind == "video":
        from napari_confseg.ingest.video import read_video

        return read_video(source.paths[0])
    if source.kind == "dicom":
        from napari_confseg.ingest.dicom import read_dicom

        return read_dicom(source.paths[0])
    from napari_confseg.ingest.images import read_images

    return read_images(source.paths)


def main() -> None:
    """Serve requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a C library prints must not end up among the answers
    for line in sys.stdin:
        _answer(Source(**json.loads(line)), answers)


def _answer(source: Source, answers: BinaryIO) -> None:
    try:
        for part in read(source):
            if isinstance(part, Head):
                _send(answers, {"kind": "head", **asdict(part)})
            else:
                y, x = part.pixels.shape
                _send(answers, {"kind": "frame", "seconds": part.seconds, "y": y, "x": x})
                answers.write(part.pixels.data)
        _send(answers, {"kind": "done"})
    except IngestError as error:
        _send(answers, {"kind": "refused", "reason": str(error)})
    except MemoryError:
        reason = "it takes more memory to decode than the system gives"
        _send(answers, {"kind": "refused", "reason": reason})
    except OSError as error:
        reason = f"it cannot be read: {(error.strerror or str(error)).lower()}"
        _send(answers, {"kind": "refused", "reason": reason})
    except Exception as error:  # a library's, on a file that nobody has foreseen
        reason = f"it cannot be decoded ({type(error).__name__}: {str(error)[:130]})"
        _send(answers, {"kind": "refused", "reason": reason})
    answers.flush()


def _send(answers: BinaryIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main()
