"""The right to write one rater's planes: asked for, held, refused, lost to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.store.about import About
from napari_confseg.store.backend import Keys
from napari_confseg.store.behind import WriteBehind
from napari_confseg.store.lease import Holder, Lease
from napari_confseg.store.problems import Problem, StoreError, sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.store.backlog import Backlog
    from napari_confseg.store.clip import Clip
    from napari_confseg.store.cohort import Cohort
    from napari_confseg.store.rater import Rater
    from napari_confseg.store.schema import RaterKind


class Tenure:
    """Who writes a rater's planes on a clip: we, as long as the lease is ours.

    Guarded by the backlog's lock, which whoever calls must hold.

    Parameters
    ----------
    cohort, clip : Cohort, Clip
        Where.
    rater : str
        Slug; made, with `label`, when we become the first to write it.
    label : str or None
        What people read as the name of a new rater.
    adjudicator : str or None
        Who adjudicates; None for a reader.
    backlog : Backlog
        What is not in the store yet.
    tell : callable
        Called, from the write-behind thread too, when something to show may have changed.

    Attributes
    ----------
    path : str
        Of the rater in the cohort.
    rater : Rater or None
        What is in the store; None until there is such a rater.
    behind : WriteBehind or None
        Brings the backlog to the store; None unless we have become the writer.
    """

    def __init__(
        self,
        cohort: Cohort,
        clip: Clip,
        rater: str,
        label: str | None,
        adjudicator: str | None,
        backlog: Backlog,
        tell: Callable[[], None],
    ) -> None:
        self._cohort, self._clip, self._name = cohort, clip, rater
        self._label, self._adjudicator = label, adjudicator
        self._backlog, self._tell = backlog, tell
        self.path = f"{clip.name}/raters/{rater}"
        self.rater: Rater | None = None
        self.behind: WriteBehind | None = None
        self._lease = Lease(Keys(cohort.store), self.path)
        self._holder: Holder | None = None
        self._refusal: str | None = None

    @property
    def held(self) -> bool:
        """Whether we may write now."""
        return self._lease.held

    @property
    def holder(self) -> Holder | None:
        """Who writes instead of us."""
        return self._holder or (None if self.behind is None else self.behind.lost_to)

    @property
    def problem(self) -> str | None:
        """Why nothing can be written or brought to the store, the gravest first."""
        behind = self.behind
        away = [] if behind is None else [behind.problem, behind.silence]
        return next((t for t in (self._refusal, *away, self._backlog.problem) if t), None)

    def ask(self) -> None:
        """Try to become the writer; what could not be saved yet is saved first, or kept."""
        self._holder = self._refusal = None
        # What could not be saved yet would be forgotten by loading anew.
        if self._backlog.save():
            self._try_to_hold()

    def check(self) -> None:
        """Refuse unless we have become the writer.

        Having been it is enough: should another have taken over since, the journal still keeps
        what is committed until we write again.

        Raises
        ------
        StoreError
            If another writer has this rater.
        """
        if self.behind is None:
            why = f"held by {self._holder}" if self._holder else self._refusal or "closed"
            raise StoreError(
                Problem("read-only", self.path, "the right to write", why,
                        "Wait until it is free, or paint under another name.")
            )  # fmt: skip

    def end(self) -> None:
        """Stop bringing anything to the store, and let others write."""
        if self.behind is not None:
            self.behind.stop()
            self.behind = None

    def _try_to_hold(self) -> None:
        try:
            self._load_rater(create=False)
            if self._cohort.store.read_only:
                self._refusal = f"{self._cohort.location} was opened for reading only"
            elif not self._backlog.open(self._session):
                self._holder = self._lease.seen()
            else:
                self._holder = self._lease.acquire()
            if self._lease.held:
                self._load_rater(create=True)
            self._load_backlog()
        except StoreError:
            self._lease.release()
            raise
        # Whatever a store may raise when it can't be written: we are a reader then, and say why.
        except Exception as error:
            self._lease.release()
            self._refusal = f"{self._cohort.location} can't be written: {sentence(error)}"
            self._load_backlog()
        if self._lease.held and self.rater is not None:
            self.behind = WriteBehind(
                self._backlog, self._lease, self.rater, self._cohort.location, self._tell
            )

    @property
    def _session(self) -> str | None:
        return None if self.rater is None else self.rater.meta.session

    def _load_rater(self, *, create: bool) -> None:
        if self._name in self._clip.raters():
            self.rater = self._clip.rater(self._name)
            self._check_kind(self.rater.meta.kind)
        elif create:
            kind: RaterKind = "adjudicated" if self._adjudicator else "human"
            self.rater = self._clip.create_rater(
                self._name, kind=kind, label=self._label, adjudicator=self._adjudicator
            )

    def _check_kind(self, found: RaterKind) -> None:
        """Refuse to paint by hand on adjudicated planes, and to adjudicate on a reader's."""
        if (found == "adjudicated") is not (self._adjudicator is not None):
            expected = "an adjudicated rater" if self._adjudicator else "a reader, or nobody"
            raise StoreError(
                Problem("rater-kind", self.path, expected, f"a rater of kind {found!r}",
                        "Use another name.")
            )  # fmt: skip

    def _load_backlog(self) -> None:
        record = [] if self.rater is None else self.rater.read_strokes()
        about = About() if self.rater is None else self.rater.read_about()
        become = self._lease.session if self._lease.held else None
        self._backlog.load(record, about, self._session, become=become)
