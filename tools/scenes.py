"""The pictures and films of the documentation: what is done for each, and which files it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QLineEdit
from skimage.measure import label, regionprops

from napari_confseg.annotate.view import Style
from napari_confseg.store import Cohort
from napari_confseg.widgets.demo.hand import wait
from napari_confseg.widgets.demo.scripted import STROKES
from tools.studio import Film, Studio

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

W: Final = "napari_confseg/widgets/"
FORM: Final = tuple(
    f"{W}annotate/{name}.py"
    for name in ("form", "palette", "confidence", "tools", "transport", "timeline", "clip_head")
)
"""What every picture with the Annotate panel in it shows."""


@dataclass(frozen=True)
class Scene:
    """One or more pictures that are made together.

    Attributes
    ----------
    make : callable
        Takes a studio and returns pictures by name, or films.
    pictures : tuple of str
        Names of the files that it makes, in ``docs/images``.
    shows : tuple of str
        Source files whose look they show: when one changes, the pictures are old.
    """

    make: Callable[[Studio], dict[str, Image.Image | Film]]
    pictures: tuple[str, ...]
    shows: tuple[str, ...]


def frame_with_most(cohort: Path, clip: str, rater: str, name: str) -> int:
    """Return the frame on which a rater marked most of a class."""
    opened = Cohort.open(cohort, read_only=True)
    index = next(c.index for c in opened.meta.classes if c.name == name)
    planes = opened.clip(clip).rater(rater).read_planes(index)
    return int((planes > 0).sum(axis=(1, 2)).argmax())


# ---- the Annotate panel -------------------------------------------------------------------


def start(studio: Studio) -> dict[str, Any]:
    """Show the start page, before a study folder is open."""
    studio.open()
    studio.annotate.form.start.reader.setText("Dr. Ada")
    return {"start.png": studio.picture()}


def reading(studio: Studio) -> dict[str, Any]:
    """Show a clip being read: the reading layout, and the timeline near and far."""
    cohort = studio.make_sample()
    studio.open(cohort, "Reader A")
    session = studio.session
    session.class_name, session.confidence = "b-line", 60
    session.frame = frame_with_most(cohort, session.clip.name, "reader-a", "b-line")
    studio.reading_layout()
    _, height, width = session.clip.shape
    studio.hand.move(0.55 * height, 0.75 * width)
    return {"annotate.png": studio.picture()}


def marks(studio: Studio) -> dict[str, Any]:
    """Show B-lines of four confidences as contours, and a timeline with marks of each origin."""
    height, width = real_clip(studio, reader="Dr. Bo")
    session, line = studio.session, studio.annotate.form.transport.timeline
    session.class_name, session.brush_size = "b-line", width // 22
    for place, session.confidence in ((0.33, 10), (0.44, 40), (0.55, 65), (0.66, 95)):
        studio.hand.stroke([(0.3 * height, place * width), (0.75 * height, place * width)])
    session.style = Style.CONTOURS
    studio.settle(500)
    found = {"contours.png": studio.picture(studio.hand.canvas)}
    session.style = Style.FILL
    for frame in range(1, 8):
        studio.hand.key("Shift+Right")
        studio.until(lambda frame=frame: session.frame == frame)
        studio.settle(300)
    session.frame, session.confidence = 16, 90
    studio.hand.stroke([(0.3 * height, 0.4 * width), (0.75 * height, 0.4 * width)])
    studio.hand.key("Shift+I")
    studio.until(lambda: session.planes["b-line"][12].any())
    session.progress.review_range(range(90))
    studio.settle(800)
    whole = studio.picture(line)
    for _ in range(3):
        studio.hand.key("Ctrl+Shift+Up")
        studio.settle(200)
    near = studio.picture(line)
    both = Image.new("RGB", (whole.width, whole.height + near.height + 8), "#262930")
    both.paste(whole, (0, 0))
    both.paste(near, (0, whole.height + 8))
    return found | {"timeline.png": both}


def work_list(studio: Studio) -> dict[str, Any]:
    """Show the work list in its dock."""
    studio.open(studio.make_sample(), "Reader A")
    studio.reading_layout()
    studio.click(studio.annotate.form.head.list)
    studio.settle(2500)
    return {"worklist.png": studio.picture()}


def real_clip(studio: Studio, reader: str = "Dr. Ada") -> tuple[int, int]:
    """Open the shipped clip in the reading layout; return (height, width)."""
    studio.open(studio.make_real(), reader)
    studio.reading_layout()
    _, height, width = studio.session.clip.shape
    studio.session.brush_size = max(6, width // 40)
    return height, width


def strokes_on(size: tuple[int, int]) -> list[tuple[str, int, list[tuple[float, float]]]]:
    """Return the demonstration's strokes in pixels of the clip."""
    return [(c, p, [(y * size[0], x * size[1]) for y, x in way]) for c, p, way in STROKES]


def band(studio: Studio) -> dict[str, Any]:
    """Show a B-line after its first click: what the second would paint."""
    size = real_clip(studio)
    _, _, way = strokes_on(size)[1]
    studio.hand.key("Shift+B")
    studio.hand.click(*way[0])
    studio.hand.move(*way[1])
    studio.hand.move(*way[-1])
    studio.settle(400)
    found = studio.picture()
    studio.hand.key("Escape")
    return {"tools-band.png": found}


def suggest(studio: Studio) -> dict[str, Any]:
    """Show what the shipped model proposes on a real clip."""
    real_clip(studio)
    studio.hand.key("Ctrl+J")
    studio.until(studio.session.suggestions.here)
    studio.settle(600)
    return {"suggest.png": studio.picture()}


def sector(studio: Studio) -> dict[str, Any]:
    """Show the sector of a real clip with its handles."""
    real_clip(studio)
    form = studio.annotate.form
    form.sector_section.open(True)
    studio.settle(300)
    form.sector.correct.click()
    studio.settle(600)
    page = form.pages.currentWidget()
    page.ensureWidgetVisible(form.sector_section)
    found = studio.picture()
    studio.hand.key("Escape")
    return {"sector-editing.png": found}


def readouts(studio: Studio) -> dict[str, Any]:
    """Show the Read-outs section on what a reader has marked."""
    cohort = studio.make_sample()
    studio.open(cohort, "Reader A")
    session, form = studio.session, studio.annotate.form
    session.frame = frame_with_most(cohort, session.clip.name, "reader-a", "b-line")
    form.readouts_section.header.click()
    studio.until(lambda: form.readouts.live.frame is not None)
    form.pages.currentWidget().ensureWidgetVisible(form.readouts_section)
    studio.settle(500)
    return {"readouts.png": studio.picture(form.readouts_section)}


def m_mode(studio: Studio) -> dict[str, Any]:
    """Show the M-mode of a beam, with the pleural line that was guessed."""
    studio.open(studio.make_long(), "Dr. Ada")
    studio.reading_layout()
    session, hand = studio.session, studio.hand
    session.frame = 30
    hand.key("Ctrl+Shift+M")
    _, height, width = session.clip.shape
    studio.until(lambda: session.m_mode.picture.complete)
    hand.stroke([(0.4 * height, 0.5 * width), (0.6 * height, 0.4 * width)])
    studio.until(lambda: session.m_mode.picture.complete)
    studio.settle(1200)
    found = studio.picture()
    hand.key("Escape")
    return {"m-mode.png": found}


def guarantee(studio: Studio) -> dict[str, Any]:
    """Show the guaranteed contours of a model's pleural line, and what is promised."""
    cohort = studio.make_guaranteed()
    clips = Cohort.open(cohort, read_only=True).clips()
    area = {c: _marked(cohort, c, "fitted", "pleura") for c in clips}
    studio.open(cohort, "Dr. Ada", max(area, key=lambda c: area[c]))
    studio.reading_layout()
    session, form = studio.session, studio.annotate.form
    session.class_name = "pleura"
    session.frame = frame_with_most(cohort, session.clip.name, "fitted", "pleura")
    form.others_section.open(True)
    studio.settle(300)
    others = form.others
    page = form.pages.currentWidget()
    for tick in (others.boxes["fitted"], others.bands):
        page.ensureWidgetVisible(tick)
        studio.settle(200)
        tick.click()
        studio.settle(600)
    studio.hand.key("Shift+Q")  # this class alone
    _, height, width = session.clip.shape
    studio.hand.move(0.1 * height, 0.9 * width)
    page.ensureWidgetVisible(form.others_section)
    studio.settle(400)
    return {"guarantee.png": studio.picture()}


def _marked(cohort: Path, clip: str, rater: str, name: str) -> int:
    """Return the number of pixels of a clip that a rater marked from 50 % on."""
    opened = Cohort.open(cohort, read_only=True)
    index = next(c.index for c in opened.meta.classes if c.name == name)
    return int((opened.clip(clip).rater(rater).read_planes(index) >= 50).sum())


# ---- the other panels ---------------------------------------------------------------------


def review(studio: Studio) -> dict[str, Any]:
    """Show three readers compared, the map, and decisions."""
    studio.open(studio.make_sample(), "Dr. Lead")
    panel = studio.dock("Review")

    def settled() -> None:
        studio.until(lambda: panel.review.state.pending is None and not panel.jobs.busy)
        studio.settle(500)

    settled()
    studio.hand.key("Period")
    settled()
    found = {"review-raters.png": studio.picture()}
    panel.canvas.map.setCurrentIndex(panel.canvas.map.findData("votes"))
    panel.canvas.map.activated.emit(panel.canvas.map.currentIndex())
    settled()
    found["review-map.png"] = studio.picture()
    panel.canvas.map.setCurrentIndex(0)
    panel.canvas.map.activated.emit(0)
    settled()
    studio.click(panel.begin)
    settled()
    for key in ("F2", "F3", "F7"):
        studio.hand.key(key)
        settled()
    found["review-decided.png"] = studio.picture()
    return found


def dataset(studio: Studio) -> dict[str, Any]:
    """Show the Agreement and Build pages of the Dataset panel."""
    studio.open(studio.make_sample(), "Dr. Lead")
    panel = studio.dock("Dataset")

    def settled() -> None:
        studio.until(
            lambda: panel.tasks.free and not panel.tasks.waiting and not panel._counting.isActive()
        )
        studio.settle(500)

    settled()
    studio.click(panel.agreement.compare)
    settled()
    found = {"dataset-panel.png": studio.picture()}
    panel.tabs.setCurrentIndex(2)
    settled()
    studio.settle(1500)
    settled()
    bar = panel.tabs.currentWidget().verticalScrollBar()
    bar.setValue(bar.maximum())
    for line in panel.build.findChildren(QLineEdit):
        if "/" in line.text() or "\\" in line.text():
            line.setText("study-dataset")  # no folder of this machine
    found["dataset-build.png"] = studio.picture()
    return found


def train(studio: Studio) -> dict[str, Any]:
    """Show a fit that has ended, with its curves and its marks on the clip."""
    cohort = studio.make_sample()
    studio.open(cohort, "Reader A")
    panel = studio.dock("Train")
    studio.until(panel.start.isEnabled)
    studio.click(panel.start)
    studio.until(lambda: panel.training.state.watched is not None)
    run = lambda: panel.training.state.watched  # noqa: E731
    studio.until(lambda: len(run().record.previews) > 3 or not run().phase.live, 800)
    studio.settle(1500)
    found = studio.picture()
    panel.run.stop.click()
    studio.until(lambda: not run().phase.live, 120)
    return {"train.png": found}


def calibrate(studio: Studio) -> dict[str, Any]:
    """Show an exercise that has been done: how sure against how right."""
    cohort = studio.make_sample()
    studio.open(cohort, "Dr. Eve")
    panel = studio.dock("Calibrate")
    studio.until(panel.begin.isEnabled)
    panel.frames.setValue(3)
    panel.begin.click()
    studio.settle(500)
    for _ in range(3):
        _mark_as_reader(studio, cohort)
        panel.reviewed.click()
        studio.settle(300)
    panel.finish.click()
    studio.until(lambda: panel.result_section.isVisible())
    studio.settle(800)
    return {"calibrate.png": studio.picture()}


def _mark_as_reader(studio: Studio, cohort: Path) -> None:
    """Let the hand's owner mark what an over-inclusive reader marked on the frame on show."""
    session = studio.session
    reader = Cohort.open(cohort, read_only=True).clip(session.clip.name).rater("reader-b")
    frame = session.frame - session.frame % 2  # readers mark every second frame
    for name in ("pleura", "b-line"):
        plane = reader.read_plane(frame, session.class_index(name))
        session.class_name, session.brush_size = name, 8
        for confidence in sorted(set(np.unique(plane).tolist()) - {0, 255}):
            session.confidence = int(confidence)
            labels = label(plane == confidence)
            for region in regionprops(labels):
                if region.area < 60:  # a rim beside what has been painted
                    continue
                ys, xs = region.coords[:, 0], region.coords[:, 1]
                order = np.argsort(xs if name == "pleura" else ys, kind="stable")
                way = order[np.linspace(0, len(order) - 1, 3).astype(int)]
                studio.hand.stroke([(float(ys[i]), float(xs[i])) for i in way], steps=2)
    wait(100)


def zones(studio: Studio) -> dict[str, Any]:
    """Show the zone map of a patient at the second of three examinations."""
    studio.open(studio.make_chest(), "Dr. Lead")
    studio.reading_layout()
    panel = studio.dock("Zone map")
    studio.until(lambda: panel.model.shown is not None)
    for chooser, entry in (
        (panel.raters, panel.raters.findData("reader-a")),
        (panel.examinations, 1),
    ):
        chooser.setCurrentIndex(entry)
        chooser.activated.emit(entry)
        studio.settle(500)
        studio.until(lambda: panel.model.shown is not None)
    _, height, width = studio.session.clip.shape
    studio.hand.move(0.9 * height, 0.9 * width)
    studio.settle(800)
    return {"zones.png": studio.picture()}


# ---- films --------------------------------------------------------------------------------


def film_paint(studio: Studio) -> dict[str, Any]:
    """Show how to paint a B-line with a confidence."""
    size = real_clip(studio, reader="Dr. Cy")
    (_, _, pleura), (_, _, b_line), (_, _, faint) = strokes_on(size)
    film = Film(studio)
    film.say("A frame of a real clip. What do you see?")
    film.key("G")
    film.say("G: the pleural line.  0: certain, 90 %", 1.0)
    film.key("0")
    film.stroke(pleura)
    film.say("J: a B-line.  9: probable, 60 %", 0.8)
    film.key("J")
    film.key("9")
    film.stroke(b_line)
    film.say("Further down it fades.  8: possible, 30 %", 0.8)
    film.key("8")
    film.stroke(faint)
    film.say("The surer, the more opaque. Each stroke is saved.", 2.0)
    return {"film-paint.webp": film}


def film_carry(studio: Studio) -> dict[str, Any]:
    """Show how to carry a mark on to the next frames, and correct it."""
    size = real_clip(studio, reader="Dr. Di")
    _, (_, _, b_line), _ = strokes_on(size)
    film = Film(studio)
    session = studio.session
    session.class_name, session.confidence = "b-line", 60
    session.frame = 40
    film.stroke(b_line)
    film.say("A B-line, painted on one frame", 1.0)
    for number in range(4):
        film.caption = "Shift+Right: carried along with the picture"
        before = session.frame
        studio.hand.key("Shift+Right")
        studio.until(lambda before=before: session.frame == before + 1, 20)
        film.hold(0.9 if number else 1.3)
    film.say("Too long here?  1: erase", 0.6)
    studio.hand.key("1")
    end = b_line[-1]
    film.stroke([(end[0] + 4, end[1] - 14), (end[0] + 4, end[1] + 14)], steps=4)
    studio.hand.key("2")
    film.say("What you correct by hand becomes solid on the timeline", 2.0)
    return {"film-carry.webp": film}


def film_review(studio: Studio) -> dict[str, Any]:
    """Show how to review a range of frames."""
    real_clip(studio, reader="Dr. Eve")
    film = Film(studio)
    studio.session.frame = 0
    film.say("Nothing to see on these frames? Say so:", 1.2)
    studio.hand.key("Shift+PageDown")
    film.say("Shift+PgDown: this frame is reviewed, and on", 1.5)
    film.caption = "Many at once: drag over the timeline, Shift held"
    line = studio.annotate.form.transport.timeline
    top, bottom = line._rows.reviewed
    ends = [QPoint(int(line.x_of(t)), (top + bottom) // 2) for t in (1, 120)]
    film.hold(1.0)
    film.drag(line, *ends, Qt.KeyboardModifier.ShiftModifier, steps=14)
    film.say("120 frames reviewed: what is not marked there is not there", 2.0)
    studio.hand.key("Ctrl+Z")
    film.say("Ctrl+Z takes it back, as one", 1.5)
    studio.hand.key("Ctrl+Shift+Z")
    film.say("Ctrl+Shift+Z: and again", 1.5)
    return {"film-review.webp": film}


def film_suggest(studio: Studio) -> dict[str, Any]:
    """Show how to accept what a model suggests."""
    real_clip(studio, reader="Dr. Fay")
    session = studio.session
    film = Film(studio)
    session.frame = 60
    film.say("Ctrl+J: the model that comes with the package proposes", 1.2)
    studio.hand.key("Ctrl+J")
    studio.until(session.suggestions.here)
    film.say("Hatched: nothing of it is yours yet", 2.5)
    film.say("Shift+Y: accept what is suggested on this frame", 0.8)
    studio.hand.key("Shift+Y")
    studio.settle(500)
    film.hold(1.8)
    film.say("It is a stroke like any other, and the record says whose it was", 1.8)
    studio.hand.key("Ctrl+Z")
    film.say("Ctrl+Z: proposed again.  Shift+Z: dismissed", 0.8)
    film.hold(0.8)
    studio.hand.key("Shift+Z")
    film.hold(1.5)
    return {"film-suggest.webp": film}


SUGGEST: Final = (f"{W}annotate/suggest.py",)
SCENES: Final = {
    "start": Scene(start, ("start.png",), (f"{W}annotate/start_page.py",)),
    "reading": Scene(reading, ("annotate.png",), FORM),
    "marks": Scene(
        marks,
        ("contours.png", "timeline.png"),
        (f"{W}annotate/timeline.py", f"{W}layers/contour_lines.py"),
    ),
    "work-list": Scene(
        work_list,
        ("worklist.png",),
        (f"{W}annotate/worklist.py", f"{W}annotate/worklist_table.py"),
    ),
    "band": Scene(band, ("tools-band.png",), (*FORM, f"{W}layers/band_clicks.py")),
    "suggest": Scene(suggest, ("suggest.png",), (*FORM, *SUGGEST)),
    "sector": Scene(
        sector, ("sector-editing.png",), (f"{W}annotate/sector.py", f"{W}layers/sector_handles.py")
    ),
    "readouts": Scene(readouts, ("readouts.png",), (f"{W}annotate/readouts.py",)),
    "m-mode": Scene(m_mode, ("m-mode.png",), (f"{W}annotate/m_mode.py", f"{W}layers/beam_line.py")),
    "guarantee": Scene(
        guarantee,
        ("guarantee.png",),
        (f"{W}annotate/other_raters.py", f"{W}layers/band_lines.py"),
    ),
    "zones": Scene(
        zones, ("zones.png",), (f"{W}annotate/zone_map.py", "napari_confseg/report/chest.py")
    ),
    "review": Scene(
        review,
        ("review-raters.png", "review-map.png", "review-decided.png"),
        tuple(f"{W}review/{n}.py" for n in ("panel", "compare", "queue", "verdicts", "clips")),
    ),
    "dataset": Scene(
        dataset,
        ("dataset-panel.png", "dataset-build.png"),
        tuple(f"{W}dataset/{n}.py" for n in ("panel", "agreement", "build", "plots")),
    ),
    "train": Scene(
        train,
        ("train.png",),
        tuple(f"{W}train/{n}.py" for n in ("panel", "form", "run", "curves", "active")),
    ),
    "calibrate": Scene(
        calibrate, ("calibrate.png",), (f"{W}calibrate/panel.py", f"{W}calibrate/result.py")
    ),
    "film-paint": Scene(film_paint, ("film-paint.webp",), FORM),
    "film-carry": Scene(film_carry, ("film-carry.webp",), (*FORM, f"{W}annotate/fill_and_copy.py")),
    "film-review": Scene(film_review, ("film-review.webp",), FORM),
    "film-suggest": Scene(film_suggest, ("film-suggest.webp",), (*FORM, *SUGGEST)),
}
"""Every scene by its name."""
