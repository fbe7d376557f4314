"""A napari window with the real panels, for pictures and short films of what people do in it.

Needs a screen: ``xvfb-run -a -s "-screen 0 1600x1000x24" python -m tools.screenshots``.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from importlib.resources import as_file, files
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from PIL import Image, ImageDraw, ImageFont
from qtpy.QtCore import QBuffer, QPoint, QRect, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_confseg.annotate.preferences import Preferences
from napari_confseg.ingest import import_sources
from napari_confseg.ingest.options import ImportOptions
from napari_confseg.store import Cohort
from napari_confseg.widgets.demo.hand import Hand, wait, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WINDOW: Final = (1280, 720)
FILM: Final = (960, 540)
"""Size of a film's frames, in pixels."""
CLIP: Final = "lung-convex.mpeg"
LEFT: Final = Qt.MouseButton.LeftButton


class Studio:
    """A viewer with the Annotate panel, a hand, and two cohorts to work on.

    Parameters
    ----------
    place : Path
        Folder for cohorts and runs.

    Attributes
    ----------
    sample : Path
        The synthetic cohort, with three readers and the truth.
    real : Path
        A cohort of the real clip that is shipped.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.sample, self.real = place / "study.zarr", place / "ward.zarr"
        self.viewer: Any = None
        self.docks: dict[str, Any] = {}

    # ---- cohorts --------------------------------------------------------------------------

    def make_sample(self) -> Path:
        """Make the synthetic cohort unless it is there."""
        return self._made(self.sample.name, patients=6, clips_per_patient=2, frames=24)

    def make_long(self) -> Path:
        """Make a synthetic cohort of one clip of 90 frames unless it is there."""
        return self._made("long.zarr", patients=1, clips_per_patient=1, frames=90)

    def make_chest(self) -> Path:
        """Make a synthetic patient, examined on three days at ten zones, unless it is there."""
        return self._made("chest.zarr", patients=1, clips_per_patient=10, days=3, frames=4, seed=1)

    def make_guaranteed(self) -> Path:
        """Make a synthetic cohort that a fit has marked, with a guarantee, unless it is there.

        The fit saw other patients. Its two commands and those that follow take a minute or two.
        """
        learn, cohort, run = (self.place / n for n in ("learn.zarr", "promised.zarr", "fitted"))
        for place, seed in ((learn, 77), (cohort, 5)):
            how = {"patients": 20, "clips_per_patient": 1, "frames": 4, "size": (192, 240)}
            self._made(place.name, seed=seed, **how)
        commands: tuple[tuple[str | Path, ...], ...] = (
            ("fit", learn, "--out", run, "--from", "starter", "--steps", "60", "--method", "soft"),
            ("guarantee", run, cohort, "--level", "80"),
            ("predict", run, cohort),
        )
        opened = Cohort.open(cohort, read_only=True)
        if run.name not in opened.clip(opened.clips()[-1]).raters():
            for command in commands:
                subprocess.run([sys.executable, "-m", "trainer", *map(str, command)], check=True)
        return cohort

    def _made(self, name: str, **how: Any) -> Path:
        place = self.place / name
        if not place.exists():
            from sample_data import make_cohort

            make_cohort(place, **how)
        return place

    def make_real(self) -> Path:
        """Make a cohort of the shipped clip unless it is there."""
        if not self.real.exists():
            with as_file(files("sample_data") / "clips" / CLIP) as source:
                import_sources(
                    [source], Cohort.create(self.real, name="ward"), ImportOptions(patient="p-1")
                )
        return self.real

    # ---- the window -----------------------------------------------------------------------

    def open(self, cohort: Path | None = None, reader: str = "Dr. Ada", clip: str = "") -> Studio:
        """Open a new window, on a clip of a cohort if one is named."""
        import napari

        self.close()
        Preferences().save()
        self.viewer = napari.Viewer(title="napari")
        self.viewer.window.resize(*WINDOW)
        self.annotate = self.dock("Annotate")
        self.session = self.annotate.session
        self.hand = Hand(self.viewer)
        self.window = self.hand.window
        self.settle(400)
        if cohort is not None:
            assert self.annotate.cohort_actions.open(cohort, reader), self.session.message
            names = Cohort.open(cohort, read_only=True).clips()
            assert self.annotate.cohort_actions.open_clip(clip or names[0]), self.session.message
            self.settle(600)
        return self

    def dock(self, name: str) -> Any:
        """Open a panel as the Plugins menu does, in front of those that are open."""
        dock, panel = self.viewer.window.add_plugin_dock_widget(
            "napari-confseg", name, tabify=bool(self.docks)
        )
        self.docks[name] = dock
        dock.raise_()
        wait(300)
        return panel

    def reading_layout(self) -> None:
        """Fold away what napari has beside the picture."""
        self.hand.key("F11")
        self.settle(500)

    def settle(self, milliseconds: int = 200) -> None:
        """Let the program come to rest."""
        wait(milliseconds)

    def until(self, true: Callable[[], object], timeout: float = 120.0) -> None:
        """Wait until something is so."""
        wait_until(lambda: bool(true()), timeout)

    def click(self, widget: QWidget, at: QPoint | None = None) -> None:
        """Click a widget where it is."""
        QTest.mouseClick(widget, LEFT, pos=at or widget.rect().center())
        wait(150)

    def close(self) -> None:
        """Close the window, if one is open."""
        if self.viewer is None:
            return
        self.session.flush()
        self.session.close_clip()
        self.viewer.close()
        self.viewer, self.docks = None, {}
        wait(200)

    # ---- pictures -------------------------------------------------------------------------

    def picture(self, of: QWidget | None = None, box: QRect | None = None) -> Image.Image:
        """Return the window, or a widget in it, as it looks now."""
        self.session.message = ""
        wait(250)
        return _grab(of or self.window, box)


def _grab(widget: QWidget, box: QRect | None = None) -> Image.Image:
    shot = widget.grab() if box is None else widget.grab(box)
    buffer = QBuffer()
    buffer.open(QBuffer.OpenModeFlag.WriteOnly)
    shot.save(buffer, "PNG")
    return Image.open(io.BytesIO(bytes(buffer.data().data()))).convert("RGB")


class Film:
    """A short film of the window, with the pointer and a line of words.

    Parameters
    ----------
    studio : Studio
        Whose window.
    """

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.frames: list[Image.Image] = []
        self.durations: list[int] = []
        self.caption = ""
        self._at: QPoint | None = None

    # ---- what a hand does -----------------------------------------------------------------

    def say(self, words: str, seconds: float = 1.2) -> None:
        """Show words, and hold the picture while they are read."""
        self.caption = words
        self.hold(seconds)

    def hold(self, seconds: float) -> None:
        """Keep what is shown for a while."""
        wait(200)
        self.shoot(int(seconds * 1000))

    def key(self, key: str, seconds: float = 0.8) -> None:
        """Press a key, and look."""
        self.studio.hand.key(key)
        self.hold(seconds)

    def move(self, y: float, x: float, ms: int = 70) -> None:
        """Move the pointer to a pixel of the clip."""
        self.studio.hand.move(y, x)
        canvas = self.studio.hand.canvas
        self._at = canvas.mapTo(self.studio.window, self.studio.hand.at(y, x))
        self.shoot(ms)

    def click(self, y: float, x: float) -> None:
        """Click a pixel of the clip."""
        self.move(y, x)
        self.studio.hand.click(y, x)
        self.hold(0.4)

    def stroke(self, points: list[tuple[float, float]], steps: int = 5) -> None:
        """Paint along points of the clip."""
        hand = self.studio.hand
        self.move(*points[0], ms=300)
        hand.press(*points[0])
        for (y0, x0), (y1, x1) in pairwise(points):
            for part in range(1, steps + 1):
                share = part / steps
                self.move(y0 + share * (y1 - y0), x0 + share * (x1 - x0))
        hand.release(*points[-1])
        self.hold(0.6)

    def drag(self, widget: QWidget, start: QPoint, end: QPoint, held: Any, steps: int = 10) -> None:
        """Drag over a widget, a modifier held."""
        QTest.mousePress(widget, LEFT, held, start)
        for part in range(1, steps + 1):
            at = start + (end - start) * part / steps
            QTest.mouseMove(widget, at)
            self._at = widget.mapTo(self.studio.window, at)
            self.shoot(90)
        QTest.mouseRelease(widget, LEFT, held, end)
        self.hold(0.8)

    def press(self, widget: QWidget) -> None:
        """Click a button."""
        self._at = widget.mapTo(self.studio.window, widget.rect().center())
        self.shoot(500)
        self.studio.click(widget)
        self.hold(0.8)

    # ---- the film -------------------------------------------------------------------------

    def shoot(self, milliseconds: int) -> None:
        """Take the window as it looks now, to be shown for so long."""
        QApplication.processEvents()
        frame = _grab(self.studio.window)
        draw = ImageDraw.Draw(frame)
        if self._at is not None:
            x, y = self._at.x(), self._at.y()
            arrow = [(0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12)]
            draw.polygon([(x + dx, y + dy) for dx, dy in arrow], "white", "black")
        frame = frame.resize(FILM, Image.Resampling.LANCZOS)
        if self.caption:
            _write(frame, self.caption)
        if self.frames and frame.tobytes() == self.frames[-1].tobytes():
            self.durations[-1] += milliseconds
            return
        self.frames.append(frame)
        self.durations.append(milliseconds)

    def save(self, path: Path) -> None:
        """Write the film as an animated WebP that plays for ever."""
        first, *rest = self.frames
        first.save(
            path,
            save_all=True,
            append_images=rest,
            duration=self.durations,
            loop=0,
            quality=55,
            method=4,
            minimize_size=True,
        )

    @property
    def seconds(self) -> float:
        """How long it plays."""
        return sum(self.durations) / 1000


def _write(frame: Image.Image, words: str) -> None:
    """Write words on a dark strip at the foot of a frame."""
    font = ImageFont.load_default(size=18)
    draw = ImageDraw.Draw(frame, "RGBA")
    left, top, right, bottom = draw.textbbox((0, 0), words, font=font)
    x, y = 16, FILM[1] - (bottom - top) - 28
    draw.rectangle((x - 8, y - 6, x + right - left + 10, y + bottom - top + 12), (0, 0, 0, 200))
    draw.text((x, y), words, "white", font)


@contextlib.contextmanager
def opened(place: Path) -> Iterator[Studio]:
    """Give a studio, and close its window at the end."""
    studio = Studio(place)
    try:
        yield studio
    finally:
        studio.close()
