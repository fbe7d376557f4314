"""The active model of the open cohort: what it is now, and a change that is under way.

Store and weights are read beside the window: a bucket takes its time to answer. A run is compared
with the active model by ``confseg-train activate``, in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_confseg.job import ActiveModel, active_model, go_back
from napari_confseg.store import StoreError
from napari_confseg.store.errors import sentence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_confseg.store import Cohort

_LONGEST_WAIT = 3600.0  # seconds that a comparison may take


@dataclass(frozen=True)
class Activation:
    """What the panel shows of the active model.

    Attributes
    ----------
    model : ActiveModel or None
        The active model; None while nobody has looked.
    busy : str
        What is being done, in words; empty if nothing is.
    problem : str
        Why the latest change was refused.
    refused : Path or None
        The run that was refused: a person may insist on it.
    """

    model: ActiveModel | None = None
    busy: str = ""
    problem: str = ""
    refused: Path | None = None

    @property
    def can_go_back(self) -> bool:
        """Whether a change is left to take back."""
        return self.model is not None and self.model.changes > 0


class ActiveModelKeeper:
    """Reads and changes the active model of one cohort; :meth:`poll` takes in what came of it.

    Parameters
    ----------
    cohort : Cohort
        The open cohort.
    """

    def __init__(self, cohort: Cohort) -> None:
        self._cohort = cohort
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="confseg-active")
        self._doing: Future[Activation] | None = None
        self.state = Activation()
        self.look()

    @property
    def busy(self) -> bool:
        """Whether something is being read or changed."""
        return self._doing is not None

    def look(self) -> None:
        """Read it anew, unless something is under way."""
        if self._doing is None:
            problem, refused = self.state.problem, self.state.refused
            self._begin(self.state.busy, lambda: self._read(problem, refused))

    def make_active(self, run: Path, by: str, *, insist: str = "") -> None:
        """Compare `run` with the active model, and let it take its place if it is not worse.

        Parameters
        ----------
        run : Path
            Its folder.
        by : str
            Who asks.
        insist : str
            That person's reason not to compare.
        """
        words = f"Making {run.name} active…" if insist else f"Comparing {run.name}…"
        self._begin(words, lambda: self._activated(run, by, insist))

    def go_back(self, by: str) -> None:
        """Take back the latest change."""
        self._begin("Going back…", lambda: self._gone_back(by))

    def poll(self) -> None:
        """Take in what is done."""
        if self._doing is not None and self._doing.done():
            doing, self._doing = self._doing, None
            self.state = doing.result()

    def close(self) -> None:
        """Let go of the thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _begin(self, words: str, work: Callable[[], Activation]) -> None:
        if self._doing is not None:
            self._doing.cancel()  # of a look nobody waits for
        self.state = Activation(self.state.model, words, self.state.problem, self.state.refused)
        self._doing = self._executor.submit(work)

    def _read(self, problem: str = "", refused: Path | None = None) -> Activation:
        try:
            return Activation(active_model(self._cohort), problem=problem, refused=refused)
        except (StoreError, OSError) as error:
            return Activation(problem=f"{sentence(error)}.")

    def _activated(self, run: Path, by: str, insist: str) -> Activation:
        command = [sys.executable, "-P", "-m", "napari_confseg.launcher", "activate", str(run)]
        command += [self._cohort.location, "--by", by, "--threads", "1", "--json"]
        command += ["--insist", insist] if insist else []
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=_LONGEST_WAIT,
                check=False,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except (OSError, subprocess.SubprocessError) as error:
            return self._read(f"The trainer can't be started: {sentence(error)}.", run)
        if done.returncode == 0:
            return self._read()
        return self._read(done.stderr.strip().removeprefix("confseg-train: "), run)

    def _gone_back(self, by: str) -> Activation:
        try:
            self._cohort.meta = self._cohort.read_meta()
            go_back(self._cohort, by=by)
        except (StoreError, OSError) as error:
            return self._read(sentence(error))
        return self._read()
