"""Fixtures that every test may use."""

from __future__ import annotations

import gc
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.store import ClipMeta, Cohort, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling
    from xdist.workermanage import WorkerController

_skipped: dict[str, str] = {}
"""Tests and modules skipped, with the reason; those that need a GPU are left out."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("gpu") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a GPU")


def pytest_collection_finish() -> None:
    """Let garbage wait for the main thread, and keep what was imported out of the search for it.

    A thread of one test that collects would destroy timers which a window of another has left,
    and Qt would call them once more.
    """
    gc.collect()
    gc.freeze()
    gc.disable()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the order below: pytest-xdist would begin with the files of the most tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest files, so that no worker is left alone with one at the end."""
    root = Path(__file__).parent
    first = ("journey", "widgets", "trainer", root.name, "fuzz", "store", "ingest")

    def rank(item: pytest.Item) -> int:
        folder, *below = item.path.relative_to(root).parts
        if not below:  # beside this file, where whole processes are started
            folder = root.name
        return first.index(folder) if folder in first else len(first)

    items.sort(key=rank)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Collect what the test left, and now and then what older ones did."""
    yield
    if nextitem is None or nextitem.path != item.path:
        # What outlives a file is there to stay. Windows collect again and again as they close,
        # and would search through all of it each time.
        gc.collect()
        gc.freeze()
        return
    _, young, old = (n > limit for n, limit in zip(gc.get_count(), gc.get_threshold(), strict=True))
    gc.collect(2 if old else 1 if young else 0)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a skipped test."""
    if report.skipped and not hasattr(report, "wasxfail") and "gpu" not in report.keywords:
        _note_skip(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note a skipped module."""
    if report.skipped:
        _note_skip(report)


def _note_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    _skipped[report.nodeid] = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run of the CI that skipped a test: there, everything that tests use is installed."""
    is_worker = hasattr(session.config, "workerinput")  # of pytest-xdist; the first process fails
    if _skipped and os.environ.get("CI") and not is_worker and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what the CI may not skip."""
    if _skipped and os.environ.get("CI"):
        terminalreporter.section("skipped, which the CI takes for a failure", red=True)
        for name, reason in _skipped.items():
            terminalreporter.line(f"{name}: {reason}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """Give a crashed worker's unfinished files, and no others, to the worker that replaces it.

    pytest-xdist 3.8 hands over the finished ones too, for which nobody ever reports a test, and
    waits for ever: a crash that should fail a run of ten minutes would hang it.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def remove_node(self, node: WorkerController) -> str | None:
            work = self.assigned_work[node]
            for name in [name for name, tests in work.items() if all(tests.values())]:
                del work[name]
            return super().remove_node(node)

    return Scheduling(config, log)


def clip_meta(n_frames: int, *, patient: str = "p1", fps: float = 20.0) -> ClipMeta:
    """Metadata of a plain clip."""
    times = tuple(i / fps for i in range(n_frames))
    provenance = Provenance(source_sha256="0" * 64, decoder="test")
    return ClipMeta(patient=patient, frame_times=times, provenance=provenance)


def add_clip(
    cohort: Cohort,
    name: str = "clip-1",
    *,
    n_frames: int = 6,
    shape: tuple[int, int] = (48, 64),
    patient: str = "p1",
) -> None:
    """Add a clip of seeded noise to `cohort`."""
    rng = np.random.default_rng(sum(map(ord, name)))
    with cohort.new_clip(name, shape=shape) as new:
        for _ in range(n_frames):
            new.append(rng.integers(0, 255, shape, dtype=np.uint8))
        new.finish(clip_meta(n_frames, patient=patient))


@pytest.fixture(autouse=True)
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private place for what is remembered of cohorts."""
    path = tmp_path / "cache"
    monkeypatch.setenv("CONFSEG_CACHE_DIR", str(path))
    return path


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private place for journals."""
    path = tmp_path / "state"
    monkeypatch.setenv("CONFSEG_STATE_DIR", str(path))
    return path


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    """A small cohort on disk: two clips of two patients, nobody has marked anything."""
    made = Cohort.create(tmp_path / "cohort.zarr", name="toy")
    add_clip(made, "clip-1", patient="p1")
    add_clip(made, "clip-2", patient="p2")
    return made


class Failures(logging.Handler):
    """What handlers of panels and models raised, which the session survives."""

    def __init__(self) -> None:
        super().__init__()
        self.expected = False
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.found.append(self.format(record))


@pytest.fixture(autouse=True)
def failures() -> Iterator[Failures]:
    """A test fails if a guarded handler raised, unless it says that it expects one."""
    heard, log = Failures(), logging.getLogger("napari_confseg.annotate.links")
    log.addHandler(heard)
    yield heard
    log.removeHandler(heard)
    assert heard.expected or not heard.found, "\n".join(heard.found)
