"""A viewer in a process of its own that paints until it is killed.

Prints a line of JSON each time its panel says "Saved": how many strokes, and the planes' checksum.
"""

from __future__ import annotations

import json
import sys
import zlib
from itertools import cycle

import napari

from napari_confseg.widgets.annotate.panel import AnnotatePanel
from napari_confseg.widgets.demo.hand import Hand


def main(location: str) -> None:
    viewer = napari.Viewer()
    panel = AnnotatePanel(viewer)
    viewer.window.add_dock_widget(panel, name="Annotate", area="right")
    panel.cohort_actions.open(location, "Dr. Ada")
    session, hand = panel.session, Hand(viewer)
    hand.wait(200)
    session.brush_size = 5
    for i, confidence in enumerate(cycle((30, 60, 90))):
        session.class_name = session.classes[i % 3].name
        session.frame = i % 4
        session.confidence = confidence
        y = 10 + 7 * i % 70
        hand.stroke([(y, 20), (y, 100)], steps=3)
        hand.wait_until(lambda n=i: len(session.strokes) > n)
        assert panel.form.save_state.line.text().startswith("Saved")
        planes = b"".join(session.planes[c.name][:].tobytes() for c in session.classes)
        print(json.dumps([len(session.strokes), zlib.crc32(planes)]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
