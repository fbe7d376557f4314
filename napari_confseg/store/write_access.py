"""Write access to a rater's planes: the lease, and what is read anew whenever it is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.store.backend import KeyValueStore
from napari_confseg.store.clip_notes import ClipNotes
from napari_confseg.store.conflict import rebased, set_aside
from napari_confseg.store.errors import Problem, StoreError, sentence
from napari_confseg.store.identity import Identity, check_same_kind
from napari_confseg.store.lease import Holder, Lease
from napari_confseg.store.record import Line
from napari_confseg.store.second_rater import SecondRater
from napari_confseg.store.write_behind import WriteBehind

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.store.clip import Clip
    from napari_confseg.store.cohort import Cohort
    from napari_confseg.store.conflict import Choice
    from napari_confseg.store.pending import PendingEdits
    from napari_confseg.store.rater import Rater


class WriteAccess:
    """Who writes a rater's planes on a clip: we, as long as the lease is ours.

    Guarded by the lock of `pending_edits`, which whoever calls must hold.

    Parameters
    ----------
    cohort, clip : Cohort, Clip
        Where.
    rater : str
        Slug; made when we become the first to write it.
    identity : Identity
        Who or what writes: a rater of that name that is something else is refused.
    pending_edits : PendingEdits
        What is not in the store yet.
    emit_state : callable
        Called, from the write-behind thread too, when something to show may have changed.

    Attributes
    ----------
    path : str
        Of the rater in the cohort.
    rater : Rater or None
        What is in the store; None until there is such a rater.
    behind : WriteBehind or None
        Brings the pending_edits to the store; None unless we have become the writer.
    may_pass : bool
        Whether we were refused for what may pass by itself, as a full disk does.
    line : Line
        The record as we found it in the store.
    """

    def __init__(
        self,
        cohort: Cohort,
        clip: Clip,
        rater: str,
        identity: Identity,
        pending_edits: PendingEdits,
        emit_state: Callable[[], None],
    ) -> None:
        self._cohort, self._clip, self._name = cohort, clip, rater
        self._identity = identity
        self._pending_edits, self._emit_state = pending_edits, emit_state
        self.path = f"{clip.name}/raters/{rater}"
        self.rater: Rater | None = None
        self.behind: WriteBehind | None = None
        self.line = Line()
        self._lease = Lease(KeyValueStore(cohort.store), self.path)
        self._holder: Holder | None = None
        self._refusal: str | None = None
        self.may_pass = False

    @property
    def held(self) -> bool:
        """Whether we may write now."""
        return self._lease.held

    @property
    def holder(self) -> Holder | None:
        """Who writes instead of us."""
        return self._holder or (None if self.behind is None else self.behind.lost_to)

    @property
    def taken_over(self) -> bool:
        """Whether the holder has taken over from us."""
        return self.behind is not None and self.behind.lost_to is not None

    @property
    def problem(self) -> str | None:
        """Why nothing can be written or brought to the store, the gravest first."""
        behind = self.behind
        away = [] if behind is None else [behind.problem, behind.silence]
        return next((t for t in (self._refusal, *away, self._pending_edits.problem) if t), None)

    def ask(self) -> None:
        """Try to become the writer; what could not be saved yet is saved first, or kept."""
        self._holder = self._refusal = None
        self.may_pass = False
        # What could not be saved yet would be forgotten by loading anew.
        if self._pending_edits.save():
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
        conflict = self._pending_edits.conflict
        if conflict is not None:
            raise StoreError(
                Problem(
                    "conflict",
                    self.path,
                    conflict.sentence,
                    hint="Decide first which of them to keep.",
                )
            )
        if self.behind is None:
            raise StoreError(self._read_only())

    def _read_only(self) -> Problem:
        holder = self.holder
        return Problem(
            "read-only",
            self.path,
            holder.refusal if holder else f"Read-only: {self._refusal or 'the clip is closed'}",
            hint="Wait until it is free, or paint under another name.",
        )

    def end(self) -> None:
        """Stop bringing anything to the store, and let others write."""
        if self.behind is not None:
            self.behind.stop()
            self.behind = None

    def _try_to_hold(self) -> None:
        if self.behind is not None:  # what it was taken over from is done with
            self.behind.stop()
            self.behind = None
        try:
            self._load_rater(create=False)
            if self._cohort.store.read_only:
                self._refusal = f"{self._cohort.location} was opened for reading only"
            elif not self._pending_edits.open(self._read_line()):
                self._holder = self._lease.seen()
            else:
                self._holder = self._lease.acquire()
            if self._lease.held:
                self._load_rater(create=True)
            self._load_pending_edits()
        except StoreError:
            self._lease.release()
            raise
        # Whatever a store may raise when it can't be written: we are a reader then, and say why.
        except Exception as error:
            self._lease.release()
            self._refusal = f"{self._cohort.location} can't be written: {sentence(error)}"
            self.may_pass = True
            self._load_pending_edits()
        if self._lease.held and self.rater is not None:
            self.behind = WriteBehind(
                self._pending_edits,
                self._lease,
                self.rater,
                self.line,
                self._cohort.location,
                self._emit_state,
            )

    def _read_line(self) -> Line:
        return Line() if self.rater is None else self.rater.record.read()

    def _load_rater(self, *, create: bool) -> None:
        if self._name in self._clip.raters():
            before, self.rater = self.rater, self._clip.rater(self._name)
            if before is not None:
                self.rater.record.learn(before.record)
            check_same_kind(self._clip.name, self.rater, self._identity.kind)
        elif create:
            me = self._identity
            self.rater = self._clip.create_rater(
                self._name,
                kind=me.kind,
                label=me.label,
                adjudicator=me.adjudicator,
                imported=me.imported,
            )

    def _load_pending_edits(self) -> None:
        # After the lease: whoever had it before us either sees our claim, or we see its segment.
        self.line = self._read_line()
        notes = ClipNotes() if self.rater is None else self.rater.read_clip_notes()
        become = self._lease.session if self._lease.held else None
        self._pending_edits.load(self.line, notes, become)

    def decide(self, choice: Choice) -> None:
        """Decide the conflict; see :meth:`RaterWriter.decide`."""
        conflict, rater = self._pending_edits.conflict, self.rater
        if conflict is None or rater is None:
            raise StoreError(Problem("no-conflict", self.path, "There is nothing to decide"))
        if self.behind is None or self.taken_over:
            raise StoreError(self._read_only())
        second = SecondRater(self._clip, self._name, self._identity)
        second.sweep()
        state = rater.read_state()
        if choice == "mine":
            entries = rebased(conflict.entries, state)
        else:
            if choice == "both":
                second.keep(conflict.entries, state)
            entries = set_aside(conflict.entries)
        self._pending_edits.decide(entries, self.line.tip)
