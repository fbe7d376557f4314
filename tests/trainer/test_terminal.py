"""Progress where nobody watches a bar."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from napari_confseg.job import Progress
from trainer.cli.terminal import Terminal


def test_a_log_gets_a_line_at_every_tenth_and_at_each_new_stage():
    out = StringIO()
    with Terminal(Console(file=out, width=100)) as terminal:
        terminal.show(Progress(current=0, maximum=0, message="Reading"))
        for done in range(201):
            terminal.show(Progress(current=done, maximum=200, message=f"fit {done}"))
        terminal.show(Progress(current=0, maximum=3, message="next", seconds_left=150))
    lines = out.getvalue().splitlines()
    assert lines[:3] == ["Reading", "20/200 fit 20", "40/200 fit 40"]
    assert lines[-2:] == ["200/200 fit 200", "0/3 next, 2 min left"]
    assert len(lines) == 1 + 10 + 1
