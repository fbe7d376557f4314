"""A frozen dataset as a torch ``Dataset``, for training outside this project.

The trainer itself reads through :mod:`trainer.sources` and :mod:`trainer.data`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from napari_confseg.dataset.frozen import Dataset
from napari_confseg.store import EXCLUDED, Status
from trainer.errors import TrainError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor


class Sample(TypedDict):
    """One rater's planes on one frame.

    Attributes
    ----------
    frame : float32 tensor, shape (1, H, W)
        Grey values in 0..1.
    planes : uint8 tensor, shape (C, H, W)
        Confidence in percent that each class is present; 255 where nothing is to be learnt:
        excluded pixels, and the margin beside the clip's picture.
    reviewed : bool tensor, shape (C,)
        Whether the rater has reviewed the class: only then does a 0 mean absent.
    clip, rater, patient : str
        Where the frame is from, and who marked it.
    number : int
        The frame's number in that clip.
    """

    frame: Tensor
    planes: Tensor
    reviewed: Tensor
    clip: str
    rater: str
    patient: str
    number: int


class _Row(NamedTuple):
    clip: str
    patient: str
    rater: str
    row: int
    number: int
    inside: tuple[slice, slice]


class ConfidenceDataset(TorchDataset[Sample]):
    """The reviewed frames of one part of a frozen dataset, each once for each rater.

    Examples
    --------
    >>> from torch.utils.data import DataLoader
    >>> from trainer.dataset import ConfidenceDataset
    >>> training = ConfidenceDataset("lung-dataset", part="train")
    >>> training.classes
    ('pleura', 'b-line')
    >>> sample = training[0]
    >>> sample["frame"].shape, sample["planes"].shape, sample["reviewed"].tolist()
    (torch.Size([1, 32, 48]), torch.Size([2, 32, 48]), [True, True])
    >>> batch = next(iter(DataLoader(training, batch_size=4, shuffle=True)))
    >>> batch["planes"].shape
    torch.Size([4, 2, 32, 48])

    Frames must be of one size to be put into batches: build the dataset with ``--size``.

    Parameters
    ----------
    location : str or Path
        Folder of the dataset, or of one of its versions; of several the newest is read.
    part : str or None
        Part of the split, such as ``"train"``; None for all clips.
    raters : sequence of str
        Raters to read; all of the dataset if empty.

    Attributes
    ----------
    classes : tuple of str
        Classes, in the order of the planes.
    raters : tuple of str
        Raters that are read.

    Raises
    ------
    StoreError
        If there is no dataset, or no such part in it.
    TrainError
        If a rater is unknown.
    """

    def __init__(
        self, location: str | Path, part: str | None = "train", raters: Sequence[str] = ()
    ) -> None:
        dataset = Dataset.open(location)
        manifest = dataset.manifest
        if unknown := sorted(set(raters) - set(manifest.raters)):
            raise TrainError(
                f"{location} has no rater called {', '.join(unknown)}",
                f"It has {', '.join(manifest.raters)}.",
            )
        self.classes = tuple(manifest.class_names())
        self.raters = tuple(r for r in manifest.raters if not raters or r in raters)
        self._dataset = dataset
        self._arrays: dict[str, Any] = {}
        self._reviewed: dict[tuple[str, str], Tensor] = {}
        self._rows: list[_Row] = []
        for clip in dataset.clips() if part is None else dataset.part(part):
            record = manifest.record(clip)
            for rater in sorted(set(record.raters) & set(self.raters)):
                reviewed = dataset.status(clip, rater) == Status.REVIEWED
                self._reviewed[clip, rater] = torch.from_numpy(reviewed)
                self._rows += [
                    _Row(clip, record.patient, rater, row, record.frames[row], record.inside)
                    for row in np.flatnonzero(reviewed.any(1)).tolist()
                ]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        """Return one sample; see :class:`Sample`."""
        at = self._rows[index]
        frame = self._array(f"{at.clip}/frames")[at.row]
        planes = self._array(f"{at.clip}/raters/{at.rater}/planes")[at.row]
        return {
            "frame": torch.from_numpy(np.asarray(frame, np.float32) / 255)[None],
            "planes": torch.from_numpy(_without_margin(planes, at.inside)),
            "reviewed": self._reviewed[at.clip, at.rater][at.row].clone(),
            "clip": at.clip,
            "rater": at.rater,
            "patient": at.patient,
            "number": at.number,
        }

    def _array(self, path: str) -> Any:
        if path not in self._arrays:
            self._arrays[path] = self._dataset.array(path)
        return self._arrays[path]

    def __getstate__(self) -> dict[str, Any]:
        # A loader's workers open the arrays themselves.
        return self.__dict__ | {"_arrays": {}, "_dataset": self._dataset.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_dataset": Dataset(state["_dataset"])})


def _without_margin(planes: Any, inside: tuple[slice, slice]) -> NDArray[np.uint8]:
    """Return planes (C, H, W) with everything outside the clip's picture excluded."""
    # The dataset stores 0 there, which for a reviewed class would mean that it is absent.
    y, x = inside
    found: NDArray[np.uint8] = np.full(planes.shape, EXCLUDED, np.uint8)
    found[:, y, x] = planes[:, y, x]
    return found
