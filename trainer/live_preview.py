"""Live preview: the best model's planes for the clip on screen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from napari_confseg.store import StoreError
from trainer.errors import TrainError
from trainer.marking import predict_clip
from trainer.predict import Predictor

if TYPE_CHECKING:
    from napari_confseg.job import FitRequest, RunFolder
    from trainer.prepare import FitContext
    from trainer.progress import Reporter

_SHARE = 0.15  # of the time at most: a long clip must not slow the fit down


class LivePreview:
    """Writes the model's planes for the clip on screen, which may change while the fit runs.

    Parameters
    ----------
    folder : RunFolder
        The run, which names the clip on screen.
    context : FitContext
        The fit.
    request : FitRequest
        Rater to write as.
    report : Reporter
        Gets an event for each preview.
    """

    def __init__(
        self, folder: RunFolder, context: FitContext, request: FitRequest, report: Reporter
    ) -> None:
        self._folder, self._context, self._request, self._report = folder, context, request, report
        self._shown: dict[str, int] = {}
        self._not_before = 0.0
        self._names = frozenset(context.cohort.clips() if context.cohort else ())
        if request.preview_clip and request.preview_clip not in self._names:
            raise TrainError(
                f"There is no clip {request.preview_clip!r} to preview",
                "Choose a clip of the cohort.",
            )

    @property
    def clips(self) -> tuple[str, ...]:
        """Clips predicted so far."""
        return tuple(sorted(self._shown))

    def refresh(self, best_step: int | None) -> None:
        """Predict the clip on screen, if the best model is new and time allows."""
        if time.monotonic() < self._not_before:
            return
        begin = time.monotonic()
        self.finish(best_step)
        end = time.monotonic()
        self._not_before = end + (end - begin) / _SHARE

    def finish(self, best_step: int | None) -> None:
        """Predict the clip on screen, if the best model is new."""
        name = self._folder.preview_clip()
        cohort = self._context.cohort
        if cohort is None or best_step is None or name not in self._names:
            return
        if self._shown.get(name) == best_step:
            return
        predictor = Predictor.load(self._folder.path, str(self._context.device))
        try:
            clip = cohort.clip(name)
            predict_clip(
                predictor, clip, self._request.rater, self._folder.path.name, self._context.indices
            )
        except (OSError, StoreError) as error:  # no reason to stop the fit
            self._report.progress(
                best_step, self._context.config.steps, f"The preview could not be written: {error}"
            )
            return
        self._shown[name] = best_step
        self._report.preview(best_step, name, self._request.rater)
