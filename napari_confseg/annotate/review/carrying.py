"""Carrying out a verdict: what is read for it, the one edit that it becomes, painting by hand."""

from __future__ import annotations

import zlib
from functools import partial
from typing import TYPE_CHECKING

from napari_confseg.agreement.rater_view import planes_of
from napari_confseg.annotate.review.decisions import becoming, rule
from napari_confseg.annotate.review.looking import Looking
from napari_confseg.annotate.review.state import PendingDecision
from napari_confseg.annotate.view import Tool
from napari_confseg.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_confseg.agreement.disagreement import Region
    from napari_confseg.annotate.review.decisions import Becoming, Item
    from napari_confseg.annotate.review.prefill import Work
    from napari_confseg.annotate.review.state import Pending, RaterRow
    from napari_confseg.annotate.session import Session
    from napari_confseg.store import ClassSpec, Stroke


class Carrying(Looking):
    """A look at a clip whose disagreements can be ruled on.

    A verdict on many frames is pending first: reading what raters said there would stop the window.
    """

    def __init__(self, session: Session) -> None:
        self._deciding = False
        self._ruling: PendingDecision | None = None
        super().__init__(session)
        self._links.add((session.leaving, self._rule_before_leaving))

    # ---- what is read for it --------------------------------------------------------------

    def _pending(self, rows: Sequence[RaterRow], classes: Sequence[ClassSpec]) -> Pending | None:
        return self._ruling or super()._pending(rows, classes)

    def work(self) -> Work | None:
        """Return what is pending, a ruling before all else; see :meth:`Looking.work`."""
        return super().work() if self._ruling is None else self._work_on(self._ruling)

    def _work_on(self, ruling: PendingDecision) -> Work:
        """Return what has to be read for a ruling, to be called in any thread."""
        assert self.session.clip is not None
        compared = [self.readings[r.name] for r in self.state.compared]
        shape = self.session.clip.shape[1:]

        def planes(frame: int, who: str | None) -> dict[str, NDArray[np.uint8]]:
            panel = [r for r in compared if who in (None, r.name)]
            return planes_of(panel, frame, ruling.event.class_index, shape)

        return partial(becoming, ruling.verdict, ruling.regions, ruling.source, planes)

    def _read_now(self, ruling: PendingDecision) -> Becoming:
        return self._work_on(ruling)(lambda *_: None, lambda: False)  # type: ignore[no-any-return]

    def _rule_before_leaving(self) -> None:
        """Carry out at once what is pending: a verdict that was given is not lost."""
        ruling, self._ruling = self._ruling, None
        if ruling is not None:
            try:
                self._rule(ruling, self._read_now(ruling))
            except (StoreError, OSError) as error:
                self.session.message = f"The latest verdict was not carried out: {error}"

    # ---- the edit --------------------------------------------------------------------------

    def _rule(self, ruling: PendingDecision, found: Becoming) -> Stroke | None:
        session, c = self.session, ruling.event.class_index
        edit = rule(
            ruling.verdict,
            found,
            c,
            ruling.case,
            source=ruling.source,
            mine=session.planes[session.classes[c].name],
            status=session.status[:, c],
            closed=self._closed_by(c, [region for region, _ in found]),
        )
        if edit is None:
            return None
        self._deciding = True
        try:
            return session.commit(edit)
        finally:
            self._deciding = False

    def _closed_by(self, class_index: int, regions: Iterable[Region]) -> set[int]:
        """Return the frames on which nothing of this class is open once `regions` are decided."""
        deciding = set(map(id, regions))
        frames = {r.frame for r in regions}
        still = {
            r.frame
            for i in self.state.items
            if i.event.class_index == class_index
            for r in i.open
            if id(r) not in deciding
        }
        return frames - still

    # ---- by hand --------------------------------------------------------------------------

    def correct(self) -> None:
        """Let the disagreement on the desk be painted by hand, until this is called again."""
        item = self.state.item
        if self._before is not None:
            self.finish_correcting()
            return
        if item is None or not self.state.can_decide:
            return
        session = self.session
        name = session.classes[item.event.class_index].name
        session.class_name, session.hidden = name, session.hidden - {name}
        session.marks_shown, session.tool = True, Tool.BRUSH
        self._before = self._sums(item)
        self._settle()

    def finish_correcting(self) -> Stroke | None:
        """Keep what was painted by hand as the decision on those frames; None if nothing was."""
        item, before = self.state.item, self._before
        self._before = None
        if before is None or item is None:
            return None
        now = self._sums(item)
        painted = {t for t in now if now[t] != before.get(t)}
        regions = tuple(r for r in item.event.regions if r.frame in painted)
        ruling = PendingDecision("correct", None, item.event, regions, self.case())
        stroke = self._rule(ruling, [(r, None) for r in regions]) if regions else None
        if not regions:
            self.session.message = "Nothing was painted: this disagreement is still open."
        self._settle()
        return stroke

    def _sums(self, item: Item) -> dict[int, int]:
        plane = self.session.planes[self.session.classes[item.event.class_index].name]
        return {t: zlib.crc32(plane[t]) for t in item.event.frames}
