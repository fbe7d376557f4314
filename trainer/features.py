"""What a fitted network sees in a frame: percents, and the features that they are made of.

For heads that are learnt on top of a frozen network, as while somebody paints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812

from napari_confseg.dataset.resample import Resampler
from trainer.compute import autocast
from trainer.errors import TrainError
from trainer.full_size import to_frame_size, to_percent
from trainer.predict import check_frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_confseg.dataset.resample import Size
    from trainer.predict import Predictor


@dataclass(frozen=True)
class SeenFrame:
    """A frame as a network sees it.

    Attributes
    ----------
    percent : ndarray of uint8, shape (C, Y, X)
        Probability of each class of the network, at the frame's pixels.
    maps : float tensor, shape (F, H, W)
        Features at the canvas's pixels: those of the last layer, then the grey value and the log
        odds of each class. They are a function of the frame and the network alone.
    shape : (int, int)
        (Y, X) of the frame.
    """

    percent: NDArray[np.uint8]
    maps: Tensor
    shape: Size

    def at(self, y: NDArray[np.integer], x: NDArray[np.integer]) -> Tensor:
        """Return the features (n, F) at pixels of the frame, interpolated."""
        height, width = self.maps.shape[1:]
        resampler = Resampler.into(self.shape, (height, width))
        places = []
        for at, scale, offset, n in zip(
            (x, y), resampler.scale[::-1], resampler.offset[::-1], (width, height), strict=True
        ):
            pixel = (torch.as_tensor(at, dtype=torch.float32) + 0.5) * scale + offset
            places.append(2 * pixel / n - 1)  # from edge to edge is -1..1
        grid = torch.stack(places, -1).view(1, 1, -1, 2).to(self.maps.device)
        found = F.grid_sample(self.maps[None], grid, padding_mode="border", align_corners=False)
        return found[0, :, 0].T

    def to_frame(self, values: Tensor) -> Tensor:
        """Return canvas values (C, H, W), as a head makes of `maps`, at the frame's size."""
        return to_frame_size(values[None], self.shape)[0]


@torch.inference_mode()
def see(predictor: Predictor, frame: NDArray[np.uint8]) -> SeenFrame:
    """Return percents and features of one frame.

    Parameters
    ----------
    predictor : Predictor
        A fitted network, e.g. ``Predictor.load("starter", "cpu")``.
    frame : ndarray of uint8, shape (Y, X)
        Grey values.

    Raises
    ------
    TrainError
        If it is no such array.
    """
    check_frames(frame)
    if frame.ndim != 2:
        raise TrainError(
            f"One frame (Y, X) is seen at a time, not {frame.shape}", "Give them one by one."
        )
    shape = (frame.shape[0], frame.shape[1])
    canvas = Resampler.into(shape, predictor.config.canvas).frame(frame)
    image = torch.from_numpy(canvas).to(predictor.device)[None, None].float() / 255
    with autocast(predictor.device, predictor.config.precision):
        learnt, features = predictor.network.learnt_and_features(
            image.contiguous(memory_format=torch.channels_last)
        )
    learnt = learnt.float()
    features = F.interpolate(features, image.shape[2:], mode="bilinear", align_corners=False)
    probability = predictor.network.probability(learnt)
    maps = torch.cat([features, image, torch.logit(probability, eps=1e-4)], 1)[0]
    whole = predictor.network.probability(to_frame_size(learnt, shape))
    percent = to_percent(predictor.contour(whole))
    return SeenFrame(percent[0], maps, shape)
