"""The same question to every clip of a cohort, side by side, its answers remembered."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zarr.storage import LocalStore, ObjectStore

from napari_confseg.store.answers import Answers
from napari_confseg.store.attributes import is_whole
from napari_confseg.store.backend import KeyValueStore, place
from napari_confseg.store.clip import Clip
from napari_confseg.store.errors import Problem, StoreError, sentence
from napari_confseg.store.lease import IMPORT_LOCK
from napari_confseg.store.listed import ListedStore, can_list, signature_of
from napari_confseg.store.revisions import CHANGES
from napari_confseg.store.schema import check_slug
from napari_confseg.store.threads import REQUESTS, map_bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from zarr.abc.store import Store

    from napari_confseg.store.cohort import Cohort

PROCESSES_FROM = 100
"""Clips from which it pays to start processes, which takes each a second or two."""
_BATCH = 8
_OTHERS = {"zarr.json", IMPORT_LOCK, CHANGES}


@dataclass(frozen=True)
class Question:
    """What is asked of each clip.

    Attributes
    ----------
    ask : callable
        Takes a :class:`Clip` and returns plain data (JSON). Picklable, to be asked in processes.
    name : str
        What it is called in the cache, its options and version included; not remembered if empty.
    planes : bool
        Whether the answer depends on raters' planes, not on status, record, notes and attributes
        alone. On frames it must not depend, if it is remembered.
    """

    ask: Callable[[Clip], Any]
    name: str = ""
    planes: bool = True


@dataclass(frozen=True)
class Answer:
    """What came of the question on one clip: data, or the reason why there are none."""

    clip: str
    data: Any = None
    problems: tuple[Problem, ...] = ()
    signature: str | None = None


def survey(
    cohort: Cohort,
    question: Question,
    *,
    clips: Sequence[str] = (),
    processes: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    seen: dict[str, str] | None = None,
) -> Iterator[Answer]:
    """Yield the answer of each clip, in order; one that can't be read stops no other.

    Parameters
    ----------
    cohort : Cohort
        Where.
    question : Question
        What.
    clips : sequence of str
        Which; all if empty.
    processes : bool
        Whether other processes may be started; only for programs whose main module may be imported
        again.
    progress : callable, optional
        Called with (clips done, clips, name).
    cancelled : callable, optional
        If it returns true, nothing more is yielded.
    seen : dict, optional
        Signatures of clips, for two questions one after the other: taken from here if they are
        here, else put here.
    """
    names = _asked_names(cohort, clips)
    known = Answers(identity(cohort, question.name)) if question.name else None
    new: list[tuple[str, str, bytes]] = []
    asked = _Asked(cohort, question, known, bool(clips), {} if seen is None else seen)
    try:
        for done, answer in enumerate(_answers(asked, names, processes)):
            if cancelled and cancelled():
                return
            if progress:
                progress(done, len(names), answer.clip)
            if isinstance(answer.data, bytes):  # from the cache, still packed
                yield Answer(answer.clip, json.loads(answer.data))
                continue
            if answer.signature and answer.data is not None:
                new.append((answer.clip, answer.signature, json.dumps(answer.data).encode()))
            if answer.data is not None or answer.problems:
                yield answer
    finally:
        if known and new:
            known.keep(new)


def identity(cohort: Cohort, question: str) -> str:
    """Return what tells a question to this cohort from all others, for :class:`Answers`."""
    facts = [place(cohort.store), cohort.meta.model_dump_json(), question]
    return hashlib.blake2b("\0".join(facts).encode(), digest_size=16).hexdigest()


def clip_signatures(
    cohort: Cohort, clips: Sequence[str], seen: dict[str, str]
) -> list[tuple[str, str]]:
    """Return the signature of each clip, planes included; nothing where none come cheaply."""
    if not isinstance(cohort.store, LocalStore):
        return []
    names = _asked_names(cohort, clips)
    for name in names:
        if name not in seen:
            seen[name] = signature_of(cohort.store, name, planes=True)
    return [(name, seen[name]) for name in names]


def _asked_names(cohort: Cohort, clips: Sequence[str]) -> list[str]:
    found = list(clips) or KeyValueStore(cohort.store).children("")
    return [name for name in found if name not in _OTHERS]


@dataclass(frozen=True)
class _Asked:
    """A question, where, and what is known already."""

    cohort: Cohort
    question: Question
    known: Answers | None
    named: bool
    seen: dict[str, str]

    def remembered(self, name: str) -> Answer | None:
        """Return the answer of the clip called `name` if it is known and the clip as it was."""
        if self.known is None or not isinstance(self.cohort.store, LocalStore):
            return None
        try:
            data = self.known.find(name, self._signature(self.cohort.store, name))
        except OSError:
            return None
        return None if data is None else Answer(name, data)

    def _signature(self, store: Store, name: str) -> str:
        if name not in self.seen:
            self.seen[name] = signature_of(store, name, planes=self.question.planes)
        return self.seen[name]

    def answer(self, name: str) -> Answer:
        """Return the answer of the clip called `name`; an empty one if it is none of ours."""
        try:
            return self._ask(name)
        except StoreError as error:
            return Answer(name, problems=error.problems)
        except Exception as error:  # whatever one clip holds, the others are asked
            problem = Problem("unreadable", name, f"It cannot be read: {sentence(error)}")
            return Answer(name, problems=(problem,))

    def _ask(self, name: str) -> Answer:
        store, signature = self.cohort.store, None
        if (found := self.remembered(name)) is not None:
            return found
        if can_list(store):
            # Before anything is read: what changes meanwhile is seen the next time.
            if isinstance(store, LocalStore) and self.question.name:
                signature = self._signature(store, name)
            store = ListedStore(store, name, planes=self.question.planes)
            if signature is None and self.question.name:
                signature = self._signature(store, name)
            if self.known and signature and (data := self.known.find(name, signature)) is not None:
                return Answer(name, data)
        if not is_whole(KeyValueStore(store), name):
            if self.named:
                raise StoreError(Problem("missing", name, "There is no such clip"))
            return Answer(name)  # a file, or a clip that is being imported
        clip = Clip(store, checked_name(name), self.cohort.meta)
        return Answer(name, self.question.ask(clip), signature=signature)


def _answers(asked: _Asked, names: Sequence[str], processes: bool) -> Iterator[Answer]:
    if isinstance(asked.cohort.store, ObjectStore):
        yield from map_bounded(asked.answer, names, threads=REQUESTS)
        return
    # What is remembered takes system calls and little else: threads would only be in the way.
    found = {name: answer for name in names if (answer := asked.remembered(name))}
    missing = [name for name in names if name not in found]
    workers = min(os.cpu_count() or 1, 8)
    if processes and workers > 1 and len(missing) >= PROCESSES_FROM:
        rest = _in_processes(asked, missing, workers)
    else:
        rest = map_bounded(asked.answer, missing)
    for name in names:
        yield found.pop(name) if name in found else next(rest)


def checked_name(name: str) -> str:
    """Return `name` if it is legal for a clip.

    Raises
    ------
    StoreError
        With code ``name``.
    """
    try:
        return check_slug(name)
    except ValueError as error:
        raise StoreError(
            Problem("name", name, f"This is no legal name: {error}", hint="Rename the folder.")
        ) from error


def _in_processes(asked: _Asked, names: Sequence[str], workers: int) -> Iterator[Answer]:
    asked = replace(asked, known=None)  # none of these is
    # Not forked: threads of ours may hold locks at this moment.
    context = multiprocessing.get_context("spawn")
    pending: deque[Future[list[Answer]]] = deque()
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        try:
            for start in range(0, len(names), _BATCH):
                some = names[start : start + _BATCH]
                seen = {name: asked.seen[name] for name in some if name in asked.seen}
                pending.append(pool.submit(_ask_some, replace(asked, seen=seen), some))
                if len(pending) >= 4 * workers:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _ask_some(asked: _Asked, names: Sequence[str]) -> list[Answer]:
    return [asked.answer(name) for name in names]
