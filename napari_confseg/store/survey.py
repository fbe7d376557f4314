"""The same question to every clip of a cohort, side by side, its answers remembered."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zarr.storage import ObjectStore

from napari_confseg.store.answers import Answers
from napari_confseg.store.attributes import is_whole
from napari_confseg.store.backend import KeyValueStore, place
from napari_confseg.store.clip import Clip
from napari_confseg.store.errors import Problem, StoreError, sentence
from napari_confseg.store.lease import IMPORT_LOCK
from napari_confseg.store.listed import ListedStore
from napari_confseg.store.revisions import CHANGES
from napari_confseg.store.schema import check_slug
from napari_confseg.store.threads import REQUESTS, THREADS, map_bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

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
        Whether the answer depends on planes, not on status, record, notes and attributes alone.
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
    """
    names = list(clips) or [n for n in KeyValueStore(cohort.store).children("") if n not in _OTHERS]
    known = Answers(_identity(cohort, question)) if question.name else None
    new: list[tuple[str, str, bytes]] = []
    try:
        for done, answer in enumerate(_answers(cohort, question, names, known, processes)):
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


def _identity(cohort: Cohort, question: Question) -> str:
    facts = [place(cohort.store), cohort.meta.model_dump_json(), question.name]
    return hashlib.blake2b("\0".join(facts).encode(), digest_size=16).hexdigest()


def _answers(
    cohort: Cohort,
    question: Question,
    names: Sequence[str],
    known: Answers | None,
    processes: bool,
) -> Iterator[Answer]:
    def look(name: str) -> Answer:
        return answer_of(cohort, question, name, known)

    threads = REQUESTS if isinstance(cohort.store, ObjectStore) else THREADS
    workers = min(os.cpu_count() or 1, 8)
    if not processes or workers == 1 or threads == REQUESTS or len(names) < PROCESSES_FROM:
        yield from map_bounded(look, names, threads=threads)
        return
    # What is remembered needs no other process; most often that is all.
    found = {a.clip: a for a in (_remembered(cohort, question, n, known) for n in names) if a}
    missing = [n for n in names if n not in found]
    if len(missing) < PROCESSES_FROM:
        yield from map_bounded(lambda n: found.get(n) or look(n), names)
        return
    rest = _in_processes(cohort, question, missing, workers)
    for name in names:
        yield found.get(name) or next(rest)


def _remembered(
    cohort: Cohort, question: Question, name: str, known: Answers | None
) -> Answer | None:
    if known is None:
        return None
    try:
        store = ListedStore(cohort.store, name, planes=question.planes)
    except OSError:
        return None
    data = known.find(name, store.signature())
    return None if data is None else Answer(name, data)


def answer_of(cohort: Cohort, question: Question, name: str, known: Answers | None) -> Answer:
    """Return the answer of the clip called `name`; an empty one if it is none of ours."""
    try:
        store = cohort.store
        signature = None
        if ListedStore.can_list(store):
            store = listed = ListedStore(cohort.store, name, planes=question.planes)
            signature = listed.signature() if question.name else None
        if known and signature and (data := known.find(name, signature)) is not None:
            return Answer(name, data)
        if not is_whole(KeyValueStore(store), name):
            return Answer(name)  # a file, or a clip that is being imported
        clip = Clip(store, checked_name(name), cohort.meta)
        return Answer(name, question.ask(clip), signature=signature)
    except StoreError as error:
        return Answer(name, problems=error.problems)
    except Exception as error:  # whatever one clip holds, the others are asked
        return Answer(
            name, problems=(Problem("unreadable", name, f"It cannot be read: {sentence(error)}"),)
        )


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


def _in_processes(
    cohort: Cohort, question: Question, names: Sequence[str], workers: int
) -> Iterator[Answer]:
    # Not forked: threads of ours may hold locks at this moment.
    context = multiprocessing.get_context("spawn")
    pending: deque[Future[list[Answer]]] = deque()
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        try:
            for start in range(0, len(names), _BATCH):
                some = names[start : start + _BATCH]
                pending.append(pool.submit(_ask_some, cohort, question, some))
                if len(pending) >= 4 * workers:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _ask_some(cohort: Cohort, question: Question, names: Sequence[str]) -> list[Answer]:
    return [answer_of(cohort, question, name, None) for name in names]
