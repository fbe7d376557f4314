"""The whole road in one real window, from a video to a model's marks accepted as one's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_confseg.store import validate
from napari_confseg.widgets.layers.layer_guard import layer_name
from tests.ingest.films import SHIPPED, film, independent, moving
from tests.journey.artefacts import (
    B_LINE,
    CLASSES,
    PLEURA,
    array,
    attributes,
    dice,
    frames,
    json_lines,
    planes,
    record,
    reviewed,
)
from tests.journey.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ADA, BO, LEAD = "Dr. Ada", "Dr. Bo", "Dr. Lead"
ADJUDICATED = "adjudicated"


@pytest.fixture
def window(make_napari_viewer: Callable[..., Any], state_dir: Path) -> Iterator[Window]:
    made = Window(make_napari_viewer(show=True))
    yield made
    made.close()


class Road:
    """The stations, one after the other; each asserts what it leaves on disk."""

    def __init__(self, window: Window, folder: Path) -> None:
        self.window = window
        self.folder = folder
        self.cohort = folder / "ward.zarr"
        self.clips: list[str] = []
        self.run = ""
        self.painted: dict[tuple[str, str], np.ndarray] = {}

    def clip(self, index: int) -> Path:
        return self.cohort / self.clips[index]

    def import_three_clips(self) -> None:
        window = self.window
        assert window.annotate.cohort_actions.create(str(self.cohort), ADA)
        real = SHIPPED[1]
        mirrored = [f[::-1, ::-1] for f in moving(5, (96, 128))]  # or frames of two parts are alike
        self.clips = [
            window.import_clip(real, "p1"),
            window.import_clip(film(self.folder / "b.mp4", moving(4, (96, 128))), "p2"),
            window.import_clip(film(self.folder / "c.mp4", mirrored), "p3"),
        ]
        meta = [attributes(self.clip(i)) for i in range(3)]
        assert [m["patient"] for m in meta] == ["p1", "p2", "p3"]
        pixels, seconds = independent(real)
        stored = frames(self.clip(0))
        assert np.array_equal(stored, pixels)
        assert np.allclose(meta[0]["frame_times"], seconds)
        assert [frames(self.clip(i)).shape for i in (1, 2)] == [(4, 96, 128), (5, 96, 128)]

    def two_readers_paint(self) -> None:
        window = self.window
        for name, rater, order in ((ADA, "dr-ada", 1), (BO, "dr-bo", -1)):
            if name != ADA:
                window.read_as(name)
            for clip in self.clips[::order]:
                window.open(clip)
                self.paint(rater, clip)
            assert window.session.flush()
        window.at_the_foot(window.annotate, window.annotate.form.save_state)
        for (rater, clip), painted in self.painted.items():
            assert np.array_equal(planes(self.cohort / clip, rater), painted)
            assert set(np.unique(painted)) == {0, 60, 90} | ({30} if rater == "dr-ada" else set())
            done = reviewed(self.cohort / clip, rater)
            assert done[:2].all()
            assert not done[2:].any()
        told = [s for s in record(self.clip(0), "dr-ada") if s["tool"] == "brush"]
        assert [(s["class_index"], s["confidence"], s["frame"], s["undone"]) for s in told] == [
            (PLEURA, 90, 0, False),
            (B_LINE, 60, 0, False),
            (B_LINE, 30, 0, False),
            (B_LINE, 30, 0, True),
        ]
        assert sum(s["pixels"] for s in told[:1]) == (planes(self.clip(0), "dr-ada") == 90).sum()

    def paint(self, rater: str, clip: str) -> None:
        """Two frames of a clip: on the first the pleura and B-lines, on the second nothing."""
        window, session, real = self.window, self.window.session, clip == self.clips[0]
        assert session.rater == rater
        session.brush_size = 8
        session.frame = 0
        window.stroke(("G", "0"), (30, 20), (30, 100))
        window.stroke(("J", "9"), (45, 40), (80, 44))
        if rater == "dr-ada":
            window.stroke(("8",), (45, 80), (80, 84))
        if real and rater == "dr-bo":  # what Ada does not see
            window.stroke(("0",), (120, 150), (200, 160))
        if real and rater == "dr-ada":
            window.stroke((), (150, 30), (160, 40))
            self.undo_redo_undo(rater, clip)
        window.hand.key("Shift+Return")
        session.frame = 1
        window.hand.key("Shift+Return")
        painted = np.stack([session.planes[c] for c in CLASSES], axis=1)
        self.painted[rater, clip] = painted

    def undo_redo_undo(self, rater: str, clip: str) -> None:
        window, plane = self.window, self.window.session.planes["b-line"][0]
        slipped = plane.copy()
        assert slipped[155, 35] == 30
        window.hand.key("Ctrl+Z")
        clean = plane.copy()
        assert not clean[140:].any()
        window.hand.key("Ctrl+Shift+Z")
        assert np.array_equal(plane, slipped)
        window.hand.key("Ctrl+Z")
        assert np.array_equal(plane, clean)

    def a_lead_adjudicates(self) -> None:
        window, panel = self.window, self.window.review
        window.read_as(LEAD)
        window.open(self.clips[0])
        window.turn_to(panel)
        window.settle()
        assert panel.queue.bar.text() == "0 of 1 decided"
        window.click(panel.begin)
        window.settle()
        window.hand.key("Period")
        assert (window.session.class_name, window.session.frame) == ("b-line", 0)
        window.click(panel.verdicts.accepts["dr-bo"])
        assert panel.queue.bar.text() == "1 of 1 decided"
        for _ in self.clips[1:]:  # nothing to decide there: what both say is copied
            window.click(panel.clips.next)
            window.settle()
            assert panel.queue.bar.text() == "No disagreement"
        window.click(panel.end)
        window.settle()
        for i in range(3):
            ada, bo, decided = (planes(self.clip(i), r) for r in ("dr-ada", "dr-bo", ADJUDICATED))
            says_yes = (ada >= 60) | (bo >= 60)
            expected = np.where(says_yes, (ada.astype(int) + bo) // 2, 0)
            expected[0, B_LINE, 110:] = bo[0, B_LINE, 110:]
            assert np.array_equal(decided, expected)
            assert reviewed(self.clip(i), ADJUDICATED).sum() == 2 * len(CLASSES)
            meta = attributes(self.clip(i) / "raters" / ADJUDICATED)
            assert (meta["kind"], meta["adjudicator"]) == ("adjudicated", LEAD)
        *_, last = record(self.clip(0), ADJUDICATED)
        assert (last["tool"], last["decision"]["by"], last["decision"]["source"]) == (
            "adjudicate-accept",
            LEAD,
            "dr-bo",
        )

    def compare_and_combine(self) -> None:
        window, panel = self.window, self.window.dataset
        window.turn_to(panel)
        window.settle()
        window.tick(panel.agreement.raters.boxes, "dr-ada", "dr-bo")
        window.click(panel.agreement.compare)
        window.settle()
        window.choose(panel.agreement.class_name, "B-line")
        window.choose(panel.agreement.threshold, "marks of at least 60")
        both = [
            [planes(self.clip(i), r)[:2, B_LINE] for r in ("dr-ada", "dr-bo")] for i in range(3)
        ]
        mean = np.mean([dice(a, b, 60) for a, b in both])
        row = panel.agreement.scores.topLevelItem(0)
        assert (row.text(0), row.text(2)) == ("dr-ada – dr-bo", f"{mean:.2f}")
        assert mean < 0.9

        window.page(panel.consensus)
        window.tick(panel.consensus.raters.boxes, "dr-ada", "dr-bo")
        window.choose(panel.consensus.method, "Mean")
        window.click(panel.consensus.write)
        window.settle()
        for i in range(3):
            ada, bo = (planes(self.clip(i), r).astype(int) for r in ("dr-ada", "dr-bo"))
            assert np.array_equal(planes(self.clip(i), "mean"), (ada + bo) // 2)
            assert reviewed(self.clip(i), "mean")[:2].all()
            assert attributes(self.clip(i) / "raters" / "mean")["kind"] == "consensus"

    def freeze_and_export(self) -> None:
        window, panel = self.window, self.window.dataset
        window.page(panel.build)
        window.tick(panel.build.raters.boxes, ADJUDICATED, "mean")
        window.tick(panel.build.classes.boxes, "pleura", "b-line")
        window.settle()
        window.click(panel.build.build)
        window.settle()
        version = self.folder / "ward-dataset" / "v1"
        manifest = json.loads((version / "manifest.json").read_text())
        assert [c["name"] for c in manifest["classes"]] == ["pleura", "b-line"]
        assert {c["clip"]: c["frames"] for c in manifest["clips"]} == {
            name: [0, 1] for name in self.clips
        }
        for i, name in enumerate(self.clips):
            data = version / "data.zarr" / name
            assert np.array_equal(array(data / "frames"), frames(self.clip(i))[:2])
            for rater in (ADJUDICATED, "mean"):
                frozen = array(data / "raters" / rater / "planes")
                assert np.array_equal(frozen, planes(self.clip(i), rater)[:2, [PLEURA, B_LINE]])

        window.page(panel.export)
        window.choose(panel.export.format, "COCO (cut at a threshold)")
        window.choose(panel.export.rater, ADJUDICATED)
        window.click(panel.export.export)
        window.settle()
        assert not panel.problem.isVisible()
        out = self.folder / "ward-dataset-exports" / "v1-coco-at50"
        files = sorted(out.glob("annotations/confidence_*.json"))
        parts = [json.loads(p.read_text()) for p in files]
        assert sum(len(p["images"]) for p in parts) == 6
        area: dict[int, int] = {}
        for note in (n for p in parts for n in p["annotations"]):
            area[note["category_id"]] = area.get(note["category_id"], 0) + note["area"]
        marked = [planes(self.clip(i), ADJUDICATED) > 0 for i in range(3)]
        assert sorted(area.values()) == sorted(
            sum(int(m[:, c].sum()) for m in marked) for c in (PLEURA, B_LINE)
        )

    def train_and_predict(self) -> None:
        window, panel = self.window, self.window.train
        training = panel.training
        window.turn_to(panel)
        window.at_the_foot(panel, panel.start)
        window.hand.wait_until(lambda: not training.counting)
        window.choose(panel.form.data, "ward-dataset v1")
        window.hand.wait_until(lambda: not training.counting)
        window.tick(panel.form.raters.boxes, ADJUDICATED)
        window.tick(panel.form.classes.boxes, "pleura", "b-line")
        window.choose(panel.form.size, "Study")
        training.change_settings(steps=12)
        window.click(panel.start)

        def run() -> Any:
            return training.state.watched

        window.hand.wait_until(lambda: not run().phase.live, 240)
        self.run = run().name
        folder = self.folder / "ward-runs" / self.run
        assert json.loads((folder / "result.json").read_text())["stopped"] is False
        assert (folder / "checkpoint.safetensors").is_file()
        config = json.loads((folder / "config.json").read_text())
        assert (config["raters"], config["classes"]) == ([ADJUDICATED], ["pleura", "b-line"])
        manifest = self.folder / "ward-dataset" / "v1" / "manifest.json"
        content = json.loads(manifest.read_text())["content_sha256"]
        assert config["origin"]["sha256"] == content
        events = [e["event"] for e in json_lines(folder / "events.jsonl")]
        assert events[-1] == "finished"

        window.open(self.clips[0])
        window.session.frame = 0
        window.click(panel.model.predict_clip)
        window.hand.wait_until(
            lambda: training.state.predicting and not training.state.predicting.phase.live, 240
        )
        window.hand.wait_until(lambda: any(o.name == self.run for o in window.session.overlays))
        predicted = planes(self.clip(0), self.run)
        meta = attributes(self.clip(0) / "raters" / self.run)
        assert (meta["kind"], meta["run"]) == ("model", self.run)
        layer = window.viewer.layers[layer_name(self.run, before="Pleural line · ")]
        hatched = np.asarray(layer.data)
        lines = (hatched > 0) & (hatched < 100)  # outlines are drawn at 100
        assert lines[0].any()
        assert np.array_equal(hatched[lines], predicted[:, PLEURA][lines])

    def accept(self) -> None:
        window, panel = self.window, self.window.train
        predicted = planes(self.clip(0), self.run)[0, PLEURA]
        panel.model.threshold.setValue(int(predicted.max()))
        window.choose(panel.model.accept_class, "Pleural line")
        panel.model.accept_confidence.setValue(70)
        window.click(panel.model.accept_button)
        assert window.session.flush()
        mine = planes(self.clip(0), "dr-lead")
        expected = np.zeros_like(mine)
        expected[0, PLEURA] = np.where(predicted == predicted.max(), 70, 0)
        assert expected.any()
        assert np.array_equal(mine, expected)
        (stroke,) = record(self.clip(0), "dr-lead")
        assert (stroke["tool"], stroke["confidence"], stroke["frame"]) == ("accept", 70, 0)


@pytest.mark.timeout(900)  # a minute and a half of work; many times that on a crowded machine
def test_the_whole_road(window: Window, tmp_path: Path) -> None:
    road = Road(window, tmp_path)
    road.import_three_clips()
    road.two_readers_paint()
    road.a_lead_adjudicates()
    road.compare_and_combine()
    road.freeze_and_export()
    road.train_and_predict()
    road.accept()
    assert validate(str(road.cohort)) == []
