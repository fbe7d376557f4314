"""The chest of one patient by zone: whose, when, read by whom, and what is read for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from psygnal import Signal

from napari_confseg.annotate.access import Visibility
from napari_confseg.annotate.links import Links, to_message
from napari_confseg.annotate.worklist import natural
from napari_confseg.readouts.zones import (
    changes,
    examinations,
    reading_from,
    scheme_for,
    zone_question,
)
from napari_confseg.store import StoreError, kind_rank, rater_label
from napari_confseg.store.survey import survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_confseg.annotate.session import Session
    from napari_confseg.readouts.zones import Change, Examination, ZoneReading
    from napari_confseg.store import Cohort


@dataclass(frozen=True)
class Found:
    """What one task came to: readings, and who else read the patient's clips."""

    readings: tuple[ZoneReading, ...]
    raters: tuple[tuple[str, str], ...]  # slug and title
    problems: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Task:
    """Clips to read out, away from the event loop; made by :meth:`ZoneMap.task`."""

    cohort: Cohort
    patient: str
    clips: tuple[str, ...]
    me: str
    rater: str
    seen: Visibility

    def run(
        self, cancelled: Callable[[], bool], report: Callable[[int, int, str], None]
    ) -> Found | None:
        """Read; None if `cancelled`. Answers are remembered until a clip changes."""
        others: dict[str, tuple[int, str]] = {}
        hidden: set[str] = set()
        for name in self.clips:
            if cancelled():
                return None
            for slug, rank, title, sees in self._raters(name):
                if sees:
                    others[slug] = rank, title
                elif slug == self.rater:
                    hidden.add(name)
        readings, problems = [], []
        question = zone_question(self.rater)
        asked = survey(
            self.cohort, question, clips=self.clips, progress=report, cancelled=cancelled
        )
        for answer in asked:
            problems += [str(p) for p in answer.problems]
            if answer.data is not None:
                gone = answer.clip in hidden
                readings.append(reading_from(answer.clip, answer.data, hidden=gone))
        if cancelled():
            return None
        listed = sorted(others.items(), key=lambda item: (item[1][0], item[0]))
        return Found(tuple(readings), tuple((slug, t) for slug, (_, t) in listed), tuple(problems))

    def _raters(self, name: str) -> Iterable[tuple[str, int, str, bool]]:
        """Yield slug, rank, title of the others on a clip, and whether they may be seen."""
        try:
            clip = self.cohort.clip(name)
            for slug in clip.raters():
                if slug != self.me:
                    meta = clip.rater(slug).meta
                    title = rater_label(slug, meta.label, meta.kind)
                    yield slug, kind_rank(meta.kind), title, self.seen.sees(meta.kind)
        except (StoreError, OSError):  # what is damaged is named when the clip is read
            return


class ZoneMap:
    """Which patient, examination, rater and zones are shown, and what was found.

    Whoever shows it asks for a :meth:`task`, runs it where it holds nobody up, and gives the result
    to :meth:`take`.

    Where a study is read blinded, only those raters are shown whom its rule lets everybody see:
    whoever sees a reader's marks on a clip is noted there, and of a map it could not be.

    Parameters
    ----------
    session : Session
        Whose cohort.
    """

    changed: ClassVar[Signal] = Signal()
    """Something to show is different."""
    wanted: ClassVar[Signal] = Signal()
    """Something is to be read: there is a new :meth:`task`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.patient = ""
        self.rater = ""  # empty for me
        self.scheme = 0  # as the clips' zones are named
        self.day: int | None = None
        self.last = True  # the latest examination is shown, whatever its day
        self._found: Found | None = None
        self._others: tuple[tuple[str, str], ...] = ()
        self._listed: tuple[str, ...] = ()  # clips as last asked for
        self._links = Links(
            (session.events.cohort, self._on_cohort),
            (session.events.rater, self._on_reader),
            (session.access.changed, self._on_reader),
            (session.worklist.changed, self._on_list),
            (session.events.clip, self._on_clip),
            failed=to_message(session),
        )
        self._on_list()

    def close(self) -> None:
        """Follow the session no longer."""
        self._links.cut()

    # ---- what can be chosen ---------------------------------------------------------------

    def patients(self) -> list[str]:
        """Return the patients whose clips are read into the list by now, in order."""
        facts = self._session.worklist.facts.values()
        return sorted({f.patient for f in facts if f.patient}, key=natural)

    def raters(self) -> list[tuple[str, str]]:
        """Return who can be chosen, (slug, title): me, and others that may be seen."""
        return [("", "My findings"), *self._others]

    def choose_patient(self, patient: str) -> None:
        """Show another patient, at the latest examination."""
        if patient != self.patient:
            self.patient, self.last, self._found = patient, True, None
            self._listed = self._clips()
            self._ask()

    def choose_rater(self, rater: str) -> None:
        """Show what another rater found; me if empty."""
        if rater != self.rater:
            # Nobody's findings for a moment, rather than another's under this name.
            self.rater, self._found = rater, None
            self._ask()

    def choose_scheme(self, scheme: int) -> None:
        """Divide the chest into 8, 12 or 14 zones; 0 as the clips' zones are named."""
        self.scheme = scheme
        self.changed.emit()

    def choose_examination(self, index: int) -> None:
        """Show an examination, by its place in :attr:`examinations`."""
        found = self.examinations
        if 0 <= index < len(found):
            self.day, self.last = found[index].day, index == len(found) - 1
            self.changed.emit()

    # ---- what there is --------------------------------------------------------------------

    @property
    def known(self) -> bool:
        """Whether what is asked for has been read."""
        return self._found is not None

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be read, in sentences."""
        return self._found.problems if self._found else ()

    @property
    def zones(self) -> int:
        """Number of zones of the chest on show."""
        readings = self._found.readings if self._found else ()
        return self.scheme or scheme_for(r.zone for r in readings if r.zone)

    @property
    def examinations(self) -> list[Examination]:
        """Of the patient, oldest first."""
        return examinations(self._found.readings if self._found else (), self.zones)

    @property
    def index(self) -> int:
        """Place of the examination on show; -1 if there is none."""
        days = [e.day for e in self.examinations]
        if self.last or self.day not in days:
            return len(days) - 1
        return days.index(self.day)

    @property
    def shown(self) -> Examination | None:
        """The examination on show."""
        found = self.examinations
        return found[self.index] if found else None

    @property
    def before(self) -> Examination | None:
        """The one before it."""
        return self.examinations[self.index - 1] if self.index > 0 else None

    def changes(self) -> dict[str, Change]:
        """Return what is different from the examination before, by zone."""
        return {} if self.shown is None else changes(self.shown, self.before)

    @property
    def current(self) -> str:
        """Zone of the open clip, if it is on show; else empty."""
        clip, shown = self._session.clip, self.shown
        if clip is None or shown is None:
            return ""
        for zone, several in shown.zones.items():
            if any(r.clip == clip.name for r in several):
                return zone
        return ""

    def clip_of(self, zone: str) -> str | None:
        """Return the clip to open for a zone: of several the next one after that which is open."""
        several = self.shown.zones.get(zone, ()) if self.shown else ()
        names = [r.clip for r in several]
        clip = self._session.clip
        if clip is not None and clip.name in names:
            return names[(names.index(clip.name) + 1) % len(names)]
        return names[0] if names else None

    # ---- what is to be done ---------------------------------------------------------------

    def task(self) -> Task | None:
        """Return what is to be read; None if no patient is chosen."""
        session, clips = self._session, self._clips()
        if session.cohort is None or not session.rater or not clips:
            return None
        access = session.access
        seen = Visibility(access.rule, in_exercise=access.in_exercise)
        rater = self.rater or session.rater
        return Task(session.cohort, self.patient, clips, session.rater, rater, seen)

    def _clips(self) -> tuple[str, ...]:
        facts = self._session.worklist.facts.values()
        return tuple(f.clip for f in facts if f.patient == self.patient and not f.trouble)

    def take(self, task: Task, found: Found | None) -> None:
        """Show what `task` came to, unless something else is asked for by now."""
        rater = self.rater or self._session.rater
        if found is None or (task.patient, task.rater) != (self.patient, rater):
            return
        self._found, self._others = found, found.raters
        if self.rater and self.rater not in [slug for slug, _ in found.raters]:
            self.choose_rater("")  # hidden by now, or not on this patient's clips
            return
        self.changed.emit()

    def _ask(self) -> None:
        self.changed.emit()
        self.wanted.emit()

    # ---- changes of the session -----------------------------------------------------------

    def _on_cohort(self, *_: object) -> None:
        self.patient, self.rater, self._found, self.last = "", "", None, True
        self._on_list()

    def _on_reader(self, *_: object) -> None:
        self._found, self._others = None, ()
        self._ask()

    def _on_list(self, *_: object) -> None:
        there = self.patients()
        if self.patient not in there:
            clip = self._session.clip
            mine = clip.meta.patient if clip is not None else ""
            self.patient = mine if mine in there else there[0] if there else ""
            self.last, self._found = True, None
        # Not at each stroke: what it changes is read when another clip is opened.
        if self._listed != self._clips() or not there:
            self._listed = self._clips()
            self._ask()

    def _on_clip(self, *_: object) -> None:
        self._on_list()
        clip = self._session.clip
        patient = self.patient if clip is None else clip.meta.patient
        if patient != self.patient and patient in self.patients():
            # One patient's chest beside another's picture is taken for the chest of the picture.
            self.choose_patient(patient)
        else:
            self._ask()
