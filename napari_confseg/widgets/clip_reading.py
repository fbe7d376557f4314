"""Background reading for the work list: facts of every clip; pictures and people of rows in view.

Both threads rest as long as they work: the window's own thread waits for neither the store nor,
for more than a moment, the interpreter.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from qtpy.QtCore import QCoreApplication, QObject, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QImage

from napari_confseg.annotate.alike import Scores, may_compare
from napari_confseg.annotate.clip_facts import (
    OtherRater,
    read_editor,
    read_facts,
    read_visible_others,
    visible,
)
from napari_confseg.annotate.links import links_of
from napari_confseg.job import read_order
from napari_confseg.store import StoreError
from napari_confseg.store.errors import sentence
from napari_confseg.store.lease import LeaseWatch
from napari_confseg.widgets.common.jobs import LatestJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_confseg.annotate.access import Visibility
    from napari_confseg.annotate.clip_facts import ClipFacts
    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Clip, Cohort
    from napari_confseg.widgets.common.jobs import BackgroundJob

BATCH: Final = 100
"""Clips delivered at a time: a list of 2,000 fills while it is read."""

PICTURE: Final = QSize(48, 36)
"""Room for a clip's picture in the list, in pixels of a screen of usual density."""

LOOK_AGAIN: Final = 10_000
"""Milliseconds after which it is looked again who edits the clips in view."""

_BATCH_SECONDS: Final = 0.25
_LONGEST_REST: Final = 0.005
_PAUSE: Final = 0.001
"""Seconds of rest after each compared plane: who paints meanwhile goes before."""
_PICTURES_KEPT: Final = 1000


def _rest(since: float) -> None:
    """Sleep for as long as the work since `since` took, a few milliseconds at most."""
    time.sleep(min(time.monotonic() - since, _LONGEST_REST))


@dataclass(frozen=True)
class _ToLearn:
    """Clips in the order in which there is most to learn from them."""

    clips: tuple[str, ...]


class ListReader(QObject):
    """Fills a session's work list in the background, whenever cohort, reader or access change.

    Parameters
    ----------
    session : Session
        Whose work list.
    """

    def __init__(self, session: Session) -> None:
        # The application's child: the thread that reads may be the last to hold this, and an
        # object of Qt's that is destroyed in a thread not its own takes the program with it.
        super().__init__(QCoreApplication.instance())
        self._session = session
        self._latest = LatestJob(self)
        self._first: tuple[str, ...] = ()  # what is in view now; the thread reads it
        self._links = links_of(
            self,
            (session.events.cohort, self._on_cohort),
            (session.events.rater, self._on_reader),
            (session.access.changed, self._on_reader),
        )

    def read(self, *, forget: bool = False) -> None:
        """Read everything anew; what is being read is dropped."""
        self.stop()
        session = self._session
        cohort, rater = session.cohort, session.rater
        if cohort is None:
            return
        if forget or not session.worklist.facts:
            self._list_now(cohort)
        if not rater:
            return
        seen = session.access.cohort_visibility()
        order = dict.fromkeys((*session.worklist.names(), *session.worklist.facts))
        self._latest.run(
            lambda job: self._work(job, cohort, rater, seen, list(order)),
            lambda _: None,
            failed=self._on_failed,
            parted=self._on_part,
        )

    def put_first(self, names: Sequence[str]) -> None:
        """Let these clips be read before the others: they are in view."""
        self._first = tuple(names)

    def stop(self) -> None:
        """Read no more."""
        self._latest.drop()

    def close_part(self) -> None:
        """Read no more, and let go of the session."""
        self.stop()
        self._links.cut()

    def wait(self, seconds: float) -> bool:
        """Wait until all is read; return whether it is."""
        return self._latest.wait(seconds)

    def _list_now(self, cohort: Cohort) -> None:
        """List the names that there are: one listing, so that a first clip can be opened."""
        try:
            names = cohort.names()
        except (StoreError, OSError) as error:
            self._on_failed(error)
            return
        self._session.worklist.set_clips(names, forget=True)
        self._session.update_worklist()

    # ---- in the thread --------------------------------------------------------------------

    def _work(
        self, job: BackgroundJob, cohort: Cohort, rater: str, seen: Visibility, order: list[str]
    ) -> None:
        there = cohort.clips()  # the names of whole clips alone
        job.send(tuple(there))
        with suppress(StoreError):  # a damaged order is named by who made it
            order_to_learn = read_order(cohort)
            job.send(_ToLearn(order_to_learn.clips() if order_to_learn else ()))
        left = dict.fromkeys(n for n in order if n in set(there)) | dict.fromkeys(there)
        names = list(left)
        while left and not job.cancelled():
            job.send(list(self._batch(job, left, lambda n: read_facts(cohort, n, rater, seen))))
        if not job.cancelled():
            self._compare(job, cohort, rater, seen, names)

    def _batch(
        self, job: BackgroundJob, left: dict[str, None], read: Callable[[str], ClipFacts]
    ) -> Iterator[ClipFacts]:
        begun = time.monotonic()
        for _ in range(BATCH):
            if not left or job.cancelled() or time.monotonic() - begun > _BATCH_SECONDS:
                return
            name = next((n for n in self._first if n in left), None) or next(iter(left))
            del left[name]
            since = time.monotonic()
            yield read(name)
            _rest(since)

    def _compare(
        self, job: BackgroundJob, cohort: Cohort, rater: str, seen: Visibility, names: list[str]
    ) -> None:
        if seen.in_exercise:
            return
        scores = Scores.load(cohort)

        def waits() -> bool:
            time.sleep(_PAUSE)
            return job.cancelled()

        found: dict[str, float | None] = {}
        for name in names:
            if job.cancelled():
                break
            since = time.monotonic()
            alike = None
            # A clip that cannot be read shows that in the list already.
            with suppress(StoreError, OSError):
                if may_compare(cohort, name, rater, seen.role):
                    alike = scores.of(cohort, name, waits)
            found[name] = alike
            if len(found) == BATCH:
                job.send(found)
                found = {}
            _rest(since)
        job.send(found)
        scores.save(cohort)

    # ---- back in the window's thread ------------------------------------------------------

    def _on_part(
        self, part: tuple[str, ...] | list[ClipFacts] | dict[str, float | None] | _ToLearn
    ) -> None:
        session = self._session
        if isinstance(part, _ToLearn):
            session.worklist.put_to_learn(part.clips)
        elif isinstance(part, dict):
            session.worklist.put_alike(part)
        elif isinstance(part, tuple):
            if set(part) != session.worklist.facts.keys():
                session.worklist.set_clips(part)
                session.update_worklist()
        else:
            open_ = session.clip.name if session.clip else None
            # Of the open clip the session knows more: what still waits for the store.
            session.worklist.put(f for f in part if f.clip != open_)
            for facts in part:
                if facts.clip == open_:
                    self.put_others({facts.clip: facts.others})

    def put_others(self, others: dict[str, tuple[OtherRater, ...]]) -> None:
        """Put who else marked clips into the list; of the open clip those to be seen now."""
        session = self._session
        clip = session.clip
        if clip is not None and clip.name in others:
            seen = session.access.visibility()
            others = {**others, clip.name: visible(others[clip.name], seen)}
        session.worklist.put_others(others)

    def _on_cohort(self, *_: object) -> None:
        self._first = ()
        self.stop()
        self.read(forget=True)

    def _on_reader(self, *_: object) -> None:
        """Somebody else reads, or may see more or less: all facts are others."""
        self.read(forget=True)

    def _on_failed(self, error: Exception) -> None:
        self._session.message = f"The work list can't be read: {sentence(error)}"


class _Row(NamedTuple):
    """What was read for one row in view."""

    clip: str
    picture: QImage | None = None
    others: tuple[OtherRater, ...] | None = None
    editor: str = ""


class RowReader(QObject):
    """Reads pictures of the clips in view, and who edits them now.

    Parameters
    ----------
    session : Session
        Whose clips.
    lists : ListReader
        Takes who else marked them.
    parent : QObject
        Owner.
    """

    changed = Signal(str)  # a clip has a picture now, or another editor

    def __init__(self, session: Session, lists: ListReader, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._lists = lists
        self._pictures: OrderedDict[str, QImage] = OrderedDict()
        self._editors: dict[str, str] = {}
        self._watch = LeaseWatch()
        self._names: tuple[str, ...] = ()
        self._latest = LatestJob(self)
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_AGAIN)
        self._timer.timeout.connect(self._look)
        self._links = links_of(
            self,
            (session.events.cohort, self._forget),
            (session.events.rater, self._forget_people),
            (session.access.changed, self._forget_people),
        )

    def look(self, names: Sequence[str]) -> None:
        """Look at these clips, now and every few seconds; at no others any more."""
        self._names = tuple(names)
        if names:
            self._timer.start()
            self._look()
        else:
            self._timer.stop()
            self._latest.drop()

    def picture(self, clip: str) -> QImage | None:
        """Return a clip's picture; None if it has not been read."""
        return self._pictures.get(clip)

    def editor(self, clip: str) -> str:
        """Return who edits a clip now, in words; empty for nobody, or if it is not known."""
        return self._editors.get(clip, "")

    def wait(self, seconds: float) -> bool:
        """Wait until all is read; return whether it is."""
        return self._latest.wait(seconds)

    def close_part(self) -> None:
        """Read no more, and let go of the session."""
        self._timer.stop()
        self._latest.drop()
        self._links.cut()

    def _look(self) -> None:
        session = self._session
        cohort, rater, names = session.cohort, session.rater, self._names
        if cohort is None or not rater or not names:
            return
        seen = session.access.cohort_visibility()
        missing = {n for n in names if n not in self._pictures}

        def work(job: BackgroundJob) -> None:
            for what in (
                lambda n: _read_picture_row(cohort, n, missing),
                self._reads(cohort, seen),
            ):
                for name in names:
                    if job.cancelled():
                        return
                    since = time.monotonic()
                    # A clip that cannot be read shows that in the list already.
                    with suppress(StoreError, OSError):
                        row = what(name)
                        if row is not None:
                            job.send(row)
                    _rest(since)

        self._latest.run(work, lambda _: None, parted=self._on_part)

    def _reads(self, cohort: Cohort, seen: Visibility) -> Callable[[str], _Row]:
        rater, watch = self._session.rater, self._watch

        def read(name: str) -> _Row:
            clip = cohort.clip(name)
            others = read_visible_others(clip, rater, seen)
            return _Row(name, None, others, read_editor(clip, watch, others, rater))

        return read

    def _on_part(self, row: _Row) -> None:
        if row.picture is not None:
            self._pictures[row.clip] = row.picture
            if len(self._pictures) > _PICTURES_KEPT:
                self._pictures.popitem(last=False)
            self.changed.emit(row.clip)
        if row.others is not None:
            self._lists.put_others({row.clip: row.others})
            if self._editors.get(row.clip, "") != row.editor:
                self._editors[row.clip] = row.editor
                self.changed.emit(row.clip)

    def _forget(self, *_: object) -> None:
        self._names = ()
        self._latest.drop()
        self._pictures.clear()
        self._editors.clear()

    def _forget_people(self, *_: object) -> None:
        self._editors.clear()
        self._look()


def _read_picture_row(cohort: Cohort, name: str, missing: set[str]) -> _Row | None:
    return _Row(name, read_picture(cohort.clip(name))) if name in missing else None


def read_picture(clip: Clip) -> QImage:
    """Return a small picture of a clip: the sector on its middle frame.

    Raises
    ------
    StoreError, OSError
        If it cannot be read.
    """
    frame = np.asarray(clip.frames[clip.shape[0] // 2])
    sector = clip.meta.sector
    if sector is not None:
        corners = np.asarray(sector.polygon)
        (y0, x0), (y1, x1) = np.floor(corners.min(0)), np.ceil(corners.max(0)) + 1
        part = frame[max(int(y0), 0) : max(int(y1), 0), max(int(x0), 0) : max(int(x1), 0)]
        frame = part if part.size else frame
    frame = np.ascontiguousarray(frame)
    height, width = frame.shape
    image = QImage(frame.data, width, height, width, QImage.Format.Format_Grayscale8)
    small = image.scaled(
        PICTURE * 2,  # sharp on dense screens too
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
    small.setDevicePixelRatio(2)
    return small.copy()  # the array goes
