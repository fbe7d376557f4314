"""Keep the clip that somebody looks at marked by the best model so far."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from napari_confseg.store import StoreError
from trainer.errors import TrainError
from trainer.predict import Predictor, predict_clip

if TYPE_CHECKING:
    from napari_confseg.job import FitRequest, RunFolder
    from trainer.prepare import Plan
    from trainer.progress import Reporter

_SHARE = 0.15  # of the time at most: a long clip must not slow the learning down


class LivePreview:
    """Writes the model's planes for the clip on screen, which may change while the fit runs.

    Parameters
    ----------
    folder : RunFolder
        The run; says which clip it is.
    plan : Plan
        The fit.
    request : FitRequest
        Under which rater's name, on which device.
    report : Reporter
        Is told of each preview.
    """

    def __init__(
        self, folder: RunFolder, plan: Plan, request: FitRequest, report: Reporter
    ) -> None:
        self._folder, self._plan, self._request, self._report = folder, plan, request, report
        self._shown: dict[str, int] = {}
        self._not_before = 0.0
        self._names = frozenset(plan.cohort.clips() if plan.cohort else ())
        if request.preview_clip and request.preview_clip not in self._names:
            raise TrainError(
                f"There is no clip {request.preview_clip!r} to preview",
                "Choose a clip of the cohort.",
            )

    @property
    def clips(self) -> tuple[str, ...]:
        """Clips marked so far."""
        return tuple(sorted(self._shown))

    def refresh(self, best_step: int) -> None:
        """Mark the clip on screen, if it lacks the best model's planes and time allows."""
        if time.monotonic() < self._not_before:
            return
        begin = time.monotonic()
        self.finish(best_step)
        end = time.monotonic()
        self._not_before = end + (end - begin) / _SHARE

    def finish(self, best_step: int) -> None:
        """Mark the clip on screen, if it lacks the best model's planes."""
        name = self._folder.preview_clip()
        cohort = self._plan.cohort
        if cohort is None or not best_step or name not in self._names:
            return
        if self._shown.get(name) == best_step:
            return
        predictor = Predictor.load(self._folder.path, str(self._plan.device))
        try:
            clip = cohort.clip(name)
            predict_clip(
                predictor, clip, self._request.rater, self._folder.path.name, self._plan.indices
            )
        except (OSError, StoreError) as error:  # a picture less is no reason to stop learning
            self._report.progress(
                best_step, self._plan.config.steps, f"The preview could not be written: {error}"
            )
            return
        self._shown[name] = best_step
        self._report.preview(best_step, name, self._request.rater)
