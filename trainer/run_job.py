"""Execution of a run folder's request, from its first event to ``result.json``."""

from __future__ import annotations

import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

from napari_confseg.extras import missing
from napari_confseg.job import (
    LOG,
    RESULT,
    Cancelled,
    Failed,
    Finished,
    FitRequest,
    JobError,
    RunFolder,
)
from napari_confseg.store import StoreError
from napari_confseg.store.errors import sentence
from trainer.errors import TrainError
from trainer.progress import Reporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.job import Event, Result


def execute(folder: RunFolder, listen: Callable[[Event], None] = lambda _: None) -> Result | None:
    """Execute ``job.json``, resuming an earlier attempt.

    A run that ``result.json`` names as stopped is resumed, and its cancel request is cleared; a
    cancel request that has not been obeyed yet stays. A finished run stays finished.

    Returns
    -------
    Result or None
        The result; None if it failed, which the last event explains.

    Raises
    ------
    JobError
        If this is no run folder, or another process works in it.
    """
    request = folder.request()
    with folder.hold():
        earlier = folder.result()
        if earlier is not None:
            if not earlier.stopped:
                listen(Finished())
                return earlier
            folder.clear_cancel()
            (folder.path / RESULT).unlink()
        report = Reporter(folder, listen)
        try:
            report.progress(0, 0, "Loading the libraries")
            if isinstance(request, FitRequest):
                from trainer.fit import fit

                result = fit(folder, request, report)
            else:
                from trainer.marking import predict

                result = predict(folder, request, report)
            folder.finish(result)
            report.emit(Cancelled() if result.stopped else Finished())
        except KeyboardInterrupt:
            report.fail(Failed(error="Interrupted", hint="Run it again to resume."))
            return None
        except Exception as error:  # of any kind: the panel must get a sentence
            report.fail(_explain(error, folder))
            return None
        return result


def _explain(error: Exception, folder: RunFolder) -> Failed:
    if isinstance(error, TrainError):
        return Failed(error=error.error, hint=error.hint)
    if isinstance(error, (StoreError, JobError)):
        return Failed(error=str(error))
    if isinstance(error, OSError) and error.errno is not None:
        return Failed(
            error=f"The disk refused: {sentence(error)} ({error.filename or folder.path})",
            hint="Free some space or choose another place, and run it again to resume.",
        )
    if isinstance(error, MemoryError):
        return Failed(error="Memory ran out", hint="Close what else uses it, or choose 'quick'.")
    if isinstance(error, RuntimeError):
        from trainer.parallel import LOST, is_lost  # torch is there already

        if is_lost(error):
            return Failed(error=LOST.error, hint=LOST.hint)
    if "out of memory" in str(error).lower():
        return Failed(
            error="The device ran out of memory",
            hint="Close what else uses it, or choose size 'quick' or device 'cpu'.",
        )
    if isinstance(error, ImportError) and (found := missing(error, "This run")):
        return Failed(error=found.sentence, hint=found.install)
    # For the developer: also where no viewer started the run, which would keep its log.
    with suppress(OSError), (folder.path / LOG).open("a", encoding="utf-8") as log:
        traceback.print_exception(error, file=log)
    hint = f"{LOG} in the run's folder holds the details."
    return Failed(error=f"{type(error).__name__}: {error}", hint=hint)
