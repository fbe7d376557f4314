"""Raters of every kind in every panel; and a panel's failure, which the session survives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest
from qtpy.QtWidgets import QCheckBox

from napari_confseg.store import RATER_KINDS, Cohort, RaterKind, StoreError, rater_label
from napari_confseg.widgets.calibrate.panel import CalibratePanel
from napari_confseg.widgets.dataset.panel import DatasetPanel
from napari_confseg.widgets.panel import Panel
from napari_confseg.widgets.review.panel import ReviewPanel
from napari_confseg.widgets.train.panel import TrainPanel
from tests.conftest import add_clip
from tests.every_rater import READERS, add_every_kind, name_of
from tests.widgets.bench import Bench, let_go

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Failures

KINDS = get_args(RaterKind)


class Panels:
    """All panels over one session, without a canvas."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        viewer = bench.viewer
        self.review, self.calibrate = ReviewPanel(viewer), CalibratePanel(viewer)
        self.dataset, self.train = DatasetPanel(viewer), TrainPanel(viewer)
        self.made = (self.review, self.calibrate, self.dataset, self.train)
        for panel in self.made:
            panel.resize(380, 800)
            panel.show()

    def settle(self) -> None:
        """Wait until every panel has looked who is there."""
        self.bench.until(lambda: not self.calibrate._search.busy)
        self.bench.until(lambda: self.dataset.tasks.free and self.dataset.model.state.found)
        self.bench.until(lambda: self.train.training.state.next_run.raters)
        review = self.review
        self.bench.until(lambda: review.review.state.pending is None and not review.jobs.busy)

    def close(self) -> None:
        for panel in self.made:
            let_go(panel)


@pytest.fixture
def panels(unseen_bench: Bench) -> Iterator[Panels]:
    made = Panels(unseen_bench)
    yield made
    made.close()


def boxes(widget: Any) -> dict[str, bool]:
    return {b.text(): b.isChecked() for b in widget.findChildren(QCheckBox)}


def title(kind: RaterKind) -> str:
    label = "Adjudicated by anna" if kind == "adjudicated" else name_of(kind)
    return rater_label(name_of(kind), label, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_panel_shows_a_rater_of_every_kind(
    panels: Panels, cohort: Cohort, kind: RaterKind
) -> None:
    add_every_kind(cohort, kind)
    panels.bench.open(cohort, reader="Dr. Lead")
    panels.settle()
    info, words = RATER_KINDS[kind], title(kind)
    assert info.label in words.lower()

    assert words in {b.text() for b in panels.bench.panel.form.others.boxes.values()}
    compared = panels.review.compare.boxes
    assert compared[name_of(kind)].toolTip() == f"Compare {words}"
    assert compared[name_of(kind)].isChecked() is info.compared
    offered = [
        panels.calibrate.reference.itemText(i) for i in range(panels.calibrate.reference.count())
    ]
    assert (f"{words} · 12 new frames" in offered) is (info.reference is not None)
    dataset = panels.dataset
    assert boxes(dataset.agreement.raters)[words] is info.compared
    assert boxes(dataset.consensus.raters)[words] is info.learnt
    # A consensus that was made here is what one builds from, else the readers.
    assert boxes(dataset.build.raters)[words] is (info.learnt or kind == "consensus")
    learnt = {r.label: r.chosen for r in panels.train.training.state.next_run.raters}
    assert learnt.get(words) == (info.learnt if info.teaches else None)

    # Going on to another cohort and back: nobody has raised.
    panels.bench.session.close_cohort()
    assert panels.bench.panel.cohort_actions.open(cohort.location)


def test_a_truth_is_the_first_choice_then_a_consensus(panels: Panels, cohort: Cohort) -> None:
    add_every_kind(cohort)
    panels.bench.open(cohort, reader="Dr. Lead")
    panels.settle()
    chooser = panels.calibrate.reference
    assert [chooser.itemData(i) for i in range(chooser.count())] == [
        "the-truth",
        "the-consensus",
        "adjudicated",
    ]
    assert chooser.currentData() == "the-truth"
    assert set(panels.dataset.model.state.found[0].__dict__) >= {"kind", "learnt"}
    assert len({r.label for r in panels.train.training.state.next_run.raters}) == len(
        panels.train.training.state.next_run.raters
    )


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "human"])
def test_nobody_reads_under_a_name_that_is_taken(
    unseen_bench: Bench, cohort: Cohort, kind: RaterKind
) -> None:
    add_every_kind(cohort, kind)
    name, bench = name_of(kind), unseen_bench
    assert not bench.panel.cohort_actions.open(cohort.location, name)
    assert bench.session.cohort is None
    assert f"is of kind '{RATER_KINDS[kind].label}'" in bench.session.message
    bench.open(cohort, reader="Dr. Ada")
    with pytest.raises(StoreError, match="Choose another name"):
        bench.session.reader.choose(name)
    assert bench.session.rater == "dr-ada"
    assert bench.session.clip is not None
    assert bench.session.reader.choose("Anna") == "anna"  # a reader's own


class Broken(Panel):
    """A panel that can't show a cohort."""

    def __init__(self, viewer: Any) -> None:
        super().__init__(viewer)
        self.box = QCheckBox()
        self.scroll(self.box)
        self.heard: list[str] = []
        events = self.session.events
        self.listen((events.cohort, self._on_cohort), (events.clip, self._on_clip))

    def _on_cohort(self, cohort: Cohort) -> None:
        raise KeyError("adjudicated")

    def _on_clip(self) -> None:
        self.heard.append("clip")


def test_a_failing_panel_stops_nobody(
    unseen_bench: Bench, cohort: Cohort, tmp_path: Path, failures: Failures
) -> None:
    failures.expected = True
    bench = unseen_bench
    broken, later = Broken(bench.viewer), CalibratePanel(bench.viewer)
    for panel in (broken, later):
        panel.show()
    assert not broken._failed.isVisible()
    bench.open(cohort)
    assert broken._failed.isVisible()
    assert "KeyError: 'adjudicated'" in broken._failed._error.text()
    assert len(failures.found) == 1
    assert "Traceback" in failures.found[0]
    # Who listens after it has heard, here and in the other panels.
    assert broken.heard == ["clip"]
    assert bench.session.clip is not None
    assert "no reference" in later.note.text() or later._search.busy

    other = Cohort.create(tmp_path / "other.zarr", name="other")
    add_clip(other, "clip-9")
    assert bench.panel.cohort_actions.open(other.location)
    assert bench.panel.cohort_actions.open_clip("clip-9")
    assert bench.session.clip.name == "clip-9"
    assert bench.panel.form.head.isVisibleTo(bench.panel)
    let_go(broken)
    heard = len(broken.heard)
    bench.session.close_clip()
    assert len(broken.heard) == heard
    let_go(later)


def test_readers_are_told_apart_from_programs() -> None:
    assert rater_label("anna", "Anna", "human") == "Anna (reader)"
    assert rater_label("anna-2", "Anna", "imported") == "anna-2: Anna (imported)"
    assert rater_label("reader-a", "Reader A", "human") == "Reader A"
    assert rater_label("adjudicated", "Adjudicated by Anna", "adjudicated") == "Adjudicated by Anna"
    assert rater_label("calibrated", "calibrated of 2 raters", "consensus") == (
        "calibrated of 2 raters (consensus)"
    )
    assert len({rater_label(r, r, "human") for r in READERS}) == len(READERS)
