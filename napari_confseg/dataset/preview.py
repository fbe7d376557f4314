"""What a build would come to, before anything is frozen.

Counting reads planes and frames once; what a frame looks like is remembered, so that another choice
of raters, and all the more of the split, is answered sooner.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from napari_confseg.dataset.build import complete
from napari_confseg.dataset.frames import resampler_for
from napari_confseg.dataset.leakage import find_leakage, fingerprint
from napari_confseg.dataset.manifest import ClassCount, Leakage, SplitRecord
from napari_confseg.dataset.packing import Tally, find, status_of
from napari_confseg.dataset.splits import part_clips
from napari_confseg.store import Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_confseg.dataset.manifest import BuildRequest
    from napari_confseg.store import Clip, Cohort


_MARK = "Mark frames as reviewed, or choose other raters or classes."


@dataclass(frozen=True)
class ClipSurvey:
    """What a clip would bring into a dataset; counts are of the marks before resizing.

    Attributes
    ----------
    clip, patient, video_sha256 : str
        As in the manifest.
    frames : tuple of int
        Numbers of the frames that would be taken.
    raters : dict
        Rater -> class -> how much there is of it.
    fingerprints : tuple of str
        Perceptual hash of each frame.
    """

    clip: str
    patient: str
    video_sha256: str
    frames: tuple[int, ...]
    raters: dict[str, dict[str, ClassCount]]
    fingerprints: tuple[str, ...]

    def marks(self, class_name: str) -> bool:
        """Whether any rater marked the class anywhere on it."""
        return any(counts[class_name].marked for counts in self.raters.values())


@dataclass(frozen=True)
class Preview:
    """What would be frozen.

    Attributes
    ----------
    request : BuildRequest
        With all names filled in.
    clips : tuple of ClipSurvey
        Those with a reviewed frame.
    split, folds : SplitRecord or None
        None if there are too few patients, or no folds are wanted.
    leakage : Leakage
        What would leak from one part into another.
    problems : tuple of Problem
        Why it cannot be built; empty if it can.
    """

    request: BuildRequest
    clips: tuple[ClipSurvey, ...] = ()
    split: SplitRecord | None = None
    folds: SplitRecord | None = None
    leakage: Leakage = field(default_factory=Leakage)
    problems: tuple[Problem, ...] = ()

    @property
    def frames(self) -> int:
        """How many frames would be taken."""
        return sum(len(c.frames) for c in self.clips)

    @property
    def patients(self) -> int:
        """Of how many patients."""
        return len({c.patient for c in self.clips})

    def count(self, class_name: str, part: str | None = None) -> ClassCount:
        """Return how much there is of a class, all raters together, in a part or in all."""
        total = ClassCount()
        for clip in self.clips:
            if part is None or (self.split and self.split.of_clip[clip.clip] == part):
                for counts in clip.raters.values():
                    total += counts[class_name]
        return total


class Surveyor:
    """Looks at a cohort for one build after another.

    Parameters
    ----------
    cohort : Cohort
        Read only.
    """

    def __init__(self, cohort: Cohort) -> None:
        self._cohort = cohort
        self._hashes: dict[str, dict[int, str]] = {}
        self._last: tuple[BuildRequest, tuple[ClipSurvey, ...]] | None = None

    def preview(
        self,
        request: BuildRequest,
        *,
        progress: Callable[[int, int, str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Preview | None:
        """Return what `request` would come to; None if `cancelled`.

        `progress` is called with (clips done, clips, name).

        What is wrong with the request is told in the preview, not raised.
        """
        try:
            full = complete(self._cohort, request)
        except StoreError as error:
            return Preview(request, problems=error.problems)
        clips = self._survey(full, progress, cancelled)
        return None if clips is None else self._arrange(full, clips)

    def _survey(
        self,
        request: BuildRequest,
        progress: Callable[[int, int, str], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> tuple[ClipSurvey, ...] | None:
        """Count, unless only the split or the size differs from last time."""
        same = {
            "name": "any",
            "parts": {"all": 1.0},
            "folds": 0,
            "seed": 0,
            "size": None,
            "spacing": None,
        }
        counted = request.model_copy(update=same)
        if self._last is None or self._last[0] != counted:
            found = []
            for number, name in enumerate(request.clips):
                if cancelled and cancelled():
                    return None
                if progress:
                    progress(number, len(request.clips), f"counting {name}")
                survey = self._survey_clip(request, name)
                found += [survey] if survey else []
            self._last = counted, tuple(found)
        return self._last[1]

    def _survey_clip(self, request: BuildRequest, name: str) -> ClipSurvey | None:
        found = find(self._cohort, request, name)
        if found is None:
            return None
        clip, panel, frames, indices = found
        raters = {}
        for reading in panel:
            tally = Tally(request.classes, status_of(reading, frames, indices))
            for row, frame in enumerate(frames):
                for c, index in enumerate(indices):
                    plane = reading.plane(frame, index)
                    if plane is not None:
                        tally.add(row, c, plane)
            raters[reading.name] = tally.counts()
        source = clip.meta.provenance.source_sha256
        return ClipSurvey(
            name, clip.meta.patient, source, tuple(frames), raters, self._fingerprints(clip, frames)
        )

    def _fingerprints(self, clip: Clip, frames: Sequence[int]) -> tuple[str, ...]:
        known = self._hashes.setdefault(clip.name, {})
        for frame in frames:
            if frame not in known:
                known[frame] = f"{fingerprint(clip.frames[frame]):016x}"
        return tuple(known[f] for f in frames)

    def _arrange(self, request: BuildRequest, clips: tuple[ClipSurvey, ...]) -> Preview:
        preview = Preview(request, clips)
        if not clips:
            nothing = Problem("nothing-reviewed", "", "No frame is reviewed", hint=_MARK)
            return replace(preview, problems=(nothing,))
        problems = self._fitting_problems(request, clips)
        try:
            split, folds = part_clips(clips, request)
        except ValueError as error:
            few = Problem("split", "", f"No split by patient is possible: {error}")
            return replace(preview, problems=(*problems, few))
        leakage = find_leakage(clips, split.of_clip, self._frame(clips))
        return replace(preview, split=split, folds=folds, leakage=leakage, problems=problems)

    def _frame(self, clips: Sequence[ClipSurvey]) -> Callable[[str, int], NDArray[np.uint8]]:
        taken = {c.clip: c.frames for c in clips}

        def frame(clip: str, position: int) -> NDArray[np.uint8]:
            found: NDArray[np.uint8] = self._cohort.clip(clip).frames[taken[clip][position]]
            return found

        return frame

    def _fitting_problems(
        self, request: BuildRequest, clips: Sequence[ClipSurvey]
    ) -> tuple[Problem, ...]:
        problems: list[Problem] = []
        for survey in clips:
            try:
                resampler_for(self._cohort.clip(survey.clip), request)
            except StoreError as error:
                problems += error.problems
        return tuple(problems)
