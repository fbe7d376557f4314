"""A model kept warm: answers the viewer's requests on stdin until that ends."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch

from napari_confseg.job import CHECKPOINT
from napari_confseg.store.errors import StoreError, sentence
from napari_confseg.suggest.path import REACH
from napari_confseg.suggest.protocol import (
    Arrays,
    Load,
    Loaded,
    Message,
    Refused,
    Suggest,
    Suggested,
    receive,
    send,
)
from trainer.carrying import STEPS, Source, Tracker, count_pieces, joined
from trainer.crumbs import without_crumbs
from trainer.errors import TrainError
from trainer.features import SeenFrame, see
from trainer.learning import LightHead, TaughtFrame, fit_head, propose
from trainer.predict import Predictor
from trainer.shipped import run_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray


_REMEMBERED = 64  # frames: of a large network's some 20 MB each


@dataclass(frozen=True)
class Model:
    """A model in memory.

    Attributes
    ----------
    predictor : Predictor
        The network.
    name : str
        Of its run.
    version : str
        The first half of the SHA-256 of its weights: the same weights, the same version.
    stamp : tuple of int
        Time and size of the file of weights when it was read.
    """

    predictor: Predictor
    name: str
    version: str
    stamp: tuple[int, int]


class Server:
    """Answers requests; keeps the model that was asked for last."""

    def __init__(self) -> None:
        self._model: Model | None = None
        self._folder = ""
        self._seen: dict[bytes, SeenFrame] = {}
        self._fitted: tuple[bytes, LightHead] | None = None
        self._tracker = Tracker()

    def answer(
        self, request: Message, arrays: Mapping[str, NDArray[Any]]
    ) -> tuple[Message, Arrays]:
        """Return the answer to a request.

        Raises
        ------
        TrainError
            If it can't be answered.
        """
        if not isinstance(request, Load | Suggest):
            raise TrainError(f"A model's process is not asked for {request.kind!r}")
        model = self._get(request.model)
        known = {
            "name": model.name,
            "version": model.version,
            "classes": model.predictor.config.classes,
        }
        if isinstance(request, Load):
            # The first pass sets up what the later ones reuse.
            height, width = model.predictor.config.canvas
            model.predictor.percent(torch.zeros(1, height, width, dtype=torch.uint8).numpy())
            return Loaded(**known), {}
        head = self._head(model, request, arrays)
        seen = [self._see(model, frame) for frame in arrays["frames"]]
        percent = np.stack([propose(head, one, model.predictor) for one in seen])
        partial = self._carry(model, request, arrays, percent)
        for planes in percent:
            planes[:] = [without_crumbs(plane, request.shown_from) for plane in planes]
        if head.corrections:
            known["version"] = f"{model.version}+{request.strokes}"
        return Suggested(**known, partial=partial), {"percent": percent}

    def _carry(
        self,
        model: Model,
        request: Suggest,
        arrays: Mapping[str, NDArray[Any]],
        percent: NDArray[np.uint8],
    ) -> bool:
        """Join marks of the taught frames to `percent` (n, C, Y, X); return whether some wait."""
        if not request.path_at:
            return False
        path = dict(zip(request.path_at, arrays["path"], strict=True))
        painted = _painted(model.predictor.config.classes, request, arrays)
        self._tracker.steps_left = STEPS
        partial = False
        for frame, planes in zip(request.frames_at, percent, strict=True):
            for c, marks_of in painted.items():
                sources = []
                for i in _nearest(request.taught_at, marks_of, frame):
                    start = request.taught_at[i]
                    track = self._tracker.track(path, request.factor, start, frame)
                    if track is None:
                        partial = True
                        continue
                    expected = self._see(model, arrays["taught"][i]).percent[c]
                    marks, begun = marks_of[i]
                    sources.append(Source(track, abs(start - frame), marks, expected, begun))
                if sources:
                    planes[c] = joined(planes[c], sources)
        return partial

    def _head(
        self, model: Model, request: Suggest, arrays: Mapping[str, NDArray[Any]]
    ) -> LightHead:
        """Return the head that fits the marks of a request; the network itself without any."""
        classes = model.predictor.config.classes
        if not request.marks and not request.reviewed:
            return LightHead()
        told = hashlib.blake2b(repr((model.version, request.marks, request.reviewed)).encode())
        for name in ("taught", "marks"):
            told.update(np.ascontiguousarray(arrays[name]).data)
        if self._fitted is not None and self._fitted[0] == told.digest():
            return self._fitted[1]
        planes: list[dict[int, NDArray[np.uint8]]] = [{} for _ in arrays["taught"]]
        reviewed: list[set[int]] = [set() for _ in arrays["taught"]]
        for (frame, name), plane in zip(request.marks, arrays["marks"], strict=True):
            if name in classes:
                planes[frame][classes.index(name)] = plane
        for frame, name in request.reviewed:
            if name in classes:
                reviewed[frame].add(classes.index(name))
        taught = [
            TaughtFrame(self._see(model, picture), planes[i], reviewed[i])
            for i, picture in enumerate(arrays["taught"])
        ]
        head = fit_head(taught, len(classes))
        self._fitted = told.digest(), head  # the frames beside the one on show come next
        return head

    def _see(self, model: Model, frame: NDArray[np.uint8]) -> SeenFrame:
        """Return what the network sees in a frame; of the frames asked for lately it is known."""
        key = hashlib.blake2b(np.ascontiguousarray(frame).data, digest_size=16).digest()
        found = self._seen.pop(key, None) or see(model.predictor, frame)
        self._seen[key] = found
        while len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return found

    def _get(self, folder: str) -> Model:
        """Return the model in `folder`, read anew if its weights are others by now."""
        stamp = _stamp(folder)
        if self._model is None or self._folder != folder or stamp != self._model.stamp:
            self._model = _load(folder, stamp)
            self._folder = folder
            self._seen.clear()
        return self._model


def _painted(
    classes: Sequence[str], request: Suggest, arrays: Mapping[str, NDArray[Any]]
) -> dict[int, dict[int, tuple[NDArray[np.uint8], float]]]:
    """Return by class, of each taught frame that says something of it: marks, and how far begun."""
    marks: dict[int, dict[int, NDArray[np.uint8]]] = {}
    for (i, name), plane in zip(request.marks, arrays["marks"], strict=True):
        if name in classes:
            marks.setdefault(classes.index(name), {})[i] = plane
    blank = np.zeros(arrays["taught"].shape[1:], np.uint8)
    reviewed = {(i, classes.index(name)) for i, name in request.reviewed if name in classes}
    for i, c in reviewed:
        marks.setdefault(c, {}).setdefault(i, blank)
    found = {}
    for c, planes in marks.items():
        begun = 1 / max(1, sum(count_pieces(plane) for plane in planes.values()))
        found[c] = {i: (p, 0.0 if (i, c) in reviewed else begun) for i, p in planes.items()}
    return found


def _nearest(taught_at: Sequence[int], among: Collection[int], frame: int) -> list[int]:
    """Return which of some taught frames are the nearest on each side of a frame, in reach."""
    near = sorted(among, key=lambda i: abs(taught_at[i] - frame))
    before = [i for i in near if 0 < frame - taught_at[i] <= REACH]
    after = [i for i in near if 0 < taught_at[i] - frame <= REACH]
    return before[:1] + after[:1]


def _stamp(folder: str) -> tuple[int, int]:
    try:
        found = (run_folder(folder) / CHECKPOINT).stat()
    except OSError:
        return (0, 0)  # loading says what is missing
    return found.st_mtime_ns, found.st_size


def _load(folder: str, stamp: tuple[int, int]) -> Model:
    # A small model of one frame at a time: the CPU answers as soon as a GPU would, and a fit that
    # has the GPU is not disturbed.
    predictor = Predictor.load(folder, "cpu")
    digest = hashlib.sha256((run_folder(folder) / CHECKPOINT).read_bytes()).hexdigest()
    return Model(predictor, run_folder(folder).name, digest[:32], stamp)


def serve(incoming: IO[bytes], outgoing: IO[bytes]) -> None:
    """Answer requests until `incoming` ends: the viewer is gone, or closed."""
    server = Server()
    while (got := receive(incoming)) is not None:
        try:
            message, arrays = server.answer(got.message, got.arrays)
        except TrainError as error:
            message, arrays = Refused(message=f"{error.error}.", hint=error.hint), {}
        except StoreError as error:
            message, arrays = Refused(message=str(error.problems[0])), {}
        except Exception as error:  # the next request may do
            message, arrays = Refused(message=f"The model failed: {sentence(error)}."), {}
        send(outgoing, message, arrays)
